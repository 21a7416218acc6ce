"""The lab's words: a catalogue for each room, and behind them that of `synfin.show`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from gettext import NullTranslations
from pathlib import Path
from typing import Final

from synfin.show import words
from synfin.show.words import N_, Language

__all__ = ["DOMAINS", "FOLDER", "filled", "translation"]

FOLDER: Final = Path(__file__).parent / "locale"
#: One for each room of the lab, and one for what lies beside the rooms.
DOMAINS: Final = ("lab", "opening", "carrying", "closing", "failures", "programs", "claims", "telling")


@functools.cache
def translation(language: Language) -> NullTranslations:
    """All words of the lab in that language; a text that it does not know comes back as it is.

    Raises FileNotFoundError as `synfin.show.words.translation` does.
    """
    last: NullTranslations = words.translation(language)
    if language == "en":
        return last
    for domain in reversed(DOMAINS):
        found = words.catalogue(FOLDER / language / "LC_MESSAGES" / f"{domain}.po")
        # A cached catalogue must not be changed, but this one is nobody else's.
        found.add_fallback(last)
        last = found
    return last


def filled(text: str, values: Mapping[str, object], gettext: Callable[[str], str]) -> str:
    """`text` with its gaps filled; a list or tuple is written as its language lists things: "1, 2, 3", "1、2、3"."""
    return text.format(**{name: _listed(value, gettext) for name, value in values.items()})


def _listed(value: object, gettext: Callable[[str], str]) -> object:
    if not isinstance(value, (list, tuple)) or not value:
        return value
    return functools.reduce(
        lambda some, one: gettext(N_("{some}, {more}")).format(some=some, more=one), map(str, value)
    )
