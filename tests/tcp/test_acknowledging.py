"""When acknowledgments go out: at once at first, then with every second full segment, or 40 ms later (row B7)."""

from __future__ import annotations

import itertools

import pytest

from synfin.tcp.acknowledging import Acknowledging
from synfin.tcp.parameters import TcpParameters
from synfin.wire.tcp import ACK, Segment
from tests.drill.running import SMALL_WINDOW, passes
from tests.tcp.world import CLIENT, MS, SECOND, World, bare_ack, by_client, by_server, data, make_connection


def quiet_server() -> World:
    """A world in which the server has used up its quick acknowledgments."""
    w = World()
    w.connect()
    w.client.tcb.settings.nodelay = True
    w.server.reading = True
    for _ in range(60):
        w.client.send(b"x" * 1448)
        w.run_for(30 * MS)
    return w


@pytest.mark.row("B7")
def test_quick_at_the_start() -> None:
    w = World()
    w.connect()
    w.client.tcb.settings.nodelay = True
    sent = []
    for _ in range(5):
        w.client.send(b"x")
        sent.append(w.now / SECOND)
        w.run_for(30 * MS)
    assert w.times(by_server(bare_ack)) == pytest.approx([time + 0.01 for time in sent])


@pytest.mark.row("B7")
@pytest.mark.requirement("SHLD-19")
def test_then_every_second_full_segment() -> None:
    w = quiet_server()
    since = len(w.messages)
    w.client.write(b"y" * 1448 * 10)
    w.run_for(SECOND)
    acks = [m for m in w.messages[since:] if m.sender == "server"]
    sizes = [m.segment.ack for m in acks]
    steps = [(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(sizes)]
    assert len(acks) == 5
    assert steps == [2 * 1448] * 4


@pytest.mark.row("B7")
@pytest.mark.requirement("SHLD-18")
def test_a_single_segment_is_acknowledged_after_40_ms() -> None:
    w = quiet_server()
    w.run_for(100 * MS)
    since = len(w.messages)
    start = w.now
    w.client.send(b"z" * 100)
    w.run_for(SECOND)
    acks = [m.time - start for m in w.messages[since:] if m.sender == "server"]
    # RFC 9293 §3.8.6.3 (MUST-40): in any case under half a second.
    assert len(acks) == 1
    assert 50 * MS <= acks[0] <= 90 * MS


def test_an_acknowledgment_rides_on_data() -> None:
    w = quiet_server()
    w.run_for(100 * MS)
    since = len(w.messages)
    w.client.send(b"question")
    w.run_for(11 * MS)
    w.server.send(b"answer")
    w.run_for(SECOND)
    assert len([m for m in w.messages[since:] if m.sender == "server" and m.segment.payload_length == 0]) == 0


@pytest.mark.requirement("MAY-13")
def test_out_of_order_data_is_answered_at_once_and_each_time() -> None:
    # RFC 5681 §4.2
    w = quiet_server()
    w.lose(by_client(data))
    since = len(w.messages)
    w.client.write(b"y" * 1448 * 6)
    w.run_for(21 * MS)
    duplicates = [m for m in w.messages[since:] if m.sender == "server"]
    assert len(duplicates) == 5
    assert len({m.segment.ack for m in duplicates}) == 1
    # RFC 2018 §4: the block grows.
    assert [(right - left) & 0xFFFFFFFF for m in duplicates for left, right in m.segment.options.sack] == [
        1448 * n for n in range(1, 6)
    ]


def test_an_acknowledgment_that_fills_a_gap_goes_out_at_once() -> None:
    w = quiet_server()
    w.hold(by_client(data), 15 * MS)
    since = len(w.messages)
    w.client.write(b"y" * 1448 * 2)
    w.run_for(30 * MS)
    acks = [m for m in w.messages[since:] if m.sender == "server"]
    assert [m.time - acks[0].time for m in acks] == [0, 15 * MS]


def test_a_window_of_one_exchange_grants_one_quick_acknowledgment() -> None:
    # As many as half the window holds; two only if that is none (Linux, tcp_incr_quickack).
    for window, granted in ((2920, 1), (2919, 2), (5840, 2)):
        a = Acknowledging(TcpParameters())
        a.established(1460, window)
        a.data_received(1460, 1460, window, 200 * MS, 0)
        assert a.quick == granted, window


def test_the_window_that_was_offered_grants_quick_acknowledgments() -> None:
    # 2920 octets were offered: one quick acknowledgment, whatever the first segment has filled of them. The kernel
    # does it too, in tests/drill/kernel/test_comparison.py.
    passes(SMALL_WINDOW)


def test_heuristics_by_hand() -> None:
    a = Acknowledging(TcpParameters())
    a.established(1460, 64240)
    assert a.rcv_mss == 536
    a.data_received(1448, 1460, 64240, 200 * MS, 0)
    assert a.rcv_mss == 1448
    assert a.quick == 16
    assert a.at_once()
    for left in range(15, -1, -1):
        a.acknowledged()
        assert a.quick == left
    a.acknowledged()
    assert a.quick == 0
    assert not a.at_once()
    assert a.deadline(0, 1000) == 1000 + 40 * MS
    # A long pause: the peer starts slowly again.
    a.data_received(1448, 1460, 64240, 200 * MS, 201 * MS)
    assert a.at_once()
    # We answer with data: interactive, so acknowledgments wait for it.
    a.data_sent(210 * MS)
    assert not a.at_once()
    a.deadline_reached(200 * MS)
    assert a.at_once()


@pytest.mark.parametrize(("gap", "delays"), [(5, (40, 40, 40)), (30, (40, 50, 55)), (100, (40, 40, 40))])
def test_the_delay_adapts_to_the_gaps(gap: int, delays: tuple[int, int, int]) -> None:
    """Linux's ATO, by hand: halfway to 40 ms after short gaps, halfway to longer ones, unchanged by still longer."""
    a = Acknowledging(TcpParameters())
    now = 0
    seen = []
    for _ in range(3):
        a.data_received(100, 1460, 64240, 200 * MS, now)
        seen.append(a.delay // MS)
        now += gap * MS
    assert tuple(seen) == delays


def test_the_delay_comes_back_to_40_ms() -> None:
    a = Acknowledging(TcpParameters())
    for now in (0, 30, 60):
        a.data_received(100, 1460, 64240, 200 * MS, now * MS)
    assert a.delay == 55 * MS
    a.data_received(100, 1460, 64240, 200 * MS, 65 * MS)
    assert a.delay == 55 * MS // 2 + 20 * MS


def test_after_a_duplicate_acknowledgments_are_quick_again() -> None:
    # The peer sent again what had arrived: it is in trouble, and needs to hear at once.
    w = quiet_server()
    w.run_for(100 * MS)
    assert w.server.tcb.acknowledging.quick == 0
    w.inject("server", [m.segment for m in w.messages if by_client(data)(m)][-1])
    since, start = len(w.messages), w.now
    w.client.send(b"z" * 100)
    w.run_for(SECOND)
    acks = [m.time - start for m in w.messages[since:] if m.sender == "server"]
    assert acks == [10 * MS]


@pytest.mark.requirement("MUST-40")
def test_the_delay_never_exceeds_200_ms() -> None:
    a = Acknowledging(TcpParameters())
    a.data_received(100, 1460, 64240, 120 * SECOND, 0)
    for _ in range(20):
        a.deadline_reached(120 * SECOND)
    assert a.deadline(0, 0) == 200 * MS
    assert a.deadline(SECOND, 0) == 200 * MS
    assert a.deadline(60 * MS, 0) == 60 * MS
    assert a.deadline(1 * MS, 0) == 40 * MS


def test_a_bare_ack_is_not_acknowledged() -> None:
    w = World()
    w.connect()
    tcb = w.client.tcb
    answer = w.inject("client", Segment(80, 49152, tcb.rcv_nxt & 0xFFFFFFFF, tcb.snd_nxt & 0xFFFFFFFF, ACK, 500))
    assert answer is None
    assert tcb.poll_transmit(w.now, 1500) is None
    assert make_connection(CLIENT).poll_transmit(0, 1500) is None
