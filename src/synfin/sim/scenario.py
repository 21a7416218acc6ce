"""Worlds: a world is a function of scenario, seed and faults, and can be run again with one fault more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from synfin.events import Event
from synfin.sim.network import Network
from synfin.sim.placing import NetworkFault, parse_network_fault


class Scenario(Protocol):
    """Builds a network and sets programs going on its nodes, at once or with `Network.at`. It must take all that is
    random from the network, and keep nothing from one run to the next."""

    def __call__(self, network: Network, /) -> object: ...


class World:
    """A scenario that has been run: `events` is its whole trace, `network` what is left at the end, and `made` what
    the scenario returned, such as its programs."""

    __slots__ = ("events", "faults", "made", "network", "octets", "scenario", "seed", "settings", "until")

    def __init__(
        self,
        scenario: Scenario,
        seed: int = 0,
        faults: Iterable[NetworkFault | str] = (),
        until: int | None = None,
        octets: bool = False,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Runs `scenario` to its end, or to the time `until` (nanoseconds), with `faults`, values or their texts.

        `octets`, `settings`: see `Network`. Raises ValueError for a fault that has no place in the network.
        """
        self.scenario = scenario
        self.seed = seed
        self.faults = tuple(parse_network_fault(fault) if isinstance(fault, str) else fault for fault in faults)
        self.until = until
        self.octets = octets
        self.settings = settings
        self.events: list[Event] = []
        self.network = Network(seed, self.events.append, octets, settings)
        for fault in self.faults:
            self.network.apply(fault)
        self.made = scenario(self.network)
        self.network.check_faults()
        self.network.run(until)

    def again(self, *more: NetworkFault | str) -> World:
        """The same world with these faults more. Its history is this one's up to where they first act."""
        return World(self.scenario, self.seed, (*self.faults, *more), self.until, self.octets, self.settings)

    def parting(self, other: World) -> Parting | None:
        """Where two worlds part; None if their histories are the same."""
        return compare(self.events, other.events)


class Parting:
    """Where two histories part: the index of the first events that differ, and those events; None for the one that
    has ended. `time` is that of the earlier (nanoseconds)."""

    __slots__ = ("first", "index", "second", "time")

    def __init__(self, index: int, first: Event | None, second: Event | None) -> None:
        self.index = index
        self.first = first
        self.second = second
        self.time = min(event.time for event in (first, second) if event is not None)

    def __repr__(self) -> str:
        return f"Parting(event {self.index} at {self.time} ns: {self.first!r} or {self.second!r})"


def compare(first: Sequence[Event], second: Sequence[Event]) -> Parting | None:
    """Where two histories part; None if they are the same, event for event and packet for packet."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if not same(one, other):
            return Parting(index, one, other)
    shorter = min(len(first), len(second))
    if len(first) == len(second):
        return None
    return Parting(
        shorter,
        first[shorter] if shorter < len(first) else None,
        second[shorter] if shorter < len(second) else None,
    )


def same(one: Event, other: Event) -> bool:
    """Whether two events tell the same: of one type, with equal values."""
    if type(one) is not type(other):
        return False
    names = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    return all(getattr(one, name) == getattr(other, name) for name in names)
