"""What becomes of programs when the network fails: the errors that a kernel raises, when it raises them."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable

import pytest

from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.socket.virtual import Programs
from tests.socket.virtual.worlds import HOUR, SECOND, World, run


def _serve() -> None:
    listener = socket.create_server(("", 80))
    kept = []
    while True:
        kept.append(listener.accept()[0])


def _blocking(error: type[OSError]) -> tuple[float, int | None]:
    began = time.monotonic()
    with pytest.raises(error) as raised:
        socket.create_connection(("server", 80))
    return time.monotonic() - began, raised.value.errno


def _with_asyncio(error: type[OSError]) -> tuple[float, int | None]:
    async def connect() -> tuple[float, int | None]:
        began = time.monotonic()
        with pytest.raises(error) as raised:
            await asyncio.open_connection("server", 80)
        return time.monotonic() - began, raised.value.errno

    return asyncio.run(connect())


@pytest.mark.row("D5")
@pytest.mark.parametrize("connect", [_blocking, _with_asyncio])
@pytest.mark.parametrize(("retries", "seconds"), [(1, 3), (3, 15), (6, 127)])
def test_connecting_into_a_partition_raises_when_tcp_syn_retries_says(
    connect: Callable[[type[OSError]], tuple[float, int | None]], retries: int, seconds: int
) -> None:
    network = Network(1)
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_syn_retries", str(retries))
    parameters.set("net.ipv4.tcp_syn_linear_timeouts", "0")
    client, server = network.host("client", parameters), network.host("server")
    network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24")
    network.partition("client-server")
    programs = Programs(network)
    program = programs.add("client", lambda: connect(TimeoutError))
    programs.run()
    assert program.error is None
    # RFC 6298 §5: 1 s, and twice as long each time.
    assert program.result == (seconds, errno.ETIMEDOUT)


@pytest.mark.row("D5")
def test_writing_into_a_partition_raises_when_tcp_retries2_says() -> None:
    """A simulator of streams would wait for ever. With 15 retries it takes about as long as Linux's manual says: 924
    seconds from the first retransmission, with an RTO that begins at 200 ms."""

    def write() -> tuple[float, int | None]:
        with socket.create_connection(("server", 80)) as connection:
            time.sleep(10)
            connection.sendall(b"into the void")
            began = time.monotonic()
            with pytest.raises(TimeoutError) as raised:
                connection.recv(1)
            return time.monotonic() - began, raised.value.errno

    world, client = run(write, _serve, faults=["partition from 5s"])
    waited, number = client.result
    assert number == errno.ETIMEDOUT
    # 0.2 + 0.4 + ... + 102.4 s, then 120 s each: after the 15th retransmission a last wait.
    assert waited == pytest.approx(sum(min(0.22 * 2**n, 120) for n in range(16)), rel=0.06)
    retransmissions = [one for time, one in world.segments("client") if time > 10.1 * SECOND and one.payload_length]
    # And a tail-loss probe before them all.
    assert len(retransmissions) == 15 + 1


@pytest.mark.row("D5")
def test_writing_to_a_rebooted_host_is_a_reset() -> None:
    def write() -> str:
        with socket.create_connection(("server", 80)) as connection:
            time.sleep(10)
            # The server knows nothing of the connection any more, and says so.
            connection.sendall(b"are you there?")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            with pytest.raises(BrokenPipeError):
                connection.sendall(b"again")
        return "reset"

    world, client = run(write, _serve, faults=["reboot server at 5s for 1s"])
    assert client.result == "reset"
    assert world.now < 15 * SECOND


@pytest.mark.row("D5")
def test_writing_to_a_rebooted_host_is_a_reset_for_asyncio_too() -> None:
    async def write() -> str:
        reader, writer = await asyncio.open_connection("server", 80)
        await asyncio.sleep(10)
        writer.write(b"are you there?")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        return "reset"

    assert run(write, _serve, faults=["reboot server at 5s for 1s"])[1].result == "reset"


@pytest.mark.parametrize(("fault", "starts_again"), [("reboot server at 3s for 3s", 6.0), ("reboot server at 5s", 5.0)])
def test_a_program_that_is_to_restart_does_when_its_host_is_back(fault: str, starts_again: float) -> None:
    starts: list[float] = []
    ends: list[float] = []

    def serve() -> None:
        starts.append(time.monotonic())
        try:
            with socket.create_server(("", 80)) as listener:
                while True:
                    listener.accept()[0].close()
        finally:
            ends.append(time.monotonic())

    def ask() -> list[str]:
        told = []
        for _ in range(3):
            try:
                with socket.create_connection(("server", 80), timeout=2) as connection:
                    told.append(f"data {connection.recv(1)!r}")
            except OSError as error:
                told.append(type(error).__name__)
            time.sleep(4)
        return told

    world = World(faults=[fault])
    world.programs.add("server", serve, background=True, restart=True)
    client = world.programs.add("client", ask)
    world.run()
    second = "TimeoutError" if starts_again == 6.0 else "data b''"
    assert client.result == ["data b''", second, "data b''"]
    assert starts == [0.0, starts_again]
    assert ends[0] == float(fault.split()[3].removesuffix("s"))


def test_a_network_that_heals_carries_on() -> None:
    """An hour's partition that TCP outlives because nothing was sent."""

    def serve() -> None:
        with socket.create_server(("", 80)) as listener, listener.accept()[0] as connection:
            while data := connection.recv(100):
                connection.sendall(data)

    def talk() -> bytes:
        with socket.create_connection(("server", 80)) as connection:
            connection.sendall(b"before ")
            before = connection.recv(100)
            time.sleep(3600)
            connection.sendall(b"after")
            return before + connection.recv(100)

    world, client = run(talk, serve, faults=["partition from 60s to 3500s"])
    assert client.result == b"before after"
    assert HOUR < world.now < HOUR + 10 * SECOND


def test_a_lost_segment_is_sent_again() -> None:
    def serve() -> None:
        with socket.create_server(("", 80)) as listener, listener.accept()[0] as connection:
            connection.sendall(connection.recv(100))

    def talk() -> tuple[bytes, float]:
        with socket.create_connection(("server", 80)) as connection:
            began = time.monotonic()
            connection.sendall(b"once")
            return connection.recv(100), time.monotonic() - began

    world, client = run(talk, serve, faults=["lose 1st data"])
    data, waited = client.result
    assert data == b"once"
    assert 0.2 < waited < 1
    assert world.lost() == 1
