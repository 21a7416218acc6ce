"""A congestion control alone, told of acknowledgments: no network, no recovery, one segment acknowledged at a time."""

from __future__ import annotations

from synfin.reasons import Reason
from synfin.tcp.congestion import CongestionControl
from synfin.tcp.connection import Connection
from synfin.tcp.delivery import Delivery
from synfin.tcp.parameters import TcpParameters
from tests.tcp.world import CLIENT, SECOND, make_connection

MSS = 1000


class Flow:
    """A sender whose window is `segments`, over a path with a round trip of `rtt` ns. `now` is its time."""

    def __init__(
        self,
        control: CongestionControl,
        segments: int,
        rtt: int,
        ssthresh: int | None = None,
        parameters: TcpParameters | None = None,
        mss: int = MSS,
    ) -> None:
        self.control = control
        self.rtt = rtt
        self.now = SECOND
        self.tcb: Connection = make_connection(CLIENT, parameters)
        self.tcb.congestion = control
        self.tcb.mss = mss
        self.tcb.cwnd = segments * mss
        self.tcb.cwnd_limited = True
        self.tcb.snd_nxt = self.tcb.snd_una + self.tcb.cwnd
        self.tcb.round_trip.srtt = rtt
        if ssthresh is not None:
            self.tcb.ssthresh = ssthresh * mss
        self.reasons: list[Reason] = []

    @property
    def window(self) -> float:
        """In segments."""
        return self.tcb.cwnd / self.tcb.mss

    def ack(self, octets: int, rtt: int = -1, after: int = 0) -> None:
        """An acknowledgment of so many octets, `after` ns later; of a round trip that was measured, or -1."""
        self.now += after
        delivery = Delivery()
        delivery.octets = octets
        delivery.segments = -(-octets // self.tcb.mss)
        delivery.rtt = rtt
        self.tcb.snd_una += octets
        self.control.observed(self.tcb, delivery, self.now)
        if self.tcb.cwnd_limited:
            self.reasons.append(self.control.acknowledged(self.tcb, delivery, self.now))
        self.tcb.snd_nxt = self.tcb.snd_una + self.tcb.cwnd

    def round(self, rtt: int | None = None) -> None:
        """A window of segments is acknowledged in a round trip, one at a time."""
        rtt = self.rtt if rtt is None else rtt
        count = max(self.tcb.cwnd // self.tcb.mss, 1)
        for nth in range(count):
            self.ack(self.tcb.mss, rtt, rtt // count + (nth < rtt % count))

    def lose(self) -> None:
        """A loss, mended at once."""
        self.tcb.ssthresh = self.control.reduced(self.tcb, self.tcb.cwnd, self.now)
        self.tcb.cwnd = self.tcb.ssthresh

    def time_out(self) -> None:
        self.tcb.ssthresh = self.control.reduced(self.tcb, self.tcb.cwnd, self.now)
        self.control.timed_out(self.tcb, self.now)
        self.tcb.cwnd = self.tcb.mss
