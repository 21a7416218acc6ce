"""What the goodput campaign counts, what it remembers, and what it concludes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from campaigns.beside_kernel.cells import ENDS, LOSSES, RTTS, Cell, Result, Run, Settings, all_runs, digest, line, load
from campaigns.beside_kernel.forwarder import Forwarded
from campaigns.beside_kernel.measure import complaint
from campaigns.beside_kernel.meter import Meter
from campaigns.beside_kernel.table import Summary

SECOND = 1_000_000_000
SETTINGS = Settings(10.0, 5.0, "cubic", "6.18", "0123456789ab")
KERNEL = Cell("kernel", "kernel", 20, 1.0)
SENDS = Cell("synfin", "kernel", 20, 1.0)


def result(rate: float, invalid: str = "") -> Result:
    return Result(rate, 100, 1, 2, 0.0, 0.5, {"forwarder": 40.0}, {"forwarder": 0.1}, invalid)


def test_only_octets_between_the_mark_and_the_end_count() -> None:
    meter = Meter(2.0, 3.0)
    assert meter.end is None
    start = 7 * SECOND
    for second in range(8):
        meter.arrived(10**second, start + second * SECOND)
    assert meter.end == start + 5 * SECOND
    assert meter.octets == 11100


def test_a_round_is_run_together_and_shares_its_losses() -> None:
    runs = all_runs(2)
    assert len(runs) == 2 * len(RTTS) * len(LOSSES) * len(ENDS) == 60
    assert [(run.cell.sender, run.cell.receiver) for run in runs[:3]] == list(ENDS)
    assert len({run.seed for run in runs[:3]}) == 1
    assert len({run.seed for run in runs}) == 20


def test_the_file_gives_back_what_counts_and_was_made_with_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    made = [
        line(SETTINGS, Run(KERNEL, 0), result(50.0)),
        line(SETTINGS, Run(KERNEL, 1), result(1.0, "late")),
        line(SETTINGS, Run(SENDS, 0), result(49.0)),
        line(replace(SETTINGS, synfin="ba9876543210"), Run(SENDS, 0), result(2.0)),
    ]
    path.write_text("\n".join(made) + "\n")
    assert load(path, SETTINGS) == ({Run(KERNEL, 0): result(50.0), Run(SENDS, 0): result(49.0)}, 1)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "null"])
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.jsonl"
    path.write_text(line(SETTINGS, Run(KERNEL, 0), result(50.0)) + "\n" + text + "\n")
    with pytest.raises(ValueError, match="line 2: not a result"):
        load(path, SETTINGS)


def test_another_source_is_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    before = digest(tmp_path)
    assert digest(tmp_path) == before
    (tmp_path / "a.py").write_text("2")
    assert digest(tmp_path) != before


ON_TIME = Forwarded(1000, 10, 5, 1500, 15, 20.0, 0)


def test_a_run_counts_up_to_the_limits() -> None:
    assert complaint(ON_TIME, 1.0, {"sender": 90.0}, {"sender": 25.0}) == ""


@pytest.mark.parametrize(
    ("forwarded", "late", "cpu", "waited", "words"),
    [
        (replace(ON_TIME, device_drops=1), 0.0, 0.0, 0.0, "the devices dropped 1 packets"),
        (ON_TIME, 1.1, 0.0, 0.0, "1.1 % of the packets were late"),
        (replace(ON_TIME, worst=20.1), 0.0, 0.0, 0.0, "the worst 20 ms"),
        (ON_TIME, 0.0, 91.0, 0.0, "the sender used 91 % of a core"),
        (ON_TIME, 0.0, 0.0, 26.0, "the sender waited 26 % of the time"),
    ],
)
def test_a_run_that_the_machine_spoiled_says_why(
    forwarded: Forwarded, late: float, cpu: float, waited: float, words: str
) -> None:
    assert words in complaint(forwarded, late, {"forwarder": 40.0, "sender": cpu}, {"sender": waited})


def everything(ratios: dict[Cell, float], reference: float = 96.0) -> dict[Run, Result]:
    """Three runs of every cell; synfin as good as the kernel but where `ratios` says otherwise."""
    return {run: result(round(reference * ratios.get(run.cell, 1.0) + run.number / 100, 3)) for run in all_runs(3)}


def low(count: int, ratio: float) -> dict[Cell, float]:
    cells = [Cell(*ends, rtt, 10.0) for rtt in RTTS for ends in ENDS[1:]]
    return dict.fromkeys(cells[:count], ratio)


def test_three_low_cells_are_forgiven() -> None:
    assert Summary(everything(low(3, 0.5))).verdict()[0]


@pytest.mark.parametrize(
    ("results", "word"),
    [
        (everything(low(4, 0.79)), "4 of 20 cells"),
        (everything({SENDS: 0.89}), "synfin-kernel/20/1: 0.89"),
        (everything({}, reference=94.9), "94.9% of the rate"),
        ({run: one for run, one in everything({}).items() if run.cell != SENDS}, "1 not measured"),
        ({}, "not measured"),
    ],
)
def test_what_falls_short_is_named(results: dict[Run, Result], word: str) -> None:
    met, words = Summary(results).verdict()
    assert not met
    assert any(said.startswith("NOT MET") and word in said for said in words)


def test_a_ratio_is_that_of_medians_of_runs_that_both_have() -> None:
    rates = {Run(KERNEL, 0): 10.0, Run(KERNEL, 1): 30.0, Run(KERNEL, 2): 20.0, Run(KERNEL, 3): 90.0}
    rates |= {Run(SENDS, 0): 5.0, Run(SENDS, 1): 25.0, Run(SENDS, 2): 16.0, Run(SENDS, 4): 1.0}
    summary = Summary({run: result(rate) for run, rate in rates.items()})
    assert summary.ratio(SENDS) == 16.0 / 20.0
    assert summary.ratio(Cell("kernel", "synfin", 20, 1.0)) is None
    assert "| 20 | 1 | 25 (10–90; 4) | 16 (5–25; 3) | 0.80 |  |  |" in summary.markdown()
