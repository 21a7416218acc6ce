"""NAT: translations, checked through their octets; what is forgotten, when, and what that gives."""

from __future__ import annotations

from errno import ECONNRESET, ETIMEDOUT

import pytest

from synfin.host import addresses
from synfin.host.parameters import Parameters
from synfin.sim import Nat, Network, Node, Timeouts
from synfin.sim.nat import DEPENDENT, INDEPENDENT, Behaviour, Unknown
from synfin.sim.rewriting import quote_with
from synfin.sim.router import Router
from synfin.sim.tracking import CLOSING, ESTABLISHED, OPENING
from synfin.tcp import states
from synfin.wire import icmp
from synfin.wire.icmp import PROTOCOL_ICMP, IcmpMessage, parse_quoted
from synfin.wire.ip import PROTOCOL_TCP, Packet, Segment, octets, parse_packet
from synfin.wire.tcp import ACK, FIN, RST, SYN
from tests.sim.watching import MILLISECOND, SECOND, Client, Server, Watch, inject

OUTSIDE = "203.0.113.1"
MINUTE = 60 * SECOND


def ip(text: str) -> bytes:
    return addresses.packed(text)


class Home:
    """Two hosts inside behind a NAT, a router outside, a server beyond it:
    one, other - lan - nat - isp - server."""

    def __init__(self, nat: Nat | None = None, parameters: Parameters | None = None) -> None:
        self.watch = Watch()
        self.nat = nat if nat is not None else Nat(OUTSIDE)
        network = self.network = Network(0, self.watch)
        self.one = network.host("one", parameters)
        self.other = network.host("other")
        self.router = network.router("nat", nat=self.nat)
        isp = self.isp = network.router("isp")
        self.server = network.host("server")
        lan = network.switch("lan")
        network.wire(self.one, "192.168.0.2/24", lan)
        network.wire(self.other, "192.168.0.3/24", lan)
        network.wire(self.router, "192.168.0.1/24", lan)
        network.wire(self.router, OUTSIDE + "/24", isp, "203.0.113.254/24", delay=MILLISECOND)
        network.wire(isp, "198.51.100.1/24", self.server, "198.51.100.2/24", delay=MILLISECOND)
        network.route_all()

    def connect(self, node: Node | None = None) -> Client:
        client = Client(self.network, node or self.one, "server")
        self.network.run(self.network.now + SECOND)
        assert client.connection.state == states.ESTABLISHED
        return client

    @property
    def now(self) -> int:
        return self.network.now


def segment_from(source: str, port: int, destination: str, to: int, flags: int, **more: int) -> Packet:
    values = {"seq": 1, "ack": 0, "wnd": 1000} | more
    return Packet(
        ip(source), ip(destination), PROTOCOL_TCP, Segment(port, to, values["seq"], values["ack"], flags, values["wnd"])
    )


def test_addresses_and_ports_are_translated_and_back() -> None:
    home = Home()
    program = Server(home.server, answer=b"ab")
    client = home.connect()
    client.send(b"hello")
    home.network.run(2 * SECOND)
    assert program.received == b"hello"
    assert client.received == b"ab" * 5
    port = client.connection.identity.local_port
    # Every packet was read back from its octets, with its checksums.
    outgoing = [packet for packet in home.watch.sent("nat") if packet.destination == ip("198.51.100.2")]
    incoming = [packet for packet in home.watch.sent("nat") if packet.destination == ip("192.168.0.2")]
    assert {(packet.source, packet.payload.source_port) for packet in tcp(outgoing)} == {(ip(OUTSIDE), port)}
    assert {packet.ttl for packet in outgoing} == {63}
    assert {(packet.source, packet.payload.destination_port) for packet in tcp(incoming)} == {
        (ip("198.51.100.2"), port)
    }
    assert {packet.ttl for packet in incoming} == {62}
    # All else in the segments is as the hosts sent it.
    for sender, receiver in (("one", outgoing), ("server", incoming)):
        for before, after in zip(home.watch.segments(sender), tcp_segments(receiver), strict=True):
            after.source_port, after.destination_port = before.source_port, before.destination_port
            assert after == before


