"""Hosts that are switched off, and reboot; wires that are cut, and mended."""

from __future__ import annotations

from errno import ECONNREFUSED, ECONNRESET, ENETDOWN, ETIMEDOUT

import pytest

from synfin.events import StateChanged
from synfin.sim import Network
from synfin.tcp import states
from synfin.wire.tcp import RST, SYN
from tests.sim.watching import MILLISECOND, SECOND, Client, Server, Watch


class Pair:
    def __init__(self, seed: int = 0) -> None:
        self.watch = Watch()
        self.network = Network(seed, self.watch)
        self.client = self.network.host("client")
        self.server = self.network.host("server")
        self.wire = self.network.wire(self.client, "10.0.0.1/24", self.server, "10.0.0.2/24", delay=10 * MILLISECOND)

    def connect(self) -> Client:
        user = Client(self.network, self.client, "server")
        self.network.run(self.network.now + SECOND)
        assert user.connection.state == states.ESTABLISHED
        return user


@pytest.mark.row("D2")
def test_the_first_segment_to_a_host_that_restarted_meets_rst() -> None:
    pair = Pair()
    program = Server(pair.server)
    user = pair.connect()
    user.send(b"before")
    pair.network.run(2 * SECOND)
    pair.network.at(3 * SECOND, lambda: pair.server.reboot(5 * SECOND))
    pair.network.run(10 * SECOND)
    # Nobody told the client: its connection is half-open.
    assert user.connection.state == states.ESTABLISHED
    assert [row.state for row in pair.server.host.connections()] == ["LISTEN"]
    before = len(pair.watch.sent("server"))
    user.send(b"after")
    pair.network.run()
    assert user.errors == [(10 * SECOND + 20 * MILLISECOND, ECONNRESET)]
    (reset,) = pair.watch.segments("server")[before:]
    assert reset.flags == RST
    assert program.received == b"before"
    # A new connection finds the server that started again.
    again = pair.connect()
    again.send(b" and again")
    pair.network.run(pair.network.now + SECOND)
    assert program.received == b"before and again"


def test_a_reboot_forgets_everything_but_settings() -> None:
    pair = Pair()
    Server(pair.server)
    user = pair.connect()
    pair.server.parameters.tcp.tcp_fin_timeout = 7
    old = pair.server.host
    pair.server.booted = None
    pair.server.reboot()
    new = pair.server.host
    assert new is not old
    assert new.connections() == []
    assert new.counters.items() == []
    assert new.parameters.tcp.tcp_fin_timeout == 7
    assert [str(route) for route in new.routes] == [str(route) for route in old.routes]
    assert pair.server.changed is None
    # Nothing listens now.
    user.send(b"x")
    Client(pair.network, pair.client, "server")
    pair.network.run()
    assert [flags & RST for flags in (segment.flags for segment in pair.watch.segments("server")[-2:])] == [RST, RST]


def test_a_reboot_gives_another_secret() -> None:
    """The same four-tuple at the same time would get another initial sequence number."""
    numbers = []
    for reboots in (0, 1, 1, 2):
        pair = Pair()
        for _ in range(reboots):
            pair.client.reboot()
        pair.client.connect("server", 80, ("10.0.0.1", 5000))
        numbers.append(pair.watch.segments("client")[0].seq)
    assert numbers[1] == numbers[2]
    assert len(set(numbers)) == 3


def test_the_trace_says_what_went_down() -> None:
    pair = Pair()
    Server(pair.server)
    pair.connect()
    pair.network.at(2 * SECOND, pair.server.power_off)
    pair.network.run()
    changes = [
        (event.time, event.old, event.new, event.reason.name)
        for event in pair.watch.events
        if isinstance(event, StateChanged) and event.host == "server" and event.reason.name == "host-down"
    ]
    assert changes == [(2 * SECOND, "ESTABLISHED", "CLOSED", "host-down")]


@pytest.mark.row("D1")
def test_a_host_that_is_off_is_silent() -> None:
    pair = Pair()
    Server(pair.server)
    user = pair.connect()
    sent = len(pair.watch.sent("server"))
    pair.server.power_off()
    user.send(b"anybody?")
    start = pair.network.now
    pair.network.run()
    assert len(pair.watch.sent("server")) == sent
    ((when, error),) = user.errors
    assert error == ETIMEDOUT
    assert 924.6 * SECOND < when - start < 1046 * SECOND


def test_programs_on_a_host_that_is_off() -> None:
    pair = Pair()
    Server(pair.server)
    user = pair.connect()
    called: list[int] = []
    pair.client.after(SECOND, lambda: called.append(1))
    pair.client.power_off()
    pair.client.power_off()
    for call in (
        lambda: user.send(b"x"),
        lambda: pair.client.receive(user.connection),
        lambda: pair.client.close(user.connection),
        lambda: pair.client.release(user.connection),
        lambda: pair.client.abort(user.connection),
        lambda: pair.client.connect("server", 80),
        lambda: pair.client.listen("0.0.0.0", 80),
        lambda: pair.client.set_keepalive(user.connection, True),
    ):
        with pytest.raises(OSError) as raised:
            call()
        assert raised.value.errno == ENETDOWN
    pair.client.power_on()
    pair.client.power_on()
    sent = len(pair.watch.sent("client"))
    # A connection of the time before is dead, and says so once.
    with pytest.raises(OSError) as raised:
        user.send(b"x")
    assert raised.value.errno == ENETDOWN
    with pytest.raises(BrokenPipeError):
        user.send(b"x")
    pair.client.release(user.connection)
    pair.network.run()
    assert len(pair.watch.sent("client")) == sent
    assert called == []
    pair.client.after(SECOND, lambda: called.append(2))
    pair.network.run()
    assert called == [2]


