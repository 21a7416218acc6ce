"""Fragmentation of IPv4 packets on their way (RFC 791 §2.3, §3.2). Nothing here puts fragments together again."""

from __future__ import annotations

from synfin.wire.ip import Packet, octets


def fragments(packet: Packet, mtu: int) -> list[Packet]:
    """An IPv4 packet as fragments of at most `mtu` octets; options go with the first alone.

    Options that RFC 791 §3.1 wants in every fragment (source routes, security) are not repeated. Raises ValueError
    if the MTU leaves no room for data, or for IPv6, where only the sender may fragment (RFC 8200 §5).
    """
    if packet.version != 4:
        raise ValueError("routers do not fragment IPv6")
    data = octets(packet)[packet.header_length :]
    made: list[Packet] = []
    at = 0
    while at < len(data):
        extension = packet.extension if at == 0 else b""
        room = (mtu - 20 - len(extension) - (-len(extension) % 4)) & ~7
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
                0,
                packet.identification,
                False,
                packet.more_fragments or not last,
                packet.fragment_offset + at,
                extension,
            )
        )
        at += room
    return made
