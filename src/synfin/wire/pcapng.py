"""pcapng blocks: writing what a capture needs and reading them back.

Format: draft-ietf-opsawg-pcapng. Written files are little-endian with nanosecond timestamps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, Literal, TypeAlias

from synfin.wire.checksum import Buffer
from synfin.wire.errors import PCAPNG, WireError
from synfin.wire.reading import Octets, Readable, read_exactly

LINK_TYPE_RAW: Final = 101  # raw IPv4 or IPv6

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
OBSOLETE_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6

MAX_BLOCK_LENGTH: Final = 1 << 24
MAX_INTERFACES: Final = 1 << 16
MAX_OPTION_LENGTH: Final = 65535

_BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
_MAGIC_LITTLE: Final = b"\x4d\x3c\x2b\x1a"
_MAGIC_BIG: Final = b"\x1a\x2b\x3c\x4d"

_END_OF_OPTIONS: Final = 0
_COMMENT: Final = 1
_USER_APPLICATION: Final = 4
_INTERFACE_NAME: Final = 2
_TIMESTAMP_RESOLUTION: Final = 9
_TIMESTAMP_OFFSET: Final = 14
_PACKET_FLAGS: Final = 2
_DROPPED_BY_INTERFACE: Final = 5
_DROPPED_BY_SYSTEM: Final = 7

_INBOUND: Final = 1
_OUTBOUND: Final = 2

_NANOSECONDS: Final = 1_000_000_000
#: The interface, and when it was counted.
_STATISTICS_LENGTH: Final = 12

_word = Struct("<I")
_block_frame = Struct("<II")
_option = Struct("<HH")
_section = Struct("<IHHq")
_interface = Struct("<HHI")
_packet = Struct("<IIIII")


class SectionHeader:
    """The start of a section: `byte_order` is "little" or "big"; interfaces count from 0 again."""

    __slots__ = ("application", "byte_order", "comment")

    def __init__(self, byte_order: str, application: str | None, comment: str | None) -> None:
        self.byte_order = byte_order
        self.application = application
        self.comment = comment

    def __repr__(self) -> str:
        return f"<SectionHeader {self.byte_order} {self.application}>"


class InterfaceDescription:
    """An interface. A timestamp counts units of which `units_per_second` make a second, from `offset` seconds on."""

    __slots__ = ("link_type", "name", "offset", "snap_length", "units_per_second")

    def __init__(
        self, name: str | None, link_type: int, snap_length: int, units_per_second: int = 1_000_000, offset: int = 0
    ) -> None:
        self.name = name
        self.link_type = link_type
        self.snap_length = snap_length
        self.units_per_second = units_per_second
        self.offset = offset

    def __repr__(self) -> str:
        return f"<InterfaceDescription {self.name} link_type={self.link_type}>"


class EnhancedPacket:
    """A captured packet. `time_ns`: nanoseconds since the epoch. `inbound`: None if the file does not say."""

    __slots__ = ("comment", "inbound", "interface", "octets", "original_length", "time_ns")

    def __init__(
        self,
        interface: int,
        time_ns: int,
        octets: bytes,
        inbound: bool | None,
        comment: str | None,
        original_length: int,
    ) -> None:
        self.interface = interface
        self.time_ns = time_ns
        self.octets = octets
        self.inbound = inbound
        self.comment = comment
        self.original_length = original_length

    def __repr__(self) -> str:
        return f"<EnhancedPacket interface={self.interface} time_ns={self.time_ns} octets={len(self.octets)}>"


class SimplePacket:
    """A packet captured on the section's first interface, without a time."""

    __slots__ = ("octets", "original_length")

    def __init__(self, octets: bytes, original_length: int) -> None:
        self.octets = octets
        self.original_length = original_length

    def __repr__(self) -> str:
        return f"<SimplePacket octets={len(self.octets)}>"


class InterfaceStatistics:
    """What the program that captured counted on an interface. `dropped`: packets it had no room for, None if unsaid."""

    __slots__ = ("dropped", "interface")

    def __init__(self, interface: int, dropped: int | None) -> None:
        self.interface = interface
        self.dropped = dropped

    def __repr__(self) -> str:
        return f"<InterfaceStatistics interface={self.interface} dropped={self.dropped}>"


class UnknownBlock:
    """A block of a type that is not read here; `body` has neither its lengths nor its type."""

    __slots__ = ("body", "type")

    def __init__(self, type: int, body: bytes) -> None:
        self.type = type
        self.body = body

    def __repr__(self) -> str:
        return f"<UnknownBlock type={self.type:#x} body={len(self.body)}>"


Block: TypeAlias = (
    SectionHeader | InterfaceDescription | EnhancedPacket | SimplePacket | InterfaceStatistics | UnknownBlock
)


def section_header(application: str = "synfin") -> bytes:
    """Return the block that starts a file, its length unspecified."""
    body = _section.pack(_BYTE_ORDER_MAGIC, 1, 0, -1)
    return _block(SECTION_HEADER, body, [(_USER_APPLICATION, application.encode())])


