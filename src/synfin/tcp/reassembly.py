"""Data that arrived: in order for the user, out of order until the gap before it is filled."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

Piece = bytes | bytearray | memoryview

#: What a piece costs beside its octets, about: an object, its view, its place in a queue.
PIECE_OVERHEAD: Final = 256
#: A piece smaller than this is copied rather than keep the packet alive in which it came.
COPY_BELOW: Final = 1024
#: Small pieces in order are joined up to this size.
JOIN_BELOW: Final = 16384


def _charge(piece: Piece) -> int:
    """What keeping `piece` costs: a view keeps the whole packet in which it came."""
    if isinstance(piece, memoryview):
        base = piece.obj
        if isinstance(base, (bytes, bytearray)):
            return len(base) + PIECE_OVERHEAD
    return len(piece) + PIECE_OVERHEAD


def _keep(piece: Piece) -> Piece:
    """`piece`, or a copy of it where it is a small part of what it would keep alive."""
    if isinstance(piece, memoryview):
        length = len(piece)
        if length < COPY_BELOW or length * 2 < _charge(piece):
            return bytes(piece)
    return piece


def _cost(piece: Piece) -> int:
    """What `_keep(piece)` will be charged."""
    length = len(piece)
    charge = _charge(piece)
    return length + PIECE_OVERHEAD if length < COPY_BELOW or length * 2 < charge else charge


class Block:
    """Contiguous octets from `start` to `end` that wait for a gap to be filled."""

    __slots__ = ("charge", "end", "pieces", "start")

    def __init__(self, start: int, end: int, pieces: deque[Piece], charge: int) -> None:
        self.start = start
        self.end = end
        self.pieces = pieces
        self.charge = charge


class Reassembly:
    """Blocks of out-of-order data, disjoint and never adjacent, in order of sequence number.

    `charge` is what they cost in octets of memory. The blocks that changed last are first in `recent`, as
    RFC 2018 §4 wants them reported.
    """

    __slots__ = ("_blocks", "_starts", "charge", "recent")

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self.charge = 0
        self.recent: list[Block] = []

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def end(self) -> int:
        """The number after the last octet kept, 0 if nothing is."""
        return self._blocks[-1].end if self._blocks else 0

    def insert(self, start: int, pieces: tuple[Piece, ...], length: int, limit: int) -> bool:
        """Keeps the octets `start` to `start + length` as far as they are new; False if `limit` forbids it.

        To stay within `limit` (octets of memory), blocks farther from the gap than this one are given up first;
        a receiver may do so (RFC 2018 §8).
        """
        end = start + length
        low, high = self._touched(start, end)
        needed = sum(_cost(piece) for piece in pieces) + (high - low) * PIECE_OVERHEAD
        if not self._make_room(start, needed, limit):
            return False
        low, high = self._touched(start, end)
        touched = self._blocks[low:high]
        merged = self._merge(touched, start, end, pieces)
        self._blocks[low:high] = [merged]
        self._starts[low:high] = [merged.start]
        for block in touched:
            if block is not merged and block in self.recent:
                self.recent.remove(block)
        if merged in self.recent:
            self.recent.remove(merged)
        self.recent.insert(0, merged)
        del self.recent[4:]
        # What was cut to fit between old blocks may have cost a little more than was expected.
        while self.charge > limit:
            self._discard(len(self._blocks) - 1)
        return merged in self._blocks[low : low + 1]

    def overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first of the octets `start` to `end` that are kept already, as a range; None if none are."""
        low, high = self._touched(start, end)
        for block in self._blocks[low:high]:
            first, last = max(start, block.start), min(end, block.end)
            if first < last:
                return first, last
        return None

    def _touched(self, start: int, end: int) -> tuple[int, int]:
        """The indices of the blocks that overlap or touch `start` to `end`: from the first to before the second."""
        low = bisect_left(self._starts, start)
        if low > 0 and self._blocks[low - 1].end >= start:
            low -= 1
        return low, bisect_right(self._starts, end)

    def _merge(self, touched: list[Block], start: int, end: int, pieces: tuple[Piece, ...]) -> Block:
        """One block from the new octets and the old blocks that they touch. Old octets win over new ones."""
        merged = Block(start, start, deque(), 0)
        for block in touched:
            if block.start > merged.end:
                self._extend(merged, pieces, merged.end - start, block.start - start)
            if len(merged.pieces) > len(block.pieces):
                merged.pieces.extend(block.pieces)
            else:
                # The smaller part moves, so that no order of arrival makes this quadratic.
                block.pieces.extendleft(reversed(merged.pieces))
                merged.pieces = block.pieces
            merged.start = min(merged.start, block.start)
            merged.end = block.end
            merged.charge += block.charge
        if end > merged.end:
            self._extend(merged, pieces, merged.end - start, end - start)
        return merged

    def _extend(self, block: Block, pieces: tuple[Piece, ...], begin: int, stop: int) -> None:
        """Appends to `block` what lies between `begin` and `stop` in the sequence of `pieces`."""
        for piece in slice_pieces(pieces, begin, stop):
            kept = _keep(piece)
            charge = _charge(kept)
            block.pieces.append(kept)
            block.charge += charge
            self.charge += charge
        block.end += stop - begin

    def _make_room(self, start: int, needed: int, limit: int) -> bool:
        while self.charge + needed > limit:
            if not self._blocks or self._blocks[-1].start <= start:
                return False
            self._discard(len(self._blocks) - 1)
        return True

    def _discard(self, index: int) -> None:
        block = self._blocks.pop(index)
        self._starts.pop(index)
        self.charge -= block.charge
        if block in self.recent:
            self.recent.remove(block)

    def take(self, rcv_nxt: int) -> Block | None:
        """Removes and returns the first block if it reaches `rcv_nxt`; its octets before `rcv_nxt` are cut."""
        while self._blocks and self._blocks[0].start <= rcv_nxt:
            block = self._blocks[0]
            self._discard(0)
            if block.end > rcv_nxt:
                if block.start < rcv_nxt:
                    kept = slice_pieces(tuple(block.pieces), rcv_nxt - block.start, block.end - block.start)
                    block.pieces = deque(kept)
                    block.start = rcv_nxt
                return block
        return None

    def blocks(self) -> list[Block]:
        """All blocks, in order."""
        return list(self._blocks)

    def ranges(self) -> list[tuple[int, int]]:
        """All blocks as (start, end), in order."""
        return [(block.start, block.end) for block in self._blocks]

    def covers(self, start: int, end: int) -> bool:
        """Whether one block has all of `start` to `end` already."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._blocks[index].end >= end

    def clear(self) -> None:
        self._blocks.clear()
        self._starts.clear()
        self.recent.clear()
        self.charge = 0


def slice_pieces(pieces: tuple[Piece, ...], begin: int, stop: int) -> list[Piece]:
    """The octets `begin` to `stop` of the sequence `pieces`, as views."""
    views: list[Piece] = []
    offset = 0
    for piece in pieces:
        length = len(piece)
        if offset >= stop:
            break
        if offset + length > begin:
            first = max(begin - offset, 0)
            last = min(stop - offset, length)
            views.append(piece if first == 0 and last == length else memoryview(piece)[first:last])
        offset += length
    return views


class ReceiveQueue:
    """Octets in order that the user has not read. `charge` is what they cost in octets of memory."""

    __slots__ = ("_pieces", "charge", "octets")

    def __init__(self) -> None:
        # None while it is empty: an empty deque takes 600 octets, and most connections are idle.
        self._pieces: deque[Piece] | None = None
        self.octets = 0
        self.charge = 0

    def append(self, piece: Piece) -> None:
        """Adds octets at the end. Small ones are joined, so that single octets cost little."""
        length = len(piece)
        if length == 0:
            return
        self.octets += length
        pieces = self._pieces
        if pieces is None:
            pieces = self._pieces = deque()
        elif length < COPY_BELOW:
            last = pieces[-1]
            if isinstance(last, bytearray) and len(last) + length <= JOIN_BELOW:
                last += piece
                self.charge += length
                return
        kept: Piece = bytearray(piece) if length < COPY_BELOW else _keep(piece)
        self.charge += _charge(kept)
        pieces.append(kept)

    def pieces(self) -> list[Piece]:
        """All octets, in order, as they are kept."""
        return list(self._pieces or ())

    def take(self, limit: int) -> list[Piece]:
        """Removes and returns up to `limit` octets, as views of what arrived."""
        taken: list[Piece] = []
        pieces = self._pieces
        if pieces is None:
            return taken
        while limit > 0 and pieces:
            piece = pieces[0]
            length = len(piece)
            if length <= limit:
                pieces.popleft()
                self.charge -= _charge(piece)
                taken.append(piece)
                limit -= length
                self.octets -= length
            else:
                view = memoryview(piece)
                taken.append(bytes(view[:limit]))
                self.charge -= _charge(piece)
                rest: Piece = bytearray(view[limit:]) if isinstance(piece, bytearray) else view[limit:]
                pieces[0] = rest
                self.charge += _charge(rest)
                self.octets -= limit
                limit = 0
        if not pieces:
            self._pieces = None
            self.charge = 0
        return taken

    def peek(self, offset: int, limit: int) -> list[Piece]:
        """Up to `limit` octets from `offset` on, copied; they stay."""
        return [bytes(view) for view in slice_pieces(tuple(self._pieces or ()), offset, offset + limit)]

    def clear(self) -> None:
        self._pieces = None
        self.octets = 0
        self.charge = 0
