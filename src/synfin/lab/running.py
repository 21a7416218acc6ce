"""Experiments that have been run: what happened in each world, in the words in which claims ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar, overload

from synfin import sim
from synfin.events import Event, PacketTransmitted, StateChanged
from synfin.lab.experiment import Experiment, World
from synfin.show.history import History, Transmission, flows
from synfin.sim import Node, Program, Router
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK as ACK_FLAG
from synfin.wire.tcp import FIN, RST, SYN, Segment

__all__ = ["ACK", "DATA", "FIN", "RST", "SYN", "SYN_ACK", "Run", "Runs", "numbered", "run", "run_world"]

_Event = TypeVar("_Event", bound=Event)

#: Kinds of segments, beside SYN, FIN and RST: those that have nothing but an acknowledgment, and those with data.
SYN_ACK: Final = SYN | ACK_FLAG
ACK: Final = ACK_FLAG
DATA: Final = -1

#: What the worlds of an experiment became, by name.
Runs: TypeAlias = Mapping[str, "Run"]


class Run:
    """A world of an experiment that has been run. `world` is the simulator's; `traced` are its events."""

    def __init__(self, shown: World, world: sim.World) -> None:
        self.shown = shown
        self.world = world

    @property
    def events(self) -> list[Event]:
        """Its trace."""
        return self.world.events

    @property
    def end(self) -> int:
        """When it ended, in nanoseconds."""
        return self.world.network.now

    def of(self, kind: type[_Event], host: str = "") -> list[_Event]:
        """The events of that kind, of all hosts or of one."""
        return [event for event in self.events if isinstance(event, kind) and host in ("", event.host)]

    # --- connections

    @cached_property
    def histories(self) -> Sequence[History]:
        """One for each connection that exchanged a segment, in the order of their first ones."""
        return _Histories(self.events)

    @property
    def history(self) -> History:
        """The first connection. Raises LookupError if there is none."""
        return self.histories[0]

    def path(self, host: str, connection: int = 0) -> list[str]:
        """The states through which `host` went in that connection, by the RFC's names."""
        history = self.histories[connection]
        flow = next(end.flow for end in (history.left, history.right) if end.host == host)
        listening = [
            change.new
            for change in self.of(StateChanged, host)
            if change.new == "LISTEN" and change.flow[-2:] == flow[-2:]
        ]
        changes = [change for change in self.of(StateChanged, host) if change.flow == flow]
        return [*listening[:1], *([changes[0].old] if changes and not listening else []), *(c.new for c in changes)]

    def state(self, host: str, connection: int = 0) -> str:
        """The state of `host` at the end."""
        return self.path(host, connection)[-1]

    def when(self, host: str, state: str, connection: int = 0) -> int:
        """When `host` came to that state first (nanoseconds). Raises LookupError if it never did."""
        history = self.histories[connection]
        flow = next(end.flow for end in (history.left, history.right) if end.host == host)
        for change in self.of(StateChanged, host):
            if change.new == state and (change.flow == flow or state == "LISTEN"):
                return change.time
        raise LookupError(f"{host} never was {state}")

    # --- segments

    def sent(self, kind: int | None = None, host: str = "", connection: int | None = None) -> list[Transmission]:
        """The segments that were sent, in order: of one kind (SYN, SYN_ACK, ACK, DATA, FIN, RST), by one host, in one
        connection, or all."""
        chosen = self.histories if connection is None else [self.histories[connection]]
        found = [one for history in chosen for one in history.transmissions]
        found.sort(key=lambda one: one.time)
        return [one for one in found if host in ("", one.sender.host) and (kind is None or is_kind(one.segment, kind))]

    def times(self, kind: int | None = None, host: str = "", connection: int | None = None) -> list[float]:
        """When they were sent, in seconds."""
        return [one.time / 1e9 for one in self.sent(kind, host, connection)]

    # --- programs and hosts

    def program(self, name: str) -> Program:
        """The program of that name, among those that the scenario returned. Raises LookupError if there is none."""
        made = self.world.made
        for program in made if isinstance(made, Iterable) else ():
            if isinstance(program, Program) and program.name == name:
                return program
        raise LookupError(f"there is no program {name}")

    @property
    def programs(self) -> list[Program]:
        """The programs that the scenario returned."""
        made = self.world.made
        return [one for one in made if isinstance(one, Program)] if isinstance(made, Iterable) else []

    def node(self, name: str) -> Node:
        """The host of that name, as it is at the end."""
        return self.world.network.nodes[name]


class _Histories(Sequence[History]):
    """The histories of a trace, each made when it is asked for: there may be many connections."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._flows = flows(events)
        self._made: dict[int, History] = {}

    def __len__(self) -> int:
        return len(self._flows)

    @overload
    def __getitem__(self, at: int) -> History: ...

    @overload
    def __getitem__(self, at: slice) -> list[History]: ...

    def __getitem__(self, at: int | slice) -> History | list[History]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        index = range(len(self))[at]
        if index not in self._made:
            self._made[index] = History.from_events(self._events, self._flows[index])
        return self._made[index]


def is_kind(segment: Segment, kind: int) -> bool:
    """Whether a segment is of that kind; FIN and RST may acknowledge too, and FIN may have data."""
    flags = segment.flags & (SYN | FIN | RST | ACK_FLAG)
    if kind == DATA:
        return segment.payload_length > 0
    if kind in (FIN, RST):
        return bool(flags & kind)
    return flags == kind and not segment.payload_length


def run_world(
    world: World, seed: int = 0, faults: Iterable[str] = (), settings: Mapping[str, str] = MappingProxyType({})
) -> Run:
    """Runs one world, with these faults and settings more. Raises ValueError as `synfin.sim.World` does."""
    made = sim.World(world.scenario, seed, (*world.faults, *faults), world.until, settings=settings)
    return Run(world, made)


def run(experiment: Experiment, seed: int = 0, settings: Mapping[str, str] = MappingProxyType({})) -> dict[str, Run]:
    """Runs all worlds of an experiment."""
    return {world.name: run_world(world, seed, (), settings) for world in experiment.worlds}


def numbered(run: Run) -> list[tuple[str, PacketTransmitted]]:
    """The packets that hosts sent, in order, with the names of their wires: the first is number 1 for whoever wants to
    lose one. Packets that routers pass on are not counted again."""
    network = run.world.network
    names = list(network.wires)
    found = []
    for event in run.of(PacketTransmitted):
        node = network.nodes[event.host]
        if not isinstance(node, Router):
            found.append((names[_wire(node, event.packet)], event))
    return found


def _wire(node: Node, packet: Packet) -> int:
    """The number of the wire on which `node` sends a packet: on the way to whom it is for, as its routes now are."""
    index = node.host.transport.interface_towards(packet.destination)
    # Interface 0 is the loopback.
    return node.ports[max(index, 1) - 1].wire
