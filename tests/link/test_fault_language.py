"""Faults as values: what `str` writes, `parse_fault` reads; what is wrong is refused in one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.link.faults import (
    Burst,
    Corrupt,
    Delay,
    Duplicate,
    Every,
    Fault,
    Jitter,
    Lose,
    Matching,
    Nth,
    PacketFault,
    Partition,
    Rate,
    Reboot,
    Selection,
    Share,
    parse_fault,
)
from synfin.link.faults.selection import DATA_KINDS, KINDS
from synfin.link.quantities import is_duration, read_duration, read_rate, read_share, write_duration
from synfin.link.queues import CoDel, Discipline, DropTail, FqCoDel, Red

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
LARGEST = (1 << 63) - 1

shares = st.floats(0, 1)
times = st.integers(0, LARGEST) | st.integers(0, 10**6).map(lambda number: number * 10**6)
counts = st.integers(1, LARGEST) | st.integers(1, 200)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=12).filter(
    lambda name: not is_duration(name)
)
senders = st.just("") | names | st.sampled_from(["client", "10.0.0.1", "fd00::1", "from", "to"])


@st.composite
def matchings(draw: st.DrawFn) -> Matching:
    kind = draw(st.sampled_from(KINDS))
    if kind not in ("packet", *DATA_KINDS) or draw(st.booleans()):
        return Matching(kind)
    first = draw(counts)
    return Matching(kind, first, draw(st.none() | st.integers(first, LARGEST)))


@st.composite
def nths(draw: st.DrawFn) -> Nth:
    first = draw(counts)
    return Nth(first, draw(matchings()), draw(st.just(0) | st.integers(first, LARGEST)))


selections: st.SearchStrategy[Selection] = (
    st.builds(Every, matchings(), counts)
    | nths()
    | st.builds(Share, shares, matchings())
    | st.builds(Burst, shares, shares, shares, shares, matchings())
)


@st.composite
def packet_faults(draw: st.DrawFn) -> PacketFault:
    sender, start = draw(senders), draw(times)
    end = draw(st.none() | st.integers(start + 1, LARGEST)) if start < LARGEST else None
    makers: list[Callable[[], PacketFault]] = [
        lambda: Lose(draw(selections), sender=sender, start=start, end=end),
        lambda: Duplicate(draw(selections), sender=sender, start=start, end=end),
        lambda: Corrupt(draw(selections), sender=sender, start=start, end=end),
        lambda: Delay(draw(selections), draw(times), sender=sender, start=start, end=end),
        lambda: Jitter(draw(times), sender=sender, start=start, end=end),
        lambda: Partition(sender=sender, start=start, end=end),
    ]
    return draw(st.sampled_from(makers))()


@st.composite
def reds(draw: st.DrawFn) -> Red:
    minimum = draw(st.integers(0, LARGEST - 1))
    return Red(draw(counts), minimum, draw(st.integers(minimum + 1, LARGEST)), draw(shares), draw(st.booleans()))


disciplines: st.SearchStrategy[Discipline] = (
    st.builds(DropTail, counts)
    | st.builds(CoDel, counts, times, counts, st.booleans())
    | st.builds(FqCoDel, counts, times, counts, st.booleans())
    | reds()
)
faults: st.SearchStrategy[Fault] = (
    packet_faults()
    | st.builds(Rate, counts, disciplines, senders)
    | st.builds(Reboot, senders.filter(bool), times, times)
)


@given(fault=faults)
def test_what_is_printed_reads_back_as_an_equal_value(fault: Fault) -> None:
    text = str(fault)
    assert parse_fault(text) == fault
    assert hash(parse_fault(text)) == hash(fault)
    assert str(parse_fault(text)) == text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lose 2%", Lose(Share(0.02))),
        ("lose 7%", Lose(Share(0.07))),
        ("lose 0.1%", Lose(Share(0.001))),
        ("lose burst p=1% r=30%", Lose(Burst(0.01, 0.3))),
        ("lose burst p=1% r=30% bad=50% good=0.01%", Lose(Burst(0.01, 0.3, 0.5, 0.0001))),
        ("lose 2nd SYN+ACK", Lose(Nth(2, Matching("SYN+ACK")))),
        ("lose 1st-3rd data from client", Lose(Nth(1, Matching("data"), 3), sender="client")),
        ("lose every SYN", Lose(Every(Matching("SYN")))),
        ("lose every 10th data", Lose(Every(Matching("data"), 10))),
        ("lose data 1000-3000", Lose(Every(Matching("data", 1000, 3000)))),
        ("lose 1st data 1000-3000", Lose(Nth(1, Matching("data", 1000, 3000)))),
        ("lose new data 1000-", Lose(Every(Matching("new data", 1000)))),
        ("lose packet 7", Lose(Every(Matching("packet", 7, 7)))),
        ("lose 5% of ACK from 10.0.0.2", Lose(Share(0.05, Matching("ACK")), sender="10.0.0.2")),
        ("duplicate 1%", Duplicate(Share(0.01))),
        ("delay 2% by 5ms", Delay(Share(0.02), 5 * MILLISECOND)),
        ("delay 3rd data by 800ms", Delay(Nth(3, Matching("data")), 800 * MILLISECOND)),
        ("jitter 3ms", Jitter(3 * MILLISECOND)),
        ("corrupt 0.1%", Corrupt(Share(0.001))),
        ("partition from 10s to 40s", Partition(start=10 * SECOND, end=40 * SECOND)),
        ("lose 2% from server from 10s", Lose(Share(0.02), sender="server", start=10 * SECOND)),
        ("rate 10Mbit queue 100", Rate(10_000_000, DropTail(100))),
        ("rate 10Mbit queue 100 codel", Rate(10_000_000, CoDel(100))),
        ("rate 1Gbit queue 1000 codel target 1ms interval 20ms ecn", Rate(10**9, CoDel(1000, 10**6, 2 * 10**7, True))),
        ("rate 1500kbit queue 10240 fq-codel from client", Rate(1_500_000, FqCoDel(), "client")),
        ("rate 56kbit queue 50 red min 5 max 15 p=10% ecn", Rate(56_000, Red(50, ecn=True))),
        ("reboot server at 30s for 5s", Reboot("server", 30 * SECOND, 5 * SECOND)),
    ],
)
def test_examples(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault
    assert str(fault) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("loss 2%", "lose 2%"),
        ("reorder 2% by 5ms", "delay 2% by 5ms"),
        ("  LOSE   2.0%  ", "lose 2%"),
        ("lose all", "lose every packet"),
        ("lose 2nd syn-ack", "lose 2nd SYN+ACK"),
        ("lose 22th data", "lose 22nd data"),
        ("lose 2nd-2nd data", "lose 2nd data"),
        ("lose every 1st data", "lose every data"),
        ("lose data 5-5", "lose data 5"),
        ("jitter 0.5ms", "jitter 500us"),
        ("jitter 3000µs", "jitter 3ms"),
        ("lose 2% to 40s", "lose 2% from 0s to 40s"),
        ("lose 2% from 0s", "lose 2%"),
        ("rate 0.5Mbit", "rate 500kbit queue 1000"),
        ("rate 1Mbit droptail", "rate 1Mbit queue 1000"),
        ("rate 1Mbit fq_codel no-ecn", "rate 1Mbit queue 10240 fq-codel no-ecn"),
        ("rate 1Mbit codel no-ecn", "rate 1Mbit queue 1000 codel"),
        ("rate 1Mbit red", "rate 1Mbit queue 1000 red min 5 max 15 p=10%"),
        ("reboot server at 1000ms", "reboot server at 1s"),
    ],
)
def test_other_ways_to_write_it(text: str, same: str) -> None:
    assert str(parse_fault(text)) == same


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a fault is missing: write one of lose,"),
        ("loose 2%", "'loose' is no fault: write one of lose,"),
        ("lose", "which packets is missing behind 'lose'"),
        ("lose 2", "'2' is no kind of packet: write a share such as 2%"),
        ("lose 101%", "'101%' is no share: write one from 0% to 100%"),
        ("lose -1%", "'-1%' is no share"),
        ("lose nan%", "'nan%' is no share"),
        ("lose 2% 3%", "'3%' is not understood behind 'lose 2%'"),
        ("lose 2nd", "which packets is missing behind '2nd'"),
        ("lose 0th data", "'0th' is no kind"),
        ("lose 3rd-2nd data", "the count of the last packet is 3 or more"),
        ("lose new SYN", "'data' was expected before 'SYN': write 'new data'"),
        ("lose SYN 1-2", "'1-2' is not understood behind 'lose SYN'"),
        ("lose data 0-9", "the beginning of a range is 1 or more"),
        ("lose data 9-3", "the end of a range is 9 or more"),
        ("lose burst", "a burst has p= and r="),
        ("lose burst p=1% r=2", "'2' is no share"),
        ("delay 2nd data", "'by' was expected before the end: write 'delay 3rd data by 800ms'"),
        ("delay 2nd data by 5", "'5' is no duration: write a number with s, ms, us or ns, such as 800ms"),
        ("jitter 0.1ns", "'0.1ns' is no duration"),
        ("jitter 9999999999999s", "a time is 0 or more and under 2^63"),
        ("partition from", "a host is missing behind 'from'"),
        ("partition from 10s to 10s", "ends after it began"),
        ("partition from 10s to noon", "'noon' is no duration"),
        ("rate 10", "'10' is no rate: write a number with Gbit, Mbit, kbit or bit, such as 10Mbit"),
        ("rate 0Mbit", "'0Mbit' is no rate"),
        ("rate 0.5bit", "'0.5bit' is no rate"),
        ("rate 1Mbit queue", "a number is missing behind 'queue'"),
        ("rate 1Mbit queue 0", "the length of a queue is 1 or more"),
        ("rate 1Mbit queue x", "'x' is no whole number of packets"),
        ("rate 1Mbit red min 5 max 5", "RED's upper threshold is 6 or more"),
        ("rate 1Mbit codel interval 0s", "CoDel's interval is 1 or more"),
        ("rate 1Mbit cake", "'cake' is not understood behind 'rate 1Mbit'"),
        ("reboot", "a host is missing behind 'reboot'"),
        ("reboot server", "'at' was expected before the end"),
        ("reboot 10s at 10s", "'10s' cannot name a host"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_fault(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


WORDS = (
    "lose duplicate delay jitter corrupt partition rate reboot from to of by at for every new data packet SYN burst"
    " p=1% r=2% 2% 10s 2nd 1-5 7 10Mbit queue codel red min max ecn client 10.0.0.1 -1 % 1- ="
)


@given(text=st.text(max_size=60) | st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join))
def test_any_text_is_a_fault_or_a_value_error(text: str) -> None:
    try:
        fault = parse_fault(text)
    except ValueError as error:
        said = str(error)
    else:
        said = str(fault)
        assert parse_fault(said) == fault
    assert said.splitlines() == [said]


@pytest.mark.parametrize("text", ["9" * 5000, "lose " + "9" * 5000 + "%", "jitter " + "9" * 5000 + "s", "lose 1" * 999])
def test_numbers_that_are_too_long(text: str) -> None:
    with pytest.raises(ValueError):
        parse_fault(text)


def test_a_fault_cannot_be_changed() -> None:
    fault = Lose(Share(0.02))
    with pytest.raises(dataclasses.FrozenInstanceError):
        fault.sender = "client"  # type: ignore[misc]
    assert fault != Lose(Share(0.02), sender="client")
    assert len({fault, Lose(Share(0.02)), Lose(Share(0.03)), Duplicate(Share(0.02))}) == 3


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability(probability: float) -> None:
    for make in (
        lambda: Share(probability),
        lambda: Burst(probability, 0.5),
        lambda: Burst(0.5, probability),
        lambda: Burst(0.5, 0.5, probability),
        lambda: Burst(0.5, 0.5, 1, probability),
        lambda: Red(probability=probability),
    ):
        with pytest.raises(ValueError, match="from 0 to 1"):
            make()


def test_what_makes_no_fault() -> None:
    for name in ("two words", "10s", "a\tb"):
        with pytest.raises(ValueError, match="cannot name a host"):
            Lose(Share(0.1), sender=name)
    for call in (
        lambda: Matching("nonsense"),
        lambda: Matching("SYN", 1, 2),
        lambda: Matching("data", None, 2),
        lambda: Partition(start=-1),
        lambda: Delay(Share(0.1), -1),
        lambda: Reboot("", 1),
        lambda: Every(n=0),
        lambda: Nth(0),
    ):
        with pytest.raises(ValueError):
            call()


@given(share=shares)
def test_a_share_is_exact(share: float) -> None:
    assert parse_fault(str(Lose(Share(share)))) == Lose(Share(share))


def test_quantities() -> None:
    assert [read_duration(text) for text in ("1s", "1ms", "1us", "1µs", "1ns", "0s", "1.5s")] == [
        SECOND,
        MILLISECOND,
        1000,
        1000,
        1,
        0,
        1_500_000_000,
    ]
    assert [write_duration(time) for time in (0, 1, 1500, 60 * SECOND, 1_500_000_000)] == [
        "0s",
        "1ns",
        "1500ns",
        "60s",
        "1500ms",
    ]
    assert [read_rate(text) for text in ("1Gbit", "1Mbit", "1kbit", "1Kbit", "1bit")] == [10**9, 10**6, 1000, 1000, 1]
    assert read_share("12.5%") == 0.125


def test_ordinals_are_written_as_in_english() -> None:
    numbers = (1, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 23, 101, 111, 112, 121)
    words = "1st 2nd 3rd 4th 10th 11th 12th 13th 20th 21st 22nd 23rd 101st 111th 112th 121st"
    assert " ".join(str(Nth(number)).split()[0] for number in numbers) == words
