"""Long runs of segments that are alike: what is folded, what is not, and what is said of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import pytest

from synfin import reasons
from synfin.show.column import shown_rows
from synfin.show.folding import Fold, entry, folded, in_step, segments
from synfin.show.history import Arrival, History, Row, Transmission
from synfin.show.ladder import render_ladder
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.side_by_side import render_side_by_side
from synfin.show.words import LANGUAGES, Language, translation
from synfin.wire.tcp import ACK, FIN, SYN

if TYPE_CHECKING:
    from tests.show.conftest import World

    Worlds: TypeAlias = type[World]

SECOND = 1_000_000_000


def silence(made: World, times: int, arrives: int = -1) -> History:
    """A FIN is sent and lost, again and again, a second apart; that of number `arrives` gets to the server."""
    made.open()
    fin = made.packet(0, FIN | ACK)
    for at in range(times):
        number = made.send(0, fin, "" if at else "FIN-WAIT-1", reasons.RETRANSMISSION_TIMEOUT)
        if at == arrives:
            made.time += SECOND // 2
            made.arrive(1, fin, number, dropped=True)
            made.time += SECOND // 2
        else:
            made.lose(0, fin, number)
            made.time += SECOND
    return History.from_events(made.events)


def fold(history: History, apart: int | None = None) -> list[Row]:
    return folded(shown_rows(history), str, 0, lambda sent: sent.number, apart)


def said(rows: list[Row]) -> list[str]:
    return [row.text for row in rows if isinstance(row, Fold)]


def test_after_the_third_that_is_alike_the_rest_is_folded(world: Worlds) -> None:
    history = silence(world(), 9)
    rows = fold(history)
    # Message 4 itself, and three retransmissions of it.
    assert sum(isinstance(row, Transmission) for row in rows) == 3 + 4
    last = history.transmissions[-1]
    assert said(rows) == [f"5 more like it (#8 to #12), until {last.time / SECOND:.3f} s"]
    assert sum(map(segments, rows)) == len(history.transmissions)


@pytest.mark.parametrize("times", range(6))
def test_what_is_not_much_longer_stays_as_it_is(world: Worlds, times: int) -> None:
    history = silence(world(), times)
    if times:
        assert fold(history) == shown_rows(history) or times > 5
    assert said(fold(history)) == []


def test_one_that_fares_otherwise_parts_the_run(world: Worlds) -> None:
    history = silence(world(), 16, arrives=8)
    rows = fold(history)
    assert [text.partition(",")[0] for text in said(rows)] == [
        "4 more like it (#8 to #11)",
        "4 more like it (#16 to #19)",
    ]
    kept = [row.transmission.number for row in rows if isinstance(row, Arrival) and row.dropped]
    assert kept == [12]


def test_what_changes_a_state_is_never_folded(world: Worlds) -> None:
    made = world()
    made.listen()
    for at in range(12):
        syn = made.packet(0, SYN, seq=1000)
        number = made.send(0, syn, "SYN-SENT" if at % 2 else "CLOSED")
        made.lose(0, syn, number)
        made.time += SECOND
    history = History.from_events(made.events)
    assert fold(history) == shown_rows(history)


def test_no_run_goes_beyond_the_moment_at_which_two_histories_part(world: Worlds) -> None:
    history = silence(world(), 16)
    parting = history.transmissions[3 + 9].time
    rows = fold(history, parting)
    assert len(said(rows)) == 2
    for row in rows:
        if isinstance(row, Fold):
            assert not row.rows[0].time < parting <= row.rows[-1].time


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_picture_folds_and_counts_all(world: Worlds, language: Language) -> None:
    history = silence(world(), 12)
    gettext = translation(language).gettext
    text = gettext("{count} more like it (#{first} to #{last}), until {seconds} s")
    text = text.format(count=8, first=8, last=15, seconds="11.030")
    numbers = lambda sent: sent.number  # noqa: E731

    def plain(drawn: str) -> str:
        return re.sub("[ │…┄\n]", "", drawn)

    ladder = render_ladder(history, language=language, numbers=numbers, fold=True)
    assert plain(text) in plain(ladder)
    assert "#7 " in ladder
    assert "#9 " not in ladder
    assert (
        gettext("segments: {sent}, lost: {lost}, retransmissions: {again}").format(sent=15, lost=12, again=11) in ladder
    )
    beside = render_side_by_side(
        history, history, titles=("", ""), language=language, numbers=(numbers, None), fold=True
    )
    assert "#8 " in beside.replace("\n", " ")
    picture = render_ladder_svg(history, language=language, numbers=numbers, fold=True)
    assert f"… {text} …" in picture
    assert gettext("segments not shown: {number}").format(number=8) not in picture
    for whole in (
        render_ladder(history, language=language, numbers=numbers),
        render_ladder_svg(history, language=language, numbers=numbers),
    ):
        assert "#15 " in whole


def test_of_what_was_seen_before_a_segment_is_not_parted_from_its_fate(world: Worlds) -> None:
    history = silence(world(), 1)
    rows = shown_rows(history)
    for known in range(len(rows) + 1):
        at = entry(rows, rows[:known])
        assert at <= known
        if at:
            assert not isinstance(rows[at], Arrival)
            gone = {id(row) for row in rows[:at]}
            for row in rows[:at]:
                if isinstance(row, Transmission):
                    assert all(id(arrival) in gone for arrival in row.arrivals)
    assert entry(rows, rows[:8]) > 3
    assert entry(rows, []) == 0


@pytest.mark.parametrize("title", ["", "the other world"])
def test_a_beginning_that_was_seen_is_left_out(world: Worlds, title: str) -> None:
    history = silence(world(), 2)
    ladder = render_ladder(history, seen=(8, title))
    assert ("as in the first world, up to" if not title else "as in “the other world”, up to") in ladder
    assert "[1]" not in ladder
    assert "[4]" in ladder
    # The states are those in which it goes on.
    first = next(line for line in ladder.split("\n") if "ESTABLISHED" in line)
    assert first.count("ESTABLISHED") == 2
    beside = render_side_by_side(history, history, titles=("", ""), seen=(8, title))
    assert "up to" in beside
    assert "[1]" not in beside


def test_side_by_side_only_what_is_folded_in_both_is_folded(world: Worlds) -> None:
    first, second = fold(silence(world(), 16)), fold(silence(world(), 14))
    (one,) = said(first)
    (other,) = said(second)
    assert one != other
    for rows in in_step(first, second):
        assert said(rows) == []
        assert sum(isinstance(row, Transmission) for row in rows) == sum(map(segments, rows)) > 14
    # Where the other one has nothing, or the same, a run stays folded.
    again = fold(silence(world(), 16))
    for beside in ([], again):
        assert said(in_step(first, beside)[0]) == [one]
