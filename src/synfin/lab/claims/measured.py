"""What was measured on Linux: figures by claim and sentence, kept with the kernel's version in a file beside this.

``synfin lab claims --measure src/synfin/lab/claims/measured.json`` writes that file anew, as root, in some minutes.
"""

from __future__ import annotations

import json
import platform
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    def names(self) -> Iterator[tuple[str, str]]:
        """What was measured: claims, and their measurements."""
        return ((claim, name) for claim, found in self._figures.items() for name in found)

    def as_json(self) -> str:
        return json.dumps({"kernel": self.kernel, "figures": self._figures}, indent=2, ensure_ascii=False) + "\n"


def load(path: Path = FILE) -> Measurements:
    """The figures in a file. Raises OSError, and ValueError for one that holds no figures."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        read = json.loads(text)
    except json.JSONDecodeError:
        read = None
    if not _are_figures(read):
        raise ValueError(f"{path} holds no measurements")
    return Measurements(read["kernel"], read["figures"])


def _are_figures(read: object) -> bool:
    """Whether what was read has the form that `Measurements.as_json` writes."""
    if not isinstance(read, dict) or not isinstance(read.get("kernel"), str):
        return False
    claims = read.get("figures")
    return isinstance(claims, dict) and all(
        isinstance(found, dict)
        and all(
            isinstance(figures, dict) and all(isinstance(value, (int, str)) for value in figures.values())
            for figures in found.values()
        )
        for found in claims.values()
    )


def save(measurements: Measurements, path: Path) -> None:
    """Writes figures to a file. Raises OSError."""
    path.write_text(measurements.as_json(), encoding="utf-8")


def measure(names: Sequence[str], slow: bool = True) -> Measurements:
    """Measures what these claims say of Linux on the kernel of this machine, in namespaces of its own, several at a
    time. All of it takes some three minutes, without the `slow` ones a quarter of one.

    Raises PermissionError and others as `synfin.link.kernel.KernelHost` does, and TimeoutError if the kernel
    never did what was waited for.
    """
    wanted = sorted(_all(names, slow), key=lambda one: not one[1].slow)
    found = dict(zip(wanted, _at_once([one.measure for _, one in wanted]), strict=True))
    figures: dict[str, dict[str, Figures]] = {}
    for name, measurement in _all(names, slow):
        figures.setdefault(name, {})[measurement.name] = dict(found[name, measurement])
    return Measurements(".".join(platform.release().split(".")[:2]), figures)


def _all(names: Iterable[str], slow: bool) -> Iterator[tuple[str, Measured]]:
    for name in names:
        for measurement in catalogue.claim(name).linux:
            if slow or not measurement.slow:
                yield name, measurement


def _at_once(calls: Sequence[Callable[[], Figures]]) -> list[Figures]:
    """What the calls return, several at a time, in threads that nobody waits for when the program is interrupted.
    Raises what the first of them raised that failed."""
    waiting = deque(enumerate(calls))
    results: dict[int, Figures] = {}
    raised: list[Exception] = []

    def work() -> None:
        while not raised:
            try:
                number, call = waiting.popleft()
            except IndexError:
                return
            try:
                results[number] = call()
            except Exception as error:
                raised.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    return [results[number] for number in range(len(calls))]
