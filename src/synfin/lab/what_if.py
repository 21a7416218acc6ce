"""What if: the same world once more, with something happening to a segment that is named by its number, or any fault.

Segments have the numbers of `synfin.lab.running.numbered`: those that hosts sent, in order, from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from synfin.lab.experiment import N_
from synfin.lab.running import Run, Runs, numbered
from synfin.link.quantities import write_duration
from synfin.show.history import History, Transmission

__all__ = ["Change", "Deed", "NoSuchSegmentError", "again", "all_again", "described", "numbers", "paired"]

Deed: TypeAlias = Literal["lose", "duplicate", "corrupt", "delay", "fault"]

_WORDS: Final = {
    "lose": N_("#{number} is lost"),
    "duplicate": N_("#{number} arrives twice"),
    "corrupt": N_("#{number} is damaged"),
    "delay": N_("#{number} comes {time} late"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be otherwise: a segment's `number` and what happens to it (`delay`: by `time` nanoseconds), or a
    `fault` in the language of `synfin.link.faults.grammar`."""

    deed: Deed
    number: int = 0
    time: int = 0
    fault: str = ""


class NoSuchSegmentError(ValueError):
    """No world has a segment of that `number`; `most` is how many there are."""

    def __init__(self, number: int, most: int) -> None:
        super().__init__(number, most)
        self.number = number
        self.most = most


def described(change: Change, gettext: Callable[[str], str]) -> str:
    """A change in a few words."""
    if change.deed == "fault":
        return change.fault
    return gettext(_WORDS[change.deed]).format(number=change.number, time=write_duration(change.time))


def numbers(run: Run) -> Callable[[Transmission], int | None]:
    """Gives the segments of a run their numbers."""
    # Packets are numbered on each wire, and what is for one destination leaves on one wire.
    known = {
        (event.host, event.packet.destination, event.number): number
        for number, (_, event) in enumerate(numbered(run), 1)
    }
    return lambda sent: known.get((sent.sender.host, sent.receiver.packed_address, sent.number))


def again(run: Run, changes: Sequence[Change]) -> Run:
    """The same world with these changes. Raises NoSuchSegmentError, and ValueError for a fault without a place."""
    sent = numbered(run)
    several = len(run.world.network.wires) > 1
    faults = []
    for change in changes:
        if change.deed == "fault":
            faults.append(change.fault)
            continue
        if not 1 <= change.number <= len(sent):
            raise NoSuchSegmentError(change.number, len(sent))
        wire, event = sent[change.number - 1]
        late = f" by {write_duration(change.time)}" if change.deed == "delay" else ""
        faults.append(f"{f'{wire}: ' if several else ''}{change.deed} packet {event.number}{late}")
    return Run(run.shown, run.world.again(*faults))


def paired(usual: Run, changed: Run) -> list[tuple[History | None, History | None]]:
    """The connections of both that are to be shown, those between the same two ends together; None where one of the
    runs has none such."""
    mine, others = (one.histories[: one.shown.connections] for one in (usual, changed))
    by_ends = {frozenset((one.left.flow, one.right.flow)): one for one in others}
    pairs: list[tuple[History | None, History | None]] = [
        (one, by_ends.pop(frozenset((one.left.flow, one.right.flow)), None)) for one in mine
    ]
    return [*pairs, *((None, one) for one in by_ends.values())]


def all_again(runs: Runs, worlds: Iterable[str], changes: Sequence[Change]) -> Mapping[str, Run]:
    """Those of the `worlds` in which the changes can be made, with them. Raises as `again` does if there is none."""
    made: dict[str, Run] = {}
    mistakes: list[ValueError] = []
    for name in worlds:
        try:
            made[name] = again(runs[name], changes)
        except ValueError as error:
            mistakes.append(error)
    if mistakes and not made:
        segments = [error for error in mistakes if isinstance(error, NoSuchSegmentError)]
        raise max(segments, key=lambda error: error.most) if segments else mistakes[0]
    return made
