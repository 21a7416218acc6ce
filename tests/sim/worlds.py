"""Worlds of two hosts, and programs that live on them. As a script: the history of one world on standard output."""

from __future__ import annotations

import sys

from synfin.events import Event, PacketTransmitted
from synfin.sim import Network, Node, Wire
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.states import SYN_SENT
from synfin.wire.ip import octets

MS = 1_000_000
SECOND = 1_000_000_000
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


class Reader:
    """Reads all that comes on a node's connections, and closes each when its peer has. `received` by connection;
    `told` are those whose end was seen."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.received: dict[Connection, bytearray] = {}
        self.told: list[Connection] = []
        self.errors: list[OSError] = []
        self.accepted: list[Connection] = []
        self.outbox: dict[Connection, memoryview] = {}
        #: What is sent on each connection that is accepted, if anything is.
        self.answer = b""
        node.changed = self.changed

    def send(self, connection: Connection, data: bytes) -> None:
        """Sends all of it, and then a FIN."""
        self.outbox[connection] = memoryview(data)
        self.changed(connection)

    def changed(self, entry: Connection | Listener) -> None:
        if isinstance(entry, Listener):
            while entry.accept_queue:
                connection = self.node.accept(entry)
                self.accepted.append(connection)
                if self.answer:
                    self.outbox[connection] = memoryview(self.answer)
                self.changed(connection)
            return
        self._read(entry)
        self._write(entry)

    def _read(self, connection: Connection) -> None:
        received = self.received.setdefault(connection, bytearray())
        while connection not in self.told:
            try:
                data = self.node.receive(connection)
            except BlockingIOError:
                return
            except OSError as error:
                self.errors.append(error)
                self.told.append(connection)
                return
            received += data
            if not data:
                self.told.append(connection)
                if connection not in self.outbox:
                    self.node.release(connection)

    def _write(self, connection: Connection) -> None:
        data = self.outbox.get(connection)
        if data is None or connection.state == SYN_SENT:
            return
        try:
            while data:
                data = data[self.node.send(connection, data) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self.errors.append(error)
            data = memoryview(b"")
        self.outbox[connection] = data
        if not data:
            self.node.close(connection)


class TwoHosts:
    """A client and a server on one wire."""

    def __init__(
        self, seed: int = 0, *, delay: int = 10 * MS, rate: int = 0, queue: int = 1000, mtu: int = 1500
    ) -> None:
        self.events: list[Event] = []
        self.network = Network(seed, self.events.append)
        self.client = self.network.host("client")
        self.server = self.network.host("server")
        self.wire: Wire = self.network.wire(
            self.client, f"{CLIENT}/24", self.server, f"{SERVER}/24", delay=delay, rate=rate, queue=queue, mtu=mtu
        )
        self.at_client = Reader(self.client)
        self.at_server = Reader(self.server)

    def transfer(self, up: bytes, down: bytes = b"", until: int | None = None) -> Connection:
        """The client sends `up`, the server `down`; both then close. Returns the client's connection."""
        listener = self.server.listen(SERVER, 80)
        self.at_server.answer = down
        connection = self.client.connect(SERVER, 80)
        self.at_client.send(connection, up)
        self.network.run(until)
        self.server.close_listener(listener)
        return connection

    def packets(self) -> list[tuple[int, str, bytes]]:
        """All that was put on the wire: when, by whom, its octets."""
        return [(e.time, e.host, octets(e.packet)) for e in self.events if isinstance(e, PacketTransmitted)]


def busy_world(seed: int, *faults: str) -> TwoHosts:
    """Data both ways over a wire that loses some of it."""
    world = TwoHosts(seed, rate=10_000_000, queue=20)
    for fault in ("lose 3%", *faults):
        world.network.apply(fault)
    world.transfer(bytes(range(256)) * 200, b"answer" * 3000)
    return world


def found_damaged(world: TwoHosts) -> int:
    """How many packets both hosts have dropped for a sum that was wrong."""
    names = ("TcpInCsumErrors", "IpExtInCsumErrors")
    return sum(node.host.counters[name] for node in (world.client, world.server) for name in names)


def story(world: TwoHosts) -> str:
    """Everything that happened, packets as octets and events as text."""
    lines = [f"{time} {who} {data.hex()}" for time, who, data in world.packets()]
    return "\n".join([*lines, *map(repr, world.events), str(world.network.now)])


if __name__ == "__main__":
    print(story(busy_world(int(sys.argv[1]))))
