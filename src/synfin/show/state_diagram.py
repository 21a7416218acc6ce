"""The state diagram (after RFC 9293 figure 5), drawn from the table of transitions, with the path that each end took.

The table is handed over, as this floor does not know the protocol's: triples of a state, an event, and the next state.
Eleven states and their arrows have places made by hand; what leads from any state to CLOSED (ABORT, a RST, giving up)
is said in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from synfin.show.canvas import FAINT, INK, LEFT, MUTED, PAPER, RIGHT, Anchor, Canvas, Point, Run
from synfin.show.history import Arrival, Endpoint, History, StateChange, Transmission, UserCall
from synfin.show.ladder_text import end_name
from synfin.show.state_words import EVENT_WORDS, STATE_COLORS
from synfin.show.text_width import fitted
from synfin.show.words import Language, translation

__all__ = ["Transition", "path_of", "render_state_diagram"]

#: A state, what happens, and the state that follows: the RFC's names.
Transition: TypeAlias = tuple[str, str, str]

_WIDTH: Final = 1280.0
_HEIGHT: Final = 720.0
_BOX: Final = (176.0, 46.0)
_SIZE: Final = 14.0
_PANEL: Final = 1012.0
# A second CLOSED stands where the paths end, as in the RFC's figure.
_END: Final = "CLOSED, again"
_PLACES: Final[Mapping[str, Point]] = {
    "CLOSED": (510, 84),
    "LISTEN": (510, 178),
    "SYN-RECEIVED": (170, 272),
    "SYN-SENT": (850, 272),
    "ESTABLISHED": (510, 372),
    "FIN-WAIT-1": (170, 472),
    "CLOSE-WAIT": (850, 472),
    "FIN-WAIT-2": (170, 572),
    "CLOSING": (510, 572),
    "LAST-ACK": (850, 572),
    "TIME-WAIT": (510, 664),
    _END: (850, 664),
}


class _Route:
    """How an arrow goes from state to state, and where its words stand."""

    __slots__ = ("anchor", "end", "points", "words")

    def __init__(self, points: Sequence[Point], words: Point, anchor: Anchor = "start", end: str = "") -> None:
        self.points = points
        self.words = words
        self.anchor = anchor
        self.end = end


_ROUTES: Final[Mapping[tuple[str, str], _Route]] = {
    ("CLOSED", "LISTEN"): _Route([(480, 107), (480, 155)], (460, 136), "end"),
    ("LISTEN", "CLOSED"): _Route([(540, 155), (540, 107)], (552, 136)),
    ("CLOSED", "SYN-SENT"): _Route([(598, 74), (880, 74), (880, 249)], (870, 67), "end"),
    ("SYN-SENT", "CLOSED"): _Route([(830, 249), (830, 98), (598, 98)], (820, 116), "end"),
    ("LISTEN", "SYN-SENT"): _Route([(598, 178), (800, 178), (800, 249)], (790, 171), "end"),
    ("LISTEN", "SYN-RECEIVED"): _Route([(422, 178), (170, 178), (170, 249)], (378, 171), "end"),
    ("SYN-SENT", "SYN-RECEIVED"): _Route([(762, 272), (258, 272)], (510, 265), "middle"),
    ("SYN-SENT", "ESTABLISHED"): _Route([(850, 295), (850, 362), (598, 362)], (838, 355), "end"),
    ("SYN-RECEIVED", "ESTABLISHED"): _Route([(200, 295), (200, 362), (422, 362)], (212, 355)),
    ("SYN-RECEIVED", "FIN-WAIT-1"): _Route([(120, 295), (120, 449)], (110, 377), "end"),
    ("SYN-RECEIVED", "CLOSE-WAIT"): _Route([(240, 295), (240, 318), (900, 318), (900, 449)], (510, 311), "middle"),
    ("ESTABLISHED", "FIN-WAIT-1"): _Route([(422, 384), (200, 384), (200, 449)], (212, 402)),
    ("ESTABLISHED", "CLOSE-WAIT"): _Route([(598, 384), (850, 384), (850, 449)], (838, 402), "end"),
    ("FIN-WAIT-1", "FIN-WAIT-2"): _Route([(140, 495), (140, 549)], (158, 527)),
    ("FIN-WAIT-1", "CLOSING"): _Route([(258, 464), (510, 464), (510, 549)], (326, 457)),
    ("FIN-WAIT-1", "TIME-WAIT"): _Route([(258, 482), (334, 482), (334, 650), (422, 650)], (344, 504)),
    ("FIN-WAIT-2", "TIME-WAIT"): _Route([(200, 595), (200, 672), (422, 672)], (212, 665)),
    ("FIN-WAIT-2", "CLOSED"): _Route([(140, 595), (140, 704), (850, 704), (850, 691)], (152, 697), "start", _END),
    ("CLOSING", "TIME-WAIT"): _Route([(510, 595), (510, 641)], (522, 622)),
    ("CLOSE-WAIT", "LAST-ACK"): _Route([(850, 495), (850, 549)], (868, 527)),
    ("LAST-ACK", "CLOSED"): _Route([(850, 595), (850, 637)], (832, 622), "end", _END),
    ("TIME-WAIT", "CLOSED"): _Route([(598, 664), (758, 664)], (688, 687), "middle", _END),
}


def path_of(history: History, endpoint: Endpoint) -> list[tuple[str, str]]:
    """The changes of state of one end, in order, as pairs of an old and a new state."""
    path: list[tuple[str, str]] = []
    for row in history.rows:
        owner: Endpoint
        change: Transmission | Arrival | StateChange | None
        if isinstance(row, Transmission):
            owner, change = row.sender, row
        elif isinstance(row, Arrival):
            owner, change = row.transmission.receiver, row
        elif isinstance(row, UserCall):
            owner, change = row.endpoint, row.change
        elif isinstance(row, StateChange):
            owner, change = row.endpoint, row
        else:
            continue
        if owner is not endpoint or change is None or change.old_state is None or change.new_state is None:
            continue
        if change.old_state != change.new_state:
            path.append((change.old_state, change.new_state))
    return path


def render_state_diagram(
    transitions: Iterable[Transition],
    history: History | None = None,
    *,
    language: Language = "en",
    title: str | None = None,
) -> str:
    """Draw the table as an SVG document of 1280 by 720 pixels; with a `history`, the path of each of its ends.

    Raises ValueError for a transition that has no place in the picture.
    """
    return _Diagram(transitions, history, language, title).svg()


class _Diagram:
    def __init__(
        self, transitions: Iterable[Transition], history: History | None, language: Language, title: str | None
    ) -> None:
        self._gettext = translation(language).gettext
        self._title = self._gettext("The states of a TCP connection") if title is None else title
        self._canvas = Canvas(_WIDTH, _HEIGHT, self._title, language)
        events: dict[tuple[str, str], list[str]] = {}
        sources: dict[str, set[str]] = {}
        for old, event, new in transitions:
            events.setdefault((old, new), []).append(event)
            if new == "CLOSED":
                sources.setdefault(event, set()).add(old)
        # What leads to CLOSED from most states is not drawn, but said.
        self._anywhere = [event for event, olds in sources.items() if len(olds) > len(_PLACES) // 2]
        self._events = {
            pair: kept
            for pair, names in events.items()
            if (kept := [name for name in names if name not in self._anywhere])
        }
        for old, new in self._events:
            if (old, new) not in _ROUTES:
                raise ValueError(f"the picture has no place for a transition from {old} to {new}")
        self._ends: list[tuple[str, str, list[tuple[str, str]]]] = []
        if history is not None:
            for end, color in ((history.left, LEFT), (history.right, RIGHT)):
                name = end_name(history, end, self._gettext)
                self._ends.append((name, color, path_of(history, end)))

    def svg(self) -> str:
        canvas = self._canvas
        canvas.text((22, 38), fitted(self._title, 390, 21, True), 21, bold=True)
        for pair in self._events:
            self._arrow(pair)
        for state in _PLACES:
            self._state(state)
        for pair, names in self._events.items():
            self._words(pair, names)
        self._numbers()
        self._panel()
        return canvas.svg()

    def _takers(self, pair: tuple[str, str]) -> list[str]:
        return [color for _, color, path in self._ends if pair in path]

    def _arrow(self, pair: tuple[str, str]) -> None:
        points = _ROUTES[pair].points
        takers = self._takers(pair)
        (x1, y1), (x2, y2) = points[-2], points[-1]
        length = abs(x2 - x1) + abs(y2 - y1)
        short = [*points[:-1], (x2 - (x2 - x1) / length * 9, y2 - (y2 - y1) / length * 9)]
        widths = {0: [(MUTED, 1.5)], 1: [(color, 4.0) for color in takers]}.get(len(takers), [])
        for color, width in widths or [(takers[0], 7.0), (takers[1], 3.0)]:
            self._canvas.line(short, color, width)
        self._canvas.arrow_head((x2, y2), (x2 - x1, y2 - y1), takers[0] if takers else MUTED, 14 if takers else 11)

    def _state(self, place: str) -> None:
        canvas = self._canvas
        x, y = _PLACES[place]
        state = "CLOSED" if place == _END else place
        width, height = _BOX
        visitors = []
        for _, color, path in self._ends:
            route = [(pair, _ROUTES[pair].end) for pair in path if pair in _ROUTES]
            here = {old for (old, _), _ in route} | {end or new for (_, new), end in route}
            if place in here:
                visitors.append(color)
        if len(visitors) > 1:
            canvas.rectangle((x - width / 2 - 4, y - height / 2 - 4), width + 8, height + 8, PAPER, visitors[1], 3, 12)
        at = (x - width / 2, y - height / 2)
        canvas.rectangle(at, width, height, PAPER, visitors[0] if visitors else MUTED, 3 if visitors else 1.3, 9)
        canvas.rectangle((at[0] + 6, at[1] + 7), 7, height - 14, STATE_COLORS[state], round=3)
        name = self._gettext(state)
        ink = INK if visitors or not self._ends else MUTED
        if name == state:
            canvas.text((x + 4, y + 6), state, 16, ink, bold=True, anchor="middle")
        else:
            canvas.text((x + 4, y - 2), state, 15, ink, bold=True, anchor="middle")
            canvas.text((x + 4, y + 16), name, 13, ink, anchor="middle")

    def _event(self, name: str) -> str:
        return self._gettext(EVENT_WORDS.get(name, name))

    def _words(self, pair: tuple[str, str], names: list[str]) -> None:
        route = _ROUTES[pair]
        text = ", ".join(self._event(name) for name in names)
        color = INK if self._takers(pair) or not self._ends else MUTED
        self._canvas.text(route.words, text, _SIZE, color, anchor=route.anchor, halo=True)

    def _numbers(self) -> None:
        """Number the steps of each path, on its arrows."""
        taken: dict[tuple[str, str], int] = {}
        for _, color, path in self._ends:
            for number, pair in enumerate(path, 1):
                if pair not in self._events:
                    continue
                points = _ROUTES[pair].points
                at = _spot(points, taken.get(pair, 0))
                taken[pair] = taken.get(pair, 0) + 1
                self._canvas.circle(at, 10.5, PAPER)
                self._canvas.circle(at, 9, color)
                self._canvas.text((at[0], at[1] + 4.5), str(number), 12, PAPER, bold=True, anchor="middle")

    def _panel(self) -> None:
        """The paths in words, and what ends any connection."""
        canvas = self._canvas
        x, y = _PANEL, 84.0
        room = _WIDTH - x - 22
        canvas.line([(x - 14, 62), (x - 14, _HEIGHT - 24)], FAINT, 1)
        for name, color, path in self._ends:
            canvas.text((x, y), fitted(name, room, 17, True), 17, color, bold=True)
            y += 24
            states = [path[0][0], *(new for _, new in path)] if path else []
            for number, state in enumerate(states):
                if number > _MOST_STEPS:
                    canvas.text((x + 30, y), "…", 15)
                    y += 21
                    break
                if number:
                    canvas.text((x + 22, y), str(number), 13, MUTED, anchor="end")
                # Only the eleven names are sure to have a translation; others may say anything.
                name = self._gettext(state) if state in STATE_COLORS else state
                runs = [Run(fitted(state, room - 30, 15, True), bold=True)]
                canvas.text((x + 30, y), [*runs, Run(f" {name}")] if name != state else runs, 15)
                y += 21
            y += 20
        if not self._anywhere:
            return
        canvas.text((x, y), self._gettext("from any state to CLOSED:"), 14, MUTED)
        for event in self._anywhere:
            y += 20
            canvas.text((x + 30, y), self._event(event), 14, MUTED)


_MOST_STEPS: Final = 8


def _spot(points: Sequence[Point], which: int) -> Point:
    """A place for a number on an arrow: where it begins, and then further along."""
    (x1, y1), (x2, y2) = points[0], points[1]
    length = abs(x2 - x1) + abs(y2 - y1)
    way = min(20.0 + 24.0 * which, length * 0.36 + 24.0 * which, length - 12.0)
    return (x1 + (x2 - x1) / length * way, y1 + (y2 - y1) / length * way)
