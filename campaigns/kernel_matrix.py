"""Puts the Linux kernel of this machine into every state, sends it every segment, and writes down what came.

    python campaigns/kernel_matrix.py [all | --cells N --seed S] [--jobs N] [--again] [--output FILE]

The cells are those of tests/matrix/cells.py; the file is described in tests/matrix/recorded.py. Takes root. What the
file holds of this kernel already is not done again, so that a campaign can be broken off and gone on with; --again
begins anew. `--cells N` takes a sample. Each job has a network namespace of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from synfin.link.kernel import KernelHost
from tests.matrix.cells import Cell
from tests.matrix.kernel import BATCH, KernelMatrix
from tests.matrix.observed import Observation
from tests.matrix.recorded import PATH, all_cells, load, save

#: How many cells one namespace runs before the file is written.
PORTION = 4 * BATCH


def run(portion: list[Cell]) -> tuple[list[tuple[Cell, Observation]], int]:
    """Runs cells in a new namespace; with what was observed, how many batches had to be repeated."""
    with KernelHost() as kernel:
        matrix = KernelMatrix(kernel)
        return list(matrix.observe(portion)), matrix.repeated


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the Linux kernel does in each cell of the matrix.")
    parser.add_argument("all", nargs="?", choices=["all"], help="every cell (what happens without --cells too)")
    parser.add_argument("--cells", type=int, metavar="N", help="a sample of N cells")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time")
    parser.add_argument("--again", action="store_true", help="forget what the file holds")
    parser.add_argument("--output", type=Path, default=PATH, metavar="FILE")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    head: dict[str, object] = {"kernel": platform.release(), "date": datetime.now(UTC).date().isoformat()}
    observations: dict[Cell, Observation] = {}
    if asked.output.exists() and not asked.again:
        old_head, old = load(asked.output)
        if old_head["kernel"] == head["kernel"]:
            observations = old
        else:
            print(f"{asked.output} is of {old_head['kernel']}: beginning anew")
    wanted = all_cells()
    if asked.cells is not None:
        wanted = random.Random(asked.seed).sample(wanted, min(asked.cells, len(wanted)))
    wanted = [cell for cell in wanted if cell not in observations]
    portions = [wanted[start : start + PORTION] for start in range(0, len(wanted), PORTION)]
    begin = time.monotonic()
    done = repeated = 0
    with ProcessPoolExecutor(asked.jobs, multiprocessing.get_context("spawn")) as executor:
        for finished in as_completed([executor.submit(run, portion) for portion in portions]):
            found, again = finished.result()
            observations.update(found)
            save(asked.output, head, observations)
            done += len(found)
            repeated += again
            print(f"{done} of {len(wanted)} cells, {time.monotonic() - begin:.1f} s, {repeated} batches repeated")
    print(f"{asked.output}: {len(observations)} cells, {asked.output.stat().st_size} octets")


if __name__ == "__main__":
    main()
