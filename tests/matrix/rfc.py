"""What RFC 9293 says of each cell: its §3.10.7 as a list of rules, read from the text and not from any code.

The rules stand in the order in which the RFC checks things. A segment walks through them; each rule that fits its state
and its numbers acts, and some end the walk. Where the text leaves a choice, or speaks twice, the rule's `choice` says
what is expected here and why. RFC 5961 (challenge ACKs), RFC 6191 (SYNs in TIME-WAIT) and RFC 7323 (PAWS) have their
places in the same list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.matrix import cells
from tests.matrix.cells import (
    ACK,
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    RST,
    SYN,
    SYN_RECEIVED,
    SYN_RECEIVED_ACTIVE,
    SYN_SENT,
    TIME_WAIT,
    Cell,
    Variables,
)
from tests.matrix.outcome import (
    ACCEPTED,
    ACK_REPLY,
    CONNECTED,
    DELAYED_ACK_REPLY,
    ECONNREFUSED,
    ECONNRESET,
    END_OF_FILE,
    READABLE,
    RESET_OF_ACK,
    RESET_OF_OTHER,
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


# --- what rules do


def _reply(reply: Reply) -> Callable[[Walk], None]:
    def act(walk: Walk) -> None:
        walk.reply = reply

    return act


def _goes_to(state: str, *heard: str) -> Callable[[Walk], None]:
    def act(walk: Walk) -> None:
        walk.state = state
        walk.heard.update(heard)

    return act


def _nothing(walk: Walk) -> None:
    pass


def _keep_text_of_syn(walk: Walk) -> None:
    walk.state = SYN_RECEIVED
    walk.reply = SYN_ACK_REPLY
    walk.held = walk.octets
    walk.fin_held = walk.has(FIN)


def _begin_to_receive(walk: Walk) -> None:
    walk.rcv_nxt = walk.seq + 1
    walk.edge = walk.rcv_nxt + _RCV_WND
    walk.state = ESTABLISHED
    walk.acknowledged = True
    walk.heard.add(CONNECTED)
    walk.reply = ACK_REPLY


def _advance(walk: Walk) -> None:
    walk.acknowledged = walk.ack > walk.snd_una


def _take_text(walk: Walk) -> None:
    first = max(walk.start, walk.rcv_nxt)
    walk.delivered = min(walk.end_of_text, walk.edge) - first
    walk.rcv_nxt += walk.delivered
    walk.heard.add(READABLE)
    walk.reply = walk.reply or DELAYED_ACK_REPLY


def _hold_text(walk: Walk) -> None:
    walk.held = min(walk.end_of_text, walk.edge) - walk.start
    walk.reply = ACK_REPLY


def _hold_fin(walk: Walk) -> None:
    walk.fin_held = True
    walk.reply = ACK_REPLY


def _take_fin(walk: Walk) -> None:
    walk.fin_taken = True
    walk.rcv_nxt += 1
    walk.reply = ACK_REPLY
    if walk.state in _RECEIVING:
        walk.heard.add(END_OF_FILE)
    walk.restarted = walk.began_in == TIME_WAIT


def _acknowledge_fin_again(walk: Walk) -> None:
    walk.reply = ACK_REPLY
    walk.restarted = True


class Rule(NamedTuple):
    """In one of `states`, `when` so, `then` that; `stop`: the segment is done with."""

    clause: str
    states: frozenset[str]
    when: Callable[[Walk], bool]
    then: Callable[[Walk], None]
    stop: bool = True
    choice: str = ""


def _always(walk: Walk) -> bool:
    return True


_RECEIVING: Final = frozenset({ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2})
_SYNCHRONIZED: Final = _RECEIVING | {CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT}
_OTHER: Final = _SYNCHRONIZED | {SYN_RECEIVED, SYN_RECEIVED_ACTIVE}


def _in(*states: str) -> frozenset[str]:
    return frozenset(states)


_CLOSED_RULES: Final = (
    Rule("§3.10.7.1", _in(CLOSED), lambda s: s.has(RST), _nothing),
    Rule("§3.10.7.1", _in(CLOSED), lambda s: s.has(ACK), _reply(RESET_OF_ACK)),
    Rule("§3.10.7.1", _in(CLOSED), _always, _reply(RESET_OF_OTHER)),
)

_LISTEN_RULES: Final = (
    Rule("§3.10.7.2 first", _in(LISTEN), lambda s: s.has(RST), _nothing),
    Rule("§3.10.7.2 second", _in(LISTEN), lambda s: s.has(ACK), _reply(RESET_OF_ACK)),
    Rule("§3.10.7.2 third", _in(LISTEN), lambda s: s.has(SYN), _keep_text_of_syn),
    Rule("§3.10.7.2 fourth", _in(LISTEN), _always, _nothing),
)

_SYN_SENT_RULES: Final = (
    Rule(
        "§3.10.7.3 first",
        _in(SYN_SENT),
        lambda s: s.has(ACK) and not s.acknowledges_syn and not s.has(RST),
        _reply(RESET_OF_ACK),
    ),
    Rule("§3.10.7.3 first", _in(SYN_SENT), lambda s: s.has(ACK) and not s.acknowledges_syn, _nothing),
    Rule(
        "§3.10.7.3 second",
        _in(SYN_SENT),
        lambda s: s.has(RST) and s.has(ACK),
        _goes_to(CLOSED, ECONNREFUSED),
        choice='The text has the user told "connection reset"; the errno of connect() for it is ECONNREFUSED.',
    ),
    Rule("§3.10.7.3 second", _in(SYN_SENT), lambda s: s.has(RST), _nothing),
    Rule(
        "§3.10.7.3 fourth",
        _in(SYN_SENT),
        lambda s: s.has(SYN) and s.has(ACK),
        _begin_to_receive,
        stop=False,
        choice="Text and FIN are processed from the sixth step on; one ACK serves for them and for the SYN.",
    ),
    Rule("§3.10.7.3 fourth", _in(SYN_SENT), lambda s: s.has(SYN), _keep_text_of_syn),
    Rule("§3.10.7.3 fifth", _in(SYN_SENT), _always, _nothing),
)

_FIRST: Final = (
    Rule(
        "§3.6.1 MAY-2, SHLD-4; RFC 6191 §2",
        _in(TIME_WAIT),
        lambda s: s.has(SYN) and not s.has(ACK) and not s.has(RST) and s.opens_anew,
        _keep_text_of_syn,
        choice="The new connection is wanted: there is a listener.",
    ),
    Rule(
        "§3.10.7.4 first; RFC 6191 §2",
        _in(TIME_WAIT),
        lambda s: s.has(SYN) and not s.has(ACK) and not s.has(RST) and s.timestamp == EARLIER,
        _nothing,
        choice="RFC 6191 drops in silence what is not new; without timestamps the sequence check is said to hold.",
    ),
    Rule(
        "RFC 7323 §5.3 R1",
        _OTHER,
        lambda s: s.timestamp == EARLIER and not s.has(RST),
        _reply(ACK_REPLY),
    ),
    Rule(
        "§3.10.7.4 fifth, TIME-WAIT",
        _in(TIME_WAIT),
        lambda s: s.flags & (FIN | ACK | RST | SYN) == FIN | ACK and s.end_of_text == s.rcv_nxt - 1 and s.ack_in_range,
        _acknowledge_fin_again,
        choice="The peer's FIN again lies before the window, and is what the fifth step is about all the same.",
    ),
    Rule("§3.10.7.4 first", _OTHER, lambda s: not s.acceptable and not s.crossing and s.has(RST), _nothing),
    Rule(
        "§3.10.7.4 first",
        _OTHER,
        lambda s: not s.acceptable and not s.crossing,
        _reply(ACK_REPLY),
        choice="The SYN+ACK of figure 7 lies before the window too, and §3.5 lets it complete the handshake.",
    ),
)

_SECOND: Final = (
    # RFC 5961 §3.2 looks at SEG.SEQ alone.
    Rule("§3.10.7.4 second, 1", _OTHER, lambda s: s.has(RST) and s.seq < s.rcv_nxt, _nothing),
    Rule("§3.10.7.4 second, 3", _OTHER, lambda s: s.has(RST) and s.seq != s.rcv_nxt, _reply(ACK_REPLY)),
    Rule("§3.10.7.4 second, SYN-RECEIVED", _in(SYN_RECEIVED), lambda s: s.has(RST), _goes_to(LISTEN)),
    Rule(
        "§3.10.7.4 second, SYN-RECEIVED",
        _in(SYN_RECEIVED_ACTIVE),
        lambda s: s.has(RST),
        _goes_to(CLOSED, ECONNREFUSED),
    ),
    Rule(
        "§3.10.7.4 second, ESTABLISHED to CLOSE-WAIT",
        _RECEIVING | {CLOSE_WAIT},
        lambda s: s.has(RST),
        _goes_to(CLOSED, ECONNRESET),
    ),
    Rule(
        "§3.10.7.4 second, CLOSING to TIME-WAIT",
        _in(CLOSING, LAST_ACK, TIME_WAIT),
        lambda s: s.has(RST),
        _goes_to(CLOSED),
        choice="RFC 1337's proposal to ignore a RST in TIME-WAIT is off by default in Linux (tcp_rfc1337).",
    ),
)

_FOURTH: Final = (
    Rule(
        "§3.10.7.4 fourth, SYN-RECEIVED",
        _in(SYN_RECEIVED),
        lambda s: s.has(SYN) and s.seq >= s.rcv_nxt,
        _goes_to(LISTEN),
        choice="A SYN before the window is trimmed off, as the first step assumes.",
    ),
    Rule(
        "§3.10.7.4 fourth; RFC 5961 §4.2",
        _SYNCHRONIZED | {SYN_RECEIVED_ACTIVE},
        lambda s: s.has(SYN) and not s.crossing,
        _reply(ACK_REPLY),
    ),
)

_FIFTH: Final = (
    Rule("§3.10.7.4 fifth", _OTHER, lambda s: not s.has(ACK), _nothing),
    Rule(
        "§3.10.7.4 fifth, SYN-RECEIVED; §3.5.2, 2",
        _in(SYN_RECEIVED, SYN_RECEIVED_ACTIVE),
        lambda s: not s.acknowledges_syn,
        _reply(RESET_OF_ACK),
        choice="Before the handshake is over RFC 5961's range protects nothing: §3.5.2 asks for a reset.",
    ),
    Rule(
        "§3.10.7.4 fifth; RFC 5961 §5.2; §3.5.2, 3",
        _SYNCHRONIZED,
        lambda s: not s.ack_in_range,
        _reply(ACK_REPLY),
    ),
    Rule(
        "§3.10.7.4 fifth",
        _OTHER - {TIME_WAIT},
        _always,
        _advance,
        stop=False,
        choice="An ACK takes no sequence number: it counts at once, also in a segment whose text must wait.",
    ),
    Rule("§3.10.7.4 fifth, SYN-RECEIVED", _in(SYN_RECEIVED), _always, _goes_to(ESTABLISHED, ACCEPTED), stop=False),
    Rule(
        "§3.10.7.4 fifth, SYN-RECEIVED",
        _in(SYN_RECEIVED_ACTIVE),
        _always,
        _goes_to(ESTABLISHED, CONNECTED),
        stop=False,
    ),
    Rule(
        "§3.10.7.4 fifth, FIN-WAIT-1",
        _in(FIN_WAIT_1),
        lambda s: s.acknowledges_fin,
        _goes_to(FIN_WAIT_2),
        stop=False,
    ),
    Rule("§3.10.7.4 fifth, CLOSING", _in(CLOSING), lambda s: s.acknowledges_fin, _goes_to(TIME_WAIT), stop=False),
    Rule("§3.10.7.4 fifth, CLOSING", _in(CLOSING), _always, _nothing),
    Rule("§3.10.7.4 fifth, LAST-ACK", _in(LAST_ACK), lambda s: s.acknowledges_fin, _goes_to(CLOSED)),
)

_AT_ONCE: Final = "MAY-13 is taken: a duplicate ACK at once, as RFC 5681 §4.2 wants it."

_TEXT_AND_FIN: Final = (
    Rule(
        "§3.10.7.4 seventh",
        _RECEIVING,
        lambda s: s.octets > 0 and s.start <= s.rcv_nxt < s.end_of_text,
        _take_text,
        stop=False,
        choice="What lies before the window is trimmed. The ACK may be delayed (§3.8.6.3).",
    ),
    Rule(
        "§3.10.7.4 first, SHLD-31",
        _RECEIVING,
        lambda s: s.octets > 0 and s.start > s.rcv_nxt,
        _hold_text,
        stop=False,
        choice=_AT_ONCE,
    ),
    # CLOSE-WAIT and the states that follow it: "Ignore the segment text."
    Rule(
        "§3.10.7.4 first, SHLD-31",
        _RECEIVING,
        lambda s: s.has(FIN) and s.rcv_nxt < s.end_of_text < s.edge,
        _hold_fin,
        stop=True,
        choice=_AT_ONCE,
    ),
    Rule(
        "§3.10.7.4 eighth",
        _SYNCHRONIZED,
        lambda s: s.has(FIN) and s.end_of_text == s.rcv_nxt,
        _take_fin,
        stop=False,
    ),
    Rule(
        "§3.10.7.4 eighth, FIN-WAIT-2",
        _in(FIN_WAIT_2),
        lambda s: s.fin_taken,
        _goes_to(TIME_WAIT),
        choice="Reached from FIN-WAIT-1 when this segment acknowledges our FIN.",
    ),
    Rule("§3.10.7.4 eighth, FIN-WAIT-1", _in(FIN_WAIT_1), lambda s: s.fin_taken, _goes_to(CLOSING)),
    Rule("§3.10.7.4 eighth, ESTABLISHED", _in(ESTABLISHED), lambda s: s.fin_taken, _goes_to(CLOSE_WAIT)),
)

_OTHER_STATES_RULES: Final = _FIRST + _SECOND + _FOURTH + _FIFTH + _TEXT_AND_FIN


def _procedure(situation: str) -> tuple[Rule, ...]:
    if situation == CLOSED:
        return _CLOSED_RULES
    if situation == LISTEN:
        return _LISTEN_RULES
    if situation == SYN_SENT:
        return _SYN_SENT_RULES + _TEXT_AND_FIN
    return _OTHER_STATES_RULES


def expected(cell: Cell, timestamp: str = NO_TIMESTAMPS) -> tuple[Outcome, tuple[Rule, ...]]:
    """What comes of `cell` by the text, and the rules that say so."""
    walk = Walk(cell, timestamp)
    applied = []
    for rule in _procedure(cell.situation):
        if walk.state in rule.states and rule.when(walk):
            applied.append(rule)
            rule.then(walk)
            if rule.stop:
                break
    return walk.outcome(), tuple(applied)
