"""Pacing: when data leave, and what never waits."""

from __future__ import annotations

import itertools

import pytest

from synfin.tcp import changing, timers
from synfin.tcp.congestion import Reno
from synfin.tcp.info import tcp_info
from synfin.tcp.pacing import UNLIMITED_RATE, pacing_rate
from synfin.tcp.parameters import TcpParameters
from tests.tcp.world import MS, SECOND, Message, World, by_client, data, fin

MEGABYTE = 1_000_000


def paced() -> TcpParameters:
    parameters = TcpParameters()
    parameters.tcp_pacing = 1
    return parameters


def opened(client: TcpParameters | None = None, quantum: int = 0, room: int = 1500) -> World:
    w = World(client, delay=50 * MS, room=room)
    w.connect()
    w.client.tcb.pacing_quantum = quantum
    w.server.reading = True
    return w


def at_rate(rate: int, quantum: int = 0, room: int = 1500) -> World:
    """A client that may send so many octets a second, whose window is large, and which has sent for a while."""
    w = opened(quantum=quantum, room=room)
    changing.set_max_pacing_rate(w.client.tcb, rate, w.now)
    w.client.write(bytes(2 * MEGABYTE))
    w.run_for(SECOND)
    return w


def data_of(w: World, since: int) -> list[Message]:
    return [m for m in w.messages if m.sender == "client" and data(m) and m.time >= since]


def test_without_it_a_window_leaves_at_once() -> None:
    w = opened()
    w.client.write(bytes(30_000))
    w.run_for(SECOND)
    assert not w.client.tcb.paced
    # Ten segments, and two for each of the acknowledgments that come together.
    assert len({m.time for m in data_of(w, 0)}) == 2


