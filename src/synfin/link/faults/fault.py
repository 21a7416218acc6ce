"""Faults as values, and the processes that they begin."""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from synfin.link.faults.passage import Passage
from synfin.link.quantities import check_number, is_duration, write_duration

if TYPE_CHECKING:
    from synfin.link.faults.selection import Selection
    from synfin.wire.ip import Packet


@dataclass(frozen=True, slots=True)
class Fault(ABC):
    """Something that goes wrong, as a value: it compares, it can be applied again, and `str` describes it in words
    that `parse_fault` turns into an equal one."""

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketFault(Fault):
    """A fault that decides about packets as they pass.

    `sender`: only packets from this end, named by its name or by its address; empty: from both. `start` and `end`:
    only packets sent at or after the one time and before the other (nanoseconds from the beginning; None: for
    ever). Counting begins with the first packet that both allow. Raises ValueError for what makes no sense.
    """

    sender: str = ""
    start: int = 0
    end: int | None = None

    def __post_init__(self) -> None:
        check_name(self.sender)
        check_number(self.start, 0, "a time")
        if self.end is not None:
            check_number(self.end, 0, "a time")
            if self.end <= self.start:
                raise ValueError("a fault ends after it began")

    def __str__(self) -> str:
        words = [self._description()]
        if self.sender:
            words.append(f"from {self.sender}")
        if self.start or self.end is not None:
            words.append(f"from {write_duration(self.start)}")
        if self.end is not None:
            words.append(f"to {write_duration(self.end)}")
        return " ".join(words)

    @abstractmethod
    def _description(self) -> str:
        """The description without the end that sends and without times."""

    @abstractmethod
    def begin(self, random: Random) -> Process:
        """The fault at work, with a state of its own. All that is left to chance is drawn from `random`, which is to
        be this fault's alone: so no other fault disturbs it."""


def check_name(name: str) -> None:
    """Raises ValueError for the name of a host that a description could not hold."""
    if any(character.isspace() for character in name) or is_duration(name):
        raise ValueError(f"{name!r} cannot name a host in a fault: no white space, and nothing like a duration")


class Process(ABC):
    """A fault at work. It is told every packet that its wire or link transmits, in order, also those that another
    fault has lost already: so no fault's counting and no draw depends on what the others do."""

    __slots__ = ("_acts", "_address", "_end", "_selector", "_sender", "_start")

    def __init__(self, fault: PacketFault, which: Selection, random: Random) -> None:
        self._selector = which.begin(random)
        self._sender = fault.sender
        self._address = packed_address(fault.sender)
        self._start = fault.start
        self._end = fault.end
        # Whether the fault acted on the packet that was told last.
        self._acts = False

    def passes(self, passage: Passage, now: int) -> Sequence[Passage]:
        """Lets the fault act on `passage`, transmitted at `now`: what it becomes, once (lost or not) or more often.

        Duplicates of a packet are told right after it.
        """
        if passage.duplicate:
            selected = self._selector.selects_copy()
            acts = self._acts if selected is None else selected
        else:
            concerned = (
                now >= self._start
                and (self._end is None or now < self._end)
                and (not self._sender or self._sender == passage.sender or self._address == passage.packet.source)
            )
            acts = self._acts = self._selector.selects(passage, concerned)
        if not acts:
            return (passage,)
        return self._act(passage)

    @abstractmethod
    def _act(self, passage: Passage) -> Sequence[Passage]:
        """What becomes of a passage that was selected."""


class Chain:
    """The processes that a packet passes, in this order."""

    __slots__ = ("processes",)

    def __init__(self, processes: Iterable[Process] = ()) -> None:
        self.processes = list(processes)

    def passages(self, packet: Packet, number: int, sender: str, now: int) -> list[Passage]:
        """What becomes of an ordinary packet that is transmitted at `now` (nanoseconds from the beginning).

        At least one passage; what is lost is among them.
        """
        passages = [Passage(packet, number, sender)]
        for process in self.processes:
            following: list[Passage] = []
            for passage in passages:
                if passage.lost is None:
                    following.extend(process.passes(passage, now))
                else:
                    if not passage.duplicate:
                        process.passes(Passage(packet, number, sender), now)
                    following.append(passage)
            passages = following
        return passages


def packed_address(text: str) -> bytes | None:
    """The octets of an address, or None if `text` is none."""
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        return None
