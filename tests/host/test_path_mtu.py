"""Path MTU discovery at a host: DF and identification, reports and how long they last (RFC 1191, 8201, 5927)."""

from __future__ import annotations

import pytest

from synfin.host import addresses, path_reports
from synfin.host.icmp_errors import error
from synfin.host.identification import Identifications
from synfin.host.parameters import Parameters
from synfin.host.path_mtu import PathMtus
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import SECOND
from synfin.tcp.settings import (
    PMTUDISC_DO,
    PMTUDISC_DONT,
    PMTUDISC_INTERFACE,
    PMTUDISC_OMIT,
    PMTUDISC_PROBE,
    PMTUDISC_WANT,
)
from synfin.wire import icmp
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.host.machine import OURS, OURS_6, SECRET, THEIRS, THEIRS_6, Machine, Peer, peer_in, segment_of

LIFE = Parameters().mtu_expires * SECOND
LEAST_IPV4 = Parameters().min_pmtu

THERE = addresses.packed(THEIRS)


def connected(m: Machine, theirs: str = THEIRS, ours: str = OURS) -> tuple[Peer, Connection]:
    """A connection that the host opened, to a peer that takes large segments."""
    connection = m.host.connect(theirs, 80, m.now)
    (syn,) = m.poll()
    peer = Peer(m, 80, address=theirs, to=ours, options=Options(mss=8960)).answers_syn(segment_of(syn))
    return peer, connection


def report(m: Machine, peer: Peer, seq: int, mtu: int, length: int = 1500, kind: int = -1, code: int = -1) -> None:
    """A router tells the host that what it sent to `peer` with the number `seq` was too large; or another error."""
    payload = bytes(max(length - 40, 0))
    segment = Segment(peer.to_port, peer.port, wrap(seq), 0, ACK, 0, payload=(payload,) if payload else ())
    about = Packet(addresses.packed(peer.to), addresses.packed(peer.address), PROTOCOL_TCP, segment)
    version_4 = about.version == 4
    if kind < 0:
        kind = icmp.DESTINATION_UNREACHABLE if version_4 else icmp.V6_PACKET_TOO_BIG
        code = icmp.FRAGMENTATION_NEEDED if version_4 else 0
    router = addresses.packed("192.0.2.99" if version_4 else "2001:db8::99")
    m.host.packet_arrives(error(about, kind, code, router, 64, mtu), m.eth, m.now)


def in_flight(m: Machine, connection: Connection, octets: int = 5000) -> list[Packet]:
    m.host.send(connection, bytes(octets), m.now)
    return m.poll()


# --- DF and identification


def test_packets_say_df_and_bear_no_number() -> None:
    m = Machine()
    _, connection = connected(m)
    sent = in_flight(m, connection)
    assert all(packet.dont_fragment for packet in sent)
    # RFC 6864 §4.1: it means nothing in what cannot be fragmented.
    assert {packet.identification for packet in sent} == {0}


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_without_discovery_nothing_says_df(mode: int) -> None:
    """ip_no_pmtu_disc; RFC 6864 §4.3: then each packet has a number of its own."""
    m = Machine()
    m.host.parameters.ip_no_pmtu_disc = mode
    m.host.listen(OURS, 81, 5, m.now)
    connection = m.host.connect(THEIRS, 80, m.now)
    sent = m.poll()
    Peer(m, 80, options=Options(mss=8960)).answers_syn(segment_of(sent[0]))
    sent += in_flight(m, connection)
    sent += m.gets(Peer(m, 9, 81).packet(SYN))
    # The SYN,ACK again
    sent += m.goes_on(m.now + SECOND)
    assert len(sent) >= 6
    assert not any(packet.dont_fragment for packet in sent)
    numbers = [packet.identification for packet in sent]
    assert len(set(numbers)) == len(numbers)
    # As Linux: a RST is never to be cut.
    (reset,) = m.gets(Peer(m, 9, 99).packet(SYN))
    assert (reset.dont_fragment, reset.identification) == (True, 0)


def test_ipv6_has_no_df() -> None:
    m = Machine()
    m.host.parameters.ip_no_pmtu_disc = 1
    _, connection = connected(m, THEIRS_6, OURS_6)
    assert all(packet.dont_fragment and not packet.identification for packet in in_flight(m, connection))


