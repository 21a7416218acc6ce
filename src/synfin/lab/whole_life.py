"""The whole life of a connection: the texts' seven messages, with data between (rows E6, A1–A6, C1–C6)."""

from __future__ import annotations

from typing import Final

from synfin.events import Event
from synfin.show.history import History
from synfin.sim import Network, NetworkFault, Node, World
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.states import ESTABLISHED

MILLISECOND: Final = 1_000_000
#: From one host to the other.
DELAY: Final = 10 * MILLISECOND
#: How long a program thinks before it acts: longer than a packet travels, so that messages do not cross.
THINKING: Final = 15 * MILLISECOND
#: How long the server's program still works after the client's last word: longer than an acknowledgment waits for a
#: FIN to bear it, so that the close takes four messages and not three.
FINISHING: Final = 100 * MILLISECOND
CLIENT: Final = "10.0.0.1"
SERVER: Final = "10.0.0.2"
PORT: Final = 7000


class _Client:
    """Connects, says hello, hears the answer, closes."""

    def __init__(self, network: Network, node: Node) -> None:
        self.network = network
        self.node = node
        self.greeted = False
        node.changed = self.changed
        self.connection = node.connect(SERVER, PORT)

    def changed(self, entry: Connection | Listener) -> None:
        connection = self.connection
        if connection.state == ESTABLISHED and not self.greeted:
            self.greeted = True
            self.network.after(THINKING, lambda: self.say(b"Hello, Server!"))
        if connection.receive_queue.octets:
            self.network.after(THINKING, self.hear)
        elif connection.fin_received and not connection.orphaned:
            self.node.release(connection)

    def say(self, words: bytes) -> None:
        self.node.send(self.connection, words)

    def hear(self) -> None:
        if self.connection.receive_queue.octets:
            self.node.receive(self.connection)
            self.node.close(self.connection)


class _Server:
    """Listens, answers each greeting, and when the client has closed finishes its work and closes too."""

    def __init__(self, network: Network, node: Node) -> None:
        self.network = network
        self.node = node
        node.changed = self.changed
        self.listener = node.listen(SERVER, PORT)

    def changed(self, entry: Connection | Listener) -> None:
        node = self.node
        if isinstance(entry, Listener):
            node.accept(entry)
        elif entry.receive_queue.octets:
            self.network.after(THINKING, lambda: self.answer(entry))
        elif entry.fin_received and not entry.orphaned:
            self.network.after(FINISHING, lambda: node.release(entry))

    def answer(self, connection: Connection) -> None:
        if connection.receive_queue.octets:
            self.node.receive(connection)
            self.node.send(connection, b"Hello, Client!")


def scenario(network: Network) -> None:
    """A client, a server, a wire between them, and a program on each."""
    client = network.host("client")
    server = network.host("server")
    network.wire(client, f"{CLIENT}/24", server, f"{SERVER}/24", delay=DELAY)
    _Server(network, server)
    _Client(network, client)


def run(seed: int = 0, faults: tuple[NetworkFault | str, ...] = ()) -> list[Event]:
    """Runs the scenario to its end, and returns its trace. `faults` act on the wire, in this order."""
    return World(scenario, seed, faults).events


def run_and_lose(message: int, seed: int = 0) -> list[Event]:
    """Runs the scenario, and once more with the first transmission of that `message` (1 to 7) lost.

    Both histories are the same up to there. Raises ValueError if there is no such message.
    """
    world = World(scenario, seed)
    transmission = History.from_events(world.events).message(message)
    if transmission is None or transmission.number is None:
        raise ValueError(f"there is no message {message}")
    return world.again(f"lose packet {transmission.number}").events
