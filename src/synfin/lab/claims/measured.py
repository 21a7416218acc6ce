"""What was measured on Linux: figures by claim and sentence, kept in a file beside this one with the kernel's version."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from synfin.lab.claims import catalogue
from synfin.lab.claims.text_claim import Figures, Measured

__all__ = ["FILE", "Measurements", "load", "measure", "save"]

FILE: Final = Path(__file__).with_name("measured.json")
#: Measurements wait more than they work.
_AT_ONCE: Final = 8


class Measurements:
    """Figures that were measured on one kernel: `kernel` is its version, such as "6.18"."""

    __slots__ = ("_figures", "kernel")

    def __init__(self, kernel: str, figures: dict[str, dict[str, Figures]]) -> None:
        self.kernel = kernel
        self._figures = figures

    def figures(self, claim: str, measurement: str) -> Figures | None:
        """What was found for a sentence of a claim; None if it was not measured."""
        return self._figures.get(claim, {}).get(measurement)

    def as_json(self) -> str:
        return json.dumps({"kernel": self.kernel, "figures": self._figures}, indent=2, ensure_ascii=False) + "\n"


def load(path: Path = FILE) -> Measurements:
    """The figures in a file. Raises OSError, and ValueError for one that holds no figures."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Measurements(read["kernel"], read["figures"])
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"{path} holds no measurements") from None


def save(measurements: Measurements, path: Path) -> None:
    """Writes figures to a file. Raises OSError."""
    path.write_text(measurements.as_json(), encoding="utf-8")


def measure(names: Iterable[str], slow: bool = True) -> Measurements:
    """Measures what these claims say of Linux on the kernel of this machine, in namespaces of its own, several at a
    time. All of it takes some three minutes, without the `slow` ones a quarter of one.

    Raises PermissionError and others as `synfin.link.kernel.KernelHost` does, and TimeoutError if the kernel
    never did what was waited for.
    """
    wanted = sorted(_all(names, slow), key=lambda one: not one[1].slow)
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        found = list(executor.map(lambda one: one[1].measure(), wanted))
    figures: dict[str, dict[str, Figures]] = {}
    for name, measurement in _all(names, slow):
        at = next(index for index, one in enumerate(wanted) if one == (name, measurement))
        figures.setdefault(name, {})[measurement.name] = dict(found[at])
    return Measurements(".".join(platform.release().split(".")[:2]), figures)


def _all(names: Iterable[str], slow: bool) -> Iterator[tuple[str, Measured]]:
    for name in names:
        for measurement in catalogue.claim(name).measured:
            if slow or not measurement.slow:
                yield name, measurement