def test_a_superpacket_takes_a_number_for_each_segment() -> None:
    m = Machine()
    m.host.parameters.ip_no_pmtu_disc = 1
    m.eth.room = 65535
    _, connection = connected(m)
    first, second = in_flight(m, connection, 4 * connection.mss)[0], in_flight(m, connection, 4 * connection.mss)[0]
    segment = segment_of(first)
    assert segment.payload_length > segment.segment_size
    count = -(-segment.payload_length // segment.segment_size)
    assert (second.identification - first.identification) % 65536 == count


def test_numbers_tell_nothing_and_do_not_come_again() -> None:
    """RFC 7739: towards each destination they begin where only the secret knows."""
    one, other = Identifications(SECRET), Identifications(bytes(16))
    pairs = [(number.to_bytes(4, "big"), THERE) for number in range(200)]
    assert len({one.take(*pair, 6) for pair in pairs}) > 190
    assert [one.take(*pair, 6) for pair in pairs] != [other.take(*pair, 6) for pair in pairs]
    assert one.take(THERE, THERE, 6) != one.take(THERE, THERE, 17)
    taken = {one.take(THERE, THERE, 6) for _ in range(65536)}
    assert len(taken) == 65536
    assert max(one.take(bytes(16), bytes((number,)) * 16, 58) for number in range(100)) >= 1 << 24


@pytest.mark.parametrize(
    ("mtu_discover", "df", "reduced"),
    [
        (PMTUDISC_DONT, False, False),
        (PMTUDISC_WANT, True, True),
        (PMTUDISC_DO, True, True),
        (PMTUDISC_PROBE, False, True),
        (PMTUDISC_INTERFACE, False, False),
        (PMTUDISC_OMIT, False, False),
    ],
)
def test_a_connection_may_discover_in_its_own_way(mtu_discover: int, df: bool, reduced: bool) -> None:
    """IP_MTU_DISCOVER, as Linux has it for TCP."""
    m = Machine()
    peer, connection = connected(m)
    path_reports.discover_path_mtu(m.host.transport, connection, mtu_discover, m.now)
    assert all(packet.dont_fragment == df for packet in in_flight(m, connection))
    report(m, peer, connection.snd_una, 1000)
    assert (connection.path_mss == 960) == reduced
    assert connection.path_mss in (960, 1460)


# --- reports


@pytest.mark.parametrize(("mode", "known"), [(0, 900), (1, LEAST_IPV4), (2, 1500), (3, 900)])
def test_what_the_modes_make_of_a_report(mode: int, known: int) -> None:
    m = Machine()
    m.host.parameters.ip_no_pmtu_disc = mode
    peer, connection = connected(m)
    in_flight(m, connection)
    report(m, peer, connection.snd_una, 900)
    assert m.host.transport.path_mtus.get(THERE, 1500, m.now) == known
    # Whoever leaves DF clear need not send less.
    assert connection.path_mss == (860 if mode == 0 else 1460)


def test_a_path_narrower_than_we_care_to_fill_may_be_cut() -> None:
    """As Linux: below min_pmtu, DF is left clear and routers fragment; the path would be dead otherwise."""
    m = Machine()
    peer, connection = connected(m)
    in_flight(m, connection)
    report(m, peer, connection.snd_una, 300)
    assert connection.path_mss == LEAST_IPV4 - 40
    sent = m.poll()
    assert sent
    assert not any(packet.dont_fragment for packet in sent)
    # And so for a new connection there; not elsewhere.
    m.host.connect(THEIRS, 81, m.now)
    m.host.connect("192.0.2.3", 81, m.now)
    assert [packet.dont_fragment for packet in m.poll() if segment_of(packet).flags == SYN] == [False, True]
    # One that insists on DF has it.
    path_reports.discover_path_mtu(m.host.transport, connection, PMTUDISC_DO, m.now)
    assert connection.dont_fragment
    path_reports.discover_path_mtu(m.host.transport, connection, PMTUDISC_WANT, m.now)
    assert not connection.dont_fragment
    m.now += LIFE
    m.host.deadline_reached(m.now)
    assert connection.dont_fragment


def test_a_report_of_the_least_and_then_of_less() -> None:
    paths = PathMtus()
    assert paths.report(THERE, LEAST_IPV4, 1500, 0) == LEAST_IPV4
    assert paths.dont_fragment(THERE, PMTUDISC_WANT, 0)
    assert paths.report(THERE, LEAST_IPV4 - 1, 1500, 5) == LEAST_IPV4
    assert not paths.dont_fragment(THERE, PMTUDISC_WANT, 5)
    # A link that is narrower itself stays as it is.
    assert PathMtus().report(THERE, 100, 300, 0) == 300


def test_several_reports_of_one_flight_count_once() -> None:
    """RFC 1191 §5: an old router does not say how much it takes; the length that it quotes shows what was too much."""
    m = Machine()
    peer, connection = connected(m)
    in_flight(m, connection)
    known = []
    for length in (1500, 1500, 1500, 1500, 1006):
        report(m, peer, connection.snd_una, 0, length=length)
        known.append(m.host.transport.path_mtus.get(THERE, 1500, m.now))
    # The second could be of a router that adds the header's length to 1480.
    assert known == [1492, 1006, 1006, 1006, LEAST_IPV4]
    # What was sent before a better report says nothing new.
    paths = PathMtus()
    paths.report(THERE, 1100, 1500, 0)
    assert paths.report(THERE, 0, 1500, 0, quoted=1500) == 1100


def test_a_router_that_adds_the_header_to_the_length() -> None:
    """RFC 1191 §5: some do."""
    paths = PathMtus()
    assert paths.report(THERE, 0, 1500, 0, quoted=1520) == 1492
    assert paths.report(THERE, 0, 1500, 0, quoted=1512) == 1006
    assert paths.report(THERE, 0, 1500, 0, quoted=1026) == LEAST_IPV4


def test_one_that_is_no_more_believed_lets_connections_try_again() -> None:
    """RFC 1191 §6.3, RFC 8201 §5.3: after ten minutes; at once they go back if it is still so."""
    m = Machine()
    peer, connection = connected(m)
    other, bystander = connected(m, "192.0.2.3")
    in_flight(m, connection)
    report(m, peer, connection.snd_una, 1000)
    assert (connection.path_mss, bystander.path_mss) == (960, 1460)
    m.poll()
    peer.ack = wrap(connection.snd_nxt)
    peer.says(ACK)
    began = m.now
    assert m.host.transport.next_deadline() <= m.host.transport.path_mtus.next_deadline() == began + LIFE
    m.goes_on(began + LIFE - 1)
    assert connection.path_mss == 960
    m.goes_on(began + LIFE)
    assert connection.path_mss == 1460
    sizes = {segment_of(packet).payload_length for packet in in_flight(m, connection, 2920)}
    assert sizes == {1460}
    report(m, peer, connection.snd_una, 1000)
    assert connection.path_mss == 960
    assert {segment_of(packet).payload_length for packet in m.poll()} <= {960, 500}
    assert other.state == "ESTABLISHED"


def test_how_long_reports_last_is_a_parameter() -> None:
    m = Machine()
    m.host.parameters.mtu_expires = 10
    peer, connection = connected(m)
    in_flight(m, connection)
    report(m, peer, connection.snd_una, 1000)
    assert m.host.transport.path_mtus.next_deadline() == m.now + 10 * SECOND


def test_ipv6_reports_below_the_least_are_dropped() -> None:
    # RFC 8201 §4
    m = Machine()
    peer, connection = connected(m, THEIRS_6, OURS_6)
    in_flight(m, connection)
    report(m, peer, connection.snd_una, 1279)
    assert connection.path_mss == 1440
    report(m, peer, connection.snd_una, 1280)
    assert connection.path_mss == 1220


# --- of what is no connection


@pytest.mark.parametrize(
    ("kind", "code", "ends"),
    [
        (icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE, True),
        (icmp.DESTINATION_UNREACHABLE, icmp.NETWORK_UNREACHABLE, True),
        (icmp.TIME_EXCEEDED, 0, True),
        (icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE, False),
        (icmp.DESTINATION_UNREACHABLE, icmp.COMMUNICATION_PROHIBITED, False),
        (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, False),
        (icmp.SOURCE_QUENCH, 0, False),
    ],
)
def test_reports_of_a_request(kind: int, code: int, ends: bool) -> None:
    """As Linux: some end it, with nobody to tell; and only with the number of our SYN,ACK (RFC 5927 §4.1)."""
    m = Machine()
    listener = m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m)
    (syn_ack,) = peer.says(SYN)
    report(m, peer, syn_ack.seq + 1, 600, 60, kind, code)
    report(m, peer, syn_ack.seq - 1, 600, 60, kind, code)
    assert len(listener.requests) == 1
    silent = kind == icmp.SOURCE_QUENCH or code == icmp.FRAGMENTATION_NEEDED
    assert m.host.counters["TcpExtOutOfWindowIcmps"] == (0 if silent else 2)
    report(m, peer, syn_ack.seq, 600, 60, kind, code)
    assert len(listener.requests) == (not ends)
    assert len(m.host.transport.path_mtus) == 0
    assert m.host.counters["IcmpInErrors"] == 0
    # The client knocks again, and is let in.
    peer.seq = 1000
    peer.ack = 0
    m.now += SECOND
    assert peer.opens().state == "ESTABLISHED"


