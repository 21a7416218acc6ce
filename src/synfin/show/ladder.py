"""The ladder: a connection as text, with both ends' states beside every segment.

Time runs downwards. A segment is drawn in two lines: what it says, at the moment of sending, and the arrow, at the
moment of arrival; the states on each line are those of that moment. If something else happened in between, the arrow
is cut in two: it leaves on one line and comes in on a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.cells import cell_len

from synfin.reasons import DAMAGED
from synfin.show.folding import entry, folded, segments
from synfin.show.history import Arrival, Endpoint, History, Loss, Remark, Row, StateChange, Transmission, UserCall
from synfin.show.ladder_arrows import Arrows
from synfin.show.ladder_text import (
    CHANGED,
    DIM,
    LABEL,
    QUIET_CALLS,
    REMARK,
    SENTENCE,
    Clock,
    Piece,
    as_before,
    cropped,
    end_name,
    filled,
    painted,
    printable,
    segment_words,
    words,
    wrapped,
    wrapped_text,
)
from synfin.show.narration import Narrate, sentences
from synfin.show.state_words import STATE_COLORS
from synfin.show.words import Language, explain, translation
from synfin.wire.tcp import ACK

__all__ = ["MOST_CELLS", "render_ladder"]

MOST_CELLS: Final = 100
_FEWEST_CELLS: Final = 72
_LONGEST_STATE: Final = 12
_PLAIN_RAILS: Final = ("│", "│")


def render_ladder(
    history: History,
    *,
    language: Language = "en",
    relative: bool = True,
    width: int = MOST_CELLS,
    color: bool = False,
    times: bool = True,
    numbers: Callable[[Transmission], int | None] | None = None,
    start: int | None = None,
    most: int | None = None,
    narrate: Narrate = "no",
    fold: bool = False,
    seen: tuple[int, str] = (0, ""),
) -> str:
    """Draw `history` as lines of at most `width` cells (from 72 to 100; a Han character takes two).

    With `relative` sequence numbers count from each side's initial one, otherwise they are the 32 bits of the wire.
    `color` adds ANSI sequences. `times` adds milliseconds since `start` (nanoseconds), or else the first row. `numbers`
    gives segments the numbers by which they are called; those of a capture have theirs. At most `most` segments are
    shown, and how many more there are is said. `narrate` tells each row in a sentence: "short", or "full" with why
    and the RFC's section; or it is a mapping from rows to sentences. `fold`: of a long run of segments that are alike
    the first are shown. `seen`: so many of the first rows are left out which the reader has seen before, in the history
    of that title (the first one, if it is empty).
    """
    width = max(_FEWEST_CELLS, min(width, MOST_CELLS))
    ladder = _Ladder(history, language, relative, width, color, times, numbers, start, most, narrate, fold)
    return "\n".join(ladder.lines(seen))


class _Ladder:
    def __init__(
        self,
        history: History,
        language: Language,
        relative: bool,
        width: int,
        color: bool,
        times: bool,
        numbers: Callable[[Transmission], int | None] | None,
        start: int | None,
        most: int | None,
        narrate: Narrate,
        fold: bool,
    ) -> None:
        self._history = history
        self._language = language
        self._gettext = translation(language).gettext
        self._relative = relative
        self._width = width
        self._color = color
        self._rows = [row for row in history.rows if not (isinstance(row, UserCall) and row.call in QUIET_CALLS)]
        if fold:
            since = start if start is not None else self._rows[0].time if self._rows else 0
            self._rows = folded(self._rows, self._gettext, since, numbers)
        self._more = self._cut(most)
        self._told = sentences(history, narrate, language, relative, self._rows)
        self._clock = Clock([*([] if start is None else [start]), *(row.time for row in self._rows)])
        self._time_width = self._clock.width + 1 if times else 0
        self._left_state = history.left.first_state
        self._right_state = history.right.first_state
        states = self._states_shown()
        self._state_width = 1 + max((len(cropped(printable(state), _LONGEST_STATE)) for state in states), default=6)
        # Both states, a space beside each, and the rails.
        self._inner = width - self._time_width - 2 * (self._state_width + 2)
        self._arrows = Arrows(self._inner)
        self._numbers = numbers
        shown = [row for row in self._rows if isinstance(row, Transmission)]
        self._number_width = max((len(self._number(row)) + 1 for row in shown if self._number(row)), default=0)
        labels = [self._label(row) for row in shown]
        self._label_width = max((cell_len(label) + 1 for label in labels if label), default=0)
        self._lines: list[str] = []

    def _cut(self, most: int | None) -> int:
        """Keep the rows up to so many segments, and return how many more there are."""
        sent = [at for at, row in enumerate(self._rows) if isinstance(row, Transmission)]
        if most is None or len(sent) <= most:
            return 0
        more = sum(map(segments, self._rows[sent[most] :]))
        del self._rows[sent[most] :]
        return more

    def _states_shown(self) -> set[str]:
        states = {self._left_state, self._right_state}
        for row in self._rows:
            if isinstance(row, Transmission | Arrival | StateChange):
                states |= {row.old_state, row.new_state}
        return {state for state in states if state is not None}

    def _label(self, transmission: Transmission) -> str:
        if not transmission.label:
            return ""
        # In Chinese the texts call them 报文1 to 报文7.
        return self._gettext("[{number}]").format(number=transmission.label)

    def _number(self, transmission: Transmission) -> str:
        number = transmission.packet or (self._numbers(transmission) if self._numbers is not None else None)
        return f"#{number}" if number else ""

    def _is_left(self, endpoint: Endpoint) -> bool:
        return endpoint is self._history.left

    # --- the whole -----------------------------------------------------------------------------------------------

    def lines(self, seen: tuple[int, str]) -> list[str]:
        self._header()
        at = self._leave_out(*seen)
        self._line(None, [("", "")], states=True)
        while at < len(self._rows):
            row = self._rows[at]
            following = self._rows[at + 1] if at + 1 < len(self._rows) else None
            at += 1
            if isinstance(row, Transmission):
                if self._transmission(row, following):
                    at += 1
            elif isinstance(row, Arrival):
                self._late_arrival(row)
            elif isinstance(row, Loss):
                self._late_loss(row)
            elif isinstance(row, Remark):
                self._remark(row)
            else:
                self._without_segment(row)
        if self._more:
            text = self._gettext("… {number} more").format(number=self._more)
            self._line(None, [(f" {text}", DIM)])
        self._footer()
        return self._lines

    def _leave_out(self, beginning: int, title: str) -> int:
        """Say that the rows before this one are left out, and return which one is the first."""
        at = entry(self._rows, self._history.rows[:beginning])
        for row in self._rows[:at]:
            if isinstance(row, Transmission):
                self._change(row.sender, row.old_state, row.new_state)
            elif isinstance(row, Arrival):
                self._change(row.transmission.receiver, row.old_state, row.new_state)
            elif isinstance(row, StateChange):
                self._change(row.endpoint, row.old_state, row.new_state)
            elif isinstance(row, UserCall) and row.change is not None:
                self._change(row.endpoint, row.change.old_state, row.change.new_state)
        if at:
            self._omission(as_before(self._gettext, title, self._clock, self._rows[at - 1].time))
        return at

    def _header(self) -> None:
        left = self._heading(self._history.left, "x")
        right = self._heading(self._history.right, "y")
        unit = self._gettext("s") if self._clock.seconds else self._gettext("ms")
        for at, (mine, other) in enumerate(zip(left, right, strict=True)):
            time = " " * (self._time_width - 1 - cell_len(unit)) + unit if self._time_width and not at else ""
            room = self._width - self._time_width
            start: Piece = (f"{time:{self._time_width}}" if cell_len(time) == len(time) else f"{time} ", "")
            style = LABEL if not at else ""
            if cell_len(mine) + cell_len(other) + 2 <= room:
                gap = room - cell_len(mine) - cell_len(other)
                self._put([start, (mine, style), (" " * gap, ""), (other, style)])
            else:
                self._put([start, (cropped(mine, room), style)])
                other = cropped(other, room)
                self._put([(" " * (self._width - cell_len(other)), ""), (other, style)])
        self._put([])

    def _heading(self, endpoint: Endpoint, letter: str) -> list[str]:
        """Three lines: who it is, where, and its initial sequence number."""
        name = end_name(self._history, endpoint, self._gettext)
        number = endpoint.initial_numbers[0] if endpoint.initial_numbers else None
        return [name, endpoint.name, f"{letter} = {'?' if number is None else number}"]

    def _footer(self) -> None:
        gettext = self._gettext
        history = self._history
        if any(sent.packet for sent in history.transmissions):
            # Of a capture only a part may be shown, and what was lost nobody saw.
            text = gettext("segments shown: {sent}, retransmissions among them: {again}")
        else:
            text = gettext("segments: {sent}, lost: {lost}, retransmissions: {again}")
        counts = text.format(
            sent=len(history.transmissions), lost=len(history.lost), again=len(history.retransmissions)
        )
        notes = [counts, gettext("* the state has just changed")]
        if self._relative and (history.left.initial_numbers or history.right.initial_numbers):
            notes.append(gettext("seq and ack are counted from the initial sequence numbers x and y"))
        self._put([])
        for line in wrapped([(note, "") for note in notes], self._width, gap=3):
            self._put(line)
        shown = self._states_shown()
        legend = [f"{state} {gettext(state)}" for state in STATE_COLORS if state in shown and gettext(state) != state]
        if legend:
            for line in wrapped([(text, DIM) for text in legend], self._width, gap=2):
                self._put(line)

    # --- the rows ------------------------------------------------------------------------------------------------

    def _transmission(self, sent: Transmission, following: Row | None) -> bool:
        """Draw a segment that was sent. Tell whether `following`, the next row, is drawn with it."""
        self._change(sent.sender, sent.old_state, sent.new_state)
        label = self._label(sent)
        number = f"{self._number(sent):{self._number_width}}"
        room = self._inner - 2 - self._label_width - self._number_width
        says = [line for part in segment_words(sent, self._relative) for line in wrapped(part, room)]
        for at, line in enumerate(says):
            start: list[Piece] = [(" " * (self._label_width + self._number_width), "")]
            if not at:
                start = [(label + " " * (self._label_width - cell_len(label)), LABEL), (number, DIM)]
            content = [(" ", ""), *start, *line]
            if at:
                self._line(None, content)
            else:
                self._line(sent.time, content, states=True, changed=self._changed(sent))
        self._tell(sent, sent.sender)
        rightwards = self._is_left(sent.sender)
        if isinstance(following, Arrival) and following.transmission is sent:
            self._arrival(following, self._arrows.whole(rightwards, self._notes(sent, following)), self._rails(sent))
            return True
        if isinstance(following, Loss) and following.transmission is sent:
            self._arrow_line(sent, self._arrows.lost(rightwards, self._notes(sent), self._end(following)))
            self._tell(following, sent.receiver)
            return True
        if not sent.arrivals and sent.loss is None:
            if sent.receiver.traced or sent.number:
                never = self._gettext("not seen to arrive")
                self._arrow_line(sent, self._arrows.leaving(rightwards, self._notes(sent), never))
            else:
                self._arrow_line(sent, self._arrows.whole(rightwards, self._notes(sent)))
        else:
            self._arrow_line(sent, self._arrows.leaving(rightwards, self._notes(sent), ""))
        return False

    def _late_arrival(self, arrival: Arrival) -> None:
        sent = arrival.transmission
        note = f"{self._short(sent)} {self._fate(arrival)}".rstrip()
        arrow = self._arrows.coming(self._is_left(sent.sender), (note, LABEL if sent.label else ""))
        self._arrival(arrival, arrow, _PLAIN_RAILS)

    def _end(self, loss: Loss) -> str:
        """What became of a segment that never arrived, in one word."""
        return self._gettext("damaged") if loss.reason is DAMAGED else self._gettext("lost")

    def _late_loss(self, loss: Loss) -> None:
        sent = loss.transmission
        text = f"{self._short(sent)} ✗ {self._end(loss)}"
        self._line(loss.time, self._arrows.coming_lost(self._is_left(sent.sender), text), states=True)
        self._tell(loss, sent.receiver)

    def _short(self, sent: Transmission) -> str:
        """Enough to know a segment again."""
        number = f"{self._number(sent)} " if self._numbers is not None and self._number(sent) else ""
        label = self._label(sent)
        if label:
            return number + label
        flags, seq, *rest = (text for text, _ in segment_words(sent, self._relative)[0])
        if sent.segment.payload_length:
            return f"{number}{seq} len={sent.segment.payload_length}"
        return number + (f"{flags} {rest[0]}" if sent.segment.flags & ACK else flags)

    def _notes(self, sent: Transmission, arrival: Arrival | None = None) -> str:
        """What is written on the arrow."""
        texts = [self._gettext("retransmission")] if sent.retransmission else []
        if arrival is not None and arrival.dropped:
            texts.append(self._fate(arrival))
        return self._gettext(", ").join(texts)

    def _fate(self, arrival: Arrival) -> str:
        if arrival.duplicate:
            return self._gettext("arrives again, dropped") if arrival.dropped else self._gettext("arrives again")
        return self._gettext("dropped") if arrival.dropped else ""

    def _arrival(self, arrival: Arrival, arrow: list[Piece], rails: tuple[str, str]) -> None:
        sent = arrival.transmission
        self._change(sent.receiver, arrival.old_state, arrival.new_state)
        left = self._is_left(sent.receiver)
        changed = arrival.old_state != arrival.new_state
        self._line(arrival.time, arrow, states=True, changed=(changed and left, changed and not left), rails=rails)
        self._tell(arrival, sent.receiver)

    def _without_segment(self, row: StateChange | UserCall) -> None:
        if isinstance(row, UserCall):
            text = printable(row.call)
            if row.octets:
                text = self._gettext("{call} {octets} octets").format(call=text, octets=row.octets)
            change = row.change
        else:
            text = printable(explain(row.reason, self._language))
            change = row
        left = self._is_left(row.endpoint)
        if change is not None:
            self._change(row.endpoint, change.old_state, change.new_state)
        changed = change is not None
        lines = wrapped(words(text), self._inner - 2)
        if isinstance(row, StateChange) and row in self._told:
            # The sentence says all that the few words do.
            lines = [[(line, SENTENCE)] for line in wrapped_text(printable(self._told[row]), self._inner - 2)]
        for at, line in enumerate(lines):
            content = [(" ", ""), *line, (" ", "")]
            content = filled(content, self._inner, right=not left)
            if at:
                self._line(None, content)
            else:
                self._line(row.time, content, states=True, changed=(changed and left, changed and not left))
        if isinstance(row, UserCall):
            self._tell(row, row.endpoint)

    def _remark(self, remark: Remark) -> None:
        if remark.endpoint is None:
            self._omission(printable(remark.text))
            return
        left = self._is_left(remark.endpoint)
        text = printable(remark.text) + (f" ({remark.clause})" if remark.clause else "")
        indent = self._label_width if left else 0
        for line in wrapped_text(text, self._inner - 4 - indent):
            before, behind = (" " * (1 + indent) + "! ", "") if left else ("", " ! ")
            self._line(None, filled([(before, ""), (line, REMARK), (behind, "")], self._inner, right=not left))

    def _omission(self, text: str) -> None:
        for line in wrapped_text(text, self._inner - 8):
            fill = (self._inner - cell_len(line) - 2) // 2
            dots = "┄" * min(fill, 8)
            self._line(None, [(" " * (fill - len(dots)), ""), (dots, DIM), (f" {line} ", DIM), (dots, DIM)])

    def _tell(self, row: Row, endpoint: Endpoint) -> None:
        """The row's sentence, as a block at that end's side."""
        text = self._told.get(row)
        if not text:
            return
        left = self._is_left(endpoint)
        indent = self._label_width
        lines = wrapped_text(printable(text), self._inner - 2 - indent)
        width = max(map(cell_len, lines))
        for line in lines:
            block = [(" " * (1 + indent if left else 1), ""), *filled([(line, SENTENCE)], width), (" ", "")]
            self._line(None, filled(block, self._inner, right=not left))

    # --- states --------------------------------------------------------------------------------------------------

    def _change(self, endpoint: Endpoint, old: str | None, new: str | None) -> None:
        state = new if new is not None else old
        if self._is_left(endpoint):
            self._left_state = state
        else:
            self._right_state = state

    def _changed(self, sent: Transmission) -> tuple[bool, bool]:
        changed = sent.old_state != sent.new_state
        left = self._is_left(sent.sender)
        return changed and left, changed and not left

    def _arrow_line(self, sent: Transmission, arrow: list[Piece]) -> None:
        self._line(None, arrow, rails=self._rails(sent))

    def _rails(self, sent: Transmission) -> tuple[str, str]:
        return ("├", "│") if self._is_left(sent.sender) else ("│", "┤")

    # --- lines ---------------------------------------------------------------------------------------------------

    def _line(
        self,
        time: int | None,
        content: Sequence[Piece],
        *,
        states: bool = False,
        changed: tuple[bool, bool] = (False, False),
        rails: tuple[str, str] = _PLAIN_RAILS,
    ) -> None:
        pieces: list[Piece] = []
        if self._time_width:
            text = "" if time is None else cropped(self._clock.text(time), self._clock.width)
            pieces.append((f"{text:>{self._clock.width}} ", DIM))
        pieces += filled(self._state(self._left_state, changed[0]) if states else [], self._state_width, right=True)
        pieces.append((f" {rails[0]}", ""))
        pieces += filled(content, self._inner)
        pieces.append((rails[1], ""))
        if states:
            pieces += [(" ", ""), *self._state(self._right_state, changed[1])]
        self._put(pieces)

    def _state(self, state: str | None, changed: bool) -> list[Piece]:
        text = "?" if state is None else cropped(printable(state), _LONGEST_STATE)
        return [(f"*{text}" if changed else f" {text}", CHANGED if changed else "")]

    def _put(self, pieces: Sequence[Piece]) -> None:
        kept = list(pieces)
        while kept and not kept[-1][0].strip():
            kept.pop()
        if kept:
            kept[-1] = (kept[-1][0].rstrip(), kept[-1][1])
        self._lines.append(painted([piece for piece in kept if piece[0]], self._color))
