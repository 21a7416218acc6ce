"""What a host holds of its connections, looked at in a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from synfin.events import StateChanged
from synfin.lab.running import Run
from synfin.sim import Network, Node

__all__ = ["Holdings", "Watch", "forgotten", "holdings", "seen"]

_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class Holdings:
    """How many listeners, requests (half-open connections), connections (whole TCBs) and TIME-WAITs a host has; how
    many octets wait in the buffers of the connections, how many of these have a socket, and how many claims there are
    on ports."""

    listeners: int
    requests: int
    connections: int
    time_waits: int
    octets: int
    sockets: int
    claims: int


def holdings(node: Node) -> Holdings:
    """What `node` holds now."""
    transport = node.host.transport
    connections = list(transport.connections.values())
    listeners = list(transport.all_listeners())
    return Holdings(
        len(listeners),
        sum(len(listener.requests) for listener in listeners),
        len(connections),
        len(transport.time_waits),
        sum(len(one.send_buffer) + one.receive_queue.octets for one in connections),
        sum(one.socket != 0 and one.identity.flow not in transport.orphans for one in connections),
        len(transport.bindings),
    )


class Watch(Generic[_Seen]):
    """Looks at hosts of a network at certain times (nanoseconds); at each time before anything else happens if it is
    made before all else."""

    def __init__(
        self, network: Network, names: Sequence[str], times: Sequence[int], look: Callable[[Node], _Seen]
    ) -> None:
        self.seen: dict[tuple[str, int], _Seen] = {}
        self._network = network
        self._look = look
        for name in names:
            for time in times:
                network.at(time, partial(self._look_at, name, time))

    def _look_at(self, name: str, time: int) -> None:
        self.seen[name, time] = self._look(self._network.nodes[name])


def seen(run: Run, kind: type[_Seen], name: str, time: int) -> _Seen:
    """What the `Watch` that the scenario returned saw. Raises LookupError if it did not look."""
    made = run.world.made
    for one in made if isinstance(made, list) else ():
        found = one.seen.get((name, time)) if isinstance(one, Watch) else None
        if isinstance(found, kind):
            return found
    raise LookupError(f"nobody looked at {name}")


def forgotten(run: Run, connection: int = 0) -> int:
    """When the server forgot its request for that connection, in nanoseconds. Raises LookupError if it did not."""
    flow = run.histories[connection].right.flow
    for change in run.of(StateChanged, "server"):
        if change.flow == flow and (change.old, change.new) == ("SYN-RECEIVED", "LISTEN"):
            return change.time
    raise LookupError("no request was forgotten")
