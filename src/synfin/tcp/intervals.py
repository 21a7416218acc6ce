"""The scoreboard (RFC 6675 §3): which numbers beyond SND.UNA the peer has, as its SACK blocks tell."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Intervals:
    """Half-open intervals of numbers, disjoint and never adjacent, in order. `octets` is how much they cover."""

    __slots__ = ("_ends", "_starts", "octets")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.octets = 0

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def end(self) -> int:
        """The highest number covered, plus one; 0 if there is none."""
        return self._ends[-1] if self._ends else 0

    def pairs(self) -> list[tuple[int, int]]:
        """All intervals, in order."""
        return list(zip(self._starts, self._ends, strict=True))

    def covers(self, start: int, end: int) -> bool:
        """Whether all of `start` to `end` is covered."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and end <= self._ends[index]

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Covers `start` to `end`. Returns what of it was not covered before, in order."""
        starts = self._starts
        ends = self._ends
        # The intervals that overlap or touch: from `low` to before `high`.
        low = bisect_left(ends, start)
        high = bisect_right(starts, end)
        news: list[tuple[int, int]] = []
        at = start
        for index in range(low, high):
            if starts[index] > at:
                news.append((at, min(starts[index], end)))
            at = max(at, ends[index])
        if at < end:
            news.append((at, end))
        if low < high:
            start = min(start, starts[low])
            end = max(end, ends[high - 1])
        starts[low:high] = [start]
        ends[low:high] = [end]
        for first, last in news:
            self.octets += last - first
        return news

    def drop_below(self, number: int) -> None:
        """Forgets all numbers below `number`."""
        starts = self._starts
        ends = self._ends
        gone = bisect_right(ends, number)
        for index in range(gone):
            self.octets -= ends[index] - starts[index]
        del starts[:gone]
        del ends[:gone]
        if starts and starts[0] < number:
            self.octets -= number - starts[0]
            starts[0] = number

    def above(self, octets: int, count: int) -> int:
        """The highest number above which more than `octets` are covered, or at least `count` intervals lie; 0 if there
        is none. It is the start of an interval, or lies within one."""
        covered = 0
        for index in range(len(self._starts) - 1, -1, -1):
            start = self._starts[index]
            end = self._ends[index]
            if covered + (end - start) > octets:
                return end - (octets + 1 - covered)
            covered += end - start
            if len(self._starts) - index >= count:
                return start
        return 0

    def clear(self) -> None:
        self._starts.clear()
        self._ends.clear()
        self.octets = 0
