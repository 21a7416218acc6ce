"""Whole connections between simulated hosts: rows of the mission, and much data over bad wires."""

from __future__ import annotations

from itertools import pairwise

import pytest

from synfin.events import PacketLost, PacketTransmitted, StateChanged, UserCalled
from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.tcp.connection import Connection
from synfin.tcp.states import NAMES
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment
from tests.sim.worlds import CLIENT, MS, SECOND, SERVER, Reader, TwoHosts, found_damaged


def flags(packet: Packet) -> int:
    return packet.payload.flags if isinstance(packet.payload, Segment) else 0


def times_of(world: TwoHosts, host: str, wanted: int) -> list[int]:
    return [
        e.time
        for e in world.events
        if isinstance(e, PacketTransmitted) and e.host == host and flags(e.packet) & (SYN | ACK | FIN | RST) == wanted
    ]


def path(world: TwoHosts, host: str) -> list[str]:
    """The states through which the one connection of `host` went."""
    changes = [e for e in world.events if isinstance(e, StateChanged) and e.host == host and e.new != "LISTEN"]
    changes = [e for e in changes if (e.old, e.new) != ("LISTEN", "CLOSED")]
    return [changes[0].old, *(e.new for e in changes)]


DATA = bytes(range(256)) * 800


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.15])
@pytest.mark.parametrize("rate", [0, 20_000_000])
def test_data_both_ways_at_once(loss: float, rate: int) -> None:
    world = TwoHosts(4, rate=rate, queue=30)
    if loss:
        world.network.apply(f"lose {loss:%}")
    world.transfer(DATA, DATA[::-1])
    (server_side,) = world.at_server.accepted
    assert world.at_server.received[server_side] == DATA
    assert list(world.at_client.received.values()) == [DATA[::-1]]
    assert world.at_client.errors == world.at_server.errors == []
    # Nothing is left over, not even a TIME-WAIT: the world ran to its end.
    assert world.client.host.connections() == world.server.host.connections() == []
    lost = [e for e in world.events if isinstance(e, PacketLost)]
    assert bool(lost) == bool(loss or rate)


def test_a_rated_wire_is_used() -> None:
    """2 MB at 20 Mbit/s take 0.8 s; headers and slow start take their part."""
    world = TwoHosts(rate=20_000_000, delay=5 * MS, queue=100)
    world.transfer(bytes(2_000_000))
    last = max(e.time for e in world.events if isinstance(e, PacketTransmitted) and e.host == "client")
    assert 0.8 * SECOND < last < 1.3 * SECOND


@pytest.mark.row("A8")
def test_every_syn_lost() -> None:
    world = TwoHosts()
    world.client.host.parameters.set("net.ipv4.tcp_syn_linear_timeouts", "0")

    world.network.apply("lose every packet")
    connection = world.client.connect(SERVER, 80)
    world.network.run()
    assert times_of(world, "client", SYN) == [t * SECOND for t in (0, 1, 3, 7, 15, 31, 63)]
    assert world.network.now >= 127 * SECOND
    assert path(world, "client") == ["CLOSED", "SYN-SENT", "CLOSED"]
    (error,) = world.at_client.errors
    assert isinstance(error, TimeoutError)
    assert world.client.host.connections() == []
    assert world.at_client.told == [connection]


@pytest.mark.row("A9")
def test_every_syn_ack_lost() -> None:
    """Both repeat what they said; the server forgets, and the client gives up."""
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    world.network.apply("lose every packet from server")
    world.client.connect(SERVER, 80)
    world.network.run()
    assert len(times_of(world, "client", SYN)) == 1 + 6 + 4
    assert len(times_of(world, "server", SYN | ACK)) > 1 + 5
    assert isinstance(world.at_client.errors[0], TimeoutError)
    assert [row.state for row in world.server.host.connections()] == ["LISTEN"]


@pytest.mark.row("A10")
def test_the_last_ack_lost_and_silence() -> None:
    """The server says SYN,ACK again, and the client its ACK."""
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    world.network.apply("lose 1st ACK from client")
    client = world.client.connect(SERVER, 80)
    world.network.run(until=50 * MS)
    assert NAMES[client.state] == "ESTABLISHED"
    assert [row.state for row in world.server.host.connections()] == ["LISTEN", "SYN-RECEIVED"]
    world.network.run(until=2 * SECOND)
    assert times_of(world, "server", SYN | ACK) == [10 * MS, 1010 * MS]
    assert [NAMES[c.state] for c in world.at_server.accepted] == ["ESTABLISHED"]


