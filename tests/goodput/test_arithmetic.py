"""What the goodput table reckons with: a formula, Jain's index, mean and percentile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.goodput.arithmetic import bits_a_second, expected_of_reno, jain, mean, percentile
from tests.goodput.cells import MSS, SECOND

SHARES = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=40).filter(any)


def test_the_formula_at_one_per_cent_and_100_ms() -> None:
    # A window of 12.2 segments each round trip.
    assert expected_of_reno(1, 100) == pytest.approx(12.2 * MSS * 8 * 10)


def test_the_formula_is_that_of_a_sawtooth() -> None:
    """From W/2 to W in W/2 round trips, with one loss at the end: 3/8·W² segments for each loss."""
    highest = 400
    loss = 100 / (3 / 8 * highest**2)
    assert expected_of_reno(loss, 1000) == pytest.approx(3 / 4 * highest * MSS * 8, rel=0.01)


@pytest.mark.parametrize(
    ("shares", "index"),
    [([5], 1), ([3, 3, 3], 1), ([1, 0, 0, 0], 0.25), ([1, 2], 0.9), ([4, 4, 0], 2 / 3)],
)
def test_jains_index(shares: list[int], index: float) -> None:
    assert jain(shares) == pytest.approx(index)


@given(SHARES, st.integers(1, 1000))
def test_jains_index_is_between_one_nth_and_one_and_knows_no_unit(shares: list[int], unit: int) -> None:
    index = jain(shares)
    assert 1 / len(shares) - 1e-9 <= index <= 1 + 1e-9
    assert jain([share * unit for share in shares]) == pytest.approx(index)


def test_nothing_cannot_be_shared() -> None:
    with pytest.raises(ValueError, match="nobody"):
        jain([0, 0])


@pytest.mark.parametrize(
    ("values", "percent", "found"),
    [
        ([7], 90, 7),
        (list(range(10, 0, -1)), 90, 9),
        (list(range(1, 12)), 90, 10),
        (list(range(1, 101)), 90, 90),
        ([3, 1, 2], 100, 3),
        ([3, 1, 2], 1, 1),
    ],
)
def test_percentiles_are_values_by_rank(values: list[int], percent: int, found: int) -> None:
    assert percentile(values, percent) == found


@given(st.lists(st.integers(), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    assert sum(value <= found for value in values) * 100 >= len(values) * percent
    assert sum(value < found for value in values) * 100 < len(values) * percent


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 90)


def test_means_and_rates_are_rounded_down() -> None:
    assert mean([1, 2, 4]) == 2
    assert bits_a_second(1000, 3 * SECOND) == 2666
