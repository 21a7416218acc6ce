"""The record of what was sent and not yet acknowledged.

An ordered record of ranges, each with its segment size, when and how often it was sent, what had been delivered
then, and its fate. A superpacket is one range until an acknowledgment, or a loss, cuts it, at any octet. A loss
marks ranges; `snd_nxt` never moves back. A SYN and a FIN occupy their numbers here like octets of data.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

from synfin.tcp.delivery import Delivery

OUTSTANDING: Final = 0
SACKED: Final = 1
LOST: Final = 2


class SentRange:
    """The octets `start` to `end`, sent in segments of `segment_size` octets of payload.

    `sent_at`: when they were last sent (ns). `transmissions`: how often. `delivered`: how many octets the peer had
    acknowledged in all when they were last sent.
    """

    __slots__ = ("delivered", "end", "fate", "segment_size", "sent_at", "start", "transmissions")

    def __init__(self, start: int, end: int, segment_size: int, sent_at: int, delivered: int) -> None:
        self.start = start
        self.end = end
        self.segment_size = segment_size
        self.sent_at = sent_at
        self.transmissions = 1
        self.delivered = delivered
        self.fate = OUTSTANDING

    def __repr__(self) -> str:
        fate = ("outstanding", "sacked", "lost")[self.fate]
        return f"SentRange({self.start}:{self.end} ×{self.transmissions} {fate})"


def _start(entry: SentRange) -> int:
    return entry.start


class SentRecord:
    """Ranges in order of sequence number, without gaps, from SND.UNA to SND.NXT."""

    __slots__ = ("_entries", "_head", "_lost_from", "in_flight", "lost")

    def __init__(self) -> None:
        self._entries: list[SentRange] = []
        self._head = 0
        #: No lost range starts before this number.
        self._lost_from = 0
        #: Octets that are believed to be in the network: neither sacked nor lost.
        self.in_flight = 0
        #: Octets that are believed lost and were not sent again yet.
        self.lost = 0

    def __len__(self) -> int:
        return len(self._entries) - self._head

    def entries(self) -> list[SentRange]:
        """All ranges, in order: a copy of the list."""
        return self._entries[self._head :]

    def append(self, start: int, end: int, segment_size: int, now: int, delivered: int) -> None:
        """Records that `start` to `end` were sent for the first time."""
        self._entries.append(SentRange(start, end, segment_size, now, delivered))
        self.in_flight += end - start

    def restore(
        self, start: int, end: int, segment_size: int, sent_at: int, delivered: int, transmissions: int, fate: int
    ) -> None:
        """Appends a range as it was in another record."""
        entry = SentRange(start, end, segment_size, sent_at, delivered)
        entry.transmissions = transmissions
        entry.fate = fate
        self._entries.append(entry)
        if fate == OUTSTANDING:
            self.in_flight += end - start
        elif fate == LOST:
            self.lost += end - start

    def acknowledge(self, number: int) -> Delivery:
        """Removes everything before `number`, cutting a range that straddles it."""
        entries = self._entries
        head = self._head
        octets = 0
        segments = 0
        rtt_from = -1
        resent_at = -1
        while head < len(entries):
            entry = entries[head]
            if entry.start >= number:
                break
            if entry.transmissions > 1:
                if resent_at < 0:
                    resent_at = entry.sent_at
            elif rtt_from < 0:
                rtt_from = entry.sent_at
            covered = min(entry.end, number) - entry.start
            octets += covered
            if entry.fate == OUTSTANDING:
                self.in_flight -= covered
            elif entry.fate == LOST:
                self.lost -= covered
            size = entry.segment_size
            if entry.end > number:
                segments += covered // size if size else 0
                entry.start = number
                break
            segments += -(-covered // size) if 0 < size < covered else 1
            head += 1
        self._head = head
        if head > 64 and head * 2 > len(entries):
            del entries[:head]
            self._head = 0
        delivery = Delivery()
        delivery.octets = octets
        delivery.segments = segments
        delivery.rtt_from = rtt_from if resent_at < 0 else -1
        delivery.resent_at = resent_at
        return delivery

    def mark_all_lost(self) -> None:
        """Believes everything lost that is outstanding (after a retransmission time-out)."""
        for index in range(self._head, len(self._entries)):
            entry = self._entries[index]
            if entry.fate == OUTSTANDING:
                entry.fate = LOST
        self.lost += self.in_flight
        self.in_flight = 0
        self._lost_from = 0

    def mark_lost(self, start: int, end: int) -> None:
        """Believes lost what is outstanding between `start` and `end`, cutting ranges at both."""
        index = self._index(start)
        while index < len(self._entries):
            entry = self._entries[index]
            if entry.start >= end:
                break
            if entry.fate == OUTSTANDING:
                if entry.start < start:
                    self._cut(index, start)
                    index += 1
                    entry = self._entries[index]
                if entry.end > end:
                    self._cut(index, end)
                entry.fate = LOST
                self.in_flight -= entry.end - entry.start
                self.lost += entry.end - entry.start
                self._lost_from = min(self._lost_from, entry.start)
            index += 1

    def first_lost(self) -> SentRange | None:
        """The first range that is believed lost and waits to be sent again."""
        if self.lost == 0:
            return None
        for index in range(self._index(self._lost_from), len(self._entries)):
            entry = self._entries[index]
            if entry.fate == LOST:
                self._lost_from = entry.start
                return entry
        return None

    def retransmit(self, entry: SentRange, octets: int, segment_size: int, now: int, delivered: int) -> None:
        """Records that the first `octets` of the lost range `entry` were sent again; what remains stays lost."""
        if entry.start + octets < entry.end:
            self._cut(self._index(entry.start), entry.start + octets)
        entry.fate = OUTSTANDING
        entry.transmissions += 1
        entry.segment_size = segment_size
        entry.sent_at = now
        entry.delivered = delivered
        self.lost -= entry.end - entry.start
        self.in_flight += entry.end - entry.start

    def clear(self) -> None:
        self._entries.clear()
        self._head = 0
        self.in_flight = 0
        self.lost = 0

    def first(self) -> SentRange | None:
        """The oldest range, at SND.UNA."""
        return self._entries[self._head] if self._head < len(self._entries) else None

    def _index(self, number: int) -> int:
        """The index of the range that holds `number`, or of the first one after it."""
        entries = self._entries
        index = bisect_right(entries, number, lo=self._head, key=_start) - 1
        if index < self._head or entries[index].end <= number:
            index = bisect_left(entries, number, lo=self._head, key=_start)
        return index

    def _cut(self, index: int, number: int) -> None:
        """Cuts the range at `index` in two at `number`, which lies inside it."""
        entry = self._entries[index]
        rest = SentRange(number, entry.end, entry.segment_size, entry.sent_at, entry.delivered)
        rest.transmissions = entry.transmissions
        rest.fate = entry.fate
        entry.end = number
        self._entries.insert(index + 1, rest)
