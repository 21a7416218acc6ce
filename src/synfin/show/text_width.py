"""How wide a text is when it is drawn: an upper bound for the fonts that a picture may meet.

A picture does not know the font of its reader. It leaves each character the room that it takes in DejaVu Sans, a wide
font, or in Noto Sans CJK; a Han character takes a square in every font.
"""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len

from synfin.show.ladder_text import printable, unbreakable

# U+0020 to U+007E, in hundredths of the size.
# fmt: off
_REGULAR: Final = (
    32, 41, 48, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 40, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34,
    84, 84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 54, 66, 56, 87, 75, 79, 64, 79, 70, 64, 62, 74, 69, 99,
    69, 62, 69, 40, 40, 40, 84, 56, 61, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 29, 98, 64, 62, 64, 64, 42, 53,
    40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84,
)
_BOLD: Final = (
    35, 46, 58, 84, 70, 101, 88, 33, 46, 46, 53, 84, 38, 42, 38, 39, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 40, 40,
    84, 84, 84, 59, 101, 78, 77, 74, 84, 69, 69, 83, 84, 38, 57, 78, 64, 100, 84, 86, 74, 86, 78, 73, 69, 82, 78, 111,
    78, 73, 73, 46, 39, 46, 84, 57, 63, 68, 72, 60, 72, 68, 44, 72, 72, 35, 35, 67, 35, 105, 72, 69, 72, 72, 50, 60,
    48, 72, 66, 93, 65, 66, 59, 72, 37, 72, 84,
)
# fmt: on
_FIRST: Final = 0x20
_LAST: Final = 0x7E


def text_width(text: str, size: float, bold: bool = False) -> float:
    """At most how wide `text` is at a font's `size`, in the same unit."""
    table = _BOLD if bold else _REGULAR
    return sum(_char_width(char, table) for char in text) * size / 100


def _char_width(char: str, table: tuple[int, ...]) -> int:
    if _FIRST <= ord(char) <= _LAST:
        return table[ord(char) - _FIRST]
    # What is not Latin and not two cells wide is seldom met; few letters are wider than this.
    return 100 if cell_len(char) != 1 else 90


def fitted(text: str, width: float, size: float, bold: bool = False) -> str:
    """`text`, made printable, cut to at most `width`; an ellipsis stands for what was cut off."""
    text = printable(text)
    if text_width(text, size, bold) <= width:
        return text
    while text and text_width(f"{text}…", size, bold) > width:
        text = text[:-1]
    return f"{text.rstrip()}…" if text else ""


def broken(text: str, width: float, size: float, most: int = 3) -> list[str]:
    """`text` on at most `most` lines of at most `width`: broken at spaces, and between Han characters."""
    lines: list[str] = [""]
    for word in unbreakable(text):
        if lines[-1] and text_width(lines[-1] + word.rstrip(), size) > width:
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip()
    if len(lines) > most:
        lines[most - 1 :] = ["".join(lines[most - 1 :])]
    return [fitted(line.rstrip(), width, size) for line in lines]
