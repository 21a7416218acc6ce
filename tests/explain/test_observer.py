"""Both ends' states as they are inferred, held against the truth: hosts in the simulated network that tell theirs."""

from __future__ import annotations

from contextlib import suppress

import pytest

from synfin.events import Event, PacketDelivered, PacketTransmitted, SegmentSent, StateChanged
from synfin.explain import kinds
from synfin.explain.explanation import Explanation
from synfin.explain.kinds import Finding
from synfin.explain.observer import Observer
from synfin.lab import whole_life
from synfin.reasons import (
    FAST_RETRANSMIT,
    LOSS_PROBE,
    PARTIAL_ACKNOWLEDGMENT,
    RACK_SHOWS_LOSS,
    RETRANSMISSION_TIMEOUT,
    TWO_MSL_OVER,
)
from synfin.sim.network import Network
from synfin.sim.scenario import World
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.states import CLOSED, ESTABLISHED, NAMES, STATES, TIME_WAIT, TRANSITIONS
from synfin.wire.ip import octets
from synfin.wire.tcp import ACK, FIN, RST, SYN
from tests.explain.tape import Tape, explained, pcap


def seen_at(events: list[Event], where: str) -> Explanation:
    """What is made of a capture taken at the "client", at the "server", or of all that was "sent"."""
    packets = []
    for event in events:
        if (isinstance(event, PacketTransmitted) and where in (event.host, "sent")) or (
            isinstance(event, PacketDelivered) and event.host == where
        ):
            packets.append((event.time, octets(event.packet)))
    explanation, _ = explained(pcap(packets))
    return explanation


def true_states(events: list[Event], host: str) -> list[str]:
    """The states that a host's connection went through; what time alone did is not seen by anybody else."""
    return [
        event.new
        for event in events
        if isinstance(event, StateChanged)
        and event.host == host
        and event.new != "LISTEN"
        and event.reason is not TWO_MSL_OVER
    ]


def inferred_states(explanation: Explanation, end: int) -> list[str]:
    (connection,) = explanation.connections
    return [NAMES[state] for step, state in connection.observer.replayed() if step.end == end]


@pytest.mark.parametrize("where", ["client", "server", "sent"])
def test_the_states_of_a_whole_life_are_the_true_ones(where: str) -> None:
    events = whole_life.run()
    explanation = seen_at(events, where)
    for end, host in enumerate(("client", "server")):
        assert inferred_states(explanation, end) == true_states(events, host)


@pytest.mark.parametrize("where", ["client", "server", "sent"])
@pytest.mark.parametrize("lost", range(1, 8))
def test_the_states_are_the_true_ones_whichever_message_is_lost(lost: int, where: str) -> None:
    events = whole_life.run_and_lose(lost)
    explanation = seen_at(events, where)
    expected = [true_states(events, host) for host in ("client", "server")]
    if lost == 5 and where != "client":
        # The ACK of the FIN passes, and nothing shows that it never arrives.
        assert expected[0][-2:] == ["FIN-WAIT-1", "TIME-WAIT"]
        expected[0].insert(-1, "FIN-WAIT-2")
    assert [inferred_states(explanation, end) for end in (0, 1)] == expected


# --- kinds of retransmissions, held against what their sender says -----------------------------------------------


def upload(network: Network) -> None:
    """The client sends 300 KB, over a way that loses some."""
    client = network.host("client")
    server = network.host("server")
    network.wire(client, "192.0.2.1/24", server, "192.0.2.2/24", delay=20_000_000)
    listener = server.listen("192.0.2.2", 80)

    def arrived(entry: Connection | Listener) -> None:
        if isinstance(entry, Listener):
            server.accept(listener)
        elif entry.receive_queue.octets:
            server.receive(entry)

    server.changed = arrived
    connection = client.connect("192.0.2.2", 80)
    rest = 300_000

    def go_on(entry: Connection | Listener) -> None:
        nonlocal rest
        if connection.state != ESTABLISHED or not rest:
            return
        with suppress(BlockingIOError):
            rest -= client.send(connection, bytes(rest))
        if not rest:
            client.close(connection)

    client.changed = go_on


#: What a sender says, and what may be said of it by whoever sees it pass.
SAME = {
    RETRANSMISSION_TIMEOUT.name: {kinds.TIMEOUT, kinds.SYN_AGAIN, kinds.SYN_ACK_AGAIN, kinds.FIN_AGAIN},
    FAST_RETRANSMIT.name: {kinds.FAST},
    PARTIAL_ACKNOWLEDGMENT.name: {kinds.RECOVERY},
    # The first of a recovery, and those that follow it.
    RACK_SHOWS_LOSS.name: {kinds.FAST, kinds.SACK_RECOVERY, kinds.RECOVERY},
    LOSS_PROBE.name: {kinds.LOSS_PROBE, kinds.TIMEOUT},
}


