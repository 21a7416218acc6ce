"""ICMP for IPv4 (RFC 792, RFC 1191, RFC 1812) and for IPv6 (RFC 4443)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from synfin.wire import ipv6
from synfin.wire.checksum import Buffer, finish, is_valid, ones_complement_sum, pseudo_header_sum
from synfin.wire.errors import ICMP_CHECKSUM, ICMP_HEADER, ICMP_QUOTE, WireError
from synfin.wire.tcp import PROTOCOL_TCP

PROTOCOL_ICMP: Final = 1
PROTOCOL_UDP: Final = 17
PROTOCOL_ICMPV6: Final = 58

ICMP_HEADER_LENGTH: Final = 8

# Types of ICMP for IPv4, and codes of its destination unreachable.
ECHO_REPLY: Final = 0
DESTINATION_UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
REDIRECT: Final = 5
ECHO_REQUEST: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12

NETWORK_UNREACHABLE: Final = 0
HOST_UNREACHABLE: Final = 1
PROTOCOL_UNREACHABLE: Final = 2
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4
SOURCE_ROUTE_FAILED: Final = 5
NETWORK_UNKNOWN: Final = 6
HOST_UNKNOWN: Final = 7
SOURCE_HOST_ISOLATED: Final = 8
NETWORK_PROHIBITED: Final = 9
HOST_PROHIBITED: Final = 10
NETWORK_UNREACHABLE_FOR_SERVICE: Final = 11
HOST_UNREACHABLE_FOR_SERVICE: Final = 12
COMMUNICATION_PROHIBITED: Final = 13
HOST_PRECEDENCE_VIOLATION: Final = 14
PRECEDENCE_CUTOFF: Final = 15

# Codes of time exceeded, the same in both versions.
HOP_LIMIT_EXCEEDED: Final = 0
REASSEMBLY_TIME_EXCEEDED: Final = 1

# Types of ICMP for IPv6, and codes of its destination unreachable and parameter problem.
V6_DESTINATION_UNREACHABLE: Final = 1
V6_PACKET_TOO_BIG: Final = 2
V6_TIME_EXCEEDED: Final = 3
V6_PARAMETER_PROBLEM: Final = 4
V6_ECHO_REQUEST: Final = 128
V6_ECHO_REPLY: Final = 129
V6_REDIRECT: Final = 137

V6_NO_ROUTE: Final = 0
V6_PROHIBITED: Final = 1
V6_BEYOND_SCOPE: Final = 2
V6_ADDRESS_UNREACHABLE: Final = 3
V6_PORT_UNREACHABLE: Final = 4
V6_SOURCE_POLICY_FAILED: Final = 5
V6_ROUTE_REJECTED: Final = 6

V6_ERRONEOUS_HEADER: Final = 0
V6_UNRECOGNIZED_NEXT_HEADER: Final = 1
V6_UNRECOGNIZED_OPTION: Final = 2
V6_INCOMPLETE_HEADER_CHAIN: Final = 3  # RFC 7112

_header = Struct("!BBHI")
_ports = Struct("!HH")
_ports_and_seq = Struct("!HHI")


class IcmpMessage:
    """A message of either version. `parameter`: the 32 bits behind the checksum. `body`: what follows them."""

    __slots__ = ("body", "code", "parameter", "type")

    def __init__(self, type: int, code: int, parameter: int = 0, body: bytes | memoryview = b"") -> None:
        self.type = type
        self.code = code
        self.parameter = parameter
        self.body = body

    @property
    def identifier(self) -> int:
        """Of an echo request or reply."""
        return self.parameter >> 16

    @property
    def sequence(self) -> int:
        """Of an echo request or reply."""
        return self.parameter & 0xFFFF

    @property
    def mtu(self) -> int:
        """The next hop's MTU in octets: RFC 1191 §4, RFC 4443 §3.2. 0 is what old routers send."""
        return self.parameter if self.type == V6_PACKET_TOO_BIG else self.parameter & 0xFFFF

    @property
    def pointer(self) -> int:
        """Of a parameter problem: the offset in the quoted packet."""
        return self.parameter >> 24 if self.type == PARAMETER_PROBLEM else self.parameter

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IcmpMessage):
            return NotImplemented
        return (
            self.type == other.type
            and self.code == other.code
            and self.parameter == other.parameter
            and self.body == other.body
        )

    def __repr__(self) -> str:
        return f"<IcmpMessage type={self.type} code={self.code} parameter={self.parameter:#x} body={len(self.body)}>"