class Tcp(Packet):
    """A packet known to carry a segment."""

    payload: Segment


def tcp(packets: list[Packet]) -> list[Tcp]:
    for packet in packets:
        assert isinstance(packet.payload, Segment)
    return packets  # type: ignore[return-value]


def tcp_segments(packets: list[Packet]) -> list[Segment]:
    return [packet.payload for packet in tcp(packets)]


@pytest.mark.parametrize("mapping", [INDEPENDENT, DEPENDENT])
def test_two_hosts_reach_one_server_from_one_port(mapping: Behaviour) -> None:
    home = Home(Nat(OUTSIDE, mapping=mapping))
    program = Server(home.server, answer=b"x")
    clients = []
    for node in (home.one, home.other):
        address = addresses.text(node.ports[0].packed[0])
        connection = node.connect("server", 80, (address, 5000))
        clients.append((node, connection))
    home.network.run(SECOND)
    for node, connection in clients:
        node.send(connection, node.name.encode())
    home.network.run(2 * SECOND)
    assert sorted(accepted.identity.remote_port for accepted in program.accepted) == [1024, 5000]
    assert {accepted.identity.remote_address for accepted in program.accepted} == {ip(OUTSIDE)}
    assert sorted(program.received) == sorted(b"oneother")
    assert [node.receive(connection) for node, connection in clients] == [b"xxx", b"xxxxx"]


@pytest.mark.parametrize(("mapping", "ports"), [(INDEPENDENT, {5000}), (DEPENDENT, {5000})])
def test_a_second_destination(mapping: Behaviour, ports: set[int]) -> None:
    home = Home(Nat(OUTSIDE, mapping=mapping))
    for to in (80, 81):
        inject(home.one, segment_from("192.168.0.2", 5000, "198.51.100.2", to, SYN))
    home.network.run()
    assert {t.port for t in home.nat.translations(home.now)} == ports


def test_mappings_by_endpoint_or_by_flow() -> None:
    """The second host's mapping is one port to all with the one behaviour, and its own port wherever free with the
    other (RFC 4787 §4.1)."""
    behaviours: list[tuple[Behaviour, list[int]]] = [(INDEPENDENT, [5000, 1024, 1024]), (DEPENDENT, [5000, 1024, 5000])]
    for mapping, expected in behaviours:
        home = Home(Nat(OUTSIDE, mapping=mapping))
        inject(home.one, segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN))
        inject(home.other, segment_from("192.168.0.3", 5000, "198.51.100.2", 80, SYN))
        inject(home.other, segment_from("192.168.0.3", 5000, "198.51.100.2", 81, SYN))
        home.network.run()
        assert [t.port for t in home.nat.translations(home.now)] == expected


def test_a_mapping_is_free_again_when_its_last_conversation_is_forgotten() -> None:
    home = Home(Nat(OUTSIDE, Timeouts(transitory=10 * SECOND)))
    inject(home.one, segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN))
    home.network.run(5 * SECOND)
    inject(home.one, segment_from("192.168.0.2", 5000, "198.51.100.2", 81, SYN))
    home.network.run(12 * SECOND)
    # One conversation is left.
    inject(home.other, segment_from("192.168.0.3", 5000, "198.51.100.2", 82, SYN))
    home.network.run(12 * SECOND)
    assert [t.port for t in home.nat.translations(home.now)] == [5000, 1024]
    home.network.run(40 * SECOND)
    inject(home.other, segment_from("192.168.0.3", 5000, "198.51.100.2", 82, SYN))
    home.network.run(41 * SECOND)
    assert [t.port for t in home.nat.translations(home.now)] == [5000]


# --- forgetting


