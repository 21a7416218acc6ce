"""What wires connect: devices, and the ports at which wires end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

from synfin.host import addresses
from synfin.wire.errors import ICMP_CHECKSUM, ICMP_HEADER, TCP_CHECKSUM, TCP_HEADER, TCP_OPTIONS, WireError
from synfin.wire.icmp import PROTOCOL_ICMP, PROTOCOL_ICMPV6, IcmpMessage
from synfin.wire.ip import PROTOCOL_TCP, Packet, Segment, parse_packet

#: The number of no protocol (RFC 3692 §2.1: for experiments), under which a payload is let be.
_UNREAD = 253
_UPPER_LAYER = frozenset({TCP_CHECKSUM, TCP_HEADER, TCP_OPTIONS, ICMP_CHECKSUM, ICMP_HEADER})


class Output(Protocol):
    """What leads from a port onto its wire."""

    def transmit(self, packet: Packet, /) -> None: ...


class Port:
    """A place on a device where a wire ends. `output` leads onto the wire, `peer` is the port at its other end.

    `addresses` are the device's there, such as ``10.0.0.1/24``; `mtu` is the wire's, in octets, and `wire` its number
    among the network's, from 0.
    """

    __slots__ = ("addresses", "device", "index", "mtu", "output", "packed", "peer", "wire")

    output: Output
    peer: Port
    wire: int

    def __init__(self, device: Device, index: int, own: Sequence[str], mtu: int) -> None:
        self.device = device
        self.index = index
        self.addresses = list(own)
        self.mtu = mtu
        #: The same addresses in octets, without prefix lengths.
        self.packed = [addresses.packed(entry.partition("/")[0]) for entry in own]

    def address(self, length: int) -> bytes:
        """The first address of `length` octets here; no octets if there is none."""
        return next((address for address in self.packed if len(address) == length), b"")

    def neighbours(self) -> Iterator[Port]:
        """The ports on the same wire or shared segment, in the order in which they were attached."""
        yield from self.peer.device.beyond(self.peer)

    def finds(self, address: bytes) -> bool:
        """Whether a neighbour has this address."""
        return any(address in port.packed for port in self.neighbours())


class Device(ABC):
    """A host, a router or a switch: whatever has a name and ports."""

    __slots__ = ("name", "ports")

    def __init__(self, name: str) -> None:
        self.name = name
        self.ports: list[Port] = []

    def add_port(self, own: Sequence[str], mtu: int) -> Port:
        """A new port with these addresses. Raises ValueError for an address that makes no sense."""
        port = Port(self, len(self.ports), own, mtu)
        self.ports.append(port)
        return port

    def beyond(self, port: Port) -> Iterator[Port]:
        """The ports that a wire which ends at `port` reaches."""
        yield port

    @abstractmethod
    def arrive(self, packet: Packet | bytes, port: Port, now: int) -> None:
        """A wire delivers at `port`: a packet, or the octets of one that was damaged."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def read_header(octets: bytes) -> Packet | None:
    """A packet of which only the IP header is sure to be intact, as a machine in the middle reads it: a payload that
    makes no sense is kept as octets. None if the header is not intact either."""
    try:
        return parse_packet(octets)
    except WireError as error:
        if error.cause not in _UPPER_LAYER:
            return None
    at = 9 if octets[0] >> 4 == 4 else 6
    protocol = octets[at]
    if protocol not in (PROTOCOL_TCP, PROTOCOL_ICMP, PROTOCOL_ICMPV6):
        # An IPv6 chain of headers leads to it. What is damaged behind one is given up here.
        return None
    packet = parse_packet(octets[:at] + bytes((_UNREAD,)) + octets[at + 1 :], checksum_verified=True)
    packet.protocol = protocol
    return packet


def is_unread(packet: Packet) -> bool:
    """Whether the payload of `packet` is octets that made no sense to `read_header`."""
    if packet.is_fragment or isinstance(packet.payload, (Segment, IcmpMessage)):
        return False
    return packet.protocol in (PROTOCOL_TCP, PROTOCOL_ICMP if packet.version == 4 else PROTOCOL_ICMPV6)
