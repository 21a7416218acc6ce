"""The page of what the texts say, and what a host does (F2), made by running its claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from docs.site.markdown import cell, paragraph, table
from docs.site.worlds import pictures, suffix, word, world
from synfin.lab.claims import catalogue, measured
from synfin.lab.claims.text_claim import TextClaim
from synfin.lab.experiment import holds
from synfin.lab.running import Runs
from synfin.lab.words import translation
from synfin.show.words import LANGUAGES, Language

NAME = "claims"


@cache
def files() -> dict[str, str]:
    """The page in both languages, and its pictures, by their path below docs/."""
    ran = {claim.name: catalogue.run(claim) for claim in _claims()}
    made: dict[str, str] = {}
    for claim in _claims():
        for run in ran[claim.name].values():
            made |= pictures(_anchor(claim), run)
    for language in LANGUAGES:
        made[f"lab/{NAME}{suffix(language)}"] = "\n".join(_page(ran, language, made)) + "\n"
    return made


def _claims() -> list[TextClaim]:
    return [catalogue.claim(name) for name in catalogue.names()]


def _anchor(claim: TextClaim) -> str:
    return claim.name.lower().replace(".", "-")


def _page(ran: Mapping[str, Runs], language: Language, made: Mapping[str, str]) -> Iterator[str]:
    gettext = translation(language).gettext
    yield f"# {word(NAME, language)}"
    yield ""
    yield word("about claims", language).format(version=measured.load().kernel)
    yield ""
    rows = [
        [
            f"[{claim.name}](#{_anchor(claim)})",
            cell(gettext(claim.text)),
            f"{cell(gettext(claim.rfc))}<br>{', '.join(claim.clauses)}",
            "<br>".join(_linux(claim, language)),
        ]
        for claim in _claims()
    ]
    yield from table(["", *(gettext(head) for head in ("The texts say", "The RFC", "Linux"))], rows)
    for claim in _claims():
        yield f"## {claim.name} · {paragraph(gettext(claim.text))} {{#{_anchor(claim)}}}"
        yield ""
        runs = ran[claim.name]
        for one in claim.claims:
            if holds(one, runs):
                values = one.values(runs) if one.values is not None else {}
                yield f"- ✓ {paragraph(gettext(one.text).format(**values))}"
            else:
                yield f"- ✗ {paragraph(gettext('not so here: {claim}').format(claim=gettext(one.text)))}"
        if claim.text in claim.failed(runs):
            yield f"- ✗ {paragraph(gettext('not refuted here: {claim}').format(claim=gettext(claim.text)))}"
        yield ""
        for run in runs.values():
            yield f'??? note "{paragraph(gettext(run.shown.title))}"'
            for line in world(_anchor(claim), run, language, made):
                yield f"    {line}" if line else ""
            yield ""


def _linux(claim: TextClaim, language: Language) -> Iterator[str]:
    gettext = translation(language).gettext
    for one in claim.linux:
        found = measured.load().figures(claim.name, one.name)
        yield cell(gettext("not measured here") if found is None else gettext(one.text).format(**found))
