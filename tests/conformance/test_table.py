"""docs/conformance.md: every requirement has a verdict, every verdict its tests, and the file is what the command
makes."""

from __future__ import annotations

import pytest

from docs import make_conformance
from docs.make_conformance import (
    DECIDED_OTHERWISE,
    IDS,
    MET,
    NOT_MET,
    Requirement,
    document,
    named_in,
    problems,
    read_deviations,
    read_requirements,
)
from tests.conftest import REQUIREMENTS


def test_the_table_is_complete_and_the_file_is_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    status = make_conformance.main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_the_marker_knows_the_same_requirements() -> None:
    assert set(IDS) == REQUIREMENTS
    assert len(IDS) == 119


def judged(verdict: str = MET, note: str = "") -> dict[str, Requirement]:
    """All requirements met, but for MUST-24."""
    entry = {"section": "3.8.4", "what": "something", "verdict": MET}
    entries = {name: Requirement(name, entry) for name in IDS}
    entries["MUST-24"] = Requirement("MUST-24", {**entry, "verdict": verdict, "note": note})
    return entries


def shown(*but: str) -> dict[str, list[str]]:
    return {name: ["tests/test_something.py::test_it"] for name in IDS if name not in but}


def test_nothing_is_wrong_with_a_table_that_is_right() -> None:
    assert problems(judged(), {"linux": {"MUST-23": "why"}, "rfc": {}}, shown()) == []
    assert problems(judged(NOT_MET, "why"), {"rfc": {}}, shown("MUST-24")) == []
    assert problems(judged(DECIDED_OTHERWISE, "why"), {"rfc": {"MUST-24": "why"}}, shown("MUST-24")) == []


@pytest.mark.parametrize(
    ("verdict", "note", "tests", "deviations", "complaint"),
    [
        ("", "", shown(), {}, "MUST-24 has no verdict"),
        ("perhaps", "", shown(), {}, "MUST-24 has no verdict"),
        (MET, "", shown("MUST-24"), {}, "no test shows it"),
        (MET, "", shown(), {"MUST-24": "why"}, "lists it as a deviation"),
        (NOT_MET, "", shown("MUST-24"), {}, "no reason is given"),
        (NOT_MET, "why", shown(), {}, "claims to show it"),
        (DECIDED_OTHERWISE, "why", shown("MUST-24"), {}, "not every profile lists it"),
        (MET, "", {**shown(), "MUST-70": ["x"]}, {}, "MUST-70 is no requirement"),
        (MET, "", shown(), {"MUST-70": "why"}, "MUST-70 is no requirement"),
    ],
)
def test_what_is_wrong_is_told(
    verdict: str, note: str, tests: dict[str, list[str]], deviations: dict[str, str], complaint: str
) -> None:
    (line,) = problems(judged(verdict, note), {"rfc": deviations}, tests)
    assert complaint in line


def test_a_missing_entry_is_told() -> None:
    entries = judged()
    del entries["SHLD-31"]
    assert problems(entries, {}, shown()) == ["SHLD-31 has no verdict"]


SOURCE = """
import pytest
MARK = pytest.mark.requirement("MUST-1")

@pytest.mark.parametrize("x", [1])
@pytest.mark.requirement("MUST-2", "SHLD-3")
def test_one(x): ...

@pytest.mark.requirement("MUST-3")
@pytest.mark.xfail(reason="not yet")
def test_expected_to_fail(): ...

@pytest.mark.skip
@pytest.mark.requirement("MUST-4")
def test_skipped(): ...

@pytest.mark.requirement("MUST-5")
def helper(): ...

def test_without(): ...
"""


def test_markers_are_read_from_the_source() -> None:
    assert named_in(SOURCE) == [("test_one", ["MUST-2", "SHLD-3"])]
    assert named_in('pytestmark = pytest.mark.requirement("MAY-1")\ndef test_it(): ...') == [("test_it", ["MAY-1"])]
    with pytest.raises(ValueError, match="strings"):
        named_in("@pytest.mark.requirement(NAME)\ndef test_it(): ...")


def test_where_profiles_differ_the_row_says_so() -> None:
    text = document(judged(), {"linux": {"MUST-24": "thirst"}, "rfc": {}}, shown(), (7, 3))
    assert "**119 of 119 requirements have a verdict.**" in text
    assert "| `linux` | MUST-24 | thirst |" in text
    assert "| MUST-24 | §3.8.4 | something | met, but for `linux` | [test_something.py::test_it]" in text
    assert "7 changes of a line of the source, which break 3 of the requirements" in text


def test_the_data_are_in_order_and_say_why() -> None:
    requirements = read_requirements()
    assert tuple(requirements) == IDS
    for profile, names in read_deviations().items():
        assert all(names.values()), profile
