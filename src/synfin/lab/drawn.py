"""An experiment as one picture: its worlds side by side, or a world beside what became of it."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

from synfin.lab.report import MOST_SEGMENTS, MOST_WORLDS, Report
from synfin.lab.running import Run
from synfin.lab.what_if import described, numbers, paired
from synfin.lab.words import translation
from synfin.show.curves import render_curves
from synfin.show.pairing import alike
from synfin.show.side_by_side_svg import Panel, ladder_panel, pair_of_panels, render_panels
from synfin.show.time_sequence import render_time_sequence

__all__ = ["drawn"]

#: So many worlds stand in one row; more stand in rows, of as many as fill them.
_MOST_IN_ONE: Final = 3
_BESIDE: Final = (4, 3, 2)
_BEFORE: Final = 6


def drawn(report: Report) -> str:
    """The worlds that are shown, as an SVG document."""
    gettext = translation(report.wishes.language).gettext
    title = f"{report.experiment.row}  {gettext(report.experiment.question)}"
    shown = [name for name in report.shown if not report.changes or name in report.changed]
    if report.changes:
        # Those in which it makes no difference need not be drawn, as long as there are others.
        differ = [name for name in shown if report.runs[name].world.parting(report.changed[name].world) is not None]
        shown = (differ or shown)[:MOST_WORLDS]
    changes = gettext(", ").join(described(change, gettext) for change in report.changes)
    rows: list[list[Panel | None]] = []
    if report.changes:
        for name in shown:
            usual = gettext(report.runs[name].shown.title)
            otherwise = gettext("{world}: {changes}").format(world=usual, changes=changes)
            rows += _pairs(report, report.runs[name], report.changed[name], (usual, otherwise))
    elif len(shown) == 2 and all(report.runs[name].shown.picture == "ladder" for name in shown):
        first, second = (report.runs[name] for name in shown)
        rows = _pairs(report, first, second, (gettext(first.shown.title), gettext(second.shown.title)))
    else:
        columns = [_panels(report, report.runs[name]) for name in shown]
        several = [n for n in _BESIDE if n < len(columns) and not len(columns) % n]
        beside = len(columns) if len(columns) <= _MOST_IN_ONE else [*several, _MOST_IN_ONE][0]
        for at in range(0, len(columns), beside):
            part = columns[at : at + beside]
            for line in range(max(map(len, part))):
                # Each world keeps its column.
                rows.append([column[line] if line < len(column) else None for column in part])
    rows = [row for row in rows if any(panel is not None for panel in row)]
    return render_panels(rows, title=title, language=report.wishes.language)


def _pairs(report: Report, first: Run, second: Run, titles: tuple[str, str]) -> list[list[Panel | None]]:
    """Two runs, connection by connection; one that only one of them has stands alone."""
    wishes = report.wishes
    if report.changes and first.shown.picture in ("curves", "time-sequence"):
        return [[*_panels(report, first), *_panels(report, second)]]
    if report.changes:
        pairs = paired(first, second)
        differ = [(mine, other) for mine, other in pairs if mine is None or other is None or not alike(mine, other)]
        pairs = differ or pairs
    else:
        mine, others = (one.histories[: one.shown.connections] for one in (first, second))
        pairs = list(zip_longest(mine, others))
    rows: list[list[Panel | None]] = []
    for here, there in pairs:
        if here is not None and there is not None:
            rows.append(
                [
                    *pair_of_panels(
                        here,
                        there,
                        titles,
                        wishes.language,
                        wishes.relative,
                        (numbers(first), numbers(second)),
                        _BEFORE if report.changes else None,
                        MOST_SEGMENTS,
                        0,
                        not wishes.stacked,
                    )
                ]
            )
        else:
            rows.append(
                [
                    None
                    if one is None
                    else ladder_panel(
                        one, title, wishes.language, wishes.relative, numbers(of), MOST_SEGMENTS, 0, not wishes.stacked
                    )
                    for one, title, of in ((here, titles[0], first), (there, titles[1], second))
                ]
            )
    return rows


def _panels(report: Report, one: Run) -> list[Panel]:
    """The pictures of one world, one below the other."""
    gettext = translation(report.wishes.language).gettext
    wishes, title = report.wishes, gettext(one.shown.title)
    if one.shown.picture == "curves":
        return [Panel(render_curves(one.events, language=wishes.language, title=title))]
    histories = one.histories[: one.shown.connections]
    if one.shown.picture == "time-sequence":
        return [Panel(render_time_sequence(each, language=wishes.language, title=title)) for each in histories]
    return [
        ladder_panel(each, title, wishes.language, wishes.relative, numbers(one), MOST_SEGMENTS, 0, not wishes.stacked)
        for each in histories
    ]
