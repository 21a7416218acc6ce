"""Classic pcap files read: both byte orders, micro- and nanoseconds.

Format: draft-ietf-opsawg-pcap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final

from synfin.wire.checksum import Buffer
from synfin.wire.errors import PCAP, WireError
from synfin.wire.reading import Octets, Readable, read_exactly

FILE_HEADER_LENGTH: Final = 24
MAX_RECORD_LENGTH: Final = 1 << 24

_MICROSECOND: Final = 1000
_NANOSECONDS: Final = 1_000_000_000
#: By the first four octets: the mark of the byte order, and nanoseconds in a unit of the timestamps' fraction.
MAGICS: Final[Mapping[bytes, tuple[str, int]]] = MappingProxyType(
    {
        b"\xd4\xc3\xb2\xa1": ("<", _MICROSECOND),
        b"\xa1\xb2\xc3\xd4": (">", _MICROSECOND),
        b"\x4d\x3c\xb2\xa1": ("<", 1),
        b"\xa1\xb2\x3c\x4d": (">", 1),
    }
)
# The upper bits say how long the frame check sequence is.
_LINK_TYPE: Final = 0xFFFF


class FileHeader:
    """What the head of a file says. `byte_order`: "little" or "big". `unit`: nanoseconds in one unit of a fraction."""

    __slots__ = ("byte_order", "link_type", "snap_length", "unit")

    def __init__(self, byte_order: str, unit: int, link_type: int, snap_length: int) -> None:
        self.byte_order = byte_order
        self.unit = unit
        self.link_type = link_type
        self.snap_length = snap_length

    def __repr__(self) -> str:
        return f"<FileHeader {self.byte_order} link_type={self.link_type}>"


class PcapReader:
    """A file of packets, given as octets or as a file opened for reading octets.

    Raises WireError ("pcap") if the head of the file makes no sense.
    """

    __slots__ = ("_record", "_source", "header")

    def __init__(self, source: Buffer | Readable) -> None:
        self._source: Readable = Octets(source) if isinstance(source, (bytes, bytearray, memoryview)) else source
        head = read_exactly(self._source, FILE_HEADER_LENGTH)
        known = MAGICS.get(head[:4])
        if known is None:
            raise WireError(PCAP, "no magic number")
        if len(head) < FILE_HEADER_LENGTH:
            raise WireError(PCAP, "the head of the file is cut short")
        mark, unit = known
        major, _, _, _, snap_length, link_type = Struct(mark + "HHiIII").unpack_from(head, 4)
        if major != 2:
            raise WireError(PCAP, f"version {major}")
        self._record = Struct(mark + "IIII")
        self.header = FileHeader("little" if mark == "<" else "big", unit, link_type & _LINK_TYPE, snap_length)

    def records(self) -> Iterator[tuple[int, bytes, int]]:
        """Yield each packet: its time in nanoseconds, its octets, and its length before it was cut.

        Raises WireError ("pcap") where the file makes no sense, after the packets before that; a packet may have at
        most 16 MiB.
        """
        source = self._source
        unpack = self._record.unpack
        unit = self.header.unit
        while True:
            head = source.read(16)
            if len(head) < 16:
                if head:
                    head += read_exactly(source, 16 - len(head))
                if not head:
                    return
                if len(head) < 16:
                    raise WireError(PCAP, "a record is cut short")
            seconds, fraction, length, original_length = unpack(head)
            if length > MAX_RECORD_LENGTH:
                raise WireError(PCAP, f"a packet of {length} octets")
            octets = read_exactly(source, length)
            if len(octets) < length:
                raise WireError(PCAP, "a record is cut short")
            yield seconds * _NANOSECONDS + fraction * unit, octets, original_length
