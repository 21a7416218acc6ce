"""The impaired path of the goodput campaign, in virtual time: rate, queue, delay, and losses that repeat themselves."""

from __future__ import annotations

from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.beside_kernel.cells import RATE, Cell, Run
from campaigns.beside_kernel.measure import ways
from campaigns.beside_kernel.way import Way
from synfin.link.faults import Passage
from synfin.link.queues import Bottleneck, DropTail
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, Segment

MS = 1_000_000
SECOND = 1_000_000_000
FULL = 1500
#: What a full packet takes at 100 Mbit/s.
TICK = FULL * 8 * SECOND // RATE


def packet(number: int, size: int = FULL) -> bytes:
    return number.to_bytes(4, "big") + bytes(size - 4)


def number_of(octets: bytes) -> int:
    return int.from_bytes(octets[:4], "big")


def arrivals(way: Way) -> list[tuple[int, int]]:
    """When each packet comes out at the other side, and its number."""
    return [(due, number_of(octets)) for due, octets in way.held]


def test_a_packet_alone_takes_its_own_bits_and_the_delay() -> None:
    way = Way(RATE, 100, 10 * MS, 0.0, Random(1))
    way.arrive(packet(1), 5 * MS)
    way.arrive(packet(2, 100), 50 * MS)
    assert arrivals(way) == [(15 * MS + 120_000, 1), (60 * MS + 8_000, 2)]


def test_a_burst_leaves_at_the_rate_and_what_finds_the_queue_full_is_dropped() -> None:
    way = Way(RATE, 3, 10 * MS, 0.0, Random(1))
    for number in range(6):
        way.arrive(packet(number), 0)
    # One is on its way out, three wait.
    assert arrivals(way) == [(10 * MS + (number + 1) * TICK, number) for number in range(4)]
    assert (way.arrived, way.dropped, way.lost) == (6, 2, 0)
    way.arrive(packet(6), TICK - 1)
    assert way.dropped == 3
    way.arrive(packet(7), TICK)
    assert arrivals(way)[-1] == (10 * MS + 5 * TICK, 7)


def test_what_is_sent_at_the_rate_never_waits() -> None:
    way = Way(RATE, 1, 0, 0.0, Random(1))
    for number in range(1000):
        way.arrive(packet(number), number * TICK)
    assert arrivals(way) == [((number + 1) * TICK, number) for number in range(1000)]
    assert way.dropped == 0


@given(
    st.lists(st.tuples(st.integers(0, 3 * TICK), st.integers(40, FULL)), max_size=60),
    st.integers(1, 8),
    st.integers(0, 20 * MS),
)
def test_it_does_what_the_bottleneck_of_links_does(sent: list[tuple[int, int]], limit: int, delay: int) -> None:
    way = Way(RATE, limit, delay, 0.0, Random(1))
    bottleneck = Bottleneck(RATE, DropTail(limit).begin(Random(1)))
    left: list[tuple[int, int]] = []
    times = list(accumulate(gap for gap, _ in sent))
    for number, (now, (_, size)) in enumerate(zip(times, sent, strict=True)):
        way.arrive(packet(number, size), now)
        left += [(time, passage.number) for time, passage in bottleneck.deadline_reached(now)]
        segment = Segment(1, 2, 0, 0, ACK, 0, payload=(bytes(size - 40),))
        bottleneck.arrive(Passage(Packet(bytes(4), bytes(4), 6, segment), number), now)
    left += [(time, passage.number) for time, passage in bottleneck.deadline_reached(1 << 62)]
    assert arrivals(way) == [(time + delay, number) for time, number in left]
    assert way.dropped == len(bottleneck.take_dropped())


def fates(way: Way, gap: int, count: int = 5000) -> list[bool]:
    """Which of so many packets got through."""
    for number in range(count):
        way.arrive(packet(number), number * gap)
    passed = {number for _, number in arrivals(way)}
    return [number in passed for number in range(count)]


def test_the_nth_packet_has_one_fate_with_one_seed_whenever_it_comes() -> None:
    run = Run(Cell("kernel", "kernel", 20, 3.0), 0)
    slow = fates(ways(run)[0], 2 * TICK)
    assert slow == fates(ways(Run(Cell("synfin", "kernel", 20, 3.0), 0))[0], 3 * TICK)
    assert slow != fates(ways(Run(run.cell, 1))[0], 2 * TICK)
    # Five standard deviations are 60.
    assert abs(slow.count(False) - 150) < 60


def test_a_packet_that_the_queue_drops_takes_no_fate_from_those_behind_it() -> None:
    run = Run(Cell("kernel", "kernel", 20, 10.0), 0)
    calm, hurried = ways(run)[0], ways(run)[0]
    passed = fates(calm, TICK)
    # Twice the rate: some find the queue full, but those that are lost are lost all the same.
    crowded = fates(hurried, TICK // 2)
    assert hurried.dropped > 0
    assert hurried.lost == calm.lost == passed.count(False)
    assert all(before or not now for before, now in zip(passed, crowded, strict=True))


@pytest.mark.parametrize(("rtt", "queue"), [(20, 166), (100, 833), (1, 100)])
def test_the_queue_holds_what_the_path_does_and_a_hundred_packets_at_least(rtt: int, queue: int) -> None:
    data, _ = ways(Run(Cell("kernel", "kernel", rtt, 0.0), 0))
    for number in range(queue + 10):
        data.arrive(packet(number), 0)
    assert len(data.held) == queue + 1


def test_acknowledgments_are_delayed_but_never_lost_at_random() -> None:
    data, acknowledgments = ways(Run(Cell("kernel", "kernel", 100, 10.0), 0))
    assert fates(data, TICK).count(False) > 400
    assert all(fates(acknowledgments, TICK))
    assert acknowledgments.held[0][0] == 50 * MS + TICK
