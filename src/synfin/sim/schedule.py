"""Virtual time: what is to happen when, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Schedule:
    """Calls in order of time (nanoseconds), those of one moment in the order in which they were made."""

    __slots__ = ("_count", "_heap", "now")

    def __init__(self) -> None:
        self.now = 0
        self._count = 0
        self._heap: list[tuple[int, int, Callable[[], object]]] = []

    def at(self, time: int, call: Callable[[], object]) -> None:
        """Calls `call` at `time`, or now if that has passed."""
        self._count += 1
        heappush(self._heap, (max(time, self.now), self._count, call))

    def next_time(self) -> int | None:
        """When the next call is due; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Jumps to the next call and makes it. Raises IndexError if there is none."""
        time, _, call = heappop(self._heap)
        self.now = time
        call()
