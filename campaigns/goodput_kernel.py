"""synfin's goodput against the Linux kernel's, over one path that delays, queues and loses. Takes root.

    python campaigns/goodput_kernel.py --state FILE [--runs N] [--seconds S] [--only PATTERN ...] [--table]

Kernel to kernel, synfin to kernel and kernel to synfin in turn, for each round-trip time and each loss, through one
forwarder between two TUN devices in namespaces of their own (campaigns/beside_kernel/). What the file holds already,
of this source, this kernel and these settings, is not done again. Ends with the table and the verdict; exit status 1
says that the requirement is not met, or not measured whole. `--only` takes names of cells such as
"synfin-kernel/20/0.1", with * and ?; calls for different cells may share a file and a time; `--table` measures nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from fnmatch import fnmatchcase
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import synfin
from campaigns.beside_kernel.cells import Result, Run, Settings, all_runs, digest, line, load
from campaigns.beside_kernel.measure import FailedError, measure, seconds_of
from campaigns.beside_kernel.table import Summary
from synfin.tcp.congestion import available

#: How often a run is tried that does not count.
ATTEMPTS = 3


def arguments() -> tuple[argparse.Namespace, Settings, dict[Run, Result]]:
    """What is asked, and what the file holds already. A mistake ends the command with one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="results, as JSON lines")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each cell")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="measured; with loss, thrice that")
    parser.add_argument("--warm-up", type=float, default=5.0, metavar="S", help="before that, from the first octet on")
    parser.add_argument("--only", nargs="+", metavar="PATTERN", help="cells, and no others")
    parser.add_argument("--congestion", default="cubic", metavar="NAME", help="synfin's; the kernel's is cubic")
    parser.add_argument("--table", action="store_true", help="print the table of what was measured before")
    asked = parser.parse_args()
    if asked.runs < 1 or asked.seconds <= 0 or asked.warm_up < 0:
        parser.error("--runs takes 1 or more, --seconds more than 0, --warm-up 0 or more")
    if not chosen(all_runs(1), asked.only):
        parser.error(f"no cell is called {' or '.join(asked.only)}; they are called like {all_runs(1)[1].cell}")
    if asked.congestion not in available():
        parser.error(f"synfin has no congestion control {asked.congestion!r}, but {', '.join(available())}")
    if not asked.table and os.geteuid() != 0:
        parser.error("this takes root: namespaces and TUN devices are made")
    settings = Settings(
        asked.seconds, asked.warm_up, asked.congestion, platform.release(), digest(Path(synfin.__file__).parent)
    )
    try:
        if not asked.table:
            # Better now than when the first result is to be written.
            asked.state.touch()
        results, others = load(asked.state, settings)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if others:
        print(f"{asked.state}: {others} runs of another source, kernel or setting are left aside")
    return asked, settings, results


def chosen(runs: list[Run], patterns: list[str] | None) -> list[Run]:
    if patterns is None:
        return runs
    return [run for run in runs if any(fnmatchcase(str(run.cell), pattern) for pattern in patterns)]


def tell(run: Run, result: Result) -> str:
    shares = ", ".join(f"{name} {share:.0f}+{result.waited[name]:.0f}" for name, share in result.cpu.items())
    return (
        f"{run.cell} run {run.number}: {result.rate:.3g} Mbit/s; of {result.packets} packets {result.lost} lost,"
        f" {result.dropped} dropped; late {result.late:.2f} %, worst {result.worst:.1f} ms;"
        f" % of a core used + waited for: {shares}" + (f"; DOES NOT COUNT: {result.invalid}" if result.invalid else "")
    )


def run_all(wanted: list[Run], settings: Settings, state: Path) -> dict[Run, Result]:
    """Measures what is wanted, each result being written before the next run begins."""
    found: dict[Run, Result] = {}
    left = sum(settings.warm_up + seconds_of(run, settings) + 1 for run in wanted)
    print(f"{len(wanted)} runs to do, {left / 60:.0f} min", flush=True)
    for count, run in enumerate(wanted, 1):
        for _ in range(ATTEMPTS):
            try:
                result = measure(run, settings)
            except FailedError as error:
                print(f"{count} of {len(wanted)}: {run.cell} run {run.number}: {error}", flush=True)
                continue
            with state.open("a") as file:
                file.write(line(settings, run, result) + "\n")
            print(f"{count} of {len(wanted)}: {tell(run, result)}", flush=True)
            if not result.invalid:
                found[run] = result
                break
    return found


def main() -> None:
    asked, settings, results = arguments()
    if not asked.table:
        wanted = [run for run in chosen(all_runs(asked.runs), asked.only) if run not in results]
        results |= run_all(wanted, settings, asked.state)
    summary = Summary(results)
    met, words = summary.verdict()
    print(summary.markdown())
    print("\n".join(words))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        # What was measured is in the file.
        sys.exit(130)
