"""What to send, decided when the driver asks: retransmissions, new data, a FIN, a probe, an acknowledgment."""

from __future__ import annotations

from synfin import reasons
from synfin.tcp import keepalive, mtu_probing, states, timers
from synfin.tcp.burst import burst_octets
from synfin.tcp.ca_states import TCP_CA_RECOVERY
from synfin.tcp.parameters import MILLISECOND
from synfin.tcp.segments import is_window_probe, make_reset, make_segment, make_syn
from synfin.tcp.sent_range import OUTSTANDING, SentRange
from synfin.tcp.tcb import Tcb
from synfin.wire.ip import NOT_ECT
from synfin.wire.tcp import FIN, PSH, Segment

#: Octets of a TCP header without options.
HEADER = 20
#: States in which what is in the send buffer may go out.
_SENDING = frozenset({states.ESTABLISHED, states.CLOSE_WAIT, states.FIN_WAIT_1, states.CLOSING, states.LAST_ACK})


def poll_transmit(tcb: Tcb, now: int, room: int) -> Segment | None:
    """The next segment to send now, or None. Ask until None.

    `room` is the largest segment, in octets with its header, that the link takes; one above the MSS lets a run of
    full segments leave as one superpacket.
    """
    if tcb.ecn is not None:
        tcb.ecn.codepoint = NOT_ECT
    if tcb.reset_pending:
        return _reset(tcb, now)
    state = tcb.state
    if state in (states.SYN_SENT, states.SYN_RECEIVED) or (tcb.snd_nxt == tcb.iss and state in _SENDING):
        segment = _syn(tcb, now)
        if segment is not None or state == states.SYN_SENT:
            return segment
    elif state in _SENDING:
        segment = _due(tcb, now, room)
        if segment is None and (tcb.probe_now or tcb.probe_urgent):
            segment = _probe(tcb, now)
        if segment is not None:
            return segment
        tcb.validation.burst_over(tcb)
        _arm_persist(tcb, now)
    if tcb.keepalive is not None:
        segment = keepalive.probe(tcb, now)
        if segment is not None:
            return segment
    if tcb.ack_now:
        tcb.why = tcb.why_ack
        return make_segment(tcb, tcb.snd_nxt, 0, now)
    return None


def _due(tcb: Tcb, now: int, room: int) -> Segment | None:
    """What is lost, or else new data; a tail-loss probe before all."""
    recovery = tcb.recovery
    if recovery.probe_due:
        segment = _loss_probe(tcb, now)
        if segment is not None:
            return segment
    if tcb.sent.lost == 0:
        segment = _new_data(tcb, now, room)
        if segment is not None or recovery.ca_state < TCP_CA_RECOVERY or recovery.allowed(tcb) < tcb.mss:
            return segment
        return _retransmission(tcb, now, room) if recovery.lose_more(tcb) else None
    if recovery.new_data_first:
        segment = _new_data(tcb, now, room)
        if segment is not None or tcb.snd_nxt > recovery.recover:
            return segment
        # RFC 5682 §2.1, step 2b: without new data there is nothing to learn.
        recovery.new_data_first = False
        recovery.frto = False
    return _retransmission(tcb, now, room)


def _reset(tcb: Tcb, now: int) -> Segment:
    tcb.reset_pending = False
    tcb.why = reasons.RESET_ABORT
    # RFC 9293 §3.10.5: <SEQ=SND.NXT><CTL=RST>; with an ACK, so that a peer that follows RFC 5961 can judge it.
    # Nobody takes a RST from behind a window of nothing, where the octet of a probe is.
    return make_reset(tcb, tcb.snd_una if is_window_probe(tcb) else tcb.snd_nxt, now, acknowledge=True)


def _syn(tcb: Tcb, now: int) -> Segment | None:
    first = tcb.sent.first_lost()
    if tcb.snd_nxt == tcb.iss:
        tcb.snd_nxt = tcb.iss + 1
        if tcb.state == states.SYN_SENT:
            # As Linux does, the user's time runs from the first SYN.
            tcb.first_retransmission = now
        tcb.sent.append(tcb.iss, tcb.snd_nxt, 0, now, tcb.delivered)
        tcb.why = reasons.SYN_SENT
    elif first is not None:
        tcb.sent.retransmit(first, 1, 0, now, tcb.delivered)
        tcb.counts.sent_again(0, 0)
        tcb.why = tcb.why_lost
    else:
        return None
    tcb.syn_transmissions += 1
    if not tcb.timers.running(timers.RETRANSMISSION):
        tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)
    tcb.last_sent = now
    return make_syn(tcb, now)


