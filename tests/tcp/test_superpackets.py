"""Segments that stand for many: sent, received, and cut by acknowledgments at any octet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synfin.wire.tcp import ACK, FIN, PSH, Segment
from tests.tcp.test_acceptance import established
from tests.tcp.world import MS, SECOND, World, by_client, by_server, data

MSS = 1460
#: What `synfin.tcp.burst` makes of a short round trip.
AS_LARGE_AS_IT_MAY_BE = 44


def poll_all(c: object, now: int, room: int) -> list[Segment]:
    from synfin.tcp.connection import Connection

    assert isinstance(c, Connection)
    segments = []
    while (segment := c.poll_transmit(now, room)) is not None:
        segments.append(segment)
    return segments


@pytest.mark.parametrize("room", [20 + 1460, 1500, 2939, 2940, 3000, 10_000, 65_000, 65_535])
def test_a_superpacket_is_a_multiple_of_the_mss_but_for_the_last(room: int) -> None:
    c = established()
    c.parameters.tcp_push_bursts = 0
    c.parameters.tcp_min_tso_segs = AS_LARGE_AS_IT_MAY_BE
    c.send(bytes(14_000), 0)
    c.close(0)
    segments = poll_all(c, 0, room)
    most = (room - 20) // MSS * MSS
    assert [s.payload_length for s in segments[:-1]] == [most] * (14_000 // most)
    for segment in segments:
        assert segment.payload_length <= max(room - 20, MSS)
        assert segment.segment_size == (MSS if segment.payload_length > MSS else 0)
    # PSH and FIN at the end only.
    assert [s.flags & (PSH | FIN) for s in segments[:-1]] == [0] * (len(segments) - 1)
    assert segments[-1].flags & (PSH | FIN) == PSH | FIN
    assert sum(s.payload_length for s in segments) == 14_000


def test_room_counts_the_options() -> None:
    w = World(room=20 + 12 + 2 * 1448)
    w.whole = True
    w.connect()
    w.client.send(bytes(5 * 1448))
    w.flush()
    assert [m.segment.payload_length for m in w.messages if data(m)] == [2 * 1448, 2 * 1448, 1448]
    w = World(room=20 + 12 + 2 * 1448 - 1)
    w.whole = True
    w.connect()
    w.client.send(bytes(5 * 1448))
    w.flush()
    assert [m.segment.payload_length for m in w.messages if data(m)] == [1448] * 5


def test_the_octets_are_the_users_own() -> None:
    c = established()
    octets = bytes(range(256)) * 50
    c.send(octets, 0)
    segment = c.poll_transmit(0, 65_000)
    assert segment is not None
    assert segment.payload_bytes() == octets
    assert all(isinstance(piece, memoryview) and piece.obj is octets for piece in segment.payload)


@settings(max_examples=200)
@given(
    st.integers(1, 14_000 + 1),
    st.integers(0, 1),
    st.sampled_from([1500, 4000, 65_000]),
    st.sampled_from([1500, 4000, 65_000]),
)
def test_an_ack_cuts_it_at_any_octet_and_the_rest_is_sent_again(cut: int, fin: int, room: int, room_again: int) -> None:
    c = established()
    octets = bytes(n % 251 for n in range(14_000))
    c.send(octets, 0)
    if fin:
        c.close(0)
    poll_all(c, 0, room)
    cut = min(cut, 14_000 + fin)
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.snd_una + cut, ACK, 65535), MS)
    assert c.sent.in_flight == 14_000 + fin - cut
    poll_all(c, MS, room)
    if cut == 14_000 + fin:
        return
    got = b""
    fins = 0
    while c.snd_una < c.iss + 1 + 14_000 + fin:
        deadline = c.next_deadline()
        c.deadline_reached(deadline)
        again = poll_all(c, deadline, room_again)
        # The loss window is one segment (RFC 5681 §3.1).
        assert len(again) >= 1
        for segment in again:
            start = segment.seq - c.iss - 1
            assert segment.payload_bytes() == octets[start : start + segment.payload_length]
            assert start == cut + len(got)
            got += segment.payload_bytes()
            fins += segment.flags & FIN
            assert segment.payload_length <= max(room_again - 20, MSS)
        c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.iss + 1 + cut + len(got) + fins, ACK, 65535), deadline + MS)
        again = poll_all(c, deadline + MS, room_again)
        for segment in again:
            got += segment.payload_bytes()
            fins += segment.flags & FIN
        c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.iss + 1 + cut + len(got) + fins, ACK, 65535), deadline + MS)
    assert got == octets[cut:]
    assert fins == fin


@pytest.mark.parametrize("whole", [False, True])
def test_a_transfer_both_ways(whole: bool) -> None:
    w = World(room=65_000)
    w.whole = whole
    w.client.parameters.tcp_min_tso_segs = w.server.parameters.tcp_min_tso_segs = AS_LARGE_AS_IT_MAY_BE
    w.connect()
    octets = bytes(n % 253 for n in range(1_000_000))
    w.client.write(octets, then_close=True)
    w.server.write(octets[::-1], then_close=True)
    w.client.reading = w.server.reading = True
    w.lose(by_client(data), nth=7)
    w.lose(by_server(data), nth=11, count=2)
    w.run_for(60 * SECOND)
    assert bytes(w.server.received) == octets
    assert bytes(w.client.received) == octets[::-1]
    if whole:
        assert max(m.segment.payload_length for m in w.messages) > 10 * 1448


def test_a_received_superpacket_counts_as_its_segments_for_acknowledging() -> None:
    w = World(room=65_000)
    w.whole = True
    w.client.parameters.tcp_min_tso_segs = w.server.parameters.tcp_min_tso_segs = AS_LARGE_AS_IT_MAY_BE
    w.connect()
    w.client.send(bytes(10 * 1448))
    w.run_for(SECOND)
    assert w.server.tcb.acknowledging.rcv_mss == 1448
    # One acknowledgment for all of it, at once.
    acks = [m for m in w.messages if m.sender == "server" and m.segment.flags == ACK]
    assert len(acks) == 1
    assert acks[0].time == 40 * MS
