"""Which packets a fault concerns: by kind, by place, by count, by chance. Descriptions are values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from synfin.link.faults.flows import Streams
from synfin.link.quantities import check_number, check_share, write_ordinal, write_share
from synfin.wire.icmp import IcmpMessage
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment

if TYPE_CHECKING:
    from synfin.link.faults.passage import Passage

_CONTROL: Final = SYN | FIN | RST


def _flags(mask: int, value: int) -> Callable[[Segment], bool]:
    return lambda segment: segment.flags & mask == value


#: The kinds of TCP segments, by the words that descriptions use.
SEGMENT_KINDS: Final[dict[str, Callable[[Segment], bool]]] = {
    "segment": lambda segment: True,
    "SYN": _flags(SYN | ACK, SYN),
    "SYN+ACK": _flags(SYN | ACK, SYN | ACK),
    "ACK": lambda segment: segment.flags & (_CONTROL | ACK) == ACK and not segment.payload_length,
    "FIN": _flags(FIN, FIN),
    "RST": _flags(RST, RST),
    "data": lambda segment: segment.payload_length > 0,
    "new data": lambda segment: segment.payload_length > 0,
    "resent data": lambda segment: segment.payload_length > 0,
}
#: Kinds whose ranges are of octets.
DATA_KINDS: Final = ("data", "new data", "resent data")
KINDS: Final = ("packet", "ICMP", *SEGMENT_KINDS)


@dataclass(frozen=True, slots=True)
class Matching:
    """Packets of one `kind`, of KINDS, and where `first` and `last` say so only those in that range.

    Of "packet" the range is that of numbers on the wire, from 1, both ways counted together. Of data it is that of
    octets, numbered as sequence numbers relative to the initial one (the first octet of data is 1): a segment
    matches if it carries any octet of the range. Both ends belong to the range; `last` None leaves it open. "new
    data" carries octets not seen before, "resent data" none. "ACK" is an acknowledgment and nothing else; "FIN" and
    "RST" are all segments with that flag; "SYN" is one without ACK. Raises ValueError for what makes no sense.
    """

    kind: str = "packet"
    first: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of packet; there are: {', '.join(KINDS)}")
        if self.first is None:
            if self.last is not None:
                raise ValueError("a range that ends has to begin")
            return
        if self.kind not in ("packet", *DATA_KINDS):
            raise ValueError(f"{self.kind} has no range; packet and data have")
        check_number(self.first, 1, "the beginning of a range")
        if self.last is not None:
            check_number(self.last, self.first, "the end of a range")

    def __str__(self) -> str:
        return f"{self.kind} {write_range(self.first, self.last)}" if self.first is not None else self.kind

    @property
    def everything(self) -> bool:
        return self == EVERYTHING


class Matcher:
    """A `Matching` at work: it is shown every packet in turn."""

    __slots__ = ("_first", "_kind", "_last", "_segment", "_streams")

    def __init__(self, matching: Matching) -> None:
        self._kind = matching.kind
        self._first = matching.first
        self._last = matching.last
        self._segment = SEGMENT_KINDS.get(matching.kind)
        needed = matching.kind in DATA_KINDS and (matching.first is not None or matching.kind != "data")
        self._streams = Streams() if needed else None

    def matches(self, passage: Passage) -> bool:
        packet = passage.packet
        payload = packet.payload
        first, last = passage.number, passage.number
        if self._streams is not None:
            first, last, seen = self._streams.place(packet)
            if self._kind != "data" and seen is not (self._kind == "resent data"):
                return False
        if self._segment is not None:
            if not isinstance(payload, Segment) or not self._segment(payload):
                return False
        elif self._kind == "ICMP" and not isinstance(payload, IcmpMessage):
            return False
        return self._first is None or (last >= self._first and (self._last is None or first <= self._last))


class Selector(ABC):
    """A `Selection` at work. It is told every packet, once, in order."""

    __slots__ = ()

    @abstractmethod
    def selects(self, passage: Passage, concerned: bool) -> bool:
        """Whether the fault acts on this packet, the next to pass. One that is not `concerned` (it goes the other
        way, or it is not yet time) is only looked at: it is not counted and nothing is drawn for it."""

    def selects_copy(self) -> bool | None:
        """Whether the fault acts on a duplicate of the packet that was told last; None: as on that packet."""
        return None


@dataclass(frozen=True, slots=True)
class Selection(ABC):
    """Which packets: a value. `of` narrows it to packets that match."""

    @abstractmethod
    def begin(self, random: Random) -> Selector:
        """The selection at work, with a state of its own. What it draws comes from `random` alone."""


@dataclass(frozen=True, slots=True)
class Every(Selection):
    """Every packet that matches, or every `n`-th: "every SYN", "data 1000-3000", "every 10th data"."""

    of: Matching = Matching()
    n: int = 1

    def __post_init__(self) -> None:
        check_number(self.n, 1, "a count of packets")

    def __str__(self) -> str:
        if self.n > 1:
            return f"every {write_ordinal(self.n)} {self.of}"
        return f"every {self.of}" if self.of.first is None else str(self.of)

    def begin(self, random: Random) -> Selector:
        return _Counting(self.of, lambda count: count % self.n == 0)


@dataclass(frozen=True, slots=True)
class Nth(Selection):
    """The `n`-th packet that matches, counted from 1, to the `last`-th: "2nd SYN+ACK", "1st-3rd data"."""

    n: int = 1
    of: Matching = Matching()
    last: int = 0

    def __post_init__(self) -> None:
        if not self.last:
            object.__setattr__(self, "last", self.n)
        check_number(self.n, 1, "a count of packets")
        check_number(self.last, self.n, "the count of the last packet")

    def __str__(self) -> str:
        count = write_ordinal(self.n) if self.last == self.n else f"{write_ordinal(self.n)}-{write_ordinal(self.last)}"
        return f"{count} {self.of}"

    def begin(self, random: Random) -> Selector:
        return _Counting(self.of, lambda count: self.n <= count <= self.last)


class _Counting(Selector):
    __slots__ = ("_chosen", "_count", "_matcher")

    def __init__(self, of: Matching, chosen: Callable[[int], bool]) -> None:
        self._matcher = Matcher(of)
        self._chosen = chosen
        self._count = 0

    def selects(self, passage: Passage, concerned: bool) -> bool:
        if not self._matcher.matches(passage) or not concerned:
            return False
        self._count += 1
        return self._chosen(self._count)


@dataclass(frozen=True, slots=True)
class Share(Selection):
    """Each packet that matches, with `probability` (0 to 1), independently of all others: "2%", "5% of ACK"."""

    probability: float
    of: Matching = Matching()

    def __post_init__(self) -> None:
        check_share(self.probability)

    def __str__(self) -> str:
        return _of(write_share(self.probability), self.of)

    def begin(self, random: Random) -> Selector:
        return _Chance(self, random)


class _Chance(Selector):
    __slots__ = ("_copies", "_matched", "_matcher", "_probability", "_random")

    def __init__(self, share: Share, random: Random) -> None:
        self._matcher = Matcher(share.of)
        self._probability = share.probability
        self._random = random
        # Of their own, so that a duplicate made upstream does not disturb what happens to the packets after it.
        self._copies = Random(random.getrandbits(64))
        self._matched = False

    def selects(self, passage: Passage, concerned: bool) -> bool:
        self._matched = self._matcher.matches(passage) and concerned
        return self._matched and self._random.random() < self._probability

    def selects_copy(self) -> bool | None:
        return self._matched and self._copies.random() < self._probability


@dataclass(frozen=True, slots=True)
class Burst(Selection):
    """Packets in bursts, by the model of Gilbert and Elliott: "burst p=1% r=30%".

    Each way has two states, good at first; every packet that matches moves it, and then `bad` or `good` is the
    probability that the packet is selected. `p` leads from good to bad, `r` from bad to good. So a share of
    p / (p + r) of the packets meets the bad state, in bursts of 1 / r packets on average. (E. N. Gilbert, "Capacity
    of a burst-noise channel", 1960; E. O. Elliott, 1963; the letters are those of `tc netem loss gemodel`, whose
    1-h is `bad` and whose 1-k is `good`.)
    """

    p: float
    r: float
    bad: float = 1.0
    good: float = 0.0
    of: Matching = Matching()

    def __post_init__(self) -> None:
        for share in (self.p, self.r, self.bad, self.good):
            check_share(share)

    def __str__(self) -> str:
        words = [f"burst p={write_share(self.p)} r={write_share(self.r)}"]
        if self.bad != 1:
            words.append(f"bad={write_share(self.bad)}")
        if self.good:
            words.append(f"good={write_share(self.good)}")
        return _of(" ".join(words), self.of)

    def begin(self, random: Random) -> Selector:
        return _GilbertElliott(self, random)


class _GilbertElliott(Selector):
    __slots__ = ("_bad", "_burst", "_matcher", "_random")

    def __init__(self, burst: Burst, random: Random) -> None:
        self._burst = burst
        self._random = random
        self._matcher = Matcher(burst.of)
        # By sender; whoever owns the fault gives the names, and there are two.
        self._bad: dict[str, bool] = {}

    def selects(self, passage: Passage, concerned: bool) -> bool:
        if not self._matcher.matches(passage) or not concerned:
            return False
        burst, random = self._burst, self._random.random
        bad = self._bad.get(passage.sender, False)
        # Two draws for each packet in every case, so that the parameters do not shift what comes later.
        moves, selected = random(), random()
        bad = moves >= burst.r if bad else moves < burst.p
        self._bad[passage.sender] = bad
        return selected < (burst.bad if bad else burst.good)


def _of(text: str, of: Matching) -> str:
    return text if of.everything else f"{text} of {of}"


def write_range(first: int, last: int | None) -> str:
    """7, 7-9 or 7-."""
    if last is None:
        return f"{first}-"
    return f"{first}" if first == last else f"{first}-{last}"


EVERYTHING: Final = Matching()