@pytest.mark.row("D2")
def test_a_forgetful_nat_that_is_silent() -> None:
    """The next data gets no answer; the sender retransmits until tcp_retries2 says that it is enough."""
    home = Home(Nat(OUTSIDE, Timeouts(established=MINUTE), unknown="drop"))
    program = Server(home.server)
    client = home.connect()
    client.send(b"before")
    home.network.run(2 * SECOND)
    silence = home.now + 61 * SECOND
    home.network.run(silence)
    client.send(b"after")
    home.network.run()
    assert program.received == b"before"
    (when, error) = client.errors[0]
    assert error == ETIMEDOUT
    # As Linux has it: at least 924.6 s after the first retransmission, at the next time-out.
    assert 924.6 * SECOND < when - silence < (924.6 + 121) * SECOND
    # The server knows nothing of it.
    assert program.accepted[0].state == states.ESTABLISHED
    assert set(home.watch.drops("nat")) == {"conversation-unknown"}
    assert len(home.watch.drops("nat")) >= 15
    assert [flags for flags in flags_from(home, "server") if flags & RST] == []


@pytest.mark.row("D2")
def test_a_forgetful_nat_that_resets() -> None:
    home = Home(Nat(OUTSIDE, Timeouts(established=MINUTE), unknown="reset"))
    program = Server(home.server)
    client = home.connect()
    client.send(b"before")
    home.network.run(home.now + 61 * SECOND)
    silence = home.now
    client.send(b"after")
    home.network.run()
    assert client.errors == [(silence, ECONNRESET)]
    assert program.received == b"before"
    assert program.accepted[0].state == states.ESTABLISHED
    (reset,) = [packet for packet in tcp(home.watch.sent("nat")) if packet.payload.flags & RST]
    # It bears the server's name.
    assert (reset.source, reset.destination) == (ip("198.51.100.2"), ip("192.168.0.2"))


@pytest.mark.parametrize(("unknown", "errors"), [("drop", [ETIMEDOUT]), ("reset", [ECONNRESET])])
def test_the_server_speaks_after_the_nat_forgot(unknown: Unknown, errors: list[int]) -> None:
    home = Home(Nat(OUTSIDE, Timeouts(established=MINUTE), unknown=unknown))
    program = Server(home.server)
    client = home.connect()
    home.network.run(home.now + 61 * SECOND)
    home.server.send(program.accepted[0], b"still there?")
    home.network.run()
    assert [error.errno for error in program.errors] == errors
    assert client.received == b""
    assert client.connection.state == states.ESTABLISHED


@pytest.mark.parametrize("idle", [59, 60])
def test_it_forgets_at_the_second(idle: int) -> None:
    """The last packet through the NAT was at `start`, and it remembers for 60 s less a nanosecond."""
    home = Home(Nat(OUTSIDE, Timeouts(established=MINUTE)))
    Server(home.server)
    client = home.connect()
    started = next(t.deadline for t in home.nat.translations(home.now)) - MINUTE
    home.network.run(started + idle * SECOND - (1 if idle == 60 else 0))
    assert len(list(home.nat.translations(home.now))) == 1
    home.network.run(started + MINUTE)
    assert len(list(home.nat.translations(home.now))) == 0
    assert client.connection.state == states.ESTABLISHED


@pytest.mark.row("D1")
@pytest.mark.parametrize("side", ["one", "server"])
def test_keepalive_keeps_the_nat_awake(side: str) -> None:
    home = Home(Nat(OUTSIDE, Timeouts(established=MINUTE), unknown="reset"), keepalive(50, 50))
    home.server.parameters.tcp.tcp_keepalive_time = 50
    home.server.parameters.tcp.tcp_keepalive_intvl = 50
    program = Server(home.server, answer=b"y")
    client = home.connect()
    if side == "one":
        home.one.set_keepalive(client.connection, True)
    else:
        home.server.set_keepalive(program.accepted[0], True)
    home.network.run(home.now + 600 * SECOND)
    client.send(b"after")
    home.network.run(home.now + 10 * SECOND)
    assert program.received == b"after"
    assert client.received == b"yyyyy"
    assert client.errors == []


def keepalive(time: int, interval: int) -> Parameters:
    parameters = Parameters()
    parameters.tcp.tcp_keepalive_time = time
    parameters.tcp.tcp_keepalive_intvl = interval
    return parameters


