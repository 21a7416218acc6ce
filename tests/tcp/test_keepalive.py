"""Keep-alive (RFC 9293 §3.8.4; row D1): off by default, two hours of silence, nine probes, then the end."""

from __future__ import annotations

from errno import ETIMEDOUT

import pytest

from synfin import reasons
from synfin.events import Event, SegmentSent
from synfin.sim import Network, Node
from synfin.tcp.connection import Connection
from synfin.tcp.timers import KEEPALIVE

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


class World:
    """A client and a server that accepted it; `cut` decides whether the wire still carries anything."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.network = Network(1, self.events.append)
        self.client = self.network.host("client")
        self.server = self.network.host("server")
        self.network.wire(self.client, "10.0.0.1/24", self.server, "10.0.0.2/24", delay=SECOND // 100)
        listener = self.server.listen("10.0.0.2", 80)
        self.connection = self.client.connect("10.0.0.2", 80)
        self.network.run(SECOND)
        self.accepted = self.server.accept(listener)

    def switch(self, node: Node, connection: Connection) -> None:
        node.host.set_keepalive(connection, True, self.network.now)
        node.run()

    def probes(self) -> list[int]:
        """When probes were sent, in seconds."""
        return [
            event.time // SECOND
            for event in self.events
            if isinstance(event, SegmentSent) and event.reason is reasons.KEEP_ALIVE_PROBE
        ]

    def kill_server(self) -> None:
        """The server's machine dies: it neither sends nor hears anything more."""
        self.network.apply("lose 100%")


@pytest.mark.row("D1")
@pytest.mark.requirement("MUST-25")
def test_is_off_until_switched_on() -> None:
    world = World()
    world.network.run(5 * HOUR)
    assert world.probes() == []
    assert not world.connection.timers.running(KEEPALIVE)


@pytest.mark.row("D1")
@pytest.mark.requirement("MUST-28", "MAY-5")
def test_a_living_peer_answers_and_two_hours_start_anew() -> None:
    world = World()
    world.switch(world.client, world.connection)
    world.network.run(7 * HOUR)
    assert world.probes() == [7201, 14401, 21601]
    assert world.connection.keepalive is not None
    assert world.connection.keepalive.unanswered <= 1


@pytest.mark.row("D1")
@pytest.mark.requirement("MUST-29")
def test_a_dead_peer_is_given_up_after_nine_probes() -> None:
    world = World()
    world.switch(world.client, world.connection)
    world.kill_server()
    world.network.run(7200 * SECOND + 9 * 75 * SECOND - SECOND)
    assert world.probes() == [7201 + 75 * n for n in range(9)]
    assert world.connection.error == 0
    world.network.run(7200 * SECOND + 9 * 75 * SECOND + 2 * SECOND)
    assert world.connection.error == ETIMEDOUT
    with pytest.raises(TimeoutError):
        world.client.receive(world.connection)
    assert world.client.host.connections() == []


@pytest.mark.row("D1")
@pytest.mark.requirement("MUST-26")
def test_any_segment_starts_the_two_hours_anew() -> None:
    world = World()
    world.switch(world.client, world.connection)
    world.network.at(HOUR, lambda: world.server.send(world.accepted, b"x"))
    world.network.run(2 * HOUR + SECOND * 10)
    assert world.probes() == []
    world.network.run(3 * HOUR + 10 * SECOND)
    assert world.probes() == [3 * 3600]


@pytest.mark.row("D1")
def test_with_data_outstanding_the_retransmission_limit_decides() -> None:
    world = World()
    world.switch(world.client, world.connection)
    world.kill_server()
    world.client.send(world.connection, b"x")
    world.network.run(HOUR)
    assert world.probes() == []
    assert world.connection.error == ETIMEDOUT


def test_the_settings_of_one_connection() -> None:
    world = World()
    world.switch(world.client, world.connection)
    settings = world.connection.keepalive
    assert settings is not None
    settings.time, settings.interval, settings.probes = 10 * SECOND, SECOND, 2
    world.client.host.set_keepalive(world.connection, False, world.network.now)
    world.switch(world.client, world.connection)
    settings = world.connection.keepalive
    assert settings is not None
    assert settings.time == 7200 * SECOND
