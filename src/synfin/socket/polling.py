"""select, poll and epoll that take sockets of ours which have no descriptor of the system's.

While all descriptors are the system's, the system does the work.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from synfin.socket import system
from synfin.socket.open_sockets import FIRST_NUMBER, TABLE, OpenSocket
from synfin.socket.selector import number_of
from synfin.socket.system import SystemSelector
from synfin.socket.ways_to_wait import ALWAYS, Waiting, current, find_current
from synfin.tcp.parameters import SECOND
from synfin.tcp.readiness import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")

POLLNVAL: Final = 0x20
EPOLLET: Final = 1 << 31
EPOLLONESHOT: Final = 1 << 30
#: What select(2) calls readable, writable and exceptional, in bits of poll(2).
READABLE: Final = POLLIN | POLLHUP | POLLERR
WRITABLE: Final = POLLOUT | POLLERR
EXCEPTIONAL: Final = POLLPRI


def _system_waits() -> bool:
    """Whether the system may wait by itself: not where all waits come to us."""
    waiting = find_current()
    return waiting is None or waiting.real_descriptors


def _is_mere_number(number: int) -> bool:
    return number >= FIRST_NUMBER


class _Wait:
    """One wait for sockets of ours together with descriptors of the system's."""

    def __init__(self, entries: Iterable[OpenSocket]) -> None:
        self.entries = list(entries)
        self.waiting: Waiting = self.entries[0].waiting if self.entries else current()

    def until(
        self,
        poll_system: Callable[[], list[T]],
        ours: Callable[[], list[T]],
        theirs: Callable[[], SystemSelector],
        timeout: float | None,
    ) -> list[T]:
        """What `ours` and `poll_system` say, as soon as it is something, or at the end of `timeout` (in seconds).
        `theirs` makes a selector that wakes up for what is the system's."""
        found = ours() + poll_system()
        if found or (timeout is not None and timeout <= 0):
            return found
        waiting = self.waiting
        files = theirs()
        selecting = waiting.selecting(files)
        bell = selecting.bell
        for entry in self.entries:
            with entry.waiting.lock:
                entry.waiting.watch(entry.core, bell.ring)
        deadline = NEVER if timeout is None else waiting.now() + int(timeout * SECOND)
        try:
            while True:
                found = ours() + poll_system()
                if found or waiting.now() >= deadline:
                    return found
                selecting.wait(deadline)
        finally:
            for entry in self.entries:
                with entry.waiting.lock:
                    entry.waiting.unwatch(entry.core, bell.ring)
            selecting.close()
            files.close()


def readiness(entry: OpenSocket) -> int:
    """The bits of poll(2) of a socket; POLLNVAL if it is closed."""
    if entry.core.closed or entry.core.linger_until >= 0:
        return POLLNVAL
    with entry.waiting.lock:
        return entry.readiness()


def select(
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None, /
) -> tuple[list[Any], list[Any], list[Any]]:
    """As select.select."""
    wanted = (list(rlist), list(wlist), list(xlist))
    ours: list[tuple[int, Any, OpenSocket, int]] = []
    theirs: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for place, objects in enumerate(wanted):
        for one in objects:
            number = number_of(one) if not isinstance(one, int) else one
            entry = TABLE.get(number) if _is_mere_number(number) else None
            if entry is not None and entry.system < 0:
                ours.append((place, one, entry, (READABLE, WRITABLE, EXCEPTIONAL)[place]))
            else:
                theirs[place].append(one if entry is None else entry.system)
    if not ours and _system_waits():
        return system.select(*theirs, timeout)
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")

    def look() -> list[tuple[int, Any]]:
        return [(place, one) for place, one, entry, bits in ours if readiness(entry) & bits]

    def look_at_theirs() -> list[tuple[int, Any]]:
        if not any(theirs):
            return []
        return [(place, one) for place, part in enumerate(system.select(*theirs, 0)) for one in part]

    def files() -> SystemSelector:
        bits = (POLLIN, POLLOUT, POLLPRI)
        return _files((number_of(one), bits[place]) for place in range(3) for one in theirs[place])

    found = _Wait(entry for _, _, entry, _ in ours).until(look_at_theirs, look, files, timeout)
    return (
        [one for place, one in found if place == 0],
        [one for place, one in found if place == 1],
        [one for place, one in found if place == 2],
    )


def method_select(_: object, r: Any, w: Any, x: Any, timeout: float | None = None) -> Any:
    """As SelectSelector has it."""
    return select(r, w, x, timeout)


def _files(wanted: Iterable[tuple[int, int]]) -> SystemSelector:
    """A selector that wakes up for descriptors of the system's; what they are ready for is asked otherwise."""
    events: dict[int, int] = {}
    for number, bits in wanted:
        one = (selectors.EVENT_WRITE if bits & POLLOUT else 0) | (selectors.EVENT_READ if bits & ~POLLOUT else 0)
        events[number] = events.get(number, 0) | one
    made = SystemSelector()
    for number, which in events.items():
        if which:
            made.register(number, which)
    return made


