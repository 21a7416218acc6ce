"""Octets between synfin and the Linux kernel over TUN: 100 MB each way at once, and 10 MB through 2 % loss."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Callable

import pytest

from synfin.host.parameters import Parameters
from synfin.link.faults import Lose, Share
from synfin.link.impaired import Impaired
from synfin.link.link import Link
from tests.integration.peers import (
    Run,
    becomes,
    digest,
    exchange,
    exchange_with_next,
    kernel_client,
    kernel_listener,
    kernel_states,
    octets,
    our_states,
    read_all,
    receive_exactly,
    send_all,
    serving,
    stack_on_tun,
)

pytestmark = [pytest.mark.tun, pytest.mark.requires("ss")]

offloads = pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])

MUCH = 100_000_000
LESS = 10_000_000
# Each loss may cost a time-out of 0.2 s, and at 2 % many do: the further ways through it carry less.
LITTLE = 2_000_000
THEIRS, OUR_OWN = 1, 2  # seeds


@pytest.mark.row("B1", "B2", "B4")
@offloads
@versions
def test_100_mb_each_way_at_once_from_the_kernel(in_namespace: Run, offload: bool, version: int) -> None:
    data = octets(MUCH)

    def body() -> None:
        with serving("echo", offload=offload), kernel_client(version, 7) as client:
            assert exchange(client, data) == (digest(data), MUCH)

    in_namespace(body)


@pytest.mark.row("B1", "B2", "B4")
@offloads
@versions
def test_100_mb_each_way_at_once_to_the_kernel(in_namespace: Run, offload: bool, version: int) -> None:
    """The two streams are different ones, so that neither could stand for the other."""
    theirs, our_own = octets(MUCH, THEIRS), octets(MUCH, OUR_OWN)

    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            with kernel_listener(version) as listener:
                server = asyncio.create_task(asyncio.to_thread(exchange_with_next, listener, theirs))
                reader, writer = await stack.open_connection(*listener.getsockname()[:2], limit=1 << 20)
                sending = asyncio.create_task(send_all(writer, our_own))
                assert await read_all(reader) == (digest(theirs), MUCH)
                await sending
                assert await server == (digest(our_own), MUCH)
                writer.close()
                await writer.wait_closed()

    in_namespace(lambda: asyncio.run(body()))


@offloads
@versions
def test_100_mb_one_way_to_us(in_namespace: Run, offload: bool, version: int) -> None:
    """A server of ours that answers with what it made of the stream, and the CLI's `discard`."""
    data = octets(MUCH)

    async def tell_digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await read_all(reader))[0].encode())
        writer.close()
        await writer.wait_closed()

    def send() -> bytes:
        with kernel_client(version, 9) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return receive_exactly(client, 64)

    async def body() -> None:
        async with stack_on_tun(offload=offload) as stack:
            await stack.start_server(tell_digest, None, 9, limit=1 << 20)
            assert await asyncio.to_thread(send) == digest(data).encode()

    in_namespace(lambda: asyncio.run(body()))


@offloads
@versions
def test_discard_takes_all_and_says_nothing(in_namespace: Run, offload: bool, version: int) -> None:
    def body() -> None:
        with serving("discard", offload=offload), kernel_client(version, 9) as client:
            assert exchange(client, octets(LESS)) == (digest(b""), 0)

    in_namespace(body)


@offloads
@versions
def test_100_mb_of_chargen(in_namespace: Run, offload: bool, version: int) -> None:
    # RFC 864: lines of 72 printable characters, each line one further through the 95 of them.
    characters = bytes(range(32, 127))
    turns = b"".join((characters * 2)[first : first + 72] + b"\r\n" for first in range(95))

    def body() -> None:
        with serving("chargen", offload=offload), kernel_client(version, 19) as client:
            total = hashlib.sha256()
            rest = MUCH
            while rest:
                received = client.recv(min(rest, 1 << 18))
                assert received
                total.update(received)
                rest -= len(received)
            expected = (turns * (MUCH // len(turns) + 1))[:MUCH]
            assert total.hexdigest() == digest(expected)

    in_namespace(body)


def lossy(seed: int) -> Callable[[Link], Impaired]:
    return lambda link: Impaired(link, [Lose(Share(0.02))], seed)


def short_time_wait() -> Parameters:
    parameters = Parameters()
    parameters.tcp.tcp_timewait_len = 1
    return parameters


@pytest.mark.row("B2", "B3")
@offloads
@versions
def test_10_mb_echoed_through_loss(in_namespace: Run, offload: bool, version: int) -> None:
    data = octets(LESS)
    losses: list[Impaired] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(1 << 18):
            writer.write(received)
            await writer.drain()
        writer.close()

    def wrap(link: Link) -> Link:
        losses.append(lossy(version)(link))
        return losses[0]

    def client() -> tuple[str, int]:
        with kernel_client(version, 7) as peer:
            return exchange(peer, data)

    async def body() -> None:
        async with stack_on_tun(offload=offload, parameters=short_time_wait(), wrap=wrap) as stack:
            await stack.start_server(echo, None, 7, limit=1 << 20)
            assert await asyncio.to_thread(client) == (digest(data), LESS)
            assert losses[0].lost > 100
            # The kernel closed first: its TIME-WAIT, which is of 60 s, is all that may be left.
            await becomes(lambda: not our_states(stack), lambda: our_states(stack))
            await becomes(lambda: kernel_states() == {"TIME-WAIT": 1}, kernel_states)

    in_namespace(lambda: asyncio.run(body()))


@pytest.mark.row("B2", "B3")
@offloads
@versions
def test_2_mb_each_way_to_the_kernel_through_loss(in_namespace: Run, offload: bool, version: int) -> None:
    theirs, our_own = octets(LITTLE, THEIRS), octets(LITTLE, OUR_OWN)

    async def body() -> None:
        async with stack_on_tun(offload=offload, parameters=short_time_wait(), wrap=lossy(version)) as stack:
            with kernel_listener(version) as listener:
                server = asyncio.create_task(asyncio.to_thread(exchange_with_next, listener, theirs))
                reader, writer = await stack.open_connection(*listener.getsockname()[:2], limit=1 << 20)
                sending = asyncio.create_task(send_all(writer, our_own))
                assert await read_all(reader) == (digest(theirs), LITTLE)
                await sending
                assert await server == (digest(our_own), LITTLE)
                writer.close()
                await writer.wait_closed()
                await becomes(lambda: not our_states(stack), lambda: our_states(stack))
                await becomes(lambda: kernel_states() in ({}, {"TIME-WAIT": 1}), kernel_states)

    in_namespace(lambda: asyncio.run(body()))


@offloads
def test_2_mb_through_the_loss_of_the_command(in_namespace: Run, offload: bool) -> None:
    data = octets(LITTLE)

    def body() -> None:
        with serving("echo", "--loss", "2%", "--seed", "3", offload=offload), kernel_client(4, 7) as client:
            assert exchange(client, data) == (digest(data), LITTLE)

    in_namespace(body)
