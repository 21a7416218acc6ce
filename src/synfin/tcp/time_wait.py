"""TIME-WAIT: a small value that guards a four-tuple for 2 MSL (RFC 9293 §3.6.1, §3.10.7.4).

Hosts keep many of these. So one is kept packed, as octets, and unpacked only when a segment for it arrives.
"""

from __future__ import annotations

from struct import Struct

from synfin import reasons
from synfin.reasons import Reason
from synfin.tcp.clock import TS_RECENT_LIFE, timestamp
from synfin.tcp.parameters import MILLISECOND, SECOND, TcpParameters
from synfin.tcp.tcb import Tcb
from synfin.wire.sequence import MASK, before, unwrap, wrap
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment
from synfin.wire.tcp_options import NO_OPTIONS, Options

_packed = Struct("!qqqqIIIIIH?Bi")

#: RFC 9293 §3.6.1: a reopened connection begins above all numbers of the old one; Linux leaves this much room.
REOPEN_GAP = 65535 + 2


class TimeWait:
    """What is left of a connection. `entered_at` is when it began, `expiry` its end; `answered_at` when nonsense last
    got an answer; `ts_recent_at` is -1 without timestamps. Times in nanoseconds, numbers 32 bits."""

    __slots__ = (
        "answered_at",
        "entered_at",
        "expiry",
        "flow_label",
        "rcv_nxt",
        "rcv_wnd",
        "snd_nxt",
        "timestamps",
        "traffic_class",
        "ts_offset",
        "ts_recent",
        "ts_recent_at",
        "window_field",
    )

    def __init__(self, packed: bytes) -> None:
        (
            self.expiry,
            self.entered_at,
            self.answered_at,
            self.ts_recent_at,
            self.snd_nxt,
            self.rcv_nxt,
            self.rcv_wnd,
            self.ts_recent,
            self.ts_offset,
            self.window_field,
            self.timestamps,
            self.traffic_class,
            self.flow_label,
        ) = _packed.unpack(packed)

    def pack(self) -> bytes:
        return _packed.pack(
            self.expiry,
            self.entered_at,
            self.answered_at,
            self.ts_recent_at,
            self.snd_nxt,
            self.rcv_nxt,
            self.rcv_wnd,
            self.ts_recent,
            self.ts_offset,
            self.window_field,
            self.timestamps,
            self.traffic_class,
            self.flow_label,
        )


def from_connection(tcb: Tcb, now: int) -> bytes:
    """The packed TIME-WAIT of a connection that has just entered this state."""
    return _packed.pack(
        now + tcb.parameters.tcp_timewait_len * SECOND,
        now,
        -1,
        tcb.ts_recent_at,
        wrap(tcb.snd_nxt),
        wrap(tcb.rcv_nxt),
        tcb.rcv_wnd,
        tcb.ts_recent,
        tcb.ts_offset & MASK,
        min((tcb.rcv_wnd + (1 << tcb.rcv_wscale) - 1) >> tcb.rcv_wscale, 65535),
        tcb.timestamps,
        tcb.settings.traffic_class & 0xFC,
        tcb.settings.flow_label,
    )


def marks(packed: bytes) -> tuple[int, int]:
    """The traffic class, without ECN, and the flow label (-1: an automatic one) that its user had set."""
    tw = TimeWait(packed)
    return tw.traffic_class, tw.flow_label


def expiry(packed: bytes) -> int:
    """When the TIME-WAIT ends (nanoseconds)."""
    value: int = _packed.unpack(packed)[0]
    return value


def reopened_by_us(packed: bytes, loopback: bool, parameters: TcpParameters, now: int, asked: bool = False) -> int:
    """The initial number with which we may connect anew over the four-tuple of this TIME-WAIT; -1 if we may not.

    ``tcp_tw_reuse``, as Linux has it: only where timestamps were used, so that the peer can tell old segments from new
    ones (RFC 7323 §5.2, RFC 6191 §2), and where ours will be later than the last one. `loopback`: both ends are here.
    `asked`: the user bound the socket to this port, and gets it whatever ``tcp_tw_reuse`` says, as on Linux.
    """
    reuse = parameters.tcp_tw_reuse
    tw = TimeWait(packed)
    if not tw.timestamps or not parameters.tcp_timestamps:
        return -1
    if not asked and (reuse == 0 or (reuse == 2 and not loopback)):
        return -1
    if not asked and now - tw.entered_at <= parameters.tcp_tw_reuse_delay * MILLISECOND:
        return -1
    iss: int = (tw.snd_nxt + REOPEN_GAP) & MASK
    return iss


class Outcome:
    """What a segment did to a TIME-WAIT: its `reply`; `packed` as it is now, or None if it ended; `iss`, not
    negative if the segment is a SYN that may open the connection anew with this initial number; why."""

    __slots__ = ("iss", "packed", "reply", "verdict", "why")

    def __init__(
        self, packed: bytes | None, verdict: Reason, reply: Segment | None = None, why: Reason = reasons.ACCEPTED
    ) -> None:
        self.packed = packed
        self.verdict = verdict
        self.reply = reply
        self.why = why
        self.iss = -1


