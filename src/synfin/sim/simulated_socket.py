"""The sockets of programs on simulated hosts: the calls of the module `socket`, those that wait as generators."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from errno import EINPROGRESS
from functools import partial
from socket import MSG_OOB, SHUT_WR, SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING, Final, TypeVar

from synfin.host import calls
from synfin.host.sockets import Address, Socket
from synfin.sim.steps import ALWAYS, Call, Steps, Wait
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.readiness import POLLIN, POLLOUT
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.sim.programs import Program

_SECOND: Final = 1_000_000_000
#: How often a close that lingers looks.
_GLANCE: Final = 1_000_000
_Result = TypeVar("_Result")


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
            while not calls.poll(host, self.core) & (POLLOUT | ALWAYS):
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
            if self.program.now >= deadline and not calls.poll(self.program.node.host, self.core) & (bits | ALWAYS):
                # As on Linux: when the time is over, room that is too little to be writable is not tried.
                raise waited
