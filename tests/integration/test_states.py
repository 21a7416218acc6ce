"""Which states the Linux kernel (``ss -tan``) and our own table (`Stack.connections`) show at each step of a close,
whichever side closes first, down to TIME-WAIT and gone. TCP's other end is the kernel, over TUN."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from synfin.host.parameters import Parameters
from synfin.socket import Stack
from tests.integration.peers import (
    FAMILIES,
    OURS,
    Run,
    kernel_states,
    our_states,
    stack_on_tun,
    we_connect,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("ss")]

offloads = pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])

PORT = 7


class Ends:
    """A connection seen from both ends: the kernel's socket (that never waits), and our streams."""

    def __init__(
        self, stack: Stack, kernel: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.stack = stack
        self.kernel = kernel
        self.reader = reader
        self.writer = writer
        self._loop = asyncio.get_running_loop()

    async def are(self, ours: str, kernels: str) -> None:
        """Waits until our state and the kernel's are these; "" for gone."""
        for _ in range(1000):
            seen = self.states()
            if seen == (ours, kernels):
                return
            await asyncio.sleep(0.005)
        assert seen == (ours, kernels)

    def states(self) -> tuple[str, str]:
        return "+".join(our_states(self.stack)), "+".join(kernel_states())

    async def we_say(self, words: bytes) -> None:
        self.writer.write(words)
        assert await self._kernel_hears(len(words)) == words

    async def kernel_says(self, words: bytes) -> None:
        await self._loop.sock_sendall(self.kernel, words)
        assert await self.reader.readexactly(len(words)) == words

    async def _kernel_hears(self, count: int) -> bytes:
        heard = b""
        while len(heard) < count:
            piece = await self._loop.sock_recv(self.kernel, count - len(heard))
            assert piece
            heard += piece
        return heard

    async def kernel_hears_the_end(self) -> None:
        assert await self._loop.sock_recv(self.kernel, 1) == b""

    async def we_hear_the_end(self) -> None:
        assert await self.reader.read(1) == b""


Connect = Callable[[Stack, int], Awaitable[tuple[socket.socket, asyncio.StreamReader, asyncio.StreamWriter]]]


async def by_the_kernel(stack: Stack, version: int) -> tuple[socket.socket, asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that the kernel opened."""
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    server = await stack.start_server(accept, None, PORT)
    kernel = socket.socket(FAMILIES[version], socket.SOCK_STREAM)
    kernel.setblocking(False)
    await asyncio.get_running_loop().sock_connect(kernel, (OURS[version], PORT))
    reader, writer = await accepted.get()
    server.close()
    return kernel, reader, writer


@asynccontextmanager
async def connected(connect: Connect, offload: bool, version: int) -> AsyncIterator[Ends]:
    parameters = Parameters()
    parameters.tcp.tcp_timewait_len = 1
    async with stack_on_tun(offload=offload, parameters=parameters) as stack:
        kernel, reader, writer = await connect(stack, version)
        with kernel:
            ends = Ends(stack, kernel, reader, writer)
            await ends.are("ESTABLISHED", "ESTAB")
            yield ends


connects = pytest.mark.parametrize("connect", [by_the_kernel, we_connect], ids=["kernel-opened", "we-opened"])


def every_way(test: Callable[[Run, Connect, bool, int], None]) -> Callable[[Run, Connect, bool, int], None]:
    marked: Callable[[Run, Connect, bool, int], None] = connects(offloads(versions(test)))
    return marked


@pytest.mark.row("C1", "C2", "C3", "C4", "C5", "E5")
@every_way
def test_the_kernel_closes_first(in_namespace: Run, connect: Connect, offload: bool, version: int) -> None:
    async def body() -> None:
        async with connected(connect, offload, version) as ends:
            await ends.kernel_says(b"hello")
            ends.kernel.shutdown(socket.SHUT_WR)
            await ends.are("CLOSE-WAIT", "FIN-WAIT-2")
            await ends.we_hear_the_end()
            # Half-closed: we may speak on, as long as we like.
            await ends.we_say(b"still here" * 10_000)
            await ends.are("CLOSE-WAIT", "FIN-WAIT-2")
            ends.writer.close()
            await ends.writer.wait_closed()
            await ends.kernel_hears_the_end()
            # LAST-ACK is over when the kernel has answered; the wait is the kernel's own (60 s).
            await ends.are("", "TIME-WAIT")

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("C1", "C2", "C3", "C4", "C5", "E5")
@every_way
def test_we_close_first(in_namespace: Run, connect: Connect, offload: bool, version: int) -> None:
    async def body() -> None:
        async with connected(connect, offload, version) as ends:
            await ends.we_say(b"hello")
            ends.writer.write_eof()
            await ends.are("FIN-WAIT-2", "CLOSE-WAIT")
            await ends.kernel_hears_the_end()
            await ends.kernel_says(b"still here" * 1000)
            await ends.are("FIN-WAIT-2", "CLOSE-WAIT")
            ends.kernel.close()
            await ends.we_hear_the_end()
            await ends.are("TIME-WAIT", "")
            ends.writer.close()
            await ends.writer.wait_closed()
            await ends.are("", "")

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("C1", "C2", "C4", "C5")
@offloads
@versions
def test_we_let_go_first(in_namespace: Run, offload: bool, version: int) -> None:
    """As close(2) does, not shutdown(2): nobody of ours is there any more."""

    async def body() -> None:
        async with connected(by_the_kernel, offload, version) as ends:
            await ends.we_say(b"Hello, Client!")
            ends.writer.close()
            await ends.writer.wait_closed()
            await ends.are("FIN-WAIT-2", "CLOSE-WAIT")
            await ends.kernel_hears_the_end()
            ends.kernel.close()
            await ends.are("TIME-WAIT", "")
            await ends.are("", "")

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("C3")
@every_way
def test_what_comes_after_we_let_go_meets_a_reset(
    in_namespace: Run, connect: Connect, offload: bool, version: int
) -> None:
    async def body() -> None:
        async with connected(connect, offload, version) as ends:
            ends.writer.close()
            await ends.writer.wait_closed()
            await ends.are("FIN-WAIT-2", "CLOSE-WAIT")
            loop = asyncio.get_running_loop()
            await ends.kernel_hears_the_end()
            await loop.sock_sendall(ends.kernel, b"anybody there?")
            await ends.are("", "")
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await loop.sock_sendall(ends.kernel, b"nobody")

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("C7")
@versions
def test_both_close_at_once(in_namespace: Run, version: int) -> None:
    """The kernel's FIN is on its way before ours leaves: our loop has not read it yet."""

    async def body() -> None:
        async with connected(by_the_kernel, True, version) as ends:
            ends.kernel.shutdown(socket.SHUT_WR)
            ends.writer.write_eof()
            await ends.kernel_hears_the_end()
            await ends.we_hear_the_end()
            await ends.are("TIME-WAIT", "TIME-WAIT")
            await ends.are("", "TIME-WAIT")

    in_namespace(lambda: asyncio.run(body()))
