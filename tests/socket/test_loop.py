"""synfin.run and the loop factory: asyncio, and what is built on it, on a stack of one's own.

The client's stack is the loop's; the server's has a thread of its own, or is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import select
import socket
import ssl
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from typing import Any

import pytest
import trustme

import synfin.socket
from synfin.link.channel import channel_pair
from synfin.socket import EventLoop, Stack, use
from synfin.socket.open_sockets import FIRST_NUMBER
from synfin.tcp.parameters import SECOND
from synfin.wire.tcp import ACK, SYN
from tests.socket.stacks import LEFT, LEFT_6, RIGHT, RIGHT_6, Gate

#: Where the flags of a segment over IPv4 are.
FLAGS = 33

Main = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture
def machines() -> Iterator[tuple[Stack, Stack]]:
    left, right = channel_pair()
    with Stack(right, [f"{RIGHT}/24", f"{RIGHT_6}/64"], name="server") as server:
        client = Stack(left, [f"{LEFT}/24", f"{LEFT_6}/64"], name="client")
        yield client, server
        client.waiting.stop(2 * SECOND)


@pytest.fixture
def run(machines: tuple[Stack, Stack]) -> Callable[[Main], None]:
    """Runs on the client."""

    def run(main: Main) -> None:
        async def whole() -> None:
            async with asyncio.timeout(20):
                await main()
                await others_end()

        synfin.socket.run(whole(), machines[0].waiting)

    return run


@pytest.fixture
def at_server(machines: tuple[Stack, Stack]) -> Callable[[int], socket.socket]:
    """A listener of the other machine."""

    def listen(port: int) -> socket.socket:
        made = synfin.socket.socket(waiting=machines[1].waiting)
        made.bind((RIGHT, port))
        made.listen()
        return made

    return listen


async def others_end() -> None:
    """The servers' side ends too, for asyncio complains of what is left open."""
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(tasks)
    await asyncio.sleep(0.02)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


Run = Callable[[Main], None]
AtServer = Callable[[int], socket.socket]


def test_streams_there_and_back(run: Run, at_server: AtServer) -> None:
    data = bytes(range(256)) * 8000

    async def main() -> None:
        async with await asyncio.start_server(echo, sock=at_server(80)):
            reader, writer = await asyncio.open_connection(RIGHT, 80)
            task = asyncio.create_task(reader.readexactly(len(data)))
            writer.write(data)
            assert await task == data
            writer.close()
            await writer.wait_closed()

    run(main)


def test_a_loop_needs_no_descriptor_for_a_socket(run: Run, at_server: AtServer) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, sock=at_server(80)):
            _, writer = await asyncio.open_connection(RIGHT, 80)
            sock = writer.get_extra_info("socket")
            assert sock.fileno() >= FIRST_NUMBER
            assert writer.get_extra_info("peername") == (RIGHT, 80)
            # Who looks at one all the same is told, or refused.
            poll = select.poll()
            poll.register(sock.fileno(), select.POLLIN | select.POLLOUT)
            assert poll.poll(0) == [(sock.fileno(), select.POLLOUT)]
            assert select.select([sock], [sock], [], 0) == ([], [sock], [])
            with pytest.raises(OSError, match="Bad file descriptor"):
                fcntl.fcntl(sock.fileno(), fcntl.F_GETFL)
            writer.close()
            await writer.wait_closed()

    run(main)


def test_one_loop_serves_its_own_stack_too(run: Run) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, ["0.0.0.0", "::"], 8080) as server:
            assert len(server.sockets) == 2
            for address in (LEFT, LEFT_6, "127.0.0.1", "::1", "localhost"):
                reader, writer = await asyncio.open_connection(address, 8080)
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                writer.close()
                await writer.wait_closed()

    run(main)


