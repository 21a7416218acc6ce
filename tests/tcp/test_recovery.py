"""Loss recovery without SACK, and congestion control: the numbers of RFC 5681, 6582, 6928 and 9937 by hand (rows B3,
B5)."""

from __future__ import annotations

import pytest

from synfin.tcp.connection import Connection
from synfin.tcp.delivery import Delivery
from synfin.tcp.recovery import NewReno
from synfin.wire.tcp import ACK, Segment
from tests.tcp.test_acceptance import established
from tests.tcp.world import MS, SECOND, World, by_client, data

MSS = 1460


def ack(c: Connection, segments: int, now: int) -> None:
    """A cumulative ACK of so many segments of data, with the same window."""
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.iss + 1 + segments * MSS, ACK, 65535), now)


def poll(c: Connection, now: int) -> list[int]:
    """The segments sent now, by number; each is one full segment."""
    numbers = []
    while (segment := c.poll_transmit(now, 1500)) is not None:
        if segment.payload_length:
            assert segment.payload_length == MSS
            assert (segment.seq - c.iss - 1) % MSS == 0
            numbers.append((segment.seq - c.iss - 1) // MSS)
    return numbers


def sending() -> Connection:
    """Ten segments (the initial window, RFC 6928) are in flight, more wait."""
    c = established()
    c.snd_buf = 1 << 20
    assert c.send(bytes(200 * MSS), 0) == 200 * MSS
    assert poll(c, 0) == list(range(10))
    assert c.cwnd == 10 * MSS
    return c


@pytest.mark.row("B5")
@pytest.mark.requirement("MUST-19")
def test_slow_start_by_octets_acknowledged() -> None:
    c = sending()
    ack(c, 1, 100 * MS)
    assert c.cwnd == 11 * MSS
    assert poll(c, 100 * MS) == [10, 11]
    ack(c, 4, 100 * MS)
    assert c.cwnd == 14 * MSS
    assert poll(c, 100 * MS) == [12, 13, 14, 15, 16, 17]


@pytest.mark.row("B5")
@pytest.mark.requirement("MUST-19")
def test_congestion_avoidance_adds_one_segment_for_each_window() -> None:
    c = sending()
    c.ssthresh = 10 * MSS
    for n in range(1, 10):
        ack(c, n, 100 * MS)
        assert c.cwnd == 10 * MSS
        poll(c, 100 * MS)
    ack(c, 10, 100 * MS)
    assert c.cwnd == 11 * MSS
    poll(c, 100 * MS)
    ack(c, 20, 200 * MS)
    assert c.cwnd == 11 * MSS
    poll(c, 200 * MS)
    ack(c, 21, 200 * MS)
    assert c.cwnd == 12 * MSS


@pytest.mark.row("B5")
def test_octets_beyond_a_window_count_for_the_next() -> None:
    c = established()
    c.cwnd = c.ssthresh = 10 * MSS
    seen = []
    delivery = Delivery()
    delivery.octets = 7 * MSS
    for _ in range(3):
        c.congestion.acknowledged(c, delivery, 0)
        seen.append(c.cwnd // MSS)
    # 7; 14 - 10 = 4; 11 - 11 = 0
    assert seen == [10, 11, 12]


@pytest.mark.row("B5")
def test_slow_start_ends_at_ssthresh_exactly() -> None:
    c = sending()
    c.ssthresh = 12 * MSS + 100
    ack(c, 4, 100 * MS)
    assert c.cwnd == c.ssthresh
    poll(c, 100 * MS)
    ack(c, 5, 100 * MS)
    assert c.cwnd == c.ssthresh


@pytest.mark.row("B5")
def test_fast_retransmit_on_the_third_duplicate() -> None:
    c = sending()
    ack(c, 1, 100 * MS)
    assert poll(c, 100 * MS) == [10, 11]
    # Segment 1 is lost. RFC 3042: each of the first two duplicates lets one more segment go.
    ack(c, 1, 101 * MS)
    assert poll(c, 101 * MS) == [12]
    ack(c, 1, 102 * MS)
    assert poll(c, 102 * MS) == [13]
    assert c.cwnd == 11 * MSS
    ack(c, 1, 103 * MS)
    # RFC 5681 §3.2: 13 segments in flight, less the two of limited transmit: 5.5, in whole segments.
    assert c.ssthresh == 5 * MSS
    assert poll(c, 103 * MS) == [1]
    assert isinstance(c.recovery, NewReno)
    assert c.recovery.in_recovery()
    # RFC 9937 §6.2: RecoverFS is 13 - 3 + 1 = 11. Of d segments delivered since, the first of them the third duplicate,
    # ceil(5 d / 11) may have been sent, the retransmission being one; from 5 in flight on, one for each.
    sent = []
    for n in range(1, 10):
        ack(c, 1, (103 + n) * MS)
        sent.append(poll(c, (103 + n) * MS))
    assert sent == [[], [14], [], [15], [], [16], [], [], [17]]
    assert c.ssthresh == 5 * MSS
    # RFC 6582 §3.2: the state is left once more than what had been sent is acknowledged (§6.4: with cwnd = ssthresh).
    ack(c, 14, 200 * MS)
    assert c.recovery.in_recovery()
    ack(c, 15, 200 * MS)
    assert not c.recovery.in_recovery()
    assert c.cwnd == 5 * MSS


@pytest.mark.row("B5")
def test_partial_acknowledgments() -> None:
    c = sending()
    ack(c, 1, 100 * MS)
    poll(c, 100 * MS)
    for n in range(4):
        ack(c, 1, (101 + n) * MS)
        poll(c, (101 + n) * MS)
    # Segments 1 and 4 were lost: the ACK of the retransmission goes up to 4. As above, ceil(5 * 3 / 11) = 2 may be out.
    ack(c, 4, 200 * MS)
    assert c.recovery.in_recovery()
    assert poll(c, 200 * MS) == [4]
    # RFC 6582 §3.2: only the first partial acknowledgment resets the timer.
    deadline = c.next_deadline()
    assert deadline == 200 * MS + c.round_trip.rto
    ack(c, 4, 205 * MS)
    assert poll(c, 205 * MS) == []
    ack(c, 6, 210 * MS)
    assert poll(c, 210 * MS) == []
    ack(c, 6, 215 * MS)
    assert poll(c, 215 * MS) == [6]
    assert c.next_deadline() == deadline
    ack(c, 14, 220 * MS)
    assert poll(c, 220 * MS)[0] == 14
    ack(c, 15, 230 * MS)
    assert not c.recovery.in_recovery()


@pytest.mark.row("B3", "B5")
@pytest.mark.requirement("MUST-19")
def test_a_timeout_halves_ssthresh_once_and_begins_with_one_segment() -> None:
    c = sending()
    c.parameters.tcp_frto = 0
    now = c.next_deadline()
    c.deadline_reached(now)
    assert (c.ssthresh, c.cwnd) == (5 * MSS, MSS)
    assert poll(c, now) == [0]
    assert c.sent.lost == 9 * MSS
    for _ in range(3):
        now = c.next_deadline()
        c.deadline_reached(now)
        # RFC 5681 §3.1, equation (4): not again for the same loss.
        assert (c.ssthresh, c.cwnd) == (5 * MSS, MSS)
        assert poll(c, now) == [0]
    # The ACK's clock sends the rest again, in slow start; snd_nxt never moved back.
    assert c.snd_nxt == c.iss + 1 + 10 * MSS
    ack(c, 1, now + MS)
    assert c.cwnd == 2 * MSS
    assert poll(c, now + MS) == [1, 2]
    ack(c, 3, now + 2 * MS)
    assert c.cwnd == 4 * MSS
    assert poll(c, now + 2 * MS) == [3, 4, 5, 6]
    ack(c, 10, now + 3 * MS)
    assert poll(c, now + 3 * MS)[0] == 10
    ack(c, 11, now + 4 * MS)
    assert not c.recovery.in_recovery()
    assert c.cwnd > 5 * MSS


def test_a_retransmitted_superpacket_is_of_full_segments() -> None:
    c = established()
    # The acknowledgment below would tell that the time-out was spurious.
    c.parameters.tcp_frto = 0
    c.send(bytes(10 * MSS), 0)
    assert c.poll_transmit(0, 65_000) is not None
    now = c.next_deadline()
    c.deadline_reached(now)
    assert poll(c, now) == [0]
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.snd_una + MSS + 700, ACK, 65535), now + MS)
    assert c.cwnd == 2 * MSS + 700
    segment = c.poll_transmit(now + MS, 65_000)
    assert segment is not None
    assert (segment.payload_length, segment.segment_size) == (2 * MSS, MSS)


