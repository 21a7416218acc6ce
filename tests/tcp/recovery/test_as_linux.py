"""Recovery where RFCs leave a choice, or where whole segments matter: as the Linux kernel was seen to do it.

The scripts in tests/drill/scripts say the same of both.
"""

from __future__ import annotations

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_LOSS
from synfin.tcp.info import tcp_info
from synfin.tcp.timers import RETRANSMISSION
from tests.tcp.recovery.sender import MSS, RTT, Sender
from tests.tcp.world import MS


def test_the_fast_retransmission_is_not_kept_back_by_a_part_of_a_segment() -> None:
    s = Sender()
    s.write(6)
    s.c.close(s.now)
    assert s.sent() == [0, 1, 2, 3, 4, 5]
    s.now += RTT
    # With the FIN what is in flight is no multiple of the MSS, and ssthresh leaves less than one segment.
    assert s.ack(0, (1, 4)) == [0]


def test_a_window_that_was_used_up_exactly_may_grow() -> None:
    s = Sender()
    s.flight(10)
    s.ack(10)
    assert s.cwnd == 20
    # Half of it is enough in slow start, less is not.
    s.write(11)
    s.sent()
    s.now += RTT
    s.ack(21)
    assert s.cwnd == 31
    s.write(15)
    s.sent()
    s.now += RTT
    s.ack(36)
    assert s.cwnd == 31


def test_a_fast_retransmission_starts_the_timer_anew() -> None:
    # RFC 6675 §6 leaves it open.
    s = Sender()
    s.flight(10)
    assert s.ack(0, (1, 4)) == [0]
    assert s.c.timers.deadlines[RETRANSMISSION] == s.now + s.c.round_trip.rto


def test_how_far_something_was_late_counts_up_to_what_has_arrived_by_now() -> None:
    s = Sender()
    s.flight(10)
    s.ack(0, (2, 3))
    s.now += 5 * MS
    s.ack(10)
    assert s.c.recovery.reordering_seen == 1
    assert s.c.recovery.reordering == 10


def test_a_gap_that_the_original_fills_late_is_reordering() -> None:
    s = Sender(timestamps=True)
    s.flight(10)
    original = s.tsval() - 100
    assert s.ack(0, (1, 4), ecr=original) == [0]
    s.now += 10 * MS
    s.ack(4, ecr=original)
    assert s.c.recovery.reordering_seen == 1
    assert s.c.recovery.reordering == 4


def test_without_sack_an_acknowledgment_of_the_retransmission_too_proves_nothing() -> None:
    # RFC 5682 §2.1: only the second acknowledgment tells.
    s = Sender("newreno")
    s.flight(3)
    assert s.later(300 * MS) == [0]
    s.ack(2)
    assert s.c.recovery.ca_state == TCP_CA_LOSS
    assert s.c.sent.in_flight < MSS + MSS


def test_no_round_trip_is_taken_of_an_ack_that_covers_a_retransmission_sacked_before() -> None:
    s = Sender()
    s.flight(6)
    assert s.later(150 * MS) == [5]
    s.ack(0, (5, 6))
    rto = s.c.round_trip.rto
    s.now += RTT
    s.ack(6)
    assert s.c.round_trip.rto == rto


def info(s: Sender, *names: str) -> tuple[int, ...]:
    told = tcp_info(s.c, s.now)
    return tuple(told[f"tcpi_{name}"] for name in names)


def test_a_probe_is_no_retransmission_in_flight() -> None:
    s = Sender()
    s.flight(3)
    assert s.later(150 * MS) == [2]
    assert info(s, "lost", "retrans", "total_retrans") == (0, 0, 1)
    assert s.c.sent.resent == 0


def test_what_was_sent_again_for_nothing_is_not_lost() -> None:
    s = Sender(tcp_early_retrans=0)
    s.flight(10)
    assert s.later(250 * MS) == [0]
    assert info(s, "lost", "retrans") == (10, 1)
    s.ack(0, (3, 4))
    assert info(s, "lost", "retrans", "sacked") == (0, 1, 1)


def test_without_sack_duplicates_are_counted_as_delivered() -> None:
    s = Sender("newreno")
    s.flight(10)
    for _ in range(4):
        s.ack(0)
    assert info(s, "sacked", "delivered") == (4, 5)
    # It acknowledges six: those four, the one that was missing, and one more.
    s.ack(6)
    assert info(s, "sacked", "delivered") == (0, 7)


def test_a_duplicate_that_was_reported_was_delivered() -> None:
    s = Sender()
    s.flight(3)
    assert s.later(150 * MS) == [2]
    s.ack(3)
    s.ack(3, (2, 3))
    assert info(s, "delivered", "dsack_dups") == (5, 1)


def test_more_duplicates_than_were_sent_twice_are_not_believed() -> None:
    s = Sender()
    s.flight(10)
    s.ack(3, (1, 2))
    assert info(s, "delivered", "dsack_dups") == (4, 1)
    assert reasons.DSACK_IGNORED in s.c.happened
    assert reasons.DSACK_RECEIVED not in s.c.happened


def test_what_a_receiver_gave_up_again_is_missed_after_half_a_round_trip() -> None:
    s = Sender()
    s.flight(6)
    s.ack(0, (3, 5))
    assert s.later(30 * MS) == []
    assert s.later(5 * MS) == [0]
    # It covers all up to what was sacked, and yet not that.
    s.ack(3)
    assert s.later(RTT // 2 - 1) == []
    assert s.later(1) == [3]
    assert s.c.recovery.ca_state == TCP_CA_LOSS
    assert reasons.SACK_RENEGED in s.c.happened
    # What comes after it is no reordering.
    seen = s.c.recovery.reordering_seen
    s.now += RTT
    s.ack(5)
    assert s.c.recovery.reordering_seen == seen