def test_a_host_that_switches_itself_off_while_it_is_told() -> None:
    pair = Pair()

    def changed(entry: object) -> None:
        pair.server.power_off()

    pair.server.changed = changed
    pair.server.listen("0.0.0.0", 80)
    user = Client(pair.network, pair.client, "server")
    pair.network.run(2 * SECOND)
    assert not pair.server.up
    assert user.connection.state == states.ESTABLISHED
    sent = len(pair.watch.sent("server"))
    user.send(b"x")
    pair.network.run()
    assert len(pair.watch.sent("server")) == sent


def test_a_program_is_told_nothing_of_the_time_before_its_start() -> None:
    """Two connects time out in the same moment; told of the first, the program reboots its host."""
    pair = Pair()
    pair.server.power_off()
    told: list[tuple[int, object]] = []

    def start(node: object) -> None:
        pair.client.changed = lambda entry: told.append((2, entry))

    def changed(entry: object) -> None:
        told.append((1, entry))
        pair.client.reboot()

    pair.client.booted = start
    pair.client.changed = changed
    first = pair.client.connect("server", 80)
    pair.client.connect("server", 81)
    pair.network.run()
    assert told == [(1, first)]


def test_a_connect_to_a_host_that_is_starting() -> None:
    """The SYN is repeated until the host is there: first nobody answers, then nobody listens."""
    pair = Pair()
    pair.server.power_off()
    pair.network.at(2 * SECOND + 500 * MILLISECOND, pair.server.power_on)
    user = Client(pair.network, pair.client, "server")
    pair.network.run()
    assert user.errors == [(3 * SECOND + 20 * MILLISECOND, ECONNREFUSED)]
    assert [segment.flags for segment in pair.watch.segments("client")] == [SYN] * 4


def test_a_rebooted_router_still_knows_its_way() -> None:
    watch = Watch()
    network = Network(0, watch)
    client, router, server = network.host("client"), network.router("router"), network.host("server")
    far = network.router("far")
    network.wire(client, "10.0.0.1/24", router, "10.0.0.2/24")
    network.wire(router, "10.0.1.1/24", far, "10.0.1.2/24")
    network.wire(far, "10.0.2.1/24", server, "10.0.2.2/24")
    network.route_all()
    program = Server(server)
    user = Client(network, client, "server")
    network.run(SECOND)
    router.reboot(10 * SECOND)
    user.send(b"through")
    network.run(5 * SECOND)
    assert program.received == b""
    network.run(30 * SECOND)
    assert program.received == b"through"


# --- partition


@pytest.mark.row("D5")
@pytest.mark.parametrize("retries", [3, 8, 15])
def test_a_partition_ends_in_a_time_out(retries: int) -> None:
    """Nothing arrives any more, no RST either: the sender gives up at the first time-out after the time that
    tcp_retries2 retransmissions would take from 200 ms on, doubling up to 120 s."""
    pair = Pair()
    pair.client.parameters.tcp.tcp_retries2 = retries
    program = Server(pair.server)
    user = pair.connect()
    pair.network.partition("client-server")
    start = pair.network.now
    user.send(b"lost")
    pair.network.run()
    ((when, error),) = user.errors
    assert error == ETIMEDOUT
    # The RTO is 220 ms here: 20 ms of round trip and Linux's least variation of 200 ms. The first time it is over a
    # tail-loss probe goes, and it begins anew.
    rtos = [min(220 * MILLISECOND << number, 120 * SECOND) for number in range(20)]
    limit = sum(min(200 * MILLISECOND << number, 120 * SECOND) for number in range(retries + 1))
    expirations = [rtos[0] + sum(rtos[: number + 1]) for number in range(20)]
    assert when - start == next(time for time in expirations if time - expirations[0] >= limit)
    assert program.received == b""
    assert program.accepted[0].state == states.ESTABLISHED


@pytest.mark.row("D5")
def test_a_partition_that_heals() -> None:
    pair = Pair()
    program = Server(pair.server, answer=b"!")
    user = pair.connect()
    pair.network.partition("client-server", 2 * SECOND, 60 * SECOND)
    pair.network.at(3 * SECOND, lambda: user.send(b"held up"))
    pair.network.run(59 * SECOND)
    assert program.received == b""
    pair.network.run(200 * SECOND)
    assert program.received == b"held up"
    assert user.received == b"!" * 7
    assert user.errors == []


@pytest.mark.row("D5")
def test_connecting_into_a_partition() -> None:
    pair = Pair()
    Server(pair.server)
    pair.network.partition("client-server")
    user = Client(pair.network, pair.client, "server")
    pair.network.run()
    assert user.errors == [(131 * SECOND, ETIMEDOUT)]


def test_what_is_on_its_way_when_a_wire_is_cut_arrives() -> None:
    pair = Pair()
    program = Server(pair.server)
    user = pair.connect()
    user.send(b"just in time")
    pair.network.partition("client-server")
    pair.network.run(pair.network.now + SECOND)
    assert program.received == b"just in time"
