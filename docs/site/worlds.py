"""Worlds that were run, as Markdown: their pictures, and what their programs saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from docs.site.markdown import cell, paragraph, table
from synfin.lab.calls import call_rows
from synfin.lab.report import MOST_SEGMENTS
from synfin.lab.running import Run
from synfin.lab.what_if import numbers
from synfin.lab.words import translation
from synfin.show.curves import render_curves
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.time_sequence import render_time_sequence
from synfin.show.words import LANGUAGES, Language

#: What these pages say beside the lab's own words.
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "nothing": ("No experiments here yet.", "这里还没有实验。"),
    "made": ("Made by running `{command}`.", "由 `{command}` 运行得出。"),
    "claims": ("What the texts say, and what a host does", "教科书怎么说，主机怎么做"),
    "about claims": (
        "Sentences that widely read texts repeat, beside the RFC, and beside what was measured on the kernel of Linux "
        "{version}. Below the table each is put to the test in the simulator. `synfin lab claims` shows the same.",
        "流传很广的教科书和文章里反复出现的说法，与 RFC 对照，也与在 Linux {version} 内核上测得的结果对照。"
        "表格之后，每个说法都在模拟器里检验过。`synfin lab claims --lang zh` 显示同样的内容。",
    ),
    "glossary": ("Glossary", "术语表"),
    "about the glossary": (
        "Every term in English and Chinese, with other words in use for it. `synfin lab glossary` shows the same.",
        "全部术语的中英文对照，以及通行的其他说法。`synfin lab glossary --lang zh` 显示同样的内容。",
    ),
    "meaning": ("meaning", "含义"),
    "also": ("also", "又称"),
    "source": ("source", "出处"),
}


def word(name: str, language: Language) -> str:
    """A word or sentence of these pages."""
    return _WORDS[name][LANGUAGES.index(language)]


def suffix(language: Language) -> str:
    """What the name of a page in that language ends in."""
    return ".zh.md" if language == "zh" else ".md"


def pictures(stem: str, run: Run) -> dict[str, str]:
    """The pictures of a world in each language, by their path below docs/; `stem` begins their names."""
    shown = run.shown
    made: dict[str, str] = {}
    if shown.picture == "none":
        return made
    for language in LANGUAGES:
        title = translation(language).gettext(shown.title)
        if shown.picture == "curves":
            made[_name(stem, run, 1, language)] = render_curves(run.events, language=language, title=title)
            continue
        for number, history in enumerate(run.histories[: shown.connections], 1):
            if shown.picture == "ladder":
                picture = render_ladder_svg(
                    history, language=language, title=title, most=MOST_SEGMENTS, numbers=numbers(run), fold=True
                )
            else:
                picture = render_time_sequence(history, language=language, title=title)
            made[_name(stem, run, number, language)] = picture
    return made


def _name(stem: str, run: Run, number: int, language: Language) -> str:
    return f"lab/{stem}-{run.shown.name}-{number}.{language}.svg"


def world(stem: str, run: Run, language: Language, made: Mapping[str, str]) -> Iterator[str]:
    """A world's pictures among those that were `made`, and the calls of its programs."""
    title = paragraph(translation(language).gettext(run.shown.title))
    for number in range(1, run.shown.connections + 1):
        path = _name(stem, run, number, language)
        if path in made:
            file = path.removeprefix("lab/")
            yield f"[![{title}]({file}){{ loading=lazy }}]({file})"
            yield ""
    yield from _calls(run, language)


def _calls(run: Run, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    rows = call_rows(run, gettext)
    if not rows:
        return
    yield f'??? note "{gettext("What the programs saw")}"'
    head, *below = ([cell(one) for one in row] for row in rows)
    for line in table(head, below):
        yield f"    {line}"
    yield ""
