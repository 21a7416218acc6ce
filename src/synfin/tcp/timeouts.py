"""What a timer's deadline does (RFC 9293 §3.10.8)."""

from __future__ import annotations

from errno import ETIMEDOUT

from synfin import reasons
from synfin.tcp import keepalive, mtu_probing, states, timers
from synfin.tcp.ending import end
from synfin.tcp.output import probe_interval
from synfin.tcp.parameters import MILLISECOND
from synfin.tcp.round_trip import time_for_retransmissions
from synfin.tcp.tcb import Tcb

#: Linux's meaning of tcp_orphan_retries = 0.
ORPHAN_RETRIES = 8


def deadline_reached(tcb: Tcb, now: int) -> None:
    """Handles every timer whose deadline has come. What they make due comes out of poll_transmit."""
    while True:
        timer = tcb.timers.expired(now)
        if timer < 0:
            return
        if tcb.tracer is not None:
            tcb.tracer.timer_expired(now, tcb.identity.flow, timers.NAMES[timer])
        if timer == timers.RETRANSMISSION:
            _retransmission(tcb, now)
        elif timer == timers.PERSIST:
            _persist(tcb, now)
        elif timer == timers.DELAYED_ACK:
            tcb.acknowledging.deadline_reached(tcb.round_trip.rto)
            tcb.ack_now = True
            tcb.why_ack = reasons.ACK_DELAYED
        elif timer == timers.FIN_WAIT_2:
            end(tcb, states.TIMEOUT_FIN_WAIT_2, 0, now, reasons.FIN_WAIT_2_OVER)
        elif timer == timers.KEEPALIVE:
            keepalive.deadline_reached(tcb, now)


def _retransmission(tcb: Tcb, now: int) -> None:
    if len(tcb.sent) == 0:
        return
    if _gives_up(tcb, now):
        end(tcb, states.GIVE_UP, tcb.soft_error or ETIMEDOUT, now, reasons.GAVE_UP)
        return
    tcb.retransmissions += 1
    if tcb.first_retransmission < 0:
        tcb.first_retransmission = now
    if tcb.snd_una == tcb.iss:
        tcb.sent.mark_all_lost()
        tcb.why_lost = reasons.SYN_REPEATED
        linear = tcb.parameters.tcp_syn_linear_timeouts if tcb.state == states.SYN_SENT else 0
        if tcb.retransmissions > linear:
            tcb.round_trip.back_off()
    else:
        # RFC 6298 §5.4, §5.5
        smaller = mtu_probing.timed_out(tcb, _lasted(tcb, tcb.parameters.tcp_retries1, now), now)
        tcb.recovery.timed_out(tcb, now)
        if smaller:
            tcb.why_lost = reasons.BLACK_HOLE
        tcb.round_trip.back_off()
    # RFC 6298 §5.6
    tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)


def _gives_up(tcb: Tcb, now: int) -> bool:
    """R2 of RFC 9293 §3.8.3, counted for a SYN and by time for the rest, as Linux does."""
    parameters = tcb.parameters
    if tcb.state == states.SYN_SENT:
        # MUST-22: the same procedure for a SYN. Linear retransmissions come on top.
        return tcb.retransmissions >= parameters.tcp_syn_retries + parameters.tcp_syn_linear_timeouts
    if tcb.snd_una == tcb.iss:
        return tcb.retransmissions >= parameters.tcp_synack_retries
    if tcb.retransmissions == 0:
        return False
    if tcb.snd_wnd == 0 and not tcb.orphaned:
        # RFC 9293 §3.8.6 (SHLD-17): the peer has shrunk its window to nothing, and what is sent again serves as the
        # probe. As Linux does, it may be silent for twice the longest RTO.
        patience = 2 * parameters.tcp_rto_max_ms * MILLISECOND
        return now - tcb.last_received > patience and now - tcb.first_retransmission > patience
    retries = parameters.tcp_retries2
    if tcb.orphaned:
        retries = parameters.tcp_orphan_retries or ORPHAN_RETRIES
    return _lasted(tcb, retries, now)


def _lasted(tcb: Tcb, retries: int, now: int) -> bool:
    """Whether retransmission has gone on for as long as so many take that begin at the least RTO."""
    if tcb.first_retransmission < 0:
        return False
    parameters = tcb.parameters
    first = parameters.tcp_rto_min_us * 1000
    return now - tcb.first_retransmission >= time_for_retransmissions(retries, first, parameters)


def _persist(tcb: Tcb, now: int) -> None:
    # RFC 9293 §3.8.6.1 (MUST-37): probing goes on for as long as the peer answers, which sets `probes` to 0.
    retries = tcb.parameters.tcp_retries2
    if tcb.orphaned:
        retries = tcb.parameters.tcp_orphan_retries or ORPHAN_RETRIES
    # A peer that answers for ever with a window of nothing may not hold a connection that nobody has any more.
    if tcb.probes >= retries or (tcb.orphaned and tcb.probe_backoff >= retries):
        end(tcb, states.GIVE_UP, tcb.soft_error or ETIMEDOUT, now, reasons.GAVE_UP)
        return
    tcb.probes += 1
    tcb.probe_backoff += 1
    tcb.probe_now = True
    tcb.start_timer(timers.PERSIST, now + probe_interval(tcb), now)
