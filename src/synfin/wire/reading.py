"""Capture files read piece by piece, whether they are open files or octets in memory."""

from __future__ import annotations

from typing import Protocol

from synfin.wire.checksum import Buffer


class Readable(Protocol):
    """A file opened for reading octets."""

    def read(self, size: int, /) -> bytes: ...


class Octets:
    """Octets read as a file is."""

    __slots__ = ("at", "view")

    def __init__(self, data: Buffer) -> None:
        self.view = memoryview(data)
        self.at = 0

    def read(self, size: int, /) -> bytes:
        start = self.at
        self.at = start + size
        return bytes(self.view[start : self.at])


def read_exactly(reader: Readable, size: int) -> bytes:
    """Read `size` octets, fewer only at the end: a raw file may return fewer than it was asked for."""
    octets = reader.read(size)
    if len(octets) == size or not octets:
        return octets
    pieces = [octets]
    missing = size - len(octets)
    while missing:
        octets = reader.read(missing)
        if not octets:
            break
        pieces.append(octets)
        missing -= len(octets)
    return b"".join(pieces)
