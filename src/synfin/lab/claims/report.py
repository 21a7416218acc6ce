"""Claims of the texts as a person reads them: the text, the RFC and Linux side by side; then the run that proves it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from errno import errorcode
from typing import Final

from rich.cells import cell_len

from synfin.lab.claims import catalogue
from synfin.lab.claims.columns import NO_BREAK, beside, wrap
from synfin.lab.claims.measured import Measurements, load
from synfin.lab.claims.text_claim import N_, Measured, TextClaim
from synfin.lab.experiment import holds
from synfin.lab.report import said
from synfin.lab.running import Run, Runs
from synfin.lab.words import translation
from synfin.show.ladder import render_ladder
from synfin.show.narration import Narrate
from synfin.show.words import Language

__all__ = ["checked", "lines", "listing", "summary"]

WIDTH: Final = 100
_COLUMN: Final = (WIDTH - 2 * 3) // 3
_RULE: Final = "─┼─".join(["─" * _COLUMN] * 3)
_HEADS: Final = (N_("The texts say"), N_("The RFC"), N_("Linux"))


def listing(language: Language) -> Iterator[str]:
    """What the texts say, claim by claim: for a list of all that the lab has."""
    gettext = translation(language).gettext
    for name in catalogue.names():
        text = gettext("“{text}”").format(text=gettext(catalogue.claim(name).text))
        for line in wrap(text, WIDTH - 8):
            yield f"  {name:6}{line}"
            name = ""


def lines(
    names: Iterable[str],
    language: Language,
    measured: Measurements | None = None,
    *,
    worlds: bool = False,
    seed: int = 0,
    color: bool = False,
    narrate: Narrate = "short",
    relative: bool = True,
) -> Iterator[str]:
    """Claims by name ("F2.4"), in three columns, with what was seen of them in the simulator below.

    `measured`: figures of Linux; by default those that are kept with synfin. With `worlds` the ladders of each are
    shown too; `narrate` and `relative` as in `render_ladder`. Raises KeyError for a claim that there is none of.
    """
    gettext = translation(language).gettext
    figures = load() if measured is None else measured
    chosen = [catalogue.claim(name) for name in names]
    yield from beside([[gettext(head)] for head in _HEADS], _COLUMN)
    for claim in chosen:
        yield _RULE
        yield from _three(claim, figures, language)
        runs = catalogue.run(claim, seed)
        if worlds:
            yield from _worlds(runs, language, color, narrate, relative)
        yield from _verdicts(claim, runs, language)
    yield _RULE
    yield gettext("● measured on Linux {version}").format(version=figures.kernel)
    if any(one.slow for claim in chosen for one in claim.linux):
        yield gettext("◆ measured there too; it takes longer, so that the tests do not measure it again")


def _three(claim: TextClaim, figures: Measurements, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    text = gettext("“{text}”").format(text=gettext(claim.text))
    rfc = [*wrap(gettext(claim.rfc), _COLUMN), *wrap(f"[{_clauses(claim.clauses)}]", _COLUMN)]
    linux = [line for one in claim.linux for line in _linux(claim, one, figures, language)]
    yield from beside([[claim.name, *wrap(text, _COLUMN)], rfc, linux], _COLUMN)


def _clauses(clauses: Sequence[str]) -> str:
    """Clauses in one line, an RFC named once: "RFC 9293 §3.5, §3.6.1"."""
    said: list[str] = []
    last = ""
    for clause in clauses:
        document, _, section = clause.partition(" §")
        said.append(f"§{section}" if section and document == last else clause.replace(" ", NO_BREAK))
        last = document
    return ", ".join(said)


def _linux(claim: TextClaim, one: Measured, figures: Measurements, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    mark = "◆ " if one.slow else "● "
    try:
        text = gettext(one.text).format(**(figures.figures(claim.name, one.name) or {}))
    except KeyError:
        # Never measured, or by another version.
        text = gettext("not measured here")
    for line in wrap(text, _COLUMN - 2):
        yield mark + line
        mark = "  "


def _worlds(runs: Runs, language: Language, color: bool, narrate: Narrate, relative: bool) -> Iterator[str]:
    gettext = translation(language).gettext
    for run in runs.values():
        yield ""
        title = gettext(run.shown.title)
        yield f"── {title} " + "─" * max(0, WIDTH - 4 - cell_len(title))
        if run.shown.picture != "none":
            for history in run.histories[: run.shown.connections]:
                yield ""
                yield render_ladder(history, language=language, color=color, narrate=narrate, relative=relative)
            yield ""
        yield from _calls(run, language)
    yield ""


def _calls(run: Run, language: Language) -> Iterator[str]:
    """Calls of its programs that failed, or have not come back."""
    waits = translation(language).gettext("still waits")
    for program in run.programs:
        for call in program.calls:
            said = f"  {program.name:8} {call.name:10} {call.began / 1e9:10.3f} s"
            if call.waits and program.node.up:
                yield f"{said} … {waits}"
            elif call.error is not None:
                yield f"{said} + {call.lasted / 1e9:.3f} s  {errorcode.get(call.error.errno or 0, str(call.error))}"


def _verdicts(claim: TextClaim, runs: Runs, language: Language) -> Iterator[str]:
    """What is true there, and that the text is not; a claim that fails says so."""
    gettext = translation(language).gettext
    for one in claim.claims:
        if holds(one, runs):
            yield from _hanging("  ✓ ", said(one, runs, gettext))
    yield from _failures(claim, runs, language)


def _failures(claim: TextClaim, runs: Runs, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    for one in claim.claims:
        if not holds(one, runs):
            sentence = said(one, runs, gettext)
            yield from _hanging("  ✗ ", gettext("not so here: {claim}").format(claim=sentence))
    if claim.text in claim.failed(runs):
        yield from _hanging("  ✗ ", gettext("not refuted here: {claim}").format(claim=gettext(claim.text)))


def checked(name: str, language: Language, seed: int = 0) -> tuple[int, list[str]]:
    """How many sentences of a claim do not hold (or, for the texts' own, hold), and lines that say which; the first
    line names the claim. Raises KeyError for a claim that there is none of."""
    gettext = translation(language).gettext
    claim = catalogue.claim(name)
    runs = catalogue.run(claim, seed)
    wrong = len(claim.failed(runs))
    text = gettext("“{text}”").format(text=gettext(claim.text))
    return wrong, [*_hanging(f"{'✗' if wrong else '✓'} {name:6} ", text), *_failures(claim, runs, language)]


def summary(names: Sequence[str], failed: int, seconds: float, language: Language) -> str:
    """What a check of those claims came to. Each has one sentence more than it claims: the texts', which must not
    hold."""
    text = translation(language).gettext(
        "sayings of the texts: {texts}, claims about them: {claims}, not so: {failed}; {seconds} s"
    )
    claims = sum(len(catalogue.claim(name).claims) + 1 for name in names)
    return text.format(texts=len(names), claims=claims, failed=failed, seconds=f"{seconds:.1f}")


def _hanging(mark: str, text: str) -> Iterator[str]:
    for line in wrap(text, WIDTH - len(mark)):
        yield mark + line
        mark = " " * len(mark)
