"""Faults: which packets are lost, decided alike for simulated wires and for real links."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from itertools import groupby
from random import Random

from synfin.link.link import Frame, Link, WrappedLink
from synfin.link.segmentation import Unsent, cut, split
from synfin.wire.errors import WireError
from synfin.wire.ip import Packet, encode_packet, parse_packet
from synfin.wire.tcp import Segment


class LossRule(ABC):
    """Decides which packets are lost. A rule is told every packet that passes, once, each an ordinary packet."""

    __slots__ = ()

    @abstractmethod
    def lose(self, packet: Packet) -> bool:
        """Whether `packet`, the next to pass, is lost."""


class RandomLoss(LossRule):
    """Each packet is lost with `probability` (0 to 1), independently of all others, as `random` says.

    Raises ValueError for a probability outside of that range.
    """

    __slots__ = ("_random", "probability")

    def __init__(self, probability: float, random: Random) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"a probability is from 0 to 1, not {probability}")
        self.probability = probability
        self._random = random

    def lose(self, packet: Packet) -> bool:
        return self._random.random() < self.probability

    def __repr__(self) -> str:
        return f"RandomLoss({self.probability})"


class NthMatch(LossRule):
    """The `n`-th packet for which `matches` holds is lost, counted from 1, and no other.

    Raises ValueError for n under 1.
    """

    __slots__ = ("_matches", "n", "seen")

    def __init__(self, matches: Callable[[Packet], bool], n: int = 1) -> None:
        if n < 1:
            raise ValueError(f"packets are counted from 1, not from {n}")
        self._matches = matches
        self.n = n
        self.seen = 0

    def lose(self, packet: Packet) -> bool:
        if not self._matches(packet):
            return False
        self.seen += 1
        return self.seen == self.n

    def __repr__(self) -> str:
        return f"NthMatch({getattr(self._matches, '__name__', self._matches)}, {self.n})"


class Loss(WrappedLink):
    """A link that loses packets: on their way out as `outgoing` says, on their way in as `incoming` says (None: the
    same rule). A superpacket loses single segments; the runs between them pass. `lost` counts packets.
    """

    __slots__ = ("_incoming", "_outgoing", "_received", "_unsent", "lost")

    def __init__(self, inner: Link, outgoing: LossRule, incoming: LossRule | None = None) -> None:
        super().__init__(inner)
        self._outgoing = outgoing
        self._incoming = outgoing if incoming is None else incoming
        self._unsent = Unsent()
        # What is left of one frame at most.
        self._received: deque[Frame] = deque()
        self.lost = 0

    def send(self, packet: Packet) -> bool:
        return self._unsent.send(packet, self._outgoing_survivors, self.inner.send)

    def receive(self) -> Frame | None:
        received = self._received
        while not received:
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
            for run in self._survivors(packet, self._incoming):
                received.append(frame if run is packet else _frame(run))
        return received.popleft()

    def _outgoing_survivors(self, packet: Packet) -> list[Packet]:
        return self._survivors(packet, self._outgoing)

    def _survivors(self, packet: Packet, rule: LossRule) -> list[Packet]:
        """What `rule` leaves of `packet`: all, nothing, or the runs of its segments between those that are lost."""
        fates = [rule.lose(part) for part in cut(packet)]
        lost = sum(fates)
        self.lost += lost
        if not lost:
            return [packet]
        segment = packet.payload
        if lost == len(fates) or not isinstance(segment, Segment):
            return []
        runs = [(fate, sum(1 for _ in run) * segment.segment_size) for fate, run in groupby(fates)]
        packets = split(packet, [length for _, length in runs])
        return [packet for packet, (fate, _) in zip(packets, runs, strict=True) if not fate]


def _frame(packet: Packet) -> Frame:
    """`packet`, part of a frame whose checksum was verified, as a frame of its own."""
    segment = packet.payload
    size = segment.segment_size if isinstance(segment, Segment) else 0
    return Frame(b"".join(encode_packet(packet, partial_checksum=True)), size, True)
