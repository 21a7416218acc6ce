"""The page of the glossary (G2): every term in both languages."""

from __future__ import annotations

from collections.abc import Iterator

from docs.site.markdown import cell, table
from docs.site.worlds import suffix, word
from synfin.lab.telling import glossary
from synfin.lab.words import translation
from synfin.show.words import LANGUAGES, Language

NAME = "glossary"


def files() -> dict[str, str]:
    """The page in both languages, by its path below docs/."""
    return {f"lab/{NAME}{suffix(language)}": "\n".join(_page(language)) + "\n" for language in LANGUAGES}


def _page(language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    chinese = language == "zh"
    yield f"# {word(NAME, language)}"
    yield ""
    yield word("about the glossary", language)
    yield ""
    for title, entries in glossary.SECTIONS:
        yield f"## {gettext(title)}"
        yield ""
        rows = []
        for entry in entries:
            english, han = f"**{cell(entry.term)}**", f"**{cell(entry.chinese)}**"
            also = cell(("、" if chinese else ", ").join(entry.also))
            first, second = (han, english) if chinese else (english, han)
            rows.append([first, second, cell(gettext(entry.definition)), also, cell(entry.clause)])
        head = ["中文", "English"] if chinese else ["English", "中文"]
        yield from table([*head, *(word(one, language) for one in ("meaning", "also", "source"))], rows)
