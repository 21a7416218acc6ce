"""Calls of the standard library that would use a descriptor of ours as a socket of the system's, in C.

While any socket of ours is open, or ours are installed, they look whether a descriptor is ours, and then work or raise.
A write that gets past them (another process's) is refused by the descriptor itself; see `synfin.socket.descriptor`.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from errno import EBADF
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from synfin.socket import stand_in

# What these modules had before.
dup: Final = os.dup
dup2: Final = os.dup2
close: Final = os.close
read: Final = os.read
write: Final = os.write

_lock: Final = threading.Lock()
_open_sockets = 0
_replaced: list[tuple[object, str, object, object]] = []


def hold() -> None:
    """One socket of ours more is open, or may be made at any time."""
    global _open_sockets  # noqa: PLW0603
    with _lock:
        _open_sockets += 1
        if _open_sockets == 1:
            # It has kept what os had before.
            more = sys.modules.get("multiprocessing.connection")
            kept = [(more.Connection, name, make) for name, make in _KEPT] if more is not None else []
            for place, name, make in (*_GUARDS, *kept):
                before = getattr(place, name)
                guard = make(before)
                setattr(place, name, guard)
                _replaced.append((place, name, before, guard))


def release() -> None:
    """One less."""
    global _open_sockets  # noqa: PLW0603
    with _lock:
        _open_sockets -= 1
        if not _open_sockets:
            while _replaced:
                place, name, before, guard = _replaced.pop()
                # Somebody may have put something of theirs over it, and keeps it.
                if getattr(place, name) is guard:
                    setattr(place, name, before)


def _ours(number: object) -> bool:
    from synfin.socket.open_sockets import TABLE

    return isinstance(number, int) and TABLE.get(number) is not None


@contextmanager
def _borrow(number: int) -> Iterator[stand_in.socket]:
    """A socket for one call on `number`, which keeps it."""
    from synfin.socket import stand_in
    from synfin.socket.open_sockets import TABLE

    entry = TABLE.get(number)
    if entry is None:
        raise OSError(EBADF, os.strerror(EBADF))
    sock = stand_in.socket.of(entry, number)
    sock.setblocking(not entry.nonblocking)
    try:
        yield sock
    finally:
        sock.let_go()


def _read(before: Any) -> Callable[..., bytes]:
    def read(fd: int, length: int, /) -> bytes:
        if not _ours(fd):
            result: bytes = before(fd, length)
            return result
        with _borrow(fd) as sock:
            return sock.recv(length)

    return read


def _readv(before: Any) -> Callable[..., int]:
    def readv(fd: int, buffers: Sequence[Any], /) -> int:
        if not _ours(fd):
            result: int = before(fd, buffers)
            return result
        with _borrow(fd) as sock:
            return sock.recvmsg_into(buffers)[0]

    return readv


def _write(before: Any) -> Callable[..., int]:
    def write(fd: int, data: Any, /) -> int:
        if not _ours(fd):
            result: int = before(fd, data)
            return result
        with _borrow(fd) as sock:
            return sock.send(data)

    return write


def _writev(before: Any) -> Callable[..., int]:
    def writev(fd: int, buffers: Sequence[Any], /) -> int:
        if not _ours(fd):
            result: int = before(fd, buffers)
            return result
        with _borrow(fd) as sock:
            return sock.sendmsg(buffers)

    return writev


def _sendfile(before: Any) -> Callable[..., int]:
    def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *rest: Any, **more: Any) -> int:
        if not _ours(out_fd):
            result: int = before(out_fd, in_fd, offset, count, *rest, **more)
            return result
        with _borrow(out_fd) as sock:
            size = min(count, 1 << 20)
            if offset is not None:
                return sock.send(os.pread(in_fd, size, offset))
            start = os.lseek(in_fd, 0, os.SEEK_CUR)
            sent = sock.send(os.pread(in_fd, size, start))
            os.lseek(in_fd, start + sent, os.SEEK_SET)
            return sent

    return sendfile


def _dup(before: Any) -> Callable[..., int]:
    def guarded(fd: int, /) -> int:
        if not _ours(fd):
            result: int = before(fd)
            return result
        from synfin.socket.socket_base import dup_number

        return dup_number(fd)

    return guarded


def _fromfd(before: Any) -> Callable[..., socket.socket]:
    def fromfd(fd: int, family: int, type: int, proto: int = 0) -> socket.socket:
        if not _ours(fd):
            result: socket.socket = before(fd, family, type, proto)
            return result
        from synfin.socket import stand_in
        from synfin.socket.socket_base import dup_number

        return stand_in.socket(family, type, proto, dup_number(fd))

    return fromfd


def _close(before: Any) -> Callable[..., None]:
    def guarded(fd: int) -> None:
        if not _ours(fd):
            before(fd)
            return
        from synfin.socket.open_sockets import TABLE

        TABLE.close(fd)

    return guarded


def _refuse(before: Any) -> Callable[..., Any]:
    """For what cannot work: as on a descriptor that is none."""

    def guarded(fd: Any, *rest: Any, **more: Any) -> Any:
        if _ours(fd):
            raise OSError(EBADF, os.strerror(EBADF))
        return before(fd, *rest, **more)

    return guarded


def _wrap_socket(before: Any) -> Callable[..., Any]:
    def wrap_socket(self: ssl.SSLContext, sock: Any, *rest: Any, **more: Any) -> Any:
        from synfin.socket import stand_in

        if not isinstance(sock, stand_in.socket) and _ours(sock.fileno()):
            # What wraps a socket of ours, as ssl takes it too.
            timeout = sock.gettimeout()
            sock = stand_in.socket(fileno=sock.detach())
            sock.settimeout(timeout)
        if not (isinstance(sock, stand_in.socket) and sock.opened is not None):
            return before(self, sock, *rest, **more)
        from synfin.socket.tls import wrap

        return wrap(self, sock, *rest, **more)

    return wrap_socket


def _with(name: str) -> Callable[[Any], Callable[..., Any]]:
    """For a method whose last parameter is by default what `os` had before."""

    def make(before: Any) -> Callable[..., Any]:
        def guarded(self: object, *rest: Any) -> Any:
            return before(self, *rest, getattr(os, name))

        return guarded

    return make


#: Of multiprocessing's Connection.
_KEPT: Final[Sequence[tuple[str, Callable[[Any], Any]]]] = (
    ("_send", _with("write")),
    ("_recv", _with("read")),
    ("_close", _with("close")),
)

_GUARDS: Final[Sequence[tuple[Any, str, Callable[[Any], Any]]]] = (
    (os, "read", _read),
    (os, "readv", _readv),
    (os, "write", _write),
    (os, "writev", _writev),
    (os, "sendfile", _sendfile),
    (os, "dup", _dup),
    (os, "close", _close),
    (os, "fdopen", _refuse),
    (socket, "dup", _dup),
    (socket, "fromfd", _fromfd),
    (socket, "close", _close),
    (ssl.SSLContext, "wrap_socket", _wrap_socket),
)
