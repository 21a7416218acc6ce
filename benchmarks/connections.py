"""Connections a second through asyncio's streams over TUN, as a ratio to kernel TCP in the same run. Takes root.

    python benchmarks/connections.py [--connections N] [--runs N] [--profile server|client [--streams synfin|Stack]]

A client connects, sends a line, gets a line and closes, fifty times at once; a server answers. Both are the same
program of asyncio's streams, each in a process of its own. Each run measures, one after another, in network namespaces
of its own: both on the kernel's TCP, over loopback; the server on synfin and the client on the kernel's, over TUN;
and the other way round. On synfin once with asyncio's streams on synfin's loop (`synfin run`, `synfin.run`), and once
with those of `async with Stack`, which are synfin's own transports.

CPU time is that of the whole process: Python, asyncio, and the system's part, which for synfin includes what the kernel
does with a packet that is written to the device.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import multiprocessing
import os
import pstats
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack
from ctypes import CDLL, get_errno
from multiprocessing.connection import Connection as Pipe
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

from synfin.link.tun import Tun, configure, kernel_address
from synfin.socket import Stack, run

ADDRESS = "10.9.0.2/24"
OURS = "10.9.0.2"
KERNELS = "10.9.0.3"
PORT = 5001
AT_ONCE = 50
CLONE_NEWNET = 0x40000000
LINE = b"GET / HTTP/1.0\r\n"


class Streams(NamedTuple):
    """Whose streams they are."""

    open_connection: Callable[..., Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
    start_server: Callable[..., Awaitable[Any]]


ASYNCIOS: Final = Streams(asyncio.open_connection, asyncio.start_server)


class Measured(NamedTuple):
    """Connections a second, and microseconds of CPU for each at both ends."""

    rate: float
    client: float
    server: float


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    await writer.drain()
    # The end of the stream: the client closes first.
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def ask(streams: Streams, host: str) -> None:
    reader, writer = await streams.open_connection(host, PORT)
    writer.write(LINE)
    await writer.drain()
    if await reader.readline() != LINE:
        raise AssertionError("another answer than was sent")
    writer.close()
    await writer.wait_closed()


async def serve(streams: Streams, pipe: Pipe, host: str) -> None:
    """Serves until the pipe says to stop; says how much CPU time that took."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), over.set)
    async with await streams.start_server(answer, host, PORT, backlog=1024):
        before = process_time()
        pipe.send("ready")
        await over.wait()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)
        pipe.send(process_time() - before)


async def connect(streams: Streams, pipe: Pipe, host: str, count: int) -> None:
    """Makes so many connections; says how long they took, and how much CPU time."""

    async def some(left: Iterator[int]) -> None:
        for _ in left:
            await ask(streams, host)

    async def all_of(number: int) -> None:
        left = iter(range(number))
        await asyncio.gather(*(some(left) for _ in range(AT_ONCE)))

    await all_of(AT_ONCE)
    gc.collect()
    began, before = perf_counter(), process_time()
    await all_of(count)
    pipe.send((perf_counter() - began, process_time() - before))


Main = Callable[[Streams], Coroutine[Any, Any, None]]


def process(pipe: Pipe, on: str, profiled: bool, main: Main) -> None:
    """Runs one end on "synfin", on a "Stack", or on the kernel's TCP."""

    async def on_stack(stack: Stack) -> None:
        async with stack:
            await main(Streams(stack.open_connection, stack.start_server))

    with ExitStack() as resources:
        if profiled:
            profile = resources.enter_context(cProfile.Profile(process_time))
            resources.callback(lambda: pstats.Stats(profile).sort_stats("tottime").print_stats(45))
        if not on:
            asyncio.run(main(ASYNCIOS))
            return
        link = resources.enter_context(Tun.open("bench"))
        configure(link.name, [kernel_address(ADDRESS)])
        stack = Stack(link, [ADDRESS])
        pipe.send("device")
        pipe.recv()
        if on == "Stack":
            asyncio.run(on_stack(stack))
        else:
            with stack:
                run(main(ASYNCIOS), stack.waiting)


def enter_namespace() -> None:
    """Each run has a network namespace of its own: no port waits there in TIME-WAIT from the one before."""
    if CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(get_errno(), os.strerror(get_errno()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def measure(count: int, synfins: str, on: str, profiled: str = "") -> Measured:
    """One run. `synfins` says which end is on synfin: "client", "server" or none; `on`, whose streams it has."""
    enter_namespace()
    host = {"server": OURS, "client": KERNELS}.get(synfins, "127.0.0.1")
    ends = {end: multiprocessing.Pipe() for end in ("server", "client")}
    mains: dict[str, Main] = {
        "server": lambda streams: serve(streams, ends["server"][1], host),
        "client": lambda streams: connect(streams, ends["client"][1], host, count),
    }
    server, client = ends["server"][0], ends["client"][0]
    processes = {
        end: multiprocessing.Process(
            target=process, args=(ends[end][1], on if end == synfins else "", end == profiled, mains[end])
        )
        for end in ends
    }
    if synfins:
        # The device first, which carries the kernel's address.
        processes[synfins].start()
        ends[synfins][0].recv()
    if synfins != "server":
        processes["server"].start()
    else:
        server.send("go")
    server.recv()
    if synfins != "client":
        processes["client"].start()
    else:
        client.send("go")
    elapsed, client_cpu = client.recv()
    server.send("over")
    server_cpu = server.recv()
    for one in processes.values():
        one.join()
    # The server's has the warming up in it too.
    return Measured(count / elapsed, client_cpu / count * 1e6, server_cpu / (count + AT_ONCE) * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", choices=["server", "client"])
    parser.add_argument("--streams", choices=["synfin", "Stack"], default="synfin", help="which are profiled")
    arguments = parser.parse_args()
    if arguments.profile:
        measure(arguments.connections, arguments.profile, arguments.streams, arguments.profile)
        return
    names = {
        ("", ""): "kernel to kernel, loopback",
        ("server", "synfin"): "kernel to synfin's loop",
        ("client", "synfin"): "synfin's loop to kernel",
        ("server", "Stack"): "kernel to Stack's streams",
        ("client", "Stack"): "Stack's streams to kernel",
    }
    measured: dict[tuple[str, str], list[Measured]] = {key: [] for key in names}
    for number in range(arguments.runs):
        for key, name in names.items():
            print(f"\rrun {number + 1} of {arguments.runs}: {name:<28}", end="", file=sys.stderr, flush=True)
            measured[key].append(measure(arguments.connections, *key))
    print(file=sys.stderr)
    reference = median(one.rate for one in measured["", ""])
    title = f"medians of {arguments.runs} runs"
    print(f"{title:<28} {'a second':>9} {'ratio':>6} {'µs client':>10} {'µs server':>10}")
    for key, name in names.items():
        rate, client, server = (median(values) for values in zip(*measured[key], strict=True))
        print(f"{name:<28} {rate:9.0f} {rate / reference:6.2f} {client:10.0f} {server:10.0f}")


if __name__ == "__main__":
    main()
