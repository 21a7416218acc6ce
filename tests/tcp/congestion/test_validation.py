"""Congestion window validation: RFC 5681 §4.1, RFC 2861 as Linux has it, RFC 7661 (row B5)."""

from __future__ import annotations

import pytest

from synfin.tcp.congestion import Cubic, validation
from synfin.tcp.parameters import TcpParameters
from tests.tcp.world import MS, SECOND, World, by_client, data

pytestmark = pytest.mark.row("B5")

MSS = 1448


def filled(mode: int, segments: int = 100, ssthresh: int = 50, **values: int) -> World:
    """A client whose window of `segments` was just used whole: all is acknowledged."""
    parameters = TcpParameters()
    parameters.tcp_cwnd_validation = mode
    for name, value in values.items():
        setattr(parameters, name, value)
    w = World(client=parameters, delay=50 * MS)
    w.connect()
    w.server.reading = True
    w.server.tcb.rcv_buf = w.client.tcb.snd_buf = 1 << 22
    w.client.write(bytes(1_000_000))
    tcb = w.client.tcb
    while w.client.outbox or tcb.snd_una < tcb.send_buffer.end:
        w.run_for(10 * MS)
    tcb.cwnd, tcb.ssthresh = segments * MSS, ssthresh * MSS
    w.client.write(bytes(segments * MSS))
    w.run_for(110 * MS)
    assert tcb.snd_una == tcb.snd_nxt
    tcb.cwnd, tcb.ssthresh = segments * MSS, ssthresh * MSS
    return w


def burst(w: World) -> int:
    """How many segments leave at once when there are plenty."""
    since = len(w.messages)
    w.client.write(bytes(300_000))
    w.flush()
    return len([message for message in w.messages[since:] if by_client(data)(message)])


def idle_for(w: World, rtos: float) -> None:
    tcb = w.client.tcb
    w.run(tcb.last_sent + int(rtos * tcb.round_trip.rto) - w.start)


# --- after idle


@pytest.mark.parametrize(
    ("rtos", "segments"), [(0.99, 100), (1.5, 50), (1.99, 50), (2.5, 25), (3.5, 12), (4.5, 10), (1000, 10)]
)
def test_linux_halves_the_window_for_each_idle_rto(rtos: float, segments: int) -> None:
    """RFC 2861 §3.1, down to the restart window; ssthresh remembers three quarters of what was."""
    w = filled(validation.LINUX)
    idle_for(w, rtos)
    assert burst(w) == segments
    assert w.client.tcb.ssthresh == (50 if segments == 100 else 75) * MSS


@pytest.mark.parametrize(("rtos", "segments"), [(0.99, 100), (1.5, 10), (1000, 10)])
def test_rfc_5681_begins_with_the_restart_window_at_once(rtos: float, segments: int) -> None:
    # RFC 5681 §4.1
    w = filled(validation.RFC_5681)
    idle_for(w, rtos)
    assert burst(w) == segments
    assert w.client.tcb.ssthresh == 50 * MSS


@pytest.mark.parametrize("mode", [validation.RFC_5681, validation.LINUX])
def test_without_slow_start_after_idle_the_window_stays(mode: int) -> None:
    w = filled(mode, tcp_slow_start_after_idle=0)
    idle_for(w, 1000)
    assert burst(w) == 100


def test_a_window_smaller_than_the_restart_window_stays() -> None:
    w = filled(validation.LINUX, segments=4)
    idle_for(w, 50)
    assert burst(w) == 4


@pytest.mark.parametrize(
    ("seconds", "segments", "ssthresh"), [(1, 100, 50), (299, 100, 50), (302, 50, 75), (602, 25, 75), (10_000, 10, 75)]
)
def test_rfc_7661_halves_it_for_each_five_minutes(seconds: int, segments: int, ssthresh: int) -> None:
    """RFC 7661 §4.4.3: ssthresh = max(ssthresh, 3 * cwnd / 4), cwnd = max(cwnd / 2, IW)."""
    w = filled(validation.RFC_7661)
    w.run_for(seconds * SECOND)
    assert burst(w) == segments
    assert w.client.tcb.ssthresh == ssthresh * MSS


# --- a window that is not filled


def trickle(w: World, segments: int, seconds: int) -> None:
    """Writes so many segments every 200 ms, two round trips."""
    for _ in range(5 * seconds):
        w.client.write(bytes(segments * MSS))
        w.run_for(200 * MS)


@pytest.mark.parametrize("mode", [validation.RFC_5681, validation.LINUX, validation.RFC_7661])
def test_a_window_that_is_not_filled_stays(mode: int) -> None:
    w = filled(mode)
    # With RFC 7661 it counts as used for a second.
    trickle(w, 10, 2)
    before = w.client.tcb.cwnd
    trickle(w, 10, 10)
    assert 100 * MSS <= w.client.tcb.cwnd == before <= 101 * MSS


