"""An experiment as a person reads it: the question, a prediction to make, its worlds, what holds, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Final

from synfin.lab.calls import call_rows, ending
from synfin.lab.experiment import NOT_THERE, Claim, Experiment, Table, holds
from synfin.lab.layout import aligned, hanging, heading, paragraph
from synfin.lab.running import Run, Runs, numbered, run
from synfin.lab.telling import stories
from synfin.lab.telling.stories import Story
from synfin.lab.what_if import Change, described, numbers, paired
from synfin.lab.words import filled, translation
from synfin.show.history import History
from synfin.show.ladder import render_ladder
from synfin.show.narration import Narrate
from synfin.show.pairing import alike, shared
from synfin.show.side_by_side import FEWEST_CELLS, render_side_by_side
from synfin.show.words import Language
from synfin.wire.tcp import Segment

__all__ = ["MOST_SEGMENTS", "MOST_WORLDS", "PAGE", "Report", "Wishes", "judged", "said", "summary", "written"]

#: How wide text is at most; histories side by side may be wider.
PAGE: Final = 100
#: How many segments of each connection a ladder shows.
MOST_SEGMENTS: Final = 60
#: How much of what two histories have in common is shown before they part.
_BEFORE: Final = 4
#: So many rows as in a world before are told again.
_MOST_AGAIN: Final = 12
#: In how many worlds both histories are shown if something is changed in all.
MOST_WORLDS: Final = 3


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a report is to look. `width`: of the page, in cells; `brief`: without the worlds; `stacked`: worlds one below
    the other, even where two would fit side by side; `story`: the everyday picture that is told instead of what
    happened (`synfin.lab.telling.stories`), for worlds one below the other."""

    language: Language = "en"
    width: int = PAGE
    color: bool = False
    explain: bool = False
    relative: bool = True
    brief: bool = False
    stacked: bool = False
    story: Story | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to be told: the `runs` of all worlds of an experiment, of which some are `shown`, and what these
    became with the `changes`, if there are any."""

    experiment: Experiment
    runs: Runs
    shown: Sequence[str]
    wishes: Wishes
    changes: Sequence[Change] = ()
    changed: Runs = field(default_factory=dict)
    seed: int = 0

    def _gettext(self, text: str) -> str:
        return translation(self.wishes.language).gettext(text)

    @property
    def _page(self) -> int:
        return min(self.wishes.width, PAGE)

    @property
    def _narrate(self) -> Narrate:
        return "full" if self.wishes.explain else "short"

    def _told(self, history: History) -> Narrate:
        """What stands below the segments of a ladder that has the page for itself."""
        story = self.wishes.story
        return self._narrate if story is None else stories.captions(history, story, self.wishes.language)

    @property
    def judged_in(self) -> Runs:
        """The worlds in which the claims are judged: those that were changed as they then are."""
        return {**self.runs, **self.changed}

    def lines(self) -> Iterator[str]:
        """All of it."""
        gettext, experiment = self._gettext, self.experiment
        yield from hanging(f"{experiment.row}  ", gettext(experiment.question), self._page)
        yield ""
        if not self.changes:
            yield from paragraph(gettext("Predict"), gettext(experiment.prediction), self._page)
            yield from paragraph(gettext("Watch"), gettext(experiment.watch), self._page)
            yield ""
        if not self.wishes.brief:
            yield from self._worlds()
            if self.wishes.story is not None:
                title, text = gettext(self.wishes.story.title), stories.ending(self.wishes.story, self.wishes.language)
                yield from paragraph(title, text, self._page)
        elif self.changed:
            for name in self.shown:
                if name in self.changed:
                    yield heading(gettext(self.runs[name].shown.title), self._page)
                    yield ""
                    yield from self._came_of_it(self.runs[name], self.changed[name])
        yield gettext("What holds") if not self.changes else gettext("What holds now")
        yield from self.claims()
        yield ""
        if experiment.table is not None:
            yield from self._table(experiment)
        if not self.changes:
            yield from paragraph(gettext("Answer"), gettext(experiment.answer), self._page)
        yield from paragraph(gettext("Source"), gettext(", ").join(experiment.clauses), self._page)
        if experiment.tries and not self.changes:
            yield gettext("Try")
            for each in experiment.tries:
                yield f"  synfin lab run {each.arguments}"
                yield from hanging("      ", gettext(each.text), self._page)
            text = gettext("What if? --lose N, --duplicate N, --corrupt N or --delay N=800ms, for any #N above.")
            yield from hanging("  ", text, self._page)

    # --- worlds --------------------------------------------------------------------------------------------------

    def _worlds(self) -> Iterator[str]:
        if self.changed:
            names = [name for name in self.shown if name in self.changed]
            for at, name in enumerate(names):
                yield from self._what_if(self.runs[name], self.changed[name], whole=at < MOST_WORLDS)
            return
        shown = [self.runs[name] for name in self.shown]
        while shown:
            if len(shown) > 1 and self._beside(shown[0], shown[1]):
                yield from self._pair(shown[0], shown[1])
                del shown[:2]
            else:
                yield from self._one(shown.pop(0))

    def _beside(self, first: Run, second: Run) -> bool:
        """Whether two worlds are to stand side by side."""
        wishes = self.wishes
        pictures = all(one.shown.picture == "ladder" and one.histories for one in (first, second))
        alone = wishes.stacked or wishes.story is not None
        return pictures and not alone and wishes.width >= FEWEST_CELLS

    def _one(self, one: Run) -> Iterator[str]:
        """A world by itself, in full."""
        gettext, wishes = self._gettext, self.wishes
        yield heading(gettext(one.shown.title), self._page)
        yield ""
        if one.shown.picture in ("curves", "time-sequence"):
            yield from hanging("  ", gettext("This world is a picture of its own: --svg FILE draws it."), self._page)
            yield ""
        elif one.shown.picture == "ladder":
            for at, history in enumerate(self._connections(one)):
                yield render_ladder(
                    history,
                    language=wishes.language,
                    narrate=self._told(history),
                    color=wishes.color,
                    relative=wishes.relative,
                    width=self._page,
                    numbers=numbers(one),
                    start=0,
                    most=MOST_SEGMENTS,
                    fold=self._short,
                    seen=self._seen(at, one),
                )
                yield ""
            yield from self._others(one)
        yield from self._programs(one)

    def _pair(self, first: Run, second: Run) -> Iterator[str]:
        """Two worlds side by side."""
        gettext = self._gettext
        titles = (gettext(first.shown.title), gettext(second.shown.title))
        yield "─" * self._page
        yield ""
        mine, others = self._connections(first), self._connections(second)
        for at in range(max(len(mine), len(others))):
            if at < min(len(mine), len(others)):
                yield self._side_by_side(
                    first, second, mine[at], others[at], titles, None, self._seen(at, first, second)
                )
                yield ""
            else:
                one, history = (first, mine[at]) if at < len(mine) else (second, others[at])
                yield from self._alone(one, history)
        for one in (first, second):
            yield from self._others(one)
        for one, title in zip((first, second), titles, strict=True):
            yield from self._programs(one, title)

    def _alone(self, one: Run, history: History) -> Iterator[str]:
        """A connection that only one of two worlds has."""
        wishes = self.wishes
        yield from hanging("", self._gettext("Only here: {title}").format(title=self._title(one)), self._page)
        yield ""
        yield render_ladder(
            history,
            language=wishes.language,
            color=wishes.color,
            narrate=self._narrate,
            relative=wishes.relative,
            width=self._page,
            numbers=numbers(one),
            start=0,
            most=MOST_SEGMENTS,
            fold=self._short,
        )
        yield ""

    def _title(self, one: Run) -> str:
        if any(one is changed for changed in self.changed.values()):
            return self._changes()
        return self._gettext(one.shown.title)

    def _side_by_side(
        self,
        first: Run,
        second: Run,
        mine: History,
        other: History,
        titles: tuple[str, str],
        before: int | None,
        seen: tuple[int, str] = (0, ""),
    ) -> str:
        wishes = self.wishes
        return render_side_by_side(
            mine,
            other,
            titles=titles,
            language=wishes.language,
            relative=wishes.relative,
            width=wishes.width,
            color=wishes.color,
            numbers=(numbers(first), numbers(second)),
            narrate=self._narrate,
            before=before,
            start=0,
            most=MOST_SEGMENTS,
            usual=bool(self.changes),
            fold=self._short,
            seen=seen,
        )

    @property
    def _short(self) -> bool:
        """Whether what is alike is left out."""
        return not (self.wishes.stacked or self.wishes.explain)

    def _seen(self, connection: int, *worlds: Run) -> tuple[int, str]:
        """With how many rows this connection of these worlds begins as it does in a world told before, if they are
        enough to be left out; and that world's title, if it is not the first."""
        most, title = 0, ""
        names = list(self.shown)
        earlier = names[: min(names.index(one.shown.name) for one in worlds)] if self._short else []
        for name in earlier:
            before = self.runs[name]
            if before.shown.picture != "ladder" or connection >= len(self._connections(before)):
                continue
            told = before.histories[connection]
            same = min(shared(told, one.histories[connection]) for one in worlds)
            # Another one than the first is named only if it says much more.
            if same > _MOST_AGAIN + most:
                most = same
                title = self._gettext(before.shown.title) if name != names[0] else ""
        return most, title

    def _connections(self, one: Run) -> list[History]:
        return list(one.histories[: one.shown.connections])

    def _others(self, one: Run) -> Iterator[str]:
        left = len(one.histories) - one.shown.connections
        if left > 0 and one.shown.picture == "ladder":
            yield from hanging("  ", self._gettext("connections not shown: {number}").format(number=left), self._page)
            yield ""

    def _programs(self, one: Run, title: str = "") -> Iterator[str]:
        rows = call_rows(one, self._gettext)
        if rows:
            gettext = self._gettext
            yield (
                gettext("What the programs saw: {title}").format(title=title)
                if title
                else gettext("What the programs saw")
            )
            yield from aligned(rows, self._page)
            yield ""

    # --- what if -------------------------------------------------------------------------------------------------

    def _changes(self) -> str:
        return self._gettext(", ").join(described(change, self._gettext) for change in self.changes)

    def _what_if(self, usual: Run, changed: Run, whole: bool) -> Iterator[str]:
        """Both histories side by side, from where they part, if it is to be told in whole; and what came of it."""
        gettext = self._gettext
        yield heading(gettext(usual.shown.title), self._page)
        yield ""
        titles = (gettext("As it was"), self._changes())
        if usual.world.parting(changed.world) is None:
            yield from hanging("  ", gettext("It makes no difference: both histories are the same."), self._page)
            yield ""
            return
        if not whole:
            yield from hanging(
                "  ", gettext("--world {name} shows both histories.").format(name=usual.shown.name), self._page
            )
            yield ""
        for mine, other in paired(usual, changed) if whole else ():
            if mine is not None and other is not None and alike(mine, other):
                continue
            if mine is not None and other is not None and self.wishes.width >= FEWEST_CELLS:
                yield self._side_by_side(usual, changed, mine, other, titles, _BEFORE)
                yield ""
            else:
                for one, history in ((usual, mine), (changed, other)):
                    if history is not None:
                        yield from self._alone(one, history)
        yield from self._came_of_it(usual, changed)

    def _came_of_it(self, usual: Run, changed: Run) -> Iterator[str]:
        gettext = self._gettext
        rows: list[Sequence[str]] = [(gettext("What came of it"), gettext("As it was"), self._changes())]
        both = usual, changed
        for before, after in zip(usual.programs, changed.programs, strict=False):
            rows.append((gettext(before.name), ending(before, gettext), ending(after, gettext)))
        seconds = [gettext("{seconds} s").format(seconds=f"{one.end / 1e9:.3f}") for one in both]
        rows.append((gettext("the end of it all"), *seconds))
        segments = [sum(isinstance(event.packet.payload, Segment) for _, event in numbered(one)) for one in both]
        rows.append((gettext("segments sent"), *map(str, segments)))
        yield from aligned(rows, self._page)
        yield ""

    # --- claims --------------------------------------------------------------------------------------------------

    def claims(self, failed: bool = False) -> Iterator[str]:
        """What holds, and what does not; or only what does not (`failed`)."""
        gettext = self._gettext
        usual: Runs | None = None
        runs = self.judged_in
        for claim in self.experiment.claims:
            if holds(claim, runs):
                if not failed:
                    yield from hanging("  ✓ ", said(claim, runs, gettext), self._page)
                continue
            # In the words of the world as it usually is: figures of this one would speak of something else.
            usual = run(self.experiment, self.seed) if usual is None else usual
            sentence = said(claim, usual, gettext)
            yield from hanging("  ✗ ", gettext("not so here: {claim}").format(claim=sentence), self._page)

    def _table(self, experiment: Experiment) -> Iterator[str]:
        table = _measured(experiment, self.judged_in)
        if table is not None:
            rows = [[self._gettext(cell) if cell else "" for cell in row] for row in (table.head, *table.rows)]
            yield from aligned(rows, self._page)
            yield ""


