"""Buffers that tune themselves: default settings fill a long fat path, and a quiet connection stays small."""

from __future__ import annotations

from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.sim.node import Node
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener

MS = 1_000_000
SECOND = 1_000_000_000
GIGABIT = 10**9
CHUNK = bytes(1 << 18)


class Flow:
    """A sender that always has more, and a receiver that reads at once, over a rated wire."""

    def __init__(self, delay: int, rate: int, left: int = 1 << 60, parameters: Parameters | None = None) -> None:
        self.network = Network(3)
        self.sender: Node = self.network.host("sender", parameters)
        self.receiver: Node = self.network.host("receiver", parameters)
        ends = ("10.0.0.1/24", self.receiver, "10.0.0.2/24")
        self.network.wire(self.sender, *ends, delay=delay, rate=rate, queue=1 << 20)
        self.listener = self.receiver.listen("10.0.0.2", 5001)
        self.left = left
        self.received = 0
        self.accepted: Connection | None = None
        self.receiver.changed = self._arrived
        self.sender.changed = self._writable
        self.connection = self.sender.connect("10.0.0.2", 5001)

    def _arrived(self, entry: Connection | Listener) -> None:
        if entry is self.listener:
            self.accepted = self.receiver.accept(self.listener)
        elif isinstance(entry, Connection):
            while entry.receive_queue.octets:
                self.received += len(self.receiver.receive(entry))

    def _writable(self, entry: Connection | Listener) -> None:
        try:
            while self.left:
                self.left -= self.sender.send(self.connection, CHUNK[: self.left])
        except BlockingIOError:
            return

    def run_for(self, duration: int) -> int:
        """How many octets were received meanwhile."""
        before = self.received
        self.network.run(until=self.network.now + duration)
        return self.received - before


def test_default_settings_fill_a_gigabit_over_100_ms() -> None:
    flow = Flow(50 * MS, GIGABIT)
    # Slow start: ten windows double to 12.5 MB in as many round trips.
    flow.run_for(1300 * MS)
    octets = flow.run_for(300 * MS)
    assert octets * 8 >= 0.9 * GIGABIT * 3 // 10
    assert flow.connection.counts.total_retrans == 0
