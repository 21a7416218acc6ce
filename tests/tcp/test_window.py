"""Flow control: silly windows, a window that closes and opens, probes, a buffer that grows (rows B4, B7)."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from synfin.tcp import timers
from synfin.tcp.parameters import TcpParameters
from synfin.wire.tcp import ACK, FIN, SYN, Options, Segment
from tests.tcp.test_acceptance import established
from tests.tcp.world import CLIENT, MS, SECOND, World, bare_ack, by_client, by_server, data, everything, make_connection


def buffers(octets: int) -> TcpParameters:
    parameters = TcpParameters()
    parameters.tcp_rmem = (octets, octets, octets)
    return parameters


def in_units_of_128() -> TcpParameters:
    """Those of a host whose windows are shifted by 7."""
    parameters = TcpParameters()
    parameters.tcp_rmem = (4096, 131_072, 6_291_456)
    return parameters


def filled(octets: int = 20_000) -> World:
    """A server that reads nothing, and a client that has filled its window."""
    w = World(server=buffers(octets))
    w.connect()
    w.client.write(bytes(range(250)) * 400)
    while w.client.tcb.snd_wnd:
        w.message()
    return w


@pytest.mark.row("B4")
def test_a_slow_reader_closes_the_window() -> None:
    w = filled()
    assert w.client.tcb.snd_wnd == 0
    assert w.server.tcb.rcv_wnd == 0
    # Half the buffer is window; the SYN,ACK offered full segments of it, and the 1240 octets left are not worth one.
    assert w.server.tcb.receive_queue.octets == 6 * 1460
    assert w.client.tcb.timers.running(timers.PERSIST)
    assert not w.client.tcb.timers.running(timers.RETRANSMISSION)


@pytest.mark.row("B4")
@pytest.mark.requirement("MUST-36", "SHLD-29")
def test_probes_at_the_rto_and_the_window_opens_again() -> None:
    w = filled()
    start = w.now
    w.run_for(20 * SECOND)
    probes = [m for m in w.messages if m.sender == "client" and m.time > start]
    # An octet that the peer has already: it answers with its window.
    assert {m.segment.seq for m in probes} == {(w.client.tcb.snd_una - 1) & 0xFFFFFFFF}
    assert all(m.segment.payload_length == 0 for m in probes)
    last_data = w.times(by_client(data))[-1]
    first = probes[0].time / SECOND - last_data
    assert 0.2 < first < 0.3
    w.server.receive(5000)
    w.server.reading = True
    w.run_for(5 * SECOND)
    assert len(w.server.received) == 100_000 - 5000
    assert bytes(w.server.received) == (bytes(range(250)) * 400)[5000:]


@pytest.mark.row("B4")
@pytest.mark.requirement("SHLD-30")
def test_the_interval_between_answered_probes_doubles() -> None:
    # RFC 9293 §3.8.6.1 (SHLD-30); Linux keeps the back-off (icsk_backoff) apart from the count of unanswered probes.
    w = filled()
    start = w.now
    w.run_for(60 * SECOND)
    times = [m.time for m in w.messages if m.sender == "client" and m.time > start]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    rto = w.client.tcb.round_trip.rto
    # Each counts from the answer to the one before, a round trip of 20 ms later. The second has none: it came within
    # 500 ms of the first (tcp_invalid_ratelimit).
    assert gaps == [rto * 2**n + (20 * MS if n != 2 else 0) for n in range(1, len(gaps) + 1)]


@pytest.mark.row("B4")
@pytest.mark.requirement("MUST-37", "MAY-8")
def test_probing_goes_on_for_ever_while_the_peer_answers() -> None:
    # RFC 9293 §3.8.6.1 (MUST-37)
    w = filled()
    w.run_for(20_000 * SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    w.server.reading = True
    w.run_for(200 * SECOND)
    assert len(w.server.received) == 100_000


@pytest.mark.row("B4")
def test_unanswered_probes_double_and_end_in_a_timeout() -> None:
    w = filled()
    start = w.now
    w.lose(everything, count=100_000)
    w.run()
    times = [m.time for m in w.messages if m.sender == "client" and m.time > start]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    rto = w.client.tcb.round_trip.rto
    assert gaps == [min(rto * 2**n, 120 * SECOND) for n in range(1, len(times))]
    assert len(times) == 15, "tcp_retries2"
    assert w.client.state == "CLOSED"
    with pytest.raises(TimeoutError):
        w.client.receive()


@pytest.mark.row("B4")
def test_a_lost_window_update_is_found_by_the_next_probe() -> None:
    w = filled()
    w.lose(by_server(bare_ack))
    assert len(w.server.receive()) == 8760
    w.flush()
    assert w.messages[-1].lost
    w.server.reading = True
    w.run_for(10 * SECOND)
    assert len(w.server.received) == 100_000 - 8760


@pytest.mark.row("B4")
@pytest.mark.requirement("MUST-39")
def test_the_reader_opens_the_window_in_large_steps() -> None:
    """Receiver's silly-window avoidance: RFC 9293 §3.8.6.2.2."""
    w = filled()
    since = len(w.messages)
    w.server.receive(100)
    w.run_for(MS)
    w.server.receive(119)
    w.run_for(MS)
    # 10,000 - 8760 + 219 octets free: less than a segment, and than half the buffer.
    assert [m for m in w.messages[since:] if m.sender == "server"] == []
    w.server.receive(1)
    w.flush()
    assert [m.segment.wnd for m in w.messages[since:] if m.sender == "server"] == [1460]


