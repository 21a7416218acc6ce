"""Stacks on channels: two in one process, and one over an asynchronous send and receive of somebody's own."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import pytest

from synfin.link.channel import AsyncChannel, Channel, channel_pair
from synfin.link.faults import parse_fault
from synfin.link.impaired import Impaired
from synfin.link.link import Link
from synfin.socket import Stack

pytestmark = pytest.mark.timeout(60)

LEFT = ["10.0.0.1/24", "fd00::1/64"]
RIGHT = ["10.0.0.2/24", "fd00::2/64"]
versions = pytest.mark.parametrize("host", ["10.0.0.2", "fd00::2"], ids=["IPv4", "IPv6"])

Transfer = Callable[[Stack, Stack, str, bytes], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def transfer(client: Stack, server: Stack, host: str, data: bytes) -> None:
    """`data` from the client to an echo server and back, at the same time."""
    listening = await server.start_server(echo, port=7)
    reader, writer = await client.open_connection(host, 7)

    async def send() -> None:
        writer.write(data)
        writer.write_eof()

    sending = asyncio.create_task(send())
    assert hashlib.sha256(await reader.read()).digest() == hashlib.sha256(data).digest()
    await sending
    writer.close()
    await writer.wait_closed()
    listening.close()


@versions
@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
def test_two_stacks_in_one_process(host: str, mtu: int) -> None:
    async def body() -> None:
        left, right = channel_pair(mtu)
        async with Stack(left, LEFT) as client, Stack(right, RIGHT) as server:
            await transfer(client, server, host, Random(mtu).randbytes(1_000_000))

    asyncio.run(body())


def test_a_queue_of_one_packet_suffices() -> None:
    async def body() -> None:
        left, right = channel_pair(limit=1)
        async with Stack(left, LEFT) as client, Stack(right, RIGHT) as server:
            await transfer(client, server, "10.0.0.2", bytes(50_000))

    asyncio.run(body())


@versions
def test_over_queues(host: str) -> None:
    """An asyncio.Queue's put and get are a send and a receive."""

    async def body() -> None:
        there, back = asyncio.Queue[bytes](10), asyncio.Queue[bytes](10)
        async with (
            Stack.over(there.put, back.get, LEFT) as client,
            Stack.over(back.put, there.get, RIGHT, mtu=1400) as server,
        ):
            await transfer(client, server, host, Random(1).randbytes(300_000))

    asyncio.run(body())


def over_datagrams(end: socket.socket, addresses: list[str]) -> Stack:
    loop = asyncio.get_running_loop()
    end.setblocking(False)

    async def send(packet: bytes) -> None:
        await loop.sock_sendall(end, packet)

    async def receive() -> bytes:
        return await loop.sock_recv(end, 65535)

    return Stack.over(send, receive, addresses, mtu=1420)


@versions
def test_over_a_datagram_socket(host: str) -> None:
    async def body() -> None:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with left, right:
            async with over_datagrams(left, LEFT) as client, over_datagrams(right, RIGHT) as server:
                await transfer(client, server, host, Random(2).randbytes(1_000_000))

    asyncio.run(body())


def test_a_wrapped_channel() -> None:
    """Faults and captures wrap a channel as they wrap a device."""

    async def body() -> None:
        there, back = asyncio.Queue[bytes](), asyncio.Queue[bytes]()
        impaired = Impaired(AsyncChannel(there.put, back.get), [parse_fault("lose 3rd data")], 0)
        async with Stack(impaired, LEFT) as client, Stack.over(back.put, there.get, RIGHT) as server:
            await transfer(client, server, "10.0.0.2", bytes(100_000))
            assert client.host.counters["TcpRetransSegs"] > 0

    asyncio.run(body())


