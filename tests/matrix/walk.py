"""A segment of a cell on its way through the rules of `tests.matrix.rfc`: what they ask, and what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.matrix import cells
from tests.matrix.cells import (
    ACK,
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    FIN,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    RST,
    SYN,
    SYN_RECEIVED,
    SYN_RECEIVED_ACTIVE,
    TIME_WAIT,
    Cell,
    Variables,
)
from tests.matrix.outcome import (
    ACK_REPLY,
    CONNECTED,
    DELAYED_ACK_REPLY,
    END_OF_FILE,
    READABLE,
    SYN_ACK_REPLY,
    Outcome,
    Reply,
)

# The segment's timestamp, on a connection that uses them (RFC 7323): later than the last one, or earlier.
NO_TIMESTAMPS: Final = "no timestamps"
LATER: Final = "a later timestamp"
EARLIER: Final = "an earlier timestamp"

_RCV_NXT: Final = 1_000_000
_RCV_WND: Final = 32_768
_SND_UNA: Final = 2_000_000


def outstanding(situation: str) -> int:
    """SND.NXT - SND.UNA."""
    if situation in cells.ALL_ACKNOWLEDGED:
        return 0
    if situation in (ESTABLISHED, CLOSE_WAIT):
        return cells.OUTSTANDING
    if situation in (FIN_WAIT_1, CLOSING, LAST_ACK):
        return cells.OUTSTANDING + 1
    return 1


class Walk:
    """A segment on its way through the rules, and what has come of it so far."""

    def __init__(self, cell: Cell, timestamp: str) -> None:
        self.began_in = self.state = cell.situation
        self.timestamp = timestamp
        self.flags = cell.flags
        self.length = cell.length
        self.octets = cell.octets
        variables = Variables(_RCV_NXT, _RCV_WND, _SND_UNA, _SND_UNA + outstanding(cell.situation))
        self.seq = cells.sequence_number(cell, variables)
        self.ack = cells.acknowledgment_number(cell, variables)
        self.edge = _RCV_NXT + _RCV_WND
        self.snd_una = variables.snd_una
        self.snd_nxt = variables.snd_nxt
        self.rcv_nxt = _RCV_NXT
        #: The number of the first octet of data.
        self.start = self.seq + (1 if self.flags & SYN else 0)
        self.ours_finished = cell.situation in (FIN_WAIT_1, CLOSING, LAST_ACK)
        # What comes of it.
        self.reply: Reply | None = None
        self.heard: set[str] = set()
        self.delivered = self.held = 0
        self.fin_taken = self.fin_held = self.acknowledged = self.restarted = False

    def outcome(self) -> Outcome:
        return Outcome(
            self.reply,
            SYN_RECEIVED if self.state == SYN_RECEIVED_ACTIVE else self.state,
            frozenset(self.heard),
            self.delivered,
            self.held,
            self.fin_taken,
            self.fin_held,
            self.acknowledged,
            self.restarted,
        )

    # --- what rules ask

    def has(self, flag: int) -> bool:
        return self.flags & flag != 0

    @property
    def acceptable(self) -> bool:
        """Table 6, for a window that is not zero."""
        last = self.seq + max(self.length, 1) - 1
        return self.rcv_nxt <= self.seq < self.edge or self.rcv_nxt <= last < self.edge

    @property
    def crossing(self) -> bool:
        """The SYN+ACK of a simultaneous open (figure 7, line 6): the peer's SYN again, with the ACK of ours."""
        syn_ack = self.has(SYN) and self.has(ACK) and not self.has(RST)
        return self.state == SYN_RECEIVED_ACTIVE and syn_ack and self.start == self.rcv_nxt and self.ack == self.snd_nxt

    @property
    def ack_in_range(self) -> bool:
        """RFC 5961 §5.2"""
        return self.snd_una - cells.PEER_WND <= self.ack <= self.snd_nxt

    @property
    def acknowledges_syn(self) -> bool:
        return self.snd_una < self.ack <= self.snd_nxt

    @property
    def acknowledges_fin(self) -> bool:
        return self.ours_finished and self.ack == self.snd_nxt

    @property
    def end_of_text(self) -> int:
        """The number after its last octet of data: that of its FIN, if it has one."""
        return self.start + self.octets

    @property
    def opens_anew(self) -> bool:
        """RFC 6191 §2: whether a SYN in TIME-WAIT is that of a new connection. The last number of the old one was the
        peer's FIN, RCV.NXT - 1."""
        if self.timestamp == NO_TIMESTAMPS:
            return self.seq > self.rcv_nxt - 1
        return self.timestamp == LATER


#: Where text and FIN are taken.
RECEIVING: Final = frozenset({ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2})

# --- what rules do


def reply(reply: Reply) -> Callable[[Walk], None]:
    def act(walk: Walk) -> None:
        walk.reply = reply

    return act


def goes_to(state: str, *heard: str) -> Callable[[Walk], None]:
    def act(walk: Walk) -> None:
        walk.state = state
        walk.heard.update(heard)

    return act


def nothing(walk: Walk) -> None:
    pass


def keep_text_of_syn(walk: Walk) -> None:
    walk.state = SYN_RECEIVED
    walk.reply = SYN_ACK_REPLY
    walk.held = walk.octets
    walk.fin_held = walk.has(FIN)


def begin_to_receive(walk: Walk) -> None:
    walk.rcv_nxt = walk.seq + 1
    walk.edge = walk.rcv_nxt + _RCV_WND
    walk.state = ESTABLISHED
    walk.acknowledged = True
    walk.heard.add(CONNECTED)
    walk.reply = ACK_REPLY


def advance(walk: Walk) -> None:
    walk.acknowledged = walk.ack > walk.snd_una


def take_text(walk: Walk) -> None:
    first = max(walk.start, walk.rcv_nxt)
    walk.delivered = min(walk.end_of_text, walk.edge) - first
    walk.rcv_nxt += walk.delivered
    walk.heard.add(READABLE)
    walk.reply = walk.reply or DELAYED_ACK_REPLY


def hold_text(walk: Walk) -> None:
    walk.held = min(walk.end_of_text, walk.edge) - walk.start
    walk.reply = ACK_REPLY


def hold_fin(walk: Walk) -> None:
    walk.fin_held = True
    walk.reply = ACK_REPLY


def take_fin(walk: Walk) -> None:
    walk.fin_taken = True
    walk.rcv_nxt += 1
    # Where our user may still close, our FIN may bear the ACK.
    walk.reply = (walk.reply or DELAYED_ACK_REPLY) if walk.state == ESTABLISHED else ACK_REPLY
    if walk.state in RECEIVING:
        walk.heard.add(END_OF_FILE)
    walk.restarted = walk.began_in == TIME_WAIT


def acknowledge_fin_again(walk: Walk) -> None:
    walk.reply = ACK_REPLY
    walk.restarted = True
