from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.link.segmentation import Unsent, cut, is_superpacket, split
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, AE, CWR, ECE, FIN, PSH, Options, Segment, timestamp_options

V4 = bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3])
V6 = bytes.fromhex("fd000009" + "0" * 23 + "2"), bytes.fromhex("fd000009" + "0" * 23 + "3")


def superpacket(
    payload: tuple[bytes | memoryview, ...],
    segment_size: int,
    *,
    flags: int = ACK,
    seq: int = 1,
    identification: int = 0,
    options: Options | None = None,
    addresses: tuple[bytes, bytes] = V4,
) -> Packet:
    segment = Segment(40000, 7, seq, 99, flags, 512, options or timestamp_options(5, 6), payload, segment_size, up=3)
    return Packet(
        *addresses,
        6,
        segment,
        ttl=9,
        traffic_class=2,
        flow_label=77,
        identification=identification,
        extension=b"\1\1\1\1",
    )


def segment_of(packet: Packet) -> Segment:
    assert isinstance(packet.payload, Segment)
    return packet.payload


@given(
    pieces=st.lists(st.binary(max_size=300), max_size=8),
    segment_size=st.integers(1, 400),
    flags=st.integers(0, 0x1FF).map(lambda flags: flags & ~0x06),
    seq=st.integers(0, 2**32 - 1),
    identification=st.integers(0, 0xFFFF),
    addresses=st.sampled_from([V4, V6]),
)
def test_the_cut_packets_are_the_stream(
    pieces: list[bytes], segment_size: int, flags: int, seq: int, identification: int, addresses: tuple[bytes, bytes]
) -> None:
    whole = superpacket(
        tuple(pieces), segment_size, flags=flags, seq=seq, identification=identification, addresses=addresses
    )
    stream = b"".join(pieces)
    packets = cut(whole)
    if len(stream) <= segment_size:
        assert packets == [whole]
        assert packets[0] is whole
        return
    segments = [segment_of(packet) for packet in packets]
    assert b"".join(segment.payload_bytes() for segment in segments) == stream
    assert all(segment.payload_length == len(segment.payload_bytes()) for segment in segments)
    assert [segment.payload_length for segment in segments[:-1]] == [segment_size] * (len(segments) - 1)
    assert 0 < segments[-1].payload_length <= segment_size
    assert not any(map(is_superpacket, packets))
    for index, (packet, segment) in enumerate(zip(packets, segments, strict=True)):
        expected = flags
        if index:
            expected &= ~CWR
        if index < len(segments) - 1:
            expected &= ~(PSH | FIN)
        assert segment.flags == expected
        assert segment.seq == (seq + index * segment_size) % 2**32
        # IPv6 has the field in fragments alone.
        counted = index if addresses is V4 else 0
        assert packet.identification == (identification + counted) % 2**16
        # All else is as it was.
        copy = Segment(
            40000, 7, segment.seq, 99, expected, 512, timestamp_options(5, 6), segment.payload, segment.segment_size, 3
        )
        assert packet == Packet(
            *addresses,
            6,
            copy,
            ttl=9,
            traffic_class=2,
            flow_label=77,
            identification=packet.identification,
            extension=b"\1\1\1\1",
        )


@given(
    payload=st.binary(min_size=1, max_size=500),
    segment_size=st.integers(1, 60),
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=60),
)
def test_cutting_in_two_steps_is_cutting_in_one(payload: bytes, segment_size: int, counts: list[int]) -> None:
    whole = superpacket((payload,), segment_size, flags=ACK | PSH | FIN | CWR | ECE | AE)
    lengths = [count * segment_size for count in counts]
    # Enough for all of the payload.
    runs = split(whole, [*lengths, len(payload) * segment_size])
    at_once = list(map(segment_of, cut(whole)))
    in_two_steps = [segment_of(packet) for run in runs for packet in cut(run)]
    # A packet of one segment has no need of a segment size.
    assert [(s.seq, s.flags, s.payload_bytes()) for s in in_two_steps] == [
        (s.seq, s.flags, s.payload_bytes()) for s in at_once
    ]
    assert [p.identification for run in runs for p in cut(run)] == [p.identification for p in cut(whole)]


def test_what_is_no_superpacket_is_left_alone() -> None:
    for packet in (
        superpacket((b"x" * 100,), 0),
        superpacket((b"x" * 100,), 100),
        superpacket((), 100),
        Packet(*V4, 17, b"x" * 3000),
    ):
        assert not is_superpacket(packet)
        assert cut(packet)[0] is packet


def test_the_payload_is_not_copied() -> None:
    block = b"x" * 100
    for packet in cut(superpacket((block, memoryview(block)), 30)):
        for piece in segment_of(packet).payload:
            assert isinstance(piece, memoryview)
            assert piece.obj is block


def test_only_a_packet_with_a_segment_size_can_be_split() -> None:
    with pytest.raises(ValueError, match="segment size"):
        split(superpacket((b"x",), 0), [1])
    with pytest.raises(ValueError, match="segment size"):
        split(Packet(*V4, 17, b"x"), [1])


class Device:
    """Takes `room` packets and is full then."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken: list[Packet] = []

    def write(self, packet: Packet) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.taken.append(packet)
        return True


def test_a_packet_sent_in_parts_goes_on_where_it_stopped() -> None:
    unsent = Unsent()
    device = Device(room=2)
    whole = superpacket((b"x" * 100,), 20)
    assert not unsent.send(whole, cut, device.write)
    assert unsent.packet is whole
    device.room = 1
    assert not unsent.send(whole, cut, device.write)
    device.room = 10
    assert unsent.send(whole, cut, device.write)
    assert unsent.packet is None
    assert device.taken == cut(whole)
    # The same object once more is a packet of its own, such as a retransmission.
    assert unsent.send(whole, cut, device.write)
    assert device.taken == cut(whole) * 2


def test_what_is_left_goes_before_another_packet() -> None:
    unsent = Unsent()
    device = Device(room=1)
    first, second = superpacket((b"x" * 100,), 50), superpacket((b"y" * 100,), 50)
    assert not unsent.send(first, cut, device.write)
    assert not unsent.send(second, cut, device.write)
    # What was refused as a whole is not kept.
    third = superpacket((b"z" * 100,), 50)
    device.room = 10
    assert unsent.send(third, cut, device.write)
    assert device.taken == cut(first) + cut(third)
