"""RST, and how a connection stood when the capture, or what was seen of it, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin.explain import kinds
from synfin.explain.values import SECOND, seconds
from synfin.show.reason_words import N_
from synfin.tcp.states import CLOSE_WAIT, CLOSED, FIN_WAIT_2, SYN_RECEIVED, SYN_SENT
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.dissect import Seen

# How it ended.
CLOSED_BY_BOTH: Final = N_("closed")
RESET_BY: Final = N_("reset by {who}")
REFUSED: Final = N_("refused")
UNANSWERED: Final = N_("no answer")
STUCK: Final = N_("handshake failed")
HALF_OPEN: Final = N_("half-open")
HALF_CLOSED: Final = N_("half-closed")
STILL_OPEN: Final = N_("still open")
UNKNOWN: Final = N_("unknown")

#: An end that has not answered so many segments is taken to be gone.
_UNANSWERED: Final = 2
#: From when on it is worth a word that one end does not close.
_LONG: Final = 5 * SECOND


def resets(connection: Connection, seen: Seen, at: int) -> None:
    """End `at` sent an RST."""
    observer = connection.observer
    me, peer = connection.ends[at], connection.ends[1 - at]
    states = observer.states
    if connection.reset_by is not None or (states[at] == CLOSED and me.packets > 1):
        connection.find(kinds.RESET_AGAIN, seen, at)
    elif states[1 - at] == SYN_SENT and not me.syns:
        connection.find(kinds.REFUSED, seen, at)
    elif states[1 - at] == SYN_RECEIVED and not seen.flags & ACK:
        connection.find(kinds.SYN_ACK_REJECTED, seen, at)
    elif me.fin is not None:
        connection.find(kinds.RESET_AFTER_CLOSE, seen, at)
    elif not seen.flags & ACK and peer.last_number > me.last_number and seen.seq == me.una & MASK:
        # RFC 9293 §3.5.2: an RST to a segment of no connection has the number that this acknowledged, and no ACK.
        connection.find(kinds.RESET_FORGOTTEN, seen, at)
    else:
        connection.find(kinds.RESET_SENT, seen, at)
    observer.reset_sent(at, seen.number)
    connection.reset_by = at
    connection.reset_number = seen.number
    connection.reset_time = seen.time
    connection.settle()


def finish(connection: Connection) -> None:
    """There will be no more of this connection: say how it stood."""
    ends = connection.ends
    states = connection.observer.states
    opener = connection.opener
    if connection.reset_by is not None or connection.observer.is_over:
        return
    for at in (0, 1):
        me, peer = ends[at], ends[1 - at]
        if states[at] == SYN_SENT and not peer.packets:
            elapsed = seconds(me.last_time - me.syn_time)
            connection.find(kinds.NO_ANSWER, None, at, count=me.syns, seconds=elapsed)
            return
    if opener is not None and states[1 - opener] == SYN_RECEIVED:
        connection.find(kinds.SYN_ACK_UNANSWERED, None, 1 - opener, count=ends[1 - opener].syns)
        return
    for at in (0, 1):
        me, peer = ends[at], ends[1 - at]
        if peer.asked >= _UNANSWERED:
            connection.find(kinds.SILENT, None, at, first=me.last_number, count=peer.asked)
            return
    for at in (0, 1):
        me, peer = ends[at], ends[1 - at]
        if states[at] == CLOSE_WAIT and states[1 - at] == FIN_WAIT_2:
            elapsed_ns = connection.end_time - peer.fin_time
            if elapsed_ns >= _LONG:
                connection.find(kinds.HALF_CLOSED, None, at, seconds=seconds(elapsed_ns))
    connection.find(kinds.UNFINISHED, None, None)


def outcome(connection: Connection) -> tuple[str, int | None]:
    """How it ended: a text of the catalogues, and the end that did it, if the text has a gap for that."""
    counts = connection.counts
    for kind, text in (
        (kinds.REFUSED, REFUSED),
        (kinds.NO_ANSWER, UNANSWERED),
        (kinds.SYN_ACK_UNANSWERED, STUCK),
        (kinds.SYN_ACK_REJECTED, STUCK),
        (kinds.SILENT, HALF_OPEN),
        (kinds.HALF_CLOSED, HALF_CLOSED),
    ):
        if kind in counts:
            return text, None
    if connection.reset_by is not None:
        return RESET_BY, connection.reset_by
    if connection.observer.is_over:
        return CLOSED_BY_BOTH, None
    return (STILL_OPEN if connection.packets > 1 else UNKNOWN), None
