"""Curves over time: the congestion window and its neighbours above, round-trip times below.

From the events CongestionChanged, WindowChanged and RoundTripMeasured of one end of a connection; of one that is paced
the rate too, from PacingChanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from synfin.events import CongestionChanged, Event, PacingChanged, RoundTripMeasured, WindowChanged
from synfin.show.axes import Legend, Panel, Scale, mark, steps
from synfin.show.canvas import AGAIN, INK, LEFT, LOST, MUTED, RIGHT, Canvas, Point
from synfin.show.history import Endpoint, History
from synfin.show.ladder_text import end_name
from synfin.show.reason_words import N_
from synfin.show.text_width import fitted
from synfin.show.time_sequence import busier_end, time_unit
from synfin.show.words import Language, translation

__all__ = ["render_curves"]

_WIDTH: Final = 1280.0
_HEIGHT: Final = 720.0
#: What the rate of a connection that is paced takes more.
_PACING_HEIGHT: Final = 236.0
_LEFT: Final = 84.0
_RIGHT: Final = _WIDTH - 30
_MILLISECOND: Final = 1e6
_KILO: Final = 1000
_MILLION: Final = 1_000_000
_SSTHRESH: Final = "#c8440a"
_FLIGHT: Final = "#b4c5d3"
_RTO: Final = "#d98200"
# What a sender is doing, by the reason that its window changed for.
_SLOW_START: Final = (N_("slow start"), "#fdf3d0")
_AVOIDANCE: Final = (N_("congestion avoidance"), "#e3f1fa")
_RECOVERY: Final = (N_("loss recovery"), "#f7e3ef")
_PHASES: Final = {
    "initial-window": _SLOW_START,
    "slow-start": _SLOW_START,
    "conservative-slow-start": _SLOW_START,
    "idle-restart": _SLOW_START,
    "window-unused": _SLOW_START,
    "congestion-avoidance": _AVOIDANCE,
    "slow-start-left": _AVOIDANCE,
    "cubic-reno-friendly": _AVOIDANCE,
    "cubic-concave": _AVOIDANCE,
    "cubic-convex": _AVOIDANCE,
    "window-not-validated": _AVOIDANCE,
    "full-acknowledgment": _AVOIDANCE,
    "fast-recovery": _RECOVERY,
    "fast-retransmit": _RECOVERY,
    "partial-acknowledgment": _RECOVERY,
    "retransmission-timeout": _RECOVERY,
}


class _Curves:
    def __init__(
        self, events: Sequence[Event], history: History, end: Endpoint, language: Language, title: str | None
    ) -> None:
        self._gettext = gettext = translation(language).gettext
        mine = [event for event in events if getattr(event, "flow", b"") == end.flow and event.host == end.host]
        self._congestion = [event for event in mine if isinstance(event, CongestionChanged)]
        self._windows = [event for event in mine if isinstance(event, WindowChanged)]
        self._round_trips = [event for event in mine if isinstance(event, RoundTripMeasured)]
        self._pacing = [event for event in mine if isinstance(event, PacingChanged)]
        self._again = [row.time for row in history.retransmissions if row.sender is end]
        self._lost = [row.time for row in history.lost if row.sender is end]
        self._first = history.rows[0].time if history.rows else 0
        times = [event.time for event in (*self._congestion, *self._windows, *self._round_trips, *self._pacing)]
        self._last = max([*times, *(row.time for row in history.transmissions), self._first + 1])
        if title is None:
            title = gettext("Congestion window and round-trip time: {name}").format(
                name=end_name(history, end, gettext)
            )
        self._canvas = Canvas(_WIDTH, _HEIGHT + (_PACING_HEIGHT if self._pacing else 0), title, language)
        self._canvas.text((22, 40), fitted(title, _WIDTH - 44, 24, True), 24, bold=True)
        self._unit, self._unit_name = time_unit(self._last - self._first)

    def _time(self, low: float, high: float) -> Scale:
        return Scale(0, (self._last - self._first) / self._unit, low, high)

    def _points(self, panel: Panel, values: Sequence[tuple[int, float]]) -> list[Point]:
        return [(panel.x((time - self._first) / self._unit), panel.y(value)) for time, value in values]

    def svg(self) -> str:
        self._windows_panel()
        self._round_trip_panel()
        if self._pacing:
            self._pacing_panel()
        return self._canvas.svg()

    # --- windows -------------------------------------------------------------------------------------------------

    def _windows_panel(self) -> None:
        gettext = self._gettext
        canvas = self._canvas
        largest = max([max(event.cwnd, event.flight) for event in self._congestion], default=10_000)
        panel = Panel(canvas, self._time(_LEFT, _RIGHT), Scale(0, largest * 1.12 / _KILO, 404, 94))
        shown = self._phases(panel)
        panel.grid()
        flight = self._points(panel, [(event.time, event.flight / _KILO) for event in self._congestion])
        with canvas.clipped(panel.corner, *panel.size):
            if flight:
                edge = steps(flight)
                canvas.polygon([(edge[0][0], panel.y.start), *edge, (edge[-1][0], panel.y.start)], _FLIGHT)
            for values, color, dash in (
                ([(event.time, event.snd_wnd / _KILO) for event in self._windows], MUTED, "2 4"),
                ([(event.time, event.ssthresh / _KILO) for event in self._congestion], _SSTHRESH, "8 4"),
                ([(event.time, event.cwnd / _KILO) for event in self._congestion], LEFT, ""),
            ):
                # What is without limit is far outside.
                low = [(time, min(value, 3 * panel.y.high)) for time, value in values]
                if low:
                    # The last one holds to the end.
                    low.append((self._last, low[-1][1]))
                    canvas.line(steps(self._points(panel, low)), color, 2.5, dash)
            for times, cross in ((self._again, False), (self._lost, True)):
                for x, _ in self._points(panel, [(time, 0.0) for time in times]):
                    if cross:
                        canvas.cross((x, panel.y.end + 12), LOST, 5)
                    else:
                        mark(canvas, (x, panel.y.start), AGAIN)
        panel.frame(gettext("kB"))
        legend = Legend(canvas, (_LEFT, 433), _RIGHT - _LEFT)
        legend.add("cwnd", LEFT, "line")
        legend.add("ssthresh", _SSTHRESH, "dashes")
        legend.add(gettext("in flight"), _FLIGHT, "area")
        if any(event.snd_wnd / _KILO < panel.y.high for event in self._windows):
            legend.add(gettext("the peer's window"), MUTED, "fine")
        if self._again:
            legend.add(gettext("retransmission"), AGAIN, "mark")
        if self._lost:
            legend.add(gettext("lost"), LOST, "cross")
        phases = Legend(canvas, (_LEFT + 60, 82), _RIGHT - _LEFT - 60)
        for name, tint in shown:
            phases.add(gettext(name), tint, "area")

    def _phases(self, panel: Panel) -> list[tuple[str, str]]:
        """Tint the ground by what the sender is doing. Return what it did, in order."""
        shown: list[tuple[str, str]] = []
        spans: list[tuple[int, tuple[str, str]]] = []
        for event in self._congestion:
            phase = _PHASES.get(event.reason.name)
            if phase is not None and (not spans or spans[-1][1] != phase):
                spans.append((event.time, phase))
        ends = [*(time for time, _ in spans[1:]), self._last]
        # Without any span there is still an end.
        for (time, phase), until in zip(spans, ends, strict=False):
            (left, _), (right, _) = self._points(panel, [(time, 0), (until, 0)])
            self._canvas.rectangle((left, panel.y.end), right - left, panel.y.start - panel.y.end, phase[1])
            if phase not in shown:
                shown.append(phase)
        return shown

    # --- round trips ---------------------------------------------------------------------------------------------

    def _round_trip_panel(self) -> None:
        gettext = self._gettext
        canvas = self._canvas
        values = [event.rto / _MILLISECOND for event in self._round_trips]
        values += [event.rtt / _MILLISECOND for event in self._round_trips]
        panel = Panel(canvas, self._time(_LEFT, _RIGHT), Scale(0, max(values, default=1.0) * 1.12, 644, 484))
        panel.grid()
        with canvas.clipped(panel.corner, *panel.size):
            for x, y in self._points(panel, [(event.time, event.rtt / _MILLISECOND) for event in self._round_trips]):
                canvas.circle((x, y), 2.5, RIGHT)
            for curve, color, dash in (
                ([(event.time, event.srtt / _MILLISECOND) for event in self._round_trips], INK, ""),
                ([(event.time, event.rto / _MILLISECOND) for event in self._round_trips], _RTO, "8 4"),
            ):
                if curve:
                    canvas.line(steps(self._points(panel, curve)), color, 2.5, dash)
        units = {"s": gettext("s"), "ms": gettext("ms")}
        panel.frame(gettext("ms"), gettext("time ({unit})").format(unit=units[self._unit_name]))
        legend = Legend(canvas, (_LEFT, 698), _RIGHT - _LEFT)
        legend.add(gettext("round-trip time, measured"), RIGHT, "dots")
        legend.add("SRTT", INK, "line")
        legend.add("RTO", _RTO, "dashes")

    # --- pacing --------------------------------------------------------------------------------------------------

    def _pacing_panel(self) -> None:
        gettext = self._gettext
        canvas = self._canvas
        rates = [(event.time, event.rate * 8 / _MILLION) for event in self._pacing]
        largest = max(rate for _, rate in rates)
        panel = Panel(canvas, self._time(_LEFT, _RIGHT), Scale(0, max(largest, 0.001) * 1.12, 880, 748))
        panel.grid()
        # The last rate holds to the end.
        curve = steps(self._points(panel, [*rates, (self._last, rates[-1][1])]))
        with canvas.clipped(panel.corner, *panel.size):
            canvas.line(curve, LEFT, 2.5, "")
        units = {"s": gettext("s"), "ms": gettext("ms")}
        panel.frame("Mbit/s", gettext("time ({unit})").format(unit=units[self._unit_name]))
        Legend(canvas, (_LEFT, 934), _RIGHT - _LEFT).add(gettext("pacing rate"), LEFT, "line")


def render_curves(
    events: Sequence[Event],
    flow: bytes | None = None,
    *,
    sender: str | None = None,
    language: Language = "en",
    title: str | None = None,
) -> str:
    """Draw cwnd, ssthresh, flight, RTT, SRTT and RTO over time as an SVG document of 1280 by 720 pixels; for an end
    that paces what it sends its rate below, in 236 more.

    `flow` names the connection, as for `History.from_events`. `sender` is the name of the host whose curves are
    wanted, by default of the one that sent more data. Raises ValueError if there is nothing of the connection, or no
    such host.
    """
    history = History.from_events(events, flow)
    end = busier_end(history)
    if sender is not None:
        found = [candidate for candidate in (history.left, history.right) if candidate.host == sender]
        if not found:
            raise ValueError(f"the connection has no end at a host named {sender!r}")
        end = found[0]
    return _Curves(events, history, end, language, title).svg()
