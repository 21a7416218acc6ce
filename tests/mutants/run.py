"""The campaign of mutants: one-line changes of the source, each of which breaks a requirement of RFC 9293.

    python tests/mutants/run.py [ID ...] [--jobs N]

Each mutant is applied to a copy of the source in a temporary folder, and the tests that the data name are run against
it: all of them must fail. With IDs (MUST-24, or the name of a mutant), only those. Exits 1 unless every mutant dies.

The data are the TOML files beside this one. A mutant has a name, the requirements that it breaks, the file, the exact
old text, which occurs once in it, the new text, and the tests that must die: at least one of them is marked with each
requirement. So every marker of a test is proved by a mutant (test_mutants.py).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
SOURCE = ROOT / "src"

#: Seconds after which a test that hangs counts as dead, and after which a whole run is given up.
TEST_TIMEOUT = 60
RUN_TIMEOUT = 600

KILLED = "killed"
SURVIVED = "survived"
NO_LONGER_APPLIES = "no longer applies"
BROKEN = "broken"

#: Which of the tests named fail with the source in a folder.
Failed = Callable[[list[str], Path], set[str]]


class Mutant:
    """A change of one place in the source. `file` is relative to src/synfin; `tests` are node ids."""

    __slots__ = ("file", "name", "new", "old", "requirements", "tests")

    def __init__(self, name: str, requirements: list[str], file: str, old: str, new: str, tests: list[str]) -> None:
        self.name = name
        self.requirements = requirements
        self.file = file
        self.old = old
        self.new = new
        self.tests = tests

    def applies(self, source: Path = SOURCE) -> bool:
        """Whether the old text occurs exactly once."""
        path = source / "synfin" / self.file
        return path.exists() and path.read_text(encoding="utf-8").count(self.old) == 1


def read_mutants(folder: Path = FOLDER) -> list[Mutant]:
    """The mutants of all data files. Raises TypeError if one has too few or too many fields."""
    return [
        Mutant(**entry)
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    ]


def dead_tests(output: str) -> set[str]:
    """The node ids, without parameters, that pytest's summary calls failed."""
    return {found.partition("[")[0] for found in re.findall(r"^(?:FAILED|ERROR) (\S+::\S+)", output, re.MULTILINE)}


def run_tests(tests: Iterable[str], copy: Path) -> subprocess.CompletedProcess[str]:
    """Runs `tests` of this checkout against the source in `copy`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", f"--timeout={TEST_TIMEOUT}"]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "ci"}
    return subprocess.run(
        [*command, *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_TIMEOUT,
    )


class NotRunError(Exception):
    """Neither passed nor failed: no such test, or a source that cannot even be imported."""


def failed_tests(tests: list[str], copy: Path) -> set[str]:
    """Those of `tests` that fail with the source in `copy`. Raises NotRunError, and subprocess.TimeoutExpired."""
    ran = run_tests(tests, copy)
    if ran.returncode not in (0, 1):
        raise NotRunError(" ".join((ran.stdout + ran.stderr).split())[-300:])
    dead = dead_tests(ran.stdout)
    return {test for test in tests if test.partition("[")[0] in dead}


def try_mutant(mutant: Mutant, copy: Path, failed: Failed = failed_tests) -> tuple[str, str]:
    """What became of the mutant, and a word about it. `copy` is a copy of the source, as it is again afterwards."""
    if not mutant.applies():
        return NO_LONGER_APPLIES, f"{mutant.file} does not have its text exactly once"
    path = copy / "synfin" / mutant.file
    original = path.read_text(encoding="utf-8")
    path.write_text(original.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        dead = failed(mutant.tests, copy)
    except subprocess.TimeoutExpired:
        return KILLED, "by the clock"
    except NotRunError as error:
        return BROKEN, str(error)
    finally:
        path.write_text(original, encoding="utf-8")
    alive = [test for test in mutant.tests if test not in dead]
    return (SURVIVED, f"{', '.join(alive)} did not fail") if alive else (KILLED, "")


def copy_source(to: Path) -> Path:
    """Copies the source, as PYTHONPATH wants it."""
    shutil.copytree(SOURCE, to / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so"))
    return to / "src"


def campaign(mutants: list[Mutant], jobs: int = 1, failed: Failed = failed_tests) -> list[tuple[Mutant, str, str]]:
    """Tries all of them, `jobs` at a time; prints and returns what became of each, in their order.

    `failed` says which of a mutant's tests fail with the source in a folder.
    """
    with tempfile.TemporaryDirectory(prefix="synfin-mutants-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(jobs):
            copies.put(copy_source(Path(folder) / str(job)))

        def judge(mutant: Mutant) -> tuple[Mutant, str, str]:
            copy = copies.get()
            try:
                outcome, word = try_mutant(mutant, copy, failed)
            finally:
                copies.put(copy)
            print(f"{outcome:<18} {mutant.name} ({', '.join(mutant.requirements or mutant.tests)}) {word}", flush=True)
            return mutant, outcome, word

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(judge, mutants))


def unharmed(mutants: list[Mutant]) -> bool:
    """Whether the tests pass while nothing is changed; otherwise their failure would prove nothing."""
    with tempfile.TemporaryDirectory(prefix="synfin-mutants-") as folder:
        ran = run_tests(sorted({test for mutant in mutants for test in mutant.tests}), copy_source(Path(folder)))
    if ran.returncode:
        print(ran.stdout[-3000:] + ran.stderr[-1000:], file=sys.stderr)
    return ran.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Breaks one requirement after another; the tests must notice.")
    parser.add_argument("ids", nargs="*", metavar="ID", help="a requirement, such as MUST-24, or a mutant's name")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    options = parser.parse_args(arguments)
    mutants = read_mutants()
    if options.ids:
        known = {name for mutant in mutants for name in (mutant.name, *mutant.requirements)}
        for name in options.ids:
            if name not in known:
                parser.error(f"no mutant is called {name} or breaks it")
        mutants = [mutant for mutant in mutants if {mutant.name, *mutant.requirements} & set(options.ids)]
    if not unharmed(mutants):
        print("these tests fail without any mutant", file=sys.stderr)
        return 1
    outcomes = [outcome for _, outcome, _ in campaign(mutants, max(options.jobs, 1))]
    counts = {outcome: outcomes.count(outcome) for outcome in (KILLED, SURVIVED, NO_LONGER_APPLIES, BROKEN)}
    print(f"{len(mutants)} mutants: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 0 if counts[KILLED] == len(mutants) else 1


if __name__ == "__main__":
    raise SystemExit(main())
