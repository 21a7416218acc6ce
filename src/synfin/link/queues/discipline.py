"""What every queue discipline offers: a value that describes it, and the queue that it begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from synfin.link.quantities import check_number
from synfin.wire.ip import CE, NOT_ECT, Packet

if TYPE_CHECKING:
    from synfin.link.faults.passage import Passage
    from synfin.reasons import Reason


class Waiting:
    """A packet that waits in a queue since `arrived` (nanoseconds). `size` in octets; `passage` is whose it is."""

    __slots__ = ("arrived", "passage", "size")

    def __init__(self, passage: Passage, arrived: int) -> None:
        self.passage = passage
        self.arrived = arrived
        self.size = passage.packet.total_length

    def mark(self) -> bool:
        """Marks the packet as having met congestion (RFC 3168 §5), if its sender understands that.

        The packet may be known to others, so a marked copy takes its place.
        """
        packet = self.passage.packet
        if packet.ecn == NOT_ECT:
            return False
        if packet.ecn != CE:
            self.passage.packet = Packet(
                packet.source,
                packet.destination,
                packet.protocol,
                packet.payload,
                packet.ttl,
                packet.traffic_class | CE,
                packet.flow_label,
                packet.identification,
                packet.dont_fragment,
                packet.more_fragments,
                packet.fragment_offset,
                packet.extension,
            )
        return True


class Queue(ABC):
    """A queue at work. Times are nanoseconds of the clock that its owner keeps, and never go back.

    What it drops, whenever it does, gets its reason in `passage.lost` and is put into `dropped`, which the owner
    empties. `octets` and `len` tell what waits.
    """

    __slots__ = ("dropped", "octets")

    def __init__(self) -> None:
        self.dropped: list[Waiting] = []
        self.octets = 0

    @abstractmethod
    def __len__(self) -> int:
        """How many packets wait."""

    @abstractmethod
    def enqueue(self, waiting: Waiting) -> None:
        """A packet arrives, at `waiting.arrived`."""

    @abstractmethod
    def dequeue(self, now: int) -> Waiting | None:
        """Takes out the packet that goes next; None if there is none. It may drop others on the way."""

    def drop(self, waiting: Waiting, reason: Reason) -> None:
        waiting.passage.lost = reason
        self.dropped.append(waiting)


class Fifo:
    """Packets in the order in which they came, and how many octets they are."""

    __slots__ = ("octets", "packets")

    def __init__(self) -> None:
        self.packets: deque[Waiting] = deque()
        self.octets = 0

    def push(self, waiting: Waiting) -> None:
        self.packets.append(waiting)
        self.octets += waiting.size

    def pop(self) -> Waiting | None:
        if not self.packets:
            return None
        waiting = self.packets.popleft()
        self.octets -= waiting.size
        return waiting


@dataclass(frozen=True, slots=True)
class Discipline(ABC):
    """How a queue is kept: a value. `limit` is the most packets that wait. Raises ValueError for what cannot be."""

    limit: int

    def __post_init__(self) -> None:
        check_number(self.limit, 1, "the length of a queue")

    @abstractmethod
    def __str__(self) -> str:
        """The discipline in the words of `parse_fault`: "queue 100 codel"."""

    @abstractmethod
    def begin(self, random: Random) -> Queue:
        """The queue at work, empty. What is left to chance is drawn from `random` alone."""
