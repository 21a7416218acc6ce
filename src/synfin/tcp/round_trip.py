"""The retransmission time-out from measured round trips (RFC 6298), in nanoseconds."""

from __future__ import annotations

from typing import Final

from synfin.tcp.parameters import MILLISECOND, SECOND, TcpParameters

#: RFC 6298 §2.1: until a round trip has been measured.
INITIAL_RTO: Final = 1 * SECOND
#: RFC 6298 §5.7: after the SYN had to be retransmitted and no round trip could be measured.
RTO_AFTER_LOST_SYN: Final = 3 * SECOND


class RoundTrip:
    """SRTT, RTTVAR and RTO. `srtt` is 0 until the first measurement; `rto` is before back-off."""

    __slots__ = ("backoff", "base_rto", "min_rtt", "parameters", "rttvar", "slack", "srtt")

    def __init__(self, parameters: TcpParameters) -> None:
        self.parameters = parameters
        self.srtt = 0
        self.rttvar = 0
        self.min_rtt = 0
        self.base_rto = INITIAL_RTO
        #: How often the RTO has doubled since the last measurement.
        self.backoff = 0
        #: ``tcp_rto_slop`` is added: something was measured, or a SYN sent again.
        self.slack = False

    @property
    def rto(self) -> int:
        """The time-out now: doubled with each expiry, up to ``tcp_rto_max_ms``."""
        # RFC 6298 §2.5, §5.5
        slop = self.parameters.tcp_rto_slop * MILLISECOND if self.slack else 0
        return min((self.base_rto << self.backoff) + slop, self.parameters.tcp_rto_max_ms * MILLISECOND)

    def measured(self, rtt: int) -> None:
        """Takes a measurement of `rtt` nanoseconds, which Karn's rule allows the caller to make."""
        rtt = max(rtt, 1)
        if self.min_rtt == 0 or rtt < self.min_rtt:
            self.min_rtt = rtt
        if self.srtt == 0:
            # RFC 6298 §2.2
            self.srtt = rtt
            self.rttvar = rtt // 2
        else:
            # RFC 6298 §2.3: alpha 1/8, beta 1/4, RTTVAR first
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // 4
            self.srtt += (rtt - self.srtt) // 8
        least = self.parameters.tcp_rto_min_us * 1000
        if self.parameters.tcp_rto_min_of_sum:
            # RFC 6298 §2.3, §2.4
            self.base_rto = max(self.srtt + 4 * self.rttvar, least)
        else:
            # As Linux has it, the least value bounds the term of the variance.
            self.base_rto = self.srtt + max(4 * self.rttvar, least)
        self.backoff = 0
        self.slack = True

    def back_off(self) -> None:
        """Doubles the time-out."""
        # RFC 6298 §5.5
        if self.rto < self.parameters.tcp_rto_max_ms * MILLISECOND:
            self.backoff += 1

    def syn_was_lost(self) -> None:
        """The handshake ended after the SYN had been retransmitted, and gave no measurement."""
        # RFC 6298 §5.7
        if self.srtt == 0:
            self.base_rto = RTO_AFTER_LOST_SYN
            self.backoff = 0


def time_for_retransmissions(count: int, first_rto: int, parameters: TcpParameters) -> int:
    """How long `count` retransmissions that start at `first_rto` and double take, with the wait after the last.

    Linux judges ``tcp_retries2`` by this time rather than by counting (RFC 9293 §3.8.3 lets R2 be either).
    """
    total = 0
    rto = first_rto
    for _ in range(count + 1):
        total += rto
        rto = min(rto * 2, parameters.tcp_rto_max_ms * MILLISECOND)
    return total
