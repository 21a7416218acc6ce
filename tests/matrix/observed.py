"""What was observed in a cell, written the same way whichever TCP was asked.

An observation is one line of text in four parts: the replies; what a timer sent within `PATIENCE`, behind "later";
the state after; what the application hears, if anything::

    ACK seq=SND.NXT ack=RCV.NXT+100 | ESTABLISHED | 100 octets
    later ACK seq=SND.NXT ack=RCV.NXT+1 | CLOSE-WAIT | EOF
    - | FIN-WAIT-1

Numbers are relative to the variables as they were before the segment, or to the segment, where that is what the reply
answers: in CLOSED, LISTEN and SYN-SENT, in resets and in SYN,ACKs. A fresh initial number is "ISS".
"""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

from synfin.wire.sequence import HALF, MASK
from synfin.wire.tcp import ACK, RST, SYN, Segment, flag_names
from tests.matrix.cells import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Cell,
    Variables,
    acknowledgment_number,
    sequence_number,
)

#: How long to wait for what a timer sends, in seconds: a delayed ACK takes 40 ms.
PATIENCE: Final = 0.1

#: The user had seen the end of the peer's stream before.
ENDED: Final = frozenset({CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT})


class Observation(NamedTuple):
    """The replies, what came later, the state after, and what the application hears ("" for nothing)."""

    replies: tuple[str, ...]
    later: tuple[str, ...]
    state: str
    hears: str

    def __str__(self) -> str:
        sent = [*self.replies, *(f"later {each}" for each in self.later)]
        parts = [", ".join(sent) or "-", self.state]
        if self.hears:
            parts.append(self.hears)
        return " | ".join(parts)

    @classmethod
    def of(cls, text: str) -> Observation:
        """The inverse of str()."""
        sent, state, *hears = text.split(" | ")
        each = [] if sent == "-" else sent.split(", ")
        return cls(
            tuple(reply for reply in each if not reply.startswith("later ")),
            tuple(reply[6:] for reply in each if reply.startswith("later ")),
            state,
            hears[0] if hears else "",
        )


def reply_text(reply: Segment, cell: Cell, variables: Variables) -> str:
    """Flags and numbers of one segment that came, and the octets that it carries."""
    flags = flag_names(reply.flags).replace(",", "+")
    words = [flags, f"seq={_seq(reply, cell, variables)}"]
    if reply.flags & ACK:
        words.append(f"ack={_ack(reply, cell, variables)}")
    elif reply.ack:
        words.append("ack-field-set")
    if reply.payload_length:
        words.append(f"octets={reply.payload_length}")
    return " ".join(words)


def _seq(reply: Segment, cell: Cell, variables: Variables) -> str:
    if cell.situation in (CLOSED, LISTEN):
        if reply.flags & SYN:
            return "ISS"
        return (
            "SEG.ACK"
            if cell.flags & ACK and _is(reply.seq, acknowledgment_number(cell, variables))
            else _zero(reply.seq)
        )
    if reply.flags & RST:
        if not reply.flags & ACK and cell.flags & ACK and _is(reply.seq, acknowledgment_number(cell, variables)):
            return "SEG.ACK"
        if reply.seq == 0:
            return "0"
    if _is(reply.seq, variables.snd_una) and variables.snd_una != variables.snd_nxt:
        return "SND.UNA"
    return _relative(reply.seq, "SND.NXT", variables.snd_nxt)


def _ack(reply: Segment, cell: Cell, variables: Variables) -> str:
    if cell.situation in (CLOSED, LISTEN, SYN_SENT) or reply.flags & SYN or (reply.flags & RST and reply.seq == 0):
        return _relative(reply.ack, "SEG.SEQ", sequence_number(cell, variables))
    return _relative(reply.ack, "RCV.NXT", variables.rcv_nxt)


def _is(number: int, other: int) -> bool:
    return (number - other) & MASK == 0


def _zero(number: int) -> str:
    return "0" if number == 0 else f"unknown {number}"


def _relative(number: int, name: str, base: int) -> str:
    away = (number - base) & MASK
    if away >= HALF:
        away -= MASK + 1
    return f"{name}{away:+d}" if away else name


def hears_text(
    cell: Cell, *, accepts: bool = False, connects: bool = False, error: int = 0, octets: int = 0, eof: bool = False,
    urgent: bool = False,
) -> str:  # fmt: skip
    """What is new to the application. An end of the stream that follows an error, or was known, is not."""
    words = []
    if accepts:
        words.append("accepts")
    if connects:
        words.append("connected")
    if octets:
        words.append(f"{octets} octets")
    if urgent:
        words.append("urgent")
    if error:
        words.append(errno.errorcode[error])
    elif eof and cell.situation not in ENDED:
        words.append("EOF")
    return ", ".join(words)


def state_text(cell: Cell, state: str) -> str:
    """The state that the tables show, "" for none: where there was only a listener, it listens on."""
    if state:
        return state
    return LISTEN if cell.situation in (LISTEN, SYN_RECEIVED) else CLOSED
