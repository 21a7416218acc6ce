"""RED (S. Floyd and V. Jacobson, "Random Early Detection Gateways for Congestion Avoidance", 1993), with ECN."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from synfin import reasons
from synfin.link.quantities import check_number, check_share, write_share
from synfin.link.queues.discipline import Discipline, Fifo, Queue, Waiting

#: The weight of one packet's arrival in the average length; the paper's.
WEIGHT: Final = 0.002


@dataclass(frozen=True, slots=True)
class Red(Discipline):
    """Drops, or with `ecn` marks, at random while the average length of the queue (packets) is between `minimum` and
    `maximum`, up to the `probability` there, and every packet above that.

    Between the thresholds marking takes the place of dropping where the sender understands it; above them packets
    are dropped (RFC 3168 §7 and §19.1).
    """

    limit: int = 1000
    minimum: int = 5
    maximum: int = 15
    probability: float = 0.1
    ecn: bool = False

    def __post_init__(self) -> None:
        Discipline.__post_init__(self)
        check_share(self.probability)
        check_number(self.minimum, 0, "RED's lower threshold")
        check_number(self.maximum, self.minimum + 1, "RED's upper threshold")

    def __str__(self) -> str:
        words = f"queue {self.limit} red min {self.minimum} max {self.maximum} p={write_share(self.probability)}"
        return f"{words} ecn" if self.ecn else words

    def begin(self, random: Random) -> Queue:
        return _RedQueue(self, random)


class _RedQueue(Queue):
    """The names of the state are the paper's: `average` is avg, `count` packets since the last mark or drop."""

    __slots__ = ("_discipline", "_fifo", "_idle_since", "_random", "_service_time", "_started", "average", "count")

    def __init__(self, discipline: Red, random: Random) -> None:
        super().__init__()
        self._discipline = discipline
        self._random = random
        self._fifo = Fifo()
        self.average = 0.0
        self.count = -1
        # q_time, the beginning of the idle time, or -1 while packets leave.
        self._idle_since = -1
        # When the packet that leaves now began to, or -1; and s, how long the last one took.
        self._started = -1
        self._service_time = 0

    def __len__(self) -> int:
        return len(self._fifo.packets)

    def enqueue(self, waiting: Waiting) -> None:
        discipline = self._discipline
        length = len(self._fifo.packets)
        if self._idle_since < 0:
            self.average += WEIGHT * (length - self.average)
        else:
            # As if as many packets as could have left meanwhile had found the queue empty.
            idle = waiting.arrived - self._idle_since
            self.average *= (1 - WEIGHT) ** (idle / self._service_time) if self._service_time else 1.0
            self._idle_since = -1
        if length >= discipline.limit:
            self.count = 0
            self.drop(waiting, reasons.QUEUE_FULL)
            return
        if self.average >= discipline.maximum:
            self.count = 0
            self.drop(waiting, reasons.DROPPED_BY_QUEUE)
            return
        if self.average >= discipline.minimum:
            self.count += 1
            if self._random.random() < self._probability():
                self.count = 0
                if not (discipline.ecn and waiting.mark()):
                    self.drop(waiting, reasons.DROPPED_BY_QUEUE)
                    return
        else:
            self.count = -1
        self._fifo.push(waiting)
        self.octets += waiting.size

    def _probability(self) -> float:
        """p_a: spread so that marks lie evenly apart, and not in clusters."""
        discipline = self._discipline
        share = (self.average - discipline.minimum) / (discipline.maximum - discipline.minimum)
        basic = discipline.probability * share
        return basic / (1 - self.count * basic) if self.count * basic < 1 else 1.0

    def dequeue(self, now: int) -> Waiting | None:
        if self._started >= 0:
            self._service_time = now - self._started
        waiting = self._fifo.pop()
        if waiting is None:
            self._started = -1
            self._idle_since = now
        else:
            self._started = now
            self.octets -= waiting.size
        return waiting
