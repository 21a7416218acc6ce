"""Throughput against the Linux kernel over TUN, as a ratio to kernel loopback in the same run. Takes root.

    python benchmarks/tun.py [--seconds S] [--runs N] [--profile send|receive]

Each run measures, one after another: kernel to kernel over loopback, kernel to synfin and synfin to kernel, with
and without offload. Every receiver reads every octet; congestion control is pinned to cubic on the kernel's side.
Everything happens in a network namespace of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import os
import pstats
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection as Pipe
from statistics import median
from time import perf_counter

from synfin.cli.services import CHUNK, SERVICES
from synfin.link.tun import Tun, configure, kernel_address
from synfin.socket import Stack

ADDRESS = "10.9.0.2/24"
PORT = 5001
BLOCK = bytes(1 << 20)


def pinned(family: int = socket.AF_INET) -> socket.socket:
    """A kernel socket whose congestion control is cubic, as a benchmark wants it."""
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    return made


def send_for(connection: socket.socket, seconds: float) -> None:
    """Sends for so long, and then waits until the peer has read it all and closed."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        connection.sendall(BLOCK)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)


def receive_for(connection: socket.socket, seconds: float) -> int:
    """Reads for so long; how many octets came."""
    buffer = bytearray(1 << 20)
    received = 0
    end = perf_counter() + seconds
    while perf_counter() < end:
        octets = connection.recv_into(buffer)
        if not octets:
            break
        received += octets
    return received


def kernel_receiver(pipe: Pipe) -> None:
    """Accepts one connection over loopback, reads it to the end, and tells how much came in what time."""
    with pinned() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        pipe.send(listener.getsockname()[1])
        connection, _ = listener.accept()
        began = perf_counter()
        received = receive_for(connection, 3600)
        pipe.send(received / (perf_counter() - began))
        connection.close()


def loopback(seconds: float) -> float:
    """Octets a second from one kernel socket to another."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=kernel_receiver, args=(theirs,))
    process.start()
    with pinned() as sender:
        sender.connect(("127.0.0.1", ours.recv()))
        send_for(sender, seconds)
    rate: float = ours.recv()
    process.join()
    return rate


def synfin_server(pipe: Pipe, service: str, offload: bool, profiled: bool) -> None:
    """Serves one connection of `service` on a TUN device, then ends."""

    async def serve(link: Tun) -> None:
        over = asyncio.Event()

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await SERVICES[service].serve(reader, writer)
            over.set()

        async with Stack(link, [ADDRESS]) as stack:
            await stack.start_server(served, None, PORT, limit=CHUNK)
            pipe.send("ready")
            await over.wait()

    with Tun.open(None, offload) as link:
        configure(link.name, [kernel_address(ADDRESS)])
        if profiled:
            with cProfile.Profile() as profile:
                asyncio.run(serve(link))
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        else:
            asyncio.run(serve(link))


def with_synfin(service: str, offload: bool, measure: Callable[[socket.socket], float], profiled: bool) -> float:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=synfin_server, args=(theirs, service, offload, profiled))
    process.start()
    ours.recv()
    with pinned() as peer:
        peer.connect((ADDRESS.partition("/")[0], PORT))
        rate = measure(peer)
    process.join()
    return rate


def kernel_to_synfin(seconds: float, offload: bool, profiled: bool = False) -> float:
    """Octets a second that synfin's discard reads."""

    def measure(peer: socket.socket) -> float:
        sent = 0
        began = perf_counter()
        while perf_counter() < began + seconds:
            peer.sendall(BLOCK)
            sent += len(BLOCK)
        peer.shutdown(socket.SHUT_WR)
        # The service closes when it has read the last octet.
        peer.recv(1)
        return sent / (perf_counter() - began)

    return with_synfin("discard", offload, measure, profiled)


def synfin_to_kernel(seconds: float, offload: bool, profiled: bool = False) -> float:
    """Octets a second that the kernel's receiver reads from synfin's chargen."""

    def measure(peer: socket.socket) -> float:
        began = perf_counter()
        return receive_for(peer, seconds) / (perf_counter() - began)

    return with_synfin("chargen", offload, measure, profiled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", choices=["send", "receive"])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        again = ["unshare", "--net", sys.executable, *sys.argv, "--inside"]
        os.execvp(again[0], again)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if arguments.profile == "send":
        synfin_to_kernel(arguments.seconds, True, profiled=True)
        return
    if arguments.profile == "receive":
        kernel_to_synfin(arguments.seconds, True, profiled=True)
        return
    names = ["kernel loopback"]
    measures: list[Callable[[], float]] = [lambda: loopback(arguments.seconds)]
    for offload in (True, False):
        words = "with offload" if offload else "without offload"
        names += [f"kernel to synfin, {words}", f"synfin to kernel, {words}"]
        measures.append(partial(kernel_to_synfin, arguments.seconds, offload))
        measures.append(partial(synfin_to_kernel, arguments.seconds, offload))
    rates: list[list[float]] = [[] for _ in names]
    for run in range(arguments.runs):
        for index, measure in enumerate(measures):
            print(f"\rrun {run + 1} of {arguments.runs}: {names[index]:<36}", end="", file=sys.stderr, flush=True)
            rates[index].append(measure())
    print(file=sys.stderr)
    reference = median(rates[0])
    print(f"{'medians of ' + str(arguments.runs) + ' runs':<36} {'Gbit/s':>8} {'ratio':>8}")
    for name, values in zip(names, rates, strict=True):
        print(f"{name:<36} {median(values) * 8 / 1e9:8.2f} {median(values) / reference:8.3f}")


if __name__ == "__main__":
    main()
