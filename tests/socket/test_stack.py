"""A stack: what is its own, beside what asyncio's streams promise. Its beginning and end, time, and bad links."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
from collections.abc import Awaitable, Callable

import pytest

from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.socket import Stack
from synfin.tcp.connection import Connection
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Segment, parse_packet
from synfin.wire.tcp import RST, SYN
from tests.socket.stacks import LEFT, LEFT_6, RIGHT, RIGHT_6, Connected, Streams, gate, stacks, states, turns, until

Body = Callable[[Stack, Stack], Awaitable[None]]
Run = Callable[..., None]


@pytest.fixture
def run(connected: Connected) -> Run:
    """Runs a body with two stacks that serve."""

    def run(body: Body, parameters: Parameters | None = None, offload: bool = False) -> None:
        async def whole() -> None:
            left, right = stacks(connected, parameters, offload)
            async with asyncio.timeout(30), left, right:
                await body(left, right)

        asyncio.run(whole())

    return run


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def both(left: Stack, right: Stack) -> tuple[Streams, Streams]:
    accepted: asyncio.Queue[Streams] = asyncio.Queue()
    await right.start_server(lambda reader, writer: accepted.put((reader, writer)), RIGHT, 80)
    client = await left.open_connection(RIGHT, 80)
    return client, await accepted.get()


def live_connections() -> int:
    return sum(isinstance(one, Connection) for one in gc.get_objects())


DATA = bytes(range(256)) * 4000


@pytest.mark.parametrize("address", [RIGHT, RIGHT_6])
@pytest.mark.parametrize("offload", [False, True])
def test_a_megabyte_there_and_back(address: str, offload: bool, run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        await right.start_server(echo, port=80)
        reader, writer = await left.open_connection(address, 80)
        writer.write(DATA)
        writer.write_eof()
        assert await reader.read() == DATA
        writer.close()

    run(body, offload=offload)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", LEFT, LEFT_6])
def test_a_stack_talks_to_itself(address: str, run: Run) -> None:
    """Nothing of it meets the link."""

    async def body(left: Stack, right: Stack) -> None:
        await left.start_server(echo, port=80)
        reader, writer = await left.open_connection(address, 80)
        writer.write(DATA)
        writer.write_eof()
        assert await reader.read() == DATA
        writer.close()
        assert gate(left).sent == []

    run(body)


def test_both_stacks_may_serve_and_call(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        await left.start_server(echo, LEFT, 80)
        await right.start_server(echo, RIGHT, 80)

        async def talk(stack: Stack, address: str, number: int) -> None:
            reader, writer = await stack.open_connection(address, 80)
            writer.write(b"%d" % number * 1000)
            writer.write_eof()
            assert await reader.read() == b"%d" % number * 1000
            writer.close()

        await asyncio.gather(*(talk(left, RIGHT, n) for n in range(30)), *(talk(right, LEFT, n) for n in range(30)))

    run(body)


# --- opening


@pytest.mark.parametrize("address", ["224.0.0.1", "10.0.0.255", "ff02::1"])
def test_a_connect_that_cannot_be_fails_at_once(address: str, run: Run) -> None:
    """From the list of what goes wrong in practice: connect failing in silence."""

    async def body(left: Stack, right: Stack) -> None:
        with pytest.raises(OSError, match="unreachable") as raised:
            await left.open_connection(address, 80)
        assert raised.value.errno == errno.ENETUNREACH
        with pytest.raises(ValueError):
            await left.open_connection("no.such.name", 80)

    run(body)


@pytest.mark.row("A8")
def test_a_connect_that_nobody_answers_times_out(run: Run) -> None:
    parameters = Parameters()
    parameters.tcp.tcp_syn_retries = 0
    parameters.tcp.tcp_syn_linear_timeouts = 0

    async def body(left: Stack, right: Stack) -> None:
        with pytest.raises(TimeoutError) as raised:
            await left.open_connection("10.0.0.77", 80)
        assert raised.value.errno == errno.ETIMEDOUT
        assert left.connections() == []

    run(body, parameters)


@pytest.mark.row("A12")
def test_a_connect_that_is_refused(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        with pytest.raises(ConnectionRefusedError) as raised:
            await left.open_connection(RIGHT, 81)
        assert raised.value.errno == errno.ECONNREFUSED
        assert left.connections() == right.connections() == []

    run(body)


def test_a_connect_that_is_cancelled_leaves_nothing(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        opening = asyncio.create_task(left.open_connection("10.0.0.77", 80, local_addr=(LEFT, 1234)))
        await until(lambda: states(left) == ["SYN-SENT"])
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert left.connections() == []
        # The port is free again.
        again = asyncio.create_task(left.open_connection("10.0.0.77", 80, local_addr=(LEFT, 1234)))
        await until(lambda: states(left) == ["SYN-SENT"])
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again

    run(body)


def test_a_connect_that_is_cancelled_when_it_is_done(run: Run) -> None:
    """The answer and the cancellation come in the same turn."""

    async def body(left: Stack, right: Stack) -> None:
        await right.start_server(echo, RIGHT, 80)
        opening = asyncio.create_task(left.open_connection(RIGHT, 80))
        await until(lambda: "ESTABLISHED" in states(left))
        opening.cancel()
        try:
            _, writer = await opening
        except asyncio.CancelledError:
            pass
        else:
            writer.transport.abort()
        await until(lambda: states(left) == [] and states(right) == ["LISTEN"])

    run(body)


def test_where_a_server_listens(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        everywhere = await right.start_server(echo)
        (first, port), (second, same) = everywhere.addresses
        assert (first, second, port) == ("0.0.0.0", "::", same)
        here = await right.start_server(echo, [RIGHT, RIGHT_6], 80)
        assert here.addresses == [(RIGHT, 80), (RIGHT_6, 80)]
        with pytest.raises(OSError, match="in use") as raised:
            await right.start_server(echo, ["127.0.0.1", RIGHT], 80)
        assert raised.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match="Cannot assign"):
            await right.start_server(echo, LEFT, 81)
        # What failed half-way left nothing behind.
        assert states(right) == ["LISTEN"] * 4
        everywhere.close()
        async with here:
            assert here.is_serving()
        assert right.connections() == []

    run(body)


def test_serve_forever_ends_when_cancelled(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        server = await right.start_server(echo, RIGHT, 80)
        serving = asyncio.create_task(server.serve_forever())
        await turns()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert not server.is_serving()
        assert right.connections() == []

    run(body)


def test_closing_a_server_resets_those_who_were_not_served(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        listener = right.host.listen(RIGHT, 80, 5, 0)
        reader, _ = await left.open_connection(RIGHT, 80)
        await until(lambda: len(listener.accept_queue) == 1)
        right.host.close_listener(listener, right._driver.now())
        right._driver.pump_soon()
        with pytest.raises(ConnectionResetError):
            await reader.read()

    run(body)


# --- the end


def test_what_was_written_arrives_though_the_stack_ends(connected: Connected) -> None:
    async def body() -> None:
        left, right = stacks(connected)
        left.start()
        right.start()
        (_, writer), (their_reader, their_writer) = await both(left, right)

        async def read() -> bytes:
            data = await their_reader.read()
            their_writer.close()
            return data

        reading = asyncio.create_task(read())
        writer.write(DATA)
        await left.aclose()
        assert await reading == DATA
        assert states(left) == ["TIME-WAIT"]
        await right.aclose()

    asyncio.run(body())


def test_whoever_waits_is_woken_when_the_stack_ends(connected: Connected) -> None:
    """From the list of what goes wrong in practice: a blocked recv not woken when the stack stops."""

    async def body() -> None:
        left, right = stacks(connected)
        left.start()
        right.start()
        (reader, writer), _ = await both(left, right)
        server = await left.start_server(echo, LEFT, 80)
        ended: list[Exception | None] = []
        left.when_closed(ended.append)
        # Nobody answers any more: neither data, nor FINs, nor SYNs.
        gate(right).full = True
        writer.write(bytes(10 << 20))
        waiting = [
            asyncio.create_task(one)
            for one in (
                reader.read(),
                writer.drain(),
                left.open_connection("10.0.0.77", 80),
                server.wait_closed(),
            )
        ]
        await turns()
        assert not any(one.done() for one in waiting)
        await left.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one, OSError) for one in results[:3]), results
        assert results[3] is None
        assert ended == [None]
        # Twice is no harm.
        await left.aclose()
        assert ended == [None]
        await right.aclose()

    asyncio.run(body())


def test_a_stack_that_has_ended_serves_nobody(connected: Connected) -> None:
    async def body() -> None:
        left, right = stacks(connected)
        async with left, right:
            pass
        for call in (left.open_connection(RIGHT, 80), left.start_server(echo, LEFT, 80)):
            with pytest.raises(OSError) as raised:
                await asyncio.wait_for(call, 5)
            assert raised.value.errno == errno.ENETDOWN
        assert left.connections() == []

    asyncio.run(body())


@pytest.mark.parametrize("at", ["receive", "send"])
def test_a_device_that_is_gone(at: str, connected: Connected) -> None:
    """Readers, writers, those who open, servers: all get the link's own error."""

    async def body() -> None:
        left, right = stacks(connected)
        left.start()
        right.start()
        (reader, writer), (_, their_writer) = await both(left, right)
        server = await left.start_server(echo, LEFT, 80)
        told: list[Exception | None] = []
        left.when_closed(told.append)
        waiting = [
            asyncio.create_task(one)
            for one in (reader.read(), left.open_connection("10.0.0.77", 80), server.serve_forever())
        ]
        await turns()
        gone = OSError(errno.ENETDOWN, "Network is down")
        gate(left).error = gone
        if at == "receive":
            their_writer.write(b"x")
        else:
            writer.write(b"x")
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results == [gone, gone, gone]
        assert told == [gone]
        assert left.error is gone
        with pytest.raises(OSError, match="down"):
            await left.open_connection(RIGHT, 80)
        writer.write(b"nobody")
        with pytest.raises(OSError, match=r"down|lost"):
            await writer.drain()
        await left.aclose()
        their_writer.transport.abort()
        await right.aclose()

    asyncio.run(body())


