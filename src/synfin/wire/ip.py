"""IPv4 (RFC 791) and IPv6 (RFC 8200) packets as values, with TCP and ICMP inside them."""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

from synfin.wire import ipv6
from synfin.wire.checksum import Buffer
from synfin.wire.errors import IP_CHECKSUM, IP_HEADER, IP_TRUNCATED, IP_VERSION, WireError
from synfin.wire.icmp import (
    ICMP_HEADER_LENGTH,
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_UDP,
    IcmpMessage,
    encode_icmp_header,
    parse_icmp,
)
from synfin.wire.tcp import PROTOCOL_TCP, TCP_HEADER_LENGTH, Segment, encode_header, parse_segment

__all__ = [
    "CE",
    "ECT_0",
    "ECT_1",
    "IPV4_HEADER_LENGTH",
    "IPV6_HEADER_LENGTH",
    "MAX_IPV4_LENGTH",
    "NOT_ECT",
    "PROTOCOL_ICMP",
    "PROTOCOL_ICMPV6",
    "PROTOCOL_TCP",
    "PROTOCOL_UDP",
    "IcmpMessage",
    "Packet",
    "Payload",
    "Segment",
    "encode_packet",
    "octets",
    "parse_packet",
    "parse_payload",
    "reassembled",
]

IPV4_HEADER_LENGTH: Final = 20
IPV6_HEADER_LENGTH: Final = 40
MAX_IPV4_LENGTH: Final = 65535
MAX_IPV4_OPTIONS_LENGTH: Final = 40

# RFC 3168 §5, the values of `Packet.ecn`
NOT_ECT: Final = 0
ECT_1: Final = 1
ECT_0: Final = 2
CE: Final = 3

_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000
_OFFSET_MASK: Final = 0x1FFF

_ipv4 = Struct("!BBHHHBBH4s4s")
_ipv6 = Struct("!IHBB16s16s")
_ports = Struct("!HH")

Payload: TypeAlias = Segment | IcmpMessage | bytes | memoryview


class Packet:
    """An IP packet of either version, which is that of its addresses.

    `source`, `destination`: 4 or 16 octets. `protocol`: the upper layer's. `payload`: a segment, an ICMP message, or
    octets for other protocols and for fragments. `ttl`: the hop limit too. `traffic_class`: the TOS octet too.
    `fragment_offset`: octets. `identification`, `more_fragments`: of the IPv4 header or the IPv6 fragment header.
    `dont_fragment`: IPv4 only. `extension`: IPv4 options, or the IPv6 extension headers in the form of
    `synfin.wire.ipv6` (each begins with its own kind); a fragment header is added there when the fields need one.
    IPv4's reserved flag is not kept.
    """

    __slots__ = (
        "destination",
        "dont_fragment",
        "extension",
        "flow_label",
        "fragment_offset",
        "identification",
        "more_fragments",
        "payload",
        "protocol",
        "source",
        "traffic_class",
        "ttl",
    )

    def __init__(
        self,
        source: bytes,
        destination: bytes,
        protocol: int,
        payload: Payload,
        ttl: int = 64,
        traffic_class: int = 0,
        flow_label: int = 0,
        identification: int = 0,
        dont_fragment: bool = True,
        more_fragments: bool = False,
        fragment_offset: int = 0,
        extension: bytes = b"",
    ) -> None:
        self.source = source
        self.destination = destination
        self.protocol = protocol
        self.payload = payload
        self.ttl = ttl
        self.traffic_class = traffic_class
        self.flow_label = flow_label
        self.identification = identification
        self.dont_fragment = dont_fragment
        self.more_fragments = more_fragments
        self.fragment_offset = fragment_offset
        self.extension = extension

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.source) == 4 else 6

    @property
    def ecn(self) -> int:
        """The two ECN bits: NOT_ECT, ECT_0, ECT_1 or CE."""
        return self.traffic_class & 3

    @property
    def is_fragment(self) -> bool:
        """Whether octets of the original packet are elsewhere."""
        return self.more_fragments or self.fragment_offset != 0

    @property
    def flow(self) -> bytes:
        """Both addresses and both ports as on the wire: the key of a TCP packet's connection. ValueError if not TCP."""
        payload = self.payload
        if not isinstance(payload, Segment):
            raise ValueError("only a packet with a TCP segment has a flow")
        return self.source + self.destination + _ports.pack(payload.source_port, payload.destination_port)

    @property
    def header_length(self) -> int:
        """Octets before the upper layer's header, extension headers among them."""
        extension = len(self.extension)
        if len(self.source) == 4:
            return IPV4_HEADER_LENGTH + extension + -extension % 4
        if self.is_fragment and not ipv6.has_fragment_header(self.extension):
            extension += ipv6.FRAGMENT_HEADER_LENGTH
        return IPV6_HEADER_LENGTH + extension

    @property
    def total_length(self) -> int:
        """Octets of the whole packet on the wire."""
        payload = self.payload
        if isinstance(payload, Segment):
            return self.header_length + TCP_HEADER_LENGTH + payload.options.encoded_length + payload.payload_length
        if isinstance(payload, IcmpMessage):
            return self.header_length + ICMP_HEADER_LENGTH + len(payload.body)
        return self.header_length + len(payload)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Packet):
            return NotImplemented
        return (
            self.source == other.source
            and self.destination == other.destination
            and self.protocol == other.protocol
            and self.ttl == other.ttl
            and self.traffic_class == other.traffic_class
            and self.flow_label == other.flow_label
            and self.identification == other.identification
            and self.dont_fragment == other.dont_fragment
            and self.more_fragments == other.more_fragments
            and self.fragment_offset == other.fragment_offset
            and self.extension == other.extension
            and self.payload == other.payload
        )

    def __repr__(self) -> str:
        payload = self.payload
        inside = f"{len(payload)} octets" if isinstance(payload, (bytes, memoryview)) else repr(payload)
        parts = [f"{self.source.hex()} > {self.destination.hex()} protocol={self.protocol} ttl={self.ttl}"]
        if self.traffic_class:
            parts.append(f"traffic_class={self.traffic_class:#x}")
        if self.is_fragment:
            more = "+" if self.more_fragments else ""
            parts.append(f"fragment={self.identification:#x}@{self.fragment_offset}{more}")
        if self.extension:
            parts.append(f"extension={self.extension.hex()}")
        return f"<Packet {' '.join(parts)} {inside}>"


