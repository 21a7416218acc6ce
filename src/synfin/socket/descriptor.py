"""A descriptor of the system's that shows what could be done with a socket of ours.

It is one end of an AF_UNIX pair, whose other end is kept here. What select, poll and epoll tell of it is set so:

POLLIN: an octet that the other end wrote waits in it. Another is written when more arrives, which edge-triggered epoll
tells anew.
POLLOUT: what it has sent (before anybody knew it) stays unread for ever; SO_SNDBUF is made too small for it, or large.
POLLHUP: the other end is closed. POLLERR: it was closed with that unread.
POLLPRI: an octet out of band was written.

It is shut down for sending, so that the system refuses whatever somebody writes into it. For this reason POLLRDHUP
comes only with POLLHUP: an end of stream that is not the end of everything shows as POLLIN. POLLPRI brings POLLIN.
"""

from __future__ import annotations

import os
import socket as system
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from synfin.socket import guards
from synfin.tcp import readiness

if TYPE_CHECKING:
    from synfin.socket.open_sockets import OpenSocket

#: What is sent and stays unread, in octets: a quarter more than what the least SO_SNDBUF (4608, doubled from less) lets
#: be written to be writable, and less than the larger one.
UNREAD: Final = bytes(2048)
FULL: Final = 1
ROOM: Final = 1 << 16
#: Octets that tell of arrivals, at most.
MARKS: Final = 32


def descriptor_for(entry: OpenSocket) -> int:
    """The first descriptor of `entry`; with the lock held."""
    entry.descriptor = Descriptor(entry)
    return entry.descriptor.user.fileno()


class Follower(Protocol):
    """Who knows a descriptor by its number."""

    def replaced(self, number: int) -> None:
        """Another file of the system's is at `number` now, that shows the same socket. With the lock held."""


