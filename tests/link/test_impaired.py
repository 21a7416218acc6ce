"""Faults on real links: both ways, with time, with superpackets, with a device that is full."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin import reasons
from synfin.link.channel import Channel, channel_pair
from synfin.link.faults import Fault, parse_fault
from synfin.link.impaired import HELD_LIMIT, RETRY, Impaired
from synfin.link.link import Frame, Link
from synfin.link.segmentation import cut
from synfin.link.tun import Tun
from synfin.tcp.timers import NEVER
from synfin.wire.errors import WireError
from synfin.wire.ip import Packet, octets, parse_packet
from synfin.wire.tcp import ACK, CWR, FIN, PSH, Segment, timestamp_options

V4 = bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3])
V6 = bytes.fromhex("fd000009" + "0" * 23 + "2"), bytes.fromhex("fd000009" + "0" * 23 + "3")
Connect = Callable[[bool], tuple[Tun, Tun]]
MS = 1_000_000
SECOND = 1_000_000_000


def tcp(payload: bytes = b"", segment_size: int = 0, addresses: tuple[bytes, bytes] = V4) -> Packet:
    segment = Segment(
        40000, 7, 2**32 - 50, 99, ACK | PSH | FIN | CWR, 512, timestamp_options(5, 6), (payload,), segment_size
    )
    return Packet(*addresses, 6, segment, identification=65530 if addresses is V4 else 0)


def numbered(number: int) -> Packet:
    return tcp(number.to_bytes(4, "big"))


class Clock:
    """Says what the test wants."""

    def __init__(self) -> None:
        self.now = 77 * SECOND

    def __call__(self) -> int:
        return self.now


def faults(*texts: str) -> list[Fault]:
    return [parse_fault(text) for text in texts]


def drain(link: Link) -> list[Packet]:
    packets = []
    frame = link.receive()
    while frame is not None:
        packets.append(
            parse_packet(frame.data, checksum_verified=frame.checksum_verified, segment_size=frame.segment_size)
        )
        frame = link.receive()
    return packets


def segment_of(packet: Packet) -> Segment:
    assert isinstance(packet.payload, Segment)
    return packet.payload


def pieces(packets: list[Packet]) -> list[Packet]:
    return [part for packet in packets for part in cut(packet)]


def numbers(packets: list[Packet]) -> list[int]:
    return [int.from_bytes(segment_of(packet).payload_bytes(), "big") for packet in packets]


def look(packet: Packet) -> tuple[int, int, int, bytes]:
    segment = segment_of(packet)
    return segment.seq, segment.flags, packet.identification, segment.payload_bytes()


@given(
    length=st.integers(1, 300),
    segment_size=st.integers(8, 50),
    lost=st.sets(st.integers(1, 40)),
    outgoing=st.booleans(),
    offload=st.booleans(),
    addresses=st.sampled_from([V4, V6]),
)
def test_segments_are_lost_and_the_others_pass(
    length: int, segment_size: int, lost: set[int], outgoing: bool, offload: bool, addresses: tuple[bytes, bytes]
) -> None:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left, right = (Tun.from_fd(end.detach(), offload) for end in ends)
    with left, right:
        packet = tcp(bytes(index % 256 for index in range(length)), segment_size, addresses)
        parts = cut(packet)
        losses = faults(*(f"lose packet {number}" for number in lost))
        if outgoing:
            link = Impaired(left, losses)
            assert link.send(packet)
            arrived = drain(right)
        else:
            assert left.send(packet)
            link = Impaired(right, losses)
            arrived = drain(link)
        expected = [part for number, part in enumerate(parts, 1) if number not in lost]
        assert list(map(look, pieces(arrived))) == list(map(look, expected))
        assert link.lost == len(parts) - len(expected)
        assert link.next_deadline() == NEVER


def test_what_lies_between_stays_in_one_piece(connected: Connect) -> None:
    left, right = connected(True)
    Impaired(left, faults("lose packet 4-5")).send(tcp(b"x" * 1000, 100))
    assert [segment_of(packet).payload_length for packet in drain(right)] == [300, 500]
    left.send(tcp(b"x" * 1000, 100))
    link = Impaired(right, faults("lose packet 1", "duplicate packet 3", "lose packet 10"))
    assert [segment_of(packet).payload_length for packet in drain(link)] == [100, 100, 100, 600]


def test_what_is_unharmed_is_the_very_packet_and_frame() -> None:
    inner = Fake()
    link = Impaired(inner, faults("lose 0%", "delay 0% by 5ms"))
    packet = tcp(b"x" * 1000, 100)
    assert link.send(packet)
    assert inner.sent[0] is packet
    inner.frames.append(Frame(octets(tcp(b"abc"))))
    frame = inner.frames[0]
    assert link.receive() is frame


class Fake(Link):
    """A link whose state the test sets."""

    mtu = 1400
    room = 1500

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.sent: list[Packet] = []
        self.free = 1_000_000
        self.offered: list[Packet] = []

    def fileno(self) -> int:
        return 7

    def receive(self) -> Frame | None:
        return self.frames.pop(0) if self.frames else None

    def send(self, packet: Packet) -> bool:
        self.offered.append(packet)
        if not self.free:
            return False
        self.free -= 1
        self.sent.append(packet)
        return True

    def close(self) -> None: ...


def test_what_cannot_be_parsed_is_for_the_host_to_count() -> None:
    inner = Fake()
    inner.frames = [Frame(b"\x45 no packet at all")]
    frame = inner.frames[0]
    link = Impaired(inner, faults("lose every packet"))
    assert link.receive() is frame
    assert link.receive() is None
    assert link.lost == 0
    assert (link.mtu, link.room, link.fileno()) == (1400, 1500, 7)


def test_directions_have_names_and_addresses(connected: Connect) -> None:
    left, right = connected(True)
    for text, out, back in (
        ("lose every packet", 0, 0),
        ("lose every packet from synfin", 0, 3),
        ("lose every packet from kernel", 3, 0),
        # Both ends of this pair send from the same address.
        ("lose every packet from 10.9.0.2", 0, 0),
        ("lose every packet from 10.9.0.9", 3, 3),
    ):
        link = Impaired(left, faults(text), names=("synfin", "kernel"))
        for _ in range(3):
            assert link.send(tcp(b"x"))
            right.send(tcp(b"x"))
        assert len(drain(right)) == out
        assert len(drain(link)) == back
        assert link.lost == 6 - out - back
    for text in ("lose 2% from peer", "rate 1Mbit from 10.9.0.2", "rate 1Mbit from peer"):
        with pytest.raises(ValueError, match="synfin and kernel"):
            Impaired(left, faults(text), names=("synfin", "kernel"))
    with pytest.raises(ValueError, match="no fault of a link"):
        Impaired(left, faults("reboot kernel at 1s"))


@pytest.mark.parametrize("outgoing", [True, False])
def test_delayed_packets_come_when_it_is_time(connected: Connect, outgoing: bool) -> None:
    left, right = connected(True)
    clock = Clock()
    link = Impaired(left, faults("delay packet 1-2 by 5ms", "delay packet 2 by 3ms"), clock=clock)
    start = clock.now

    def arrived() -> list[int]:
        return numbers(drain(right if outgoing else link))

    for number in range(1, 5):
        assert (link if outgoing else right).send(numbered(number))
    assert arrived() == [3, 4]
    assert link.next_deadline() == start + 5 * MS
    clock.now = start + 5 * MS - 1
    link.deadline_reached(clock.now)
    assert arrived() == []
    clock.now = start + 6 * MS
    link.deadline_reached(clock.now)
    assert arrived() == [1]
    assert link.next_deadline() == start + 8 * MS
    clock.now = start + SECOND
    link.deadline_reached(clock.now)
    assert arrived() == [2]
    assert link.next_deadline() == NEVER
    assert link.lost == 0


def test_times_count_from_the_beginning_of_the_link(connected: Connect) -> None:
    left, right = connected(True)
    clock = Clock()
    link = Impaired(left, faults("partition from 10s to 40s"), clock=clock)
    for second in range(60):
        link.send(numbered(second))
        clock.now += SECOND
    assert numbers(drain(right)) == [*range(10), *range(40, 60)]
    assert link.lost_by == {reasons.PARTITIONED: 30}


@pytest.mark.parametrize("outgoing", [True, False])
def test_rate(connected: Connect, outgoing: bool) -> None:
    left, right = connected(True)
    clock = Clock()
    link = Impaired(left, faults("rate 8Mbit queue 3"), clock=clock)
    start = clock.now
    # A superpacket of ten segments, 1052 octets each on the wire: one leaves, three wait, six are lost.
    assert (link if outgoing else right).send(tcp(b"x" * 10_000, 1000))
    assert drain(right if outgoing else link) == []
    assert link.lost_by == {reasons.QUEUE_FULL: 6}
    times = []
    while link.next_deadline() != NEVER:
        clock.now = link.next_deadline()
        link.deadline_reached(clock.now)
        for packet in drain(right if outgoing else link):
            assert segment_of(packet).payload_length == 1000
            times.append((clock.now - start) // 1000)
    assert times == [1052, 2104, 3156, 4208]
    # Woken late, all that is due goes.
    for _ in range(4):
        (link if outgoing else right).send(tcp(b"x" * 1000))
    assert drain(right if outgoing else link) == []
    clock.now += SECOND
    link.deadline_reached(clock.now)
    assert len(drain(right if outgoing else link)) == 4


def test_each_way_has_its_own_rate(connected: Connect) -> None:
    left, right = connected(True)
    clock = Clock()
    link = Impaired(left, faults("rate 8Mbit from synfin"), clock=clock, names=("synfin", "kernel"))
    link.send(numbered(1))
    right.send(numbered(2))
    assert numbers(drain(link)) == [2]
    assert drain(right) == []
    assert link.aggregates
    assert not Impaired(left, faults("rate 8Mbit")).aggregates


def test_damage_is_a_bit_that_no_longer_fits_the_checksum(connected: Connect) -> None:
    left, right = connected(True)
    link = Impaired(left, faults("corrupt every packet"), seed=3)
    whole = octets(tcp(b"abcdef"))
    wrong = passed = 0
    for _ in range(200):
        assert link.send(tcp(b"abcdef"))
        frame = right.receive()
        if frame is None:
            # Damaged in its header.
            continue
        passed += 1
        assert not frame.checksum_verified
        assert (int.from_bytes(frame.data, "big") ^ int.from_bytes(whole, "big")).bit_count() == 1
        with pytest.raises(WireError):
            parse_packet(frame.data)
    # Of 58 octets 20 are the header.
    assert 105 < passed < 158
    for _ in range(200):
        right.send(tcp(b"abcdef"))
        frame = link.receive()
        assert frame is not None
        assert not frame.checksum_verified
        assert (int.from_bytes(frame.data, "big") ^ int.from_bytes(whole, "big")).bit_count() == 1
        try:
            assert parse_packet(frame.data).version == 6
        except WireError:
            wrong += 1
    assert wrong > 190
    assert link.lost_by == {reasons.DAMAGED: 400}


def test_a_full_device_repeats_no_decision(connected: Connect) -> None:
    left, right = connected(False)
    link = Impaired(left, faults("lose packet 3", "lose packet 12"))
    packet = tcp(b"x" * 14480, 1448)
    sent = 0
    while link.send(packet):
        sent += 1
    assert not link.send(packet)
    arrived: list[Packet] = []
    while True:
        arrived += drain(right)
        if link.send(packet):
            break
    arrived += drain(right)
    assert len(arrived) == 10 * (sent + 1) - 2
    assert link.lost == 2


def test_what_is_overdue_waits_for_a_full_device() -> None:
    inner = Fake()
    clock = Clock()
    link = Impaired(inner, faults("delay packet 1-2 by 5ms", "corrupt packet 2"), seed=4, clock=clock)
    for number in (1, 2, 3):
        assert link.send(numbered(number))
    clock.now += 5 * MS
    inner.free = 0
    link.deadline_reached(clock.now)
    # It is tried again, and the one that is offered is always the same object.
    assert link.next_deadline() == clock.now + RETRY
    link.deadline_reached(clock.now)
    fourth = numbered(4)
    assert not link.send(fourth)
    assert fourth not in inner.offered
    assert len({id(one) for one in inner.offered[1:]}) == 1
    inner.free = 1
    assert not link.send(fourth)
    inner.free = 10
    assert link.send(fourth)
    assert link.next_deadline() == NEVER
    assert [numbers([inner.sent[0]])[0], numbers([inner.sent[1]])[0], numbers([inner.sent[3]])[0]] == [3, 1, 4]
    assert not isinstance(inner.sent[2].payload, Segment)


def test_what_is_overdue_waits_for_what_was_begun() -> None:
    """A packet that went out in part is ended first: the device below expects that object and no other."""
    inner = Fake()
    clock = Clock()
    link = Impaired(inner, faults("delay packet 1 by 5ms", "lose packet 4"), clock=clock)
    assert link.send(numbered(1))
    inner.free = 1
    whole = tcp(b"x" * 500, 100)
    assert not link.send(whole)
    clock.now += SECOND
    inner.free = 9
    link.deadline_reached(clock.now)
    assert len(inner.sent) == 1
    assert link.send(whole)
    assert [segment_of(packet).payload_length for packet in inner.sent] == [200, 200]
    link.deadline_reached(clock.now)
    assert numbers(inner.sent[2:]) == [1]


def test_what_is_held_is_bounded() -> None:
    inner = Fake()
    clock = Clock()
    link = Impaired(inner, faults("delay every packet by 5s"), clock=clock)
    for number in range(HELD_LIMIT + 10):
        assert link.send(numbered(number))
    assert link.lost_by == {reasons.QUEUE_FULL: 10}
    clock.now += 5 * SECOND
    inner.free = 0
    link.deadline_reached(clock.now)
    # Overdue packets are bounded too.
    inner.free = HELD_LIMIT + 10
    link.deadline_reached(clock.now)
    assert numbers(inner.sent) == list(range(HELD_LIMIT))


def test_one_fault_more_does_not_disturb_the_others() -> None:
    def lost(*texts: str, seed: int = 5) -> set[int]:
        inner = Fake()
        link = Impaired(inner, faults(*texts), seed)
        for number in range(1, 500):
            link.send(numbered(number))
        return set(range(1, 500)) - set(numbers(inner.sent))

    alone = lost("lose 10%")
    assert 20 < len(alone) < 90
    assert lost("lose 10%") == alone
    assert lost("lose packet 7", "lose 10%") == alone | {7}
    assert lost("lose 10%", "lose 0%") == alone
    assert lost("lose 10%", seed=6) != alone
    # The same words twice are two faults.
    assert len(lost("lose 10%", "lose 10%")) > len(alone)


def test_the_end_of_the_device_is_told() -> None:
    class Gone(Fake):
        def send(self, packet: Packet) -> bool:
            raise OSError(errno.ENETDOWN, "Network is down")

    clock = Clock()
    link = Impaired(Gone(), faults("delay packet 1 by 1ms"), clock=clock)
    assert link.send(numbered(1))
    clock.now += MS
    with pytest.raises(OSError, match="down"):
        link.deadline_reached(clock.now)


def test_impaired_links_can_be_wrapped_again() -> None:
    inner = Fake()
    clock = Clock()
    link = Impaired(
        Impaired(inner, faults("delay packet 1 by 5ms"), clock=clock), faults("delay packet 2 by 1ms"), clock=clock
    )
    for number in (1, 2, 3):
        link.send(numbered(number))
    start = clock.now
    for time in (1, 5, 9):
        if link.next_deadline() <= start + time * MS:
            clock.now = start + time * MS
            link.deadline_reached(clock.now)
    assert numbers(inner.sent) == [3, 2, 1]
    assert link.next_deadline() == NEVER


TEXTS = [
    "lose 20%",
    "lose every 3rd data",
    "duplicate 20%",
    "delay 30% by 5ms",
    "jitter 2ms",
    "rate 2Mbit queue 20 codel",
    "rate 1Mbit queue 5 from synfin",
    "lose burst p=10% r=30%",
]


@given(
    texts=st.lists(st.sampled_from(TEXTS), max_size=4, unique=True),
    sizes=st.lists(st.tuples(st.integers(1, 900), st.integers(8, 400), st.integers(0, 3 * MS)), max_size=12),
    outgoing=st.booleans(),
)
def test_what_passes_was_sent_and_what_is_missing_is_counted(
    texts: list[str], sizes: list[tuple[int, int, int]], outgoing: bool
) -> None:
    clock = Clock()
    near, far = channel_pair()
    assert isinstance(near, Channel)
    link = Impaired(near, faults(*texts), clock=clock, names=("synfin", "kernel"))
    sender, receiver = (link, far) if outgoing else (far, link)
    sent = []
    arrived: list[Packet] = []
    for number, (length, size, gap) in enumerate(sizes):
        packet = tcp(bytes([number]) * length, size)
        sent += [look(part) for part in cut(packet)]
        assert sender.send(packet)
        arrived += drain(receiver)
        clock.now += gap
        link.deadline_reached(clock.now)
        arrived += drain(receiver)
    while link.next_deadline() != NEVER:
        assert link.next_deadline() > clock.now
        clock.now = link.next_deadline()
        link.deadline_reached(clock.now)
        arrived += drain(receiver)
    got = [look(part) for part in pieces(arrived)]
    assert set(got) <= set(sent)
    copies = "duplicate 20%" in texts
    if not copies:
        assert len(got) == len(set(got))
        assert len(got) + link.lost == len(sent)
    if not any(text.startswith(("delay", "jitter")) for text in texts):
        order = {one: index for index, one in enumerate(sent)}
        assert [order[one] for one in got] == sorted(order[one] for one in got)
    assert link.lost == 0 or any(text.startswith(("lose", "rate")) for text in texts)
