"""The asyncio driver of a host on a link: packets in, packets out, one timer, and word to the users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns

from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.link.link import Link
from synfin.socket.exchange import TIMER_SLACK, receive, transmit
from synfin.socket.waiting import waiter_for
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Packet


class Driver:
    """Serves `host` on `link`, on the running event loop, from `start` to `stop`.

    `watch` names who is told when something happened on a connection or listener. `failed` is called with the
    error when the device is gone.
    """

    def __init__(self, host: Host, interface: Interface, link: Link) -> None:
        self.host = host
        self.interface = interface
        self.link = link
        host.transport.coarse_timers = True
        self.failed: Callable[[Exception], None] | None = None
        self._waiter = waiter_for(link)
        self._waiter.readable = self._readable
        self._waiter.writable = self._pump
        self._waiter.failed = self._fail
        self._watchers: dict[Connection | Listener, Callable[[], None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        #: A packet that the link could not take; it goes out before any other.
        self._held: Packet | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = NEVER
        self._pumping = False
        self._pump_wanted = False
        self._idle: asyncio.Event | None = None

    def now(self) -> int:
        """The host's time: the monotonic clock, in nanoseconds."""
        return monotonic_ns()

    def watch(self, entry: Connection | Listener, call: Callable[[], None]) -> None:
        """Calls `call` whenever something happened on `entry`."""
        self._watchers[entry] = call

    def unwatch(self, entry: Connection | Listener) -> None:
        self._watchers.pop(entry, None)

    def start(self) -> None:
        """Begins to serve, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._waiter.start(self._loop)
        self.pump_soon()

    def stop(self) -> None:
        """Ends serving. Nothing is sent any more; the link is the caller's to close."""
        loop = self._loop
        if loop is None:
            return
        self._loop = None
        if self._idle is not None:
            self._idle.set()
        self._waiter.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = NEVER
        self._held = None
        self._watchers.clear()

    async def stopped(self) -> None:
        """Waits, after `stop`, until nothing of this driver runs any more."""
        await self._waiter.stopped()

    def pump_soon(self) -> None:
        """Sends what there is to send in this turn of the loop, once all who have their turn now had it."""
        if self._loop is not None and not self._pump_wanted and not self._pumping:
            self._pump_wanted = True
            self._loop.call_soon(self._pump)

    async def wait_until_idle(self) -> None:
        """Waits until no connection is left but those in TIME-WAIT, and what they sent is on its way."""
        self._idle = asyncio.Event()
        self.pump_soon()
        await self._idle.wait()
        await self._waiter.flushed()

    # --- the link

    def _readable(self) -> None:
        try:
            more = receive(self.host, self.interface, self.link)
        except OSError as error:
            self._fail(error)
            return
        if more and self._loop is not None:
            # The descriptor need not become readable again for what a wrapper of the link still holds.
            self._loop.call_soon(self._readable_again)
        self._pump()

    def _readable_again(self) -> None:
        if self._loop is not None:
            self._readable()

    def _fail(self, error: Exception) -> None:
        self.stop()
        if self.failed is not None:
            self.failed(error)

    # --- the loop of every driver

    def _pump(self) -> None:
        self._pump_wanted = False
        if self._pumping or self._loop is None:
            return
        self._pumping = True
        try:
            while True:
                self._transmit()
                changed = self.host.take_changed()
                if not changed:
                    break
                watchers = self._watchers
                for entry in changed:
                    call = watchers.get(entry)
                    if call is not None:
                        self._tell(call)
        except OSError as error:
            self._fail(error)
            return
        finally:
            self._pumping = False
        if self._idle is not None and not self.host.transport.connections:
            self._idle.set()
        self._arm()

    def _tell(self, call: Callable[[], None]) -> None:
        """A user's code that raises harms nobody else: the loop's exception handler hears of it."""
        try:
            call()
        except Exception as error:
            if self._loop is not None:
                self._loop.call_exception_handler(
                    {"message": "Exception while a connection's user was told of an event", "exception": error}
                )

    def _transmit(self) -> None:
        held, self._held = self._held, None
        self._held = transmit(self.host, self.interface, self.link, held)
        if self._held is not None:
            self._waiter.want_writable()

    def _arm(self) -> None:
        loop = self._loop
        if loop is None:
            return
        deadline = min(self.host.next_deadline(), self.link.next_deadline())
        if deadline >= self._armed:
            # A timer that comes too early looks, and sets itself again.
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = deadline
        self._timer = loop.call_later(max(deadline - monotonic_ns(), 0) / 1e9, self._deadline)

    def _deadline(self) -> None:
        self._timer = None
        self._armed = NEVER
        now = monotonic_ns() + TIMER_SLACK
        self.host.deadline_reached(now)
        if self.link.next_deadline() > now:
            self._pump()
            return
        try:
            self.link.deadline_reached(now)
        except OSError as error:
            self._fail(error)
            return
        self._readable()
