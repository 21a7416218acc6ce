"""Whose turn it is to keep a host on a real link going: the stack's thread, an event loop, or what blocks in that."""

from __future__ import annotations

import os
import selectors
import threading
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from synfin.socket import guards
from synfin.socket.ways_to_wait import Bell, Ready, Selecting
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from synfin.socket.link_driver import LinkDriver

#: The longest that is waited at once, in seconds.
LONGEST: Final = 86400.0
#: Turns of an event loop in a row that what is to be sent may wait: as many as asyncio's streams take from a connection
#: that came to the answer.
TURNS_HELD: Final = 4
#: What the selector of whoever has the turn says besides.
LINK: Final = object()
WOKEN: Final = object()


class Turn:
    """Whoever keeps a host going: what it waits in, and how it is woken."""

    __slots__ = ("_attached", "_driver", "_fd", "_pipe", "_woken", "_writing", "system", "thread", "yields")

    def __init__(self, driver: LinkDriver, system: selectors.BaseSelector) -> None:
        self._driver = driver
        self.system = system
        #: Which thread it is.
        self.thread = 0
        #: Whether it lets anybody go on in its place.
        self.yields = False
        self._attached = False
        self._writing = False
        self._fd = -1
        self._woken = False
        self._pipe = os.pipe()
        for end_of_pipe in self._pipe:
            os.set_blocking(end_of_pipe, False)
        system.register(self._pipe[0], selectors.EVENT_READ, WOKEN)

    def attach(self) -> None:
        """Waits for the link too."""
        if not self._attached:
            self._attached = True
            self._writing = False
            if self._driver.has_descriptor:
                self._fd = self._driver.link.fileno()
                self.system.register(self._fd, selectors.EVENT_READ, LINK)
            if self._driver.is_held:
                self.want_writable()

    def detach(self) -> None:
        if self._attached:
            self._attached = False
            if self._fd >= 0:
                self.system.unregister(self._fd)
                self._fd = -1

    def want_writable(self) -> None:
        """The link was full."""
        if self._fd >= 0 and not self._writing:
            self._writing = True
            self.system.modify(self._fd, selectors.EVENT_READ | selectors.EVENT_WRITE, LINK)

    def wake(self) -> None:
        """Ends the wait, from any thread."""
        if not self._woken:
            self._woken = True
            # Closed, or full of wakes.
            with suppress(OSError):
                guards.write(self._pipe[1], b"\0")

    def wait(self, deadline: int) -> bool:
        """Waits for the link, for `wake` or until `deadline`; whether there may be packets."""
        return self.own(self.system.select(timeout_of(deadline)))

    def own(self, found: Ready) -> bool:
        """Takes what is its own out of what `system` said; whether there may be packets."""
        readable = False
        for index in range(len(found) - 1, -1, -1):
            data = found[index][0].data
            if data is WOKEN:
                del found[index]
                with suppress(BlockingIOError):
                    guards.read(self._pipe[0], 64)
                # Last: who wakes it from here on writes again; what woke it before is looked at from here on.
                self._woken = False
                # A channel has no other sign.
                readable = True
            elif data is LINK:
                _, events = found.pop(index)
                readable = True
                if events & selectors.EVENT_WRITE and self._writing:
                    self._writing = False
                    self.system.modify(self._fd, selectors.EVENT_READ, LINK)
        return readable

    def close(self) -> None:
        self.detach()
        self.system.unregister(self._pipe[0])
        for end_of_pipe in self._pipe:
            guards.close(end_of_pipe)
        self._woken = True


class ThreadBell(Bell):
    """Wakes one thread."""

    __slots__ = ("_lock", "turn")

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._lock.acquire()
        #: What the thread waits in while it keeps the host going itself.
        self.turn: Turn | None = None

    def ring(self) -> None:
        if not self.rung:
            self.rung = True
            turn = self.turn
            if turn is not None:
                turn.wake()
                return
            # Two may ring at once.
            with suppress(RuntimeError):
                self._lock.release()

    def clear(self) -> None:
        self._lock.acquire(blocking=False)
        self.rung = False

    def wait(self, timeout: float) -> None:
        """Waits for the ring, for `timeout` seconds at most."""
        if not self.rung and self._lock.acquire(timeout=timeout):
            self._lock.release()


class SelectorBell(Bell):
    """Wakes whoever waits in a selector, if it is another thread."""

    __slots__ = ("_turn",)

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self._turn = turn

    def ring(self) -> None:
        if not self.rung:
            self.rung = True
            if threading.get_ident() != self._turn.thread:
                self._turn.wake()


class LinkSelecting(Selecting):
    """A selector that keeps the host going where it waits, if no other does."""

    def __init__(self, driver: LinkDriver, system: selectors.BaseSelector) -> None:
        self._driver = driver
        self._system = system
        self._turn = Turn(driver, system)
        self._begun = False
        self._running = False
        #: Turns of the loop in which nothing was sent.
        self._held = 0
        self.bell = SelectorBell(self._turn)

    def begin(self) -> None:
        driver = self._driver
        with driver.lock:
            self._turn.thread = threading.get_ident()
            self._running = True
            self._begun = driver.take_turn(self._turn)
            driver.later = self._begun

    def end(self) -> None:
        driver = self._driver
        with driver.lock:
            self._running = False
            if self._begun:
                self._begun = False
                driver.later = False
                driver.pump_now()
                driver.give_turn(self._turn)

    def wait(self, deadline: int) -> Ready:
        driver = self._driver
        turn = self._turn
        bell = self.bell
        lock = driver.lock
        turn.thread = threading.get_ident()
        mine = self._begun
        if not mine:
            with lock:
                mine = driver.take_turn(turn)
                if mine and self._running:
                    # Who had it has ended.
                    self._begun = driver.later = True
        try:
            # Somebody has his turn at once, and may have data or a FIN to say in the packet of an acknowledgment.
            later = self._begun and driver.is_watched
            holding = later and deadline <= 0 and self._held < TURNS_HELD
            self._held = self._held + 1 if holding else 0
            due = NEVER
            if mine and not holding:
                with lock:
                    due = driver.work(False)
            while True:
                due = 0 if bell.rung else min(due, deadline)
                found = self._system.select(timeout_of(due))
                readable = turn.own(found)
                if mine:
                    with lock:
                        driver.take(readable)
                        if later and (holding or bell.rung):
                            driver.owe()
                        else:
                            due = driver.send()
                if found or bell.rung or due_now(deadline):
                    bell.clear()
                    return found
        finally:
            if mine and not self._begun:
                with lock:
                    driver.give_turn(turn)

    def close(self) -> None:
        if self._running:
            self.end()
        self._turn.close()


def timeout_of(deadline: int) -> float | None:
    """How long it is until then, in seconds, as selectors take it."""
    if deadline <= 0:
        return 0
    if deadline >= NEVER:
        return None
    return max(deadline - monotonic_ns(), 0) / SECOND


def due_now(deadline: int) -> bool:
    return deadline <= 0 or (deadline < NEVER and monotonic_ns() >= deadline)
