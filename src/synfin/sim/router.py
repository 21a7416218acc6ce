"""A router: what it does with packets that are for others (RFC 1812 §5.2, RFC 8200, RFC 4443)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.host import addresses, icmp_errors
from synfin.host.icmp_errors import RateLimit
from synfin.reasons import Reason
from synfin.sim.device import Port, read_header
from synfin.sim.firewall import Direction, Firewall
from synfin.sim.fragments import fragments
from synfin.sim.nat import Nat
from synfin.sim.node import Node
from synfin.sim.rewriting import with_ttl
from synfin.tcp import closed
from synfin.wire import icmp
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.tcp import Segment

if TYPE_CHECKING:
    from synfin.host.parameters import Parameters
    from synfin.sim.network import Network

# What an ICMP error says: type and code for IPv4, type and code for IPv6.
_TIME_EXCEEDED: Final = (
    (icmp.TIME_EXCEEDED, icmp.HOP_LIMIT_EXCEEDED),
    (icmp.V6_TIME_EXCEEDED, icmp.HOP_LIMIT_EXCEEDED),
)
_NO_ROUTE: Final = (
    (icmp.DESTINATION_UNREACHABLE, icmp.NETWORK_UNREACHABLE),
    (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_NO_ROUTE),
)
_NOBODY: Final = (
    (icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE),
    (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_ADDRESS_UNREACHABLE),
)
_TOO_BIG: Final = (
    (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED),
    (icmp.V6_PACKET_TOO_BIG, 0),
)
_PROHIBITED: Final = (
    (icmp.DESTINATION_UNREACHABLE, icmp.COMMUNICATION_PROHIBITED),
    (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PROHIBITED),
)


class Router(Node):
    """A node that passes on what is for others: TTL, MTU of the next hop, ICMP errors, a NAT and a firewall if given.

    It is a host too: it answers pings and may run programs. `rate_limit` bounds the ICMP errors and resets that it
    sends on its own account. Linux's order of things is kept: NAT of what comes from outside, route, TTL, MTU,
    firewall, NAT of what leaves for the outside.
    """

    __slots__ = ("_tracer", "firewall", "nat", "rate_limit")

    def __init__(
        self,
        network: Network,
        name: str,
        parameters: Parameters | None = None,
        nat: Nat | None = None,
        firewall: Firewall | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        super().__init__(network, name, parameters)
        self.nat = nat
        self.firewall = firewall
        self.rate_limit = rate_limit if rate_limit is not None else RateLimit()
        self._tracer = network.tracer(name)

    @property
    def forwards(self) -> bool:
        return True

    def hides(self, inner: Port, outer: Port) -> bool:
        """Whether the networks at `inner` are unknown beyond `outer`, because a NAT stands between them."""
        nat = self.nat
        return nat is not None and nat.address in outer.packed and nat.address not in inner.packed

    def power_off(self) -> None:
        super().power_off()
        if self.nat is not None:
            self.nat.forget()
        if self.firewall is not None:
            self.firewall.forget()

    # --- a packet arrives

    def arrive(self, packet: Packet | bytes, port: Port, now: int) -> None:
        if not self.up:
            return
        arrived = read_header(packet) if isinstance(packet, bytes) else packet
        if arrived is None:
            # The host counts what was wrong with it.
            self.hand_over(packet, port, now)
            return
        translated = arrived
        nat = self.nat
        if nat is not None and arrived.destination == nat.address and nat.address in port.packed:
            outcome = nat.inbound(arrived, now, self._serves)
            if isinstance(outcome, Reason):
                self._unknown(arrived, outcome, nat.unknown == "reset", now)
                return
            translated = outcome
        if self.host.transport.is_own(translated.destination):
            self.hand_over(translated, port, now)
            self.run()
        else:
            self._forward(translated, arrived, port, now)

    def _serves(self, packet: Packet) -> bool:
        """Whether the router's own host has a connection or a listener for a packet."""
        segment = packet.payload
        if not isinstance(segment, Segment):
            return False
        transport = self.host.transport
        return (
            packet.flow in transport.connections
            or packet.flow in transport.time_waits
            or transport.find_listener(packet.destination, segment.destination_port) is not None
        )

    def _forward(self, packet: Packet, arrived: Packet, port: Port, now: int) -> None:
        """Passes on `packet`, which was `arrived` before it was translated: that is what its sender knows."""
        host = self.host
        counters = host.counters
        counters.add("IpInReceives")
        # RFC 1812 §5.3.7, RFC 1122 §3.2.1.3
        if (
            not addresses.is_unicast(packet.source)
            or not addresses.is_unicast(packet.destination)
            or addresses.is_loopback(packet.source)
            or addresses.is_loopback(packet.destination)
            or host.routes.is_broadcast(packet.destination)
        ):
            counters.add("IpInAddrErrors")
            self._drop(arrived, reasons.NOT_FORWARDED, now)
            return
        route = host.routes.find(packet.destination)
        if route is None:
            counters.add("IpOutNoRoutes")
            self._report(arrived, _NO_ROUTE, reasons.NO_ROUTE, now)
            return
        out = self.ports[route.interface.index - 1]
        if not out.finds(route.gateway or packet.destination):
            self._report(arrived, _NOBODY, reasons.NOBODY_AT_ADDRESS, now)
            return
        # RFC 1812 §5.3.1
        if packet.ttl <= 1:
            counters.add("IpInHdrErrors")
            self._report(arrived, _TIME_EXCEEDED, reasons.TTL_OVER, now)
            return
        # RFC 1191 §4, RFC 8200 §5
        too_big = packet.total_length > out.mtu
        if too_big and (packet.version == 6 or packet.dont_fragment):
            counters.add("IpFragFails")
            self._report(arrived, _TOO_BIG, reasons.TOO_BIG, now, out.mtu)
            return
        firewall = self.firewall
        if firewall is not None:
            reason = firewall.judge(packet, _direction(firewall, port, out), now)
            if reason is not None:
                self._refuse(arrived, reason, firewall, now)
                return
        leaving = with_ttl(packet, packet.ttl - 1)
        nat = self.nat
        if nat is not None and packet.version == 4 and self.hides(port, out):
            outcome = nat.outbound(leaving, now)
            if isinstance(outcome, Reason):
                self._unknown(arrived, outcome, nat.unknown == "reset", now)
                return
            leaving = outcome
        counters.add("IpForwDatagrams")
        if not too_big:
            out.output.transmit(leaving)
            return
        counters.add("IpFragOKs")
        for fragment in fragments(leaving, out.mtu):
            counters.add("IpFragCreates")
            out.output.transmit(fragment)

    # --- what it says about packets that it drops

    def _drop(self, packet: Packet, reason: Reason, now: int) -> None:
        if self._tracer is not None:
            self._tracer.packet_lost(now, 0, packet, reason)

    def _unknown(self, packet: Packet, reason: Reason, resets: bool, now: int) -> None:
        self._drop(packet, reason, now)
        if resets and reason is reasons.CONVERSATION_UNKNOWN:
            self._reset(packet, now)

    def _refuse(self, packet: Packet, reason: Reason, firewall: Firewall, now: int) -> None:
        if reason is not reasons.FIREWALL_REJECTED:
            self._drop(packet, reason, now)
        elif firewall.reject_with == "reset" and isinstance(packet.payload, Segment):
            self._drop(packet, reason, now)
            self._reset(packet, now)
        else:
            self._report(packet, _PROHIBITED, reason, now)

    def _reset(self, packet: Packet, now: int) -> None:
        """Answers a segment with a RST in the name of whom it was for (RFC 9293 §3.10.7.1)."""
        segment = packet.payload
        if not isinstance(segment, Segment):
            return
        reply = closed.segment_arrives(segment)
        if reply is not None and self.rate_limit.allows(now):
            ttl = self.parameters.ip_default_ttl
            self._emit(Packet(packet.destination, packet.source, PROTOCOL_TCP, reply, ttl=ttl))

    def _report(
        self,
        packet: Packet,
        message: tuple[tuple[int, int], tuple[int, int]],
        reason: Reason,
        now: int,
        parameter: int = 0,
    ) -> None:
        """Drops a packet and tells its sender why."""
        self._drop(packet, reason, now)
        if not icmp_errors.may_be_reported(packet):
            return
        route = self.host.routes.find(packet.source)
        if route is None:
            return
        # RFC 1812 §4.3.2.4: from an address of the interface through which it leaves.
        source = self.host.transport.source_towards(packet.source)
        if source is None or not self.rate_limit.allows(now):
            return
        kind, code = message[0 if packet.version == 4 else 1]
        counters = self.host.counters
        counters.add("IcmpOutMsgs" if packet.version == 4 else "Icmp6OutMsgs")
        ttl = self.parameters.ip_default_ttl
        self._emit(icmp_errors.error(packet, kind, code, source, ttl, parameter))

    def _emit(self, packet: Packet) -> None:
        """Sends a packet of the router's own making."""
        route = self.host.routes.find(packet.destination)
        if route is not None and route.interface.index > 0:
            self.ports[route.interface.index - 1].output.transmit(packet)


def _direction(firewall: Firewall, came: Port, leaves: Port) -> Direction | None:
    if not firewall.outside:
        return None
    came_from_outside = firewall.outside in came.packed
    leaves_to_outside = firewall.outside in leaves.packed
    if came_from_outside == leaves_to_outside:
        return None
    return "in" if came_from_outside else "out"
