"""Reading pictures, for the tests of what is drawn: their texts, with the room that each takes, their arrows, and which
characters a font has."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from functools import lru_cache
from math import cos, hypot, radians, sin
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

import pytest

from synfin.show.text_width import text_width

Corners: TypeAlias = list[tuple[float, float]]

SVG = "{http://www.w3.org/2000/svg}"


@lru_cache(maxsize=4)
def texts(picture: str) -> tuple[tuple[str, Corners], ...]:
    """Every text of a picture with the corners of its box, from the widths of DejaVu Sans and the height of capitals
    and descenders (and of Han characters): less than the layout reserves."""
    return tuple(_texts(ElementTree.fromstring(picture), []))


def _texts(element: ElementTree.Element, turns: list[str]) -> Iterator[tuple[str, Corners]]:
    here = [*turns, element.get("transform", "")]
    for child in element:
        if child.tag == f"{SVG}text":
            yield _text(child, [*here, child.get("transform", "")])
        elif child.tag == f"{SVG}svg":
            # A picture within, at a place of its own.
            x, y = (float(at) for at in child.get("viewBox", "0 0").split()[:2])
            dx, dy = float(child.get("x", "0")) - x, float(child.get("y", "0")) - y
            for text, corners in _texts(child, here):
                yield text, [(x + dx, y + dy) for x, y in corners]
        else:
            yield from _texts(child, here)


def _text(element: ElementTree.Element, turns: list[str]) -> tuple[str, Corners]:
    size = float(element.get("font-size", "0"))
    bold = element.get("font-weight") == "bold"
    text, width = element.text or "", text_width(element.text or "", size, bold)
    for part in element:
        text += part.text or ""
        width += text_width(part.text or "", size, part.get("font-weight") == "bold")
    x, y = float(element.get("x", "0")), float(element.get("y", "0"))
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")] * width
    top, bottom = y - 0.78 * size, y + 0.2 * size
    corners = [(left, top), (left + width, top), (left + width, bottom), (left, bottom)]
    for turn in reversed([turn for turn in turns if turn]):
        angle, cx, cy = map(float, turn.removeprefix("rotate(").removesuffix(")").split())
        turned, lift = cos(radians(angle)), sin(radians(angle))
        corners = [
            (cx + (x - cx) * turned - (y - cy) * lift, cy + (x - cx) * lift + (y - cy) * turned) for x, y in corners
        ]
    return text, corners


def overlapping(picture: str) -> list[tuple[str, str]]:
    """The pairs of texts that meet."""
    boxes = sorted(
        (min(y for _, y in corners), max(y for _, y in corners), text, corners)
        for text, corners in texts(picture)
        if text.strip()
    )
    found = []
    for at, (_, bottom, one, mine) in enumerate(boxes):
        for top, _, other, others in boxes[at + 1 :]:
            if top >= bottom:
                break
            if _meet(mine, others):
                found.append((one, other))
    return found


def _meet(a: Corners, b: Corners) -> bool:
    """Whether two turned rectangles have a part in common: they have, unless a side of one parts them."""
    if max(y for _, y in a) <= min(y for _, y in b) or max(y for _, y in b) <= min(y for _, y in a):
        return False
    return not any(_parts(first, second, other) for one, other in ((a, b), (b, a)) for first, second in _sides(one))


def _sides(corners: Corners) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    yield from zip(corners, corners[1:] + corners[:1], strict=True)


def _parts(first: tuple[float, float], second: tuple[float, float], other: Corners) -> bool:
    """Whether all of `other` lies outside this side of a rectangle whose corners go round clockwise."""
    (ax, ay), (bx, by) = first, second
    return all((bx - ax) * (y - ay) - (by - ay) * (x - ax) <= 1e-6 for x, y in other)


def outside(picture: str) -> list[str]:
    """The texts that leave the picture."""
    root = ElementTree.fromstring(picture)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    return [
        text for text, corners in texts(picture) if any(not (0 <= x <= width and 0 <= y <= height) for x, y in corners)
    ]


def struck_through(picture: str) -> list[tuple[str, str]]:
    """The texts that the arrow of a segment goes through, and what that segment says."""
    arrows = list(_arrows(ElementTree.fromstring(picture), 0.0, 0.0))
    found = []
    for text, corners in texts(picture):
        top, bottom = min(y for _, y in corners), max(y for _, y in corners)
        for said, line in arrows:
            low, high = sorted(y for _, y in line)
            if text.strip() and low < bottom and high > top and _through(line, corners) > 1.0:
                found.append((text, said))
    return found


def _arrows(element: ElementTree.Element, dx: float, dy: float) -> Iterator[tuple[str, Corners]]:
    """What each arrow's segment says, and its line."""
    for child in element:
        if child.tag == f"{SVG}svg":
            x, y = (float(at) for at in child.get("viewBox", "0 0").split()[:2])
            yield from _arrows(child, dx + float(child.get("x", "0")) - x, dy + float(child.get("y", "0")) - y)
        title, line = child.find(f"{SVG}title"), child.find(f"{SVG}path")
        if child.tag == f"{SVG}g" and title is not None and line is not None:
            numbers = [float(number) for number in re.findall(r"-?[0-9.]+", line.get("d", ""))]
            ends = [(x + dx, y + dy) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
            yield (title.text or "").partition("\n")[0], [ends[0], ends[-1]]


def _through(line: Corners, corners: Corners) -> float:
    """How much of a line lies in a rectangle whose corners go round clockwise."""
    (x1, y1), (x2, y2) = line
    first, last = 0.0, 1.0
    for (ax, ay), (bx, by) in _sides(corners):
        start = (bx - ax) * (y1 - ay) - (by - ay) * (x1 - ax)
        end = (bx - ax) * (y2 - ay) - (by - ay) * (x2 - ax)
        if start <= 0 and end <= 0:
            return 0.0
        if start < 0:
            first = max(first, start / (start - end))
        elif end < 0:
            last = min(last, start / (start - end))
    return max(0.0, last - first) * hypot(x2 - x1, y2 - y1)


def check(picture: str) -> None:
    assert overlapping(picture) == []
    assert outside(picture) == []


def font(family: str, require: Callable[..., None]) -> Font:
    """A font, with ":bold" if it is to be bold; skips the test where the machine lacks it, unless it must not."""
    require("fc-match")
    found = subprocess.run(
        ["fc-match", "--format", "%{family}\n%{file}\n%{index}", family], check=True, capture_output=True, text=True
    )
    families, file, index = found.stdout.split("\n")
    name = family.partition(":")[0]
    if name not in families.split(","):
        if os.environ.get("SYNFIN_REQUIRE") == "all":
            pytest.fail(f"no font {name}, and SYNFIN_REQUIRE=all", pytrace=False)
        pytest.skip(f"no font {name}")
    return Font(Path(file), int(index))


class Font:
    """As much of a font's file as says which characters it has, and how wide they are."""

    def __init__(self, file: Path, index: int) -> None:
        self.data = file.read_bytes()
        start = struct.unpack_from(">I", self.data, 12 + 4 * index)[0] if self.data[:4] == b"ttcf" else 0
        count = struct.unpack_from(">H", self.data, start + 4)[0]
        records = (struct.unpack_from(">4sIII", self.data, start + 12 + 16 * at) for at in range(count))
        self.tables = {tag: offset for tag, _, offset, _ in records}
        self.units: int = struct.unpack_from(">H", self.data, self.tables[b"head"] + 18)[0]
        self.metrics: int = struct.unpack_from(">H", self.data, self.tables[b"hhea"] + 34)[0]
        cmap = self.tables[b"cmap"]
        subtables = struct.unpack_from(">H", self.data, cmap + 2)[0]
        offsets = [cmap + struct.unpack_from(">HHI", self.data, cmap + 4 + 8 * at)[2] for at in range(subtables)]
        (self.cmap,) = {at for at in offsets if struct.unpack_from(">H", self.data, at)[0] == 12}

    def glyph(self, char: str) -> int:
        """The number of the glyph; 0 if there is none. (The format of cmap subtables that is called 12.)"""
        groups = struct.unpack_from(">I", self.data, self.cmap + 12)[0]
        for at in range(groups):
            first, last, glyph = struct.unpack_from(">III", self.data, self.cmap + 16 + 12 * at)
            if first <= ord(char) <= last:
                return int(glyph) + ord(char) - int(first)
        return 0

    def width(self, char: str) -> float:
        """In hundredths of the size."""
        at = self.tables[b"hmtx"] + 4 * min(self.glyph(char), self.metrics - 1)
        advance: int = struct.unpack_from(">H", self.data, at)[0]
        return advance * 100 / self.units
