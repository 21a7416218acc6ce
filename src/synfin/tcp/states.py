"""The state machine as a table: eleven states and every legal transition (RFC 9293 §3.3.2, figure 5).

Everything that changes a connection's state is in this file; `next_state` is the only way from one to another.
The numbers of the states are Linux's (``include/net/tcp_states.h``), as programs see them in TCP_INFO.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ESTABLISHED: Final = 1
SYN_SENT: Final = 2
SYN_RECEIVED: Final = 3
FIN_WAIT_1: Final = 4
FIN_WAIT_2: Final = 5
TIME_WAIT: Final = 6
CLOSED: Final = 7
CLOSE_WAIT: Final = 8
LAST_ACK: Final = 9
LISTEN: Final = 10
CLOSING: Final = 11

STATES: Final = (
    CLOSED,
    LISTEN,
    SYN_SENT,
    SYN_RECEIVED,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    CLOSE_WAIT,
    CLOSING,
    LAST_ACK,
    TIME_WAIT,
)

NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {
        CLOSED: "CLOSED",
        LISTEN: "LISTEN",
        SYN_SENT: "SYN-SENT",
        SYN_RECEIVED: "SYN-RECEIVED",
        ESTABLISHED: "ESTABLISHED",
        FIN_WAIT_1: "FIN-WAIT-1",
        FIN_WAIT_2: "FIN-WAIT-2",
        CLOSE_WAIT: "CLOSE-WAIT",
        CLOSING: "CLOSING",
        LAST_ACK: "LAST-ACK",
        TIME_WAIT: "TIME-WAIT",
    }
)

# What makes a connection change its state, in the words of the RFC's diagram.
PASSIVE_OPEN: Final = "passive OPEN"
ACTIVE_OPEN: Final = "active OPEN"
CLOSE: Final = "CLOSE"
ABORT: Final = "ABORT"
RCV_SYN: Final = "rcv SYN"
RCV_SYN_ACK: Final = "rcv SYN,ACK"
RCV_ACK_OF_SYN: Final = "rcv ACK of SYN"
RCV_FIN: Final = "rcv FIN"
RCV_ACK_OF_FIN: Final = "rcv ACK of FIN"
RCV_FIN_WITH_ACK_OF_FIN: Final = "rcv FIN,ACK of FIN"
RCV_RST: Final = "rcv RST"
TIMEOUT_2MSL: Final = "timeout=2MSL"
TIMEOUT_FIN_WAIT_2: Final = "timeout in FIN-WAIT-2"
GIVE_UP: Final = "give up"

_OPENING: Final = (
    (CLOSED, PASSIVE_OPEN, LISTEN),
    (CLOSED, ACTIVE_OPEN, SYN_SENT),
    (LISTEN, ACTIVE_OPEN, SYN_SENT),
    (LISTEN, RCV_SYN, SYN_RECEIVED),
    (SYN_SENT, RCV_SYN, SYN_RECEIVED),
    (SYN_SENT, RCV_SYN_ACK, ESTABLISHED),
    (SYN_RECEIVED, RCV_ACK_OF_SYN, ESTABLISHED),
)
_CLOSING: Final = (
    (LISTEN, CLOSE, CLOSED),
    (SYN_SENT, CLOSE, CLOSED),
    (SYN_RECEIVED, CLOSE, FIN_WAIT_1),
    (ESTABLISHED, CLOSE, FIN_WAIT_1),
    (CLOSE_WAIT, CLOSE, LAST_ACK),
    (SYN_RECEIVED, RCV_FIN, CLOSE_WAIT),
    (ESTABLISHED, RCV_FIN, CLOSE_WAIT),
    (FIN_WAIT_1, RCV_ACK_OF_FIN, FIN_WAIT_2),
    (FIN_WAIT_1, RCV_FIN, CLOSING),
    (FIN_WAIT_1, RCV_FIN_WITH_ACK_OF_FIN, TIME_WAIT),
    (FIN_WAIT_2, RCV_FIN, TIME_WAIT),
    (CLOSING, RCV_ACK_OF_FIN, TIME_WAIT),
    (LAST_ACK, RCV_ACK_OF_FIN, CLOSED),
    (TIME_WAIT, TIMEOUT_2MSL, CLOSED),
    (FIN_WAIT_2, TIMEOUT_FIN_WAIT_2, CLOSED),
)
# RFC 9293 §3.10.5, §3.10.7.4 (second), §3.8.3: an abort, a reset or giving up ends any connection. A passive
# SYN-RECEIVED falls back to LISTEN: its request vanishes and the listener, which never left LISTEN, goes on.
_ENDING: Final = tuple(
    (state, event, CLOSED)
    for state in STATES
    if state != CLOSED
    for event in (ABORT, RCV_RST, GIVE_UP)
    if state != LISTEN or event == ABORT
)

TRANSITIONS: Final[Mapping[tuple[int, str], int]] = MappingProxyType(
    {(state, event): new for state, event, new in _OPENING + _CLOSING + _ENDING}
)


class IllegalTransitionError(Exception):
    """The code asked for a transition that the table does not have: a defect of synfin, never of its input."""


def next_state(state: int, event: str) -> int:
    """The state that follows `state` when `event` happens. Raises IllegalTransitionError if none does."""
    new = TRANSITIONS.get((state, event))
    if new is None:
        raise IllegalTransitionError(f"{NAMES[state]} has no transition for {event}")
    return new


# Sets of states that the RFC's procedures name together.
SYNCHRONIZED: Final = frozenset({ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT})
#: The user may still hand over data (RFC 9293 §3.10.2).
MAY_SEND: Final = frozenset({SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSE_WAIT})
#: Data may still arrive (RFC 9293 §3.10.7.4, seventh).
MAY_RECEIVE: Final = frozenset({SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2})
