"""What the network reports, and what it may not bring (RFC 9293 §3.9.2.2, §3.9.2.3)."""

from __future__ import annotations

from errno import EHOSTUNREACH

import pytest

from synfin.host import profiles
from synfin.tcp.parameters import SECOND
from synfin.wire import icmp
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, RST, SYN
from tests.conformance.under import every_profile, machine
from tests.host.machine import OURS, OURS_6, THEIRS, THEIRS_6, Peer, segment_of
from tests.host.test_paths import World

#: Unreachable 0, 1 and 5, Time Exceeded 0 and 1, Parameter Problem: soft errors by RFC 9293 §3.9.2.2.
SOFT = [
    (icmp.DESTINATION_UNREACHABLE, 0),
    (icmp.DESTINATION_UNREACHABLE, 1),
    (icmp.DESTINATION_UNREACHABLE, 5),
    (icmp.TIME_EXCEEDED, 0),
    (icmp.TIME_EXCEEDED, 1),
    (icmp.PARAMETER_PROBLEM, 0),
]


@pytest.mark.requirement("MUST-54")
@every_profile
def test_an_error_acts_on_the_connection_that_it_quotes(profile: str) -> None:
    world = World(True, profiles.parameters(profile))
    other = world.client.connect("10.0.0.2", 80)
    world.network.run(SECOND // 2)
    connection = world.data_in_flight()
    world.client.send(other, bytes(1000))
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE, connection.snd_una)
    assert (connection.soft_error, other.soft_error) == (EHOSTUNREACH, 0)
    mss = other.mss
    world.reports(icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, connection.snd_una, 1000)
    assert connection.mss < other.mss == mss


@pytest.mark.requirement("MUST-56")
@pytest.mark.parametrize(("kind", "code"), SOFT)
@pytest.mark.parametrize("connected", [False, True])
@every_profile
def test_a_soft_error_aborts_nothing(profile: str, kind: int, code: int, connected: bool) -> None:
    world = World(connected, profiles.parameters(profile))
    world.client.host.parameters.tcp.tcp_icmp_ends_connecting = 0
    if connected:
        world.data_in_flight()
    connection = world.connection
    for _ in range(10):
        world.reports(kind, code, connection.snd_una)
    assert connection.status().state == ("ESTABLISHED" if connected else "SYN-SENT")
    assert connection.error == 0


@pytest.mark.requirement("MUST-49")
@pytest.mark.parametrize("ttl", [1, 33, 255])
@every_profile
def test_the_time_to_live_is_a_parameter(profile: str, ttl: int) -> None:
    m = machine(profile)
    m.host.parameters.set("net.ipv4.ip_default_ttl", str(ttl))
    m.host.listen(OURS, 80, 5, m.now)
    m.host.connect(THEIRS, 80, m.now)
    peer = Peer(m)
    packets = m.poll() + m.gets(peer.packet(SYN)) + m.gets(peer.packet(RST | ACK, seq=5))
    assert [packet.ttl for packet in packets] == [ttl] * len(packets)
    assert len(packets) >= 2


def marks(packets: list[Packet]) -> set[tuple[int, int]]:
    """(traffic class, TTL) of all of them."""
    return {(packet.traffic_class, packet.ttl) for packet in packets}


@pytest.mark.requirement("MUST-48", "MUST-49", "SHLD-21", "SHLD-22")
@pytest.mark.parametrize(("ours", "theirs"), [(OURS, THEIRS), (OURS_6, THEIRS_6)])
@every_profile
def test_dscp_and_time_to_live_of_one_connection(profile: str, ours: str, theirs: str) -> None:
    """They are in each of its packets as they were set, can be changed at any time, and concern no other."""
    m = machine(profile)
    listener = m.host.listen(ours, 80, 5, m.now)
    listener.settings.traffic_class, listener.settings.ttl = 0xB8, 3
    peer = Peer(m, address=theirs, to=ours)
    assert marks(m.gets(peer.packet(SYN))) == {(0xB8, 3)}
    m = machine(profile)
    m.host.listen(ours, 80, 5, m.now)
    peer = Peer(m, address=theirs, to=ours).opens()
    other = Peer(m, 40001, address=theirs, to=ours).opens()
    for traffic_class, ttl in ((0xB8, 7), (0x20, 255), (0xFC, 1)):
        peer.connection.settings.traffic_class = traffic_class
        peer.connection.settings.ttl = ttl
        peer.connection.settings.nodelay = True
        m.host.send(peer.connection, bytes(3000), m.now)
        packets = m.poll()
        assert len(packets) >= 3
        assert marks(packets) == {(traffic_class, ttl)}
        peer.saw([segment_of(packet) for packet in packets])
        # Its acknowledgment too, when it comes.
        answers = m.gets(peer.packet(ACK, b"data")) + m.goes_on(m.now + SECOND)
        assert marks(answers) == {(traffic_class, ttl)}
        peer.seq += 4
    m.host.send(other.connection, b"x", m.now)
    assert marks(m.poll()) == {(0, 64)}


@pytest.mark.requirement("MAY-9")
@pytest.mark.parametrize("traffic_class", [0, 0xB8, 0x21])
@every_profile
def test_the_differentiated_services_field_that_came_last_can_be_seen(profile: str, traffic_class: int) -> None:
    m = machine(profile)
    m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    packet = peer.packet(ACK, b"data")
    packet.traffic_class = traffic_class
    m.gets(packet)
    assert peer.connection.received_traffic_class == traffic_class


@pytest.mark.requirement("MUST-20", "MUST-22")
@pytest.mark.parametrize("connected", [False, True])
@every_profile
def test_at_r1_what_is_known_of_the_path_is_forgotten(profile: str, connected: bool) -> None:
    """The advice to the network layer, of which RFC 9293 §3.8.3 (b) speaks: the way may have to be another one."""
    world = World(connected, profiles.parameters(profile))
    transport = world.client.host.transport
    if connected:
        world.data_in_flight()
    destination = world.connection.identity.remote_address
    transport.path_mtus.report(destination, 1400, 1500, world.network.now)
    assert len(transport.path_mtus) == 1
    world.network.run(40 * SECOND)
    assert world.connection.status().state in ("ESTABLISHED", "SYN-SENT")
    assert len(transport.path_mtus) == 0
