"""Urgent data to and from the Linux kernel over TUN: the same octet out of band, the mark at the same place."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
from errno import EINVAL

import pytest

from synfin.socket.stack import Stack
from synfin.tcp.connection import Connection
from tests.integration.peers import Run, becomes, octets, stack_on_tun, we_connect

pytestmark = [pytest.mark.tun]

offloads = pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])

SIOCATMARK = 0x8905


def at_mark(kernel: socket.socket) -> bool:
    answer = array.array("i", [0])
    fcntl.ioctl(kernel, SIOCATMARK, answer)
    return answer[0] == 1


def ours(writer: asyncio.StreamWriter) -> Connection:
    connection = writer.transport.get_extra_info("connection")
    assert isinstance(connection, Connection)
    return connection


def send_urgent(stack: Stack, connection: Connection, data: bytes) -> None:
    driver = stack._driver
    assert stack.host.send_urgent(connection, data, driver.now()) == len(data)
    driver.pump_soon()


def read(connection: Connection) -> bytes:
    return b"".join(bytes(piece) for piece in connection.receive(1 << 20, 0))


@offloads
@versions
def test_the_kernel_reads_our_urgent_octet(in_namespace: Run, offload: bool, version: int) -> None:
    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            kernel, _, writer = await we_connect(stack, version)
            with kernel:
                loop = asyncio.get_running_loop()
                connection = ours(writer)
                before, behind = octets(50_000, 1), octets(50_000, 2)
                writer.write(before)
                waiting = writer.transport.get_write_buffer_size
                await becomes(lambda: not waiting(), waiting)
                send_urgent(stack, connection, b"urgent!")
                writer.write(behind)
                received = b""
                while not at_mark(kernel):
                    received += await loop.sock_recv(kernel, 1 << 16)
                assert received == before + b"urgent"
                assert kernel.recv(1, socket.MSG_OOB) == b"!"
                rest = b""
                while len(rest) < len(behind):
                    rest += await loop.sock_recv(kernel, 1 << 16)
                assert rest == behind
                writer.transport.abort()

    in_namespace(lambda: asyncio.run(body()))


@offloads
@versions
@pytest.mark.parametrize("inline", [False, True], ids=["out-of-band", "in-line"])
def test_we_read_the_kernels(in_namespace: Run, offload: bool, version: int, inline: bool) -> None:
    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            kernel, _, writer = await we_connect(stack, version)
            with kernel:
                connection = ours(writer)
                connection.settings.oob_inline = inline
                transport = writer.transport
                assert isinstance(transport, asyncio.Transport)
                transport.pause_reading()
                before, behind = octets(20_000, 1), octets(20_000, 2)
                kernel.send(before)
                kernel.send(b"urgent!", socket.MSG_OOB)
                kernel.send(behind)
                total = len(before) + len(behind) + 7
                await becomes(lambda: connection.receive_queue.octets == total, lambda: connection.receive_queue.octets)
                assert connection.urgent_remaining() == len(before) + 7
                received = b""
                while not connection.at_mark():
                    received += read(connection)
                assert received == before + b"urgent"
                if inline:
                    with pytest.raises(OSError, match="Invalid argument") as caught:
                        connection.receive_urgent(0)
                    assert caught.value.errno == EINVAL
                    assert read(connection) == b"!" + behind
                else:
                    assert connection.receive_urgent(0) == b"!"
                    assert read(connection) == behind
                writer.transport.abort()

    in_namespace(lambda: asyncio.run(body()))


def test_a_stream_goes_on_past_an_octet_that_nobody_reads(in_namespace: Run) -> None:
    async def body() -> None:
        async with stack_on_tun() as stack:
            kernel, reader, writer = await we_connect(stack, 4)
            with kernel:
                for _ in range(3):
                    kernel.send(b"!", socket.MSG_OOB)
                    await asyncio.sleep(0)
                    kernel.send(b"ab")
                kernel.shutdown(socket.SHUT_WR)
                # Octets whose mark moved on before they were read stay in the stream (RFC 6093 §3.1).
                received = await reader.read()
                assert received.replace(b"!", b"") == b"ababab"
                assert received.count(b"!") < 3
                writer.transport.abort()

    in_namespace(lambda: asyncio.run(body()))