def test_without_a_thread() -> None:
    left, _ = channel_pair()
    stack = Stack(left, [f"{LEFT}/24"], name="alone")

    async def main() -> None:
        async with await asyncio.start_server(echo, LEFT, 80):
            reader, writer = await asyncio.open_connection(LEFT, 80)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            writer.close()
            await others_end()
        assert threading.active_count() == before

    before = threading.active_count()
    synfin.socket.run(main(), stack.waiting)
    stack.waiting.stop()


def test_a_loop_that_thinks_for_long_still_sends() -> None:
    """The thread does it. The loop thinks until its peer has got the answer, and the acknowledgment with it."""
    left, right = channel_pair()
    seen = threading.Event()

    def ask() -> None:
        with synfin.socket.socket(waiting=client.waiting) as sock:
            sock.settimeout(20)
            sock.connect((RIGHT, 80))
            sock.sendall(b"question")
            assert sock.recv(100) == b"word"
            with client.waiting.lock:
                assert [row.send_queue for row in client.connections()] == [0]
            seen.set()
            assert sock.recv(100) == b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read(100) == b"question"
        writer.write(b"word")
        assert seen.wait(20)
        writer.close()
        await writer.wait_closed()
        over.set()

    async def main() -> None:
        async with await asyncio.start_server(answer, RIGHT, 80):
            await asyncio.gather(asyncio.to_thread(ask), over.wait())

    with Stack(left, [f"{LEFT}/24"]) as client, Stack(right, [f"{RIGHT}/24"]) as server:
        over = asyncio.Event()
        synfin.socket.run(main(), server.waiting)


def test_an_acknowledgment_rides_on_the_answer() -> None:
    """Even on the first of a connection, when acknowledgments do not wait. On a busy machine the thread may be first,
    so one of several will do: a loop that sends before it lets others have their turn has none."""
    left, right = channel_pair()
    carried = Gate(right)

    def ask() -> None:
        with synfin.socket.socket(waiting=client.waiting) as sock:
            sock.settimeout(20)
            sock.connect((RIGHT, 80))
            sock.sendall(b"question")
            assert sock.recv(100) == b"question"

    async def main() -> None:
        async with await asyncio.start_server(echo, RIGHT, 80):
            for _ in range(10):
                await asyncio.to_thread(ask)
            await others_end()

    with Stack(left, [f"{LEFT}/24"]) as client, Stack(carried, [f"{RIGHT}/24"]) as server:
        synfin.socket.run(main(), server.waiting)
    before = [first for first, second in pairwise(carried.sent) if second.endswith(b"question")]
    assert any(packet[FLAGS] == SYN | ACK for packet in before)


def test_refused_and_unreachable(run: Run, machines: tuple[Stack, Stack]) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(RIGHT, 80)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.open_connection("10.0.0.99", 80)

    run(main)


def test_the_loops_calls_on_sockets(run: Run, at_server: AtServer) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = at_server(80)
        listener.setblocking(False)
        sock = socket.socket()
        assert isinstance(sock, synfin.socket.socket)
        sock.setblocking(False)
        accepting = asyncio.create_task(loop.sock_accept(listener))
        await loop.sock_connect(sock, (RIGHT, 80))
        accepted, name = await accepting
        assert name == sock.getsockname()
        await loop.sock_sendall(sock, bytes(50_000))
        got = 0
        buffer = bytearray(100_000)
        while got < 50_000:
            got += await loop.sock_recv_into(accepted, buffer)
        receiving = asyncio.create_task(loop.sock_recv(sock, 10))
        await asyncio.sleep(0.01)
        await loop.sock_sendall(accepted, b"back")
        assert await receiving == b"back"
        with tempfile.TemporaryFile() as file:
            file.write(b"file" * 1000)
            file.flush()
            assert await loop.sock_sendfile(sock, file) == 4000
        got = 0
        while got < 4000:
            got += len(await loop.sock_recv(accepted, 4000))
        for one in (sock, accepted, listener):
            one.close()

    run(main)


