"""What went wrong in practice in another user-space stack, each of its bug fixes a test of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from errno import ECONNREFUSED, ETIMEDOUT
from itertools import pairwise

import pytest

from synfin.host.parameters import Parameters
from synfin.link.channel import channel_pair
from synfin.link.link import Link, WrappedLink
from synfin.sim import Network
from synfin.socket import Stack
from synfin.tcp import states
from synfin.wire.ip import Packet, octets
from synfin.wire.tcp import ACK, FIN, RST, SYN
from tests.attacks.attacker import FullPeer, machine
from tests.host.machine import MS, OURS, SECOND, THEIRS, Machine, Peer, peer_in, segment_of, tcp

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Body = Callable[[Stack, Stack, Streams, Streams], Awaitable[None]]


class Cable(WrappedLink):
    """A link that can be cut: then what is sent goes nowhere."""

    def __init__(self, inner: Link) -> None:
        super().__init__(inner)
        self.cut = False

    def send(self, packet: Packet) -> bool:
        return True if self.cut else self.inner.send(packet)


def with_streams(body: Body, parameters: Parameters | None = None) -> None:
    """Runs `body` with a client's and a server's stack, and both ends of a connection."""

    async def run() -> None:
        left, right = channel_pair()
        client = Stack(Cable(left), ["10.0.0.1/24"], parameters=parameters)
        server = Stack(right, ["10.0.0.2/24"])
        async with asyncio.timeout(20), client, server:
            served: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
            listening = await server.start_server(lambda *streams: served.set_result(streams), "10.0.0.2", 80)
            streams = await client.open_connection("10.0.0.2", 80)
            try:
                await body(client, server, streams, await served)
            finally:
                streams[1].transport.abort()
                served.result()[1].transport.abort()
                listening.close()

    asyncio.run(run())


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- whoever waits is woken


def test_a_blocked_recv_is_woken_when_its_connection_dies() -> None:
    async def body(client: Stack, server: Stack, ours: Streams, theirs: Streams) -> None:
        waiting = asyncio.create_task(ours[0].read(1))
        await turns()
        assert not waiting.done()
        theirs[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await waiting

    with_streams(body)


def test_a_blocked_recv_is_woken_when_its_connection_times_out() -> None:
    """Not by a segment but by a timer."""
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_rto_min_us", "1000")
    parameters.set("net.ipv4.tcp_retries2", "2")

    async def body(client: Stack, server: Stack, ours: Streams, theirs: Streams) -> None:
        waiting = asyncio.create_task(ours[0].read(1))
        await turns()
        assert isinstance(client.link, Cable)
        client.link.cut = True
        ours[1].write(b"x")
        with pytest.raises(TimeoutError):
            await waiting

    with_streams(body, parameters)


def test_a_blocked_recv_is_woken_when_it_is_closed() -> None:
    async def body(client: Stack, server: Stack, ours: Streams, theirs: Streams) -> None:
        waiting = asyncio.create_task(ours[0].read(1))
        await turns()
        ours[1].close()
        assert await waiting == b""

    with_streams(body)


def test_a_blocked_recv_is_woken_when_the_stack_stops() -> None:
    async def body(client: Stack, server: Stack, ours: Streams, theirs: Streams) -> None:
        waiting = asyncio.create_task(ours[0].read(1))
        await turns()
        await client.aclose()
        assert await waiting == b""

    with_streams(body)


@pytest.mark.parametrize("end", ["RST", "FIN"])
def test_the_host_says_so_for_one_who_waits(end: str) -> None:
    """The same below asyncio: what ended is among what changed."""
    m = machine()
    peer = FullPeer(m).opens()
    m.host.take_changed()
    peer.sends(RST if end == "RST" else FIN | ACK)
    assert [entry for entry in m.host.take_changed() if entry is not None] != []


# --- connect does not fail in silence


def test_a_connect_that_fails_says_so() -> None:
    async def body(client: Stack, server: Stack, ours: Streams, theirs: Streams) -> None:
        with pytest.raises(ConnectionRefusedError):
            await client.open_connection("10.0.0.2", 81)
        await client.aclose()
        with pytest.raises(OSError):
            await client.open_connection("10.0.0.2", 80)

    with_streams(body)


@pytest.mark.parametrize(
    ("answer", "error"), [(RST | ACK, ECONNREFUSED), (None, ETIMEDOUT)], ids=["refused", "nobody answers"]
)
def test_a_failed_connect_is_among_what_changed(answer: int | None, error: int) -> None:
    m = machine()
    connection = m.host.connect(THEIRS, 80, m.now)
    (syn,) = [segment_of(packet) for packet in m.poll()]
    m.host.take_changed()
    if answer is None:
        m.goes_on(m.now + 200 * SECOND)
    else:
        m.gets(tcp(THEIRS, 80, OURS, syn.source_port, ack=syn.seq + 1, flags=answer))
    assert connection in m.host.take_changed()
    assert connection.error == error
    assert m.host.transport.connections == {}


# --- everything is reaped


def test_closing_is_reaped() -> None:
    """Both closed at once, and the peer's last ACK never comes."""
    m = machine()
    peer = peer_in(m, "CLOSING", 5000)
    m.host.release(peer.connection, m.now)
    m.goes_on(m.now + 300 * SECOND)
    assert m.states() == ["LISTEN"]


