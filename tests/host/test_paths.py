"""What ICMP errors do to connections, and what is remembered of paths (RFC 9293 §3.9.2.2, RFC 5927, RFC 1191)."""

from __future__ import annotations

from errno import ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT

import pytest

from synfin.host import addresses
from synfin.host.icmp_errors import error
from synfin.host.parameters import Parameters
from synfin.host.path_mtu import CAPACITY, LEAST_IPV6, PathMtus
from synfin.sim import Network
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER
from synfin.wire import icmp
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, Segment

LIFE = Parameters().mtu_expires * SECOND
LEAST_IPV4 = Parameters().min_pmtu

ROUTER = addresses.packed("10.0.0.9")
THERE = addresses.packed("192.0.2.1")
THERE_6 = addresses.packed("2001:db8::1")


class World:
    """A client connected to a server; `reports` hands the client an ICMP error about a segment that it sent."""

    def __init__(self, connected: bool = True, parameters: Parameters | None = None) -> None:
        self.network = Network(4)
        self.client = self.network.host("client", parameters)
        server = self.network.host("server", parameters)
        self.network.wire(self.client, "10.0.0.1/24", server, "10.0.0.2/24", delay=1_000_000)
        self.listener = server.listen("10.0.0.2", 80)
        self.server = server
        if not connected:
            self.network.apply("lose 100%")
        self.connection = self.client.connect("10.0.0.2", 80)
        self.network.run(SECOND // 10)

    def reports(self, kind: int, code: int, seq: int, parameter: int = 0) -> None:
        identity = self.connection.identity
        segment = Segment(identity.local_port, identity.remote_port, wrap(seq), 0, ACK, 0)
        about = Packet(identity.local_address, identity.remote_address, PROTOCOL_TCP, segment)
        host = self.client.host
        host.packet_arrives(error(about, kind, code, ROUTER, 64, parameter), host.interfaces[1], self.network.now)
        self.client.run()

    def data_in_flight(self, octets: int = 1000) -> Connection:
        self.network.apply("partition from 0s to 1000s")
        self.client.send(self.connection, bytes(octets))
        return self.connection


@pytest.mark.row("D5")
@pytest.mark.parametrize(
    ("kind", "code", "errno"),
    [
        (icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE, EHOSTUNREACH),
        (icmp.DESTINATION_UNREACHABLE, icmp.NETWORK_UNREACHABLE, ENETUNREACH),
        (icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE, ECONNREFUSED),
        (icmp.DESTINATION_UNREACHABLE, icmp.COMMUNICATION_PROHIBITED, EHOSTUNREACH),
        (icmp.TIME_EXCEEDED, icmp.HOP_LIMIT_EXCEEDED, EHOSTUNREACH),
    ],
)
def test_while_connecting_an_error_ends_the_attempt(kind: int, code: int, errno: int) -> None:
    world = World(connected=False)
    world.reports(kind, code, world.connection.iss)
    assert world.connection.status().state == "CLOSED"
    with pytest.raises(OSError, match=r".+") as raised:
        world.client.send(world.connection, b"x")
    assert raised.value.errno == errno
    assert world.client.host.connections() == []


@pytest.mark.requirement("MUST-56")
def test_with_the_switch_of_the_rfc_the_attempt_goes_on() -> None:
    # RFC 9293 §3.9.2.2, MUST-56
    world = World(connected=False)
    world.client.host.parameters.tcp.tcp_icmp_ends_connecting = 0
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE, world.connection.iss)
    assert world.connection.status().state == "SYN-SENT"
    world.network.run(200 * SECOND)
    assert world.connection.error == EHOSTUNREACH


@pytest.mark.row("D5")
@pytest.mark.requirement("MUST-54", "MUST-56")
@pytest.mark.parametrize("code", [icmp.HOST_UNREACHABLE, icmp.PORT_UNREACHABLE])
def test_an_established_connection_keeps_trying_and_then_says_why(code: int) -> None:
    world = World()
    connection = world.data_in_flight()
    world.reports(icmp.DESTINATION_UNREACHABLE, code, connection.snd_una)
    world.network.run(800 * SECOND)
    assert connection.status().state == "ESTABLISHED"
    world.network.run(1000 * SECOND)
    assert connection.error == (EHOSTUNREACH if code == icmp.HOST_UNREACHABLE else ECONNREFUSED)