@pytest.mark.parametrize(
    ("kind", "code", "ends"),
    [
        (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_NO_ROUTE, False),
        (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_ADDRESS_UNREACHABLE, False),
        (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PROHIBITED, True),
        (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PORT_UNREACHABLE, True),
        (icmp.V6_PARAMETER_PROBLEM, 0, True),
        (icmp.V6_TIME_EXCEEDED, 0, False),
        (icmp.V6_PACKET_TOO_BIG, 0, False),
    ],
)
def test_reports_of_a_request_of_ipv6(kind: int, code: int, ends: bool) -> None:
    """Linux sorts them in another way than those of IPv4."""
    m = Machine()
    listener = m.host.listen(OURS_6, 80, 5, m.now)
    peer = Peer(m, address=THEIRS_6, to=OURS_6)
    (syn_ack,) = peer.says(SYN)
    report(m, peer, syn_ack.seq, 1280, 80, kind, code)
    assert len(listener.requests) == (not ends)


def test_a_request_stays_where_the_rfc_rules() -> None:
    # RFC 9293 §3.9.2.2, MUST-56
    m = Machine()
    m.host.parameters.tcp.tcp_icmp_ends_connecting = 0
    listener = m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m)
    (syn_ack,) = peer.says(SYN)
    report(m, peer, syn_ack.seq, 0, 60, icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE)
    assert len(listener.requests) == 1


