"""The glossary (row G2): every state, flag, message and timer, and the terms of the texts, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Final

from rich.cells import cell_len

from synfin.lab.telling.glossary_carrying import CARRYING, CONGESTION
from synfin.lab.telling.glossary_entry import Entry
from synfin.lab.telling.glossary_protocol import FLAGS, MESSAGES, STATES, TIMERS
from synfin.lab.telling.glossary_terms import CLOSING, OPENING
from synfin.lab.words import translation
from synfin.show.ladder_text import wrapped_text
from synfin.show.words import N_, Language

__all__ = ["OWN_WORDS", "SECTIONS", "Entry", "alike", "entries", "lookup", "table", "whole_entry"]

#: The entries, by section.
SECTIONS: Final[Sequence[tuple[str, tuple[Entry, ...]]]] = (
    (N_("States"), STATES),
    (N_("Flags"), FLAGS),
    (N_("The seven messages"), MESSAGES),
    (N_("Timers"), TIMERS),
    (N_("Connections, and how they open"), OPENING),
    (N_("Data under way"), CARRYING),
    (N_("Congestion and loss"), CONGESTION),
    (N_("How connections close, and what goes wrong"), CLOSING),
)

#: What the lab calls its own things: English, Chinese, and the Chinese words that no text uses for them.
OWN_WORDS: Final[Sequence[tuple[str, str, tuple[str, ...]]]] = (
    ("world", "情形", ("世界",)),
    ("ladder", "时序图", ("梯形图",)),
    ("laboratory", "实验变体", ("实验室变体",)),
)

_WIDTH: Final = 100
_GAP: Final = 2


def entries() -> list[Entry]:
    """All entries, in order."""
    return [entry for _, part in SECTIONS for entry in part]


def lookup(word: str) -> list[Entry]:
    """The entries for that word, in either language, whatever its case; "SYN_SENT" finds SYN-SENT."""
    wanted = _plain(word)
    for names in (_names, _words):
        found = [entry for entry in entries() if wanted in names(entry)]
        if found:
            return found
    return []


def alike(word: str) -> list[str]:
    """A few terms that are written like that word, or contain it."""
    wanted = _plain(word)
    known = {name: entry.term for entry in entries() for name in (*_names(entry), *_words(entry))}
    found = [known[name] for name in known if wanted and wanted in name]
    found += [known[name] for name in get_close_matches(wanted, known, 3)]
    return list(dict.fromkeys(found))[:5]


def _plain(word: str) -> str:
    return word.strip().casefold().replace("_", "-").replace(" ", "")


def _names(entry: Entry) -> set[str]:
    return {_plain(entry.term), _plain(entry.chinese)}


def _words(entry: Entry) -> set[str]:
    return {_plain(word) for word in entry.also}


def table(language: Language) -> Iterator[str]:
    """All entries as a table, of lines of at most 100 cells: the term in both languages, what it means, where."""
    gettext = translation(language).gettext
    columns = [_terms(entry, language) for entry in entries()]
    first, second = (max(cell_len(terms[at]) for terms in columns) + _GAP for at in (0, 1))
    room = _WIDTH - first - second
    for title, part in SECTIONS:
        yield gettext(title)
        for entry in part:
            terms = _terms(entry, language)
            text = f"{gettext(entry.definition)} ({entry.clause})"
            if language == "zh":
                text = f"{gettext(entry.definition)}（{entry.clause}）"
            for at, line in enumerate(wrapped_text(text, room)):
                left = [terms[0], terms[1]] if not at else ["", ""]
                yield f"{_filled(left[0], first)}{_filled(left[1], second)}{line}"
        yield ""


def whole_entry(entry: Entry, language: Language) -> Iterator[str]:
    """One entry, with the other words for it."""
    gettext = translation(language).gettext
    first, second = _terms(entry, language)
    yield f"{first}  {second}"
    yield from (f"  {line}" for line in wrapped_text(gettext(entry.definition), _WIDTH - 2))
    if entry.also:
        words = gettext(N_("also: {words}")).format(words=("、" if language == "zh" else ", ").join(entry.also))
        yield from (f"  {line}" for line in wrapped_text(words, _WIDTH - 2))
    yield f"  {entry.clause}"


def _terms(entry: Entry, language: Language) -> tuple[str, str]:
    return (entry.chinese, entry.term) if language == "zh" else (entry.term, entry.chinese)


def _filled(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
