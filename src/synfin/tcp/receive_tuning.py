"""The receive window follows the reader: updates when it reads, a buffer that grows with what it reads.

The buffer grows as Linux's does (``tcp_moderate_rcvbuf``): to twice what the user read in the last round trip and more,
so that the window never holds back a sender whose congestion window doubles. The window follows: it grows with what
arrives, and a connection that receives little keeps a small one. How long a round trip takes a receiver learns from the
echo of its timestamps, or from how long a window of data takes.
"""

from __future__ import annotations

from typing import Final

from synfin import reasons
from synfin.tcp.clock import timestamp
from synfin.tcp.congestion import INITIAL_WINDOW
from synfin.tcp.parameters import MICROSECOND, MILLISECOND
from synfin.tcp.receive_window import MAX_UNSCALED_WINDOW, buffer_for
from synfin.tcp.tcb import TIMESTAMPS_LENGTH, Tcb
from synfin.wire.sequence import MASK

#: No echo is as old as so many milliseconds.
LONGEST: Final = 600_000

#: Segments of less do not make a window grow, for keeping them costs more than they are worth (octets).
LEAST_SEGMENT: Final = 128


def largest_segment(tcb: Tcb) -> int:
    """The most data in a segment that the peer was told to send, in octets (Linux's advmss)."""
    return tcb.advertised_mss - TIMESTAMPS_LENGTH if tcb.timestamps else tcb.advertised_mss


def established(tcb: Tcb, now: int) -> None:
    """The handshake is over, and the peer has its first window."""
    window = tcb.rcv_wnd
    # A window that is not to be scaled has nothing to grow for.
    tcb.rcv_ssthresh = max(window, space) if (space := tcb.window_space) < MAX_UNSCALED_WINDOW else window
    tcb.rcv_space_from = tcb.rcv_nxt
    tcb.rcv_space_since = now
    tcb.rcv_space_octets = min(window, INITIAL_WINDOW * largest_segment(tcb))


def data_arrived(tcb: Tcb, octets: int, size: int, now: int) -> None:
    """`octets` came in order, in segments of `size`: measure the round trip, let the window grow."""
    if tcb.rcv_rtt_since < 0 or tcb.rcv_nxt > tcb.rcv_rtt_until:
        # What lies beyond a window can only have been sent after the next acknowledgment.
        if tcb.rcv_rtt_since >= 0:
            _round_trip(tcb, max(now - tcb.rcv_rtt_since, MICROSECOND), True)
        tcb.rcv_rtt_until = tcb.rcv_adv
        tcb.rcv_rtt_since = now
    # Most of the time the window is as large as the buffer lets it be.
    if size >= LEAST_SEGMENT and tcb.window_space - tcb.receive_queue.octets + octets - size > tcb.rcv_ssthresh:
        grow_window(tcb, octets, size)


def echo_arrived(tcb: Tcb, ts_ecr: int, now: int) -> None:
    """A full segment bore a timestamp of ours that none did before (RFC 7323 §4): it answers what we sent then."""
    tcb.rcv_rtt_echo = ts_ecr
    ticks = (timestamp(now, tcb.ts_offset) - ts_ecr) & MASK
    if 0 < ticks < LONGEST:
        _round_trip(tcb, ticks * MILLISECOND, False)


def _round_trip(tcb: Tcb, sample: int, of_window: bool) -> None:
    """As Linux: at once what is shorter; what is longer slowly, if it may be believed. A window may have taken long
    because the sender had nothing, or the reader did not read."""
    known = tcb.rcv_rtt
    if known == 0 or sample < known:
        tcb.rcv_rtt = sample
    elif not of_window and tcb.receive_queue.octets == 0:
        tcb.rcv_rtt += (sample - known) // 8


def grow_window(tcb: Tcb, octets: int, size: int) -> None:
    """The window grows by twice what arrives, so that a sender that doubles its rate is never held back, up to what the
    buffer has room for. `octets` in segments of `size`: so much as if they had come one by one."""
    memory = tcb.memory
    if memory is not None and memory.pressure:
        tcb.rcv_ssthresh = min(tcb.rcv_ssthresh, 4 * tcb.advertised_mss)
        return
    room = tcb.window_space - tcb.receive_queue.octets - tcb.rcv_ssthresh
    step = 2 * max(tcb.advertised_mss, size)
    grown = -(-octets // size) * step
    if grown > room:
        grown = 0
        room += octets
        while octets > 0:
            length = min(size, octets)
            octets -= length
            room -= length
            more = min(max(room, 0), step)
            grown += more
            room -= more
    if grown:
        tcb.rcv_ssthresh += grown
        tcb.acknowledging.window_grew()


def user_read(tcb: Tcb, octets: int, now: int) -> None:
    """The user read `octets`: let the buffer grow, and tell the peer of the room if it matters to it."""
    if tcb.fin_received:
        # Nothing more will come for which room could matter.
        return
    _grow_buffer(tcb, now)
    # RFC 9293 §3.8.6.2.2, and as Linux does: when the window that can be offered is twice the one that is left.
    window = tcb.rcv_wnd
    # RFC 7323 §2.3: more than this the field cannot tell.
    free = min(tcb.window_space - tcb.receive_queue.octets, MAX_UNSCALED_WINDOW << tcb.rcv_wscale, tcb.rcv_ssthresh)
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
    if tcb.rcv_rtt == 0 or elapsed < tcb.rcv_rtt:
        return
    consumed = tcb.rcv_nxt - tcb.receive_queue.octets
    memory = tcb.memory
    if memory is not None and memory.pressure:
        return
    # What waits to be read says that the reader is slow.
    read = consumed - tcb.rcv_space_from - tcb.receive_queue.octets
    before = tcb.rcv_space_octets
    if read > before:
        tcb.rcv_space_octets = read
        if tcb.parameters.tcp_moderate_rcvbuf and not tcb.rcv_buf_locked:
            # Twice what was read, for this is known one round trip late; and ahead of a sender whose rate grows.
            window = 2 * read
            window += 2 * (window * (read - before) // max(before, tcb.advertised_mss))
            if len(tcb.reassembly):
                window += tcb.reassembly.end - tcb.rcv_nxt
            wanted = buffer_for(window, tcb.parameters)
            tcb.rcv_buf = max(tcb.rcv_buf, min(wanted, tcb.parameters.tcp_rmem[2]))
    tcb.rcv_space_from = consumed
    tcb.rcv_space_since = now
