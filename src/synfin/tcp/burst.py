"""How many octets may leave as one superpacket: what the path carries in a millisecond, as Linux sizes them.

A larger burst would wait in a queue; a smaller one costs work. Where the round trip is short, queues are too, and
bursts may be larger.
"""

from __future__ import annotations

from typing import Final

from synfin.tcp.pacing import pacing_rate
from synfin.tcp.tcb import Tcb

#: The largest superpacket (Linux's GSO_LEGACY_MAX_SIZE).
MOST: Final = 65536
#: Linux's sk_pacing_shift: a burst is what is sent in 1/2^10 of a second.
SHIFT: Final = 10


def burst_octets(tcb: Tcb) -> int:
    """The most octets of data in one superpacket now, at least ``tcp_min_tso_segs`` segments."""
    mss = tcb.mss
    round_trip = tcb.round_trip
    if round_trip.srtt == 0:
        return MOST
    parameters = tcb.parameters
    octets = pacing_rate(tcb) >> SHIFT
    halvings = (round_trip.min_rtt // 1000) >> parameters.tcp_tso_rtt_log if parameters.tcp_tso_rtt_log else 32
    if halvings < 32:
        octets += MOST >> halvings
    return min(max(octets - octets % mss, parameters.tcp_min_tso_segs * mss), MOST)
