"""The table of states against RFC 9293 §3.3.2, figure 5, and §3.10."""

from __future__ import annotations

import pytest

from synfin.tcp import states
from synfin.tcp.states import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)

# Copied by eye from figure 5, with what the text of §3.10 adds; nothing here is taken from the code.
FIGURE_5 = {
    (CLOSED, states.PASSIVE_OPEN): LISTEN,
    (CLOSED, states.ACTIVE_OPEN): SYN_SENT,
    (LISTEN, states.ACTIVE_OPEN): SYN_SENT,  # SEND in LISTEN, §3.10.2
    (LISTEN, states.RCV_SYN): SYN_RECEIVED,
    (LISTEN, states.CLOSE): CLOSED,
    (SYN_SENT, states.CLOSE): CLOSED,
    (SYN_SENT, states.RCV_SYN): SYN_RECEIVED,
    (SYN_SENT, states.RCV_SYN_ACK): ESTABLISHED,
    (SYN_RECEIVED, states.RCV_ACK_OF_SYN): ESTABLISHED,
    (SYN_RECEIVED, states.CLOSE): FIN_WAIT_1,
    (ESTABLISHED, states.CLOSE): FIN_WAIT_1,
    (ESTABLISHED, states.RCV_FIN): CLOSE_WAIT,
    (CLOSE_WAIT, states.CLOSE): LAST_ACK,
    (LAST_ACK, states.RCV_ACK_OF_FIN): CLOSED,
    (FIN_WAIT_1, states.RCV_ACK_OF_FIN): FIN_WAIT_2,
    (FIN_WAIT_1, states.RCV_FIN): CLOSING,
    (FIN_WAIT_1, states.RCV_FIN_WITH_ACK_OF_FIN): TIME_WAIT,  # §3.10.7.4, eighth
    (FIN_WAIT_2, states.RCV_FIN): TIME_WAIT,
    (CLOSING, states.RCV_ACK_OF_FIN): TIME_WAIT,
    (TIME_WAIT, states.TIMEOUT_2MSL): CLOSED,
    (SYN_RECEIVED, states.RCV_FIN): CLOSE_WAIT,  # §3.10.7.4, eighth
    (FIN_WAIT_2, states.TIMEOUT_FIN_WAIT_2): CLOSED,  # tcp_fin_timeout: a host's own
}
ENDINGS = (states.ABORT, states.RCV_RST, states.GIVE_UP)


@pytest.mark.row("E6")
def test_every_orderly_transition_is_the_diagrams_and_the_other_way_round() -> None:
    orderly = {key: new for key, new in states.TRANSITIONS.items() if key[1] not in ENDINGS}
    assert orderly == FIGURE_5


def test_aborts_resets_and_giving_up_lead_to_closed_from_everywhere_else() -> None:
    endings = {key: new for key, new in states.TRANSITIONS.items() if key[1] in ENDINGS}
    assert set(endings.values()) == {CLOSED}
    for state in states.STATES:
        expected = set(ENDINGS)
        if state == CLOSED:
            expected = set()
        elif state == LISTEN:
            # A RST for a listening port is dropped (§3.10.7.2), and it has nothing to give up.
            expected = {states.ABORT}
        assert {event for old, event in endings if old == state} == expected


def test_every_state_can_be_reached_from_closed_and_leads_back_to_it() -> None:
    def reachable(start: int) -> set[int]:
        seen, todo = {start}, [start]
        while todo:
            state = todo.pop()
            for (old, _), new in states.TRANSITIONS.items():
                if old == state and new not in seen:
                    seen.add(new)
                    todo.append(new)
        return seen

    assert reachable(CLOSED) == set(states.STATES)
    assert all(CLOSED in reachable(state) for state in states.STATES)
    assert len(states.STATES) == len(set(states.STATES)) == 11
    assert set(states.NAMES) == set(states.STATES)


def test_an_illegal_transition_raises() -> None:
    events = {event for _, event in states.TRANSITIONS}
    for state in states.STATES:
        for event in events:
            if (state, event) in states.TRANSITIONS:
                assert states.next_state(state, event) == states.TRANSITIONS[state, event]
            else:
                with pytest.raises(states.IllegalTransitionError, match=states.NAMES[state]):
                    states.next_state(state, event)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        states.TRANSITIONS[CLOSED, "magic"] = ESTABLISHED  # type: ignore[index]


def test_the_sets_of_states() -> None:
    assert {CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED} == set(states.STATES) - states.SYNCHRONIZED
    assert {SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSE_WAIT} == states.MAY_SEND
    assert {SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2} == states.MAY_RECEIVE
