"""Fragmentation of IPv4 packets on their way (RFC 791 §2.3, §3.2)."""

from __future__ import annotations

from synfin.host import fragmentation
from synfin.wire.ip import Packet


def fragments(packet: Packet, mtu: int) -> list[Packet]:
    """See `fragmentation.fragments`. Raises ValueError for IPv6 too, where only the sender may fragment
    (RFC 8200 §5)."""
    if packet.version != 4:
        raise ValueError("routers do not fragment IPv6")
    return fragmentation.fragments(packet, mtu)
