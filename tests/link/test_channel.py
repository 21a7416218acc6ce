"""Channels: what is put in at one side comes out at the other, in order, and never without bound."""

from __future__ import annotations

import asyncio
import errno
import io
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.link.channel import MINIMUM_MTU, AsyncChannel, Channel, PacketQueue, channel_pair
from synfin.wire.ip import PROTOCOL_TCP, Packet, octets, parse_packet
from synfin.wire.tcp import ACK, PSH, Segment

LEFT, RIGHT = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
MSS = 1000


def packet(number: int = 0, payload: bytes = b"x", segment_size: int = 0) -> Packet:
    segment = Segment(1, 2, number, 0, ACK | PSH, 100, payload=(payload,), segment_size=segment_size)
    return Packet(LEFT, RIGHT, PROTOCOL_TCP, segment)


def received(channel: Channel) -> list[int]:
    """The sequence numbers of the segments that wait in `channel`."""
    numbers = []
    while (frame := channel.receive()) is not None:
        segment = parse_packet(frame.data).payload
        assert isinstance(segment, Segment)
        numbers.append(segment.seq)
    return numbers


def test_octets_in_and_octets_out() -> None:
    channel = Channel()
    assert channel.receive() is None
    assert channel.take() is None
    assert channel.deliver(octets(packet(7)))
    frame = channel.receive()
    assert frame is not None
    assert (frame.data, frame.segment_size, frame.checksum_verified) == (octets(packet(7)), 0, False)
    assert channel.send(packet(8))
    assert channel.take() == octets(packet(8))


def test_a_buffer_that_changes_later_is_copied() -> None:
    channel = Channel()
    buffer = bytearray(b"abc")
    channel.deliver(buffer)
    channel.deliver(memoryview(buffer)[1:])
    buffer[:] = b"xyz"
    for expected in (b"abc", b"bc"):
        frame = channel.receive()
        assert frame is not None
        assert frame.data == expected


@pytest.mark.parametrize("wrong", [5, None, ("packet", ("10.0.0.1", 1)), "text"])
def test_what_is_no_packet_is_the_callers_mistake(wrong: object) -> None:
    with pytest.raises(TypeError):
        Channel().deliver(wrong)  # type: ignore[arg-type]


def test_who_delivers_too_fast_loses_packets() -> None:
    channel = Channel(limit=3)
    assert [channel.deliver(octets(packet(number))) for number in range(5)] == [True, True, True, False, False]
    assert channel.counters["rx_dropped"] == 2
    assert received(channel) == [0, 1, 2]
    assert channel.deliver(octets(packet(9)))


def test_what_goes_out_waits_for_room() -> None:
    channel = Channel(limit=4)
    drained: list[int] = []
    channel.outgoing.drained = lambda: drained.append(len(channel.outgoing))
    assert all(channel.send(packet(number)) for number in range(4))
    refused = packet(4)
    assert not channel.send(refused)
    channel.take()
    assert not drained
    channel.take()
    # Half empty: whoever was refused may come back.
    assert drained == [2]
    assert channel.send(refused)
    assert len(channel.outgoing) == 3
    while channel.take() is not None:
        pass
    assert drained == [2]


def test_whoever_waits_is_told_once() -> None:
    channel = Channel()
    told: list[str] = []
    channel.incoming.filled = lambda: told.append("in")
    channel.outgoing.filled = lambda: told.append("out")
    for number in range(3):
        channel.deliver(octets(packet(number)))
        channel.send(packet(number))
    assert told == ["in", "out"]
    received(channel)
    channel.deliver(octets(packet()))
    assert told == ["in", "out", "in"]


def test_superpackets_are_cut() -> None:
    channel = Channel(1500)
    assert channel.room > channel.mtu
    assert channel.send(packet(100, bytes(2 * MSS + 1), MSS))
    taken = []
    while (data := channel.take()) is not None:
        segment = parse_packet(data).payload
        assert isinstance(segment, Segment)
        taken.append((segment.seq, segment.payload_length, segment.flags))
    assert taken == [(100, MSS, ACK), (100 + MSS, MSS, ACK), (100 + 2 * MSS, 1, ACK | PSH)]


def test_a_superpacket_that_fits_in_part() -> None:
    left, right = channel_pair(limit=2)
    large = packet(0, bytes(5 * MSS), MSS)
    assert not left.send(large)
    numbers = received(right)
    assert numbers == [0, MSS]
    assert not left.send(large)
    numbers += received(right)
    assert left.send(large)
    assert numbers + received(right) == [0, MSS, 2 * MSS, 3 * MSS, 4 * MSS]


def test_a_pair_is_connected() -> None:
    left, right = channel_pair(1400)
    assert left.mtu == right.mtu == 1400
    left.send(packet(1))
    left.send(packet(2))
    right.send(packet(3))
    assert received(right) == [1, 2]
    assert received(left) == [3]


def test_a_closed_channel() -> None:
    left, right = channel_pair()
    left.send(packet(1))
    right.send(packet(2))
    left.close()
    left.close()
    with pytest.raises(OSError, match="down") as caught:
        left.receive()
    assert caught.value.errno == errno.ENETDOWN
    # A cable that was pulled: nothing arrives, nothing comes, and nothing waits.
    assert not right.deliver(b"packet")
    assert all(right.send(packet(number)) for number in range(1000))
    assert len(right.outgoing) == 0
    assert not left.deliver(b"packet")


def test_there_is_no_descriptor() -> None:
    with pytest.raises(io.UnsupportedOperation):
        Channel().fileno()


@pytest.mark.parametrize(("mtu", "limit"), [(MINIMUM_MTU - 1, 1), (65536, 1), (-1, 1), (1500, 0)])
def test_what_cannot_be_a_channel(mtu: int, limit: int) -> None:
    with pytest.raises(ValueError):
        Channel(mtu, limit=limit)
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    with pytest.raises(ValueError):
        AsyncChannel(queue.put, queue.get, mtu, limit=limit)


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_a_queue_is_a_bounded_queue(limit: int, steps: list[bool]) -> None:
    """Against a deque: puts where there is room, takes, and no call of `drained` without a refusal before."""
    queue = PacketQueue(limit)
    model: deque[bytes] = deque()
    calls: list[str] = []
    queue.drained = lambda: calls.append("drained")
    refused = False
    for number, put in enumerate(steps):
        if put:
            assert queue.has_room() == (len(model) < limit)
            if len(model) < limit:
                queue.put(b"%d" % number)
                model.append(b"%d" % number)
            else:
                refused = True
        else:
            assert queue.take() == (model.popleft() if model else None)
            due = refused and len(model) <= limit // 2
            assert calls == (["drained"] if due else [])
            refused = refused and not due
            calls.clear()
        assert len(queue) == len(model) <= limit
