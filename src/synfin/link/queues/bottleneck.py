"""A bottleneck: so many bits a second, and a queue for what does not fit. Exact in whatever time its owner keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin.link.queues.discipline import Queue, Waiting
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.link.faults.passage import Passage

SECOND: Final = 1_000_000_000


class Bottleneck:
    """One packet at a time is on its way out, for as long as its bits take at `rate` (bits a second); the others wait
    in `queue`.

    The owner tells it the time with every call, and comes back at `next_deadline`; deadlines that have passed are
    handled at their own time, so that late calls change nothing but when the packets are seen.
    """

    __slots__ = ("_leaves_at", "_leaving", "queue", "rate")

    def __init__(self, rate: int, queue: Queue) -> None:
        self.rate = rate
        self.queue = queue
        self._leaving: Waiting | None = None
        self._leaves_at = NEVER

    def arrive(self, passage: Passage, now: int) -> None:
        """A packet arrives, after `deadline_reached(now)` was called. Look into `take_dropped` afterwards."""
        self.queue.enqueue(Waiting(passage, now))
        if self._leaving is None:
            self._start(now)

    def next_deadline(self) -> int:
        """When the next packet has left; NEVER if none is on its way."""
        return self._leaves_at

    def deadline_reached(self, now: int) -> list[tuple[int, Passage]]:
        """The packets that have left by `now`, each with the time at which it did."""
        left: list[tuple[int, Passage]] = []
        while self._leaving is not None and self._leaves_at <= now:
            time = self._leaves_at
            left.append((time, self._leaving.passage))
            self._start(time)
        return left

    def take_dropped(self) -> list[Passage]:
        """The packets that the queue has dropped since this was last called, each with its reason."""
        dropped = self.queue.dropped
        if not dropped:
            return []
        taken = [waiting.passage for waiting in dropped]
        dropped.clear()
        return taken

    def _start(self, now: int) -> None:
        waiting = self._leaving = self.queue.dequeue(now)
        self._leaves_at = NEVER if waiting is None else now + waiting.size * 8 * SECOND // self.rate
