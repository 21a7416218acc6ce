"""From which address a host speaks: RFC 6724 §5, its examples in §10.1, and Linux's ways for IPv4."""

from __future__ import annotations

from errno import ENETUNREACH

import pytest

from synfin.host import addresses
from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.host.source_address import GLOBAL, LINK_LOCAL, SITE_LOCAL, common_prefix_length, label, scope, select
from tests.host.machine import SECRET, Machine, Peer, segment_of


def interface(*own: str, index: int = 1) -> Interface:
    """An interface with these addresses; one in parentheses is deprecated."""
    made = Interface(f"eth{index}", index, 1500, 0)
    for entry in own:
        word, _, length = entry.strip("()").partition("/")
        address = addresses.packed(word)
        made.addresses.append((address, int(length) if length else 8 * len(address) // 2))
        if entry.startswith("("):
            made.deprecated.add(address)
    return made


def chosen(destination: str, *interfaces: Interface, next_hop: str = "") -> str | None:
    hop = addresses.packed(next_hop) if next_hop else b""
    found = select(interfaces, interfaces[0], addresses.packed(destination), hop)
    return addresses.text(found) if found is not None else None


@pytest.mark.parametrize(
    ("destination", "candidates", "expected"),
    [
        ("2001:db8:1::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),
        ("ff05::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),
        ("2001:db8:1::1", ["(2001:db8:1::1)", "2001:db8:2::1"], "2001:db8:1::1"),
        ("fe80::1", ["(fe80::2)", "2001:db8:1::1"], "fe80::2"),
        ("2001:db8:1::1", ["2001:db8:1::2", "2001:db8:3::2"], "2001:db8:1::2"),
        ("2002:c633:6401::1", ["2002:c633:6401:0:d5e3::1", "2001:db8:1::2"], "2002:c633:6401:0:d5e3::1"),
    ],
)
def test_the_examples_of_the_rfc(destination: str, candidates: list[str], expected: str) -> None:
    """RFC 6724 §10.1, all but those with home and temporary addresses; in either order."""
    assert chosen(destination, interface(*candidates)) == expected
    assert chosen(destination, interface(*reversed(candidates))) == expected


@pytest.mark.parametrize(
    ("destination", "candidates", "expected"),
    [
        # Rule 3
        ("2001:db8:1::1", ["(2001:db8:1::2)", "2001:db8:3::2"], "2001:db8:3::2"),
        # Rule 6 goes before rule 8: Teredo's prefix is longer in common, but labelled otherwise.
        ("2001:db8::1", ["2001:0:1::1", "2600::1"], "2600::1"),
        # Rule 2: where no scope is large enough, the largest.
        ("2001:db8::1", ["fe80::1", "fec0::1"], "fec0::1"),
        # Rule 2: the smallest that is.
        ("fe80::9", ["2001:db8::1", "fec0::1", "fe80::1"], "fe80::1"),
        # Rule 8 goes no farther than the prefix of the source; the first wins.
        ("2001:db8::8", ["2001:db8::1/64", "2001:db8::9/64"], "2001:db8::1"),
        ("2001:db8::8", ["2001:db8::9/64", "2001:db8::1/64"], "2001:db8::9"),
        ("2001:db8::8", ["2001:db8::1/128", "2001:db8::9/128"], "2001:db8::9"),
        ("192.0.2.1", ["2001:db8::1"], None),
    ],
)
def test_the_rules(destination: str, candidates: list[str], expected: str | None) -> None:
    assert chosen(destination, interface(*candidates)) == expected


def test_the_outgoing_interface_goes_before_a_longer_prefix() -> None:
    """Rule 5."""
    outgoing, other = interface("2001:db8:3::1"), interface("2001:db8:1::1", index=2)
    assert chosen("2001:db8:1::9", outgoing, other) == "2001:db8:3::1"
    # But not before the scope (rule 2): one that means something beyond the link is borrowed from elsewhere.
    assert chosen("2001:db8:1::9", interface("fe80::1"), other) == "2001:db8:1::1"
    # RFC 6724 §4: what is of one link only is no candidate on another.
    assert chosen("2001:db8:1::9", interface(), interface("fe80::1", index=2)) is None
    assert chosen("fe80::9", interface(), other) is None
    assert chosen("ff02::1", interface(), other) is None


@pytest.mark.parametrize(
    ("own", "destination", "next_hop", "expected"),
    [
        (["10.0.0.1/24", "10.1.0.1/24"], "10.1.0.9", "", "10.1.0.1"),
        (["10.0.0.1/24", "10.1.0.1/24"], "192.0.2.1", "10.1.0.254", "10.1.0.1"),
        (["10.0.0.1/24", "192.0.0.1/24"], "192.0.2.1", "", "10.0.0.1"),
        (["169.254.0.1/16", "10.0.0.1/24"], "192.0.2.1", "", "10.0.0.1"),
        (["10.0.0.1/24", "169.254.0.1/16"], "169.254.7.7", "", "169.254.0.1"),
        (["127.0.0.9/8"], "192.0.2.1", "", None),
        (["10.0.0.1/24", "10.0.0.2/24"], "10.0.0.9", "", "10.0.0.1"),
    ],
)
def test_ipv4(own: list[str], destination: str, next_hop: str, expected: str | None) -> None:
    """As Linux: scope, then the network of the next hop, then the first."""
    assert chosen(destination, interface(*own), next_hop=next_hop) == expected


def test_ipv4_knows_no_deprecated_addresses() -> None:
    # RFC 6724 §3.2
    assert chosen("10.0.0.9", interface("(10.0.0.1/24)", "10.0.0.2/24")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::1", LINK_LOCAL),
        ("fe80::1", LINK_LOCAL),
        ("febf::1", LINK_LOCAL),
        ("fec0::1", SITE_LOCAL),
        ("fc00::1", GLOBAL),
        ("2001:db8::1", GLOBAL),
        ("ff02::1", 2),
        ("ff08::1", 8),
        ("127.0.0.1", LINK_LOCAL),
        ("169.254.1.1", LINK_LOCAL),
        ("10.0.0.1", GLOBAL),
        ("100.64.0.1", GLOBAL),
    ],
)
def test_scopes(address: str, expected: int) -> None:
    """RFC 6724 §3.1 to §3.4."""
    assert scope(addresses.packed(address)) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::1", 0),
        ("2600::1", 1),
        ("192.0.2.1", 4),
        ("::ffff:192.0.2.1", 4),
        ("2002:c000:201::1", 2),
        ("2001:0:1::1", 5),
        ("2001:1::1", 1),
        ("fd00::1", 13),
        ("::192.0.2.1", 3),
        ("fec0::1", 11),
        ("3ffe::1", 12),
    ],
)
def test_labels(address: str, expected: int) -> None:
    """RFC 6724 §2.1, the default policy table."""
    assert label(addresses.packed(address)) == expected


def test_common_prefixes() -> None:
    """RFC 6724 §2.2"""
    one, other = addresses.packed("fe80::1"), addresses.packed("fe80::2")
    assert common_prefix_length(one, other, 64) == 64
    assert common_prefix_length(one, other, 128) == 126
    assert common_prefix_length(one, addresses.packed("7e80::1"), 64) == 0
    assert common_prefix_length(one, one, 128) == 128


# --- at a host


def two_networks() -> Host:
    host = Host("machine", SECRET)
    host.add_interface("eth0", ["10.0.0.1/24", "10.9.0.1/24", "fe80::1/64", "2001:db8:1::1/64"], 1500)
    eth1 = host.add_interface("eth1", ["10.1.0.1/24", "2001:db8:2::1/64"], 1500)
    host.add_route("0.0.0.0/0", eth1, "10.1.0.254")
    host.add_route("::/0", eth1, "2001:db8:2::ff")
    return host


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("10.0.0.9", "10.0.0.1"),
        ("10.9.0.9", "10.9.0.1"),
        ("192.0.2.1", "10.1.0.1"),
        ("2001:db8:1::9", "2001:db8:1::1"),
        ("fe80::9", "fe80::1"),
        ("2600::1", "2001:db8:2::1"),
        ("10.9.0.1", "10.9.0.1"),
        ("127.0.0.5", "127.0.0.1"),
    ],
)
def test_connections_speak_from_the_right_address(destination: str, expected: str) -> None:
    """RFC 9293 §3.9.1.1 (MUST-44)."""
    connection = two_networks().connect(destination, 80, 0)
    assert addresses.text(connection.identity.local_address) == expected


