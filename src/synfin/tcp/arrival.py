"""SEGMENT ARRIVES (RFC 9293 §3.10.7.4): the RFC's steps in its order, a function for each.

CLOSED is in `closed`, LISTEN and a passive SYN-RECEIVED in `listener`, SYN-SENT in `syn_sent`, TIME-WAIT in
`time_wait`; the steps from the sixth on are in `text`. A check returns False when it has dealt with the segment.
"""

from __future__ import annotations

from errno import ECONNREFUSED, ECONNRESET, EPIPE

from synfin import reasons
from synfin.tcp import closed, ecn, states, syn_sent
from synfin.tcp.acknowledgment import process_acknowledgment
from synfin.tcp.arriving import Arrival, established, note_duplicate, start_fin_wait_2_timer
from synfin.tcp.clock import TS_RECENT_LIFE
from synfin.tcp.ending import end
from synfin.tcp.parameters import MILLISECOND
from synfin.tcp.segments import is_window_probe, make_reset, make_segment
from synfin.tcp.tcb import Tcb
from synfin.tcp.text import check_fin, check_urg, process_text
from synfin.wire.sequence import before, unwrap
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment

_AFTER_PEERS_FIN = frozenset({states.CLOSE_WAIT, states.CLOSING, states.LAST_ACK})


def segment_arrives(tcb: Tcb, segment: Segment, now: int, codepoint: int) -> Segment | None:
    """Takes a segment of this connection, whose packet had the ECN `codepoint`. Returns the reply that belongs to it
    (RST, challenge or duplicate ACK).

    `tcb.verdict` says afterwards what the segment was good for, `tcb.why` the reason of the reply.
    """
    tcb.verdict = reasons.ACCEPTED
    if tcb.state == states.CLOSED:
        tcb.verdict = reasons.NOBODY_HOME
        tcb.why = reasons.RESET_NO_CONNECTION
        return closed.segment_arrives(segment)
    if segment.payload_length:
        tcb.counts.data_in(segment.payload_length, segment.segment_size, now)
    else:
        tcb.counts.segs_in += 1
    ack = unwrap(segment.ack, tcb.snd_una)
    if tcb.state == states.SYN_SENT:
        # The peer's numbers begin with this segment: there is nothing yet to unwrap them by.
        arrival = Arrival(segment, segment.seq, ack, codepoint)
        syn_sent.segment_arrives(tcb, arrival, now)
    else:
        arrival = Arrival(segment, unwrap(segment.seq, tcb.rcv_nxt), ack, codepoint)
        _other_states(tcb, arrival, now)
    return arrival.reply


# --- RFC 9293 §3.10.7.4: other states -----------------------------------------------------------------------------


def _other_states(tcb: Tcb, arrival: Arrival, now: int) -> None:
    if not arrival.segment.flags & (ACK | RST | SYN):
        # No TCP sends such a thing. As in Linux it is not answered either, wherever it lies.
        tcb.verdict = reasons.NO_ACK
        return
    if not _check_sequence_number(tcb, arrival, now):
        return
    if arrival.segment.flags & RST:
        _check_rst(tcb, arrival, now)
        return
    # Third, check security: there is none.
    if arrival.segment.flags & SYN and not _crossing_syn_ack(tcb, arrival):
        _check_syn(tcb, arrival, now)
        return
    if not _check_ack(tcb, arrival, now):
        return
    _remember_timestamp(tcb, arrival, now)
    check_urg(tcb, arrival)
    process_text(tcb, arrival, now)
    check_fin(tcb, arrival, now)


# First, check sequence number.


def _check_sequence_number(tcb: Tcb, arrival: Arrival, now: int) -> bool:
    segment = arrival.segment
    if tcb.timestamps and not segment.flags & RST:
        ts_val = segment.options.ts_val
        if ts_val is None:
            if tcb.parameters.tcp_timestamps_required:
                # RFC 7323 §3.2: dropped in silence.
                tcb.verdict = reasons.NO_TIMESTAMPS
                return False
        # RFC 7323 §5.3, R1
        elif tcb.ts_recent_at >= 0 and before(ts_val, tcb.ts_recent) and now - tcb.ts_recent_at < TS_RECENT_LIFE:
            tcb.verdict = reasons.OLD_TIMESTAMP
            if segment.length and not segment.flags & SYN and arrival.seq < tcb.rcv_nxt:
                # What came late and was sent again meanwhile: as Linux has it, the sender learns that it came twice.
                note_duplicate(tcb, arrival.seq, min(arrival.end, tcb.rcv_nxt))
            _answer_unacceptable(tcb, arrival, now)
            return False
    if _crossing_syn_ack(tcb, arrival):
        return True
    if not _acceptable(tcb, arrival):
        if (
            segment.flags & RST
            and arrival.seq == tcb.rcv_nxt - 1
            and tcb.state in _AFTER_PEERS_FIN
            and not tcb.parameters.tcp_rst_exact
        ):
            return True
        if segment.length == 0 and arrival.seq == tcb.rcv_nxt - 1 and not segment.flags & RST and is_window_probe(tcb):
            # Window probes have crossed, and the peer does not know that we took its octet. Its ACK counts, or the two
            # of us would answer each other's acknowledgments for ever.
            tcb.ack_now = True
            tcb.why_ack = reasons.ACK_OF_UNACCEPTABLE
            return True
        tcb.verdict = reasons.OUTSIDE_WINDOW
        if segment.length and not segment.flags & (SYN | RST) and arrival.end <= tcb.rcv_nxt:
            if segment.payload_length:
                tcb.verdict = reasons.DUPLICATE_DATA
            # A FIN that comes again is a duplicate too.
            note_duplicate(tcb, arrival.seq, arrival.end)
        _answer_unacceptable(tcb, arrival, now)
        return False
    return True


