"""The record of what was sent, against a naive model: one entry for each octet."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.tcp.delivery import Delivery
from synfin.tcp.sent import SentRecord
from synfin.tcp.sent_range import LOST, OUTSTANDING

OPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "append", "acknowledge", "lose", "lose all", "retransmit", "retransmit"]),
        st.integers(0, 40),
        st.integers(1, 40),
    ),
    max_size=150,
)
START = (1 << 32) - 50


class Octet:
    def __init__(self, sent_at: int) -> None:
        self.sent_at = sent_at
        self.fate = OUTSTANDING
        self.transmissions = 1


def check(record: SentRecord, model: dict[int, Octet], una: int, nxt: int) -> None:
    entries = record.entries()
    assert len(record) == len(entries)
    assert [octet for entry in entries for octet in range(entry.start, entry.end)] == list(range(una, nxt))
    assert all(entry.start < entry.end for entry in entries)
    for entry in entries:
        for number in range(entry.start, entry.end):
            octet = model[number]
            assert (entry.fate, entry.transmissions, entry.sent_at) == (octet.fate, octet.transmissions, octet.sent_at)
    assert record.in_flight == sum(octet.fate == OUTSTANDING for octet in model.values())
    assert record.lost == sum(octet.fate == LOST for octet in model.values())
    first = record.first()
    assert (first.start if first else nxt) == una
    lost = [number for number, octet in sorted(model.items()) if octet.fate == LOST]
    first_lost = record.first_lost()
    assert (first_lost.start if first_lost else None) == (lost[0] if lost else None)


@settings(max_examples=300)
@given(OPS)
def test_against_a_model_of_octets(ops: list[tuple[str, int, int]]) -> None:
    record = SentRecord()
    model: dict[int, Octet] = {}
    una = nxt = START
    for now, (what, offset, length) in enumerate(ops):
        if what == "append":
            record.append(nxt, nxt + length, 10, now, 0)
            model.update((number, Octet(now)) for number in range(nxt, nxt + length))
            nxt += length
        elif what == "acknowledge":
            number = min(una + offset, nxt)
            covered = [model.pop(each) for each in range(una, number)]
            result = Delivery()
            record.acknowledge(number, result)
            assert result.octets == len(covered)
            if any(octet.transmissions > 1 for octet in covered) or not covered:
                assert result.rtt_from == -1
            else:
                assert result.rtt_from == covered[0].sent_at
            una = number
        elif what == "lose":
            start, end = una + offset, una + offset + length
            record.mark_lost(start, end)
            for number in range(max(start, una), min(end, nxt)):
                model[number].fate = LOST
        elif what == "lose all":
            record.mark_all_lost()
            for octet in model.values():
                octet.fate = LOST
        else:
            entry = record.first_lost()
            if entry is not None:
                octets = min(length, entry.end - entry.start)
                numbers = range(entry.start, entry.start + octets)
                record.retransmit(entry, octets, 7, now, 3)
                assert (entry.segment_size, entry.delivered, entry.sent_at) == (7, 3, now)
                for number in numbers:
                    octet = model[number]
                    octet.fate, octet.sent_at = OUTSTANDING, now
                    octet.transmissions += 1
        check(record, model, una, nxt)


def test_the_list_does_not_keep_what_was_acknowledged() -> None:
    record = SentRecord()
    for number in range(100_000):
        record.append(number, number + 1, 1, 0, 0)
        record.acknowledge(number - 10, Delivery())
    assert len(record._entries) < 200


def test_clear() -> None:
    record = SentRecord()
    record.append(0, 10, 5, 0, 0)
    record.mark_lost(0, 5)
    record.clear()
    assert (len(record), record.in_flight, record.lost, record.first(), record.first_lost()) == (0, 0, 0, None, None)