def test_the_first_ten_segments_leave_at_once_and_the_others_one_by_one() -> None:
    """As on Linux. 2 · 10 · 1448 octets in 100 ms: one segment each 5 ms."""
    w = opened(paced())
    w.client.write(bytes(MEGABYTE))
    w.flush()
    assert len(data_of(w, 0)) == 10
    w.run_for(120 * MS)
    times = [m.time for m in data_of(w, w.start + 200 * MS)]
    assert len(times) == len(set(times)) > 3
    # Slow start is twice as fast as the window in a round trip (tcp_pacing_ss_ratio), and so it doubles in time.
    assert all(2 * MS <= later - earlier <= 5 * MS for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("rate", [50_000, 200_000, 1_000_000])
def test_a_greatest_rate_is_kept(rate: int) -> None:
    w = at_rate(rate)
    since = w.now
    w.run_for(500 * MS)
    sent = data_of(w, since)
    octets = sum(m.segment.payload_length for m in sent)
    assert octets == pytest.approx(rate // 2, rel=0.03, abs=1448)
    # In the simulator each segment has its own moment.
    assert len({m.time for m in sent}) == len(sent)


@pytest.mark.parametrize("quantum", [MS, 4 * MS])
def test_an_event_loop_is_woken_once_in_a_quantum_and_the_rate_is_the_same(quantum: int) -> None:
    rate = 6 * MEGABYTE
    w = opened(quantum=quantum)
    tcb = w.client.tcb
    tcb.cwnd = 4 * MEGABYTE
    changing.set_max_pacing_rate(tcb, rate, w.now)
    # What is acknowledged at once wakes nobody: look at the timer alone.
    woken = []
    sent = octets = 0
    now = began = w.now
    tcb.snd_wnd = tcb.max_snd_wnd = 8 * MEGABYTE
    tcb.snd_buf = 8 * MEGABYTE
    tcb.send(bytes(4 * MEGABYTE), now)
    while now < began + 100 * MS:
        while (segment := tcb.poll_transmit(now, 1500)) is not None:
            octets += segment.payload_length
            sent += 1
        assert tcb.timers.deadlines[timers.PACING] >= now + quantum
        woken.append(now)
        # The loop's timer is late by up to half a quantum.
        now = tcb.timers.deadlines[timers.PACING] + (sent % 3) * quantum // 4
        tcb.deadline_reached(now)
    assert octets == pytest.approx(rate * (now - began) // SECOND, rel=0.05, abs=2 * rate * quantum // SECOND)
    assert len(woken) <= 100 * MS // quantum + 1
    assert sent > 5 * len(woken) / 2


def test_idleness_saves_up_no_burst() -> None:
    """Linux forgives at most half of what the next segment costs."""
    w = at_rate(100_000)
    w.client.outbox = b""
    w.run_for(30 * SECOND)
    w.client.tcb.cwnd = MEGABYTE
    w.client.write(bytes(100_000))
    w.run_for(100 * MS)
    times = [m.time for m in data_of(w, w.now - 100 * MS)]
    span = 1448 * SECOND // 100_000
    assert len(times) == 1 + (100 * MS + span // 2) // span
    assert times[1] - times[0] == pytest.approx(span // 2, abs=2)
    assert times[2] - times[1] == pytest.approx(span, abs=2)


def test_what_is_lost_is_sent_again_at_the_rate_too() -> None:
    w = at_rate(100_000)
    w.lose(by_client(data), count=8)
    w.run_for(400 * MS)
    w.heal()
    since = w.now - 400 * MS
    w.run_for(3 * SECOND)
    assert w.client.tcb.counts.total_retrans >= 8
    times = sorted(m.time for m in data_of(w, since))
    closest = min(later - earlier for earlier, later in itertools.pairwise(times))
    # A tail-loss probe and the first segment after a pause may come sooner, by half.
    assert closest >= 1448 * SECOND // 100_000 // 2 - 1


def test_neither_a_fin_nor_an_acknowledgment_waits() -> None:
    w = at_rate(20_000)
    w.client.outbox = b""
    while w.client.tcb.unsent:
        w.step(1 << 62)
        w.flush()
    assert w.client.tcb.paced_until > w.now
    w.server.send(b"x")
    w.client.close()
    w.flush()
    assert [m for m in w.messages if m.sender == "client" and m.time == w.now and fin(m)]


def test_the_retransmission_timer_does_not_count_what_the_next_segment_waits_for() -> None:
    """RFC 6298 §5 is about the network's time. At 1000 octets a second each segment waits for more than an RTO."""
    w = opened()
    w.client.tcb.counts.data_segs_out = 10
    changing.set_max_pacing_rate(w.client.tcb, 1000, w.now)
    w.client.write(bytes(6 * 1448))
    w.run_for(20 * SECOND)
    assert w.client.tcb.counts.rto_count == w.client.tcb.counts.total_retrans == 0
    assert bytes(w.server.received) == bytes(6 * 1448)
    assert w.now >= w.start + 5 * 1448 * MS


def test_a_shut_window_is_probed_all_the_same() -> None:
    w = at_rate(200_000)
    w.server.reading = False
    w.client.write(bytes(200_000))
    w.run_for(5 * SECOND)
    assert w.client.tcb.snd_wnd == 0
    assert w.client.tcb.timers.running(timers.PERSIST)
    w.server.reading = True
    w.server.work()
    w.run_for(60 * SECOND)
    assert w.client.tcb.unsent == 0


def test_a_congestion_control_may_ask_for_it() -> None:
    class Smooth(Reno):
        __slots__ = ()
        paced = True

    w = World(delay=50 * MS)
    w.server.listen()
    w.client.open().congestion = Smooth()
    w.run()
    assert w.client.tcb.paced
    changing.set_congestion_control(w.client.tcb, "reno", w.now)
    assert not w.client.tcb.paced


def test_info_tells_both_rates() -> None:
    w = opened()
    tcb = w.client.tcb
    # 200 % of ten segments in 100 ms.
    assert tcp_info(tcb, w.now)["tcpi_pacing_rate"] == pacing_rate(tcb) == 2 * 14_480 * 10
    assert tcp_info(tcb, w.now)["tcpi_max_pacing_rate"] == UNLIMITED_RATE
    changing.set_max_pacing_rate(tcb, 5000, w.now)
    assert tcp_info(tcb, w.now)["tcpi_pacing_rate"] == tcp_info(tcb, w.now)["tcpi_max_pacing_rate"] == 5000
    # In congestion avoidance 120 % (tcp_pacing_ca_ratio).
    changing.set_max_pacing_rate(tcb, UNLIMITED_RATE, w.now)
    tcb.ssthresh = tcb.cwnd
    assert pacing_rate(tcb) == 144_800 * 120 // 100
