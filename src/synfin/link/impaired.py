"""A link on which things go wrong: the same faults that simulated wires have, on any link there is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import groupby
from random import Random
from time import monotonic_ns
from typing import Final

from synfin import reasons
from synfin.link.faults import Chain, Fault, PacketFault, Passage, Rate
from synfin.link.faults.fault import packed_address
from synfin.link.link import Frame, Link, WrappedLink
from synfin.link.queues import Bottleneck
from synfin.link.segmentation import Unsent, cut, split
from synfin.tcp.timers import NEVER
from synfin.wire.errors import WireError
from synfin.wire.ip import Packet, encode_packet, parse_packet
from synfin.wire.tcp import Segment

#: Packets that are held back in each direction, at most; more are lost.
HELD_LIMIT: Final = 10_000
#: How soon a device that was full is tried again with what is overdue (nanoseconds).
RETRY: Final = 1_000_000


class Impaired(WrappedLink):
    """A link with `faults`, which act in this order on what goes out and on what comes in, then a rate if there is one.

    `names` are those of this side and the other, by which faults tell the directions apart (addresses do as well).
    Times count from now, by `clock` (nanoseconds). What is left to chance depends on `seed` and on the fault's own
    words, not on the other faults. A superpacket meets the faults as its segments; the runs that pass unharmed stay
    in one piece. `lost` counts packets, those that arrive damaged among them, and `lost_by` the reasons.

    Raises ValueError for a fault that is none of links, or that names an end which is neither of `names`.
    """

    __slots__ = (
        "_chain",
        "_clock",
        "_incoming",
        "_now",
        "_number",
        "_outgoing",
        "_overdue",
        "_received",
        "_start",
        "_unsent",
        "lost_by",
    )

    def __init__(
        self,
        inner: Link,
        faults: Iterable[Fault],
        seed: int = 0,
        clock: Callable[[], int] = monotonic_ns,
        names: tuple[str, str] = ("synfin", "peer"),
    ) -> None:
        super().__init__(inner)
        self._clock = clock
        self._start = clock()
        self._now = 0
        self._number = 0
        self._chain = Chain()
        self._outgoing = _Way(names[0], self._lose)
        self._incoming = _Way(names[1], self._lose)
        self._unsent = Unsent()
        # The packet, of those held back, that the device had no room for.
        self._overdue: Packet | None = None
        # Frames that are ready: those of one packet, and those that were held back.
        self._received: deque[Frame] = deque()
        self.lost_by: dict[reasons.Reason, int] = {}
        seen: dict[str, int] = {}
        for fault in faults:
            words = str(fault)
            seen[words] = seen.get(words, 0) + 1
            self._apply(fault, names, Random(f"{seed}/{words}/{seen[words]}"))

    def _apply(self, fault: Fault, names: tuple[str, str], random: Random) -> None:
        if not isinstance(fault, (PacketFault, Rate)):
            raise ValueError(f"'{fault}' is no fault of a link")
        is_address = packed_address(fault.sender) is not None
        if fault.sender and fault.sender not in names and not (is_address and isinstance(fault, PacketFault)):
            raise ValueError(f"'{fault}': the ends of the link are called {names[0]} and {names[1]}")
        if isinstance(fault, PacketFault):
            self._chain.processes.append(fault.begin(random))
            return
        for way in (self._outgoing, self._incoming):
            if not fault.sender or fault.sender == way.sender:
                way.bottleneck = fault.begin(Random(random.getrandbits(64)))

    @property
    def aggregates(self) -> bool:
        return self.inner.aggregates and self._incoming.bottleneck is None

    @property
    def lost(self) -> int:
        """Packets lost so far, both ways together."""
        return sum(self.lost_by.values())

    def _lose(self, reason: reasons.Reason) -> None:
        self.lost_by[reason] = self.lost_by.get(reason, 0) + 1

    # --- out

    def send(self, packet: Packet) -> bool:
        # What was begun has to be ended first, or the inner link would be offered something else in between.
        if packet is not self._unsent.packet and not self._write_overdue():
            return False
        return self._unsent.send(packet, self._outgoing_now, self.inner.send)

    def _write_overdue(self) -> bool:
        """Writes what was held back and is due. False: the device is full."""
        way = self._outgoing
        way.advance(self._time())
        if self._unsent.packet is not None:
            return False
        while True:
            packet = self._overdue
            if packet is None:
                if not way.ready:
                    return True
                packet = self._as_sent(way.ready.popleft())
            if packet is not None and not self.inner.send(packet):
                self._overdue = packet
                return False
            self._overdue = None

    def _outgoing_now(self, packet: Packet) -> list[Packet]:
        """What of `packet` goes out at once."""
        now = [
            part if isinstance(part, Packet) else self._as_sent(part) for part in self._divide(packet, self._outgoing)
        ]
        return [part for part in now if part is not None]

    def _as_sent(self, passage: Passage) -> Packet | None:
        """The packet to write; None if nobody would take it any more."""
        if passage.damage is None:
            return passage.packet
        packet = passage.packet
        unnoticed = passage.unnoticed()
        if unnoticed is not None:
            return unnoticed
        spoiled = passage.octets()
        header_length = packet.header_length
        if passage.damage * len(spoiled) < header_length:
            # Damaged in the header, nobody could know whose it is.
            return None
        return Packet(
            packet.source,
            packet.destination,
            packet.protocol,
            spoiled[header_length:],
            packet.ttl,
            packet.traffic_class,
            packet.flow_label,
            packet.identification,
            packet.dont_fragment,
            packet.more_fragments,
            packet.fragment_offset,
            packet.extension,
        )

    # --- in

    def receive(self) -> Frame | None:
        received = self._received
        while not received:
            self._take_ready()
            if received:
                break
            frame = self.inner.receive()
            if frame is None:
                return None
            try:
                packet = parse_packet(
                    frame.data, checksum_verified=frame.checksum_verified, segment_size=frame.segment_size
                )
            except WireError:
                # Not for a fault to judge; the host will count it.
                return frame
            for part in self._divide(packet, self._incoming):
                received.append(frame if part is packet else _frame(part))
        return received.popleft()

    def _take_ready(self) -> None:
        """What was held back on its way in and is due."""
        way = self._incoming
        way.advance(self._time())
        while way.ready:
            self._received.append(_frame(way.ready.popleft()))

    # --- both ways

    def _divide(self, packet: Packet, way: _Way) -> list[Packet | Passage]:
        """What of `packet` passes now: itself, or runs of its segments and single passages, in order. What is late
        is left with `way`."""
        now = self._time()
        parts = cut(packet)
        fates = []
        for part in parts:
            self._number += 1
            fates.append(self._chain.passages(part, self._number, way.sender, now))
        if way.bottleneck is not None:
            unharmed = [False] * len(parts)
        else:
            unharmed = [len(fate) == 1 and fate[0].unharmed for fate in fates]
        if all(unharmed):
            return [packet]
        passing: list[Packet | Passage] = []
        groups = [(plain, sum(1 for _ in group)) for plain, group in groupby(unharmed)]
        segment = packet.payload
        size = segment.segment_size if isinstance(segment, Segment) else 0
        runs = split(packet, [count * size for _, count in groups]) if len(groups) > 1 else [packet]
        at = 0
        for run, (plain, count) in zip(runs, groups, strict=True):
            if plain:
                passing.append(run)
            else:
                for fate in fates[at : at + count]:
                    passing.extend(way.submit(fate, now))
            at += count
        return passing

    # --- time

    def _time(self) -> int:
        """Since the beginning. It never goes back, though a driver may come a little early for a deadline."""
        self._now = max(self._now, self._clock() - self._start)
        return self._now

    def next_deadline(self) -> int:
        deadline = min(self._outgoing.next_deadline(), self._incoming.next_deadline())
        if deadline != NEVER:
            deadline += self._start
        if self._outgoing.ready or self._overdue is not None:
            deadline = min(deadline, self._clock() + RETRY)
        return min(deadline, self.inner.next_deadline())

    def deadline_reached(self, now: int) -> None:
        """Writes what is due, and has ready what is due to come in. Raises OSError if the device is gone."""
        self.inner.deadline_reached(now)
        self._now = max(self._now, now - self._start)
        self._write_overdue()
        self._take_ready()


class _Way:
    """One direction: what is held back there. Times count from the beginning of the link."""

    __slots__ = ("_count", "_held", "_lost", "bottleneck", "ready", "sender")

    def __init__(self, sender: str, lost: Callable[[reasons.Reason], None]) -> None:
        self.sender = sender
        self._lost = lost
        self.bottleneck: Bottleneck | None = None
        self._held: list[tuple[int, int, Passage]] = []
        self._count = 0
        #: What is due, in order. Nothing more is taken in before it has gone, so the other bounds bound it too.
        self.ready: deque[Passage] = deque()

    def submit(self, passages: Iterable[Passage], now: int) -> list[Passage]:
        """Takes the passages of one packet, and returns those that pass now."""
        self.advance(now)
        passing: list[Passage] = []
        for passage in passages:
            if passage.lost is not None:
                self._lost(passage.lost)
            elif passage.delay:
                self._hold(passage, now + passage.delay)
            elif self.bottleneck is not None:
                self._enter(passage, now)
            else:
                self._count_damaged(passage)
                passing.append(passage)
        return passing

    def _count_damaged(self, passage: Passage) -> None:
        if passage.damage is not None:
            self._lost(reasons.DAMAGED)

    def _hold(self, passage: Passage, until: int) -> None:
        if len(self._held) >= HELD_LIMIT:
            self._lost(reasons.QUEUE_FULL)
            return
        self._count += 1
        heappush(self._held, (until, self._count, passage))

    def _enter(self, passage: Passage, now: int) -> None:
        bottleneck = self.bottleneck
        if bottleneck is None:
            self._let_go(passage)
            return
        self._collect(now)
        bottleneck.arrive(passage, now)
        self._count_dropped(bottleneck)

    def _collect(self, now: int) -> None:
        bottleneck = self.bottleneck
        if bottleneck is not None:
            for _, passage in bottleneck.deadline_reached(now):
                self._let_go(passage)
            self._count_dropped(bottleneck)

    def _count_dropped(self, bottleneck: Bottleneck) -> None:
        for passage in bottleneck.take_dropped():
            self._lost(passage.lost or reasons.QUEUE_FULL)

    def _let_go(self, passage: Passage) -> None:
        self._count_damaged(passage)
        self.ready.append(passage)

    def advance(self, now: int) -> None:
        """Lets go all that is due by `now`, each at its own time."""
        held = self._held
        while held and held[0][0] <= now:
            due, _, passage = heappop(held)
            self._enter(passage, due)
        self._collect(now)

    def next_deadline(self) -> int:
        deadline = self._held[0][0] if self._held else NEVER
        return deadline if self.bottleneck is None else min(deadline, self.bottleneck.next_deadline())


def _frame(part: Packet | Passage) -> Frame:
    """What came in, or a part of it, as a frame of its own."""
    if isinstance(part, Passage):
        if part.damage is not None:
            return Frame(part.octets())
        part = part.packet
    segment = part.payload
    size = segment.segment_size if isinstance(segment, Segment) else 0
    return Frame(b"".join(encode_packet(part, partial_checksum=True)), size, True)
