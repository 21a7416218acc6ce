"""What the experiments of section D promise beside their claims."""

from __future__ import annotations

from time import process_time

from synfin.lab.registry import experiment
from synfin.lab.running import run_world


def test_two_hours_of_silence_and_ten_probes_take_less_than_a_second() -> None:
    world = experiment("D1").world("ten")
    began = process_time()
    run = run_world(world)
    assert process_time() - began < 1
    assert run.end > 2 * 3600 * 1_000_000_000
