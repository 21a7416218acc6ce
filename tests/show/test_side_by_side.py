"""Histories side by side: what is the same left out, every moment on its level, nothing twice and nothing missing."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from synfin import reasons
from synfin.lab import whole_life
from synfin.show.column import Numbers, shown_rows
from synfin.show.history import History, Transmission, flows
from synfin.show.narration import Narrate
from synfin.show.pairing import common, levelled, row_key
from synfin.show.side_by_side import render_side_by_side
from synfin.show.words import LANGUAGES, Language
from synfin.wire.tcp import ACK, PSH

if TYPE_CHECKING:
    from tests.show.conftest import World

    Worlds: TypeAlias = type[World]
    AnyWorld: TypeAlias = st.SearchStrategy[World]

MILLISECOND = 1_000_000
TOLD: tuple[Narrate, ...] = ("no", "short", "full")
TITLES = ("as it was", "message 6 is lost")

LOST_SIX = """\
          as it was                                     message 6 is lost
       ms client                               server   client                               server
                 ┄┄┄┄┄┄┄┄┄┄┄┄ the same in both: segments left out: 8 ┄┄┄┄┄┄┄┄┄┄┄┄
  135.000 │ FIN-WAIT-1                   CLOSE-WAIT │   │ FIN-WAIT-1                   CLOSE-WAIT │
          │◄───────────── [5] #9 ACK seq=15 ack=16 ─┤   │◄───────────── [5] #9 ACK seq=15 ack=16 ─┤
  145.000 │*FIN-WAIT-2                   CLOSE-WAIT │   │*FIN-WAIT-2                   CLOSE-WAIT │
  195.000 │                                 › CLOSE │   │                                 › CLOSE │
          │ FIN-WAIT-2                    *LAST-ACK │ ≠ │ FIN-WAIT-2                    *LAST-ACK │
          │◄──────── [6] #10 FIN+ACK seq=15 ack=16 ─┤   │ lost ✗ ─ [6] #10 FIN+ACK seq=15 ack=16 ─┤
  205.000 │*TIME-WAIT                      LAST-ACK │ ≠ │                                         │
          ├─ [7] #11 ACK seq=16 ack=16 ────────────►│ ≠ │                                         │
  215.000 │ TIME-WAIT                       *CLOSED │ ≠ │                                         │
  415.000 │                                         │ ≠ │ FIN-WAIT-2                     LAST-ACK │
          │                                         │   │◄─────── [6′] #11 FIN+ACK seq=15 ack=16 ─┤
  425.000 │                                         │ ≠ │*TIME-WAIT                      LAST-ACK │
          │                                         │ ≠ ├─ [7] #12 ACK seq=16 ack=16 ────────────►│
  435.000 │                                         │ ≠ │ TIME-WAIT                       *CLOSED │
60205.000 │ 2MSL are over                           │ ≠ │                                         │
          │*CLOSED                           CLOSED │   │                                         │
60425.000                                             ≠ │ 2MSL are over                           │
                                                        │*CLOSED                           CLOSED │

