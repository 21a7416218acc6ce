"""When to come back to which connection: a heap with one live entry for each."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.tcp.connection import Connection


#: A heap of fewer entries is not worth sweeping.
SWEEP_ABOVE = 64


class TimerQueue:
    """Deadlines of connections, in nanoseconds, by flow.

    An entry is pushed only when a deadline becomes earlier; one that moved later is looked at when it comes up,
    and pushed again. Entries name flows, so that none keeps a closed connection alive.
    """

    __slots__ = ("_connections", "_heap")

    def __init__(self, connections: dict[bytes, Connection]) -> None:
        self._connections = connections
        self._heap: list[tuple[int, bytes]] = []

    def arm(self, connection: Connection) -> None:
        """Sees to it that the connection comes up no later than its next deadline."""
        deadline = connection.next_deadline()
        if deadline < connection.armed:
            connection.armed = deadline
            heappush(self._heap, (deadline, connection.identity.flow))
            if len(self._heap) > SWEEP_ABOVE and len(self._heap) > 2 * len(self._connections):
                self._sweep()

    def _sweep(self) -> None:
        """Leaves only live entries, where dead ones wait behind them that never come up."""
        self._heap = [
            (connection.armed, flow) for flow, connection in self._connections.items() if connection.armed != NEVER
        ]
        heapify(self._heap)

    def next_deadline(self) -> int:
        """The earliest time at which a connection is to be looked at; NEVER if none is."""
        heap = self._heap
        while heap:
            deadline, flow = heap[0]
            connection = self._connections.get(flow)
            if connection is not None and connection.armed == deadline:
                return deadline
            heappop(heap)
        return NEVER

    def pop_due(self, now: int) -> Connection | None:
        """The next connection with a timer that has expired by `now`; None if there is none."""
        while self.next_deadline() <= now:
            _, flow = heappop(self._heap)
            connection = self._connections[flow]
            connection.armed = NEVER
            if connection.next_deadline() <= now:
                return connection
            self.arm(connection)
        return None
