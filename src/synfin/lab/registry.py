"""All experiments, by row, in the sections of the questions: each is the `EXPERIMENT` of a file of its own.

A file's name begins with its row (``a07_why_three_messages.py``); nothing else need be told of a new one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from synfin.lab.experiment import N_, Experiment

__all__ = ["SECTIONS", "Section", "experiment", "experiments", "rows"]

_NAME: Final = re.compile(r"([a-g])([0-9]{2})_\w+")


@dataclass(frozen=True, slots=True)
class Section:
    """A section: the letter of its rows, its room (a package of the lab), and its title."""

    letter: str
    room: str
    title: str


SECTIONS: Final = (
    Section("A", "opening", N_("Opening a connection")),
    Section("B", "carrying", N_("Carrying data")),
    Section("C", "closing", N_("Closing a connection")),
    Section("D", "failures", N_("When things go wrong in the world")),
    Section("E", "programs", N_("Parameters and programs")),
)


@cache
def _modules() -> dict[str, str]:
    """The modules of the experiments, by row, in order."""
    found = {}
    for section in SECTIONS:
        package = import_module(f"synfin.lab.{section.room}")
        names = sorted(module.name for module in iter_modules(package.__path__))
        for name in names:
            match = _NAME.fullmatch(name)
            if match is not None:
                found[f"{match[1].upper()}{int(match[2])}"] = f"{package.__name__}.{name}"
    return found


def rows(section: Section | None = None) -> list[str]:
    """The rows that there are, of one section or all: "A1", "A2", and so on."""
    return [row for row in _modules() if section is None or row[0] == section.letter]


def experiment(row: str) -> Experiment:
    """The experiment for a row, whatever its case. Raises KeyError if there is none."""
    found: Experiment = import_module(_modules()[row.upper()]).EXPERIMENT
    return found


def experiments(section: Section | None = None) -> list[Experiment]:
    """All experiments, of one section or all."""
    return [experiment(row) for row in rows(section)]