def test_a_route_may_prefer_a_source() -> None:
    """``ip route … src``"""
    host = two_networks()
    route = host.add_route("192.0.2.0/24", host.interfaces[2], "10.1.0.254", source="10.9.0.1")
    assert str(route) == "192.0.2.0/24 via 10.1.0.254 dev eth1 src 10.9.0.1"
    connection = host.connect("192.0.2.7", 80, 0)
    assert addresses.text(connection.identity.local_address) == "10.9.0.1"
    with pytest.raises(ValueError, match="no address of this host"):
        host.add_route("192.0.3.0/24", host.interfaces[2], source="10.9.0.2")


def test_no_address_to_speak_from() -> None:
    host = Host("machine", SECRET)
    eth = host.add_interface("eth0", ["10.0.0.1/24", "fe80::1/64"], 1500)
    host.add_route("2600::/16", host.add_interface("eth1", [], 1500))
    with pytest.raises(OSError, match=r".+") as raised:
        host.connect("2600::1", 80, 0)
    assert raised.value.errno == ENETUNREACH
    # RFC 6724 rule 2 takes a link's own address for a larger scope, if the link has no other.
    host.add_route("2700::/16", eth)
    assert addresses.text(host.connect("2700::1", 80, 0).identity.local_address) == "fe80::1"