def test_in_slow_start_it_grows_to_twice_what_was_out() -> None:
    # as Linux has it: the next flight may be twice as large
    w = World(delay=50 * MS)
    w.connect()
    w.server.reading = True
    w.client.tcb.cwnd_clamp = 1 << 30
    w.client.tcb.snd_buf = 1 << 22
    trickle(w, 8, 3)
    assert 16 * MSS <= w.client.tcb.cwnd < 18 * MSS


def test_a_window_that_was_filled_exactly_was_used() -> None:
    w = filled(validation.LINUX, segments=20, ssthresh=10)
    w.client.write(bytes(20 * MSS))
    w.run_for(200 * MS)
    assert w.client.tcb.cwnd == 21 * MSS


# --- RFC 7661


def test_the_window_grows_while_half_of_it_is_used() -> None:
    """RFC 7661 §4.3: validated: pipeACK >= cwnd / 2. Below, only what is limited by it grows (§4.4)."""
    w = filled(validation.RFC_7661, segments=40, ssthresh=20)
    trickle(w, 25, 3)
    assert w.client.tcb.cwnd > 41 * MSS
    w = filled(validation.RFC_7661, segments=40, ssthresh=20)
    trickle(w, 15, 3)
    before = w.client.tcb.cwnd
    trickle(w, 15, 3)
    assert w.client.tcb.cwnd == before <= 41 * MSS


@pytest.mark.requirement("MUST-19")
def test_pipe_ack_is_the_largest_sample_of_a_second() -> None:
    """RFC 7661 §4.2: the sampling period is max(3 * RTT, 1 s), §4.5.1: older samples are forgotten."""
    w = filled(validation.RFC_7661, segments=40, ssthresh=20)
    tcb = w.client.tcb
    assert tcb.validation.is_validated(tcb, w.now)
    assert max(tcb.validation.pipe_acks) >= 20 * MSS
    w.run_for(700 * MS)
    assert tcb.validation.is_validated(tcb, w.now)
    w.run_for(500 * MS)
    assert not tcb.validation.is_validated(tcb, w.now)
    assert max(tcb.validation.pipe_acks) == 0


def test_before_anything_was_measured_the_window_counts_as_validated() -> None:
    # RFC 7661 §4.1
    parameters = TcpParameters()
    parameters.tcp_cwnd_validation = validation.RFC_7661
    w = World(client=parameters)
    w.connect()
    assert w.client.tcb.validation.is_validated(w.client.tcb, w.now)


def test_a_loss_in_the_non_validated_phase_is_judged_by_what_was_used() -> None:
    """RFC 7661 §4.4.1: cwnd = (max(pipeACK, LossFlightSize) - R) / 2 when recovery is over; pipeACK is undefined."""
    w = filled(validation.RFC_7661)
    trickle(w, 20, 2)
    tcb = w.client.tcb
    assert tcb.cwnd >= 100 * MSS
    assert tcb.validation.non_validated_since >= 0
    pipe_ack = max(tcb.validation.pipe_acks)
    assert pipe_ack <= 20 * MSS
    resent = tcb.counts.bytes_retrans
    w.lose(by_client(data), 1)
    w.client.write(bytes(20 * MSS))
    w.run_for(120 * MS)
    assert tcb.recovery.in_recovery()
    assert tcb.ssthresh == 10 * MSS
    w.run_for(SECOND)
    assert tcb.counts.bytes_retrans - resent == MSS
    w.client.write(bytes(MSS))
    w.flush()
    assert tcb.ssthresh == 19 * MSS // 2
    assert tcb.cwnd <= tcb.ssthresh
    assert tcb.validation.pipe_acks == ()


def test_a_time_out_in_the_non_validated_phase_goes_as_ever() -> None:
    # RFC 7661 §4.4
    w = filled(validation.RFC_7661)
    trickle(w, 20, 2)
    tcb = w.client.tcb
    tcb.parameters.tcp_early_retrans = 0
    w.lose(by_client(data), 1, 20)
    w.client.write(bytes(20 * MSS))
    w.run_for(5 * SECOND)
    assert tcb.counts.rto_count == 1
    w.client.write(bytes(MSS))
    w.flush()
    assert tcb.ssthresh == 10 * MSS
    assert tcb.cwnd >= 10 * MSS


@pytest.mark.requirement("MUST-19")
def test_cubic_lets_idle_time_go_by() -> None:
    """RFC 9438 §5.8, on a whole connection: its clock stands still while nothing is sent."""
    parameters = TcpParameters()
    parameters.tcp_slow_start_after_idle = 0
    w = World(client=parameters, delay=50 * MS)
    w.client.congestion = Cubic
    w.connect()
    w.server.reading = True
    w.client.tcb.ssthresh = 10 * MSS
    w.client.write(bytes(200_000))
    w.run_for(SECOND)
    w.client.write(bytes(100_000))
    w.run_for(SECOND)
    control = w.client.tcb.congestion
    assert isinstance(control, Cubic)
    assert control.epoch_start >= 0
    w.run_for(100 * SECOND)
    cwnd = w.client.tcb.cwnd
    w.client.write(bytes(100_000))
    w.run_for(SECOND)
    assert w.now - control.epoch_start < 5 * SECOND
    assert w.client.tcb.cwnd < cwnd + 10 * MSS
