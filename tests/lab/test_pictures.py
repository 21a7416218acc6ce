"""The lab's pictures, every one of them, in both languages: no text meets another one or is struck through by an arrow,
none leaves the picture, and the fonts have all its characters."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from synfin.lab.drawn import drawn
from synfin.lab.registry import experiment, rows
from synfin.lab.report import Report, Wishes
from synfin.lab.running import run
from synfin.lab.what_if import Change, all_again
from synfin.show.words import LANGUAGES, Language
from tests.show.reading import font, outside, overlapping, struck_through, texts

every = pytest.mark.parametrize("row", rows())
in_both = pytest.mark.parametrize("language", LANGUAGES)


@cache
def picture(row: str, language: Language) -> str:
    one = experiment(row)
    runs = run(one)
    return drawn(Report(one, runs, list(runs), Wishes(language=language)))


@in_both
@every
def test_nothing_lies_across_anything_else(row: str, language: Language) -> None:
    made = picture(row, language)
    assert overlapping(made) == []
    assert struck_through(made) == []
    assert outside(made) == []


@pytest.mark.parametrize(("row", "number"), [("A8", 1), ("A10", 3), ("C8", 4), ("C9", 7), ("A7", 3), ("E6", 5)])
@in_both
def test_nor_where_a_segment_is_lost(row: str, number: int, language: Language) -> None:
    one = experiment(row)
    runs = run(one)
    name = one.worlds[0].name
    changes = [Change("lose", number)]
    changed = all_again(runs, [name], changes)
    made = drawn(Report(one, runs, [name], Wishes(language=language), changes, changed))
    assert overlapping(made) == []
    assert struck_through(made) == []
    assert outside(made) == []


def test_the_first_font_has_every_character(require: Callable[..., None]) -> None:
    known = font("Noto Sans CJK SC", require)
    shown = {
        char for row in rows() for language in LANGUAGES for text, _ in texts(picture(row, language)) for char in text
    }
    assert [char for char in sorted(shown) if not known.glyph(char)] == []
