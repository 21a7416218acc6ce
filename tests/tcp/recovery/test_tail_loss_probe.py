"""Tail-loss probes (RFC 8985 §7): when they go out, what they are, and what their acknowledgment tells."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_OPEN, TCP_CA_RECOVERY
from synfin.tcp.timers import LOSS_PROBE, NEVER, RETRANSMISSION, TIMEOUT_MIN
from synfin.wire.tcp import FIN
from tests.tcp.recovery.sender import RTT, Sender
from tests.tcp.world import MS

PTO = 2 * RTT + TIMEOUT_MIN
BOTH = pytest.mark.parametrize("recovery", ["sack", "rack"])


# --- §7.2


@BOTH
def test_the_probe_comes_two_round_trips_after_the_last_data(recovery: str) -> None:
    s = Sender(recovery)
    s.flight(3)
    assert s.c.timers.deadlines[LOSS_PROBE] == s.now - RTT + PTO
    s.ack(1)
    assert s.c.timers.deadlines[LOSS_PROBE] == s.now + PTO


@BOTH
def test_a_single_segment_leaves_time_for_a_delayed_acknowledgment(recovery: str) -> None:
    s = Sender(recovery, tcp_rto_min_us=50_000)
    s.c.round_trip.base_rto = 2000 * MS
    s.write(1)
    s.sent()
    assert s.c.timers.deadlines[LOSS_PROBE] == s.now + 2 * RTT + 50 * MS


@BOTH
def test_it_is_never_later_than_the_rto(recovery: str) -> None:
    s = Sender(recovery)
    s.c.round_trip.base_rto = 150 * MS
    s.write(3)
    s.sent()
    assert s.c.timers.deadlines[LOSS_PROBE] == s.now + 150 * MS == s.c.timers.deadlines[RETRANSMISSION]
    # The probe goes first, and the RTO starts anew.
    assert s.later(150 * MS) == [2]
    assert s.c.timers.deadlines[RETRANSMISSION] == s.now + 150 * MS
    assert s.later(150 * MS)[0] == 0


def test_data_that_go_on_being_sent_do_not_starve_the_rto() -> None:
    s = Sender("rack")
    s.c.cwnd = 10**6
    rto = s.c.round_trip.rto
    began = s.now
    sent: list[int] = []
    while s.now < began + 2 * rto + RTT:
        s.write(1)
        s.sent()
        sent += s.later(20 * MS)
    # Each write puts the probe off, but no further than the RTO; after it the RTO is the next.
    assert s.c.counts.rto_count == 1
    assert 0 in sent


@pytest.mark.parametrize("value", [0, 1, 2])
def test_it_can_be_switched_off(value: int) -> None:
    s = Sender("rack", tcp_early_retrans=value)
    s.flight(3)
    assert s.c.timers.deadlines[LOSS_PROBE] == NEVER


def test_there_is_none_while_something_is_sacked_or_mended() -> None:
    s = Sender("rack")
    s.flight(4)
    s.ack(1, (2, 3))
    assert s.c.timers.deadlines[LOSS_PROBE] == NEVER


# --- §7.3


@BOTH
def test_new_data_are_the_better_probe(recovery: str) -> None:
    s = Sender(recovery)
    s.flight(4, more=3)
    assert s.later(PTO) == [4]
    assert s.c.counts.total_retrans == 0
    # One more than the window allows, and not another one.
    assert s.pipe == 5


@BOTH
def test_else_the_last_segment_again(recovery: str) -> None:
    s = Sender(recovery)
    s.flight(4)
    assert s.later(PTO - RTT) == [3]
    assert s.c.why is reasons.LOSS_PROBE
    # One probe at a time.
    assert s.later(PTO) == [] or s.c.counts.rto_count == 1


@BOTH
def test_the_last_segment_of_a_superpacket(recovery: str) -> None:
    s = Sender(recovery, tcp_min_tso_segs=44)
    s.c.cwnd = 10_000
    assert s.c.send(bytes(3500), s.now) == 3500
    segment = s.c.poll_transmit(s.now, 65_000)
    assert segment is not None
    assert segment.payload_length == 3500
    s.now = s.c.next_deadline()
    s.c.deadline_reached(s.now)
    probe = s.c.poll_transmit(s.now, 65_000)
    assert probe is not None
    assert (probe.seq - s.first, probe.payload_length) == (3000, 500)


@BOTH
def test_a_lone_fin_is_probed_for_too(recovery: str) -> None:
    s = Sender(recovery)
    s.c.close(s.now)
    segment = s.c.poll_transmit(s.now, 1500)
    assert segment is not None
    assert segment.flags & FIN
    assert s.c.timers.deadlines[LOSS_PROBE] < NEVER
    s.now = s.c.timers.deadlines[LOSS_PROBE]
    s.c.deadline_reached(s.now)
    probe = s.c.poll_transmit(s.now, 1500)
    assert probe is not None
    assert probe.flags & FIN
    assert s.c.why is reasons.LOSS_PROBE


def test_a_second_one_needs_a_round_trip_measured_since() -> None:
    # §7.3: "Second, the sender has obtained an RTT measurement since the last loss probe transmission"
    s = Sender("rack", tcp_frto=0)
    s.flight(4)
    assert s.later(PTO - RTT) == [3]
    # Acknowledged, but by Karn's rule that measures nothing.
    s.now += 10 * MS
    s.ack(4)
    s.write(2)
    assert s.sent() == [4, 5]
    rto = s.c.round_trip.rto
    assert s.later(PTO) == []
    assert s.later(rto)[0] == 4


# --- §7.4


def test_a_tail_that_was_lost_is_mended_without_a_time_out() -> None:
    # §7.4.1: the acknowledgment of the probe shows the rest to RACK.
    s = Sender("rack")
    s.flight(10)
    s.ack(6)
    assert s.later(PTO) == [9]
    s.now += RTT
    assert s.ack(6, (9, 10)) == [6]
    assert s.c.recovery.ca_state == TCP_CA_RECOVERY
    s.now += RTT
    assert s.ack(7, (9, 10)) == [7, 8]
    s.now += RTT
    s.ack(10)
    assert s.c.recovery.ca_state == TCP_CA_OPEN
    assert s.c.counts.rto_count == 0


def test_a_loss_that_the_probe_mended_is_congestion() -> None:
    # §7.4.2: nothing but the acknowledgment of more tells.
    s = Sender("rack")
    s.flight(10)
    s.ack(9)
    probe = s.later(s.c.timers.deadlines[LOSS_PROBE] - s.now)
    assert probe == [9]
    s.now += RTT
    s.ack(10)
    cwnd = s.cwnd
    s.write(1)
    assert s.sent() == [10]
    s.now += RTT
    s.ack(11)
    assert reasons.LOSS_PROBE_MENDED in s.c.happened
    assert s.cwnd <= cwnd / 2 + 1


def test_a_probe_that_was_not_needed_costs_nothing() -> None:
    # §7.4.2, case 1: a D-SACK says that both arrived.
    s = Sender("rack", tcp_slow_start_after_idle=0)
    s.flight(10)
    s.ack(9)
    s.later(s.c.timers.deadlines[LOSS_PROBE] - s.now)
    s.now += MS
    s.ack(10)
    s.now += RTT
    s.ack(10, (9, 10))
    cwnd = s.cwnd
    s.write(1)
    s.sent()
    s.now += RTT
    s.ack(11)
    assert reasons.LOSS_PROBE_MENDED not in s.c.happened
    assert s.cwnd >= cwnd
