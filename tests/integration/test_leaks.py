"""Nothing leaks: with the garbage collector off, closed connections leave no object, no port and no entry behind.

10,000 of them live in the simulated network, in virtual time with its TIME-WAITs; 1,000 in two stacks that talk to one
another through asyncio, over a pair of connected links of the Linux kernel's (a socket pair)."""

from __future__ import annotations

import asyncio
import gc
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from synfin.host.parameters import Parameters
from synfin.link.tun import Tun
from synfin.sim import Network, Node
from synfin.socket import Stack
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.states import CLOSED, ESTABLISHED
from tests.integration.peers import becomes

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
PORT = 7000
FIRST_PORT = 40_000
WAVE = 100
WAVES = 100
MILLISECOND = 1_000_000
#: More than 60 s of TIME-WAIT, 2 MSL.
TIME_WAIT_OVER = 61_000 * MILLISECOND
WORDS = b"x" * 3000

CLIENT_FIRST, SERVER_FIRST, RESET = range(3)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Runs a test with the garbage collector off, after it has collected what others left."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def living(kind: type) -> int:
    return sum(type(thing) is kind for thing in gc.get_objects())


def wave_parameters() -> Parameters:
    """As many ports as a wave has connections: a single one that is not given back is missed in the next wave."""
    parameters = Parameters()
    parameters.ip_local_port_range = (FIRST_PORT, FIRST_PORT + WAVE - 1)
    return parameters


class Growth:
    """Tells from the number of allocated blocks, after each wave, whether anything grows with the connections."""

    def __init__(self) -> None:
        self._blocks = array("q")  # which makes no block for each number

    def wave_over(self) -> None:
        self._blocks.append(sys.getallocatedblocks())

    def assert_none(self) -> None:
        # What is made once is made early. From then on, one block for a hundred connections would be seen.
        early, late = self._blocks[len(self._blocks) // 2], self._blocks[-1]
        assert (late - early) * 100 < WAVE * len(self._blocks) // 2


class Programs:
    """The client sends WORDS, the server answers with them; then, from connection to connection, the client closes
    first, or the server, or the client resets. `ends` counts the ways that connections went."""

    def __init__(self, network: Network) -> None:
        self.client = network.host("client", wave_parameters())
        self.server = network.host("server")
        network.wire(self.client, f"{CLIENT}/24", self.server, f"{SERVER}/24", delay=MILLISECOND)
        self.client.changed = self.client_changed
        self.server.changed = self.server_changed
        self.listener = self.server.listen(SERVER, PORT, backlog=WAVE)
        self.ends: Counter[int] = Counter()
        self.received: Counter[str] = Counter()
        # What each port's connection has heard so far, for those that are open.
        self.heard: dict[tuple[str, int], int] = {}

    def open(self) -> None:
        self.client.connect(SERVER, PORT)

    def client_changed(self, entry: Connection | Listener) -> None:
        assert isinstance(entry, Connection)
        port = entry.identity.local_port
        if entry.state == ESTABLISHED and ("client", port) not in self.heard:
            self.heard["client", port] = 0
            self.client.send(entry, WORDS)
        if self.hears("client", self.client, entry, port):
            self.ends[port % 3] += 1
            if port % 3 == CLIENT_FIRST:
                self.client.close(entry)
            elif port % 3 == RESET:
                self.client.abort(entry)
        self.lets_go("client", self.client, entry, port)

    def server_changed(self, entry: Connection | Listener) -> None:
        if isinstance(entry, Listener):
            while True:
                try:
                    accepted = self.server.accept(entry)
                except BlockingIOError:
                    return
                self.heard["server", accepted.identity.remote_port] = 0
                self.server_changed(accepted)
        port = entry.identity.remote_port
        if self.hears("server", self.server, entry, port):
            self.server.send(entry, WORDS)
            if port % 3 == SERVER_FIRST:
                self.server.close(entry)
        self.lets_go("server", self.server, entry, port)

    def hears(self, who: str, node: Node, connection: Connection, port: int) -> bool:
        """Reads what there is; whether that completes the peer's words."""
        if (who, port) not in self.heard or not connection.receive_queue.octets:
            return False
        number = len(node.receive(connection))
        self.received[who] += number
        self.heard[who, port] += number
        return self.heard[who, port] == len(WORDS)

    def lets_go(self, who: str, node: Node, connection: Connection, port: int) -> None:
        over = connection.fin_received or connection.state == CLOSED
        if over and (who, port) in self.heard:
            del self.heard[who, port]
            node.release(connection)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.row("A16", "C5", "C12")
def test_10_000_connections_in_virtual_time() -> None:
    network = Network()
    programs = Programs(network)
    client, server = programs.client.host, programs.server.host
    before = living(Connection)
    for ports in (wave_parameters().ip_local_port_range, Parameters().ip_local_port_range):
        # At first ports are so few that each is needed again at once; then so many that none is used twice.
        client.parameters.ip_local_port_range = ports
        growth = Growth()
        for _ in range(WAVES // 2):
            for _ in range(WAVE):
                programs.open()
            assert len(client.connections()) == WAVE
            network.run(network.now + TIME_WAIT_OVER)
            assert client.connections() == []
            assert [row.state for row in server.connections()] == ["LISTEN"]
            growth.wave_over()
        growth.assert_none()
    assert programs.received == {"client": WAVES * WAVE * len(WORDS), "server": WAVES * WAVE * len(WORDS)}
    assert programs.ends.total() == WAVES * WAVE
    assert min(programs.ends[end] for end in (CLIENT_FIRST, SERVER_FIRST, RESET)) > WAVES * WAVE // 4
    assert living(Connection) == before
    programs.server.close_listener(programs.listener)
    assert server.connections() == []
    programs.server.listen(SERVER, PORT)


@pytest.mark.usefixtures("uncollected")
def test_10_000_refused_connections() -> None:
    network = Network()
    client = network.host("client", wave_parameters())
    server = network.host("server")
    network.wire(client, f"{CLIENT}/24", server, f"{SERVER}/24", delay=MILLISECOND)
    before = living(Connection)
    growth = Growth()
    for _ in range(WAVES):
        for _ in range(WAVE):
            client.connect(SERVER, PORT)
        network.run()
        assert client.host.connections() == server.host.connections() == []
        growth.wave_over()
    assert living(Connection) == before
    growth.assert_none()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("offload", [True, False], ids=["offload", "no-offload"])
def test_1_000_connections_through_asyncio(connected: Callable[[bool], tuple[Tun, Tun]], offload: bool) -> None:
    at_once, times = 50, 20
    parameters = Parameters()
    parameters.ip_local_port_range = (FIRST_PORT, FIRST_PORT + at_once - 1)
    parameters.tcp.tcp_timewait_len = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(WORDS)))
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async def ask(stack: Stack) -> None:
        reader, writer = await stack.open_connection(SERVER, PORT)
        writer.write(WORDS)
        assert await reader.readexactly(len(WORDS)) == WORDS
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    async def body() -> None:
        left, right = connected(offload)
        async with (
            asyncio.timeout(60),
            Stack(left, [f"{CLIENT}/24"], parameters=parameters) as client,
            Stack(right, [f"{SERVER}/24"]) as server,
        ):
            await server.start_server(answer, SERVER, PORT)
            for _ in range(times):
                await asyncio.gather(*(ask(client) for _ in range(at_once)))
                await becomes(lambda: len(client.connections() + server.connections()) == 1, client.connections)
            assert living(Connection) == before

    before = living(Connection)
    asyncio.run(body())
    assert living(Connection) == before
