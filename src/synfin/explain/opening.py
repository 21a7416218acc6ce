"""SYN and SYN+ACK: who opens, what is offered, and what of it is agreed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin.explain import kinds
from synfin.explain.values import parsed
from synfin.wire.tcp import ACK, AE, CWR, ECE, SYN

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.dissect import Seen
    from synfin.explain.end import End

_ECN_SETUP: Final = ECE | CWR


def opens(connection: Connection, seen: Seen, at: int) -> None:
    """End `at` sent a SYN, with or without ACK."""
    me = connection.ends[at]
    peer = connection.ends[1 - at]
    observer = connection.observer
    again = me.syns > 0
    me.syns += 1
    me.syn_number = seen.number
    if not seen.flags & ACK:
        if connection.opener is None:
            connection.opener = at
        observer.syn_sent(at, seen.number)
    else:
        if connection.opener is None:
            connection.opener = 1 - at
        me.syn_acks += 1
        observer.syn_ack_sent(at, seen.number, peer.syn_number)
    options = parsed(seen.options)
    if not again:
        me.first_seq = me.nxt
        me.syn_time = seen.time
        me.offered = options
        me.options_length = seen.options_length
        me.cut = len(seen.options) < seen.options_length
        if options.mss is None and not me.cut:
            connection.find(kinds.MSS_MISSING, seen, at)
        if seen.flags & ACK and peer.syns and not me.cut and not peer.cut:
            _agree(connection, seen, me, peer)
    elif seen.options_length < me.options_length and not seen.flags & ACK:
        connection.find(kinds.SYN_STRIPPED, seen, at)
        me.offered = options
        me.options_length = seen.options_length
    connection.watched = True


def _agree(connection: Connection, seen: Seen, me: End, peer: End) -> None:
    """Compare what a SYN+ACK has with what the SYN offered."""
    offered, answered = peer.offered, me.offered
    if offered.window_scale is not None and answered.window_scale is None:
        connection.find(kinds.WINDOW_SCALE_REFUSED, seen, None)
    if offered.sack_permitted and not answered.sack_permitted:
        connection.find(kinds.SACK_REFUSED, seen, None)
    if offered.ts_val is not None and answered.ts_val is None:
        connection.find(kinds.TIMESTAMPS_REFUSED, seen, None)
    # RFC 3168 §6.1.1: a SYN asks with both flags, a SYN+ACK that has none of them, or both, does not agree. RFC 9768
    # §3.1.2 gives a meaning to the others.
    if connection.ecn_asked and seen.flags & (_ECN_SETUP | AE) in (0, _ECN_SETUP):
        connection.find(kinds.ECN_REFUSED, seen, None)
    connection.sack = offered.sack_permitted and answered.sack_permitted
    connection.timestamps = offered.ts_val is not None and answered.ts_val is not None


def asks_for_ecn(seen: Seen) -> bool:
    """Whether this SYN asks for ECN (RFC 3168 §6.1.1)."""
    return seen.flags & (SYN | ACK | _ECN_SETUP) == SYN | _ECN_SETUP
