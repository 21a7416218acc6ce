"""Lines for people: paragraphs with hanging indents and tables, aligned by cells (a Han character takes two)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from synfin.show.ladder_text import cropped, wrapped_text

__all__ = ["aligned", "hanging", "heading", "paragraph"]

_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9,]*(?:\.[0-9]+)?(?: ?(?:%|‰|[A-Za-z]{1,6}|[^\W\d_]{1,2}))?|[–—-]?")
_GAP: Final = "  "
_NARROWEST: Final = 8
#: What is not broken between lines: letters, digits and signs, without a space.
_WORD: Final = re.compile(r"[!-~]+")


def hanging(start: str, text: str, width: int) -> Iterator[str]:
    """`start`, and `text` behind it on as many lines as it takes, all of them indented as far as the first."""
    indent = cell_len(start)
    for at, line in enumerate(wrapped_text(text, max(width - indent, 20))):
        yield ((start if not at else " " * indent) + line).rstrip()


def paragraph(title: str, text: str, width: int) -> Iterator[str]:
    """A title on a line of its own, and the text below it."""
    yield title
    yield from hanging("  ", text, width)


def heading(text: str, width: int) -> str:
    """A line across the page with a title in it."""
    text = cropped(text, width - 6)
    return f"── {text} " + "─" * (width - 4 - cell_len(text))


def aligned(rows: Sequence[Sequence[str]], width: int, *, head: bool = True, indent: str = "  ") -> Iterator[str]:
    """A table. Columns of figures are aligned to the right; the last one that is not is wrapped if it is too long.

    With `head` the first row has the columns' titles, and a rule stands below it.
    """
    if not rows:
        return
    body = rows[1:] if head else rows
    figures = [all(_NUMBER.fullmatch(row[at]) for row in body) and bool(body) for at in range(len(rows[0]))]
    widths = [max(cell_len(row[at]) for row in rows) for at in range(len(rows[0]))]
    room = width - cell_len(indent) - len(_GAP) * (len(widths) - 1)
    # Of figures only the title may be broken, and no word or name where there is room for it.
    least = [max(cell_len(row[at]) for row in body) if figures[at] else _NARROWEST for at in range(len(widths))]
    whole = [max(size, *(_longest_word(row[at]) for row in rows)) for at, size in enumerate(least)]
    widths = _narrowed(rows, widths, whole if sum(whole) <= room else least, room, figures)
    for number, row in enumerate(rows):
        cells = [wrapped_text(cell, max(size, 1)) for cell, size in zip(row, widths, strict=True)]
        for line in range(max(map(len, cells))):
            texts = [cell[line] if line < len(cell) else "" for cell in cells]
            filled = [
                " " * (size - cell_len(text)) + text if right else text + " " * (size - cell_len(text))
                for text, size, right in zip(texts, widths, figures, strict=True)
            ]
            yield (indent + _GAP.join(filled)).rstrip()
        if head and not number:
            yield (indent + _GAP.join("─" * size for size in widths)).rstrip()


def _longest_word(cell: str) -> int:
    return max(map(len, _WORD.findall(cell)), default=0)


def _narrowed(
    rows: Sequence[Sequence[str]], widths: Sequence[int], least: Sequence[int], room: int, figures: Sequence[bool]
) -> list[int]:
    """`widths` cut down to `room`, where that costs the fewest lines; if it costs the same, first those of `figures`,
    of which only the title is broken, and then the widest."""
    widths = list(widths)

    @functools.cache
    def height(cell: str, size: int) -> int:
        return len(wrapped_text(cell, max(size, 1)))

    def lines(at: int) -> int:
        """How long the table is with column `at` narrower by one."""
        sizes = [size - (column == at) for column, size in enumerate(widths)]
        return sum(max(map(height, row, sizes)) for row in rows)

    while sum(widths) > room:
        wide = [at for at, size in enumerate(widths) if size > least[at]]
        if not wide:
            break
        widths[min(wide, key=lambda at: (lines(at), not figures[at], -widths[at]))] -= 1
    return widths
