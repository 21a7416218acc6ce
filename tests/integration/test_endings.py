"""Connections to the Linux kernel over TUN that end badly: resets both ways, a peer or a device that dies."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys

import pytest

from synfin.wire.ip import PROTOCOL_TCP
from tests.integration.peers import (
    FAMILIES,
    KERNELS,
    OURS,
    PATIENCE,
    Run,
    becomes,
    kernel_client,
    kernel_states,
    our_states,
    serving,
    stack_on_tun,
    we_connect,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("ss")]

offloads = pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])

PORT = 7
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close resets


@pytest.mark.row("C12")
@offloads
@versions
@pytest.mark.parametrize("how", ["read", "write"])
def test_the_kernel_resets_in_mid_transfer(in_namespace: Run, offload: bool, version: int, how: str) -> None:
    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            kernel, reader, writer = await we_connect(stack, version)
            with kernel:
                # More than any buffer takes: it is under way when the reset comes.
                writer.write(bytes(1 << 24))
                assert await asyncio.get_running_loop().sock_recv(kernel, 1 << 16)
                waiting = asyncio.create_task(reader.read() if how == "read" else writer.drain())
                kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            with pytest.raises(ConnectionResetError):
                await waiting
            with pytest.raises(ConnectionResetError):
                await writer.wait_closed()
            assert (our_states(stack), kernel_states()) == ({}, {})

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("C12")
@offloads
@versions
def test_we_reset_in_mid_transfer(in_namespace: Run, offload: bool, version: int) -> None:
    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            kernel, _, writer = await we_connect(stack, version)
            with kernel:
                writer.write(bytes(1 << 24))
                writer.transport.abort()
                await writer.wait_closed()
                await becomes(lambda: not our_states(stack) and not kernel_states(), stack.connections)
                # The reset is there: what is left in the kernel's buffer went with it.
                with pytest.raises(ConnectionResetError):
                    await asyncio.get_running_loop().sock_recv(kernel, 1 << 20)

    in_namespace(lambda: asyncio.run(body()))


def test_a_killed_process_of_the_kernels_resets(in_namespace: Run) -> None:
    """A program that dies with octets unread: its kernel resets the connection, and our reader learns it."""
    program = (
        "import socket, sys\n"
        "listener = socket.create_server((sys.argv[1], 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "peer = listener.accept()[0]\n"
        "peer.recv(1)\n"
        "print('heard', flush=True)\n"
        "sys.stdin.read()\n"
    )

    async def body() -> None:
        async with stack_on_tun() as stack:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, KERNELS[4], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            try:
                assert process.stdout is not None
                port = int(await process.stdout.readline())
                reader, writer = await stack.open_connection(KERNELS[4], port)
                writer.write(bytes(100_000))
                assert await process.stdout.readline() == b"heard\n"
            finally:
                process.kill()
                await process.communicate()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert our_states(stack) == {}

    in_namespace(lambda: asyncio.run(body()))


def test_our_process_killed(in_namespace: Run) -> None:
    """Nobody is left to say goodbye: the device goes, the kernel keeps its half and has nowhere to send."""

    def body() -> None:
        with serving("chargen") as serving_, kernel_client(4, 19) as client:
            assert client.recv(1 << 16)
            serving_.process.kill()
            serving_.process.communicate(timeout=PATIENCE)
            assert "synfin0" not in [name for _, name in socket.if_nameindex()]
            assert kernel_states() == {"ESTAB": 1}
            client.settimeout(0.2)
            with pytest.raises(OSError):  # noqa: PT012
                while client.recv(1 << 20):
                    pass

    in_namespace(body)


def delete_device() -> None:
    subprocess.run(["ip", "link", "del", "synfin0"], check=True, timeout=PATIENCE)


def test_the_device_is_deleted(in_namespace: Run) -> None:
    """Whoever waits learns that the link is gone."""

    async def body() -> None:
        async with stack_on_tun() as stack:
            kernel, reader, writer = await we_connect(stack, 4)
            with kernel:
                reading = asyncio.create_task(reader.read())
                await asyncio.sleep(0)
                await asyncio.to_thread(delete_device)
                with pytest.raises(OSError, match="down"):
                    await reading
                with pytest.raises(OSError, match="down"):
                    await writer.wait_closed()
            assert stack.error is not None

    in_namespace(lambda: asyncio.run(body()))


def test_the_command_says_that_its_device_is_gone(in_namespace: Run) -> None:
    def body() -> None:
        with serving("echo") as serving_, kernel_client(4, PORT):
            delete_device()
            _, complaints = serving_.process.communicate(timeout=PATIENCE)
            assert serving_.process.returncode == 1
            assert complaints.count("\n") == 1
            assert "device synfin0 is gone: Network is down" in complaints

    in_namespace(body)


@versions
def test_garbage_from_the_kernels_side(in_namespace: Run, version: int) -> None:
    """Raw sockets of the kernel's send what is no TCP at all; a connection in between does not notice."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def body() -> None:
        async with stack_on_tun() as stack:
            await stack.start_server(echo, None, PORT)
            loop = asyncio.get_running_loop()
            with (
                socket.socket(FAMILIES[version], socket.SOCK_RAW, PROTOCOL_TCP) as raw,
                socket.socket(FAMILIES[version], socket.SOCK_STREAM) as client,
            ):
                client.setblocking(False)
                await loop.sock_connect(client, (OURS[version], PORT))
                raw.setblocking(False)
                before = stack.host.counters["TcpInErrs"]
                for length in range(200):
                    await loop.sock_sendto(raw, os.urandom(length), (OURS[version], 0))
                await loop.sock_sendall(client, b"are you there?")
                assert await loop.sock_recv(client, 100) == b"are you there?"
                assert stack.host.counters["TcpInErrs"] - before == 200

    in_namespace(lambda: asyncio.run(body()))
