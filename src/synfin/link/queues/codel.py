"""CoDel (RFC 8289): a queue that watches how long packets wait, and drops or marks when they do for too long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from random import Random
from typing import Final

from synfin import reasons
from synfin.link.quantities import check_number, write_duration
from synfin.link.queues.discipline import Discipline, Fifo, Queue, Waiting

MILLISECOND: Final = 1_000_000
#: RFC 8289 §5.3
TARGET: Final = 5 * MILLISECOND
INTERVAL: Final = 100 * MILLISECOND
#: RFC 8289 §5.3: a queue of no more than one packet of this size is never too long (octets).
MAXPACKET: Final = 1500
#: Drop() in the RFC's routines: what became of the packet; True if it was marked and goes on.
Notify = Callable[[Waiting], bool]


@dataclass(frozen=True, slots=True)
class CoDel(Discipline):
    """RFC 8289 with Linux's default limit. `target` and `interval` in nanoseconds; with `ecn` packets of senders that
    understand it are marked and not dropped."""

    limit: int = 1000
    target: int = TARGET
    interval: int = INTERVAL
    ecn: bool = False

    def __post_init__(self) -> None:
        Discipline.__post_init__(self)
        check_times(self.target, self.interval)

    def __str__(self) -> str:
        return f"queue {self.limit} codel{write_times(self.target, self.interval)}{' ecn' if self.ecn else ''}"

    def begin(self, random: Random) -> Queue:
        return _CoDelQueue(self)


def check_times(target: int, interval: int) -> None:
    """Raises ValueError for what cannot be CoDel's parameters."""
    check_number(target, 0, "CoDel's target")
    check_number(interval, 1, "CoDel's interval")


def write_times(target: int, interval: int) -> str:
    """Those of CoDel's parameters that are not the default, as words."""
    words = ""
    if target != TARGET:
        words += f" target {write_duration(target)}"
    if interval != INTERVAL:
        words += f" interval {write_duration(interval)}"
    return words


class CoDelState:
    """The state and the routines of RFC 8289 §5.2 to §5.6, applied to any queue of packets."""

    __slots__ = ("count", "drop_next", "dropping", "first_above_time", "interval", "lastcount", "target")

    def __init__(self, target: int, interval: int) -> None:
        self.target = target
        self.interval = interval
        self.first_above_time = 0
        self.drop_next = 0
        self.count = 0
        self.lastcount = 0
        self.dropping = False

    def control_law(self, time: int, count: int) -> int:
        # RFC 8289 §5.6: t + INTERVAL / sqrt(count), without a rounding that differs between machines.
        return time + isqrt(self.interval * self.interval // count)

    def _dodequeue(self, fifo: Fifo, now: int) -> tuple[Waiting | None, bool]:
        """The next packet, and whether it is ok to drop it (RFC 8289 §5.6)."""
        waiting = fifo.pop()
        if waiting is None:
            self.first_above_time = 0
            return None, False
        if now - waiting.arrived < self.target or fifo.octets <= MAXPACKET:
            # Below the target: it has to stay above for at least an interval from now on.
            self.first_above_time = 0
        elif self.first_above_time == 0:
            self.first_above_time = now + self.interval
        elif now >= self.first_above_time:
            return waiting, True
        return waiting, False

    def dequeue(self, fifo: Fifo, now: int, notify: Notify) -> Waiting | None:
        """The packet that goes next. `notify` is called for each that is to signal congestion: it marks the packet
        and returns True, or drops it (RFC 8289 §5.5; for marking: `include/net/codel_impl.h` in Linux)."""
        waiting, ok_to_drop = self._dodequeue(fifo, now)
        if self.dropping:
            if not ok_to_drop:
                self.dropping = False
            while self.dropping and now >= self.drop_next and waiting is not None:
                self.count += 1
                if notify(waiting):
                    # A mark is a signal like a drop, but the packet goes.
                    self.drop_next = self.control_law(self.drop_next, self.count)
                    return waiting
                waiting, ok_to_drop = self._dodequeue(fifo, now)
                if not ok_to_drop:
                    self.dropping = False
                else:
                    self.drop_next = self.control_law(self.drop_next, self.count)
        elif ok_to_drop and waiting is not None:
            if not notify(waiting):
                waiting, _ = self._dodequeue(fifo, now)
            self.dropping = True
            # Not long since it was in the dropping state: the rate that was right then is the first guess now.
            delta = self.count - self.lastcount
            self.count = 1
            if delta > 1 and now - self.drop_next < 16 * self.interval:
                self.count = delta
            self.drop_next = self.control_law(now, self.count)
            self.lastcount = self.count
        return waiting


class _CoDelQueue(Queue):
    __slots__ = ("_discipline", "_fifo", "state")

    def __init__(self, discipline: CoDel) -> None:
        super().__init__()
        self._discipline = discipline
        self._fifo = Fifo()
        self.state = CoDelState(discipline.target, discipline.interval)

    def __len__(self) -> int:
        return len(self._fifo.packets)

    def enqueue(self, waiting: Waiting) -> None:
        if len(self._fifo.packets) >= self._discipline.limit:
            self.drop(waiting, reasons.QUEUE_FULL)
            return
        self._fifo.push(waiting)
        self.octets = self._fifo.octets

    def dequeue(self, now: int) -> Waiting | None:
        waiting = self.state.dequeue(self._fifo, now, self._notify)
        self.octets = self._fifo.octets
        return waiting

    def _notify(self, waiting: Waiting) -> bool:
        if self._discipline.ecn and waiting.mark():
            return True
        self.drop(waiting, reasons.DROPPED_BY_QUEUE)
        return False
