"""Where things stand in the ladder as a picture: rows one below the other, arrows between them, labels that miss one
another.

Rows keep their true order. Time is to scale only where there is room: a long wait is cut short, a moment in which much
happens is drawn out until its labels fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import atan2, degrees
from statistics import median_low
from typing import Final

from synfin.show.canvas import Box, Point, text_box
from synfin.show.history_rows import Arrival, Endpoint, Loss, Remark, Row, Transmission
from synfin.wire.tcp import SYN

#: The sizes of texts: on arrows, beside the lifelines, and notes.
LABEL_SIZE: Final = 17.0
SIDE_SIZE: Final = 16.0
NOTE_SIZE: Final = 14.0
#: From one line beside a lifeline to the next.
LINE: Final = 19.5

# How far an arrow falls, at least and usually.
_LEAST_FALL: Final = 22.0
_USUAL_FALL: Final = 36.0
# How far apart two rows are, at least; and if nothing happened for so many flights of a segment.
_LEAST_GAP: Final = 7.0
_IDLE_GAP: Final = 66.0
_IDLE: Final = 3
_UNKNOWN_FLIGHT: Final = 10_000_000
# For a text between the lifelines about rows that are left out.
_OMISSION_GAP: Final = 72.0
# Between two labels of one direction.
_LABEL_ROOM: Final = 27.5
# How far below its row the text beside a lifeline may stand.
_SLIP: Final = 26.0
#: Where on its way a lost segment is lost.
LOST_AT: Final = 0.6
_LIFT: Final = 7.0
_PAD: Final = 12.0
_WIDER: Final = 12.0
_MOST_TRIES: Final = 60
_MOST_PUSHES: Final = 4
# Degrees beyond which a text is not turned with its arrow.
_STEEP: Final = 8.0
# Of the usual scale of time.
_LEAST_SCALE: Final = 0.6
_MOST_SCALE: Final = 2.0
_TALL_SCALE: Final = 0.8
_STEPS: Final = 8


class Arrow:
    """An arrow from `start` to `end`. `kind`: "whole", "again" (a second arrival), "lost", "leaving" (it arrives
    outside the picture, or nobody knows), "coming" (it was sent outside the picture)."""

    __slots__ = ("arrival", "end", "kind", "start", "transmission")

    def __init__(
        self, transmission: Transmission, kind: str, start: Point, end: Point, arrival: Arrival | None
    ) -> None:
        self.transmission = transmission
        self.kind = kind
        self.start = start
        self.end = end
        self.arrival = arrival

    @property
    def rightwards(self) -> bool:
        return self.start[0] < self.end[0]

    @property
    def angle(self) -> float:
        """Of a text along it, in degrees."""
        (x1, y1), (x2, y2) = sorted((self.start, self.end))
        return degrees(atan2(y2 - y1, x2 - x1))


class Label:
    """A text along an arrow: where its baseline begins."""

    __slots__ = ("angle", "arrow", "at", "box", "note")

    def __init__(self, arrow: Arrow, note: bool, at: Point, angle: float, box: Box) -> None:
        self.arrow = arrow
        self.note = note
        self.at = at
        self.angle = angle
        self.box = box


class Layout:
    """Rows placed from `top` down, between lifelines at `left` and `right`, in about `height` if that is possible.

    `lots`: for each row that has a text beside a lifeline, the end that it stands at and its number of lines.
    `widths`: for each transmission, how wide its label is; `notes`: the same for the notes at arrows' ends (of an
    arrival, or a loss), both by the identity of the row.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        left_end: Endpoint,
        lots: Mapping[int, tuple[Endpoint, int]],
        widths: Mapping[int, float],
        notes: Mapping[int, float],
        left: float,
        right: float,
        top: float,
        height: float,
    ) -> None:
        self._rows = rows
        self._left_end = left_end
        self._lots = lots
        self._widths = widths
        self._notes = notes
        self._left = left
        self._right = right
        self._top = top
        self._extra = [0.0] * len(rows)
        #: The middle of each row.
        self.ys: list[float] = []
        #: The upper edge of each text beside a lifeline, by its row's number.
        self.lot_tops: dict[int, float] = {}
        #: Waits that were cut short, from y to y.
        self.breaks: list[tuple[float, float]] = []
        #: The baseline of what is said of rows that are left out, by its row's number.
        self.omissions: dict[int, float] = {}
        self.arrows: list[Arrow] = []
        self.labels: list[Label] = []
        self.bottom = top
        self._flight = self._usual_flight()
        self._scale = _USUAL_FALL / self._flight
        self._fit(top + height)
        for attempt in range(_MOST_TRIES):
            self._place_rows()
            if self._settled(attempt):
                break

    def _settled(self, attempt: int) -> bool:
        """Draw arrows and labels between the rows; False if a label found no place, and makes room for it."""
        self._make_arrows()
        homeless = self._place_labels()
        # What crosses it may follow at once: then it is the row behind that has to make room.
        for at in homeless:
            self._extra[min(at + attempt % 2, len(self._rows) - 1)] += _WIDER
        return not homeless

    def _lower(self, at: int, y: float) -> None:
        """Move a row, and all below it, so that it does not stand above `y`."""
        for _ in range(_MOST_PUSHES):
            if self.ys[at] >= y - 0.05:
                return
            self._extra[at] += y - self.ys[at]
            self._place_rows()

    def _fit(self, bottom: float) -> None:
        """Choose the scale of time with which the rows end just above `bottom`, if that is possible."""
        usual = self._scale
        least, most = usual * _LEAST_SCALE, usual * _MOST_SCALE
        self._scale = least
        self._place_rows()
        if self.bottom > bottom:
            self._scale = usual * _TALL_SCALE
            return
        for _ in range(_STEPS):
            self._scale = (least + most) / 2
            self._place_rows()
            if self.bottom > bottom:
                most = self._scale
            else:
                least = self._scale
        self._scale = least

    def _usual_flight(self) -> int:
        """How long a segment travels, in nanoseconds."""
        sent = [row for row in self._rows if isinstance(row, Transmission)]
        if any(row.packet for row in sent):
            # A capture does not show it, but between a SYN and its answer lies a round trip from there.
            answered = sent[0].segment.flags & SYN and len(sent) > 1 and sent[1].sender is sent[0].receiver
            return max((sent[1].time - sent[0].time) // 2, 1) if answered else _UNKNOWN_FLIGHT
        flights = [
            row.time - row.transmission.time
            for row in self._rows
            if isinstance(row, Arrival) and row.time > row.transmission.time
        ]
        return median_low(flights) if flights else _UNKNOWN_FLIGHT

    # --- rows ----------------------------------------------------------------------------------------------------

    def _place_rows(self) -> None:
        self.ys = []
        self.lot_tops = {}
        self.breaks = []
        self.omissions = {}
        bottoms: dict[int, float] = {}
        # The first states stand above the first row.
        y = self._top + 1.5 * LINE
        sent_at: dict[int, float] = {}
        last_sent: dict[int, float] = {}
        time = self._rows[0].time if self._rows else 0
        lowest = y
        for at, row in enumerate(self._rows):
            wait = max(row.time - time, 0)
            above = y
            y += self._extra[at]
            if wait:
                idle = wait > _IDLE * self._flight
                y += _IDLE_GAP if idle else max(_LEAST_GAP, wait * self._scale)
                if idle:
                    self.breaks.append((above, y))
            if isinstance(row, Remark) and row.endpoint is None:
                # Below the arrows before it, and above the labels behind it.
                above = max([y, *bottoms.values()])
                y = max(y + _USUAL_FALL, above) + _OMISSION_GAP
                self.omissions[at] = y - _OMISSION_GAP / 2
                self.breaks.append((y - _OMISSION_GAP, y))
            elif isinstance(row, Transmission):
                y = max(y, last_sent.get(id(row.sender), 0.0) + _LABEL_ROOM)
                sent_at[id(row)] = last_sent[id(row.sender)] = y
                lowest = max(lowest, y + _USUAL_FALL)
            elif isinstance(row, Arrival) and id(row.transmission) in sent_at:
                y = max(y, sent_at[id(row.transmission)] + _LEAST_FALL)
            if at in self._lots:
                end, lines = self._lots[at]
                wanted = y - LINE / 2
                top = max(wanted, bottoms.get(id(end), self._top + LINE))
                y += max(0.0, top - wanted - _SLIP)
                self.lot_tops[at] = top
                bottoms[id(end)] = top + lines * LINE
                lowest = max(lowest, bottoms[id(end)])
            self.ys.append(y)
            time = max(time, row.time)
        self.bottom = max(lowest, y + LINE)

    # --- arrows --------------------------------------------------------------------------------------------------

    def _x(self, end: Endpoint) -> float:
        return self._left if end is self._left_end else self._right

    def _make_arrows(self) -> None:
        self.arrows = []
        places = {id(row): y for row, y in zip(self._rows, self.ys, strict=True)}
        for row, y in zip(self._rows, self.ys, strict=True):
            if isinstance(row, Transmission):
                self._sent(row, y, places)
            elif isinstance(row, Arrival):
                sent = row.transmission
                start, end = self._x(sent.sender), self._x(sent.receiver)
                if id(sent) in places:
                    kind = "again" if row.duplicate else "whole"
                    self.arrows.append(Arrow(sent, kind, (start, places[id(sent)]), (end, y), row))
                else:
                    self.arrows.append(Arrow(sent, "coming", ((start + end) / 2, y - _USUAL_FALL / 2), (end, y), row))

    def _sent(self, sent: Transmission, y: float, places: Mapping[int, float]) -> None:
        start, end = self._x(sent.sender), self._x(sent.receiver)
        if any(id(arrival) in places for arrival in sent.arrivals):
            return
        whole = not sent.arrivals and sent.loss is None and not sent.receiver.traced and not sent.number
        if whole:
            self.arrows.append(Arrow(sent, "whole", (start, y), (end, y + _USUAL_FALL), None))
            return
        stop = (start + (end - start) * LOST_AT, y + _USUAL_FALL * LOST_AT)
        self.arrows.append(Arrow(sent, "leaving" if sent.loss is None else "lost", (start, y), stop, None))

    # --- labels --------------------------------------------------------------------------------------------------

    def _place_labels(self) -> list[int]:
        """Put each text where it meets no other, and as few arrows as can be. Return the rows whose text found no
        place."""
        self.labels = []
        labelled: set[int] = set()
        homeless: list[Row] = []
        for arrow in self.arrows:
            sent = arrow.transmission
            if id(sent) not in labelled and id(sent) in self._widths and arrow.kind != "coming":
                labelled.add(id(sent))
                if not self._place(arrow, self._widths[id(sent)], note=False):
                    homeless.append(sent)
        for arrow in self.arrows:
            cause: Arrival | Loss | None = arrow.arrival
            if arrow.kind == "lost":
                cause = arrow.transmission.loss
            if cause is not None and id(cause) in self._notes and not self._place(arrow, self._notes[id(cause)], True):
                homeless.append(arrow.arrival or arrow.transmission)
        return [at for at, row in enumerate(self._rows) if any(row is other for other in homeless)]

    def _place(self, arrow: Arrow, width: float, note: bool) -> bool:
        size = NOTE_SIZE if note else LABEL_SIZE
        best: Label | None = None
        least = float("inf")
        steep = abs(arrow.angle) > _STEEP
        angle = 0.0 if steep else arrow.angle
        candidates = self._beside_its_start if steep and not note else self._candidates
        for at, cost in candidates(arrow, width, size, note):
            if cost >= least:
                continue
            box = text_box(at, width, size, angle=angle)
            if any(box.overlaps(label.box) for label in self.labels):
                continue
            cost += 10 * sum(other is not arrow and _line(other).overlaps(box) for other in self.arrows)
            if cost < least:
                best = Label(arrow, note, at, angle, box)
                least = cost
        if best is None:
            return False
        self.labels.append(best)
        return True

    def _beside_its_start(self, arrow: Arrow, width: float, size: float, note: bool) -> list[tuple[Point, float]]:
        """The same for the label of a steep arrow: level, where it was sent; those of the other direction are far."""
        x, y = arrow.start
        first, step = (x + _PAD, 1) if arrow.rightwards else (x - _PAD - width, -1)
        return [
            ((first + step * away, y + lower), away / 4 + abs(lower + 3) / 4)
            for away in (0.0, 20.0, 40.0, 80.0, 120.0)
            if not away or away + width + 2 * _PAD <= self._right - self._left
            for lower in (-3.0, 5.0, 12.0)
        ]

    def _candidates(self, arrow: Arrow, width: float, size: float, note: bool) -> list[tuple[Point, float]]:
        """Places where the baseline may begin, and what speaks against each."""
        (x1, y1), (x2, y2) = sorted((arrow.start, arrow.end))
        slope = (y2 - y1) / (x2 - x1)
        found: list[tuple[Point, float]] = []
        if note and arrow.kind == "lost":
            # Beyond the cross.
            x = arrow.end[0] + (18 if arrow.rightwards else -18 - width)
            return [((x, arrow.end[1] + size * lower), abs(lower - 0.35)) for lower in (0.35, -0.6, 1.4)]
        first, last = x1 + _PAD, x2 - _PAD - width
        if arrow.kind in ("lost", "leaving"):
            # It may be longer than what is left of its arrow, but begins with it.
            first, last = (first, max(first, last)) if arrow.rightwards else (min(first, last), last)
        middle = (first + last) / 2
        if note:
            middle = last - _PAD if arrow.rightwards else first + _PAD
        for step in range(11):
            x = first + (last - first) * step / 10
            away = abs(x - middle) / max(last - first, 1.0)
            for below in (False, True):
                offset = size + 2 if below else -_LIFT
                found.append(((x, y1 + (x - x1) * slope + offset), 4 * away + 6 * below))
        return found


def level(first: Layout, second: Layout, pairs: Sequence[tuple[int | None, int | None]]) -> None:
    """Bring the rows of each pair to one level, and all pairs below one another: what happens at one time in two
    pictures then stands side by side."""
    layouts = first, second
    for layout in layouts:
        layout._scale = min(first._scale, second._scale)
        layout._place_rows()
    for attempt in range(_MOST_TRIES):
        floor = 0.0
        for pair in pairs:
            there = [(layout, at) for layout, at in zip(layouts, pair, strict=True) if at is not None]
            floor = max([floor, *(layout.ys[at] for layout, at in there)])
            for layout, at in there:
                layout._lower(at, floor)
            floor = max([floor, *(layout.ys[at] for layout, at in there)])
        settled = [layout._settled(attempt) for layout in layouts]
        if all(settled):
            return
        for layout in layouts:
            layout._place_rows()


def _line(arrow: Arrow) -> Box:
    (x1, y1), (x2, y2) = arrow.start, arrow.end
    return Box([(x1, y1), (x2, y2 + 0.01)])
