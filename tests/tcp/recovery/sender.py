"""A sender whose peer is played by hand, in segments: what it sends, and what ACKs and SACK blocks do to it."""

from __future__ import annotations

from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.round_trip import RoundTrip
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, ECE, Segment
from synfin.wire.tcp_options import Options
from tests.tcp.test_acceptance import established
from tests.tcp.world import MS

MSS = 1000
#: One round trip.
RTT = 100 * MS


def parameters(**values: int | str) -> TcpParameters:
    """Reno, and what else is named."""
    chosen = TcpParameters()
    chosen.tcp_congestion_control = "reno"
    for name, value in values.items():
        assert hasattr(chosen, name)
        setattr(chosen, name, value)
    return chosen


class Sender:
    """A connection with data to send, segments of MSS octets numbered from 0. `now` is the time, in nanoseconds.

    `recovery`: newreno, sack or rack. The handshake took one RTT. Nothing of the user's is limited.
    """

    def __init__(self, recovery: str = "rack", timestamps: bool = False, **values: int | str) -> None:
        options = Options(mss=MSS + (12 if timestamps else 0), sack_permitted=recovery != "newreno", window_scale=14)
        if timestamps:
            options = Options(mss=MSS + 12, sack_permitted=recovery != "newreno", window_scale=14, ts_val=1, ts_ecr=0)
        chosen = parameters(tcp_loss_recovery=recovery, tcp_timestamps=int(timestamps), **values)
        self.c: Connection = established(options, chosen)
        assert self.c.mss == MSS
        assert self.c.recovery.name == recovery
        self.c.snd_buf = 1 << 30
        self.now = RTT
        # The handshake of `established` took no time at all.
        self.c.round_trip = RoundTrip(chosen)
        self.c.round_trip.measured(RTT, self.now)
        self.timestamps = timestamps
        self.first = self.c.iss + 1
        # The window of a SYN is not scaled; this one is.
        self.ack(0)

    def write(self, segments: int) -> None:
        """The user writes."""
        assert self.c.send(bytes(segments * MSS), self.now) == segments * MSS

    def flight(self, segments: int, more: int = 0) -> None:
        """A window of so many segments was sent one RTT ago, and `more` wait."""
        self.c.cwnd = segments * MSS
        self.write(segments)
        assert self.sent() == list(range(segments))
        if more:
            self.write(more)
            assert self.sent() == []
        self.now += RTT

    def sent(self) -> list[int]:
        """What the connection sends now, by number."""
        numbers = []
        while (segment := self.c.poll_transmit(self.now, 1500)) is not None:
            if segment.payload_length:
                numbers.append(((segment.seq - self.first) & MASK) // MSS)
        return numbers

    def tsval(self) -> int:
        """What a segment sent now has as TSval."""
        return (self.now // MS + self.c.ts_offset) & MASK

    def ack(self, number: int, *sacked: tuple[int, int], ecr: int = 0, echo: bool = False) -> list[int]:
        """An ACK of all segments before `number`, with SACK blocks (first segment, the one after the last). Returns
        what is sent then."""
        blocks = tuple((self.first + a * MSS & MASK, self.first + b * MSS & MASK) for a, b in sacked)
        return self.ack_octets(number * MSS, blocks, ecr, echo)

    def ack_octets(
        self, octets: int, blocks: tuple[tuple[int, int], ...] = (), ecr: int = 0, echo: bool = False
    ) -> list[int]:
        """The same by octets, and blocks as on the wire."""
        options = Options(sack=blocks)
        if self.timestamps:
            options = Options(ts_val=self.now // MS & MASK, ts_ecr=ecr or self.tsval(), sack=blocks)
        flags = ACK | ECE if echo else ACK
        number = self.first + octets & MASK
        self.c.segment_arrives(Segment(80, 49152, self.c.rcv_nxt & MASK, number, flags, 65535, options), self.now)
        return self.sent()

    def later(self, nanoseconds: int) -> list[int]:
        """Lets time pass, with all deadlines in it. Returns what is sent meanwhile."""
        end = self.now + nanoseconds
        numbers: list[int] = []
        while self.c.next_deadline() <= end:
            self.now = max(self.c.next_deadline(), self.now)
            self.c.deadline_reached(self.now)
            numbers += self.sent()
        self.now = end
        return numbers

    @property
    def cwnd(self) -> float:
        return self.c.cwnd / MSS

    @property
    def pipe(self) -> float:
        return self.c.recovery.pipe(self.c) / MSS

    @property
    def ssthresh(self) -> float:
        return self.c.ssthresh / MSS
