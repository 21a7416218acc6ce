"""Values written as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["cell", "paragraph", "table"]


def paragraph(text: str) -> str:
    """Plain text as Markdown shows it: nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<])", r"\\\1", text)


def cell(text: str) -> str:
    """Plain text as Markdown, in a table or a list: on one line."""
    return paragraph(" ".join(text.split())).replace("|", r"\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown, and an empty line behind it. The cells are Markdown already."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
