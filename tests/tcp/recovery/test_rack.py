"""RACK: RFC 8985 §6, step by step, and what it sees that counting does not."""

from __future__ import annotations

import pytest

from synfin.tcp.ca_states import TCP_CA_DISORDER, TCP_CA_LOSS, TCP_CA_OPEN, TCP_CA_RECOVERY
from synfin.tcp.recovery import RackTlp
from synfin.tcp.timers import REORDERING, TIMEOUT_MIN
from tests.tcp.recovery.sender import RTT, Sender
from tests.tcp.world import MS


def rack(s: Sender) -> RackTlp:
    assert isinstance(s.c.recovery, RackTlp)
    return s.c.recovery


def spread(s: Sender, segments: int, gap: int = MS) -> None:
    """So many segments leave, one each `gap`, the first one RTT ago."""
    s.c.cwnd = segments * 1000
    for number in range(segments):
        s.write(1)
        assert s.sent() == [number]
        s.now += gap
    s.now += RTT - segments * gap


# --- step 2


def test_the_latest_transmission_that_arrived_is_remembered() -> None:
    s = Sender("rack")
    spread(s, 4)
    first = s.now - RTT
    s.ack(0, (2, 3))
    assert (rack(s).sent_at, rack(s).end) == (first + 2 * MS, s.first + 3000)
    assert rack(s).rtt == RTT - 2 * MS
    # What was sent earlier and arrives later changes the round trip alone.
    s.now += MS
    s.ack(0, (1, 3))
    assert (rack(s).sent_at, rack(s).end) == (first + 2 * MS, s.first + 3000)
    assert rack(s).rtt == RTT


def test_of_what_left_at_the_same_time_the_numbers_decide() -> None:
    # RACK_sent_after (): "Else if t1 == t2 AND seq1 > seq2"
    s = Sender("rack")
    s.flight(6)
    s.ack(0, (1, 4))
    assert rack(s).end == s.first + 4000
    # Segment 0 was sent before, 4 and 5 were not.
    assert s.c.sent.entries()[0].transmissions == 2
    assert [entry.fate for entry in s.c.sent.entries()[-2:]] == [0, 0]


def test_new_data_that_left_before_a_retransmission_are_no_proof_against_it() -> None:
    # Both leave in the same nanosecond, as in a simulation. New data have the higher numbers, but left earlier.
    s = Sender("rack")
    s.flight(10, more=20)
    assert s.ack(0, (1, 2)) == [10]
    assert s.ack(0, (1, 3)) == [11]
    assert s.ack(0, (1, 4)) == [0]
    s.now += RTT
    again: list[int] = []
    for end in range(5, 13):
        again += s.ack(0, (1, end))
    assert 0 not in again


def test_a_superpacket_is_judged_in_pieces() -> None:
    s = Sender("rack", tcp_min_tso_segs=44)
    s.c.cwnd = 10_000
    s.write(10)
    segment = s.c.poll_transmit(s.now, 65_000)
    assert segment is not None
    assert segment.payload_length == 10_000
    s.now += RTT
    assert s.ack(0, (3, 8)) == [0, 1, 2]
    # 8 and 9 are not older than what has arrived.
    last = s.c.sent.entries()[-1]
    assert (last.start - s.first, last.end - s.first, last.fate) == (8000, 10_000, 0)


@pytest.mark.parametrize("timestamps", [False, True])
def test_an_echo_of_the_first_transmission_is_not_taken_for_the_second(timestamps: bool) -> None:
    # "rtt < RACK.min_rtt" and "ACK.ts_option.echo_reply < Segment.xmit_ts": Continue
    s = Sender("rack", timestamps, tcp_early_retrans=0)
    stamp = s.tsval()
    s.flight(6)
    assert s.ack(0, (1, 4)) == [0]
    before = (rack(s).sent_at, rack(s).rtt)
    if timestamps:
        s.now += RTT
        s.ack(4, ecr=stamp)
    else:
        s.now += RTT // 2
        s.ack(4)
    assert (rack(s).sent_at, rack(s).rtt) == before


# --- steps 3 and 4


