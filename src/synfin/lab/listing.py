"""All questions: those that everybody asks with the rows that answer them, and then every row by section."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from synfin.lab.experiment import N_
from synfin.lab.layout import hanging
from synfin.lab.registry import SECTIONS, experiments, rows
from synfin.lab.words import translation
from synfin.show.words import Language

__all__ = ["QUESTIONS", "listing"]

#: What everybody asks, and the rows that answer it.
QUESTIONS: Final = (
    (N_("Why three messages to open a connection, and not two?"), ("A7", "A14")),
    (N_("Why four messages to close it?"), ("C6",)),
    (N_("Why not leave out the last of the four?"), ("C13",)),
    (N_("Why does the end that closes first wait for 2MSL?"), ("C9", "C10")),
    (N_("What if the client dies in the middle?"), ("D1",)),
    (N_("What if one of the messages is lost, late or damaged?"), ("A8", "A9", "A10", "B8", "C8")),
    (N_("What to do about too many TIME-WAIT?"), ("D4",)),
    (N_("What to do about too many CLOSE-WAIT?"), ("D3",)),
    (N_("What is a half-closed connection for?"), ("C3",)),
)

_COMMANDS: Final = (
    ("claims", N_("What widely read texts say, and what a host does.")),
    ("glossary", N_("The words of TCP in both languages.")),
)


def listing(language: Language, width: int = 100, commands: Collection[str] = ()) -> Iterator[str]:
    """The lines of ``synfin lab``, which has these `commands` besides."""
    gettext = translation(language).gettext
    known = set(rows())
    asked = [(text, [row for row in answers if row in known]) for text, answers in QUESTIONS]
    if any(answers for _, answers in asked):
        yield gettext("The questions")
        for text, answers in asked:
            if answers:
                yield from hanging("       ", f"{gettext(text)} → {' '.join(answers)}", width)
        yield ""
    for section in SECTIONS:
        found = experiments(section)
        if found:
            yield f"{section.letter}. {gettext(section.title)}"
            for one in found:
                yield from hanging(f"  {one.row:5}", gettext(one.question), width)
            yield ""
    yield from hanging(
        "", gettext("Run one: synfin lab run ROW. All that may be changed: synfin lab run --help."), width
    )
    for name, text in _COMMANDS:
        if name in commands:
            yield from hanging(f"synfin lab {name:10}", gettext(text), width)
