"""Opening connections to and from the Linux kernel over TUN: refused, unanswered, and 200 of them at once."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from synfin.host.parameters import Parameters
from synfin.link.tun import Tun, configure
from synfin.socket import Stack
from tests.integration.peers import (
    FAMILIES,
    KERNELS,
    NOBODYS,
    OURS,
    Run,
    becomes,
    give_room,
    kernel_client,
    kernel_states,
    octets,
    our_states,
    serving,
    stack_on_tun,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("ss")]

offloads = pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])

PORT = 7
CLOSED_PORT = 99
MANY = 200


@pytest.mark.row("A12")
@offloads
@versions
def test_our_closed_port_refuses_the_kernel(in_namespace: Run, offload: bool, version: int) -> None:
    def body() -> None:
        with serving("echo", offload=offload):
            with pytest.raises(ConnectionRefusedError):
                kernel_client(version, CLOSED_PORT)
            assert kernel_states() == {}

    in_namespace(body)


@pytest.mark.row("A12")
@offloads
@versions
def test_the_kernels_closed_port_refuses_us(in_namespace: Run, offload: bool, version: int) -> None:
    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            with pytest.raises(ConnectionRefusedError) as caught:
                await stack.open_connection(KERNELS[version], CLOSED_PORT)
            assert caught.value.errno == errno.ECONNREFUSED
            assert stack.connections() == []
            assert kernel_states() == {}

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("A12")
@pytest.mark.requires("nc")
def test_a_port_that_closed_refuses(in_namespace: Run) -> None:
    """A server that was there and is gone, as nc sees it."""

    async def probe() -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            "nc", "-zvn", OURS[4], str(PORT), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        return process.returncode, said.decode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def body() -> None:
        async with stack_on_tun() as stack:
            async with await stack.start_server(serve, None, PORT):
                code, said = await probe()
                assert (code, "succeeded" in said) == (0, True)
            code, said = await probe()
            assert (code, "refused" in said) == (1, True)

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("A8")
@versions
def test_nobody_answers_us(in_namespace: Run, version: int) -> None:
    parameters = Parameters()
    parameters.tcp.tcp_syn_retries = 0
    parameters.tcp.tcp_syn_linear_timeouts = 0

    async def body() -> None:
        async with stack_on_tun(parameters=parameters) as stack:
            opening = asyncio.create_task(stack.open_connection(NOBODYS[version], PORT))
            await becomes(lambda: our_states(stack) == {"SYN-SENT": 1}, stack.connections)
            with pytest.raises(TimeoutError) as caught:
                await opening
            assert caught.value.errno == errno.ETIMEDOUT
            assert stack.connections() == []

    in_namespace(lambda: asyncio.run(body()))


@versions
def test_no_way_to_get_there(in_namespace: Run, version: int) -> None:
    """Nothing of ours leads to the other version of IP."""
    other = 10 - version

    async def body() -> None:
        with Tun.open() as tun:
            configure(tun.name, [])
            own = f"{OURS[version]}/{24 if version == 4 else 64}"
            async with Stack(tun, [own]) as stack:
                with pytest.raises(OSError) as caught:
                    await stack.open_connection(KERNELS[other], PORT)
                assert caught.value.errno == errno.ENETUNREACH

    in_namespace(lambda: asyncio.run(body()))


def words_of(number: int) -> bytes:
    """No two connections say the same, nor the same amount."""
    return octets(10_000 + 10 * number, number)


@pytest.mark.row("A11")
@offloads
@versions
@pytest.mark.parametrize("backlog", [MANY, 64], ids=["backlog 200", "backlog 64 and SYN cookies"])
def test_200_connections_from_the_kernel_at_once(in_namespace: Run, offload: bool, version: int, backlog: int) -> None:
    together = asyncio.Event()
    open_now = 0

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        if open_now == MANY:
            together.set()
        await together.wait()
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def client(number: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(FAMILIES[version], socket.SOCK_STREAM) as kernel:
            kernel.setblocking(False)
            await loop.sock_connect(kernel, (OURS[version], PORT))
            reader, writer = await asyncio.open_connection(sock=kernel)
            writer.write(words_of(number))
            writer.write_eof()
            assert await reader.read() == words_of(number)
            writer.close()
            await writer.wait_closed()

    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            # Who answers with a cookie does not know again whose ACK was lost, and resets what comes after it: nothing
            # may be lost in a full queue of the device's.
            await asyncio.to_thread(give_room)
            await stack.start_server(echo, None, PORT, backlog=backlog)
            await asyncio.gather(*map(client, range(MANY)))
            await becomes(lambda: not our_states(stack), lambda: our_states(stack))
            assert kernel_states().keys() <= {"TIME-WAIT"}

    in_namespace(lambda: asyncio.run(body()))


@offloads
@versions
def test_200_connections_to_the_kernel_at_once(in_namespace: Run, offload: bool, version: int) -> None:
    parameters = Parameters()
    parameters.tcp.tcp_timewait_len = 1
    together = asyncio.Event()
    open_now = 0

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        if open_now == MANY:
            together.set()
        await together.wait()
        writer.write(await reader.read())
        writer.close()
        await writer.wait_closed()

    async def client(stack: Stack, port: int, number: int) -> None:
        reader, writer = await stack.open_connection(KERNELS[version], port)
        writer.write(words_of(number))
        writer.write_eof()
        assert await reader.read() == words_of(number)
        writer.close()
        await writer.wait_closed()

    async def body() -> None:
        async with (
            stack_on_tun(offload=offload, parameters=parameters) as stack,
            await asyncio.start_server(echo, KERNELS[version], 0, backlog=MANY) as server,
        ):
            port = server.sockets[0].getsockname()[1]
            await asyncio.gather(*(client(stack, port, number) for number in range(MANY)))
            # Some are gone already: where a FIN came twice, our second answer found nobody and was reset (RFC 1337 §2).
            assert our_states(stack).keys() <= {"TIME-WAIT"}
            await becomes(lambda: not kernel_states(), kernel_states)
            await becomes(lambda: not our_states(stack), lambda: our_states(stack))

    in_namespace(lambda: asyncio.run(body()))


def test_200_connections_to_the_command_at_once(in_namespace: Run) -> None:
    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(OURS[4], PORT)
        writer.write(words_of(number))
        writer.write_eof()
        assert await reader.read() == words_of(number)
        writer.close()
        await writer.wait_closed()

    async def body() -> None:
        await asyncio.gather(*map(client, range(MANY)))

    def at_its_side() -> None:
        with serving("echo"):
            asyncio.run(body())

    in_namespace(at_its_side)
