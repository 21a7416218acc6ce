"""Makes the pictures of the documentation: one whole life of a connection, and one lossy transfer.

    python docs/make_pictures.py [FOLDER]

Every run writes the same files: the simulated network is a function of its seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from synfin.lab import whole_life
from synfin.show.curves import render_curves
from synfin.show.history import History
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.state_diagram import render_state_diagram
from synfin.show.time_sequence import render_time_sequence
from synfin.show.words import LANGUAGES, Language
from synfin.sim import Network, Node, World
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.states import NAMES, TRANSITIONS

MILLISECOND = 1_000_000
SERVER = "10.0.0.2"
PORT = 5001
TRANSITION_NAMES = [(NAMES[old], event, NAMES[new]) for (old, event), new in TRANSITIONS.items()]

OCTETS = 300_000
MESSAGE = bytes(1448)
SEED = 9
TITLES: dict[str, dict[Language, str]] = {
    "syn-ack-lost": {"en": "The second message (SYN+ACK) is lost", "zh": "报文2（SYN+ACK）丢失"},
    "data-lost": {
        "en": "A lost segment, reported by SACK and sent again",
        "zh": "数据报文段丢失，由 SACK 告知并重传",
    },
    "recovery": {"en": "A loss and its repair, seen from the sender", "zh": "一次丢失及其修复（发送方所见）"},
}


class Sender:
    """Connects, sends `octets`, and closes."""

    def __init__(self, node: Node, octets: int) -> None:
        self.node = node
        self.left = octets
        node.changed = self.changed
        self.connection = node.connect(SERVER, PORT)

    def changed(self, entry: Connection | Listener) -> None:
        if self.connection.orphaned:
            return
        try:
            while self.left:
                self.left -= self.node.send(self.connection, bytes(min(self.left, 1 << 16)))
        except BlockingIOError:
            return
        self.node.release(self.connection)


class Talker:
    """Connects, sends `messages` of a full segment each, one every `pause`, and closes."""

    def __init__(self, network: Network, node: Node, messages: int, pause: int) -> None:
        self.network = network
        self.node = node
        self.messages = messages
        self.pause = pause
        self.connection = node.connect(SERVER, PORT)
        network.after(50 * MILLISECOND, self.say)

    def say(self) -> None:
        if self.messages:
            self.messages -= 1
            self.node.send(self.connection, MESSAGE)
            self.network.after(self.pause, self.say)
        else:
            self.network.after(60 * MILLISECOND, lambda: self.node.release(self.connection))


class Receiver:
    """Listens, reads everything, and closes after the sender."""

    def __init__(self, node: Node) -> None:
        self.node = node
        node.changed = self.changed
        self.listener = node.listen(SERVER, PORT)

    def changed(self, entry: Connection | Listener) -> None:
        if isinstance(entry, Listener):
            self.node.accept(entry)
            return
        while entry.receive_queue.octets:
            self.node.receive(entry)
        if entry.fin_received and not entry.orphaned:
            self.node.release(entry)


def hosts(network: Network) -> Node:
    """A server that reads, and a client that is still idle; 10 Mbit/s and 20 ms each way. Returns the client."""
    client, server = network.host("client"), network.host("server")
    network.wire(client, "10.0.0.1/24", server, f"{SERVER}/24", delay=20 * MILLISECOND, rate=10_000_000)
    Receiver(server)
    return client


def transfer(network: Network) -> None:
    """300 kB in one go."""
    Sender(hosts(network), OCTETS)


def talk(network: Network) -> None:
    """Six segments, one every 10 ms."""
    Talker(network, hosts(network), 6, 10 * MILLISECOND)


def pictures(language: Language) -> dict[str, str]:
    """Every picture in one language, by its name."""
    life = History.from_events(whole_life.run())
    silent = History.from_events(whole_life.run_and_lose(2))
    short = History.from_events(World(talk, SEED, ("lose 2nd data",)).events)
    events = World(transfer, SEED, ("lose 2% from client",)).events
    history = History.from_events(events)
    # From a little before the first loss to a little after its repair.
    first = history.lost[0].time
    return {
        "ladder": render_ladder_svg(life, language=language),
        "ladder-syn-ack-lost": render_ladder_svg(silent, language=language, title=TITLES["syn-ack-lost"][language]),
        "ladder-data-lost": render_ladder_svg(short, language=language, title=TITLES["data-lost"][language]),
        "states": render_state_diagram(TRANSITION_NAMES, life, language=language),
        "time-sequence": render_time_sequence(history, language=language),
        "time-sequence-recovery": render_time_sequence(
            history,
            language=language,
            title=TITLES["recovery"][language],
            between=(first - 20 * MILLISECOND, first + 130 * MILLISECOND),
        ),
        "curves": render_curves(events, language=language),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "pictures")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for language in LANGUAGES:
        for name, picture in pictures(language).items():
            (folder / f"{name}.{language}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
