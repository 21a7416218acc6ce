"""RFC 5927, RFC 6633: what ICMP may do to a connection, and to whom it is believed."""

from __future__ import annotations

from errno import ECONNREFUSED, EHOSTUNREACH, ENOPROTOOPT

import pytest

from synfin.wire import icmp
from synfin.wire.ip import Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK
from tests.attacks.attacker import FullPeer, icmp_error, machine
from tests.host.machine import OURS, SECOND, THEIRS, Machine, segment_of, tcp

UNREACHABLE = icmp.DESTINATION_UNREACHABLE


def sending(m: Machine) -> tuple[FullPeer, Packet]:
    """A peer towards whom one segment is in flight, and that segment."""
    peer = FullPeer(m).opens()
    m.host.send(peer.connection, bytes(1000), m.now)
    (packet,) = m.poll()
    return peer, packet


def quoting(m: Machine, peer: FullPeer, offset: int, kind: int, code: int, parameter: int = 0) -> None:
    """An ICMP error about a segment of the host's, `offset` from SND.UNA."""
    seq = peer.connection.snd_una + offset
    about = tcp(OURS, peer.to_port, peer.address, peer.port, seq=seq, flags=ACK)
    m.gets(icmp_error(about, kind, code, parameter))


@pytest.mark.parametrize("offset", [-1, -1000, 1000, 1001, 1 << 31, 12345678])
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (UNREACHABLE, icmp.HOST_UNREACHABLE),
        (UNREACHABLE, icmp.PORT_UNREACHABLE),
        (UNREACHABLE, icmp.FRAGMENTATION_NEEDED),
        (icmp.TIME_EXCEEDED, 0),
    ],
)
def test_only_what_is_in_flight_is_believed(kind: int, code: int, offset: int) -> None:
    """RFC 5927 §4.1. Even where hard errors abort, a guess does nothing."""
    m = machine(tcp_icmp_hard_aborts=1)
    peer, _ = sending(m)
    mss = peer.connection.mss
    quoting(m, peer, offset, kind, code, 576)
    assert peer.state == "ESTABLISHED"
    assert peer.connection.soft_error == 0
    assert peer.connection.mss == mss
    assert m.poll() == []
    assert m.host.counters["TcpExtOutOfWindowIcmps"] == 1


@pytest.mark.parametrize(
    ("code", "error"), [(icmp.PORT_UNREACHABLE, ECONNREFUSED), (icmp.PROTOCOL_UNREACHABLE, ENOPROTOOPT)]
)
@pytest.mark.parametrize(("aborts", "after"), [(0, "ESTABLISHED"), (1, "CLOSED")])
def test_hard_errors(code: int, error: int, aborts: int, after: str) -> None:
    """RFC 1122 §4.2.3.9 has them end a connection; RFC 5927 §5.2 and Linux take them as soft ones."""
    m = machine(tcp_icmp_hard_aborts=aborts)
    peer, _ = sending(m)
    connection = peer.connection
    quoting(m, peer, 0, UNREACHABLE, code)
    assert peer.state == after
    assert (connection.error if aborts else connection.soft_error) == error
    if not aborts:
        # An ACK forgets it.
        m.gets(peer.forged(ack=1000))
        assert connection.soft_error == 0


@pytest.mark.parametrize("aborts", [0, 1])
def test_soft_errors_end_nothing(aborts: int) -> None:
    m = machine(tcp_icmp_hard_aborts=aborts)
    peer, _ = sending(m)
    for code in (icmp.NETWORK_UNREACHABLE, icmp.HOST_UNREACHABLE, icmp.COMMUNICATION_PROHIBITED):
        quoting(m, peer, 0, UNREACHABLE, code)
    quoting(m, peer, 500, icmp.TIME_EXCEEDED, 0)
    assert peer.state == "ESTABLISHED"
    assert peer.connection.soft_error == EHOSTUNREACH


def test_source_quench_is_dropped() -> None:
    """RFC 6633 §3: it slows nobody down (RFC 9293 §3.9.2.2, MUST-55)."""
    m = machine()
    peer, packet = sending(m)
    connection = peer.connection
    before = (connection.cwnd, connection.ssthresh, connection.soft_error, connection.round_trip.rto)
    for _ in range(100):
        m.gets(icmp_error(packet, icmp.SOURCE_QUENCH, 0))
    assert (connection.cwnd, connection.ssthresh, connection.soft_error, connection.round_trip.rto) == before
    assert peer.state == "ESTABLISHED"


def test_a_path_mtu_that_is_believed_has_a_floor() -> None:
    """RFC 5927 §7: neither nothing nor everything at once; Linux's least is 552."""
    for claimed in (0, 68, 100):
        m = machine()
        peer, packet = sending(m)
        m.host.send(peer.connection, bytes(1 << 20), m.now)
        m.poll()
        m.gets(icmp_error(packet, UNREACHABLE, icmp.FRAGMENTATION_NEEDED, claimed))
        assert peer.connection.mss >= 552 - 40 - 12
        assert len(peer.connection.sent) < 200


def test_an_error_about_what_this_host_never_sent() -> None:
    m = machine()
    peer, packet = sending(m)
    # About the peer's own segment, about one from nowhere, and one that is cut off.
    m.gets(icmp_error(peer.forged(), UNREACHABLE, icmp.PORT_UNREACHABLE))
    foreign = icmp_error(packet, UNREACHABLE, icmp.PORT_UNREACHABLE)
    assert isinstance(foreign.payload, icmp.IcmpMessage)
    for length in range(28):
        cut = icmp.IcmpMessage(UNREACHABLE, icmp.PORT_UNREACHABLE, 0, bytes(foreign.payload.body)[:length])
        m.gets(Packet(foreign.source, foreign.destination, 1, cut))
    assert peer.state == "ESTABLISHED"
    assert peer.connection.soft_error == 0


def test_a_connect_is_not_ended_by_a_guess() -> None:
    m = machine()
    connection = m.host.connect(THEIRS, 80, m.now)
    (syn,) = m.poll()
    segment = segment_of(syn)
    for wrong in (segment.seq + 1, segment.seq - 1, 0):
        about = tcp(OURS, segment.source_port, THEIRS, 80, seq=wrong & MASK)
        m.gets(icmp_error(about, UNREACHABLE, icmp.PORT_UNREACHABLE))
        assert connection.error == 0
    m.gets(icmp_error(syn, UNREACHABLE, icmp.PORT_UNREACHABLE))
    assert connection.error == ECONNREFUSED


def test_icmp_for_a_half_open_request_or_nobody_does_nothing() -> None:
    m = machine()
    peer = FullPeer(m, 6000)
    for number in range(100):
        about = tcp(OURS, 80, peer.address, 6000 + number, seq=number)
        m.gets(icmp_error(about, UNREACHABLE, icmp.HOST_UNREACHABLE))
    assert m.now == SECOND
    assert m.states() == ["LISTEN"]