def segment_arrives(
    packed: bytes, segment: Segment, parameters: TcpParameters, now: int, listening: bool = True
) -> Outcome:
    """SEGMENT ARRIVES in TIME-WAIT (RFC 9293 §3.10.7.4). `listening` says that a SYN would find a listener."""
    tw = TimeWait(packed)
    flags = segment.flags
    rcv_nxt = tw.rcv_nxt
    seq = unwrap(segment.seq, rcv_nxt)
    ts_val = segment.options.ts_val if tw.timestamps else None
    old = (
        ts_val is not None
        and before(ts_val, tw.ts_recent)
        and now - tw.ts_recent_at < TS_RECENT_LIFE
        and not flags & RST
    )
    if listening and flags & (SYN | ACK | RST) == SYN and not old:
        # RFC 9293 §3.6.1 (MAY-2), RFC 6191 §2: a SYN with a later timestamp, or beyond all numbers received.
        newer = ts_val is not None and before(tw.ts_recent, ts_val)
        if parameters.tcp_reopen_by_timestamps and not tw.timestamps and parameters.tcp_timestamps:
            newer = segment.options.ts_val is not None
        if newer or seq > rcv_nxt:
            outcome = Outcome(None, reasons.TIME_WAIT_REOPENED)
            outcome.iss = (tw.snd_nxt + REOPEN_GAP) & MASK
            return outcome
    # First, check sequence number.
    # RFC 5961 §3.2: a RST is judged by its number alone.
    length = 0 if flags & RST else segment.length
    if flags & (SYN | FIN | RST | ACK) == FIN | ACK and seq + length == rcv_nxt and not old:
        # The only thing that can arrive is the peer's FIN again: acknowledge it, and 2 MSL start anew.
        tw.expiry = now + parameters.tcp_timewait_len * SECOND
        return Outcome(
            tw.pack(), reasons.TIME_WAIT_RESTARTED, _acknowledgment(tw, segment, now), reasons.TIME_WAIT_RESTARTED
        )
    last = seq + max(length, 1) - 1
    edge = rcv_nxt + tw.rcv_wnd
    inside = seq == rcv_nxt or rcv_nxt <= seq < edge or rcv_nxt <= last < edge
    if seq == edge and length == 0 and not flags & RST:
        # Beyond the RFC's table, as in `arrival`.
        inside = True
    if old or not inside:
        verdict = reasons.OLD_TIMESTAMP if old else reasons.OUTSIDE_WINDOW
        return _answered(tw, segment, parameters, now, verdict, reasons.ACK_OF_UNACCEPTABLE)
    # Second, check the RST bit (with RFC 5961 §3.2).
    if flags & RST and parameters.tcp_rfc1337:
        # RFC 1337 §3 (F1)
        return Outcome(tw.pack(), reasons.NOTHING_FOR_TIME_WAIT)
    if flags & RST:
        if seq == rcv_nxt:
            return Outcome(None, reasons.RESET_RECEIVED)
        return _answered(tw, segment, parameters, now, reasons.RESET_NOT_EXACT, reasons.CHALLENGE_ACK)
    # Fourth, check the SYN bit (RFC 5961 §4.2).
    if flags & SYN:
        return _answered(tw, segment, parameters, now, reasons.SYN_IN_CONNECTION, reasons.CHALLENGE_ACK)
    if length or seq != rcv_nxt:
        # Nothing may follow a FIN. As Linux does, tell the peer where we are.
        return _answered(tw, segment, parameters, now, reasons.NOTHING_FOR_TIME_WAIT, reasons.ACK_OF_UNACCEPTABLE)
    # Fifth, check the ACK field.
    if ts_val is not None:
        tw.ts_recent = ts_val
        tw.ts_recent_at = now
    return Outcome(tw.pack(), reasons.NOTHING_FOR_TIME_WAIT)


def _answered(
    tw: TimeWait, segment: Segment, parameters: TcpParameters, now: int, verdict: Reason, why: Reason
) -> Outcome:
    limited = tw.answered_at >= 0 and now - tw.answered_at < parameters.tcp_invalid_ratelimit * MILLISECOND
    outside_reset = segment.flags & RST and why is not reasons.CHALLENGE_ACK
    if limited or outside_reset:
        return Outcome(tw.pack(), verdict)
    tw.answered_at = now
    return Outcome(tw.pack(), verdict, _acknowledgment(tw, segment, now), why)


def _acknowledgment(tw: TimeWait, segment: Segment, now: int) -> Segment:
    options = NO_OPTIONS
    if tw.timestamps:
        options = Options(ts_val=timestamp(now, tw.ts_offset), ts_ecr=tw.ts_recent)
    return Segment(segment.destination_port, segment.source_port, tw.snd_nxt, tw.rcv_nxt, ACK, tw.window_field, options)
