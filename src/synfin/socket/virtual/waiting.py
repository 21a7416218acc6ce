"""The way to wait on a host of the simulated network: the baton goes to somebody else, and time goes on."""

from __future__ import annotations

import selectors
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from synfin.host import addresses
from synfin.host.sockets import Socket
from synfin.sim.network import Network
from synfin.sim.node import Node
from synfin.socket.virtual.baton import Baton, Strand, here
from synfin.socket.ways_to_wait import Bell, Ready, Selecting, Waiting
from synfin.tcp import states
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.readiness import POLLIN, POLLOUT
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.socket.open_sockets import OpenSocket

#: More references than objects will ever let go of.
MANY: Final = 1 << 30
#: What a selector's look costs, in glances.
LOOK: Final = 20


class VirtualBell(Bell):
    """Wakes the strand that made it."""

    __slots__ = ("strand",)

    def __init__(self, strand: Strand | None) -> None:
        super().__init__()
        self.strand = strand

    def ring(self) -> None:
        self.rung = True
        strand = self.strand
        if strand is not None:
            strand.baton.wake(strand)


class VirtualSelecting(Selecting):
    """A selector of one thread's."""

    bell: VirtualBell

    def __init__(self, waiting: VirtualWaiting, system: selectors.BaseSelector) -> None:
        self._waiting = waiting
        self._system = system
        self.bell = VirtualBell(here())

    def wait(self, deadline: int) -> Ready:
        bell = self.bell
        bell.strand = here()
        baton = self._waiting.baton
        system = self._system if self._system.get_map() else None
        while True:
            found = system.select(0) if system is not None else []
            if found or bell.rung or deadline <= baton.network.now:
                bell.clear()
                # A loop with enough to do comes by all the time, and never waits.
                baton.glance(LOOK)
                return found
            baton.wait(deadline, _a_socket, system)

    def close(self) -> None:
        self.bell.strand = None


def _a_socket() -> str:
    return "a socket"


class VirtualWaiting(Waiting):
    """The way to wait of one program on `node`, until that is switched off."""

    real_descriptors = False

    def __init__(self, baton: Baton, node: Node) -> None:
        super().__init__(node.host, nullcontext())
        self.baton = baton
        self.node = node
        self.network: Network = baton.network
        self._open: dict[int, weakref.ref[OpenSocket]] = {}

    # --- what Waiting asks for

    def now(self) -> int:
        return self.network.now

    def pump(self) -> None:
        if not self.down and self.node.host is self.host:
            self.node.run()

    def new_bell(self) -> Bell:
        return VirtualBell(here())

    def pause(self, bell: Bell, deadline: int) -> None:
        strand = here()
        if not bell.rung and strand is not None:
            self.baton.wait(deadline, strand.purpose or _a_socket)

    def selecting(self, system: selectors.BaseSelector) -> Selecting:
        return VirtualSelecting(self, system)

    def resolve(self, name: str) -> list[str]:
        if name == "localhost":
            return ["127.0.0.1", "::1"]
        first = self.network.resolve(name, self.node)
        node = self.network.nodes.get(name)
        if node is None or name in self.network.names:
            return [first]
        reaches = self.host.transport.interface_towards
        return [addresses.text(each) for port in node.ports for each in port.packed if reaches(each) >= 0]

    def name_of(self, address: str) -> str | None:
        try:
            octets = addresses.packed(address)
        except ValueError:
            return None
        if addresses.is_loopback(octets):
            return "localhost"
        for node in self.network.nodes.values():
            if any(octets in port.packed for port in node.ports):
                return node.name
        return next((name for name, text in self.network.names.items() if addresses.packed(text) == octets), None)

    def wait(self, sock: Socket, bits: int, deadline: int = NEVER) -> bool:
        with _purpose(lambda: described(sock, bits)):
            return super().wait(sock, bits, deadline)

    def wait_until(self, sock: Socket, done: Callable[[], bool], deadline: int = NEVER) -> bool:
        with _purpose(lambda: described(sock, POLLIN)):
            return super().wait_until(sock, done, deadline)

    def drop(self, close: Callable[[], object]) -> None:
        super().drop(close)
        if self.abandoned:
            self.close_dropped()
        else:
            # At rest is a host when the network comes to it.
            self.network.at(self.network.now, self.close_dropped)

    # --- the program's end

    def opened(self, entry: OpenSocket) -> None:
        self._open[entry.core.number] = weakref.ref(entry)

    def close_all(self) -> None:
        """Closes what the program left open, as the end of its process does."""
        for reference in list(self._open.values()):
            entry = reference()
            if entry is None or entry.references <= 0:
                continue
            entry.references = 1
            try:
                entry.release()
            finally:
                # Objects that still stand for it go later, and close nothing more.
                entry.references = MANY
        self._open.clear()


@contextmanager
def _purpose(words: Callable[[], str]) -> Iterator[None]:
    """What the waits in it are for, unless somebody said so already."""
    strand = here()
    if strand is None or strand.purpose is not None:
        yield
        return
    strand.purpose = words
    try:
        yield
    finally:
        strand.purpose = None


def described(sock: Socket, bits: int) -> str:
    """What a wait for these bits on a socket is for, in words: ``data on 10.0.0.1:40000 - 10.0.0.2:80
    (ESTABLISHED)``."""
    connection, listener = sock.connection, sock.listener
    if isinstance(listener, Listener):
        return f"a connection to {_end(listener.local_address, listener.local_port)}"
    if isinstance(connection, Connection):
        ours = connection.identity
        ends = f"{_end(ours.local_address, ours.local_port)} - {_end(ours.remote_address, ours.remote_port)}"
        ends += f" ({states.NAMES[connection.state]})"
        if connection.state in (states.SYN_SENT, states.SYN_RECEIVED):
            return f"the handshake of {ends}"
        what = {POLLIN: "data on", POLLOUT: "room to send on"}.get(bits & (POLLIN | POLLOUT), "something on")
        return f"{what} {ends}"
    return "a socket"


def _end(address: bytes, port: int) -> str:
    text = addresses.text(address)
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"
