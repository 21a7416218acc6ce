"""Two histories side by side, as text: what is the same left out, and from where they part every moment on one level.

Each column is a ladder of its own, with both ends' states. Time runs downwards for both; a mark stands between the two
wherever they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len

from synfin.show.column import Block, Column, Numbers, shown_rows
from synfin.show.folding import entry, folded, in_step
from synfin.show.history import History, Row, Transmission, UserCall
from synfin.show.ladder_text import (
    DIM,
    LABEL,
    LOST,
    Clock,
    Piece,
    as_before,
    cropped,
    end_name,
    filled,
    painted,
    printable,
    wrapped,
    wrapped_text,
)
from synfin.show.narration import Narrate, sentences
from synfin.show.pairing import common, levelled, parted
from synfin.show.state_words import STATE_COLORS
from synfin.show.words import Language, translation

__all__ = ["FEWEST_CELLS", "MOST_SEGMENTS", "render_side_by_side"]

#: How narrow it may be.
FEWEST_CELLS: Final = 80
#: How many segments each column shows, unless it is told otherwise.
MOST_SEGMENTS: Final = 60
_GUTTER: Final = 3
_DIFFERENT: Final = "≠"


def render_side_by_side(
    first: History,
    second: History,
    *,
    titles: tuple[str, str],
    language: Language = "en",
    relative: bool = True,
    width: int = 100,
    color: bool = False,
    numbers: tuple[Numbers | None, Numbers | None] = (None, None),
    before: int | None = None,
    most: int = MOST_SEGMENTS,
    start: int | None = None,
    compared: bool = True,
    narrate: Narrate = "no",
    usual: bool = False,
    fold: bool = False,
    seen: tuple[int, str] = (0, ""),
) -> str:
    """Draw two histories beside one another, in lines of at most `width` cells (80 or more).

    `before`: of what both begin with, so many moments are shown, and how much is left out is said; None shows it all.
    At most `most` segments of each are shown. `compared`: a mark stands where they differ. `narrate`
    tells rows of both in sentences: all of them in full, or in short those that differ; if the first is the `usual`
    one, then of the other alone. Else as `render_ladder`; `seen` of both.
    """
    width = max(FEWEST_CELLS, width)
    drawing = _Drawing(first, second, titles, language, relative, width, color, numbers, start, narrate, usual, fold)
    return "\n".join(drawing.lines(before, most, compared, seen))


class _Drawing:
    def __init__(
        self,
        first: History,
        second: History,
        titles: tuple[str, str],
        language: Language,
        relative: bool,
        width: int,
        color: bool,
        numbers: tuple[Numbers | None, Numbers | None],
        start: int | None,
        narrate: Narrate,
        usual: bool,
        fold: bool,
    ) -> None:
        self._histories = (first, second)
        self._titles = titles
        self._gettext = translation(language).gettext
        self._relative = relative
        self._color = color
        times = sorted(row.time for history in self._histories for row in history.rows)
        self._clock = Clock([*([] if start is None else [start]), *times])
        self._time_width = self._clock.width + 1
        self._column = (width - self._time_width - _GUTTER) // 2
        self._width = self._time_width + 2 * self._column + _GUTTER
        shown = [shown_rows(history) for history in self._histories]
        if fold:
            since = self._clock.start
            apart = parted(first, second)
            shown = [folded(rows, self._gettext, since, own, apart) for rows, own in zip(shown, numbers, strict=True)]
            shown = list(in_step(shown[0], shown[1]))
        self._blocks = [
            Column(history, self._column, language, relative, own, rows=part).blocks
            for history, own, part in zip(self._histories, numbers, shown, strict=True)
        ]
        if narrate != "no":
            rows = self._differing() if narrate == "short" else [history.rows for history in self._histories]
            if narrate == "short" and usual:
                rows[0] = []
            told = [
                sentences(history, narrate, language, relative, own)
                for history, own in zip(self._histories, rows, strict=True)
            ]
            self._blocks = [
                Column(history, self._column, language, relative, own, said, part).blocks
                for history, own, said, part in zip(self._histories, numbers, told, shown, strict=True)
            ]
        self._lines: list[str] = []

    def _differing(self) -> list[list[Row]]:
        """The rows of both that have no equal at their side, without the users' calls, which speak for themselves."""
        rows: list[list[Row]] = [[], []]
        first, second = self._blocks
        for mine, other in levelled([one.moment for one in first], [one.moment for one in second]):
            if mine is not None and other is not None and first[mine].key == second[other].key:
                continue
            for found, blocks, at in zip(rows, (first, second), (mine, other), strict=True):
                own = blocks[at].rows if at is not None else []
                found += [row for row in own if not isinstance(row, UserCall)]
                found += [row.loss for row in own if isinstance(row, Transmission) and row.loss is not None]
        return rows

    def lines(self, before: int | None, most: int, compared: bool, seen: tuple[int, str]) -> list[str]:
        self._head()
        first, second = self._blocks
        same = common([one.moment for one in first], [one.moment for one in second])
        equal = len(first) == len(second) == same
        # Of two that never agree a mark on each line would tell nothing.
        marked = compared and same > 0 and not equal
        left_out = max(same - before, 0) if before is not None else 0
        if left_out:
            # It does not begin with a segment that is on its way already.
            later = range(left_out, left_out + 1 if equal else same)
            places = [*later, *reversed(range(left_out))]
            left_out = next((at for at in places if first[at].begins), 0)
        if not any(block.segments for block in first[:left_out]):
            left_out = 0
        if left_out:
            self._left_out(first[:left_out], equal)
        elif left_out := self._seen_before(seen[0]):
            self._say(as_before(self._gettext, seen[1], self._clock, first[left_out - 1].rows[-1].time))
        self._body([blocks[left_out:] for blocks in self._blocks], most, marked)
        self._foot(marked)
        return self._lines

    # --- above and below -----------------------------------------------------------------------------------------

    def _head(self) -> None:
        titles = [wrapped_text(printable(title), self._column) for title in self._titles]
        for mine, other in zip_longest(*titles, fillvalue=""):
            self._put(None, "", [(mine, LABEL)], [(other, LABEL)])
        unit = self._gettext("s") if self._clock.seconds else self._gettext("ms")
        columns = []
        for history in self._histories:
            left, right = (end_name(history, end, self._gettext) for end in (history.left, history.right))
            room = self._column // 2 - 1
            left, right = cropped(left, room), cropped(right, room)
            columns.append(
                [(left, ""), (" " * (self._column - cell_len(left) - cell_len(right)), ""), (right, "")],
            )
        self._put(None, "", columns[0], columns[1], unit)

    def _left_out(self, blocks: Sequence[Block], everything: bool) -> None:
        segments = sum(block.segments for block in blocks)
        text = self._gettext("the same in both: segments left out: {number}").format(number=segments)
        if everything:
            text = self._gettext("both histories are the same; segments left out: {number}").format(number=segments)
        self._say(text)

    def _seen_before(self, beginning: int) -> int:
        """How many blocks of both are left out, if the reader has seen so many of the first rows before."""
        both = [(rows := shown_rows(history))[: entry(rows, history.rows[:beginning])] for history in self._histories]
        fewest = min(map(len, both))
        seen = {id(row) for rows in both for row in rows[:fewest]}
        first, second = self._blocks
        known = 0
        for mine, other in zip(first, second, strict=False):
            if mine.moment != other.moment or any(id(row) not in seen for row in (*mine.rows, *other.rows)):
                break
            known += 1
        return next((at for at in reversed(range(known + 1)) if at < len(first) and first[at].begins), 0)

    def _say(self, text: str) -> None:
        """A line about what is left out."""
        text = cropped(text, self._width - 8)
        dots = (self._width - cell_len(text) - 2) // 2
        dots = min(dots, 12)
        start = (self._width - cell_len(text) - 2 - 2 * dots) // 2
        self._write([(" " * start, ""), ("┄" * dots, DIM), (f" {text} ", DIM), ("┄" * dots, DIM)])

    def _foot(self, compared: bool) -> None:
        gettext = self._gettext
        notes = [gettext("* the state has just changed")]
        if compared:
            notes.insert(0, f"{_DIFFERENT} {gettext('here the two differ')}")
        if self._relative:
            notes.append(gettext("seq and ack are counted from the initial sequence numbers x and y"))
        self._write([])
        for line in wrapped([(note, "") for note in notes], self._width, gap=3):
            self._write(line)
        shown = {state for history in self._histories for row in history.rows for state in _states(row)}
        legend = [f"{state} {gettext(state)}" for state in STATE_COLORS if state in shown and gettext(state) != state]
        for line in wrapped([(text, DIM) for text in legend], self._width, gap=2) if legend else []:
            self._write(line)

    # --- the columns ---------------------------------------------------------------------------------------------

    def _body(self, columns: Sequence[Sequence[Block]], most: int, compared: bool) -> None:
        shown = [_cut(blocks, most) for blocks in columns]
        empty: list[Piece] = [(" " * self._column, "")]
        rails: list[Piece] = [("│", ""), (" " * (self._column - 2), ""), ("│", "")]
        first, second = shown
        over = [0, 0]
        told: int | None = None
        for mine, other in levelled([one.moment for one in first], [one.moment for one in second]):
            pair = [None if mine is None else first[mine], None if other is None else second[other]]
            blocks = [block for block in pair if block is not None]
            different = len(blocks) < 2 or blocks[0].key != blocks[1].key
            height = max(len(block.lines) for block in blocks)
            for at in range(height):
                cells = []
                for side, block in enumerate(pair):
                    if block is not None and at < len(block.lines):
                        cells.append(block.lines[at])
                    else:
                        # A history that has not begun or is over has no rails.
                        last = over[side] + (block is not None) >= len(shown[side])
                        cells.append(rails if over[side] + (block is not None) and not last else empty)
                mark = _DIFFERENT if different and compared and not at else ""
                self._put(None if at or blocks[0].time == told else blocks[0].time, mark, cells[0], cells[1])
            told = blocks[0].time
            for side, block in enumerate(pair):
                over[side] += block is not None
        rest = [
            sum(block.segments for block in blocks[len(part) :]) for blocks, part in zip(columns, shown, strict=True)
        ]
        if any(rest):
            more = [self._gettext("… {number} more").format(number=number) if number else "" for number in rest]
            self._put(None, "", [(f" {more[0]}", DIM)], [(f" {more[1]}", DIM)])

    def _put(
        self, time: int | None, mark: str, first: Sequence[Piece], second: Sequence[Piece], clock: str = ""
    ) -> None:
        text = clock if time is None else cropped(self._clock.text(time), self._clock.width)
        pieces: list[Piece] = [(" " * (self._clock.width - cell_len(text)) + text + " ", DIM)]
        pieces += filled(first, self._column)
        pieces.append((f" {mark or ' '} ", LOST))
        self._write([*pieces, *second])

    def _write(self, pieces: Sequence[Piece]) -> None:
        kept = list(pieces)
        while kept and not kept[-1][0].strip():
            kept.pop()
        if kept:
            kept[-1] = (kept[-1][0].rstrip(), kept[-1][1])
        self._lines.append(painted([piece for piece in kept if piece[0]], self._color))


def _cut(blocks: Sequence[Block], most: int) -> Sequence[Block]:
    """As many of the first blocks as have at most `most` segments."""
    segments = 0
    for at, block in enumerate(blocks):
        segments += block.segments
        if segments > most:
            return blocks[:at]
    return blocks


def _states(row: Row) -> list[str]:
    found = [getattr(row, "old_state", None), getattr(row, "new_state", None)]
    return [state for state in found if state is not None]
