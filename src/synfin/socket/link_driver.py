"""A host on a real link for programs that block, and for asyncio loops of ours.

One thread per stack answers while the program thinks. While an event loop of ours runs, that loop does its work, and
the thread rests: packets are read where the loop waits. What is to be sent waits until those who were told of packets
had their turn; should they think for long, the thread does the work meanwhile.
"""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable
from errno import ENETDOWN
from time import monotonic_ns
from typing import Final

from synfin import reasons
from synfin.host import addresses
from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.link.channel import AsyncChannel, Channel
from synfin.link.link import Link, WrappedLink
from synfin.socket.exchange import TIMER_SLACK, receive, transmit
from synfin.socket.link_turns import LONGEST, LinkSelecting, ThreadBell, Turn
from synfin.socket.system import SystemSelector
from synfin.socket.ways_to_wait import Bell, Selecting, Waiting
from synfin.tcp import states
from synfin.tcp.ending import end
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Packet

#: How long what is to be sent may wait for a loop that thinks (nanoseconds): Linux's shortest delay of an ACK.
#: RFC 9293 MUST-59 would allow half a second.
LONGEST_THOUGHT: Final = 40_000_000


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
        #: Since when something may be to be sent that waits for a loop to come back; 0: no.
        self._owed = 0
        #: Whether the thread looks after that.
        self._watching = False
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
    def is_watched(self) -> bool:
        """Whether the thread looks after what a loop owes."""
        return self._thread is not None

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
            self.owe()
            return
        self._pump()
        if turn is not None and min(self.host.next_deadline(), self.link.next_deadline()) < self._armed:
            turn.wake()

    def pump_now(self) -> None:
        """As `pump`, but nothing waits."""
        if not self._pumping and not self.down:
            self._pump()

    def drop(self, close: Callable[[], object]) -> None:
        super().drop(close)
        self._wake()

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
        self._owed = 0
        host = self.host
        try:
            while True:
                try:
                    self._transmit()
                except OSError as error:
                    self.fail(error)
                    return
                if not self._tell_changed():
                    break
        finally:
            self._pumping = False
        if self._when_idle is not None and not host.transport.connections:
            self._when_idle.ring()

    def _tell_changed(self) -> bool:
        """Tells who watches what; whether anything changed."""
        changed = self.host.take_changed()
        for entry in changed:
            self.tell(entry)
        return bool(changed)

    def _transmit(self) -> None:
        held, self._held = self._held, None
        self._held = transmit(self.host, self.interface, self.link, held)
        if self._held is not None and self._turn is not None:
            self._turn.want_writable()

    def work(self, readable: bool) -> int:
        """What is to be done after a wait: packets, deadlines, packets again. Returns when to come back at the latest
        (nanoseconds). With the lock held."""
        self.take(readable)
        return self.send()

    def take(self, readable: bool) -> None:
        """The first half of it: packets that came, and deadlines; whoever watches is told."""
        if self.down:
            return
        if self.dropped:
            self.close_dropped()
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
            return
        self._tell_changed()

    def send(self) -> int:
        """The second half: packets to go out."""
        if self.down:
            return NEVER
        self._pump()
        self._armed = 0 if self._more else min(self.host.next_deadline(), self.link.next_deadline())
        return self._armed

    def owe(self) -> None:
        """In place of `send`: it waits for the loop to come back, but not for long if there is a thread."""
        self._armed = 0
        self._owed = self._owed or monotonic_ns()
        if not self._watching and self._thread is not None:
            self._watching = True
            self._rested.set()

    def _receive(self) -> None:
        self._more = False
        try:
            self._more = receive(self.host, self.interface, self.link)
        except OSError as error:
            self.fail(error)

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
                    self._rest()
        except Exception as error:
            # A fault of our own: whoever waits would wait for ever.
            with self.lock:
                self.fail(error)
            raise
        finally:
            with self.lock:
                self.give_turn(turn)
            turn.close()
            turn.system.close()

    def _rest(self) -> None:
        """Somebody else keeps the host going. If that is a loop that thinks for long, this does its work meanwhile."""
        if self._rested.wait(LONGEST_THOUGHT / SECOND if self._watching else None):
            self._rested.clear()
            return
        with self.lock:
            if not self._owed:
                self._watching = False
            elif monotonic_ns() - self._owed >= LONGEST_THOUGHT:
                self.work(True)

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
