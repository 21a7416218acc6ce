"""What a timer's deadline does (RFC 9293 §3.10.8)."""

from __future__ import annotations

from errno import ETIMEDOUT

from synfin import reasons
from synfin.tcp import delivery_rate, keepalive, mtu_probing, readiness, states, timers
from synfin.tcp.ending import end
from synfin.tcp.output import probe_interval
from synfin.tcp.parameters import MILLISECOND, SECOND
from synfin.tcp.round_trip import INITIAL_RTO, time_for_retransmissions
from synfin.tcp.segments import is_window_probe
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
        delivery_rate.check_app_limited(tcb)
        if timer == timers.RETRANSMISSION:
            _retransmission(tcb, now)
        elif timer == timers.PERSIST:
            _persist(tcb, now)
        elif timer == timers.DELAYED_ACK:
            tcb.acknowledging.deadline_reached(tcb.round_trip.rto)
            tcb.ack_now = True
            tcb.why_ack = reasons.ACK_OF_FIN_DELAYED if tcb.fin_received else reasons.ACK_DELAYED
        elif timer == timers.FIN_WAIT_2:
            end(tcb, states.TIMEOUT_FIN_WAIT_2, 0, now, reasons.FIN_WAIT_2_OVER)
        elif timer == timers.KEEPALIVE:
            keepalive.deadline_reached(tcb, now)
        elif timer == timers.PACING:
            # What waited comes out of poll_transmit.
            continue
        else:
            tcb.recovery.deadline_reached(tcb, timer, now)


def _retransmission(tcb: Tcb, now: int) -> None:
    if len(tcb.sent) == 0:
        return
    # A peer that answers with a window of nothing says nothing against the path.
    starved = tcb.snd_wnd == 0 and tcb.snd_una > tcb.iss
    answered = starved and tcb.probes < tcb.parameters.tcp_retries1
    if not answered:
        _doubt_path(tcb, now)
    if _gives_up(tcb, now):
        reason = reasons.USER_TIMEOUT_OVER if tcb.settings.user_timeout else reasons.GAVE_UP
        end(tcb, states.GIVE_UP, tcb.soft_error or ETIMEDOUT, now, reason)
        return
    tcb.retransmissions += 1
    tcb.round_trip.slack = True
    tcb.counts.timed_out(now)
    if starved:
        tcb.probes += 1
    if tcb.first_retransmission < 0:
        tcb.first_retransmission = now
    if tcb.snd_una == tcb.iss:
        tcb.sent.mark_all_lost()
        tcb.why_lost = reasons.SYN_REPEATED
        linear = tcb.parameters.tcp_syn_linear_timeouts if tcb.state == states.SYN_SENT else 0
        if tcb.retransmissions > linear:
            tcb.round_trip.back_off()
    elif is_window_probe(tcb):
        # No congestion kept it back.
        tcb.sent.mark_all_lost()
        tcb.why_lost = reasons.WINDOW_PROBE
        tcb.round_trip.back_off()
    else:
        # RFC 6298 §5.4, §5.5
        long_since = not answered and _lasted(tcb, tcb.parameters.tcp_retries1, now)
        smaller = mtu_probing.timed_out(tcb, long_since, now)
        tcb.recovery.timed_out(tcb, now)
        if smaller:
            tcb.why_lost = reasons.BLACK_HOLE
        tcb.round_trip.back_off()
    # RFC 6298 §5.6
    rto = tcb.round_trip.rto
    user_timeout = _user_timeout(tcb)
    if user_timeout:
        # RFC 5482 §1: no sooner and no later than the user said.
        rto = min(rto, max(tcb.first_retransmission + user_timeout - now, MILLISECOND))
    tcb.start_timer(timers.RETRANSMISSION, now + rto, now)


def _user_timeout(tcb: Tcb) -> int:
    """How long, from the first retransmission on, or from the SYN, the user will wait (nanoseconds); 0: as long as the
    host says."""
    if tcb.state == states.SYN_SENT and tcb.settings.user_timeout == 0:
        return tcb.parameters.tcp_keepinit * SECOND
    return tcb.settings.user_timeout * MILLISECOND


