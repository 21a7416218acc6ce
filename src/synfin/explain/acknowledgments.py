"""What the acknowledgment and the window of a segment tell: progress, duplicates, SACK, round trips, stalls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin.explain import kinds
from synfin.explain.values import MILLISECOND, milliseconds, parsed, ts_val
from synfin.wire.sequence import HALF, MASK
from synfin.wire.tcp import FIN, SYN

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.dissect import Seen
    from synfin.explain.end import End

#: One SACK block as everybody aligns it; timestamps alone have that length too.
_LEAST_BLOCKS: Final = 12
_LARGEST_WINDOW: Final = 1 << 30
#: A delayed ACK waits for less than 500 ms (RFC 9293 §3.8.6.3), and on Linux for 40 at least; with some room.
_LEAST_DELAY: Final = 30 * MILLISECOND
_MOST_DELAY: Final = 600 * MILLISECOND


def acknowledges(connection: Connection, seen: Seen, me: End, peer: End, at: int, length: int) -> None:
    """End `at` sent a segment of `length` octets, SYN and FIN among them, with an acknowledgment."""
    if peer.nxt is None:
        # The capture begins here, as far as the other end is concerned.
        peer.nxt = peer.una = seen.ack
    ack = peer.una + ((seen.ack - peer.una + HALF) & MASK) - HALF
    news = ack - peer.una
    if news > 0:
        if news < _LARGEST_WINDOW:
            _progress(connection, seen, me, peer, at, ack, length)
    elif not news and not length and me.wnd >= 0:
        _nothing_new(connection, seen, me, peer, at, ack)
    options = seen.options
    if len(options) >= _LEAST_BLOCKS and not seen.flags & SYN and (len(options) > _LEAST_BLOCKS or ts_val(options) < 0):
        _blocks(connection, seen, peer, at, ack)
    if not seen.wnd:
        if not seen.flags & (SYN | FIN):
            connection.find(kinds.CLOSED_WINDOW, seen, at)
            if me.zero_since < 0:
                me.zero_since = seen.time
    elif me.zero_since >= 0:
        if not seen.flags & (SYN | FIN):
            connection.find(kinds.WINDOW_OPEN, seen, at, elapsed=milliseconds(seen.time - me.zero_since))
        me.zero_since = -1
    peer.asked = 0
    peer.probed = False
    if connection.watched:
        _states(connection, seen, peer, at, ack)


def _progress(connection: Connection, seen: Seen, me: End, peer: End, at: int, ack: int, length: int) -> None:
    nxt = peer.nxt
    assert nxt is not None
    last = peer.acknowledge(ack)
    unseen = 0
    if peer.holes:
        unseen = peer.missed(ack)
    if ack > nxt:
        unseen += ack - nxt
        peer.nxt = ack
    if unseen and not connection.is_opening:
        connection.find(kinds.UNSEEN_ACKED, seen, at, octets=unseen)
    peer.una = ack
    peer.una_number = seen.number
    me.duplicates = 0
    if peer.recovery is not None and ack >= peer.recovery:
        peer.recovery = None
    if last is None or last.times > 1:
        return
    # RFC 6298 §3 (Karn): only what was sent once tells the round trip.
    elapsed = seen.time - last.time
    if not length and ack == nxt and peer.min_rtt >= 0 and _LEAST_DELAY < elapsed - peer.min_rtt < _MOST_DELAY:
        peer.waited = (seen.time, elapsed)
    if peer.min_rtt < 0 or elapsed < peer.min_rtt:
        peer.min_rtt = elapsed


def _nothing_new(connection: Connection, seen: Seen, me: End, peer: End, at: int, ack: int) -> None:
    """RFC 5681 §2: an ACK is a duplicate if data is outstanding, it has none of its own, acknowledges what was
    acknowledged before, and offers the window that was offered before. RFC 6675 §2: or if SACK reports something new.
    """
    if peer.nxt == ack or peer.probed:
        return
    if seen.wnd != me.wnd and not _reports(seen, peer, ack):
        return
    me.duplicates += 1
    peer.sack_time = seen.time
    connection.find(kinds.REPEATED_ACK, seen, at, count=me.duplicates)


def _reports(seen: Seen, peer: End, ack: int) -> bool:
    """Whether its SACK blocks reach further than those before."""
    return any(
        ack + ((right - ack + HALF) & MASK) - HALF > max(peer.sacked, ack) for _, right in parsed(seen.options).sack
    )


def _blocks(connection: Connection, seen: Seen, peer: End, at: int, ack: int) -> None:
    blocks = parsed(seen.options).sack
    if not blocks:
        return
    if connection.sack is False:
        connection.find(kinds.SACK_UNASKED, seen, at)
    edges = [
        (ack + ((left - ack + HALF) & MASK) - HALF, ack + ((right - ack + HALF) & MASK) - HALF)
        for left, right in blocks
    ]
    left, right = edges[0]
    # RFC 2883 §4: the first block is what arrived twice, if it lies below the acknowledgment or within the second.
    if right <= ack or (len(edges) > 1 and edges[1][0] <= left and right <= edges[1][1]):
        connection.find(kinds.D_SACK, seen, at)
        del edges[0]
    for _, edge in edges:
        if peer.sacked < edge <= (peer.nxt or 0):
            peer.sacked = edge
            peer.sack_time = seen.time


def _states(connection: Connection, seen: Seen, peer: End, at: int, ack: int) -> None:
    """What the acknowledgment proves of the states."""
    observer = connection.observer
    if not peer.syns:
        observer.text_sent(at, seen.number)
    elif peer.first_seq is not None and ack > peer.first_seq:
        observer.syn_acknowledged(at, seen.number, peer.syn_number)
    if peer.fin is not None and ack >= peer.fin:
        # RFC 9293 §3.10.7.4: a FIN behind a gap waits until that is filled.
        observer.fin_acknowledged(at, seen.number, max(peer.fin_number, peer.repair_number))
    connection.settle()
