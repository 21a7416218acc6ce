"""The campaign of `campaigns/goodput.py`, small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.goodput import document, recorded

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "campaigns/goodput.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "src"},
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_campaign_compares_and_writes_nothing() -> None:
    before = recorded.PATH.stat().st_mtime_ns, document.PATH.stat().st_mtime_ns
    finished = run("--check", "--jobs", "2", "short: 10 kB", "loss 0 %", "reno")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "100 %" in finished.stdout
    assert ", 0 different, 0 that do not hold what they must" in finished.stdout
    assert before == (recorded.PATH.stat().st_mtime_ns, document.PATH.stat().st_mtime_ns)


def test_words_that_no_cell_has_are_a_mistake() -> None:
    finished = run("--check", "vegas")
    assert finished.returncode == 2
    assert finished.stderr == "no cell has all these words: vegas\n"


def test_no_processes_are_a_mistake() -> None:
    finished = run("--jobs", "0")
    assert finished.returncode == 2
    assert finished.stderr.endswith("--jobs 0: there must be 1 process at least\n")
