"""Two stacks in one process, on a pair of links in memory; and a link that can be told to misbehave."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import synfin.socket
from synfin.host.parameters import Parameters
from synfin.link.link import Frame, Link, WrappedLink
from synfin.link.tun import Tun
from synfin.socket import Stack
from synfin.wire.ip import Packet, octets

LEFT, RIGHT = "10.0.0.1", "10.0.0.2"
LEFT_6, RIGHT_6 = "fd00::1", "fd00::2"

Connected = Callable[[bool], tuple[Tun, Tun]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Lets the loop turn until `condition` holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "it never came about"
        await asyncio.sleep(0)


async def turns(count: int = 50) -> None:
    """Lets everybody have so many turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


class Gate(WrappedLink):
    """A link that is full, or gone, when told so. It notes what it carried, as octets."""

    def __init__(self, inner: Link) -> None:
        super().__init__(inner)
        self.full = False
        self.error: Exception | None = None
        self.sent: list[bytes] = []
        self.refused = 0

    def send(self, packet: Packet) -> bool:
        if self.error is not None:
            raise self.error
        if self.full or not self.inner.send(packet):
            self.refused += 1
            return False
        self.sent.append(octets(packet))
        return True

    def receive(self) -> Frame | None:
        if self.error is not None:
            raise self.error
        return self.inner.receive()


def stacks(connected: Connected, parameters: Parameters | None = None, offload: bool = False) -> tuple[Stack, Stack]:
    """Two stacks, not started, each on a Gate."""
    left, right = (Gate(link) for link in connected(offload))
    return (
        Stack(left, [f"{LEFT}/24", f"{LEFT_6}/64"], name="left", parameters=parameters),
        Stack(right, [f"{RIGHT}/24", f"{RIGHT_6}/64"], name="right", parameters=parameters),
    )


def gate(stack: Stack) -> Gate:
    assert isinstance(stack.link, Gate)
    return stack.link


def states(stack: Stack) -> list[str]:
    return [row.state for row in stack.connections()]


class Net(ABC):
    """A client's and a server's side of a network, with asyncio's calls. `end` leaves nothing open."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []
        self._servers: list[asyncio.AbstractServer] = []

    @abstractmethod
    async def _start_server(self, handler: Handler) -> asyncio.AbstractServer: ...

    @abstractmethod
    async def _open_connection(self, limit: int) -> Streams: ...

    async def start_server(self, handler: Handler) -> asyncio.AbstractServer:
        def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None] | None:
            self._writers.append(writer)
            return handler(reader, writer)

        server = await self._start_server(noted)
        self._servers.append(server)
        return server

    async def open_connection(self, *, limit: int = 1 << 16) -> Streams:
        streams = await self._open_connection(limit)
        self._writers.append(streams[1])
        return streams

    def reset(self, writer: asyncio.StreamWriter) -> None:
        """Ends the connection with a RST."""
        writer.transport.abort()

    async def arrived(self, writer: asyncio.StreamWriter) -> None:
        """Waits until something that was sent lies there unread."""
        await turns(200)

    async def end(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            # One that asyncio closed when its last octet was written cannot be aborted any more, and fails.
            if getattr(writer.transport, "_loop", None) is not None:
                writer.transport.abort()
        await turns(10)


class SynfinNet(Net):
    """Both sides on stacks of their own."""

    def __init__(self, left: Stack, right: Stack) -> None:
        super().__init__()
        self.left = left
        self.right = right

    async def _start_server(self, handler: Handler) -> asyncio.AbstractServer:
        return await self.right.start_server(handler, RIGHT, 80)

    async def _open_connection(self, limit: int) -> Streams:
        return await self.left.open_connection(RIGHT, 80, limit=limit)


class KernelNet(Net):
    """asyncio's own transports, on the kernel's sockets."""

    address = "127.0.0.1"

    def __init__(self) -> None:
        super().__init__()
        self.port = 0

    async def _start_server(self, handler: Handler) -> asyncio.AbstractServer:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def reset(self, writer: asyncio.StreamWriter) -> None:
        # asyncio's abort() only closes the socket; the kernel sends a RST if it is told not to linger.
        kernel_socket = writer.get_extra_info("socket")
        kernel_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        super().reset(writer)

    async def arrived(self, writer: asyncio.StreamWriter) -> None:
        there = writer.get_extra_info("socket")
        await until(lambda: select.select([there], [], [], 0)[0])

    async def _open_connection(self, limit: int) -> Streams:
        return await asyncio.open_connection(self.address, self.port or 1, limit=limit)


class LoopNet(KernelNet):
    """asyncio's own transports, on our sockets: the client's stack is the loop's, the server's has a thread."""

    address = RIGHT

    def __init__(self, right: Stack) -> None:
        super().__init__()
        self._right = right

    async def _start_server(self, handler: Handler) -> asyncio.AbstractServer:
        listener = synfin.socket.socket(waiting=self._right.waiting)
        listener.bind((RIGHT, 0))
        self.port = listener.getsockname()[1]
        return await asyncio.start_server(handler, sock=listener)
