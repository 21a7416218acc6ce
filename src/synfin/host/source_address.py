"""Which of its addresses a host speaks from (RFC 6724 §5; for IPv4 as Linux does)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from synfin.host import addresses
from synfin.host.addresses import Network
from synfin.host.interface import Interface

# RFC 6724 §3.1: scopes as RFC 4291 §2.7 numbers them for multicast.
LINK_LOCAL: Final = 0x2
SITE_LOCAL: Final = 0x5
GLOBAL: Final = 0xE

_MAPPED: Final = bytes(10) + b"\xff\xff"
#: RFC 6724 §2.1, the default policy table: prefix, its length, label. (Precedences order destinations.)
POLICY_TABLE: Final = tuple(
    (Network(addresses.packed(prefix), length), label)
    for prefix, length, label in (
        ("::1", 128, 0),
        ("::ffff:0:0", 96, 4),
        ("::", 96, 3),
        ("2001::", 32, 5),
        ("2002::", 16, 2),
        ("3ffe::", 16, 12),
        ("fec0::", 10, 11),
        ("fc00::", 7, 13),
        ("::", 0, 1),
    )
)


def scope(address: bytes) -> int:
    """The scope of an address (RFC 6724 §3.1 to §3.4): LINK_LOCAL, SITE_LOCAL, GLOBAL, or a multicast one's own."""
    if len(address) == 4:
        return LINK_LOCAL if address[0] == 127 or address[:2] == b"\xa9\xfe" else GLOBAL
    if address[0] == 0xFF:
        return address[1] & 0xF
    if address == addresses.LOOPBACK_IPV6 or (address[0] == 0xFE and address[1] & 0xC0 == 0x80):
        return LINK_LOCAL
    if address[0] == 0xFE and address[1] & 0xC0 == 0xC0:
        return SITE_LOCAL
    return GLOBAL


def label(address: bytes) -> int:
    """The label that the default policy table gives an address; an IPv4 address counts as mapped (RFC 6724 §3.2)."""
    if len(address) == 4:
        address = _MAPPED + address
    return next(found for network, found in POLICY_TABLE if network.contains(address))


def common_prefix_length(source: bytes, destination: bytes, length: int) -> int:
    """CommonPrefixLen(S, D) of RFC 6724 §2.2, `length` being that of the source's prefix."""
    differing = int.from_bytes(source, "big") ^ int.from_bytes(destination, "big")
    return min(len(source) * 8 - differing.bit_length(), length)


def select(
    interfaces: Iterable[Interface], outgoing: Interface, destination: bytes, next_hop: bytes = b""
) -> bytes | None:
    """The address to speak from to `destination`, reached through `outgoing` and the neighbour `next_hop` (empty: it
    is a neighbour itself). None if there is none of its version.

    Rules 1, 2, 3, 5, 6 and 8 of RFC 6724 §5, in this order; addresses here are neither of a mobile node (rule 4) nor
    temporary (rule 7), and who advertised their prefix is not known (rule 5.5). For IPv4, whose selection that RFC
    leaves alone, an address in whose network the next hop is takes the place of rules 6 and 8, as in Linux. Of
    addresses that are equally good the first is taken. A loopback address is none to speak from on a wire.
    """
    version_4 = len(destination) == 4
    goal = scope(destination)
    wanted_label = -1 if version_4 else label(destination)
    # RFC 6724 §4: only the link's own addresses where the destination means nothing elsewhere.
    confined = goal <= LINK_LOCAL or addresses.is_multicast(destination)
    neighbour = next_hop or destination
    best: bytes | None = None
    best_rank: tuple[int, ...] = ()
    for interface in interfaces:
        if confined and interface is not outgoing:
            continue
        for address, length in interface.addresses:
            if len(address) != len(destination) or (outgoing.index and addresses.is_loopback(address)):
                continue
            own = scope(address)
            if interface is not outgoing and own <= LINK_LOCAL:
                continue
            last: tuple[int, ...]
            if version_4:
                last = (int(Network(address, length).contains(neighbour)),)
            else:
                last = (
                    int(label(address) == wanted_label),
                    common_prefix_length(address, destination, length),
                )
            rank = (
                int(address == destination),
                # The smallest scope that is large enough; if none is, the largest.
                int(own >= goal),
                -own if own >= goal else own,
                # RFC 6724 §3.2: no IPv4 address is deprecated.
                int(version_4 or address not in interface.deprecated),
                int(interface is outgoing),
                *last,
            )
            if rank > best_rank:
                best, best_rank = address, rank
    return best
