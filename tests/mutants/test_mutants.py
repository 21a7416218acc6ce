"""The mutants do not rot: each still applies, all that is met has one, and a few of them die here and now."""

from __future__ import annotations

import random
import zlib

import pytest

from docs.make_conformance import IDS, MET, collect, read_requirements
from tests.mutants.run import (
    BROKEN,
    FOLDER,
    KILLED,
    NO_LONGER_APPLIES,
    SURVIVED,
    Mutant,
    campaign,
    dead_tests,
    read_mutants,
)

MUTANTS = read_mutants()
#: So many die in each run of the tests; which ones changes with the data.
SAMPLE = 3


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_one_place(mutant: Mutant) -> None:
    assert mutant.applies(), f"{mutant.file} has not exactly once:\n{mutant.old}"
    assert mutant.new != mutant.old
    assert mutant.tests


def test_names_are_given_once_and_requirements_exist() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
    assert {name for mutant in MUTANTS for name in mutant.requirements} <= set(IDS)


def test_one_of_the_tests_is_marked_with_each_requirement() -> None:
    marked = collect()
    for mutant in MUTANTS:
        tests = {test.partition("[")[0] for test in mutant.tests}
        for name in mutant.requirements:
            assert tests & set(marked.get(name, [])), f"{mutant.name}: none of its tests is marked with {name}"


def test_every_marker_is_proved_by_a_mutant() -> None:
    """Whoever marks a test with a requirement names a change of the source that breaks this requirement and of which
    this test dies."""
    proved = {
        (name, test.partition("[")[0]) for mutant in MUTANTS for name in mutant.requirements for test in mutant.tests
    }
    marked = {(name, test) for name, tests in collect().items() for test in tests}
    assert sorted(marked - proved) == []


def test_what_is_met_has_a_mutant() -> None:
    broken = {name for mutant in MUTANTS for name in mutant.requirements}
    assert [name for name, judged in read_requirements().items() if judged.verdict == MET and name not in broken] == []


def test_a_sample_dies() -> None:
    seed = zlib.crc32(b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.toml"))))
    sample = random.Random(seed).sample(MUTANTS, SAMPLE)
    assert [(mutant.name, outcome, word) for mutant, outcome, word in campaign(sample, 2)] == [
        (mutant.name, KILLED, "") for mutant in sample
    ]


def test_what_the_campaign_tells(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a change that harms nothing, one that has no place, one that cannot be imported, and tests that are not."""
    test = "tests/tcp/test_timers.py::test_timers_that_expire_at_once_come_in_the_order_of_the_enumeration"
    harmless = Mutant("harmless", ["MUST-1"], "tcp/timers.py", "from __future__", "from  __future__", [test])
    gone = Mutant("gone", ["MUST-1"], "tcp/timers.py", "no such text", "", [test])
    nowhere = Mutant("nowhere", ["MUST-1"], "tcp/no_such_file.py", "text", "", [test])
    nonsense = Mutant("nonsense", ["MUST-1"], "tcp/timers.py", "from __future__", "nonsense", [test])
    absent = Mutant("absent", ["MUST-1"], "tcp/timers.py", "from __future__", "from  __future__", [test + "_not"])
    outcomes = [outcome for _, outcome, _ in campaign([harmless, gone, nowhere, nonsense, absent], 2)]
    assert outcomes == [SURVIVED, NO_LONGER_APPLIES, NO_LONGER_APPLIES, BROKEN, BROKEN]
    assert capsys.readouterr().out.count("\n") == 5


def test_the_summary_of_pytest_is_read() -> None:
    output = "F.\nFAILED tests/a.py::test_x[1-2] - assert\nERROR tests/b.py::test_y\nPASSED tests/c.py::test_z\n"
    assert dead_tests(output) == {"tests/a.py::test_x", "tests/b.py::test_y"}
    assert dead_tests("2 passed") == set()
