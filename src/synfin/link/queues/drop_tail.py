"""The simplest queue: first in, first out, and what finds it full is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from synfin import reasons
from synfin.link.queues.discipline import Discipline, Fifo, Queue, Waiting


@dataclass(frozen=True, slots=True)
class DropTail(Discipline):
    """First in, first out; a packet that finds `limit` others waiting is dropped."""

    limit: int = 1000

    def __str__(self) -> str:
        return f"queue {self.limit}"

    def begin(self, random: Random) -> Queue:
        return _DropTailQueue(self.limit)


class _DropTailQueue(Queue):
    __slots__ = ("_fifo", "_limit")

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._fifo = Fifo()

    def __len__(self) -> int:
        return len(self._fifo.packets)

    def enqueue(self, waiting: Waiting) -> None:
        if len(self._fifo.packets) >= self._limit:
            self.drop(waiting, reasons.QUEUE_FULL)
            return
        self._fifo.push(waiting)
        self.octets += waiting.size

    def dequeue(self, now: int) -> Waiting | None:
        waiting = self._fifo.pop()
        if waiting is not None:
            self.octets -= waiting.size
        return waiting
