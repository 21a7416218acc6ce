"""Addresses and networks, and the routes that choose among interfaces."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.host import addresses
from synfin.host.addresses import Network
from synfin.host.host import Host
from synfin.host.interface import Interface, Routes
from tests.host.machine import SECRET, Machine


@pytest.mark.parametrize("text", ["10.0.0.1", "255.255.255.255", "::", "2001:db8::1", "fe80::1:0:1"])
def test_addresses_are_octets(text: str) -> None:
    assert addresses.packed(text) == ip_address(text).packed
    assert addresses.text(addresses.packed(text)) == text


def test_the_wildcard_has_a_text() -> None:
    assert addresses.text(addresses.WILDCARD) == "*"


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "localhost", "1.2.3.4/8", "12345"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        addresses.packed(text)


def test_a_scope_is_refused() -> None:
    """The host has no scopes (RFC 4007); to forget one would send through whatever interface comes first."""
    with pytest.raises(ValueError):
        addresses.packed("fe80::1%eth1")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("127.0.0.1", "unicast loopback"),
        ("127.255.0.9", "unicast loopback"),
        ("128.0.0.1", "unicast"),
        ("::1", "unicast loopback"),
        ("::2", "unicast"),
        ("::ffff:127.0.0.1", "unicast"),
        ("223.255.255.255", "unicast"),
        ("224.0.0.0", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "unicast"),
        ("255.255.255.255", ""),
        ("ff02::1", "multicast"),
        ("fe80::1", "unicast"),
    ],
)
def test_kinds(text: str, kinds: str) -> None:
    """RFC 9293 §3.9.2.3 tells them apart."""
    address = addresses.packed(text)
    known = {
        "unspecified": addresses.is_unspecified,
        "unicast": addresses.is_unicast,
        "loopback": addresses.is_loopback,
        "multicast": addresses.is_multicast,
    }
    assert {name for name, holds in known.items() if holds(address)} == set(kinds.split())


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4), st.booleans())
def test_a_network_is_what_the_standard_library_says(
    own: IPv4Address, length: int, other: IPv4Address, inside: bool
) -> None:
    oracle = IPv4Network((own, length), strict=False)
    if inside:
        other = IPv4Address(int(oracle.network_address) | int(other) & int(oracle.hostmask))
    network = Network(own.packed, length)
    assert network.contains(other.packed) == (other in oracle)
    broadcast = length <= 30 and other == oracle.broadcast_address
    assert network.is_broadcast(other.packed) == broadcast
    assert network.is_broadcast(oracle.broadcast_address.packed) == (length <= 30)


def test_a_network_of_the_other_version_contains_nothing() -> None:
    assert not Network(bytes(16), 0).contains(bytes(4))
    assert not Network(bytes(4), 0).contains(bytes(16))
    # IPv6 has no broadcast.
    assert not Network(bytes(16), 64).is_broadcast(bytes(8) + b"\xff" * 8)
    assert str(Network(addresses.packed("2001:db8::"), 32)) == "2001:db8::/32"


@pytest.mark.parametrize(("octets", "length"), [(4, 33), (4, -1), (16, 129)])
def test_prefixes_that_do_not_fit(octets: int, length: int) -> None:
    with pytest.raises(ValueError):
        Network(bytes(octets), length)


@given(st.permutations(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "::/0"]))
def test_the_longest_prefix_wins(order: list[str]) -> None:
    routes = Routes()
    for text in order:
        network = ip_network(text)
        routes.add(Network(network.network_address.packed, network.prefixlen), Interface(text, 1, 1500, 0))
    for destination, expected in [
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.4", "10.1.2.0/24"),
        ("10.1.9.9", "10.1.0.0/16"),
        ("10.9.9.9", "10.0.0.0/8"),
        ("11.0.0.1", "0.0.0.0/0"),
        ("2001:db8::1", "::/0"),
    ]:
        route = routes.find(addresses.packed(destination))
        assert route is not None
        assert route.interface.name == expected


def test_no_route() -> None:
    routes = Routes()
    assert routes.find(bytes(4)) is None
    routes.add(Network(b"\x0a\0\0\0", 8), Interface("eth0", 1, 1500, 0))
    assert routes.find(b"\x0b\0\0\1") is None


def test_only_the_networks_that_are_attached_have_broadcasts_known_here() -> None:
    """What is behind a gateway may be cut into other networks: its last address may be a host's."""
    m = Machine()
    m.host.add_route("198.51.100.0/24", m.eth)
    m.host.add_route("203.0.113.0/24", m.eth, "192.0.2.254")
    with pytest.raises(OSError, match="unreachable"):
        m.host.connect("198.51.100.255", 80, m.now)
    m.host.connect("203.0.113.255", 80, m.now)


@pytest.mark.parametrize(
    "own", ["224.0.0.1/4", "0.0.0.0/8", "255.255.255.255/32", "ff02::1/64", "10.0.0.1/33", "10.0.0.1/x", "nonsense"]
)
def test_an_interface_refuses_what_is_no_address_for_a_host(own: str) -> None:
    host = Host("machine", SECRET)
    with pytest.raises(ValueError):
        host.add_interface("eth0", [own], 1500)


def test_an_interface_that_was_refused_leaves_nothing_behind() -> None:
    host = Host("machine", SECRET)
    with pytest.raises(ValueError):
        host.add_interface("eth0", ["10.0.0.1/24", "224.0.0.1/4"], 1500)
    with pytest.raises(OSError, match="Network is unreachable"):
        host.connect("10.0.0.9", 80, 0)


def test_the_room_of_a_link_is_at_least_its_mtu() -> None:
    assert Interface("eth0", 1, 1500, 0).room == 1500
    assert Interface("eth0", 1, 1500, 65535).room == 65535


def test_a_host_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="16"):
        Host("machine", b"short")


def test_every_address_of_every_interface_is_its_own() -> None:
    m = Machine()
    m.host.add_interface("eth1", ["198.51.100.1/24"], 1500)
    own = m.host.transport.is_own
    for text in ("192.0.2.1", "2001:db8::1", "198.51.100.1", "127.0.0.1", "127.9.9.9", "::1"):
        assert own(addresses.packed(text))
    for text in ("192.0.2.2", "198.51.100.2", "192.0.2.255", "0.0.0.0"):
        assert not own(addresses.packed(text))
