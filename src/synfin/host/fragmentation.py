"""Packets cut into fragments (RFC 791 §2.3, §3.2, RFC 8200 §4.5). `synfin.host.fragments` puts them together."""

from __future__ import annotations

from synfin.wire import ipv6
from synfin.wire.ip import IPV4_HEADER_LENGTH, Packet, octets


def fragments(packet: Packet, mtu: int) -> list[Packet]:
    """A packet as fragments of at most `mtu` octets, all with its identification.

    IPv4 options go with the first alone (those that RFC 791 §3.1 wants in every fragment, source routes and security,
    are not repeated), IPv6 extension headers with each. Raises ValueError if the MTU leaves no room for data.
    """
    data = octets(packet)[packet.header_length :]
    header = packet.header_length
    if packet.version == 6 and not ipv6.has_fragment_header(packet.extension):
        header += 0 if packet.is_fragment else ipv6.FRAGMENT_HEADER_LENGTH
    made: list[Packet] = []
    at = 0
    while at < len(data):
        if at > 0 and packet.version == 4:
            header = IPV4_HEADER_LENGTH
        room = (mtu - header) & ~7
        if room <= 0:
            raise ValueError(f"an MTU of {mtu} octets leaves no room for data")
        last = at + room >= len(data)
        made.append(
            Packet(
                packet.source,
                packet.destination,
                packet.protocol,
                data[at : at + room],
                packet.ttl,
                packet.traffic_class,
                packet.flow_label,
                packet.identification,
                packet.version == 6,
                packet.more_fragments or not last,
                packet.fragment_offset + at,
                packet.extension if at == 0 or packet.version == 6 else b"",
            )
        )
        at += room
    return made
