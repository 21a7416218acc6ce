"""ICMP of a host: it answers echo requests (RFC 792; RFC 4443 §4)."""

from __future__ import annotations

from synfin.host.counters import Counters
from synfin.wire import icmp
from synfin.wire.ip import PROTOCOL_ICMP, Packet


def packet_arrives(packet: Packet, message: icmp.IcmpMessage, ttl: int, counters: Counters) -> Packet | None:
    """The answer to an ICMP message for this host, if it wants one."""
    version_4 = packet.protocol == PROTOCOL_ICMP
    prefix = "Icmp" if version_4 else "Icmp6"
    counters.add(f"{prefix}InMsgs")
    request, reply = (icmp.ECHO_REQUEST, icmp.ECHO_REPLY) if version_4 else (icmp.V6_ECHO_REQUEST, icmp.V6_ECHO_REPLY)
    if message.type != request:
        return None
    counters.add(f"{prefix}InEchos")
    counters.add(f"{prefix}OutMsgs")
    answer = icmp.IcmpMessage(reply, 0, message.parameter, message.body)
    return Packet(
        packet.destination, packet.source, packet.protocol, answer, ttl=ttl, traffic_class=packet.traffic_class
    )
