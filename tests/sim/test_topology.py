"""Names, shared segments, wires and their names."""

from __future__ import annotations

from socket import gaierror

import pytest

from synfin.host import addresses
from synfin.sim import Network
from synfin.wire.ip import PROTOCOL_TCP, Packet, Segment
from synfin.wire.tcp import SYN
from tests.sim.watching import SECOND, Client, Server, Watch, inject


def ip(text: str) -> bytes:
    return addresses.packed(text)


def test_names() -> None:
    network = Network()
    client, server = network.host("client"), network.host("server")
    network.wire(client, "10.0.0.1/24", server, ("10.0.0.2/24", "fd00::2/64"))
    network.names["www.example.com"] = "10.0.0.2"
    assert network.resolve("server", client) == "10.0.0.2"
    assert network.resolve("www.example.com", client) == "10.0.0.2"
    assert network.resolve("10.0.0.77", client) == "10.0.0.77"
    assert network.resolve("::1", client) == "::1"
    assert network.resolve("localhost", client) == "127.0.0.1"
    with pytest.raises(gaierror):
        network.resolve("nobody", client)
    network.names["server"] = "192.0.2.1"
    assert network.resolve("server", client) == "192.0.2.1"


def test_a_name_gives_an_address_to_which_there_is_a_route() -> None:
    network = Network()
    client, server, far = network.host("client"), network.host("server"), network.host("far")
    network.wire(server, "10.9.0.1/24", far, "10.9.0.2/24")
    network.wire(client, "fd00::1/64", server, "fd00::2/64")
    assert network.resolve("server", client) == "fd00::2"
    with pytest.raises(gaierror):
        network.resolve("far", client)


def test_programs_use_names() -> None:
    network = Network()
    client, server = network.host("client"), network.host("server")
    network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24")
    program = Server(server, address="server")
    user = Client(network, client, "server")
    network.run(SECOND)
    user.send(b"hello")
    network.run(2 * SECOND)
    assert program.received == b"hello"


def test_a_host_without_wires_talks_to_itself() -> None:
    network = Network()
    host = network.host("host")
    program = Server(host)
    connection = host.connect("localhost", 80)
    network.run(SECOND)
    host.send(connection, b"to myself")
    network.run(2 * SECOND)
    assert program.received == b"to myself"


def test_hosts_share_a_segment() -> None:
    watch = Watch()
    network = Network(0, watch)
    switch = network.switch("lan")
    hosts = [network.host(f"h{number}") for number in range(1, 4)]
    for number, host in enumerate(hosts, 1):
        network.wire(host, f"10.0.0.{number}/24", switch, delay=5)
    program = Server(hosts[2])
    user = Client(network, hosts[0], "h3")
    network.run(SECOND)
    user.send(b"hello")
    network.run(2 * SECOND)
    assert program.received == b"hello"
    # The switch is no router, and no hub.
    assert {packet.ttl for packet in watch.sent("lan")} == {64}
    assert watch.sent("h2") == []
    assert hosts[1].host.counters["IpInReceives"] == 0


def test_a_segment_with_two_routers() -> None:
    """Which one gets a packet is what the sender's routes say."""
    watch = Watch()
    network = Network(0, watch)
    switch = network.switch("lan")
    host = network.host("host")
    network.wire(host, "10.0.0.1/24", switch)
    for number, name in ((2, "left"), (3, "right")):
        router = network.router(name)
        network.wire(router, f"10.0.0.{number}/24", switch)
        far = network.host(f"beyond-{name}")
        network.wire(router, f"10.{number}.0.1/24", far, f"10.{number}.0.2/24")
    network.route_all()
    assert sorted(str(route) for route in host.host.routes if route.gateway) == [
        "10.2.0.0/24 via 10.0.0.2 dev eth0",
        "10.3.0.0/24 via 10.0.0.3 dev eth0",
    ]
    program = Server(network.nodes["beyond-right"])
    user = Client(network, host, "beyond-right")
    network.run(SECOND)
    user.send(b"hello")
    network.run(2 * SECOND)
    assert program.received == b"hello"
    assert watch.sent("left") == []
    # A detour by hand: the left router sends it to the right one, which is on the same segment.
    network.nodes["left"].add_route("10.3.0.0/24", "10.0.0.3")
    host.add_route("10.3.0.0/16", "10.0.0.2")
    host.add_route("10.3.0.0/25", "10.0.0.2")
    user.send(b", again")
    network.run(3 * SECOND)
    assert program.received == b"hello, again"
    assert watch.sent("left") != []


def test_what_is_for_nobody_on_a_segment_vanishes() -> None:
    network = Network()
    switch = network.switch("lan")
    host, other = network.host("host"), network.host("other")
    network.wire(host, "10.0.0.1/24", switch)
    network.wire(other, "10.0.0.2/24", switch)
    inject(host, Packet(ip("10.0.0.1"), ip("10.0.0.9"), PROTOCOL_TCP, Segment(1, 2, 0, 0, SYN, 0)))
    network.run()
    assert switch.dropped == 1
    assert other.host.counters["IpInReceives"] == 0


def test_wires_have_names() -> None:
    network = Network()
    a, b = network.host("a"), network.host("b")
    first = network.wire(a, "10.0.0.1/24", b, "10.0.0.2/24")
    second = network.wire(a, "10.0.1.1/24", b, "10.0.1.2/24")
    third = network.wire(a, "10.0.2.1/24", b, "10.0.2.2/24", name="backup")
    assert network.wires == {"a-b": first, "a-b#2": second, "backup": third}
    with pytest.raises(ValueError, match="backup"):
        network.wire(a, "10.0.3.1/24", b, "10.0.3.2/24", name="backup")


def test_topologies_that_make_no_sense() -> None:
    network = Network()
    host, router, switch, other = network.host("a"), network.router("b"), network.switch("c"), network.switch("d")
    for make in (network.host, network.router, network.switch):
        for name in ("a", "b", "c"):
            with pytest.raises(ValueError, match="already"):
                make(name)
    with pytest.raises(ValueError, match="two switches"):
        network.wire(switch, (), other)
    with pytest.raises(ValueError, match="no address"):
        network.wire(host, "10.0.0.1/24", switch, "10.0.0.2/24")
    with pytest.raises(ValueError, match="needs an address"):
        network.wire(host, "10.0.0.1/24", router)
    for wrong in ("10.0.0.0.1/24", "224.0.0.1/4", "10.0.0.1/33"):
        with pytest.raises(ValueError):
            network.wire(host, wrong, router, "10.0.0.2/24")
    assert network.wires == {}
    assert host.ports == router.ports == []