# --- retransmission -----------------------------------------------------------------------------------------------


def _retransmission(tcb: Tcb, now: int, room: int) -> Segment | None:
    entry = tcb.sent.first_lost()
    if entry is None:
        return None
    if entry.start == tcb.iss:
        # The user closed in SYN-RECEIVED, and our SYN,ACK was lost.
        tcb.sent.retransmit(entry, 1, 0, now, tcb.delivered)
        tcb.counts.sent_again(0, 0)
        tcb.why = tcb.why_lost
        return make_syn(tcb, now)
    allowed = tcb.recovery.allowed(tcb)
    usable = tcb.snd_una + tcb.snd_wnd - entry.start
    if usable <= 0 and entry.start == tcb.snd_una:
        # Where the peer has shrunk its window to nothing, the oldest segment serves as the probe (RFC 9293 §3.8.6,
        # MUST-35).
        usable = tcb.mss
    if tcb.sent.in_flight == 0:
        allowed = max(allowed, tcb.mss)
    if allowed < min(tcb.mss, entry.end - entry.start) or usable <= 0:
        # RFC 9293 §3.8.6 (SHLD-16): only what lies within the window.
        return None
    return _send_again(tcb, entry, min(allowed, usable, _largest(tcb, room)), now)


def _send_again(tcb: Tcb, entry: SentRange, limit: int, now: int) -> Segment:
    data_end = tcb.send_buffer.end
    stop = min(entry.end, data_end)
    octets = stop - entry.start
    if octets > limit:
        octets = limit - limit % tcb.mss if limit > tcb.mss else limit
    if tcb.mtu_search is not None:
        mtu_probing.inconclusive(tcb.mtu_search)
    flags = 0
    fin = entry.start + octets == data_end and entry.end > data_end
    if fin:
        flags |= FIN
    probe = tcb.recovery.probe_due
    tcb.sent.retransmit(entry, octets + (1 if fin else 0), min(tcb.mss, octets), now, tcb.delivered, probe)
    tcb.counts.sent_again(octets, tcb.mss)
    tcb.recovery.sent_out(octets)
    if not probe:
        tcb.recovery.sent_again(tcb, max(-(-octets // tcb.mss), 1), now)
    # RFC 6298 §5.1; RFC 6675 §6 lets fast recovery start it anew, as Linux does for the oldest segment.
    mends = tcb.recovery.ca_state == TCP_CA_RECOVERY and not tcb.keep_retransmission_timer
    if (mends and entry.start == tcb.snd_una) or not tcb.timers.running(timers.RETRANSMISSION):
        tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)
    tcb.why = tcb.why_lost
    return _data_segment(tcb, entry.start, octets, flags, now)


# --- new data -----------------------------------------------------------------------------------------------------


def _new_data(tcb: Tcb, now: int, room: int) -> Segment | None:
    buffer = tcb.send_buffer
    start = tcb.snd_nxt
    unsent = buffer.end - start
    fin = tcb.fin_queued and unsent >= 0
    if unsent <= 0 and not fin:
        return None
    tcb.validation.before_sending(tcb, now)
    if tcb.mtu_search is not None:
        size = mtu_probing.next_probe(tcb, now)
        if size > 0:
            return _mtu_probe(tcb, size, now)
        if size == mtu_probing.WAIT:
            tcb.validation.held_back = True
            return None
    usable = tcb.snd_una + tcb.snd_wnd - start
    octets = 0
    if unsent > 0:
        octets = _how_much(tcb, unsent, usable, _largest(tcb, room))
        if octets == 0:
            if usable < min(unsent, tcb.mss):
                tcb.counts.window_closed(now)
            return None
    fin = fin and octets == unsent and usable > octets
    if octets == 0 and not fin:
        return None
    return _send_new(tcb, octets, fin, now)


def _send_new(tcb: Tcb, octets: int, fin: bool, now: int) -> Segment:
    """The next `octets` of new data, or a FIN, or both."""
    start = tcb.snd_nxt
    length = octets + (1 if fin else 0)
    tcb.sent.append(start, start + length, min(tcb.mss, octets), now, tcb.delivered)
    tcb.snd_nxt = start + length
    if octets % tcb.mss:
        tcb.snd_sml = tcb.snd_nxt
    if octets:
        tcb.acknowledging.data_sent(now)
    tcb.last_sent = now
    if tcb.counts.rwnd_since >= 0:
        tcb.counts.window_open(now)
    if not tcb.timers.running(timers.RETRANSMISSION):
        # RFC 6298 §5.1
        tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)
    tcb.recovery.sent_out(octets)
    tcb.recovery.schedule(tcb, now)
    tcb.stop_timer(timers.PERSIST, now)
    if tcb.probe_now and octets:
        tcb.why = reasons.PROBE_OVERRIDE
        tcb.probe_now = False
    else:
        tcb.why = reasons.NEW_DATA if octets else reasons.FIN_SENT
    flags = FIN if fin else 0
    if tcb.ecn is not None and octets:
        flags |= tcb.ecn.new_data_leaves()
    return _data_segment(tcb, start, octets, flags, now)


def _loss_probe(tcb: Tcb, now: int) -> Segment | None:
    """RFC 8985 §7.3: a segment of new data if there is one and the peer's window takes it, else the last one again."""
    recovery = tcb.recovery
    unsent = tcb.send_buffer.end - tcb.snd_nxt
    usable = tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
    octets = min(unsent, tcb.mss, usable)
    fin = tcb.fin_queued and not tcb.fin_sent and octets == max(unsent, 0) and usable > octets
    if (octets > 0 and octets in (tcb.mss, unsent)) or (octets == 0 and fin):
        segment = _send_new(tcb, max(octets, 0), fin, now)
        again = False
    else:
        last = tcb.sent.last()
        if last is None or last.fate != OUTSTANDING:
            recovery.probe_due = False
            return None
        octets = min(last.end, tcb.send_buffer.end) - last.start
        size = last.segment_size
        tail = octets % size or size if 0 < size < octets else octets
        tcb.sent.mark_lost(last.start + octets - tail, last.end)
        entry = tcb.sent.first_lost()
        if entry is None:
            recovery.probe_due = False
            return None
        segment = _send_again(tcb, entry, tcb.mss, now)
        again = True
    recovery.probe_sent(tcb, again)
    tcb.stop_timer(timers.LOSS_PROBE, now)
    tcb.why = reasons.LOSS_PROBE
    return segment


def _mtu_probe(tcb: Tcb, octets: int, now: int) -> Segment:
    """One segment larger than all before it, made of the data that is due anyway (RFC 4821 §7.5)."""
    start = tcb.snd_nxt
    tcb.sent.append(start, start + octets, octets, now, tcb.delivered)
    tcb.snd_nxt = start + octets
    mtu_probing.probe_sent(tcb, start, octets)
    tcb.recovery.sent_out(octets)
    tcb.recovery.schedule(tcb, now)
    tcb.acknowledging.data_sent(now)
    tcb.last_sent = now
    if not tcb.timers.running(timers.RETRANSMISSION):
        tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)
    tcb.why = reasons.MTU_PROBE
    flags = tcb.ecn.new_data_leaves() if tcb.ecn is not None else 0
    return make_segment(tcb, start, flags, now, tcb.send_buffer.pieces(start, start + octets), octets)