class _Polled:
    """What Poll and Epoll have in common: interests of ours, by number."""

    _system: Any

    def __init__(self) -> None:
        self._ours: dict[int, tuple[OpenSocket, int]] = {}
        self._theirs: dict[int, int] = {}

    def _entry(self, fd: FileDescriptorLike) -> tuple[int, OpenSocket | None]:
        number = number_of(fd)
        entry = TABLE.get(number) if _is_mere_number(number) else None
        return number, entry if entry is not None and entry.system < 0 else None

    def register(self, fd: FileDescriptorLike, eventmask: int = POLLIN | POLLPRI | POLLOUT, /) -> None:
        number, entry = self._entry(fd)
        if entry is None:
            self._system.register(fd, eventmask)
            self._theirs[number] = eventmask
            return
        self._ours[number] = entry, eventmask

    def modify(self, fd: FileDescriptorLike, eventmask: int, /) -> None:
        number = number_of(fd)
        found = self._ours.get(number)
        if found is None:
            self._system.modify(fd, eventmask)
            self._theirs[number] = eventmask
            return
        self._ours[number] = found[0], eventmask

    def unregister(self, fd: FileDescriptorLike, /) -> None:
        number = number_of(fd)
        if self._ours.pop(number, None) is None:
            self._theirs.pop(number, None)
            self._system.unregister(fd)

    def _look(self) -> list[tuple[int, int]]:
        found = []
        for number, (entry, mask) in self._ours.items():
            bits = readiness(entry) & (mask | ALWAYS | POLLNVAL)
            if bits:
                found.append((number, bits))
        return found

    def _wait(self, poll_system: Callable[[], list[Any]], timeout: float | None) -> list[tuple[int, int]]:
        if timeout is not None and timeout < 0:
            timeout = None
        wait = _Wait(entry for entry, _ in self._ours.values())
        return wait.until(poll_system, self._look, lambda: _files(self._theirs.items()), timeout)


class Poll(_Polled):
    """As select.poll."""

    def __init__(self) -> None:
        super().__init__()
        self._system = system.poll()

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """As select.poll's, in milliseconds."""
        if not self._ours and _system_waits():
            found: list[tuple[int, int]] = self._system.poll(timeout)
            return found
        return self._wait(lambda: self._system.poll(0), None if timeout is None else timeout / 1000)


class Epoll(_Polled):
    """As select.epoll. A socket of ours is told with EPOLLET each time that something happened to it."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        super().__init__()
        self._system = system.epoll(sizehint, flags)
        self._happened: dict[int, Callable[[], None]] = {}
        self._edges: dict[int, bool] = {}

    @classmethod
    def fromfd(cls, fd: int) -> Epoll:
        """As select.epoll.fromfd."""
        made = cls.__new__(cls)
        _Polled.__init__(made)
        made._system = system.epoll.fromfd(fd)
        made._happened = {}
        made._edges = {}
        return made

    def register(self, fd: FileDescriptorLike, eventmask: int = POLLIN | POLLPRI | POLLOUT, /) -> None:
        number, entry = self._entry(fd)
        if number in self._ours:
            raise FileExistsError(17, "File exists")
        super().register(fd, eventmask)
        if entry is None:
            self._follow(number)
            return
        self._edges[number] = True

        def happened() -> None:
            self._edges[number] = True

        self._happened[number] = happened
        with entry.waiting.lock:
            entry.waiting.watch(entry.core, happened)

    def modify(self, fd: FileDescriptorLike, eventmask: int, /) -> None:
        super().modify(fd, eventmask)
        self._edges[number_of(fd)] = True

    def unregister(self, fd: FileDescriptorLike, /) -> None:
        number = number_of(fd)
        self._stop(number)
        super().unregister(fd)

    def _follow(self, number: int) -> None:
        entry = TABLE.get(number)
        if entry is not None:
            with entry.waiting.lock:
                if entry.descriptor is not None:
                    entry.descriptor.followers.add(self)

    def replaced(self, number: int) -> None:
        """As `Follower`: the system has forgotten what was registered."""
        mask = self._theirs.get(number)
        if mask is not None:
            with suppress(OSError):
                self._system.register(number, mask)

    def _stop(self, number: int) -> None:
        happened = self._happened.pop(number, None)
        self._edges.pop(number, None)
        if happened is not None:
            entry, _ = self._ours[number]
            with entry.waiting.lock:
                entry.waiting.unwatch(entry.core, happened)

    def _look(self) -> list[tuple[int, int]]:
        found = []
        for number, (entry, mask) in list(self._ours.items()):
            bits = readiness(entry) & (mask & 0xFFFF | ALWAYS)
            if not bits or not mask & 0xFFFF:
                continue
            if mask & EPOLLET and not self._edges.get(number):
                continue
            self._edges[number] = False
            if mask & EPOLLONESHOT:
                self._ours[number] = entry, mask & ~0xFFFF
            found.append((number, bits))
        return found

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """As select.epoll's, in seconds."""
        if not self._ours and _system_waits():
            found: list[tuple[int, int]] = self._system.poll(timeout, maxevents)
            return found
        return self._wait(lambda: self._system.poll(0, maxevents), timeout)

    def fileno(self) -> int:
        number: int = self._system.fileno()
        return number

    @property
    def closed(self) -> bool:
        result: bool = self._system.closed
        return result

    def close(self) -> None:
        for number in list(self._happened):
            self._stop(number)
        self._ours.clear()
        self._system.close()

    def __enter__(self) -> Epoll:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["POLLRDHUP", "Epoll", "Poll", "select"]
