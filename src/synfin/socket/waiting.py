"""How the asyncio driver learns that a link has packets or room: from a descriptor, or from the link itself."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from errno import ECONNABORTED
from typing import Final

from synfin.link.channel import AsyncChannel, Channel
from synfin.link.link import Link, WrappedLink
from synfin.tcp.errors import os_error

#: Packets that an asynchronous channel hands over in one go, at most, before others have their turn.
BATCH: Final = 64
#: How long a cancelled send or receive may take to end, in seconds.
STOP_TIMEOUT: Final = 1.0


class Waiter(ABC):
    """Calls `readable` when the link may have packets, `writable` once after `want_writable`, when it has room again,
    and `failed` with the error when it is gone; from `start` to `stop`, always from the event loop."""

    def __init__(self) -> None:
        self.readable: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing
        self.failed: Callable[[Exception], None] = _nothing_failed

    @abstractmethod
    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins to wait."""

    @abstractmethod
    def want_writable(self) -> None:
        """The link was full."""

    @abstractmethod
    def stop(self) -> None:
        """Ends waiting. Stopping twice is harmless."""

    async def flushed(self) -> None:  # noqa: B027 (most have nothing to wait for)
        """Waits until what the link took has left this process, as far as that is in our hands."""

    async def stopped(self) -> None:  # noqa: B027
        """Waits, after `stop`, until nothing of the waiting is left."""


def _nothing() -> None: ...


def _nothing_failed(_: Exception) -> None: ...


def waiter_for(link: Link) -> Waiter:
    """The way to wait for `link`, or for the one that it wraps."""
    while isinstance(link, WrappedLink):
        link = link.inner
    if isinstance(link, AsyncChannel):
        return AsyncChannelWaiter(link)
    if isinstance(link, Channel):
        return ChannelWaiter(link)
    return DescriptorWaiter(link)


class DescriptorWaiter(Waiter):
    """Waits for a link's descriptor."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._loop: asyncio.AbstractEventLoop | None = None
        #: What is waited for, which a link that was closed meanwhile no longer knows.
        self._fd = -1

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fd = self._link.fileno()
        loop.add_reader(self._fd, self.readable)

    def want_writable(self) -> None:
        if self._loop is not None:
            self._loop.add_writer(self._fd, self._has_room)

    def _has_room(self) -> None:
        if self._loop is not None:
            self._loop.remove_writer(self._fd)
            self.writable()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._loop = None


class ChannelWaiter(Waiter):
    """Waits for the queues of a channel. They call while others are in the midst of something, so the answer always
    comes in a later turn of the loop."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._channel.incoming.filled = self._filled
        self._channel.outgoing.drained = self._drained
        if len(self._channel.incoming):
            self._filled()

    def _filled(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._now, False)

    def _drained(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._now, True)

    def _now(self, writable: bool) -> None:
        if self._loop is not None:
            (self.writable if writable else self.readable)()

    def want_writable(self) -> None:
        """Nothing to do: a queue that refused a packet calls when it is drained."""

    def stop(self) -> None:
        self._loop = None
        self._channel.incoming.filled = None
        self._channel.outgoing.drained = None


class AsyncChannelWaiter(ChannelWaiter):
    """Carries the packets of an asynchronous channel as well, in one task for each direction."""

    def __init__(self, channel: AsyncChannel) -> None:
        super().__init__(channel)
        self._carried = channel
        self._tasks: list[asyncio.Task[None]] = []
        self._something_to_send = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        super().start(loop)
        self._carried.outgoing.filled = self._outgoing_filled
        for carry in (self._carry_out, self._carry_in):
            task = loop.create_task(carry())
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _outgoing_filled(self) -> None:
        self._all_sent.clear()
        self._something_to_send.set()

    async def _carry_out(self) -> None:
        take = self._carried.take
        send = self._carried.send_octets
        while True:
            self._something_to_send.clear()
            packet = take()
            while packet is not None:
                await send(packet)
                packet = take()
            self._all_sent.set()
            await self._something_to_send.wait()

    async def _carry_in(self) -> None:
        incoming = self._carried.incoming
        deliver = self._carried.deliver
        receive = self._carried.receive_octets
        while True:
            for _ in range(BATCH):
                if len(incoming) >= incoming.limit:
                    break
                deliver(await receive())
            # A receive that never has to wait would let nobody else have a turn.
            await asyncio.sleep(0)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._all_sent.set()
        error = os_error(ECONNABORTED) if task.cancelled() else task.exception()
        # KeyboardInterrupt and its like end the whole loop by themselves.
        if self._loop is not None and isinstance(error, Exception):
            self.failed(error)

    async def flushed(self) -> None:
        await self._all_sent.wait()

    def stop(self) -> None:
        super().stop()
        self._carried.outgoing.filled = None
        for task in self._tasks:
            task.cancel()

    async def stopped(self) -> None:
        # A coroutine that will not be cancelled is its owner's to deal with.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT)
        self._tasks.clear()