@pytest.mark.row("A10")
def test_the_last_ack_lost_and_data() -> None:
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    world.network.apply("lose 1st ACK from client")
    client = world.client.connect(SERVER, 80)
    world.network.run(until=50 * MS)
    world.client.send(client, b"data complete it")
    world.network.run(until=100 * MS)
    (server,) = world.at_server.accepted
    assert world.at_server.received[server] == b"data complete it"
    assert len(times_of(world, "server", SYN | ACK)) == 1


@pytest.mark.row("A10")
def test_the_last_ack_never_arrives() -> None:
    """The server gives up. The client, ESTABLISHED, meets a RST when it sends, and hangs if it only reads."""
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    world.network.apply("lose every ACK from client")
    client = world.client.connect(SERVER, 80)
    world.network.run(until=600 * SECOND)
    assert [row.state for row in world.server.host.connections()] == ["LISTEN"]
    assert NAMES[client.state] == "ESTABLISHED"
    assert world.at_client.told == []
    world.client.send(client, b"anybody there?")
    world.network.run(until=601 * SECOND)
    assert isinstance(world.at_client.errors[0], ConnectionResetError)


@pytest.mark.row("A12")
def test_a_closed_port() -> None:
    world = TwoHosts()
    world.client.connect(SERVER, 81)
    world.network.run()
    assert world.network.now >= 20 * MS
    assert isinstance(world.at_client.errors[0], ConnectionRefusedError)
    assert times_of(world, "server", RST | ACK) == [10 * MS]
    assert world.client.host.connections() == []


@pytest.mark.row("A13")
def test_simultaneous_open() -> None:
    world = TwoHosts()
    client = world.client.connect(SERVER, 2000, (CLIENT, 1000))
    server = world.server.connect(CLIENT, 1000, (SERVER, 2000))
    world.network.run(until=100 * MS)
    assert path(world, "client") == path(world, "server") == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
    world.client.send(client, b"hello")
    world.network.run(until=200 * MS)
    assert world.at_server.received[server] == b"hello"


@pytest.mark.row("C7")
def test_simultaneous_close() -> None:
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    client = world.client.connect(SERVER, 80)
    world.network.run(until=100 * MS)
    (server,) = world.at_server.accepted
    world.client.close(client)
    world.server.close(server)
    world.network.run()
    ending = ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
    assert path(world, "client")[-5:] == path(world, "server")[-5:] == ending
    assert world.client.host.connections() == []
    # 2 MSL for both.
    assert world.network.now >= 60 * SECOND


@pytest.mark.row("C12")
def test_abort() -> None:
    """RST at once, not acknowledged; the other application learns it."""
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    client = world.client.connect(SERVER, 80)
    world.network.run(until=100 * MS)
    before = world.wire.transmitted
    world.client.send(client, b"dropped with the rest" * 10_000)
    on_its_way = world.wire.transmitted - before
    world.client.abort(client)
    assert world.client.host.connections() == []
    assert world.wire.transmitted == before + on_its_way + 1
    world.network.run(until=109 * MS)
    assert world.at_server.errors == []
    world.network.run(until=120 * MS)
    assert isinstance(world.at_server.errors[0], ConnectionResetError)
    assert [row.state for row in world.server.host.connections()] == ["LISTEN"]


@pytest.mark.row("B4")
def test_a_slow_reader() -> None:
    """The window closes, probes keep asking, the window opens again; nothing is lost by it."""
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    held: list[Connection] = []
    world.server.changed = lambda entry: held.append(entry) if isinstance(entry, Connection) else None
    listener = next(iter(world.server.host.transport.listeners.values()))
    client = world.client.connect(SERVER, 80)
    world.at_client.send(client, DATA * 10)
    world.network.run(until=100 * SECOND)
    server = world.server.accept(listener)
    assert server.receive_queue.octets <= server.window_space
    assert client.snd_wnd < 1448
    windows = [
        e.packet.payload.wnd
        for e in world.events
        if isinstance(e, PacketTransmitted) and e.host == "server" and isinstance(e.packet.payload, Segment)
    ]
    assert 0 in windows
    # Probes, farther and farther apart.
    probes = [
        e.time for e in world.events if isinstance(e, PacketTransmitted) and e.host == "client" and e.time > SECOND
    ]
    assert len(probes) >= 5
    gaps = [later - earlier for earlier, later in pairwise(probes)]
    assert gaps == sorted(gaps)
    received = b""
    while len(received) < len(DATA) * 10:
        received += world.server.receive(server, 10_000)
        world.network.run(until=world.network.now + 300 * MS)
        if not server.receive_queue.octets:
            break
    assert received == (DATA * 10)[: len(received)]
    assert len(received) == len(DATA) * 10


