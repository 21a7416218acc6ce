"""The laboratory's two-way handshake: the server is established with its SYN+ACK, and nothing forged is seen."""

from __future__ import annotations

import pytest

from synfin.events import Event, RoundTripMeasured, SegmentEvent, SegmentReceived, SegmentSent, StateChanged
from synfin.host.socket_option_numbers import IPPROTO_TCP, TCP_DEFER_ACCEPT
from synfin.lab.bench import DELAY, PORT, pair
from synfin.lab.two_way import open_after_two
from synfin.reasons import ACK_OF_SYN_RECEIVED, TWO_WAY_OPEN
from synfin.show.history import History
from synfin.show.ladder import render_ladder
from synfin.sim import Network, Program, Steps, World, start
from synfin.wire.tcp import ACK, RST, SYN, Segment


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.sendall((yield from sock.recv()))
    yield from sock.receive_all()
    sock.close()


def client(program: Program) -> Steps[bytes]:
    sock = yield from program.connected("server", PORT)
    yield from sock.sendall(b"Hello!")
    answer = yield from sock.recv()
    sock.close()
    return answer


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    open_after_two(network, there)
    return [start(network, there, server), start(network, here, client)]


def changes(events: list[Event], host: str) -> list[tuple[int, str, str]]:
    return [(e.time, e.new, e.reason.name) for e in events if isinstance(e, StateChanged) and e.host == host]


def test_the_server_is_established_when_it_has_sent_its_syn_ack() -> None:
    world = World(scenario)
    after_two = [change for change in changes(world.events, "server") if change[1] == "ESTABLISHED"]
    assert after_two == [(DELAY, "ESTABLISHED", TWO_WAY_OPEN.name)]
    assert ACK_OF_SYN_RECEIVED.name not in {change[2] for change in changes(world.events, "server")}


def test_the_client_is_an_ordinary_one_and_both_come_to_closed() -> None:
    world = World(scenario)
    made = world.made
    assert isinstance(made, list)
    assert [call.result for call in made[1].calls if call.name == "recv"] == [b"Hello!"]
    for host in ("client", "server"):
        assert changes(world.events, host)[-1][1] == "CLOSED"
    # The client's own third message arrives too, and does no harm.
    segments = [event.packet.payload for event in world.events if isinstance(event, SegmentReceived)]
    assert not any(isinstance(segment, Segment) and segment.flags & RST for segment in segments)


def test_nothing_forged_is_seen() -> None:
    """Every segment that a host took was put on the wire by the other."""
    events = World(scenario).events
    sent = {id(event.packet) for event in events if isinstance(event, SegmentSent)}
    taken = [event for event in events if isinstance(event, SegmentEvent) and not isinstance(event, SegmentSent)]
    assert taken
    assert all(id(event.packet) in sent for event in taken)
    history = History.from_events(events)
    assert len(history.transmissions) == len(sent)
    assert "laboratory: taken for open after two messages" in render_ladder(history)
    assert "实验变体" in render_ladder(history, language="zh")
    flags = [one.segment.flags & (SYN | ACK) for one in history.transmissions]
    assert flags[:3] == [SYN, SYN | ACK, ACK]


def test_no_round_trip_is_measured_where_none_was_made() -> None:
    for settings in ({}, {"client:net.ipv4.tcp_timestamps": "0"}):
        measured = [
            event
            for event in World(scenario, settings=settings).events
            if isinstance(event, RoundTripMeasured) and event.host == "server"
        ]
        assert measured
        assert all(event.rtt >= 2 * DELAY for event in measured)


def test_what_the_listener_has_no_use_for_is_not_seen_either() -> None:
    """One that waits for data (TCP_DEFER_ACCEPT) drops a bare third message."""

    def waits(program: Program) -> Steps[None]:
        listener = program.listening(PORT)
        listener.setsockopt(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5)
        yield from listener.accept()

    def world(network: Network) -> list[Program]:
        here, there = pair(network)
        open_after_two(network, there)
        return [start(network, there, waits), start(network, here, client)]

    events = World(world, until=15 * DELAY // 10).events
    assert changes(events, "server")[-1][1] == "SYN-RECEIVED"
    seen = [event for event in events if isinstance(event, SegmentEvent) and event.host == "server"]
    assert [type(event) for event in seen] == [SegmentReceived, SegmentSent]


def test_it_needs_no_third_message() -> None:
    world = World(scenario, faults=("lose packet 3-",), until=10 * DELAY)
    assert changes(world.events, "server")[-1][1] == "ESTABLISHED"


@pytest.mark.parametrize("setting", ["net.ipv4.tcp_timestamps", "net.ipv4.tcp_window_scaling"])
def test_whatever_was_agreed_on(setting: str) -> None:
    world = World(scenario, settings={f"client:{setting}": "0"})
    assert changes(world.events, "server")[-1][1] == "CLOSED"
    assert any(change[2] == TWO_WAY_OPEN.name for change in changes(world.events, "server"))


def test_a_cookie_leaves_nothing_to_open() -> None:
    world = World(scenario, settings={"server:net.ipv4.tcp_syncookies": "2"})
    assert TWO_WAY_OPEN.name not in {change[2] for change in changes(world.events, "server")}
    assert any(change[1] == "ESTABLISHED" for change in changes(world.events, "server"))
