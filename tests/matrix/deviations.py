"""Where synfin, as its `linux` profile is, does something else than `tests.matrix.rfc` expects, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.matrix import cells
from tests.matrix.cells import ACK, FIN, RST, SYN, Cell
from tests.matrix.outcome import ACK_REPLY, ECONNRESET, EPIPE, SYN_ACK_REPLY, Outcome
from tests.matrix.rfc import expected
from tests.matrix.walk import EARLIER, LATER, NO_TIMESTAMPS


class Deviation(NamedTuple):
    """In the cells to which it `applies`, `instead` makes of the RFC's outcome what is done."""

    name: str
    clause: str
    reason: str
    applies: Callable[[Cell, str], bool]
    instead: Callable[[Outcome, Cell, str], Outcome]


def _only(cell: Cell, flags: int) -> bool:
    """Of SYN, FIN, RST and ACK the segment has just these."""
    return cell.flags & (SYN | FIN | RST | ACK) == flags


def _reopens(cell: Cell, timestamp: str) -> bool:
    """A SYN for which TIME-WAIT gives way to a listener."""
    if cell.situation != cells.TIME_WAIT or cell.flags & (SYN | RST | ACK) != SYN or timestamp == EARLIER:
        return False
    return timestamp == LATER or cell.place not in (cells.LEFT, cells.ACROSS_LEFT_EDGE, cells.LEFT_EDGE)


def _text_with_syn(cell: Cell, timestamp: str) -> bool:
    opening = cell.situation in (cells.LISTEN, cells.SYN_SENT) or _reopens(cell, timestamp)
    return opening and cell.flags & (SYN | RST | ACK) == SYN and (cell.data or cell.flags & FIN != 0)


def _syn_fin(cell: Cell, timestamp: str) -> bool:
    return _only(cell, SYN | FIN) and (cell.situation == cells.LISTEN or _reopens(cell, timestamp))


def _syn_again(cell: Cell, timestamp: str) -> bool:
    first_number = cell.place == cells.ACROSS_LEFT_EDGE or (cell.place == cells.LEFT and cell.length == 1)
    passive = cell.situation == cells.SYN_RECEIVED and timestamp != EARLIER
    return passive and cell.flags & (SYN | ACK | RST) == SYN and first_number


def _empty_at_right_edge(cell: Cell, timestamp: str) -> bool:
    behind = cell.place == cells.BEHIND_RIGHT_EDGE and cell.situation != cells.SYN_RECEIVED
    if cell.ack in (cells.ANCIENT, cells.NEVER_SENT) and cell.situation != cells.SYN_RECEIVED_ACTIVE:
        # Answered with an ACK either way.
        return False
    return behind and cell.length == 0 and not cell.flags & RST and timestamp != EARLIER


def _exact_reset(cell: Cell) -> bool:
    return cell.flags & RST != 0 and cell.place == cells.LEFT_EDGE


def _reset_at_fin(cell: Cell, timestamp: str) -> bool:
    """Its number is that of the peer's FIN, RCV.NXT - 1."""
    at_fin = (cell.place == cells.LEFT and cell.length <= 1) or (
        cell.place == cells.ACROSS_LEFT_EDGE and cell.flags & SYN != 0
    )
    finished = cell.situation in (cells.CLOSE_WAIT, cells.CLOSING, cells.LAST_ACK)
    return finished and at_fin and cell.flags & RST != 0


def _in_window(cell: Cell) -> bool:
    """Acceptable, also by `_empty_at_right_edge`."""
    if cell.place == cells.BEHIND_RIGHT_EDGE:
        return cell.length == 0
    return cell.place not in (cells.LEFT, cells.BEYOND)


def _ack_out_of_range(cell: Cell, timestamp: str) -> bool:
    applies = cell.situation == cells.TIME_WAIT and cell.ack in (cells.ANCIENT, cells.NEVER_SENT)
    fin_again = cell.place == cells.LEFT and cell.flags & FIN != 0
    return applies and timestamp != EARLIER and not cell.flags & (SYN | RST) and (_in_window(cell) or fin_again)


#: What a FIN behind a FIN may acknowledge without being stopped before the eighth step.
_REACH_EIGHTH: Final = MappingProxyType(
    {
        cells.CLOSE_WAIT: (cells.OLD, cells.CURRENT, cells.PART, cells.NEW),
        cells.CLOSING: (cells.NEW,),
        cells.LAST_ACK: (cells.OLD, cells.CURRENT, cells.PART),
        cells.TIME_WAIT: cells.ACKS + cells.MORE_ACKS,
    }
)