def parse_packet(data: Buffer, *, checksum_verified: bool = False, segment_size: int = 0) -> Packet:
    """Parse one IP packet. Octets behind its end (a link's padding) are ignored; payloads are views of `data`.

    With `checksum_verified` no checksum field is looked at. `segment_size` becomes that of the TCP segment.
    Raises WireError.
    """
    view = data if isinstance(data, memoryview) else memoryview(data)
    if not view:
        raise WireError(IP_TRUNCATED, "no octets")
    version = view[0] >> 4
    if version == 4:
        return _parse_ipv4(view, checksum_verified, segment_size)
    if version == 6:
        return _parse_ipv6(view, checksum_verified, segment_size)
    raise WireError(IP_VERSION, str(version))


def _parse_ipv4(view: memoryview, checksum_verified: bool, segment_size: int) -> Packet:
    size = len(view)
    if size < IPV4_HEADER_LENGTH:
        raise WireError(IP_TRUNCATED, f"{size} octets")
    first, tos, total_length, identification, word, ttl, protocol, _, source, destination = _ipv4.unpack_from(view)
    header_length = (first & 15) * 4
    if header_length < IPV4_HEADER_LENGTH or total_length < header_length:
        raise WireError(IP_HEADER, f"header length {header_length}, total length {total_length}")
    if total_length > size:
        raise WireError(IP_TRUNCATED, f"total length {total_length}, {size} octets")
    # RFC 1122 §3.2.1.2. The first octet is not zero, so a remainder of zero is enough.
    if not checksum_verified and int.from_bytes(view[:header_length], "big") % 65535:
        raise WireError(IP_CHECKSUM)
    rest = view[header_length:total_length]
    payload: Payload
    if word & (_MORE_FRAGMENTS | _OFFSET_MASK):
        payload = rest
    elif protocol == PROTOCOL_TCP:
        payload = parse_segment(rest, source, destination, checksum_verified, segment_size)
    else:
        payload = parse_payload(protocol, rest, source, destination, checksum_verified)
    return Packet(
        source,
        destination,
        protocol,
        payload,
        ttl,
        tos,
        0,
        identification,
        bool(word & _DONT_FRAGMENT),
        bool(word & _MORE_FRAGMENTS),
        (word & _OFFSET_MASK) * 8,
        b"" if header_length == IPV4_HEADER_LENGTH else bytes(view[IPV4_HEADER_LENGTH:header_length]),
    )


def _parse_ipv6(view: memoryview, checksum_verified: bool, segment_size: int) -> Packet:
    size = len(view)
    if size < IPV6_HEADER_LENGTH:
        raise WireError(IP_TRUNCATED, f"{size} octets")
    word, payload_length, protocol, hop_limit, source, destination = _ipv6.unpack_from(view)
    end = IPV6_HEADER_LENGTH + payload_length
    if end > size:
        raise WireError(IP_TRUNCATED, f"payload length {payload_length}, {size} octets")
    at = IPV6_HEADER_LENGTH
    extension = b""
    identification = fragment_offset = 0
    more_fragments = False
    if ipv6.is_extension(protocol):
        chain = ipv6.walk(view[:end], protocol, IPV6_HEADER_LENGTH)
        extension = ipv6.from_wire(view, chain, IPV6_HEADER_LENGTH)
        protocol = chain.protocol
        at = chain.end
        identification = chain.identification
        fragment_offset = chain.fragment_offset
        more_fragments = chain.more_fragments
    rest = view[at:end]
    payload: Payload
    if more_fragments or fragment_offset:
        payload = rest
    else:
        payload = parse_payload(protocol, rest, source, destination, checksum_verified, segment_size)
    return Packet(
        source,
        destination,
        protocol,
        payload,
        hop_limit,
        word >> 20 & 0xFF,
        word & 0xFFFFF,
        identification,
        True,
        more_fragments,
        fragment_offset,
        extension,
    )


