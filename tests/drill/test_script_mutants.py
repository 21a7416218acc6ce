"""The mutants of the scripts do not rot: each applies, every script has one, and a few of them die here and now."""

from __future__ import annotations

import random
import zlib

import pytest

from tests.drill.mutants import FOLDER, SCRIPTS, failed, read_mutants
from tests.mutants.run import BROKEN, KILLED, NO_LONGER_APPLIES, SURVIVED, Mutant, campaign

MUTANTS = read_mutants()
#: So many die in each run of the tests; which ones changes with the data.
SAMPLE = 3


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_one_place(mutant: Mutant) -> None:
    assert mutant.applies(), f"{mutant.file} has not exactly once:\n{mutant.old}"
    assert mutant.new != mutant.old


def test_every_script_has_a_mutant() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
    named = {script for mutant in MUTANTS for script in mutant.tests}
    assert named == {path.relative_to(SCRIPTS).with_suffix("").as_posix() for path in SCRIPTS.rglob("*.pkt")}


def test_a_sample_dies() -> None:
    sample = random.Random(zlib.crc32((FOLDER / "mutants.toml").read_bytes())).sample(MUTANTS, SAMPLE)
    assert [(mutant.name, outcome, word) for mutant, outcome, word in campaign(sample, 2, failed)] == [
        (mutant.name, KILLED, "") for mutant in sample
    ]


def test_what_the_campaign_tells(capsys: pytest.CaptureFixture[str]) -> None:
    script = ["opening/passive"]
    harmless = Mutant("harmless", [], "tcp/timers.py", "from __future__", "from  __future__", script)
    gone = Mutant("gone", [], "tcp/timers.py", "no such text", "", script)
    nonsense = Mutant("nonsense", [], "tcp/timers.py", "from __future__", "nonsense", script)
    outcomes = [outcome for _, outcome, _ in campaign([harmless, gone, nonsense], 2, failed)]
    assert outcomes == [SURVIVED, NO_LONGER_APPLIES, BROKEN]
    assert capsys.readouterr().out.count("\n") == 3
