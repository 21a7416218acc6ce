"""What the numbers that `fileno()` gives stand for: the table of descriptors, as far as they are ours."""

from __future__ import annotations

from errno import EBADF
from itertools import count
from typing import TYPE_CHECKING, Final

from synfin.host import calls
from synfin.host.sockets import Socket
from synfin.socket import guards
from synfin.socket.ways_to_wait import Waiting
from synfin.tcp.errors import os_error

if TYPE_CHECKING:
    from synfin.socket.descriptor import Descriptor

#: Numbers from here on are no descriptors of the system, which has never so many: there EBADF answers.
FIRST_NUMBER: Final = 1 << 30


class OpenSocket:
    """An open file description, as open(2) calls it: a socket of one host, which several descriptors may share.

    `descriptor`, if it was made, is one of the system's that shows what could be done. `system` is the descriptor of
    the system's socket that took its place when the address turned out to be none of ours; -1: none.
    """

    __slots__ = (
        "__weakref__",
        "core",
        "descriptor",
        "host",
        "nonblocking",
        "options",
        "references",
        "system",
        "undecided",
        "waiting",
    )

    def __init__(self, waiting: Waiting, core: Socket, undecided: bool = False) -> None:
        self.waiting = waiting
        self.host = waiting.host
        self.core = core
        self.references = 1
        self.descriptor: Descriptor | None = None
        #: O_NONBLOCK, which the descriptors share and show.
        self.nonblocking = False
        #: Whether the first address still decides if it is one of the system's instead.
        self.undecided = undecided
        #: What was set meanwhile, to be set again there.
        self.options: list[tuple[int, int, int | bytes]] = []
        self.system = -1
        guards.hold()
        waiting.opened(self)

    def readiness(self) -> int:
        """What could be done now, in bits of poll(2); with the lock held."""
        return calls.poll(self.host, self.core)

    def called(self) -> None:
        """To be called, with the lock held, after each call on the host that moves data."""
        waiting = self.waiting
        if waiting.dropped:
            waiting.close_dropped()
        waiting.pump()
        if self.descriptor is not None:
            self.descriptor.show()

    def set_nonblocking(self, nonblocking: bool) -> None:
        """Sets or clears O_NONBLOCK; with the lock held."""
        self.nonblocking = nonblocking
        if self.descriptor is not None:
            self.descriptor.show_nonblocking()

    def changed(self) -> None:
        """To be called, with the lock held, after each other call: whoever waits looks again."""
        self.waiting.tell_number(self.core.number)
        self.called()

    def release(self) -> None:
        """One reference less; with the last the socket is closed, which with SO_LINGER may wait."""
        waiting = self.waiting
        with waiting.lock:
            self.references -= 1
            if self.references > 0:
                return
            if self.descriptor is not None:
                self.descriptor.close()
                self.descriptor = None
            core = self.core
            connection = core.connection
            try:
                calls.close(self.host, core, waiting.now())
            except BlockingIOError:
                self.changed()
                if connection is not None:
                    waiting.wait_until(core, connection.drained, core.linger_until)
                if not core.closed:
                    core.linger_until = min(core.linger_until, waiting.now())
                    calls.close(self.host, core, waiting.now())
            else:
                waiting.tell_number(core.number)
            waiting.pump()
        guards.release()


class Table:
    """Descriptors that are ours, by number."""

    __slots__ = ("_entries", "_numbers")

    def __init__(self) -> None:
        self._entries: dict[int, OpenSocket] = {}
        self._numbers = count(FIRST_NUMBER)

    def get(self, number: int) -> OpenSocket | None:
        """What `number` stands for; None if it is none of ours.

        One that was closed behind our back, in C or before `guards` were there, is closed now."""
        entry = self._entries.get(number)
        if entry is None or number >= FIRST_NUMBER:
            return entry
        with entry.waiting.lock:
            descriptor = entry.descriptor
            if descriptor is not None and descriptor.is_at(number):
                return entry
            if self._entries.pop(number, None) is None:
                return None
            if descriptor is not None:
                descriptor.lose_number(number)
        entry.release()
        return None

    def number_for(self, entry: OpenSocket) -> int:
        """A new number for `entry`, that is no descriptor of the system."""
        number = next(self._numbers)
        self._entries[number] = entry
        return number

    def put(self, number: int, entry: OpenSocket) -> None:
        self._entries[number] = entry

    def remove(self, number: int) -> None:
        self._entries.pop(number, None)

    def close(self, number: int) -> None:
        """close(2) of a number that is ours. Raises OSError with EBADF if it is closed already."""
        entry = self._entries.pop(number, None)
        if entry is None:
            raise os_error(EBADF)
        if number < FIRST_NUMBER:
            with entry.waiting.lock:
                if entry.descriptor is not None:
                    entry.descriptor.close_number(number)
        entry.release()


#: The one of this process, as a process has one table of descriptors.
TABLE: Final = Table()
