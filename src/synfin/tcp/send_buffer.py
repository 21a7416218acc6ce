"""The octets that the user handed over and the peer has not acknowledged."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

#: Writes are joined while the result stays below this many octets, so that a thousand small ones are one piece.
JOIN_BELOW: Final = 4096


def octets_of(data: bytes | bytearray | memoryview) -> memoryview:
    """A view of `data` as octets that nobody can change: immutable data by reference, mutable data copied."""
    if isinstance(data, bytes):
        return memoryview(data)
    if isinstance(data, memoryview) and data.readonly and isinstance(data.obj, bytes) and data.c_contiguous:
        return data.cast("B")
    return memoryview(bytes(data))


class SendBuffer:
    """A queue of views, addressed by sequence number.

    `start` is the number of the first octet kept (SND.UNA, but for a SYN), `end` that after the last one written.
    """

    __slots__ = ("_head", "_pieces", "_pushes", "_pushes_head", "_starts", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self._pieces: list[memoryview] = []
        self._starts: list[int] = []
        self._head = 0
        #: Where writes ended, in order; those before the index `_pushes_head` are acknowledged.
        self._pushes: list[int] = []
        self._pushes_head = 0

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, data: memoryview) -> None:
        """Adds `data`, a view as `octets_of` gives it, and keeps a reference to it."""
        length = len(data)
        if length == 0:
            return
        if len(self._pieces) > self._head:
            last = self._pieces[-1]
            if len(last) + length < JOIN_BELOW:
                self._pieces[-1] = memoryview(bytes(last) + bytes(data))
                self.end += length
                return
        self._pieces.append(data)
        self._starts.append(self.end)
        self.end += length

    def push(self, unsent: int, mss: int) -> None:
        """Marks the end of what was written: the segment that carries its last octet carries PSH."""
        pushes = self._pushes
        # RFC 9293 §3.9.1.2 (SHLD-27): successive pushes collapse, here where one segment will carry both.
        if pushes and pushes[-1] > unsent and self.end - pushes[-1] < mss:
            pushes[-1] = self.end
        elif not pushes or pushes[-1] != self.end:
            pushes.append(self.end)

    def pushed(self, start: int, end: int) -> bool:
        """Whether a write ended after `start` and not after `end`."""
        pushes = self._pushes
        index = bisect_right(pushes, start, lo=self._pushes_head)
        return index < len(pushes) and pushes[index] <= end

    def pushes(self) -> list[int]:
        """Where writes ended that are not acknowledged yet."""
        return self._pushes[self._pushes_head :]

    def restore_pushes(self, pushes: list[int]) -> None:
        """Sets where writes ended, as `pushes` told it."""
        self._pushes = list(pushes)
        self._pushes_head = 0

    def pieces(self, start: int, end: int) -> tuple[memoryview, ...]:
        """The octets from `start` to `end` as views, without copying."""
        if start >= end:
            return ()
        index = bisect_right(self._starts, start, lo=self._head) - 1
        first = self._pieces[index]
        offset = start - self._starts[index]
        if end - start <= len(first) - offset:
            return (first[offset : offset + end - start],)
        views = [first[offset:]]
        remaining = end - start - (len(first) - offset)
        while remaining > 0:
            index += 1
            piece = self._pieces[index]
            if len(piece) > remaining:
                piece = piece[:remaining]
            views.append(piece)
            remaining -= len(piece)
        return tuple(views)

    def release(self, number: int) -> None:
        """Forgets everything before `number`."""
        number = min(number, self.end)
        if number <= self.start:
            return
        self.start = number
        pushes = self._pushes
        pushed = bisect_right(pushes, number, lo=self._pushes_head)
        if pushed > 64 and pushed * 2 > len(pushes):
            del pushes[:pushed]
            pushed = 0
        self._pushes_head = pushed
        pieces = self._pieces
        starts = self._starts
        head = self._head
        while head < len(pieces) and starts[head] + len(pieces[head]) <= number:
            pieces[head] = _NOTHING
            head += 1
        if head == len(pieces) or (head > 64 and head * 2 > len(pieces)):
            del pieces[:head]
            del starts[:head]
            head = 0
        self._head = head

    def clear(self) -> None:
        self._pieces.clear()
        self._starts.clear()
        self._pushes.clear()
        self._pushes_head = 0
        self._head = 0
        self.start = self.end


_NOTHING: Final = memoryview(b"")