def test_an_acknowledgment_shows_that_the_network_has_mended() -> None:
    world = World()
    world.network.apply("partition from 0s to 2s")
    world.client.send(world.connection, b"x")
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE, world.connection.snd_una)
    world.network.run(10 * SECOND)
    assert world.connection.snd_una == world.connection.snd_nxt
    assert world.connection.soft_error == 0


@pytest.mark.parametrize("offset", [-1, 1000, 1 << 30])
def test_who_does_not_see_the_connection_is_not_believed(offset: int) -> None:
    # RFC 5927 §4.1
    world = World()
    connection = world.data_in_flight()
    mss = connection.mss
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE, connection.snd_una + offset)
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, connection.snd_una + offset, 600)
    assert (connection.soft_error, connection.mss) == (0, mss)
    assert len(world.client.host.transport.path_mtus) == 0
    assert world.client.host.counters["TcpExtOutOfWindowIcmps"] == 2
    world.network.run(1200 * SECOND)
    assert connection.error == ETIMEDOUT


@pytest.mark.requirement("MUST-55")
def test_source_quench_is_dropped() -> None:
    # RFC 9293 §3.9.2.2 (MUST-55), RFC 6633
    world = World()
    connection = world.data_in_flight()
    cwnd = connection.cwnd
    world.reports(icmp.SOURCE_QUENCH, 0, connection.snd_una)
    assert (connection.cwnd, connection.soft_error, connection.status().state) == (cwnd, 0, "ESTABLISHED")


def test_a_packet_too_big_is_sent_again_in_smaller_segments_at_once() -> None:
    world = World()
    connection = world.data_in_flight(5000)
    cwnd = connection.cwnd
    retransmitted = world.client.host.counters["TcpRetransSegs"]
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, connection.snd_una, 1000)
    # 1000 octets less 40 of headers and 12 of timestamps
    assert connection.mss == 948
    assert connection.cwnd == cwnd
    # Three full segments of 1448 become two each; the fourth, of 656, is small enough.
    assert world.client.host.counters["TcpRetransSegs"] - retransmitted == 6
    assert connection.sent.lost == 0
    # The next connection begins with what was learned.
    assert world.client.connect("10.0.0.2", 80).path_mss == 960


def test_a_report_does_not_make_segments_larger_or_absurdly_small() -> None:
    world = World()
    connection = world.data_in_flight(5000)
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, connection.snd_una, 9000)
    assert connection.mss == 1448
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, connection.snd_una, 68)
    assert connection.mss == LEAST_IPV4 - 52


def test_path_mtus_are_forgotten_after_ten_minutes() -> None:
    paths = PathMtus()
    assert paths.get(THERE, 1500, 0) == 1500
    assert paths.report(THERE, 1400, 1500, 0) == 1400
    assert paths.get(THERE, 1500, LIFE - 1) == 1400
    assert paths.get(THERE, 1300, 0) == 1300
    assert paths.get(THERE, 1500, LIFE) == 1500
    assert paths.next_deadline() == LIFE
    assert paths.deadline_reached(LIFE - 1) == {}
    assert paths.deadline_reached(LIFE) == {THERE: 1400}
    assert len(paths) == 0
    assert paths.next_deadline() == NEVER


def test_a_router_that_does_not_say_gets_the_next_plateau() -> None:
    # RFC 1191 §7.1
    paths = PathMtus()
    assert [paths.report(THERE, 0, 1500, 0) for _ in range(4)] == [1492, 1006, LEAST_IPV4, LEAST_IPV4]


def test_ipv6_never_goes_below_its_least() -> None:
    # RFC 8201 §4
    paths = PathMtus()
    assert paths.report(THERE_6, LEAST_IPV6 - 1, 1500, 0) == 1500
    assert paths.report(THERE_6, LEAST_IPV6, 1500, 0) == LEAST_IPV6


def test_what_is_remembered_is_bounded() -> None:
    paths = PathMtus()
    for number in range(CAPACITY + 10):
        paths.report(number.to_bytes(4, "big"), 1000, 1500, 0)
    assert len(paths) == CAPACITY
    assert paths.get((0).to_bytes(4, "big"), 1500, 0) == 1500
    assert paths.get((CAPACITY + 9).to_bytes(4, "big"), 1500, 0) == 1000
