"""What is unusual: each kind of finding, in a capture that shows it, and where it must not be seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from synfin.explain import kinds
from synfin.explain.kinds import KINDS
from synfin.wire.ip import CE, ECT_0, PROTOCOL_ICMP, Packet, octets
from synfin.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, Options
from tests.explain.tape import Tape

Found = list[tuple[str, int, int | None]]
UNFINISHED = ("unfinished", 0, None)
CASES: dict[str, Callable[[], tuple[Tape, Found]]] = {}


def case(make: Callable[[], tuple[Tape, Found]]) -> Callable[[], tuple[Tape, Found]]:
    """A capture, and all that is to be found in it."""
    CASES[make.__name__.replace("_", " ")] = make
    return make


def opened(timestamps: bool = False, step: float = 1) -> Tape:
    tape = Tape(timestamps=timestamps, step=step)
    tape.open()
    return tape


def sacked(tape: Tape, *blocks: tuple[int, int]) -> Options:
    return Options(sack=blocks)


# --- nothing -----------------------------------------------------------------------------------------------------


@case
def a_whole_connection() -> tuple[Tape, Found]:
    tape = opened()
    tape.exchange()
    tape.close()
    return tape, []


@case
def sequence_numbers_that_wrap() -> tuple[Tape, Found]:
    tape = Tape(starts=(0xFFFFFFF0, 0xFFFFFFFF))
    tape.open()
    for _ in range(4):
        tape.exchange(9)
    tape.close()
    return tape, []


@case
def a_simultaneous_open() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.send(1, SYN)
    tape.send(0, SYN | ACK, seq=1000, ack=5001)
    tape.send(1, SYN | ACK, seq=5000, ack=1001)
    tape.exchange()
    tape.close()
    return tape, []


# --- sent again --------------------------------------------------------------------------------------------------


@case
def a_fast_retransmission() -> tuple[Tape, Found]:
    tape = opened()
    for _ in range(5):
        tape.send(0, length=1000)
    # The first one offers another window than the SYN+ACK did, hence is no duplicate.
    for _ in range(4):
        tape.send(1, ack=1001)
    tape.send(0, length=1000, seq=1001)
    tape.send(1, ack=6001)
    tape.close()
    return tape, [
        ("duplicate-ack", 10, 1),
        ("duplicate-ack", 11, 1),
        ("duplicate-ack", 12, 1),
        ("fast-retransmission", 13, 0),
    ]


@case
def a_retransmission_for_sack() -> tuple[Tape, Found]:
    tape = opened()
    for _ in range(4):
        tape.send(0, length=1000)
    tape.send(1, ack=1001, options=sacked(tape, (2001, 4001)))
    tape.send(0, length=1000, seq=1001)
    tape.send(1, ack=4001)
    tape.send(1, ack=5001)
    tape.close()
    return tape, [("duplicate-ack", 8, 1), ("sack-retransmission", 9, 0)]


@case
def a_recovery_that_goes_on() -> tuple[Tape, Found]:
    tape = opened()
    for _ in range(5):
        tape.send(0, length=1000)
    tape.send(1, ack=1001, options=sacked(tape, (2001, 3001), (4001, 6001)))
    tape.send(0, length=1000, seq=1001)
    tape.send(0, length=1000, seq=3001)
    tape.send(1, ack=6001)
    tape.close()
    return tape, [("duplicate-ack", 9, 1), ("sack-retransmission", 10, 0), ("recovery-retransmission", 11, 0)]


@case
def a_time_out() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=1000)
    tape.wait(250)
    tape.send(0, length=1000, seq=1001)
    tape.wait(500)
    tape.send(0, length=1000, seq=1001)
    tape.send(1)
    tape.close()
    return tape, [("retransmission-timeout", 5, 0), ("retransmission-timeout", 6, 0)]


@case
def a_tail_loss_probe() -> tuple[Tape, Found]:
    tape = opened()
    for _ in range(3):
        tape.send(0, length=1000)
    tape.send(1, ack=2001)
    tape.wait(20)
    tape.send(0, length=1000, seq=3001)
    tape.send(1)
    tape.close()
    return tape, [("tail-loss-probe", 8, 0)]


@case
def a_spurious_retransmission() -> tuple[Tape, Found]:
    tape = opened()
    tape.exchange()
    tape.send(0, length=1000, seq=1001)
    tape.send(1, options=Options(sack=((1001, 2001),)))
    tape.close()
    return tape, [("spurious-retransmission", 6, 0), ("d-sack", 7, 1)]


@case
def a_retransmission_of_what_was_lost_before() -> tuple[Tape, Found]:
    tape = opened(timestamps=True)
    tape.send(0, length=1000)
    tape.nexts[0] += 1000
    tape.send(0, length=1000)
    tape.send(1, ack=2001, options=Options(ts_val=200, ts_ecr=100, sack=((3001, 4001),)))
    tape.send(0, length=1000, seq=2001)
    tape.send(1)
    tape.close()
    return tape, [("unseen-retransmission", 7, 0)]


@case
def a_segment_that_was_overtaken_by_its_timestamp() -> tuple[Tape, Found]:
    tape = opened(timestamps=True)
    tape.send(0, length=1000, seq=2001, options=Options(ts_val=150, ts_ecr=1))
    tape.send(1, ack=1001, options=Options(ts_val=151, ts_ecr=1, sack=((2001, 3001),)))
    tape.wait(300)
    tape.send(0, length=1000, seq=1001, options=Options(ts_val=149, ts_ecr=1))
    tape.nexts[0] = 3001
    tape.send(1)
    tape.close()
    return tape, [("duplicate-ack", 5, 1), ("out-of-order", 6, 0)]


@case
def a_segment_that_was_overtaken_as_nobody_asked_for_it() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=1000, seq=2001)
    tape.send(0, length=1000, seq=1001)
    tape.nexts[0] = 3001
    tape.send(1)
    tape.close()
    return tape, [("out-of-order", 5, 0)]


@case
def a_retransmission_for_no_reason() -> tuple[Tape, Found]:
    tape = opened()
    for _ in range(4):
        tape.send(0, length=1000)
    tape.send(0, length=1000, seq=2001)
    tape.send(1)
    tape.close()
    return tape, [("retransmission", 8, 0)]


@case
def a_syn_again() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.wait(1000)
    tape.send(0, SYN, seq=1000)
    tape.send(1, SYN | ACK)
    tape.send(0)
    tape.close()
    return tape, [("syn-repeated", 2, 0)]


@case
def a_syn_again_with_fewer_options() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.wait(3000)
    tape.send(0, SYN, seq=1000, options=Options(mss=1460))
    tape.send(1, SYN | ACK, options=Options(mss=1460))
    tape.send(0)
    tape.close()
    return tape, [("options-given-up", 2, 0), ("syn-repeated", 2, 0)]


@case
def a_syn_ack_again() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.send(1, SYN | ACK)
    tape.wait(1000)
    tape.send(1, SYN | ACK, seq=5000)
    tape.send(0)
    tape.close()
    return tape, [("syn-ack-repeated", 3, 1)]


@case
def a_fin_again() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, FIN | ACK)
    tape.wait(250)
    tape.send(0, FIN | ACK, seq=1001)
    tape.send(1, FIN | ACK)
    tape.send(0)
    return tape, [("fin-repeated", 5, 0)]


@case
def a_fin_again_that_nobody_needs() -> tuple[Tape, Found]:
    tape = opened()
    tape.close()
    tape.send(1, FIN | ACK, seq=5001)
    return tape, [("spurious-retransmission", 7, 1)]


@case
def keep_alive_probes() -> tuple[Tape, Found]:
    tape = opened()
    tape.exchange()
    tape.wait(2000)
    tape.send(0, seq=2000)
    tape.send(1)
    tape.wait(2000)
    tape.send(0, length=1, seq=2000)
    tape.send(1)
    tape.close()
    return tape, [("keep-alive", 6, 0), ("keep-alive", 8, 0)]


@case
def a_window_that_closes_and_is_probed() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=1000)
    tape.send(1, wnd=0)
    tape.wait(200)
    tape.send(0, seq=2000)
    tape.send(1, wnd=0)
    tape.wait(200)
    tape.send(0, length=1)
    tape.send(1, ack=2001, wnd=0)
    tape.wait(200)
    tape.send(1)
    tape.close()
    return tape, [
        ("zero-window", 5, 1),
        ("zero-window-probe", 6, 0),
        ("zero-window", 7, 1),
        ("zero-window-probe", 8, 0),
        ("zero-window", 9, 1),
        ("window-open", 10, 1),
    ]


# --- acknowledgments and stalls ----------------------------------------------------------------------------------


@case
def window_updates_are_no_duplicates() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=1000)
    for window in (600, 700):
        tape.send(1, ack=1001, wnd=window)
    tape.send(1, wnd=700)
    tape.close()
    return tape, []


@case
def nagle_waits_for_a_delayed_ack() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=100)
    tape.wait(40)
    tape.send(1)
    tape.send(0, length=100)
    tape.send(1)
    tape.close()
    return tape, [("nagle-stall", 6, 0)]


@case
def a_full_segment_waits_for_a_delayed_ack() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=1460)
    tape.wait(40)
    tape.send(1)
    tape.send(0, length=1460)
    tape.send(1)
    tape.close()
    return tape, [("delayed-ack-stall", 6, 0)]


@case
def a_delayed_ack_for_which_nobody_waits() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=100)
    tape.wait(40)
    tape.send(1)
    tape.wait(40)
    tape.send(0, length=100)
    tape.send(1)
    tape.close()
    return tape, []


@case
def packets_that_the_capture_missed() -> tuple[Tape, Found]:
    tape = opened()
    tape.nexts[0] += 1000
    tape.send(1)
    tape.nexts[0] += 1000
    tape.send(0, length=1000)
    tape.send(1)
    tape.close()
    return tape, [("missed-by-capture", 4, 1), ("missed-by-capture", 6, 1)]


# --- opening -----------------------------------------------------------------------------------------------------


@case
def no_answer() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.wait(1000)
    tape.send(0, SYN, seq=1000)
    return tape, [("syn-repeated", 2, 0), ("no-answer", 0, 0)]


@case
def refused() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.send(1, RST | ACK, seq=0)
    return tape, [("refused", 2, 1)]


@case
def a_syn_ack_without_an_answer() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.send(1, SYN | ACK)
    tape.wait(1000)
    tape.send(1, SYN | ACK, seq=5000)
    return tape, [("syn-ack-repeated", 3, 1), ("syn-ack-unanswered", 0, 1)]


@case
def a_syn_ack_that_is_rejected() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    tape.send(1, SYN | ACK)
    tape.send(0, RST, seq=1001)
    return tape, [("syn-ack-rejected", 3, 0)]


@case
def time_wait_is_reused() -> tuple[Tape, Found]:
    tape = opened()
    tape.close()
    tape.wait(5000)
    tape.nexts = [900_000, 800_000]
    tape.open()
    tape.close()
    return tape, [("time-wait-reuse", 7, 0)]


@case
def ports_are_reused() -> tuple[Tape, Found]:
    tape = opened()
    tape.close()
    tape.wait(500_000)
    tape.nexts = [900_000, 800_000]
    tape.open()
    tape.close()
    return tape, [("ports-reused", 7, 0)]


@case
def a_half_open_connection_is_discovered() -> tuple[Tape, Found]:
    """RFC 9293, figure 9."""
    tape = opened()
    tape.exchange()
    tape.wait(5000)
    tape.send(0, SYN, seq=400_000)
    tape.send(1, ack=2001)
    tape.send(0, RST, seq=2001)
    tape.wait(1000)
    tape.send(0, SYN, seq=400_000)
    tape.nexts = [400_001, 700_000]
    tape.send(1, SYN | ACK)
    tape.send(0)
    tape.close()
    return tape, [
        ("half-open-discovered", 6, 0),
        UNFINISHED,
        ("reset", 8, 0),
        ("syn-repeated", 9, 0),
    ]


@case
def a_syn_without_mss() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN, options=Options())
    tape.send(1, SYN | ACK, options=Options(mss=1460))
    tape.send(0)
    tape.close()
    return tape, [("mss-missing", 1, 0)]


@case
def options_that_did_not_survive() -> tuple[Tape, Found]:
    tape = Tape(timestamps=True)
    tape.send(0, SYN | ECE | CWR)
    tape.timestamps = False
    tape.send(1, SYN | ACK, options=Options(mss=1460))
    tape.send(0)
    tape.send(1, options=Options(sack=((1, 2),)), ack=1001)
    tape.close()
    return tape, [
        ("window-scale-refused", 2, None),
        ("sack-refused", 2, None),
        ("timestamps-refused", 2, None),
        ("ecn-refused", 2, None),
        ("sack-unasked", 4, 1),
        ("d-sack", 4, 1),
    ]


@case
def timestamps_that_get_lost() -> tuple[Tape, Found]:
    tape = opened(timestamps=True)
    tape.send(0, length=1000, options=Options())
    tape.send(1)
    tape.close()
    return tape, [("timestamps-lost", 4, 0)]


# --- congestion --------------------------------------------------------------------------------------------------


@case
def congestion_is_marked() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN | ECE | CWR)
    tape.send(1, SYN | ACK | ECE)
    tape.send(0)
    tape.send(0, length=1000, traffic_class=ECT_0)
    tape.send(0, length=1000, traffic_class=CE)
    tape.send(1, ACK | ECE)
    tape.send(0, ACK | CWR, 1000, traffic_class=ECT_0)
    tape.send(1)
    tape.close()
    return tape, [("congestion-marked", 5, 0), ("congestion-echoed", 6, 1)]


# --- ending ------------------------------------------------------------------------------------------------------


@case
def a_reset() -> tuple[Tape, Found]:
    tape = opened()
    tape.exchange()
    tape.send(1, RST | ACK)
    return tape, [("reset", 6, 1)]


@case
def a_peer_that_forgot() -> tuple[Tape, Found]:
    tape = opened()
    tape.exchange()
    tape.wait(5000)
    tape.send(0, length=1000)
    tape.send(1, RST)
    tape.send(1, RST)
    return tape, [("reset-unknown-connection", 7, 1), ("reset-repeated", 8, 1)]


@case
def data_after_close() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(1, FIN | ACK)
    tape.send(0)
    tape.send(0, length=1000)
    tape.send(1, RST)
    return tape, [("reset-after-close", 7, 1)]


@case
def a_reset_that_is_not_believed() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(1, RST | ACK)
    tape.wait(1000)
    tape.send(0, length=1000)
    return tape, [("reset", 4, 1), ("reset-ignored", 5, 0)]


@case
def what_was_on_its_way_when_a_reset_left() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(1, RST | ACK)
    tape.send(0, length=1000)
    return tape, [("reset", 4, 1)]


@case
def a_reset_that_somebody_made_up() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(1, RST | ACK)
    tape.send(1, length=1000)
    tape.send(0)
    tape.close()
    return tape, [("reset", 4, 1), ("reset-foreign", 5, 1)]


@case
def a_silent_peer() -> tuple[Tape, Found]:
    tape = opened()
    tape.exchange()
    tape.send(0, length=1000)
    for pause in (250, 500, 1000):
        tape.wait(pause)
        tape.send(0, length=1000, seq=2001)
    again = [("retransmission-timeout", number, 0) for number in (7, 8, 9)]
    return tape, [*again, ("half-open-silent", 0, 1)]


@case
def one_end_that_does_not_close() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, FIN | ACK)
    tape.send(1)
    tape.wait(60_000)
    tape.send(1)
    return tape, [("half-closed", 0, 1), UNFINISHED]


@case
def an_icmp_report() -> tuple[Tape, Found]:
    tape = Tape()
    tape.send(0, SYN)
    router = bytes((203, 0, 113, 1))
    quoted = b"\x03\x01\0\0\0\0\0\0" + tape.packets[0][1][:28]
    tape.put(octets(Packet(router, tape.addresses[0], PROTOCOL_ICMP, quoted)))
    return tape, [("icmp-error", 2, None), ("no-answer", 0, 0)]


@case
def from_the_middle_on() -> tuple[Tape, Found]:
    tape = Tape()
    tape.exchange()
    tape.exchange()
    return tape, [("mid-stream", 1, None), UNFINISHED]


@case
def a_strange_number() -> tuple[Tape, Found]:
    tape = opened()
    tape.send(0, length=10, seq=0x7FFFFFFF)
    tape.close()
    return tape, [("outside-window", 4, 0)]


@pytest.mark.parametrize("name", CASES)
def test_what_is_found(name: str) -> None:
    tape, expected = CASES[name]()
    assert tape.found() == expected


def test_every_kind_is_found_in_some_capture() -> None:
    found = {name for make in CASES.values() for name, _, _ in make()[0].found()}
    assert found == {kind.name for kind in KINDS}


def test_the_words_of_kinds_are_unique_and_their_clauses_are_of_rfcs() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert len({kind.text for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert kind.clause.startswith("RFC "), kind
        assert " §" in kind.clause, kind
        assert kind.weight in (kinds.FAULT, kinds.TROUBLE, kinds.REMARK)


def test_findings_of_one_kind_are_all_counted_and_few_are_kept() -> None:
    tape = opened()
    tape.send(0, length=1000)
    for _ in range(50):
        tape.wait(250)
        tape.send(0, length=1000, seq=1001)
    explanation, findings = tape.explained()
    (connection,) = explanation.connections
    assert connection.counts[kinds.TIMEOUT] == 50
    assert len(connection.findings[kinds.TIMEOUT]) == 5
    assert sum(finding.kind is kinds.TIMEOUT for finding in findings) == 50
    assert connection.count(kinds.RETRANSMISSION) == explanation.flows.columns[kinds.RETRANSMISSION] == 50


def test_psh_and_urg_make_no_difference() -> None:
    tape = opened()
    tape.send(0, ACK | PSH | 0x20, 10)
    tape.send(1)
    tape.close()
    assert tape.found() == []


# --- what decides between two kinds ------------------------------------------------------------------------------


def gap_filled(pause: float, duplicates: int) -> Found:
    """Without timestamps, a segment is skipped and comes `pause` milliseconds later; the round trip takes 2."""
    tape = opened()
    tape.send(0, length=1000)
    tape.send(1)
    tape.send(0, length=1000, seq=3001)
    for _ in range(duplicates):
        tape.send(1, ack=2001)
    tape.wait(pause)
    tape.send(0, length=1000, seq=2001)
    tape.nexts[0] = 4001
    tape.send(1)
    tape.close()
    return [found for found in tape.found() if found[0] != "duplicate-ack"]


def test_a_gap_is_filled_late_where_its_loss_had_been_reported_a_round_trip_ago() -> None:
    assert gap_filled(100, 0) == [("out-of-order", 7, 0)]
    assert gap_filled(250, 0) == [("unseen-retransmission", 7, 0)]
    assert gap_filled(10, 1) == [("unseen-retransmission", 8, 0)]


def test_a_fast_retransmission_is_of_the_first_segment_that_is_missing() -> None:
    tape = opened()
    for _ in range(5):
        tape.send(0, length=1000)
    for _ in range(4):
        tape.send(1, ack=1001)
    tape.send(0, length=1000, seq=3001)
    assert ("retransmission", 13, 0) in tape.found()


def test_how_much_the_capture_missed_is_counted() -> None:
    tape = opened()
    tape.nexts[0] += 700
    tape.send(1)
    tape.nexts[0] += 300
    tape.send(0, length=50)
    tape.send(1)
    _, findings = tape.explained()
    assert [finding.values["octets"] for finding in findings if finding.kind is kinds.UNSEEN_ACKED] == [700, 300]


def test_a_half_open_connection_is_discovered_from_the_other_side_too() -> None:
    tape = opened()
    tape.exchange()
    tape.wait(5000)
    tape.send(1, SYN, seq=400_000)
    assert ("half-open-discovered", 6, 0) in tape.found()
    # What never was open is none.
    tape = Tape()
    tape.send(0, SYN)
    tape.wait(1000)
    tape.send(0, SYN, seq=77)
    assert [name for name, _, _ in tape.found()] == ["ports-reused", "no-answer", "no-answer"]


def test_the_numbers_in_sentences() -> None:
    tape = opened()
    for _ in range(5):
        tape.send(0, length=1000)
    for _ in range(4):
        tape.send(1, ack=1001)
    tape.wait(5)
    tape.send(0, length=1000, seq=1001)
    fast = next(finding for finding in tape.explained()[1] if finding.kind is kinds.FAST)
    assert fast.values == {"first": 4, "elapsed": "14", "duplicates": 3} | {"elapsed": fast.values["elapsed"]}
    assert fast.values["elapsed"] == "14.0"


def test_an_rst_without_an_ack_out_of_the_blue_is_an_ordinary_one() -> None:
    tape = opened()
    tape.exchange()
    tape.send(1, RST)
    assert tape.found() == [("reset", 6, 1)]


def test_a_connection_with_itself() -> None:
    tape = Tape(("192.0.2.1", "192.0.2.1"), (40000, 40000))
    tape.open()
    tape.exchange()
    tape.close()
    explanation, _ = tape.explained()
    assert explanation.flows.connections == 1


def test_a_time_out_is_of_the_first_segment_and_takes_its_time() -> None:
    def again(seq: int, pause: float) -> str:
        tape = opened()
        for _ in range(4):
            tape.send(0, length=1000)
        tape.wait(pause)
        tape.send(0, length=1000, seq=seq)
        return tape.found()[0][0]

    assert again(1001, 300) == "retransmission-timeout"
    assert again(1001, 50) == "retransmission"
    assert again(2001, 300) == "retransmission"
    assert again(4001, 300) == "tail-loss-probe"


def test_a_handshake_of_which_only_the_second_half_was_seen() -> None:
    tape = Tape()
    tape.nexts[0] = 1001
    tape.send(1, SYN | ACK)
    tape.wait(1000)
    tape.send(1, SYN | ACK, seq=5000)
    assert tape.found() == [("syn-ack-repeated", 2, 0), ("syn-ack-unanswered", 0, 0)]
    explanation, _ = tape.explained()
    assert explanation.connections[0].opener == 1
