"""Reno: RFC 5681 §3.1 with RFC 3465's counting of octets (row B5). Recovery is in test_recovery.py."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp.congestion import Reno
from synfin.tcp.parameters import TcpParameters
from tests.tcp.congestion.flow import MSS, Flow
from tests.tcp.world import MS

pytestmark = pytest.mark.row("B5")


def limited(limit: int) -> TcpParameters:
    parameters = TcpParameters()
    parameters.tcp_abc_limit = limit
    return parameters


@pytest.mark.parametrize(("limit", "growth"), [(0, 5000), (1, 1000), (2, 2000)])
def test_how_far_one_acknowledgment_opens_the_window_in_slow_start(limit: int, growth: int) -> None:
    """RFC 3465 §2.2, §2.3: by the octets acknowledged, L at most."""
    flow = Flow(Reno(), 10, 100 * MS, parameters=limited(limit))
    flow.ack(5 * MSS)
    assert flow.tcb.cwnd == 10 * MSS + growth
    flow.ack(700)
    assert flow.tcb.cwnd == 10 * MSS + growth + 700


@pytest.mark.requirement("MUST-19")
def test_after_a_time_out_the_limit_is_one_segment() -> None:
    """RFC 3465 §2.3: what arrived long before may be acknowledged at once. The limit holds until slow start ends."""
    flow = Flow(Reno(), 20, 100 * MS, parameters=limited(2))
    flow.time_out()
    assert (flow.tcb.cwnd, flow.tcb.ssthresh) == (MSS, 10 * MSS)
    for n in range(2, 11):
        flow.ack(3 * MSS)
        assert flow.tcb.cwnd == n * MSS
    flow.tcb.ssthresh = 20 * MSS
    flow.ack(3 * MSS)
    assert flow.tcb.cwnd == 12 * MSS


def test_congestion_avoidance_by_octets() -> None:
    """RFC 3465 §2.1: bytes_acked reaches cwnd, is reduced by cwnd, and cwnd grows by a segment."""
    flow = Flow(Reno(), 10, 100 * MS, ssthresh=10)
    seen = []
    for _ in range(8):
        flow.ack(3 * MSS)
        seen.append(flow.tcb.cwnd // MSS)
    # 3, 6, 9, 12 - 10 = 2, 5, 8, 11 - 11 = 0, 3
    assert seen == [10, 10, 10, 11, 11, 11, 12, 12]
    assert set(flow.reasons) == {reasons.CONGESTION_AVOIDANCE}


def test_one_acknowledgment_of_many_windows_adds_one_segment() -> None:
    flow = Flow(Reno(), 2, 100 * MS, ssthresh=2)
    flow.ack(10 * MSS)
    assert flow.tcb.cwnd == 3 * MSS
    flow.ack(1)
    assert flow.tcb.cwnd == 4 * MSS, "what was left over is a window at most"
    flow.ack(1)
    assert flow.tcb.cwnd == 4 * MSS


@pytest.mark.requirement("MUST-19")
def test_a_loss_leaves_half_of_what_was_in_flight() -> None:
    """RFC 5681 §3.1, equation (4); §3.2, step 2: without what limited transmit sent beyond the window."""
    flow = Flow(Reno(), 20, 100 * MS)
    assert flow.control.reduced(flow.tcb, 20 * MSS, 0) == 10 * MSS
    assert flow.control.reduced(flow.tcb, 12 * MSS, 0) == 6 * MSS
    assert flow.control.reduced(flow.tcb, 22 * MSS, 0) == 10 * MSS
    assert flow.control.reduced(flow.tcb, 3 * MSS, 0) == 2 * MSS