# --- what else a route says


def syn_of(m: Machine, destination: str) -> tuple[int | None, int]:
    """(the MSS of the host's SYN to there, the MSS of the path)"""
    connection = m.host.connect(destination, 80, m.now)
    (packet,) = m.poll()
    return segment_of(packet).options.mss, connection.path_mss


def test_a_route_may_have_an_mtu() -> None:
    m = Machine()
    m.host.add_route("198.51.100.0/24", m.eth, mtu=1000)
    m.host.add_route("203.0.113.0/24", m.eth, mtu=9000)
    assert syn_of(m, "198.51.100.1") == (960, 960)
    # Never more than the link's.
    assert syn_of(m, "203.0.113.1") == (1460, 1460)


def test_a_route_may_bound_the_mss_that_is_told() -> None:
    m = Machine()
    m.host.add_route("198.51.100.0/24", m.eth, advmss=900)
    m.host.add_route("203.0.113.0/24", m.eth, advmss=9000)
    assert syn_of(m, "198.51.100.1") == (900, 1460)
    assert syn_of(m, "203.0.113.1") == (1460, 1460)
    m.host.listen("0.0.0.0", 80, 5, m.now)
    (syn_ack,) = Peer(m, address="198.51.100.1").says(0x02)
    assert syn_ack.options.mss == 900


@pytest.mark.parametrize("cookie", [False, True])
@pytest.mark.parametrize("passive", [False, True])
def test_a_route_may_say_how_many_segments_begin(passive: bool, cookie: bool) -> None:
    m = Machine()
    m.host.add_route("198.51.100.0/24", m.eth, initcwnd=3)
    if passive:
        listener = m.host.listen("0.0.0.0", 80, 0 if cookie else 5, m.now)
        if cookie:
            Peer(m, 9).says(0x02)
        peer = Peer(m, address="198.51.100.1").opens()
        connection = m.host.accept(listener)
        assert m.host.counters["TcpExtSyncookiesSent"] == cookie
    else:
        connection = m.host.connect("198.51.100.1", 80, m.now)
        (syn,) = m.poll()
        peer = Peer(m, 80, address="198.51.100.1").answers_syn(segment_of(syn))
    assert connection.cwnd == 3 * connection.mss
    m.host.send(connection, bytes(10_000), m.now)
    assert sum(segment_of(packet).payload_length for packet in m.poll()) == 3 * connection.mss
    assert peer.state == "ESTABLISHED"


def test_a_route_that_is_changed() -> None:
    """``ip route change``: what it does not name is gone; connections take the MTU at once."""
    m = Machine()
    m.host.add_route("198.51.100.0/24", m.eth, advmss=900, initcwnd=3)
    connection = m.host.connect("198.51.100.1", 80, m.now)
    (syn,) = m.poll()
    Peer(m, 80, address="198.51.100.1").answers_syn(segment_of(syn))
    other = m.host.connect("192.0.2.2", 80, m.now)
    m.host.transport.path_mtus.report(addresses.packed("198.51.100.1"), 700, 1500, m.now)
    route = m.host.change_route("198.51.100.0/24", m.now, mtu=1200)
    assert str(route) == "198.51.100.0/24 dev eth0 mtu 1200"
    assert (connection.path_mss, other.path_mss) == (1160, 1460)
    assert connection.mss == min(connection.peer_mss, 1160)
    m.host.change_route("198.51.100.0/24", m.now, initcwnd=5)
    assert connection.path_mss == 1460
    assert m.host.connect("198.51.100.2", 80, m.now).initcwnd == 5
    with pytest.raises(KeyError):
        m.host.change_route("198.51.100.0/25", m.now, mtu=1000)
