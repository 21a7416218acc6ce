"""Two hosts on one wire, a program on each, and what went over the wire."""

from __future__ import annotations

from collections.abc import Sequence

from synfin.events import Event, PacketLost, PacketTransmitted
from synfin.sim import Network
from synfin.socket.virtual import Outcome, Program, Programs
from synfin.socket.virtual.program import Body
from synfin.wire.ip import Segment
from synfin.wire.tcp import ACK, SYN

MS = 1_000_000
SECOND = 1_000_000_000
HOUR = 3600 * SECOND


class World:
    """``client`` (10.0.0.1) and ``server`` (10.0.0.2), 10 ms apart."""

    def __init__(self, seed: int = 1, faults: Sequence[str] = (), limit: int = 24 * HOUR) -> None:
        self.events: list[Event] = []
        self.network = Network(seed, self.events.append)
        client, server = self.network.host("client"), self.network.host("server")
        self.network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24", delay=10 * MS)
        for fault in faults:
            self.network.apply(fault)
        self.programs = Programs(self.network, limit=limit)
        self.outcome: Outcome | None = None

    def run(self) -> Outcome:
        """Runs it; an error of a program is the test's."""
        self.outcome = self.programs.run()
        for program in self.programs.programs:
            if program.error is not None:
                raise program.error
        return self.outcome

    @property
    def now(self) -> int:
        return self.network.now

    def segments(self, host: str) -> list[tuple[int, Segment]]:
        """What TCP of `host` sent, with its times."""
        return [
            (event.time, event.packet.payload)
            for event in self.events
            if isinstance(event, PacketTransmitted) and event.host == host and isinstance(event.packet.payload, Segment)
        ]

    def lost(self) -> int:
        return sum(isinstance(event, PacketLost) for event in self.events)

    def opened(self) -> int:
        """How many connections the client opened: SYNs with different sequence numbers."""
        return len({one.seq for _, one in self.segments("client") if one.flags & (SYN | ACK) == SYN})


def run(client: Body, server: Body | None = None, seed: int = 1, faults: Sequence[str] = ()) -> tuple[World, Program]:
    """Runs both to their end, the server in the background. The world, and the client with its result."""
    world = World(seed, faults)
    if server is not None:
        world.programs.add("server", server, background=True)
    program = world.programs.add("client", client)
    outcome = world.run()
    assert outcome.ending == "ended", outcome.waiters
    return world, program
