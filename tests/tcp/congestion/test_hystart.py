"""HyStart++: the pseudo-code of RFC 9406 §4.2, case by case (row B5). Round trips in milliseconds."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp.congestion import INFINITE_SSTHRESH, Cubic, Reno
from synfin.tcp.congestion.hystart import INFINITE_RTT, SlowStart
from synfin.tcp.parameters import TcpParameters
from tests.tcp.congestion.flow import MSS, Flow
from tests.tcp.world import MS

pytestmark = pytest.mark.row("B5")


def starting(segments: int = 10, rtt: int = 40, **values: int) -> Flow:
    """A flow in its initial slow start whose first round is over, a round trip of `rtt` ms."""
    parameters = TcpParameters()
    for name, value in values.items():
        setattr(parameters, name, value)
    flow = Flow(Cubic(), segments, rtt * MS, parameters=parameters)
    # The first acknowledgment begins a round, which is the first to be measured whole.
    flow.ack(MSS, rtt * MS)
    play_round(flow, [rtt])
    return flow


def slow_start(flow: Flow) -> SlowStart:
    assert isinstance(flow.control, SlowStart)
    return flow.control


def in_css(flow: Flow) -> bool:
    return slow_start(flow).css_baseline_min_rtt != INFINITE_RTT


def play_round(flow: Flow, rtts: list[int]) -> None:
    """Acknowledges up to windowEnd, a segment at a time, with these round trips; the last one repeats."""
    control = slow_start(flow)
    end = control.window_end
    nth = 0
    while control.window_end == end:
        rtt = rtts[min(nth, len(rtts) - 1)]
        flow.ack(MSS, rtt * MS if rtt else -1, MS)
        nth += 1


def test_rounds_are_measured_by_sequence_numbers() -> None:
    """When windowEnd is acknowledged, the round ends and windowEnd is SND.NXT."""
    flow = Flow(Cubic(), 10, 40 * MS)
    control = slow_start(flow)
    flow.ack(MSS, 40 * MS)
    assert control.window_end == flow.tcb.snd_una - MSS + 10 * MSS
    assert (control.last_round_min_rtt, control.current_round_min_rtt) == (40 * MS, INFINITE_RTT)
    for nth in range(8):
        flow.ack(MSS, (50 + nth) * MS)
    assert (control.current_round_min_rtt, control.rtt_sample_count) == (50 * MS, 8)
    flow.ack(MSS, 45 * MS)
    assert (control.last_round_min_rtt, control.current_round_min_rtt) == (45 * MS, INFINITE_RTT)
    assert control.rtt_sample_count == 0


@pytest.mark.parametrize(
    ("last", "current", "exits"),
    [
        # RttThresh is an eighth of the last round's least round trip ...
        (80, 89, False),
        (80, 90, True),
        # ... MIN_RTT_THRESH at least, 4 ms ...
        (8, 11, False),
        (8, 12, True),
        # ... and MAX_RTT_THRESH at most, 16 ms.
        (400, 415, False),
        (400, 416, True),
    ],
)
def test_a_longer_round_trip_ends_slow_start(last: int, current: int, exits: bool) -> None:
    flow = starting(rtt=last)
    for _ in range(8):
        flow.ack(MSS, current * MS)
    assert in_css(flow) is exits
    if exits:
        assert slow_start(flow).css_baseline_min_rtt == current * MS


@pytest.mark.requirement("MUST-19")
def test_fewer_than_eight_samples_decide_nothing() -> None:
    """N_RTT_SAMPLE. An acknowledgment that measures nothing is no sample."""
    flow = starting()
    for rtt in (90,) * 7 + (0,) * 5:
        flow.ack(MSS, rtt * MS if rtt else -1)
    assert not in_css(flow)
    flow.ack(MSS, 90 * MS)
    assert in_css(flow)


def test_the_least_round_trip_of_a_round_counts() -> None:
    flow = starting()
    for rtt in (90,) * 7 + (44,) + (90,) * 5:
        flow.ack(MSS, rtt * MS)
    assert not in_css(flow)


def test_conservative_slow_start_grows_by_a_quarter() -> None:
    """cwnd = cwnd + min(N, L * SMSS) / CSS_GROWTH_DIVISOR"""
    flow = starting()
    for _ in range(7):
        before = flow.tcb.cwnd
        flow.ack(MSS, 90 * MS)
        assert flow.tcb.cwnd == before + MSS
        assert flow.reasons[-1] is reasons.SLOW_START
    for _ in range(4):
        before = flow.tcb.cwnd
        flow.ack(MSS, 90 * MS)
        assert flow.tcb.cwnd == before + MSS // 4
        assert flow.reasons[-1] is reasons.CONSERVATIVE_SLOW_START


@pytest.mark.requirement("MUST-19")
def test_after_five_rounds_of_it_slow_start_is_over() -> None:
    """CSS_ROUNDS; the round in which it began counts. Then ssthresh = cwnd, and CUBIC goes on from there."""
    flow = starting()
    rounds = 0
    while flow.tcb.ssthresh == INFINITE_SSTHRESH:
        play_round(flow, [90])
        rounds += 1
        assert rounds <= 5
    assert rounds == 5
    # The acknowledgment that ended the fifth is the first of congestion avoidance.
    assert flow.tcb.ssthresh <= flow.tcb.cwnd < flow.tcb.ssthresh + MSS
    assert reasons.CONSERVATIVE_SLOW_START in flow.reasons[:-1]
    control = flow.control
    assert isinstance(control, Cubic)
    assert (control.k, control.w_max, control.cwnd_prior) == (0, flow.tcb.ssthresh, flow.tcb.ssthresh)


@pytest.mark.requirement("MUST-19")
def test_a_false_alarm_resumes_slow_start() -> None:
    """currentRoundMinRTT < cssBaselineMinRtt: the exit was spurious."""
    flow = starting()
    play_round(flow, [90])
    assert in_css(flow)
    for _ in range(7):
        flow.ack(MSS, 89 * MS)
    assert in_css(flow), "not before there are eight samples"
    flow.ack(MSS, 95 * MS)
    assert not in_css(flow)
    before = flow.tcb.cwnd
    flow.ack(MSS, 95 * MS)
    assert flow.tcb.cwnd == before + MSS
    # HyStart++ goes on, and has five rounds again.
    play_round(flow, [40])
    for _ in range(4):
        play_round(flow, [60])
    assert in_css(flow)
    assert flow.tcb.ssthresh == INFINITE_SSTHRESH


def test_a_round_trip_as_long_as_the_baseline_is_no_false_alarm() -> None:
    flow = starting()
    play_round(flow, [90])
    play_round(flow, [90])
    assert in_css(flow)


def test_a_loss_ends_it() -> None:
    flow = starting()
    play_round(flow, [90])
    assert in_css(flow)
    window = flow.tcb.cwnd
    flow.lose()
    assert not in_css(flow)
    assert flow.tcb.ssthresh == window * 7 // 10


def test_a_later_slow_start_is_not_watched() -> None:
    """RFC 9406 §4.3: only the initial one."""
    flow = starting(100)
    flow.time_out()
    for _ in range(30):
        flow.ack(MSS, 400 * MS)
    assert not in_css(flow)
    assert flow.tcb.cwnd == 31 * MSS


@pytest.mark.parametrize(
    ("control", "value", "used"),
    [(Cubic, 0, False), (Cubic, 1, True), (Cubic, 2, True), (Reno, 0, False), (Reno, 1, False), (Reno, 2, True)],
)
def test_who_uses_it(control: type[SlowStart], value: int, used: bool) -> None:
    parameters = TcpParameters()
    parameters.tcp_hystart = value
    flow = Flow(control(), 40, 40 * MS, parameters=parameters)
    for rtt in (40,) * 40 + (90,) * 8:
        flow.ack(MSS, rtt * MS)
    assert in_css(flow) is used


@pytest.mark.parametrize(("limit", "growth"), [(0, 20), (1, 8), (2, 8)])
def test_one_acknowledgment_counts_for_eight_segments_at_most_where_bursts_are_limited(limit: int, growth: int) -> None:
    """RFC 9406 §4.3: L = 8 if non-paced."""
    flow = starting(tcp_abc_limit=limit)
    before = flow.tcb.cwnd
    flow.ack(20 * MSS, 40 * MS)
    assert flow.tcb.cwnd == before + growth * MSS