@pytest.mark.parametrize(
    ("time", "interval", "after"),
    [
        (70, 50, 71),
        # The first probe is in time, and is answered. The second comes tcp_keepalive_intvl later, as on Linux.
        (50, 75, 126),
    ],
)
def test_keepalive_that_is_too_slow_does_not(time: int, interval: int, after: int) -> None:
    home = Home(Nat(OUTSIDE, Timeouts(established=MINUTE), unknown="reset"), keepalive(time, interval))
    Server(home.server)
    client = home.connect()
    home.one.set_keepalive(client.connection, True)
    assert home.now == SECOND
    home.network.run(home.now + 600 * SECOND)
    assert client.errors == [(after * SECOND, ECONNRESET)]


def test_a_nat_that_adopts_what_it_forgot() -> None:
    home = Home(Nat(OUTSIDE, Timeouts(established=MINUTE), unknown="adopt"))
    program = Server(home.server, answer=b"z")
    client = home.connect()
    home.network.run(home.now + 61 * SECOND)
    # What comes from outside finds no way in.
    home.server.send(program.accepted[0], b"?")
    home.network.run(home.now + 100 * MILLISECOND)
    assert client.received == b""
    client.send(b"after")
    home.network.run(home.now + 5 * SECOND)
    assert program.received == b"after"
    assert client.received == b"?zzzzz"


def flags_from(home: Home, host: str) -> list[int]:
    return [segment.flags for segment in home.watch.segments(host)]


def test_opening_and_closing_are_transitory() -> None:
    timeouts = Timeouts(established=100 * SECOND, transitory=10 * SECOND)
    home = Home(Nat(OUTSIDE, timeouts))

    def deadline() -> tuple[int, int]:
        (only,) = home.nat.translations(home.now)
        return only.state, only.deadline - home.now

    def back(flags: int) -> None:
        packet = segment_from("198.51.100.2", 80, OUTSIDE, 5000, flags)
        home.router.arrive(packet, home.router.ports[1], home.now)

    def through(flags: int) -> None:
        packet = segment_from("192.168.0.2", 5000, "198.51.100.2", 80, flags)
        home.router.arrive(packet, home.router.ports[0], home.now)

    through(SYN)
    assert deadline() == (OPENING, 10 * SECOND)
    through(ACK)
    assert deadline() == (OPENING, 10 * SECOND)
    back(SYN | ACK)
    assert deadline() == (OPENING, 10 * SECOND)
    through(ACK)
    assert deadline() == (ESTABLISHED, 100 * SECOND)
    back(FIN | ACK)
    # Half-closed is established still: the other way may be long in use.
    assert deadline() == (ESTABLISHED, 100 * SECOND)
    through(FIN | ACK)
    assert deadline() == (CLOSING, 10 * SECOND)
    back(ACK)
    assert deadline() == (CLOSING, 10 * SECOND)
    through(SYN)
    assert deadline() == (OPENING, 10 * SECOND)
    back(RST | ACK)
    assert deadline() == (CLOSING, 10 * SECOND)


def test_the_table_is_bounded() -> None:
    home = Home(Nat(OUTSIDE, Timeouts(transitory=10 * SECOND), limit=3))
    for port in range(5000, 5010):
        inject(home.one, segment_from("192.168.0.2", port, "198.51.100.2", 80, SYN))
    home.network.run(SECOND)
    assert [t.inside[1] for t in home.nat.translations(home.now)] == [5000, 5001, 5002]
    assert home.watch.drops("nat") == ["conversations-full"] * 7
    # Even a NAT that resets what it does not know says nothing to what it has no room for.
    home.nat.unknown = "reset"
    inject(home.one, segment_from("192.168.0.2", 5999, "198.51.100.2", 80, SYN))
    home.network.run(2 * SECOND)
    assert 5999 not in [segment.destination_port for segment in home.watch.segments("nat")]
    home.network.run(20 * SECOND)
    inject(home.one, segment_from("192.168.0.2", 6000, "198.51.100.2", 80, SYN))
    home.network.run(21 * SECOND)
    assert [t.inside[1] for t in home.nat.translations(home.now)] == [6000]


