"""What every way to wait implements: threads over a real link, an asyncio loop, virtual time.

A socket never waits by itself. It makes a call of `synfin.host.calls`; where that says BlockingIOError and the socket
is a blocking one, it asks its `Waiting`, which also keeps the host going: packets in, packets out, deadlines.

What a new way to wait writes: a subclass of `Waiting`, of `Bell` (how one waiter is woken) and of `Selecting` (how a
selector waits). `current` says where a new socket belongs: to what `use` said for this context (a task, a thread),
then to that of the event loop of ours that runs in this thread, and else to what `provide` said for the process.
"""

from __future__ import annotations

import selectors
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from errno import ENETDOWN
from typing import Final, TypeAlias

from synfin.host import addresses, calls
from synfin.host.host import Host
from synfin.host.sockets import Socket
from synfin.tcp import readiness
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.listener import Listener
from synfin.tcp.timers import NEVER

#: Bits that poll(2) reports whether they were asked for or not.
ALWAYS: Final = readiness.POLLERR | readiness.POLLHUP

Ready: TypeAlias = list[tuple[selectors.SelectorKey, int]]


class Bell(ABC):
    """Wakes one waiter. What it rang stays rung until `clear`."""

    __slots__ = ("rung",)

    def __init__(self) -> None:
        self.rung = False

    @abstractmethod
    def ring(self) -> None:
        """Something may have changed. May be called from any thread, with the lock of any stack held, and often."""

    def clear(self) -> None:
        """Listens for the next ring."""
        self.rung = False


class Selecting(ABC):
    """How one selector of Python's waits: for `bell`, for descriptors of the system, for a deadline."""

    bell: Bell

    @abstractmethod
    def wait(self, deadline: int) -> Ready:
        """Returns when `bell` has rung (and clears it), when a descriptor is ready in the system's selector, or at
        `deadline` (nanoseconds of `Waiting.now`; NEVER: none); what the system's selector said. Called without the
        lock. Keeps the host going, if nobody else does; a deadline that is over only looks, but sends and receives
        what is there."""

    def begin(self) -> None:  # noqa: B027 (most have nothing to do)
        """The event loop that uses the selector begins to run: from now on it will come back here all the time."""

    def end(self) -> None:  # noqa: B027
        """That loop stops to run, and may begin again."""

    @abstractmethod
    def close(self) -> None:
        """The selector is closed."""