def test_a_channel_of_calls() -> None:
    """For whoever has callbacks: `deliver` what comes, `take` what goes out, both at any time."""

    async def body() -> None:
        left, right = Channel(), Channel()

        def carry(source: Channel, target: Channel) -> None:
            while (packet := source.take()) is not None:
                target.deliver(packet)

        left.outgoing.filled = lambda: asyncio.get_running_loop().call_soon(carry, left, right)
        right.outgoing.filled = lambda: asyncio.get_running_loop().call_soon(carry, right, left)
        async with Stack(left, LEFT) as client, Stack(right, RIGHT) as server:
            await transfer(client, server, "10.0.0.2", bytes(100_000))

    asyncio.run(body())


def test_who_does_not_take_stops_the_sender() -> None:
    """What nobody takes fills the queue, then the send buffer, and then makes the writer wait; nothing grows."""

    async def body() -> None:
        left, right = channel_pair()
        async with Stack(left, LEFT) as client, Stack(right, RIGHT) as server:
            accepted: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()
            listening = await server.start_server(lambda reader, _: accepted.set_result(reader), port=7)
            _, writer = await client.open_connection("10.0.0.2", 7)
            reader = await accepted
            # From here on, the wire ends in a drawer.
            left.outgoing.filled = left.outgoing.drained = right.incoming.filled = None
            held = left.outgoing
            writer.write(bytes(20_000_000))
            assert writer.transport.get_write_buffer_size() > 10_000_000
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.05)
            assert len(held) <= held.limit
            writer.transport.abort()
            listening.close()
            del reader

    asyncio.run(body())


class ReceiveError(Exception):
    pass


@pytest.mark.parametrize("error", [ReceiveError("gone"), ConnectionResetError("gone"), EOFError("gone")], ids=repr)
@pytest.mark.parametrize("side", ["send", "receive"])
def test_an_error_ends_the_stack_and_everyone_learns_it(side: str, error: Exception) -> None:
    async def body() -> None:
        there, back = asyncio.Queue[bytes](), asyncio.Queue[bytes]()
        broken = asyncio.Event()

        async def send(packet: bytes) -> None:
            if side == "send" and broken.is_set():
                raise error
            await there.put(packet)

        async def receive() -> bytes:
            if side == "send":
                return await back.get()
            getting = asyncio.create_task(back.get())
            breaking = asyncio.create_task(broken.wait())
            await asyncio.wait({getting, breaking}, return_when=asyncio.FIRST_COMPLETED)
            if broken.is_set():
                getting.cancel()
                raise error
            breaking.cancel()
            return getting.result()

        closed: list[Exception | None] = []
        async with (
            Stack.over(back.put, there.get, RIGHT) as server,
            Stack.over(send, receive, LEFT) as client,
            AsyncExitStack(),
        ):
            client.when_closed(closed.append)
            accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
            listening = await server.start_server(lambda _, writer: accepted.set_result(writer), port=7)
            ours = await client.start_server(echo, port=7)
            serving = asyncio.create_task(ours.serve_forever())
            reader, writer = await client.open_connection("10.0.0.2", 7)
            reading = asyncio.create_task(reader.read())
            connecting = asyncio.create_task(client.open_connection("10.0.0.99", 7))
            theirs = await accepted
            broken.set()
            writer.write(b"hello")
            for waiting in (reading, connecting, serving):
                with pytest.raises(type(error), match="gone"):
                    await waiting
            assert client.error is error
            assert closed == [error]
            with pytest.raises(type(error), match="gone"):
                await client.open_connection("10.0.0.2", 7)
            with pytest.raises(type(error), match="gone"):
                await client.start_server(echo, port=8)
            listening.close()
            theirs.transport.abort()

    asyncio.run(body())


def test_a_stack_that_does_not_serve_says_so() -> None:
    async def body() -> None:
        stack = Stack(channel_pair()[0], LEFT)
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                await stack.open_connection("10.0.0.2", 7)
            with pytest.raises(OSError, match="down"):
                await stack.start_server(echo, port=7)
            async with stack:
                pass

    asyncio.run(body())