def _how_much(tcb: Tcb, unsent: int, usable: int, largest: int) -> int:
    """How many octets of new data may go in one segment, or superpacket, now; 0 to wait."""
    mss = tcb.mss
    allowed = tcb.recovery.allowed(tcb)
    octets = min(unsent, usable, largest)
    if octets <= 0:
        return 0
    if allowed < min(octets, mss) and tcb.sent.in_flight:
        tcb.validation.held_back = True
        return 0
    if allowed < octets:
        tcb.validation.held_back = True
        octets = max(allowed, min(octets, mss))
    partial = octets % mss
    if partial and not _may_send_partial(tcb, octets, partial, unsent):
        octets -= partial
    return octets


def _may_send_partial(tcb: Tcb, octets: int, partial: int, unsent: int) -> bool:
    """Sender's silly-window avoidance and Nagle (RFC 9293 §3.8.6.2.1, §3.7.4)."""
    if octets == unsent:
        if tcb.fin_queued or tcb.probe_now or tcb.snd_up > tcb.snd_una or tcb.pushed_through >= tcb.send_buffer.end:
            return True
        if tcb.settings.cork or tcb.more_to_come:
            return False
        if tcb.settings.nodelay:
            return True
        # RFC 9293 §3.7.4 (SHLD-7): a small segment waits while anything is unacknowledged; as Minshall has it and
        # Linux does it, only while another small one is.
        if tcb.parameters.tcp_minshall:
            return tcb.snd_sml <= tcb.snd_una
        return tcb.snd_nxt <= tcb.snd_una and octets == partial
    # The window, or the congestion window, ends within a segment.
    if tcb.sent.in_flight == 0 and octets == partial:
        return tcb.probe_now or partial * 2 >= tcb.max_snd_wnd
    return False


