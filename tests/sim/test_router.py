"""Routers: paths, TTL, the MTU of each hop, and what they tell about packets that they drop."""

from __future__ import annotations

import itertools

import pytest

from synfin.host import addresses
from synfin.host.icmp_errors import RateLimit
from synfin.sim import Network, Node, Router
from synfin.wire import icmp
from synfin.wire.icmp import PROTOCOL_ICMP, PROTOCOL_ICMPV6, IcmpMessage, parse_quoted
from synfin.wire.ip import PROTOCOL_TCP, Packet, Segment, octets, parse_packet, reassembled
from synfin.wire.tcp import RST, SYN
from tests.sim.watching import MILLISECOND, SECOND, Client, Server, Watch, inject


def ip(text: str) -> bytes:
    return addresses.packed(text)


def chain(
    watch: Watch, hops: int = 2, mtus: tuple[int, ...] = (), seed: int = 0
) -> tuple[Network, Node, list[Router], Node]:
    """client - r1 - r2 … - server, on 10.0.n.0/24 and fd00:n::/64; the wires have these MTUs."""
    network = Network(seed, watch)
    client = network.host("client")
    routers = [network.router(f"r{number}") for number in range(1, hops + 1)]
    server = network.host("server")
    nodes = [client, *routers, server]
    for number, (left, right) in enumerate(itertools.pairwise(nodes)):
        network.wire(
            left,
            (f"10.0.{number}.1/24", f"fd00:{number}::1/64"),
            right,
            (f"10.0.{number}.2/24", f"fd00:{number}::2/64"),
            delay=MILLISECOND,
            mtu=mtus[number] if mtus else 1500,
        )
    network.route_all()
    return network, client, routers, server


def probe(ttl: int = 64, source: str = "10.0.0.1", destination: str = "10.0.2.2", length: int = 0) -> Packet:
    data = bytes(number % 251 for number in range(length))
    segment = Segment(4000, 80, 7, 0, SYN, 1000, payload=(data,) if length else ())
    return Packet(ip(source), ip(destination), PROTOCOL_TCP, segment, ttl=ttl)


@pytest.mark.parametrize("address", ["10.0.3.2", "fd00:3::2", "server"])
def test_data_crosses_three_routers(address: str) -> None:
    watch = Watch()
    network, client, _, server = chain(watch, hops=3)
    program = Server(server, answer=b"ab", address="::" if ":" in address else "0.0.0.0")
    user = Client(network, client, address)
    network.run(SECOND)
    user.send(b"hello")
    network.run(2 * SECOND)
    assert program.received == b"hello"
    assert user.received == b"ab" * 5
    assert [packet.ttl for packet in watch.sent("client")] == [64] * len(watch.sent("client"))
    # Each router put on the wire what came with one less.
    for number in (1, 2, 3):
        assert {packet.ttl for packet in watch.sent(f"r{number}") if packet.source == user_address(address)} == {
            64 - number
        }


def user_address(towards: str) -> bytes:
    return ip("fd00:0::1" if ":" in towards else "10.0.0.1")


def test_a_path_takes_time() -> None:
    network, client, _, server = chain(Watch(), hops=2)
    Server(server)
    user = Client(network, client, "server")
    network.run_while(lambda: not user.connection.send_limit() or user.connection.irs == 0)
    assert network.now == 6 * MILLISECOND


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("ttl", [1, 2, 3])
def test_ttl_runs_out_in_the_middle(ttl: int, version: int) -> None:
    watch = Watch()
    network, client, _, server = chain(watch, hops=2)
    packet = probe(ttl) if version == 4 else probe(ttl, "fd00::1", "fd00:2::2")
    inject(client, packet)
    network.run()
    if ttl == 3:
        # It arrived, and nobody listens.
        assert server.host.counters["TcpOutRsts"] == 1
        assert watch.drops("r1") == watch.drops("r2") == []
        return
    assert watch.drops(f"r{ttl}") == ["ttl-over"]
    answer = watch.sent(f"r{ttl}")[0]
    message = answer.payload
    assert isinstance(message, IcmpMessage)
    if version == 4:
        assert (answer.protocol, message.type, message.code) == (PROTOCOL_ICMP, icmp.TIME_EXCEEDED, 0)
        assert answer.source == ip(f"10.0.{ttl - 1}.2")
        assert client.host.counters["IcmpInMsgs"] == 1
    else:
        assert (answer.protocol, message.type, message.code) == (PROTOCOL_ICMPV6, icmp.V6_TIME_EXCEEDED, 0)
        assert answer.source == ip(f"fd00:{ttl - 1}::2")
        assert client.host.counters["Icmp6InMsgs"] == 1
    assert answer.destination == packet.source
    # The quote is the packet as it came: the whole of it, for it is short, with a TTL of 1.
    arrived = parse_packet(message.body)
    assert arrived.ttl == 1
    assert arrived.payload == packet.payload
    assert parse_quoted(message.body, version).flow == packet.flow
    assert server.host.counters["TcpInSegs"] == 0