≠ here the two differ   * the state has just changed
seq and ack are counted from the initial sequence numbers x and y"""


def number(sent: Transmission) -> int | None:
    return sent.number


def whole() -> History:
    return History.from_events(whole_life.run())


def without(message: int) -> History:
    return History.from_events(whole_life.run_and_lose(message))


def drawn(
    first: History,
    second: History,
    *,
    language: Language = "en",
    width: int = 100,
    before: int | None = None,
    numbers: tuple[Numbers | None, Numbers | None] = (number, number),
    narrate: Narrate = "no",
    most: int = 60,
) -> str:
    return render_side_by_side(
        first,
        second,
        titles=TITLES,
        language=language,
        width=width,
        before=before,
        numbers=numbers,
        narrate=narrate,
        most=most,
    )


def test_a_lost_fin_beside_one_that_arrives() -> None:
    assert drawn(whole(), without(6), before=3) == LOST_SIX


def test_in_chinese_and_on_a_wide_page() -> None:
    text = drawn(whole(), without(2), language="zh", width=150)
    lines = text.split("\n")
    assert max(map(cell_len, lines)) <= 150
    assert "客户端" in lines[1]
    assert "两边在此不同" in text
    # There is room for windows, and options.
    assert "报文1 #1 SYN seq=0 win=64240 len=0 mss=1460 sackOK" in text
    assert "SYN-SENT 同步已发送" in text


@pytest.mark.parametrize("lost", range(1, 8))
@pytest.mark.parametrize("width", [80, 100, 137])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_moment_is_on_its_level_and_marked_if_it_differs(lost: int, width: int, language: Language) -> None:
    lines = drawn(whole(), without(lost), width=width, language=language).split("\n")
    assert max(map(cell_len, lines)) <= width
    times = [float(found[1]) for line in lines if (found := re.match(r" *([0-9]+\.[0-9]{3}) ", line))]
    assert times == sorted(times)
    # From the first mark on, what follows differs; before it both say the same.
    marked = [at for at, line in enumerate(lines) if "≠" in line]
    for line in lines[2 : marked[0]]:
        both = line.lstrip(" 0123456789.")
        half = (len(both) - 3) // 2
        assert both[:half] == both[half + 3 :]


def test_histories_that_are_the_same() -> None:
    text = drawn(whole(), whole(), before=2)
    assert "both histories are the same; segments left out: 9" in text
    assert text.count("#10 FIN+ACK") == text.count("#11 ACK") == 2
    assert "≠" not in text


def test_nothing_is_left_out_where_they_part_at_once() -> None:
    text = drawn(whole(), without(1), before=2)
    assert "left out" not in text
    assert "› LISTEN" in text


def test_both_ends_states_stand_in_both_columns() -> None:
    lines = drawn(whole(), without(7)).split("\n")
    line = next(line for line in lines if line.startswith("   20.000"))
    assert line.count("*ESTABLISHED") == 2
    assert line.count("SYN-RECEIVED") == 2


def test_states_that_differ_are_marked_though_the_segment_is_the_same(world: Worlds) -> None:
    made = []
    for state in ("", "CLOSED"):
        one = world()
        one.open()
        one.time = 100 * MILLISECOND
        if state:
            one.change(0, state)
        one.time += MILLISECOND
        one.carry(1, PSH | ACK, 10)
        made.append(History.from_events(one.events))
    (line,) = [line for line in drawn(*made).split("\n") if line.startswith("101.000")]
    assert "≠" in line


def test_long_histories_are_cut(world: Worlds) -> None:
    made = world()
    made.open()
    for _ in range(30):
        made.exchange()
    history = History.from_events(made.events)
    text = drawn(history, whole(), most=20)
    assert "… 43 more" in text
    assert text.count(" more") == 1


def test_in_full_every_row_is_told() -> None:
    text = drawn(whole(), without(7), narrate="full", width=120)
    assert text.count("(RFC 9293 §3.10.1)") >= 2
    assert text.count("(RFC 9293 §3.10.7.2)") >= 2
    assert max(map(cell_len, text.split("\n"))) <= 120


def test_in_short_only_what_differs_is_told() -> None:
    text = drawn(whole(), without(6), narrate="short")
    lines = text.split("\n")
    first = next(at for at, line in enumerate(lines) if "≠" in line)
    assert lines[:first] == drawn(whole(), without(6)).split("\n")[:first]
    assert "(RFC" not in text
    assert text.count("forgets the") == 2
    history = whole()
    assert drawn(history, history, narrate="short") == drawn(history, history)


def test_of_what_is_usual_nothing_is_told_in_short() -> None:
    text = render_side_by_side(whole(), without(6), titles=TITLES, narrate="short", usual=True)
    assert text.count("forgets the") == 1
    (line,) = [line for line in text.split("\n") if "forgets the" in line]
    assert line.index("forgets the") > 50


def test_sentences_stand_below_their_rows() -> None:
    histories = whole(), without(3)
    told = [{row: f"sentence {at}" for at, row in enumerate(shown_rows(history))} for history in histories]
    text = render_side_by_side(*histories, titles=TITLES, narrate={**told[0], **told[1]}, width=120)
    said = [int(number) for number in re.findall(r"sentence ([0-9]+)", text)]
    assert sorted(said) == sorted(at for one in told for at in range(len(one)))
    lines = text.split("\n")
    at = next(at for at, line in enumerate(lines) if "SYN seq=0" in line)
    first = histories[0].transmissions[0]
    assert lines[at + 1].count(told[0][first]) == 2


def test_what_is_made_in_colour_says_the_same() -> None:
    plain = drawn(whole(), without(3))
    colored = render_side_by_side(whole(), without(3), titles=TITLES, numbers=(number, number), color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert "\x1b[" in colored


@settings(max_examples=60)
@given(data=st.data(), width=st.integers(60, 190), language=st.sampled_from(LANGUAGES), told=st.sampled_from(TOLD))
def test_no_line_is_too_wide_and_every_segment_is_there_once(
    any_world: AnyWorld, data: st.DataObject, width: int, language: Language, told: Narrate
) -> None:
    made = [data.draw(any_world) for _ in range(2)]
    if not all(flows(one.events) for one in made):
        return
    histories = [History.from_events(one.events) for one in made]
    known = {id(sent): at for history in histories for at, sent in enumerate(history.transmissions, 1000)}

    def own(sent: Transmission) -> int | None:
        return known[id(sent)]

    text = drawn(*histories, numbers=(own, own), width=width, language=language, narrate=told)
    lines = text.split("\n")
    assert max(map(cell_len, lines)) <= max(width, 80)
    assert all(char.isprintable() for line in lines for char in line)
    # A line that touches a sender's rail is the beginning of an arrow; each column has one of each segment.
    begun = sum(line.count("├─ ") + line.count(" ─┤") for line in lines)
    sent = sum(len(history.transmissions) for history in histories)
    assert begun == sent
    for history in histories:
        for one in history.transmissions:
            assert f"#{known[id(one)]} " in text + " "


# --- what is level with what -------------------------------------------------------------------------------------

moments = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=8).map(sorted)


@given(first=moments, second=moments)
def test_every_moment_is_in_one_pair_and_in_order(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    pairs = levelled(first, second)
    assert [mine for mine, _ in pairs if mine is not None] == list(range(len(first)))
    assert [other for _, other in pairs if other is not None] == list(range(len(second)))
    times: list[int] = []
    for mine, other in pairs:
        together = {moments[at][0] for moments, at in ((first, mine), (second, other)) if at is not None}
        assert len(together) == 1
        times += together
    assert all(one <= other for one, other in pairwise(times))


@given(first=moments)
def test_what_is_the_same_stands_level(first: list[tuple[int, int]]) -> None:
    assert levelled(first, first) == [(at, at) for at in range(len(first))]
    assert common(first, first) == len(first)


def test_equal_ones_stand_level_though_something_is_before_them() -> None:
    assert levelled([(0, "a"), (0, "b")], [(0, "b")]) == [(0, None), (1, 0)]
    assert levelled([(0, "a"), (1, "b")], [(0, "c"), (2, "b")]) == [(0, 0), (1, None), (None, 1)]


def test_a_row_of_the_other_end_is_another_row() -> None:
    history, lost = whole(), without(3)
    keys = [row_key(history, row) for row in history.rows]
    assert keys[:3] == [row_key(lost, row) for row in lost.rows][:3]
    assert len(set(keys)) == len(keys)


def test_a_segment_that_comes_late_is_seen_to(world: Worlds) -> None:
    made = []
    for delay in (10, 300):
        one = world()
        one.open()
        packet = one.packet(0, PSH | ACK, 10)
        number = one.send(0, packet)
        one.time += delay * MILLISECOND
        one.arrive(1, packet, number)
        one.time = 900 * MILLISECOND
        one.carry(1, ACK)
        made.append(History.from_events(one.events))
    text = drawn(*made)
    (line,) = [line for line in text.split("\n") if line.startswith("330.000")]
    assert "≠" in line
    # One that comes as all others do need not be.
    assert "\n 40.000" not in text


def test_a_window_that_closes_is_seen_though_there_is_little_room(world: Worlds) -> None:
    made = world()
    made.open()
    for window in (502, 490, 0, 0, 502):
        packet = made.packet(1, ACK, wnd=window)
        made.arrive(0, packet, made.send(1, packet))
        made.time += MILLISECOND
    history = History.from_events(made.events)
    text = drawn(history, history)
    said = [(found[1], found[2]) for found in re.finditer(r"#([0-9]+) ACK \S+ \S+ win=([0-9]+) [^│]*┤$", text, re.M)]
    # In the SYN+ACK it was 502: no scale there. What changes little is not told.
    assert said == [("4", "64256"), ("6", "0"), ("7", "0"), ("8", "64256")]


def test_a_loss_is_the_same_wherever_on_the_way_it_was(world: Worlds) -> None:
    made = []
    for delay in (0, 5):
        one = world()
        one.open()
        packet = one.packet(0, PSH | ACK, 10)
        number = one.send(0, packet)
        one.time += delay * MILLISECOND
        one.lose(0, packet, number)
        made.append(History.from_events(one.events))
    assert "≠" not in drawn(*made).split("\n\n")[0]


def test_what_is_damaged_is_not_called_lost(world: Worlds) -> None:
    made = []
    for reason in (reasons.DAMAGED, reasons.LOST_BY_REQUEST):
        one = world()
        one.open()
        packet = one.packet(1, PSH | ACK, 10)
        one.lose(1, packet, one.send(1, packet), reason)
        made.append(History.from_events(one.events))
    (line,) = [line for line in drawn(*made).split("\n") if "✗" in line]
    assert re.search(r"damaged ✗ ─ #4 .*┤ . │ +lost ✗ ─ #4 ", line)