def _data_segment(tcb: Tcb, start: int, octets: int, flags: int, now: int) -> Segment:
    buffer = tcb.send_buffer
    stop = start + octets
    if octets and (stop == buffer.end or buffer.pushed(start, stop)):
        # RFC 9293 §3.9.1.2 (MUST-61): the last segment of what is buffered, and the end of a write.
        flags |= PSH
    mss = tcb.mss
    if octets <= mss:
        return make_segment(tcb, start, flags, now, buffer.pieces(start, stop), octets)
    if tcb.parameters.tcp_push_bursts:
        # Whoever puts the burst together again need not wait for more.
        flags |= PSH
    return make_segment(tcb, start, flags, now, buffer.pieces(start, stop), octets, mss)


def _largest(tcb: Tcb, room: int) -> int:
    """The most octets of data that one segment given to the link may carry."""
    mss = tcb.mss
    if tcb.snd_up > tcb.snd_una:
        # A pointer counts from its own segment, so that a superpacket could have none.
        return mss
    options = 12 if tcb.timestamps else 0
    largest = room - HEADER - options
    if largest < 2 * mss:
        return mss
    largest = min(largest, burst_octets(tcb))
    return largest - largest % mss


# --- windows that stay shut ---------------------------------------------------------------------------------------


def _arm_persist(tcb: Tcb, now: int) -> None:
    """RFC 9293 §3.8.6.1: data wait, nothing is in flight that would bring an ACK, and the window forbids sending."""
    if len(tcb.sent) == 0 and not tcb.timers.running(timers.PERSIST):
        waiting = tcb.send_buffer.end - tcb.snd_nxt > 0 or (tcb.fin_queued and not tcb.fin_sent)
        if waiting:
            tcb.probing_since = -1
            tcb.start_timer(timers.PERSIST, now + probe_interval(tcb, now), now)


def probe_interval(tcb: Tcb, now: int, more: int = 0) -> int:
    """RFC 9293 §3.8.6.1 (SHLD-29, SHLD-30): the first probe after one RTO, then twice as long each time, up to the end
    of TCP_USER_TIMEOUT. `more`: after so many more probes."""
    most = tcb.parameters.tcp_rto_max_ms * MILLISECOND
    interval = min(tcb.round_trip.rto << min(tcb.probe_backoff + more, 20), most)
    user_timeout = tcb.settings.user_timeout * MILLISECOND
    if user_timeout and tcb.probing_since >= 0:
        interval = min(interval, max(tcb.probing_since + user_timeout - now, MILLISECOND))
    return interval


def _probe(tcb: Tcb, now: int) -> Segment:
    """An octet that the peer has already, so that it answers with its window, as Linux does; or a new one."""
    tcb.why = reasons.WINDOW_PROBE
    if tcb.probe_urgent:
        # RFC 9293 §3.4 (MUST-66): urgent data are announced through a window of nothing too.
        tcb.probe_urgent = False
        return make_segment(tcb, tcb.snd_una, 0, now)
    tcb.probe_now = False
    if tcb.parameters.tcp_probe_data and tcb.unsent > 0:
        # RFC 9293 §3.8.6.1. From here on the retransmission timer sends it again.
        start = tcb.snd_nxt
        tcb.snd_nxt = start + 1
        tcb.sent.append(start, start + 1, 1, now, tcb.delivered)
        tcb.stop_timer(timers.PERSIST, now)
        tcb.round_trip.back_off()
        tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)
        return _data_segment(tcb, start, 1, 0, now)
    return make_segment(tcb, tcb.snd_una - 1, 0, now)
