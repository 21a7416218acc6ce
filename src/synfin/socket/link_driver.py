"""A host on a real link for programs that block, and for asyncio loops of ours.

One thread per stack answers while the program thinks. While an event loop of ours runs, that loop does its work, and
the thread rests: packets are read where the loop waits.
"""

from __future__ import annotations

import os
import selectors
import threading
from contextlib import suppress
from errno import ENETDOWN
from time import monotonic_ns
from typing import Final

from synfin import reasons
from synfin.host import addresses
from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.link.channel import AsyncChannel, Channel
from synfin.link.link import Frame, Link, WrappedLink
from synfin.socket import guards
from synfin.socket.arrivals import frames_arrive
from synfin.socket.system import SystemSelector
from synfin.socket.ways_to_wait import Bell, Ready, Selecting, Waiting
from synfin.tcp import states
from synfin.tcp.ending import end
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Packet

#: Frames read in one go, so that a flood of packets leaves the users their turn.
BATCH: Final = 64
#: A deadline may be kept this much early (nanoseconds); coming back a second time costs more.
TIMER_SLACK: Final = 100_000
#: The longest that is waited at once, in seconds.
LONGEST: Final = 86400.0
#: What the selector of whoever has the turn says besides.
LINK: Final = object()
WOKEN: Final = object()


