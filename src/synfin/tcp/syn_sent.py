"""SEGMENT ARRIVES in SYN-SENT (RFC 9293 §3.10.7.3)."""

from __future__ import annotations

from errno import ECONNREFUSED

from synfin import reasons
from synfin.tcp import closed, ecn, states, timers
from synfin.tcp.acknowledging import DELAY_MAX
from synfin.tcp.acknowledgment import process_acknowledgment
from synfin.tcp.arriving import Arrival, established
from synfin.tcp.clock import timestamp
from synfin.tcp.ending import end
from synfin.tcp.receive_window import MAX_WINDOW_SHIFT
from synfin.tcp.tcb import Tcb
from synfin.tcp.text import check_fin, check_urg, process_text
from synfin.wire.sequence import before
from synfin.wire.tcp import ACK, RST, SYN, Segment


def segment_arrives(tcb: Tcb, arrival: Arrival, now: int) -> None:
    segment = arrival.segment
    flags = segment.flags
    # First, check the ACK bit.
    if flags & ACK and not tcb.snd_una < arrival.ack <= tcb.snd_nxt:
        tcb.verdict = reasons.WRONG_ACK_OF_SYN
        tcb.why = reasons.RESET_NO_CONNECTION
        arrival.reply = closed.segment_arrives(segment)
        _try_again_soon(tcb, now)
        return
    if flags & ACK and tcb.timestamps and _echo_is_impossible(tcb, segment, now):
        # RFC 7323 §5.1 in reverse, as Linux: a SYN,ACK that echoes what we never sent is an old duplicate's.
        tcb.verdict = reasons.OLD_TIMESTAMP
        tcb.why = reasons.RESET_NO_CONNECTION
        arrival.reply = closed.segment_arrives(segment)
        return
    # Second, check the RST bit.
    if flags & RST:
        if flags & ACK:
            tcb.verdict = reasons.RESET_RECEIVED
            end(tcb, states.RCV_RST, ECONNREFUSED, now, reasons.REFUSED)
        else:
            tcb.verdict = reasons.NO_ACK
        return
    # Third, check the security: there is none. Fourth, check the SYN bit.
    if not flags & SYN:
        # Fifth, if neither of the SYN or RST bits is set, then drop the segment.
        tcb.verdict = reasons.NO_SYN
        return
    _learn_from_syn(tcb, arrival, now)
    if flags & ACK:
        tcb.verdict = reasons.SYN_ACK_RECEIVED
        process_acknowledgment(tcb, segment, arrival.seq, arrival.ack, now)
        tcb.change_state(states.RCV_SYN_ACK, now, reasons.SYN_ACK_RECEIVED)
        established(tcb, segment, arrival.seq, arrival.ack, now)
        if (tcb.settings.defer_accept or tcb.acknowledging.interactive) and segment.length == 1:
            # As Linux does, where the user said so (TCP_DEFER_ACCEPT, TCP_QUICKACK 0): the ACK rides on the first data.
            tcb.start_timer(timers.DELAYED_ACK, now + DELAY_MAX, now)
        else:
            tcb.ack_now = True
            tcb.why_ack = reasons.SYN_ACK_ANSWERED
        if segment.length > 1:
            # Other controls or text: processing goes on at the sixth step of §3.10.7.4.
            check_urg(tcb, arrival)
            process_text(tcb, arrival, now)
            check_fin(tcb, arrival, now)
    else:
        tcb.verdict = reasons.SIMULTANEOUS_SYN
        tcb.change_state(states.RCV_SYN, now, reasons.SIMULTANEOUS_SYN)
        tcb.snd_wnd = segment.wnd
        tcb.window_seen(segment.wnd)
        tcb.snd_wl1 = arrival.seq
        # The SYN goes out again, now with an ACK. Text that came with the peer's SYN is not acknowledged and
        # will come again, once the connection is ESTABLISHED.
        tcb.sent.mark_all_lost()
        tcb.retransmissions = 0
        tcb.first_retransmission = -1
        tcb.why_lost = reasons.SIMULTANEOUS_SYN


def _try_again_soon(tcb: Tcb, now: int) -> None:
    """Our RST is about to end what the peer still has of an old connection (RFC 9293 §3.5.1, figure 10). As Linux
    does, the SYN follows it; once only, for anybody may send such an ACK."""
    if tcb.retransmissions == 0:
        tcb.start_timer(timers.RETRANSMISSION, now + timers.TIMEOUT_MIN, now)


def _echo_is_impossible(tcb: Tcb, segment: Segment, now: int) -> bool:
    ecr = segment.options.ts_ecr
    if ecr is None or ecr == 0:
        return False
    latest = timestamp(now, tcb.ts_offset)
    return before(latest, ecr)


def _learn_from_syn(tcb: Tcb, arrival: Arrival, now: int) -> None:
    """What the peer's SYN says: its initial number and its options (RFC 9293 §3.7.1, RFC 7323 §2.2, §3.2)."""
    options = arrival.segment.options
    tcb.irs = arrival.seq
    offered = tcb.rcv_adv - tcb.rcv_nxt
    tcb.rcv_nxt = arrival.seq + 1
    tcb.rcv_up = tcb.rcv_nxt
    tcb.rcv_adv = tcb.rcv_limit = tcb.rcv_nxt + offered
    tcb.last_ack_sent = tcb.rcv_nxt
    if options.mss is not None:
        tcb.peer_mss = options.mss
    if options.window_scale is not None and tcb.syn_wscale >= 0:
        # RFC 7323 §2.3: a shift above 14 is used as 14.
        tcb.snd_wscale = min(options.window_scale, MAX_WINDOW_SHIFT)
        tcb.rcv_wscale = tcb.syn_wscale
    else:
        tcb.syn_wscale = -1
    tcb.sack_permitted = tcb.sack_permitted and options.sack_permitted
    tcb.timestamps = tcb.timestamps and options.ts_val is not None
    if tcb.timestamps and options.ts_val is not None:
        tcb.ts_recent = options.ts_val
        tcb.ts_recent_at = now
    ecn.learn_from_syn(tcb, arrival.segment.flags, arrival.segment.flags & ACK != 0)
    tcb.update_mss()
