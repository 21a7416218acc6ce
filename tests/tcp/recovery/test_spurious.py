"""What was not lost after all: F-RTO (RFC 5682), Eifel (RFC 3522, RFC 4015), D-SACK (RFC 2883), and going back."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_LOSS, TCP_CA_OPEN, TCP_CA_RECOVERY
from tests.tcp.recovery.sender import RTT, Sender
from tests.tcp.world import MS

ALL = pytest.mark.parametrize("recovery", ["newreno", "sack", "rack"])


def timed_out(s: Sender) -> list[int]:
    """Time passes up to the RTO. Returns what it sends."""
    return s.later(s.c.next_deadline() - s.now)


# --- F-RTO, RFC 5682


@ALL
def test_a_delay_of_all_is_seen_by_new_data(recovery: str) -> None:
    """§2.1 and §3.1: the acknowledgments of the originals come late, one after the other."""
    s = Sender(recovery, tcp_early_retrans=0)
    s.flight(10, more=10)
    cwnd = s.cwnd
    assert timed_out(s) == [0]
    assert s.c.recovery.ca_state == TCP_CA_LOSS
    # Step 2b: the first acknowledgment that advances lets two new segments go.
    first = s.ack(1)
    assert first == [10, 11]
    # Step 3b: the second one advances too, over what was never sent again: nothing was lost.
    s.ack(2)
    if recovery == "newreno":
        # Without SACK it takes both to be sure, as the first may have been that of the retransmission.
        assert s.c.recovery.ca_state in (TCP_CA_OPEN, TCP_CA_LOSS)
    assert s.cwnd >= cwnd
    assert s.c.sent.lost == 0
    assert reasons.SPURIOUS_TIMEOUT in s.c.happened
    assert s.c.counts.total_retrans == 1


@ALL
def test_a_real_loss_is_mended_in_slow_start(recovery: str) -> None:
    """Step 3a: a duplicate acknowledgment after the new data says that the loss was real."""
    s = Sender(recovery, tcp_early_retrans=0)
    s.flight(10, more=10)
    assert timed_out(s) == [0]
    assert s.ack(1) == [10, 11]
    s.now += RTT
    sent = s.ack(1, (10, 11)) if recovery != "newreno" else s.ack(1)
    assert sent[0] == 1
    assert s.c.recovery.ca_state == TCP_CA_LOSS
    assert reasons.SPURIOUS_TIMEOUT not in s.c.happened
    assert s.cwnd < 5


@ALL
def test_without_new_data_it_goes_on_as_ever(recovery: str) -> None:
    s = Sender(recovery, tcp_early_retrans=0)
    s.flight(10)
    assert timed_out(s) == [0]
    assert s.ack(1) == [1, 2]


@ALL
def test_a_time_out_while_new_data_are_asked_for_sends_the_first_segment_again(recovery: str) -> None:
    s = Sender(recovery, tcp_early_retrans=0)
    s.flight(10, more=100)
    assert timed_out(s) == [0]
    assert s.ack(1) == [10, 11]
    # Nothing comes back.
    assert timed_out(s) == [1]
    assert timed_out(s) == [1]


@ALL
def test_it_can_be_switched_off(recovery: str) -> None:
    s = Sender(recovery, tcp_early_retrans=0, tcp_frto=0)
    s.flight(10, more=10)
    assert timed_out(s) == [0]
    assert s.ack(1) == [1, 2]


def test_a_sack_of_what_was_never_sent_again_is_proof_enough() -> None:
    # §3.1, step 3b
    s = Sender("sack", tcp_early_retrans=0)
    s.flight(10, more=10)
    assert timed_out(s) == [0]
    s.ack(0, (5, 6))
    assert reasons.SPURIOUS_TIMEOUT in s.c.happened
    assert s.c.recovery.ca_state != TCP_CA_LOSS


def test_without_sack_a_retransmission_that_fills_a_gap_proves_nothing() -> None:
    # Segment 0 was lost, 1 to 4 have arrived: they are acknowledged with it, though they were sent once.
    s = Sender("newreno", tcp_early_retrans=0)
    s.flight(10, more=10)
    assert timed_out(s) == [0]
    s.now += RTT
    assert s.ack(5)[:2] == [10, 11]
    assert reasons.SPURIOUS_TIMEOUT not in s.c.happened
    assert s.c.recovery.ca_state == TCP_CA_LOSS
    # What was never sent again arrives next: then it is proved.
    s.ack(6)
    assert reasons.SPURIOUS_TIMEOUT in s.c.happened


# --- Eifel: RFC 3522, RFC 4015


@ALL
def test_an_echo_from_before_the_retransmission_undoes_a_time_out(recovery: str) -> None:
    s = Sender(recovery, timestamps=True, tcp_early_retrans=0, tcp_frto=0)
    stamp = s.tsval()
    s.flight(10, more=10)
    assert timed_out(s) == [0]
    assert (s.cwnd, s.ssthresh) == (1, 5)
    s.now += 5 * MS
    s.ack(1, ecr=stamp)
    assert s.cwnd >= 10
    assert s.ssthresh > 5
    assert s.c.sent.lost == 0
    assert reasons.UNDONE_BY_TIMESTAMP in s.c.happened


@ALL
def test_an_echo_of_the_retransmission_undoes_nothing(recovery: str) -> None:
    s = Sender(recovery, timestamps=True, tcp_early_retrans=0, tcp_frto=0)
    s.flight(10, more=10)
    assert timed_out(s) == [0]
    stamp = s.tsval()
    s.now += RTT
    s.ack(1, ecr=stamp)
    assert s.cwnd == 2
    assert s.c.recovery.ca_state == TCP_CA_LOSS


def test_a_fast_retransmission_that_was_not_needed() -> None:
    s = Sender("rack", timestamps=True)
    stamp = s.tsval()
    s.flight(10, more=10)
    for end in (2, 3, 4):
        sent = s.ack(0, (1, end), ecr=stamp)
    assert sent == [0]
    assert s.ssthresh == 5
    # The original arrives after all.
    s.now += 3 * MS
    s.ack(10, ecr=stamp)
    assert s.c.recovery.ca_state in (TCP_CA_OPEN, TCP_CA_RECOVERY)
    s.ack(12)
    assert s.c.recovery.ca_state == TCP_CA_OPEN
    assert s.cwnd >= 10
    assert s.ssthresh >= 7


# --- D-SACK: RFC 2883 §5


def test_all_retransmissions_reported_as_duplicates_undo_the_reduction() -> None:
    s = Sender("rack")
    s.flight(20, more=20)
    for end in (3, 4, 5):
        sent = s.ack(0, (2, end))
    assert sent[0] == 0
    while 1 not in sent:
        s.now += 1
        sent += s.ack(0, (2, 6 + len(sent)))
    assert s.ssthresh == 10
    # Both originals arrive, then both copies.
    s.now += MS
    s.ack(10)
    s.ack(10, (0, 1))
    assert s.cwnd < 20
    s.ack(10, (1, 2))
    assert reasons.UNDONE_BY_DSACK in s.c.happened
    assert s.cwnd >= 20
    assert s.ssthresh >= 15


def test_a_dsack_of_something_else_undoes_nothing() -> None:
    s = Sender("rack")
    s.flight(20, more=20)
    for end in (3, 4, 5):
        s.ack(0, (2, end))
    before = s.cwnd
    s.ack(0, (2, 3), (2, 5))
    s.ack(0, (2, 3), (2, 5))
    assert s.c.counts.dsack_dups == 2
    assert s.c.recovery.ca_state == TCP_CA_RECOVERY or s.cwnd == before


@pytest.mark.parametrize(
    ("first", "blocks"),
    [
        # RFC 2883 §4.1.1: below the cumulative acknowledgment
        ((4, 5), [(4, 5)]),
        # §4.1.2, §4.1.3: within the second block
        ((7, 8), [(7, 8), (6, 9)]),
    ],
    ids=["below", "within"],
)
def test_which_block_is_a_dsack(first: tuple[int, int], blocks: list[tuple[int, int]]) -> None:
    s = Sender("rack")
    s.flight(10)
    # As if one had been sent twice.
    s.c.counts.total_retrans = 1
    s.ack(5, *blocks)
    assert s.c.counts.dsack_dups == 1
    assert reasons.DSACK_RECEIVED in s.c.happened
    assert not s.c.sent.sacked.covers(s.first + first[0] * 1000, s.first + first[1] * 1000) or len(blocks) > 1


def test_a_dsack_of_what_was_never_sent_is_ignored() -> None:
    s = Sender("rack")
    s.flight(10)
    s.ack(5, (12, 13), (11, 14))
    assert s.c.counts.dsack_dups == 0
