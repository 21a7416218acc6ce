"""IP packets for no connection that is open: whether they are for this host, what forbids to go on, fragments, and
who takes the rest."""

from __future__ import annotations

from synfin.host import addresses, extensions, icmp
from synfin.host.counters import BY_CAUSE, BY_CAUSE_IPV6
from synfin.host.fragments import Fragments
from synfin.host.icmp_errors import Problem
from synfin.host.icmp_output import IcmpOutput
from synfin.host.interface import Interface
from synfin.host.transport import Transport
from synfin.tcp.timers import NEVER
from synfin.wire.errors import IPV6_EXTENSION, WireError
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import PROTOCOL_UDP, Packet
from synfin.wire.ipv6 import NO_NEXT_HEADER, has_fragment_header
from synfin.wire.tcp import Segment


class IpInput:
    """What arrives at a host from `transport`'s interfaces, apart from segments for open connections."""

    __slots__ = ("_fragments", "counters", "icmp_output", "parameters", "transport")

    def __init__(self, transport: Transport, icmp_output: IcmpOutput) -> None:
        self.transport = transport
        self.parameters = transport.parameters
        self.counters = transport.counters
        self.icmp_output = icmp_output
        #: By the length of an address.
        self._fragments = {
            4: Fragments(4, self.parameters, self.counters),
            16: Fragments(6, self.parameters, self.counters),
        }

    def unreadable(
        self, octets: bytes | bytearray | memoryview, error: WireError, interface: Interface, now: int
    ) -> None:
        """Octets that are no packet: counted by the cause, and dropped in silence but for what RFC 8200 reports."""
        version_6 = len(octets) > 0 and octets[0] >> 4 == 6
        self.counters.add("Ip6InReceives" if version_6 else "IpInReceives")
        self._count_error(error, version_6)
        if error.cause == IPV6_EXTENSION:
            found = extensions.misplaced_hop_by_hop(memoryview(octets))
            if found is not None and self._is_for_us(found[0], interface):
                self.icmp_output.problem(*found, interface, now)

    def packet_arrives(self, packet: Packet, interface: Interface, now: int) -> None:
        """Takes a packet that is well formed and was counted."""
        version = "Ip" if len(packet.source) == 4 else "Ip6"
        if not self._is_for_us(packet, interface):
            self.counters.add(version + "InAddrErrors")
        elif self._may_go_on(packet, interface, now):
            if packet.is_fragment:
                self._fragment_arrives(packet, interface, now)
            else:
                if packet.extension and len(packet.source) == 16 and has_fragment_header(packet.extension):
                    # RFC 6946 §4: an atomic fragment is whole by itself; Linux counts it all the same.
                    self.counters.add("Ip6ReasmReqds")
                    self.counters.add("Ip6ReasmOKs")
                self._deliver(packet, interface, now)

    def _is_for_us(self, packet: Packet, interface: Interface) -> bool:
        """RFC 9293 §3.9.2.3 (MUST-57, MUST-63): from and to single hosts only; RFC 1122 §3.2.1.3: no loopback address
        on a wire, and nothing that claims to come from this host itself. The one exception are echo requests."""
        source = packet.source
        transport = self.transport
        if not addresses.is_unicast(source) or transport.routes.is_broadcast(source):
            return False
        if interface.index and (
            addresses.is_loopback(source) or addresses.is_loopback(packet.destination) or transport.is_own(source)
        ):
            return False
        return transport.is_own(packet.destination) or icmp.is_echo_for_many(packet, transport, self.parameters)

    def _may_go_on(self, packet: Packet, interface: Interface, now: int) -> bool:
        """Whether options and extension headers let the packet pass; if not, its sender learns why."""
        problem = extensions.find_problem(packet) if packet.extension else None
        if problem is None:
            return True
        self.counters.add("IpInHdrErrors" if packet.version == 4 else "Ip6InHdrErrors")
        if problem is not extensions.SILENT:
            self.icmp_output.problem(packet, problem, interface, now)
        return False

    def _fragment_arrives(self, packet: Packet, interface: Interface, now: int) -> None:
        try:
            whole = self._fragments[len(packet.source)].arrives(packet, now)
        except WireError as error:
            self._count_error(error, packet.version == 6)
            return
        if isinstance(whole, Problem):
            self.icmp_output.problem(packet, whole, interface, now)
        elif whole is not None and self._may_go_on(whole, interface, now):
            self._deliver(whole, interface, now)

    def _deliver(self, packet: Packet, interface: Interface, now: int) -> None:
        """Gives a whole packet for this host to whoever takes its protocol."""
        payload = packet.payload
        version = "Ip" if len(packet.source) == 4 else "Ip6"
        if isinstance(payload, Segment):
            if not self.transport.segment_arrives(packet, payload, interface.index, now):
                index = self._reply_index(packet.source, interface)
                self.transport.stray_segment_arrives(packet, payload, index, now)
        elif isinstance(payload, IcmpMessage):
            self.counters.add(version + "InDelivers")
            answer = icmp.packet_arrives(packet, payload, self.parameters, self.transport, now)
            if answer is not None:
                self.icmp_output.send(answer, interface)
        elif packet.protocol == PROTOCOL_UDP:
            self.counters.add(version + "InDelivers")
            self.counters.add("UdpNoPorts" if version == "Ip" else "Udp6NoPorts")
            self.icmp_output.nobody_for_protocol(packet, interface, now)
        elif packet.protocol != NO_NEXT_HEADER or version == "Ip":
            self.counters.add(version + "InUnknownProtos")
            self.icmp_output.nobody_for_protocol(packet, interface, now)

    def _count_error(self, error: WireError, version_6: bool) -> None:
        for name in (BY_CAUSE_IPV6 if version_6 else BY_CAUSE)[error.cause]:
            self.counters.add(name)

    def _reply_index(self, source: bytes, interface: Interface) -> int:
        """Where answers to `source` leave: by the routes; through `interface` where these say nothing."""
        index = self.transport.interface_towards(source)
        return index if index >= 0 else interface.index

    # --- time's calls

    def next_deadline(self) -> int:
        """When the first datagram is given up that is not whole, NEVER if there is none."""
        deadline = NEVER
        for fragments in self._fragments.values():
            if len(fragments):
                deadline = min(deadline, fragments.next_deadline())
        return deadline

    def deadline_reached(self, now: int) -> None:
        for fragments in self._fragments.values():
            for first in fragments.deadline_reached(now):
                self.icmp_output.not_reassembled(first, now)
