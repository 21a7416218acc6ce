"""Two histories compared: how much they have in common, and which of their rows stand level with one another."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby, zip_longest
from typing import TypeAlias

from synfin.show.history import Arrival, Endpoint, History, Loss, Remark, Row, StateChange, Transmission
from synfin.show.ladder_text import segment_words

__all__ = ["Moment", "alike", "common", "levelled", "parted", "row_key", "shared"]

#: Something that happened: when, and what it was.
Moment: TypeAlias = tuple[int, Hashable]


def row_key(history: History, row: Row) -> Hashable:
    """What a row tells, beside its time: equal for rows of two histories that tell the same."""

    def side(end: Endpoint | None) -> int:
        return -1 if end is None else int(end is history.right)

    if isinstance(row, Transmission):
        return "sent", side(row.sender), _says(row), row.old_state, row.new_state
    if isinstance(row, Arrival):
        sent = row.transmission
        return "arrived", side(sent.sender), _says(sent), row.old_state, row.new_state, row.dropped, row.duplicate
    if isinstance(row, Loss):
        return "lost", side(row.transmission.sender), _says(row.transmission), row.reason.name
    if isinstance(row, Remark):
        return "remark", side(row.endpoint), row.text
    if isinstance(row, StateChange):
        return "changed", side(row.endpoint), row.old_state, row.new_state, row.reason.name
    change = row.change
    return "called", side(row.endpoint), row.call, row.octets, None if change is None else change.new_state


def _says(sent: Transmission) -> tuple[str, ...]:
    return tuple(text for part in segment_words(sent, False) for text, _ in part)


def common(first: Sequence[Moment], second: Sequence[Moment]) -> int:
    """How many moments the two have in common before they part."""
    for at, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return at
    return min(len(first), len(second))


def alike(first: History, second: History) -> bool:
    """Whether two histories tell the same."""
    moments = [[(row.time, row_key(history, row)) for row in history.rows] for history in (first, second)]
    return moments[0] == moments[1]


def shared(first: History, second: History) -> int:
    """With how many rows that tell the same both begin."""
    moments = [[(row.time, row_key(history, row)) for row in history.rows] for history in (first, second)]
    return common(moments[0], moments[1])


def parted(first: History, second: History) -> int | None:
    """When two histories part (nanoseconds); None if they tell the same."""
    same = shared(first, second)
    return min((history.rows[same].time for history in (first, second) if same < len(history.rows)), default=None)


def levelled(first: Sequence[Moment], second: Sequence[Moment]) -> list[tuple[int | None, int | None]]:
    """Pairs of indices, of moments that stand on one level: those of the same time, equal ones if there are any. None
    where one history has nothing. Each moment is in one pair; both are in the order of time."""
    here, there = _groups(first), _groups(second)
    pairs: list[tuple[int | None, int | None]] = []
    for time in sorted(here.keys() | there.keys()):
        pairs += _matched(first, second, here.get(time, []), there.get(time, []))
    return pairs


def _groups(moments: Sequence[Moment]) -> dict[int, list[int]]:
    return {time: list(group) for time, group in groupby(range(len(moments)), key=lambda at: moments[at][0])}


def _matched(
    first: Sequence[Moment], second: Sequence[Moment], here: list[int], there: list[int]
) -> list[tuple[int | None, int | None]]:
    """Those of one time: as many equal ones level as can be, without crossing; the others between them side by side."""
    # The longest common subsequence, from behind.
    longest = [[0] * (len(there) + 1) for _ in range(len(here) + 1)]
    for i in reversed(range(len(here))):
        for j in reversed(range(len(there))):
            same = first[here[i]] == second[there[j]]
            longest[i][j] = longest[i + 1][j + 1] + 1 if same else max(longest[i + 1][j], longest[i][j + 1])
    pairs: list[tuple[int | None, int | None]] = []
    i = j = 0
    mine: list[int] = []
    others: list[int] = []
    while i < len(here) and j < len(there):
        if first[here[i]] == second[there[j]]:
            pairs += [*zip_longest(mine, others), (here[i], there[j])]
            mine, others = [], []
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            mine.append(here[i])
            i += 1
        else:
            others.append(there[j])
            j += 1
    return [*pairs, *zip_longest([*mine, *here[i:]], [*others, *there[j:]])]
