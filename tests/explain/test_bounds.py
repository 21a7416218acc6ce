"""Memory that does not depend on the length of a capture, whatever is in it."""

from __future__ import annotations

import io
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from synfin.explain import end as end_module
from synfin.explain import flows as flows_module
from synfin.explain import kinds
from synfin.explain.dissect import Seen
from synfin.explain.end import FEWEST_RECORDS, Allowance, End
from synfin.explain.explanation import explain
from synfin.explain.flows import MOST_FLOWS, MOST_TOLD, Flows
from synfin.explain.kept import BETWEEN, FIRST, LAST, Kept
from synfin.explain.kinds import Finding
from synfin.explain.notes import FORGOTTEN, LEFT_OUT, Notes
from synfin.wire.tcp import ACK, FIN, RST, SYN
from tests.explain.tape import MILLISECOND, Tape, pcap


def syn(number: int, flags: int = SYN) -> Seen:
    address = number.to_bytes(4, "big")
    flow = address + b"\xc0\x00\x02\x01" + b"\x10\x00\x00\x50"
    return Seen(number, number * MILLISECOND, flow, number, 0, flags, 1000, b"", 0, 0)


def test_connections_are_bounded_and_the_longest_silent_go_first() -> None:
    notes = Notes()
    flows = Flows(notes)
    count = 3 * MOST_FLOWS
    for number in range(1, count + 1):
        flows.see(syn(number))
        assert len(flows._table) <= 2 * MOST_FLOWS
    flows.see(syn(count))
    flows.finish()
    assert flows.connections == count
    assert flows.packets == count + 1
    told = flows.told()
    assert len(told) == MOST_TOLD
    assert told[-1].number == count
    said = dict(notes.said())
    assert 0 < int(said[FORGOTTEN]["count"]) < count
    assert said[LEFT_OUT] == {"count": count - MOST_TOLD, "most": MOST_TOLD}


def test_connections_that_are_over_go_before_others() -> None:
    notes = Notes()
    flows = Flows(notes)
    flows.see(syn(1))
    for number in range(2, 3 * MOST_FLOWS):
        flows.see(syn(number))
        flows.see(syn(number, RST))
    assert (1).to_bytes(4, "big") + b"\xc0\x00\x02\x01" + b"\x10\x00\x00\x50" in flows._table
    assert dict(notes.said()).get(FORGOTTEN) is None


def test_the_most_unusual_connections_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows_module, "MOST_TOLD", 3)
    packets = []
    for port in range(40_000, 40_010):
        tape = Tape(ports=(port, 80))
        tape.now += (port - 40_000) * 1000 * MILLISECOND
        tape.open()
        if port in (40_003, 40_007):
            tape.send(1, RST | ACK)
        else:
            tape.close()
        packets += tape.packets
    explanation = explain(io.BytesIO(pcap(packets)))
    assert explanation.flows.connections == 10
    assert [connection.number for connection in explanation.connections] == [1, 4, 8]


def test_records_of_what_was_sent_are_bounded_for_all_ends_together() -> None:
    allowance = Allowance()
    ends = [End(allowance) for _ in range(40)]
    for number in range(6000):
        for end in ends:
            end.add(number, number + 1, 0, number)
    total = sum(len(end.records) for end in ends)
    assert total <= end_module.ALL_RECORDS + len(ends) * FEWEST_RECORDS
    assert allowance.left >= 0
    # What is acknowledged makes room, and what is over gives it back.
    for end in ends:
        end.acknowledge(6000)
        end.rest()
    assert allowance.left == end_module.ALL_RECORDS


def test_old_records_are_given_up_first() -> None:
    end = End(Allowance(0))
    for number in range(100):
        end.add(number, number + 1, 0, number)
    assert len(end.records) <= FEWEST_RECORDS
    assert end.outstanding(99, 100) is not None
    assert end.outstanding(3, 4) is None


def test_holes_are_bounded() -> None:
    end = End(Allowance())
    for number in range(1000):
        end.skip(2 * number, 2 * number + 1, 0, -1)
    assert len(end.holes) == 64


def test_a_ladder_keeps_a_bounded_part() -> None:
    kept = Kept()
    for number in range(1, 20_000):
        kept.add(syn(number, ACK if number % 3 else FIN | ACK), 0)
    rows = kept.rows()
    assert len(rows) <= FIRST + 2 * BETWEEN + LAST
    assert [row.seen.number for row in rows[:FIRST]] == list(range(1, FIRST + 1))
    assert rows[-1].seen.number == 19_999
    # Everything is either shown or counted.
    assert len(rows) + sum(row.gap for row in rows) == 19_999


@pytest.mark.parametrize(("plain", "gap"), [(5, 0), (6, 4), (40, 38)])
def test_few_rows_are_not_left_out(plain: int, gap: int) -> None:
    kept = Kept()
    total = FIRST + plain + 1
    for number in range(1, total + 1):
        kept.add(syn(number, ACK), 0)
    kept.found(Finding(kinds.TIMEOUT, 1, total, 0, 0, {}))
    rows = kept.rows()
    assert sum(row.gap for row in rows) == gap
    assert len(rows) == total - gap
    assert [finding.kind for finding in rows[-1].findings] == [kinds.TIMEOUT]


def long_transfer(packets: int) -> Iterator[bytes]:
    """A capture of one connection with many losses, made as it is read."""
    tape = Tape(timestamps=True, step=0.01)
    tape.open()
    yield tape.file()
    while packets > 0:
        tape.packets.clear()
        for _ in range(50):
            tape.send(1, length=1000)
        tape.send(0, ack=tape.nexts[1] - 10_000)
        tape.send(1, length=1000, seq=tape.nexts[1] - 10_000)
        tape.send(0)
        tape.nexts = [number & 0xFFFFFFFF for number in tape.nexts]
        packets -= len(tape.packets)
        yield tape.file()[24:]


class Stream(io.RawIOBase):
    """A file that is made while it is read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = next(self._parts, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def peak(packets: int) -> int:
    with io.BufferedReader(Stream(long_transfer(packets))) as file:
        tracemalloc.start()
        explain(file)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most


def test_ten_times_the_packets_take_no_more_memory() -> None:
    # Twice, since the first time fills caches.
    peak(2000)
    short, long = peak(2000), peak(20_000)
    assert long < short * 1.2 + 20_000


def test_a_packet_takes_less_than_60_microseconds() -> None:
    data = b"".join(long_transfer(20_000))
    started = time.process_time()
    explanation = explain(io.BytesIO(data))
    assert (time.process_time() - started) / explanation.packets < 60e-6


def test_no_segment_takes_long_however_much_it_covers() -> None:
    end = End(Allowance())
    for number in range(50_000):
        end.add(number, number + 1, 0, number)
    started = time.process_time()
    for _ in range(1000):
        end.sent_again(0, 50_000, 1)
    assert time.process_time() - started < 0.5
