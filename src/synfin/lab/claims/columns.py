"""Columns of running text on a terminal, in a script with spaces between words or without; Han takes two cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len

__all__ = ["NO_BREAK", "beside", "wrap"]

#: A space at which no line ends; it comes out as a plain one.
NO_BREAK: Final = "\u00a0"
#: The spaces between a number and its unit, and around an equals sign, are such.
_TOGETHER: Final = re.compile(r"(?<=[0-9]) (?=(?:s|ms|ns|µs)(?![a-z]))|(?<=[a-z]) (?==)|(?<==) (?=[0-9a-z])")

#: What must not begin a line stays with what is before it, and an opening bracket or quotation mark with what follows.
_CLOSING: Final = "，。、；：？！）》」』”’…"
_OPENING: Final = "（《「『“‘"
#: A run of letters without a space, or one character of Han, each with its punctuation; or spaces.
_UNIT: Final = re.compile(
    rf"[ \n]+|[{_OPENING}]*(?:[\u2e80-\u9fff]|[^ \n\u2e80-\u9fff{_OPENING}{_CLOSING}]+)[{_CLOSING}]*"
    rf"|[{_OPENING}{_CLOSING}]+"
)


def wrap(text: str, width: int) -> list[str]:
    """The lines of `text`, none wider than `width` cells if it can be helped. A longer word stands alone."""
    lines = []
    line = ""
    for unit in _UNIT.findall(_TOGETHER.sub(NO_BREAK, text)):
        if unit.isspace() and unit != NO_BREAK:
            line += " " if line else ""
        elif line and cell_len(line) + cell_len(unit) > width:
            lines.append(line.rstrip())
            line = unit
        else:
            line += unit
    if line:
        lines.append(line.rstrip())
    return [line.replace(NO_BREAK, " ") for line in lines]


def beside(columns: Sequence[Sequence[str]], width: int, between: str = " │ ") -> Iterator[str]:
    """Columns of lines side by side, each `width` cells wide."""
    for row in zip_longest(*columns, fillvalue=""):
        yield between.join(line + " " * (width - cell_len(line)) for line in row).rstrip()
