"""What one connection teaches the next to the same host: temporal sharing of RFC 9040 §6, as Linux does it.

Round-trip time and its variation make the first RTO; ssthresh ends slow start where the last one found the limit, if
``tcp_no_ssthresh_metrics_save`` allows it; reordering that was met is expected. The congestion window is told, but
every connection begins with its initial one (RFC 6928).
"""

from __future__ import annotations

from synfin.tcp.ca_states import TCP_CA_OPEN
from synfin.tcp.congestion import INFINITE_SSTHRESH
from synfin.tcp.tcb import Tcb


class Metrics:
    """What is known of a destination; 0 for nothing. Times in nanoseconds, windows and reordering in segments."""

    __slots__ = ("cwnd", "reordering", "rtt", "rttvar", "ssthresh")

    def __init__(self) -> None:
        self.rtt = 0
        self.rttvar = 0
        self.cwnd = 0
        self.ssthresh = 0
        self.reordering = 0

    def __repr__(self) -> str:
        return f"Metrics({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"


def apply(tcb: Tcb, known: Metrics) -> None:
    """Begins a connection that is now ESTABLISHED with what is `known`."""
    parameters = tcb.parameters
    if known.ssthresh and not parameters.tcp_no_ssthresh_metrics_save:
        tcb.ssthresh = min(known.ssthresh * tcb.mss, tcb.cwnd_clamp)
    if known.reordering:
        tcb.recovery.reordering = max(tcb.recovery.reordering, known.reordering)
    round_trip = tcb.round_trip
    if known.rtt > round_trip.srtt:
        # RFC 9040 §6.2: the handshake's small segments may have been quicker than data will be. The estimate itself
        # stays as it was measured.
        round_trip.base_rto = known.rtt + max(2 * known.rtt, parameters.tcp_rto_min_us * 1000)


def learns(tcb: Tcb) -> bool:
    """Whether the connection has something to teach: a round trip that was measured, and no doubt about it."""
    return tcb.round_trip.srtt > 0 and tcb.round_trip.backoff == 0


def learn(known: Metrics, tcb: Tcb) -> None:
    """Takes what a connection that ends in order found out, mixed with what was `known` before."""
    round_trip = tcb.round_trip
    srtt = round_trip.srtt
    less = known.rtt - srtt
    # An estimate that is too large does less harm than one that is too small.
    known.rtt = srtt if less <= 0 else known.rtt - less // 8
    deviation = max(abs(less) // 2, round_trip.rttvar)
    known.rttvar = deviation if deviation >= known.rttvar else known.rttvar - (known.rttvar - deviation) // 4
    mss = max(tcb.mss, 1)
    cwnd = tcb.cwnd // mss
    ssthresh = tcb.ssthresh // mss
    saves = not tcb.parameters.tcp_no_ssthresh_metrics_save
    if tcb.ssthresh >= INFINITE_SSTHRESH:
        # Slow start found no limit.
        if saves and known.ssthresh and cwnd // 2 > known.ssthresh:
            known.ssthresh = cwnd // 2
        known.cwnd = max(known.cwnd, cwnd)
    elif tcb.cwnd >= tcb.ssthresh and tcb.recovery.ca_state == TCP_CA_OPEN:
        if saves:
            known.ssthresh = max(cwnd // 2, ssthresh)
        known.cwnd = (known.cwnd + cwnd) // 2
    else:
        # In the middle of something: its window means little.
        known.cwnd = (known.cwnd + ssthresh) // 2
        if saves and known.ssthresh and ssthresh > known.ssthresh:
            known.ssthresh = ssthresh
        reordering = tcb.recovery.reordering
        if reordering > known.reordering and reordering != tcb.parameters.tcp_reordering:
            known.reordering = reordering