def test_reordering_is_seen_and_buys_time() -> None:
    s = Sender("rack")
    spread(s, 10, MS // 10)
    # 3 before 0, 1, 2, which were never sent again: reordering.
    s.ack(0, (3, 4))
    assert rack(s).reordering_seen == 0
    s.ack(0, (1, 4))
    assert rack(s).reordering_seen == 1
    # Three segments are sacked, but now that is no reason.
    s.ack(0, (1, 6))
    assert s.c.recovery.ca_state == TCP_CA_DISORDER
    assert rack(s).reordering_window(s.c) == s.c.round_trip.min_rtt // 4 > 0


def test_the_degree_of_reordering_in_segments() -> None:
    s = Sender("rack", tcp_max_reordering=8)
    spread(s, 20, MS // 10)
    s.ack(0, (7, 8))
    s.ack(0, (1, 2), (7, 8))
    assert s.c.recovery.reordering == 7
    s.ack(0, (19, 20), (1, 2), (7, 8))
    s.ack(0, (19, 20), (1, 3), (7, 8))
    assert s.c.recovery.reordering == 8


def test_without_reordering_three_segments_are_enough() -> None:
    # "If RACK.reordering_seen is FALSE … RACK.segs_sacked >= DupThresh: Return 0"
    s = Sender("rack")
    spread(s, 8)
    s.ack(0, (1, 2))
    s.ack(0, (1, 3))
    assert s.c.recovery.ca_state == TCP_CA_DISORDER
    assert s.ack(0, (1, 4)) == [0]
    assert s.c.recovery.ca_state == TCP_CA_RECOVERY


def test_dup_thresh_can_be_switched_off() -> None:
    s = Sender("rack", tcp_recovery=5)
    spread(s, 8)
    s.ack(0, (1, 4))
    assert s.c.recovery.ca_state == TCP_CA_DISORDER


def test_the_window_grows_by_a_quarter_of_the_round_trip_for_each_round_with_a_dsack() -> None:
    s = Sender("rack")
    r = rack(s)
    windows = []
    # The peer may have had so many twice.
    s.c.counts.total_retrans = 100
    s.write(1)
    for round_number in range(6):
        s.write(4)
        s.sent()
        s.now += RTT
        # One more than that is in flight.
        at = (round_number + 1) * 4
        s.ack(at, (at - 1, at))
        # A second one of the same round does not count.
        s.ack(at, (at - 1, at))
        r.reordering_seen = 1
        windows.append((r.reordering_window(s.c), s.c.round_trip.srtt))
    quarter = RTT // 4
    # "upper-bound of SRTT"
    assert [window for window, _ in windows] == [min((n + 2) * quarter, srtt) for n, (_, srtt) in enumerate(windows)]
    assert windows[1][0] == 3 * quarter
    assert windows[-1][0] == windows[-1][1]
    # "RACK persists using the inflated RACK.reo_wnd for up to 16 loss recoveries"
    for _ in range(15):
        r.recovered(s.c)
    assert r.reordering_window(s.c) > quarter
    r.recovered(s.c)
    assert r.reordering_window(s.c) == quarter


def test_a_static_reordering_window() -> None:
    s = Sender("rack", tcp_recovery=3)
    s.write(4)
    s.sent()
    s.now += RTT
    s.ack(4, (3, 4))
    assert rack(s).steps == 1


# --- step 5


def test_one_sacked_segment_is_enough_once_the_window_has_passed() -> None:
    s = Sender("rack")
    s.flight(3)
    assert s.ack(0, (1, 2)) == []
    due = s.now + RTT // 4 + TIMEOUT_MIN
    assert s.c.timers.deadlines[REORDERING] == due
    assert s.later(RTT // 4 + TIMEOUT_MIN - 1) == []
    assert s.later(1) == [0]
    assert s.c.recovery.ca_state == TCP_CA_RECOVERY
    assert s.ssthresh == 2


def test_time_that_passed_between_transmissions_counts() -> None:
    # Segment 1 left half a round trip after segment 0: when it arrives, the reordering window has long passed.
    s = Sender("rack", tcp_early_retrans=0)
    s.c.cwnd = 10_000
    s.write(1)
    assert s.sent() == [0]
    s.now += RTT // 2
    s.write(1)
    assert s.sent() == [1]
    s.now += RTT
    assert s.ack(0, (1, 2)) == [0]


def test_a_retransmission_that_is_lost_is_found_without_a_time_out() -> None:
    s = Sender("rack")
    s.flight(10, more=20)
    s.ack(0, (1, 2))
    s.ack(0, (1, 3))
    assert s.ack(0, (1, 4)) == [0]
    # New data that left after the retransmission arrive, and it does not.
    sent = []
    for end in range(5, 11):
        s.now += MS
        sent += s.ack(0, (1, end))
    s.now += RTT
    assert s.ack(0, (1, sent[0] + 1))[0] == 0
    assert s.c.counts.rto_count == 0


def test_a_segment_that_arrives_in_time_is_not_sent_again() -> None:
    s = Sender("rack")
    s.flight(3)
    assert s.ack(0, (1, 2)) == []
    assert s.later(RTT // 8) == []
    assert s.ack(2) == []
    assert s.c.timers.deadlines[REORDERING] > s.now + RTT
    assert s.later(RTT // 2) == []
    assert s.c.recovery.ca_state == TCP_CA_OPEN


# --- §6.3


def test_a_time_out_spares_what_was_sent_lately() -> None:
    # RACK_mark_losses_on_RTO (): "SEG.SEQ == SND.UNA OR Segment.xmit_ts + RACK.rtt + RACK.reo_wnd - Now() <= 0"
    s = Sender("rack", tcp_early_retrans=0, tcp_frto=0)
    s.write(1)
    s.sent()
    s.now += RTT
    s.ack(1)
    s.c.cwnd = 10_000
    s.write(2)
    assert s.sent() == [1, 2]
    # The RTO is 200 ms and more than the round trip; data that leave 50 ms before it have not had theirs.
    s.later(s.c.next_deadline() - s.now - 50 * MS)
    s.write(2)
    assert s.sent() == [3, 4]
    assert s.later(50 * MS)[0] == 1
    assert s.c.recovery.ca_state == TCP_CA_LOSS
    fates = {(e.start - s.first) // 1000: (e.fate, e.transmissions) for e in s.c.sent.entries()}
    assert fates[1][1] == 2
    assert fates[2] == (2, 1)
    assert fates[3] == fates[4] == (0, 1)
