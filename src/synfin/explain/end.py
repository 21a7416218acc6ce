"""What is remembered of one end of a connection: what it sent, what of that is acknowledged, what it offered."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

from synfin.explain.dissect import Seen
from synfin.explain.notes import Count
from synfin.wire.tcp_options import NO_OPTIONS, Options

#: Records of segments that every end may keep, and by how many more at a time it may exceed that.
FEWEST_RECORDS: Final = 16
MORE_RECORDS: Final = 256
#: How many more all ends together may have.
ALL_RECORDS: Final = 1 << 17
_MOST_HOLES: Final = 64
#: Records that one segment marks as sent again: more would make hostile captures slow.
_MOST_COVERED: Final = 64
#: Packets among which a copy is looked for. Linux hands on as many as 8 at once before it sends the first (GRO_NORMAL).
_RECENT: Final = 16


class Allowance:
    """How many records of segments all ends may still keep beyond `FEWEST_RECORDS` each."""

    __slots__ = ("left",)

    def __init__(self, left: int = ALL_RECORDS) -> None:
        self.left = left


class Sent:
    """A range of sequence numbers that was sent and is not acknowledged: the packet of the `first` time, the `time` of
    the last, and how many `times`."""

    __slots__ = ("end", "first", "start", "time", "times")

    def __init__(self, start: int, end: int, time: int, number: int) -> None:
        self.start = start
        self.end = end
        self.time = time
        self.first = number
        self.times = 1


class Hole:
    """Sequence numbers that were skipped: when, and with which timestamp the segment behind them left (-1: none)."""

    __slots__ = ("end", "start", "time", "ts_val")

    def __init__(self, start: int, end: int, time: int, ts_val: int) -> None:
        self.start = start
        self.end = end
        self.time = time
        self.ts_val = ts_val


class End:
    """One end. Sequence numbers do not wrap here; `nxt` is None until one is known.

    `una`: the highest acknowledgment of what it sent, made by packet `una_number` of the other end. `wnd`: the field
    of its last segment, -1 before that. `sacked`: the highest right edge in SACK blocks about what it sent.
    `recovery`: while its `una` is below that, it repairs a loss. `duplicates`: duplicate ACKs in a row that it sent.
    `asked`: segments that ask for an answer, since the other end last said anything.
    """

    __slots__ = (
        "_allowance",
        "_allowed",
        "_head",
        "asked",
        "cut",
        "doubtful",
        "duplicates",
        "ends",
        "fin",
        "fin_number",
        "fin_time",
        "first_seq",
        "full",
        "good",
        "holes",
        "last_number",
        "last_time",
        "min_rtt",
        "nxt",
        "octets",
        "offered",
        "options_length",
        "packets",
        "probed",
        "recent",
        "records",
        "recovery",
        "repair_number",
        "sack_time",
        "sacked",
        "syn_acks",
        "syn_number",
        "syn_time",
        "syns",
        "una",
        "una_number",
        "waited",
        "wnd",
        "zero_since",
    )

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._allowed = FEWEST_RECORDS
        self._head = 0
        self.records: list[Sent] = []
        # The upper edges of the records, which are in order.
        self.ends: list[int] = []
        self.holes: list[Hole] = []
        self.recent: deque[Seen] = deque(maxlen=_RECENT)
        self.nxt: int | None = None
        self.first_seq: int | None = None
        self.una = 0
        self.una_number = 0
        self.wnd = -1
        self.zero_since = -1
        self.sacked = 0
        self.sack_time = 0
        #: The last packet that filled a gap, or repeated something.
        self.repair_number = 0
        self.recovery: int | None = None
        self.duplicates = 0
        self.packets = 0
        #: Octets of payload that passed, whether new or not.
        self.octets = 0
        #: The largest payload.
        self.full = 0
        #: The options of its SYN, how long they were, and whether the capture cut them short.
        self.offered: Options = NO_OPTIONS
        self.options_length = 0
        self.cut = False
        self.syns = 0
        self.syn_acks = 0
        self.syn_number = 0
        self.syn_time = 0
        self.fin: int | None = None
        self.fin_number = 0
        self.fin_time = 0
        self.last_number = 0
        self.last_time = 0
        self.probed = False
        self.asked = 0
        self.min_rtt = -1
        #: The last delayed ACK of all it had sent: when it passed, and how long it took; None if that is history.
        self.waited: tuple[int, int] | None = None
        # Checksums that were right, and those that may have been wrong before the first right one.
        self.good = False
        self.doubtful = Count()

    # --- the record of what was sent -----------------------------------------------------------------------------

    def add(self, start: int, end: int, time: int, number: int) -> None:
        """A range behind everything else was sent."""
        records = self.records
        if len(records) >= self._allowed:
            self._make_room()
            records = self.records
        records.append(Sent(start, end, time, number))
        self.ends.append(end)

    def _make_room(self) -> None:
        if self._head:
            del self.records[: self._head]
            del self.ends[: self._head]
            self._head = 0
            if len(self.records) <= self._allowed // 2:
                return
        if self._allowance.left >= MORE_RECORDS:
            self._allowance.left -= MORE_RECORDS
            self._allowed += MORE_RECORDS
        else:
            half = len(self.records) // 2
            del self.records[:half]
            del self.ends[:half]

    def acknowledge(self, ack: int) -> Sent | None:
        """Forget what lies below `ack`; return the last record of it."""
        head = self._head
        ends = self.ends
        size = len(ends)
        last = None
        while head < size and ends[head] <= ack:
            last = self.records[head]
            head += 1
        if head == size:
            if size:
                self.records.clear()
                ends.clear()
            head = 0
        self._head = head
        return last

    def outstanding(self, start: int, end: int) -> Sent | None:
        """The first record that has a number of this range."""
        at = bisect_right(self.ends, start, self._head)
        if at < len(self.records) and self.records[at].start < end:
            return self.records[at]
        return None

    def sent_again(self, start: int, end: int, time: int) -> None:
        """Note in the records of this range that it was sent again."""
        at = bisect_right(self.ends, start, self._head)
        last = min(bisect_left(self.ends, end, at) + 1, at + _MOST_COVERED)
        for record in self.records[at:last]:
            if record.start < end:
                record.time = time
                record.times += 1

    # --- what was skipped ----------------------------------------------------------------------------------------

    def skip(self, start: int, end: int, time: int, ts_val: int) -> None:
        """Sequence numbers were skipped, behind all others."""
        self.holes.append(Hole(start, end, time, ts_val))
        if len(self.holes) > _MOST_HOLES:
            del self.holes[0]

    def fill(self, start: int, end: int) -> Hole | None:
        """This range passed after all; return the hole of which it fills a part."""
        for at, hole in enumerate(self.holes):
            if hole.start < end and start < hole.end:
                parts = [
                    Hole(low, high, hole.time, hole.ts_val)
                    for low, high in ((hole.start, start), (end, hole.end))
                    if low < high
                ]
                self.holes[at : at + 1] = parts
                return hole
        return None

    def missed(self, ack: int) -> int:
        """Forget the holes below `ack`, which the capture missed; return how many octets they have."""
        count = 0
        while self.holes and self.holes[0].start < ack:
            hole = self.holes[0]
            count += min(hole.end, ack) - hole.start
            if hole.end > ack:
                hole.start = ack
                break
            del self.holes[0]
        return count

    def rest(self) -> None:
        """Give everything back that is of no use when the connection is over."""
        self._allowance.left += self._allowed - FEWEST_RECORDS
        self._allowed = FEWEST_RECORDS
        self.records.clear()
        self.ends.clear()
        self.holes.clear()
        self.recent.clear()
        self._head = 0
