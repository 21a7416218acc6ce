"""The ladder as a picture, fit for a slide: both lifelines with their states, and every segment between them.

Time runs downwards. Segments leave and arrive in their true order; waits in which nothing happens are cut short, and
marked. A picture has the shape of a slide (16:9) unless it shows more than fits on one; then it is taller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, radians, sin
from typing import Final

from synfin.show.canvas import AGAIN, FAINT, INK, LEFT, LOST, MUTED, PAPER, RIGHT, Canvas, Run, pill_width
from synfin.show.column import shown_rows
from synfin.show.flights import late_arrivals
from synfin.show.folding import Fold, folded, segments
from synfin.show.history import Arrival, Endpoint, History, Loss, Remark, Row, StateChange, Transmission, UserCall
from synfin.show.ladder_labels import Labels
from synfin.show.ladder_layout import (
    LABEL_SIZE,
    LINE,
    NOTE_SIZE,
    SIDE_SIZE,
    Arrow,
    Label,
    Layout,
)
from synfin.show.ladder_room import settle
from synfin.show.ladder_text import Clock, end_name
from synfin.show.narration import Narrate, sentences
from synfin.show.state_words import STATE_COLORS
from synfin.show.text_width import broken, fitted, text_width
from synfin.show.words import Language, explain, translation

__all__ = ["FOOT", "MOST_SEGMENTS", "LadderPicture", "render_ladder_svg"]

#: How many segments a picture shows, unless it is told otherwise.
MOST_SEGMENTS: Final = 60

_WIDTH: Final = 1280.0
_HEIGHT: Final = 720.0
_MARGIN: Final = 22.0
#: Below the rows.
FOOT: Final = 64.0
_TOP: Final = 112.0
_BAND: Final = 14.0
_TIME_SIZE: Final = 13.0
_TITLE_SIZES: Final = (24, 21, 18)
_MOST_SIDE: Final = 236.0
# A remark beside a lifeline: how wide, and how many lines of it.
_MOST_REMARK: Final = 230.0
_MOST_LINES: Final = 6
_MOST_SENTENCE: Final = 40
# Between sentences of two rows, in lines.
_SPACE: Final = 0.4
_MOST_TIME: Final = 100.0
_UNKNOWN: Final = "#ffffff"
_NOBODY: Final = Endpoint(b"")


def render_ladder_svg(
    history: History,
    *,
    language: Language = "en",
    title: str | None = None,
    relative: bool = True,
    between: tuple[int, int] | None = None,
    most: int = MOST_SEGMENTS,
    numbers: Callable[[Transmission], int | None] | None = None,
    narrate: Narrate = "no",
    fold: bool = False,
) -> str:
    """Draw `history` as an SVG document 1280 pixels wide, 720 high or as high as it takes.

    With `relative` sequence numbers count from each side's initial one. `between` two times (nanoseconds, both
    included) shows that part alone. At most `most` segments are shown; how many were left out is said below.
    `numbers` gives segments the numbers by which they are called; those of a capture have theirs. `narrate` as in
    `render_ladder`, and `fold`: sentences stand beside the lifeline of the end that acts.
    """
    return LadderPicture(history, language, title, relative, between, most, numbers, narrate=narrate, fold=fold).svg()


class LadderPicture:
    """A ladder as it is drawn; `start`: from when times count (nanoseconds), by default the first row;
    `rows`: those that are shown, by default all."""

    def __init__(
        self,
        history: History,
        language: Language,
        title: str | None,
        relative: bool,
        between: tuple[int, int] | None,
        most: int,
        numbers: Callable[[Transmission], int | None] | None = None,
        width: float = _WIDTH,
        start: int | None = None,
        narrate: Narrate = "no",
        fold: bool = False,
        rows: Sequence[Row] | None = None,
    ) -> None:
        self._width = width
        self._start = start
        self._history = history
        self._numbers = numbers
        self._language = language
        self._gettext = translation(language).gettext
        self._relative = relative
        self._title = self._gettext("The life of a TCP connection") if title is None else title
        self._left_state = history.left.first_state
        self._right_state = history.right.first_state
        self._omitted = 0
        self._rows = self._chosen(between, most, fold, rows)
        losses = [row.loss for row in self._rows if isinstance(row, Transmission) and row.loss is not None]
        self._told = sentences(history, narrate, language, relative, [*self._rows, *losses])
        self._lots = {at: lot for at, row in enumerate(self._rows) if (lot := self._lot(row))[1]}
        side = max(
            (sum(run.width(SIDE_SIZE) for run in line) for _, lines in self._lots.values() for line in lines), default=0
        )
        for state in (self._left_state, self._right_state):
            side = max(side, sum(run.width(SIDE_SIZE) for run in self._state(state)))
        self._time = self._time_text()
        axis = max((text_width(self._time(row.time), _TIME_SIZE) for row in self._rows), default=0) + 14
        # Text, a gap, the band.
        self._left_band = _MARGIN + axis + side + 12
        self._right_band = width - _MARGIN - side - 12 - _BAND
        self._axis = _MARGIN + axis - 8
        late = {id(row) for row in late_arrivals(self._rows)}
        room = self._right_band - self._left_band - _BAND
        self._labels = Labels(history, language, relative, numbers, late, room)

    # --- what is shown -------------------------------------------------------------------------------------------

    def _chosen(self, between: tuple[int, int] | None, most: int, fold: bool, rows: Sequence[Row] | None) -> list[Row]:
        chosen: list[Row] = []
        drawn = 0
        if rows is None:
            rows = shown_rows(self._history)
        if fold:
            start = self._start if self._start is not None else rows[0].time if rows else 0
            rows = folded(rows, self._gettext, start, self._numbers)
        for row in rows:
            if between is not None and row.time < between[0]:
                self._follow(row)
                continue
            if (between is not None and row.time > between[1]) or drawn > most:
                break
            if isinstance(row, Transmission):
                drawn += 1
                if drawn > most:
                    break
            if not isinstance(row, Loss):
                chosen.append(row)
        shown = sum(map(segments, chosen))
        self._omitted = len(self._history.transmissions) - shown
        return chosen

    def _follow(self, row: Row) -> None:
        """Remember the states that the ends are in before the first row that is shown."""
        end, _, new = _change(row)
        if new is not None and end is self._history.left:
            self._left_state = new
        elif new is not None:
            self._right_state = new

    def _lot(self, row: Row) -> tuple[Endpoint, list[list[Run]]]:
        """What stands beside a lifeline at this row: a call, a reason, a new state."""
        end, old, new = _change(row)
        lines: list[list[Run]] = []
        if isinstance(row, UserCall):
            text = row.call
            if row.octets:
                text = self._gettext("{call} {octets} octets").format(call=text, octets=row.octets)
            lines.append([Run(fitted(text, _MOST_SIDE, SIDE_SIZE), color=MUTED)])
        elif isinstance(row, Remark):
            if row.endpoint is not None:
                lines += [[Run(line, color=AGAIN)] for line in broken(row.text, _MOST_REMARK, SIDE_SIZE, _MOST_LINES)]
        elif isinstance(row, StateChange):
            words = "" if row in self._told else explain(row.reason, self._language)
            lines += [[Run(line, color=MUTED)] for line in broken(words, _MOST_SIDE * 0.8, SIDE_SIZE) if line]
        if new is not None and old != new:
            lines.append(self._state(new))
        ending = row.loss if isinstance(row, Transmission) else None
        for one in (row, ending):
            told = "" if one is None else self._told.get(one, "")
            if told:
                lines += [[Run(line, color=MUTED)] for line in broken(told, _MOST_REMARK, SIDE_SIZE, _MOST_SENTENCE)]
        return end, lines

    def _state(self, state: str | None) -> list[Run]:
        if state is None:
            return [Run("?", bold=True)]
        runs = [Run(fitted(state, _MOST_SIDE, SIDE_SIZE, True), bold=True)]
        name = self._gettext(state) if state in STATE_COLORS else state
        if name != state:
            runs.append(Run(f" {name}"))
        return runs

    def _time_text(self) -> Callable[[int], str]:
        """The time since the first row of the whole history, with as few decimals as they all need."""
        start = self._start
        if start is None:
            start = self._history.rows[0].time if self._history.rows else 0
        clock = Clock([start, *(row.time for row in self._rows)])
        self._unit = self._gettext("s") if clock.seconds else self._gettext("ms")
        texts = [clock.text(row.time) for row in self._rows]
        cut = (
            4
            if all(text.endswith(".000") for text in texts)
            else 2
            if all(text.endswith("00") for text in texts)
            else 0
        )
        return lambda time: fitted(clock.text(time)[: -cut or None], _MOST_TIME, _TIME_SIZE)

    # --- the picture ---------------------------------------------------------------------------------------------

    @property
    def rows(self) -> list[Row]:
        """What is shown."""
        return self._rows

    def svg(self) -> str:
        """The whole picture."""
        layout = self.layout()
        return self.drawn(layout, max(_HEIGHT, layout.bottom + FOOT))

    def layout(self) -> Layout:
        """Where everything stands."""
        widths = {id(row): self._labels.width(row) for row in self._rows if isinstance(row, Transmission)}
        notes: dict[int, float] = {}
        for row in self._rows:
            ending = row.loss if isinstance(row, Transmission) else row
            text = self._labels.note(ending) if isinstance(ending, Arrival | Loss) else ""
            if text:
                notes[id(ending)] = text_width(text, NOTE_SIZE, True)
        layout = Layout(
            self._rows,
            self._history.left,
            {at: (end, len(lines) + (_SPACE if self._told else 0)) for at, (end, lines) in self._lots.items()},
            widths,
            notes,
            self._left_band + _BAND,
            self._right_band,
            _TOP,
            _HEIGHT - _TOP - FOOT,
        )
        settle([layout], layout.place_rows)
        return layout

    def drawn(self, layout: Layout, height: float) -> str:
        """The picture with everything where `layout` has it."""
        canvas = Canvas(self._width, height, self._title, self._language)
        self._head(canvas)
        self._lifelines(canvas, layout)
        self._axis_and_breaks(canvas, layout)
        self._beside(canvas, layout)
        self._omissions(canvas, layout)
        labels = {(id(label.arrow), label.note): label for label in layout.labels}
        for arrow in layout.arrows:
            self._arrow(canvas, arrow)
        for arrow in layout.arrows:
            self._texts(canvas, arrow, labels)
        self._foot(canvas, layout, height)
        return canvas.svg()

    def _head(self, canvas: Canvas) -> None:
        room = self._width - 2 * _MARGIN
        size = next((size for size in _TITLE_SIZES if text_width(self._title, size, True) <= room), _TITLE_SIZES[-1])
        canvas.text((_MARGIN, 40), fitted(self._title, room, size, True), size, bold=True)
        room = self._width / 2 - 2 * _MARGIN
        for end, color, letter in ((self._history.left, LEFT, "x"), (self._history.right, RIGHT, "y")):
            number = end.initial_numbers[0] if end.initial_numbers else None
            name = fitted(end_name(self._history, end, self._gettext), room, 18, True)
            place = fitted(f"{end.name}   {letter} = {'?' if number is None else number}", room, 14)
            left = end is self._history.left
            # At the lifeline, but never in the other half.
            width = max(text_width(name, 18, True), text_width(place, 14))
            if left:
                x = min(self._left_band + _BAND, self._width / 2 - 12 - width)
            else:
                x = max(self._right_band, self._width / 2 + 12 + width)
            canvas.text((x, 74), name, 18, color, bold=True, anchor="start" if left else "end")
            canvas.text((x, 95), place, 14, MUTED, anchor="start" if left else "end")

    def _lifelines(self, canvas: Canvas, layout: Layout) -> None:
        bottom = layout.bottom + 4
        for end, x, state in (
            (self._history.left, self._left_band, self._left_state),
            (self._history.right, self._right_band, self._right_state),
        ):
            top = _TOP
            for row, y in zip(self._rows, layout.ys, strict=True):
                owner, _, new = _change(row)
                if owner is end and new is not None and new != state:
                    canvas.rectangle((x, top), _BAND, y - top, STATE_COLORS.get(state or "", _UNKNOWN))
                    top, state = y, new
            canvas.rectangle((x, top), _BAND, bottom - top, STATE_COLORS.get(state or "", _UNKNOWN))

    def _axis_and_breaks(self, canvas: Canvas, layout: Layout) -> None:
        canvas.text((self._axis, _TOP + 3), self._unit, _TIME_SIZE, MUTED, anchor="end")
        last = _TOP + 3
        shown = ""
        for row, y in zip(self._rows, layout.ys, strict=True):
            text = self._time(row.time)
            if isinstance(row, Fold):
                # Its text says until when.
                continue
            if text != shown and y - last >= _TIME_SIZE * 1.2:
                canvas.text((self._axis, y + 4.5), text, _TIME_SIZE, MUTED, anchor="end")
                last, shown = y, text
        for above, below in layout.breaks:
            y = (above + below) / 2
            for x in (self._left_band, self._right_band):
                _tear(canvas, x - 5, x + _BAND + 5, y)
            x = self._axis - 16
            if y - above > _TIME_SIZE * 1.4:
                for step in (-5, 0, 5):
                    canvas.circle((x, y + step), 1.4, MUTED)

    def _beside(self, canvas: Canvas, layout: Layout) -> None:
        self._side_text(canvas, self._history.left, self._state(self._left_state), _TOP - 2)
        self._side_text(canvas, self._history.right, self._state(self._right_state), _TOP - 2)
        for at, (end, lines) in self._lots.items():
            top = layout.lot_tops[at]
            x = self._left_band if end is self._history.left else self._right_band
            canvas.line([(x - 3, layout.ys[at]), (x + _BAND + 3, layout.ys[at])], INK, 2)
            for number, line in enumerate(lines):
                self._side_text(canvas, end, line, top + number * LINE)

    def _side_text(self, canvas: Canvas, end: Endpoint, runs: list[Run], top: float) -> None:
        y = top + SIDE_SIZE * 0.95
        if end is self._history.left:
            canvas.text((self._left_band - 9, y), runs, SIDE_SIZE, anchor="end")
        else:
            canvas.text((self._right_band + _BAND + 9, y), runs, SIDE_SIZE)

    def _omissions(self, canvas: Canvas, layout: Layout) -> None:
        middle = (self._left_band + _BAND + self._right_band) / 2
        room = self._right_band - self._left_band - 4 * _BAND
        for at, y in layout.omissions.items():
            row = self._rows[at]
            if isinstance(row, Remark):
                text = fitted(f"… {row.text} …", room, SIDE_SIZE)
                canvas.text((middle, y), text, SIDE_SIZE, MUTED, anchor="middle", halo=True)

    # --- segments ------------------------------------------------------------------------------------------------

    def _arrow(self, canvas: Canvas, arrow: Arrow) -> None:
        (x1, y1), (x2, y2) = arrow.start, arrow.end
        sent = arrow.transmission
        color = AGAIN if sent.retransmission else self._labels.color(sent)
        inwards = 2.0 if arrow.rightwards else -2.0
        with canvas.group(self._labels.tip(sent)):
            if arrow.kind == "lost":
                canvas.line([(x1, y1), (x2, y2)], LOST, 2, "9 4")
                canvas.cross((x2, y2), LOST)
            elif arrow.kind == "leaving":
                canvas.line([(x1, y1), (x2, y2)], color, 2, "2 5")
            else:
                dropped = arrow.arrival is not None and arrow.arrival.dropped
                dash = "2 5" if arrow.kind in ("again", "coming") else ""
                length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
                neck = (x2 - (x2 - x1) / length * 9, y2 - (y2 - y1) / length * 9)
                canvas.line([(x1, y1), neck], color, 2, dash)
                canvas.arrow_head((x2, y2), (x2 - x1, y2 - y1), color)
                if dropped:
                    canvas.line([(x2 - 8 * inwards, y2 - 8), (x2 - 8 * inwards, y2 + 8)], LOST, 3)

    def _texts(self, canvas: Canvas, arrow: Arrow, labels: dict[tuple[int, bool], Label]) -> None:
        label = labels.get((id(arrow), False))
        sent = arrow.transmission
        if label is not None:
            (x, y), angle = label.at, label.angle
            runs = self._labels.label(sent)
            pill = self._labels.pill(sent)
            if pill:
                indent = pill_width(pill, LABEL_SIZE) + 6
                canvas.pill((x, y), pill, LABEL_SIZE, AGAIN if sent.retransmission else self._labels.color(sent), angle)
                x, y = x + indent * cos(radians(angle)), y + indent * sin(radians(angle))
            canvas.text((x, y), runs, LABEL_SIZE, angle=angle, halo=True)
        note = labels.get((id(arrow), True))
        if note is not None:
            ending = sent.loss if arrow.kind == "lost" else arrow.arrival
            if ending is not None:
                text = self._labels.note(ending)
                ill = isinstance(ending, Loss) or ending.dropped or ending.duplicate
                color = LOST if ill else self._labels.color(sent)
                canvas.text(note.at, text, NOTE_SIZE, color, bold=True, angle=note.angle, halo=True)

    # --- the legend ----------------------------------------------------------------------------------------------

    def _foot(self, canvas: Canvas, layout: Layout, height: float) -> None:
        gettext = self._gettext
        y = height - 20
        x = _MARGIN
        kinds = {arrow.kind for arrow in layout.arrows}
        entries: list[tuple[str, str, str, str]] = []
        if "lost" in kinds:
            entries.append((gettext("lost"), LOST, "9 4", "cross"))
        if any(arrow.transmission.retransmission for arrow in layout.arrows):
            entries.append((gettext("retransmission"), AGAIN, "", ""))
        if "again" in kinds:
            entries.append((gettext("arrives again"), MUTED, "2 5", ""))
        for text, color, dash, mark in entries:
            canvas.line([(x, y - 5), (x + 34, y - 5)], color, 2, dash)
            if mark:
                canvas.cross((x + 34, y - 5), color, 5)
            canvas.text((x + 44, y), text, NOTE_SIZE, MUTED)
            x += 44 + text_width(text, NOTE_SIZE) + 26
        notes = []
        if self._omitted:
            notes.append(gettext("segments not shown: {number}").format(number=self._omitted))
        if any(self._labels.pill(row) for row in self._rows if isinstance(row, Transmission)):
            notes.append(gettext("numbers in circles: the seven messages of a connection's life"))
        if self._relative and (self._history.left.initial_numbers or self._history.right.initial_numbers):
            notes.append(gettext("seq counts from x and y"))
        notes.append(gettext("time is not to scale"))
        for text in notes:
            width = text_width(text, NOTE_SIZE)
            if x + width > self._width - _MARGIN:
                break
            canvas.text((x, y), text, NOTE_SIZE, MUTED)
            x += width + 26
        canvas.line([(_MARGIN, height - 42), (self._width - _MARGIN, height - 42)], FAINT, 1)


def _change(row: Row) -> tuple[Endpoint, str | None, str | None]:
    """Whose state a row is about, and the state before and after."""
    if isinstance(row, Transmission):
        return row.sender, row.old_state, row.new_state
    if isinstance(row, Arrival):
        return row.transmission.receiver, row.old_state, row.new_state
    if isinstance(row, Loss):
        return row.transmission.sender, None, None
    if isinstance(row, Remark):
        return row.endpoint or _NOBODY, None, None
    if isinstance(row, UserCall):
        change = row.change
        return (row.endpoint, None, None) if change is None else (row.endpoint, change.old_state, change.new_state)
    return row.endpoint, row.old_state, row.new_state


def _tear(canvas: Canvas, left: float, right: float, y: float) -> None:
    """A lifeline torn: time that is not shown."""
    middle = (left + right) / 2
    upper = [(left, y - 1), (middle - 3, y - 7), (middle + 3, y - 1), (right, y - 7)]
    lower = [(x, y + 8) for x, y in upper]
    canvas.polygon([*upper, *reversed(lower)], PAPER)
    canvas.line(upper, INK, 1.3)
    canvas.line(lower, INK, 1.3)
