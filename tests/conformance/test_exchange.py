"""Acknowledging, windows that shrink, segments of full size (RFC 9293 §3.4, §3.8.6, §3.9.1.2, §3.10.7.4)."""

from __future__ import annotations

import pytest

from synfin.tcp.connection import Connection
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, PSH, RST, URG, Options, Segment
from tests.conformance.under import deviates, every_profile, machine, opened, world
from tests.host.machine import OURS, SECOND, Peer, segment_of
from tests.tcp.test_acceptance import segment
from tests.tcp.world import MS, by_client, data


def polled(c: Connection, now: int) -> list[Segment]:
    segments = []
    while (polled := c.poll_transmit(now, 1500)) is not None:
        segments.append(polled)
    return segments


# --- acknowledging


@pytest.mark.requirement("MUST-58", "MUST-59")
@pytest.mark.parametrize("count", [2, 5, 40])
@every_profile
def test_a_batch_of_segments_is_acknowledged_together(profile: str, count: int) -> None:
    m = machine(profile)
    m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    for _ in range(count):
        m.host.packet_arrives(peer.packet(ACK, bytes(1000)), m.eth, m.now)
        peer.seq += 1000
    (ack,) = m.poll()
    assert segment_of(ack).ack == peer.seq & MASK
    assert m.goes_on(m.now + SECOND) == []


@pytest.mark.requirement("SHLD-31")
@every_profile
def test_segments_ahead_of_a_gap_are_held(profile: str) -> None:
    c = opened(profile)
    for offset in (300, 100, 200):
        c.segment_arrives(segment(c, offset, payload=bytes((offset & 0xFF,)) * 100), 0)
    with pytest.raises(BlockingIOError):
        c.receive(1000, 0)
    c.segment_arrives(segment(c, 0, payload=bytes(100)), 0)
    received = b"".join(map(bytes, c.receive(1000, 0)))
    assert received == b"".join(bytes((offset & 0xFF,)) * 100 for offset in (0, 100, 200, 300))


# --- a window of nothing, and one that shrinks


@pytest.mark.requirement("MUST-66")
@every_profile
def test_at_a_zero_window_urgent_pointers_and_resets_are_heeded(profile: str) -> None:
    c = opened(profile)
    c.rcv_buf = 0
    c.rcv_adv = c.rcv_limit = c.rcv_nxt
    assert c.rcv_wnd == 0
    c.segment_arrives(segment(c, 0, ACK | URG, up=500), 0)
    assert c.rcv_up == c.rcv_nxt + 500
    c.segment_arrives(segment(c, 0, RST), 0)
    assert c.status().state == "CLOSED"


def shrunk(profile: str, window: int) -> Connection:
    """5000 octets are in flight, in segments of 1000, 3000 more wait, and the window is `window` all at once."""
    c = opened(profile, Options(mss=1000))
    c.send(bytes(5000), 0)
    assert [sent.payload_length for sent in polled(c, 0)] == [1000] * 5
    c.segment_arrives(answer(c, 0, window), MS)
    assert c.snd_wnd == window
    c.send(bytes(3000), MS)
    return c


def answer(c: Connection, ack: int, window: int) -> Segment:
    """An acknowledgment of `ack` octets beyond SND.UNA."""
    return Segment(80, 49152, c.rcv_nxt & MASK, c.snd_una + ack & MASK, ACK, window)


@pytest.mark.requirement("MUST-34", "SHLD-15")
@pytest.mark.parametrize("window", [1, 2500, 4999, 5000])
@every_profile
def test_no_new_data_while_the_usable_window_is_negative(profile: str, window: int) -> None:
    c = shrunk(profile, window)
    assert c.snd_una + c.snd_wnd - c.snd_nxt == window - 5000 <= 0
    assert polled(c, MS) == []
    for step in range(1, 20):
        assert polled(c, MS + step * MS) == []
    # It opens again, and all goes on.
    c.segment_arrives(answer(c, 5000, 64_000), 100 * MS)
    assert sum(sent.payload_length for sent in polled(c, 100 * MS)) == 3000


@pytest.mark.requirement("SHLD-16")
@every_profile
def test_what_lies_within_a_shrunk_window_is_sent_again(profile: str) -> None:
    c = shrunk(profile, 2500)
    first = c.snd_una
    edge = first + 2500
    sent_again: set[int] = set()
    now = c.next_deadline()
    c.deadline_reached(now)
    while c.snd_una < edge:
        segments = polled(c, now)
        assert segments, "what may be sent is sent at once"
        for sent in segments:
            start = c.snd_una + ((sent.seq - c.snd_una) & MASK)
            sent_again |= set(range(start, start + sent.payload_length))
        got = max(sent_again) + 1
        assert got <= edge
        # All of it arrives; the right edge stays where it is.
        c.segment_arrives(answer(c, got - c.snd_una, edge - got), now)
    assert sent_again == set(range(first, edge))


