"""Pacing: data leave at a rate, not in bursts; and the rate itself, which also sizes superpackets.

The rate is that of a window in each round trip, somewhat raised so that pacing does not hold the window back, as Linux
has it. Pacing is off unless the user sets a greatest rate (SO_MAX_PACING_RATE), the congestion control asks for it
(`CongestionControl.paced`), or the host does (``tcp_pacing``). SYNs, bare FINs and pure acknowledgments never wait.
"""

from __future__ import annotations

from typing import Final

from synfin.tcp import timers
from synfin.tcp.parameters import SECOND
from synfin.tcp.tcb import Tcb

#: A rate without limit, as SO_MAX_PACING_RATE and TCP_INFO have it.
UNLIMITED_RATE: Final = (1 << 64) - 1
#: As on Linux, so many segments leave before a connection is paced.
UNPACED_SEGMENTS: Final = 10


def pacing_rate(tcb: Tcb) -> int:
    """The rate at which data may leave now, in octets a second, `UNLIMITED_RATE` while no round trip was measured."""
    srtt = tcb.round_trip.srtt
    rate = UNLIMITED_RATE
    if srtt > 0:
        # As fast as the window is sent in a round trip, and faster while it still grows.
        parameters = tcb.parameters
        growing = tcb.cwnd < tcb.ssthresh // 2
        ratio = parameters.tcp_pacing_ss_ratio if growing else parameters.tcp_pacing_ca_ratio
        rate = max(tcb.cwnd, tcb.sent.in_flight) * SECOND // srtt * ratio // 100
    return min(rate, tcb.settings.max_pacing_rate)


def update(tcb: Tcb) -> None:
    """Looks again at what decides whether the connection is paced."""
    tcb.paced = tcb.parameters.tcp_pacing != 0 or tcb.settings.max_pacing_rate < UNLIMITED_RATE or tcb.congestion.paced
    if not tcb.paced:
        tcb.paced_until = -1
        tcb.timers.stop(timers.PACING)


def waits(tcb: Tcb, now: int) -> bool:
    """Whether data must wait; then a timer says until when.

    An event loop comes back after ``tcp_pacing_quantum_us`` at the soonest, so what belongs to that time leaves
    before it. With a quantum of nothing every segment has its own moment.
    """
    until = tcb.paced_until
    if until <= now or until < now + tcb.pacing_quantum:
        return False
    if tcb.timers.deadlines[timers.PACING] != until:
        tcb.start_timer(timers.PACING, until, now)
    return True


def sent(tcb: Tcb, octets: int, now: int) -> None:
    """So many octets of data leave: the next ones follow when these had their time."""
    if tcb.counts.data_segs_out - (-octets // tcb.mss) < UNPACED_SEGMENTS:
        return
    rate = pacing_rate(tcb)
    if rate in (0, UNLIMITED_RATE):
        # As on Linux, a greatest rate of nothing is none.
        return
    if rate != tcb.pacing_rate:
        tcb.pacing_rate = rate
        if tcb.tracer is not None:
            tcb.tracer.pacing_changed(now, tcb.identity.flow, rate)
    span = octets * SECOND // rate
    # A timer that came late costs nothing, up to a quantum. Of more than that, of idleness too, at most half of this
    # span is forgiven, as Linux does.
    begin = max(tcb.paced_until, now - tcb.pacing_quantum)
    span -= min(begin - tcb.paced_until, span // 2)
    tcb.paced_until = begin + span
