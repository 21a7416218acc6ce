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

import struct
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from errno import EINPROGRESS
from functools import partial
from socket import AF_INET, MSG_OOB, SHUT_WR, SO_LINGER, SOL_SOCKET
from typing import Final, Protocol, TypeAlias, TypeVar

from synfin.host import calls
from synfin.host.sockets import Address, Socket
from synfin.sim.network import Network
from synfin.sim.node import Node
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.listener import Listener
from synfin.tcp.readiness import POLLERR, POLLHUP, POLLIN, POLLOUT
from synfin.tcp.timers import NEVER

__all__ = ["Call", "Program", "SimulatedSocket", "Steps", "Wait", "start"]

_ALWAYS: Final = POLLERR | POLLHUP
_SECOND: Final = 1_000_000_000
#: How often a close that lingers looks.
_GLANCE: Final = 1_000_000
_Result = TypeVar("_Result")


class Wait:
    """What a program waits for: that `sock` has one of `bits` (poll's; without a socket nothing), or the time
    `deadline` (nanoseconds)."""

    __slots__ = ("bits", "deadline", "sock")

    def __init__(self, deadline: int, sock: Socket | None = None, bits: int = 0) -> None:
        self.deadline = deadline
        self.sock = sock
        self.bits = bits


#: What the body of a program is, and each call that may wait: a generator, run with ``yield from``.
Steps: TypeAlias = Generator[Wait, None, _Result]


class Body(Protocol):
    """What a program does."""

    def __call__(self, program: Program, /) -> Steps[object]: ...


class Call:
    """One call of a program's: its `name`, when it `began` and `ended` (nanoseconds; None: it still waits), and its
    `result` or `error`."""

    __slots__ = ("began", "ended", "error", "name", "result")

    def __init__(self, name: str, began: int) -> None:
        self.name = name
        self.began = began
        self.ended: int | None = None
        self.result: object = None
        self.error: OSError | None = None

    @property
    def waits(self) -> bool:
        """Whether it has not come back."""
        return self.ended is None

    @property
    def lasted(self) -> int:
        """How long it took, in nanoseconds. Raises ValueError if it still waits."""
        if self.ended is None:
            raise ValueError(f"{self.name} still waits")
        return self.ended - self.began

    def __repr__(self) -> str:
        what = "waits" if self.waits else repr(self.error if self.error is not None else self.result)
        return f"<{self.name} at {self.began}: {what}>"


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
        return sock is not None and bool(calls.poll(self.node.host, sock) & (wait.bits | _ALWAYS))

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


