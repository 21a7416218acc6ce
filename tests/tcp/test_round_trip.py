"""RTO from measured round trips: the numbers of RFC 6298, worked out by hand (row B3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.tcp.parameters import TcpParameters
from synfin.tcp.round_trip import RoundTrip, time_for_retransmissions
from synfin.wire.sequence import wrap
from tests.tcp.world import MS, SECOND, World, by_client, data, everything, without_probes


def test_a_user_who_goes_on_writing_does_not_put_off_the_rto() -> None:
    w = World()
    w.connect()
    w.client.tcb.settings.nodelay = True
    w.lose(everything, count=1000)
    start = w.now
    for _ in range(4):
        w.client.send(b"x")
        w.run_for(100 * MS)
    # Two are in flight at 100 ms: a probe 2 * 20 + 8 ms later, and a RTO of 220 ms from there, whatever is written.
    first = [message for message in w.messages if data(message) and message.segment.seq == wrap(w.client.tcb.snd_una)]
    assert [message.time - start for message in first] == [0, (100 + 48 + 220) * MS]


@pytest.mark.row("B3")
@pytest.mark.requirement("MUST-18")
def test_srtt_rttvar_and_rto_by_hand() -> None:
    r = RoundTrip(TcpParameters())
    # §2.1
    assert (r.srtt, r.rto) == (0, SECOND)
    # §2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR
    r.measured(200 * MS, 0)
    assert (r.srtt, r.rttvar, r.rto) == (200 * MS, 100 * MS, 600 * MS)
    # §2.3: RTTVAR = 3/4 * 100 + 1/4 * |200 - 280| = 95, then SRTT = 7/8 * 200 + 1/8 * 280 = 210
    r.measured(280 * MS, 0)
    assert (r.srtt, r.rttvar, r.rto) == (210 * MS, 95 * MS, 590 * MS)
    # RTTVAR = 71.25 + 1/4 * |210 - 130| = 91.25; SRTT = 183.75 + 16.25 = 200
    r.measured(130 * MS, 0)
    assert (r.srtt, r.rttvar, r.rto) == (200 * MS, 91_250_000, 565 * MS)
    assert r.min_rtt == 130 * MS


@pytest.mark.row("B3")
def test_the_least_value_bounds_the_term_of_the_variance() -> None:
    parameters = TcpParameters()
    r = RoundTrip(parameters)
    r.measured(10 * MS, 0)
    # As Linux: 10 + max(4 * 5, 200)
    assert r.rto == 210 * MS
    parameters.tcp_rto_min_us = 5_000
    r = RoundTrip(parameters)
    r.measured(10 * MS, 0)
    assert r.rto == 30 * MS


@pytest.mark.row("B3")
@pytest.mark.requirement("MUST-19")
def test_it_doubles_up_to_a_limit_until_the_next_measurement() -> None:
    parameters = TcpParameters()
    r = RoundTrip(parameters)
    r.measured(SECOND, 0)
    assert r.rto == 3 * SECOND
    seen = []
    for _ in range(8):
        r.back_off()
        seen.append(r.rto // SECOND)
    assert seen == [6, 12, 24, 48, 96, 120, 120, 120]
    for _ in range(1000):
        r.back_off()
    assert r.backoff < 40, "the exponent stays small"
    r.measured(SECOND, 0)
    assert r.backoff == 0
    assert r.rto == SECOND + 4 * 375 * MS
    parameters.tcp_rto_max_ms = 1000
    assert r.rto == SECOND


def test_after_a_lost_syn() -> None:
    r = RoundTrip(TcpParameters())
    r.back_off()
    r.syn_was_lost()
    assert r.rto == 3 * SECOND
    r.measured(100 * MS, 0)
    r.syn_was_lost()
    assert r.rto == 300 * MS, "with a measurement nothing is to be assumed"


@given(st.lists(st.integers(-5, 10**12), min_size=1))
def test_it_stays_sane(measurements: list[int]) -> None:
    r = RoundTrip(TcpParameters())
    for each in measurements:
        r.measured(each, 0)
        assert r.srtt >= 1
        assert r.rttvar >= 0
        assert r.srtt <= max(*measurements, 1)
        assert 200 * MS <= r.rto <= 120 * SECOND
    assert r.min_rtt == max(min(measurements), 1)


def test_time_for_retransmissions() -> None:
    parameters = TcpParameters()
    # 0.2 * (2**10 - 1) = 204.6, then six waits of 120 s: Linux's 924.6 s.
    assert time_for_retransmissions(15, 200 * MS, parameters) == 924_600 * MS
    assert time_for_retransmissions(8, 200 * MS, parameters) == 102_200 * MS
    assert time_for_retransmissions(0, 200 * MS, parameters) == 200 * MS


@pytest.mark.row("B3")
def test_a_lost_segment_is_sent_again_after_the_rto_and_each_time_later() -> None:
    w = World(without_probes())
    w.connect()
    w.lose(by_client(data), count=4)
    w.client.send(b"x")
    w.run_for(20 * SECOND)
    # SRTT 20 ms: RTO = 20 + 200 ms
    assert w.times(by_client(data)) == pytest.approx([0.03, 0.25, 0.69, 1.57, 3.33])
    assert w.client.tcb.retransmissions == 0
    # The echo measures the last transmission, 20 ms: back-off ends (RFC 7323 §4, RFC 6298 §5.7).
    assert w.client.tcb.round_trip.rto < 230 * MS


@pytest.mark.row("B3")
@pytest.mark.requirement("MUST-18")
def test_without_timestamps_karns_rule_forbids_the_measurement_and_keeps_the_back_off() -> None:
    parameters = without_probes()
    parameters.tcp_timestamps = 0
    w = World(client=parameters)
    w.connect()
    rto = w.client.tcb.round_trip.rto
    srtt = w.client.tcb.round_trip.srtt
    w.lose(by_client(data), count=2)
    w.client.send(b"x")
    w.run_for(20 * SECOND)
    assert w.client.tcb.round_trip.srtt == srtt
    assert w.client.tcb.round_trip.rto == 4 * rto
    w.client.send(b"y")
    w.run_for(20 * SECOND)
    assert w.client.tcb.round_trip.backoff == 0


@pytest.mark.row("B3")
@pytest.mark.requirement("MUST-18")
def test_the_timer_runs_for_the_oldest_segment_and_restarts_with_progress() -> None:
    w = World()
    w.connect()
    w.lose(by_client(data), nth=2, count=1)
    w.client.tcb.settings.nodelay = True
    w.client.send(b"a")
    w.run_for(5 * MS)
    w.client.send(b"b")
    w.run_for(10 * SECOND)
    # "a" was acknowledged at 0.05: RFC 6298 §5.3 restarts the timer then.
    assert w.times(by_client(data)) == pytest.approx([0.03, 0.035, 0.05 + 0.22], abs=0.002)


def test_a_nonsense_echo_measures_nothing() -> None:
    w = World()
    w.connect()
    before = w.client.tcb.round_trip.srtt
    w.lose(everything, nth=1)
    w.client.send(b"x")
    w.flush()
    w.run_for(250 * MS)
    w.heal()
    ack = w.messages[1].segment
    options = w.messages[1].segment.options
    assert options.ts_val is not None
    assert options.ts_ecr is not None
    from synfin.wire.tcp import ACK, Options, Segment

    for echo in (0, (options.ts_ecr + 100_000) & 0xFFFFFFFF, (options.ts_ecr - 700_000) & 0xFFFFFFFF):
        w2 = World()
        w2.connect()
        w2.client.send(b"x")
        w2.flush()
        w2.now += 100 * MS
        tcb = w2.client.tcb
        tcb.sent.mark_all_lost()
        first = tcb.sent.first_lost()
        assert first is not None
        tcb.sent.retransmit(first, 1, 1, w2.now, 0)
        base = ack.ack
        w2.inject(
            "client",
            Segment(80, 49152, ack.seq + 1, base + 1, ACK, 500, Options(ts_val=options.ts_val + 100, ts_ecr=echo)),
        )
        assert tcb.snd_una == tcb.snd_nxt
        assert tcb.round_trip.srtt == before
