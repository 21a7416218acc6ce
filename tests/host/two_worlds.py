"""The same socket calls on the Linux kernel and on a host of ours, so that results and errnos can be compared."""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import select
import socket
import struct
from collections.abc import Callable
from typing import Any

from synfin.host import calls, socket_options, transfer
from synfin.host.host import Host
from synfin.host.sockets import Socket

SECOND = 1_000_000_000
SECRET = bytes(range(16))
POLL_BITS = select.POLLIN | select.POLLPRI | select.POLLOUT | select.POLLERR | select.POLLHUP | select.POLLRDHUP
#: Where ephemeral ports begin.
EPHEMERAL = 32768


def _plain(value: Any) -> Any:
    """A result that both worlds can agree on: of an ephemeral port only that it is one."""
    if isinstance(value, tuple) and len(value) >= 2 and isinstance(value[0], str) and value[1] >= EPHEMERAL:
        return (value[0], "ephemeral", *value[2:])
    return value


class World:
    """Sockets by name. `does` makes a call and returns its result, or the name of its errno."""

    def does(self, name: str, call: str, *arguments: Any) -> Any:
        method: Callable[..., Any] = getattr(self, call)
        try:
            result = method(name, *arguments)
        except OSError as error:
            result = errno.errorcode[error.errno or 0]
        self.settle()
        return _plain(result)

    def settle(self) -> None:
        pass

    def close_all(self) -> None:
        pass


class Kernel(World):
    """The kernel's sockets in the network namespace of the calling thread. None of them waits."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)

    def socket(self, name: str, family: int) -> None:
        self._sockets[name] = made = socket.socket(family)
        made.setblocking(False)

    def bind(self, name: str, address: Any) -> None:
        self._sockets[name].bind(address)

    def listen(self, name: str, backlog: int = 5) -> None:
        if self._libc.listen(self._sockets[name].fileno(), backlog):
            raise OSError(ctypes.get_errno(), "listen")

    def accept(self, name: str, made: str) -> Any:
        self._sockets[made], address = self._sockets[name].accept()
        self._sockets[made].setblocking(False)
        return address

    def connect(self, name: str, address: Any) -> None:
        if address is None:
            unspecified = struct.pack("H14x", 0)
            if self._libc.connect(self._sockets[name].fileno(), unspecified, len(unspecified)):
                raise OSError(ctypes.get_errno(), "connect")
            return
        self._sockets[name].connect(address)

    def send(self, name: str, data: bytes, flags: int = 0) -> int:
        return self._sockets[name].send(data, flags | socket.MSG_NOSIGNAL)

    def recv(self, name: str, size: int, flags: int = 0) -> bytes:
        return self._sockets[name].recv(size, flags)

    def recvmsg(self, name: str, size: int, flags: int = 0) -> tuple[bytes, int]:
        data, _, told, _ = self._sockets[name].recvmsg(size, 0, flags)
        return data, told

    def shutdown(self, name: str, how: int) -> None:
        if self._libc.shutdown(self._sockets[name].fileno(), how):
            raise OSError(ctypes.get_errno(), "shutdown")

    def close(self, name: str) -> None:
        self._sockets.pop(name).close()

    def getsockname(self, name: str) -> Any:
        return self._sockets[name].getsockname()

    def getpeername(self, name: str) -> Any:
        return self._sockets[name].getpeername()

    def setsockopt(self, name: str, level: int, option: int, value: int | bytes) -> None:
        self._sockets[name].setsockopt(level, option, value)

    def getsockopt(self, name: str, level: int, option: int, length: int = 4) -> bytes:
        return self._sockets[name].getsockopt(level, option, length)

    def poll(self, name: str) -> int:
        poller = select.poll()
        poller.register(self._sockets[name], POLL_BITS)
        ready = poller.poll(0)
        return ready[0][1] & POLL_BITS if ready else 0

    def ioctl(self, name: str, request: int) -> int:
        result = array.array("i", [0])
        fcntl.ioctl(self._sockets[name], request, result, True)
        return result[0]

    def close_all(self) -> None:
        while self._sockets:
            self._sockets.popitem()[1].close()


class Ours(World):
    """A host of ours with nothing but loopback."""

    def __init__(self) -> None:
        self.host = Host("ours", SECRET)
        # A namespace of the kernel may choose no other.
        self.host.parameters.set("net.ipv4.tcp_congestion_control", "reno")
        self.now = SECOND
        self.sockets: dict[str, Socket] = {}

    def settle(self) -> None:
        """All that loopback carries, as the kernel does before a call returns."""
        while self.host.poll_transmit(self.host.interfaces[0], self.now) is not None:
            pass

    def socket(self, name: str, family: int) -> None:
        self.sockets[name] = calls.socket(self.host, family)

    def bind(self, name: str, address: Any) -> None:
        calls.bind(self.host, self.sockets[name], address)

    def listen(self, name: str, backlog: int = 5) -> None:
        calls.listen(self.host, self.sockets[name], backlog, self.now)

    def accept(self, name: str, made: str) -> Any:
        self.sockets[made], address = calls.accept(self.host, self.sockets[name])
        return address

    def connect(self, name: str, address: Any) -> None:
        calls.connect(self.host, self.sockets[name], address, self.now)

    def send(self, name: str, data: bytes, flags: int = 0) -> int:
        return transfer.send(self.host, self.sockets[name], data, flags, self.now)

    def recv(self, name: str, size: int, flags: int = 0) -> bytes:
        return transfer.recv(self.host, self.sockets[name], size, flags, self.now)

    def recvmsg(self, name: str, size: int, flags: int = 0) -> tuple[bytes, int]:
        received = transfer.recvmsg(self.host, self.sockets[name], size, flags, self.now)
        return b"".join(received.pieces), received.flags

    def shutdown(self, name: str, how: int) -> None:
        calls.shutdown(self.host, self.sockets[name], how, self.now)

    def close(self, name: str) -> None:
        calls.close(self.host, self.sockets.pop(name), self.now)

    def getsockname(self, name: str) -> Any:
        return calls.getsockname(self.host, self.sockets[name])

    def getpeername(self, name: str) -> Any:
        return calls.getpeername(self.host, self.sockets[name])

    def setsockopt(self, name: str, level: int, option: int, value: int | bytes) -> None:
        socket_options.setsockopt(self.host, self.sockets[name], level, option, value, self.now)

    def getsockopt(self, name: str, level: int, option: int, length: int = 4) -> bytes:
        return socket_options.getsockopt(self.host, self.sockets[name], level, option, self.now, length)

    def poll(self, name: str) -> int:
        return calls.poll(self.host, self.sockets[name])

    def ioctl(self, name: str, request: int) -> int:
        return calls.ioctl(self.host, self.sockets[name], request)

    def close_all(self) -> None:
        while self.sockets:
            calls.close(self.host, self.sockets.popitem()[1], self.now)
            self.settle()
