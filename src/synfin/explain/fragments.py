"""IP fragments of TCP segments: when they are whole, by their lengths alone, since captures cut them short."""

from __future__ import annotations

from typing import Final

from synfin.explain.notes import Notes

#: Datagrams of which some fragments were seen. The oldest makes room.
MOST_DATAGRAMS: Final = 256
_MOST_PIECES: Final = 64


class _Datagram:
    __slots__ = ("head", "pieces", "protocol", "size")

    def __init__(self) -> None:
        self.pieces: list[tuple[int, int]] = []
        # The beginning of the upper layer's header; octets of the whole, -1 until the last fragment came.
        self.head = b""
        self.size = -1
        self.protocol = 0

    def is_whole(self) -> bool:
        end = 0
        for start, stop in sorted(self.pieces):
            if start > end:
                return False
            end = max(end, stop)
        return bool(self.head) and end >= self.size >= 0


class Fragments:
    """A bounded table of datagrams that are not whole yet."""

    __slots__ = ("_notes", "_table")

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._table: dict[bytes, _Datagram] = {}

    def add(
        self, key: bytes, offset: int, length: int, more: bool, head: bytes, protocol: int = 0
    ) -> tuple[bytes, int, int] | None:
        """A fragment passed. Return the head, the length and the protocol of its datagram, if that is whole now."""
        notes = self._notes
        notes.fragments += 1
        found = self._table.get(key)
        if found is None:
            if len(self._table) >= MOST_DATAGRAMS:
                del self._table[next(iter(self._table))]
            notes.fragments_lost += 1
            found = self._table[key] = _Datagram()
        if len(found.pieces) < _MOST_PIECES:
            found.pieces.append((offset, offset + length))
        if not offset:
            found.head = head
            found.protocol = protocol
        if not more:
            found.size = offset + length
        if not found.is_whole():
            return None
        del self._table[key]
        notes.fragments_whole += 1
        notes.fragments_lost -= 1
        return found.head, found.size, found.protocol
