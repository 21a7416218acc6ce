"""Axes for the curves: scales with round ticks, and the frame of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Final

from synfin.show.canvas import FAINT, INK, MUTED, PAPER, Canvas, Point
from synfin.show.text_width import fitted, text_width

TICK_SIZE: Final = 14.0
LEGEND_SIZE: Final = 14.5
_LONGEST: Final = 1e6


class Scale:
    """Turns values from `low` to `high` into positions from `start` to `end`."""

    __slots__ = ("end", "high", "low", "start")

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low = low
        self.high = high if high > low else low + max(1.0, abs(low) / 1e6)
        self.start = start
        self.end = end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """At most `most` round values, evenly spaced: by 1, 2 or 5 times a power of ten."""
        step = _round_up((self.high - self.low) / max(most - 1, 1))
        first = -floor(-self.low / step + 1e-6)
        values = [(first + number) * step for number in range(most + 1)]
        return [value for value in values if value <= self.high + step * 1e-6]


def _round_up(value: float) -> float:
    power = 10.0 ** floor(log10(value))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= value * (1 - 1e-9)), 10 * power)


def number_text(value: float) -> str:
    """A tick's value, as short as it can be."""
    if abs(value) >= _LONGEST:
        return f"{value:.3g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"


class Panel:
    """A frame for curves, with an axis on the left and one at the bottom."""

    __slots__ = ("canvas", "x", "y")

    def __init__(self, canvas: Canvas, x: Scale, y: Scale) -> None:
        self.canvas = canvas
        self.x = x
        self.y = y

    @property
    def corner(self) -> Point:
        """The upper left corner."""
        return (self.x.start, self.y.end)

    @property
    def size(self) -> Point:
        """Width and height."""
        return (self.x.end - self.x.start, self.y.start - self.y.end)

    def grid(self) -> None:
        """The lines behind the curves."""
        for tick in self.y.ticks(9):
            self.canvas.line([(self.x.start, self.y(tick)), (self.x.end, self.y(tick))], FAINT, 1)
        for tick in self.x.ticks(11):
            self.canvas.line([(self.x(tick), self.y.start), (self.x(tick), self.y.end)], FAINT, 1)

    def frame(self, name: str, below: str = "") -> None:
        """The axes with their values, and their names: above the one, behind the other."""
        canvas = self.canvas
        x, y = self.x, self.y
        canvas.line([(x.start, y.end), (x.start, y.start), (x.end, y.start)], INK, 1.5)
        for tick in y.ticks(9):
            text = fitted(number_text(tick), x.start - 12, TICK_SIZE)
            canvas.text((x.start - 8, y(tick) + 5), text, TICK_SIZE, MUTED, anchor="end")
        canvas.text((x.start - 44, y.end - 12), name, LEGEND_SIZE, INK, bold=True)
        if not below:
            return
        room = text_width(below, LEGEND_SIZE) + 16
        for tick in x.ticks(11):
            text = number_text(tick)
            if x(tick) + text_width(text, TICK_SIZE) / 2 < x.end - room:
                canvas.text((x(tick), y.start + 20), text, TICK_SIZE, MUTED, anchor="middle")
        canvas.text((x.end, y.start + 20), below, LEGEND_SIZE, INK, anchor="end")


def steps(points: Sequence[Point]) -> list[Point]:
    """The corners of a line that keeps its height until the next point."""
    found: list[Point] = []
    for x, y in points:
        if found and found[-1][1] != y:
            found.append((x, found[-1][1]))
            found.append((x, y))
        elif not found:
            found.append((x, y))
    if found and points[-1][0] > found[-1][0]:
        found.append((points[-1][0], found[-1][1]))
    return found


class Legend:
    """Samples and words from left to right, on lines of `width`."""

    __slots__ = ("_at", "_canvas", "_left", "_right")

    def __init__(self, canvas: Canvas, at: Point, width: float) -> None:
        self._canvas = canvas
        self._at = at
        self._left = at[0]
        self._right = at[0] + width

    def add(self, text: str, color: str, kind: str) -> None:
        """`kind`: "line", "dashes", "fine" (dashes), "dots", "bars", "cross", "area", or "mark" (a triangle)."""
        canvas = self._canvas
        x, y = self._at
        width = 36 + text_width(text, LEGEND_SIZE)
        if x > self._left and x + width > self._right:
            x, y = self._left, y + 24
        middle = y - 5
        if kind == "line":
            canvas.line([(x, middle), (x + 28, middle)], color, 2.5)
        elif kind == "dashes":
            canvas.line([(x, middle), (x + 28, middle)], color, 2.5, "8 4")
        elif kind == "fine":
            canvas.line([(x, middle), (x + 28, middle)], color, 2.5, "2 4")
        elif kind == "dots":
            for away in (4, 14, 24):
                canvas.circle((x + away, middle), 2.5, color)
        elif kind == "bars":
            for away in (4, 14, 24):
                canvas.line([(x + away, middle - 6), (x + away, middle + 6)], color, 2.5)
        elif kind == "cross":
            canvas.cross((x + 14, middle), color, 5)
        elif kind == "mark":
            mark(canvas, (x + 14, middle + 5), color)
        else:
            canvas.rectangle((x, middle - 7), 28, 14, color)
        canvas.text((x + 36, y), text, LEGEND_SIZE, INK)
        self._at = (x + width + 20, y)


def mark(canvas: Canvas, at: Point, color: str) -> None:
    """A small triangle that stands on `at`."""
    x, y = at
    canvas.polygon([(x, y - 10), (x + 5.5, y), (x - 5.5, y)], color, PAPER)
