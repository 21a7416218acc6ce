"""A selector for sockets of ours and descriptors of the system's together; and select, poll and epoll made of it."""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import ceil
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import TYPE_CHECKING, Any, Final

from synfin.socket.open_sockets import FIRST_NUMBER, TABLE, OpenSocket
from synfin.socket.system import SystemSelector
from synfin.socket.ways_to_wait import ALWAYS, Ready, Waiting
from synfin.tcp.parameters import SECOND
from synfin.tcp.readiness import POLLIN, POLLOUT
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

#: Bits of poll(2) by the events of `selectors`.
BITS: Final = (ALWAYS, POLLIN | ALWAYS, POLLOUT | ALWAYS, POLLIN | POLLOUT | ALWAYS)


class Interest:
    """A socket of ours in a selector, and the bits that are waited for."""

    __slots__ = ("asked", "bits", "entry", "key", "watch")

    def __init__(self, key: SelectorKey, entry: OpenSocket, bits: int) -> None:
        self.key = key
        self.entry = entry
        self.bits = bits
        #: Whether it is among those to be looked at.
        self.asked = False
        self.watch: Callable[[], object] = _nothing


def _nothing() -> None: ...


def _readiness(interest: Interest) -> int:
    """The bits that are wanted and there."""
    entry = interest.entry
    core = entry.core
    if not interest.bits or core.closed or core.linger_until >= 0:
        return 0
    with entry.waiting.lock:
        return entry.readiness() & interest.bits


