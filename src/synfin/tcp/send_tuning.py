"""The send buffer grows with the congestion window, and tells a writer when there is room again.

As Linux does it: room for two windows, each segment counted with what keeping it costs there, within ``tcp_wmem``; for
a writer that fills the buffer, and only as long as the window is not what holds it back.
"""

from __future__ import annotations

from typing import Final

from synfin.tcp import readiness
from synfin.tcp.congestion import INITIAL_WINDOW
from synfin.tcp.tcb import Tcb

#: What Linux counts for a segment beside its data: headers and its own records. The sum is rounded up to a power of
#: two, and then comes the record of a buffer.
_BESIDE: Final = 512
_RECORD: Final = 256
#: What a range of the record of what was sent costs beside its octets, about.
RANGE_OVERHEAD: Final = 256

#: Why a writer waits: the buffer is full; or perhaps only so much is unsent as TCP_NOTSENT_LOWAT allows.
NO_ROOM: Final = 1
TOO_MUCH_UNSENT: Final = 2


def grow(tcb: Tcb) -> None:
    """Makes the buffer large enough for two congestion windows; it never becomes smaller."""
    mss = tcb.mss
    tcb.snd_buf_cwnd = tcb.cwnd
    segment = (1 << (max(tcb.peer_mss, mss) + _BESIDE - 1).bit_length()) + _RECORD
    segments = max(INITIAL_WINDOW, -(-tcb.cwnd // mss), tcb.recovery.reordering + 1)
    tcb.snd_buf_tuned = max(tcb.snd_buf_tuned, min(2 * segments * segment, tcb.parameters.tcp_wmem[2]))


def has_room(tcb: Tcb) -> bool:
    """Whether a third of the send buffer is free, so that a writer is not woken for single octets; and, with
    TCP_NOTSENT_LOWAT, less than half of that is waiting to be sent."""
    used = len(tcb.send_buffer) + len(tcb.sent) * RANGE_OVERHEAD
    return used * 3 <= tcb.send_limit() * 2 and tcb.unsent * 2 < notsent_lowat(tcb)


def notsent_lowat(tcb: Tcb) -> int:
    return tcb.settings.notsent_lowat or tcb.parameters.tcp_notsent_lowat


def acknowledged(tcb: Tcb, now: int) -> None:
    """Something was acknowledged while a writer waits."""
    if tcb.cwnd > tcb.snd_buf_cwnd and not tcb.snd_buf and tcb.sent.in_flight < tcb.cwnd:
        memory = tcb.memory
        if memory is None or not memory.pressure:
            grow(tcb)
    if tcb.counts.sndbuf_since >= 0 and has_room(tcb):
        tcb.counts.buffer_suffices(now)


def ran_dry(tcb: Tcb, now: int) -> None:
    """All that the buffer held was sent, and a writer waits for room: is it the buffer that limits what is sent?"""
    if tcb.recovery.allowed(tcb) >= tcb.mss and not has_room(tcb):
        tcb.counts.buffer_limits(now)


def data_left(tcb: Tcb) -> None:
    """Data were sent while a writer waits, perhaps for just that (TCP_NOTSENT_LOWAT)."""
    if has_room(tcb):
        tcb.wake |= readiness.POLLOUT
