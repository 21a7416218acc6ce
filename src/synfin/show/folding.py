"""Long runs of segments that are alike, such as one that is retransmitted and never answered: the first are shown, how
many more there are is said."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

from synfin.show.history_rows import Arrival, Endpoint, Loss, Remark, Row, Transmission

__all__ = ["Fold", "entry", "folded", "in_step", "segments"]

#: So many of those that are alike are shown, and so many are left out at least.
_SHOWN: Final = 3
_LEAST_LEFT_OUT: Final = 2
# Of one that is repeated: it leaves, it arrives, so does its answer; that again.
_MOST_ROWS: Final = 8
_NEAR: Final = 5


@dataclass(slots=True, eq=False)
class Fold(Remark):
    """What stands for `rows` that are left out."""

    rows: list[Row] = field(default_factory=list)


def entry(rows: Sequence[Row], known: Sequence[Row]) -> int:
    """With which of `rows` to begin for a reader who has seen the `known` ones, with which they begin: it needs nothing
    that stands above."""
    seen = {id(row) for row in known}
    same = next((at for at, row in enumerate(rows) if id(row) not in seen), len(rows))
    for at in reversed(range(min(same + 1, len(rows)))):
        if isinstance(rows[at], Arrival | Loss | Remark):
            continue
        before = {id(row) for row in rows[:at]}
        # What becomes of a segment that was just sent is not parted from it.
        near = [row for row in rows[max(at - _NEAR, 0) : at] if isinstance(row, Transmission)]
        if all(id(end) in before for sent in near for end in ends(sent)):
            return at
    return 0


def ends(sent: Transmission) -> list[Arrival | Loss]:
    """What became of a segment."""
    return [*sent.arrivals, *([] if sent.loss is None else [sent.loss])]


def segments(row: Row) -> int:
    """How many segments were sent in this row, left out or not."""
    if isinstance(row, Fold):
        return sum(isinstance(one, Transmission) for one in row.rows)
    return int(isinstance(row, Transmission))


def folded(
    rows: Sequence[Row],
    gettext: Callable[[str], str],
    start: int,
    numbers: Callable[[Transmission], int | None] | None = None,
    apart: int | None = None,
) -> list[Row]:
    """The rows with a `Fold` for what is left out of each run that is alike: the same segments with the same fate, and
    nothing else, not even a change of state.

    Its text says how many there are, which `numbers` they have, and the time of the last, since `start`. No run goes
    beyond the time `apart`. Times are in nanoseconds.
    """
    keys = [_key(row) for row in rows]
    kept: list[Row] = []
    at = 0
    while at < len(rows):
        found = _run(rows, keys, at, apart)
        if found is None:
            kept.append(rows[at])
            at += 1
            continue
        length, times = found
        hidden = at + _SHOWN * length
        end = at + times * length
        kept += rows[at:hidden]
        kept.append(_fold(list(rows[hidden:end]), times - _SHOWN, gettext, start, numbers))
        at = end
    return kept


def in_step(first: Sequence[Row], second: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of two histories that stand side by side: folded only what is folded in both, or where the other one has
    nothing."""
    return _in_step(first, second), _in_step(second, first)


def _in_step(rows: Sequence[Row], beside: Sequence[Row]) -> list[Row]:
    folds = {(row.time, row.text) for row in beside if isinstance(row, Fold)}
    kept: list[Row] = []
    for row in rows:
        if not isinstance(row, Fold) or (row.time, row.text) in folds:
            kept.append(row)
            continue
        last = row.rows[-1].time
        alone = not any(row.time <= time <= last for other in beside for time in _times(other))
        kept += [row] if alone else row.rows
    return kept


def _times(row: Row) -> list[int]:
    return [one.time for one in row.rows] if isinstance(row, Fold) else [row.time]


def _fold(
    rows: list[Row],
    times: int,
    gettext: Callable[[str], str],
    start: int,
    numbers: Callable[[Transmission], int | None] | None,
) -> Fold:
    sent = [row for row in rows if isinstance(row, Transmission)]
    known = [number for row in (sent[0], sent[-1]) if (number := row.packet or (numbers(row) if numbers else 0))]
    last = sent[(times - 1) * len(sent) // times].time
    values = {"count": times, "seconds": f"{(last - start) / 1e9:.3f}"}
    if len(known) == 2:
        text = gettext("{count} more like it (#{first} to #{last}), until {seconds} s")
        text = text.format(first=known[0], last=known[1], **values)
    else:
        text = gettext("{count} more like it, until {seconds} s").format(**values)
    return Fold(rows[0].time, None, text, "", rows)


def _run(rows: Sequence[Row], keys: Sequence[Hashable], at: int, apart: int | None) -> tuple[int, int] | None:
    """How many rows from `at` on are repeated, and how many times they are there; None if not often enough."""
    if not isinstance(rows[at], Transmission):
        return None
    for length in range(1, _MOST_ROWS + 1):
        unit = keys[at : at + length]
        if None in unit:
            return None
        times = 0
        while keys[at + times * length : at + (times + 1) * length] == unit and _whole(
            rows[at + times * length : at + (times + 1) * length], rows[at].time, apart
        ):
            times += 1
        if times >= _SHOWN + _LEAST_LEFT_OUT:
            return length, times
    return None


def _whole(rows: Sequence[Row], start: int, apart: int | None) -> bool:
    """Whether all that becomes of these segments is here, and on the same side of the time `apart`."""
    here = {id(row) for row in rows}
    if apart is not None and start < apart <= rows[-1].time:
        return False
    for row in rows:
        if isinstance(row, Transmission):
            if any(id(one) not in here for one in ends(row)):
                return False
        elif isinstance(row, Arrival | Loss) and id(row.transmission) not in here:
            return False
    return True


def _key(row: Row) -> Hashable | None:
    """What a row says, without when, and without what differs from one time to the next; None if it is unlike any
    other."""
    if isinstance(row, Transmission):
        segment = row.segment
        said = segment.seq, segment.ack, segment.flags, segment.wnd, segment.payload_length, segment.options.sack
        return _same(row, _side(row.sender), said, row.retransmission, row.loss is None)
    if isinstance(row, Arrival):
        return _same(row, _side(row.transmission.receiver), row.dropped, row.duplicate)
    if isinstance(row, Loss):
        return "lost", _side(row.transmission.sender), row.reason.name
    return None


def _same(row: Transmission | Arrival, *said: Hashable) -> Hashable | None:
    return (type(row).__name__, row.new_state, *said) if row.old_state == row.new_state else None


def _side(end: Endpoint) -> int:
    return id(end)