def test_a_trace_of_the_route() -> None:
    """Each hop names itself, as traceroute(8) sees it, and the last one answers for itself."""
    watch = Watch()
    network, client, _, _ = chain(watch, hops=3)
    heard = []
    for ttl in range(1, 5):
        echo = IcmpMessage(icmp.ECHO_REQUEST, 0, 9 << 16 | ttl, b"payload")
        inject(client, Packet(ip("10.0.0.1"), ip("10.0.3.2"), PROTOCOL_ICMP, echo, ttl=ttl))
        before = len(watch.events)
        network.run()
        answers = [
            event
            for event in watch.events[before:]
            if getattr(event, "host", "") == "client" and type(event).__name__ == "PacketDelivered"
        ]
        assert len(answers) == 1
        packet: Packet = answers[0].packet  # type: ignore[attr-defined]
        assert isinstance(packet.payload, IcmpMessage)
        heard.append((addresses.text(packet.source), packet.payload.type))
    assert heard == [
        ("10.0.0.2", icmp.TIME_EXCEEDED),
        ("10.0.1.2", icmp.TIME_EXCEEDED),
        ("10.0.2.2", icmp.TIME_EXCEEDED),
        ("10.0.3.2", icmp.ECHO_REPLY),
    ]


@pytest.mark.parametrize("router", ["10.0.0.2", "fd00::2"])
def test_a_router_answers_pings_itself(router: str) -> None:
    watch = Watch()
    network, client, _, _ = chain(watch)
    kind = icmp.ECHO_REQUEST if "." in router else icmp.V6_ECHO_REQUEST
    protocol = PROTOCOL_ICMP if "." in router else PROTOCOL_ICMPV6
    source = "10.0.0.1" if "." in router else "fd00::1"
    inject(client, Packet(ip(source), ip(router), protocol, IcmpMessage(kind, 0, 5, b"x"), ttl=1))
    network.run()
    assert [message.body for message in watch.messages("r1")] == [b"x"]


def test_a_router_runs_programs() -> None:
    network, client, routers, _ = chain(Watch())
    program = Server(routers[1])
    user = Client(network, client, "10.0.1.2")
    network.run(SECOND)
    user.send(b"to the router")
    network.run(2 * SECOND)
    assert program.received == b"to the router"


# --- the MTU of the next hop


def test_too_big_for_the_next_hop_and_not_to_be_fragmented() -> None:
    watch = Watch()
    network, client, _, server = chain(watch, mtus=(1500, 1000, 1500))
    inject(client, probe(length=961))
    network.run()
    assert watch.drops("r1") == ["too-big"]
    (answer,) = watch.sent("r1")
    message = answer.payload
    assert isinstance(message, IcmpMessage)
    assert (message.type, message.code) == (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED)
    assert message.mtu == 1000
    # RFC 1812 §4.3.2.3: as much as fits 576 octets.
    assert answer.total_length == 576
    assert message.body == octets(probe(length=961))[:548]
    assert client.host.counters["IcmpInMsgs"] == 1
    assert server.host.counters["TcpInSegs"] == 0


def test_just_small_enough_for_the_next_hop() -> None:
    watch = Watch()
    network, client, _, server = chain(watch, mtus=(1500, 1000, 1500))
    inject(client, probe(length=960))
    network.run()
    assert watch.drops("r1") == []
    assert server.host.counters["TcpInSegs"] == 1


