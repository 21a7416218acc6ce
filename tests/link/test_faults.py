from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.link.faults import Loss, LossRule, NthMatch, RandomLoss
from synfin.link.link import Frame, Link
from synfin.link.segmentation import cut
from synfin.link.tun import Tun
from synfin.wire.ip import Packet, parse_packet
from synfin.wire.tcp import ACK, CWR, FIN, PSH, Segment, timestamp_options

V4 = bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3])
V6 = bytes.fromhex("fd000009" + "0" * 23 + "2"), bytes.fromhex("fd000009" + "0" * 23 + "3")
Connect = Callable[[bool], tuple[Tun, Tun]]


def tcp(payload: bytes = b"", segment_size: int = 0, addresses: tuple[bytes, bytes] = V4) -> Packet:
    segment = Segment(
        40000, 7, 2**32 - 50, 99, ACK | PSH | FIN | CWR, 512, timestamp_options(5, 6), (payload,), segment_size
    )
    return Packet(*addresses, 6, segment, identification=65530 if addresses is V4 else 0)


class These(LossRule):
    """Loses the packets of these numbers, counted from 0."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers
        self.seen: list[Packet] = []

    def lose(self, packet: Packet) -> bool:
        self.seen.append(packet)
        return len(self.seen) - 1 in self.numbers


def drain(link: Link) -> list[Packet]:
    packets = []
    frame = link.receive()
    while frame is not None:
        packets.append(
            parse_packet(frame.data, checksum_verified=frame.checksum_verified, segment_size=frame.segment_size)
        )
        frame = link.receive()
    return packets


def pieces(packets: list[Packet]) -> list[Packet]:
    return [part for packet in packets for part in cut(packet)]


def segment_of(packet: Packet) -> Segment:
    assert isinstance(packet.payload, Segment)
    return packet.payload


@given(
    length=st.integers(1, 300),
    segment_size=st.integers(8, 50),
    numbers=st.sets(st.integers(0, 40)),
    outgoing=st.booleans(),
    offload=st.booleans(),
    addresses=st.sampled_from([V4, V6]),
)
def test_segments_are_lost_and_the_others_pass(
    length: int, segment_size: int, numbers: set[int], outgoing: bool, offload: bool, addresses: tuple[bytes, bytes]
) -> None:
    import socket

    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left, right = (Tun.from_fd(end.detach(), offload) for end in ends)
    with left, right:
        packet = tcp(bytes(index % 256 for index in range(length)), segment_size, addresses)
        parts = cut(packet)
        rule = These(*numbers)
        if outgoing:
            loss = Loss(left, rule)
            assert loss.send(packet)
            arrived = drain(right)
        else:
            assert left.send(packet)
            loss = Loss(right, rule)
            arrived = drain(loss)
        expected = [part for index, part in enumerate(parts) if index not in numbers]
        assert [segment_of(part).payload_bytes() for part in pieces(arrived)] == [
            segment_of(part).payload_bytes() for part in expected
        ]
        assert [(segment_of(part).seq, segment_of(part).flags) for part in pieces(arrived)] == [
            (segment_of(part).seq, segment_of(part).flags) for part in expected
        ]
        assert [part.identification for part in pieces(arrived)] == [part.identification for part in expected]
        assert loss.lost == len(parts) - len(expected)
        # The rule saw each segment once, as what it is on the wire.
        assert [segment_of(part).seq for part in rule.seen] == [segment_of(part).seq for part in parts]


def test_what_lies_between_losses_stays_in_one_piece(connected: Connect) -> None:
    left, right = connected(True)
    Loss(left, These(3, 4)).send(tcp(b"x" * 1000, 100))
    assert [segment_of(packet).payload_length for packet in drain(right)] == [300, 500]
    left.send(tcp(b"x" * 1000, 100))
    assert [segment_of(packet).payload_length for packet in drain(Loss(right, These(0, 2, 9)))] == [100, 600]


def test_each_way_has_its_rule(connected: Connect) -> None:
    left, right = connected(True)
    every, none = RandomLoss(1, random.Random(1)), RandomLoss(0, random.Random(1))
    for outgoing, incoming, out, back in ((every, none, 0, 1), (none, every, 1, 0), (every, None, 0, 0)):
        loss = Loss(left, outgoing, incoming)
        for _ in range(3):
            assert loss.send(tcp(b"x"))
            right.send(tcp(b"x"))
        assert len(drain(right)) == 3 * out
        assert len(drain(loss)) == 3 * back
        assert loss.lost == 6 - 3 * out - 3 * back


def test_a_frame_that_loses_nothing_is_the_very_frame() -> None:
    class Inner(Link):
        mtu = 1500
        room = 1500

        def __init__(self) -> None:
            self.frame: Frame | None = Frame(b"\x45 no packet at all", 0, False)

        def fileno(self) -> int:
            return 7

        def receive(self) -> Frame | None:
            frame, self.frame = self.frame, None
            return frame

        def send(self, packet: Packet) -> bool:
            return True

        def close(self) -> None: ...

    inner = Inner()
    frame = inner.frame
    rule = These(0)
    loss = Loss(inner, rule)
    # What cannot be parsed is for the host to count.
    assert loss.receive() is frame
    assert not rule.seen
    assert loss.receive() is None
    assert (loss.mtu, loss.room, loss.fileno()) == (1500, 1500, 7)


def test_a_full_device_repeats_no_decision(connected: Connect) -> None:
    left, right = connected(False)
    rule = These(2, 11)
    loss = Loss(left, rule)
    sent = 0
    arrived: list[Packet] = []
    packet = tcp(b"x" * 14480, 1448)
    while loss.send(packet):
        sent += 1
    seen = len(rule.seen)
    assert not loss.send(packet)
    assert len(rule.seen) == seen == 10 * (sent + 1)
    while True:
        arrived += drain(right)
        if loss.send(packet):
            break
    arrived += drain(right)
    assert len(rule.seen) == seen
    assert len(arrived) == seen - 2
    assert loss.lost == 2


def test_random_loss_is_as_likely_as_asked_and_repeats_itself() -> None:
    packet = tcp()
    first, second = (RandomLoss(0.02, random.Random(42)) for _ in range(2))
    fates = [first.lose(packet) for _ in range(20_000)]
    assert fates == [second.lose(packet) for _ in range(20_000)]
    # Five standard deviations.
    assert abs(sum(fates) - 400) < 100


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        RandomLoss(probability, random.Random(1))


def test_the_nth_match_is_lost_alone() -> None:
    def has_data(packet: Packet) -> bool:
        return bool(segment_of(packet).payload_length)

    rule = NthMatch(has_data, 2)
    fates = [rule.lose(tcp(payload)) for payload in (b"", b"1", b"", b"2", b"3", b"")]
    assert fates == [False, False, False, True, False, False]
    assert repr(rule) == "NthMatch(has_data, 2)"
    assert repr(RandomLoss(0.5, random.Random(1))) == "RandomLoss(0.5)"
    with pytest.raises(ValueError, match="from 1"):
        NthMatch(has_data, 0)
