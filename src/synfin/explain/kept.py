"""The packets of one connection that a ladder shows: its beginning, its end, and what surrounds anything unusual."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from synfin.explain.kinds import REMARK
from synfin.wire.tcp import FIN, RST, SYN

if TYPE_CHECKING:
    from synfin.explain.dissect import Seen
    from synfin.explain.kinds import Finding

#: How many packets at the beginning and at the end, and how many between them.
FIRST: Final = 20
LAST: Final = 12
BETWEEN: Final = 60
#: How many around one that is unusual: before it and behind it.
_BEFORE: Final = 2
_BEHIND: Final = 2
#: What is but a remark is shown while there are fewer than so many.
_REMARKS: Final = 12
#: Room for those that open or close.
_ENDINGS: Final = 20
#: So few rows are not left out.
_SKIPPED: Final = 3


class Row:
    """A packet that is shown, which end sent it, and what was found there. `gap`: packets left out before it, with
    `gap_octets` of payload."""

    __slots__ = ("end", "findings", "gap", "gap_octets", "seen")

    def __init__(self, seen: Seen, end: int) -> None:
        self.seen = seen
        self.end = end
        self.findings: list[Finding] = []
        self.gap = 0
        self.gap_octets = 0


class Kept:
    """Takes every packet of a connection, and keeps a bounded number of them."""

    __slots__ = ("_behind", "_between", "_gap", "_gap_octets", "_last", "_rows", "_skipped")

    def __init__(self) -> None:
        self._rows: list[Row] = []
        # Rows of which it is not yet known whether they are shown.
        self._last: deque[Row] = deque()
        # Rows left out: the first few, which are shown after all if they remain the only ones; or their sums.
        self._skipped: list[Row] = []
        self._gap = 0
        self._gap_octets = 0
        self._behind = 0
        self._between = 0

    def add(self, seen: Seen, end: int) -> None:
        """A packet passed."""
        row = Row(seen, end)
        if len(self._rows) < FIRST:
            self._rows.append(row)
            return
        self._last.append(row)
        if seen.flags & (SYN | FIN | RST) and self._between < BETWEEN + _ENDINGS:
            self._show(1)
        elif self._behind:
            self._behind -= 1
            self._show(1)
        elif len(self._last) > LAST:
            self._leave_out(self._last.popleft())

    def found(self, finding: Finding) -> None:
        """Something was found at the last packet."""
        row = self._last[-1] if self._last else self._rows[-1] if self._rows else None
        if row is None or finding.number != row.seen.number:
            return
        row.findings.append(finding)
        if self._last and self._between < BETWEEN and (finding.kind.weight > REMARK or self._between < _REMARKS):
            self._show(1 + _BEFORE)
            self._behind = _BEHIND

    def rows(self) -> list[Row]:
        """What is shown, in order."""
        rest = list(self._last)
        if rest:
            rest[0].gap, rest[0].gap_octets = self._gap, self._gap_octets
        return self._rows + self._skipped + rest

    def _show(self, count: int) -> None:
        """Show the last `count` rows, and leave out what is before them."""
        while len(self._last) > count:
            self._leave_out(self._last.popleft())
        self._rows += self._skipped
        self._between += len(self._skipped)
        self._skipped = []
        while self._last:
            row = self._last.popleft()
            row.gap, row.gap_octets = self._gap, self._gap_octets
            self._gap = self._gap_octets = 0
            self._rows.append(row)
            self._between += 1

    def _leave_out(self, row: Row) -> None:
        self._skipped.append(row)
        if self._gap or len(self._skipped) > _SKIPPED:
            for skipped in self._skipped:
                self._gap += 1
                self._gap_octets += skipped.seen.payload
            self._skipped = []