def _doubt_path(tcb: Tcb, now: int) -> None:
    """R1 of RFC 9293 §3.8.3 (MUST-20): the network layer is to look for another way, and the user may know."""
    if tcb.retransmissions == 0:
        return
    if tcb.snd_una > tcb.iss:
        # SHLD-10: at least so many retransmissions; and, as Linux does, no sooner than they take at the least RTO.
        retries = tcb.parameters.tcp_retries1
        if tcb.retransmissions < retries or not _lasted(tcb, retries, now):
            return
        if tcb.soft_error == 0:
            # SHLD-9
            tcb.soft_error = ETIMEDOUT
            tcb.wake |= readiness.POLLERR
    tcb.path_in_doubt = True


def _gives_up(tcb: Tcb, now: int) -> bool:
    """R2 of RFC 9293 §3.8.3: what the user set (MUST-21), or the host's, counted for a SYN and by time for the rest
    as Linux does."""
    parameters = tcb.parameters
    user_timeout = _user_timeout(tcb)
    waited = now - tcb.first_retransmission if tcb.retransmissions else 0
    if tcb.snd_una == tcb.iss:
        # MUST-22: the same procedure for a SYN.
        if tcb.state == states.SYN_SENT:
            retries = tcb.settings.syn_retries or parameters.tcp_syn_retries
            # Linear time-outs come on top, but not beyond the time that `retries` would take without them.
            if tcb.retransmissions >= retries + parameters.tcp_syn_linear_timeouts:
                return True
            limit = user_timeout or time_for_retransmissions(retries, INITIAL_RTO, parameters)
            return tcb.retransmissions > 0 and waited >= limit
        if user_timeout and tcb.retransmissions and waited >= user_timeout:
            return True
        return tcb.retransmissions >= parameters.tcp_synack_retries
    if tcb.retransmissions == 0:
        return False
    if tcb.snd_wnd == 0 and not tcb.orphaned:
        # RFC 9293 §3.8.6 (SHLD-17): the peer has shrunk its window to nothing, and what is sent again serves as the
        # probe. As Linux does, it may be silent for twice the longest RTO.
        if user_timeout and waited >= user_timeout:
            return True
        if is_window_probe(tcb):
            # As with probes that carry no data: what counts is how many were not answered (MUST-37).
            return tcb.probes >= parameters.tcp_retries2
        patience = 2 * parameters.tcp_rto_max_ms * MILLISECOND
        return now - tcb.last_received > patience and waited > patience
    if user_timeout:
        return waited >= user_timeout
    return _lasted(tcb, _orphan_retries(tcb) if tcb.orphaned else parameters.tcp_retries2, now)


def _orphan_retries(tcb: Tcb) -> int:
    """How much patience a connection without a user deserves."""
    parameters = tcb.parameters
    alive = tcb.round_trip.rto < parameters.tcp_rto_max_ms * MILLISECOND
    if tcb.soft_error and tcb.soft_error != ETIMEDOUT and not alive:
        # As Linux does: the network said that something is wrong.
        return 0
    return parameters.tcp_orphan_retries or ORPHAN_RETRIES


def _lasted(tcb: Tcb, retries: int, now: int) -> bool:
    """Whether retransmission has gone on for as long as so many take that begin at the least RTO."""
    if tcb.first_retransmission < 0:
        return False
    parameters = tcb.parameters
    first = parameters.tcp_rto_min_us * 1000
    return now - tcb.first_retransmission >= time_for_retransmissions(retries, first, parameters)


def _persist(tcb: Tcb, now: int) -> None:
    user_timeout = tcb.settings.user_timeout * MILLISECOND
    if tcb.probing_since < 0:
        tcb.probing_since = now
    elif user_timeout and now - tcb.probing_since >= user_timeout:
        # As Linux does, also where the peer answers: nothing of the user's data gets through.
        end(tcb, states.GIVE_UP, tcb.soft_error or ETIMEDOUT, now, reasons.USER_TIMEOUT_OVER)
        return
    interval = probe_interval(tcb, now, 1)
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
    tcb.probe_urgent = tcb.snd_una < tcb.snd_up and tcb.snd_una + tcb.snd_wnd <= tcb.snd_nxt
    tcb.start_timer(timers.PERSIST, now + interval, now)