class LinkDriver(Waiting):
    """Serves `host` on `link`. `start` begins the thread, `stop` ends all.

    Raises ValueError for a channel of coroutines, which only an event loop can serve.
    """

    def __init__(self, host: Host, interface: Interface, link: Link) -> None:
        self._lock = threading.RLock()
        super().__init__(host, self._lock)
        self.interface = interface
        self.link = link
        #: The error of the link that ended it, if one did.
        self.error: Exception | None = None
        inner = link
        while isinstance(inner, WrappedLink):
            inner = inner.inner
        if isinstance(inner, AsyncChannel):
            raise ValueError("a channel of coroutines is served by an asyncio loop alone: use it as 'async with'")
        self._channel = inner if isinstance(inner, Channel) else None
        #: A packet that the link could not take; it goes out before any other.
        self._held: Packet | None = None
        self._pumping = False
        self._stopped = False
        #: Whether the link may have more packets than were read at once.
        self._more = False
        self._when_idle: Bell | None = None
        #: Whether who has the turn comes back at once, so that what is to be sent can wait for it.
        self.later = False
        self._thread: threading.Thread | None = None
        #: Who keeps the host going; None: nobody.
        self._turn: Turn | None = None
        #: When whoever that is comes back by itself.
        self._armed = NEVER
        #: Set when the thread may have its turn again.
        self._rested = threading.Event()
        self.has_descriptor = self._channel is None
        if self._channel is not None:
            self._channel.incoming.filled = self._wake
            self._channel.outgoing.drained = self._wake

    def start(self) -> None:
        """Begins to serve, in a thread of its own. Whoever blocks where nobody serves starts it too."""
        if self._thread is not None or self._stopped:
            return
        self._thread = threading.Thread(target=self._serve, name=f"synfin {self.host.name}", daemon=True)
        self._thread.start()

    def stop(self, timeout: int = 0) -> None:
        """Ends serving: connections send what they have, within `timeout` nanoseconds; then whoever still waits gets
        ENETDOWN. The link is closed."""
        with self.lock:
            if self._stopped:
                return
            deadline = monotonic_ns() + timeout
            bell = self._when_idle = self.new_bell()
            self.later = False
            self._pump()
            while not self.down and not bell.rung and monotonic_ns() < deadline:
                self.pause(bell, deadline)
            self._stopped = True
            self.fail(None)
            if self._channel is not None:
                self._channel.incoming.filled = None
                self._channel.outgoing.drained = None
            self._wake()
            self._rested.set()
        thread = self._thread
        if thread is not None:
            thread.join()
        self.link.close()

    @property
    def is_held(self) -> bool:
        """Whether a packet waits for the link to have room."""
        return self._held is not None

    # --- what Waiting asks for

    def now(self) -> int:
        return monotonic_ns()

    def takes(self, family: int, address: bytes, port: int, binding: bool) -> bool:
        """What the stack has a route to. A loopback address is the system's, unless one of our sockets listens there;
        one that we are to be bound to has to be ours."""
        if addresses.is_unspecified(address):
            return binding or self._listens(port, addresses.LOOPBACK_IPV4)
        transport = self.host.transport
        if addresses.is_loopback(address):
            return not binding and self._listens(port, address)
        if binding:
            return transport.is_own(address)
        return transport.interface_towards(address) >= 0

    def _listens(self, port: int, address: bytes) -> bool:
        with self.lock:
            return any(
                one.local_port == port and (not any(one.local_address) or one.local_address == address)
                for one in self.host.transport.all_listeners()
            )

    def new_bell(self) -> Bell:
        return ThreadBell()

    def pump(self) -> None:
        if self._pumping or self.down:
            return
        turn = self._turn
        if self.later and turn is not None and turn.thread == threading.get_ident():
            return
        self._pump()
        if turn is not None and min(self.host.next_deadline(), self.link.next_deadline()) < self._armed:
            turn.wake()

    def pump_now(self) -> None:
        """As `pump`, but nothing waits."""
        if not self._pumping and not self.down:
            self._pump()

    def pause(self, bell: Bell, deadline: int) -> None:
        assert isinstance(bell, ThreadBell)
        turn = self._turn
        if turn is not None and turn.thread == threading.get_ident():
            # The loop that serves is itself what blocks.
            self._drive(turn, bell, deadline)
            return
        if turn is None:
            self.start()
        self._lock.release()
        try:
            bell.wait(min(max(deadline - monotonic_ns(), 0) / SECOND, LONGEST))
        finally:
            self._lock.acquire()

    def selecting(self, system: selectors.BaseSelector) -> Selecting:
        return LinkSelecting(self, system)

    # --- the work

    def _pump(self) -> None:
        """Sends what there is to send, and tells who watches. The loop of every driver."""
        self._pumping = True
        host = self.host
        try:
            while True:
                try:
                    self._transmit()
                except OSError as error:
                    self.fail(error)
                    return
                changed = host.take_changed()
                if not changed:
                    break
                for entry in changed:
                    self.tell(entry)
        finally:
            self._pumping = False
        if self._when_idle is not None and not host.transport.connections:
            self._when_idle.ring()

    def _transmit(self) -> None:
        host = self.host
        interface = self.interface
        send = self.link.send
        now = monotonic_ns()
        packet = self._held if self._held is not None else host.poll_transmit(interface, now)
        while packet is not None:
            if not send(packet):
                self._held = packet
                if self._turn is not None:
                    self._turn.want_writable()
                return
            self._held = None
            packet = host.poll_transmit(interface, now)

    def work(self, readable: bool) -> int:
        """What is to be done after a wait: packets, deadlines, packets again. Returns when to come back at the latest
        (nanoseconds). With the lock held."""
        if self.down:
            return NEVER
        if readable or self._more:
            self._receive()
        now = monotonic_ns() + TIMER_SLACK
        if self.host.next_deadline() <= now:
            self.host.deadline_reached(now)
        try:
            if self.link.next_deadline() <= now:
                self.link.deadline_reached(now)
                self._receive()
        except OSError as error:
            self.fail(error)
            return NEVER
        self._pump()
        self._armed = 0 if self._more else min(self.host.next_deadline(), self.link.next_deadline())
        return self._armed

    def _receive(self) -> None:
        receive = self.link.receive
        frames: list[Frame] = []
        gone: OSError | None = None
        self._more = False
        try:
            for _ in range(BATCH):
                frame = receive()
                if frame is None:
                    break
                frames.append(frame)
            else:
                self._more = True
        except OSError as error:
            gone = error
        frames_arrive(self.host, self.interface, frames, monotonic_ns(), not self.link.aggregates)
        if gone is not None:
            self.fail(gone)

    def fail(self, error: Exception | None) -> None:
        """The link is gone, or is about to: connections end with ENETDOWN, and whoever waits learns it."""
        if self.down:
            return
        self.down = True
        self.error = error
        now = monotonic_ns()
        transport = self.host.transport
        for connection in list(transport.connections.values()):
            end(connection, states.ABORT, ENETDOWN, now, reasons.HOST_DOWN)
        self.tell_all()

    # --- whose turn it is

    def take_turn(self, turn: Turn) -> bool:
        """Whether `turn` keeps the host going from now on: nobody does, or the thread, which then rests. With the lock
        held."""
        before = self._turn
        if before is not None and not before.yields:
            return before is turn
        self._turn = turn
        # Who had it may have been told of packets, and not have read them.
        self._more = True
        turn.thread = threading.get_ident()
        turn.attach()
        if before is not None:
            before.detach()
            before.wake()
        return True

    def give_turn(self, turn: Turn) -> None:
        """Somebody else may go on; with the lock held."""
        if self._turn is turn:
            turn.detach()
            self._turn = None
            self._rested.set()

    def _wake(self) -> None:
        turn = self._turn
        if turn is not None:
            turn.wake()

    def _serve(self) -> None:
        turn = Turn(self, SystemSelector())
        turn.yields = True
        try:
            while not self._stopped:
                with self.lock:
                    mine = self._turn is turn or (self._turn is None and self.take_turn(turn))
                    due = self.work(True) if mine else NEVER
                if mine and not self.down:
                    turn.wait(due)
                else:
                    self._rested.wait()
                    self._rested.clear()
        finally:
            with self.lock:
                self.give_turn(turn)
            turn.close()
            turn.system.close()

    def _drive(self, before: Turn, bell: ThreadBell, deadline: int) -> None:
        """Keeps the host going in the thread that has the turn `before`, until `bell` rings or `deadline`; with the
        lock held once."""
        turn = Turn(self, SystemSelector())
        turn.thread = before.thread
        self._turn = turn
        turn.attach()
        bell.turn = turn
        readable = True
        try:
            while True:
                due = self.work(readable)
                if bell.rung or self.down or monotonic_ns() >= deadline:
                    return
                self._lock.release()
                try:
                    readable = turn.wait(min(due, deadline))
                finally:
                    self._lock.acquire()
        finally:
            bell.turn = None
            self._turn = before
            self._more = True
            turn.close()
            turn.system.close()
            # It may have been woken meanwhile, in vain.
            before.wake()


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
            with lock:
                due = driver.work(False) if mine else NEVER
            while True:
                due = 0 if bell.rung else min(due, deadline)
                found = self._system.select(timeout_of(due))
                readable = turn.own(found)
                if mine:
                    with lock:
                        due = driver.work(readable)
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