def test_too_big_with_ipv6() -> None:
    watch = Watch()
    network, client, _, _ = chain(watch, mtus=(1500, 1300, 1500))
    inject(client, probe(source="fd00::1", destination="fd00:2::2", length=1300))
    network.run()
    (answer,) = watch.sent("r1")
    message = answer.payload
    assert isinstance(message, IcmpMessage)
    assert (message.type, message.code, message.mtu) == (icmp.V6_PACKET_TOO_BIG, 0, 1300)
    assert answer.total_length == 1280
    assert client.host.counters["Icmp6InMsgs"] == 1


def test_each_hop_has_its_own_mtu() -> None:
    watch = Watch()
    network, client, _, _ = chain(watch, hops=3, mtus=(1500, 1400, 1500, 1200))
    for length in (1400, 1300):
        inject(client, probe(destination="10.0.3.2", length=length))
    network.run()
    assert watch.drops("r1") == watch.drops("r3") == ["too-big"]
    assert next(message.mtu for message in watch.messages("r1") if message.type == icmp.DESTINATION_UNREACHABLE) == 1400
    assert watch.messages("r3")[0].mtu == 1200


def test_what_may_be_fragmented_is() -> None:
    watch = Watch()
    network, client, _, server = chain(watch, mtus=(1500, 576, 1500))
    whole = probe(length=1200)
    whole.dont_fragment = False
    whole.identification = 77
    inject(client, whole)
    network.run()
    pieces = [packet for packet in watch.sent("r1") if packet.is_fragment]
    assert [piece.total_length <= 576 for piece in pieces] == [True, True, True]
    assert [piece.more_fragments for piece in pieces] == [True, True, False]
    assert {piece.identification for piece in pieces} == {77}
    joined = b"".join(bytes(piece.payload) for piece in pieces if not isinstance(piece.payload, (Segment, IcmpMessage)))
    again = reassembled(pieces[0], joined)
    assert again.payload == whole.payload
    assert server.host.counters["IpReasmReqds"] == 3
    assert server.host.counters["IpReasmOKs"] == 1
    assert server.host.counters["TcpInSegs"] == 1


def test_fragments_are_fragmented_again() -> None:
    watch = Watch()
    network, client, _, _ = chain(watch, mtus=(1500, 1000, 200))
    whole = probe(length=1200)
    whole.dont_fragment = False
    inject(client, whole)
    network.run()
    fragments = [packet for packet in watch.sent("r2") if packet.is_fragment]
    pieces = sorted(fragments, key=lambda piece: piece.fragment_offset)
    assert max(piece.total_length for piece in pieces) <= 200
    joined = b"".join(bytes(piece.payload) for piece in pieces if not isinstance(piece.payload, (Segment, IcmpMessage)))
    assert reassembled(pieces[0], joined).payload == whole.payload
    assert [piece.more_fragments for piece in pieces] == [True] * (len(pieces) - 1) + [False]


# --- nowhere to go


@pytest.mark.parametrize(
    ("destination", "reason", "expected"),
    [
        ("192.0.2.1", "no-route", (icmp.DESTINATION_UNREACHABLE, icmp.NETWORK_UNREACHABLE)),
        ("10.0.1.77", "nobody-at-address", (icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE)),
        ("2001:db8::1", "no-route", (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_NO_ROUTE)),
        ("fd00:1::77", "nobody-at-address", (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_ADDRESS_UNREACHABLE)),
    ],
)
def test_nowhere_to_go(destination: str, reason: str, expected: tuple[int, int]) -> None:
    watch = Watch()
    network, client, _, _ = chain(watch)
    inject(client, probe(source="10.0.0.1" if "." in destination else "fd00::1", destination=destination))
    network.run()
    assert watch.drops("r1") == [reason]
    assert [(message.type, message.code) for message in watch.messages("r1")] == [expected]


def about_an_error() -> Packet:
    lost = probe(1)
    body = octets(lost)[:28]
    return Packet(ip("10.0.0.1"), ip("10.0.2.2"), PROTOCOL_ICMP, IcmpMessage(icmp.TIME_EXCEEDED, 0, 0, body), ttl=1)


def later_fragment() -> Packet:
    return Packet(ip("10.0.0.1"), ip("10.0.2.2"), PROTOCOL_TCP, bytes(8), ttl=1, fragment_offset=64)