def test_a_link_that_is_full_gets_everything_later(run: Run) -> None:
    """In order, nothing twice, and what it refused first."""

    async def body(left: Stack, right: Stack) -> None:
        # The link may be full for longer than the few milliseconds that a tail-loss probe waits.
        left.host.parameters.tcp.tcp_early_retrans = 0
        (_, writer), (their_reader, their_writer) = await both(left, right)
        before = len(gate(left).sent)
        gate(left).full = True
        for number in range(100):
            writer.write(b"%05d" % number * 100)
        await turns(100)
        assert gate(left).refused > 0
        assert len(gate(left).sent) == before
        gate(left).full = False
        writer.write_eof()
        assert await their_reader.read() == b"".join(b"%05d" % number * 100 for number in range(100))
        numbers = []
        for data in gate(left).sent[before:]:
            segment = parse_packet(data).payload
            assert isinstance(segment, Segment)
            if segment.payload_length:
                numbers.append(segment.seq)
        assert len(numbers) == len(set(numbers))
        # Nothing was given up, to be sent again by TCP.
        assert left.host.counters["TcpRetransSegs"] == 0
        their_writer.close()
        writer.close()

    run(body)


def test_packets_that_nobody_understands_do_no_harm(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        await right.start_server(echo, RIGHT, 80)
        reader, writer = await left.open_connection(RIGHT, 80)
        inner = gate(left).inner
        for junk in (b"\0" * 40, b"\x45" + b"\xff" * 60, b"\x60" * 80, os.urandom(200)):
            os.write(inner.fileno(), junk)
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        writer.close()

    run(body)


def test_two_stacks_have_secrets_of_their_own(connected: Connected) -> None:
    async def body() -> None:
        first, second = stacks(connected)[0], stacks(connected)[0]
        numbers = [stack.host.connect(RIGHT, 80, 0, (LEFT, 1000)).iss for stack in (first, second)]
        assert numbers[0] != numbers[1]
        fixed = [
            Stack(connected(False)[0], [f"{LEFT}/24"], secret=b"s" * 16).host.connect(RIGHT, 80, 0, (LEFT, 1000)).iss
            for _ in range(2)
        ]
        assert fixed[0] == fixed[1]

    asyncio.run(body())


def test_an_idle_stack_waits_for_nothing(run: Run) -> None:
    """From the list of what goes wrong in practice: a timer spinning at 1 kHz per connection."""

    async def body(left: Stack, right: Stack) -> None:
        (_, writer), (their_reader, their_writer) = await both(left, right)
        writer.write(b"x")
        assert await their_reader.readexactly(1) == b"x"
        # Until the last delayed acknowledgment has gone.
        await until(lambda: left.host.next_deadline() == right.host.next_deadline() == NEVER)
        writer.close()
        their_writer.close()

    run(body)


# --- nothing is left over


def test_connections_that_ended_leave_nothing(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        await right.start_server(echo, RIGHT, 80)
        gc.collect()
        before = live_connections()
        gc.disable()
        try:
            for _ in range(30):
                reader, writer = await left.open_connection(RIGHT, 80)
                writer.write(b"x")
                writer.write_eof()
                assert await reader.read() == b"x"
                writer.close()
                await writer.wait_closed()
            del reader, writer
            await turns()
            assert live_connections() == before
        finally:
            gc.enable()
        assert states(left) == ["TIME-WAIT"] * 30
        assert states(right) == ["LISTEN"]

    run(body)


def test_connections_that_were_refused_leave_nothing(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        gc.collect()
        before = live_connections()
        gc.disable()
        try:
            for _ in range(30):
                with pytest.raises(ConnectionRefusedError):
                    await left.open_connection(RIGHT, 81)
            await turns()
            assert live_connections() == before
        finally:
            gc.enable()

    run(body)


def test_connections_that_were_reset_leave_nothing(run: Run) -> None:
    async def body(left: Stack, right: Stack) -> None:
        (reader, writer), (_, their_writer) = await both(left, right)
        their_writer.transport.abort()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert left.connections() == []
        assert states(right) == ["LISTEN"]
        resets = [parse_packet(data).payload for data in gate(right).sent]
        assert sum(isinstance(one, Segment) and bool(one.flags & RST) for one in resets) == 1
        assert any(isinstance(one, Segment) and bool(one.flags & SYN) for one in resets)
        assert writer.is_closing()

    run(body)


def test_where_the_clock_is_real_pacing_has_a_quantum(run: Run) -> None:
    """An event loop's timer has no better grain than a millisecond; the simulator's is exact."""
    parameters = Parameters()
    parameters.tcp.tcp_pacing_quantum_us = 2500

    async def body(left: Stack, right: Stack) -> None:
        (_, writer), (_, other) = await both(left, right)
        for stack in (left, right):
            (connection,) = stack.host.transport.connections.values()
            assert connection.pacing_quantum == 2_500_000
        writer.close()
        other.close()

    run(body, parameters)
    network = Network(1)
    here, there = network.host("here", parameters), network.host("there")
    network.wire(here, "10.0.0.1/24", there, "10.0.0.2/24")
    there.listen("10.0.0.2", 80)
    assert here.connect("10.0.0.2", 80).pacing_quantum == 0
