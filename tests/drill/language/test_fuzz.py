"""The campaign of `campaigns/drill_fuzz.py`, small."""

from __future__ import annotations

from collections import Counter

from tests.drill.language import fuzz


def test_wrong_scripts_are_refused_and_nothing_else_happens() -> None:
    outcomes = Counter(fuzz.try_script(fuzz.mutant(0, number)) for number in range(1500))
    # Neither only rubbish nor only what was right before.
    assert outcomes[fuzz.Outcome.REFUSED] > 400
    assert outcomes[fuzz.Outcome.READ] > 400


def test_a_script_is_a_function_of_its_seed_and_number() -> None:
    assert [fuzz.mutant(1, number) for number in range(50)] == [fuzz.mutant(1, number) for number in range(50)]
    assert fuzz.mutant(1, 7) != fuzz.mutant(2, 7)