def interface_description(name: str, link_type: int = LINK_TYPE_RAW, snap_length: int = 0) -> bytes:
    """Return the block of one interface, with nanosecond timestamps. `snap_length` 0: no limit."""
    options = [(_INTERFACE_NAME, name.encode()), (_TIMESTAMP_RESOLUTION, b"\x09")]
    return _block(INTERFACE_DESCRIPTION, _interface.pack(link_type, 0, snap_length), options)


def enhanced_packet(
    interface: int,
    time_ns: int,
    octets: Buffer,
    *,
    inbound: bool | None = None,
    comment: str | None = None,
    original_length: int | None = None,
) -> bytes:
    """Return the block of one packet on the `interface`-th description of the section, counted from 0.

    `time_ns`: nanoseconds, not negative. `original_length`: octets before `octets` was cut, by default its length.
    A comment is cut at 65535 octets. Raises struct.error if a number is out of its range.
    """
    length = len(octets)
    body = _packet.pack(
        interface, time_ns >> 32, time_ns & 0xFFFFFFFF, length, length if original_length is None else original_length
    )
    options: list[tuple[int, bytes]] = []
    if inbound is not None:
        options.append((_PACKET_FLAGS, _word.pack(_INBOUND if inbound else _OUTBOUND)))
    if comment is not None:
        options.append((_COMMENT, comment.encode()))
    return _block(ENHANCED_PACKET, b"".join((body, octets, bytes(-length % 4))), options)