def test_a_second_timeout_after_some_progress_halves_again() -> None:
    """RFC 5681 §3.1 would keep ssthresh; Linux takes it for another loss."""
    c = sending()
    c.parameters.tcp_frto = 0
    now = c.next_deadline()
    c.deadline_reached(now)
    assert poll(c, now) == [0]
    ack(c, 3, now + MS)
    assert poll(c, now + MS) == [3, 4, 5, 6]
    now = c.next_deadline()
    c.deadline_reached(now)
    # Half of the four that the window allowed.
    assert (c.ssthresh, c.cwnd) == (2 * MSS, MSS)
    # Once all of it is acknowledged, a loss is a new one.
    ack(c, 10, now + MS)
    flight = len(poll(c, now + MS))
    assert flight == c.cwnd // MSS
    c.deadline_reached(c.next_deadline())
    assert c.ssthresh == max(flight * MSS // 2, 2 * MSS)


def test_duplicates_after_a_timeout_do_not_start_fast_retransmit() -> None:
    # RFC 6582 §3.2, step 4 and 2: what they tell may be the retransmissions' own doing.
    c = sending()
    c.parameters.tcp_frto = 0
    now = c.next_deadline()
    c.deadline_reached(now)
    poll(c, now)
    ack(c, 1, now + MS)
    assert poll(c, now + MS) == [1, 2]
    ssthresh = c.ssthresh
    for _ in range(5):
        ack(c, 1, now + MS)
        assert poll(c, now + MS) == []
    assert (c.ssthresh, c.recovery.in_recovery()) == (ssthresh, True)


@pytest.mark.parametrize("change", ["window", "data", "nothing in flight", "fin"])
def test_what_is_no_duplicate(change: str) -> None:
    # RFC 5681 §2
    c = sending()
    ack(c, 1, 100 * MS)
    poll(c, 100 * MS)
    if change == "nothing in flight":
        c = established()
    una = c.snd_una
    for n in range(5):
        segment = Segment(80, 49152, c.rcv_nxt, una, ACK, 65535)
        if change == "window":
            segment.wnd -= n + 1
        if change == "data":
            segment = Segment(80, 49152, c.rcv_nxt, una, ACK, 65535, payload=(b"x",))
        if change == "fin":
            segment.flags |= 1
        c.segment_arrives(segment, 101 * MS)
    assert not c.recovery.in_recovery()
    assert isinstance(c.recovery, NewReno)
    assert c.recovery.duplicates == 0


@pytest.mark.row("B5")
def test_the_window_does_not_grow_while_the_user_is_the_limit() -> None:
    w = World()
    w.connect()
    w.server.reading = True
    for _ in range(100):
        w.client.send(bytes(1448))
        w.run_for(30 * MS)
    assert w.client.tcb.cwnd == 10 * 1448


@pytest.mark.row("B5")
def test_the_window_after_an_idle_time() -> None:
    # RFC 5681 §4.1
    w = World()
    w.connect()
    w.server.reading = True
    w.client.write(bytes(500_000))
    w.run_for(300 * MS)
    assert len(w.server.received) == 500_000
    assert w.client.tcb.cwnd > 30 * 1448
    w.run_for(30 * SECOND)
    since = len(w.messages)
    w.client.write(bytes(200_000))
    w.flush()
    assert len([m for m in w.messages[since:] if by_client(data)(m)]) == 10
    assert w.client.tcb.cwnd == 10 * 1448


@pytest.mark.row("B5")
def test_the_sender_obeys_the_smaller_of_the_two_windows() -> None:
    c = established()
    c.snd_buf = 1 << 20
    c.send(bytes(100 * MSS), 0)
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.snd_una, ACK, 4 * MSS), 0)
    assert poll(c, 0) == [0, 1, 2, 3]
    c.segment_arrives(Segment(80, 49152, c.rcv_nxt, c.snd_una, ACK, 40 * MSS), 0)
    assert poll(c, 0) == [4, 5, 6, 7, 8, 9]