def test_reports_of_a_time_wait_change_nothing() -> None:
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    peer = peer_in(m, "TIME-WAIT", 1000)
    before = m.host.transport.time_waits.get(peer.flow)
    report(m, peer, peer.ack - 1, 600)
    report(m, peer, peer.ack - 1, 0, 60, icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE)
    assert m.host.transport.time_waits.get(peer.flow) == before
    assert len(m.host.transport.path_mtus) == 0
    assert m.host.counters["IcmpInErrors"] == 0


@pytest.mark.parametrize(("theirs", "ours", "name"), [(THEIRS, OURS, "Icmp"), (THEIRS_6, OURS_6, "Icmp6")])
def test_reports_of_nothing_that_we_know(theirs: str, ours: str, name: str) -> None:
    m = Machine()
    peer = Peer(m, address=theirs, to=ours)
    report(m, peer, 1000, 1300)
    kind = icmp.DESTINATION_UNREACHABLE if theirs == THEIRS else icmp.V6_DESTINATION_UNREACHABLE
    report(m, peer, 1000, 0, 80, kind, 0)
    assert m.host.counters[name + "InErrors"] == 2
    assert len(m.host.transport.path_mtus) == 0


def test_a_listeners_connections_leave_df_as_their_host_does() -> None:
    m = Machine()
    m.host.parameters.ip_no_pmtu_disc = 1
    listener = m.host.listen(OURS, 80, 5, m.now)
    Peer(m).opens()
    connection = m.host.accept(listener)
    assert (connection.settings.mtu_discover, connection.dont_fragment) == (PMTUDISC_DONT, False)
