"""Every row of the mission is named by a test that shows it, and every row marked `lab` is an experiment."""

from __future__ import annotations

import re
from pathlib import Path

from synfin.lab import registry
from synfin.lab.claims import catalogue

TESTS = Path(__file__).parent
#: The rows about the protocol and its programs: behaviour of the stack, which not the lab alone may show.
BEHAVIOUR = {
    f"{letter}{number}"
    for letter, last in (("A", 16), ("B", 9), ("C", 13), ("D", 5), ("E", 7))
    for number in range(1, last + 1)
}
#: Those about words: what the texts say, everyday pictures, the glossary.
WORDS = {"F2", "G1", "G2"}
CLAIMED = BEHAVIOUR | WORDS
#: Seen from outside, not run in the lab.
NO_EXPERIMENT = {"E5"}


def named(path: Path) -> set[str]:
    """The rows that a file of tests names by the marker."""
    found: set[str] = set()
    for names in re.findall(r"mark\.row\(([^)]*)\)", path.read_text(encoding="utf-8")):
        found |= set(re.findall(r'"([A-G][0-9]+)"', names))
    return found


def named_in(folder: Path) -> set[str]:
    return {row for path in folder.rglob("test_*.py") for row in named(path)}


def named_outside_the_lab() -> set[str]:
    paths = [path for path in TESTS.rglob("test_*.py") if TESTS / "lab" not in path.parents]
    return {row for path in paths for row in named(path)}


def test_every_claimed_row_has_a_test() -> None:
    # The lab's own test of a row is a parameter, named by what is in the registry.
    experiments = set(registry.rows())
    assert CLAIMED - named_in(TESTS) - experiments == set()
    assert named_in(TESTS) <= CLAIMED


def test_what_is_behaviour_of_the_stack_is_shown_outside_the_lab_too() -> None:
    assert BEHAVIOUR - named_outside_the_lab() == set()


def test_every_row_that_is_behaviour_is_an_experiment() -> None:
    assert set(registry.rows()) == BEHAVIOUR - NO_EXPERIMENT
    assert catalogue.ROW in WORDS
