"""What tests of the simulated network share: a watched network, programs that read and write, crafted packets."""

from __future__ import annotations

from synfin.events import Event, PacketLost, PacketTransmitted
from synfin.sim import Network, Node
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import Packet, Segment, octets, parse_packet

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Watch:
    """Keeps the events of a network."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def sent(self, host: str) -> list[Packet]:
        """The packets that a device put on a wire, each read back from its octets: their checksums were right."""
        return [
            parse_packet(octets(event.packet))
            for event in self.events
            if isinstance(event, PacketTransmitted) and event.host == host
        ]

    def segments(self, host: str) -> list[Segment]:
        return [packet.payload for packet in self.sent(host) if isinstance(packet.payload, Segment)]

    def messages(self, host: str) -> list[IcmpMessage]:
        return [packet.payload for packet in self.sent(host) if isinstance(packet.payload, IcmpMessage)]

    def drops(self, host: str) -> list[str]:
        """Why packets were dropped at `host`, by name."""
        return [event.reason.name for event in self.events if isinstance(event, PacketLost) and event.host == host]


class Server:
    """Listens, keeps what it reads in `received`, sends back `answer` for each octet, and closes when its peer has.

    It starts again when its node does.
    """

    def __init__(self, node: Node, port: int = 80, address: str = "0.0.0.0", answer: bytes = b"") -> None:
        self.node = node
        self.address = address
        self.port = port
        self.answer = answer
        self.received = b""
        self.errors: list[OSError] = []
        self.accepted: list[Connection] = []
        self.start(node)
        node.booted = self.start

    def start(self, node: Node) -> None:
        node.changed = self.changed
        node.listen(self.address, self.port)

    def changed(self, entry: Connection | Listener) -> None:
        if isinstance(entry, Listener):
            connection = self.node.accept(entry)
            self.accepted.append(connection)
            self.changed(connection)
            return
        try:
            while data := self.node.receive(entry):
                self.received += data
                if self.answer:
                    self.node.send(entry, self.answer * len(data))
            if not entry.orphaned:
                self.node.release(entry)
        except BlockingIOError:
            pass
        except OSError as error:
            self.errors.append(error)


class Client:
    """Connects, and keeps what it reads in `received` and what went wrong in `errors`, with the time of each."""

    def __init__(self, network: Network, node: Node, address: str, port: int = 80) -> None:
        self.network = network
        self.node = node
        self.received = b""
        self.errors: list[tuple[int, int | None]] = []
        self.ended = False
        self.outbox = b""
        node.changed = self.changed
        self.connection = node.connect(address, port)

    def changed(self, entry: Connection | Listener) -> None:
        if entry is not self.connection:
            return
        try:
            while data := self.node.receive(self.connection):
                self.received += data
            self.ended = True
        except BlockingIOError:
            pass
        except OSError as error:
            self.errors.append((self.network.now, error.errno))
        self.write(b"")

    def send(self, data: bytes) -> None:
        self.node.send(self.connection, data)

    def write(self, data: bytes) -> None:
        """Sends what can be sent, now and later."""
        self.outbox += data
        try:
            while self.outbox and not self.errors:
                self.outbox = self.outbox[self.node.send(self.connection, self.outbox) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self.errors.append((self.network.now, error.errno))


def inject(node: Node, packet: Packet) -> None:
    """Sends a crafted packet from a node's first port."""
    node.ports[0].output.transmit(packet)
