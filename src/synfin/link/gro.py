"""Runs of segments merged into superpackets on the way in, as Linux's generic receive offload (GRO) merges them.

For links that do not do it themselves: one trip through the core costs as much as merging ten segments. The rules are
those of `net/ipv4/tcp_offload.c` (tcp_gro_receive), `net/ipv4/af_inet.c` (inet_gro_receive) and
`net/ipv6/ip6_offload.c` (ipv6_gro_receive) in Linux.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, TypeAlias

from synfin.link.link import MAXIMUM_PACKET, Frame
from synfin.wire.errors import WireError
from synfin.wire.ip import IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, PROTOCOL_TCP, Packet, parse_packet
from synfin.wire.tcp import ACK, CWR, FIN, PSH, RST, SYN, TCP_HEADER_LENGTH, URG, Piece, Segment

_ipv4_tcp = Struct("!BBHHHBBH8s4sIIHH")
_ipv6_tcp = Struct("!IHBB32s4sIIHH")
_IPV4_LENGTH: Final = IPV4_HEADER_LENGTH + TCP_HEADER_LENGTH
_IPV6_LENGTH: Final = IPV6_HEADER_LENGTH + TCP_HEADER_LENGTH
_DONT_FRAGMENT: Final = 0x4000
#: Segments with one of these flags are never merged.
_ALONE: Final = SYN | RST | URG
#: Those which may differ within a run.
_MAY_DIFFER: Final = PSH | FIN | CWR
_SEQUENCE_MASK: Final = 0xFFFFFFFF


#: What has to be equal all through a run: of the IP header, ACK number, data offset with flags, window, options.
_Same: TypeAlias = tuple[int, int, int, int, int, bytes | memoryview]
#: Flow, sequence number, data offset with flags, octets of headers, octets of payload, what has to be equal, IPv4's
#: identification (or -1). A tuple, for one is made of every packet.
_Header: TypeAlias = tuple[bytes, int, int, int, int, _Same, int]


def _ipv4_header(data: bytes | memoryview) -> _Header | None:
    """The headers, or None for what is left alone: options or fragments in IP, padding, no TCP."""
    size = len(data)
    if size < _IPV4_LENGTH:
        return None
    first, tos, total, identification, fragment, ttl, protocol, _, addresses, ports, seq, ack, word, wnd = (
        _ipv4_tcp.unpack_from(data)
    )
    end = IPV4_HEADER_LENGTH + (word >> 10 & 0x3C)
    if first != 0x45 or protocol != PROTOCOL_TCP or total != size or fragment & ~_DONT_FRAGMENT:
        return None
    if not _IPV4_LENGTH <= end <= size:
        return None
    same = (tos << 16 | fragment, ttl, ack, word & ~_MAY_DIFFER, wnd, data[_IPV4_LENGTH:end])
    return addresses + ports, seq, word, end, size - end, same, identification


def _ipv6_header(data: bytes | memoryview) -> _Header | None:
    """The headers, or None for what is left alone: extension headers, padding, no TCP."""
    size = len(data)
    if size < _IPV6_LENGTH:
        return None
    first, length, protocol, hop_limit, addresses, ports, seq, ack, word, wnd = _ipv6_tcp.unpack_from(data)
    end = IPV6_HEADER_LENGTH + (word >> 10 & 0x3C)
    if protocol != PROTOCOL_TCP or length + IPV6_HEADER_LENGTH != size or not _IPV6_LENGTH <= end <= size:
        return None
    same = (first, hop_limit, ack, word & ~_MAY_DIFFER, wnd, data[_IPV6_LENGTH:end])
    return addresses + ports, seq, word, end, size - end, same, -1


class _Run:
    """Segments that follow one another, begun with an ordinary packet that has been parsed."""

    __slots__ = ("_constant", "_first", "_next_seq", "_packet", "_pieces", "_room", "_same", "_segment", "_size")

    def __init__(self, packet: Packet, segment: Segment, header: _Header) -> None:
        _, seq, _, header_length, length, self._same, self._first = header
        self._packet = packet
        self._segment = segment
        self._pieces: list[Piece] = list(segment.payload)
        self._size = length
        self._room = MAXIMUM_PACKET - header_length - length
        self._next_seq = (seq + length) & _SEQUENCE_MASK
        # Whether all have the same identification; known from the second on.
        self._constant = False

    def takes(self, header: _Header) -> bool:
        """Whether the segment may follow, if its checksums are right."""
        _, seq, word, _, length, same, identification = header
        if seq != self._next_seq or same != self._same or word & CWR or not 0 < length <= self._size:
            return False
        if length > self._room:
            return False
        if identification < 0:
            return True
        # IPv4's identification counts up, or with DF it may stay as it is (RFC 6864 §4.1: it means nothing then).
        count = len(self._pieces)
        offset = (identification - self._first) & 0xFFFF
        if offset == 0 and same[0] & _DONT_FRAGMENT and (count == 1 or self._constant):
            return True
        return offset == count and not self._constant

    def add(self, header: _Header, payload: bytes | memoryview) -> bool:
        """Adds the segment; False if it is the last one."""
        _, _, word, _, length, _, identification = header
        self._constant = identification == self._first
        self._pieces.append(payload)
        self._room -= length
        self._next_seq = (self._next_seq + length) & _SEQUENCE_MASK
        last = word & (PSH | FIN)
        if last:
            self._segment.flags |= last
            return False
        return length == self._size

    def packet(self) -> Packet:
        """The run as one packet. Its payload is joined: the copy costs less than a piece costs on its way to the user,
        and lets the packets go."""
        if len(self._pieces) > 1:
            segment = self._segment
            payload = b"".join(self._pieces)
            segment.payload = (payload,)
            segment.payload_length = len(payload)
            segment.segment_size = self._size
        return self._packet


def merge(frames: Iterable[Frame]) -> list[Packet | Frame]:
    """Merges what was read in one go: runs of a flow's segments become superpackets, all else stays as it came.

    The order within each flow is kept; a run stands where its first segment stood. Every checksum is verified before
    a segment becomes part of a run, unless the link vouches for it. What is no good is handed on as it came: the host
    counts it.
    """
    merged: list[_Run | Frame] = []
    runs: dict[bytes, _Run] = {}
    for frame in frames:
        data = frame.data
        header = None
        if not frame.segment_size and data:
            version = data[0] >> 4
            header = _ipv4_header(data) if version == 4 else _ipv6_header(data) if version == 6 else None
        if header is None:
            # It might belong to any flow.
            runs.clear()
            merged.append(frame)
            continue
        run = runs.get(header[0])
        if run is not None:
            if run.takes(header):
                if not (frame.checksum_verified or _intact(data)):
                    merged.append(frame)
                elif not run.add(header, data[header[3] :]):
                    del runs[header[0]]
                continue
            del runs[header[0]]
        started = _begin(frame, header)
        if started is None:
            merged.append(frame)
        else:
            runs[header[0]] = started
            merged.append(started)
    return [one.packet() if isinstance(one, _Run) else one for one in merged]


def _begin(frame: Frame, header: _Header) -> _Run | None:
    """A run that begins with this segment; None if no other may follow it, or it is no good."""
    word = header[2]
    if not word & ACK or word & (_ALONE | PSH | FIN) or not header[4]:
        return None
    try:
        packet = parse_packet(frame.data, checksum_verified=frame.checksum_verified)
    except WireError:
        return None
    segment = packet.payload
    return _Run(packet, segment, header) if isinstance(segment, Segment) else None


def _intact(data: bytes | memoryview) -> bool:
    """Whether the checksums of a packet without IP options or extension headers are right."""
    size = len(data)
    if data[0] >> 4 == 4:
        if int.from_bytes(data[:IPV4_HEADER_LENGTH], "big") % 65535:
            return False
        # From the addresses on: they are the better part of the pseudo-header, and next to the segment.
        begin, header_length = 12, IPV4_HEADER_LENGTH
    else:
        begin, header_length = 8, IPV6_HEADER_LENGTH
    total = int.from_bytes(data[begin:], "big") % 65535
    if size & 1:
        total <<= 8
    # RFC 9293 §3.1. Zero has two forms modulo 65535, but a sum with the protocol in it is not the lesser one.
    return (total + PROTOCOL_TCP + size - header_length) % 65535 == 0