def test_a_transport_sends_a_file(run: Run, at_server: AtServer) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, sock=at_server(80)):
            reader, writer = await asyncio.open_connection(RIGHT, 80)
            with tempfile.TemporaryFile() as file:
                file.write(b"0123456789" * 1000)
                file.flush()
                assert await asyncio.get_running_loop().sendfile(writer.transport, file, 10, 100) == 100
            assert await reader.readexactly(100) == b"0123456789" * 10
            writer.close()
            await writer.wait_closed()

    run(main)


def test_tls_both_sides(run: Run, at_server: AtServer) -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("server.test").configure_cert(serving)
    asking = ssl.create_default_context()
    authority.configure_trust(asking)
    data = bytes(range(256)) * 4000

    async def main() -> None:
        async with await asyncio.start_server(echo, sock=at_server(443), ssl=serving):
            reader, writer = await asyncio.open_connection(RIGHT, 443, ssl=asking, server_hostname="server.test")
            task = asyncio.create_task(reader.readexactly(len(data)))
            writer.write(data)
            assert await task == data
            writer.close()
            await writer.wait_closed()
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(RIGHT, 443, ssl=asking, server_hostname="other.test")

    run(main)


def test_starttls(run: Run, at_server: AtServer) -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("server.test").configure_cert(serving)
    asking = ssl.create_default_context()
    authority.configure_trust(asking)

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(serving)
        writer.write(b"secret " + await reader.readline())
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(upgrade, sock=at_server(80)):
            reader, writer = await asyncio.open_connection(RIGHT, 80)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(asking, server_hostname="server.test")
            writer.write(b"hello\n")
            assert await reader.readline() == b"secret hello\n"
            writer.close()

    run(main)


# --- with what blocks, and with the system


def test_a_thread_blocks_beside_the_loop(run: Run, at_server: AtServer) -> None:
    """run_in_executor: the loop serves the stack meanwhile."""

    def ask() -> bytes:
        with socket.create_connection((RIGHT, 80), timeout=10) as sock:
            sock.sendall(b"from a thread")
            return sock.recv(100)

    async def main() -> None:
        async with await asyncio.start_server(echo, sock=at_server(80)):
            loop = asyncio.get_running_loop()
            assert await asyncio.to_thread(ask) == b"from a thread"
            assert await loop.run_in_executor(None, ask) == b"from a thread"

    run(main)


def test_a_call_that_blocks_in_the_loop_itself(run: Run, machines: tuple[Stack, Stack]) -> None:
    """Bad manners, but on the system's sockets it works."""
    with use(machines[1].waiting):
        listener = synfin.socket.socket()
        listener.bind((RIGHT, 80))
        listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as accepted:
            accepted.sendall(accepted.recv(10))

    thread = threading.Thread(target=serve)
    thread.start()

    async def main() -> None:
        with socket.create_connection((RIGHT, 80), timeout=10) as sock:
            sock.sendall(b"blocking")
            assert sock.recv(10) == b"blocking"

    run(main)
    thread.join()


def test_the_systems_sockets_in_the_same_loop(run: Run, at_server: AtServer) -> None:
    async def main() -> None:
        system = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = system.sockets[0].getsockname()[1]
        assert system.sockets[0].fileno() < FIRST_NUMBER
        async with system, await asyncio.start_server(echo, sock=at_server(80)):
            for address in (("127.0.0.1", port), (RIGHT, 80)):
                reader, writer = await asyncio.open_connection(*address)
                writer.write(b"x" * 100_000)
                assert await reader.readexactly(100_000) == b"x" * 100_000
                writer.close()
                await writer.wait_closed()

    run(main)


def test_subprocesses_and_datagrams_are_the_systems(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert out == b"hello\n"

    run(main)


def test_timers_of_the_loop(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, EventLoop)
        before = loop.time()
        await asyncio.sleep(0.03)
        assert 0.03 <= loop.time() - before < 10
        await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(100)))

    run(main)


