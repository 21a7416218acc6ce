"""``synfin lab glossary``: the terms of TCP in English and Chinese."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from synfin.cli.errors import UsageError


def glossary(
    term: Annotated[str | None, typer.Argument(metavar="[TERM]", help="A word in either language.")] = None,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
) -> None:
    """The words: states, flags, messages, timers and terms, in English and Chinese."""
    from synfin.lab.telling.glossary import alike, lookup, table, whole_entry
    from synfin.show.words import language

    chosen = language(lang, os.environ)
    if term is None:
        print("\n".join(table(chosen)).rstrip())
        return
    found = lookup(term)
    if not found:
        near = alike(term)
        right = f"similar: {', '.join(near)}" if near else "'synfin lab glossary' lists all"
        raise UsageError(f"the glossary has no term {term!r}", right)
    print("\n\n".join("\n".join(whole_entry(entry, chosen)) for entry in found))