class SimulatedSocket:
    """A TCP socket of a program's. Methods that may wait are generators.

    SO_RCVTIMEO bounds accept and recv, SO_SNDTIMEO connect and sendall, as on Linux (socket(7)).
    """

    __slots__ = ("core", "program")

    def __init__(self, program: Program, core: Socket) -> None:
        self.program = program
        #: What `synfin.host.calls` takes; ``core.connection`` is the connection.
        self.core = core
        program.sockets.append(self)

    @property
    def connection(self) -> Connection:
        """The connection. Raises ValueError if there is none."""
        if self.core.connection is None:
            raise ValueError("the socket has no connection")
        return self.core.connection

    # --- calls that never wait

    def bind(self, address: Address) -> None:
        self._plain("bind", lambda: calls.bind(self.program.node.host, self.core, self._resolved(address)))

    def listen(self, backlog: int = 128) -> None:
        self._plain("listen", lambda: calls.listen(self.program.node.host, self.core, backlog, self.program.now))

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        self._plain(
            "setsockopt",
            lambda: calls.setsockopt(self.program.node.host, self.core, level, name, value, self.program.now),
        )

    def getsockopt(self, level: int, name: int) -> int:
        """The value of an option that is a number."""
        return int.from_bytes(self.getsockopt_octets(level, name, 4), sys.byteorder, signed=True)

    def getsockopt_octets(self, level: int, name: int, length: int) -> bytes:
        """The value of any option, `length` octets of it at most."""
        return calls.getsockopt(self.program.node.host, self.core, level, name, self.program.now, length)

    def set_linger(self, seconds: int) -> None:
        """SO_LINGER, on, with that time."""
        self.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, seconds))

    def set_timeout(self, name: int, duration: int) -> None:
        """SO_RCVTIMEO or SO_SNDTIMEO, in nanoseconds."""
        value = struct.pack("qq", duration // _SECOND, duration % _SECOND // 1000)
        self.setsockopt(SOL_SOCKET, name, value)

    def shutdown(self, how: int = SHUT_WR) -> None:
        self._plain("shutdown", lambda: calls.shutdown(self.program.node.host, self.core, how, self.program.now))

    def send(self, data: bytes, flags: int = 0) -> int:
        """Hands over what there is room for, and returns how much that was; raises BlockingIOError if none. `flags`:
        MSG_OOB, MSG_MORE."""
        return self._plain("send", lambda: calls.send(self.program.node.host, self.core, data, flags, self.program.now))

    def close(self) -> None:
        """Closes it, and does not wait, whatever SO_LINGER says; see `closed`."""
        self._plain("close", self.drop)

    def drop(self) -> None:
        """Closes it as the end of the process does: that is no call of the program's."""
        self._forget()
        # It ends by itself.
        with suppress(BlockingIOError):
            calls.close(self.program.node.host, self.core, self.program.now)

    def give(self, program: Program) -> SimulatedSocket:
        """Leaves the socket to another program of the same host, and returns it."""
        self._forget()
        self.program = program
        program.sockets.append(self)
        return self

    def _forget(self) -> None:
        if self in self.program.sockets:
            self.program.sockets.remove(self)

    # --- calls that may wait

    def connect(self, address: Address) -> Steps[None]:
        """Raises ConnectionRefusedError, TimeoutError and others; BlockingIOError (EINPROGRESS) after SO_SNDTIMEO."""
        return self._told("connect", self._connect(address))

    def _connect(self, address: Address) -> Steps[None]:
        program, host = self.program, self.program.node.host
        place = self._resolved(address)
        try:
            calls.connect(host, self.core, place, program.now)
        except BlockingIOError:
            program.node.run()
            limit = self.core.values.sndtimeo
            deadline = program.now + limit if limit else NEVER
            while not calls.poll(host, self.core) & (POLLOUT | _ALWAYS):
                if program.now >= deadline:
                    raise os_error(EINPROGRESS) from None
                yield Wait(deadline, self.core, POLLOUT)
            calls.connect(host, self.core, place, program.now)

    def accept(self) -> Steps[SimulatedSocket]:
        """Raises BlockingIOError after SO_RCVTIMEO."""
        return self._told("accept", self._accept())

    def _accept(self) -> Steps[SimulatedSocket]:
        host = self.program.node.host
        core, _ = yield from self._retry(lambda: calls.accept(host, self.core), POLLIN, self.core.values.rcvtimeo)
        return SimulatedSocket(self.program, core)

    def recv(self, size: int = 1 << 20, flags: int = 0) -> Steps[bytes]:
        """Up to `size` octets; none at the end of the stream. Raises ConnectionResetError, TimeoutError and others,
        and BlockingIOError after SO_RCVTIMEO. `flags`: MSG_PEEK, and MSG_OOB, with which it never waits: OSError
        (EINVAL) says that there is no urgent octet, BlockingIOError that it is only announced."""
        return self._told("recv", self._recv(size, flags))

    def _recv(self, size: int, flags: int) -> Steps[bytes]:
        host, program = self.program.node.host, self.program
        limit = self.core.values.rcvtimeo
        if flags & MSG_OOB:
            # As on Linux, this never waits.
            return calls.recv(host, self.core, size, flags, program.now)
        return (yield from self._retry(lambda: calls.recv(host, self.core, size, flags, program.now), POLLIN, limit))

    def receive_all(self) -> Steps[bytes]:
        """All octets to the end of the stream."""
        pieces = []
        while data := (yield from self.recv()):
            pieces.append(data)
        return b"".join(pieces)

    def sendall(self, data: bytes) -> Steps[int]:
        """Returns how much that was. Raises ConnectionResetError, BrokenPipeError, TimeoutError and others, and
        BlockingIOError after SO_SNDTIMEO."""
        return self._told("sendall", self._sendall(memoryview(data)))

    def _sendall(self, data: memoryview) -> Steps[int]:
        host, program = self.program.node.host, self.program
        sent = 0
        while sent < len(data):
            rest = data[sent:]
            send = partial(calls.send, host, self.core, rest, 0)
            sent += yield from self._retry(lambda: send(program.now), POLLOUT, self.core.values.sndtimeo)  # noqa: B023
            program.node.run()
        return sent

    def closed(self) -> Steps[None]:
        """Closes it, and waits as SO_LINGER says until what was sent has arrived, or for its time."""
        return self._told("close", self._closed())

    def _closed(self) -> Steps[None]:
        self._forget()
        host, program, core = self.program.node.host, self.program, self.core
        while True:
            try:
                calls.close(host, core, program.now)
                return
            except BlockingIOError:
                program.node.run()
                # Nothing but time tells.
                yield Wait(min(program.now + _GLANCE, core.linger_until))

    # --- how they are made

    def _resolved(self, address: Address) -> Address:
        program = self.program
        name = program.network.resolve(address[0], program.node) if address[0] else "0.0.0.0"
        return name, *address[1:]

    def _plain(self, name: str, make: Callable[[], _Result]) -> _Result:
        call = Call(name, self.program.now)
        self.program.calls.append(call)
        try:
            made = make()
        except OSError as error:
            self._ended(call, None, error)
            raise
        self._ended(call, made, None)
        return made

    def _told(self, name: str, steps: Steps[_Result]) -> Steps[_Result]:
        call = Call(name, self.program.now)
        self.program.calls.append(call)
        try:
            made = yield from steps
        except OSError as error:
            self._ended(call, None, error)
            raise
        self._ended(call, made, None)
        return made

    def _ended(self, call: Call, result: object, error: OSError | None) -> None:
        call.result = result
        call.error = error
        call.ended = self.program.now
        self.program.node.run()

    def _retry(self, make: Callable[[], _Result], bits: int, limit: int) -> Steps[_Result]:
        deadline = self.program.now + limit if limit else NEVER
        while True:
            try:
                return make()
            except BlockingIOError as error:
                waited = error
            self.program.node.run()
            yield Wait(deadline, self.core, bits)
            if self.program.now >= deadline and not calls.poll(self.program.node.host, self.core) & (bits | _ALWAYS):
                # As on Linux: when the time is over, room that is too little to be writable is not tried.
                raise waited
