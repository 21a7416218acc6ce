"""Worlds: run again, with one fault more, and through octets."""

from __future__ import annotations

import pytest

from synfin.events import Event, PacketLost, PacketTransmitted, UserCalled
from synfin.host import addresses
from synfin.link.faults import Lose, Nth, Partition, Reboot, parse_fault
from synfin.sim import Nat, Network, OnWire, Timeouts, World, compare, parse_network_fault
from synfin.sim.scenario import same
from synfin.wire import icmp
from synfin.wire.icmp import PROTOCOL_ICMP, IcmpMessage
from synfin.wire.ip import PROTOCOL_TCP, Packet, Segment
from synfin.wire.tcp import SYN
from tests.sim.watching import MILLISECOND, SECOND, Client, Server, inject


def ip(text: str) -> bytes:
    return addresses.packed(text)


def simple(network: Network) -> tuple[Server, Client]:
    """A client sends much, and is answered, over one wire."""
    client, server = network.host("client"), network.host("server")
    network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24", delay=5 * MILLISECOND, rate=20_000_000)
    program = Server(server, answer=b"xyz")
    user = Client(network, client, "server")
    for time in range(1, 20):
        network.at(time * 50 * MILLISECOND, lambda: user.write(bytes(3000)))
    return program, user


def home(network: Network) -> tuple[Server, Client]:
    """Two hosts behind a NAT that forgets, a router, a narrow wire, and a server."""
    one, other = network.host("one"), network.host("other")
    nat = network.router("nat", nat=Nat("203.0.113.1", Timeouts(established=10 * SECOND), unknown="reset"))
    isp, server = network.router("isp"), network.host("server")
    lan = network.switch("lan")
    network.wire(one, "192.168.0.2/24", lan)
    network.wire(other, "192.168.0.3/24", lan)
    network.wire(nat, "192.168.0.1/24", lan)
    network.wire(nat, "203.0.113.1/24", isp, "203.0.113.254/24", delay=MILLISECOND, mtu=1200)
    network.wire(isp, "198.51.100.1/24", server, "198.51.100.2/24", delay=MILLISECOND)
    network.route_all()
    program = Server(server, answer=b"!")
    user = Client(network, one, "server")
    network.at(SECOND, lambda: user.send(b"hello"))
    # Too big for the narrow wire; then a TTL that runs out; a ping; what nobody knows.
    big = Segment(4000, 80, 1, 0, SYN, 1000, payload=(bytes(1300),))
    network.at(2 * SECOND, lambda: inject(other, Packet(ip("192.168.0.3"), ip("198.51.100.2"), PROTOCOL_TCP, big)))
    lost = Segment(4000, 80, 1, 0, SYN, 1000)
    network.at(
        3 * SECOND, lambda: inject(other, Packet(ip("192.168.0.3"), ip("198.51.100.2"), PROTOCOL_TCP, lost, ttl=2))
    )
    echo = IcmpMessage(icmp.ECHO_REQUEST, 0, 9, b"ping")
    network.at(4 * SECOND, lambda: inject(other, Packet(ip("192.168.0.3"), ip("198.51.100.2"), PROTOCOL_ICMP, echo)))
    network.at(20 * SECOND, lambda: user.send(b"forgotten"))
    return program, user


def fragmented(network: Network) -> None:
    a, router, b = network.host("a"), network.router("router"), network.host("b")
    network.wire(a, ("10.0.0.1/24", "fd00::1/64"), router, ("10.0.0.2/24", "fd00::2/64"))
    network.wire(router, ("10.0.1.1/24", "fd01::1/64"), b, ("10.0.1.2/24", "fd01::2/64"), mtu=600)
    network.route_all()
    whole = Packet(ip("10.0.0.1"), ip("10.0.1.2"), PROTOCOL_TCP, Segment(1, 2, 3, 4, SYN, 5, payload=(bytes(1400),)))
    whole.dont_fragment = False
    inject(a, whole)
    inject(a, Packet(ip("fd00::1"), ip("fd01::2"), PROTOCOL_TCP, Segment(1, 2, 3, 4, SYN, 5, payload=(bytes(1400),))))


SCENARIOS = [simple, home, fragmented]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_world_is_a_function(scenario: object) -> None:
    first, second = World(scenario, 3), World(scenario, 3)  # type: ignore[arg-type]
    assert len(first.events) > 8
    assert first.parting(second) is None
    if scenario is not fragmented:
        assert World(scenario, 4).parting(first) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_values_and_octets_give_the_same(scenario: object) -> None:
    """Event for event, and packet for packet."""
    values, octets = World(scenario, 3), World(scenario, 3, octets=True)  # type: ignore[arg-type]
    assert values.parting(octets) is None
    assert values.network.now == octets.network.now
    for name, node in values.network.nodes.items():
        assert node.host.counters.items() == octets.network.nodes[name].host.counters.items()


@pytest.mark.parametrize("fault", ["lose 5%", "corrupt 5%", "duplicate 5%", "delay 5% by 30ms", "jitter 2ms"])
@pytest.mark.parametrize("seed", [1, 2])
def test_values_and_octets_give_the_same_with_faults(fault: str, seed: int) -> None:
    values, octets = World(simple, seed, [fault]), World(simple, seed, [fault], octets=True)
    assert values.parting(World(simple, seed)) is not None
    assert values.parting(octets) is None


def test_octets_really_travel() -> None:
    """What arrives is another object than what was sent, and the ladder's events share it with the host's."""
    world = World(simple, 0, octets=True)
    sent = {id(event.packet) for event in world.events if type(event).__name__ == "PacketTransmitted"}  # type: ignore[attr-defined]
    delivered = {id(event.packet) for event in world.events if type(event).__name__ == "PacketDelivered"}  # type: ignore[attr-defined]
    received = {id(event.packet) for event in world.events if type(event).__name__ == "SegmentReceived"}  # type: ignore[attr-defined]
    assert not sent & delivered
    assert received <= delivered