def _fin_after_fin(cell: Cell, timestamp: str) -> bool:
    exact = cell.place == cells.LEFT_EDGE and not cell.data and timestamp != EARLIER
    return exact and _only(cell, FIN | ACK) and cell.ack in _REACH_EIGHTH.get(cell.situation, ())


def _syn_at_rcv_nxt(cell: Cell, timestamp: str) -> bool:
    exact = cell.situation == cells.TIME_WAIT and cell.place == cells.LEFT_EDGE and timestamp == NO_TIMESTAMPS
    return exact and cell.flags & (SYN | RST | ACK) == SYN


def _earlier_syn(cell: Cell, timestamp: str) -> bool:
    return cell.situation == cells.TIME_WAIT and timestamp == EARLIER and cell.flags & (SYN | RST | ACK) == SYN


def _without_ack(cell: Cell, timestamp: str) -> bool:
    elsewhere = cells.WITHOUT_WINDOW | {cells.SYN_RECEIVED, cells.TIME_WAIT}
    if cell.flags & (SYN | RST | ACK) or cell.situation in elsewhere or _empty_at_right_edge(cell, timestamp):
        return False
    return expected(cell, timestamp)[0].reply == ACK_REPLY


def _after_the_fin(cell: Cell, timestamp: str) -> bool:
    applies = cell.situation == cells.TIME_WAIT and not cell.flags & (SYN | RST) and timestamp != EARLIER
    return applies and _in_window(cell) and (cell.length > 0 or cell.place != cells.LEFT_EDGE)


