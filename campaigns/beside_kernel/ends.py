"""The ends of a bulk transfer, each a process in a network namespace: the kernel's sockets, or synfin on a TUN device
of its own in that namespace, with the kernel as the router between that device and the forwarder's.

A sender sends until it is ended. A receiver tells the octets that its application read within the time of a `Meter`,
and then keeps its connection until it is ended.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from time import monotonic_ns
from typing import Final

from campaigns.beside_kernel.forwarder import ADDRESSES
from campaigns.beside_kernel.meter import SECOND, Meter
from campaigns.beside_kernel.namespace import RMEM, WMEM, enter, open_tun
from synfin.host.parameters import Parameters
from synfin.socket import Stack

PORT: Final = 5001
#: Octets written or read at once.
CHUNK: Final = 1 << 18
BLOCK: Final = bytes(CHUNK)
#: How long a connection may need until its first octet arrives, in seconds: some SYNs may be lost.
PATIENCE: Final = 30.0

#: Where synfin is an end: the kernel's address on synfin's device, and synfin's; at the sender's side, and the other.
SYNFIN: Final = (("10.77.3.1/24", "10.77.3.2/24"), ("10.77.4.1/24", "10.77.4.2/24"))
SENDER: Final = 0
RECEIVER: Final = 1


@dataclass(frozen=True)
class End:
    """What every end is told. `congestion` is the name of the congestion control, the kernel's or synfin's."""

    namespace: int
    congestion: str


def address(kind: str, side: int) -> str:
    """Where an end of `kind`, "kernel" or "synfin", is to be reached at that side."""
    return ADDRESSES[side] if kind == "kernel" else SYNFIN[side][1].partition("/")[0]


def _left(meter: Meter) -> float:
    """Seconds until the end; negative when it is over."""
    return PATIENCE if meter.end is None else (meter.end - monotonic_ns()) / SECOND


# --- the kernel


def kernel_socket(congestion: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
    return made


def kernel_send(pipe: Pipe, end: End, destination: str) -> None:
    enter(end.namespace)
    with kernel_socket(end.congestion) as connection:
        pipe.send("ready")
        connection.connect((destination, PORT))
        while True:
            connection.sendall(BLOCK)


def kernel_receive(pipe: Pipe, end: End, meter: Meter) -> None:
    enter(end.namespace)
    with kernel_socket(end.congestion) as listener:
        listener.bind((address("kernel", RECEIVER), PORT))
        listener.listen()
        listener.settimeout(PATIENCE)
        pipe.send("ready")
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            pipe.send(None)
            return
        buffer = bytearray(CHUNK)
        with connection:
            while (left := _left(meter)) > 0:
                connection.settimeout(left)
                try:
                    octets = connection.recv_into(buffer)
                except TimeoutError:
                    break
                if not octets:
                    break
                meter.arrived(octets, monotonic_ns())
            pipe.send(None if meter.end is None else meter.octets)
            pipe.recv()


# --- synfin


def _with_synfin(end: End, side: int, use: Callable[[Stack], Awaitable[None]]) -> None:
    async def serve() -> None:
        async with Stack(tun, [ours], parameters=parameters) as stack:
            await use(stack)

    enter(end.namespace)
    kernels, ours = SYNFIN[side]
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_congestion_control", end.congestion)
    parameters.set("net.ipv4.tcp_rmem", RMEM)
    parameters.set("net.ipv4.tcp_wmem", WMEM)
    parameters.set("net.ipv4.tcp_no_metrics_save", "1")
    with open_tun("tun1", kernels, default_route=False) as tun:
        asyncio.run(serve())


def synfin_send(pipe: Pipe, end: End, destination: str) -> None:
    async def use(stack: Stack) -> None:
        pipe.send("ready")
        _, writer = await stack.open_connection(destination, PORT)
        while True:
            writer.write(BLOCK)
            await writer.drain()

    _with_synfin(end, SENDER, use)


def synfin_receive(pipe: Pipe, end: End, meter: Meter) -> None:
    async def use(stack: Stack) -> None:
        over = asyncio.Event()

        async def served(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            while (left := _left(meter)) > 0:
                try:
                    async with asyncio.timeout(left):
                        octets = await reader.read(CHUNK)
                except TimeoutError:
                    break
                if not octets:
                    break
                meter.arrived(len(octets), monotonic_ns())
            over.set()

        await stack.start_server(served, None, PORT, limit=CHUNK)
        pipe.send("ready")
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE + meter.lasts):
                await over.wait()
        pipe.send(None if meter.end is None else meter.octets)
        pipe.recv()

    _with_synfin(end, RECEIVER, use)
