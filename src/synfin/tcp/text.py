"""The sixth to eighth steps of SEGMENT ARRIVES: urgent pointer, text and FIN (RFC 9293 §3.10.7.4)."""

from __future__ import annotations

from errno import ECONNRESET

from synfin import reasons
from synfin.tcp import closed, ecn, readiness, receive_tuning, states, timers, urgent
from synfin.tcp.arriving import Arrival, note_duplicate
from synfin.tcp.ending import end
from synfin.tcp.reassembly import Piece, slice_pieces
from synfin.tcp.segments import make_segment
from synfin.tcp.tcb import Tcb
from synfin.wire.tcp import FIN, URG

# Sixth, check the URG bit.


def check_urg(tcb: Tcb, arrival: Arrival) -> None:
    if (arrival.segment.flags & URG or tcb.urgent is not None) and tcb.state in states.MAY_RECEIVE:
        urgent.check(tcb, arrival)


# Seventh, process the segment text.


def process_text(tcb: Tcb, arrival: Arrival, now: int) -> None:
    segment = arrival.segment
    length = segment.payload_length
    if length == 0:
        return
    if tcb.state not in states.MAY_RECEIVE:
        # This should not occur, since a FIN has been received. Ignore the text.
        if tcb.verdict is reasons.ACCEPTED:
            tcb.verdict = reasons.TEXT_AFTER_FIN
        return
    start = arrival.start
    first = max(start, tcb.rcv_nxt)
    last = min(start + length, tcb.rcv_adv)
    if tcb.fin_sequence >= 0:
        last = min(last, tcb.fin_sequence)
    unwanted = tcb.orphaned or (tcb.receive_shut and tcb.fin_queued)
    if unwanted and start + length > tcb.rcv_nxt:
        # RFC 9293 §3.6.1 (SHLD-3): nobody will read it, and the peer must learn that; as Linux has it, also after
        # both halves were shut down.
        tcb.verdict = reasons.DATA_AFTER_CLOSE
        tcb.why = reasons.RESET_ABORT
        arrival.reply = closed.segment_arrives(segment)
        end(tcb, states.ABORT, ECONNRESET, now, reasons.DATA_AFTER_CLOSE)
        return
    if start < tcb.rcv_nxt and start + length > tcb.rcv_nxt:
        note_duplicate(tcb, start, tcb.rcv_nxt)
    if last <= first:
        # A zero window, or nothing new: say where we are.
        tcb.verdict = reasons.OUTSIDE_WINDOW
        tcb.ack_now = True
        tcb.why_ack = reasons.ACK_OF_UNACCEPTABLE
        return
    memory = tcb.memory
    if memory is not None and memory.exhausted and (first > tcb.rcv_nxt or tcb.receive_queue.octets):
        # The next octets for a reader who has none are taken all the same, or nothing would ever be freed.
        tcb.verdict = reasons.NO_MEMORY
        tcb.ack_now = True
        tcb.why_ack = reasons.ACK_OF_UNACCEPTABLE
        return
    if tcb.ecn is not None:
        ecn.data_arrives(tcb, tcb.ecn, segment.flags, arrival.codepoint)
    pieces: tuple[Piece, ...] = segment.payload
    if first > start or last < start + length:
        pieces = tuple(slice_pieces(pieces, first - start, last - start))
    if first == tcb.rcv_nxt:
        _in_order(tcb, arrival, pieces, last - first, now)
    else:
        _out_of_order(tcb, arrival, first, pieces, last - first, now)


def _in_order(tcb: Tcb, arrival: Arrival, pieces: tuple[Piece, ...], length: int, now: int) -> None:
    segment = arrival.segment
    queue = tcb.receive_queue
    size = min(segment.segment_size, segment.payload_length) or segment.payload_length
    ts_ecr = segment.options.ts_ecr
    if ts_ecr and ts_ecr != tcb.rcv_rtt_echo and tcb.timestamps and size >= tcb.acknowledging.rcv_mss:
        receive_tuning.echo_arrived(tcb, ts_ecr, now)
    for piece in pieces:
        queue.append(piece)
    tcb.rcv_nxt += length
    tcb.bytes_received += length
    tcb.wake |= readiness.POLLIN
    tcb.verdict = reasons.IN_ORDER_DATA
    acknowledging = tcb.acknowledging
    # The window that was offered last, before what has arrived since.
    offered = tcb.rcv_wnd + tcb.rcv_nxt - tcb.last_ack_sent
    acknowledging.data_received(size, tcb.advertised_mss, offered, tcb.round_trip.rto, now)
    receive_tuning.data_arrived(tcb, length, size, now)
    ends = segment.flags & FIN != 0 and arrival.end - 1 == tcb.rcv_nxt
    if len(tcb.reassembly) and not ends:
        _note_overlap(tcb, tcb.rcv_nxt - length, tcb.rcv_nxt)
        block = tcb.reassembly.take(tcb.rcv_nxt)
        if block is not None:
            for piece in block.pieces:
                queue.append(piece)
            tcb.bytes_received += block.end - tcb.rcv_nxt
            tcb.rcv_nxt = block.end
        # RFC 5681 §4.2: at once when a segment fills in all or part of a gap.
        tcb.ack_now = True
        tcb.why_ack = reasons.ACK_FILLS_GAP
    elif tcb.ack_now:
        return
    elif tcb.rcv_nxt - tcb.last_ack_sent > acknowledging.rcv_mss:
        # RFC 9293 §3.8.6.3 (SHLD-19): at least every second full-sized segment.
        tcb.ack_now = True
        tcb.why_ack = reasons.ACK_EVERY_SECOND
    elif acknowledging.at_once() and not (ends and _fin_waits(tcb)):
        tcb.ack_now = True
        tcb.why_ack = reasons.ACK_AT_ONCE
    else:
        _acknowledge_later(tcb, now)


