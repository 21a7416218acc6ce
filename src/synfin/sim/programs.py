"""Programs on simulated hosts, as generators in virtual time: every ``yield from`` is a call that may wait.

::

    def client(program: Program) -> Steps:
        sock = program.socket()
        yield from sock.connect(("server", 7000))
        yield from sock.sendall(b"Hello, Server!")
        answer = yield from sock.recv(1024)
        sock.close()

    start(network, network.nodes["client"], client)

The calls have the names, results and errors of the module `socket`; one that never waits is a plain method. Each is
written down in `Program.calls` with when it began and ended and what came of it, so that a call which waits for ever is
seen as such. A program ends with its body, with an OSError that it does not catch (`Program.error`), or with its host;
then its sockets are closed, as a process's are.
"""

from __future__ import annotations

from socket import AF_INET
from typing import Protocol

from synfin.host import calls
from synfin.sim.network import Network
from synfin.sim.node import Node
from synfin.sim.simulated_socket import SimulatedSocket
from synfin.sim.steps import ALWAYS, Call, Steps, Wait
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.timers import NEVER

__all__ = ["Call", "Program", "SimulatedSocket", "Steps", "Wait", "start"]


class Body(Protocol):
    """What a program does."""

    def __call__(self, program: Program, /) -> Steps[object]: ...


def start(network: Network, node: Node, body: Body, name: str = "") -> Program:
    """Starts a program on `node` now. Several may run on one node."""
    return Program(network, node, body, name)


class Program:
    """A program that runs. `name` is its node's unless it was given one."""

    __slots__ = (
        "_boot",
        "_ended",
        "_steps",
        "_wait",
        "_woken",
        "calls",
        "done",
        "error",
        "name",
        "network",
        "node",
        "sockets",
    )

    def __init__(self, network: Network, node: Node, body: Body, name: str = "") -> None:
        self.network = network
        self.node = node
        self.name = name or node.name
        #: All calls so far, in the order in which they began.
        self.calls: list[Call] = []
        #: Sockets that are open.
        self.sockets: list[SimulatedSocket] = []
        #: The OSError that ended it.
        self.error: OSError | None = None
        self.done = False
        self._boot = node.host
        self._ended = False
        self._steps = body(self)
        self._wait: Wait | None = None
        # How often it was woken: a timer that comes later than something else finds another number.
        self._woken = 0
        if not isinstance(node.changed, _Programs):
            node.changed = _Programs()
        node.changed.running.append(self)
        network.at(network.now, self._go)

    @property
    def now(self) -> int:
        """The time, in nanoseconds."""
        return self.network.now

    @property
    def gone(self) -> bool:
        """Whether its host went down before it ended: what it waits for never comes."""
        return not self._ended and self.node.host is not self._boot

    def call(self, name: str) -> Call:
        """The last call of that name. Raises LookupError if there was none."""
        for call in reversed(self.calls):
            if call.name == name:
                return call
        raise LookupError(f"{self.name} made no call {name}")

    # --- what it may do

    def socket(self, family: int = AF_INET) -> SimulatedSocket:
        """A new socket."""
        return SimulatedSocket(self, calls.socket(self.node.host, family))

    def listening(self, port: int, backlog: int = 128) -> SimulatedSocket:
        """A socket that listens on that port of every address: socket, bind and listen."""
        sock = self.socket()
        sock.bind(("", port))
        sock.listen(backlog)
        return sock

    def connected(self, host: str, port: int) -> Steps[SimulatedSocket]:
        """A socket that is connected: socket and connect."""
        sock = self.socket()
        yield from sock.connect((host, port))
        return sock

    def sleep(self, duration: int) -> Steps[None]:
        """Does nothing for `duration` nanoseconds."""
        yield Wait(self.now + duration)

    # --- how it is driven

    def look(self, entry: Connection | Listener) -> None:
        """Something happened on the node: goes on if it is what the program waits for."""
        wait = self._wait
        if wait is not None and wait.sock is not None and wait.sock.number == entry.socket and self._ready(wait):
            self._go()

    def _ready(self, wait: Wait) -> bool:
        sock = wait.sock
        return sock is not None and bool(calls.poll(self.node.host, sock) & (wait.bits | ALWAYS))

    def _go(self) -> None:
        """Runs until it waits for what is not there."""
        if self.done or self.node.host is not self._boot:
            self.done = True
            return
        self._woken += 1
        self._wait = None
        try:
            wait = next(self._steps)
            while self._ready(wait):
                wait = next(self._steps)
        except StopIteration:
            self._end()
            return
        except OSError as error:
            self.error = error
            self._end()
            return
        self._wait = wait
        if wait.deadline < NEVER:
            woken = self._woken
            self.network.at(max(wait.deadline, self.now), lambda: self._go() if self._woken == woken else None)

    def _end(self) -> None:
        self.done = self._ended = True
        changed = self.node.changed
        if isinstance(changed, _Programs) and self in changed.running:
            changed.running.remove(self)
        for sock in self.sockets.copy():
            sock.drop()
        self.node.run()


class _Programs:
    """All that run on one node: the node's `changed`."""

    __slots__ = ("running",)

    def __init__(self) -> None:
        self.running: list[Program] = []

    def __call__(self, entry: Connection | Listener) -> None:
        for program in self.running.copy():
            program.look(entry)
