"""ICMP of a host: echo requests answered, errors handed to the connections that they concern (RFC 792, RFC 4443)."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin.host import addresses, path_reports
from synfin.host.counters import BY_CAUSE, BY_CAUSE_IPV6, Counters
from synfin.host.parameters import Parameters
from synfin.host.transport import Transport
from synfin.wire import icmp
from synfin.wire.errors import WireError
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_TCP, Packet

#: What destination unreachable means to a user, by its code: Linux's errnos.
_UNREACHABLE_IPV4: Final[Mapping[int, int]] = MappingProxyType(
    {
        icmp.NETWORK_UNREACHABLE: errno.ENETUNREACH,
        icmp.HOST_UNREACHABLE: errno.EHOSTUNREACH,
        icmp.PROTOCOL_UNREACHABLE: errno.ENOPROTOOPT,
        icmp.PORT_UNREACHABLE: errno.ECONNREFUSED,
        icmp.SOURCE_ROUTE_FAILED: errno.EOPNOTSUPP,
        icmp.NETWORK_UNKNOWN: errno.ENETUNREACH,
        icmp.HOST_UNKNOWN: errno.EHOSTDOWN,
        icmp.SOURCE_HOST_ISOLATED: errno.ENONET,
        icmp.NETWORK_PROHIBITED: errno.ENETUNREACH,
        icmp.HOST_PROHIBITED: errno.EHOSTUNREACH,
        icmp.NETWORK_UNREACHABLE_FOR_SERVICE: errno.ENETUNREACH,
        icmp.HOST_UNREACHABLE_FOR_SERVICE: errno.EHOSTUNREACH,
        icmp.COMMUNICATION_PROHIBITED: errno.EHOSTUNREACH,
        icmp.HOST_PRECEDENCE_VIOLATION: errno.EHOSTUNREACH,
        icmp.PRECEDENCE_CUTOFF: errno.EHOSTUNREACH,
    }
)
_UNREACHABLE_IPV6: Final[Mapping[int, int]] = MappingProxyType(
    {
        icmp.V6_NO_ROUTE: errno.ENETUNREACH,
        icmp.V6_PROHIBITED: errno.EACCES,
        icmp.V6_BEYOND_SCOPE: errno.EHOSTUNREACH,
        icmp.V6_ADDRESS_UNREACHABLE: errno.EHOSTUNREACH,
        icmp.V6_PORT_UNREACHABLE: errno.ECONNREFUSED,
        icmp.V6_SOURCE_POLICY_FAILED: errno.EACCES,
        icmp.V6_ROUTE_REJECTED: errno.EACCES,
    }
)


#: The codes of destination unreachable for which Linux drops a request, and those of IPv6 for which it does not.
_ENDS_REQUEST_IPV4: Final = (icmp.NETWORK_UNREACHABLE, icmp.HOST_UNREACHABLE)
_SPARES_REQUEST_IPV6: Final = (icmp.V6_NO_ROUTE, icmp.V6_BEYOND_SCOPE, icmp.V6_ADDRESS_UNREACHABLE)
#: The groups in which every host is: all systems of the link (RFC 1112 §4), all nodes (RFC 4291 §2.7.1).
ALL_SYSTEMS_IPV4: Final = b"\xe0\0\0\1"
ALL_NODES_IPV6: Final = (b"\xff\1" + bytes(13) + b"\1", b"\xff\2" + bytes(13) + b"\1")


def is_echo_for_many(packet: Packet, transport: Transport, parameters: Parameters) -> bool:
    """Whether `packet` is an echo request to all on a link that the parameters let this host answer."""
    message = packet.payload
    if not isinstance(message, icmp.IcmpMessage):
        return False
    destination = packet.destination
    if len(destination) == 4:
        if parameters.icmp_echo_ignore_broadcasts or message.type != icmp.ECHO_REQUEST:
            return False
        return destination in (ALL_SYSTEMS_IPV4, addresses.BROADCAST) or transport.routes.is_broadcast(destination)
    # RFC 4443 §4.2: an answer to a multicast request is wanted.
    return (
        not parameters.ipv6_echo_ignore_multicast
        and message.type == icmp.V6_ECHO_REQUEST
        and destination in ALL_NODES_IPV6
    )


def packet_arrives(
    packet: Packet, message: icmp.IcmpMessage, parameters: Parameters, transport: Transport, now: int
) -> Packet | None:
    """Takes an ICMP message for this host. Returns the answer, if it wants one: never larger than the request."""
    counters = transport.counters
    version_4 = packet.protocol == PROTOCOL_ICMP
    prefix = "Icmp" if version_4 else "Icmp6"
    counters.add(f"{prefix}InMsgs")
    request, reply = (icmp.ECHO_REQUEST, icmp.ECHO_REPLY) if version_4 else (icmp.V6_ECHO_REQUEST, icmp.V6_ECHO_REPLY)
    if message.type != request:
        _error_arrives(packet, message, transport, counters, now)
        return None
    counters.add(f"{prefix}InEchos")
    if parameters.icmp_echo_ignore_all if version_4 else parameters.ipv6_echo_ignore_all:
        return None
    # RFC 1122 §3.2.2.6, RFC 4443 §4.2: from where the request went, if that is one host's address.
    own = transport.is_own(packet.destination)
    source = packet.destination if own else transport.source_towards(packet.source)
    if source is None:
        return None
    counters.add("IcmpOutEchoReps" if version_4 else "Icmp6OutEchoReplies")
    answer = icmp.IcmpMessage(reply, 0, message.parameter, message.body)
    # RFC 3168 §5: what answers is not ECN-capable, nor has it met congestion.
    return Packet(
        source,
        packet.source,
        packet.protocol,
        answer,
        ttl=transport.parameters.ip_default_ttl,
        traffic_class=packet.traffic_class & ~3,
    )


def _error_arrives(
    packet: Packet, message: icmp.IcmpMessage, transport: Transport, counters: Counters, now: int
) -> None:
    """RFC 9293 §3.9.2.2 (MUST-54): an error acts on the connection that it quotes; source quench on none (MUST-55)."""
    version = packet.version
    too_big = _reports_mtu(message, version)
    error = _errno(message, version)
    if error == 0 and not too_big:
        return
    try:
        quoted = icmp.parse_quoted(message.body, version)
    except WireError as wrong:
        for name in (BY_CAUSE if version == 4 else BY_CAUSE_IPV6)[wrong.cause]:
            counters.add(name)
        return
    # It must be about something that this host sent.
    if quoted.protocol != PROTOCOL_TCP or not transport.is_own(quoted.source):
        return
    if too_big:
        # RFC 1191 §5: the Total Length of the packet that was too big.
        length = int.from_bytes(message.body[2:4], "big") if version == 4 else 0
        path_reports.packet_too_big(
            transport, quoted.reverse_flow, quoted.seq, quoted.destination, message.mtu, now, length
        )
    else:
        path_reports.unreachable(
            transport, quoted.reverse_flow, quoted.seq, error, _ends_request(message, version), now
        )


def _ends_request(message: icmp.IcmpMessage, version: int) -> bool:
    """Whether Linux drops a request for this error: its two versions differ."""
    if version == 4:
        return message.type != icmp.DESTINATION_UNREACHABLE or message.code in _ENDS_REQUEST_IPV4
    if message.type == icmp.V6_DESTINATION_UNREACHABLE:
        return message.code not in _SPARES_REQUEST_IPV6
    return message.type == icmp.V6_PARAMETER_PROBLEM


def _reports_mtu(message: icmp.IcmpMessage, version: int) -> bool:
    if version == 4:
        return message.type == icmp.DESTINATION_UNREACHABLE and message.code == icmp.FRAGMENTATION_NEEDED
    return message.type == icmp.V6_PACKET_TOO_BIG


def _errno(message: icmp.IcmpMessage, version: int) -> int:
    """The errno that an ICMP error stands for, 0 for a message that is none."""
    if version == 4:
        if message.type == icmp.DESTINATION_UNREACHABLE:
            return _UNREACHABLE_IPV4.get(message.code, 0)
        return {icmp.TIME_EXCEEDED: errno.EHOSTUNREACH, icmp.PARAMETER_PROBLEM: errno.EPROTO}.get(message.type, 0)
    if message.type == icmp.V6_DESTINATION_UNREACHABLE:
        return _UNREACHABLE_IPV6.get(message.code, 0)
    return {icmp.V6_TIME_EXCEEDED: errno.EHOSTUNREACH, icmp.V6_PARAMETER_PROBLEM: errno.EPROTO}.get(message.type, 0)