@pytest.mark.row("B3", "B5")
@pytest.mark.parametrize("lost", [[1], [1, 3], [2, 3, 4], list(range(1, 9)), [10]])
def test_any_pattern_of_losses_is_mended(lost: list[int]) -> None:
    # 10 µs apart: of what left at the very same moment, numbers alone tell the order (RFC 8985 §6.2).
    w = World(spacing=MS // 100)
    w.connect()
    for nth in lost:
        w.lose(by_client(data), nth=nth)
    octets = bytes(n % 249 for n in range(60_000))
    w.client.write(octets, then_close=True)
    w.server.reading = True
    w.run_for(30 * SECOND)
    assert bytes(w.server.received) == octets
    assert w.server.ended
    # Each lost segment is sent again once, and nothing else is.
    data_octets = sum(m.segment.payload_length for m in w.messages if m.sender == "client")
    lost_octets = sum(m.segment.payload_length for m in w.messages if m.lost)
    assert data_octets == 60_000 + lost_octets


def test_one_loss_in_a_long_flight_costs_no_timeout() -> None:
    w = World()
    w.connect()
    w.lose(by_client(data), nth=3)
    w.client.write(bytes(14_480))
    w.server.reading = True
    w.run_for(10 * SECOND)
    third = [m for m in w.messages if by_client(data)(m) and m.segment.seq == w.messages[5].segment.seq]
    assert len(third) == 2
    assert third[1].time - third[0].time == 20 * MS
    assert w.client.tcb.recovery.in_recovery() is False


def test_a_retransmitted_last_segment_keeps_its_fin() -> None:
    c = established()
    c.send(bytes(5 * MSS), 0)
    c.close(0)
    poll(c, 0)
    for _ in range(3):
        ack(c, 1, 100 * MS)
    ack(c, 1, 100 * MS)
    again = c.poll_transmit(100 * MS, 1500)
    assert again is not None
    # Segments 1 and 4 (with the FIN) were lost: a partial acknowledgment asks for the last.
    ack(c, 4, 200 * MS)
    again = c.poll_transmit(200 * MS, 1500)
    assert again is not None
    assert again.payload_length == MSS
    assert again.flags & 1
