"""The receive window follows the reader: updates when it reads, a buffer that grows with what it reads.

The buffer grows as Linux's does (``tcp_moderate_rcvbuf``): to twice what the user read in the last round trip, so
that the window never holds back a sender whose congestion window doubles.
"""

from __future__ import annotations

from synfin import reasons
from synfin.tcp.parameters import MILLISECOND
from synfin.tcp.receive_window import MAX_UNSCALED_WINDOW
from synfin.tcp.tcb import Tcb

#: The round trip to assume while none was measured on a connection that only receives.
ASSUMED_ROUND_TRIP = 10 * MILLISECOND


def user_read(tcb: Tcb, octets: int, now: int) -> None:
    """The user read `octets`: let the buffer grow, and tell the peer of the room if it matters to it."""
    if tcb.fin_received:
        # Nothing more will come for which room could matter.
        return
    _grow_buffer(tcb, now)
    # RFC 9293 §3.8.6.2.2, and as Linux does: when the window that can be offered is twice the one that is left.
    window = tcb.rcv_wnd
    # RFC 7323 §2.3: more than this the field cannot tell.
    free = min(tcb.window_space - tcb.receive_queue.octets, MAX_UNSCALED_WINDOW << tcb.rcv_wscale)
    if free >= 2 * window and free - window >= min(tcb.window_space // 2, tcb.advertised_mss):
        tcb.ack_now = True
        tcb.why_ack = reasons.WINDOW_UPDATE


def shrink_buffer(tcb: Tcb) -> None:
    """Memory is short: from now on the window is four segments at most, and what waits out of order fills no more
    than the buffer behind it. As Linux does it; what was promised stays promised."""
    if not tcb.rcv_buf_locked:
        tcb.rcv_buf = min(tcb.rcv_buf, max(8 * tcb.advertised_mss, tcb.parameters.tcp_rmem[0]))
        # Let it grow again from here, once there is memory.
        tcb.rcv_space_octets = 0


def _grow_buffer(tcb: Tcb, now: int) -> None:
    elapsed = now - tcb.rcv_space_since
    if elapsed < (tcb.round_trip.srtt or ASSUMED_ROUND_TRIP):
        return
    consumed = tcb.rcv_nxt - tcb.receive_queue.octets
    read = consumed - tcb.rcv_space_from
    memory = tcb.memory
    if memory is not None and memory.pressure:
        return
    if read > tcb.rcv_space_octets and tcb.parameters.tcp_moderate_rcvbuf and not tcb.rcv_buf_locked and elapsed > 0:
        tcb.rcv_space_octets = read
        # Twice what was read, twice again because half the buffer is the window, and some segments more.
        wanted = 4 * read + 32 * tcb.advertised_mss
        tcb.rcv_buf = max(tcb.rcv_buf, min(wanted, tcb.parameters.tcp_rmem[2]))
    tcb.rcv_space_from = consumed
    tcb.rcv_space_since = now