#: In the order in which they apply: a later one may change what an earlier one made.
DEVIATIONS: Final = (
    Deviation(
        "text-with-syn",
        "RFC 9293 §3.10.7.2 third, §3.10.7.3 fourth",
        "Text and FIN that come with a SYN without ACK are not kept for later: whoever sends SYNs from invented "
        "addresses would fill the memory. They are not acknowledged, so a peer that means them sends them again. "
        "Linux does the same without TCP Fast Open.",
        _text_with_syn,
        lambda outcome, cell, timestamp: outcome._replace(held=0, fin_held=False),
    ),
    Deviation(
        "syn-fin",
        "RFC 9293 §3.10.7.2 third",
        "A listener drops a SYN with a FIN, as Linux does since 2012: no program sends it, port scanners do. As in "
        "Linux, one that a TIME-WAIT takes for a new connection ends the TIME-WAIT all the same.",
        _syn_fin,
        lambda outcome, cell, timestamp: Outcome(
            None, cells.LISTEN if cell.situation == cells.LISTEN else cells.CLOSED
        ),
    ),
    Deviation(
        "syn-again",
        "RFC 9293 §3.10.7.4 first",
        "The SYN of a request again is answered with the SYN+ACK again, not with an ACK: that one was probably lost, "
        "and an ACK means nothing to a peer in SYN-SENT. Linux: tcp_check_req.",
        _syn_again,
        lambda outcome, cell, timestamp: Outcome(SYN_ACK_REPLY, cells.SYN_RECEIVED),
    ),
    Deviation(
        "empty-at-right-edge",
        "RFC 9293 §3.10.7.4 first, table 6",
        "A segment without length whose number is RCV.NXT + RCV.WND is taken: a peer that has filled our window sends "
        "its ACKs so. Linux: tcp_sequence.",
        _empty_at_right_edge,
        lambda outcome, cell, timestamp: expected(cell._replace(place=cells.RIGHT_EDGE), timestamp)[0],
    ),
    Deviation(
        "reset-in-close-wait",
        "RFC 9293 §3.10.7.4 second",
        "A reset in CLOSE-WAIT is told as EPIPE and not as ECONNRESET: the user knows already that nothing more will "
        "come, and learns that nothing more will go. Linux: tcp_reset.",
        lambda cell, timestamp: cell.situation == cells.CLOSE_WAIT and _exact_reset(cell),
        lambda outcome, cell, timestamp: outcome._replace(heard=frozenset({EPIPE})),
    ),
    Deviation(
        "reset-after-close",
        "RFC 9293 §3.10.7.4 second",
        "A reset in CLOSING and LAST-ACK is told, as ECONNRESET: what the user wrote may not have arrived. The RFC "
        "thinks nobody is left to tell; the socket interface has somebody. Linux: tcp_reset.",
        lambda cell, timestamp: cell.situation in (cells.CLOSING, cells.LAST_ACK) and _exact_reset(cell),
        lambda outcome, cell, timestamp: outcome._replace(heard=frozenset({ECONNRESET})),
    ),
    Deviation(
        "reset-at-fin",
        "RFC 9293 §3.10.7.4 second, 1",
        "Behind the peer's FIN a RST with the number of the FIN is taken as exact: some hosts do not count their "
        "FIN when they reset. Linux: tcp_reset_check.",
        _reset_at_fin,
        lambda outcome, cell, timestamp: Outcome(
            None, cells.CLOSED, frozenset({EPIPE if cell.situation == cells.CLOSE_WAIT else ECONNRESET})
        ),
    ),
    Deviation(
        "ack-in-time-wait",
        "RFC 9293 §3.5.2, 3; RFC 5961 §5.2",
        "TIME-WAIT does not look at the acknowledgment number, of which it has nothing to gain or lose. Linux: "
        "tcp_timewait_state_process.",
        _ack_out_of_range,
        lambda outcome, cell, timestamp: expected(
            cell._replace(
                ack=cells.CURRENT, place=cells.RIGHT_EDGE if cell.place == cells.BEHIND_RIGHT_EDGE else cell.place
            ),
            timestamp,
        )[0],
    ),
    Deviation(
        "fin-after-fin",
        "RFC 9293 §3.10.7.4 eighth",
        "The text would move RCV.NXT over a second FIN behind the first one. Nothing can follow a FIN (§3.6), so this "
        "is no peer's, and is ignored like text in its place. Linux: tcp_rcv_state_process.",
        _fin_after_fin,
        lambda outcome, cell, timestamp: outcome._replace(reply=None, fin_taken=False, restarted=False),
    ),
    Deviation(
        "syn-at-rcv-nxt",
        "RFC 9293 §3.6.1 MAY-2; RFC 6191 §2",
        "Without timestamps a SYN opens a connection in TIME-WAIT anew if its number is above RCV.NXT, not at it: one "
        "more than the RFC asks for. Linux: tcp_timewait_state_process.",
        _syn_at_rcv_nxt,
        lambda outcome, cell, timestamp: Outcome(ACK_REPLY, cells.TIME_WAIT),
    ),
    Deviation(
        "earlier-syn-in-time-wait",
        "RFC 6191 §2",
        "A SYN with an earlier timestamp is answered with an ACK in TIME-WAIT as everywhere else (RFC 7323 §5.3), not "
        "dropped in silence: a peer in SYN-SENT resets what it learns of. Linux: tcp_timewait_state_process.",
        _earlier_syn,
        lambda outcome, cell, timestamp: Outcome(ACK_REPLY, cells.TIME_WAIT),
    ),
    Deviation(
        "without-ack",
        "RFC 9293 §3.10.7.4 first",
        "What bears none of ACK, RST and SYN is dropped before its number is looked at, and not answered: no TCP sends "
        'it, and an acknowledgment only "should" be sent. Linux: tcp_rcv_established, tcp_rcv_state_process.',
        _without_ack,
        lambda outcome, cell, timestamp: outcome._replace(reply=None),
    ),
    Deviation(
        "after-the-fin-in-time-wait",
        "RFC 9293 §3.10.7.4 seventh",
        "TIME-WAIT answers whatever comes in the window behind the peer's FIN, where the text ignores it: a peer that "
        "sends such a thing learns that all is over. Linux: tcp_timewait_state_process.",
        _after_the_fin,
        lambda outcome, cell, timestamp: outcome._replace(reply=ACK_REPLY),
    ),
)


def steps(cell: Cell, timestamp: str = NO_TIMESTAMPS) -> Iterator[tuple[Deviation, Outcome, Outcome]]:
    """Each deviation that applies to `cell`, with the outcome before and after it."""
    outcome, _ = expected(cell, timestamp)
    for deviation in DEVIATIONS:
        if deviation.applies(cell, timestamp):
            before, outcome = outcome, deviation.instead(outcome, cell, timestamp)
            yield deviation, before, outcome


def done(cell: Cell, timestamp: str = NO_TIMESTAMPS) -> Outcome:
    """What synfin does in `cell`: the RFC's outcome, with all deviations that apply."""
    outcome, _ = expected(cell, timestamp)
    for _, _, after in steps(cell, timestamp):
        outcome = after
    return outcome
