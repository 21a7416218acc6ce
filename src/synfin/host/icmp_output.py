"""What a host says by ICMP: echo replies, and errors about packets that it could not use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin.host import icmp_errors
from synfin.host.extensions import unrecognized
from synfin.host.fragmentation import fragments
from synfin.host.icmp_errors import Problem
from synfin.host.icmp_limits import IcmpLimits
from synfin.host.interface import OUTPUT_LIMIT, Interface
from synfin.host.transport import Transport
from synfin.wire import icmp
from synfin.wire.icmp import PROTOCOL_UDP
from synfin.wire.ip import Packet

#: What each type of error is counted as.
_COUNTERS_IPV4: Final[Mapping[int, str]] = MappingProxyType(
    {
        icmp.DESTINATION_UNREACHABLE: "IcmpOutDestUnreachs",
        icmp.TIME_EXCEEDED: "IcmpOutTimeExcds",
        icmp.PARAMETER_PROBLEM: "IcmpOutParmProbs",
    }
)
_COUNTERS_IPV6: Final[Mapping[int, str]] = MappingProxyType(
    {
        icmp.V6_DESTINATION_UNREACHABLE: "Icmp6OutDestUnreachs",
        icmp.V6_TIME_EXCEEDED: "Icmp6OutTimeExcds",
        icmp.V6_PARAMETER_PROBLEM: "Icmp6OutParmProblems",
    }
)


class IcmpOutput:
    """Makes a host's ICMP messages, within its limits, and queues them at its interfaces."""

    __slots__ = ("_limits", "_transport")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._limits = IcmpLimits(transport.parameters, transport.counters)

    # --- errors

    def nobody_for_protocol(self, packet: Packet, arrived: Interface, now: int) -> None:
        """The packet's protocol is none of ours (RFC 1122 §3.2.2.1, RFC 4443 §3.4); UDP, that nobody is at the port."""
        if packet.version == 4:
            code = icmp.PORT_UNREACHABLE if packet.protocol == PROTOCOL_UDP else icmp.PROTOCOL_UNREACHABLE
            self._report(packet, icmp.DESTINATION_UNREACHABLE, code, 0, arrived, now)
        elif packet.protocol == PROTOCOL_UDP:
            self._report(packet, icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PORT_UNREACHABLE, 0, arrived, now)
        else:
            self.problem(packet, unrecognized(packet), arrived, now)

    def problem(self, packet: Packet, problem: Problem, arrived: Interface, now: int) -> None:
        """A header makes no sense (RFC 1122 §3.2.2.5, RFC 4443 §3.4)."""
        if packet.version == 4:
            pointer = problem.pointer << 24
            self._report(packet, icmp.PARAMETER_PROBLEM, problem.code, pointer, arrived, now)
        else:
            self._report(packet, icmp.V6_PARAMETER_PROBLEM, problem.code, problem.pointer, arrived, now)

    def not_reassembled(self, first: Packet, now: int) -> None:
        """The rest of a datagram did not come in time (RFC 1122 §3.3.2, RFC 8200 §4.5)."""
        index = self._transport.interface_towards(first.source)
        if index >= 0:
            kind = icmp.TIME_EXCEEDED if first.version == 4 else icmp.V6_TIME_EXCEEDED
            interface = self._transport.interfaces[index]
            self._report(first, kind, icmp.REASSEMBLY_TIME_EXCEEDED, 0, interface, now)

    def _report(self, packet: Packet, kind: int, code: int, parameter: int, arrived: Interface, now: int) -> None:
        if not icmp_errors.may_be_reported(packet) or not self._limits.allow(packet.source, now):
            return
        counters = self._transport.counters
        counters.add((_COUNTERS_IPV4 if packet.version == 4 else _COUNTERS_IPV6)[kind])
        ttl = self._transport.parameters.ip_default_ttl
        # RFC 4443 §2.2 (a): from the address to which the packet was sent.
        self.send(icmp_errors.error(packet, kind, code, packet.destination, ttl, parameter), arrived)

    # --- output

    def send(self, message: Packet, arrived: Interface) -> None:
        """Queues a message where the routes say, or where what it answers came from if they say nothing.

        One that is too large for the path leaves in fragments. Where too many wait, it is lost.
        """
        transport = self._transport
        index = transport.interface_towards(message.destination)
        interface = transport.interfaces[index] if index >= 0 else arrived
        version_4 = message.version == 4
        if version_4:
            message.dont_fragment = False
        mtu = transport.first_mtu(interface, message.destination)
        pieces = [message]
        if version_4 or message.total_length > mtu:
            message.identification = transport.identifications.take(
                message.source, message.destination, message.protocol
            )
        if message.total_length > mtu:
            pieces = fragments(message, mtu)
            for _ in pieces:
                transport.counters.add("IpFragCreates" if version_4 else "Ip6FragCreates")
            transport.counters.add("IpFragOKs" if version_4 else "Ip6FragOKs")
        if len(interface.output) + len(pieces) > OUTPUT_LIMIT:
            transport.counters.add("IpOutDiscards" if version_4 else "Ip6OutDiscards")
            return
        transport.counters.add("IcmpOutMsgs" if version_4 else "Icmp6OutMsgs")
        interface.output.extend(pieces)
