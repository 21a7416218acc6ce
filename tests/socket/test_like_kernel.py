"""What asyncio's streams and transports promise: each test runs on the kernel's sockets, on a stack's own streams, and
on asyncio's transports over our sockets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import pytest

import synfin.socket
from synfin.socket import Stack
from tests.socket.stacks import Connected, KernelNet, LoopNet, Net, Streams, SynfinNet, stacks, turns, until

Body = Callable[[Net], Awaitable[None]]
Run = Callable[[Body], None]
Test = TypeVar("Test", bound=Callable[..., None])


@pytest.fixture(params=["kernel", "synfin", "loop"])
def run(request: pytest.FixtureRequest, connected: Connected) -> Run:
    """Runs a body on one of the three."""

    async def on(net: Net, body: Body) -> None:
        try:
            await body(net)
        finally:
            await net.end()

    async def whole(body: Body) -> None:
        async with asyncio.timeout(20):
            if request.param == "kernel":
                await on(KernelNet(), body)
                return
            left, right = stacks(connected)
            async with left, right:
                await on(SynfinNet(left, right), body)

    async def on_our_loop(body: Body, right: Stack) -> None:
        async with asyncio.timeout(20):
            await on(LoopNet(right), body)

    def run(body: Body) -> None:
        if request.param != "loop":
            asyncio.run(whole(body))
            return
        left, right = stacks(connected)
        with left, right:
            synfin.socket.run(on_our_loop(body, right), left.waiting)

    return run


async def both(net: Net, *, limit: int = 1 << 16) -> tuple[Streams, Streams]:
    """The client's streams and the server's, which nobody else touches."""
    accepted: asyncio.Queue[Streams] = asyncio.Queue()
    await net.start_server(lambda reader, writer: accepted.put((reader, writer)))
    client = await net.open_connection(limit=limit)
    return client, await accepted.get()


class Recorder(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self, keep_open: bool = False) -> None:
        self.data = bytearray()
        self.told: list[str] = []
        self.keep_open = keep_open
        self.error: Exception | None = None

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.error = exc

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


DATA = bytes(range(256)) * 2000


def test_echo(run: Run) -> None:
    async def body(net: Net) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(10_000):
                writer.write(data)
                await writer.drain()
            writer.close()

        await net.start_server(echo)
        reader, writer = await net.open_connection()
        writer.write(DATA)
        writer.write_eof()
        assert await reader.read() == DATA
        writer.close()
        await writer.wait_closed()

    run(body)


@pytest.mark.row("C3")
def test_half_close(run: Run) -> None:
    """Whoever has said that it ends still hears."""

    async def body(net: Net) -> None:
        (reader, writer), (their_reader, their_writer) = await both(net)
        assert writer.can_write_eof()
        writer.write(b"question")
        writer.write_eof()
        assert await their_reader.read() == b"question"
        assert their_reader.at_eof()
        await turns()
        their_writer.write(DATA)
        await their_writer.drain()
        their_writer.close()
        assert await reader.read() == DATA
        with pytest.raises(RuntimeError):
            writer.write(b"more")
        writer.close()

    run(body)


@pytest.mark.row("B4")
@pytest.mark.parametrize("way", ["client to server", "server to client"])
def test_a_reader_that_does_not_read_stops_the_writer(way: str, run: Run) -> None:
    """Bounded memory: drain() blocks, and goes on when the other side reads. Nothing is lost by it."""

    async def body(net: Net) -> None:
        ends = await both(net)
        (_, writer), (reader, _) = ends if way == "client to server" else (ends[1], ends[0])
        total = 32 << 20
        piece = bytes(65536)
        written = 0

        async def write() -> None:
            nonlocal written
            while written < total:
                writer.write(piece)
                written += len(piece)
                await writer.drain()
            writer.close()

        task = asyncio.create_task(write())
        before = -1
        while before != written:
            before = written
            await turns(300)
        assert 65536 <= written < total // 2
        assert not task.done()
        assert writer.transport.get_write_buffer_size() < 1 << 20
        received = 0
        while data := await reader.read(1 << 20):
            received += len(data)
        await task
        assert received == total

    run(body)


@pytest.mark.row("A12")
def test_refused(run: Run) -> None:
    async def body(net: Net) -> None:
        with pytest.raises(ConnectionRefusedError):
            await net.open_connection()

    run(body)


@pytest.mark.row("C12")
def test_a_reset_is_an_error_for_reader_and_writer(run: Run) -> None:
    async def body(net: Net) -> None:
        (reader, writer), (_, their_writer) = await both(net)
        reading = asyncio.create_task(reader.read())
        await turns()
        net.reset(their_writer)
        with pytest.raises(ConnectionResetError):
            await reading
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()
        assert writer.is_closing()

    run(body)


def test_a_writer_that_waits_is_woken_by_a_reset(run: Run) -> None:
    async def body(net: Net) -> None:
        (_, writer), (_, their_writer) = await both(net)
        while True:
            writer.write(bytes(1 << 20))
            draining = asyncio.create_task(writer.drain())
            await turns(300)
            if not draining.done():
                break
        net.reset(their_writer)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await draining

    run(body)


def test_a_reader_that_waits_is_woken_when_its_own_side_closes(run: Run) -> None:
    """From the list of what goes wrong in practice: a blocked recv not woken when its connection is closed."""

    async def body(net: Net) -> None:
        (reader, writer), _ = await both(net)
        reading = asyncio.create_task(reader.read())
        await turns()
        writer.close()
        assert await reading == b""

    run(body)


def test_a_reader_that_waits_is_woken_by_abort(run: Run) -> None:
    async def body(net: Net) -> None:
        (reader, writer), _ = await both(net)
        reading = asyncio.create_task(reader.read())
        await turns()
        writer.transport.abort()
        assert await reading == b""

    run(body)


@pytest.mark.row("C11")
def test_what_was_written_before_close_arrives(run: Run) -> None:
    async def body(net: Net) -> None:
        (_, writer), (their_reader, their_writer) = await both(net)
        writer.write(DATA * 4)
        writer.close()
        assert writer.is_closing()
        assert await their_reader.read() == DATA * 4
        their_writer.close()
        await writer.wait_closed()

    run(body)


@pytest.mark.row("C11")
def test_what_was_written_before_write_eof_arrives(run: Run) -> None:
    async def body(net: Net) -> None:
        (_, writer), (their_reader, _) = await both(net)
        for number in range(1000):
            writer.write(b"%d " % number)
        writer.write(DATA * 4)
        writer.write_eof()
        writer.write_eof()
        assert await their_reader.read() == b"".join(b"%d " % n for n in range(1000)) + DATA * 4

    run(body)


def test_slow_readers_get_everything_though_the_connection_has_ended(run: Run) -> None:
    """The peer has sent all and its FIN, and has ours: the connection is over before the user has read a thing."""

    async def body(net: Net) -> None:
        (_, writer), (their_reader, their_writer) = await both(net)
        transport = their_writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(bytes(50_000))
        writer.write_eof()
        await turns(300)
        their_writer.write_eof()
        await turns(300)
        transport.resume_reading()
        assert len(await their_reader.read()) == 50_000
        their_writer.close()
        writer.close()

    run(body)


def test_close_with_data_unread_is_a_reset(run: Run) -> None:
    async def body(net: Net) -> None:
        (reader, writer), (_, their_writer) = await both(net)
        transport = their_writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(b"nobody will read this")
        await net.arrived(their_writer)
        their_writer.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()

    run(body)


def test_the_names_of_both_ends(run: Run) -> None:
    async def body(net: Net) -> None:
        (_, writer), (_, their_writer) = await both(net)
        assert writer.get_extra_info("sockname") == their_writer.get_extra_info("peername")
        assert writer.get_extra_info("peername") == their_writer.get_extra_info("sockname")
        assert writer.get_extra_info("nonsense", 7) == 7

    run(body)


def test_a_server_that_closes(run: Run) -> None:
    """New connections are refused; the old one goes on."""

    async def body(net: Net) -> None:
        accepted: asyncio.Queue[Streams] = asyncio.Queue()
        server = await net.start_server(lambda reader, writer: accepted.put((reader, writer)))
        assert server.is_serving()
        reader, _ = await net.open_connection()
        _, their_writer = await accepted.get()
        server.close()
        server.close()
        await server.wait_closed()
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await net.open_connection()
        their_writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"

    run(body)


def test_reading_can_be_cancelled(run: Run) -> None:
    async def body(net: Net) -> None:
        (reader, _), (_, their_writer) = await both(net)
        reading = asyncio.create_task(reader.read(5))
        await turns()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        their_writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"

    run(body)


def test_writing_any_kind_of_octets(request: pytest.FixtureRequest, run: Run) -> None:
    """What is mutable may be changed as soon as write() has returned."""

    async def body(net: Net) -> None:
        (_, writer), (their_reader, _) = await both(net)
        mutable = bytearray(b"m" * 300_000)
        writer.write(b"")
        writer.writelines([b"a", memoryview(b"xbx")[1:2], bytearray(b"c")])
        # Fill what is below, so that this waits in the transport.
        writer.write(bytes(3 << 20))
        writer.write(mutable)
        mutable[:] = b"!" * len(mutable)
        writer.close()
        got = await their_reader.read()
        assert got[:3] == b"abc"
        assert got[-300_000:] == b"m" * 300_000

    if "kernel" in request.node.name and sys.version_info >= (3, 12):
        pytest.skip("Python 3.12 and later keep a view of what is mutable")
    run(body)


# --- transports and protocols


async def with_protocol(net: Net, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, Streams]:
    """The server's transport with `protocol` in the place of its streams; the client's streams."""
    client, (_, writer) = await both(net)
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.set_protocol(protocol)
    assert transport.get_protocol() is protocol
    return transport, client


@pytest.mark.parametrize("keep_open", [False, True])
def test_end_of_stream(keep_open: bool, run: Run) -> None:
    async def body(net: Net) -> None:
        protocol = Recorder(keep_open)
        transport, (reader, writer) = await with_protocol(net, protocol)
        writer.write(b"all")
        writer.write_eof()
        await until(lambda: "eof" in protocol.told)
        assert protocol.data == b"all"
        await turns(200)
        assert transport.is_closing() != keep_open
        if keep_open:
            assert protocol.told == ["eof"]
            transport.write(b"answer")
            transport.close()
            assert await reader.read() == b"answer"
        await until(lambda: "lost" in protocol.told)
        assert protocol.told == ["eof", "lost"]
        assert protocol.error is None

    run(body)


def test_a_paused_transport_hands_over_nothing(run: Run) -> None:
    async def body(net: Net) -> None:
        class Pausing(Recorder):
            paused = False
            broken = 0

            def data_received(self, data: bytes) -> None:
                self.broken += self.paused
                super().data_received(data)
                self.paused = True
                transport.pause_reading()

        protocol = Pausing()
        transport, (_, writer) = await with_protocol(net, protocol)
        transport.pause_reading()
        assert not transport.is_reading()
        writer.write(DATA[:50_000])
        await turns(300)
        assert protocol.data == b""
        while len(protocol.data) < 50_000:
            protocol.paused = False
            transport.resume_reading()
            await until(lambda: protocol.paused)
            await turns(20)
        assert protocol.broken == 0
        assert protocol.data == DATA[:50_000]

    run(body)


def test_a_protocol_that_closes_hears_no_more(run: Run) -> None:
    async def body(net: Net) -> None:
        class Closing(Recorder):
            def data_received(self, data: bytes) -> None:
                self.told.append("data")
                transport.close()

        protocol = Closing()
        transport, (_, writer) = await with_protocol(net, protocol)
        transport.pause_reading()
        for _ in range(20):
            writer.write(bytes(2000))
            await turns(5)
        transport.resume_reading()
        await until(lambda: "lost" in protocol.told)
        await turns(50)
        assert protocol.told.count("lost") == 1
        assert protocol.told[-1] == "lost"
        assert "data" not in protocol.told[protocol.told.index("data") + 1 :]

    run(body)


def test_write_buffer_limits(run: Run) -> None:
    """pause_writing once the high mark is passed, resume_writing at the low one; each once."""

    async def body(net: Net) -> None:
        class Measuring(Recorder):
            at_resume = -1

            def resume_writing(self) -> None:
                super().resume_writing()
                self.at_resume = transport.get_write_buffer_size()

        protocol = Measuring(keep_open=True)
        transport, (reader, _) = await with_protocol(net, protocol)
        transport.set_write_buffer_limits(high=400_000, low=1000)
        assert transport.get_write_buffer_limits() == (1000, 400_000)
        total = 0
        while "pause" not in protocol.told:
            transport.write(bytes(100_000))
            total += 100_000
            assert total < 1 << 28
        assert transport.get_write_buffer_size() > 400_000
        transport.write(bytes(10))
        assert protocol.told == ["pause"]
        received = 0
        while received < total + 10:
            received += len(await reader.read(1 << 20))
        await until(lambda: "resume" in protocol.told)
        assert protocol.told == ["pause", "resume"]
        assert 0 <= protocol.at_resume <= 1000
        assert transport.get_write_buffer_size() == 0

    run(body)


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [
        (None, None, (16384, 65536)),
        (4000, None, (1000, 4000)),
        (None, 4000, (4000, 16000)),
        (0, None, (0, 0)),
        (5, 5, (5, 5)),
    ],
)
def test_write_buffer_limits_by_default(high: int | None, low: int | None, expected: tuple[int, int], run: Run) -> None:
    async def body(net: Net) -> None:
        transport, _ = await with_protocol(net, Recorder())
        transport.set_write_buffer_limits(high, low)
        assert transport.get_write_buffer_limits() == expected
        with pytest.raises(ValueError):
            transport.set_write_buffer_limits(1, 2)

    run(body)


def test_new_limits_hold_at_once(run: Run) -> None:
    async def body(net: Net) -> None:
        protocol = Recorder()
        transport, _ = await with_protocol(net, protocol)
        transport.set_write_buffer_limits(high=1 << 28)
        while not transport.get_write_buffer_size():
            transport.write(bytes(1 << 20))
        assert protocol.told == []
        transport.set_write_buffer_limits(high=10)
        assert protocol.told == ["pause"]
        transport.abort()

    run(body)


def test_abort_drops_what_waits(run: Run) -> None:
    async def body(net: Net) -> None:
        protocol = Recorder()
        transport, (reader, _) = await with_protocol(net, protocol)
        while transport.get_write_buffer_size() == 0:
            transport.write(bytes(1 << 20))
        transport.abort()
        transport.abort()
        await until(lambda: "lost" in protocol.told)
        assert protocol.error is None
        assert transport.get_write_buffer_size() == 0
        assert protocol.told.count("lost") == 1
        # The kernel sends a FIN behind what it has taken, synfin a RST.
        with suppress(ConnectionResetError):
            while await reader.read(1 << 20):
                pass

    run(body)


def test_writing_to_a_transport_that_is_closed_does_nothing(run: Run) -> None:
    async def body(net: Net) -> None:
        protocol = Recorder()
        transport, (reader, _) = await with_protocol(net, protocol)
        transport.close()
        await until(lambda: "lost" in protocol.told)
        transport.write(b"too late")
        assert await reader.read() == b""
        transport.close()
        transport.abort()
        assert protocol.told == ["lost"]

    run(body)


def test_a_protocol_that_fails_loses_only_its_own_connection(run: Run) -> None:
    """The loop's exception handler hears of it, the transport closes, the others go on."""

    async def body(net: Net) -> None:
        class Failing(Recorder):
            def data_received(self, data: bytes) -> None:
                raise RuntimeError("a defect of the user's")

        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        accepted: asyncio.Queue[Streams] = asyncio.Queue()
        await net.start_server(lambda reader, writer: accepted.put((reader, writer)))
        clients = [await net.open_connection() for _ in range(3)]
        servers = [await accepted.get() for _ in clients]
        protocol = Failing()
        for reader, writer in servers:
            if writer.get_extra_info("peername") == clients[0][1].get_extra_info("sockname"):
                writer.transport.set_protocol(protocol)
            else:
                reader_of_other = reader
        for _, writer in clients:
            writer.write(b"hello")
        async with asyncio.timeout(3):
            assert await reader_of_other.readexactly(5) == b"hello"
            await until(lambda: "lost" in protocol.told)
        assert isinstance(protocol.error, RuntimeError)
        assert [type(one) for one in complaints] == [RuntimeError]

    run(body)


def test_a_handler_that_fails_harms_nobody(run: Run) -> None:
    """A plain function, called while a connection is being accepted, may raise anything, an OSError too."""

    async def body(net: Net) -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
        calls = 0

        def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise OSError(28, "No space left on device")
            writer.write(b"served")
            writer.close()

        await net.start_server(handler)
        await net.open_connection()
        reader, _ = await net.open_connection()
        assert await reader.read() == b"served"
        assert [type(one) for one in complaints] == [OSError]

    run(body)