def test_an_orphaned_fin_wait_2_is_reaped() -> None:
    for order in ("close, then release", "release"):
        m = machine()
        peer = Peer(m).opens()
        connection = peer.connection
        if order != "release":
            m.host.close(connection, m.now)
            peer.saw([segment_of(packet) for packet in m.poll()])
            peer.says(ACK)
            assert peer.state == "FIN-WAIT-2"
            m.goes_on(m.now + 1000 * SECOND)
        m.host.release(connection, m.now)
        peer.saw([segment_of(packet) for packet in m.poll()])
        peer.says(ACK)
        assert peer.state == "FIN-WAIT-2"
        m.goes_on(m.now + 60 * SECOND)
        assert peer.state == "CLOSED"


# --- accept and its queue


@pytest.mark.parametrize("data", [b"", b"last words"])
def test_accept_of_a_dead_child_says_that_it_is_dead(data: bytes) -> None:
    """As on Linux accept returns it; what had arrived can be read, then comes ECONNRESET, and nobody waits for ever."""
    m = machine()
    listener = next(iter(m.host.transport.listeners.values()))
    peer = FullPeer(m).opens()
    if data:
        peer.sends(payload=data)
        peer.seq += len(data)
    peer.sends(RST)
    assert m.states() == ["LISTEN"]
    child = m.host.accept(listener)
    assert child.state == states.CLOSED
    if data:
        assert b"".join(map(bytes, m.host.receive(child, 100, m.now))) == data
    with pytest.raises(ConnectionResetError):
        m.host.receive(child, 100, m.now)
    assert m.host.receive(child, 100, m.now) == []
    m.host.release(child, m.now)
    assert m.poll() == []


def test_dead_children_do_not_fill_the_accept_queue_for_ever() -> None:
    m = machine()
    listener = m.host.listen(OURS, 81, 3, m.now)
    for port in range(10):
        peer = Peer(m, 5000 + port, to_port=81)
        peer.says(SYN)
        peer.says(ACK)
        peer.says(RST)
    assert len(listener.accept_queue) == 4
    while listener.accept_queue:
        m.host.accept(listener)
    Peer(m, 6000, to_port=81).opens()


def test_closing_a_listener_resets_its_backlog() -> None:
    """Those who wait to be accepted, and those who are half open."""
    m = machine()
    listener = next(iter(m.host.transport.listeners.values()))
    waiting = [FullPeer(m, port).opens() for port in (1, 2, 3)]
    half_open = Peer(m, 4)
    half_open.says(SYN)
    m.host.close_listener(listener, m.now)
    assert [segment_of(packet).flags & RST for packet in m.poll()] == [RST] * len(waiting)
    assert m.host.connections() == []
    assert m.host.transport.orphans == set()
    assert m.host.transport.memory.held == 0
    assert [answer.flags for answer in half_open.says(ACK)] == [RST]
    assert m.goes_on(m.now + 1000 * SECOND) == []
    m.host.listen(OURS, 80, 5, m.now)


def test_ports_are_not_leaked_by_closing_what_is_not_connected() -> None:
    """In whatever state it was left: a host with one port connects again and again."""
    parameters = Parameters()
    parameters.set("net.ipv4.ip_local_port_range", "40000 40000")
    m = Machine(parameters)
    for end in (m.host.release, m.host.abort, m.host.close):
        for polled in (False, True):
            connection = m.host.connect(THEIRS, 80, m.now)
            if polled:
                m.poll()
            end(connection, m.now)
            m.poll()
            assert m.host.connections() == []
    for _ in range(3):
        listener = m.host.listen(OURS, 40000, 5, m.now)
        m.host.close_listener(listener, m.now)


# --- bounds


