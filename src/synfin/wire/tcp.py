"""The TCP header (RFC 9293 §3.1) and the segment as a value."""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

from synfin.wire.checksum import is_valid, ones_complement_sum, pseudo_header_sum, sum_of_pieces
from synfin.wire.errors import TCP_CHECKSUM, TCP_HEADER, WireError
from synfin.wire.tcp_options import (
    NO_OPTIONS,
    TIMESTAMPS_LAYOUT,
    TIMESTAMPS_WORD,
    Options,
    parse_options,
    timestamp_options,
)

__all__ = [
    "ACK",
    "AE",
    "CWR",
    "ECE",
    "FIN",
    "NO_OPTIONS",
    "PROTOCOL_TCP",
    "PSH",
    "RST",
    "SYN",
    "TCP_HEADER_LENGTH",
    "URG",
    "Options",
    "Piece",
    "Segment",
    "encode_header",
    "flag_names",
    "parse_options",
    "parse_segment",
    "timestamp_options",
]

Piece: TypeAlias = bytes | memoryview

PROTOCOL_TCP: Final = 6
TCP_HEADER_LENGTH: Final = 20

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80
AE: Final = 0x100  # RFC 9768 §2.2; formerly NS

_FLAG_NAMES: Final = (
    (SYN, "SYN"),
    (FIN, "FIN"),
    (RST, "RST"),
    (PSH, "PSH"),
    (ACK, "ACK"),
    (URG, "URG"),
    (ECE, "ECE"),
    (CWR, "CWR"),
    (AE, "AE"),
)

_header = Struct("!HHIIHHHH")
_header_timestamps = Struct("!HHIIHHHHIII")


class Segment:
    """A TCP segment, addresses apart: RFC 9293's SEG variables.

    `seq`, `ack`: 32-bit sequence numbers. `flags`: 9 bits. `wnd`: the 16-bit field, not scaled. `up`: urgent pointer.
    `payload`: pieces that are sent one after the other. `segment_size`: 0 for one ordinary segment; otherwise this
    stands for a run of segments of that many octets of payload each, the last perhaps shorter. `reserved`: the 3
    reserved bits of the header. `payload_length` is worked out if it is not given.
    """

    __slots__ = (
        "ack",
        "destination_port",
        "flags",
        "options",
        "payload",
        "payload_length",
        "reserved",
        "segment_size",
        "seq",
        "source_port",
        "up",
        "wnd",
    )

    def __init__(
        self,
        source_port: int,
        destination_port: int,
        seq: int,
        ack: int,
        flags: int,
        wnd: int,
        options: Options = NO_OPTIONS,
        payload: tuple[Piece, ...] = (),
        segment_size: int = 0,
        up: int = 0,
        payload_length: int = -1,
        reserved: int = 0,
    ) -> None:
        self.source_port = source_port
        self.destination_port = destination_port
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.wnd = wnd
        self.options = options
        self.payload = payload
        self.segment_size = segment_size
        self.up = up
        if payload_length < 0:
            payload_length = 0
            for piece in payload:
                payload_length += len(piece)
        self.payload_length = payload_length
        self.reserved = reserved

    @property
    def length(self) -> int:
        """SEG.LEN: octets of payload, and one each for SYN and FIN (RFC 9293 §3.3.1)."""
        # FIN is bit 0 and SYN bit 1.
        return self.payload_length + (self.flags & 1) + (self.flags >> 1 & 1)

    def payload_bytes(self) -> bytes:
        """Return the payload joined (a copy, unless it is one piece of bytes)."""
        payload = self.payload
        if len(payload) == 1:
            return bytes(payload[0])
        return b"".join(payload)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Segment):
            return NotImplemented
        return (
            self.seq == other.seq
            and self.ack == other.ack
            and self.flags == other.flags
            and self.wnd == other.wnd
            and self.source_port == other.source_port
            and self.destination_port == other.destination_port
            and self.up == other.up
            and self.reserved == other.reserved
            and self.segment_size == other.segment_size
            and self.payload_length == other.payload_length
            and self.options == other.options
            and self.payload_bytes() == other.payload_bytes()
        )

    def __repr__(self) -> str:
        parts = [
            f"{self.source_port} > {self.destination_port} {flag_names(self.flags)}",
            f"seq={self.seq} ack={self.ack} wnd={self.wnd} length={self.payload_length}",
        ]
        if self.segment_size:
            parts.append(f"segment_size={self.segment_size}")
        if self.up:
            parts.append(f"up={self.up}")
        if self.reserved:
            parts.append(f"reserved={self.reserved}")
        if self.options != NO_OPTIONS:
            parts.append(repr(self.options))
        return f"<Segment {' '.join(parts)}>"