def test_octets_without_a_listener() -> None:
    network = Network(0, octets=True)
    program, _ = simple(network)
    network.run()
    assert len(program.received) == 19 * 3000


# --- one fault more


@pytest.mark.parametrize("number", [1, 2, 3, 5, 20, 60])
def test_one_fault_more(number: int) -> None:
    first = World(simple, 5, ["lose 2%"])
    second = first.again(f"lose packet {number}")
    parting = first.parting(second)
    assert parting is not None
    cut = second.events[parting.index]
    assert isinstance(cut, PacketLost)
    assert cut.number == number
    # The loss follows the transmission at once; up to there nothing differs.
    assert isinstance(second.events[parting.index - 1], PacketTransmitted)
    assert parting.time <= cut.time
    assert second.faults == (parse_fault("lose 2%"), parse_fault(f"lose packet {number}"))


def test_a_fault_that_never_acts_changes_nothing() -> None:
    first = World(simple, 0, ["lose 2%"])
    assert first.parting(first.again("lose 1000th SYN", "partition from 1000s")) is None


def test_two_faults_that_read_the_same_are_two() -> None:
    once, twice = World(simple, 1, ["lose 10%"]), World(simple, 1, ["lose 10%", "lose 10%"])
    lost = [event.number for event in once.events if isinstance(event, PacketLost)]
    more = [event.number for event in twice.events if isinstance(event, PacketLost)]
    assert more[: len(lost)] != lost


def test_a_fault_on_one_of_several_wires() -> None:
    first = World(home)
    second = first.again("nat-isp: lose 1st SYN+ACK")
    (lost,) = [
        event for event in second.events if isinstance(event, PacketLost) and event.reason.name.startswith("lost")
    ]
    assert lost.host == "isp"
    assert isinstance(lost.packet.payload, Segment)
    parting = first.parting(second)
    assert parting is not None
    assert parting.time == lost.time


@pytest.mark.row("D2")
def test_a_reboot_as_a_fault() -> None:
    first = World(simple)
    second = first.again("reboot server at 500ms for 100ms")
    parting = first.parting(second)
    assert parting is not None
    assert parting.time == 500 * MILLISECOND
    assert second.network.nodes["server"].up


@pytest.mark.row("D5")
def test_a_partition_as_a_fault() -> None:
    first = World(simple)
    second = first.again("partition from 300ms to 5s")
    parting = first.parting(second)
    assert parting is not None
    assert 300 * MILLISECOND <= parting.time < 400 * MILLISECOND
    assert isinstance(second.made, tuple)
    program, user = second.made
    assert len(program.received) == 19 * 3000
    assert user.errors == []


def test_times_of_a_fault_that_comes_late_are_the_network_s() -> None:
    network = Network()
    simple(network)
    network.run(200 * MILLISECOND)
    network.partition("client-server", end=400 * MILLISECOND)
    assert network.faults == [OnWire("client-server", Partition(start=200 * MILLISECOND, end=400 * MILLISECOND))]
    before = network.wires["client-server"].lost
    network.run(399 * MILLISECOND)
    lost = network.wires["client-server"].lost
    assert lost > before
    network.run()
    assert network.wires["client-server"].lost == lost


# --- texts and places


@pytest.mark.parametrize(
    "fault",
    [
        OnWire("a-b", Lose(Nth(2))),
        OnWire("a-b#2", Partition(start=5, end=9)),
        Lose(Nth(2)),
        Reboot("server", 5, 6),
    ],
    ids=str,
)
def test_texts(fault: OnWire | Lose | Reboot) -> None:
    assert parse_network_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("scenario", "fault", "message"),
    [
        (simple, "client-nowhere: lose 2%", "no such wire"),
        (simple, "reboot nobody at 1s", "no host of that name"),
        (simple, "lose 2% from nobody", "no end of the wire is called nobody"),
        (home, "lose 2%", "names none of several wires"),
        (simple, "a b: lose 2%", "cannot name a wire"),
        (simple, "a-b: reboot server at 1s", "no fault of a wire"),
        (simple, "weep", "is no fault"),
    ],
)
def test_faults_without_a_place(scenario: object, fault: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(scenario, 0, [fault])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a wire", "a:b", " "])
def test_names_that_a_fault_could_not_hold(name: str) -> None:
    network = Network()
    a, b = network.host("a"), network.host("b")
    with pytest.raises(ValueError, match="cannot name a wire"):
        network.wire(a, "10.0.0.1/24", b, "10.0.0.2/24", name=name)


# --- comparing


def test_histories_of_different_length() -> None:
    events: list[Event] = [UserCalled(time, "a", b"flow", "OPEN", 0) for time in range(3)]
    assert compare(events, list(events)) is None
    assert compare(events, events[:2]).index == 2  # type: ignore[union-attr]
    parting = compare(events[:1], events)
    assert parting is not None
    assert (parting.index, parting.first, parting.second, parting.time) == (1, None, events[1], 1)


def test_events_are_compared_by_what_they_tell() -> None:
    assert same(UserCalled(1, "a", b"flow", "OPEN", 0), UserCalled(1, "a", b"flow", "OPEN", 0))
    assert not same(UserCalled(1, "a", b"flow", "OPEN", 0), UserCalled(1, "a", b"flow", "OPEN", 7))
    assert not same(UserCalled(1, "a", b"flow", "OPEN", 0), UserCalled(1, "b", b"flow", "OPEN", 0))
    assert not same(UserCalled(1, "a", b"flow", "OPEN", 0), Event(1, "a"))
