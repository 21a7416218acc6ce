"""The time–sequence picture of one direction: every segment, what was acknowledged, the window, SACK blocks.

As Shepard's and tcptrace's graphs, it is drawn as the sender saw it: segments when they left, acknowledgments when they
came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from synfin.show.axes import Legend, Panel, Scale, steps
from synfin.show.canvas import AGAIN, LEFT, LOST, MUTED, RIGHT, Canvas, Point
from synfin.show.history import Arrival, Endpoint, History, Transmission
from synfin.show.ladder_text import end_name
from synfin.show.text_width import fitted
from synfin.show.words import Language, translation
from synfin.wire.sequence import unwrap
from synfin.wire.tcp import ACK, RST, SYN

__all__ = ["busier_end", "render_time_sequence"]

SACKED: Final = "#e39a2d"
_WIDTH: Final = 1280.0
_HEIGHT: Final = 720.0
_MILLISECOND: Final = 1e6
_SECOND: Final = 1e9
_KILO: Final = 1000


def busier_end(history: History) -> Endpoint:
    """The end that sent more data."""
    octets = dict.fromkeys((id(history.left), id(history.right)), 0)
    for sent in history.transmissions:
        octets[id(sent.sender)] += sent.segment.payload_length
    return history.right if octets[id(history.right)] > octets[id(history.left)] else history.left


def time_unit(nanoseconds: float) -> tuple[float, str]:
    """The unit for a span of that length, and its name in English."""
    return (_SECOND, "s") if nanoseconds >= 5 * _SECOND else (_MILLISECOND, "ms")


class _Numbers:
    """What the picture shows, in nanoseconds and octets from the first sequence number."""

    def __init__(self, history: History, sender: Endpoint) -> None:
        self.sent: list[tuple[int, int, int]] = []
        self.again: list[tuple[int, int, int]] = []
        self.lost: list[tuple[int, int]] = []
        self.acknowledged: list[tuple[int, int]] = []
        self.window: list[tuple[int, int]] = []
        self.sacked: list[tuple[int, int, int]] = []
        self.first = history.rows[0].time if history.rows else 0
        self._sender = sender
        self._top = 0
        self._acked = 0
        for row in history.rows:
            if isinstance(row, Transmission) and row.sender is sender:
                self._segment(row)
            elif isinstance(row, Arrival) and row.transmission.receiver is sender:
                self._acknowledgment(row)

    def _number(self, number: int, near: int) -> int:
        return unwrap(self._sender.relative(number) & 0xFFFFFFFF, near)

    def _segment(self, row: Transmission) -> None:
        segment = row.segment
        if segment.flags & RST or not segment.length:
            return
        start = self._number(segment.seq, self._top)
        end = start + segment.length
        self._top = max(self._top, end)
        (self.again if row.retransmission else self.sent).append((row.time, start, end))
        if row.loss is not None:
            self.lost.append((row.time, (start + end) // 2))

    def _acknowledgment(self, row: Arrival) -> None:
        segment = row.transmission.segment
        if not segment.flags & ACK or segment.flags & (SYN | RST) == RST:
            return
        number = self._number(segment.ack, self._acked)
        self._acked = max(self._acked, number)
        self.acknowledged.append((row.time, self._acked))
        self.window.append((row.time, self._acked + row.transmission.window))
        for start, end in segment.options.sack:
            self.sacked.append((row.time, self._number(start, self._acked), self._number(end, self._acked)))


def render_time_sequence(
    history: History,
    *,
    sender: Endpoint | None = None,
    language: Language = "en",
    title: str | None = None,
    between: tuple[int, int] | None = None,
) -> str:
    """Draw what `sender` sent (by default the end that sent more) as an SVG document of 1280 by 720 pixels.

    `between` two times (nanoseconds) shows that part alone, larger.
    """
    gettext = translation(language).gettext
    sender = busier_end(history) if sender is None else sender
    numbers = _Numbers(history, sender)
    if title is None:
        title = gettext("Sequence numbers over time: {name}").format(name=end_name(history, sender, gettext))
    canvas = Canvas(_WIDTH, _HEIGHT, title, language)
    canvas.text((22, 40), fitted(title, _WIDTH - 44, 24, True), 24, bold=True)
    low, high = between or (numbers.first, _last(numbers))
    unit, name = time_unit(high - low)
    inside = [
        number
        for time, *some in [*numbers.sent, *numbers.again, *numbers.acknowledged]
        if low <= time <= high
        for number in some
    ]
    floor, ceiling = (min(inside), max(inside)) if inside else (0, 1)
    margin = (ceiling - floor) * 0.05
    panel = Panel(
        canvas,
        Scale((low - numbers.first) / unit, (high - numbers.first) / unit, 84, _WIDTH - 30),
        Scale(max(0, floor - margin) / _KILO, (ceiling + margin) / _KILO, _HEIGHT - 92, 88),
    )
    panel.grid()
    with canvas.clipped(panel.corner, *panel.size):
        _curves(panel, numbers, unit)
    units = {"s": gettext("s"), "ms": gettext("ms")}
    panel.frame(gettext("sequence number (kB)"), gettext("time ({unit})").format(unit=units[name]))
    legend = Legend(canvas, (84, _HEIGHT - 28), _WIDTH - 114)
    legend.add(gettext("segment"), LEFT, "bars")
    if numbers.again:
        legend.add(gettext("retransmission"), AGAIN, "dots")
    if numbers.lost:
        legend.add(gettext("lost"), LOST, "cross")
    legend.add(gettext("acknowledged"), RIGHT, "line")
    if numbers.sacked:
        legend.add(gettext("SACK block"), SACKED, "bars")
    legend.add(gettext("end of the window"), MUTED, "dashes")
    return canvas.svg()


def _last(numbers: _Numbers) -> int:
    times = [time for time, *_ in [*numbers.sent, *numbers.again, *numbers.acknowledged]]
    return max(times, default=numbers.first + 1)


def _curves(panel: Panel, numbers: _Numbers, unit: float) -> None:
    def place(time: int, number: float) -> Point:
        return (panel.x((time - numbers.first) / unit), panel.y(number / _KILO))

    def bars(ranges: Iterable[tuple[int, int, int]], color: str, width: float) -> None:
        drawing = []
        for time, start, end in ranges:
            x, bottom = place(time, start)
            top = place(time, end)[1]
            # One that is too small to be seen is drawn a little larger.
            drawing.append(f"M{x:.1f} {max(bottom, top + 2):.1f}V{top:.1f}")
        if drawing:
            panel.canvas.path("".join(drawing), color, width)

    for points, color, width, dash in (
        (numbers.window, MUTED, 2.0, "8 4"),
        (numbers.acknowledged, RIGHT, 2.5, ""),
    ):
        if points:
            panel.canvas.line(steps([place(*point) for point in points]), color, width, dash)
    bars(numbers.sacked, SACKED, 1.5)
    bars(numbers.sent, LEFT, 2.5)
    bars(numbers.again, AGAIN, 4.0)
    for time, start, end in numbers.again:
        x, y = place(time, (start + end) / 2)
        panel.canvas.circle((x, y), 4, AGAIN)
    for time, number in numbers.lost:
        panel.canvas.cross(place(time, number), LOST, 5)
