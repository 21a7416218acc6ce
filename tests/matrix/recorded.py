"""The data file of what the Linux kernel did in each cell, as `campaigns/kernel_matrix.py` writes it.

The first line is the head: which kernel, when, how many cells. Every other line is a JSON object for cells of one
situation and one kind of segment in which the same was observed (see `observed`): "cells" lists place and
acknowledgment of each, and "IP" says which versions, 46 being both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.matrix import cells
from tests.matrix.cells import Cell
from tests.matrix.observed import Observation

PATH: Final = Path(__file__).parents[1] / "data" / "kernel_matrix.jsonl"


def all_cells() -> list[Cell]:
    """Every cell of the matrix and the further ones, of both IPs."""
    return [cell for version in cells.IP_VERSIONS for some in (cells.cells, cells.more_cells) for cell in some(version)]


def save(path: Path, head: Mapping[str, object], observations: Mapping[Cell, Observation]) -> None:
    """Writes the file, all or nothing."""
    order = {cell: number for number, cell in enumerate(all_cells())}
    by_segment: dict[Cell, dict[int, Observation]] = {}
    for cell in sorted(observations, key=order.__getitem__):
        by_segment.setdefault(cell._replace(version=0), {})[cell.version] = observations[cell]
    lines: dict[tuple[str, str, str, str], list[str]] = {}
    for cell, seen in by_segment.items():
        versions = {"".join(map(str, seen)): seen[min(seen)]}
        if len(set(seen.values())) > 1:
            versions = {str(version): observed for version, observed in seen.items()}
        for ip, observed in versions.items():
            lines.setdefault((cell.situation, cell.segment, ip, str(observed)), []).append(_where(cell))
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        print(json.dumps({**head, "cells": len(observations)}), file=file)
        for key, where in lines.items():
            row = {**dict(zip(("situation", "segment", "IP", "observed"), key, strict=True)), "cells": where}
            print(json.dumps(row), file=file)
    temporary.replace(path)


def load(path: Path = PATH) -> tuple[dict[str, object], dict[Cell, Observation]]:
    """The head, and what was observed in each cell. A cell that no longer exists is left out."""
    known = {(cell.situation, cell.segment, cell.version, _where(cell)): cell for cell in all_cells()}
    with path.open(encoding="utf-8") as file:
        head = json.loads(next(file))
        observations = {}
        for line in file:
            row = json.loads(line)
            observation = Observation.of(row["observed"])
            for version in row["IP"]:
                for where in row["cells"]:
                    cell = known.get((row["situation"], row["segment"], int(version), where))
                    if cell is not None:
                        observations[cell] = observation
    return head, observations


def _where(cell: Cell) -> str:
    return f"{cell.place} / ack {cell.ack}" if cell.ack else cell.place
