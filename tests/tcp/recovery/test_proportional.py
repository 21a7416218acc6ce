"""Proportional Rate Reduction: RFC 9937's algorithm and its examples (§8), and what a false peer gains."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.tcp.ca_states import TCP_CA_CWR, TCP_CA_OPEN, TCP_CA_RECOVERY
from synfin.tcp.recovery.proportional import send_count
from tests.tcp.recovery.sender import MSS, Sender

BOTH = pytest.mark.parametrize("recovery", ["sack", "rack"])


@BOTH
@pytest.mark.row("B5")
def test_figure_1_a_single_loss(recovery: str) -> None:
    # RFC 9937 §8, figure 1: segment 0 of 20 is lost; more wait to be sent.
    s = Sender(recovery)
    s.flight(20, more=50)
    cwnd, in_flight, sent = [], [], []
    for number in range(1, 20):
        s.now += 1
        block = (1, number + 1)
        numbers = s.ack(0, block)
        cwnd.append(s.cwnd)
        in_flight.append(s.pipe - len(numbers))
        sent.append(numbers)
    # ACKs 20 and 21 are those of the two new segments that limited transmit sent.
    for number in (20, 21):
        s.now += 1
        numbers = s.ack(0, (1, number + 1))
        cwnd.append(s.cwnd)
        in_flight.append(s.pipe - len(numbers))
        sent.append(numbers)
    # ACK 19 finds as much in flight as ssthresh says. The figure still counts by proportion there, the pseudo-code of
    # §6.2 no longer does: so what the figure sends then leaves with ACK 20.
    assert cwnd == [20, 20, 19, 18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11, 10, 10, 10]
    assert in_flight == [19, 19, 18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 9, 9]
    kinds = ["R" if 0 in each else "N" if each else " " for each in sent]
    assert "".join(kinds) == "NNR N N N N N N N  NN"
    # ACK 22 covers all that limited transmit sent too, and ends it.
    s.now += 1
    s.ack(22)
    assert s.c.recovery.ca_state == TCP_CA_OPEN
    assert s.ssthresh == 10
    assert s.cwnd >= 10
    assert s.pipe == s.cwnd // 1


@BOTH
@pytest.mark.row("B5")
def test_figure_2_fifteen_losses(recovery: str) -> None:
    # RFC 9937 §8, figure 2: segments 0 to 14 of 20 are lost.
    s = Sender(recovery)
    s.flight(20, more=50)
    cwnd, in_flight, sent = [], [], []
    for number in range(15, 20):
        s.now += 1
        numbers = s.ack(0, (15, number + 1))
        cwnd.append(s.cwnd)
        in_flight.append(s.pipe - len(numbers))
        sent.append(numbers)
    assert cwnd == [20, 20, 5, 5, 5]
    assert in_flight == [19, 19, 4, 4, 4]
    assert sent == [[20], [21], [0], [1], [2]]
    # "PRR enters PRR-SSRB and increases the window by exactly 1 segment per ACK", as SND.UNA goes on.
    s.later(50_000_000)
    assert len(s.ack(1, (15, 22))) == 4
    assert len(s.ack(2, (15, 22))) == 2
    assert len(s.ack(3, (15, 22))) == 2


def test_it_ends_at_ssthresh_exactly_where_losses_are_few() -> None:
    # §7: with minimal losses PRR converges to the target.
    s = Sender("rack")
    s.flight(40, more=100)
    for number in range(2, 40):
        s.now += 1
        s.ack(0, *([(2, number + 1)] if number < 20 else [(2, 20), (21, number + 1)] if number > 20 else [(2, 20)]))
    assert s.ssthresh == 20
    assert s.cwnd == pytest.approx(20, abs=2)
    assert s.pipe <= 22


def test_a_mark_of_a_router_reduces_the_window_as_smoothly() -> None:
    # RFC 3168 §6.1.2, and §6.1 of RFC 9937: the episode is the congestion control's to begin.
    from synfin.tcp.ecn import Ecn

    s = Sender("rack")
    s.c.ecn = Ecn()
    s.flight(20, more=100)
    cwnd = []
    for number in range(1, 21):
        s.ack(number, echo=True)
        assert s.c.recovery.ca_state == TCP_CA_CWR
        cwnd.append(s.cwnd)
    assert s.ssthresh == 10
    assert cwnd[0] == 20
    assert cwnd[-1] == 10
    assert all(0 <= a - b <= 1 for a, b in pairwise(cwnd))
    # What is acknowledged beyond that ends it.
    s.ack(22)
    assert s.c.recovery.ca_state == TCP_CA_OPEN


@pytest.mark.row("B5")
def test_without_sack_each_duplicate_counts_for_a_segment() -> None:
    # §6.2: DeliveredData is one SMSS for each duplicate.
    s = Sender("newreno")
    s.flight(20, more=50)
    cwnd, sent = [], []
    for _ in range(19):
        s.now += 1
        sent.append(s.ack(0))
        cwnd.append(s.cwnd)
    assert cwnd == [20, 20, 19, 18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11, 10]
    assert sent[2] == [0]


def test_duplicates_beyond_what_was_sent_gain_nothing() -> None:
    # §6.2: prr_delivered is bounded by RecoverFS.
    s = Sender("newreno")
    s.flight(20, more=5000)
    before = s.c.snd_nxt
    for _ in range(3000):
        s.now += 1
        s.ack(0)
    assert s.c.recovery.ca_state == TCP_CA_RECOVERY
    assert (s.c.snd_nxt - before) // MSS <= 20
    assert s.pipe <= 20


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=60),
    st.integers(2, 60),
    st.integers(1, 100),
    st.booleans(),
)
def test_the_strong_conservation_bound(deliveries: list[int], ssthresh: int, lost: int, safe: bool) -> None:
    """RFC 9937 §7: below ssthresh, without progress, no more is sent than was delivered (and one segment to begin)."""
    out = delivered = 0
    flight = sum(deliveries) + lost + 200
    in_flight = flight - lost
    for each in deliveries:
        delivered += each
        in_flight -= each
        count = send_count(
            each * MSS, delivered * MSS, out * MSS, flight * MSS, in_flight * MSS, ssthresh * MSS, safe, MSS
        )
        assert count % MSS == 0
        segments = count // MSS
        if in_flight <= ssthresh:
            assert in_flight + segments <= max(ssthresh, in_flight + (1 if out == 0 else 0))
            if not safe:
                assert segments <= max(delivered - out, each, 1 if out == 0 else 0)
        out += segments
        in_flight += segments