def test_a_loop_that_runs_again(machines: tuple[Stack, Stack]) -> None:
    """Between two runs nobody but the thread of the stack keeps it going."""
    client, server = machines
    listener = synfin.socket.socket(waiting=server.waiting)
    listener.bind((RIGHT, 80))
    listener.listen()
    with client, asyncio.Runner(loop_factory=synfin.socket.loop_factory(client.waiting)) as runner:

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(RIGHT, 80)

        _, writer = runner.run(connect())
        accepted, _ = listener.accept()
        accepted.sendall(bytes(10_000))
        accepted.shutdown(socket.SHUT_WR)
        # It comes to FIN-WAIT-2 without the loop.
        deadline = time.monotonic() + 10
        while accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\5":
            assert time.monotonic() < deadline
            time.sleep(0.001)

        async def close() -> None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        runner.run(close())
        accepted.close()
        listener.close()


def test_a_stack_that_ends_tells_who_waits(machines: tuple[Stack, Stack]) -> None:
    _, server = machines
    listener = synfin.socket.socket(waiting=server.waiting)
    listener.bind((RIGHT, 80))
    listener.listen()
    errors: list[int | None] = []

    def wait() -> None:
        try:
            listener.accept()
        except OSError as error:
            errors.append(error.errno)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.02)
    server.waiting.stop()
    thread.join(10)
    listener.close()
    assert errors == [errno.ENETDOWN]


def test_asyncios_own_loop_takes_our_sockets(machines: tuple[Stack, Stack], at_server: AtServer) -> None:
    """It waits for their descriptors; the stacks' threads do the work."""
    client, _ = machines

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert not isinstance(loop, EventLoop)
        async with await asyncio.start_server(echo, sock=at_server(80)):
            sock = synfin.socket.socket(waiting=client.waiting)
            sock.setblocking(False)
            await loop.sock_connect(sock, (RIGHT, 80))
            assert sock.fileno() < FIRST_NUMBER
            reader, writer = await asyncio.open_connection(sock=sock)
            data = bytes(range(256)) * 4000
            task = asyncio.create_task(reader.readexactly(len(data)))
            writer.write(data)
            assert await task == data
            writer.close()
            await writer.wait_closed()
            await others_end()

    with client:
        asyncio.run(main())


def test_two_loops_on_one_stack(machines: tuple[Stack, Stack], at_server: AtServer) -> None:
    """One serves it, the other is told; when the first ends, the second goes on."""
    client, _ = machines
    listener = at_server(80)
    first_over = threading.Event()
    answers: list[bytes] = []

    def serve() -> None:
        with listener:
            for _ in range(4):
                with listener.accept()[0] as accepted:
                    while data := accepted.recv(100):
                        accepted.sendall(data)

    async def ask(count: int) -> None:
        for _ in range(count):
            reader, writer = await asyncio.open_connection(RIGHT, 80)
            writer.write(b"hello")
            answers.append(await reader.readexactly(5))
            writer.close()
            await writer.wait_closed()

    async def second() -> None:
        await ask(1)
        await asyncio.to_thread(first_over.wait)
        await ask(1)

    threads = [
        threading.Thread(target=serve),
        threading.Thread(target=lambda: synfin.socket.run(second(), client.waiting)),
    ]
    for thread in threads:
        thread.start()
    synfin.socket.run(ask(2), client.waiting)
    first_over.set()
    for thread in threads:
        thread.join(10)
    assert answers == [b"hello"] * 4


def test_the_garbage_collector_closes_in_the_midst_of_work(machines: tuple[Stack, Stack]) -> None:
    """A socket in a cycle is closed when the host is at rest, whoever runs the collector."""
    _, server = machines
    listener = synfin.socket.socket(waiting=server.waiting)
    listener.bind((RIGHT, 80))
    listener.listen()
    cycle: list[object] = [listener]
    cycle.append(cycle)
    del listener, cycle
    with server.waiting.lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
        assert [row.state for row in server.connections()] == ["LISTEN"]
    deadline = time.monotonic() + 10
    while server.connections():
        assert time.monotonic() < deadline