def _block(type: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    pieces = [b"", body]
    for code, value in options:
        value = value[:MAX_OPTION_LENGTH]
        pieces += (_option.pack(code, len(value)), value, bytes(-len(value) % 4))
    if options:
        pieces.append(_option.pack(_END_OF_OPTIONS, 0))
    length = sum([len(piece) for piece in pieces]) + 12
    pieces[0] = _block_frame.pack(type, length)
    pieces.append(_word.pack(length))
    return b"".join(pieces)


def read_blocks(source: Buffer | Readable, broken: Callable[[WireError], None] | None = None) -> Iterator[Block]:
    """Yield the blocks of a capture, given as octets or as a file opened for reading octets.

    Both byte orders and every resolution of time are understood. Raises WireError ("pcapng") where the capture makes
    no sense, after the blocks before that; a block may have at most 16 MiB. A packet's block that makes no sense in
    itself is told to `broken`, if that is given, and passed over.
    """
    reader: Readable = Octets(source) if isinstance(source, (bytes, bytearray, memoryview)) else source
    section: _Section | None = None
    while True:
        start = read_exactly(reader, 8)
        if not start:
            return
        if len(start) < 8:
            raise WireError(PCAPNG, "a block is cut short")
        if start[:4] == b"\x0a\x0d\x0d\x0a":
            magic = read_exactly(reader, 4)
            if magic not in (_MAGIC_LITTLE, _MAGIC_BIG):
                raise WireError(PCAPNG, "no byte-order magic")
            section = _Section("little" if magic == _MAGIC_LITTLE else "big")
            start += magic
        elif section is None:
            raise WireError(PCAPNG, "no section header")
        type, length = section.block_frame.unpack_from(start)
        if length % 4 or length < len(start) + 4 or length > MAX_BLOCK_LENGTH:
            raise WireError(PCAPNG, f"a block of {length} octets")
        rest = read_exactly(reader, length - len(start))
        if len(rest) < length - len(start):
            raise WireError(PCAPNG, "a block is cut short")
        if section.word.unpack_from(rest, len(rest) - 4)[0] != length:
            raise WireError(PCAPNG, "a block's two lengths differ")
        body = start[8:] + rest[:-4]
        if broken is None or type in (SECTION_HEADER, INTERFACE_DESCRIPTION):
            yield section.parse(type, body)
            continue
        try:
            block = section.parse(type, body)
        except WireError as error:
            broken(error)
        else:
            yield block


class _Section:
    """What the reader knows of the section that it is in."""

    __slots__ = (
        "block_frame",
        "byte_order",
        "interface",
        "interfaces",
        "obsolete_packet",
        "option",
        "packet",
        "section",
        "signed",
        "word",
    )

    def __init__(self, byte_order: str) -> None:
        mark = "<" if byte_order == "little" else ">"
        self.byte_order = byte_order
        self.word = Struct(mark + "I")
        self.signed = Struct(mark + "q")
        self.block_frame = Struct(mark + "II")
        self.option = Struct(mark + "HH")
        self.section = Struct(mark + "IHHq")
        self.interface = Struct(mark + "HHI")
        self.packet = Struct(mark + "IIIII")
        # Its interface has 16 bits; then the packets that were dropped since the last.
        self.obsolete_packet = Struct(mark + "HxxIIII")
        self.interfaces: list[InterfaceDescription] = []

    def parse(self, type: int, body: bytes) -> Block:
        if type == SECTION_HEADER:
            return self._section_header(body)
        if type == INTERFACE_DESCRIPTION:
            return self._interface_description(body)
        if type == ENHANCED_PACKET:
            return self._packet(body, self.packet)
        if type == OBSOLETE_PACKET:
            return self._packet(body, self.obsolete_packet)
        if type == SIMPLE_PACKET:
            return self._simple_packet(body)
        if type == INTERFACE_STATISTICS:
            return self._interface_statistics(body)
        return UnknownBlock(type, body)

    def _section_header(self, body: bytes) -> SectionHeader:
        if len(body) < self.section.size:
            raise WireError(PCAPNG, "a section header is too short")
        _, major, _, _ = self.section.unpack_from(body)
        if major != 1:
            raise WireError(PCAPNG, f"version {major}")
        options = self._options(body, self.section.size)
        return SectionHeader(self.byte_order, _text(options.get(_USER_APPLICATION)), _text(options.get(_COMMENT)))

    def _interface_description(self, body: bytes) -> InterfaceDescription:
        if len(body) < self.interface.size:
            raise WireError(PCAPNG, "an interface description is too short")
        if len(self.interfaces) == MAX_INTERFACES:
            raise WireError(PCAPNG, f"more than {MAX_INTERFACES} interfaces")
        link_type, _, snap_length = self.interface.unpack_from(body)
        options = self._options(body, self.interface.size)
        found = InterfaceDescription(_text(options.get(_INTERFACE_NAME)), link_type, snap_length)
        resolution = options.get(_TIMESTAMP_RESOLUTION)
        if resolution is not None:
            if len(resolution) != 1:
                raise WireError(PCAPNG, "if_tsresol is not one octet")
            exponent = resolution[0] & 0x7F
            found.units_per_second = (2 if resolution[0] & 0x80 else 10) ** exponent
        offset = options.get(_TIMESTAMP_OFFSET)
        if offset is not None:
            if len(offset) != self.signed.size:
                raise WireError(PCAPNG, "if_tsoffset is not eight octets")
            found.offset = self.signed.unpack(offset)[0]
        self.interfaces.append(found)
        return found

    def _simple_packet(self, body: bytes) -> SimplePacket:
        if len(body) < self.word.size:
            raise WireError(PCAPNG, "a packet block is too short")
        if not self.interfaces:
            raise WireError(PCAPNG, "interface 0 is not described")
        (original_length,) = self.word.unpack_from(body)
        length = min(original_length, self.interfaces[0].snap_length or original_length)
        if length > len(body) - self.word.size:
            raise WireError(PCAPNG, "a packet runs past its block")
        return SimplePacket(body[self.word.size : self.word.size + length], original_length)

    def _interface_statistics(self, body: bytes) -> InterfaceStatistics:
        if len(body) < _STATISTICS_LENGTH:
            raise WireError(PCAPNG, "interface statistics are too short")
        (interface,) = self.word.unpack_from(body)
        options = self._options(body, _STATISTICS_LENGTH)
        counts = [options[code] for code in (_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM) if code in options]
        if any(len(count) != self.signed.size for count in counts):
            raise WireError(PCAPNG, "a count of packets is not eight octets")
        order: Literal["little", "big"] = "little" if self.byte_order == "little" else "big"
        dropped = sum(int.from_bytes(count, order) for count in counts) if counts else None
        return InterfaceStatistics(interface, dropped)

    def _packet(self, body: bytes, layout: Struct) -> EnhancedPacket:
        start = layout.size
        if len(body) < start:
            raise WireError(PCAPNG, "a packet block is too short")
        interface, high, low, length, original_length = layout.unpack_from(body)
        if interface >= len(self.interfaces):
            raise WireError(PCAPNG, f"interface {interface} is not described")
        if length > len(body) - start:
            raise WireError(PCAPNG, "a packet runs past its block")
        description = self.interfaces[interface]
        time_ns = (high << 32 | low) * _NANOSECONDS // description.units_per_second
        time_ns += description.offset * _NANOSECONDS
        end = start + length
        options = self._options(body, end + -length % 4)
        inbound: bool | None = None
        flags = options.get(_PACKET_FLAGS)
        if flags is not None:
            if len(flags) != self.word.size:
                raise WireError(PCAPNG, "epb_flags is not four octets")
            direction = self.word.unpack(flags)[0] & 3
            inbound = {_INBOUND: True, _OUTBOUND: False}.get(direction)
        return EnhancedPacket(
            interface, time_ns, body[start:end], inbound, _text(options.get(_COMMENT)), original_length
        )

    def _options(self, body: bytes, at: int) -> dict[int, bytes]:
        """Return the first option of each code."""
        found: dict[int, bytes] = {}
        while at < len(body):
            if at + 4 > len(body):
                raise WireError(PCAPNG, "an option is cut short")
            code, length = self.option.unpack_from(body, at)
            if code == _END_OF_OPTIONS:
                break
            at += 4
            if at + length > len(body):
                raise WireError(PCAPNG, "an option runs past its block")
            found.setdefault(code, body[at : at + length])
            at += length + -length % 4
        return found


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
