"""Loss recovery by SACK: RFC 6675's IsLost () and NextSeg (), RFC 2018's rules for a sender, RFC 3042."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_DISORDER, TCP_CA_LOSS, TCP_CA_OPEN, TCP_CA_RECOVERY
from tests.tcp.recovery.sender import MSS, RTT, Sender
from tests.tcp.world import MS


def lost(s: Sender) -> list[int]:
    """The segments that are believed lost, sent again or not."""
    numbers: list[int] = []
    for entry in s.c.sent.entries():
        if entry.fate == 2 or entry.transmissions > 1:
            numbers += range((entry.start - s.first) // MSS, -(-(entry.end - s.first) // MSS))
    return numbers


# --- RFC 6675 §4, IsLost ()


def test_is_lost_by_three_discontiguous_blocks() -> None:
    s = Sender("sack")
    s.flight(12)
    s.ack(0, (2, 3))
    s.ack(0, (4, 5), (2, 3))
    assert lost(s) == []
    assert s.c.recovery.ca_state == TCP_CA_DISORDER
    # "either DupThresh discontiguous SACKed sequences have arrived above SeqNum"
    s.ack(0, (6, 7), (4, 5), (2, 3))
    assert lost(s) == [0, 1]
    assert s.c.recovery.ca_state == TCP_CA_RECOVERY


def test_is_lost_by_more_than_two_segments_octets() -> None:
    s = Sender("sack")
    s.flight(12)
    s.ack(0, (1, 3))
    assert lost(s) == []
    # "or more than (DupThresh - 1) * SMSS bytes with sequence numbers greater than SeqNum have been SACKed"
    assert s.ack(0, (1, 4)) == [0]
    assert lost(s) == [0]


def test_reordering_raises_the_threshold() -> None:
    s = Sender("sack", tcp_reordering=5)
    s.flight(12)
    for end in (2, 3, 4, 5):
        s.ack(0, (1, end))
    assert lost(s) == []
    s.ack(0, (1, 6))
    assert lost(s) == [0]


def test_holes_that_many_segments_lie_above_are_lost_at_once() -> None:
    s = Sender("sack")
    s.flight(20)
    s.ack(0, (5, 6))
    s.ack(0, (9, 10), (5, 6))
    s.ack(0, (15, 18), (9, 10), (5, 6))
    # Above 10 to 14 lie three segments; 18 and 19 have none above them.
    assert lost(s) == [0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14]


# --- RFC 3042, RFC 6675 §5


def test_limited_transmit_sends_a_new_segment_for_each_of_the_first_two() -> None:
    s = Sender("sack")
    s.flight(10, more=10)
    assert s.ack(0, (1, 2)) == [10]
    assert s.ack(0, (1, 3)) == [11]
    assert s.ack(0, (1, 4)) == [0]
    # RFC 5681 §3.2, step 2: what limited transmit sent is not counted.
    assert s.ssthresh == 5


def test_a_retransmission_is_not_judged_again() -> None:
    # RFC 6675 §4: only a time-out helps then; RACK does better.
    s = Sender("sack", tcp_early_retrans=0)
    s.flight(10)
    s.ack(0, (1, 2))
    s.ack(0, (1, 3))
    assert s.ack(0, (1, 4)) == [0]
    # 9 is rescued (rule 4) as long as it was not sacked.
    again = []
    for end in range(5, 11):
        s.now += RTT // 10
        again += s.ack(0, (1, end))
    assert again == [9]
    assert s.later(4 * RTT) == [0]
    assert s.c.recovery.ca_state == TCP_CA_LOSS


# --- RFC 6675 §4, NextSeg ()


def test_next_seg_takes_what_is_lost_then_new_data() -> None:
    s = Sender("sack")
    s.flight(20, more=20)
    s.ack(0, (2, 3))
    s.ack(0, (2, 4))
    sent = s.ack(0, (2, 5))
    while len(sent) < 4:
        s.now += 1
        sent += s.ack(0, (2, 5 + len(sent) * 2))
    # Rule (1), rule (1), rule (2), rule (2); two new ones went out as limited transmit.
    assert sent[:4] == [0, 1, 22, 23]


def test_rule_3_what_is_not_lost_yet_but_has_something_above_it() -> None:
    s = Sender("sack")
    s.flight(8)
    s.ack(0, (1, 2))
    s.ack(0, (1, 3))
    assert s.ack(0, (1, 4)) == [0]
    # Segment 5 is sacked; there are no new data, 4 has but one segment above it, and the window would allow it.
    s.c.ssthresh = 20 * MSS
    assert s.ack(0, (5, 6), (1, 4)) == [4]
    assert s.c.sent.entries()[-1].transmissions == 1


def test_rule_4_rescues_the_end_once() -> None:
    s = Sender("sack", tcp_early_retrans=0)
    s.flight(8)
    s.ack(0, (1, 2))
    s.ack(0, (1, 3))
    assert s.ack(0, (1, 4)) == [0]
    # Nothing above 4 is sacked, nothing is lost, there are no new data, and the window would allow them.
    s.c.ssthresh = 20 * MSS
    s.now += RTT
    assert s.ack(4) == [7]
    s.now += RTT
    assert s.ack(5) == []


def test_a_guess_changes_nothing_at_the_end_of_recovery() -> None:
    # RFC 9937 §6.4: cwnd is ssthresh then, also after a rescue.
    s = Sender("sack", tcp_early_retrans=0)
    s.flight(20)
    for end in (2, 3, 4):
        s.ack(0, (1, end))
    assert s.ssthresh == 10
    s.now += RTT
    # Ten segments are in flight at most: the last one is rescued.
    rescued = [number for end in range(12, 20) for number in s.ack(0, (1, end))]
    assert rescued == [19]
    s.now += RTT
    s.c.cwnd = 3 * MSS
    s.ack(20)
    assert s.c.recovery.ca_state == TCP_CA_OPEN
    assert s.cwnd >= s.ssthresh == 10


# --- RFC 2018


def test_a_time_out_believes_all_lost_that_was_not_sacked() -> None:
    s = Sender("sack", tcp_early_retrans=0, tcp_frto=0)
    s.flight(10)
    s.ack(0, (5, 7))
    assert s.later(4 * RTT) == [0]
    assert lost(s) == [0, 1, 2, 3, 4, 7, 8, 9]
    assert s.ack(1, (5, 7)) == [1, 2]
    assert s.ack(3, (5, 7)) == [3, 4, 7, 8]
    assert s.ack(10) == []
    assert s.c.recovery.ca_state == TCP_CA_OPEN


def test_what_a_receiver_gave_up_again_is_sent_after_a_time_out() -> None:
    # RFC 2018 §8: SACK is advisory. It is acknowledged up to a block, and the block is not.
    s = Sender("sack", tcp_early_retrans=0, tcp_frto=0)
    s.flight(6)
    s.ack(0, (1, 3))
    s.ack(1)
    assert s.c.sent.sacked.octets == 2 * MSS
    assert s.later(4 * RTT) == [1]
    assert reasons.SACK_RENEGED in s.c.happened
    assert s.ack(2) == [2, 3]
    assert s.ack(6) == []
    assert len(s.c.sent) == 0


@pytest.mark.parametrize("recovery", ["sack", "rack"])
@pytest.mark.parametrize(
    "block",
    [(0, 2), (3, 3), (4, 3), (8, 12), (11, 20), (-3, 2)],
    ids=["covers SND.UNA", "empty", "turned round", "beyond SND.NXT", "never sent", "begins before"],
)
def test_blocks_that_cannot_be(recovery: str, block: tuple[int, int]) -> None:
    s = Sender(recovery)
    s.flight(10)
    s.ack(0, block)
    assert s.c.sent.sacked.octets == 0
    assert s.c.recovery.ca_state == TCP_CA_OPEN


def test_a_part_of_a_segment_does_not_count() -> None:
    # RFC 2018 §5; and no peer can cut our record into octets.
    s = Sender("sack")
    s.flight(10)
    for at in range(1, 9000, 7):
        s.ack_octets(0, ((s.first + at, s.first + at + 5),))
    assert len(s.c.sent) == 10
    assert s.c.sent.sacked.octets == 0
    s.ack_octets(0, ((s.first + 1500, s.first + 4500),))
    assert s.c.sent.sacked.pairs() == [(s.first + 2000, s.first + 4000)]


def test_without_sack_permitted_blocks_mean_nothing() -> None:
    s = Sender("newreno")
    s.flight(10)
    for end in (2, 3, 4, 5):
        s.ack_octets(0, ((s.first + MSS, s.first + end * MSS),))
    assert s.c.sent.sacked.octets == 0


@pytest.mark.parametrize("recovery", ["sack", "rack"])
def test_a_loss_of_the_next_window_is_a_recovery_of_its_own(recovery: str) -> None:
    # Segment 10 leaves in the recovery of segment 0, and is lost too. It is sent again before that recovery ends.
    s = Sender(recovery, tcp_early_retrans=0)
    s.flight(10, more=40)
    s.ack(0, (1, 2))
    assert s.ack(0, (1, 3)) == [11]
    assert s.ack(0, (1, 4)) == [0]
    sent: list[int] = []
    for end in range(5, 11):
        s.now += MS
        sent += s.ack(0, (1, end))
    s.now += RTT
    again = s.ack(0, (11, 12 + len(sent)), (1, 10))
    assert 10 in again
    ssthresh = s.ssthresh
    # All that had been sent when segment 0 was found lost is acknowledged but for 10, which is on its way.
    s.ack(10, (11, 12 + len(sent)))
    s.ack(10, (11, 13 + len(sent)))
    assert s.c.recovery.ca_state == TCP_CA_RECOVERY
    assert s.ssthresh <= ssthresh
    if recovery == "sack":
        # It is not sent a third time. (RACK does so once something that left after it has arrived.)
        for end in range(14 + len(sent), 18 + len(sent)):
            s.now += MS
            assert 10 not in s.ack(10, (11, end))
    assert reasons.UNDONE_BY_TIMESTAMP not in s.c.happened
