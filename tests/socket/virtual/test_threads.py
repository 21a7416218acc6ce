"""Threads, locks, queues and executors of a program in virtual time: one runs, and nobody waits on the wall clock."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from tests.socket.virtual.worlds import HOUR, SECOND, World, run


def _of(body: object) -> object:
    """What a program returns that runs alone on the client."""
    assert callable(body)
    return run(body)[1].result


def test_two_hours_take_no_time() -> None:
    def sleep() -> float:
        began = time.monotonic()
        time.sleep(7200)
        return time.monotonic() - began

    began = time.monotonic()
    assert _of(sleep) == 7200
    assert time.monotonic() - began < 10


def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    def body() -> list[tuple[str, float]]:
        told: list[tuple[str, float]] = []

        def sleeper(name: str, seconds: float) -> None:
            time.sleep(seconds)
            told.append((name, time.monotonic()))

        threads = [threading.Thread(target=sleeper, args=each) for each in (("a", 3), ("b", 1), ("c", 2))]
        for thread in threads:
            thread.start()
            assert thread.is_alive()
        for thread in threads:
            thread.join()
            assert not thread.is_alive()
        return told

    assert _of(body) == [("b", 1), ("c", 2), ("a", 3)]


def test_a_join_has_a_time_out() -> None:
    def body() -> list[object]:
        thread = threading.Thread(target=time.sleep, args=(10,))
        thread.start()
        thread.join(4)
        first = thread.is_alive(), time.monotonic()
        thread.join()
        return [first, (thread.is_alive(), time.monotonic())]

    assert _of(body) == [(True, 4), (False, 10)]


def test_the_primitives_of_threading_wait_in_virtual_time() -> None:
    def body() -> dict[str, object]:
        found: dict[str, object] = {}
        lock = threading.Lock()
        with lock:
            found["lock"] = lock.acquire(timeout=5), time.monotonic()
            found["not blocking"] = lock.acquire(blocking=False)
        found["event"] = threading.Event().wait(5), time.monotonic()
        condition = threading.Condition()
        with condition:
            found["condition"] = condition.wait(5), time.monotonic()
        semaphore = threading.BoundedSemaphore(1)
        found["semaphore"] = semaphore.acquire(), semaphore.acquire(timeout=5), time.monotonic()
        with pytest.raises(threading.BrokenBarrierError):
            threading.Barrier(2).wait(5)
        found["barrier"] = time.monotonic()
        with pytest.raises(queue.Empty):
            queue.Queue[int]().get(timeout=5)
        with pytest.raises(queue.Empty):
            queue.SimpleQueue[int]().get(timeout=5)
        found["queues"] = time.monotonic()
        reentrant = threading.RLock()
        with reentrant, reentrant:
            threading.Timer(5, reentrant.release)
        return found

    assert _of(body) == {
        "lock": (False, 5),
        "not blocking": False,
        "event": (False, 10),
        "condition": (False, 15),
        "semaphore": (True, False, 20),
        "barrier": 25,
        "queues": 35,
    }


def test_a_lock_goes_to_whoever_waits_for_longest() -> None:
    def body() -> list[int]:
        lock = threading.Lock()
        got: list[int] = []

        def want(number: int) -> None:
            with lock:
                got.append(number)
                time.sleep(1)

        threads = [threading.Thread(target=want, args=(number,)) for number in range(5)]
        with lock:
            for thread in threads:
                thread.start()
            time.sleep(1)
        for thread in threads:
            thread.join()
        assert time.monotonic() == 6
        return got

    assert _of(body) == [0, 1, 2, 3, 4]


def test_producers_and_consumers_meet_in_a_queue() -> None:
    def body() -> list[int]:
        work: queue.Queue[int | None] = queue.Queue(2)
        done: list[int] = []

        def consume() -> None:
            while (item := work.get()) is not None:
                time.sleep(1)
                done.append(item)
                work.task_done()

        consumers = [threading.Thread(target=consume) for _ in range(2)]
        for thread in consumers:
            thread.start()
        for number in range(10):
            work.put(number)
        work.join()
        for _ in consumers:
            work.put(None)
        for thread in consumers:
            thread.join()
        assert time.monotonic() == 5
        return sorted(done)

    assert _of(body) == list(range(10))


def test_executors_run_side_by_side() -> None:
    def body() -> tuple[list[int], float]:
        def slow(number: int) -> int:
            time.sleep(10)
            return number * number

        with ThreadPoolExecutor(4) as executor:
            with pytest.raises(FutureTimeoutError):
                executor.submit(slow, 1).result(timeout=1)
            return list(executor.map(slow, range(6))), time.monotonic()

    assert _of(body) == ([0, 1, 4, 9, 16, 25], 21)


def test_a_program_may_leave_an_executor_open() -> None:
    """As with an interpreter that exits, what is being done is done, and threads that wait for more end."""
    done: list[float] = []

    def body() -> None:
        def slow() -> None:
            time.sleep(10)
            done.append(time.monotonic())

        ThreadPoolExecutor(4).submit(slow)

    _of(body)
    assert done == [10]


def test_a_program_waits_for_its_threads_but_not_for_daemons() -> None:
    done: list[str] = []

    def body() -> None:
        def later(name: str, seconds: float) -> None:
            time.sleep(seconds)
            done.append(name)

        threading.Thread(target=later, args=("thread", 10)).start()
        threading.Thread(target=later, args=("daemon", 20), daemon=True).start()

    world = run(body)[0]
    assert done == ["thread"]
    assert world.now == 10 * SECOND


def test_what_a_daemon_had_open_is_closed_with_its_program() -> None:
    heard: list[bytes] = []

    def serve() -> None:
        with socket.create_server(("", 80)) as listener, listener.accept()[0] as connection:
            while data := connection.recv(100):
                heard.append(data)
            heard.append(b"end")

    def body() -> None:
        ready = threading.Event()

        def hold() -> None:
            connection = socket.create_connection(("server", 80))
            connection.sendall(b"hello")
            ready.set()
            connection.recv(1)

        threading.Thread(target=hold, daemon=True).start()
        ready.wait()

    run(body, serve)
    assert heard == [b"hello", b"end"]


def test_asyncio_and_threads_wake_each_other() -> None:
    async def body() -> list[object]:
        loop = asyncio.get_running_loop()
        told: list[object] = []
        event = asyncio.Event()

        def other() -> str:
            time.sleep(5)
            loop.call_soon_threadsafe(event.set)
            future = asyncio.run_coroutine_threadsafe(asyncio.sleep(5, "slept"), loop)
            return future.result()

        task = asyncio.create_task(asyncio.to_thread(other))
        await event.wait()
        told.append(time.monotonic())
        told.append(await task)
        told.append(loop.time())
        async with asyncio.timeout(100):
            await asyncio.sleep(50)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 40)
        told.append(loop.time())
        return told

    assert _of(body) == [5, "slept", 10, pytest.approx(100, abs=1e-6)]


def test_each_host_may_have_its_own_loop_and_one_loop_many_hosts() -> None:
    world = World()

    async def serve(name: str) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peername")[0]
            writer.write(f"{name} heard {peer}".encode())
            writer.close()

        return await asyncio.start_server(answer, "0.0.0.0", 80)

    async def both() -> bytes:
        with world.programs.on("server"):
            # A task is where it was made, and so are those that it makes.
            server = await asyncio.create_task(serve("server"))
        with world.programs.on("client"):
            reader, writer = await asyncio.open_connection("server", 80)
            heard = await reader.read()
            writer.close()
            await writer.wait_closed()
        server.close()
        return heard

    program = world.programs.add("client", both)
    world.run()
    assert program.result == b"server heard 10.0.0.1"


def test_a_busy_loop_comes_to_its_end() -> None:
    """Time goes on for who only looks at the clock, or asks again and again."""

    def body() -> tuple[bool, bool]:
        end = time.monotonic() + 0.005
        while time.monotonic() < end:
            pass
        thread = threading.Thread(target=time.sleep, args=(0.002,))
        thread.start()
        while thread.is_alive():
            pass
        return time.monotonic() < 0.05, not thread.is_alive()

    assert _of(body) == (True, True)


def test_a_loop_that_never_rests_lets_time_go_on() -> None:
    async def body() -> float:
        task = asyncio.create_task(asyncio.sleep(0.01))
        while not task.done():  # noqa: ASYNC110 (that is what is tested)
            await asyncio.sleep(0)
        return time.monotonic()

    result = _of(body)
    assert isinstance(result, float)
    assert 0.01 <= result < 0.1


def test_select_poll_and_epoll_wait_in_virtual_time() -> None:
    def body() -> list[float]:
        import select
        import selectors

        select.select([], [], [], 100)
        times = [time.monotonic()]
        select.poll().poll(100_000)
        times.append(time.monotonic())
        with select.epoll() as epoll:
            epoll.poll(100)
        times.append(time.monotonic())
        with selectors.DefaultSelector() as selector, socket.create_server(("", 80)) as listener:
            selector.register(listener, selectors.EVENT_READ)
            assert selector.select(100) == []
            times.append(time.monotonic())
            with socket.create_connection(("127.0.0.1", 80)):
                assert len(selector.select(100)) == 1
            times.append(time.monotonic())
        return times

    assert _of(body) == [100, 200, 300, 400, 400]


def test_a_pair_of_sockets_joins_threads() -> None:
    def body() -> list[object]:
        first, second = socket.socketpair()
        with first, second:
            threading.Timer(5, second.sendall, (b"late",)).start()
            found: list[object] = [first.recv(100), time.monotonic()]
            first.settimeout(5)
            with pytest.raises(TimeoutError):
                first.recv(100)
            first.setblocking(False)
            with pytest.raises(BlockingIOError):
                first.recv(100)
            # More than fits waits for the reader.
            received = bytearray()
            reader = threading.Thread(target=lambda: received.extend(second.makefile("rb").read()))
            reader.start()
            first.settimeout(None)
            first.sendall(bytes(1_000_000))
            first.shutdown(socket.SHUT_WR)
            reader.join()
            return [*found, time.monotonic(), len(received)]

    assert _of(body) == [b"late", 5, 10, 1_000_000]


def test_hours_of_waiting_threads_cost_what_they_do_and_no_more() -> None:
    """A server that looks around twice a second for a day."""

    def serve() -> None:
        import socketserver

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(self.rfile.readline())

        socketserver.ThreadingTCPServer(("", 7), Handler).serve_forever()

    def ask() -> bytes:
        time.sleep(2 * 3600)
        with socket.create_connection(("server", 7)) as connection:
            connection.sendall(b"late\n")
            return connection.recv(100)

    world, client = run(ask, serve)
    assert client.result == b"late\n"
    assert world.now > 2 * HOUR
