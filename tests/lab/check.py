"""``python -m tests.lab.check ROW``: exits 1 if any claim of that experiment fails, for the mutants."""

from __future__ import annotations

import sys

from synfin.lab.registry import experiment
from synfin.lab.running import run


def main(row: str) -> int:
    one = experiment(row)
    try:
        failed = one.failed(run(one))
    except Exception as error:  # a mutant may break anything
        print(f"{type(error).__name__}: {error}")
        return 1
    for claim in failed:
        print(claim.text)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
