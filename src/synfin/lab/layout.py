"""Lines for people: paragraphs with hanging indents and tables, aligned by cells (a Han character takes two)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from synfin.show.ladder_text import cropped, wrapped_text

__all__ = ["aligned", "hanging", "heading", "paragraph"]

_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9,]*(?:\.[0-9]+)?(?: ?(?:%|‰|[A-Za-z]{1,6}|[^\W\d_]{1,2}))?|[–—-]?")
_GAP: Final = "  "
_NARROWEST: Final = 8


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
    spare = width - cell_len(indent) - len(_GAP) * (len(widths) - 1) - sum(widths)
    # Of figures only the title may be broken.
    least = [max(cell_len(row[at]) for row in body) if figures[at] else _NARROWEST for at in range(len(widths))]
    while spare < 0:
        # The widest gives way.
        at = max((at for at in range(len(widths)) if widths[at] > least[at]), key=lambda at: widths[at], default=-1)
        if at < 0:
            break
        widths[at] -= 1
        spare += 1
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