def flag_names(flags: int) -> str:
    """Return the names of the flags that are set, joined by commas; "none" if there are none."""
    return ",".join([name for bit, name in _FLAG_NAMES if flags & bit]) or "none"


def parse_segment(
    data: memoryview,
    source: bytes,
    destination: bytes,
    checksum_verified: bool = False,
    segment_size: int = 0,
) -> Segment:
    """Parse one segment, the whole of `data`; its payload is a slice of `data`, not a copy.

    `source` and `destination` are the addresses of the pseudo-header. With `checksum_verified` the checksum field is
    not looked at. Raises WireError: "tcp-header", "tcp-checksum" or "tcp-options".
    """
    size = len(data)
    if size < TCP_HEADER_LENGTH:
        raise WireError(TCP_HEADER, f"{size} octets")
    source_port, destination_port, seq, ack, word, wnd, _, up = _header.unpack_from(data)
    header_length = word >> 10 & 0x3C
    if header_length < TCP_HEADER_LENGTH or header_length > size:
        raise WireError(TCP_HEADER, f"data offset {header_length} in a segment of {size} octets")
    # RFC 9293 MUST-3
    if not checksum_verified and not is_valid(
        pseudo_header_sum(source, destination, PROTOCOL_TCP, size) + ones_complement_sum(data)
    ):
        raise WireError(TCP_CHECKSUM)
    return Segment(
        source_port,
        destination_port,
        seq,
        ack,
        word & 0x1FF,
        wnd,
        parse_options(data[TCP_HEADER_LENGTH:header_length]) if header_length > TCP_HEADER_LENGTH else NO_OPTIONS,
        (data[header_length:],) if size > header_length else (),
        segment_size,
        up,
        size - header_length,
        word >> 9 & 7,
    )


def encode_header(segment: Segment, source: bytes, destination: bytes, partial_checksum: bool = False) -> bytes:
    """Return the header with its options; the payload's pieces follow it on the wire.

    With `partial_checksum` the checksum field holds the folded sum of the pseudo-header alone, for a device that
    completes it. Raises struct.error or ValueError if a field is out of its range.
    """
    options = segment.options
    ts_val = options.ts_val
    # A remainder modulo 65535 may be added up from fields of any multiple of 16 bits.
    if options.layout is TIMESTAMPS_LAYOUT and ts_val is not None:
        timestamps = True
        encoded = b""
        ts_ecr = options.ts_ecr or 0
        header_length = 32
        options_sum = TIMESTAMPS_WORD + ts_val + ts_ecr
    else:
        timestamps = False
        ts_val = ts_ecr = 0
        encoded = b"" if options is NO_OPTIONS else options.encode()
        header_length = TCP_HEADER_LENGTH + len(encoded)
        options_sum = int.from_bytes(encoded, "big")
    word = header_length << 10 | segment.reserved << 9 | segment.flags
    # MUST-2
    total = pseudo_header_sum(source, destination, PROTOCOL_TCP, header_length + segment.payload_length)
    if partial_checksum:
        checksum = total % 65535 or 65535
    else:
        total += options_sum + segment.source_port + segment.destination_port + segment.seq + segment.ack + word
        total += segment.wnd + segment.up
        payload = segment.payload
        if payload:
            total += ones_complement_sum(payload[0]) if len(payload) == 1 else sum_of_pieces(payload)
        checksum = 65535 - (total % 65535 or 65535)
    if timestamps:
        return _header_timestamps.pack(
            segment.source_port,
            segment.destination_port,
            segment.seq,
            segment.ack,
            word,
            segment.wnd,
            checksum,
            segment.up,
            TIMESTAMPS_WORD,
            ts_val,
            ts_ecr,
        )
    header = _header.pack(
        segment.source_port,
        segment.destination_port,
        segment.seq,
        segment.ack,
        word,
        segment.wnd,
        checksum,
        segment.up,
    )
    return header + encoded
