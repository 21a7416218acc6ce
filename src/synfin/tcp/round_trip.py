"""The retransmission time-out from measured round trips (RFC 6298), in nanoseconds."""

from __future__ import annotations

from typing import Final

from synfin.tcp.parameters import MILLISECOND, SECOND, TcpParameters

#: RFC 6298 §2.1: until a round trip has been measured.
INITIAL_RTO: Final = 1 * SECOND
#: RFC 6298 §5.7: after the SYN had to be retransmitted and no round trip could be measured.
RTO_AFTER_LOST_SYN: Final = 3 * SECOND


class RoundTrip:
    """SRTT, RTTVAR and RTO. `srtt` is 0 until the first measurement; `base_rto` is before back-off.

    `min_rtt` is the least of the last ``tcp_min_rtt_wlen`` seconds, more or less: the lesser of `least_before` and
    `least_since`, those of this half of that time, which began at `half_began_at`, and the one before it.
    """

    __slots__ = (
        "backoff",
        "base_rto",
        "half_began_at",
        "least_before",
        "least_since",
        "min_rtt",
        "parameters",
        "rttvar",
        "samples",
        "slack",
        "srtt",
    )

    def __init__(self, parameters: TcpParameters) -> None:
        self.parameters = parameters
        self.srtt = 0
        self.rttvar = 0
        self.min_rtt = 0
        self.least_before = 0
        self.least_since = 0
        self.half_began_at = 0
        #: How many measurements there were.
        self.samples = 0
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

    def measured(self, rtt: int, now: int) -> None:
        """Takes a measurement of `rtt` nanoseconds, which Karn's rule allows the caller to make."""
        rtt = max(rtt, 1)
        self.samples += 1
        self._least(rtt, now)
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

    def _least(self, rtt: int, now: int) -> None:
        half = self.parameters.tcp_min_rtt_wlen * SECOND // 2
        if now - self.half_began_at > half or self.least_since == 0:
            self.least_before = self.least_since if now - self.half_began_at <= 2 * half else 0
            self.least_since = rtt
            self.half_began_at = now
        elif rtt < self.least_since:
            self.least_since = rtt
        before = self.least_before
        self.min_rtt = before if 0 < before < self.least_since else self.least_since

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
