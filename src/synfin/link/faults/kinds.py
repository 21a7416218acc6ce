"""The kinds of faults: loss, duplication, delay, jitter, corruption, partition, a rate with a queue, a reboot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from synfin import reasons
from synfin.link.faults.fault import Fault, PacketFault, Process, check_name
from synfin.link.faults.passage import Passage
from synfin.link.faults.selection import Burst, Every, Selection, Share
from synfin.link.quantities import check_number, write_duration, write_rate
from synfin.link.queues import Bottleneck, Discipline, DropTail


@dataclass(frozen=True, slots=True)
class Lose(PacketFault):
    """The packets of `which` are lost: "lose 2%", "lose burst p=1% r=30%", "lose 2nd SYN+ACK"."""

    which: Selection

    def _description(self) -> str:
        return f"lose {self.which}"

    def begin(self, random: Random) -> Process:
        reason = reasons.LOST_BY_REQUEST
        if isinstance(self.which, Share):
            reason = reasons.LOST_BY_CHANCE
        elif isinstance(self.which, Burst):
            reason = reasons.LOST_IN_BURST
        return _Losing(self, self.which, random, reason)


class _Losing(Process):
    __slots__ = ("_reason",)

    def __init__(self, fault: PacketFault, which: Selection, random: Random, reason: reasons.Reason) -> None:
        super().__init__(fault, which, random)
        self._reason = reason

    def _act(self, passage: Passage) -> Sequence[Passage]:
        passage.lost = self._reason
        return (passage,)


@dataclass(frozen=True, slots=True)
class Partition(PacketFault):
    """Nothing passes from `start` to `end`, when the network heals: "partition from 10s to 40s". What was on its way
    arrives."""

    def _description(self) -> str:
        return "partition"

    def begin(self, random: Random) -> Process:
        return _Losing(self, Every(), random, reasons.PARTITIONED)


@dataclass(frozen=True, slots=True)
class Duplicate(PacketFault):
    """The packets of `which` arrive twice, the copy right behind the packet: "duplicate 1%"."""

    which: Selection

    def _description(self) -> str:
        return f"duplicate {self.which}"

    def begin(self, random: Random) -> Process:
        return _Duplicating(self, self.which, random)


class _Duplicating(Process):
    __slots__ = ()

    def _act(self, passage: Passage) -> Sequence[Passage]:
        return (passage, passage.copy())


@dataclass(frozen=True, slots=True)
class Delay(PacketFault):
    """The packets of `which` take `by` nanoseconds longer, so that those behind overtake them: "delay 3rd data by
    800ms"; "delay 2% by 5ms" reorders."""

    which: Selection
    by: int

    def __post_init__(self) -> None:
        PacketFault.__post_init__(self)
        check_number(self.by, 0, "a time")

    def _description(self) -> str:
        return f"delay {self.which} by {write_duration(self.by)}"

    def begin(self, random: Random) -> Process:
        return _Delaying(self, self.which, random, self.by)


class _Delaying(Process):
    __slots__ = ("_by",)

    def __init__(self, fault: PacketFault, which: Selection, random: Random, by: int) -> None:
        super().__init__(fault, which, random)
        self._by = by

    def _act(self, passage: Passage) -> Sequence[Passage]:
        passage.delay += self._by
        return (passage,)


@dataclass(frozen=True, slots=True)
class Jitter(PacketFault):
    """Each packet takes longer by a time of its own, drawn evenly from 0 to `most` nanoseconds, so that packets close
    to one another may change places: "jitter 3ms"."""

    most: int

    def __post_init__(self) -> None:
        PacketFault.__post_init__(self)
        check_number(self.most, 0, "a time")

    def _description(self) -> str:
        return f"jitter {write_duration(self.most)}"

    def begin(self, random: Random) -> Process:
        return _Jittering(self, Every(), random, self.most)


class _Drawing(Process):
    """Draws once for each packet on which it acts; for duplicates from a source of their own."""

    __slots__ = ("_copies", "_random")

    def __init__(self, fault: PacketFault, which: Selection, random: Random) -> None:
        super().__init__(fault, which, random)
        self._random = random
        self._copies = Random(random.getrandbits(64))

    def _draw(self, passage: Passage) -> float:
        return (self._copies if passage.duplicate else self._random).random()


class _Jittering(_Drawing):
    __slots__ = ("_most",)

    def __init__(self, fault: PacketFault, which: Selection, random: Random, most: int) -> None:
        super().__init__(fault, which, random)
        self._most = most

    def _act(self, passage: Passage) -> Sequence[Passage]:
        passage.delay += int(self._draw(passage) * (self._most + 1))
        return (passage,)


@dataclass(frozen=True, slots=True)
class Corrupt(PacketFault):
    """The packets of `which` arrive with one bit flipped, at a random place: "corrupt 0.1%"."""

    which: Selection

    def _description(self) -> str:
        return f"corrupt {self.which}"

    def begin(self, random: Random) -> Process:
        return _Corrupting(self, self.which, random)


class _Corrupting(_Drawing):
    __slots__ = ()

    def _act(self, passage: Passage) -> Sequence[Passage]:
        passage.damage = self._draw(passage)
        return (passage,)


@dataclass(frozen=True, slots=True)
class Rate(Fault):
    """No more than `bits` a second pass, each way for itself; what does not fit waits in `queue`: "rate 10Mbit queue
    100 codel". Of several for one way the last holds. `sender` as for other faults."""

    bits: int
    queue: Discipline = field(default_factory=DropTail)
    sender: str = ""

    def __post_init__(self) -> None:
        check_name(self.sender)
        check_number(self.bits, 1, "a rate")

    def __str__(self) -> str:
        text = f"rate {write_rate(self.bits)} {self.queue}"
        return f"{text} from {self.sender}" if self.sender else text

    def begin(self, random: Random) -> Bottleneck:
        """The bottleneck of one direction, empty."""
        return Bottleneck(self.bits, self.queue.begin(random))


@dataclass(frozen=True, slots=True)
class Reboot(Fault):
    """The host of that name forgets everything `at` a time and is back `down` nanoseconds later: "reboot server at 30s
    for 5s". Networks apply it; a link has no host to reboot."""

    host: str
    at: int
    down: int = 0

    def __post_init__(self) -> None:
        check_name(self.host)
        if not self.host:
            raise ValueError("a reboot names its host")
        check_number(self.at, 0, "a time")
        check_number(self.down, 0, "a time")

    def __str__(self) -> str:
        text = f"reboot {self.host} at {write_duration(self.at)}"
        return f"{text} for {write_duration(self.down)}" if self.down else text