class Selector(selectors.BaseSelector):
    """As selectors.DefaultSelector, level-triggered. A socket of ours needs no descriptor of the system's here.

    It waits in the way of `waiting`; sockets of other stacks, which are kept going by somebody else, may be in it too.
    """

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting
        self.system = SystemSelector()
        self.selecting = waiting.selecting(self.system)
        self._interests: dict[int, Interest] = {}
        #: Descriptors of the system's by the number under which they were registered.
        self._aliases: dict[int, int] = {}
        #: Those with which something happened, or which were ready when last looked at.
        self._asked: deque[Interest] = deque()
        self._map = _Map(self)

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        number = number_of(fileobj)
        entry = TABLE.get(number)
        if entry is None or entry.system >= 0:
            return self._register_system(fileobj, number, entry, events, data)
        if not events or events & ~(EVENT_READ | EVENT_WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        if number in self._interests:
            raise KeyError(f"{fileobj!r} (FD {number}) is already registered")
        key = SelectorKey(fileobj, number, events, data)
        interest = self._interests[number] = Interest(key, entry, BITS[events])
        interest.watch = partial(self._ask, interest)
        waiting = entry.waiting
        with waiting.lock:
            waiting.watch(entry.core, interest.watch)
        self._ask(interest)
        return key

    def _register_system(
        self, fileobj: FileDescriptorLike, number: int, entry: OpenSocket | None, events: int, data: Any
    ) -> SelectorKey:
        if entry is None:
            return self.system.register(fileobj, events, data)
        key = SelectorKey(fileobj, number, events, data)
        self.system.register(entry.system, events, key)
        self._aliases[number] = entry.system
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> SelectorKey:
        number = self._number(fileobj)
        interest = self._interests.pop(number, None)
        if interest is None:
            system = self._aliases.pop(number, -1)
            if system < 0:
                return self.system.unregister(fileobj)
            data: SelectorKey = self.system.unregister(system).data
            return data
        # Whoever still asks about it finds nothing wanted.
        interest.bits = 0
        waiting = interest.entry.waiting
        with waiting.lock:
            waiting.unwatch(interest.entry.core, interest.watch)
        interest.watch = _nothing
        return interest.key

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        interest = self._interests.get(self._number(fileobj))
        if interest is None:
            number = self._number(fileobj)
            if number in self._aliases:
                self.unregister(number)
                return self.register(fileobj, events, data)
            return self.system.modify(fileobj, events, data)
        if not events or events & ~(EVENT_READ | EVENT_WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        interest.key = SelectorKey(interest.key.fileobj, interest.key.fd, events, data)
        interest.bits = BITS[events]
        self._ask(interest)
        return interest.key

    def _number(self, fileobj: FileDescriptorLike) -> int:
        """The number of what may be closed by now."""
        try:
            number = number_of(fileobj)
        except ValueError:
            number = -1
        if number < 0:
            for key in self._map.values():
                if key.fileobj is fileobj:
                    return key.fd
        return number

    def _ask(self, interest: Interest) -> None:
        if not interest.asked:
            interest.asked = True
            self._asked.append(interest)
        self.selecting.bell.ring()

    def select(self, timeout: float | None = None) -> Ready:
        # What rang before this is looked at here; what rings from here on ends the wait.
        self.selecting.bell.clear()
        if (timeout is not None and timeout <= 0) or (self._asked and self._any_ready()):
            # What is ready of the system's is not kept waiting by what is ready of ours.
            deadline = 0
        elif timeout is None:
            deadline = NEVER
        else:
            deadline = self.waiting.now() + ceil(timeout * SECOND) if timeout > 0 else 0
        while True:
            found = self.selecting.wait(deadline)
            if self._aliases:
                found = [
                    (key.data, events) if isinstance(key.data, SelectorKey) else (key, events) for key, events in found
                ]
            if self._asked:
                self._look(found)
            # Something happened to a socket, and it is not ready for what was asked: select goes on.
            if found or self.waiting.now() >= deadline:
                return found

    def _any_ready(self) -> bool:
        """Whether one is ready. Those before it that are not are asked no more until something happens to them."""
        asked = self._asked
        for _ in range(len(asked)):
            if _readiness(asked[0]):
                return True
            asked.popleft().asked = False
        return False

    def _look(self, found: Ready) -> None:
        """Adds those that are ready, which will be looked at again."""
        asked = self._asked
        for _ in range(len(asked)):
            interest = asked.popleft()
            bits = _readiness(interest)
            if bits:
                key = interest.key
                events = (EVENT_READ if bits & ~POLLOUT else 0) | (EVENT_WRITE if bits & ~POLLIN else 0)
                found.append((key, events & key.events))
                asked.append(interest)
            else:
                interest.asked = False

    def close(self) -> None:
        for number in list(self._interests):
            self.unregister(number)
        self.selecting.close()
        self.system.close()

    def get_map(self) -> Mapping[FileDescriptorLike, SelectorKey]:
        return self._map

    def get_key(self, fileobj: FileDescriptorLike) -> SelectorKey:
        if isinstance(fileobj, int):
            interest = self._interests.get(fileobj)
            if interest is not None:
                return interest.key
            if fileobj >= FIRST_NUMBER and fileobj not in self._aliases:
                # asyncio asks for every socket before it registers it.
                raise KeyError(fileobj)
        return self._map[fileobj]


class _Map(Mapping["FileDescriptorLike", SelectorKey]):
    """What is registered: of ours and of the system's."""

    __slots__ = ("_selector",)

    def __init__(self, selector: Selector) -> None:
        self._selector = selector

    def __len__(self) -> int:
        return len(self._selector._interests) + len(self._selector.system.get_map())

    def __getitem__(self, fileobj: FileDescriptorLike) -> SelectorKey:
        selector = self._selector
        number = selector._number(fileobj)
        interest = selector._interests.get(number)
        if interest is not None:
            return interest.key
        system = selector._aliases.get(number)
        if system is not None:
            data: SelectorKey = selector.system.get_map()[system].data
            return data
        try:
            return selector.system.get_map()[number]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    def __iter__(self) -> Iterator[FileDescriptorLike]:
        yield from self._selector._interests
        yield from self._selector.system.get_map()


def number_of(fileobj: FileDescriptorLike) -> int:
    """The descriptor of what has one. Raises ValueError as `selectors` does."""
    if isinstance(fileobj, int):
        number = fileobj
    else:
        try:
            number = int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
    if number < 0:
        raise ValueError(f"Invalid file descriptor: {number}")
    return number
