"""A run from outside: how it ends, what it says, and that it leaves the process as it was."""

from __future__ import annotations

import asyncio
import atexit
import datetime
import gc
import os
import queue
import random
import secrets
import select
import selectors
import signal
import socket
import sys
import threading
import time
import uuid
from contextlib import suppress
from functools import partial
from types import ModuleType

import pytest

from synfin.socket import socket as our_socket
from synfin.socket.virtual import Programs
from synfin.tcp.timers import NEVER
from tests.socket.virtual.worlds import HOUR, SECOND, World, run

MODULES = (asyncio, atexit, datetime, os, queue, random, select, selectors, signal, socket, threading, time, uuid)


def _process() -> dict[str, object]:
    """What a run replaces, and what it uses, of the process."""
    found: dict[str, object] = {
        f"{module.__name__}.{name}": id(value) for module in MODULES for name, value in vars(module).items()
    }
    for kind in (threading.Thread, random.Random, asyncio.BaseEventLoop, asyncio.BaseTransport):
        found |= {f"{kind.__name__}.{name}": id(value) for name, value in vars(kind).items()}
    found["random"] = random.getstate()
    found["gc"] = gc.isenabled()
    found["threads"] = set(threading.enumerate())
    found["sys"] = sys.argv, sys.path, sys.modules["__main__"], sys.stdout, sys.stderr
    return found


def _differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    # A class notes its subclasses, and enumerations what they were asked.
    return [name for name in before if name != "uuid._last_timestamp" and before[name] != after.get(name)]


def _fails() -> None:
    random.random()
    raise LookupError("as expected")


def _waits() -> None:
    threading.Thread(target=threading.Event().wait).start()
    socket.create_server(("", 80)).accept()


@pytest.mark.parametrize("body", [time.time, _fails, _waits])
def test_the_process_is_as_before(body: object) -> None:
    assert callable(body)
    world = World()
    world.programs.add("client", body)
    before = _process()
    world.programs.run()
    assert _differences(before, _process()) == []


def test_the_process_is_as_before_when_the_network_itself_fails() -> None:
    world = World()

    def fail() -> None:
        raise ZeroDivisionError

    world.network.at(SECOND, fail)
    world.programs.add("client", lambda: time.sleep(10))
    before = _process()
    with pytest.raises(ZeroDivisionError):
        world.programs.run()
    assert _differences(before, _process()) == []


def test_functions_that_somebody_kept_work_afterwards() -> None:
    kept: list[object] = []

    def keep() -> None:
        kept.extend((time.monotonic, time.sleep, threading.Lock(), os.urandom, datetime.datetime))

    run(keep)
    monotonic, sleep, lock, urandom, kind = kept
    assert callable(monotonic)
    assert callable(sleep)
    assert callable(urandom)
    assert monotonic() == pytest.approx(time.monotonic(), abs=1)
    sleep(0)
    with lock:  # type: ignore[attr-defined]
        assert len(urandom(3)) == 3
    assert abs(kind.now() - datetime.datetime.now()) < datetime.timedelta(seconds=1)  # type: ignore[attr-defined]


def test_modules_that_were_imported_before_have_our_functions_too() -> None:
    module = ModuleType("kept_by_name")
    module.__dict__["pause"] = time.sleep
    sys.modules["kept_by_name"] = module
    try:
        world = run(lambda: module.pause(3600))[0]
    finally:
        del sys.modules["kept_by_name"]
    assert world.now == 3600 * SECOND
    assert module.pause is time.sleep


def test_modules_that_had_our_socket_by_name_keep_it() -> None:
    module = ModuleType("ours_by_name")
    module.__dict__["socket"] = our_socket
    sys.modules["ours_by_name"] = module
    try:
        run(lambda: time.sleep(1))
    finally:
        del sys.modules["ours_by_name"]
    assert module.socket is our_socket
    assert socket.socket is not our_socket


