"""Capture files read, pcap and pcapng: their packets, and what is wrong with the files themselves."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, TypeAlias, cast

from synfin.explain.notes import Notes
from synfin.wire.errors import WireError
from synfin.wire.pcap import MAGICS, PcapReader
from synfin.wire.pcapng import (
    EnhancedPacket,
    InterfaceDescription,
    InterfaceStatistics,
    SectionHeader,
    SimplePacket,
    read_blocks,
)
from synfin.wire.reading import Readable, read_exactly

__all__ = ["Capture", "NotACaptureError"]

#: Nanoseconds, octets, octets before it was cut, type of link, and which interface: the packets of a file.
Record: TypeAlias = tuple[int, bytes, int, int, int]

_PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
_GZIP: Final = b"\x1f\x8b"


class NotACaptureError(ValueError):
    """The file is no capture; the text, in one line, says why."""


class Capture:
    """A capture, read once from its beginning, with a memory that does not depend on its length.

    `notes` is told what is wrong with it. Raises NotACaptureError if the beginning is that of no capture, and OSError
    where the file cannot be read. A file compressed with gzip is read as what is in it.
    """

    __slots__ = ("_file", "_notes", "kind")

    def __init__(self, file: BinaryIO, notes: Notes) -> None:
        self._notes = notes
        start, source = _begun(file)
        if start[:2] == _GZIP:
            try:
                # It is only read; whoever opened the file closes it.
                start, source = _begun(gzip.GzipFile(fileobj=cast(BinaryIO, source), mode="rb"))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise NotACaptureError("it begins like gzip, but is not") from error
        self._file = source
        if start == _PCAPNG:
            self.kind = "pcapng"
        elif start in MAGICS:
            self.kind = "pcap"
        else:
            raise NotACaptureError("it is empty" if not start else "it begins neither as pcap nor as pcapng")

    def records(self) -> Iterator[Record]:
        """Yield the packets. Where the file makes no sense any more, `notes` is told, and it ends there."""
        try:
            yield from self._pcap() if self.kind == "pcap" else self._pcapng()
        except WireError as error:
            self._notes.broken_off(error)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self._notes.broken_off(WireError(self.kind, "its compression is cut short"))

    def _pcap(self) -> Iterator[Record]:
        reader = PcapReader(self._file)
        link = reader.header.link_type
        for time, octets, original_length in reader.records():
            yield time, octets, original_length, link, 0

    def _pcapng(self) -> Iterator[Record]:
        notes = self._notes
        links: list[int] = []
        # A packet without a time of its own passed with the one before it.
        time = 0
        dropped: dict[int, int] = {}
        for block in read_blocks(self._file, notes.broken_packet):
            if isinstance(block, EnhancedPacket):
                time = block.time_ns
                yield time, block.octets, block.original_length, links[block.interface], block.interface
            elif isinstance(block, SimplePacket):
                notes.without_time += 1
                yield time, block.octets, block.original_length, links[0], 0
            elif isinstance(block, InterfaceDescription):
                links.append(block.link_type)
            elif isinstance(block, SectionHeader):
                links.clear()
                dropped.clear()
            elif isinstance(block, InterfaceStatistics) and block.dropped is not None:
                # Each block counts from the beginning of the capture.
                notes.dropped += max(0, block.dropped - dropped.get(block.interface, 0))
                dropped[block.interface] = block.dropped


class _Begun:
    """A file of which the first octets were read already."""

    __slots__ = ("_file", "_start")

    def __init__(self, start: bytes, file: Readable) -> None:
        self._start = start
        self._file = file

    def read(self, size: int, /) -> bytes:
        start = self._start
        if not start:
            return self._file.read(size)
        self._start = start[size:]
        return start[:size]


def _begun(file: BinaryIO | gzip.GzipFile) -> tuple[bytes, Readable]:
    """The first four octets of a file, and the whole of it to be read."""
    peek = getattr(file, "peek", None)
    if peek is not None:
        start = bytes(peek(4)[:4])
        if len(start) == 4:
            return start, file
    # There is nothing to peek into, or not yet enough, as in a pipe.
    start = read_exactly(file, 4)
    return start, _Begun(start, file)