class Descriptor:
    """Shows the readiness of `entry` at the descriptors of `user` and at those that were made from it by dup(2)."""

    __slots__ = (
        "_entry",
        "_error",
        "_inner",
        "_inode",
        "_marks",
        "_unconnected",
        "_urgent",
        "_writable",
        "followers",
        "numbers",
        "user",
    )

    def __init__(self, entry: OpenSocket) -> None:
        self._entry = entry
        #: By which it is known outside; the last that is closed takes it along.
        self.user = system_socket()
        self.numbers = {self.user.fileno()}
        self._inode = os.fstat(self.user.fileno()).st_ino
        self._inner: system.socket | None = None
        #: Who has registered one of the numbers where the system forgets it when another file takes its place.
        self.followers: weakref.WeakSet[Follower] = weakref.WeakSet()
        #: An AF_UNIX socket that was never connected shows what one of TCP's does: POLLOUT and POLLHUP.
        self._unconnected = True
        self._clear()
        entry.waiting.watch(entry.core, self.arrived)
        self.show_nonblocking()
        self.show()

    def _clear(self) -> None:
        self._marks = 0
        self._urgent = False
        self._writable = True
        self._error = False

    def is_at(self, number: int) -> bool:
        """Whether `number` is still what was given, and not closed behind our back, and perhaps something else now."""
        try:
            return os.fstat(number).st_ino == self._inode
        except OSError:
            return False

    def lose_number(self, number: int) -> None:
        """One of the numbers stands for something else now; another goes on."""
        self.numbers.discard(number)
        if number == self.user.fileno():
            self.user.detach()
            if self.numbers:
                self.user = _system_class(system.AF_UNIX, system.SOCK_STREAM, 0, min(self.numbers))
            else:
                self.close()

    def close_number(self, number: int) -> None:
        """One of the numbers is closed."""
        self.lose_number(number)
        guards.close(number)

    def close(self) -> None:
        """Nobody looks at it any more."""
        self._entry.descriptor = None
        self._entry.waiting.unwatch(self._entry.core, self.arrived)
        self.user.close()
        if self._inner is not None:
            self._inner.close()

    def show_nonblocking(self) -> None:
        """Shows O_NONBLOCK as the socket has it."""
        os.set_blocking(self.user.fileno(), not self._entry.nonblocking)

    def arrived(self) -> None:
        """Something happened: who waits for edges is told, even if nothing new could be done."""
        self._show(True)

    def show(self) -> None:
        """Shows what could be done now."""
        self._show(False)

    def _show(self, edge: bool) -> None:
        entry = self._entry
        core = entry.core
        if core.closed or core.linger_until >= 0:
            return
        bits = entry.readiness()
        hung = bits & readiness.POLLHUP
        fresh = hung and core.connection is None and not core.pending_error and not core.shutdown
        if fresh and self._unconnected:
            return
        if self._inner is None:
            if fresh or (hung and not self._unconnected):
                self._show_error(bits)
                return
            self._connect()
        if hung:
            self._hang_up(bits)
            return
        if bits & readiness.POLLPRI:
            if not self._urgent:
                self._urgent = True
                self._inner_end().send(b"!", system.MSG_OOB)
        elif self._urgent:
            self._urgent = False
            self._take_urgent()
        if bits & readiness.POLLIN:
            if edge or not self._marks:
                if self._marks >= MARKS:
                    self._take_marks()
                self._inner_end().send(b"\0")
                self._marks += 1
        elif self._marks:
            self._take_marks()
        writable = bool(bits & readiness.POLLOUT)
        if writable != self._writable:
            self._writable = writable
            # A larger one also wakes those who wait to write.
            self.user.setsockopt(system.SOL_SOCKET, system.SO_SNDBUF, ROOM if writable else FULL)

    def _inner_end(self) -> system.socket:
        assert self._inner is not None
        return self._inner

    def _connect(self) -> None:
        """Connects the two ends. After a hang-up, which nothing undoes, a new pair takes the place of the old one."""
        if self._unconnected:
            with system_socket() as listener:
                # An empty name: the system gives it one that nobody has.
                listener.bind("")
                listener.listen(1)
                self.user.connect(listener.getsockname())
                self._inner, _ = system_accept(listener)
            self._unconnected = False
        else:
            user, self._inner = system_pair()
            for number in self.numbers:
                guards.dup2(user.fileno(), number, False)
                for one in tuple(self.followers):
                    one.replaced(number)
            user.close()
            self._inode = os.fstat(self.user.fileno()).st_ino
        self._clear()
        self._inner.setblocking(False)
        self.show_nonblocking()
        self.user.setsockopt(system.SOL_SOCKET, system.SO_SNDBUF, ROOM)
        self.user.send(UNREAD)
        self.user.shutdown(system.SHUT_WR)

    def _hang_up(self, bits: int) -> None:
        inner = self._inner_end()
        self._inner = None
        self._error = bool(bits & readiness.POLLERR)
        if not self._error:
            # What is unread would make an error of it.
            inner.recv(len(UNREAD))
        inner.close()
        if not self._writable:
            self._writable = True
            self.user.setsockopt(system.SOL_SOCKET, system.SO_SNDBUF, ROOM)

    def _show_error(self, bits: int) -> None:
        """After the hang-up only the error changes, which whoever asked for it has taken."""
        if self._error and not bits & readiness.POLLERR:
            self._error = False
            self.user.getsockopt(system.SOL_SOCKET, system.SO_ERROR)

    def _take_marks(self) -> None:
        self._marks = 0
        with suppress(BlockingIOError):
            while self.user.recv(MARKS * 2, system.MSG_DONTWAIT):
                pass

    def _take_urgent(self) -> None:
        with suppress(OSError):
            self.user.recv(1, system.MSG_OOB | system.MSG_DONTWAIT)
        self._take_marks()


def system_socket() -> system.socket:
    """A socket of the system's, also while `socket.socket` is ours."""
    return _system_class(system.AF_UNIX, system.SOCK_STREAM)


def system_accept(listener: system.socket) -> tuple[system.socket, object]:
    number, address = listener._accept()  # type: ignore[attr-defined]
    return _system_class(system.AF_UNIX, system.SOCK_STREAM, 0, number), address


def system_pair() -> tuple[system.socket, system.socket]:
    first, second = system.socketpair()
    return first, second


#: Kept from before anything is replaced.
_system_class: Final = system.socket
