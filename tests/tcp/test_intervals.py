"""The scoreboard's intervals, against a set of numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from synfin.tcp.intervals import Intervals

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 60), st.integers(1, 12)),
        st.tuples(st.just("drop"), st.integers(0, 70), st.just(0)),
    ),
    max_size=40,
)


@given(OPERATIONS, st.integers(0, 30), st.integers(1, 5))
def test_against_a_set(operations: list[tuple[str, int, int]], octets: int, count: int) -> None:
    intervals = Intervals()
    model: set[int] = set()
    for kind, at, length in operations:
        if kind == "add":
            covered = set(range(at, at + length))
            assert intervals.covers(at, at + length) == (covered <= model)
            news = intervals.add(at, at + length)
            assert sorted(number for start, end in news for number in range(start, end)) == sorted(covered - model)
            model |= covered
        else:
            intervals.drop_below(at)
            model = {number for number in model if number >= at}
        pairs = intervals.pairs()
        assert {number for start, end in pairs for number in range(start, end)} == model
        # Disjoint, never adjacent, in order.
        assert all(a[1] < b[0] for a, b in pairwise(pairs))
        assert intervals.octets == len(model)
        assert intervals.end == (max(model) + 1 if model else 0)
        assert len(intervals) == len(pairs)
        # `above`: everything below that number has more than `octets` above it, or `count` intervals.
        number = intervals.above(octets, count)
        if number:
            above = len([each for each in model if each >= number])
            starts = len([start for start, _ in pairs if start >= number])
            assert above > octets or starts >= count
        elif pairs:
            assert len(model) <= octets
            assert len(pairs) < count