def test_no_port_is_left() -> None:
    nat = Nat(OUTSIDE)
    sent = 0
    for host in range(2):
        for port in range(1024, 65536, 2):
            address = f"192.168.0.{host}"
            outcome = nat.outbound(segment_from(address, port, "198.51.100.2", 80, SYN), 0)
            assert isinstance(outcome, Packet)
            sent += 1
    assert len({t.port for t in nat.translations(0)}) == sent == 64512
    refused = nat.outbound(segment_from("192.168.0.9", 5000, "198.51.100.2", 80, SYN), 0)
    assert not isinstance(refused, Packet)
    assert refused.name == "conversations-full"


# --- from outside


def test_a_stranger_is_not_let_in() -> None:
    home = Home()
    inject(home.one, segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN))
    home.network.run(SECOND)
    before = len(home.watch.sent("nat"))
    inject(home.server, segment_from("198.51.100.2", 81, OUTSIDE, 5000, SYN))
    home.network.run(2 * SECOND)
    assert len(home.watch.sent("nat")) == before
    assert home.watch.drops("nat")[-1] == "conversation-unknown"


def test_a_stranger_is_let_in_where_filtering_is_independent() -> None:
    home = Home(Nat(OUTSIDE, filtering=INDEPENDENT))
    program = Server(home.one, port=5000)
    inject(home.one, segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN))
    home.network.run(SECOND)
    client = Client(home.network, home.server, OUTSIDE, 5000)
    home.network.run(2 * SECOND)
    client.send(b"hello inside")
    home.network.run(3 * SECOND)
    assert program.received == b"hello inside"


def test_a_forwarded_port() -> None:
    home = Home(Nat(OUTSIDE, forwards={80: ("192.168.0.2", 8080)}))
    program = Server(home.one, port=8080, answer=b"!")
    client = Client(home.network, home.server, OUTSIDE, 80)
    home.network.run(SECOND)
    client.send(b"hello")
    home.network.run(2 * SECOND)
    assert program.received == b"hello"
    assert client.received == b"!!!!!"
    assert {segment.source_port for segment in home.watch.segments("isp") if segment.destination_port != 80} == {80}
    # Nobody else gets that port.
    inject(home.other, segment_from("192.168.0.3", 80, "198.51.100.2", 99, SYN))
    home.network.run(3 * SECOND)
    assert [t.port for t in home.nat.translations(home.now)] == [80, 1024]


def test_the_nat_has_programs_of_its_own() -> None:
    home = Home()
    program = Server(home.router, port=22, answer=b"#")
    client = Client(home.network, home.server, OUTSIDE, 22)
    home.network.run(SECOND)
    client.send(b"login")
    home.network.run(2 * SECOND)
    assert program.received == b"login"
    assert client.received == b"#####"
    assert list(home.nat.translations(home.now)) == []


def test_nothing_behind_a_nat_has_a_route_to_it() -> None:
    home = Home()
    assert home.isp.host.routes.find(ip("192.168.0.2")) is None
    assert home.one.host.routes.find(ip("198.51.100.2")) is not None


# --- ICMP


def test_pings_are_told_apart() -> None:
    home = Home()
    for node, address, body in ((home.one, "192.168.0.2", b"one"), (home.other, "192.168.0.3", b"other")):
        echo = IcmpMessage(icmp.ECHO_REQUEST, 0, 7 << 16 | 1, body)
        inject(node, Packet(ip(address), ip("198.51.100.2"), PROTOCOL_ICMP, echo))
    home.network.run(SECOND)
    assert [message.identifier for message in home.watch.messages("isp") if message.type == icmp.ECHO_REQUEST] == [
        7,
        1024,
    ]
    replies = [
        (packet.destination, packet.payload.identifier, bytes(packet.payload.body))
        for packet in home.watch.sent("nat")
        if isinstance(packet.payload, IcmpMessage) and packet.payload.type == icmp.ECHO_REPLY
    ]
    assert replies == [(ip("192.168.0.2"), 7, b"one"), (ip("192.168.0.3"), 7, b"other")]


