"""CPython's own tests of sockets and of what is built on them, on the kernel's sockets and on ours.

    python campaigns/cpython_tests.py [MODULE ...] [--timeout SECONDS] [--log DIRECTORY]

The tests are those of the installed Python's package `test` (on Debian libpython3.11-testsuite, or what the version
is). Of those that pass on the kernel's sockets and in which a connection went through our stack, it prints by module
how many pass on ours. With all modules, which takes some twelve minutes, it writes docs/cpython-tests.md, with the
reasons that stand in tests/cpython/reasons.toml. The end is 1 if a difference has no reason there, a reason is no
longer needed, or fewer than 95 % pass.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cpython import report, runs

#: Of the tests that count, so many must pass.
WANTED = 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as test_ssl; all by default")
    parser.add_argument("--timeout", type=float, default=runs.TIMEOUT, metavar="SECONDS", help="for one test")
    parser.add_argument("--log", type=Path, metavar="DIRECTORY", help="where what the tests print goes")
    asked = parser.parse_args()
    unknown = [one for one in asked.modules if one not in runs.MODULES]
    if unknown:
        parser.error(f"no module {unknown[0]!r}: there are {', '.join(runs.MODULES)}")
    missing = runs.missing()
    if missing:
        print(missing, file=sys.stderr)
        return 2
    found: list[report.Row] = []
    for module in asked.modules or runs.MODULES:
        outcomes = []
        for ours in (False, True):
            with contextlib.ExitStack() as resources:
                name = f"{module}.{'ours' if ours else 'kernel'}.log"
                log = resources.enter_context((asked.log / name).open("wb")) if asked.log is not None else None
                outcomes.append(runs.run(module, ours, timeout=asked.timeout, log=log))
        these = report.rows(module, *outcomes)
        found += these
        print(*list(report.table(these))[2:-1], sep="\n", flush=True)
        for row in these:
            if row.differs:
                counts = "" if row.counts else " (no connection)"
                print(f"    {row.name}: {row.ours.outcome}: {row.ours.why}{counts}", flush=True)
    reasons = report.read_reasons()
    wrong = report.complaints(found, reasons)
    share = report.share(found)
    if share < WANTED:
        wrong.append(f"only {share:.1%} pass")
    if not asked.modules:
        print(*report.table(found), sep="\n")
        report.DOCUMENT.write_text(report.document(found, reasons))
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