def parse_icmp(data: memoryview, source: bytes, destination: bytes, checksum_verified: bool = False) -> IcmpMessage:
    """Parse the whole of `data`; the version is that of the addresses.

    With `checksum_verified` the checksum field is not looked at. Raises WireError: "icmp-header" or "icmp-checksum".
    """
    size = len(data)
    if size < ICMP_HEADER_LENGTH:
        raise WireError(ICMP_HEADER, f"{size} octets")
    kind, code, _, parameter = _header.unpack_from(data)
    if not checksum_verified:
        total = ones_complement_sum(data)
        if len(source) == 16:
            total += pseudo_header_sum(source, destination, PROTOCOL_ICMPV6, size)
        if not is_valid(total):
            raise WireError(ICMP_CHECKSUM)
    return IcmpMessage(kind, code, parameter, data[ICMP_HEADER_LENGTH:])


def encode_icmp_header(message: IcmpMessage, source: bytes, destination: bytes) -> bytes:
    """Return the first 8 octets, checksum included; the body follows them.

    Raises struct.error if a field is out of its range.
    """
    total = (message.type << 8 | message.code) + message.parameter + ones_complement_sum(message.body)
    if len(source) == 16:
        size = ICMP_HEADER_LENGTH + len(message.body)
        total += pseudo_header_sum(source, destination, PROTOCOL_ICMPV6, size)
    return _header.pack(message.type, message.code, finish(total), message.parameter)


class Quoted:
    """What an ICMP error says of the packet that caused it, as that packet was sent.

    The ports are 0 for protocols without them, `seq` for all but TCP.
    """

    __slots__ = ("destination", "destination_port", "protocol", "seq", "source", "source_port")

    def __init__(
        self,
        source: bytes,
        destination: bytes,
        protocol: int,
        source_port: int = 0,
        destination_port: int = 0,
        seq: int = 0,
    ) -> None:
        self.source = source
        self.destination = destination
        self.protocol = protocol
        self.source_port = source_port
        self.destination_port = destination_port
        self.seq = seq

    @property
    def flow(self) -> bytes:
        """The key as in `Packet.flow` of the quoted packet, which this end sent."""
        return self.source + self.destination + _ports.pack(self.source_port, self.destination_port)

    @property
    def reverse_flow(self) -> bytes:
        """The key as in `Packet.flow` of what the other end sends."""
        return self.destination + self.source + _ports.pack(self.destination_port, self.source_port)

    def __repr__(self) -> str:
        return (
            f"<Quoted {self.source.hex()}:{self.source_port} > {self.destination.hex()}:{self.destination_port}"
            f" protocol={self.protocol} seq={self.seq}>"
        )


def parse_quoted(body: Buffer, version: int) -> Quoted:
    """Parse the packet quoted in an ICMP error; `version` is that of the ICMP message.

    The quoted packet is usually cut, so neither lengths nor checksums count: its IP header and 8 octets are enough
    (RFC 792). Raises WireError ("icmp-quote") for less, for another version, and for a fragment but the first.
    """
    size = len(body)
    header_length = 40 if version == 6 else 20
    if size < header_length or body[0] >> 4 != version:
        raise WireError(ICMP_QUOTE, f"no IPv{version} header in {size} octets")
    if version == 6:
        source = bytes(body[8:24])
        destination = bytes(body[24:40])
        try:
            chain = ipv6.walk(body, body[6], header_length)
        except WireError as error:
            raise WireError(ICMP_QUOTE, error.detail) from None
        protocol = chain.protocol
        at = chain.end
        fragment_offset = chain.fragment_offset
    else:
        source = bytes(body[12:16])
        destination = bytes(body[16:20])
        protocol = body[9]
        at = (body[0] & 15) * 4
        if at < header_length:
            raise WireError(ICMP_QUOTE, f"header length {at}")
        fragment_offset = (body[6] & 0x1F) << 8 | body[7]
    if size < at + 8:
        raise WireError(ICMP_QUOTE, f"{max(size - at, 0)} octets behind the IP header")
    if fragment_offset:
        raise WireError(ICMP_QUOTE, "a fragment without the upper layer's header")
    if protocol == PROTOCOL_TCP:
        source_port, destination_port, seq = _ports_and_seq.unpack_from(body, at)
        return Quoted(source, destination, protocol, source_port, destination_port, seq)
    if protocol == PROTOCOL_UDP:
        source_port, destination_port = _ports.unpack_from(body, at)
        return Quoted(source, destination, protocol, source_port, destination_port)
    return Quoted(source, destination, protocol)
