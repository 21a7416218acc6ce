"""synfin under its default profile against the Linux kernel, cell by cell: as it was recorded
(tests/data/kernel_matrix.jsonl), and a sample of it as it runs here."""

from __future__ import annotations

import platform
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from synfin.link.kernel import KernelHost
from tests.matrix import cells
from tests.matrix.cells import SITUATIONS, Cell
from tests.matrix.differences import DIFFERENCES, Difference, applying, kernel_does
from tests.matrix.kernel import KernelMatrix
from tests.matrix.observed import Observation
from tests.matrix.ours import observe
from tests.matrix.recorded import PATH, all_cells, load, save

#: How many kinds of difference there may be.
MOST_KINDS = 20
SAMPLE = 200
SEED = 9293
CAMPAIGN = Path(__file__).parents[2] / "campaigns" / "kernel_matrix.py"


@pytest.fixture(scope="module")
def recorded() -> dict[Cell, Observation]:
    return load()[1]


def unexplained(cell: Cell, kernel: Observation) -> str:
    """How the kernel differs from what synfin and the differences say of it, empty if it does not."""
    ours = observe(cell)
    wanted = kernel_does(cell, ours)
    if wanted == kernel:
        return ""
    names = ", ".join(difference.name for difference in applying(cell))
    return f"\n{cell.name}: the kernel: {kernel}; synfin: {ours}" + (f"; with {names}: {wanted}" if names else "")


# --- the kernel as it was recorded


def test_the_kernel_has_met_every_segment_in_every_state(recorded: dict[Cell, Observation]) -> None:
    assert set(recorded) == set(all_cells())
    head, _ = load()
    assert head["cells"] == len(recorded) == 9170
    assert PATH.stat().st_size < 1 << 20


@pytest.mark.parametrize("situation", SITUATIONS)
def test_synfin_does_what_the_kernel_does_or_the_difference_has_a_name(
    situation: str, recorded: dict[Cell, Observation]
) -> None:
    cells_here = [cell for cell in recorded if cell.situation == situation]
    assert cells_here
    wrong = [text for cell in cells_here if (text := unexplained(cell, recorded[cell]))]
    assert not wrong, f"{len(wrong)} of {len(cells_here)} cells:" + "".join(wrong)


def test_the_kinds_of_difference_are_few_and_each_has_its_reason() -> None:
    assert len(DIFFERENCES) <= MOST_KINDS
    assert len({difference.name for difference in DIFFERENCES}) == len(DIFFERENCES)
    for difference in DIFFERENCES:
        assert all(difference[:5]), difference.name


@pytest.mark.parametrize("difference", DIFFERENCES, ids=[difference.name for difference in DIFFERENCES])
def test_every_difference_is_one_wherever_it_applies(difference: Difference, recorded: dict[Cell, Observation]) -> None:
    found = 0
    for cell in recorded:
        names = applying(cell)
        if difference not in names:
            continue
        found += 1
        before = observe(cell)
        for earlier in names[: names.index(difference)]:
            before = earlier.instead(before, cell)
        assert difference.instead(before, cell) != before, cell.name
    assert found


def test_no_cell_has_two_explanations() -> None:
    counts = Counter(sum(difference.applies(cell) for difference in DIFFERENCES) for cell in all_cells())
    assert set(counts) == {0, 1}


def test_a_kernel_that_does_something_else_is_seen(recorded: dict[Cell, Observation]) -> None:
    cell = cells.find("ESTABLISHED / ACK+data / left edge / ack new / IPv4")
    kernel = recorded[cell]
    assert unexplained(cell, kernel) == ""
    assert kernel == Observation((), ("ACK seq=SND.NXT ack=RCV.NXT+100",), "ESTABLISHED", "100 octets")
    for other in (
        kernel._replace(replies=kernel.later, later=()),
        kernel._replace(later=("ACK seq=SND.NXT ack=RCV.NXT+99",)),
        kernel._replace(state="CLOSE-WAIT"),
        kernel._replace(hears="99 octets"),
    ):
        assert cell.name in unexplained(cell, other)


# --- the file


def test_what_is_saved_is_loaded(tmp_path: Path, recorded: dict[Cell, Observation]) -> None:
    some = dict(random.Random(SEED).sample(sorted(recorded.items()), 500))
    file = tmp_path / "some.jsonl"
    save(file, {"kernel": "k"}, some)
    head, loaded = load(file)
    assert head == {"kernel": "k", "cells": 500}
    assert loaded == some
    for observation in set(recorded.values()):
        assert Observation.of(str(observation)) == observation


def test_the_file_tells_the_two_ips_apart_where_they_differ(tmp_path: Path) -> None:
    cell = cells.find("ESTABLISHED / ACK / left edge / ack new / IPv4")
    one, other = Observation((), (), "ESTABLISHED", ""), Observation(("ACK seq=0 ack=0",), (), "CLOSED", "EOF")
    file = tmp_path / "two.jsonl"
    for second in (one, other):
        both = {cell: one, cell._replace(version=6): second}
        save(file, {"kernel": "k"}, both)
        assert load(file)[1] == both
        assert len(file.read_text().splitlines()) == (2 if second == one else 3)


# --- the kernel as it runs here


@pytest.mark.tun
def test_a_sample_of_the_running_kernel(recorded: dict[Cell, Observation]) -> None:
    sample = random.Random(SEED).sample(all_cells(), SAMPLE)
    with KernelHost() as kernel:
        seen = dict(KernelMatrix(kernel).observe(sample))
    assert list(seen) == sample
    wrong = [text for cell, observation in seen.items() if (text := unexplained(cell, observation))]
    if load()[0]["kernel"] == platform.release():
        wrong += [
            f"\n{cell.name}: now {observation}, recorded {recorded[cell]}"
            for cell, observation in seen.items()
            if observation != recorded[cell]
        ]
    assert not wrong, f"{len(wrong)} differences:" + "".join(wrong)


@pytest.mark.tun
def test_the_campaign_writes_the_file_and_can_be_gone_on_with(
    tmp_path: Path, recorded: dict[Cell, Observation]
) -> None:
    file = tmp_path / "matrix.jsonl"

    def campaign(*more: str) -> str:
        command = [sys.executable, str(CAMPAIGN), "--seed", "3", "--output", str(file), *more]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    assert "20 of 20 cells" in campaign("--cells", "20")
    head, first = load(file)
    assert (head["kernel"], head["cells"], len(first)) == (platform.release(), 20, 20)
    # random.sample of more begins with the same cells.
    assert "10 of 10 cells" in campaign("--cells", "30", "--jobs", "2")
    _, second = load(file)
    assert len(second) == 30
    assert first.items() <= second.items()
    assert " cells, " in campaign("--cells", "5", "--again")
    assert len(load(file)[1]) == 5
