"""Faults on wires: in their order, then the rate, then the delay; to the nanosecond."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin import reasons
from synfin.events import Event, PacketDelivered, PacketEvent, PacketLost, PacketTransmitted, Tracer
from synfin.link.faults import parse_fault
from synfin.link.segmentation import cut
from synfin.sim.schedule import Schedule
from synfin.sim.wires import Wire
from synfin.wire.errors import WireError
from synfin.wire.ip import CE, ECT_0, Packet, octets, parse_packet
from synfin.wire.tcp import ACK, Segment

MS = 1_000_000
SECOND = 1_000_000_000
NAMES = ("client", "10.0.0.1", "fd00::1"), ("server", "10.0.0.2")


def tcp(number: int = 1, length: int = 960, segment_size: int = 0, back: bool = False, ecn: int = 0) -> Packet:
    """A packet of 1000 octets, if nothing else is said."""
    addresses = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    source, destination = addresses[::-1] if back else addresses
    segment = Segment(1, 2, number, 0, ACK, 0, payload=(bytes(length),), segment_size=segment_size)
    return Packet(source, destination, 6, segment, traffic_class=ecn)


class Wired:
    """A wire between two ends that only take notes."""

    def __init__(self, *faults: str, delay: int = 0, rate: int = 0, queue: int = 1000, seed: int = 1) -> None:
        self.events: list[PacketEvent] = []
        self.arrived: list[tuple[int, Packet | bytes]] = []
        self.schedule = Schedule()
        self.wire = Wire(self.schedule, self.note, self.note, delay, rate, queue, NAMES)
        for direction, other in ((self.wire.forward, "server"), (self.wire.backward, "client")):
            direction.sender_tracer = Tracer(direction.name, self.heard)
            direction.receiver_tracer = Tracer(other, self.heard)
        for fault in faults:
            self.wire.apply(parse_fault(fault), Random(f"{seed} {fault}"))

    def note(self, packet: Packet | bytes, now: int) -> None:
        self.arrived.append((now, packet))

    def heard(self, event: Event) -> None:
        assert isinstance(event, PacketEvent)
        self.events.append(event)

    def put(self, packet: Packet, back: bool = False) -> None:
        (self.wire.backward if back else self.wire.forward).transmit(packet)

    def run(self, until: int = 1 << 62) -> None:
        while (time := self.schedule.next_time()) is not None and time <= until:
            self.schedule.step()
        self.schedule.now = max(self.schedule.now, min(until, 1 << 61))

    def delivered(self) -> list[tuple[int, int]]:
        return [(one.time, one.number) for one in self.events if isinstance(one, PacketDelivered)]

    def lost(self) -> list[tuple[int, int, reasons.Reason]]:
        return [(one.time, one.number, one.reason) for one in self.events if isinstance(one, PacketLost)]


def test_faults_then_rate_then_delay() -> None:
    """1000 octets at 8 Mbit/s take a millisecond, then 20 ms to the far end."""
    w = Wired("lose packet 2", "delay packet 3 by 1500us", "duplicate packet 4", delay=20 * MS, rate=8_000_000)
    for number in range(1, 5):
        w.put(tcp(number))
    w.run()
    # 1 leaves from 0 to 1 ms, 4 and its copy until 3 ms; 3 arrives at the queue at 1.5 ms and is the last.
    assert w.delivered() == [(21 * MS, 1), (22 * MS, 4), (23 * MS, 4), (24 * MS, 3)]
    assert w.lost() == [(0, 2, reasons.LOST_BY_REQUEST)]
    assert (w.wire.transmitted, w.wire.lost) == (4, 1)
    assert [one.number for one in w.events if isinstance(one, PacketTransmitted)] == [1, 2, 3, 4]


def test_the_packet_that_arrives_is_the_one_that_left() -> None:
    w = Wired("duplicate every packet", "delay every packet by 1ms", "jitter 0s")
    packet = tcp()
    w.put(packet)
    w.run()
    assert [(time, one is packet) for time, one in w.arrived] == [(MS, True), (MS, True)]
    assert all(one.packet is packet for one in w.events)


def test_the_rate_can_be_a_fault() -> None:
    with_fault, given_first = Wired("rate 8Mbit queue 2"), Wired(rate=8_000_000, queue=2)
    for w in (with_fault, given_first):
        for number in range(1, 6):
            w.put(tcp(number))
        w.put(tcp(6, back=True), back=True)
        w.run()
        # One is leaving and two wait; the other way is free.
        assert w.delivered() == [(MS, 1), (MS, 6), (2 * MS, 2), (3 * MS, 3)]
        assert w.lost() == [(0, 4, reasons.QUEUE_FULL), (0, 5, reasons.QUEUE_FULL)]
        assert list(map(str, w.wire.faults)) == ["rate 8Mbit queue 2"]


def test_another_rate_takes_the_place_of_the_first_and_nothing_is_lost() -> None:
    w = Wired(rate=8_000_000)
    for number in (1, 2, 3):
        w.put(tcp(number))
    w.wire.apply(parse_fault("rate 80Mbit from client"), Random(1))
    w.put(tcp(4))
    w.put(tcp(5, back=True), back=True)
    w.run()
    assert sorted(w.delivered()) == [(MS // 10, 4), (MS, 1), (MS, 5), (2 * MS, 2), (3 * MS, 3)]


def test_many_packets_of_no_length_of_time() -> None:
    """At a rate at which a packet takes less than a nanosecond, everything happens at once, and all of it."""
    w = Wired("rate 100000Gbit queue 5")
    for number in range(1, 10):
        w.put(tcp(number))
    w.run()
    assert w.delivered() == [(0, number) for number in range(1, 10)]


def test_directions() -> None:
    for fault, lost in (
        ("lose every packet", [1, 2]),
        ("lose every packet from client", [1]),
        ("lose every packet from server", [2]),
        ("lose every packet from 10.0.0.1", [1]),
        # Another way to write an address.
        ("lose every packet from fd00:0::1", []),
        ("lose every packet from 192.0.2.1", []),
        ("lose 1st packet", [1]),
        ("lose 2nd packet", [2]),
        ("lose 1st packet from server", [2]),
    ):
        w = Wired(fault)
        w.put(tcp())
        w.put(tcp(back=True), back=True)
        w.run()
        assert [number for _, number, _ in w.lost()] == lost, fault


def test_what_a_wire_cannot_do() -> None:
    w = Wired()
    for text in ("lose 2% from nobody", "rate 1Mbit from nobody", "rate 1Mbit from 192.0.2.1", "reboot client at 1s"):
        fault = parse_fault(text)
        with pytest.raises(ValueError, match=str(fault)):
            w.wire.apply(fault, Random(1))
    assert w.wire.faults == []
    assert w.wire.concerned(parse_fault("rate 1Mbit from 10.0.0.2")) == [w.wire.backward]
    assert w.wire.concerned(parse_fault("rate 1Mbit from fd00:0:0::1")) == [w.wire.forward]
    assert w.wire.concerned(parse_fault("lose 2%")) == [w.wire.forward, w.wire.backward]
    assert w.wire.concerned(parse_fault("lose 2% from nobody")) == []
    assert w.wire.concerned(parse_fault("reboot client at 1s")) == []


def test_partition_and_healing() -> None:
    w = Wired("partition from 10s to 40s", delay=MS)
    for second in range(60):
        w.run(second * SECOND)
        w.put(tcp())
    w.run()
    assert [number for _, number in w.delivered()] == [*range(1, 11), *range(41, 61)]
    assert {reason for _, _, reason in w.lost()} == {reasons.PARTITIONED}


def test_what_is_on_its_way_when_the_partition_begins_arrives() -> None:
    w = Wired("partition from 1ms to 1s", delay=500 * MS)
    w.put(tcp())
    w.run()
    assert w.delivered() == [(500 * MS, 1)]


def test_faults_act_on_segments() -> None:
    w = Wired("lose packet 2", "duplicate data 2001-", "delay 1st data by 1ms")
    packet = tcp(1, 3500, 1000)
    w.put(packet)
    w.run()
    assert w.delivered() == [(0, 3), (0, 3), (0, 4), (0, 4), (MS, 1)]
    parts = cut(packet)
    assert [one for _, one in w.arrived] == [parts[2], parts[2], parts[3], parts[3], parts[0]]


def test_damage_arrives_as_octets_when_its_time_has_come() -> None:
    w = Wired("corrupt packet 2", delay=5 * MS)
    for number in (1, 2, 3):
        w.put(tcp(number))
    w.run()
    assert w.delivered() == [(5 * MS, 1), (5 * MS, 3)]
    assert w.lost() == [(5 * MS, 2, reasons.DAMAGED)]
    (damaged,) = [one for _, one in w.arrived if isinstance(one, bytes)]
    assert (int.from_bytes(damaged, "big") ^ int.from_bytes(octets(tcp(2)), "big")).bit_count() == 1
    with pytest.raises(WireError):
        parse_packet(damaged)


def test_damage_that_nobody_can_see_is_a_delivery() -> None:
    """A flow label of IPv6 is in no checksum."""
    source, destination = (bytes.fromhex("fd00" + "0" * 27 + digit) for digit in "12")
    packet = Packet(source, destination, 6, Segment(1, 2, 3, 4, ACK, 5))
    seen = unseen = 0
    for seed in range(300):
        w = Wired("corrupt every packet", seed=seed)
        w.put(packet)
        w.run()
        ((_, arrived),) = w.arrived
        if isinstance(arrived, bytes):
            seen += 1
            assert [reason for _, _, reason in w.lost()] == [reasons.DAMAGED]
            assert w.delivered() == []
        else:
            unseen += 1
            assert w.lost() == []
            assert w.events[-1].packet is arrived
            assert arrived != packet
    # 44 of 480 bits.
    assert 10 < unseen < 50


@pytest.mark.parametrize(
    ("queue", "marks", "drops"),
    [
        ("codel ecn", True, False),
        ("codel", False, True),
        ("fq-codel", True, False),
        ("red min 2 max 5000 ecn", True, False),
    ],
)
def test_queues_warn(queue: str, marks: bool, drops: bool) -> None:
    """Two packets come each millisecond, and one and a half go."""
    w = Wired(f"rate 12Mbit queue 10000 {queue}")
    for turn in range(3000):
        w.run(turn * MS)
        for _ in range(2):
            w.put(tcp(turn, ecn=ECT_0))
    w.run()
    marked = [one for _, one in w.arrived if isinstance(one, Packet) and one.ecn == CE]
    assert (len(marked) > 10) is marks
    assert all(
        octets(one)[40:] == octets(tcp(one.payload.seq))[40:] for one in marked if isinstance(one.payload, Segment)
    )
    assert (len(w.lost()) > 10) is drops
    assert {reason for _, _, reason in w.lost()} <= {reasons.DROPPED_BY_QUEUE}
    assert len(w.arrived) + len(w.lost()) == 6000
    assert w.wire.lost == len(w.lost())


TEXTS = [
    "lose 20%",
    "lose burst p=10% r=30% from client",
    "lose every 3rd data",
    "duplicate 20%",
    "delay 30% by 5ms",
    "jitter 2ms",
    "corrupt 10%",
    "partition from 5ms to 9ms",
    "rate 2Mbit queue 5",
    "rate 1Mbit queue 20 codel target 1ms interval 10ms ecn",
    "rate 1Mbit queue 5 fq-codel from server",
    "rate 3Mbit queue 9 red min 1 max 3 p=50%",
]
traffic = st.lists(st.tuples(st.booleans(), st.integers(0, 2 * MS), st.integers(1, 2000)), max_size=30)


def story(faults: list[str], packets: list[tuple[bool, int, int]], seed: int) -> Wired:
    w = Wired(*faults, delay=MS, seed=seed)
    now = 0
    for number, (back, gap, length) in enumerate(packets):
        now += gap
        w.run(now)
        w.put(tcp(number, length, 500, back), back)
    w.run()
    return w


@given(faults=st.lists(st.sampled_from(TEXTS), max_size=5, unique=True), packets=traffic, seed=st.integers(0, 3))
def test_every_packet_arrives_or_is_lost_for_a_reason(
    faults: list[str], packets: list[tuple[bool, int, int]], seed: int
) -> None:
    w = story(faults, packets, seed)
    numbers = list(range(1, w.wire.transmitted + 1))
    assert [one.number for one in w.events if isinstance(one, PacketTransmitted)] == numbers
    ended = [number for _, number in w.delivered()] + [number for _, number, _ in w.lost()]
    assert set(ended) == set(numbers)
    doubling = "duplicate 20%" in faults
    if not doubling:
        assert sorted(ended) == numbers
    assert len(ended) <= len(numbers) * (2 if doubling else 1)
    damaged = [one for one in w.lost() if one[2] is reasons.DAMAGED]
    assert len(w.arrived) == len(w.delivered()) + len(damaged)
    assert w.wire.lost == len(w.lost())
    assert [one.time for one in w.events] == sorted(one.time for one in w.events)
    if not any(fault.startswith(("delay", "jitter", "rate")) for fault in faults):
        # Nothing overtakes.
        assert [number for _, number in w.delivered()] == sorted(number for _, number in w.delivered())


@given(faults=st.lists(st.sampled_from(TEXTS), max_size=5), packets=traffic, seed=st.integers(0, 3))
def test_the_same_again(faults: list[str], packets: list[tuple[bool, int, int]], seed: int) -> None:
    first, second = (story(faults, packets, seed) for _ in range(2))
    for one, other in zip(first.events, second.events, strict=True):
        assert (type(one), one.time, one.number) == (type(other), other.time, other.number)
        assert octets(one.packet) == octets(other.packet)


@given(
    faults=st.lists(st.sampled_from(TEXTS), max_size=4, unique=True),
    packets=traffic,
    nth=st.integers(1, 30),
    at=st.data(),
)
def test_one_loss_more_is_the_same_history_up_to_there(
    faults: list[str], packets: list[tuple[bool, int, int]], nth: int, at: st.DataObject
) -> None:
    place = at.draw(st.integers(0, len(faults)))
    without = story(faults, packets, 1)
    with_it = story([*faults[:place], f"lose packet {nth}", *faults[place:]], packets, 1)
    for one, other in zip(without.events, with_it.events, strict=False):
        if one.number == other.number == nth and not isinstance(one, PacketTransmitted):
            break
        assert (type(one), one.time, one.number) == (type(other), other.time, other.number)
        if isinstance(one, PacketTransmitted) and one.number == nth:
            break