@pytest.mark.row("B9")
def test_boundaries_of_writes_are_not_kept() -> None:
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    world.server.changed = None
    client = world.client.connect(SERVER, 80)
    world.network.run(until=50 * MS)
    for word in (b"two ", b"writes ", b"and more"):
        world.client.send(client, word)
    world.network.run(until=500 * MS)
    server = world.server.accept(next(iter(world.server.host.transport.listeners.values())))
    assert world.server.receive(server, 6) == b"two wr"
    assert world.server.receive(server) == b"ites and more"
    with pytest.raises(BlockingIOError):
        world.server.receive(server)


@pytest.mark.row("C11")
def test_a_close_with_data_unread_is_a_reset() -> None:
    world = TwoHosts()
    world.server.listen(SERVER, 80)
    world.server.changed = None
    client = world.client.connect(SERVER, 80)
    world.network.run(until=50 * MS)
    world.client.send(client, b"unread")
    world.network.run(until=100 * MS)
    server = world.server.accept(next(iter(world.server.host.transport.listeners.values())))
    world.server.release(server)
    world.network.run(until=SECOND)
    assert isinstance(world.at_client.errors[0], ConnectionResetError)


def test_three_hosts_in_a_row_and_two_wires_on_one() -> None:
    network = Network(1)
    left, middle, right = (network.host(name) for name in ("left", "middle", "right"))
    first = network.wire(left, "10.1.0.1/24", middle, "10.1.0.2/24", delay=MS)
    second = network.wire(middle, "10.2.0.1/24", right, "10.2.0.2/24", delay=5 * MS)
    readers = {node.name: Reader(node) for node in (left, middle, right)}
    middle.listen("0.0.0.0", 80)
    for node, address in ((left, "10.1.0.2"), (right, "10.2.0.1")):
        readers[node.name].send(node.connect(address, 80), node.name.encode() * 1000)
    network.run()
    assert sorted(bytes(data) for data in readers["middle"].received.values()) == [b"left" * 1000, b"right" * 1000]
    assert first.transmitted > 5
    assert second.transmitted > 5


def test_many_connections_at_once() -> None:
    world = TwoHosts(rate=10**9)
    listener = world.server.listen(SERVER, 80, 4096)
    connections = [world.client.connect(SERVER, 80) for _ in range(200)]
    for number, connection in enumerate(connections):
        world.at_client.send(connection, b"%d " % number * 100)
    world.network.run()
    got = sorted(bytes(data) for data in world.at_server.received.values())
    assert got == sorted(b"%d " % number * 100 for number in range(200))
    world.server.close_listener(listener)
    assert world.client.host.connections() == world.server.host.connections() == []


@pytest.mark.row("B8")
@pytest.mark.parametrize("number", range(1, 12))
def test_damage_is_loss(number: int) -> None:
    """The same transfer with the n-th packet damaged, and lost: nobody but the counters can tell."""
    stories = []
    for damage in (True, False):
        world = TwoHosts(3)
        world.network.apply(f"{'corrupt' if damage else 'lose'} packet {number}")
        world.transfer(b"question" * 300, b"answer" * 300)
        assert found_damaged(world) == damage
        stories.append(world.packets())
        assert list(world.at_server.received.values()) == [b"question" * 300]
    assert stories[0] == stories[1]


def test_parameters_of_a_host() -> None:
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_timestamps", "0")
    network = Network()
    node = network.host("a", parameters)
    assert node.host.parameters is parameters


def test_users_are_told_of_their_calls() -> None:
    world = TwoHosts()
    world.transfer(b"x" * 10)
    calls = [(e.host, e.call) for e in world.events if isinstance(e, UserCalled)]
    assert calls[:3] == [("server", "LISTEN"), ("client", "OPEN"), ("client", "SEND")]
    assert ("server", "RECEIVE") in calls
    assert ("client", "CLOSE") in calls