def test_hostile_packets_end_nothing() -> None:
    async def body() -> None:
        there, back = asyncio.Queue[bytes](), asyncio.Queue[bytes]()
        random = Random(4)
        async with Stack.over(there.put, back.get, LEFT) as client, Stack.over(back.put, there.get, RIGHT) as server:
            for length in (0, 1, 19, 20, 39, 40, 60, 70_000):
                await back.put(random.randbytes(length))
                await back.put(b"\x45" + random.randbytes(length))
            await transfer(client, server, "10.0.0.2", b"hello")
            assert client.host.counters["IpInHdrErrors"] > 0

    asyncio.run(body())


@pytest.mark.parametrize("limit", [1, 10, 500])
def test_a_receive_that_never_waits(limit: int) -> None:
    """It leaves others their turn, and is not asked for more than there is room for."""

    async def body() -> None:
        calls = 0

        async def receive() -> bytes:
            nonlocal calls
            calls += 1
            assert calls < 1_000_000
            return b"nothing of sense"

        async def send(packet: bytes) -> None:
            raise AssertionError

        channel = AsyncChannel(send, receive, limit=limit)
        async with Stack(channel, LEFT) as stack:
            for _ in range(100):
                await asyncio.sleep(0)
            assert stack.error is None
            assert 0 < calls < 100 * 200
            assert channel.counters["rx_dropped"] == 0

    asyncio.run(body())


def test_closing_sends_what_waits() -> None:
    """The last acknowledgment, which nobody waits for, leaves before the tasks that carry it end."""

    async def body() -> None:
        there, back = asyncio.Queue[bytes](), asyncio.Queue[bytes]()

        async def slow_put(packet: bytes) -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            there.put_nowait(packet)

        async with Stack.over(back.put, there.get, RIGHT) as server:
            listening = await server.start_server(echo, port=7)
            async with Stack.over(slow_put, back.get, LEFT) as client:
                _, writer = await client.open_connection("10.0.0.2", 7)
                writer.close()
            listening.close()
        # Otherwise the server would have sent its FIN again, and have waited in vain.
        assert server.host.counters["TcpRetransSegs"] == 0
        assert [row.state for row in server.connections()] == []

    asyncio.run(body())


def test_what_came_before_the_stack_serves() -> None:
    async def body() -> None:
        left, right = channel_pair()
        async with Stack(left, LEFT) as client:
            connecting = asyncio.create_task(client.open_connection("10.0.0.2", 7))
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(left.outgoing) == 1
            async with Stack(right, RIGHT):
                with pytest.raises(ConnectionRefusedError):
                    await connecting
            assert client.host.counters["TcpRetransSegs"] == 0

    asyncio.run(body())


def test_after_closing_nothing_is_called_any_more() -> None:
    async def body() -> None:
        ended = asyncio.Event()

        async def receive() -> bytes:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()
            raise AssertionError

        async def send(packet: bytes) -> None: ...

        async with Stack.over(send, receive, LEFT):
            await asyncio.sleep(0)
            assert not ended.is_set()
        assert ended.is_set()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())


def test_ipv6_takes_a_large_enough_mtu() -> None:
    queue: Callable[[], asyncio.Queue[bytes]] = asyncio.Queue
    there, back = queue(), queue()
    with pytest.raises(ValueError, match="1280"):
        Stack.over(there.put, back.get, LEFT, mtu=1279)
    Stack.over(there.put, back.get, LEFT, mtu=1280)
    Stack.over(there.put, back.get, LEFT[:1], mtu=576)


def test_any_link_with_a_descriptor_is_waited_for(connected: Callable[[bool], tuple[Link, Link]]) -> None:
    async def body() -> None:
        left, right = connected(True)
        async with Stack(left, LEFT) as client, Stack(right, RIGHT) as server:
            await transfer(client, server, "10.0.0.2", bytes(1_000_000))

    asyncio.run(body())
