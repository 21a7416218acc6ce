"""The pages of the lab, made by running its experiments: a page for each section, with pictures, in both languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from errno import errorcode
from functools import cache
from typing import Final

from docs.site.markdown import cell, paragraph, table
from synfin.lab import running
from synfin.lab.experiment import Experiment, Table, holds
from synfin.lab.registry import SECTIONS, Section, experiments
from synfin.lab.running import Run, Runs
from synfin.lab.words import translation
from synfin.show.curves import render_curves
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.time_sequence import render_time_sequence
from synfin.show.words import LANGUAGES, Language
from synfin.sim.programs import Call

#: The pages, in order.
NAMES: Final = tuple(section.room for section in SECTIONS)
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


@cache
def ran() -> dict[str, Runs]:
    """All experiments, run: the worlds by row."""
    return {one.row: running.run(one) for section in SECTIONS for one in experiments(section)}


@cache
def files() -> dict[str, str]:
    """Pages and pictures, by their path below docs/."""
    made: dict[str, str] = {}
    for section in SECTIONS:
        for one in experiments(section):
            made |= _pictures(one, ran()[one.row])
        for language in LANGUAGES:
            made[f"lab/{section.room}{suffix(language)}"] = "\n".join(_section(section, language, made)) + "\n"
    return made


def parts(language: Language) -> dict[str, str]:
    """What a page of docs/ may ask for, by the name with which it does."""
    return {"lab: questions": "\n".join(_questions(language))}


def _questions(language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    for section in SECTIONS:
        yield f"### [{gettext(section.title)}]({section.room}.md)"
        yield ""
        for one in experiments(section):
            yield f"- [{one.row}]({section.room}.md#{one.row.lower()}) {cell(gettext(one.question))}"
        yield ""


# --- a section


def _section(section: Section, language: Language, made: Mapping[str, str]) -> Iterator[str]:
    gettext = translation(language).gettext
    yield f"# {section.letter}. {gettext(section.title)}"
    yield ""
    found = experiments(section)
    if not found:
        yield word("No experiments here yet.", language)
    for one in found:
        yield from _experiment(one, ran()[one.row], language, made)


def _experiment(one: Experiment, runs: Runs, language: Language, made: Mapping[str, str]) -> Iterator[str]:
    gettext = translation(language).gettext

    def put(text: str) -> str:
        return paragraph(gettext(text))

    colon = "：" if language == "zh" else ": "
    command = f"synfin lab run {one.row}" + (" --lang zh" if language == "zh" else "")
    yield f"## {one.row} · {put(one.question)} {{#{one.row.lower()}}}"
    yield ""
    yield f'!!! question "{word("Predict", language)}"'
    yield f"    {put(one.prediction)}"
    yield ""
    yield f"**{word('Watch', language)}**{colon}{put(one.watch)}"
    yield ""
    yield word("Made by running `{command}`.", language).format(command=command)
    yield ""
    for run in runs.values():
        yield f"#### {put(run.shown.title)} {{#{one.row.lower()}-{run.shown.name}}}"
        yield ""
        for name in sorted(made):
            if name.startswith(f"lab/{_stem(one, run)}-") and name.endswith(f".{language}.svg"):
                file = name.removeprefix("lab/")
                yield f"[![{put(run.shown.title)}]({file})]({file})"
                yield ""
        yield from _calls(run, language)
    yield f"#### {word('What holds', language)} {{#{one.row.lower()}-claims}}"
    yield ""
    for claim in one.claims:
        if holds(claim, runs):
            values = claim.values(runs) if claim.values is not None else {}
            yield f"- ✓ {paragraph(gettext(claim.text).format(**values))}"
        else:
            yield f"- ✗ {word('Not so here', language)}{colon}{put(claim.text)}"
    yield ""
    if one.table is not None:
        yield from _table(one.table(runs), language)
    yield f"#### {word('Answer', language)} {{#{one.row.lower()}-answer}}"
    yield ""
    yield put(one.answer)
    yield ""
    comma = "，" if language == "zh" else ", "
    yield f"{word('Source', language)}{colon}{comma.join(one.clauses)}"
    yield ""
    if one.tries:
        yield f'??? example "{word("Things to try", language)}"'
        for each in one.tries:
            yield "    ```sh"
            yield f"    synfin lab run {each.arguments}" + (" --lang zh" if language == "zh" else "")
            yield "    ```"
            yield ""
            yield f"    {put(each.text)}"
            yield ""


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


def _table(figures: Table, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext

    def words(row: Sequence[str]) -> list[str]:
        return [gettext(one) if one else "" for one in row]

    yield from table(words(figures.head), [words(row) for row in figures.rows])


# --- pictures


def _stem(one: Experiment, run: Run) -> str:
    return f"{one.row.lower()}-{run.shown.name}"


def _pictures(one: Experiment, runs: Runs) -> dict[str, str]:
    made = {}
    for run in runs.values():
        if run.shown.picture == "none":
            continue
        for language in LANGUAGES:
            title = translation(language).gettext(run.shown.title)
            for number, history in enumerate(run.histories[: run.shown.connections], 1):
                if run.shown.picture == "ladder":
                    picture = render_ladder_svg(history, language=language, title=title, most=MOST)
                elif run.shown.picture == "curves":
                    picture = render_curves(run.events, language=language, title=title)
                else:
                    picture = render_time_sequence(history, language=language, title=title)
                made[f"lab/{_stem(one, run)}-{number}.{language}.svg"] = picture
                if run.shown.picture == "curves":
                    break
    return made
