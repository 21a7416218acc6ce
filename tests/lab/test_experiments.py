"""Every experiment of the lab: its claims hold, in every world it names, and it can be read in both languages."""

from __future__ import annotations

import re
import shlex
from string import Formatter

import pytest

from synfin.lab.experiment import Experiment
from synfin.lab.registry import experiment, rows
from synfin.lab.running import Run, run
from synfin.lab.words import filled, translation

#: Rows of the mission that are marked `lab`, sections A to E.
LAB_ROWS = [
    *(f"A{number}" for number in range(1, 17)),
    *(f"B{number}" for number in range(1, 10)),
    *(f"C{number}" for number in range(1, 14)),
    *(f"D{number}" for number in range(1, 6)),
    *(f"E{number}" for number in (1, 2, 3, 4, 6, 7)),
]


# Of a module, so that the tests of one row follow each other, and its worlds are forgotten before the next one's.
@pytest.fixture(scope="module", params=[pytest.param(row, marks=pytest.mark.row(row)) for row in rows()])
def row(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runs(row: str) -> dict[str, Run]:
    """What several tests look at, and none changes."""
    return run(experiment(row))


def shown(one: Experiment, runs: dict[str, Run]) -> list[str]:
    """Every sentence of an experiment, as it is said in English."""
    sentences = [one.question, one.prediction, one.watch, one.answer, *(world.title for world in one.worlds)]
    sentences += [filled(claim.text, claim.values(runs) if claim.values else {}, str) for claim in one.claims]
    return [*sentences, *(each.text for each in one.tries)]


def test_every_row_that_is_marked_lab_is_one() -> None:
    assert rows() == LAB_ROWS


def test_what_it_claims_holds(row: str, runs: dict[str, Run]) -> None:
    one = experiment(row)
    assert [claim.text for claim in one.failed(runs)] == []
    assert len(one.claims) >= 2


def test_it_is_whole(row: str, runs: dict[str, Run]) -> None:
    one = experiment(row)
    assert one.row == row
    assert one.question.endswith("?")
    assert len({world.name for world in one.worlds}) == len(one.worlds) > 0
    assert one.clauses
    for clause in one.clauses:
        assert re.fullmatch(r"RFC [0-9]{3,4}(?: §[0-9A-Z.]+)?|[a-z]+\([2-8]\)", clause), clause
    assert one.tries
    for each in one.tries:
        assert shlex.split(each.arguments)[0] == row
    for sentence in shown(one, runs):
        assert sentence.strip() == sentence
        assert "{" not in sentence


def test_every_sentence_is_in_the_catalogues(row: str) -> None:
    one = experiment(row)
    known = translation("zh").gettext
    templates = [one.question, one.prediction, one.watch, one.answer]
    templates += [each.title for each in one.worlds]
    templates += [*(claim.text for claim in one.claims), *(each.text for each in one.tries)]
    for template in templates:
        assert known(template) != template, template
        assert gaps(known(template)) == gaps(template)


def test_the_same_seed_gives_the_same_world(row: str, runs: dict[str, Run]) -> None:
    one = experiment(row)
    for first, second in zip(runs.values(), run(one).values(), strict=True):
        parting = first.world.parting(second.world)
        assert parting is None, parting


def test_its_claims_hold_whatever_the_seed(row: str) -> None:
    one = experiment(row)
    for seed in (1, 2):
        assert [claim.text for claim in one.failed(run(one, seed))] == []


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