def _remember_timestamp(tcb: Tcb, arrival: Arrival, now: int) -> None:
    """RFC 7323 §4.3 (2), §5.3 R3. Only now that the ACK field has been judged: who cannot see the connection could
    otherwise put a TS.Recent there before which all that the peer sends is old."""
    tcb.last_received = now
    ts_val = arrival.segment.options.ts_val
    if tcb.timestamps and ts_val is not None and arrival.seq <= tcb.last_ack_sent:
        expired = now - tcb.ts_recent_at >= TS_RECENT_LIFE  # RFC 7323 §5.5
        if tcb.ts_recent_at < 0 or expired or not before(ts_val, tcb.ts_recent):
            tcb.ts_recent = ts_val
            tcb.ts_recent_at = now


def _acceptable(tcb: Tcb, arrival: Arrival) -> bool:
    """RFC 9293 §3.10.7.4, table 6. At a zero window what is at RCV.NXT passes, for its ACK, URG or RST."""
    seq = arrival.seq
    # RFC 5961 §3.2: a RST is judged by its number alone, whatever comes with it.
    length = 0 if arrival.segment.flags & RST else arrival.segment.length
    if tcb.rcv_wnd == 0:
        return seq == tcb.rcv_nxt
    edge = tcb.rcv_adv
    if length == 0:
        # Beyond the table, as Linux does: a peer that has filled our window sends its ACKs with the number behind it.
        return tcb.rcv_nxt <= seq < edge or (seq == edge and not arrival.segment.flags & RST)
    return tcb.rcv_nxt <= seq < edge or tcb.rcv_nxt <= seq + length - 1 < edge


def _crossing_syn_ack(tcb: Tcb, arrival: Arrival) -> bool:
    """RFC 9293 §3.5, figure 7: in a simultaneous open the peer's SYN comes again, with the ACK of ours.

    Its SYN lies before the window; trimmed of it, the segment begins at RCV.NXT and is acceptable.
    """
    return (
        tcb.state == states.SYN_RECEIVED
        and arrival.segment.flags & (SYN | ACK | RST) == SYN | ACK
        and arrival.seq == tcb.irs
        and arrival.ack == tcb.snd_nxt
    )