class Waiting(ABC):
    """A way to wait on the sockets of one host.

    `lock` is held around each call on the host, and may be taken twice by the same thread; a way that has one thread
    at a time uses a null context. `real_descriptors` says whether `fileno()` has to be a descriptor of the system that
    shows the socket's readiness, because programs may wait on it where we are not asked. Where every wait comes to us
    it is a mere number.
    """

    #: As above.
    real_descriptors: bool = True

    def __init__(self, host: Host, lock: AbstractContextManager[object]) -> None:
        self.host = host
        self.lock = lock
        #: Whether it has ended: who waits gets ENETDOWN.
        self.down = False
        #: What sockets asked for that the garbage collector took: it may come in the midst of the host's work.
        self.dropped: deque[Callable[[], object]] = deque()
        self._watchers: dict[int, list[Callable[[], object]]] = {}

    # --- to be written

    @abstractmethod
    def now(self) -> int:
        """The host's time, in nanoseconds."""

    @abstractmethod
    def pump(self) -> None:
        """A call was made on the host, which may have something to send now, and another deadline. Called with the
        lock held, after every call; to send may wait until the caller's turn is over. Never waits."""

    @abstractmethod
    def new_bell(self) -> Bell:
        """A bell for whoever is about to `pause`."""

    @abstractmethod
    def pause(self, bell: Bell, deadline: int) -> None:
        """Returns when `bell` has rung or at `deadline` (NEVER: none). Called with the lock held once, which is given
        up meanwhile, by any thread or task that blocks. Keeps the host going, if nobody else does."""

    @abstractmethod
    def selecting(self, system: selectors.BaseSelector) -> Selecting:
        """How a selector waits whose descriptors of the system are in `system`. That is not used by anybody else."""

    def takes(self, family: int, address: bytes, port: int, binding: bool) -> bool:
        """Whether an address (4 or 16 octets) is of this host's world, to bind to or to connect to; if not, the socket
        becomes one of the system."""
        return True

    def resolve(self, name: str) -> list[str] | None:
        """The addresses that this world has for a name; None if it knows nothing of it, and the system is asked.

        Raises socket.gaierror where the system must not be asked."""
        return None

    def name_of(self, address: str) -> str | None:
        """The name that this world has for an address; None if it knows none, and the system is asked."""
        return None

    def sleep(self, duration: int) -> None:
        """time.sleep, in nanoseconds."""
        with self.lock:
            bell = self.new_bell()
            deadline = self.now() + duration
            while self.now() < deadline:
                self.pause(bell, deadline)
                bell.clear()

    # --- for all

    def watch(self, sock: Socket, call: Callable[[], object]) -> None:
        """Makes `call`, with the lock held, whenever what could be done with `sock` may have changed."""
        self._watchers.setdefault(sock.number, []).append(call)

    def unwatch(self, sock: Socket, call: Callable[[], object]) -> None:
        """Ends one `watch`; harmless if there is none."""
        calls_of = self._watchers.get(sock.number)
        if calls_of is not None and call in calls_of:
            calls_of.remove(call)
            if not calls_of:
                del self._watchers[sock.number]

    def tell(self, entry: Connection | Listener) -> None:
        """To be called by the driver, with the lock held, for each entry that `Host.take_changed` gave."""
        self.tell_number(entry.socket)

    def tell_number(self, number: int) -> None:
        """Tells who watches the socket of that number."""
        watchers = self._watchers.get(number)
        if watchers is not None:
            # Some stop to watch when they are told.
            for call in tuple(watchers):
                call()

    def drop(self, close: Callable[[], object]) -> None:
        """Makes `close` later, when the host is at rest: in `close_dropped`. For finalizers; never waits."""
        self.dropped.append(close)

    def close_dropped(self) -> None:
        """Does what was dropped; called after each call of a user's, and by drivers that come by otherwise. With the
        lock held."""
        while self.dropped:
            self.dropped.popleft()()

    def tell_all(self) -> None:
        """Tells all who watch."""
        for number in list(self._watchers):
            self.tell_number(number)

    def wait(self, sock: Socket, bits: int, deadline: int = NEVER) -> bool:
        """Returns True when `sock` has one of the `bits` of poll(2) (or POLLERR or POLLHUP), or was closed; False at
        `deadline`. Called with the lock held once, which is given up meanwhile. Raises OSError with ENETDOWN when all
        of this has ended."""
        host = self.host
        wanted = bits | ALWAYS

        def done() -> bool:
            return sock.closed or sock.linger_until >= 0 or calls.poll(host, sock) & wanted != 0

        return self.wait_until(sock, done, deadline)

    def wait_until(self, sock: Socket, done: Callable[[], bool], deadline: int = NEVER) -> bool:
        """As `wait`, until `done()`, which is asked again whenever something happened on `sock`."""
        if done():
            return True
        bell = self.new_bell()
        self.watch(sock, bell.ring)
        try:
            while self.now() < deadline:
                self.pause(bell, deadline)
                bell.clear()
                if done():
                    return True
                if self.down:
                    raise os_error(ENETDOWN)
            return False
        finally:
            self.unwatch(sock, bell.ring)


class _Thread(threading.local):
    #: Loops of ours that run in this thread: what waits here comes to us, and a descriptor can be a mere number.
    own_loops = 0
    #: Where sockets belong that such a loop makes.
    waiting: Waiting | None = None


thread: Final = _Thread()


# --- where a new socket belongs

_here: ContextVar[Waiting | None] = ContextVar("synfin_waiting", default=None)
_provided: list[Callable[[], Waiting | None]] = []


def current() -> Waiting:
    """Where a socket belongs that is made now. Raises OSError with ENETDOWN if there is no stack to belong to."""
    found = find_current()
    if found is None:
        raise os_error(ENETDOWN)
    return found


def find_current() -> Waiting | None:
    """As `current`; None if there is none."""
    waiting = _here.get() or thread.waiting
    if waiting is not None:
        return waiting
    for provider in reversed(_provided):
        waiting = provider()
        if waiting is not None:
            return waiting
    return None


@contextmanager
def use(waiting: Waiting) -> Iterator[None]:
    """Sockets made in this context (this thread, this task and those it makes) belong to `waiting`."""
    token = _here.set(waiting)
    try:
        yield
    finally:
        _here.reset(token)


@contextmanager
def provide(provider: Callable[[], Waiting | None]) -> Iterator[None]:
    """Sockets made in a context where nothing is in `use` belong to what `provider` returns."""
    _provided.append(provider)
    try:
        yield
    finally:
        _provided.remove(provider)


def address_octets(text: str) -> bytes | None:
    """An address as octets, None for what is none."""
    try:
        return addresses.packed(text)
    except ValueError:
        return None