@pytest.mark.parametrize(
    "packet",
    [
        about_an_error(),
        later_fragment(),
        probe(1, source="0.0.0.0"),
        probe(1, source="224.0.0.5"),
        probe(1, source="127.0.0.1"),
        probe(1, destination="224.0.0.5"),
        probe(1, destination="10.0.1.255"),
    ],
    ids=["an error", "a later fragment", "from nobody", "from many", "from loopback", "to many", "to all"],
)
def test_of_some_packets_nothing_is_said(packet: Packet) -> None:
    watch = Watch()
    network, client, _, _ = chain(watch)
    inject(client, packet)
    network.run()
    assert watch.drops("r1") != []
    assert watch.sent("r1") == []


def test_errors_are_bounded() -> None:
    watch = Watch()
    network, client, routers, _ = chain(watch)
    routers[0].rate_limit = RateLimit(rate=10, burst=5)
    for number in range(30):
        network.at(number * 10 * MILLISECOND, lambda: inject(client, probe(1)))
    network.run()
    # Five at once, and one more for each tenth of a second of the 0.29 that follow.
    assert len(watch.messages("r1")) == 5 + 2
    assert len(watch.drops("r1")) == 30


def test_a_rate_limit_saves_no_more_than_its_burst() -> None:
    limit = RateLimit(rate=1000, burst=3)
    assert [limit.allows(10 * SECOND) for _ in range(4)] == [True, True, True, False]
    assert not limit.allows(10 * SECOND + 999_999)
    assert limit.allows(10 * SECOND + 1_000_000)


# --- damage


def test_a_router_passes_on_what_is_damaged_behind_the_header() -> None:
    watch = Watch()
    network, _, routers, server = chain(watch)
    octets_of_it = bytearray(octets(probe(length=10)))
    octets_of_it[-1] ^= 1
    routers[0].arrive(bytes(octets_of_it), routers[0].ports[0], network.now)
    network.run()
    assert watch.drops("r1") == []
    assert server.host.counters["TcpInCsumErrors"] == 1
    assert server.host.counters["TcpInSegs"] == 0


def test_a_router_drops_what_is_damaged_in_the_header() -> None:
    watch = Watch()
    network, _, routers, server = chain(watch)
    octets_of_it = bytearray(octets(probe()))
    octets_of_it[8] ^= 1
    routers[0].arrive(bytes(octets_of_it), routers[0].ports[0], network.now)
    network.run()
    assert routers[0].host.counters["IpInHdrErrors"] == 1
    assert server.host.counters["IpInReceives"] == 0


# --- routes


def test_the_shortest_way_is_taken_and_of_two_the_older() -> None:
    watch = Watch()
    network = Network(0, watch)
    a, b = network.host("a"), network.host("b")
    near, far, left, right = (network.router(name) for name in ("near", "far", "left", "right"))
    network.wire(a, "10.0.0.1/24", near, "10.0.0.2/24")
    network.wire(near, "10.0.1.1/24", left, "10.0.1.2/24")
    network.wire(near, "10.0.2.1/24", right, "10.0.2.2/24")
    network.wire(right, "10.0.3.1/24", far, "10.0.3.2/24")
    network.wire(left, "10.0.4.1/24", far, "10.0.4.2/24")
    network.wire(far, "10.0.5.1/24", b, "10.0.5.2/24")
    network.route_all()
    inject(a, probe(destination="10.0.5.2"))
    network.run()
    # There and back. The newest wire is on the other way.
    assert [packet.source for packet in watch.sent("right")] == [ip("10.0.0.1"), ip("10.0.5.2")]
    assert watch.sent("left") == []
    # A shorter way appears.
    network.wire(near, "10.0.9.1/24", far, "10.0.9.2/24")
    network.route_all()
    before = len(watch.sent("right"))
    inject(a, probe(destination="10.0.5.2"))
    network.run()
    assert len(watch.sent("right")) == before


def test_hosts_have_a_default_route_and_routers_the_networks() -> None:
    _, client, routers, _ = chain(Watch())
    assert [str(route) for route in client.host.routes if route.gateway] == [
        "0.0.0.0/0 via 10.0.0.2 dev eth0",
        "::/0 via fd00::2 dev eth0",
    ]
    assert [str(route) for route in routers[0].host.routes if route.gateway] == [
        "fd00:2::/64 via fd00:1::2 dev eth1",
        "10.0.2.0/24 via 10.0.1.2 dev eth1",
    ]


