"""The record of what was sent and not yet acknowledged.

An ordered record of ranges, each with its segment size, when and how often it was sent, what had been delivered
then, and its fate. A superpacket is one range until an acknowledgment, or a loss, cuts it, at any octet. A loss
marks ranges; `snd_nxt` never moves back. A SYN and a FIN occupy their numbers here like octets of data.

Beside it stand the order in which the ranges left, which RACK reads (RFC 8985 §6.2), and the intervals that the peer
has sacked, so that a SACK block costs work for what is new in it alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

from synfin.tcp.delivery import Delivery
from synfin.tcp.intervals import Intervals
from synfin.tcp.sent_range import AGAIN, LOST, NEEDLESSLY, ONCE, OUTSTANDING, SACKED, SentRange, segments
from synfin.tcp.transmissions import Transmissions

# What `SentRecord._look_at` finds.
_REST: Final = 1
_DUE: Final = 2


def _start(entry: SentRange) -> int:
    return entry.start


def _serial(entry: SentRange) -> int:
    return entry.serial


class SentRecord:
    """Ranges in order of sequence number, without gaps, from SND.UNA to SND.NXT."""

    __slots__ = (
        "_entries",
        "_head",
        "_lost_from",
        "fack",
        "in_flight",
        "lost",
        "lost_in_all",
        "mending",
        "resent",
        "sacked",
        "sacked_segments",
        "transmissions",
    )

    def __init__(self) -> None:
        self._entries: list[SentRange] = []
        self._head = 0
        #: No lost range starts before this number.
        self._lost_from = 0
        #: Octets that are believed to be in the network: neither sacked nor lost.
        self.in_flight = 0
        #: Those of them that were sent again.
        self.resent = 0
        #: Those of these that were lost.
        self.mending = 0
        #: Octets that are believed lost and were not sent again yet.
        self.lost = 0
        #: Octets that were ever believed lost.
        self.lost_in_all = 0
        #: The number after the highest one that was delivered by the last acknowledgment or before (RFC 8985 §6.2).
        self.fack = 0
        #: What the peer has sacked.
        self.sacked = Intervals()
        #: So many segments, about.
        self.sacked_segments = 0
        #: In which order they left.
        self.transmissions = Transmissions()

    def __len__(self) -> int:
        return len(self._entries) - self._head

    def entries(self) -> list[SentRange]:
        """All ranges, in order: a copy of the list."""
        return self._entries[self._head :]

    def first(self) -> SentRange | None:
        """The oldest range, at SND.UNA."""
        return self._entries[self._head] if self._head < len(self._entries) else None

    def last(self) -> SentRange | None:
        """The range that ends at SND.NXT."""
        return self._entries[-1] if self._head < len(self._entries) else None

    # --- sending

    def append(self, start: int, end: int, segment_size: int, now: int, delivered: int) -> None:
        """Records that `start` to `end` were sent for the first time."""
        serial = self.transmissions.add(now, start, end)
        self._entries.append(SentRange(start, end, segment_size, now, delivered, serial))
        self.in_flight += end - start

    def restore(
        self,
        start: int,
        end: int,
        segment_size: int,
        sent_at: int,
        delivered: int,
        serial: int,
        transmissions: int,
        fate: int,
    ) -> None:
        """Appends a range as it was in another record. Whose `transmissions` are to be restored too."""
        entry = SentRange(start, end, segment_size, sent_at, delivered, serial)
        entry.transmissions = transmissions
        entry.fate = fate
        self._entries.append(entry)
        if fate == OUTSTANDING:
            self.in_flight += end - start
            if transmissions > 1:
                entry.again = AGAIN
                self.resent += end - start
                self.mending += end - start
        elif fate == LOST:
            self.lost += end - start
        else:
            self.sacked.add(start, end)
            self.sacked_segments += segments(end - start, segment_size)

    def retransmit(
        self, entry: SentRange, octets: int, segment_size: int, now: int, delivered: int, probe: bool = False
    ) -> None:
        """Records that the first `octets` of the lost range `entry` were sent again, perhaps as a `probe` only; what
        remains stays lost."""
        if entry.start + octets < entry.end:
            self._cut(self._index(entry.start), entry.start + octets)
        entry.fate = OUTSTANDING
        entry.transmissions += 1
        entry.segment_size = segment_size
        entry.sent_at = now
        entry.delivered = delivered
        length = entry.end - entry.start
        entry.serial = self.transmissions.add(now, entry.start, entry.end)
        self.lost -= length
        self.in_flight += length
        if not probe:
            entry.again = AGAIN
            self.resent += length
            self.mending += length

    # --- what arrived

    def acknowledge(self, number: int, delivery: Delivery) -> None:
        """Removes everything before `number`, cutting a range that straddles it; `delivery` takes what that tells."""
        entries = self._entries
        head = self._head
        rtt_from = -1
        resent_at = -1
        while head < len(entries):
            entry = entries[head]
            if entry.start >= number:
                break
            covered = min(entry.end, number) - entry.start
            if entry.transmissions > 1 and resent_at < 0:
                resent_at = entry.sent_at
            if entry.fate == SACKED:
                self.sacked_segments -= segments(covered, entry.segment_size)
            else:
                if entry.transmissions == 1 and rtt_from < 0:
                    rtt_from = entry.sent_at
                self._leave(entry, covered)
                self._count(entry, entry.start, entry.start + covered, delivery)
            if entry.end > number:
                entry.start = number
                break
            head += 1
        self._head = head
        if head > 64 and head * 2 > len(entries):
            del entries[:head]
            self._head = 0
        delivery.resent_at = resent_at
        delivery.rtt_from = rtt_from if resent_at < 0 else -1
        if len(self.sacked):
            self.sacked.drop_below(number)
            if len(self.sacked) == 0:
                self.sacked_segments = 0
        self.transmissions.acknowledged(number)

    def sack(self, start: int, end: int, delivery: Delivery) -> None:
        """The peer has `start` to `end`, which lie between SND.UNA and SND.NXT.

        Only whole segments count (RFC 2018 §5), so that no peer can cut the record into smaller pieces.
        """
        if self.sacked.covers(start, end):
            # What most blocks are: nothing new.
            return
        start = self._boundary(start, True)
        end = self._boundary(end, False)
        if start >= end:
            return
        for first, last in self.sacked.add(start, end):
            index = self._index(first)
            while index < len(self._entries):
                entry = self._entries[index]
                if entry.start >= last:
                    break
                if entry.start < first:
                    self._cut(index, first)
                    index += 1
                    entry = self._entries[index]
                if entry.end > last:
                    self._cut(index, last)
                self._leave(entry, entry.end - entry.start)
                entry.fate = SACKED
                entry.again = ONCE
                delivery.sacked += entry.end - entry.start
                self.sacked_segments += segments(entry.end - entry.start, entry.segment_size)
                self._count(entry, entry.start, entry.end, delivery)
                if entry.transmissions == 1 and not 0 <= delivery.sack_rtt_from <= entry.sent_at:
                    delivery.sack_rtt_from = entry.sent_at
                index += 1

    def _boundary(self, number: int, up: bool) -> int:
        """The end of a segment next to `number`, upwards or downwards."""
        index = self._index(number if up else number - 1)
        if index >= len(self._entries):
            return number
        entry = self._entries[index]
        if number <= entry.start or number >= entry.end:
            return number
        size = entry.segment_size
        if size == 0:
            return entry.end if up else entry.start
        offset = number - entry.start
        if up:
            return min(entry.start + offset + -offset % size, entry.end)
        return entry.start + offset - offset % size

    def _leave(self, entry: SentRange, octets: int) -> None:
        """So many octets of `entry` are no longer in flight, or lost."""
        if entry.fate == OUTSTANDING:
            self.in_flight -= octets
            if entry.again:
                self.resent -= octets
                if entry.again == AGAIN:
                    self.mending -= octets
        elif entry.fate == LOST:
            self.lost -= octets

    def _count(self, entry: SentRange, start: int, end: int, delivery: Delivery) -> None:
        octets = end - start
        delivery.octets += octets
        size = entry.segment_size
        if end < entry.end:
            delivery.segments += octets // size if size else 0
        else:
            delivery.segments += segments(octets, size)
        serial = entry.serial
        again = entry.transmissions > 1
        if serial > delivery.latest_serial or (serial == delivery.latest_serial and end > delivery.latest_end):
            delivery.latest_sent_at = entry.sent_at
            delivery.latest_serial = serial
            delivery.latest_end = end
            delivery.latest_again = again
            delivery.latest_delivered = entry.delivered
        if not again:
            if serial > delivery.once_serial or (serial == delivery.once_serial and end > delivery.once_end):
                delivery.once_sent_at = entry.sent_at
                delivery.once_serial = serial
                delivery.once_end = end
            if delivery.original_end < 0 or end < delivery.original_end:
                delivery.original_end = end
            if start < self.fack and not 0 <= delivery.reordered_from <= start:
                delivery.reordered_from = start

    # --- what is lost

    def mark_all_lost(self) -> None:
        """Believes everything lost that is outstanding (after a retransmission time-out)."""
        for index in range(self._head, len(self._entries)):
            entry = self._entries[index]
            if entry.fate == OUTSTANDING:
                entry.fate = LOST
                entry.again = ONCE
        self.lost += self.in_flight
        self.lost_in_all += self.in_flight
        self.in_flight = 0
        self.resent = 0
        self.mending = 0
        self._lost_from = 0
        self.transmissions.replace([])

    def mark_lost(self, start: int, end: int, again: bool = True) -> None:
        """Believes lost what is outstanding between `start` and `end`, cutting ranges at both; without `again`, only
        what was sent once."""
        index = self._index(start)
        while index < len(self._entries):
            entry = self._entries[index]
            if entry.start >= end:
                break
            if entry.fate == OUTSTANDING and (again or entry.transmissions == 1):
                if entry.start < start:
                    self._cut(index, start)
                    index += 1
                    entry = self._entries[index]
                if entry.end > end:
                    self._cut(index, end)
                self._lose(entry)
            index += 1

    def _lose(self, entry: SentRange) -> None:
        length = entry.end - entry.start
        entry.fate = LOST
        self.in_flight -= length
        if entry.again:
            self.resent -= length
            if entry.again == AGAIN:
                self.mending -= length
            entry.again = ONCE
        self.lost += length
        self.lost_in_all += length
        self._lost_from = min(self._lost_from, entry.start)

    def mark_sent_before(self, serial: int, end: int, before: int, most: int) -> tuple[int, bool]:
        """Believes lost what left before the octets up to `end` did in the transmission `serial`, and at the time
        `before` or earlier.

        Returns when the last of the others left that are still waited for, -1 if there are none; and whether all
        were looked at, which are at most `most`.
        """
        transmissions = self.transmissions
        order = transmissions.order
        waits = -1
        first = index = transmissions.first
        while index < len(order):
            time, number, start, stop = order[index]
            if number > serial:
                break
            # RFC 8985 §6.2: of what left together, the sequence numbers tell what came first.
            last = stop if number < serial else min(stop, end - 1)
            left = self._look_at(number, start, stop, last, time <= before)
            index += 1
            if index == first + 1 and not left & _REST:
                first = index
                continue
            if left & _DUE:
                waits = time
            if index - first >= most:
                transmissions.begin_at(first)
                return waits, False
        transmissions.begin_at(first)
        return waits, True

    def _look_at(self, serial: int, start: int, stop: int, last: int, lose: bool) -> int:
        """Goes over what of a transmission is outstanding (a superpacket may be several ranges now) and, if it is to
        `lose` it, marks what ends at `last` or before. Whether there is a rest, and whether some of that is due."""
        entries = self._entries
        index = self._index(start)
        left = 0
        while index < len(entries) and entries[index].start < stop:
            entry = entries[index]
            if entry.fate == OUTSTANDING and entry.serial == serial:
                if entry.end > last:
                    left |= _REST
                elif lose:
                    self._lose(entry)
                else:
                    left |= _REST | _DUE
            index += 1
        return left

    def unmark_lost(self) -> None:
        """Nothing is lost after all: what was believed to be is in the network."""
        self.mending = 0
        if self.resent:
            for index in range(self._head, len(self._entries)):
                if self._entries[index].again:
                    self._entries[index].again = NEEDLESSLY
        if self.lost == 0:
            return
        for index in range(self._index(self._lost_from), len(self._entries)):
            entry = self._entries[index]
            if entry.fate == LOST:
                entry.fate = OUTSTANDING
                self.in_flight += entry.end - entry.start
        self.lost = 0
        entries = sorted(self.entries(), key=_serial)
        self.transmissions.replace([(entry.sent_at, entry.serial, entry.start, entry.end) for entry in entries])

    def forget_sacked(self) -> None:
        """RFC 2018 §8: the receiver may have dropped what it had sacked. It counts as outstanding again."""
        for index in range(self._head, len(self._entries)):
            entry = self._entries[index]
            if entry.fate == SACKED:
                entry.fate = OUTSTANDING
                self.in_flight += entry.end - entry.start
        self.sacked.clear()
        self.sacked_segments = 0
        first = self.first()
        if first is not None:
            # Nor is anything late that arrives now.
            self.fack = first.start

    def first_sent_once(self, start: int, end: int) -> SentRange | None:
        """The first range between `start` and `end` that is outstanding and was sent once, or None."""
        for index in range(self._index(start), len(self._entries)):
            entry = self._entries[index]
            if entry.start >= end:
                break
            if entry.fate == OUTSTANDING and entry.transmissions == 1:
                return entry
        return None

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

    def clear(self) -> None:
        self._entries.clear()
        self.transmissions.replace([])
        self.sacked.clear()
        self.sacked_segments = 0
        self._head = 0
        self.in_flight = 0
        self.resent = 0
        self.mending = 0
        self.lost = 0

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
        rest = SentRange(number, entry.end, entry.segment_size, entry.sent_at, entry.delivered, entry.serial)
        rest.transmissions = entry.transmissions
        rest.fate = entry.fate
        rest.again = entry.again
        entry.end = number
        self._entries.insert(index + 1, rest)