def test_the_queue_of_data_out_of_order_is_bounded() -> None:
    m = machine()
    peer = FullPeer(m).opens()
    connection = peer.connection
    for offset in range(2, 60_000, 2):
        m.gets(peer.forged(payload=b"x", seq=offset))
    assert connection.reassembly.charge <= connection.rcv_buf
    assert connection.charged <= connection.rcv_buf + 3 * 4096


def test_fragments_are_bounded() -> None:
    """However many first halves come, they take no more memory than a table of fragments may have."""
    import tracemalloc

    m = machine()
    whole = FullPeer(m).forged(SYN, payload=bytes(1000))
    data = octets(whole)

    def first_half(number: int) -> bytes:
        half = bytearray(data[:420])
        half[2:4] = len(half).to_bytes(2, "big")
        half[4:6] = (number & 0xFFFF).to_bytes(2, "big")
        half[6:8] = (0x2000).to_bytes(2, "big")
        half[12:16] = bytes((192, 0, 2, 3 + number % 200))
        half[10:12] = bytes(2)
        total = sum(int.from_bytes(half[at : at + 2], "big") for at in range(0, 20, 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        half[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
        return bytes(half)

    for number in range(100):
        m.host.octets_arrive(first_half(number), m.eth, m.now)
    assert m.host.counters["IpInHdrErrors"] == 0
    tracemalloc.start()
    try:
        for number in range(10_000):
            m.host.octets_arrive(first_half(number), m.eth, m.now)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Linux's ipfrag_high_thresh is 4 MiB; 10,000 halves are 4 MB and their keeping.
    assert held < 5 << 20
    assert m.poll() == []


# --- timers


def test_no_timer_spins() -> None:
    """An established connection that says nothing has no timer; one that says much wakes its host no more often than
    something happens."""
    network = Network(0)
    client, server = network.host("client"), network.host("server")
    network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24", delay=10 * MS)
    listener = server.listen("10.0.0.2", 80)
    connection = client.connect("10.0.0.2", 80)
    network.run(SECOND)
    accepted = server.accept(listener)
    network.run(10 * SECOND)
    assert connection.next_deadline() == accepted.next_deadline() == client.host.next_deadline()
    # Keep-alive wakes it once in two hours, whenever the peer was last heard.
    client.set_keepalive(connection, True)
    network.run(1800 * SECOND)
    server.send(accepted, b"x")
    network.run(1801 * SECOND)
    wakings = 0
    m = client.host
    while (deadline := m.next_deadline()) <= 8900 * SECOND:
        network.run(deadline)
        wakings += 1
        assert wakings < 3
    assert wakings == 1


@pytest.mark.parametrize("state", ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "CLOSE-WAIT", "LAST-ACK"])
def test_no_timer_spins_when_nobody_answers(state: str) -> None:
    """A peer that is gone: each deadline is later than the one before it, and there are few of them."""
    m = machine()
    peer = peer_in(m, state, 5000)
    if state in ("ESTABLISHED", "CLOSE-WAIT"):
        m.host.send(peer.connection, bytes(100_000), m.now)
        m.poll()
    count = 0
    end = m.now + 3600 * SECOND
    while (deadline := m.host.next_deadline()) <= end:
        assert deadline > m.now
        m.now = deadline
        m.host.deadline_reached(m.now)
        m.poll()
        count += 1
        assert count < 40
    assert m.states() == ["LISTEN"]


def test_tail_loss_probes_do_not_outlast_the_rto() -> None:
    """Whatever probes there may be for a lost tail: the first retransmission comes no later than the RTO, later ones
    double, and their number until the end is what tcp_retries2 allows, not more."""
    m = machine()
    peer = FullPeer(m).opens()
    connection = peer.connection
    rto = connection.round_trip.rto
    began = m.now
    m.host.send(connection, b"tail", m.now)
    m.poll()
    times: list[int] = []
    while peer.state != "CLOSED":
        m.now = m.host.next_deadline()
        m.host.deadline_reached(m.now)
        times += [m.now - began] * len([p for p in m.poll() if segment_of(p).payload_length])
    assert times[0] <= rto
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= rto for gap in gaps)
    assert gaps == sorted(gaps)
    assert 13 <= len(times) <= 17
    assert connection.error == ETIMEDOUT


def test_one_reply_at_most_for_each_packet_of_nonsense() -> None:
    """And never a reset for a reset, nor an answer to a broadcast: no two hosts can be set upon each other."""
    m = machine()
    packets: list[Packet] = []
    for flags in range(64):
        packets += [tcp(THEIRS, 1, OURS, port, seq=5, ack=7, flags=flags) for port in (80, 81)]
    for packet in packets:
        answers = m.gets(packet)
        assert len(answers) <= 1
        if segment_of(packet).flags & RST:
            assert answers == []