def test_routes_by_hand_go_first_and_must_lead_to_a_neighbour() -> None:
    watch = Watch()
    network = Network(0, watch)
    host = network.host("host")
    one, other = network.router("one"), network.router("other")
    network.wire(host, "10.0.0.1/24", one, "10.0.0.2/24")
    network.wire(host, "10.0.1.1/24", other, "10.0.1.2/24")
    network.route_all()
    host.add_route("0.0.0.0/0", "10.0.1.2")
    inject_by_route = host.host.routes.find(ip("192.0.2.1"))
    assert inject_by_route is not None
    assert str(inject_by_route) == "0.0.0.0/0 via 10.0.1.2 dev eth1"
    network.route_all()
    assert host.host.routes.find(ip("192.0.2.1")) is not None
    beyond = network.host("beyond")
    network.wire(one, "10.0.2.1/24", beyond, "10.0.2.2/24")
    network.route_all()
    computed = host.host.routes.find(ip("10.0.2.2"))
    host.add_route("10.0.2.0/24", "10.0.1.2")
    by_hand = host.host.routes.find(ip("10.0.2.2"))
    assert str(computed) == "10.0.2.0/24 via 10.0.0.2 dev eth0"
    assert str(by_hand) == "10.0.2.0/24 via 10.0.1.2 dev eth1"
    with pytest.raises(ValueError, match=r"10\.0\.9\.9 is no neighbour"):
        host.add_route("10.9.0.0/16", "10.0.9.9")


def test_a_host_passes_nothing_on() -> None:
    watch = Watch()
    network = Network(0, watch)
    a, middle, b = network.host("a"), network.host("middle"), network.host("b")
    network.wire(a, "10.0.0.1/24", middle, "10.0.0.2/24")
    network.wire(middle, "10.0.1.1/24", b, "10.0.1.2/24")
    network.route_all()
    assert a.host.routes.find(ip("10.0.1.2")) is None
    inject(a, probe(destination="10.0.1.2"))
    network.run()
    assert watch.sent("middle") == []
    assert middle.host.counters["IpInAddrErrors"] == 1


def test_broadcast_is_a_matter_of_networks_attached_here() -> None:
    """10.0.2.255 is a host where the network is a /23, whatever a route elsewhere says."""
    network = Network()
    a, router, far, b = network.host("a"), network.router("router"), network.router("far"), network.host("b")
    network.wire(a, "10.0.0.1/24", router, "10.0.0.2/24")
    network.wire(router, "10.0.1.1/24", far, "10.0.1.2/24")
    network.wire(far, "10.0.2.1/23", b, "10.0.2.255/23")
    network.route_all()
    a.add_route("10.0.2.0/24", "10.0.0.2")
    router.add_route("10.0.2.0/24", "10.0.1.2")
    program = Server(b)
    user = Client(network, a, "10.0.2.255")
    network.run(SECOND)
    user.send(b"to a host")
    network.run(2 * SECOND)
    assert program.received == b"to a host"


def test_a_reset_is_passed_on_like_anything() -> None:
    watch = Watch()
    network, client, _, server = chain(watch)
    reset = probe()
    assert isinstance(reset.payload, Segment)
    reset.payload.flags = RST
    inject(client, reset)
    network.run()
    assert server.host.counters["TcpInSegs"] == 1


@pytest.mark.parametrize("address", ["10.0.3.2", "fd00:3::2"])
def test_data_find_their_way_through_narrow_hops(address: str) -> None:
    """A router that cannot pass a segment on tells its sender the MTU of the hop, and the segments become smaller."""
    watch = Watch()
    network, client, _, server = chain(watch, hops=3, mtus=(1500, 1400, 1300, 1500))
    program = Server(server, address="::" if ":" in address else "0.0.0.0")
    user = Client(network, client, address)
    network.run(SECOND)
    user.write(bytes(range(250)) * 20)
    network.run(10 * SECOND)
    assert program.received == bytes(range(250)) * 20
    assert set(watch.drops("r1")) == {"too-big"}
    assert set(watch.drops("r2")) == {"too-big"}
    assert max(packet.total_length for packet in watch.sent("r2")) == 1300
