"""The campaign of mutants for the scripts: changes of one place in the source, each of which some scripts must notice.

    python tests/drill/mutants.py [NAME ...] [--jobs N]

Each mutant of `mutants.toml` is applied to a copy of the source, and the scripts that it names are run against it: all
of them must fail. Every script is named by one mutant at least. With names of mutants, only those. Exits 1 unless
every mutant is noticed. Made with the machinery of `tests/mutants/run.py`, which does the same for tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(ROOT))

from tests.mutants.run import (  # noqa: E402
    BROKEN,
    KILLED,
    NO_LONGER_APPLIES,
    SURVIVED,
    Mutant,
    NotRunError,
    campaign,
    copy_source,
)

SCRIPTS = FOLDER / "scripts"
#: Seconds after which scripts that do not end count as failed.
TIMEOUT = 300


def read_mutants() -> list[Mutant]:
    """The mutants; what they name are scripts, without their suffix, under `SCRIPTS`."""
    entries = tomllib.loads((FOLDER / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
    return [Mutant(requirements=[], tests=entry.pop("scripts"), **entry) for entry in entries]


def failed(scripts: list[str], source: Path) -> set[str]:
    """Those of `scripts` that fail with the source in `source`. Raises NotRunError, and TimeoutExpired."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "synfin", "drill", "--strict-end", "--json", str(results)]
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        paths = [str(SCRIPTS / f"{name}.pkt") for name in scripts]
        subprocess.run(command + paths, env=environment, capture_output=True, check=False, timeout=TIMEOUT, cwd=ROOT)
        if not results.exists():
            raise NotRunError("nothing runs")
        told = json.loads(results.read_text(encoding="utf-8"))["results"]
    by_path = dict(zip(paths, scripts, strict=True))
    return {by_path[str(ROOT / one["path"])] for one in told if one["status"] == "failed"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Breaks the stack in one place after another; the scripts must notice."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a mutant's name")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    options = parser.parse_args(arguments)
    mutants = read_mutants()
    unknown = set(options.names) - {mutant.name for mutant in mutants}
    if unknown:
        parser.error(f"no mutant is called {', '.join(sorted(unknown))}")
    if options.names:
        mutants = [mutant for mutant in mutants if mutant.name in options.names]
    scripts = sorted({name for mutant in mutants for name in mutant.tests})
    with tempfile.TemporaryDirectory(prefix="synfin-mutants-") as folder:
        try:
            dead = failed(scripts, copy_source(Path(folder)))
        except NotRunError as error:
            dead = {str(error)}
    if dead:
        print("these scripts fail without any mutant:", *sorted(dead), file=sys.stderr)
        return 1
    outcomes = [outcome for _, outcome, _ in campaign(mutants, max(options.jobs, 1), failed)]
    counts = {outcome: outcomes.count(outcome) for outcome in (KILLED, SURVIVED, NO_LONGER_APPLIES, BROKEN)}
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    print(f"{len(mutants)} mutants, {len(scripts)} scripts: {said}")
    return 0 if counts[KILLED] == len(mutants) else 1


if __name__ == "__main__":
    raise SystemExit(main())
