"""What cannot be read is counted by its cause, under Linux's names, and never answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin import reasons
from synfin.host import addresses, counters
from synfin.host.counters import BY_CAUSE, Counters
from synfin.tcp.connection import Connection
from synfin.wire import errors
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, IcmpMessage, Packet, octets
from synfin.wire.tcp import ACK, FIN, PSH, SYN, Options, Segment
from tests.host.machine import MS, OURS, OURS_6, SECOND, THEIRS, THEIRS_6, Machine, Peer, peer_in, tcp

SYN_4 = octets(tcp(THEIRS, 40000, OURS, 80, flags=SYN))
SYN_6 = octets(tcp(THEIRS_6, 40000, OURS_6, 80, flags=SYN))
WITH_OPTION = octets(tcp(THEIRS, 40000, OURS, 80, Segment(40000, 80, 0, 0, SYN, 0, Options(mss=1460))))
ECHO_4 = octets(Packet(addresses.packed(THEIRS), addresses.packed(OURS), PROTOCOL_ICMP, IcmpMessage(8, 0, 1, b"d")))
ECHO_6 = octets(
    Packet(addresses.packed(THEIRS_6), addresses.packed(OURS_6), PROTOCOL_ICMPV6, IcmpMessage(128, 0, 1, b"d"))
)


def with_octet(data: bytes, at: int, value: int) -> bytes:
    changed = bytearray(data)
    changed[at] = value
    return bytes(changed)


def shorter_ip(data: bytes, length: int) -> bytes:
    """The packet, cut to `length` octets by an IPv4 header that says so."""
    return with_octet(data[:length], 3, length)


#: (octets, whether the link vouches for the checksums, the counters that grow)
UNREADABLE = {
    "version": (with_octet(SYN_4, 0, 0x15), False, {"IpInHdrErrors"}),
    "header length": (with_octet(SYN_4, 0, 0x44), False, {"IpInHdrErrors"}),
    "total length": (with_octet(with_octet(SYN_4, 2, 0), 3, 19), False, {"IpInHdrErrors"}),
    "truncated": (SYN_4[:-1], False, {"IpExtInTruncatedPkts"}),
    "nothing": (b"", False, {"IpExtInTruncatedPkts"}),
    "header checksum": (with_octet(SYN_4, 10, SYN_4[10] ^ 1), False, {"IpInHdrErrors", "IpExtInCsumErrors"}),
    "extension": (with_octet(SYN_6, 6, 0), False, {"Ip6InHdrErrors"}),
    "tcp too short": (shorter_ip(SYN_4, 39), True, {"TcpInErrs"}),
    "data offset": (with_octet(SYN_4, 32, 0x40), True, {"TcpInErrs"}),
    "option length": (with_octet(WITH_OPTION, 41, 1), True, {"TcpInErrs"}),
    "tcp checksum": (with_octet(SYN_4, 36, SYN_4[36] ^ 1), False, {"TcpInErrs", "TcpInCsumErrors"}),
    "tcp checksum, IPv6": (with_octet(SYN_6, 56, SYN_6[56] ^ 1), False, {"TcpInErrs", "TcpInCsumErrors"}),
    "icmp too short": (shorter_ip(ECHO_4, 27), True, {"IcmpInErrors"}),
    "icmp checksum": (with_octet(ECHO_4, 28, 1), False, {"IcmpInErrors", "IcmpInCsumErrors"}),
}
#: Of IPv6, which Linux counts apart.
UNREADABLE_6 = {
    "truncated": (SYN_6[:-1], False, {"Ip6InTruncatedPkts"}),
    "icmp too short": (with_octet(ECHO_6[:47], 5, 7), True, {"Icmp6InErrors"}),
    "icmp checksum": (with_octet(ECHO_6, 48, 1), False, {"Icmp6InErrors", "Icmp6InCsumErrors"}),
}


def arrives(data: bytes, verified: bool) -> dict[str, int]:
    m = Machine()
    m.host.listen("0.0.0.0", 80, 5, m.now)
    m.host.octets_arrive(data, m.eth, m.now, verified)
    assert m.poll() == []
    assert m.states() == ["LISTEN"]
    return dict(m.host.counters.items())


@pytest.mark.parametrize("name", UNREADABLE)
def test_each_cause_has_its_counters(name: str) -> None:
    data, verified, names = UNREADABLE[name]
    received = "Ip6InReceives" if data[:1] and data[0] >> 4 == 6 else "IpInReceives"
    assert arrives(data, verified) == dict.fromkeys(names | {received}, 1)


@pytest.mark.parametrize("name", UNREADABLE_6)
def test_each_cause_has_its_counters_of_ipv6(name: str) -> None:
    data, verified, names = UNREADABLE_6[name]
    assert names <= set(arrives(data, verified))


def test_every_cause_of_the_network_is_counted() -> None:
    assert set(BY_CAUSE) == set(errors.CAUSES) - {errors.PCAPNG, errors.PCAP}
    assert all(BY_CAUSE.values())


@given(st.sampled_from([SYN_4, SYN_6, WITH_OPTION, ECHO_4, ECHO_6]), st.data(), st.booleans())
def test_octets_never_raise(data: bytes, draw: st.DataObject, verified: bool) -> None:
    octet = st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255))
    for at, value in draw.draw(st.lists(octet, max_size=4)):
        data = with_octet(data, at, value)
    m = Machine()
    m.host.listen("0.0.0.0", 80, 5, m.now)
    m.host.octets_arrive(data[: draw.draw(st.integers(0, len(data)))], m.eth, m.now, verified)
    assert len(m.poll()) <= 1
    assert m.host.counters["IpInReceives"] + m.host.counters["Ip6InReceives"] == 1


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    m = Machine()
    m.host.listen("0.0.0.0", 80, 5, m.now)
    m.host.octets_arrive(kind(SYN_4), m.eth, m.now)
    assert m.states() == ["LISTEN", "SYN-RECEIVED"]


def test_counters() -> None:
    ours = Counters()
    assert ours["Nothing"] == 0
    assert ours.items() == []
    ours.add("B")
    ours.add("A", 5)
    ours.add("B")
    assert ours.items() == [("A", 5), ("B", 2)]


def test_the_tables_of_reasons_name_reasons() -> None:
    known = set(reasons.all_reasons())
    assert set(counters.BY_VERDICT) <= known
    assert set(counters.BY_REASON) <= known


def established() -> tuple[Machine, Peer, Connection]:
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    return m, peer, peer.connection


def test_segments_are_counted() -> None:
    m, peer, _ = established()
    assert (m.host.counters["TcpInSegs"], m.host.counters["TcpOutSegs"]) == (2, 1)
    peer.says(PSH | ACK, b"data")
    assert m.host.counters["TcpInSegs"] == 3


def test_verdicts_are_counted() -> None:
    m, peer, connection = established()
    peer.seq += 1000
    peer.says(PSH | ACK, b"ahead")
    assert m.host.counters["TcpExtTCPOFOQueue"] == 1
    peer.seq -= 1005
    peer.says(SYN)
    assert m.host.counters["TcpExtTCPSYNChallenge"] == 1
    assert m.host.counters["TcpExtTCPChallengeACK"] == 1
    peer.seq -= 1
    m.host.release(connection, m.now)
    peer.saw([])
    m.poll()
    peer.ack += 1
    peer.says(ACK)
    assert peer.state == "FIN-WAIT-2"
    (reset,) = peer.says(PSH | ACK, b"too late")
    assert reset.flags
    assert m.host.counters["TcpExtTCPAbortOnData"] == 1


def test_retransmissions_are_counted() -> None:
    m, _, connection = established()
    m.host.send(connection, b"data", m.now)
    m.poll()
    assert len(m.goes_on(m.now + 2 * SECOND)) == 3
    assert m.host.counters["TcpRetransSegs"] == 3
    m.host.connect(THEIRS, 99, m.now)
    m.poll()
    m.goes_on(m.now + SECOND)
    assert m.host.counters["TcpExtTCPSynRetrans"] == 1


def test_time_outs_are_counted() -> None:
    m, _, connection = established()
    m.host.send(connection, b"data", m.now)
    m.poll()
    m.goes_on(m.now + 250 * MS)
    assert m.host.counters["TcpExtTCPTimeouts"] == 1
    assert m.host.counters["TcpExtTCPLostRetransmit"] == 0


def test_delayed_acknowledgments_are_counted() -> None:
    m, peer, _ = established()
    # The first ones go out at once.
    for _ in range(40):
        peer.says(PSH | ACK, b"data")
        m.goes_on(m.now + 30 * MS)
    # One that is due within a quarter of its delay goes out with the next data, and is none.
    assert m.host.counters["TcpExtDelayedACKs"] == 0
    peer.says(PSH | ACK, b"data")
    m.goes_on(m.now + SECOND)
    assert m.host.counters["TcpExtDelayedACKs"] == 1
    peer.says(FIN | ACK)
    m.goes_on(m.now + SECOND)
    assert m.host.counters["TcpExtDelayedACKs"] == 2


def test_time_wait_is_counted() -> None:
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    peer_in(m, "TIME-WAIT", 1000)
    assert m.host.counters["TcpExtTW"] == 1


def test_resets_are_counted() -> None:
    m, _, connection = established()
    m.host.abort(connection, m.now)
    assert len(m.poll()) == 1
    Peer(m, 5, 81).says(SYN)
    Peer(m, 5, 81).says(FIN)
    assert m.host.counters["TcpOutRsts"] == 3