@pytest.mark.parametrize("seed", range(4))
def test_retransmissions_are_of_the_kind_that_their_sender_says(seed: int) -> None:
    events = World(upload, seed, ("lose 3%",)).events
    reasons = {}
    packets = []
    for event in events:
        if isinstance(event, SegmentSent) and event.host == "client":
            reasons[id(event.packet)] = event.reason
        if event.host == "client" and isinstance(event, PacketTransmitted | PacketDelivered):
            packets.append((event.time, octets(event.packet), reasons.get(id(event.packet))))
    _, findings = explained(pcap([(time, packet) for time, packet, _ in packets]))
    found: dict[int, Finding] = {
        finding.number: finding for finding in findings if finding.kind.column == kinds.RETRANSMISSION
    }
    said = 0
    for number, (_, _, reason) in enumerate(packets, 1):
        allowed = SAME.get(reason.name) if reason is not None else None
        if allowed is not None:
            said += 1
            assert found.pop(number).kind in allowed, (number, reason)
    assert said >= 3
    assert {finding.kind for finding in found.values()} <= {kinds.SYN_ACK_AGAIN, kinds.SPURIOUS}


# --- the observer by itself --------------------------------------------------------------------------------------


def test_every_change_is_one_of_the_table_unless_packets_are_missing() -> None:
    tape = Tape()
    tape.open()
    tape.exchange()
    tape.close()
    (connection,) = tape.explained()[0].connections
    for step in connection.observer.steps:
        assert step.event
        assert any(event == step.event and new == step.state for (_, event), new in TRANSITIONS.items())
    assert connection.observer.states == [TIME_WAIT, CLOSED]


def test_a_fin_is_dated_back_to_where_it_passed() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, FIN | ACK)
    tape.wait(40)
    tape.send(1)
    assert changes_of(tape)[-3:] == [(4, 0, "FIN-WAIT-1"), (4, 1, "CLOSE-WAIT"), (5, 0, "FIN-WAIT-2")]


def changes_of(tape: Tape) -> list[tuple[int, int, str]]:
    (connection,) = tape.explained()[0].connections
    return [(step.number, step.end, NAMES[state]) for step, state in connection.observer.replayed()]


def test_a_syn_and_a_fin_that_were_lost_arrive_when_they_are_sent_again() -> None:
    tape = Tape()
    tape.send(0, SYN)
    tape.wait(1000)
    tape.send(0, SYN, seq=1000)
    tape.send(1, SYN | ACK)
    tape.send(0)
    tape.send(0, FIN | ACK)
    tape.wait(250)
    tape.send(0, FIN | ACK, seq=1001)
    tape.send(1)
    changes = changes_of(tape)
    assert (2, 1, "SYN-RECEIVED") in changes
    assert (6, 1, "CLOSE-WAIT") in changes


def test_a_fin_behind_a_gap_waits_until_that_is_filled() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, length=1000, seq=2001)
    tape.nexts[0] = 3001
    tape.send(0, FIN | ACK)
    tape.send(1, ack=1001)
    tape.send(0, length=1000, seq=1001)
    tape.send(1)
    assert (7, 1, "CLOSE-WAIT") in changes_of(tape)


def test_a_simultaneous_close() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, FIN | ACK)
    tape.send(1, FIN | ACK, ack=1001)
    tape.send(0)
    tape.send(1)
    (connection,) = tape.explained()[0].connections
    for end in (0, 1):
        states = [NAMES[state] for step, state in connection.observer.replayed() if step.end == end]
        assert states[-3:] == ["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]


def test_a_syn_without_an_answer_says_nothing_of_the_other_end() -> None:
    tape = Tape()
    tape.send(0, SYN)
    (connection,) = tape.explained()[0].connections
    assert [state and NAMES[state] for state in connection.observer.states] == ["SYN-SENT", None]


def test_a_refusal_comes_from_closed() -> None:
    tape = Tape()
    tape.send(0, SYN)
    tape.send(1, RST | ACK, seq=0)
    (connection,) = tape.explained()[0].connections
    assert connection.observer.firsts == [CLOSED, CLOSED]
    assert connection.observer.states == [CLOSED, CLOSED]


def test_from_the_middle_on_an_end_that_speaks_is_open() -> None:
    tape = Tape()
    tape.send(0, ACK, 10)
    (connection,) = tape.explained()[0].connections
    assert connection.observer.states == [ESTABLISHED, None]


def test_nothing_grows_however_long_it_goes_on() -> None:
    observer = Observer()
    for number in range(1, 1000):
        observer.syn_sent(0, number)
        observer.reset_sent(0, number)
    assert len(observer.steps) <= 64
    assert set(observer.states) <= {*STATES, None}
