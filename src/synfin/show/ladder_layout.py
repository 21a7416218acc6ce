"""Where things stand in the ladder as a picture: rows one below the other, arrows between them, labels that miss one
another.

Rows keep their true order. Time is to scale only where there is room: a long wait is cut short, a moment in which much
happens is drawn out until its labels fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import atan2, degrees, radians, sin, tan
from typing import Final

from synfin.show.canvas import Box, Point, text_box
from synfin.show.flights import late_arrivals, usual_flight
from synfin.show.folding import Fold
from synfin.show.history_rows import Arrival, Endpoint, Loss, Remark, Row, Transmission

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
# A flight that takes at most so many times as long as usual.
_ON_TIME: Final = 1.25
# For a text between the lifelines about rows that are left out.
_OMISSION_GAP: Final = 72.0
# Between two labels of one direction.
_LABEL_ROOM: Final = 27.5
# How far below its row the text beside a lifeline may stand.
_SLIP: Final = 26.0
#: Where on its way a lost segment is lost.
LOST_AT: Final = 0.6
# Farther from its arrow no label stands.
_NEAR: Final = 64.0
_LIFT: Final = 7.0
_PAD: Final = 12.0
# Between two labels one behind the other.
_APART: Final = 1.0
_WIDER: Final = 12.0
# So far rows are moved apart at most for better places of labels, and if so many arrows pass there.
_MOST_EXTRA: Final = 84.0
_MOST_ON_ITS_WAY: Final = 2
_MOST_PUSHES: Final = 4
# Places higher above an arrow, and what speaks against each; the same of a place below it, and of an arrow through it.
_HIGHER: Final = ((_LIFT * -1.8, 1.0), (_LIFT * -2.6, 2.0))
_BELOW: Final = 8.0
_CROSSED: Final = 10.0
# Degrees beyond which a text is not turned with its arrow.
_STEEP: Final = 12.0
_STEEPEST: Final = 30.0
# Of the usual scale of time.
_LEAST_SCALE: Final = 0.6
_MOST_SCALE: Final = 2.0
_TALL_SCALE: Final = 0.8
_STRETCH: Final = 1.2
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
        lots: Mapping[int, tuple[Endpoint, float]],
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
        self._lines: list[Box] = []
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
        self._flight = usual_flight(rows)
        self._late = {id(row) for row in late_arrivals(rows)}
        self._scale = _USUAL_FALL / self._flight
        # Rows whose label found no place, and rows to be moved apart for labels whose place is not good.
        self._homeless: list[int] = []
        self._cramped: list[tuple[int, ...]] = []
        self._fit(top + height)

    def draw(self) -> tuple[int, int]:
        """Draw arrows and labels between the rows. Return how many labels found no place, and how many a bad one:
        through which an arrow goes, or below their own."""
        self._make_arrows()
        self._place_labels()
        return len(self._homeless), len(self._cramped)

    def make_room(self, attempt: int) -> bool:
        """Move rows apart for labels that found no good place; False if there is none that may be moved."""
        # What crosses it may follow at once: then it is the row behind that has to make room.
        wider = {min(at + attempt % 2, len(self._rows) - 1) for at in self._homeless}
        if not wider:
            wanted = {rows[attempt % len(rows)] for rows in self._cramped}
            # What is on its way meanwhile would fall steeply.
            wider = {at for at in wanted if self._extra[at] < _MOST_EXTRA and self._on_its_way(at) <= _MOST_ON_ITS_WAY}
        for at in wider:
            self._extra[at] += _WIDER
        return bool(wider)

    def _on_its_way(self, at: int) -> int:
        """How many arrows pass this row."""
        y = self.ys[at]
        return sum(arrow.start[1] < y - 1 and arrow.end[1] > y + 1 for arrow in self.arrows)

    def stretch(self) -> bool:
        """Draw time out by a step; False if arrows would be too steep."""
        steepest = (self._right - self._left) * tan(radians(_STEEP)) * 0.9
        most = min(_USUAL_FALL * _MOST_SCALE, steepest) / self._flight
        if self._scale >= most * 0.99:
            return False
        self._scale = min(self._scale * _STRETCH, most)
        return True

    @property
    def spacing(self) -> tuple[float, tuple[float, ...]]:
        """All that decides where rows stand."""
        return self._scale, tuple(self._extra)

    @spacing.setter
    def spacing(self, spacing: tuple[float, tuple[float, ...]]) -> None:
        self._scale, self._extra = spacing[0], list(spacing[1])

    def lower(self, at: int, y: float) -> None:
        """Move a row, and all below it, so that it does not stand above `y`."""
        for _ in range(_MOST_PUSHES):
            if self.ys[at] >= y - 0.05:
                return
            self._extra[at] += y - self.ys[at]
            self.place_rows()

    def _fit(self, bottom: float) -> None:
        """Choose the scale of time with which the rows end just above `bottom`, if that is possible."""
        usual = self._scale
        least, most = usual * _LEAST_SCALE, usual * _MOST_SCALE
        self._scale = least
        self.place_rows()
        if self.bottom > bottom:
            self._scale = usual * _TALL_SCALE
            return
        for _ in range(_STEPS):
            self._scale = (least + most) / 2
            self.place_rows()
            if self.bottom > bottom:
                most = self._scale
            else:
                least = self._scale
        self._scale = least

    # --- rows ----------------------------------------------------------------------------------------------------

    def place_rows(self) -> None:
        """Put the rows below one another."""
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
            if wait and isinstance(row, Fold):
                # It says itself that time passes.
                y += _LEAST_GAP
            elif wait:
                idle = wait > _IDLE * self._flight and not (at and isinstance(self._rows[at - 1], Fold))
                y += _IDLE_GAP if idle else max(_LEAST_GAP, min(wait * self._scale, _IDLE_GAP))
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
                # Those of one burst, which do not start at one point, fall side by side.
                flight = row.time - row.transmission.time
                fall = flight * self._scale if flight <= self._flight * _ON_TIME else 0.0
                y = max(y, sent_at[id(row.transmission)] + max(_LEAST_FALL, fall))
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
                if id(sent) in places and id(row) not in self._late:
                    kind = "again" if row.duplicate else "whole"
                    self.arrows.append(Arrow(sent, kind, (start, places[id(sent)]), (end, y), row))
                else:
                    self.arrows.append(Arrow(sent, "coming", ((start + end) / 2, y - _USUAL_FALL / 2), (end, y), row))

    def _sent(self, sent: Transmission, y: float, places: Mapping[int, float]) -> None:
        start, end = self._x(sent.sender), self._x(sent.receiver)
        if any(id(arrival) in places and id(arrival) not in self._late for arrival in sent.arrivals):
            return
        whole = not sent.arrivals and sent.loss is None and not sent.receiver.traced and not sent.number
        if whole:
            self.arrows.append(Arrow(sent, "whole", (start, y), (end, y + _USUAL_FALL), None))
            return
        stop = (start + (end - start) * LOST_AT, y + _USUAL_FALL * LOST_AT)
        self.arrows.append(Arrow(sent, "leaving" if sent.loss is None else "lost", (start, y), stop, None))

    # --- labels --------------------------------------------------------------------------------------------------

    def _place_labels(self) -> None:
        """Put each text where it meets no other, above its arrow, and where no other arrow goes through it."""
        self.labels = []
        self._homeless = []
        self._cramped = []
        self._lines = [_line(arrow) for arrow in self.arrows]
        numbers = {id(row): at for at, row in enumerate(self._rows)}
        labelled: set[int] = set()
        for arrow in self.arrows:
            sent = arrow.transmission
            if id(sent) in labelled or id(sent) not in self._widths or arrow.kind == "coming":
                continue
            labelled.add(id(sent))
            self._place(arrow, self._widths[id(sent)], numbers, note=False)
        for arrow in self.arrows:
            cause: Arrival | Loss | None = arrow.arrival
            if arrow.kind == "lost":
                cause = arrow.transmission.loss
            if cause is not None and id(cause) in self._notes:
                self._place(arrow, self._notes[id(cause)], numbers, note=True)

    def _place(self, arrow: Arrow, width: float, numbers: Mapping[int, int], note: bool) -> None:
        size = NOTE_SIZE if note else LABEL_SIZE
        best: Label | None = None
        least = float("inf")
        through: list[Arrow] = []
        own = arrow.angle
        # A text that is longer than its arrow goes on beyond it.
        near = _NEAR + (width * sin(radians(abs(own))) if abs(own) <= _STEEPEST else 0.0)
        top = min(arrow.start[1], arrow.end[1]) - near
        bottom = max(arrow.start[1], arrow.end[1]) + near
        taken = [label.box for label in self.labels if label.box.top < bottom and label.box.bottom > top]
        lines = [
            (other, line)
            for other, line in zip(self.arrows, self._lines, strict=True)
            if line.top < bottom and line.bottom > top
        ]
        for place, angle, cost in self._places(arrow, width, size, note):
            if cost >= least:
                continue
            box = text_box(place, width + _APART, size, angle=angle)
            if any(box.overlaps(other) for other in taken):
                continue
            crossing = [other for other, line in lines if (other is not arrow or angle != own) and line.overlaps(box)]
            cost += _CROSSED * len(crossing)
            if cost < least:
                best, least, through = Label(arrow, note, place, angle, box), cost, crossing
        start = numbers.get(id(arrow.transmission))
        end = numbers.get(id(arrow.arrival), start)
        if start is None:
            start = end
        if best is None:
            self._homeless += [at for at in (end if note else start,) if at is not None]
            return
        self.labels.append(best)
        if least < _BELOW or start is None or end is None:
            return
        later = [at for other in through if (at := numbers.get(id(other.transmission), 0)) > start]
        # Room is made at its arrow's end, unless that were steep, at its beginning, or where what crosses it begins.
        steeper = abs(arrow.angle) < _STEEP * 0.85 and all(other.rightwards != arrow.rightwards for other in through)
        ends = [end, start] if steeper else [start]
        if start and self._rows[start].time > self._rows[start - 1].time:
            # Time passes before it begins: more of it need not be seen.
            ends.reverse()
        self._cramped.append((*ends, *later[:1]))

    def _places(self, arrow: Arrow, width: float, size: float, note: bool) -> Iterator[tuple[Point, float, float]]:
        """Places where a text may begin, how it is turned there, and what speaks against each."""
        angle = abs(arrow.angle)
        if angle <= _STEEPEST:
            for at, cost in self._candidates(arrow, width, size, note):
                yield at, arrow.angle, cost + (3.0 if angle > _STEEP else 0.0)
        if angle > _STEEP:
            beside = self._beside_its_end if note else self._beside_its_start
            for at, cost in beside(arrow, width):
                yield at, 0.0, cost

    def _beside_its_end(self, arrow: Arrow, width: float) -> list[tuple[Point, float]]:
        """Places for a note, level, where a steep arrow ends."""
        x, y = arrow.end
        start = x - _PAD - width if arrow.rightwards else x + _PAD
        return [((start, y + lower), abs(lower - 17.0) / 4) for lower in (17.0, 24.0, 32.0)]

    def _beside_its_start(self, arrow: Arrow, width: float) -> list[tuple[Point, float]]:
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
            for offset, worse in ((-_LIFT, 0.0), *_HIGHER, (size + 2, _BELOW)):
                found.append(((x, y1 + (x - x1) * slope + offset), 4 * away + worse))
        return found


def _line(arrow: Arrow) -> Box:
    (x1, y1), (x2, y2) = arrow.start, arrow.end
    return Box([(x1, y1), (x2, y2 + 0.01)])
