"""CUBIC against RFC 9438's formulas, computed here in floating point (row B5)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin import reasons
from synfin.tcp.congestion import INFINITE_SSTHRESH, Cubic
from synfin.tcp.congestion.cubic import cube_root
from synfin.tcp.parameters import TcpParameters
from tests.tcp.congestion.flow import MSS, Flow
from tests.tcp.world import MS, SECOND

pytestmark = pytest.mark.row("B5")

C = 0.4
BETA = 0.7


def w_cubic(t: float, w_max: float, cwnd_epoch: float) -> float:
    """RFC 9438 §4.2, figures 1 and 2, in segments and seconds."""
    k = math.copysign(abs((w_max - cwnd_epoch) / C) ** (1 / 3), w_max - cwnd_epoch)
    return C * (t - k) ** 3 + w_max


class Formula:
    """RFC 9438 §4.2 to §4.5 in segments, seconds and floating point: a stage of congestion avoidance after a loss."""

    def __init__(self, cwnd: float, w_max: float, cwnd_prior: float) -> None:
        self.cwnd = self.w_est = self.cwnd_epoch = cwnd
        self.w_max = w_max
        self.cwnd_prior = cwnd_prior

    def ack(self, t: float, rtt: float) -> None:
        alpha = 1.0 if self.w_est >= self.cwnd_prior else 3 * (1 - BETA) / (1 + BETA)
        self.w_est += alpha / self.cwnd
        if w_cubic(t, self.w_max, self.cwnd_epoch) < self.w_est:
            self.cwnd = max(self.cwnd, self.w_est)
        else:
            target = min(max(w_cubic(t + rtt, self.w_max, self.cwnd_epoch), self.cwnd), 1.5 * self.cwnd)
            self.cwnd += (target - self.cwnd) / self.cwnd


def after_loss(segments: int, rtt: int, parameters: TcpParameters | None = None) -> Flow:
    """A flow that lost something when its window was so many segments."""
    flow = Flow(Cubic(), segments, rtt, ssthresh=segments, parameters=parameters)
    flow.lose()
    return flow


@given(st.integers(0, 1 << 130))
def test_the_cube_root_is_exact(number: int) -> None:
    root = cube_root(number)
    assert root**3 <= number < (root + 1) ** 3


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 26, 27, 28, 10**27 - 1, 10**27, 10**27 + 1])
def test_the_cube_root_at_its_edges(number: int) -> None:
    root = cube_root(number)
    assert root**3 <= number < (root + 1) ** 3


# --- §4.2, §4.4, §4.5: the window over time


@pytest.mark.requirement("MUST-19")
@pytest.mark.parametrize(("segments", "rtt"), [(200, 40), (200, 250), (600, 100)])
def test_the_window_follows_the_formula_for_twenty_seconds(segments: int, rtt: int) -> None:
    """Concave, the plateau, convex: within a segment of the RFC's arithmetic, and of W_cubic(t) itself but for what a
    window that takes a round trip to its target lags behind."""
    flow = after_loss(segments, rtt * MS)
    formula = Formula(segments * BETA, segments, segments)
    k = (segments * (1 - BETA) / C) ** (1 / 3)
    begin = -1
    seen = set()
    while begin < 0 or flow.now - begin < 20 * SECOND:
        count = flow.tcb.cwnd // MSS
        for _ in range(count):
            flow.ack(MSS, -1, flow.rtt // count)
            if begin < 0:
                begin = flow.now
            t = (flow.now - begin) / SECOND
            formula.ack(t, rtt / 1000)
            seen.add(flow.reasons[-1])
        assert flow.window == pytest.approx(formula.cwnd, abs=1)
        if formula.w_est < flow.window - 1:
            lag = 3 * C * abs(t - k) * (rtt / 1000) ** 2
            assert abs(flow.window - w_cubic(t, segments, segments * BETA)) <= 1 + lag
    assert {reasons.CUBIC_CONCAVE, reasons.CUBIC_CONVEX} <= seen
    # Beyond W_max it probes, slowly at first and then fast.
    assert flow.window > 2 * segments


@pytest.mark.requirement("MUST-19")
def test_the_plateau_comes_after_k() -> None:
    """RFC 9438 §4.2: K = cbrt((W_max - cwnd_epoch) / C); 1000 segments: cbrt(300 / 0.4) = 9.086 s."""
    flow = after_loss(1000, 100 * MS)
    flow.ack(MSS)
    assert isinstance(flow.control, Cubic)
    assert flow.control.k / SECOND == pytest.approx((300 / 0.4) ** (1 / 3), abs=1e-8)
    assert flow.control.w_cubic(0, MSS) / MSS == pytest.approx(700, abs=0.01)
    assert flow.control.w_cubic(flow.control.k, MSS) == 1000 * MSS
    # As much below before as above after: the function is odd about it.
    for t in (1, 3, 9):
        below = flow.control.w_cubic(flow.control.k - t * SECOND, MSS)
        above = flow.control.w_cubic(flow.control.k + t * SECOND, MSS)
        assert above - 1000 * MSS == 1000 * MSS - below == 400 * t**3


def test_the_window_after_a_time_does_not_depend_on_the_round_trip() -> None:
    # RFC 9438 §3.3
    windows = []
    for rtt in (40, 80, 160):
        flow = after_loss(2000, rtt * MS)
        while flow.now < 9 * SECOND:
            flow.round()
        windows.append(flow.window)
    assert max(windows) - min(windows) < 0.02 * max(windows)


@pytest.mark.requirement("MUST-19")
def test_it_grows_by_half_a_window_for_each_round_trip_at_most() -> None:
    """RFC 9438 §4.2: the target is 1.5 * cwnd at most, here with a path that takes four seconds."""
    flow = after_loss(30, 4 * SECOND)
    flow.ack(MSS)
    for _ in range(10):
        before = flow.tcb.cwnd
        flow.round()
        assert flow.tcb.cwnd <= before * 1.66, "each acknowledgment adds up to (1.5 - 1) / cwnd: e^0.5"
    assert flow.window > 1000


def test_acknowledgments_of_many_segments_add_as_much_as_those_of_one() -> None:
    """RFC 9438 §4.1: with octets, what counts is how many were acknowledged."""
    single, joined = after_loss(500, 100 * MS), after_loss(500, 100 * MS)
    single.ack(MSS)
    joined.ack(MSS)
    for _ in range(1000):
        for _ in range(10):
            single.ack(MSS, -1, 2 * MS)
        joined.ack(10 * MSS, -1, 20 * MS)
    assert single.window > 600
    assert joined.window == pytest.approx(single.window, rel=0.005)


# --- §4.3: the Reno-friendly region


@pytest.mark.requirement("MUST-19")
def test_on_a_short_path_it_grows_as_reno_would_on_the_average() -> None:
    """Alpha is 9/17 of a segment for each window until cwnd_prior is reached, and 1 from there on."""
    flow = after_loss(20, MS)
    formula = Formula(14, 20, 20)
    rounds = 0
    while flow.window < 20:
        flow.round()
        for _ in range(int(formula.cwnd)):
            formula.ack(0, 0.001)
        rounds += 1
        assert flow.window == pytest.approx(formula.cwnd, abs=0.1)
    assert rounds == pytest.approx(6 / (9 / 17), abs=1)
    assert set(flow.reasons) == {reasons.CUBIC_RENO_FRIENDLY}
    before = flow.window
    for _ in range(10):
        flow.round()
    assert flow.window - before == pytest.approx(10, abs=0.5)


@pytest.mark.requirement("MUST-19")
def test_what_a_single_acknowledgment_adds_is_not_rounded_away() -> None:
    """A window of 7 * 10^6 octets: an acknowledgment of one octet adds less than 10^-4 of one. The path is so
    short that time adds nothing."""
    flow = after_loss(10_000, 1)
    flow.ack(MSS)
    before = flow.tcb.cwnd
    for _ in range(20_000):
        flow.ack(1)
    assert flow.tcb.cwnd - before == pytest.approx(20_000 * (9 / 17) * MSS / before, abs=1.01)
    assert flow.tcb.cwnd > before


# --- §4.6, §4.7: shrinking


@pytest.mark.requirement("MUST-19")
def test_a_loss_leaves_seven_tenths() -> None:
    # RFC 9438 §4.6, figure 5
    flow = Flow(Cubic(), 100, 100 * MS)
    assert flow.control.reduced(flow.tcb, 100 * MSS, flow.now) == 70 * MSS
    # Of what was in flight; not below two segments.
    assert flow.control.reduced(flow.tcb, 50 * MSS, flow.now) == 35 * MSS
    assert flow.control.reduced(flow.tcb, 2 * MSS, flow.now) == 2 * MSS
    # What limited transmit sent beyond the window does not count (RFC 5681 §3.2, step 2).
    assert flow.control.reduced(flow.tcb, 102 * MSS, flow.now) == 70 * MSS


@pytest.mark.requirement("MUST-19")
def test_fast_convergence() -> None:
    """RFC 9438 §4.7: a second loss below W_max gives up more: W_max = cwnd * (1 + beta) / 2."""
    flow = Flow(Cubic(), 100, 100 * MS, ssthresh=100)
    control = flow.control
    assert isinstance(control, Cubic)
    flow.lose()
    assert control.w_max == 100 * MSS
    flow.lose()
    assert control.w_max == int(70 * MSS * 0.85)
    assert control.cwnd_prior == 70 * MSS
    # At W_max or above it is remembered whole.
    flow.tcb.cwnd = control.w_max
    flow.lose()
    assert control.w_max == control.cwnd_prior == 59_500


# --- §4.8: time-outs, and §4.10: the end of slow start


@pytest.mark.requirement("MUST-19")
def test_after_a_time_out_the_new_stage_begins_at_its_own_plateau() -> None:
    flow = Flow(Cubic(), 100, 100 * MS, ssthresh=100)
    control = flow.control
    assert isinstance(control, Cubic)
    flow.time_out()
    assert (flow.tcb.ssthresh, flow.tcb.cwnd) == (70 * MSS, MSS)
    while flow.tcb.cwnd < flow.tcb.ssthresh:
        assert control.epoch_start == -1
        flow.round()
    flow.ack(MSS)
    assert (control.k, control.w_max) == (0, 70 * MSS)
    begin = control.epoch_start
    for _ in range(100):
        flow.round()
    t = (flow.now - begin) / SECOND
    assert flow.window == pytest.approx(70 + C * t**3, rel=0.04)


def test_when_slow_start_ends_without_a_loss_it_goes_on_from_there() -> None:
    """RFC 9438 §4.10: W_max is undefined: cwnd_prior = cwnd, K = 0, W_max = cwnd."""
    flow = Flow(Cubic(), 300, 100 * MS, ssthresh=300)
    flow.ack(MSS)
    control = flow.control
    assert isinstance(control, Cubic)
    assert (control.k, control.w_max, control.cwnd_prior) == (0, 300 * MSS, 300 * MSS)
    begin = flow.now
    for _ in range(200):
        flow.round()
    t = (flow.now - begin) / SECOND
    assert flow.window == pytest.approx(300 + C * t**3, abs=1)


# --- §4.2, §5.8: time that does not count


@pytest.mark.requirement("MUST-19")
def test_time_in_which_the_user_sends_little_does_not_count() -> None:
    """RFC 9438 §4.2: t MUST NOT include it. The window afterwards is as if that time had not been."""
    busy, paused = after_loss(500, 100 * MS), after_loss(500, 100 * MS)
    for flow in (busy, paused):
        for _ in range(20):
            flow.round()
    paused.tcb.cwnd_limited = False
    before = paused.tcb.cwnd
    for _ in range(300):
        paused.ack(MSS, -1, 100 * MS)
    assert paused.tcb.cwnd == before
    paused.tcb.cwnd_limited = True
    for _ in range(60):
        busy.round()
        paused.round()
        assert paused.window == pytest.approx(busy.window, abs=1)


@pytest.mark.requirement("MUST-19")
def test_idle_time_does_not_count() -> None:
    busy, idle = after_loss(500, 100 * MS), after_loss(500, 100 * MS)
    for flow in (busy, idle):
        for _ in range(20):
            flow.round()
    since = idle.now
    idle.now += 3600 * SECOND
    idle.control.idle(idle.tcb, since, idle.now)
    for _ in range(60):
        busy.round()
        idle.round()
        assert idle.window == pytest.approx(busy.window, abs=1)


# --- §4.9: what was for nothing


@pytest.mark.requirement("MUST-19")
@pytest.mark.parametrize("timeout", [False, True])
@pytest.mark.parametrize("restored_before", [False, True])
def test_a_reduction_for_nothing_is_undone(timeout: bool, restored_before: bool) -> None:
    straight, disturbed = after_loss(500, 100 * MS), after_loss(500, 100 * MS)
    for flow in (straight, disturbed):
        for _ in range(20):
            flow.round()
    tcb = disturbed.tcb
    cwnd, ssthresh = tcb.cwnd, tcb.ssthresh
    if timeout:
        disturbed.time_out()
    else:
        disturbed.lose()
    for flow in (straight, disturbed):
        flow.now += 100 * MS
    if restored_before:
        tcb.cwnd, tcb.ssthresh = cwnd, ssthresh
    disturbed.control.undone(tcb, disturbed.now)
    tcb.cwnd, tcb.ssthresh = cwnd, ssthresh
    for _ in range(60):
        straight.round()
        disturbed.round()
        assert disturbed.window == straight.window


def test_what_is_found_to_be_for_nothing_too_late_changes_nothing() -> None:
    """RFC 9438 §4.9.2: where the window is beyond cwnd_prior already, the newer values stay."""
    flow = after_loss(100, 100 * MS)
    flow.lose()
    while flow.window <= 100:
        flow.round()
    control = flow.control
    assert isinstance(control, Cubic)
    before = (control.w_max, control.k, control.epoch_start, control.w_est, control.cwnd_prior)
    control.undone(flow.tcb, flow.now)
    assert (control.w_max, control.k, control.epoch_start, control.w_est, control.cwnd_prior) == before


# --- §5.1: tables 1 and 2


@pytest.mark.parametrize(
    ("rtt", "segments_between", "average"),
    [
        (100, 1000, 38),
        (100, 10_000, 187),
        (10, 1000, 38),
        (10, 10_000, 120),
    ],
)
def test_the_average_window_with_regular_losses(rtt: int, segments_between: int, average: int) -> None:
    """RFC 9438 §5.1, tables 1 and 2, C = 0.4: one loss in 1/p segments. The tables come of the analysis in §5, which
    takes windows for continuous and losses for known at once."""
    flow = Flow(Cubic(), average, rtt * MS, ssthresh=average)
    windows = []
    for cycle in range(12):
        for _ in range(segments_between):
            flow.ack(MSS, -1, flow.rtt * MSS // flow.tcb.cwnd)
            if cycle >= 4:
                windows.append(1 / flow.window)
        flow.lose()
    # Over time, of which each segment takes a part that is the smaller, the larger the window is.
    assert len(windows) / sum(windows) == pytest.approx(average, rel=0.1)


# --- whatever happens


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ack", "ack", "ack", "lose", "time out", "undo", "idle", "limited", "unlimited"]),
            st.integers(1, 20 * MSS),
            st.integers(0, 3 * SECOND),
        ),
        max_size=80,
    ),
    st.integers(1, 200),
    st.one_of(st.none(), st.integers(2, 300)),
    st.integers(48, 9000),
)
def test_it_never_grows_faster_than_slow_start_and_never_falls_below_two_segments(
    steps: list[tuple[str, int, int]], segments: int, ssthresh: int | None, mss: int
) -> None:
    def play() -> list[tuple[int, int]]:
        flow = Flow(Cubic(), segments, 100 * MS, ssthresh, mss=mss)
        tcb = flow.tcb
        history = []
        for step, octets, time in steps:
            before = tcb.cwnd
            flow.now += time
            if step == "ack":
                flow.ack(octets, time)
                assert before <= tcb.cwnd <= before + octets
            elif step == "lose":
                flow.lose()
                assert 2 * mss <= tcb.ssthresh <= max(before * 7 // 10, 2 * mss)
            elif step == "time out":
                flow.time_out()
            elif step == "undo":
                flow.control.undone(tcb, flow.now)
            elif step == "idle":
                flow.control.idle(tcb, flow.now - time, flow.now)
            else:
                tcb.cwnd_limited = step == "limited"
            assert tcb.cwnd >= mss
            assert tcb.ssthresh == INFINITE_SSTHRESH or tcb.ssthresh >= mss
            assert isinstance(flow.control, Cubic)
            assert flow.control.epoch_start <= flow.now
            history.append((tcb.cwnd, tcb.ssthresh))
        return history

    assert play() == play()