@pytest.mark.row("B4")
@pytest.mark.parametrize("octets", [4096, 10_000, 70_000, 300_000])
def test_the_right_edge_never_moves_left_by_more_than_the_rounding(octets: int) -> None:
    # RFC 9293 §3.8.6 (SHLD-14)
    w = World(server=buffers(octets))
    w.connect()
    w.client.write(bytes(200_000))
    edge = 0
    seen = 0
    for step in range(3000):
        if step % 3 == 0:
            with contextlib.suppress(BlockingIOError):
                w.server.receive(777)
        w.run_for(3 * MS)
        for message in w.messages[seen:]:
            if message.sender == "server" and not message.segment.flags & 2:
                segment = message.segment
                new = ((segment.ack - w.server.tcb.irs) & 0xFFFFFFFF) + (segment.wnd << w.server.tcb.rcv_wscale)
                assert new > edge - (1 << w.server.tcb.rcv_wscale)
                edge = max(edge, new)
        seen = len(w.messages)
        assert w.server.tcb.receive_queue.octets <= octets // 2 + 127
    assert edge > 100_000


@pytest.mark.row("B4")
@pytest.mark.requirement("MUST-38")
def test_the_sender_waits_rather_than_fill_a_silly_window() -> None:
    """Sender's silly-window avoidance: RFC 9293 §3.8.6.2.1, by hand: a segment, or half the largest window."""
    w = World(server=in_units_of_128())
    w.connect()
    tcb = w.client.tcb
    seq, una = tcb.rcv_nxt & 0xFFFFFFFF, tcb.snd_una & 0xFFFFFFFF

    def window(field: int) -> list[int]:
        w.inject("client", Segment(80, 49152, seq, una, ACK, field, w.messages[1].segment.options))
        sizes = []
        while (segment := tcb.poll_transmit(w.now, 1500)) is not None:
            sizes.append(segment.payload_length)
        return sizes

    assert tcb.max_snd_wnd == 64240
    assert window(0) == []
    tcb.send(bytes(10_000), w.now)
    assert tcb.poll_transmit(w.now, 1500) is None
    assert window(5) == [], "640 octets, with 10,000 to send: not worth a segment"
    assert tcb.timers.running(timers.PERSIST)
    assert window(12) == [1448], "1536 octets: one full segment, the rest waits"


@pytest.mark.requirement("MUST-60")
def test_the_override_timer_sends_into_a_silly_window() -> None:
    w = World(server=in_units_of_128())
    w.connect()
    tcb = w.client.tcb
    seq, una = tcb.rcv_nxt & 0xFFFFFFFF, tcb.snd_una & 0xFFFFFFFF
    w.inject("client", Segment(80, 49152, seq, una, ACK, 5, w.messages[1].segment.options))
    tcb.send(bytes(10_000), w.now)
    assert tcb.poll_transmit(w.now, 1500) is None
    deadline = tcb.next_deadline()
    assert 200 * MS <= deadline - w.now <= 240 * MS
    tcb.deadline_reached(deadline)
    segment = tcb.poll_transmit(deadline, 1500)
    assert segment is not None
    assert segment.payload_length == 640
    assert tcb.poll_transmit(deadline, 1500) is None


