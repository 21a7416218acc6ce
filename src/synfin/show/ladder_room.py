"""Room in pictures of ladders: time is drawn out, and rows are moved apart, until every label has a good place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from synfin.show.ladder_layout import Layout

__all__ = ["level", "settle"]

_MOST_TRIES: Final = 60
# One label in a good place is worth a picture that is so much higher.
_WORTH: Final = 300.0
# So often rows are moved apart for labels that have a place, but not a good one.
_MOST_BETTER: Final = 24


def settle(layouts: Sequence[Layout], arrange: Callable[[], None]) -> None:
    """Make room for all labels of these pictures, whose rows `arrange` puts in their places.

    Where not every label can have a good place, the best picture that was found is kept.
    """
    best = [layout.spacing for layout in layouts]
    least: tuple[int, float] | None = None
    height = 0.0

    def draw() -> tuple[int, int]:
        nonlocal best, least, height
        arrange()
        drawn = [layout.draw() for layout in layouts]
        faults = sum(homeless for homeless, _ in drawn), sum(cramped for _, cramped in drawn)
        height = height or max(layout.bottom for layout in layouts)
        higher = max(layout.bottom for layout in layouts) - height
        cost = faults[0], faults[1] + higher / _WORTH
        if least is None or cost < least:
            best, least = [layout.spacing for layout in layouts], cost
        return faults

    def back() -> None:
        for layout, spacing in zip(layouts, best, strict=True):
            layout.spacing = spacing

    faults = draw()
    while any(faults) and _stretched(layouts):
        faults = draw()
    if any(faults):
        back()
        faults = draw()
    better = 0
    for attempt in range(_MOST_TRIES):
        better += not faults[0]
        if not any(faults) or better > _MOST_BETTER:
            break
        moved = [layout.make_room(attempt) for layout in layouts]
        if any(moved):
            faults = draw()
    if any(faults):
        back()
        draw()


def level(first: Layout, second: Layout, pairs: Sequence[tuple[int | None, int | None]]) -> None:
    """Bring the rows of each pair to one level, and all pairs below one another: what happens at one time in two
    pictures then stands side by side."""
    layouts = first, second

    def arrange() -> None:
        for layout in layouts:
            layout.place_rows()
        floor = 0.0
        for pair in pairs:
            there = [(layout, at) for layout, at in zip(layouts, pair, strict=True) if at is not None]
            floor = max([floor, *(layout.ys[at] for layout, at in there)])
            for layout, at in there:
                layout.lower(at, floor)
            floor = max([floor, *(layout.ys[at] for layout, at in there)])

    scale = max(layout.spacing[0] for layout in layouts)
    for layout in layouts:
        layout.spacing = scale, layout.spacing[1]
    settle(layouts, arrange)


def _stretched(layouts: Sequence[Layout]) -> bool:
    """Draw time out in each; False if none of them can be."""
    stretched = [layout.stretch() for layout in layouts]
    return any(stretched)
