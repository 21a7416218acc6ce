"""What RFC 9293 says of each cell: its §3.10.7 as a list of rules, read from the text and not from any code.

The rules stand in the order in which the RFC checks things. A segment walks through them; each rule that fits its state
and its numbers acts, and some end the walk. Where the text leaves a choice, or speaks twice, the rule's `choice` says
what is expected here and why. RFC 5961 (challenge ACKs), RFC 6191 (SYNs in TIME-WAIT) and RFC 7323 (PAWS) have their
places in the same list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

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
)
from tests.matrix.outcome import (
    ACCEPTED,
    ACK_REPLY,
    CONNECTED,
    ECONNREFUSED,
    ECONNRESET,
    RESET_OF_ACK,
    RESET_OF_OTHER,
    Outcome,
)
from tests.matrix.walk import (
    EARLIER,
    NO_TIMESTAMPS,
    RECEIVING,
    Walk,
    acknowledge_fin_again,
    advance,
    begin_to_receive,
    goes_to,
    hold_fin,
    hold_text,
    keep_text_of_syn,
    nothing,
    reply,
    take_fin,
    take_text,
)


class Rule(NamedTuple):
    """In one of `states`, `when` so, `then` that. `stop`: the segment is done with. `drops`: it was no use."""

    clause: str
    states: frozenset[str]
    when: Callable[[Walk], bool]
    then: Callable[[Walk], None]
    stop: bool = True
    drops: bool = False
    choice: str = ""


def _drop(
    clause: str,
    states: frozenset[str],
    when: Callable[[Walk], bool],
    answer: Callable[[Walk], None],
    choice: str = "",
) -> Rule:
    return Rule(clause, states, when, answer, stop=True, drops=True, choice=choice)


def _always(walk: Walk) -> bool:
    return True


_SYNCHRONIZED: Final = RECEIVING | {CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT}
_OTHER: Final = _SYNCHRONIZED | {SYN_RECEIVED, SYN_RECEIVED_ACTIVE}


def _in(*states: str) -> frozenset[str]:
    return frozenset(states)


_CLOSED_RULES: Final = (
    _drop("§3.10.7.1", _in(CLOSED), lambda s: s.has(RST), nothing),
    _drop("§3.10.7.1", _in(CLOSED), lambda s: s.has(ACK), reply(RESET_OF_ACK)),
    _drop("§3.10.7.1", _in(CLOSED), _always, reply(RESET_OF_OTHER)),
)

_LISTEN_RULES: Final = (
    _drop("§3.10.7.2 first", _in(LISTEN), lambda s: s.has(RST), nothing),
    _drop("§3.10.7.2 second", _in(LISTEN), lambda s: s.has(ACK), reply(RESET_OF_ACK)),
    Rule("§3.10.7.2 third", _in(LISTEN), lambda s: s.has(SYN), keep_text_of_syn),
    _drop("§3.10.7.2 fourth", _in(LISTEN), _always, nothing),
)

_SYN_SENT_RULES: Final = (
    _drop(
        "§3.10.7.3 first",
        _in(SYN_SENT),
        lambda s: s.has(ACK) and not s.acknowledges_syn and not s.has(RST),
        reply(RESET_OF_ACK),
    ),
    _drop("§3.10.7.3 first", _in(SYN_SENT), lambda s: s.has(ACK) and not s.acknowledges_syn, nothing),
    Rule(
        "§3.10.7.3 second",
        _in(SYN_SENT),
        lambda s: s.has(RST) and s.has(ACK),
        goes_to(CLOSED, ECONNREFUSED),
        choice='The text has the user told "connection reset"; the errno of connect() for it is ECONNREFUSED.',
    ),
    _drop("§3.10.7.3 second", _in(SYN_SENT), lambda s: s.has(RST), nothing),
    Rule(
        "§3.10.7.3 fourth",
        _in(SYN_SENT),
        lambda s: s.has(SYN) and s.has(ACK),
        begin_to_receive,
        stop=False,
        choice="Text and FIN are processed from the sixth step on; one ACK serves for them and for the SYN.",
    ),
    Rule("§3.10.7.3 fourth", _in(SYN_SENT), lambda s: s.has(SYN), keep_text_of_syn),
    _drop("§3.10.7.3 fifth", _in(SYN_SENT), _always, nothing),
)

_FIRST: Final = (
    Rule(
        "§3.6.1 MAY-2, SHLD-4; RFC 6191 §2",
        _in(TIME_WAIT),
        lambda s: s.has(SYN) and not s.has(ACK) and not s.has(RST) and s.opens_anew,
        keep_text_of_syn,
        choice="The new connection is wanted: there is a listener.",
    ),
    _drop(
        "§3.10.7.4 first; RFC 6191 §2",
        _in(TIME_WAIT),
        lambda s: s.has(SYN) and not s.has(ACK) and not s.has(RST) and s.timestamp == EARLIER,
        nothing,
        choice="RFC 6191 drops in silence what is not new; without timestamps the sequence check is said to hold.",
    ),
    _drop(
        "RFC 7323 §5.3 R1",
        _OTHER,
        lambda s: s.timestamp == EARLIER and not s.has(RST),
        reply(ACK_REPLY),
    ),
    Rule(
        "§3.10.7.4 fifth, TIME-WAIT",
        _in(TIME_WAIT),
        lambda s: s.flags & (FIN | ACK | RST | SYN) == FIN | ACK and s.end_of_text == s.rcv_nxt - 1 and s.ack_in_range,
        acknowledge_fin_again,
        choice="The peer's FIN again lies before the window, and is what the fifth step is about all the same.",
    ),
    _drop("§3.10.7.4 first", _OTHER, lambda s: not s.acceptable and not s.crossing and s.has(RST), nothing),
    _drop(
        "§3.10.7.4 first",
        _OTHER,
        lambda s: not s.acceptable and not s.crossing,
        reply(ACK_REPLY),
        choice="The SYN+ACK of figure 7 lies before the window too, and §3.5 lets it complete the handshake.",
    ),
)

_SECOND: Final = (
    # RFC 5961 §3.2 looks at SEG.SEQ alone.
    _drop("§3.10.7.4 second, 1", _OTHER, lambda s: s.has(RST) and s.seq < s.rcv_nxt, nothing),
    _drop("§3.10.7.4 second, 3", _OTHER, lambda s: s.has(RST) and s.seq != s.rcv_nxt, reply(ACK_REPLY)),
    Rule("§3.10.7.4 second, SYN-RECEIVED", _in(SYN_RECEIVED), lambda s: s.has(RST), goes_to(LISTEN)),
    Rule(
        "§3.10.7.4 second, SYN-RECEIVED",
        _in(SYN_RECEIVED_ACTIVE),
        lambda s: s.has(RST),
        goes_to(CLOSED, ECONNREFUSED),
    ),
    Rule(
        "§3.10.7.4 second, ESTABLISHED to CLOSE-WAIT",
        RECEIVING | {CLOSE_WAIT},
        lambda s: s.has(RST),
        goes_to(CLOSED, ECONNRESET),
    ),
    Rule(
        "§3.10.7.4 second, CLOSING to TIME-WAIT",
        _in(CLOSING, LAST_ACK, TIME_WAIT),
        lambda s: s.has(RST),
        goes_to(CLOSED),
        choice="RFC 1337's proposal to ignore a RST in TIME-WAIT is off by default in Linux (tcp_rfc1337).",
    ),
)

_FOURTH: Final = (
    Rule(
        "§3.10.7.4 fourth, SYN-RECEIVED",
        _in(SYN_RECEIVED),
        lambda s: s.has(SYN) and s.seq >= s.rcv_nxt,
        goes_to(LISTEN),
        choice="A SYN before the window is trimmed off, as the first step assumes.",
    ),
    _drop(
        "§3.10.7.4 fourth; RFC 5961 §4.2",
        _SYNCHRONIZED | {SYN_RECEIVED_ACTIVE},
        lambda s: s.has(SYN) and not s.crossing,
        reply(ACK_REPLY),
    ),
)

_FIFTH: Final = (
    _drop("§3.10.7.4 fifth", _OTHER, lambda s: not s.has(ACK), nothing),
    _drop(
        "§3.10.7.4 fifth, SYN-RECEIVED; §3.5.2, 2",
        _in(SYN_RECEIVED, SYN_RECEIVED_ACTIVE),
        lambda s: not s.acknowledges_syn,
        reply(RESET_OF_ACK),
        choice="Before the handshake is over RFC 5961's range protects nothing: §3.5.2 asks for a reset.",
    ),
    _drop(
        "§3.10.7.4 fifth; RFC 5961 §5.2; §3.5.2, 3",
        _SYNCHRONIZED,
        lambda s: not s.ack_in_range,
        reply(ACK_REPLY),
    ),
    Rule(
        "§3.10.7.4 fifth, TIME-WAIT",
        _in(TIME_WAIT),
        _always,
        nothing,
        stop=False,
        choice="Only a FIN is acknowledged: ACKs that answer ACKs would never end (RFC 1337 §2.3).",
    ),
    Rule(
        "§3.10.7.4 fifth",
        _OTHER - {TIME_WAIT},
        _always,
        advance,
        stop=False,
        choice="An ACK takes no sequence number: it counts at once, also in a segment whose text must wait.",
    ),
    Rule("§3.10.7.4 fifth, SYN-RECEIVED", _in(SYN_RECEIVED), _always, goes_to(ESTABLISHED, ACCEPTED), stop=False),
    Rule(
        "§3.10.7.4 fifth, SYN-RECEIVED",
        _in(SYN_RECEIVED_ACTIVE),
        _always,
        goes_to(ESTABLISHED, CONNECTED),
        stop=False,
    ),
    Rule(
        "§3.10.7.4 fifth, FIN-WAIT-1",
        _in(FIN_WAIT_1),
        lambda s: s.acknowledges_fin,
        goes_to(FIN_WAIT_2),
        stop=False,
    ),
    Rule("§3.10.7.4 fifth, CLOSING", _in(CLOSING), lambda s: s.acknowledges_fin, goes_to(TIME_WAIT), stop=False),
    Rule(
        "§3.10.7.4 fifth, CLOSING",
        _in(CLOSING),
        _always,
        nothing,
        choice="What the segment acknowledges counts; its text and its FIN are ignored.",
    ),
    Rule("§3.10.7.4 fifth, LAST-ACK", _in(LAST_ACK), lambda s: s.acknowledges_fin, goes_to(CLOSED)),
)

_AT_ONCE: Final = "MAY-13 is taken: a duplicate ACK at once, as RFC 5681 §4.2 wants it."

_TEXT_AND_FIN: Final = (
    Rule(
        "§3.10.7.4 seventh",
        RECEIVING,
        lambda s: s.octets > 0 and s.start <= s.rcv_nxt < s.end_of_text,
        take_text,
        stop=False,
        choice="What lies before the window is trimmed. The ACK may be delayed (§3.8.6.3).",
    ),
    Rule(
        "§3.10.7.4 first, SHLD-31",
        RECEIVING,
        lambda s: s.octets > 0 and s.start > s.rcv_nxt,
        hold_text,
        stop=False,
        choice=_AT_ONCE,
    ),
    # CLOSE-WAIT and the states that follow it: "Ignore the segment text."
    Rule(
        "§3.10.7.4 first, SHLD-31",
        RECEIVING,
        lambda s: s.has(FIN) and s.rcv_nxt < s.end_of_text < s.edge,
        hold_fin,
        stop=True,
        choice=_AT_ONCE,
    ),
    Rule(
        "§3.10.7.4 eighth",
        _SYNCHRONIZED,
        lambda s: s.has(FIN) and s.end_of_text == s.rcv_nxt,
        take_fin,
        stop=False,
        choice="§3.8.6.3 lets the ACK be delayed: so in ESTABLISHED. Elsewhere the FIN ends the exchange: at once.",
    ),
    Rule(
        "§3.10.7.4 eighth, FIN-WAIT-2",
        _in(FIN_WAIT_2),
        lambda s: s.fin_taken,
        goes_to(TIME_WAIT),
        choice="Reached from FIN-WAIT-1 when this segment acknowledges our FIN.",
    ),
    Rule("§3.10.7.4 eighth, FIN-WAIT-1", _in(FIN_WAIT_1), lambda s: s.fin_taken, goes_to(CLOSING)),
    Rule("§3.10.7.4 eighth, ESTABLISHED", _in(ESTABLISHED), lambda s: s.fin_taken, goes_to(CLOSE_WAIT)),
)

_OTHER_STATES_RULES: Final = _FIRST + _SECOND + _FOURTH + _FIFTH + _TEXT_AND_FIN

#: All of them.
RULES: Final = _CLOSED_RULES + _LISTEN_RULES + _SYN_SENT_RULES + _OTHER_STATES_RULES


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
