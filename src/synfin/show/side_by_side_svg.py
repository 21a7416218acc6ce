"""Pictures side by side: two histories with every moment on one level, or any pictures in rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final
from xml.etree import ElementTree

from synfin.show.canvas import LOST, MUTED, Canvas, Run
from synfin.show.column import Numbers, shown_rows
from synfin.show.folding import folded, in_step
from synfin.show.history import Arrival, History, Row, Transmission
from synfin.show.ladder_room import level
from synfin.show.ladder_svg import FOOT, MOST_SEGMENTS, LadderPicture
from synfin.show.pairing import Moment, common, levelled, parted, row_key
from synfin.show.text_width import fitted, text_width
from synfin.show.words import Language, translation

__all__ = ["Panel", "ladder_panel", "pair_of_panels", "render_panels", "render_side_by_side_svg"]

#: How wide a ladder is beside others.
_PANEL: Final = 1200.0
_GUTTER: Final = 44.0
_MARGIN: Final = 22.0
_TITLE_SIZE: Final = 26.0
_NOTE_SIZE: Final = 16.0
_HEAD: Final = 56.0
#: The least height of a panel.
_LEAST_HEIGHT: Final = 480.0
_MARK_SIZE: Final = 18.0
_DIFFERENT: Final = "≠"


class Panel:
    """One of several pictures: an SVG document, its size, and at which heights a mark stands to its right."""

    __slots__ = ("height", "marks", "picture", "width")

    def __init__(self, picture: str, marks: Sequence[float] = ()) -> None:
        root = ElementTree.fromstring(picture)
        self.picture = picture
        self.width = float(root.get("width", "0"))
        self.height = float(root.get("height", "0"))
        self.marks = marks


def render_side_by_side_svg(
    first: History,
    second: History,
    *,
    titles: tuple[str, str],
    title: str = "",
    language: Language = "en",
    relative: bool = True,
    numbers: tuple[Numbers | None, Numbers | None] = (None, None),
    before: int | None = None,
    most: int = MOST_SEGMENTS,
    start: int | None = None,
    fold: bool = False,
) -> str:
    """Draw two histories beside one another as an SVG document: see `synfin.show.side_by_side.render_side_by_side`."""
    panels = pair_of_panels(first, second, titles, language, relative, numbers, before, most, start, fold)
    return render_panels([panels], title=title or " | ".join(titles), language=language)


def ladder_panel(
    history: History,
    title: str,
    language: Language = "en",
    relative: bool = True,
    numbers: Numbers | None = None,
    most: int = MOST_SEGMENTS,
    start: int | None = None,
    fold: bool = False,
) -> Panel:
    """A ladder as one of several pictures."""
    picture = LadderPicture(history, language, title, relative, None, most, numbers, _PANEL, start, fold=fold)
    layout = picture.layout()
    return Panel(picture.drawn(layout, max(_LEAST_HEIGHT, layout.bottom + FOOT)))


def pair_of_panels(
    first: History,
    second: History,
    titles: tuple[str, str],
    language: Language = "en",
    relative: bool = True,
    numbers: tuple[Numbers | None, Numbers | None] = (None, None),
    before: int | None = None,
    most: int = MOST_SEGMENTS,
    start: int | None = None,
    fold: bool = False,
) -> list[Panel]:
    """Two ladders on one level, marked where they differ; `before` as in `render_side_by_side`."""
    histories = first, second
    if start is None:
        start = min((row.time for history in histories for row in history.rows[:1]), default=0)
    whole = [[_moment(history, row) for row in history.rows] for history in histories]
    same = common(*whole)
    between = None
    cut = same - before if before is not None else 0
    # It does not begin with a segment that is on its way already.
    while cut > 0 and isinstance(first.rows[min(cut, len(first.rows) - 1)], Arrival):
        cut -= 1
    if 0 < cut < len(first.rows):
        between = (first.rows[cut].time, max(row.time for history in histories for row in history.rows))
    shown = [shown_rows(history) for history in histories]
    if fold:
        gettext, apart = translation(language).gettext, parted(first, second)
        shown = [folded(rows, gettext, start, own, apart) for rows, own in zip(shown, numbers, strict=True)]
        shown = list(in_step(shown[0], shown[1]))
    pictures = [
        LadderPicture(history, language, title, relative, between, most, own, _PANEL, start, rows=part)
        for history, title, own, part in zip(histories, titles, numbers, shown, strict=True)
    ]
    layouts = [picture.layout() for picture in pictures]
    moments = [
        [_moment(history, row) for row in picture.rows] for history, picture in zip(histories, pictures, strict=True)
    ]
    pairs = levelled(*moments)
    level(layouts[0], layouts[1], pairs)
    height = max(_LEAST_HEIGHT, *(layout.bottom + FOOT for layout in layouts))
    marks: list[float] = []
    for mine, other in pairs if same else []:
        if mine is not None and other is not None and moments[0][mine] == moments[1][other]:
            continue
        y = layouts[0].ys[mine] if mine is not None else layouts[1].ys[other] if other is not None else 0.0
        if not marks or y - marks[-1] > _MARK_SIZE:
            marks.append(y)
    drawn = [picture.drawn(layout, height) for picture, layout in zip(pictures, layouts, strict=True)]
    return [Panel(drawn[0], marks), Panel(drawn[1])]


def _moment(history: History, row: Row) -> Moment:
    key: Hashable = row_key(history, row)
    if isinstance(row, Transmission):
        key = key, row.loss is None
    return row.time, key


def render_panels(
    rows: Sequence[Sequence[Panel | None]], *, title: str, language: Language = "en", note: str = ""
) -> str:
    """Pictures in rows, with a title above and a `note` below it, as an SVG document. None leaves a place empty."""
    widths = [sum(_width(panel) for panel in row) + _GUTTER * (len(row) - 1) for row in rows]
    heights = [max(0.0 if panel is None else panel.height for panel in row) + _GUTTER for row in rows]
    width = 2 * _MARGIN + max(widths, default=_PANEL)
    head = _HEAD + (_NOTE_SIZE * 1.6 if note else 0.0)
    height = head + sum(heights)
    canvas = Canvas(width, height, title, language)
    shown = fitted(title, width - 2 * _MARGIN, _TITLE_SIZE, True)
    canvas.text((_MARGIN, 40), shown, _TITLE_SIZE, bold=True)
    if note:
        canvas.text((_MARGIN, 40 + _NOTE_SIZE * 1.6), fitted(note, width - 2 * _MARGIN, _NOTE_SIZE), _NOTE_SIZE, MUTED)
    if any(panel is not None and panel.marks for row in rows for panel in row):
        gettext = translation(language).gettext
        legend = [Run(f"{_DIFFERENT} ", True, LOST), Run(gettext("here the two differ"), color=MUTED)]
        needed = sum(run.width(_NOTE_SIZE) for run in legend)
        taken = _MARGIN + text_width(shown, _TITLE_SIZE, True)
        if taken + _GUTTER + needed <= width - _MARGIN:
            canvas.text((width - _MARGIN, 40), legend, _NOTE_SIZE, anchor="end")
    y = head
    for row, lower in zip(rows, heights, strict=True):
        x = _MARGIN
        for panel in row:
            if panel is None:
                x += _PANEL + _GUTTER
                continue
            canvas.embed((x, y), panel.picture)
            x += panel.width
            for mark in panel.marks:
                at = (x + _GUTTER / 2, y + mark + _MARK_SIZE * 0.35)
                canvas.text(at, _DIFFERENT, _MARK_SIZE, LOST, bold=True, anchor="middle")
            x += _GUTTER
        y += lower
    return canvas.svg()


def _width(panel: Panel | None) -> float:
    return _PANEL if panel is None else panel.width
