"""When events are due, and how far they may be off."""

from __future__ import annotations

import pytest

from tests.drill.running import ACCEPTED, fails, passes, skips

WRITTEN = ACCEPTED + "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n"
# The retransmission comes 300 ms after the data: the RTO of a round trip of 100 ms (RFC 6298 §2.2: 100 + 4 · 50).


@pytest.mark.parametrize("head", ["+.3", "+0.3", "+ 0.3", "0.4", "*", "+.2~+.4", "0.3~0.5", "+.298", "+.302"])
def test_an_expected_packet_comes_in_time(head: str) -> None:
    passes(WRITTEN + f"{head} > P. 1:1001(1000) ack 1")


@pytest.mark.parametrize("head", ["+.4", "0.5", "+.35~+.4", "0.45~0.5"])
def test_an_early_packet_is_an_error(head: str) -> None:
    fails(WRITTEN + f"{head} > P. 1:1001(1000) ack 1", "too early")


@pytest.mark.parametrize("head", ["+.2", "0.3", "+.1~+.2", "0.1~0.3"])
def test_what_comes_late_is_not_waited_for(head: str) -> None:
    fails(WRITTEN + f"{head} > P. 1:1001(1000) ack 1", "no packet left")


def test_a_packet_that_left_before_other_events_is_early() -> None:
    """It is watched for at once, and what it did meanwhile counts."""
    passes(ACCEPTED + "+0 write(4, ..., 10) = 10\n+.003 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1")
    fails(ACCEPTED + "+0 write(4, ..., 10) = 10\n+.1 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1", "too early")


def test_the_tolerance_is_the_larger_of_two() -> None:
    late = WRITTEN + "+.28 > P. 1:1001(1000) ack 1"
    # An eighth of 280 ms are 35 ms.
    passes(late)
    fails("--tolerance_percent=1\n" + late, "no packet left")
    passes("--tolerance_percent=1\n--tolerance_usecs=21000\n" + late)
    fails("--tolerance_percent=1\n--tolerance_usecs=19000\n" + late, "no packet left")
    fails(WRITTEN + "+.25 > P. 1:1001(1000) ack 1", "no packet left")


def test_a_window_is_widened_by_the_tolerance() -> None:
    narrow = "--tolerance_percent=0\n--tolerance_usecs={}\n" + WRITTEN + "+.1~+.29 > P. 1:1001(1000) ack 1"
    passes(narrow.format(11000))
    fails(narrow.format(9000), "no packet left")


def test_between_two_arrivals_time_counts_from_the_schedule() -> None:
    """An arrival that is late, for what came before it took its time, does not delay the next."""
    script = (
        "--tolerance_percent=0\n--tolerance_usecs=20000\n"
        + WRITTEN
        # It leaves at 400 ms, so that the first arrival, due at 388, is late. The second is due at 488.
        + "0.385 > P. 1:1001(1000) ack 1\n0.388 < . 1:1(0) ack 1001 win 32792\n"
        + "+.1 < P. 1:11(10) ack 1001 win 32792\n"
    )
    passes(script + "0.469 > . 1001:1001(0) ack 11")
    passes(script + "0.507 > . 1001:1001(0) ack 11")
    fails(script + "0.509 > . 1001:1001(0) ack 11", "too early")
    between = script.replace("+.1 < P", "+0 read(4, ..., 1) = -1 EAGAIN\n+.1 < P")
    between = between.replace("+0 write", "+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 write")
    # A call in between ends that.
    passes(between + "0.519 > . 1001:1001(0) ack 11")


def test_after_a_packet_that_left_time_counts_from_when_it_did() -> None:
    script = WRITTEN + "+.28 > P. 1:1001(1000) ack 1\n+0 < . 1:1(0) ack 1001 win 32792\n+0 write(4, ..., 1) = 1\n"
    # 400 ms after the start it really left, and the rest followed at once.
    passes(script + "0.4 > P. 1001:1002(1) ack 1")
    fails("--tolerance_percent=5.6\n" + script + "0.38 > P. 1001:1002(1) ack 1", "")


def test_an_event_whose_time_is_over_fails() -> None:
    fails(WRITTEN + "+.3 > P. 1:1001(1000) ack 1\n0.2 close(4) = 0", "the time of this event is over")


def test_any_time_waits_long() -> None:
    dead = ACCEPTED + "+0 write(4, ..., 1) = 1\n+0 > P. 1:2(1) ack 1\n"
    passes(dead + "* > P. 1:2(1) ack 1\n" * 5)
    fails(ACCEPTED + "* > P. 1:2(1) ack 1", "no packet left")


def test_a_time_that_never_comes_is_skipped() -> None:
    skips(ACCEPTED + "+1000000000000 write(4, ..., 1) = 1", "a time beyond")
    passes(ACCEPTED + "+9000000 write(4, ..., 1) = 1")
