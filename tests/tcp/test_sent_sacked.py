"""The record of what was sent under SACK blocks and RACK's marks, against a scan of all that is in it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.tcp.delivery import Delivery
from synfin.tcp.sent import SentRecord
from synfin.tcp.sent_range import LOST, OUTSTANDING, SACKED, SentRange

OPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *["append", "sack", "retransmit"] * 3,
                "acknowledge",
                "lose",
                "lose once",
                "lose all",
                "before",
                "before",
                "unmark",
                "forget",
            ]
        ),
        st.integers(0, 60),
        st.integers(1, 30),
    ),
    max_size=80,
)


def check(record: SentRecord, una: int, nxt: int) -> None:
    entries = record.entries()
    assert [each for entry in entries for each in range(entry.start, entry.end)] == list(range(una, nxt))
    sums = dict.fromkeys((OUTSTANDING, SACKED, LOST), 0)
    for entry in entries:
        sums[entry.fate] += entry.end - entry.start
    again = sum(e.end - e.start for e in entries if e.again)
    assert all(e.fate == OUTSTANDING and e.transmissions > 1 for e in entries if e.again)
    assert (record.in_flight, record.lost, record.sacked.octets) == (sums[OUTSTANDING], sums[LOST], sums[SACKED])
    assert record.resent == again
    pairs = record.sacked.pairs()
    assert [n for e in entries if e.fate == SACKED for n in range(e.start, e.end)] == [
        n for start, end in pairs for n in range(start, end)
    ]


def left_before(entry: SentRange, serial: int, end: int) -> bool:
    """RFC 8985 §6.2: RACK_sent_after ()"""
    return entry.serial < serial or (entry.serial == serial and entry.end < end)


@settings(max_examples=400)
@given(OPS)
def test_against_a_scan(ops: list[tuple[str, int, int]]) -> None:
    record = SentRecord()
    una = nxt = 1000
    for step, (what, offset, length) in enumerate(ops):
        # Several transmissions at one time, as a burst has them.
        now = step // 3
        if what == "append":
            record.append(nxt, nxt + length, 1, now, 0)
            nxt += length
        elif what == "sack":
            start, end = una + 1 + offset, min(una + 1 + offset + length, nxt)
            if start < end:
                before = {n for e in record.entries() if e.fate == SACKED for n in range(e.start, e.end)}
                delivery = Delivery()
                record.sack(start, end, delivery)
                assert delivery.octets == delivery.sacked == len(set(range(start, end)) - before)
        elif what == "acknowledge":
            number = min(una + offset, nxt)
            new = sum(min(e.end, number) - e.start for e in record.entries() if e.start < number and e.fate != SACKED)
            delivery = Delivery()
            record.acknowledge(number, delivery)
            assert (delivery.octets, delivery.sacked) == (new, 0)
            una = number
        elif what == "lose":
            record.mark_lost(una + offset, una + offset + length)
        elif what == "lose once":
            record.mark_lost(una + offset, una + offset + length, again=False)
            assert all(
                e.transmissions > 1
                for e in record.entries()
                if e.fate == OUTSTANDING and una + offset <= e.start and e.end <= una + offset + length
            )
        elif what == "lose all":
            record.mark_all_lost()
        elif what == "before":
            serial, end, limit = max(step - offset % 9, 0), una + length, now - offset % 7
            entries = [e for e in record.entries() if e.fate == OUTSTANDING and left_before(e, serial, end)]
            expected = [e for e in entries if e.sent_at <= limit]
            waits = max((e.sent_at for e in entries if e.sent_at > limit), default=-1)
            assert record.mark_sent_before(serial, end, limit, 10_000) == (waits, True)
            assert all(e.fate == LOST for e in expected)
            assert all(e.fate == OUTSTANDING for e in entries if e not in expected)
        elif what == "unmark":
            record.unmark_lost()
            assert record.lost == 0
        elif what == "forget":
            record.forget_sacked()
            # What follows on it is a time-out.
            record.mark_all_lost()
        else:
            entry = record.first_lost()
            if entry is not None:
                record.retransmit(entry, min(length, entry.end - entry.start), 1, now, 0)
        check(record, una, nxt)
    record.acknowledge(nxt, Delivery())
    assert record.transmissions.all() == []


def test_it_stops_to_look_after_so_many() -> None:
    record = SentRecord()
    for number in range(100):
        record.append(number, number + 1, 1, number, 0)
    record.sack(99, 100, Delivery())
    assert record.mark_sent_before(100, 100, 10, 1000) == (98, True)
    assert record.mark_sent_before(100, 100, 10, 8) == (18, False)
    assert record.lost == 11