def _acknowledge_later(tcb: Tcb, now: int) -> None:
    # RFC 9293 §3.8.6.3 (SHLD-18)
    deadline = tcb.acknowledging.deadline(tcb.round_trip.srtt, now)
    running = tcb.timers.deadlines[timers.DELAYED_ACK]
    if running <= now + (deadline - now) // 4:
        # As Linux has it: one that is due so soon goes now, and serves for both.
        tcb.ack_now = True
        tcb.why_ack = reasons.ACK_AT_ONCE
    elif deadline < running:
        tcb.start_timer(timers.DELAYED_ACK, deadline, now)


def _out_of_order(
    tcb: Tcb,
    arrival: Arrival,
    first: int,
    pieces: tuple[Piece, ...],
    length: int,
    now: int,
) -> None:
    # RFC 9293 §3.10.7.4 (SHLD-31)
    tcb.verdict = reasons.OUT_OF_ORDER_DATA
    tcb.counts.out_of_order += 1
    kept = True
    _note_overlap(tcb, first, first + length)
    if tcb.reassembly.covers(first, first + length):
        tcb.verdict = reasons.DUPLICATE_DATA
    elif not tcb.reassembly.insert(first, pieces, length, tcb.rcv_buf):
        tcb.verdict = reasons.REASSEMBLY_FULL
        kept = False
    if kept and arrival.segment.flags & FIN and first + length == arrival.start + arrival.segment.payload_length:
        _note_fin(tcb, first + length)
    if kept and length >= receive_tuning.LEAST_SEGMENT:
        receive_tuning.grow_window(tcb, length, length)
    # RFC 5681 §4.2: an immediate duplicate ACK, one for each such segment.
    arrival.reply = make_segment(tcb, tcb.snd_nxt, 0, now)
    tcb.why = reasons.ACK_OUT_OF_ORDER


def _note_overlap(tcb: Tcb, start: int, end_of_it: int) -> None:
    """RFC 2883 §4.2: of what arrived twice, the first part is reported."""
    overlap = tcb.reassembly.overlap(start, end_of_it) if tcb.dsack is None else None
    if overlap is not None:
        note_duplicate(tcb, *overlap)


# Eighth, check the FIN bit.


def check_fin(tcb: Tcb, arrival: Arrival, now: int) -> None:
    if tcb.state not in states.MAY_RECEIVE or tcb.state == states.SYN_SENT:
        return
    segment = arrival.segment
    # A bare FIN needs no room and is taken at a zero window too, as Linux does.
    in_order = segment.flags & FIN and arrival.end - 1 == tcb.rcv_nxt
    if not in_order and tcb.fin_sequence != tcb.rcv_nxt:
        if segment.flags & FIN and segment.payload_length == 0 and arrival.end - 1 > tcb.rcv_nxt:
            # A bare FIN ahead of data still missing.
            _note_fin(tcb, arrival.end - 1)
            tcb.verdict = reasons.OUT_OF_ORDER_DATA
            arrival.reply = make_segment(tcb, tcb.snd_nxt, 0, now)
            tcb.why = reasons.ACK_OUT_OF_ORDER
        return
    tcb.fin_received = True
    tcb.fin_sequence = -1
    tcb.reassembly.clear()
    tcb.rcv_nxt += 1
    tcb.rcv_adv = max(tcb.rcv_adv, tcb.rcv_nxt)
    tcb.wake |= readiness.POLLIN | readiness.POLLRDHUP
    tcb.verdict = reasons.FIN_RECEIVED
    _acknowledge_fin(tcb, now)
    if tcb.state == states.FIN_WAIT_1 and tcb.fin_acknowledged:
        tcb.change_state(states.RCV_FIN_WITH_ACK_OF_FIN, now, reasons.FIN_RECEIVED)
        tcb.timers.stop_all()
    else:
        tcb.change_state(states.RCV_FIN, now, reasons.FIN_RECEIVED)
        if tcb.state == states.TIME_WAIT:
            tcb.timers.stop_all()


def _fin_waits(tcb: Tcb) -> bool:
    """Whether the acknowledgment of a FIN may wait: it is likely that the user closes too, and ours can bear it."""
    return tcb.state == states.ESTABLISHED and tcb.parameters.tcp_delay_fin_ack != 0


def _acknowledge_fin(tcb: Tcb, now: int) -> None:
    if _fin_waits(tcb):
        # RFC 9293 §3.8.6.3
        acknowledging = tcb.acknowledging
        acknowledging.interactive = True
        if not tcb.ack_now and tcb.rcv_nxt - tcb.last_ack_sent <= acknowledging.rcv_mss:
            _acknowledge_later(tcb, now)
            return
    tcb.ack_now = True
    tcb.why_ack = reasons.ACK_OF_FIN


def _note_fin(tcb: Tcb, number: int) -> None:
    """A FIN with that number waits for the data before it; one that lies before data kept already is nonsense."""
    if number >= tcb.reassembly.end:
        tcb.fin_sequence = number