@pytest.mark.row("B4")
@pytest.mark.requirement("MUST-38")
@pytest.mark.parametrize(("window", "sent"), [(999, None), (1000, 1000)])
def test_half_of_the_largest_window_by_hand(window: int, sent: int | None) -> None:
    # RFC 9293 §3.8.6.2.1, (3): Fs = 1/2 of the largest window that the peer ever offered, here 2000.
    c = make_connection(CLIENT)
    c.open(0)
    c.poll_transmit(0, 1500)
    c.segment_arrives(Segment(80, 49152, 7, c.iss + 1, SYN | ACK, 2000, Options(mss=1460)), 0)
    assert c.poll_transmit(0, 1500) is not None
    c.segment_arrives(Segment(80, 49152, 8, c.iss + 1, ACK, window), 0)
    c.send(bytes(5000), 0)
    segment = c.poll_transmit(0, 1500)
    assert (segment.payload_length if segment else None) == sent


def test_half_of_the_largest_window_is_worth_sending() -> None:
    w = World(server=buffers(2000))
    w.connect()
    w.client.write(bytes(5000))
    w.server.reading = True
    w.run_for(10 * SECOND)
    # The window is never a full segment of the path; half of it is one as it is, and worth sending.
    assert len(w.server.received) == 5000
    assert {m.segment.payload_length for m in w.messages if data(m)} == {500}


@pytest.mark.row("B4")
def test_the_window_is_a_promise_about_octets_not_read() -> None:
    w = World(server=buffers(20_000))
    w.connect()
    w.client.write(bytes(6000))
    w.run_for(SECOND)
    last = [m.segment for m in w.messages if m.sender == "server"][-1]
    assert w.server.tcb.rcv_wnd == w.server.tcb.rcv_adv - w.server.tcb.rcv_nxt
    assert abs((last.wnd << w.server.tcb.rcv_wscale) - 4000) <= 1460


@pytest.mark.row("B4")
def test_the_receive_buffer_grows_with_what_is_read() -> None:
    w = World(room=65_000, delay=50 * MS)
    w.connect()
    assert w.server.tcb.rcv_buf == 131_072
    w.client.write(bytes(3_000_000))
    w.server.reading = True
    w.run_for(10 * SECOND)
    assert len(w.server.received) == 3_000_000
    assert 500_000 < w.server.tcb.rcv_buf <= 33_554_432
    assert w.client.tcb.max_snd_wnd > 250_000


@pytest.mark.parametrize("how", ["locked", "tcp_moderate_rcvbuf = 0", "nobody reads"])
def test_the_receive_buffer_that_does_not_grow(how: str) -> None:
    parameters = TcpParameters()
    parameters.tcp_moderate_rcvbuf = 0 if how.startswith("tcp") else 1
    w = World(server=parameters, room=65_000, delay=50 * MS)
    w.connect()
    w.server.tcb.rcv_buf_locked = how == "locked"
    w.client.write(bytes(1_000_000))
    w.server.reading = how != "nobody reads"
    w.run_for(10 * SECOND)
    assert w.server.tcb.rcv_buf == 131_072
    assert w.client.tcb.max_snd_wnd <= 65_536


@pytest.mark.row("B4", "B8")
@pytest.mark.requirement("MUST-35", "MAY-7", "SHLD-17")
def test_a_peer_that_shrinks_its_window_to_nothing() -> None:
    """RFC 9293 §3.8.6 (SHLD-17): what was sent is sent again, at the RTO, for as long as the peer answers."""
    w = World()
    w.connect()
    tcb = w.client.tcb
    tcb.send(bytes(1000), w.now)
    assert tcb.poll_transmit(w.now, 1500) is not None
    seq, una = tcb.rcv_nxt & 0xFFFFFFFF, tcb.snd_una & 0xFFFFFFFF
    now = w.now
    sent = 0
    answer = Segment(80, 49152, seq, una, ACK, 0, w.messages[1].segment.options)
    tcb.segment_arrives(answer, now)
    while now < 4000 * SECOND:
        now = tcb.next_deadline()
        tcb.deadline_reached(now)
        while (segment := tcb.poll_transmit(now, 1500)) is not None:
            assert segment.payload_length == 1000
            sent += 1
        tcb.segment_arrives(answer, now + MS)
        assert tcb.error == 0
    assert sent > 30