def test_nobody_is_ready_and_no_deadline_is_left() -> None:
    """The report names everybody, where and for what."""
    world = World()

    def idle() -> None:
        threading.Event().wait()

    def want(lock: threading.Lock) -> None:
        lock.acquire()

    def serve() -> None:
        with socket.create_server(("", 80)) as listener, listener.accept()[0] as connection:
            connection.recv(1)

    def ask() -> None:
        lock = threading.Lock()
        lock.acquire()
        with socket.create_connection(("server", 80)):
            threading.Thread(target=want, args=(lock,), name="worker").start()
            threading.Thread(target=idle, name="idle").start()
            asyncio.run(tasks())

    async def tasks() -> None:
        event = asyncio.Event()
        task = asyncio.create_task(event.wait(), name="waiter")
        await task

    world.programs.add("server", serve, background=True)
    world.programs.add("client", ask)
    outcome = world.run()
    assert outcome.ending == "stuck"
    assert outcome.exit_code == 1
    assert {waiter.deadline for waiter in outcome.waiters} == {NEVER}
    told = {(one.host, one.program, one.name): (one.call, one.waits_for) for one in outcome.waiters}
    assert told["client", "ask", "worker"] == ("acquire", "a lock of MainThread")
    assert told["client", "ask", "idle"] == ("Event.wait", "a notification")
    assert told["client", "ask", "waiter"] == ("Event.wait", "a future")
    assert told["client", "ask", "Task-1"][1] == "the task waiter"
    call, waits_for = told["server", "serve", "MainThread"]
    assert call == "recv"
    assert waits_for.startswith("data on 10.0.0.2:80 - 10.0.0.1:")
    assert waits_for.endswith("(ESTABLISHED)")
    # A task that is nothing but a call of the library's is nowhere in the program.
    assert [one.name for one in outcome.waiters if not one.where.startswith("test_programs.py:")] == ["waiter"]


def test_the_limit_ends_a_run_that_would_go_on() -> None:
    world = World(limit=2 * HOUR)

    def poll() -> None:
        while True:
            time.sleep(600)

    world.programs.add("client", poll)
    outcome = world.run()
    assert (outcome.ending, outcome.time, outcome.exit_code) == ("limit", 2 * HOUR, 1)
    (waiter,) = outcome.waiters
    assert (waiter.waits_for, waiter.deadline) == ("the time", 2 * HOUR + 600 * SECOND)


def test_programs_in_the_background_alone_run_to_the_limit() -> None:
    world = World(limit=SECOND)
    told: list[float] = []

    def tick() -> None:
        while True:
            told.append(time.monotonic())
            time.sleep(0.25)

    world.programs.add("client", tick, background=True)
    world.programs.add("server", _waits, background=True)
    outcome = world.run()
    assert (outcome.ending, outcome.time, outcome.exit_code) == ("ended", SECOND, 0)
    assert told == [0, 0.25, 0.5, 0.75, 1]


def test_a_program_that_does_not_want_to_end_is_left_behind() -> None:
    world = World(limit=SECOND)

    def stubborn() -> None:
        while True:
            with suppress(BaseException):
                time.sleep(1)

    world.programs.add("client", stubborn)
    assert world.run().ending == "limit"


def test_a_run_is_given_up_when_a_signal_s_handler_raises() -> None:
    """As time-outs of test runners do, of a program that never waits."""
    going = [True]

    def busy() -> None:
        while going:
            pass

    def late(*_: object) -> None:
        raise InterruptedError

    world = World()
    world.programs.add("client", busy)
    before = signal.signal(signal.SIGALRM, late)
    process = _process()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(InterruptedError):
            world.programs.run()
        assert [name for name in _differences(process, _process()) if name != "threads"] == []
    finally:
        signal.signal(signal.SIGALRM, before)
        # It comes to its end, and gives the baton to nobody.
        going.clear()
    assert World().run().exit_code == 0


def test_exit_codes_are_those_of_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for code, expected in ((None, 0), (0, 0), (3, 3), ("words", 1)):
        world = World()
        world.programs.add("client", partial(sys.exit, code))
        assert world.run().exit_code == expected
    assert capsys.readouterr().err == "words\n"
    world = World()
    world.programs.add("client", _fails)
    outcome = world.programs.run()
    assert outcome.exit_code == 1
    assert isinstance(outcome.programs[0].error, LookupError)


def test_one_run_at_a_time() -> None:
    def inner() -> None:
        with pytest.raises(RuntimeError):
            World().programs.run()

    run(inner)
    with pytest.raises(KeyError):
        Programs(World().network).add("nobody", inner)


