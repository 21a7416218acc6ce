"""The goodput table as a file, which `campaigns/goodput.py` writes: on each line a cell and what was measured, as JSON.

Times are in nanoseconds, rates in bits a second. Of a transfer, ``quarter`` is when a quarter of it had arrived,
``goodput`` counts from connect to the last octet, and ``steady`` from that quarter on. Of a shared bottleneck,
``quarter_least`` and ``quarter_most`` are the octets that single flows had after a quarter of the time; the rest is of
what followed, but for ``lost``, ``resent`` and ``timeouts``. Of short transfers, ``quarter`` is the mean of the first
quarter of the runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.goodput.cells import TABLES, Cell, all_cells
from tests.goodput.worlds import Row

PATH: Final = Path(__file__).parents[1] / "data" / "goodput.jsonl"

Rows = Mapping[Cell, Row]


def text(rows: Rows) -> str:
    """What the file holds, in the order of the tables."""
    names = {kind: name for name, kind in TABLES.items()}
    lines = [
        json.dumps({"table": names[type(cell)], **cell._asdict(), **rows[cell]}) for cell in all_cells() if cell in rows
    ]
    return "".join(f"{line}\n" for line in lines)


def save(rows: Rows, path: Path = PATH) -> None:
    """Writes the file, all or nothing."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text(rows), encoding="utf-8")
    temporary.replace(path)


def load(path: Path = PATH) -> dict[Cell, Row]:
    """What the file holds. A cell that no longer exists is left out; no file holds nothing."""
    rows: dict[Cell, Row] = {}
    if not path.exists():
        return rows
    known = set(all_cells())
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        kind = TABLES[row.pop("table")]
        cell = kind(**{name: row.pop(name, None) for name in kind._fields})
        if cell in known:
            rows[cell] = row
    return rows