@pytest.mark.requirement("SHLD-17")
@pytest.mark.parametrize(("delay", "unanswered"), [(0, 0), (MS, 1)])
def test_a_shrunk_window_survives_a_lost_answer(delay: int, unanswered: int) -> None:
    w = World()
    w.connect()
    tcb = w.client.tcb
    tcb.send(bytes(1000), w.now)
    assert tcb.poll_transmit(w.now, 1500) is not None
    answer = Segment(
        80, 49152, tcb.rcv_nxt & 0xFFFFFFFF, tcb.snd_una & 0xFFFFFFFF, ACK, 0, w.messages[1].segment.options
    )
    tcb.segment_arrives(answer, w.now)
    for round_of_probes in range(60):
        now = tcb.next_deadline()
        tcb.deadline_reached(now)
        assert tcb.error == 0
        assert tcb.poll_transmit(now, 1500) is not None
        if round_of_probes % 5 or not unanswered:
            tcb.segment_arrives(answer, now + delay)


def test_old_segments_do_not_update_the_window() -> None:
    # RFC 9293 §3.10.7.4, fifth: SND.WL1 and SND.WL2
    c = established()
    far = Segment(80, 49152, c.rcv_nxt + 100, c.snd_una, ACK, 4000, payload=(b"x",))
    c.segment_arrives(far, 0)
    assert c.snd_wnd == 4000
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.snd_una, ACK, 100), 0)
    assert c.snd_wnd == 4000, "it was sent before"
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt + 100, c.snd_una, ACK, 5000), 0)
    assert c.snd_wnd == 5000
    c.send(bytes(2000), 0)
    assert c.poll_transmit(0, 1500) is not None
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt + 100, c.snd_una + 500, ACK, 7000), 0)
    assert (c.snd_wnd, c.snd_wl2) == (7000, c.snd_una)
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt + 100, c.snd_una - 100, ACK, 9), 0)
    assert c.snd_wnd == 7000


def test_a_fin_needs_room_of_its_own() -> None:
    c = established()
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.snd_una, ACK, 1000), 0)
    c.send(bytes(1000), 0)
    c.close(0)
    segment = c.poll_transmit(0, 1500)
    assert segment is not None
    assert (segment.payload_length, segment.flags & FIN) == (1000, 0)
    assert c.poll_transmit(0, 1500) is None
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.snd_una + 1000, ACK, 1), 0)
    segment = c.poll_transmit(0, 1500)
    assert segment is not None
    assert (segment.payload_length, segment.flags & FIN) == (0, FIN)


def test_a_fin_waits_for_room_and_is_probed_for() -> None:
    w = filled(4000)
    w.client.outbox = b""
    queued = len(w.client.tcb.send_buffer)
    w.client.close()
    w.run_for(30 * SECOND)
    assert w.client.state == "FIN-WAIT-1"
    assert queued > 0
    w.server.reading = True
    w.run_for(300 * SECOND)
    assert w.server.ended
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")


@pytest.mark.row("B4")
def test_without_a_shift_a_window_that_is_full_already_is_not_told_again() -> None:
    """A buffer of more than 65535 octets: what the field cannot tell is no reason for an acknowledgment."""
    w = World(client=buffers(1 << 20), server=buffers(1 << 20))
    for end in (w.client, w.server):
        end.parameters.tcp_window_scaling = 0
    w.connect()
    w.server.reading = False
    w.client.write(bytes(100))
    w.run_for(SECOND)
    since = len(w.messages)
    assert len(w.server.receive(50)) == 50
    w.run_for(SECOND)
    assert w.messages[since:] == []