def test_what_is_random_follows_from_the_seed() -> None:
    def body() -> list[object]:
        return [
            os.urandom(8),
            secrets.token_hex(),
            random.random(),
            random.seed(),
            random.random(),
            random.Random().random(),
            random.SystemRandom().random(),
            uuid.uuid1(),
            uuid.uuid4(),
            os.getpid(),
        ]

    first, again = run(body)[1].result, run(body)[1].result
    other = run(body, seed=2)[1].result
    assert first == again
    assert isinstance(first, list)
    assert isinstance(other, list)
    assert [one for one, another in zip(first, other, strict=True) if one == another] == [None, first[-1]]


def test_the_clocks_tell_the_time_of_the_network() -> None:
    def body() -> list[object]:
        time.sleep(3661.5)
        return [
            time.time() - 1767225600,
            time.monotonic(),
            time.perf_counter_ns(),
            time.time_ns() % SECOND,
            time.gmtime()[:6],
            time.strftime("%M:%S"),
            datetime.datetime.now(datetime.UTC),
            datetime.date.today() == datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date(),
            isinstance(datetime.datetime.now(), datetime.datetime),
            datetime.datetime(2026, 1, 1) < datetime.datetime.now(),
        ]

    exact = datetime.datetime(2026, 1, 1, 1, 1, 1, 500_000, datetime.UTC)
    expected = [3661.5, 3661.5, 3661_500_000_000, SECOND // 2, (2026, 1, 1, 1, 1, 1), "01:01", exact, True, True, True]
    assert run(body)[1].result == expected


def test_a_subclass_of_datetime_is_one() -> None:
    def body() -> list[object]:
        class Mine(datetime.datetime):
            pass

        now = Mine.now(datetime.UTC)
        return [
            type(now) is Mine,
            now.year,
            isinstance(datetime.datetime.now(), Mine),
            isinstance(now, datetime.datetime),
        ]

    assert run(body)[1].result == [True, 2026, False, True]


def test_names_are_those_of_the_network() -> None:
    def body() -> list[object]:
        found: list[object] = [socket.gethostname(), socket.gethostbyname("server"), socket.getfqdn()]
        found.append(socket.getaddrinfo("server", "http", type=socket.SOCK_STREAM)[0][4])
        found.append(socket.gethostbyaddr("10.0.0.2")[0])
        found.append(socket.gethostbyname("localhost"))
        found.append(socket.gethostbyname("elsewhere"))
        found.append({entry[4][0] for entry in socket.getaddrinfo("localhost", 80)})
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("example.org", 80)
        return found

    world = World()
    world.network.names["elsewhere"] = "192.0.2.1"
    program = world.programs.add("client", body)
    world.run()
    assert program.result[:-1] == [
        "client",
        "10.0.0.2",
        "client",
        ("10.0.0.2", 80),
        "server",
        "127.0.0.1",
        "192.0.2.1",
    ]
    assert program.result[-1] == {"127.0.0.1", "::1"}


def test_nothing_leaves_the_network() -> None:
    def body() -> None:
        with pytest.raises(OSError, match="not supported"):
            socket.socket(socket.AF_INET, socket.SOCK_RAW)
        # As many find out their own address.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect(("server", 9))
            assert datagrams.getsockname()[0] == "10.0.0.1"
            with pytest.raises(OSError, match="not supported"):
                datagrams.send(b"hello")
            with pytest.raises(OSError, match="unreachable"):
                datagrams.connect(("192.0.2.1", 9))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            pytest.raises(OSError, match="not supported"),
        ):
            datagrams.bind(("", 0))
        with pytest.raises(OSError, match="unreachable"):
            socket.create_connection(("192.0.2.1", 80))

    run(body)


def test_accept_makes_what_socket_socket_is() -> None:
    def body() -> object:
        with (
            socket.create_server(("", 80)) as listener,
            socket.create_connection(("127.0.0.1", 80)) as client,
            listener.accept()[0] as accepted,
        ):
            return {type(one) for one in (listener, client, accepted)} == {socket.socket}

    assert run(body)[1].result


def test_signals_and_exits_are_the_programs_own() -> None:
    told: list[str] = []

    def body() -> object:
        assert threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        atexit.register(told.append, "at exit")
        return before, callable(signal.getsignal(signal.SIGTERM)), signal.getsignal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGTERM)
    result = run(body)[1].result
    assert result == (signal.SIG_DFL, True, signal.default_int_handler)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert told == ["at exit"]
