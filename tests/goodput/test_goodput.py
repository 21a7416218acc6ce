"""The goodput table that `campaigns/goodput.py` recorded: whole, what this tree does, and what it must hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.goodput import document, recorded, verdicts
from tests.goodput.arithmetic import expected_of_reno
from tests.goodput.cells import (
    CODEL,
    DROP_TAIL,
    RACK_TLP,
    RATES,
    SACK_OFF,
    SHARE,
    Cell,
    Sharing,
    Short,
    Transfer,
    all_cells,
)
from tests.goodput.recorded import Rows
from tests.goodput.worlds import Row, begin, measure

ROWS = recorded.load()
PLAYED = all_cells()
AGAIN = "if the change is meant, run python campaigns/goodput.py, and read what it says"

#: Played to the end: of each table one.
WHOLE: list[Cell] = [
    Transfer(3, 20, "reno", SACK_OFF),
    Sharing(2, DROP_TAIL, "reno", SACK_OFF),
    Short(1_000_000, 1, 100, "reno", SACK_OFF),
]


def test_every_cell_stands_in_the_table() -> None:
    assert list(ROWS) == PLAYED


@pytest.mark.parametrize("cell", PLAYED, ids=str)
def test_the_first_quarter_comes_out_as_recorded(cell: Cell) -> None:
    recorded_row = ROWS[cell]
    found = begin(cell)
    assert found == {name: recorded_row[name] for name in found}, AGAIN


@pytest.mark.parametrize("cell", WHOLE, ids=str)
def test_the_whole_comes_out_as_recorded(cell: Cell) -> None:
    assert measure(cell) == ROWS[cell], AGAIN


def test_the_document_is_that_of_the_table() -> None:
    assert document.PATH.read_text(encoding="utf-8") == document.text(ROWS), "run python campaigns/goodput.py"


def test_the_file_holds_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "goodput.jsonl"
    assert recorded.load(path) == {}
    recorded.save(ROWS, path)
    assert recorded.load(path) == ROWS
    assert path.read_bytes() == recorded.PATH.read_bytes()


# --- what the table must hold


def test_without_loss_goodput_is_at_least_0_93_of_the_rate() -> None:
    assert verdicts.slow_without_loss(ROWS) == []


def test_reno_is_within_30_per_cent_of_the_formula() -> None:
    assert verdicts.far_from_formula(ROWS) == []


def test_flows_share_a_bottleneck_with_a_jain_index_of_at_least_0_9() -> None:
    assert verdicts.unfair(ROWS) == []


def test_rack_tlp_is_never_below_sack_off() -> None:
    assert verdicts.worse_with_rack(ROWS) == []


# --- and that it is noticed where it does not

FAIR = Sharing(8, DROP_TAIL, "cubic", RACK_TLP)
FORMULA = Transfer(1, 100, "reno", RACK_TLP)
CLEAN = Transfer(0, 20, "cubic", RACK_TLP)
LOSSY = Transfer(10, 300, "cubic", RACK_TLP)
SMALL = Short(10_000, 1, 20, "reno", RACK_TLP)


@pytest.mark.parametrize(
    ("judge", "cell", "good", "bad"),
    [
        (verdicts.slow_without_loss, CLEAN, {"goodput": 0.93 * RATES[20]}, {"goodput": 0.929 * RATES[20]}),
        (verdicts.slow_without_loss, FAIR, {"goodput": 7.44 * SHARE}, {"goodput": 7.43 * SHARE}),
        (
            verdicts.far_from_formula,
            FORMULA,
            {"steady": 1.29 * expected_of_reno(1, 100)},
            {"steady": 1.31 * expected_of_reno(1, 100)},
        ),
        (
            verdicts.far_from_formula,
            FORMULA,
            {"steady": 0.71 * expected_of_reno(1, 100)},
            {"steady": 0.69 * expected_of_reno(1, 100)},
        ),
        (verdicts.unfair, FAIR, {"jain": 0.9}, {"jain": 0.8999}),
    ],
)
def test_a_cell_that_does_not_hold_is_named(
    judge: Callable[[Rows], list[str]], cell: Cell, good: Row, bad: Row
) -> None:
    assert judge({cell: good}) == []
    (wrong,) = judge({cell: bad})
    assert wrong.startswith(str(cell))


@pytest.mark.parametrize(
    ("cell", "without", "good", "bad"),
    [
        (LOSSY, {"goodput": 1000}, {"goodput": 1000}, {"goodput": 999}),
        (SMALL, {"mean": 1000}, {"mean": 1000}, {"mean": 1001}),
    ],
)
def test_rack_below_sack_off_is_named(cell: Transfer | Short, without: Row, good: Row, bad: Row) -> None:
    other = cell._replace(recovery=SACK_OFF)
    assert verdicts.worse_with_rack({other: without, cell: good}) == []
    (wrong,) = verdicts.worse_with_rack({other: without, cell: bad})
    assert wrong.startswith(str(cell))


def test_the_formula_is_asked_where_loss_and_not_the_rate_limits() -> None:
    asked = {
        (cell.loss, cell.rtt) for cell in all_cells() if isinstance(cell, Transfer) and verdicts.follows_formula(cell)
    }
    assert asked == {(loss, rtt) for loss in (0.1, 1) for rtt in (20, 100, 300)}
    assert not verdicts.follows_formula(Transfer(1, 100, "cubic", RACK_TLP))


def test_the_table_is_as_large_as_was_asked() -> None:
    cells = all_cells()
    assert len(set(cells)) == len(cells)
    counts = [sum(isinstance(cell, kind) for cell in cells) for kind in (Transfer, Sharing, Short)]
    assert counts == [5 * 4 * 2 * 3, (3 + 1) * 2 * 3, 3 * 2 * 2 * 2 * 3]
    sharing = [(cell.flows, cell.queue) for cell in cells if isinstance(cell, Sharing)]
    assert set(sharing) == {(2, DROP_TAIL), (8, DROP_TAIL), (32, DROP_TAIL), (8, CODEL)}
