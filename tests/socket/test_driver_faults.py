"""A stack on a link that holds packets back: the driver comes when the link's time has come."""

from __future__ import annotations

import asyncio
import errno
from time import monotonic

import pytest

from synfin.link.channel import channel_pair
from synfin.link.faults import parse_fault
from synfin.link.impaired import Impaired
from synfin.link.link import Link
from synfin.socket import Stack

pytestmark = pytest.mark.timeout(60)

LEFT = ["10.0.0.1/24"]
RIGHT = ["10.0.0.2/24"]
DATA = bytes(index * 7 % 251 for index in range(300_000))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


def exchanged(link: Link, other: Link, data: bytes) -> float:
    """How many seconds it takes to send `data` to an echo server and get it back, when the client is on `link`."""

    async def body() -> float:
        async with Stack(link, LEFT) as client, Stack(other, RIGHT) as server:
            await server.start_server(echo, port=7)
            reader, writer = await client.open_connection("10.0.0.2", 7)
            began = monotonic()
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == data
            took = monotonic() - began
            writer.close()
            await writer.wait_closed()
            return took

    return asyncio.run(body())


@pytest.mark.parametrize(
    "faults",
    [
        ["delay every packet by 1ms"],
        ["jitter 1ms"],
        ["rate 200Mbit queue 200"],
        ["rate 100Mbit queue 50 codel", "jitter 500us", "delay every 50th packet by 5ms"],
        ["duplicate 5%", "delay 2% by 2ms", "corrupt 0.5%", "lose 0.5%"],
    ],
    ids=", ".join,
)
def test_what_is_held_back_arrives_both_ways(faults: list[str]) -> None:
    left, right = channel_pair()
    exchanged(Impaired(left, map(parse_fault, faults), 1), right, DATA)


def test_it_takes_as_long_as_it_was_told_to() -> None:
    """300 kB there and back at 24 Mbit/s: a tenth of a second at the least, for both ways go at once."""
    left, right = channel_pair()
    link = Impaired(left, [parse_fault("rate 24Mbit queue 1000")])
    assert exchanged(link, right, DATA) > 0.1
    assert link.lost == 0


def test_a_round_trip_is_as_long_as_its_delay() -> None:
    """The driver looks in at the deadline, not at the next packet: there is none."""
    left, right = channel_pair()
    took = exchanged(Impaired(left, [parse_fault("delay every data by 30ms")]), right, b"x")
    assert took > 0.06


def test_a_device_that_goes_while_packets_are_held_back_ends_the_stack() -> None:
    class Gone(Impaired):
        def deadline_reached(self, now: int) -> None:
            raise OSError(errno.ENETDOWN, "Network is down")

    async def body() -> None:
        left, right = channel_pair()
        link = Gone(left, [parse_fault("delay 1st data by 1ms")])
        async with Stack(link, LEFT) as client, Stack(right, RIGHT) as server:
            await server.start_server(echo, port=7)
            reader, writer = await client.open_connection("10.0.0.2", 7)
            writer.write(b"x")
            with pytest.raises(OSError, match="down"):
                await reader.read()
            assert isinstance(client.error, OSError)
            assert client.error.errno == errno.ENETDOWN

    asyncio.run(body())
