"""A history as a column: a ladder narrow enough for two to stand side by side.

The rails are the column's edges. Both ends' states stand on a line of their own whenever something happens, and what a
segment says stands on its arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median_low
from types import MappingProxyType
from typing import Final

from rich.cells import cell_len

from synfin.reasons import DAMAGED
from synfin.show.folding import segments
from synfin.show.history import Arrival, Endpoint, History, Loss, Remark, Row, StateChange, Transmission, UserCall
from synfin.show.ladder_text import (
    CHANGED,
    DIM,
    LABEL,
    LOST,
    QUIET_CALLS,
    REMARK,
    REPEATED,
    Piece,
    cropped,
    filled,
    printable,
    segment_words,
    wrapped,
    wrapped_text,
)
from synfin.show.pairing import Moment, row_key
from synfin.show.words import Language, explain, translation
from synfin.wire.tcp import ACK, RST, SYN

__all__ = ["Block", "Column", "Numbers", "shown_rows"]

#: Gives a segment the number by which it is called, if it has one.
Numbers = Callable[[Transmission], int | None]

#: From how many cells on there is room for windows, and for the options of a SYN.
_WITH_WINDOWS: Final = 52
_WITH_OPTIONS: Final = 64
#: A window that changes by less than one in so many is not told of where there is little room.
_LITTLE: Final = 8


class Block:
    """Lines of a column that belong together, the first at `time` (nanoseconds), and the `rows` that they tell of.

    `key` tells what they say, beside the time; `segments` is how many were sent in them; `begins`: to understand them
    one needs nothing that stands above.
    """

    __slots__ = ("begins", "key", "lines", "rows", "segments", "time")

    def __init__(self, time: int, begins: bool) -> None:
        self.time = time
        self.begins = begins
        self.rows: list[Row] = []
        self.key: tuple[Hashable, ...] = ()
        self.lines: list[list[Piece]] = []
        self.segments = 0

    @property
    def moment(self) -> Moment:
        return self.time, self.key


def shown_rows(history: History) -> list[Row]:
    """The rows without calls that change nothing to be seen."""
    return [row for row in history.rows if not (isinstance(row, UserCall) and row.call in QUIET_CALLS)]


class Column:
    """`history` as blocks of lines, all of them `width` cells wide. `told` are sentences, each below its row.
    `rows`: what is shown of it, by default all."""

    def __init__(
        self,
        history: History,
        width: int,
        language: Language,
        relative: bool,
        numbers: Numbers | None,
        told: Mapping[Row, str] = MappingProxyType({}),
        rows: Sequence[Row] | None = None,
    ) -> None:
        self._told = told
        self._history = history
        self._inner = width - 2
        self._language = language
        self._gettext = translation(language).gettext
        self._relative = relative
        self._numbers = numbers
        self._states = [history.left.first_state, history.right.first_state]
        # The windows that they last offered.
        self._windows: list[int | None] = [None, None]
        # When the line of both states was last written.
        self._stated: int | None = None
        flights = [
            row.time - row.transmission.time
            for row in history.rows
            if isinstance(row, Arrival) and row.time > row.transmission.time
        ]
        # How long a segment usually travels.
        self._flight = median_low(flights) if flights else 0
        self.blocks: list[Block] = []
        self._make(shown_rows(history) if rows is None else rows)

    def _make(self, rows: Sequence[Row]) -> None:
        for at, row in enumerate(rows):
            following = rows[at + 1] if at + 1 < len(rows) else None
            if isinstance(row, Transmission):
                self._sent(row, following)
            elif isinstance(row, Arrival):
                before = rows[at - 1] if at else None
                self._arrived(row, before is row.transmission, following)
            elif isinstance(row, Loss):
                if not at or rows[at - 1] is not row.transmission:
                    self._lost_later(row)
                elif row in self._told:
                    self._add(row)
            elif isinstance(row, Remark):
                self._remark(row)
            else:
                change = row.change if isinstance(row, UserCall) else row
                block = self._block(row)
                self._beside(block, row.endpoint, self._event(row), "")
                if change is not None:
                    self._state_line(block, row.endpoint, change.old_state, change.new_state)
                if isinstance(row, UserCall):
                    self._tell(block, row.endpoint, row)

    def _event(self, row: UserCall | StateChange) -> str:
        """What happened without a segment."""
        if isinstance(row, StateChange):
            # A sentence says all that the few words do.
            return printable(self._told.get(row) or explain(row.reason, self._language))
        text = f"› {printable(row.call)}"
        if row.octets:
            text = self._gettext("{call} {octets} octets").format(call=text, octets=row.octets)
        return text

    # --- blocks --------------------------------------------------------------------------------------------------

    def _block(self, row: Row) -> Block:
        """A new block that begins with `row`."""
        block = Block(row.time, not isinstance(row, Arrival | Loss))
        self.blocks.append(block)
        self._add(row)
        return block

    def _add(self, row: Row) -> None:
        self.blocks[-1].rows.append(row)
        self.blocks[-1].key += ((row.time, row_key(self._history, row)),)

    def _put(self, block: Block, content: Sequence[Piece], rails: tuple[str, str] = ("│", "│")) -> None:
        block.lines.append([(rails[0], ""), *filled(content, self._inner), (rails[1], "")])

    def _is_left(self, end: Endpoint) -> bool:
        return end is self._history.left

    def _state_line(self, block: Block, end: Endpoint, old: str | None, new: str | None) -> None:
        """Both states, after this end's may have changed."""
        at = 0 if self._is_left(end) else 1
        self._states[at] = new if new is not None else old
        changed = old != new
        room = self._inner // 2 - 2
        texts = ["?" if state is None else cropped(printable(state), room) for state in self._states]
        here = [changed and not at, changed and bool(at)]
        marked = [f"*{text}" if star else f" {text}" for text, star in zip(texts, here, strict=True)]
        gap = self._inner - sum(map(cell_len, marked)) - 1
        styles = [CHANGED if star else "" for star in here]
        self._put(block, [(marked[0], styles[0]), (" " * gap, ""), (marked[1], styles[1]), (" ", "")])
        self._stated = block.time
        block.key += (tuple(self._states),)

    # --- segments ------------------------------------------------------------------------------------------------

    def _sent(self, sent: Transmission, following: Row | None) -> None:
        left = self._is_left(sent.sender)
        block = self._block(sent)
        # The states as it leaves may be those in which the segment before it has arrived.
        if self._stated != sent.time or sent.old_state != sent.new_state:
            self._state_line(block, sent.sender, sent.old_state, sent.new_state)
        else:
            block.begins = False
        block.segments += 1
        words = self._says(sent)
        if isinstance(following, Arrival) and following.transmission is sent:
            fate = self._fate(following)
            if fate:
                words.append((fate, LOST if following.dropped else DIM))
            head = ("─", "►", "")
        elif isinstance(following, Loss) and following.transmission is sent:
            head = ("─", self._end(following), LOST)
        elif not sent.arrivals and sent.loss is None and not sent.receiver.traced and not sent.number:
            head = ("─", "►", "")
        else:
            head = ("─", "┄┄┄", DIM)
        block.key += (head, following.dropped if isinstance(following, Arrival) else None)
        self._arrow(block, left, words, head)
        self._tell(block, sent.sender, sent)
        if isinstance(following, Loss) and following.transmission is sent:
            self._tell(block, sent.receiver, following)

    def _arrived(self, arrival: Arrival, whole: bool, following: Row | None) -> None:
        sent = arrival.transmission
        unchanged = arrival.old_state == arrival.new_state and arrival not in self._told
        on_time = arrival.time - sent.time <= self._flight
        if whole and unchanged and on_time and following is not None and following.time > arrival.time:
            # Nothing to be told, not even when.
            return
        block = self._block(arrival)
        if not whole:
            words = [(self._short(sent), "")]
            if fate := self._fate(arrival):
                words.append((fate, LOST if arrival.dropped else DIM))
            self._coming(block, self._is_left(sent.sender), words, ("─", "►", ""))
        if whole or arrival.old_state != arrival.new_state:
            self._state_line(block, sent.receiver, arrival.old_state, arrival.new_state)
        self._tell(block, sent.receiver, arrival)

    def _lost_later(self, loss: Loss) -> None:
        sent = loss.transmission
        block = self._block(loss)
        head = ("─", self._end(loss), LOST)
        self._coming(block, self._is_left(sent.sender), [(self._short(sent), "")], head)
        self._tell(block, sent.receiver, loss)

    def _end(self, loss: Loss) -> str:
        """The end of an arrow that never arrived."""
        text = self._gettext("damaged") if loss.reason is DAMAGED else self._gettext("lost")
        return f" ✗ {cropped(text, self._inner // 3)}"

    def _number(self, sent: Transmission) -> str:
        number = sent.packet or (self._numbers(sent) if self._numbers is not None else None)
        return f"#{number}" if number else ""

    def _label(self, sent: Transmission) -> str:
        return self._gettext("[{number}]").format(number=sent.label) if sent.label else ""

    def _says(self, sent: Transmission) -> list[Piece]:
        """What stands on the arrow: as much as there is room for."""
        segment = sent.segment
        parts = segment_words(sent, self._relative)
        words = parts[0]
        window = self._window_changed(sent)
        if self._inner < _WITH_WINDOWS:
            kept = window and not segment.flags & SYN
            words = [word for word in words if (kept or not word[0].startswith("win=")) and word[0] != "len=0"]
        if len(parts) > 1:
            words = words + (parts[1] if self._inner >= _WITH_OPTIONS else parts[1][-len(segment.options.sack) :])
            if self._inner < _WITH_OPTIONS and not segment.options.sack:
                words = words[: -len(parts[1])]
        before = [(text, style) for text, style in ((self._label(sent), LABEL), (self._number(sent), DIM)) if text]
        again = [(self._gettext("retransmission"), REPEATED)] if sent.retransmission else []
        length = sum(cell_len(text) + 1 for text, _ in (*before, *words, *again))
        # Its primes say so too.
        return [*before, *words] if sent.repeat and length > self._inner - 14 else [*before, *words, *again]

    def _window_changed(self, sent: Transmission) -> bool:
        """Whether it offers none, or another window than the segment before it from that end, by more than a little."""
        if sent.segment.flags & RST:
            return False
        at = 0 if self._is_left(sent.sender) else 1
        before, self._windows[at] = self._windows[at], sent.window
        return not sent.window or (before is not None and abs(sent.window - before) * _LITTLE > before)

    def _short(self, sent: Transmission) -> str:
        """Enough to know a segment again."""
        flags, seq, *rest = (text for text, _ in segment_words(sent, self._relative)[0])
        known = [text for text in (self._label(sent), self._number(sent)) if text]
        if not known:
            known = [flags, rest[0]] if sent.segment.flags & ACK and not sent.segment.payload_length else [flags, seq]
        return " ".join(known)

    def _fate(self, arrival: Arrival) -> str:
        if arrival.duplicate:
            return self._gettext("arrives again, dropped") if arrival.dropped else self._gettext("arrives again")
        return self._gettext("dropped") if arrival.dropped else ""

    def _arrow(self, block: Block, rightwards: bool, words: Sequence[Piece], head: tuple[str, str, str]) -> None:
        """An arrow from the sender's rail, with words on it, and below it those for which it is too short."""
        line, tip, style = head
        tail = cell_len(tip) + 1
        lines = wrapped(words, self._inner - 3 - tail)
        first = [("─ ", ""), *lines[0], (" ", "")]
        rest = self._inner - 3 - sum(cell_len(text) for text, _ in lines[0]) - cell_len(tip)
        if not tip.endswith("►"):
            # It ends on its way.
            short = max(1, min(rest, self._inner * 3 // 5 - (self._inner - rest - cell_len(tip))))
            end: list[Piece] = [(line * short, style), (tip, style), (" " * (rest - short), "")]
        else:
            end = [(line * rest, style), (tip, style)]
        if rightwards:
            self._put(block, [*first, *end], ("├", "│"))
        else:
            self._put(block, [*_mirrored(end), (" ", ""), *lines[0], (" ─", "")], ("│", "┤"))
        for more in lines[1:]:
            self._put(block, filled([("  ", ""), *more, ("  ", "")], self._inner, right=not rightwards))

    def _coming(self, block: Block, rightwards: bool, words: Sequence[Piece], head: tuple[str, str, str]) -> None:
        """The end of an arrow that left on an earlier line."""
        line, tip, style = head
        room = self._inner - 8 - cell_len(tip)
        text = wrapped(words, room)
        used = sum(cell_len(one) for one, _ in text[0])
        before = max(1, min(self._inner // 3, self._inner - 6 - used - cell_len(tip)))
        rest = max(1, self._inner - before - 5 - used - cell_len(tip)) if tip == "►" else 1
        pieces: list[Piece] = [("┄┄┄ ", style or DIM), *text[0], (" ", ""), (line * rest, style), (tip, style)]
        if rightwards:
            self._put(block, [(" " * before, ""), *pieces])
        else:
            mirrored = [*_mirrored(pieces[-2:]), (" ", ""), *text[0], (" ┄┄┄", style or DIM)]
            self._put(block, mirrored)
        for more in text[1:]:
            self._put(block, filled([("  ", ""), *more, ("  ", "")], self._inner, right=rightwards))

    # --- texts ---------------------------------------------------------------------------------------------------

    def _beside(self, block: Block, end: Endpoint, text: str, style: str) -> None:
        """A text at an end's rail."""
        left = self._is_left(end)
        for line in wrapped_text(text, self._inner - 2):
            self._put(block, filled([(" ", ""), (line, style), (" ", "")], self._inner, right=not left))

    def _remark(self, remark: Remark) -> None:
        block = self._block(remark)
        if remark.endpoint is None:
            block.segments += segments(remark)
            for line in wrapped_text(printable(f"… {remark.text}"), self._inner - 2):
                self._put(block, filled([(" ", ""), (line, DIM)], self._inner))
            return
        end = remark.endpoint or self._history.left
        text = printable(remark.text) + (f" ({remark.clause})" if remark.clause else "")
        self._beside(block, end, f"! {text}", REMARK)

    def _tell(self, block: Block, end: Endpoint, row: Row) -> None:
        """The sentence for a row, at that end's rail."""
        if text := self._told.get(row):
            self._beside(block, end, f" {printable(text)}", DIM)


def _mirrored(pieces: Sequence[Piece]) -> list[Piece]:
    """The end of an arrow, turned to the left: a head turns around, words keep their order."""
    turned: list[Piece] = []
    for text, style in reversed(pieces):
        if text.startswith(" ✗ "):
            turned.append((f"{text[3:]} ✗ ", style))
        else:
            turned.append((text.replace("►", "◄"), style))
    return turned
