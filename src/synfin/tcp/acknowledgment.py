"""What an acceptable acknowledgment does: SND.UNA, the send window, round trips, recovery (RFC 9293 §3.10.7.4)."""

from __future__ import annotations

from synfin import reasons
from synfin.tcp import mtu_probing, readiness, timers
from synfin.tcp.clock import timestamp
from synfin.tcp.delivery import Delivery
from synfin.tcp.output import probe_interval
from synfin.tcp.parameters import MILLISECOND, SECOND
from synfin.tcp.sack_blocks import take_blocks
from synfin.tcp.tcb import Tcb
from synfin.wire.sequence import HALF, MASK
from synfin.wire.tcp import ECE, FIN, SYN, Segment

#: A round trip longer than this is no measurement but nonsense in an echo.
LONGEST_ROUND_TRIP = 600 * SECOND


def process_acknowledgment(tcb: Tcb, segment: Segment, seq: int, ack: int, now: int) -> None:
    """Takes SEG.ACK, not beyond SND.NXT, and SEG.WND of an acceptable segment (`seq`, `ack` unwrapped)."""
    window_before = tcb.snd_wnd
    # The peer lives: what it does not take it will take later (RFC 9293 §3.8.6.1, MUST-37).
    tcb.probes = 0
    tcb.soft_error = 0
    tcb.more_to_come = False
    if ack >= tcb.snd_una and not segment.flags & SYN:
        _update_window(tcb, segment, seq, ack, now)
    duplicate = (
        # RFC 5681 §2, the definition of a duplicate acknowledgment
        ack == tcb.snd_una
        and tcb.snd_nxt > ack
        and segment.payload_length == 0
        and not segment.flags & (SYN | FIN)
        and tcb.snd_wnd == window_before > 0
        and ack > tcb.iss
    )
    echo = tcb.ecn is not None and segment.flags & (ECE | SYN) == ECE and ack >= tcb.snd_una
    blocks = segment.options.sack
    if not (ack > tcb.snd_una or duplicate or echo or blocks):
        return
    delivery = Delivery()
    delivery.echo = echo
    if blocks and tcb.recovery.selective and not segment.flags & SYN:
        take_blocks(tcb, segment, ack, delivery)
    if ack > tcb.snd_una:
        _advance(tcb, segment, ack, delivery, now)
        return
    if duplicate:
        tcb.verdict = reasons.DUPLICATE_ACKNOWLEDGMENT
        delivery.duplicate = True
    if duplicate or echo or delivery.sacked or delivery.duplicated is not None:
        if delivery.sacked:
            _measure(tcb, segment, delivery, now)
        tcb.recovery.acknowledged(tcb, delivery, now)
        tcb.counts.delivered += delivery.segments
        tcb.delivered += delivery.octets
        sent = tcb.sent
        sent.fack = max(sent.fack, sent.sacked.end)


def _update_window(tcb: Tcb, segment: Segment, seq: int, ack: int, now: int) -> None:
    # RFC 9293 §3.10.7.4, fifth, ESTABLISHED: old segments do not update the window. As Linux adds, what acknowledges
    # new data is not old, though its text may be sent again: else the old window would begin at the new SND.UNA.
    if tcb.snd_wl1 < seq or (tcb.snd_wl1 == seq and tcb.snd_wl2 <= ack) or tcb.snd_una < ack:
        window = segment.wnd << tcb.snd_wscale
        closed = tcb.snd_wnd == 0
        tcb.snd_wl1 = seq
        tcb.snd_wl2 = ack
        if window != tcb.snd_wnd:
            tcb.snd_wnd = window
            if window > tcb.max_snd_wnd:
                tcb.window_seen(window)
            if tcb.tracer is not None:
                tcb.trace_window(now)
        if window > 0 and len(tcb.sent) == 0:
            tcb.probe_backoff = 0
            tcb.stop_timer(timers.PERSIST, now)
        elif tcb.timers.running(timers.PERSIST):
            # As Linux does it, the wait for the next probe counts from the answer to the last.
            tcb.start_timer(timers.PERSIST, now + probe_interval(tcb, now), now)
        elif closed and window > 0 and tcb.parameters.tcp_probe_data and tcb.snd_nxt - ack == 1:
            # The octet of a window probe found no room; now there is some.
            tcb.sent.mark_all_lost()
            tcb.why_lost = reasons.WINDOW_PROBE
            tcb.round_trip.backoff = 0


def _advance(tcb: Tcb, segment: Segment, ack: int, delivery: Delivery, now: int) -> None:
    sent = tcb.sent
    sent.acknowledge(ack, delivery)
    tcb.cwnd_limited = tcb.validation.acknowledged(tcb, delivery, now)
    opening = tcb.snd_una == tcb.iss
    delivery.advanced = ack - tcb.snd_una
    tcb.snd_una = ack
    counts = tcb.counts
    if counts.rto_since >= 0:
        counts.recovered(now)
    tcb.send_buffer.release(ack)
    tcb.verdict = reasons.ACKNOWLEDGES_NEW
    if tcb.fin_queued and ack > tcb.send_buffer.end:
        tcb.fin_acknowledged = True
    _measure(tcb, segment, delivery, now)
    tcb.retransmissions = 0
    tcb.probe_backoff = 0
    tcb.first_retransmission = -1
    tcb.keep_retransmission_timer = False
    if tcb.mtu_search is not None:
        mtu_probing.acknowledged(tcb, tcb.mtu_search)
    recovery = tcb.recovery
    if not opening:
        recovery.acknowledged(tcb, delivery, now)
    counts.delivered += delivery.segments
    tcb.delivered += delivery.octets
    sent.fack = max(sent.fack, sent.sacked.end, ack)
    # RFC 6298 §5.2, §5.3
    if len(sent) == 0:
        tcb.stop_timer(timers.RETRANSMISSION, now)
        tcb.stop_timer(timers.LOSS_PROBE, now)
        tcb.stop_timer(timers.REORDERING, now)
        if tcb.unsent == 0:
            counts.idle(now)
    elif not tcb.keep_retransmission_timer:
        tcb.start_timer(timers.RETRANSMISSION, now + tcb.round_trip.rto, now)
        recovery.schedule(tcb, now)
    tcb.wake |= readiness.POLLOUT


def _measure(tcb: Tcb, segment: Segment, delivery: Delivery, now: int) -> None:
    """RFC 6298 §3: Karn's rule, which a timestamp's echo makes unnecessary (RFC 7323 §4)."""
    round_trip = tcb.round_trip
    if segment.options.ts_ecr and tcb.timestamps:
        delivery.ts_ecr = segment.options.ts_ecr
    if delivery.rtt_from >= 0:
        rtt = now - delivery.rtt_from
    elif delivery.sack_rtt_from >= 0:
        rtt = now - delivery.sack_rtt_from
    elif tcb.timestamps and segment.options.ts_ecr:
        ticks = (timestamp(now, tcb.ts_offset) - segment.options.ts_ecr) & MASK
        if ticks >= HALF:
            return
        # A tick is the clock's grain; a round trip within one took less than that.
        rtt = max(ticks, 1) * MILLISECOND
        if delivery.resent_at >= 0 and rtt > now - delivery.resent_at + MILLISECOND:
            # The echo is of the first transmission. It may have arrived, and only its ACK have been lost.
            return
    else:
        return
    if rtt > LONGEST_ROUND_TRIP:
        return
    delivery.rtt = rtt
    round_trip.measured(rtt, now)
    if tcb.tracer is not None:
        tcb.tracer.round_trip_measured(now, tcb.identity.flow, rtt, round_trip.srtt, round_trip.rttvar, round_trip.rto)