def test_a_ping_to_the_outside_is_the_nat_s_own() -> None:
    home = Home()
    inject(home.server, Packet(ip("198.51.100.2"), ip(OUTSIDE), PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0, 1)))
    home.network.run()
    assert [message.type for message in home.watch.messages("nat")] == [icmp.ECHO_REPLY]


@pytest.mark.parametrize("kind", ["tcp", "echo"])
def test_an_error_from_outside_reaches_who_caused_it(kind: str) -> None:
    """The TTL runs out at the ISP, whose error quotes what the NAT sent; inside, it quotes what the host sent."""
    home = Home()
    # The first one takes the port, or the identifier.
    inject(home.other, segment_from("192.168.0.3", 5000, "198.51.100.2", 80, SYN))
    ping = IcmpMessage(icmp.ECHO_REQUEST, 0, 5000 << 16, b"first")
    inject(home.other, Packet(ip("192.168.0.3"), ip("198.51.100.2"), PROTOCOL_ICMP, ping))
    home.network.run(SECOND)
    before = home.other.host.counters["IcmpInMsgs"]
    if kind == "tcp":
        packet = segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN)
    else:
        echo = IcmpMessage(icmp.ECHO_REQUEST, 0, 5000 << 16 | 3, b"data")
        packet = Packet(ip("192.168.0.2"), ip("198.51.100.2"), PROTOCOL_ICMP, echo)
    packet.ttl = 2
    inject(home.one, packet)
    home.network.run(2 * SECOND)
    told = home.watch.sent("nat")[-1]
    assert (told.source, told.destination) == (ip("203.0.113.254"), ip("192.168.0.2"))
    message = told.payload
    assert isinstance(message, IcmpMessage)
    assert message.type == icmp.TIME_EXCEEDED
    # Whole, with all its checksums: the quote can be read as a packet.
    quoted = parse_packet(message.body)
    assert [t.port for t in home.nat.translations(home.now)][-1] == 1024
    assert quoted.ttl == 1
    quoted.ttl = 2
    assert quoted == packet
    assert home.one.host.counters["IcmpInMsgs"] == 1
    assert home.other.host.counters["IcmpInMsgs"] == before


def test_an_error_prolongs_nothing() -> None:
    home = Home(Nat(OUTSIDE, Timeouts(transitory=10 * SECOND)))
    packet = segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN)
    packet.ttl = 2
    inject(home.one, packet)
    home.network.run()
    (only,) = home.nat.translations(home.now)
    # The SYN passed at once; its error came back 2 ms later.
    assert home.now == 2 * MILLISECOND
    assert only.deadline == 10 * SECOND


def test_an_error_from_inside_is_told_in_the_nat_s_name() -> None:
    """A server behind a forwarded port is beyond an inner router, whose wire to it is narrow."""
    watch = Watch()
    nat = Nat(OUTSIDE, forwards={80: ("192.168.1.2", 8080)})
    network = Network(0, watch)
    inner, router = network.router("inner"), network.router("nat", nat=nat)
    server, client = network.host("server"), network.host("client")
    network.wire(server, "192.168.1.2/24", inner, "192.168.1.1/24", mtu=600)
    network.wire(inner, "192.168.0.2/24", router, "192.168.0.1/24")
    network.wire(router, OUTSIDE + "/24", client, "203.0.113.9/24")
    network.route_all()
    packet = segment_from("203.0.113.9", 4000, OUTSIDE, 80, SYN)
    assert isinstance(packet.payload, Segment)
    packet.payload.payload = (bytes(700),)
    packet.payload.payload_length = 700
    inject(client, packet)
    network.run()
    told = [packet for packet in watch.sent("nat") if packet.protocol == PROTOCOL_ICMP]
    assert [(message.source, message.destination) for message in told] == [(ip(OUTSIDE), ip("203.0.113.9"))]
    message = told[0].payload
    assert isinstance(message, IcmpMessage)
    assert message.mtu == 600
    quoted = parse_quoted(message.body, 4)
    assert (quoted.destination, quoted.destination_port) == (ip(OUTSIDE), 80)
    assert quoted.flow == packet.flow
    # The header's checksum is right after all the changes.
    assert len(message.body) == 548
    header = bytes(message.body[:20])
    assert int.from_bytes(header, "big") % 65535 == 0


