"""An experiment as a person reads it: the question, a prediction to make, its worlds, what holds, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from errno import errorcode
from typing import Final

from rich.cells import cell_len

from synfin.lab.experiment import Claim, Experiment, Table, holds
from synfin.lab.registry import SECTIONS, experiments
from synfin.lab.running import Run, Runs
from synfin.lab.words import translation
from synfin.show.ladder import render_ladder
from synfin.show.words import Language
from synfin.sim.programs import Call

__all__ = ["listing", "report"]

WIDTH: Final = 100
#: Calls of which nobody need be told when they went well.
_QUIET: Final = frozenset({"bind", "listen", "setsockopt"})


def listing(language: Language) -> Iterator[str]:
    """All questions, by section: the lines of ``synfin lab``."""
    gettext = translation(language).gettext
    for section in SECTIONS:
        yield f"{section.letter}. {gettext(section.title)}"
        for one in experiments(section):
            yield f"  {one.row:4} {gettext(one.question)}"
        yield ""


def report(
    experiment: Experiment, runs: Runs, language: Language, *, explain: bool = False, color: bool = False
) -> Iterator[str]:
    """The lines of ``synfin lab run``."""
    gettext = translation(language).gettext
    yield f"{experiment.row}  {gettext(experiment.question)}"
    yield ""
    yield from _paragraph(gettext("Predict"), gettext(experiment.prediction))
    yield from _paragraph(gettext("Watch"), gettext(experiment.watch))
    for run in runs.values():
        yield ""
        yield f"── {gettext(run.shown.title)} " + "─" * max(0, WIDTH - 4 - cell_len(gettext(run.shown.title)))
        yield ""
        for history in run.histories[: run.shown.connections]:
            yield render_ladder(history, language=language, explain=explain, color=color)
            yield ""
        yield from _calls(run, language)
    yield ""
    for claim in experiment.claims:
        yield from _claim(claim, runs, language)
    if experiment.table is not None:
        yield from _table(experiment.table(runs), language)
    yield from _paragraph(gettext("Answer"), gettext(experiment.answer))
    yield from _paragraph(gettext("Source"), ", ".join(experiment.clauses))
    for each in experiment.tries:
        yield f"  synfin lab run {each.arguments}"
        yield f"      {gettext(each.text)}"


def _paragraph(title: str, text: str) -> Iterator[str]:
    yield f"{title}: {text}"


def _claim(claim: Claim, runs: Mapping[str, Run], language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    if holds(claim, runs):
        values = claim.values(runs) if claim.values is not None else {}
        yield f"  ✓ {gettext(claim.text).format(**values)}"
    else:
        yield "  ✗ " + gettext("not so here: {claim}").format(claim=gettext(claim.text))


def _calls(run: Run, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    waits = gettext("still waits")
    for program in run.programs:
        for call in program.calls:
            if call.name in _QUIET and call.error is None:
                continue
            yield f"  {program.name:8} {call.name:10} {_outcome(call, waits)}"


def _outcome(call: Call, waits: str) -> str:
    if call.waits:
        return f"{call.began / 1e9:10.3f} s … {waits}"
    what = ""
    if call.error is not None:
        what = errorcode.get(call.error.errno or 0, str(call.error))
    elif isinstance(call.result, bytes):
        what = repr(call.result) if len(call.result) < 40 else str(len(call.result))
    return f"{call.began / 1e9:10.3f} s + {call.lasted / 1e9:.3f} s  {what}".rstrip()


def _table(table: Table, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    rows: list[Sequence[str]] = [table.head, *table.rows]
    cells = [[gettext(cell) if cell else "" for cell in row] for row in rows]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(table.head))]
    for row in cells:
        yield "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
