"""The vocabulary of "every state meets every segment": what a cell is called, and what it means in octets.

A cell is a situation (a state, and how it was reached), a kind of segment, its place before, in or behind the receive
window, what it acknowledges, and the IP version. Nothing here knows synfin: all numbers are relative to the variables
of RFC 9293 §3.3.1, so that another TCP, such as a kernel's, can be asked the same.

How each situation is reached, and what has happened in it when the segment of the cell arrives:

- No option but MSS is in the peer's SYN (so windows are never scaled), and its window field is always `PEER_WND`.
- CLOSED: nobody uses the port. LISTEN: a listener, without requests. SYN-SENT: connect(), its SYN is out.
- SYN-RECEIVED: a peer's SYN came to a listener, whose SYN+ACK is out. SYN-RECEIVED (active): connect(), then the
  peer's SYN without ACK (a simultaneous open); our SYN+ACK is out.
- All others: opened by the peer at a listener, which stays open, and accepted. The peer sent `RECEIVED` octets, which
  were acknowledged and read. We sent `ACKNOWLEDGED` octets, which the peer acknowledged, and then `OUTSTANDING` more
  in one write, which it did not.
- FIN-WAIT-1: the user shuts down sending, keeping the socket (he still reads); the FIN is outstanding too.
- FIN-WAIT-2: as FIN-WAIT-1, and the peer acknowledges all, so that nothing is outstanding.
- CLOSE-WAIT: the peer's FIN came and was acknowledged; the user has seen the end of file; data is outstanding.
- LAST-ACK: as CLOSE-WAIT, and the user shuts down sending; FIN outstanding too.
- CLOSING: as FIN-WAIT-1, and the peer's FIN came, acknowledging none of `OUTSTANDING`.
- TIME-WAIT: as FIN-WAIT-2, and the peer's FIN came and was acknowledged; the listener is still there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

# --- the situations

CLOSED: Final = "CLOSED"
LISTEN: Final = "LISTEN"
SYN_SENT: Final = "SYN-SENT"
#: After a passive open.
SYN_RECEIVED: Final = "SYN-RECEIVED"
#: After an active open: a simultaneous one.
SYN_RECEIVED_ACTIVE: Final = "SYN-RECEIVED (active)"
ESTABLISHED: Final = "ESTABLISHED"
FIN_WAIT_1: Final = "FIN-WAIT-1"
FIN_WAIT_2: Final = "FIN-WAIT-2"
CLOSE_WAIT: Final = "CLOSE-WAIT"
CLOSING: Final = "CLOSING"
LAST_ACK: Final = "LAST-ACK"
TIME_WAIT: Final = "TIME-WAIT"

#: The eleven states, SYN-RECEIVED in its two forms.
SITUATIONS: Final = (
    CLOSED,
    LISTEN,
    SYN_SENT,
    SYN_RECEIVED,
    SYN_RECEIVED_ACTIVE,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    CLOSE_WAIT,
    CLOSING,
    LAST_ACK,
    TIME_WAIT,
)

#: Octets that the peer had sent, and the user had read, in the states that follow ESTABLISHED.
RECEIVED: Final = 500
#: Octets that we had sent and the peer had acknowledged in these states.
ACKNOWLEDGED: Final = 1000
#: Octets that we had sent after these. None is acknowledged, save in FIN-WAIT-2 and TIME-WAIT.
OUTSTANDING: Final = 1000
#: The window field of every segment of the peer, the cell's too: MAX.SND.WND and SND.WND are this.
PEER_WND: Final = 16384

#: In these all that we sent is acknowledged: "new" is the same number as "current".
ALL_ACKNOWLEDGED: Final = frozenset({FIN_WAIT_2, TIME_WAIT})
#: In these more than one sequence number is outstanding.
MANY_OUTSTANDING: Final = frozenset({ESTABLISHED, FIN_WAIT_1, CLOSE_WAIT, CLOSING, LAST_ACK})
#: No receive window yet, and in the first two nothing sent: the variables are nominal (see `Variables`).
WITHOUT_WINDOW: Final = frozenset({CLOSED, LISTEN, SYN_SENT})

# --- the kinds of segments

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10

#: The control bits of each kind. "all" is all eight of RFC 9293 §3.1, with an urgent pointer of 0.
FLAGS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "SYN": SYN,
        "SYN+ACK": SYN | ACK,
        "SYN+FIN": SYN | FIN,
        "RST": RST,
        "RST+ACK": RST | ACK,
        "ACK": ACK,
        "FIN": FIN,
        "FIN+ACK": FIN | ACK,
        "none": 0,
        "all": 0xFF,
    }
)
KINDS: Final = tuple(FLAGS)

#: Octets of a segment "+data".
DATA: Final = 100

# --- the places of SEG.SEQ

#: Wholly old: the segment's last number is RCV.NXT - 1; one of length 0 is at RCV.NXT - 1.
LEFT: Final = "left"
#: SEG.SEQ = RCV.NXT.
LEFT_EDGE: Final = "left edge"
#: SEG.SEQ = RCV.NXT + `GAP`, with `GAP` octets missing before it.
INSIDE: Final = "inside"
#: SEG.SEQ = RCV.NXT + RCV.WND - 1, the last number in the window; of data, one octet fits.
RIGHT_EDGE: Final = "right edge"
#: SEG.SEQ = RCV.NXT + RCV.WND + `GAP`.
BEYOND: Final = "beyond"
PLACES: Final = (LEFT, LEFT_EDGE, INSIDE, RIGHT_EDGE, BEYOND)

#: Segments with data only: half of the data is old (SEG.SEQ = RCV.NXT - `DATA` / 2), or, where there is a SYN, just
#: that (SEG.SEQ = RCV.NXT - 1), as in the peer's SYN again.
ACROSS_LEFT_EDGE: Final = "across left edge"
#: SEG.SEQ = RCV.NXT + RCV.WND, the first number that is not in the window.
BEHIND_RIGHT_EDGE: Final = "behind right edge"
MORE_PLACES: Final = (ACROSS_LEFT_EDGE, BEHIND_RIGHT_EDGE)

GAP: Final = 1000

# --- what is acknowledged

#: SEG.ACK = SND.UNA - `BACK`: acknowledged before, and not further back than MAX.SND.WND (RFC 5961 §5.2).
OLD: Final = "old"
#: SEG.ACK = SND.UNA.
CURRENT: Final = "current"
#: SEG.ACK = SND.NXT: all that is outstanding, our SYN or FIN included.
NEW: Final = "new"
#: SEG.ACK = SND.NXT + 1. Its name is that of a place, as the names of cells say which is which.
NEVER_SENT: Final = "beyond"
ACKS: Final = (OLD, CURRENT, NEW, NEVER_SENT)

#: SEG.ACK = SND.UNA - MAX.SND.WND - 1 (RFC 5961 §5.2).
ANCIENT: Final = "ancient"
#: SEG.ACK = SND.NXT - 1: all but the last number, which is our FIN where one is outstanding.
PART: Final = "part"
MORE_ACKS: Final = (ANCIENT, PART)

#: Of a segment without the ACK flag: its acknowledgment field is 0, and says nothing.
NO_ACK: Final = ""

BACK: Final = 500

IP_VERSIONS: Final = (4, 6)


class Cell(NamedTuple):
    """A situation and the segment that arrives in it."""

    situation: str
    kind: str
    data: bool
    place: str
    ack: str
    version: int

    @property
    def segment(self) -> str:
        """The kind as it is called with data, such as ``FIN+ACK+data``."""
        return f"{self.kind}+data" if self.data else self.kind

    @property
    def name(self) -> str:
        """The same for ever, such as ``ESTABLISHED / FIN+ACK+data / inside / ack new / IPv4``."""
        ack = f"ack {self.ack}" if self.ack else "no ack"
        return f"{self.situation} / {self.segment} / {self.place} / {ack} / IPv{self.version}"

    @property
    def flags(self) -> int:
        return FLAGS[self.kind]

    @property
    def octets(self) -> int:
        """Of its data."""
        return DATA if self.data else 0

    @property
    def length(self) -> int:
        """SEG.LEN: its data, and a number each for SYN and FIN (RFC 9293 §3.3.1)."""
        return self.octets + (self.flags & SYN != 0) + (self.flags & FIN != 0)


class Variables(NamedTuple):
    """What places and acknowledgments are relative to (RFC 9293 §3.3.1), just before the segment arrives.

    In CLOSED and LISTEN there are none: any numbers do, since the answer may not depend on them, with
    SND.NXT = SND.UNA + 1. In SYN-SENT, SND.UNA = ISS and SND.NXT = ISS + 1; RCV.NXT is any number, RCV.WND the window
    of our SYN. RCV.WND is at least 4 * `GAP` everywhere.
    """

    rcv_nxt: int
    rcv_wnd: int
    snd_una: int
    snd_nxt: int
    max_snd_wnd: int = PEER_WND


def sequence_number(cell: Cell, variables: Variables) -> int:
    """SEG.SEQ (to be taken modulo 2**32)."""
    rcv_nxt = variables.rcv_nxt
    edge = rcv_nxt + variables.rcv_wnd
    return {
        LEFT: rcv_nxt - max(cell.length, 1),
        ACROSS_LEFT_EDGE: rcv_nxt - (1 if cell.flags & SYN else DATA // 2),
        LEFT_EDGE: rcv_nxt,
        INSIDE: rcv_nxt + GAP,
        RIGHT_EDGE: edge - 1,
        BEHIND_RIGHT_EDGE: edge,
        BEYOND: edge + GAP,
    }[cell.place]


def acknowledgment_number(cell: Cell, variables: Variables) -> int:
    """SEG.ACK (to be taken modulo 2**32); 0 without the ACK flag."""
    return {
        NO_ACK: 0,
        ANCIENT: variables.snd_una - variables.max_snd_wnd - 1,
        OLD: variables.snd_una - BACK,
        CURRENT: variables.snd_una,
        PART: variables.snd_nxt - 1,
        NEW: variables.snd_nxt,
        NEVER_SENT: variables.snd_nxt + 1,
    }[cell.ack]


def _cells(situation: str, kind: str, version: int, places: tuple[str, ...], acks: tuple[str, ...]) -> Iterator[Cell]:
    for data in (False, True):
        for place in places:
            if place == ACROSS_LEFT_EDGE and not data:
                continue
            for ack in acks if FLAGS[kind] & ACK else (NO_ACK,):
                yield Cell(situation, kind, data, place, ack, version)


def cells(version: int) -> Iterator[Cell]:
    """The matrix over one IP version: every situation, kind, place of `PLACES` and acknowledgment of `ACKS`."""
    for situation in SITUATIONS:
        for kind in KINDS:
            yield from _cells(situation, kind, version, PLACES, ACKS)


def more_cells(version: int) -> Iterator[Cell]:
    """Those at which TCPs are known to err: `MORE_PLACES` and `MORE_ACKS`, in the situations that have them."""
    for situation in SITUATIONS:
        if situation in WITHOUT_WINDOW:
            continue
        further = (ANCIENT, PART) if situation in MANY_OUTSTANDING else (ANCIENT,)
        for kind in KINDS:
            yield from _cells(situation, kind, version, MORE_PLACES, ACKS + further)
            if FLAGS[kind] & ACK:
                yield from _cells(situation, kind, version, PLACES, further)


def find(name: str) -> Cell:
    """The cell of that name. Raises KeyError if there is none."""
    version = int(name[-1]) if name[-1:] in ("4", "6") else 0
    for cell in (*cells(version), *more_cells(version)):
        if cell.name == name:
            return cell
    raise KeyError(name)
