"""Where the Linux kernel (tests/data/kernel_matrix.jsonl) does something else than synfin under its `linux` profile.

Each kind of difference says in which cells it applies, and makes of what was observed of synfin exactly what was
observed of the kernel. No more than one applies to a cell. The functions named are those of net/ipv4/tcp_input.c and
tcp_minisocks.c in Linux 6.18.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.matrix import cells
from tests.matrix.cells import (
    ACK,
    ACROSS_LEFT_EDGE,
    ANCIENT,
    BEHIND_RIGHT_EDGE,
    BEYOND,
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    CURRENT,
    ESTABLISHED,
    FIN,
    FIN_WAIT_1,
    FIN_WAIT_2,
    INSIDE,
    LAST_ACK,
    LEFT,
    LEFT_EDGE,
    NEVER_SENT,
    NEW,
    RIGHT_EDGE,
    RST,
    SYN,
    SYN_RECEIVED,
    SYN_RECEIVED_ACTIVE,
    SYN_SENT,
    TIME_WAIT,
    Cell,
    Variables,
    sequence_number,
)
from tests.matrix.observed import Observation

ACKNOWLEDGMENT: Final = "ACK seq=SND.NXT ack=RCV.NXT"
RESET: Final = "RST seq=SEG.ACK"

_AFTER_FIN: Final = frozenset({CLOSE_WAIT, CLOSING, LAST_ACK})
#: Those that a socket of its own is for: not a request, and not TIME-WAIT.
_SOCKETS: Final = _AFTER_FIN | {SYN_RECEIVED_ACTIVE, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2}
_IN_WINDOW: Final = frozenset({LEFT_EDGE, INSIDE, RIGHT_EDGE})
_OUTSIDE: Final = frozenset({LEFT, BEYOND, BEHIND_RIGHT_EDGE})

_NUMBERS: Final = Variables(rcv_nxt=1_000_000, rcv_wnd=32_768, snd_una=2_000_000, snd_nxt=2_001_000)


class Difference(NamedTuple):
    """In the cells to which it `applies`, `instead` makes of synfin's observation the kernel's."""

    name: str
    clause: str
    kernel: str
    synfin: str
    reason: str
    applies: Callable[[Cell], bool]
    instead: Callable[[Observation, Cell], Observation]


def _has(cell: Cell, flags: int, among: int) -> bool:
    """Of the flags `among`, the segment has just `flags`."""
    return cell.flags & among == flags


def _touches(cell: Cell) -> bool:
    """It ends at RCV.NXT or begins behind the right edge: beside the window, not in it."""
    return cell.place == BEHIND_RIGHT_EDGE or (cell.place == LEFT and cell.length > 0)


def _error(cell: Cell) -> str:
    return "EPIPE" if cell.situation == CLOSE_WAIT else "ECONNRESET"


def _silent(state: str, hears: str = "") -> Observation:
    return Observation((), (), state, hears)


# --- resets


def _number_of_fin(cell: Cell) -> bool:
    """A reset that counts all the same, in the kernel (tcp_reset_check) and in synfin."""
    exact = sequence_number(cell, _NUMBERS) == _NUMBERS.rcv_nxt - 1
    return cell.situation in _AFTER_FIN and cell.flags & RST != 0 and exact


def _reset_beside_window(cell: Cell) -> bool:
    if not cell.flags & RST or _number_of_fin(cell):
        return False
    if cell.situation == SYN_RECEIVED:
        return cell.place == ACROSS_LEFT_EDGE or (cell.place == BEHIND_RIGHT_EDGE and cell.length == 0)
    return cell.situation in _SOCKETS and (cell.place == ACROSS_LEFT_EDGE or _touches(cell))


# --- acknowledgments beside the window


def _acknowledges_beside_window(cell: Cell) -> bool:
    if cell.flags & (SYN | RST) or not _touches(cell):
        return False
    if cell.situation == SYN_RECEIVED:
        return cell.length == 0 and (not cell.flags & ACK or cell.ack == NEW)
    if not cell.flags & ACK or cell.length == 0:
        return False
    if cell.situation == SYN_RECEIVED_ACTIVE:
        return not _acknowledges_nothing(cell)
    if cell.situation in (FIN_WAIT_1, CLOSING, LAST_ACK) and cell.ack == NEW:
        return True
    # Text that is behind the FIN is ignored, and so is a second FIN, if it is let in.
    behind_fin = cell.situation in _AFTER_FIN and cell.place == BEHIND_RIGHT_EDGE
    return behind_fin and cell.ack not in (ANCIENT, NEVER_SENT)


def _as_if_in_window(ours: Observation, cell: Cell) -> Observation:
    situation = cell.situation
    if situation == SYN_RECEIVED:
        return _silent(ESTABLISHED, "accepts") if cell.flags & ACK else _silent(SYN_RECEIVED)
    if situation == SYN_RECEIVED_ACTIVE:
        if cell.ack == NEW:
            return Observation((ACKNOWLEDGMENT,), (), ESTABLISHED, "connected")
        return Observation((RESET,), (), SYN_RECEIVED, "")
    if situation == FIN_WAIT_1:
        return ours._replace(state=FIN_WAIT_2)
    if cell.ack == NEW and situation in (CLOSING, LAST_ACK):
        return _silent(TIME_WAIT if situation == CLOSING else CLOSED)
    return _silent(situation)


# --- text and FIN


def _text_over_fin(cell: Cell) -> bool:
    over = cell.situation in _AFTER_FIN and cell.place == ACROSS_LEFT_EDGE and cell.data
    done = cell.ack == NEW and cell.situation != CLOSE_WAIT
    return over and _has(cell, ACK, SYN | RST | ACK) and cell.ack not in (ANCIENT, NEVER_SENT) and not done


def _text_with_syn_ack(cell: Cell) -> bool:
    if cell.kind != "SYN+ACK" or not cell.data or cell.ack != NEW:
        return False
    again = cell.situation in (SYN_RECEIVED, SYN_RECEIVED_ACTIVE) and cell.place == ACROSS_LEFT_EDGE
    return cell.situation == SYN_SENT or again


def _without_text(ours: Observation, cell: Cell) -> Observation:
    if cell.situation == SYN_SENT:
        return Observation(("ACK seq=SND.NXT ack=SEG.SEQ+1",), (), ESTABLISHED, "connected")
    hears = "accepts" if cell.situation == SYN_RECEIVED else ""
    return Observation((ACKNOWLEDGMENT,), (), SYN_RECEIVED, hears)


def _brings_fin(cell: Cell) -> bool:
    """A FIN that is next."""
    return cell.flags & FIN != 0 and (cell.place == LEFT_EDGE or (cell.place == ACROSS_LEFT_EDGE and cell.data))


# --- the handshake


def _acknowledges_nothing(cell: Cell) -> bool:
    nothing = cell.situation == SYN_RECEIVED_ACTIVE and cell.ack == CURRENT and _has(cell, ACK, SYN | RST | ACK)
    return nothing and (cell.place in _IN_WINDOW or cell.place == ACROSS_LEFT_EDGE or _touches(cell))


def _opens_all_the_same(ours: Observation, cell: Cell) -> Observation:
    reply: tuple[str, ...] = ()
    taken = 0
    if cell.data or cell.flags & FIN:
        if cell.place == LEFT_EDGE:
            taken = cell.octets
        elif cell.place == ACROSS_LEFT_EDGE:
            taken = cells.DATA // 2
        end = taken + (cell.flags & FIN if cell.place in (LEFT_EDGE, ACROSS_LEFT_EDGE) else 0)
        reply = (f"{ACKNOWLEDGMENT}+{end}" if end else ACKNOWLEDGMENT,)
    closes = _brings_fin(cell)
    hears = ", ".join(["connected"] + [f"{taken} octets"] * (taken > 0) + ["EOF"] * closes)
    if closes:
        # The ACK waits for the FIN of our user.
        return Observation((), reply, CLOSE_WAIT, hears)
    return Observation(reply, (), ESTABLISHED, hears)


def _request_with_wrong_ack(cell: Cell) -> bool:
    wrong = cell.situation == SYN_RECEIVED and _has(cell, ACK, RST | ACK) and cell.ack != NEW
    return wrong and (cell.place in _OUTSIDE or (cell.flags & SYN != 0 and cell.place in _IN_WINDOW))


def _syn_in_request(cell: Cell) -> bool:
    syn = cell.situation == SYN_RECEIVED and _has(cell, SYN, SYN | RST) and cell.place in _IN_WINDOW
    return syn and cell.ack in (cells.NO_ACK, NEW)


def _reset_of_request(ours: Observation, cell: Cell) -> Observation:
    reset = RESET if cell.flags & ACK else f"RST+ACK seq=0 ack=SEG.SEQ+{cell.length}"
    return ours._replace(replies=(reset,))


DIFFERENCES: Final = (
    Difference(
        "reset-beside-window",
        "RFC 9293 §3.10.7.4 second, 1; RFC 5961 §3.2",
        "Answers with a challenge ACK.",
        "Drops it in silence.",
        "The RFC judges a reset by its number alone; the kernel (tcp_sequence, tcp_in_window) counts the length of "
        "its text too, and takes what only touches the window for a part of it. Nothing is reset either way; silence "
        "tells a blind attacker less.",
        _reset_beside_window,
        lambda ours, cell: ours._replace(replies=(ACKNOWLEDGMENT,)),
    ),
    Difference(
        "reset-in-time-wait",
        "RFC 9293 §3.10.7.4 second, 3; RFC 5961 §3.2",
        "Drops a reset in the window but not at RCV.NXT.",
        "Answers with a challenge ACK.",
        "The RFC asks for it in all synchronized states. It is what lets the peer send a reset that counts.",
        lambda cell: cell.situation == TIME_WAIT and cell.flags & RST != 0 and cell.place in (INSIDE, RIGHT_EDGE),
        lambda ours, cell: _silent(TIME_WAIT),
    ),
    Difference(
        "refused",
        "RFC 9293 §3.10.7.4 second, SYN-RECEIVED",
        "Tells the user ECONNRESET.",
        "Tells the user ECONNREFUSED.",
        'The RFC has the user of an active open told "connection refused", also after a simultaneous one.',
        lambda cell: cell.situation == SYN_RECEIVED_ACTIVE and cell.flags & RST != 0 and cell.place == LEFT_EDGE,
        lambda ours, cell: ours._replace(hears="ECONNRESET"),
    ),
    Difference(
        "ack-of-nothing",
        "RFC 9293 §3.10.7.4 fifth, SYN-RECEIVED; §3.5.2, 2",
        "After a simultaneous open, takes SEG.ACK = ISS for the acknowledgment of its SYN.",
        "Answers with a reset.",
        "The RFC wants SND.UNA < SEG.ACK. The kernel (tcp_rcv_state_process) only asks whether tcp_ack liked the "
        "number, and SND.UNA itself is to its liking.",
        _acknowledges_nothing,
        _opens_all_the_same,
    ),
    Difference(
        "beside-window",
        "RFC 9293 §3.10.7.4 first, table 6",
        "Takes the acknowledgment of a segment that touches the window: that ends at RCV.NXT, or begins at "
        "RCV.NXT + RCV.WND.",
        "Answers it as any other unacceptable segment, and drops it.",
        "By the RFC's table it is not acceptable. No information is lost: the same acknowledgment comes again with "
        "whatever answers ours. Linux: tcp_sequence, tcp_in_window.",
        _acknowledges_beside_window,
        _as_if_in_window,
    ),
    Difference(
        "ancient-ack",
        "RFC 5961 §5.2",
        "In ESTABLISHED, takes text in order whose acknowledgment is older than the largest window.",
        "Drops it with a challenge ACK.",
        "The RFC drops it, against data injected by the blind. In the kernel the fast path (tcp_rcv_established) does "
        "not look at what tcp_ack says; out of order, or in other states, it drops such text too.",
        lambda cell: (
            cell.situation == ESTABLISHED
            and cell.kind == "ACK"
            and cell.data
            and (cell.place, cell.ack) == (LEFT_EDGE, ANCIENT)
        ),
        lambda ours, cell: Observation((f"{ACKNOWLEDGMENT}+100",), (), ESTABLISHED, "100 octets"),
    ),
    Difference(
        "text-over-fin",
        "RFC 9293 §3.10.7.4 seventh",
        "Resets the connection when text goes on where the peer's FIN was.",
        "Ignores the text.",
        "The RFC says to ignore text in these states. The kernel does so only with text that begins behind the FIN; "
        "for other text it takes the reset that RFC 9293 §3.6.1 wants once nobody reads (tcp_rcv_state_process). To "
        "synfin that would be a way to break connections with a guessed number.",
        _text_over_fin,
        lambda ours, cell: Observation((RESET,), (), CLOSED, _error(cell)),
    ),
    Difference(
        "text-with-syn-ack",
        "RFC 9293 §3.10.7.3 fourth; §3.10.7.4 first",
        "Takes no text with a SYN+ACK. In a simultaneous open it answers such a segment with a challenge ACK; to a "
        "request it makes of it a socket that can be accepted in SYN-RECEIVED.",
        "Takes the text.",
        "The RFC goes on with the text after the SYN. The kernel does so with TCP Fast Open only.",
        _text_with_syn_ack,
        _without_text,
    ),
    Difference(
        "crossing-syn-ack",
        "RFC 9293 §3.5, figure 7",
        "Answers the SYN+ACK that ends a simultaneous open with an ACK.",
        "Sends nothing, as in the figure.",
        "Our SYN+ACK has acknowledged the peer's SYN already, and is sent again if it was lost.",
        lambda cell: (
            cell.situation == SYN_RECEIVED_ACTIVE
            and cell.kind == "SYN+ACK"
            and not cell.data
            and (cell.place, cell.ack) == (LEFT, NEW)
        ),
        lambda ours, cell: ours._replace(replies=(ACKNOWLEDGMENT,)),
    ),
    Difference(
        "wrong-ack-of-request",
        "RFC 9293 §3.10.7.4 first, fifth",
        "Looks at a request's acknowledgment before its number, and answers a wrong one with a reset.",
        "Looks at the number first: what is outside the window is answered with an ACK; a SYN in it ends the request.",
        "The order is the RFC's. Linux: tcp_check_req hands such a segment back to the listener.",
        _request_with_wrong_ack,
        lambda ours, cell: Observation((RESET,), (), SYN_RECEIVED, ""),
    ),
    Difference(
        "syn-in-request",
        "RFC 9293 §3.10.7.4 fourth, SYN-RECEIVED",
        "Answers a SYN in the window of a request with a reset, and forgets the request.",
        "Forgets the request without a word.",
        "The RFC returns to LISTEN, and sends nothing. Linux: embryonic_reset in tcp_check_req.",
        _syn_in_request,
        _reset_of_request,
    ),
)


def applying(cell: Cell) -> list[Difference]:
    """The differences that apply to `cell`: one, or mostly none."""
    return [difference for difference in DIFFERENCES if difference.applies(cell)]


def kernel_does(cell: Cell, ours: Observation) -> Observation:
    """What the kernel is expected to do where synfin does `ours`."""
    for difference in applying(cell):
        ours = difference.instead(ours, cell)
    return ours
