"""Every experiment, and every line of F2, fails on a mutant of the protocol: what it claims is what it checks.

A mutant is a change of one place in the source, in the TOML files of ``mutants/``: the `row` of the experiment that
must fail with it, the `file` (relative to src/synfin), the `old` text, which stands there once, and the `new` one. The
first of each row is tried here; all of them with SYNFIN_MUTANTS=all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from synfin.lab.claims import catalogue
from synfin.lab.registry import rows

FOLDER = Path(__file__).parent / "mutants"
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "synfin"

MUTANTS = [
    mutant for path in sorted(FOLDER.glob("*.toml")) for mutant in tomllib.loads(path.read_text("utf-8"))["mutant"]
]
#: The first of each row.
TRIED = list({mutant["row"]: mutant for mutant in reversed(MUTANTS)}.values())
if os.environ.get("SYNFIN_MUTANTS") == "all":
    TRIED = MUTANTS


def test_every_experiment_has_one() -> None:
    assert {mutant["row"] for mutant in MUTANTS} == {*rows(), *catalogue.names()}


def test_each_applies_to_one_place() -> None:
    for mutant in MUTANTS:
        text = (SOURCE / mutant["file"]).read_text(encoding="utf-8")
        assert text.count(mutant["old"]) == 1, f"{mutant['row']}: {mutant['name']}"


@pytest.mark.parametrize("mutant", TRIED, ids=lambda mutant: f"{mutant['row']}-{mutant['name']}")
def test_the_experiment_fails_on_it(mutant: dict[str, str], tmp_path: Path) -> None:
    # With what is compiled already: of the mutant alone that is out of date.
    shutil.copytree(SOURCE, tmp_path / "synfin")
    path = tmp_path / "synfin" / mutant["file"]
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant["old"], mutant["new"]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.check", mutant["row"]],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    # It was the mutant that ran, and it failed in a claim, not in an import.
    assert "ModuleNotFoundError" not in done.stdout
    assert done.stderr == ""
