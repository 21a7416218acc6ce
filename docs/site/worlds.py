"""Worlds that were run, as Markdown: their pictures, and what their programs saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from errno import errorcode
from typing import Final

from docs.site.markdown import paragraph, table
from synfin.lab.running import Run
from synfin.lab.words import translation
from synfin.show.curves import render_curves
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.time_sequence import render_time_sequence
from synfin.show.words import LANGUAGES, Language
from synfin.sim.programs import Call

#: Segments that a ladder shows at most.
MOST: Final = 60
#: Calls of which nobody need be told when they went well.
_QUIET: Final = frozenset({"bind", "listen", "setsockopt"})

_WORDS: Final[Mapping[str, str]] = {
    "Predict": "先猜一猜",
    "Watch": "注意看",
    "What holds": "结论",
    "Not so here": "此处不成立",
    "Answer": "答案",
    "Source": "出处",
    "Things to try": "动手试试",
    "What the programs saw": "程序看到的",
    "program": "程序",
    "call": "调用",
    "began": "开始",
    "took": "用时",
    "result": "结果",
    "still waits": "仍在等待",
    "No experiments here yet.": "这里还没有实验。",
    "To run this yourself": "自己运行",
    "Made by running `{command}`.": "由 `{command}` 运行得出。",
}


def word(text: str, language: Language) -> str:
    """A word of these pages."""
    return _WORDS[text] if language == "zh" else text


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
                picture = render_ladder_svg(history, language=language, title=title, most=MOST)
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
            yield f"[![{title}]({file})]({file})"
            yield ""
    yield from _calls(run, language)


def _calls(run: Run, language: Language) -> Iterator[str]:
    rows = [
        [program.name, f"`{call.name}`", f"{call.began / 1e9:.3f} s", *_outcome(call, language)]
        for program in run.programs
        for call in program.calls
        if call.name not in _QUIET or call.error is not None
    ]
    if not rows:
        return
    yield f'??? note "{word("What the programs saw", language)}"'
    for line in table([word(one, language) for one in ("program", "call", "began", "took", "result")], rows):
        yield f"    {line}"
    yield ""


def _outcome(call: Call, language: Language) -> tuple[str, str]:
    if call.waits:
        return "", word("still waits", language)
    what = ""
    if call.error is not None:
        what = errorcode.get(call.error.errno or 0, str(call.error))
    elif isinstance(call.result, bytes):
        what = f"`{call.result!r}`" if len(call.result) < 40 else str(len(call.result))
    return f"{call.lasted / 1e9:.3f} s", what
