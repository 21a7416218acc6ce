"""A segment on its way through the steps of SEGMENT ARRIVES, and what several of them do (RFC 9293 §3.10.7)."""

from __future__ import annotations

from synfin import reasons
from synfin.tcp import (
    keepalive,
    mtu_probing,
    pacing,
    readiness,
    receive_tuning,
    recovery,
    send_tuning,
    states,
    timers,
)
from synfin.tcp.ending import end
from synfin.tcp.parameters import SECOND
from synfin.tcp.tcb import Tcb
from synfin.wire.tcp import SYN, Segment


class Arrival:
    """A segment on its way through the steps: SEG.SEQ and SEG.ACK unwrapped, the reply that belongs to it.

    `start` is the number of its first octet of data, behind a SYN; `codepoint` its packet's ECN codepoint.
    """

    __slots__ = ("ack", "codepoint", "reply", "segment", "seq", "start")

    def __init__(self, segment: Segment, seq: int, ack: int, codepoint: int) -> None:
        self.segment = segment
        self.codepoint = codepoint
        self.seq = seq
        self.ack = ack
        self.start = seq + 1 if segment.flags & SYN else seq
        self.reply: Segment | None = None

    @property
    def end(self) -> int:
        """SEG.SEQ + SEG.LEN"""
        return self.seq + self.segment.length


def established(tcb: Tcb, segment: Segment, seq: int, ack: int, now: int) -> None:
    """The handshake is complete: take the peer's window and start to measure."""
    # RFC 7323 §2.2: the window of a segment with SYN is never scaled.
    tcb.snd_wnd = segment.wnd if segment.flags & SYN else segment.wnd << tcb.snd_wscale
    tcb.window_seen(tcb.snd_wnd)
    tcb.snd_wl1 = seq
    tcb.snd_wl2 = ack
    if tcb.syn_transmissions > 1:
        tcb.round_trip.syn_was_lost()
    tcb.recovery = recovery.choose(tcb)
    mtu_probing.established(tcb, now)
    tcb.congestion.established(tcb)
    pacing.update(tcb)
    tcb.trace_congestion(now, reasons.INITIAL_WINDOW)
    if tcb.parameters.tcp_round_window:
        tcb.rcv_buf += -tcb.rcv_buf % tcb.mss
    tcb.acknowledging.established(tcb.advertised_mss, tcb.rcv_wnd)
    receive_tuning.established(tcb, now)
    send_tuning.grow(tcb)
    tcb.last_received = now
    tcb.counts.last_data_received = now
    tcb.last_sent = now
    keepalive.established(tcb, now)
    tcb.wake |= readiness.POLLOUT


def note_duplicate(tcb: Tcb, start: int, end_of_it: int) -> None:
    """RFC 2883 §4: the next SACK option reports the duplicate; and the peer wants its acknowledgments at once."""
    if tcb.sack_permitted and tcb.parameters.tcp_dsack:
        tcb.dsack = (start, end_of_it)
    tcb.acknowledging.grant_quick(tcb.rcv_wnd)


def start_fin_wait_2_timer(tcb: Tcb, now: int) -> None:
    """A connection that its user has closed does not stay in FIN-WAIT-2 for ever (``tcp_fin_timeout``, TCP_LINGER2)."""
    if not tcb.orphaned or tcb.state != states.FIN_WAIT_2:
        return
    linger = tcb.settings.linger2
    if linger < 0:
        end(tcb, states.TIMEOUT_FIN_WAIT_2, 0, now, reasons.FIN_WAIT_2_OVER)
        return
    # As Linux does: no less than the peer's FIN may need if it is lost once or twice.
    time = max((linger or tcb.parameters.tcp_fin_timeout) * SECOND, tcb.round_trip.rto * 7 // 2)
    tcb.start_timer(timers.FIN_WAIT_2, now + time, now)