def parse_payload(
    protocol: int,
    data: memoryview,
    source: bytes,
    destination: bytes,
    checksum_verified: bool = False,
    segment_size: int = 0,
) -> Payload:
    """Parse what an unfragmented IP packet carries: TCP, this version's ICMP, or `data` itself. Raises WireError."""
    if protocol == PROTOCOL_TCP:
        return parse_segment(data, source, destination, checksum_verified, segment_size)
    if protocol == (PROTOCOL_ICMP if len(source) == 4 else PROTOCOL_ICMPV6):
        return parse_icmp(data, source, destination, checksum_verified)
    return data


def reassembled(first: Packet, payload: bytes) -> Packet:
    """Return the original packet, given its first fragment and the joined payloads of all of them.

    Raises WireError as `parse_packet` does, and "ip-header" if the whole is longer than a packet can be.
    """
    extension = first.extension if first.version == 4 else ipv6.without_fragment_header(first.extension)
    whole = Packet(
        first.source,
        first.destination,
        first.protocol,
        payload,
        first.ttl,
        first.traffic_class,
        first.flow_label,
        first.identification if first.version == 4 else 0,
        first.dont_fragment,
        extension=extension,
    )
    if whole.total_length - (0 if first.version == 4 else IPV6_HEADER_LENGTH) > MAX_IPV4_LENGTH:
        raise WireError(IP_HEADER, f"fragments of a packet of {whole.total_length} octets")
    return parse_packet(octets(whole))


def encode_packet(packet: Packet, *, partial_checksum: bool = False) -> list[bytes | memoryview]:
    """Return the packet as pieces: all headers first, then the payload's own pieces, untouched.

    With `partial_checksum` the checksum of a TCP segment is left for the device to complete (`encode_header`).
    Raises struct.error or ValueError if a field is out of its range; a packet longer than 65535 octets is that too.
    """
    payload = packet.payload
    source = packet.source
    destination = packet.destination
    pieces: list[bytes | memoryview]
    offset = packet.fragment_offset
    if offset and (offset & 7 or not 0 < offset < MAX_IPV4_LENGTH):
        raise ValueError(f"fragment offset {offset}: not a multiple of 8 under 65536")
    if isinstance(payload, Segment):
        header = encode_header(payload, source, destination, partial_checksum)
        length = len(header) + payload.payload_length
        pieces = [header, *payload.payload]
    elif isinstance(payload, IcmpMessage):
        header = encode_icmp_header(payload, source, destination)
        length = ICMP_HEADER_LENGTH + len(payload.body)
        pieces = [header, payload.body]
    else:
        header = b""
        length = len(payload)
        pieces = [header, payload]
    pieces[0] = (_encode_ipv4(packet, length) if len(source) == 4 else _encode_ipv6(packet, length)) + header
    return pieces


def octets(packet: Packet) -> bytes:
    """Return the whole packet in one piece with all checksums complete."""
    return b"".join(encode_packet(packet))


def _encode_ipv4(packet: Packet, length: int) -> bytes:
    """Return the header of a packet that carries `length` octets."""
    extension = packet.extension
    header_length = IPV4_HEADER_LENGTH
    if extension:
        extension += bytes(-len(extension) % 4)
        header_length += len(extension)
        if len(extension) > MAX_IPV4_OPTIONS_LENGTH:
            raise ValueError(f"{len(extension)} octets of IPv4 options: at most {MAX_IPV4_OPTIONS_LENGTH} fit")
    length += header_length
    word = packet.fragment_offset >> 3
    if packet.dont_fragment:
        word |= _DONT_FRAGMENT
    if packet.more_fragments:
        word |= _MORE_FRAGMENTS
    first = 0x40 | header_length >> 2
    source = packet.source
    destination = packet.destination
    total = (first << 8 | packet.traffic_class) + length + packet.identification + word
    total += (packet.ttl << 8 | packet.protocol) + int.from_bytes(source, "big") + int.from_bytes(destination, "big")
    if extension:
        total += int.from_bytes(extension, "big")
    header = _ipv4.pack(
        first,
        packet.traffic_class,
        length,
        packet.identification,
        word,
        packet.ttl,
        packet.protocol,
        65535 - (total % 65535 or 65535),
        source,
        destination,
    )
    return header + extension if extension else header


def _encode_ipv6(packet: Packet, length: int) -> bytes:
    """Return the header, extension headers included, of a packet that carries `length` octets."""
    extension = packet.extension
    kind = packet.protocol
    if extension or packet.is_fragment:
        kind, extension = ipv6.to_wire(
            extension, kind, packet.fragment_offset, packet.more_fragments, packet.identification
        )
    header = _ipv6.pack(
        6 << 28 | packet.traffic_class << 20 | packet.flow_label,
        len(extension) + length,
        kind,
        packet.ttl,
        packet.source,
        packet.destination,
    )
    return header + extension if extension else header
