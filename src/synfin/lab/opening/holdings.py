"""What a host holds of its connections, looked at in a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from synfin.lab.running import Run
from synfin.sim import Network, Node

__all__ = ["Holdings", "Watch", "holdings", "seen"]


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
        sum(one.socket != 0 for one in connections),
        len(transport.bindings),
    )


class Watch:
    """Looks at hosts of a network at certain times (nanoseconds)."""

    def __init__(self, network: Network, names: Sequence[str], times: Sequence[int]) -> None:
        self.seen: dict[tuple[str, int], Holdings] = {}
        self._network = network
        for name in names:
            for time in times:
                network.at(time, partial(self._look, name, time))

    def _look(self, name: str, time: int) -> None:
        self.seen[name, time] = holdings(self._network.nodes[name])


def seen(run: Run, name: str, time: int) -> Holdings:
    """What the `Watch` that the scenario returned saw. Raises LookupError if it did not look."""
    made = run.world.made
    for one in made if isinstance(made, list) else ():
        if isinstance(one, Watch):
            return one.seen[name, time]
    raise LookupError(f"nobody looked at {name}")
