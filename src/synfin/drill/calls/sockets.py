"""Each socket call by its name: its arguments, and the call of `synfin.host.calls` behind it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.calls import polling, socket_options, transfer
from synfin.drill.calls.arguments import address, is_anything
from synfin.drill.calls.constants import (
    F_GETFD,
    F_GETFL,
    F_SETFD,
    F_SETFL,
    FIONBIO,
    O_NONBLOCK,
    O_RDWR,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
)
from synfin.drill.calls.syscalls import FOR_EVER, Attempt, Calls, Descriptor, Epoll
from synfin.drill.language.script import Expression
from synfin.drill.outcome import Skipped
from synfin.host import calls
from synfin.host.sockets import IPPROTO_TCP, SOCK_STREAM, Socket
from synfin.tcp.errors import os_error

Arguments = tuple[Expression, ...]


def patience(duration: int) -> int:
    """SO_RCVTIMEO or SO_SNDTIMEO as an attempt has it: 0 is for ever there."""
    return FOR_EVER if duration == 0 else max(duration, 0)


def _socket(run: Calls, given: Arguments) -> Attempt:
    family = run.machine.settings.family if is_anything(given[0]) else run.number(given[0])
    kind = run.number(given[1])
    protocol = 0 if is_anything(given[2]) else run.number(given[2])
    nonblocking = bool(kind & SOCK_NONBLOCK)
    kind &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC)
    if kind != SOCK_STREAM or protocol not in (0, IPPROTO_TCP):
        raise Skipped("only sockets of TCP are supported")
    made: list[Descriptor] = []

    def again(now: int) -> int:
        made.append(Descriptor(calls.socket(run.host, family, kind, protocol), nonblocking))
        return 0

    return Attempt(again, made=made)


def _bind(run: Calls, given: Arguments) -> Attempt:
    sock, _ = run.socket(given[0])
    settings = run.machine.settings
    where = address(given[1], settings, settings.local_ip, settings.bind_port)

    def again(now: int) -> int:
        if where is None:
            raise os_error(errno.EAFNOSUPPORT)
        calls.bind(run.host, sock, where)
        return 0

    return Attempt(again)


def _listen(run: Calls, given: Arguments) -> Attempt:
    sock, _ = run.socket(given[0])
    backlog = run.number(given[1])

    def again(now: int) -> int:
        calls.listen(run.host, sock, backlog, now)
        run.machine.listening_port = sock.port
        return 0

    return Attempt(again)


def _accept(run: Calls, given: Arguments) -> Attempt:
    sock, descriptor = run.socket(given[0])
    nonblocking = len(given) > 3 and bool(run.number(given[3]) & SOCK_NONBLOCK)
    made: list[Descriptor] = []

    def again(now: int) -> int:
        child, _ = calls.accept(run.host, sock)
        made.append(Descriptor(child, nonblocking))
        return 0

    return Attempt(again, not descriptor.nonblocking, patience(sock.values.rcvtimeo), _fails(errno.EAGAIN), made=made)


def _connect(run: Calls, given: Arguments) -> Attempt:
    sock, descriptor = run.socket(given[0])
    settings = run.machine.settings
    where = address(given[1], settings, settings.remote_ip, settings.connect_port)

    def again(now: int) -> int:
        calls.connect(run.host, sock, where, now)
        return 0

    timed_out = _fails(errno.EINPROGRESS)
    return Attempt(again, not descriptor.nonblocking, patience(sock.values.sndtimeo), timed_out)


def _close(run: Calls, given: Arguments) -> Attempt:
    name = run.number(given[0])
    found = run.descriptors.pop(name, None)
    if found is None:
        raise os_error(errno.EBADF)
    for other in run.descriptors.values():
        if isinstance(other.thing, Epoll):
            other.thing.watched = {
                key: each for key, each in other.thing.watched.items() if each.sock is not found.thing
            }
    thing = found.thing
    if not isinstance(thing, Socket):
        return Attempt(lambda now: 0)

    def again(now: int) -> int:
        calls.close(run.host, thing, now)
        return 0

    linger = thing.values.linger_time * 1_000_000_000 if thing.values.linger else 0
    return Attempt(again, True, linger, lambda now: 0)


def _shutdown(run: Calls, given: Arguments) -> Attempt:
    sock, _ = run.socket(given[0])
    how = run.number(given[1])

    def again(now: int) -> int:
        calls.shutdown(run.host, sock, how, now)
        return 0

    return Attempt(again)


def _fcntl(run: Calls, given: Arguments) -> Attempt:
    found = run.descriptor(given[0])
    command = run.number(given[1])
    value = run.number(given[2]) if len(given) > 2 else 0

    def again(now: int) -> int:
        if command == F_GETFL:
            return O_RDWR | (O_NONBLOCK if found.nonblocking else 0)
        if command == F_SETFL:
            found.nonblocking = bool(value & O_NONBLOCK)
        elif command not in (F_GETFD, F_SETFD):
            raise os_error(errno.EINVAL)
        return 0

    return Attempt(again)


def _ioctl(run: Calls, given: Arguments) -> Attempt:
    sock, descriptor = run.socket(given[0])
    request = run.number(given[1])
    found: list[int] = []

    def again(now: int) -> int:
        if request == FIONBIO:
            descriptor.nonblocking = bool(run.number(given[2]))
            return 0
        found.append(calls.ioctl(run.host, sock, request))
        return 0

    def check(result: int) -> None:
        if found and len(given) > 2:
            socket_options.same_number(run, "ioctl", given[2], found[-1])

    return Attempt(again, check=check)


def _fails(number: int) -> Callable[[int], int]:
    def timed_out(now: int) -> int:
        raise os_error(number)

    return timed_out


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
        **socket_options.HANDLERS,
        **polling.HANDLERS,
    }
)
