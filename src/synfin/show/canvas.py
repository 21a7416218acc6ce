"""A canvas for SVG pictures: shapes and texts with known boxes, fonts that have Chinese, colours that can be told
apart.

The standard library's ElementTree writes the file, so that every text and attribute is escaped and the pictures come
with the plain install. (drawsvg was looked at: its attributes are not escaped; matplotlib weighs more than everything
else together, and draws Chinese only with a font file that it is told of.) Positions are in pixels, to a tenth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import cos, radians, sin
from typing import Final, Literal, TypeAlias
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from synfin.show.ladder_text import printable
from synfin.show.text_width import text_width
from synfin.show.words import Language

Point: TypeAlias = tuple[float, float]
Anchor: TypeAlias = Literal["start", "middle", "end"]

#: One font for both scripts where there is one; the last two are everywhere.
FONTS: Final = (
    "'Noto Sans CJK SC', 'Noto Sans SC', 'Source Han Sans SC', 'PingFang SC', 'Microsoft YaHei', "
    "'WenQuanYi Micro Hei', 'DejaVu Sans', sans-serif"
)

PAPER: Final = "#ffffff"
INK: Final = "#1b2430"
MUTED: Final = "#5b6673"
FAINT: Final = "#d5dbe1"
# After Okabe and Ito's colours, which people with any kind of colour vision tell apart; darker where they are text.
LEFT: Final = "#0072b2"
RIGHT: Final = "#007a5e"
LOST: Final = "#c8440a"
AGAIN: Final = "#8e3b8a"

_NAMESPACE: Final = "http://www.w3.org/2000/svg"
_LANGUAGE_TAGS: Final = {"en": "en", "zh": "zh-Hans"}

# Of a line of text, in its size.
_ASCENT: Final = 0.86
_DESCENT: Final = 0.22


class Run:
    """A stretch of text of one weight and colour."""

    __slots__ = ("bold", "color", "text")

    def __init__(self, text: str, bold: bool = False, color: str = "") -> None:
        self.text = printable(text)
        self.bold = bold
        self.color = color

    def width(self, size: float) -> float:
        """At most how wide it is."""
        return text_width(self.text, size, self.bold)


class Box:
    """A rectangle that may be turned: its corners, one after the other."""

    __slots__ = ("bottom", "corners", "top")

    def __init__(self, corners: Sequence[Point]) -> None:
        self.corners = corners
        self.top = min(y for _, y in corners)
        self.bottom = max(y for _, y in corners)

    def overlaps(self, other: Box) -> bool:
        """Whether the two have a point in common. A box of two corners is a line."""
        if self.top >= other.bottom or other.top >= self.bottom:
            return False
        # Two convex shapes are apart if they are apart along a normal of one of their sides.
        for corners in (self.corners, other.corners):
            for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
                dx, dy = bx - ax, by - ay
                mine = [x * dy - y * dx for x, y in self.corners]
                others = [x * dy - y * dx for x, y in other.corners]
                if max(mine) <= min(others) or max(others) <= min(mine):
                    return False
        return True


def text_box(at: Point, width: float, size: float, anchor: Anchor = "start", angle: float = 0.0) -> Box:
    """The box of a line of text whose baseline begins (ends, has its middle) at `at`, turned by `angle` degrees."""
    left = {"start": 0.0, "middle": -width / 2, "end": -width}[anchor]
    corners = (
        (left, -_ASCENT * size),
        (left + width, -_ASCENT * size),
        (left + width, _DESCENT * size),
        (left, _DESCENT * size),
    )
    turn, lift = cos(radians(angle)), sin(radians(angle))
    return Box([(at[0] + x * turn - y * lift, at[1] + x * lift + y * turn) for x, y in corners])


class Canvas:
    """A picture of `width` by `height` on paper of its own, so that dark pages do not shine through."""

    __slots__ = ("_group", "_root")

    def __init__(self, width: float, height: float, title: str, language: Language) -> None:
        size = {"width": _number(width), "height": _number(height)}
        self._root = Element(
            "svg",
            {
                "xmlns": _NAMESPACE,
                **size,
                "viewBox": f"0 0 {size['width']} {size['height']}",
                "font-family": FONTS,
                "lang": _LANGUAGE_TAGS[language],
                "role": "img",
            },
        )
        self._group = self._root
        SubElement(self._root, "title").text = printable(title)
        SubElement(self._root, "rect", {**size, "fill": PAPER})

    def svg(self) -> str:
        """The picture as a document in UTF-8."""
        return tostring(self._root, encoding="unicode") + "\n"

    @contextmanager
    def group(self, tip: str) -> Iterator[None]:
        """What is drawn inside shows `tip` when it is pointed at."""
        outside = self._group
        self._group = SubElement(outside, "g")
        SubElement(self._group, "title").text = "\n".join(printable(line) for line in tip.split("\n"))
        try:
            yield
        finally:
            self._group = outside

    @contextmanager
    def clipped(self, at: Point, width: float, height: float) -> Iterator[None]:
        """What is drawn inside shows only within this rectangle."""
        outside = self._group
        x, y, w, h = (_number(value) for value in (*at, width, height))
        self._group = SubElement(
            outside, "svg", {"x": x, "y": y, "width": w, "height": h, "viewBox": f"{x} {y} {w} {h}"}
        )
        try:
            yield
        finally:
            self._group = outside

    def embed(self, at: Point, picture: str) -> None:
        """Another canvas' document, with its upper left corner `at`."""
        root = fromstring(picture)
        for element in root.iter():
            element.tag = element.tag.removeprefix(f"{{{_NAMESPACE}}}")
            for name in [name for name in element.attrib if name.startswith("{")]:
                # Of another namespace there is but this one.
                element.set("xml:space", element.attrib.pop(name))
        root.set("x", _number(at[0]))
        root.set("y", _number(at[1]))
        self._group.append(root)

    # --- shapes --------------------------------------------------------------------------------------------------

    def line(self, points: Iterable[Point], color: str, width: float = 1.5, dash: str = "") -> None:
        """A line from point to point."""
        self.path("M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points), color, width, dash)

    def path(self, drawing: str, color: str, width: float = 1.5, dash: str = "") -> None:
        """A line after SVG's own description."""
        more = {"stroke-dasharray": dash} if dash else {}
        self._add(
            "path",
            d=drawing,
            fill="none",
            stroke=color,
            stroke_width=_number(width),
            stroke_linejoin="round",
            **{key.replace("-", "_"): value for key, value in more.items()},
        )

    def polygon(self, points: Iterable[Point], fill: str, stroke: str = "") -> None:
        """A filled shape."""
        text = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._add("polygon", points=text, fill=fill, **({"stroke": stroke, "stroke_width": "1.5"} if stroke else {}))

    def rectangle(
        self, at: Point, width: float, height: float, fill: str, stroke: str = "", line: float = 1.5, round: float = 0.0
    ) -> None:
        """A rectangle whose upper left corner is `at`."""
        more = {"stroke": stroke, "stroke_width": _number(line)} if stroke else {}
        if round:
            more["rx"] = _number(round)
        x, y = map(_number, at)
        self._add("rect", x=x, y=y, width=_number(width), height=_number(height), fill=fill, **more)

    def circle(self, centre: Point, radius: float, fill: str) -> None:
        """A filled circle."""
        x, y = map(_number, centre)
        self._add("circle", cx=x, cy=y, r=_number(radius), fill=fill)

    def arrow_head(self, at: Point, direction: Point, color: str, size: float = 11.0) -> None:
        """The head of an arrow that ends `at`, coming along `direction`."""
        length = (direction[0] ** 2 + direction[1] ** 2) ** 0.5 or 1.0
        x, y = direction[0] / length, direction[1] / length
        back = (at[0] - x * size, at[1] - y * size)
        half = size * 0.42
        self.polygon([at, (back[0] - y * half, back[1] + x * half), (back[0] + y * half, back[1] - x * half)], color)

    def cross(self, at: Point, color: str, size: float = 7.0) -> None:
        """Where something got lost."""
        x, y = at
        self.line([(x - size, y - size), (x + size, y + size)], color, 3)
        self.line([(x - size, y + size), (x + size, y - size)], color, 3)

    # --- texts ---------------------------------------------------------------------------------------------------

    def text(
        self,
        at: Point,
        text: str | Sequence[Run],
        size: float,
        color: str = INK,
        *,
        bold: bool = False,
        anchor: Anchor = "start",
        angle: float = 0.0,
        halo: bool = False,
    ) -> None:
        """A line of text whose baseline begins (ends, has its middle) at `at`, turned by `angle` degrees clockwise.

        With a `halo` lines below it keep a little distance.
        """
        runs = [Run(text, bold)] if isinstance(text, str) else text
        attributes = {"x": _number(at[0]), "y": _number(at[1]), "font_size": _number(size), "fill": color}
        if anchor != "start":
            attributes["text_anchor"] = anchor
        if angle:
            attributes["transform"] = f"rotate({angle:.2f} {attributes['x']} {attributes['y']})"
        if halo:
            attributes |= {"stroke": PAPER, "stroke_width": "4", "stroke_linejoin": "round", "paint_order": "stroke"}
        if len(runs) == 1 and runs[0].bold:
            attributes["font_weight"] = "bold"
        element = self._add("text", **attributes)
        if len(runs) == 1:
            element.text = runs[0].text
            if runs[0].color:
                element.set("fill", runs[0].color)
            return
        element.set("xml:space", "preserve")
        for run in runs:
            part = SubElement(element, "tspan")
            part.text = run.text
            if run.bold:
                part.set("font-weight", "bold")
            if run.color:
                part.set("fill", run.color)

    def pill(self, at: Point, text: str, size: float, color: str, angle: float = 0.0) -> None:
        """A short text in white on a rounded ground, whose left end is `at`."""
        width = pill_width(text, size)
        group = self._group
        if angle:
            self._group = SubElement(
                group, "g", {"transform": f"rotate({angle:.2f} {_number(at[0])} {_number(at[1])})"}
            )
        height = size * 1.25
        self.rectangle((at[0], at[1] - height + size * 0.25), width, height, color, PAPER, 1.5, height / 2)
        self.text((at[0] + width / 2, at[1]), text, size * 0.9, PAPER, bold=True, anchor="middle")
        self._group = group

    def _add(self, kind: str, **attributes: str) -> Element:
        return SubElement(self._group, kind, {name.replace("_", "-"): value for name, value in attributes.items()})


def pill_width(text: str, size: float) -> float:
    """How wide `Canvas.pill` draws that text."""
    return max(size * 1.25, text_width(text, size * 0.9, True) + size * 0.7)


def _number(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
