"""``python -m tests.lab.check ROW``: exits 1 if any claim of that experiment, or of that line of F2, fails, for the
mutants."""

from __future__ import annotations

import sys

from synfin.lab.claims import catalogue
from synfin.lab.registry import experiment
from synfin.lab.running import run


def main(row: str) -> int:
    try:
        failed = _failed(row)
    except Exception as error:  # a mutant may break anything
        print(f"{type(error).__name__}: {error}")
        return 1
    for text in failed:
        print(text)
    return 1 if failed else 0


def _failed(row: str) -> list[str]:
    if row in catalogue.names():
        claim = catalogue.claim(row)
        return claim.failed(catalogue.run(claim))
    one = experiment(row)
    return [claim.text for claim in one.failed(run(one))]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
