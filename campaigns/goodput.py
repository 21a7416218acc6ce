"""Makes the goodput table in the simulator: every cell of tests/goodput/cells.py.

    python campaigns/goodput.py [WORD ...] [--check] [--jobs N]

Writes tests/data/goodput.jsonl, and docs/goodput.md from it. With words, only the cells whose names have them all, such
as "cubic" "RTT 20 ms"; the others stay as they are. --check writes nothing and exits 1 if a cell came out differently.
In either case it exits 1 if the table does not hold what it must (tests/goodput/verdicts.py).
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.goodput import document, recorded
from tests.goodput.cells import Cell, all_cells
from tests.goodput.verdicts import all_wrong
from tests.goodput.worlds import Row, measure


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Makes the goodput table in the simulator, or checks it.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only the cells whose names have all these words")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a cell came out differently")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at a time (2)")
    asked = parser.parse_args()
    if asked.jobs < 1:
        parser.error(f"--jobs {asked.jobs}: there must be 1 process at least")
    return asked


def play(cells: list[Cell], jobs: int) -> dict[Cell, Row]:
    """Measures the cells, the longest first, and tells how far it is."""
    rows: dict[Cell, Row] = {}
    began = time.monotonic()
    whole = sum(cell.work for cell in cells)
    done = 0
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as executor:
        longest_first = sorted(cells, key=lambda cell: cell.work, reverse=True)
        futures = {executor.submit(measure, cell): cell for cell in longest_first}
        for finished in as_completed(futures):
            cell = futures[finished]
            rows[cell] = finished.result()
            done += cell.work
            part = 100 * done // whole
            print(f"{part:3} %  {time.monotonic() - began:5.1f} s  {len(rows)} of {len(cells)}: {cell}", flush=True)
    return rows


def main() -> int:
    asked = arguments()
    cells = [cell for cell in all_cells() if all(word in str(cell) for word in asked.words)]
    if not cells:
        print(f"no cell has all these words: {' '.join(asked.words)}", file=sys.stderr)
        return 2
    rows = recorded.load()
    found = play(cells, asked.jobs)
    different = [cell for cell in cells if rows.get(cell) != found[cell]]
    for cell in different:
        print(f"{cell}\n  was {rows.get(cell)}\n  is  {found[cell]}")
    rows |= found
    if not asked.check:
        recorded.save(rows)
        document.PATH.write_text(document.text(rows), encoding="utf-8")
    wrong = all_wrong(rows)
    for line in wrong:
        print(f"does not hold: {line}")
    print(f"{len(found)} cells, {len(different)} different, {len(wrong)} that do not hold what they must")
    return 1 if wrong or (asked.check and different) else 0


if __name__ == "__main__":
    raise SystemExit(main())