@pytest.mark.requirement("SHLD-17")
@every_profile
def test_what_lies_beyond_the_right_edge_ends_no_connection(profile: str) -> None:
    c = shrunk(profile, 0)
    now = MS
    while now < 5000 * SECOND:
        now = c.next_deadline()
        c.deadline_reached(now)
        assert c.status().state == "ESTABLISHED"
        if polled(c, now):
            c.segment_arrives(answer(c, 0, 0), now + MS)


@pytest.mark.requirement("SHLD-14")
@every_profile
def test_a_smaller_buffer_takes_back_no_window(profile: str) -> None:
    c = opened(profile)
    edge = c.rcv_nxt + c.rcv_wnd
    c.rcv_buf //= 8
    c.rcv_buf_locked = True
    while c.rcv_nxt + 1000 < edge:
        c.segment_arrives(segment(c, 0, payload=bytes(1000)), 0)
        c.receive(1000, 0)
        acknowledged = polled(c, 0)
        assert [each.ack + each.wnd for each in acknowledged if each.ack + each.wnd < edge] == []
    assert edge - 1000 <= c.rcv_nxt <= edge


# --- what segments carry


@pytest.mark.requirement("SHLD-28")
@every_profile
def test_small_writes_leave_in_full_segments(profile: str) -> None:
    w = world(profile)
    w.connect()
    w.client.send(b"first")
    w.flush()
    for _ in range(1000):
        w.client.send(bytes(10))
    w.run_for(SECOND)
    sizes = [m.segment.payload_length for m in w.messages if by_client(data)(m)]
    # Six full segments do not wait for anything; what is left of them waits for an acknowledgment.
    assert sizes == [5] + [1448] * 6 + [10_000 - 6 * 1448]


@pytest.mark.requirement("SHLD-27")
@every_profile
def test_successive_pushes_collapse(profile: str) -> None:
    w = world(profile)
    w.connect()
    w.client.send(b"first")
    w.flush()
    for _ in range(100):
        w.client.send(bytes(10))
    w.run_for(SECOND)
    sent = [m.segment for m in w.messages if by_client(data)(m)]
    assert [(each.payload_length, bool(each.flags & PSH)) for each in sent] == [(5, True), (1000, True)]
    # One mark is left of a hundred.
    buffer = w.client.tcb.send_buffer
    for _ in range(100):
        w.client.send(bytes(10))
    assert sum(buffer.pushed(at, at + 10) for at in range(buffer.start, buffer.end, 10)) == 1


@pytest.mark.requirement("MUST-17")
@every_profile
def test_without_nagle_nothing_waits(profile: str) -> None:
    w = world(profile)
    w.connect()
    w.client.tcb.settings.nodelay = True
    for _ in range(5):
        w.client.send(b"x")
        w.flush()
    assert [m.segment.payload_length for m in w.messages if by_client(data)(m)] == [1] * 5


@pytest.mark.requirement("MUST-61")
@every_profile
def test_the_last_of_what_is_buffered_is_pushed(profile: str) -> None:
    w = world(profile)
    w.connect()
    w.client.send(bytes(10_000))
    w.run_for(5 * SECOND)
    sent = [m.segment for m in w.messages if by_client(data)(m)]
    assert sum(each.payload_length for each in sent) == 10_000
    assert sent[-1].flags & PSH
    assert [bool(each.flags & PSH) for each in sent[:-1]] == [False] * (len(sent) - 1)


@pytest.mark.requirement("MUST-38")
@every_profile
@pytest.mark.parametrize(("window", "sent"), [(1, []), (999, []), (1000, [1000]), (1460, [1460]), (2000, [1460])])
def test_the_sender_avoids_silly_windows(profile: str, window: int, sent: list[int]) -> None:
    """A full segment, or half of the largest window that the peer ever offered, here 2000."""
    c = opened(profile)
    c.max_snd_wnd = 2000
    c.segment_arrives(answer(c, 0, window), 0)
    c.send(bytes(5000), 0)
    assert [each.payload_length for each in polled(c, 0)] == sent


@pytest.mark.requirement("MUST-39")
@every_profile
def test_the_receiver_avoids_silly_windows(profile: str) -> None:
    """The right edge moves by a segment or half the buffer at a time, however little is read at once."""
    w = world(profile)
    w.connect()
    w.client.write(bytes(300_000))
    while w.client.tcb.snd_wnd > 1460:
        w.message()
    w.run_for(SECOND)
    server = w.server.tcb
    edge = server.rcv_adv
    steps = []
    server.settings.nodelay = True
    for number in range(3000):
        w.server.receive(7)
        if number % 100 == 0:
            # What is sent anyhow says nothing of small steps either.
            w.server.send(b"x")
        w.flush()
        if server.rcv_adv != edge:
            steps.append(server.rcv_adv - edge)
            edge = server.rcv_adv
    assert steps
    # A window that is scaled was rounded up.
    assert (min(steps) >= 1460 - (1 << server.rcv_wscale)) != deviates(profile, "MUST-39")
