"""What the network reports, and what it may not bring (RFC 9293 §3.9.2.2, §3.9.2.3)."""

from __future__ import annotations

from errno import EHOSTUNREACH

import pytest

from synfin.tcp.parameters import SECOND
from synfin.wire import icmp
from synfin.wire.tcp import ACK, RST, SYN
from tests.host.machine import OURS, THEIRS, Machine, Peer
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
def test_an_error_acts_on_the_connection_that_it_quotes() -> None:
    world = World()
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
def test_a_soft_error_aborts_nothing(kind: int, code: int, connected: bool) -> None:
    world = World(connected)
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
def test_the_time_to_live_is_a_parameter(ttl: int) -> None:
    m = Machine()
    m.host.parameters.set("net.ipv4.ip_default_ttl", str(ttl))
    m.host.listen(OURS, 80, 5, m.now)
    m.host.connect(THEIRS, 80, m.now)
    peer = Peer(m)
    packets = m.poll() + m.gets(peer.packet(SYN)) + m.gets(peer.packet(RST | ACK, seq=5))
    assert [packet.ttl for packet in packets] == [ttl] * len(packets)
    assert len(packets) >= 2
