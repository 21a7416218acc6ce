"""The calls of a script made to the kernel, on real sockets.

What may wait runs on a thread of its own, meanwhile packets go on; all else is made where the runner is.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable, Mapping
from threading import Thread
from types import MappingProxyType
from typing import Final

from synfin.drill.arguments import address, array, is_anything, structure
from synfin.drill.calls_of_waiting import events_of, member, same_event, same_told
from synfin.drill.calls_with_data import buffers_of, flags_of, header_of, octets_of, size_of
from synfin.drill.calls_with_options import layout_of, same_number, same_value, value_octets
from synfin.drill.constants import (
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    F_GETFL,
    F_SETFL,
    FIONBIO,
    O_NONBLOCK,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
)
from synfin.drill.kernel_bench import KernelBench
from synfin.drill.notation import script_text
from synfin.drill.numbers import Numbers
from synfin.drill.outcome import Failed, Skipped
from synfin.drill.script import Expression, Text
from synfin.drill.syscalls import Attempt, Calls, Descriptor, KernelFile
from synfin.host.socket_option_numbers import MSG_DONTWAIT
from synfin.host.sockets import IPPROTO_TCP, SOCK_STREAM
from synfin.tcp.errors import os_error
from synfin.tcp.info import TcpInfo

Arguments = tuple[Expression, ...]

_AF_UNSPEC: Final = bytes(16)
_NOT_OPEN: Final = 1 << 20
_CLOSE: Final = 7  # TCP_CLOSE
_INFO_LENGTH: Final = 512
#: Seconds that a call may take to notice that its socket is closed.
_PATIENCE: Final = 1.0


class KernelCalls(Calls):
    """The descriptors of a script, which are real ones here, and the calls on them."""

    __slots__ = ("bench", "threads")

    def __init__(self, bench: KernelBench) -> None:
        super().__init__(bench, HANDLERS)
        self.bench = bench
        self.threads: list[Thread] = []

    def close(self) -> None:
        """Closes all that is open, which ends what waits, and the bench."""
        for descriptor in self.descriptors.values():
            file = _file(descriptor)
            if isinstance(file, socket.socket):
                try:
                    file.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
                    file.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            file.close()
        for thread in self.threads:
            thread.join(_PATIENCE)
        self.bench.close(any(thread.is_alive() for thread in self.threads))

    def info(self) -> TcpInfo:
        """TCP_INFO of the connection under test; of a listener before there is one."""
        numbers = self.bench.numbers
        for descriptor in self.descriptors.values():
            file = _file(descriptor)
            if isinstance(file, socket.socket) and (numbers is None or _is_of(file, numbers)):
                return TcpInfo.unpack(file.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_LENGTH))
        info = TcpInfo()
        info.set("tcpi_state", _CLOSE)
        return info


def _is_of(file: socket.socket, numbers: Numbers) -> bool:
    """Whether a socket has that connection."""
    if file.getsockname()[1] != numbers.local[1] or file.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    try:
        return bool(file.getpeername()[1] == numbers.remote[1])
    except OSError:
        # None, or not yet.
        return True


def _file(descriptor: Descriptor) -> socket.socket | select.epoll:
    thing = descriptor.thing
    assert isinstance(thing, KernelFile)
    return thing.file


def _real(run: Calls) -> KernelCalls:
    assert isinstance(run, KernelCalls)
    return run


def _socket_of(run: Calls, expression: Expression) -> socket.socket:
    file = _file(run.descriptor(expression))
    if not isinstance(file, socket.socket):
        raise os_error(errno.ENOTSOCK)
    return file


def _epoll_of(run: Calls, expression: Expression) -> tuple[select.epoll, KernelFile]:
    thing = run.descriptor(expression).thing
    assert isinstance(thing, KernelFile)
    if not isinstance(thing.file, select.epoll):
        raise os_error(errno.EINVAL)
    return thing.file, thing


# --- making a call


def _made(call: Callable[[], int]) -> int:
    """The result of a call. Raises Skipped for arguments that Python does not pass on."""
    try:
        return call()
    except (socket.gaierror, TypeError, ValueError, OverflowError) as error:
        raise Skipped(f"the call cannot be made to the kernel: {error}") from None


class _Work:
    """A call on a thread of its own."""

    __slots__ = ("_call", "_wake", "done", "error", "result", "thread")

    def __init__(self, call: Callable[[], int], wake: int) -> None:
        self._call = call
        self._wake = wake
        self.result = 0
        self.error: Exception | None = None
        self.done = False
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = _made(self._call)
        except Exception as error:
            self.error = error
        self.done = True
        os.eventfd_write(self._wake, 1)


def _now(call: Callable[[], int], check: Callable[[int], None] | None = None) -> Attempt:
    """A call that does not wait."""
    return Attempt(lambda now: _made(call), check=check)


def _waits(
    run: Calls,
    call: Callable[[], int],
    check: Callable[[int], None] | None = None,
    made: list[Descriptor] | None = None,
) -> Attempt:
    """A call that may wait, until the kernel lets it return."""
    bench = _real(run).bench
    work: list[_Work] = []

    def again(now: int) -> int:
        if not work:
            work.append(_Work(call, bench.wake))
            _real(run).threads.append(work[0].thread)
            bench.pause()
        if not work[0].done:
            raise os_error(errno.EAGAIN)
        # What the call itself says is final, EAGAIN too.
        attempt.waits = False
        if work[0].error is not None:
            raise work[0].error
        return work[0].result

    attempt = Attempt(again, True, check=check, made=[] if made is None else made)
    return attempt


def _either(
    run: Calls,
    waits: bool,
    call: Callable[[], int],
    check: Callable[[int], None] | None = None,
    made: list[Descriptor] | None = None,
) -> Attempt:
    if waits:
        return _waits(run, call, check, made)
    attempt = _now(call, check)
    attempt.made = [] if made is None else made
    return attempt


# --- sockets


def _socket(run: Calls, given: Arguments) -> Attempt:
    family = run.machine.settings.family if is_anything(given[0]) else run.number(given[0])
    kind = run.number(given[1])
    protocol = 0 if is_anything(given[2]) else run.number(given[2])
    if kind & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) != SOCK_STREAM or protocol not in (0, IPPROTO_TCP):
        raise Skipped("only sockets of TCP are supported")
    made: list[Descriptor] = []

    def call() -> int:
        opened = _real(run).bench.kernel.inside(lambda: socket.socket(family, kind, protocol))
        made.append(Descriptor(KernelFile(opened)))
        return 0

    return _either(run, False, call, made=made)


def _bind(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
    settings = run.machine.settings
    where = address(given[1], settings, settings.local_ip, settings.bind_port)

    def call() -> int:
        if where is None:
            raise os_error(errno.EAFNOSUPPORT)
        file.bind(where)
        return 0

    return _now(call)


def _listen(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
    backlog = run.number(given[1])

    def call() -> int:
        file.listen(backlog)
        run.machine.listening_port = file.getsockname()[1]
        return 0

    return _now(call)


def _accept(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
    nonblocking = len(given) > 3 and bool(run.number(given[3]) & SOCK_NONBLOCK)
    made: list[Descriptor] = []

    def call() -> int:
        child, _ = file.accept()
        child.setblocking(not nonblocking)
        made.append(Descriptor(KernelFile(child)))
        return 0

    return _either(run, file.getblocking(), call, made=made)


def _connect(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
    settings = run.machine.settings
    where = address(given[1], settings, settings.remote_ip, settings.connect_port)

    def call() -> int:
        if where is None:
            return _disconnect(file)
        file.connect(where)
        return 0

    return _either(run, file.getblocking() and where is not None, call)


def _disconnect(file: socket.socket) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(file.fileno(), _AF_UNSPEC, len(_AF_UNSPEC)) < 0:
        raise os_error(ctypes.get_errno())
    return 0


def _close(run: Calls, given: Arguments) -> Attempt:
    found = run.descriptors.pop(run.number(given[0]), None)
    if found is None:
        raise os_error(errno.EBADF)
    file = _file(found)

    def call() -> int:
        file.close()
        return 0

    lingers = False
    if isinstance(file, socket.socket):
        on, duration = struct.unpack("=ii", file.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
        lingers = bool(on and duration)
    return _either(run, lingers, call)


def _shutdown(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
    how = run.number(given[1])

    def call() -> int:
        file.shutdown(how)
        return 0

    return _now(call)


def _fcntl(run: Calls, given: Arguments) -> Attempt:
    file = _file(run.descriptor(given[0]))
    command = run.number(given[1])
    value = run.number(given[2]) if len(given) > 2 else 0

    def call() -> int:
        if command == F_SETFL and isinstance(file, socket.socket):
            file.setblocking(not value & O_NONBLOCK)
        result = fcntl.fcntl(file.fileno(), command, value)
        # Python opens all with FD_CLOEXEC.
        return result if command in (F_GETFL, F_SETFL) else 0

    return _now(call)


def _ioctl(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
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

    return _now(call, check)


# --- octets


def _sending(run: Calls, given: Arguments, pieces: list[bytes], flags: int) -> Attempt:
    file = _socket_of(run, given[0])
    return _either(
        run,
        file.getblocking() and not flags & MSG_DONTWAIT,
        lambda: file.sendmsg(pieces, (), flags) if len(pieces) > 1 else file.send(b"".join(pieces), flags),
    )


def _write(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, [octets_of(run, given[1], size_of(run, given[2]))], 0)


def _send(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, [octets_of(run, given[1], size_of(run, given[2]))], flags_of(run, given, 3))


def _sendmsg(run: Calls, given: Arguments) -> Attempt:
    pieces = [octets_of(run, base, size) for base, size in header_of(run, given[1])]
    return _sending(run, given, pieces, flags_of(run, given, 2))


def _writev(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, [octets_of(run, base, size) for base, size in buffers_of(run, given[1])], 0)


def _receiving(run: Calls, given: Arguments, buffers: list[tuple[Expression, int]], flags: int) -> Attempt:
    file = _socket_of(run, given[0])
    size = sum(length for _, length in buffers)
    got: list[bytes] = []

    def call() -> int:
        got.append(file.recv(size, flags))
        return len(got[-1])

    def check(result: int) -> None:
        rest = got[-1]
        for base, length in buffers:
            part, rest = rest[:length], rest[length:]
            if isinstance(base, Text) and base.value.encode("latin-1", "replace")[: len(part)] != part:
                raise Failed("other octets were read", script_text(base), repr(part)[:80], "syscall")

    return _either(run, file.getblocking() and not flags & MSG_DONTWAIT, call, check)


def _read(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, [(given[1], size_of(run, given[2]))], 0)


def _recv(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, [(given[1], size_of(run, given[2]))], flags_of(run, given, 3))


def _recvmsg(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, header_of(run, given[1]), flags_of(run, given, 2))


def _readv(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, buffers_of(run, given[1]), 0)


# --- options


def _setsockopt(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
    level, name = run.number(given[1]), run.number(given[2])
    octets = value_octets(run, given[3], level, name)
    length = len(octets) if len(given) < 5 or is_anything(given[4]) else run.number(given[4])
    if 0 <= length < len(octets):
        octets = octets[:length]

    def call() -> int:
        file.setsockopt(level, name, octets)
        return 0

    return _now(call)


def _getsockopt(run: Calls, given: Arguments) -> Attempt:
    file = _socket_of(run, given[0])
    level, name = run.number(given[1]), run.number(given[2])
    layout = layout_of(level, name)
    length = layout.size if layout is not None else 4
    if len(given) > 4 and not is_anything(given[4]):
        length = max(run.number(given[4]), 1)
    found: list[bytes] = []

    def call() -> int:
        found.append(file.getsockopt(level, name, length))
        return 0

    return _now(call, lambda result: same_value(run, given[3], found[-1], layout))


# --- poll and epoll


def _poll(run: Calls, given: Arguments) -> Attempt:
    settings = run.machine.settings
    items = [structure(item, settings) for item in array(given[0], settings)]
    events = [run.number(member(item, "events")) for item in items]
    names = [run.number(member(item, "fd")) for item in items]
    descriptors = [
        _file(run.descriptors[name]).fileno() if name in run.descriptors else _NOT_OPEN + name for name in names
    ]
    limit = run.number(given[2])
    told: list[int] = []

    def call() -> int:
        polled = select.poll()
        for name, descriptor, mask in zip(names, descriptors, events, strict=True):
            if name >= 0:
                polled.register(descriptor, mask)
        found = dict(polled.poll(limit))
        told[:] = [found.get(descriptor, 0) for descriptor in descriptors]
        return len(found)

    return _either(run, limit != 0, call, lambda result: same_told(run, items, told))


def _create(run: Calls, given: Arguments) -> Attempt:
    size = run.number(given[0]) if given else 1
    return _new_epoll(run, size > 0)


def _create1(run: Calls, given: Arguments) -> Attempt:
    return _new_epoll(run, True)


def _new_epoll(run: Calls, valid: bool) -> Attempt:
    made: list[Descriptor] = []

    def call() -> int:
        if not valid:
            raise os_error(errno.EINVAL)
        made.append(Descriptor(KernelFile(select.epoll())))
        return 0

    return _either(run, False, call, made=made)


def _control(run: Calls, given: Arguments) -> Attempt:
    epoll, thing = _epoll_of(run, given[0])
    operation = run.number(given[1])
    descriptor = _file(run.descriptor(given[2])).fileno()
    events = 0
    data: Expression | None = None
    if operation in (EPOLL_CTL_ADD, EPOLL_CTL_MOD):
        item = structure(given[3], run.machine.settings)
        events = run.number(member(item, "events"))
        data = next((value for name, value in item.members if name != "events"), None)

    def call() -> int:
        if operation == EPOLL_CTL_ADD:
            epoll.register(descriptor, events)
        elif operation == EPOLL_CTL_MOD:
            epoll.modify(descriptor, events)
        elif operation == EPOLL_CTL_DEL:
            epoll.unregister(descriptor)
        else:
            raise os_error(errno.EINVAL)
        thing.data[descriptor] = data
        return 0

    return _now(call)


def _wait(run: Calls, given: Arguments) -> Attempt:
    epoll, thing = _epoll_of(run, given[0])
    most = run.number(given[2])
    limit = run.number(given[3])
    told: list[tuple[int, int]] = []

    def call() -> int:
        told[:] = epoll.poll(None if limit < 0 else limit / 1000, most)
        return len(told)

    def check(result: int) -> None:
        if not is_anything(given[1]):
            for item, (descriptor, bits) in zip(events_of(run, given[1]), told, strict=False):
                same_event(run, item, thing.data.get(descriptor), bits)

    return _either(run, limit != 0, call, check)


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
        "read": _read,
        "readv": _readv,
        "recv": _recv,
        "recvfrom": _recv,
        "recvmsg": _recvmsg,
        "write": _write,
        "writev": _writev,
        "send": _send,
        "sendto": _send,
        "sendmsg": _sendmsg,
        "setsockopt": _setsockopt,
        "getsockopt": _getsockopt,
        "poll": _poll,
        "epoll_create": _create,
        "epoll_create1": _create1,
        "epoll_ctl": _control,
        "epoll_wait": _wait,
    }
)