def _measured(experiment: Experiment, runs: Runs) -> Table | None:
    """The table; None where there is nothing to be measured."""
    if experiment.table is None:
        return None
    try:
        return experiment.table(runs)
    except NOT_THERE:
        return None


def written(files: Sequence[str], language: Language) -> str:
    """That these files were written."""
    return translation(language).gettext("written: {files}").format(files=", ".join(files))


def summary(experiments: int, claims: int, failed: int, seconds: float, language: Language) -> str:
    """What a check of many experiments came to."""
    text = translation(language).gettext("experiments: {experiments}, claims: {claims}, not so: {failed}; {seconds} s")
    return text.format(experiments=experiments, claims=claims, failed=failed, seconds=f"{seconds:.1f}")


def judged(experiment: Experiment, runs: Runs) -> int:
    """How many claims do not hold."""
    return len(experiment.failed(runs))


def said(claim: Claim, runs: Mapping[str, Run], gettext: Callable[[str], str]) -> str:
    """The claim's sentence, with its figures; dots stand for those that could not be measured."""
    text = gettext(claim.text)
    try:
        return filled(text, claim.values(runs) if claim.values is not None else {}, gettext)
    except NOT_THERE:
        return "".join(literal + ("…" if name is not None else "") for literal, name, _, _ in Formatter().parse(text))
