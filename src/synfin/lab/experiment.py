"""What an experiment is: a question, one world or several that answer it, and claims that are checked on them.

The words of an experiment are English in the source, marked with `N_`, and Chinese in the lab's catalogues. Nothing
that it says is only said: each claim is a sentence with the test that it holds, and figures in sentences are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from synfin.show.words import N_
from synfin.sim import Scenario

if TYPE_CHECKING:
    from synfin.lab.running import Run, Runs

__all__ = ["N_", "Claim", "Experiment", "Picture", "Table", "Try", "World"]

#: How a world is shown: every segment, the windows over time, sequence numbers over time, or not at all.
Picture: TypeAlias = Literal["ladder", "curves", "time-sequence", "none"]


@dataclass(frozen=True, slots=True)
class World:
    """One of the worlds of an experiment.

    `scenario` builds its network and starts its programs, and returns these (`synfin.sim.programs`); `faults` are what
    goes wrong in it (`synfin.link.faults.grammar`), `until` when it ends (nanoseconds; None: when nothing is left to
    happen). `picture` is how it is shown, `connections` how many of its connections are.
    """

    name: str
    title: str
    scenario: Scenario
    faults: tuple[str, ...] = ()
    until: int | None = None
    picture: Picture = "ladder"
    connections: int = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, and whether it `holds` in what was run. `values` fill the gaps of the sentence (``{seconds}``), with
    what was measured; a list is written as the language lists things."""

    text: str
    holds: Callable[[Runs], bool]
    values: Callable[[Runs], Mapping[str, object]] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures, measured: `head` and cells are words (marked with `N_`) or numbers as they are to be shown."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Try:
    """Something for the reader to try: arguments of ``synfin lab run``, and what it will show."""

    arguments: str
    text: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment.

    `row`: the question's number, such as "A7". `question`; `prediction`: what to guess before it runs; `watch`: what to
    look at; `answer`: in a few sentences. `clauses`: where the RFCs say it, such as "RFC 9293 §3.5". `worlds`: one or
    several, side by side; `claims`: what must hold; `tries`: what to do next. `table`: figures, if there are any.
    """

    row: str
    question: str
    prediction: str
    watch: str
    answer: str
    clauses: tuple[str, ...]
    worlds: tuple[World, ...]
    claims: tuple[Claim, ...]
    tries: tuple[Try, ...] = ()
    table: Callable[[Runs], Table] | None = field(default=None)

    def world(self, name: str) -> World:
        """The world of that name. Raises KeyError if there is none."""
        for world in self.worlds:
            if world.name == name:
                return world
        raise KeyError(name)

    def failed(self, runs: Mapping[str, Run]) -> list[Claim]:
        """The claims that do not hold; one that cannot be judged, because what it is about is not there, does not."""
        return [claim for claim in self.claims if not holds(claim, runs)]


#: What may come of asking for something that is not there, because a fault or a setting left it out.
NOT_THERE: Final = (LookupError, ValueError, ArithmeticError, AttributeError, TypeError, StopIteration, RuntimeError)


def holds(claim: Claim, runs: Mapping[str, Run]) -> bool:
    """Whether `claim` holds in `runs`."""
    try:
        return bool(claim.holds(runs))
    except NOT_THERE:
        return False
