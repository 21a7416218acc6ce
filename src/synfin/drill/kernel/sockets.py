"""The socket calls of a script made to the kernel."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.calls.arguments import address, is_anything
from synfin.drill.calls.constants import (
    F_GETFL,
    F_SETFL,
    FIONBIO,
    O_NONBLOCK,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
)
from synfin.drill.calls.socket_options import same_number
from synfin.drill.calls.syscalls import Attempt, Calls, Descriptor, KernelFile
from synfin.drill.kernel import polling, transfer
from synfin.drill.kernel.work import at_once, either, file_of, real, socket_of
from synfin.drill.language.script import Expression
from synfin.drill.outcome import Skipped
from synfin.host.sockets import IPPROTO_TCP, SOCK_STREAM
from synfin.tcp.errors import os_error

Arguments = tuple[Expression, ...]

_AF_UNSPEC: Final = bytes(16)


# --- sockets


def _socket(run: Calls, given: Arguments) -> Attempt:
    family = run.machine.settings.family if is_anything(given[0]) else run.number(given[0])
    kind = run.number(given[1])
    protocol = 0 if is_anything(given[2]) else run.number(given[2])
    if kind & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) != SOCK_STREAM or protocol not in (0, IPPROTO_TCP):
        raise Skipped("only sockets of TCP are supported")
    made: list[Descriptor] = []

    def call() -> int:
        opened = real(run).bench.kernel.inside(lambda: socket.socket(family, kind, protocol))
        made.append(Descriptor(KernelFile(opened)))
        return 0

    return either(run, False, call, made=made)


def _bind(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    settings = run.machine.settings
    where = address(given[1], settings, settings.local_ip, settings.bind_port)

    def call() -> int:
        if where is None:
            raise os_error(errno.EAFNOSUPPORT)
        file.bind(where)
        return 0

    return at_once(call)


def _listen(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    backlog = run.number(given[1])

    def call() -> int:
        file.listen(backlog)
        run.machine.listening_port = file.getsockname()[1]
        return 0

    return at_once(call)


def _accept(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    nonblocking = len(given) > 3 and bool(run.number(given[3]) & SOCK_NONBLOCK)
    made: list[Descriptor] = []

    def call() -> int:
        child, _ = file.accept()
        child.setblocking(not nonblocking)
        made.append(Descriptor(KernelFile(child)))
        return 0

    return either(run, file.getblocking(), call, made=made)


def _connect(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    settings = run.machine.settings
    where = address(given[1], settings, settings.remote_ip, settings.connect_port)

    def call() -> int:
        if where is None:
            return _disconnect(file)
        file.connect(where)
        return 0

    return either(run, file.getblocking() and where is not None, call)


def _disconnect(file: socket.socket) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(file.fileno(), _AF_UNSPEC, len(_AF_UNSPEC)) < 0:
        raise os_error(ctypes.get_errno())
    return 0


def _close(run: Calls, given: Arguments) -> Attempt:
    found = run.descriptors.pop(run.number(given[0]), None)
    if found is None:
        raise os_error(errno.EBADF)
    file = file_of(found)

    def call() -> int:
        file.close()
        return 0

    lingers = False
    if isinstance(file, socket.socket):
        on, duration = struct.unpack("=ii", file.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
        lingers = bool(on and duration)
    return either(run, lingers, call)


def _shutdown(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    how = run.number(given[1])

    def call() -> int:
        file.shutdown(how)
        return 0

    return at_once(call)


def _fcntl(run: Calls, given: Arguments) -> Attempt:
    file = file_of(run.descriptor(given[0]))
    command = run.number(given[1])
    value = run.number(given[2]) if len(given) > 2 else 0

    def call() -> int:
        if command == F_SETFL and isinstance(file, socket.socket):
            file.setblocking(not value & O_NONBLOCK)
        result = fcntl.fcntl(file.fileno(), command, value)
        # Python opens all with FD_CLOEXEC.
        return result if command in (F_GETFL, F_SETFL) else 0

    return at_once(call)


def _ioctl(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    request = run.number(given[1])
    found: list[int] = []

    def call() -> int:
        if request == FIONBIO:
            file.setblocking(not run.number(given[2]))
            return 0
        found.append(int.from_bytes(fcntl.ioctl(file.fileno(), request, bytes(4)), "little", signed=True))
        return 0

    def check(result: int) -> None:
        if found and len(given) > 2:
            same_number(run, "ioctl", given[2], found[-1])

    return at_once(call, check)


HANDLERS: Final[Mapping[str, Callable[[Calls, Arguments], Attempt]]] = MappingProxyType(
    {
        "socket": _socket,
        "bind": _bind,
        "listen": _listen,
        "accept": _accept,
        "accept4": _accept,
        "connect": _connect,
        "close": _close,
        "shutdown": _shutdown,
        "fcntl": _fcntl,
        "ioctl": _ioctl,
        **transfer.HANDLERS,
        **polling.HANDLERS,
    }
)
