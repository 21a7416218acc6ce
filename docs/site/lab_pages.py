"""The pages of the lab, made by running its experiments: a page for each section, with pictures, in both languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from docs.site import claims_page, glossary_page
from docs.site.markdown import cell, paragraph, table
from docs.site.worlds import pictures, suffix, word, world
from synfin.lab import running
from synfin.lab.experiment import Experiment, Table, holds
from synfin.lab.listing import QUESTIONS
from synfin.lab.registry import SECTIONS, Section, experiments, rows
from synfin.lab.running import Runs
from synfin.lab.words import translation
from synfin.show.words import LANGUAGES, Language

#: The pages, in order.
NAMES: Final = (*(section.room for section in SECTIONS), claims_page.NAME, glossary_page.NAME)


@cache
def ran() -> dict[str, Runs]:
    """All experiments, run: the worlds by row."""
    return {one.row: running.run(one) for section in SECTIONS for one in experiments(section)}


@cache
def files() -> dict[str, str]:
    """Pages and pictures, by their path below docs/."""
    made = {**claims_page.files(), **glossary_page.files()}
    for section in SECTIONS:
        for one in experiments(section):
            for run in ran()[one.row].values():
                made |= pictures(one.row.lower(), run)
        for language in LANGUAGES:
            made[f"lab/{section.room}{suffix(language)}"] = "\n".join(_section(section, language, made)) + "\n"
    return made


def parts(language: Language) -> dict[str, str]:
    """What a page of docs/ may ask for, by the name with which it does."""
    return {"lab: questions": "\n".join(_questions(language))}


def _questions(language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    where = {row: f"{section.room}.md#{row.lower()}" for section in SECTIONS for row in rows(section)}
    yield f"### {gettext('The questions')}"
    yield ""
    for text, answers in QUESTIONS:
        links = [f"[{row}]({where[row]})" for row in answers if row in where]
        if links:
            yield f"- {cell(gettext(text))} {' '.join(links)}"
    yield ""
    for section in SECTIONS:
        yield f"### [{gettext(section.title)}]({section.room}.md)"
        yield ""
        for one in experiments(section):
            yield f"- [{one.row}]({where[one.row]}) {cell(gettext(one.question))}"
        yield ""
    for name in claims_page.NAME, glossary_page.NAME:
        yield f"### [{word(name, language)}]({name}.md)"
        yield ""


# --- a section


def _section(section: Section, language: Language, made: Mapping[str, str]) -> Iterator[str]:
    gettext = translation(language).gettext
    yield f"# {section.letter}. {gettext(section.title)}"
    yield ""
    found = experiments(section)
    if not found:
        yield word("nothing", language)
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
    yield f'!!! question "{gettext("Predict")}"'
    yield f"    {put(one.prediction)}"
    yield ""
    yield f"**{gettext('Watch')}**{colon}{put(one.watch)}"
    yield ""
    yield word("made", language).format(command=command)
    yield ""
    for run in runs.values():
        yield f"#### {put(run.shown.title)} {{#{one.row.lower()}-{run.shown.name}}}"
        yield ""
        yield from world(one.row.lower(), run, language, made)
    yield f"#### {gettext('What holds')} {{#{one.row.lower()}-claims}}"
    yield ""
    for claim in one.claims:
        if holds(claim, runs):
            values = claim.values(runs) if claim.values is not None else {}
            yield f"- ✓ {paragraph(gettext(claim.text).format(**values))}"
        else:
            yield f"- ✗ {paragraph(gettext('not so here: {claim}').format(claim=gettext(claim.text)))}"
    yield ""
    if one.table is not None:
        yield from _table(one.table(runs), language)
    yield f"#### {gettext('Answer')} {{#{one.row.lower()}-answer}}"
    yield ""
    yield put(one.answer)
    yield ""
    comma = "，" if language == "zh" else ", "
    yield f"{gettext('Source')}{colon}{comma.join(one.clauses)}"
    yield ""
    if one.tries:
        yield f'??? example "{gettext("Try")}"'
        for each in one.tries:
            yield "    ```sh"
            yield f"    synfin lab run {each.arguments}" + (" --lang zh" if language == "zh" else "")
            yield "    ```"
            yield ""
            yield f"    {put(each.text)}"
            yield ""


def _table(figures: Table, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext

    def words(row: Sequence[str]) -> list[str]:
        return [cell(gettext(one)) if one else "" for one in row]

    yield from table(words(figures.head), [words(row) for row in figures.rows])
