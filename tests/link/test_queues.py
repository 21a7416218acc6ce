"""Queue disciplines and bottlenecks, against what the algorithms give when worked out by hand."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import ceil, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin import reasons
from synfin.link.faults import Passage
from synfin.link.queues import Bottleneck, CoDel, Discipline, DropTail, FqCoDel, Queue, Red, Waiting
from synfin.tcp.timers import NEVER
from synfin.wire.ip import CE, ECT_0, ECT_1, NOT_ECT, Packet
from synfin.wire.tcp import ACK, Segment

MS = 1_000_000
SECOND = 1_000_000_000
A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def passage(number: int = 1, size: int = 1000, port: int = 1, ecn: int = NOT_ECT) -> Passage:
    """A packet of `size` octets."""
    segment = Segment(port, 7, number, 0, ACK, 0, payload=(bytes(size - 40),))
    return Passage(Packet(A, B, 6, segment, traffic_class=ecn), number)


def waiting(number: int, arrived: int, size: int = 1000, port: int = 1, ecn: int = NOT_ECT) -> Waiting:
    return Waiting(passage(number, size, port, ecn), arrived)


def begin(discipline: Discipline) -> Queue:
    return discipline.begin(Random(1))


def dropped(queue: Queue) -> list[tuple[int, str]]:
    """Number and reason of all that was dropped since this was last asked."""
    found = [(one.passage.number, one.passage.lost.name if one.passage.lost else "") for one in queue.dropped]
    queue.dropped.clear()
    return found


def number_of(one: Waiting | None) -> int:
    return one.passage.number if one is not None else 0


# --- the bottleneck


def test_packets_leave_at_the_rate() -> None:
    """1000 octets at 8 Mbit/s take a millisecond; each begins when the one before it has left."""
    bottleneck = Bottleneck(8_000_000, begin(DropTail(10)))
    assert bottleneck.next_deadline() == NEVER
    for number, size in ((1, 1000), (2, 500), (3, 1000)):
        bottleneck.arrive(passage(number, size), 5 * MS)
    assert bottleneck.next_deadline() == 6 * MS
    assert bottleneck.deadline_reached(6 * MS - 1) == []
    # Told late, they have left at their time all the same.
    left = bottleneck.deadline_reached(7 * MS)
    assert [(time, one.number) for time, one in left] == [(6 * MS, 1), (6_500_000, 2)]
    assert bottleneck.next_deadline() == 7_500_000
    assert [time for time, _ in bottleneck.deadline_reached(SECOND)] == [7_500_000]
    assert bottleneck.next_deadline() == NEVER
    # Idle since, the next one begins when it arrives.
    bottleneck.arrive(passage(4), SECOND)
    assert bottleneck.next_deadline() == SECOND + MS


def test_drop_tail_drops_what_finds_it_full() -> None:
    bottleneck = Bottleneck(8_000_000, begin(DropTail(2)))
    for number in range(1, 6):
        bottleneck.arrive(passage(number), 0)
    # One is leaving, two wait.
    assert [(one.number, one.lost) for one in bottleneck.take_dropped()] == [
        (4, reasons.QUEUE_FULL),
        (5, reasons.QUEUE_FULL),
    ]
    assert bottleneck.take_dropped() == []
    assert (len(bottleneck.queue), bottleneck.queue.octets) == (2, 2000)
    assert [one.number for _, one in bottleneck.deadline_reached(MS)] == [1]
    bottleneck.arrive(passage(6), MS)
    assert bottleneck.take_dropped() == []
    assert [one.number for _, one in bottleneck.deadline_reached(SECOND)] == [2, 3, 6]


ALL: list[Discipline] = [
    DropTail(5),
    CoDel(5),
    CoDel(50, target=0, interval=1, ecn=True),
    FqCoDel(5),
    FqCoDel(50, target=0, interval=1, ecn=False),
    Red(5, 1, 2, 0.5),
    Red(50, 0, 1, 1.0, ecn=True),
]


@given(
    discipline=st.sampled_from(ALL),
    packets=st.lists(
        st.tuples(st.integers(0, 3 * MS), st.integers(40, 1500), st.integers(1, 3), st.sampled_from([NOT_ECT, ECT_0])),
        max_size=60,
    ),
)
def test_every_packet_leaves_or_is_dropped_for_a_reason(
    discipline: Discipline, packets: list[tuple[int, int, int, int]]
) -> None:
    bottleneck = Bottleneck(4_000_000, discipline.begin(Random(1)))
    now = 0
    left: list[tuple[int, Passage]] = []
    lost: list[Passage] = []
    for number, (gap, size, port, ecn) in enumerate(packets, 1):
        now += gap
        left += bottleneck.deadline_reached(now)
        bottleneck.arrive(passage(number, size, port, ecn), now)
        lost += bottleneck.take_dropped()
        assert len(bottleneck.queue) <= discipline.limit
        assert (bottleneck.queue.octets == 0) == (len(bottleneck.queue) == 0)
    left += bottleneck.deadline_reached(NEVER - 1)
    lost += bottleneck.take_dropped()
    assert sorted(one.number for one in lost + [one for _, one in left]) == list(range(1, len(packets) + 1))
    assert all(one.lost in (reasons.QUEUE_FULL, reasons.DROPPED_BY_QUEUE) for one in lost)
    assert all(one.lost is None for _, one in left)
    # Never faster than the rate: each took its time after the one before.
    for (before, _), (time, one) in pairwise(left):
        assert time - before >= one.packet.total_length * 2000
    # Within a flow nothing overtakes.
    for port in (1, 2, 3):
        numbers = [one.number for _, one in left if packets[one.number - 1][2] == port]
        assert numbers == sorted(numbers)
    assert (len(bottleneck.queue), bottleneck.queue.octets, bottleneck.next_deadline()) == (0, 0, NEVER)


def test_a_mark_is_on_a_copy() -> None:
    for ecn, marked in ((NOT_ECT, False), (ECT_0, True), (ECT_1, True), (CE, True)):
        one = waiting(1, 0, ecn=ecn)
        original = one.passage.packet
        assert one.mark() is marked
        assert original.ecn == ecn
        if marked:
            assert one.passage.packet.ecn == CE
            assert one.passage.packet.payload is original.payload
        else:
            assert one.passage.packet is original


# --- CoDel


def standing(queue: Queue, interval: int, count: int, ecn: int = NOT_ECT) -> list[tuple[int, int]]:
    """A standing queue of 20 packets of 1500 octets: one comes and one goes each `interval`, so that each waits for
    20 of these. Returns (time, number) of all that went."""
    for number in range(1, 21):
        queue.enqueue(waiting(number, (number - 20) * interval, 1500, ecn=ecn))
    went = []
    for turn in range(1, count + 1):
        now = turn * interval
        queue.enqueue(waiting(20 + turn, now, 1500, ecn=ecn))
        went.append((now, number_of(queue.dequeue(now))))
    return went


def test_codel_lets_a_short_queue_be() -> None:
    """Each packet waits for 4 ms, under the target."""
    queue = begin(CoDel())
    standing(queue, MS // 5, 5000)
    assert dropped(queue) == []


def test_codel_lets_a_burst_be() -> None:
    """A queue above the target for less than an interval, 100 ms, is a good queue."""
    queue = begin(CoDel())
    for number in range(1, 101):
        queue.enqueue(waiting(number, 0))
    assert [number_of(queue.dequeue(number * MS)) for number in range(1, 101)] == list(range(1, 101))
    assert dropped(queue) == []


def test_codel_drops_after_an_interval_and_then_ever_more_often() -> None:
    """Packets wait for 20 ms and more. The first that is seen above the target is at 1 ms; an interval later the first
    drop; then after 100 ms / √1, √2, √3 ... each from the last."""
    queue = begin(CoDel())
    times = []
    for turn in range(1, 600):
        now = turn * MS
        if turn == 1:
            for number in range(1, 1 + 20):
                queue.enqueue(waiting(number, now - 20 * MS + number, 1500))
        # As many come as go, the dropped ones too.
        while len(queue) < 21:
            queue.enqueue(waiting(1000 + turn, now, 1500))
        queue.dequeue(now)
        times += [now] * len(dropped(queue))
    # 101, 201, 271.7, 329.4, 379.4, 424.2, 465.0, 502.8, 538.1, 571.5; each at the next packet, a millisecond apart.
    assert [time // MS for time in times] == [101, 201, 272, 330, 380, 425, 465, 503, 539, 572]


def test_codel_stops_once_the_queue_is_short() -> None:
    queue = begin(CoDel())
    for number in range(1, 41):
        queue.enqueue(waiting(number, 0, 1500))
    assert number_of(queue.dequeue(10 * MS)) == 1
    assert number_of(queue.dequeue(110 * MS)) == 3
    assert dropped(queue) == [(2, "dropped-by-queue")]
    # Not before another interval is over.
    assert number_of(queue.dequeue(209 * MS)) == 4
    assert number_of(queue.dequeue(210 * MS)) == 6
    assert dropped(queue) == [(5, "dropped-by-queue")]
    # One packet's worth of octets left is no queue, however long it waited.
    for number in range(7, 38):
        queue.dequeue(210 * MS + number)
    assert dropped(queue) == []
    assert number_of(queue.dequeue(SECOND)) == 39
    assert dropped(queue) == [(38, "dropped-by-queue")]
    assert number_of(queue.dequeue(2 * SECOND)) == 40
    assert dropped(queue) == []
    assert queue.dequeue(2 * SECOND) is None


def test_codel_begins_where_it_left_off_if_that_is_not_long_ago() -> None:
    """RFC 8289 §5.5: the count of the last time, less that before it, is the first guess."""
    discipline = CoDel()
    for pause, again in ((50 * MS, True), (1700 * MS, False)):
        queue = begin(discipline)
        went = standing(queue, 2 * MS, 400)
        first = dropped(queue)
        assert len(first) > 10
        now = went[-1][0]
        # The queue empties, and stands again.
        while queue.dequeue(now) is not None:
            pass
        first += dropped(queue)
        for number in range(2000, 2200):
            queue.enqueue(waiting(number, now + pause, 1500))
        times = []
        for turn in range(250):
            time = now + pause + turn * MS
            queue.enqueue(waiting(3000 + turn, time, 1500))
            queue.dequeue(time)
            times += [turn] * len(dropped(queue))
        # Above the target from 5 ms on, so the first drop is at 105 ms. The next is 100 ms / √count after it, and the
        # count of the last time went from 1 to the number of its drops.
        assert times[0] == 105
        assert times[1] == 105 + ceil(100 / sqrt(len(first) - 1 if again else 1))


def test_codel_marks_those_who_understand_it() -> None:
    marking, dropping = begin(CoDel(ecn=True)), begin(CoDel(ecn=True))
    went = standing(marking, 2 * MS, 300, ECT_0)
    assert dropped(marking) == []
    assert [number for _, number in went] == list(range(1, 301))
    standing(dropping, 2 * MS, 300, NOT_ECT)
    assert len(dropped(dropping)) > 5
    without = begin(CoDel())
    standing(without, 2 * MS, 300, ECT_0)
    assert len(dropped(without)) > 5


def test_codel_marks_as_often_as_it_would_drop() -> None:
    queue = begin(CoDel(ecn=True))
    for number in range(1, 21):
        queue.enqueue(waiting(number, (number - 20) * 2 * MS, 1500, ecn=ECT_0))
    times = []
    for turn in range(1, 300):
        now = turn * 2 * MS
        queue.enqueue(waiting(20 + turn, now, 1500, ecn=ECT_0))
        one = queue.dequeue(now)
        assert one is not None
        if one.passage.packet.ecn == CE:
            times.append(now)
    # Above the target at 2 ms; the first mark an interval later; then after 100, 70.7, 57.7 and 50 ms.
    assert times[:5] == [102 * MS, 202 * MS, 274 * MS, 332 * MS, 382 * MS]


def test_codel_has_a_limit() -> None:
    queue = begin(CoDel(3))
    for number in range(1, 6):
        queue.enqueue(waiting(number, 0))
    assert dropped(queue) == [(4, "queue-full"), (5, "queue-full")]


# --- FQ-CoDel


def test_flows_take_turns() -> None:
    """Packets of 1514 octets use up a quantum each: strictly in turn."""
    queue = begin(FqCoDel())
    for number in range(1, 31):
        queue.enqueue(waiting(number, 0, 1514, port=1))
    for number in range(101, 104):
        queue.enqueue(waiting(number, 0, 1514, port=2))
    assert [number_of(queue.dequeue(0)) for _ in range(8)] == [1, 101, 2, 102, 3, 103, 4, 5]


def test_small_packets_share_a_turn() -> None:
    """DRR counts octets: of 757 octets two make a quantum."""
    queue = begin(FqCoDel())
    for number in range(1, 7):
        queue.enqueue(waiting(number, 0, 757, port=1))
        queue.enqueue(waiting(100 + number, 0, 1514, port=2))
    order = [number_of(queue.dequeue(0)) for _ in range(9)]
    assert order == [1, 2, 101, 3, 4, 102, 5, 6, 103]


def test_a_new_flow_goes_first_once() -> None:
    """RFC 8290 §4.2: new flows before old ones; one that comes to its end waits behind the old ones."""
    queue = begin(FqCoDel())
    for number in range(1, 10):
        queue.enqueue(waiting(number, 0, 1514, port=1))
    assert [number_of(queue.dequeue(0)) for _ in range(2)] == [1, 2]
    queue.enqueue(waiting(100, 0, 100, port=2))
    assert number_of(queue.dequeue(0)) == 100
    # It has used up its being new, though it has little to send.
    queue.enqueue(waiting(101, 0, 100, port=2))
    assert [number_of(queue.dequeue(0)) for _ in range(2)] == [101, 3]
    assert number_of(queue.dequeue(0)) == 4
    queue.enqueue(waiting(102, 0, 100, port=2))
    assert number_of(queue.dequeue(0)) == 102


def test_a_flow_that_came_to_its_end_is_not_new_again_at_once() -> None:
    """It waits behind the old flows, or it could starve them."""
    queue = begin(FqCoDel())
    for number in range(1, 10):
        queue.enqueue(waiting(number, 0, 500, port=1))
    # Four packets use up a quantum, and with the fifth the flow is an old one.
    assert [number_of(queue.dequeue(0)) for _ in range(5)] == [1, 2, 3, 4, 5]
    queue.enqueue(waiting(100, 0, 100, port=2))
    assert [number_of(queue.dequeue(0)) for _ in range(2)] == [100, 6]
    queue.enqueue(waiting(101, 0, 100, port=2))
    # Of its quantum the first flow has something left.
    assert [number_of(queue.dequeue(0)) for _ in range(3)] == [7, 101, 8]


def test_the_fattest_flow_pays_for_a_full_queue() -> None:
    queue = begin(FqCoDel(10))
    for number in range(1, 11):
        queue.enqueue(waiting(number, 0, 1000, port=1))
    for number in range(101, 104):
        queue.enqueue(waiting(number, 0, 1000, port=2))
    # From the head.
    assert dropped(queue) == [(1, "queue-full"), (2, "queue-full"), (3, "queue-full")]
    assert len(queue) == 10


def test_each_flow_has_its_own_codel() -> None:
    """A flow that fills its queue is told to slow down; one that sends little loses nothing."""
    queue = begin(FqCoDel(ecn=False))
    lost: Counter[int] = Counter()
    number = 0
    for turn in range(2000):
        now = turn * MS
        for _ in range(2 if turn % 2 else 1):
            number += 1
            queue.enqueue(waiting(number, now, 1500, port=1))
        if turn % 10 == 0:
            number += 1
            queue.enqueue(waiting(number, now, 300, port=2))
        queue.dequeue(now)
        for one in queue.dropped:
            segment = one.passage.packet.payload
            assert isinstance(segment, Segment)
            lost[segment.source_port] += 1
        queue.dropped.clear()
    assert lost[1] > 20
    assert lost[2] == 0


def test_fq_codel_marks() -> None:
    for ecn, marks in ((True, True), (False, False)):
        queue = begin(FqCoDel(ecn=ecn))
        standing(queue, 2 * MS, 300, ECT_0)
        assert (dropped(queue) == []) is marks


def test_flows_are_bounded() -> None:
    queue = begin(FqCoDel())
    for number in range(1, 5000):
        queue.enqueue(waiting(number, 0, 100, port=number))
    assert len(queue) == 4999
    assert sorted(number_of(queue.dequeue(0)) for _ in range(4999)) == list(range(1, 5000))
    assert queue.dequeue(0) is None
    assert (len(queue), queue.octets) == (0, 0)


# --- RED


def test_red_lets_a_queue_below_its_threshold_be() -> None:
    queue = begin(Red(1000, 5, 15, 1.0))
    standing(queue, MS, 100)
    # The average follows slowly: a hundred packets of a queue of 20 are not yet 5.
    assert dropped(queue) == []


def fill_to_average(queue: Queue, length: int, packets: int, ecn: int = NOT_ECT) -> Counter[str]:
    """Keeps the queue at `length` while `packets` come; counts what became of those that came."""
    counts: Counter[str] = Counter()
    for _ in range(length):
        queue.enqueue(waiting(0, 0, 1000, ecn=ecn))
    for number in range(1, packets + 1):
        one = waiting(number, number * MS, 1000, ecn=ecn)
        queue.enqueue(one)
        lost = dropped(queue)
        fate = lost[0][1] if lost else "marked" if one.passage.packet.ecn == CE else "passed"
        counts[fate] += 1
        if not lost:
            queue.dequeue(number * MS)
    return counts


def test_red_drops_the_more_the_longer_the_average() -> None:
    """Average 10 between 5 and 15, at most 10 %: p_b = 5 %, and p_a spreads the drops evenly, which doubles their
    number but for one (Floyd and Jacobson, §7): every 1/p_b + 1 / 2 packets on average, about 10.5."""
    queue = begin(Red(1000, 5, 15, 0.1))
    fill_to_average(queue, 10, 4000)
    counts = fill_to_average(queue, 0, 4000)
    assert set(counts) == {"passed", "dropped-by-queue"}
    assert 330 < counts["dropped-by-queue"] < 430


def test_red_drops_all_above_its_upper_threshold() -> None:
    queue = begin(Red(1000, 5, 15, 0.1))
    fill_to_average(queue, 30, 3000)
    assert fill_to_average(queue, 0, 100)["dropped-by-queue"] == 100


@pytest.mark.parametrize(("ecn", "fate"), [(ECT_0, "marked"), (NOT_ECT, "dropped-by-queue")])
def test_red_marks_those_who_understand_it(ecn: int, fate: str) -> None:
    queue = begin(Red(1000, 5, 15, 0.1, ecn=True))
    fill_to_average(queue, 10, 4000, ecn)
    counts = fill_to_average(queue, 0, 4000, ecn)
    assert set(counts) == {"passed", fate}
    assert counts[fate] > 300


def test_red_forgets_while_idle() -> None:
    """An average of 12, then silence of 1000 packets' time: 12 · 0.998¹⁰⁰⁰ = 1.6."""
    queue = begin(Red(1000, 5, 15, 0.1))
    fill_to_average(queue, 12, 4000)
    while queue.dequeue(4001 * MS) is not None:
        pass
    # The service time is that between two packets that left one after the other.
    for number in range(3):
        queue.enqueue(waiting(number, 4002 * MS))
    for number in range(4):
        queue.dequeue((4002 + number) * MS)
    queue.enqueue(waiting(9, 5005 * MS))
    average = queue.average  # type: ignore[attr-defined]
    assert 1.3 < average < 1.8


def test_red_has_a_limit() -> None:
    queue = begin(Red(3))
    for number in range(1, 6):
        queue.enqueue(waiting(number, 0))
    assert dropped(queue) == [(4, "queue-full"), (5, "queue-full")]