def _answer_unacceptable(tcb: Tcb, arrival: Arrival, now: int) -> None:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, unless the segment is a RST or answers come too often."""
    segment = arrival.segment
    if segment.flags & RST:
        return
    # Data are answered each time, as the peer may need it to go on. But a peer that agreed on timestamps sends them
    # (RFC 7323 §3.2): who leaves them out is somebody else, for whom our answer would be longer than his question.
    needed = segment.length > 0 and (segment.options.ts_val is not None or not tcb.timestamps)
    if (not needed or segment.flags & SYN) and not _may_challenge(tcb, now):
        return
    arrival.reply = make_segment(tcb, tcb.snd_nxt, 0, now)
    tcb.why = reasons.ACK_OF_UNACCEPTABLE


def _may_challenge(tcb: Tcb, now: int) -> bool:
    """RFC 5961 §7: answers to what an attacker can send at will are limited, here as tcp_invalid_ratelimit says."""
    limit = tcb.parameters.tcp_invalid_ratelimit * MILLISECOND
    if tcb.challenged_at >= 0 and now - tcb.challenged_at < limit:
        return False
    tcb.challenged_at = now
    return True


def _challenge(tcb: Tcb, arrival: Arrival, now: int) -> None:
    if _may_challenge(tcb, now):
        arrival.reply = make_segment(tcb, tcb.snd_nxt, 0, now)
        tcb.why = reasons.CHALLENGE_ACK


# Second, check the RST bit.


def _check_rst(tcb: Tcb, arrival: Arrival, now: int) -> None:
    if arrival.seq != tcb.rcv_nxt and not _resets_all_the_same(tcb, arrival.seq):
        # RFC 5961 §3.2: in the window but not exact.
        tcb.verdict = reasons.RESET_NOT_EXACT
        _challenge(tcb, arrival, now)
        return
    tcb.verdict = reasons.RESET_RECEIVED
    if tcb.state == states.SYN_RECEIVED:
        error = ECONNREFUSED
    elif tcb.state == states.CLOSE_WAIT:
        error = EPIPE
    # In CLOSING and LAST-ACK the RFC has nobody to tell; but what was written may not have arrived.
    else:
        error = ECONNRESET
    end(tcb, states.RCV_RST, error, now, reasons.RESET_RECEIVED)


def _resets_all_the_same(tcb: Tcb, seq: int) -> bool:
    """Places but RCV.NXT at which a RST counts, by the host's nature.

    Linux takes it at the right edge of the data that wait for a gap to be filled, since that is where a peer is who has
    sent them; and, from a peer that sent its FIN, at the number of that FIN, where some stacks send it.
    """
    parameters = tcb.parameters
    if parameters.tcp_insecure_rst:
        return True
    if parameters.tcp_rst_exact:
        return False
    if seq == tcb.rcv_nxt - 1:
        return tcb.state in _AFTER_PEERS_FIN
    return tcb.sack_permitted and len(tcb.reassembly) > 0 and seq == max(b.end for b in tcb.reassembly.recent)


# Fourth, check the SYN bit.


def _check_syn(tcb: Tcb, arrival: Arrival, now: int) -> None:
    tcb.verdict = reasons.SYN_IN_CONNECTION
    if tcb.parameters.tcp_insecure_syn:
        # RFC 793 §3.9, fourth: an error, which resets the connection.
        tcb.why = reasons.RESET_ABORT
        arrival.reply = closed.segment_arrives(arrival.segment)
        end(tcb, states.RCV_RST, ECONNRESET, now, reasons.SYN_IN_CONNECTION)
        return
    # RFC 5961 §4.2
    _challenge(tcb, arrival, now)


# Fifth, check the ACK field.


def _check_ack(tcb: Tcb, arrival: Arrival, now: int) -> bool:
    segment = arrival.segment
    if not segment.flags & ACK:
        tcb.verdict = reasons.NO_ACK
        return False
    ack = arrival.ack
    if tcb.snd_una == tcb.iss:
        # SYN-RECEIVED, or FIN-WAIT-1 when the user closed before the handshake was over.
        if not tcb.snd_una < ack <= tcb.snd_nxt:
            tcb.verdict = reasons.ACK_NOT_ACCEPTABLE
            tcb.why = reasons.RESET_NO_CONNECTION
            arrival.reply = make_reset(tcb, ack, now, acknowledge=False)
            return False
        if segment.flags & SYN:
            ecn.learn_from_crossing_syn_ack(tcb, segment.flags)
        if tcb.state == states.SYN_RECEIVED:
            tcb.change_state(states.RCV_ACK_OF_SYN, now, reasons.ACK_OF_SYN_RECEIVED)
        process_acknowledgment(tcb, segment, arrival.seq, ack, now)
        established(tcb, segment, arrival.seq, ack, now)
        tcb.verdict = reasons.ACK_OF_SYN_RECEIVED
    elif ack > tcb.snd_nxt:
        tcb.verdict = reasons.ACK_NOT_ACCEPTABLE
        _challenge(tcb, arrival, now)
        return False
    elif ack < max(tcb.snd_una - tcb.max_snd_wnd, tcb.iss):
        # RFC 5961 §5.2. As Linux adds: nor one of what was never sent at all.
        tcb.verdict = reasons.ACK_NOT_ACCEPTABLE
        _challenge(tcb, arrival, now)
        return False
    else:
        process_acknowledgment(tcb, segment, arrival.seq, ack, now)
    return _check_ack_of_fin(tcb, arrival, now)


def _check_ack_of_fin(tcb: Tcb, arrival: Arrival, now: int) -> bool:
    if not tcb.fin_acknowledged:
        return True
    if tcb.state == states.FIN_WAIT_1:
        if not _brings_fin(tcb, arrival):
            tcb.verdict = reasons.ACK_OF_FIN_RECEIVED
            tcb.change_state(states.RCV_ACK_OF_FIN, now, reasons.ACK_OF_FIN_RECEIVED)
            start_fin_wait_2_timer(tcb, now)
            return tcb.state != states.CLOSED
    elif tcb.state == states.CLOSING:
        tcb.verdict = reasons.ACK_OF_FIN_RECEIVED
        tcb.change_state(states.RCV_ACK_OF_FIN, now, reasons.ACK_OF_FIN_RECEIVED)
        tcb.timers.stop_all()
    elif tcb.state == states.LAST_ACK:
        tcb.verdict = reasons.ACK_OF_FIN_RECEIVED
        end(tcb, states.RCV_ACK_OF_FIN, 0, now, reasons.ACK_OF_FIN_RECEIVED)
        return False
    return True


def _brings_fin(tcb: Tcb, arrival: Arrival) -> bool:
    """Whether this segment will make RCV.NXT pass the peer's FIN in the steps to come."""
    segment = arrival.segment
    if not segment.flags & FIN or arrival.start > tcb.rcv_nxt:
        return False
    if segment.payload_length == 0:
        return True
    return not tcb.orphaned and tcb.rcv_wnd > 0 and arrival.end - 1 <= tcb.rcv_adv
