"""Captures in pcapng read as packets of IP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from synfin.drill.recording.happenings import flow_of
from synfin.wire.errors import WireError
from synfin.wire.ip import Packet, parse_packet
from synfin.wire.pcapng import EnhancedPacket, InterfaceDescription, SectionHeader, read_blocks
from synfin.wire.tcp import ACK, SYN, Segment

#: Octets before the packet, by the type of a link: BSD's loopback, Ethernet, raw (also IPv4 and IPv6 alone), and
#: Linux's cooked headers (tcpdump's "any").
_LINKS: Final[Mapping[int, int]] = MappingProxyType({0: 4, 1: 14, 101: 0, 113: 16, 228: 0, 229: 0, 276: 20})
_ETHERNET: Final = 1
_VLAN: Final = b"\x81\x00"
_VLAN_LENGTH: Final = 4
_IP_TYPES: Final = frozenset({b"\x08\x00", b"\x86\xdd"})


def read_capture(path: Path) -> list[tuple[int, Packet]]:
    """The TCP packets of a capture, with their times in nanoseconds, in the order of the file.

    Checksums are not looked at, since a host captures its own packets before they have one. Packets that were cut
    short when they were captured, and those that cannot be read, are passed over. Raises ValueError for a file that is
    no pcapng or has links of a kind that is not known.
    """
    found: list[tuple[int, Packet]] = []
    links: list[int] = []
    with path.open("rb") as file:
        for block in read_blocks(file):
            if isinstance(block, SectionHeader):
                links.clear()
            elif isinstance(block, InterfaceDescription):
                links.append(block.link_type)
            elif isinstance(block, EnhancedPacket):
                packet = _packet(block, links[block.interface])
                if packet is not None:
                    found.append((block.time_ns, packet))
    return found


def _packet(block: EnhancedPacket, link: int) -> Packet | None:
    if link not in _LINKS:
        raise ValueError(f"links of type {link} are not known")
    octets = block.octets
    at = _LINKS[link]
    if link == _ETHERNET:
        if octets[12:14] == _VLAN:
            at += _VLAN_LENGTH
        if octets[at - 2 : at] not in _IP_TYPES:
            return None
    if len(octets) < block.original_length:
        return None
    try:
        packet = parse_packet(octets[at:], checksum_verified=True)
    except WireError:
        return None
    return packet if isinstance(packet.payload, Segment) else None


def connections(packets: list[tuple[int, Packet]]) -> list[bytes]:
    """The connections whose first SYN is among the packets, in their order: each as the flow of what arrives at the
    end that opened it."""
    found: dict[bytes, None] = {}
    for _, packet in packets:
        segment = packet.payload
        if isinstance(segment, Segment) and segment.flags & (SYN | ACK) == SYN:
            opened = _turned(flow_of(packet))
            if flow_of(packet) not in found:
                found.setdefault(opened)
    return list(found)


def _turned(flow: bytes) -> bytes:
    """The flow as the other end names it."""
    length = (len(flow) - 4) // 2
    return flow[length : 2 * length] + flow[:length] + flow[-2:] + flow[-4:-2]


def seen_by(flow: bytes, address: bytes) -> bytes:
    """The flow as the end with that address names it. Raises ValueError if it is neither."""
    length = (len(flow) - 4) // 2
    if flow[length : 2 * length] == address:
        return flow
    if flow[:length] == address:
        return _turned(flow)
    raise ValueError("neither end of the connection has that address")
