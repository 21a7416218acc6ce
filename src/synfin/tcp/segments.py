"""How a connection makes its segments: header, window, options."""

from __future__ import annotations

from synfin.tcp import ecn, states, timers, urgent
from synfin.tcp.clock import timestamp
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.receive_window import initial_window
from synfin.tcp.tcb import Tcb
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, ECE, RST, SYN, URG, Segment
from synfin.wire.tcp_options import (
    END_OF_LIST,
    MAXIMUM_SEGMENT_SIZE,
    NO_OPERATION,
    NO_OPTIONS,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
    Options,
    timestamp_options,
)

#: RFC 2018 §3: at most so many blocks fit beside timestamps, and without them.
SACK_BLOCKS_WITH_TIMESTAMPS = 3
SACK_BLOCKS = 4
#: Octets of the option beside its blocks, aligned (RFC 2018 §3).
SACK_HEADER = 4


def select_window(tcb: Tcb) -> int:
    """The value of the window field for a segment sent now, after which RCV.ADV is what it promises."""
    space = tcb.window_space
    free = max(space - tcb.receive_queue.octets, 0)
    if free > tcb.rcv_ssthresh and not tcb.parameters.tcp_round_window:
        free = tcb.rcv_ssthresh
    window = max(tcb.rcv_limit - tcb.rcv_nxt, 0)
    # RFC 9293 §3.8.6.2.2: hold the right edge until it can move by the smaller of half the buffer and a segment. BSD
    # (``tcp_round_window``) moves it as soon as so much is free.
    step = min(space // 2, tcb.advertised_mss)
    if free - window >= step or (tcb.parameters.tcp_round_window and free >= max(window, step)):
        window = free
    # RFC 9293 §3.8.6 (SHLD-14): the right edge never moves left, so the window is rounded up, not down. What the
    # peer sends into the rounding is taken.
    shift = tcb.rcv_wscale
    field = min((window + (1 << shift) - 1) >> shift, 65535)
    promised = field << shift
    tcb.rcv_limit = max(tcb.rcv_limit, tcb.rcv_nxt + min(window, promised))
    tcb.rcv_adv = max(tcb.rcv_adv, tcb.rcv_nxt + promised)
    return field


def make_syn(tcb: Tcb, now: int) -> Segment:
    """The SYN of an active open, or the SYN,ACK of a simultaneous one."""
    answer = tcb.state != states.SYN_SENT
    ts_val: int | None = None
    ts_ecr: int | None = None
    if tcb.timestamps:
        ts_val = timestamp(now, tcb.ts_offset)
        ts_ecr = tcb.ts_recent if answer else 0
    options = syn_options(tcb.parameters, tcb.advertised_mss, tcb.syn_wscale, tcb.sack_permitted, ts_val, ts_ecr)
    identity = tcb.identity
    window = initial_window(tcb.window_space, tcb.advertised_mss, tcb.parameters)
    tcb.rcv_adv = tcb.rcv_limit = tcb.rcv_nxt + window
    if answer:
        _acknowledgment_leaves(tcb, now)
    tcb.counts.segs_out += 1
    return Segment(
        identity.local_port,
        identity.remote_port,
        wrap(tcb.iss),
        wrap(tcb.rcv_nxt) if answer else 0,
        (SYN | ACK if answer else SYN) | ecn.flags_of_syn(tcb, answer),
        window,
        options,
    )


def syn_options(
    parameters: TcpParameters,
    mss: int,
    window_scale: int,
    sack_permitted: bool,
    ts_val: int | None,
    ts_ecr: int | None,
) -> Options:
    """The options of a SYN or SYN,ACK, in the order of the host that is played; `window_scale` is -1 for none."""
    layout: tuple[int, ...] = ()
    if parameters.tcp_freebsd_options:
        layout = _freebsd_layout(window_scale >= 0, sack_permitted, ts_val is not None)
    return Options(
        mss=mss,
        window_scale=window_scale if window_scale >= 0 else None,
        sack_permitted=sack_permitted,
        ts_val=ts_val,
        ts_ecr=ts_ecr,
        layout=layout,
    )


def _freebsd_layout(window_scale: bool, sack_permitted: bool, timestamps: bool) -> tuple[int, ...]:
    """mss, nop, wscale, sackOK, TS, and the list ended where octets are left over."""
    layout = [MAXIMUM_SEGMENT_SIZE]
    length = 4
    if window_scale:
        layout += (NO_OPERATION, WINDOW_SCALE)
        length += 4
    if sack_permitted:
        layout.append(SACK_PERMITTED)
        length += 2
    if timestamps:
        # Aligned, as all that follows are 32-bit words.
        aligned = 2 - length % 4
        layout += (NO_OPERATION,) * max(aligned, 0)
        length += max(aligned, 0)
        layout.append(TIMESTAMPS)
        length += 10
    layout += (END_OF_LIST,) * (-length % 4)
    return tuple(layout)


def make_segment(
    tcb: Tcb,
    seq: int,
    flags: int,
    now: int,
    payload: tuple[memoryview, ...] = (),
    payload_length: int = 0,
    segment_size: int = 0,
) -> Segment:
    """A segment of a synchronised connection. It acknowledges all that arrived, so nothing else has to."""
    identity = tcb.identity
    if payload_length == 0 and tcb.snd_wnd == 0 and seq == tcb.snd_nxt and is_window_probe(tcb):
        # The peer has not taken the octet, most likely, and would not look at what lies behind it.
        seq = tcb.snd_una
    window = select_window(tcb)
    options = _options(tcb, payload_length, now)
    _acknowledgment_leaves(tcb, now)
    up = 0
    if tcb.snd_up > tcb.snd_una:
        up = urgent.pointer(tcb, seq)
        if up:
            flags |= URG
    if tcb.ecn is not None and tcb.ecn.echo:
        # RFC 3168 §6.1.3
        flags |= ECE
    if payload_length:
        tcb.counts.data_out(payload_length, segment_size)
    else:
        tcb.counts.segs_out += 1
    return Segment(
        identity.local_port,
        identity.remote_port,
        wrap(seq),
        wrap(tcb.rcv_nxt),
        flags | ACK,
        window,
        options,
        payload,
        segment_size,
        up,
        payload_length,
    )


def is_window_probe(tcb: Tcb) -> bool:
    """Whether all that is in flight is the octet of a window probe (``tcp_probe_data``)."""
    sent = tcb.snd_nxt - tcb.snd_una
    return tcb.snd_wnd == 0 and sent == 1 and tcb.parameters.tcp_probe_data != 0 and tcb.snd_una > tcb.iss


def make_reset(tcb: Tcb, seq: int, now: int, acknowledge: bool) -> Segment:
    """A RST, with an acknowledgment (RFC 9293 §3.10.5) or, in answer to a segment's ACK, without one."""
    identity = tcb.identity
    options = NO_OPTIONS
    if acknowledge and tcb.timestamps and tcb.ts_recent_at >= 0:
        # RFC 7323 §3.2: an option in a RST may be sent, and lets the peer judge it by PAWS.
        options = Options(ts_val=timestamp(now, tcb.ts_offset), ts_ecr=tcb.ts_recent)
    tcb.counts.segs_out += 1
    return Segment(
        identity.local_port,
        identity.remote_port,
        wrap(seq),
        wrap(tcb.rcv_nxt) if acknowledge else 0,
        RST | ACK if acknowledge else RST,
        0,
        options,
    )


def sack_blocks(tcb: Tcb, room: int = 40) -> tuple[tuple[int, int], ...]:
    """The blocks to report (RFC 2018 §4), as many as `room` octets of options hold: a duplicate first (RFC 2883), then
    the latest changed ones."""
    fin = tcb.fin_sequence
    if not tcb.sack_permitted or (len(tcb.reassembly) == 0 and tcb.dsack is None and fin < 0):
        return ()
    most = min(SACK_BLOCKS_WITH_TIMESTAMPS if tcb.timestamps else SACK_BLOCKS, (room - SACK_HEADER) // 8)
    if most <= 0:
        return ()
    blocks: list[tuple[int, int]] = []
    if tcb.dsack is not None:
        blocks.append(tcb.dsack)
        tcb.dsack = None
    if fin >= 0 and fin != tcb.reassembly.end:
        # A FIN has its number, and came ahead of data like any octet.
        blocks.append((fin, fin + 1))
    blocks.extend((block.start, block.end + (block.end == fin)) for block in tcb.reassembly.recent)
    return tuple((wrap(start), wrap(end)) for start, end in blocks[:most])


def _options(tcb: Tcb, payload_length: int, now: int) -> Options:
    # RFC 2018 §4: on every segment with an ACK; but data keep their full size.
    sack = sack_blocks(tcb, tcb.mss - payload_length) if payload_length < tcb.mss else ()
    if tcb.timestamps:
        ts_val = timestamp(now, tcb.ts_offset)
        if sack:
            return Options(ts_val=ts_val, ts_ecr=tcb.ts_recent, sack=sack)
        return timestamp_options(ts_val, tcb.ts_recent)
    return Options(sack=sack) if sack else NO_OPTIONS


def _acknowledgment_leaves(tcb: Tcb, now: int) -> None:
    tcb.ack_now = False
    if tcb.last_ack_sent != tcb.rcv_nxt:
        tcb.last_ack_sent = tcb.rcv_nxt
        tcb.acknowledging.acknowledged()
    tcb.stop_timer(timers.DELAYED_ACK, now)
