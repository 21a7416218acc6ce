"""How many scripts passed, failed and were skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from synfin.drill.outcome import FAILED, PASSED, SKIPPED, Result


@dataclass(slots=True)
class Tally:
    """How many scripts passed, failed and were skipped, and why those were; `lenient`: passed leniently."""

    passed: int = 0
    failed: int = 0
    lenient: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        self.passed += result.status == PASSED
        self.failed += result.status == FAILED
        self.lenient += result.lenient == PASSED
        if result.status == SKIPPED:
            self.skipped[result.reason] += 1

    @property
    def number(self) -> int:
        return self.passed + self.failed + self.skipped.total()


def tallies(results: Iterable[Result]) -> dict[str, Tally]:
    """One for each folder, in the order of the results."""
    found: dict[str, Tally] = {}
    for result in results:
        found.setdefault(str(Path(result.path).parent), Tally()).add(result)
    return found
