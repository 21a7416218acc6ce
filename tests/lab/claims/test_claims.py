"""Every claim of the texts (F2): the truth holds in the simulator and the texts' sentence does not, whatever the seed;
and each can be read in both languages."""

from __future__ import annotations

import re
from string import Formatter

import pytest
from rich.cells import cell_len

from synfin.lab.claims import catalogue
from synfin.lab.claims.measured import load
from synfin.lab.claims.report import WIDTH, lines, listing
from synfin.lab.claims.text_claim import TextClaim
from synfin.lab.words import translation
from synfin.show.words import Language

#: Lines of the mission's table.
LINES = 28

every = pytest.mark.parametrize("name", catalogue.names())


@pytest.mark.row("F2")
def test_every_line_of_the_table_is_there() -> None:
    assert catalogue.names() == [f"F2.{number}" for number in range(1, LINES + 1)]
    with pytest.raises(KeyError):
        catalogue.claim("F2.29")
    assert catalogue.claim("f2.4").name == "F2.4"


@pytest.mark.row("F2")
@every
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_truth_holds_and_the_text_does_not(name: str, seed: int) -> None:
    claim = catalogue.claim(name)
    assert claim.failed(catalogue.run(claim, seed)) == []


@every
def test_it_is_whole(name: str) -> None:
    claim = catalogue.claim(name)
    assert claim.name == name
    assert len(claim.claims) >= 2
    assert claim.linux
    assert len({world.name for world in claim.worlds}) == len(claim.worlds) > 0
    assert len({one.name for one in claim.linux}) == len(claim.linux)
    for clause in claim.clauses:
        assert re.fullmatch(r"RFC [0-9]{3,4} §[0-9A-Z.]+|[a-z]+\([2-8]\)", clause), clause
    for sentence in (claim.text, claim.rfc, *(one.text for one in claim.linux), *(one.text for one in claim.claims)):
        assert sentence.endswith(".")


@every
def test_every_sentence_is_in_the_catalogue(name: str) -> None:
    claim = catalogue.claim(name)
    known = translation("zh").gettext
    sentences = [claim.text, claim.rfc, *(one.text for one in claim.linux), *(one.text for one in claim.claims)]
    for sentence in [*sentences, *(world.title for world in claim.worlds)]:
        assert known(sentence) != sentence, sentence
        assert gaps(known(sentence)) == gaps(sentence)


@every
@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_fits_a_terminal_and_leaves_no_gap(name: str, language: Language) -> None:
    shown = list(lines([name], language))
    assert [line for line in shown if cell_len(line) > WIDTH] == []
    assert not [line for line in shown if re.search(r"[{}✗]", line)]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_list_has_them_all(language: Language) -> None:
    shown = list(listing(language))
    assert [line.split()[0] for line in shown if line[2] == "F"] == catalogue.names()
    assert [line for line in shown if cell_len(line) > WIDTH] == []


def test_with_worlds_their_ladders_are_shown() -> None:
    plain, whole = "\n".join(lines(["F2.9"], "en")), "\n".join(lines(["F2.9"], "en", worlds=True))
    assert "SYN-SENT" not in plain
    assert whole.count("*SYN-SENT") == 2
    assert "── The third message is lost ──" in whole


@every
def test_what_is_kept_of_linux_bears_every_sentence_out(name: str) -> None:
    kept = load()
    for one in catalogue.claim(name).linux:
        found = kept.figures(name, one.name)
        assert found is not None, one.name
        assert one.holds(found)
        assert gaps(one.text) <= set(found)


def test_nothing_is_kept_that_no_claim_measures() -> None:
    assert '"F2' in load().as_json()
    kept = load()
    asked = {(name, one.name) for name in catalogue.names() for one in catalogue.claim(name).linux}
    assert set(kept.names()) == asked


def test_a_text_that_proves_right_is_a_failure() -> None:
    """As is one that cannot be judged."""
    claim = catalogue.claim("F2.9")
    runs = catalogue.run(claim)

    def believing(verdict: object) -> TextClaim:
        def text_holds(_: object) -> bool:
            if isinstance(verdict, Exception):
                raise verdict
            return bool(verdict)

        return TextClaim(
            claim.name, claim.text, claim.rfc, claim.clauses, claim.linux, claim.worlds, claim.claims, text_holds
        )

    assert believing(False).failed(runs) == []
    assert believing(True).failed(runs) == [claim.text]
    assert believing(LookupError()).failed(runs) == [claim.text]


def test_what_was_not_measured_says_so() -> None:
    from synfin.lab.claims.measured import Measurements

    claim = catalogue.claim("F2.10")
    shown = "\n".join(lines([claim.name], "en", Measurements("0.0", {})))
    assert "not measured here" in shown


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