def test_a_damaged_quote_stays_damaged() -> None:
    body = bytearray(octets(segment_from("203.0.113.1", 1024, "198.51.100.2", 80, SYN)))
    body[-1] ^= 1
    changed = quote_with(bytes(body), (ip("203.0.113.1"), 1024), (ip("192.168.0.2"), 5000), source=True)
    changed_octets = bytearray(changed)
    changed_octets[-1] ^= 1
    assert parse_packet(bytes(changed_octets)) == segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN)


def test_a_short_quote_will_do() -> None:
    """RFC 792 asks for 8 octets behind the header: there is no TCP checksum in them to adjust."""
    body = octets(segment_from("203.0.113.1", 1024, "198.51.100.2", 80, SYN))[:28]
    changed = quote_with(body, (ip("203.0.113.1"), 1024), (ip("192.168.0.2"), 5000), source=True)
    assert len(changed) == 28
    assert parse_quoted(changed, 4).source_port == 5000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(28),
        b"\x45" + bytes(27),
        octets(segment_from("1.1.1.1", 1, "2.2.2.2", 2, SYN)),
        # The ports of a conversation that is known, under another address.
        octets(segment_from("203.0.113.2", 5000, "198.51.100.2", 80, SYN)),
    ],
)
def test_errors_about_nothing_known_come_to_the_nat_itself(body: bytes) -> None:
    home = Home()
    inject(home.one, segment_from("192.168.0.2", 5000, "198.51.100.2", 80, SYN))
    home.network.run(SECOND)
    before = len(home.watch.sent("nat"))
    message = IcmpMessage(icmp.TIME_EXCEEDED, 0, 0, body)
    inject(home.server, Packet(ip("198.51.100.2"), ip(OUTSIDE), PROTOCOL_ICMP, message))
    home.network.run()
    assert len(home.watch.sent("nat")) == before
    assert home.router.host.counters["IcmpInMsgs"] == 1


# --- what is not translated


def test_other_protocols_and_fragments_are_dropped() -> None:
    home = Home()
    inject(home.one, Packet(ip("192.168.0.2"), ip("198.51.100.2"), 17, bytes(20)))
    inject(home.one, Packet(ip("192.168.0.2"), ip("198.51.100.2"), PROTOCOL_TCP, bytes(24), more_fragments=True))
    inject(home.server, Packet(ip("198.51.100.2"), ip(OUTSIDE), 17, bytes(20)))
    home.network.run()
    assert home.watch.drops("nat") == ["not-translated"] * 3
    assert home.watch.sent("nat") == []


def test_a_nat_that_was_switched_off_knows_nothing() -> None:
    home = Home(Nat(OUTSIDE, unknown="reset"))
    Server(home.server)
    client = home.connect()
    home.router.reboot()
    client.send(b"hello?")
    home.network.run(home.now + SECOND)
    assert [error for _, error in client.errors] == [ECONNRESET]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Nat("2001:db8::1"),
        lambda: Nat(OUTSIDE, unknown="shrug"),  # type: ignore[arg-type]
        lambda: Nat(OUTSIDE, mapping="symmetric"),  # type: ignore[arg-type]
        lambda: Nat(OUTSIDE, mapping=DEPENDENT, filtering=INDEPENDENT),
        lambda: Timeouts(established=0),
    ],
)
def test_settings_that_make_no_sense(wrong: object) -> None:
    with pytest.raises(ValueError):
        wrong()  # type: ignore[operator]


def test_a_nat_is_a_router() -> None:
    assert isinstance(Home().router, Router)
