"""What a host sends to itself never leaves it."""

from __future__ import annotations

from contextlib import suppress

import pytest

from synfin.host.host import LOOPBACK_MTU
from synfin.tcp.connection import Connection
from synfin.tcp.timers import NEVER
from synfin.wire.sequence import MASK
from synfin.wire.tcp import RST, Segment
from tests.host.machine import OURS, OURS_6, SECOND, Machine, tcp

ADDRESSES = ["127.0.0.1", "127.1.2.3", "::1", OURS, OURS_6, "0.0.0.0", "::"]


def wildcard(address: str) -> str:
    return "::" if ":" in address else "0.0.0.0"


def pair(m: Machine, address: str) -> tuple[Connection, Connection]:
    listener = m.host.listen(wildcard(address), 80, 5, m.now)
    client = m.host.connect(address, 80, m.now)
    assert m.poll() == []
    return client, m.host.accept(listener)


def read(m: Machine, connection: Connection) -> bytes:
    try:
        return b"".join(m.host.receive(connection, 1 << 30, m.now))
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_connection_to_oneself(address: str) -> None:
    m = Machine()
    client, server = pair(m, address)
    assert m.states() == ["LISTEN", "ESTABLISHED", "ESTABLISHED"]
    m.host.send(client, b"question", m.now)
    assert m.poll() == []
    assert read(m, server) == b"question"
    m.host.send(server, b"answer", m.now)
    m.poll()
    assert read(m, client) == b"answer"
    m.host.close(client, m.now)
    m.poll()
    assert m.host.receive(server, 1, m.now) == []
    m.host.close(server, m.now)
    assert m.poll() == []
    assert m.states() == ["LISTEN", "TIME-WAIT"]
    m.goes_on(m.now + 60 * SECOND)
    assert m.states() == ["LISTEN"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", OURS])
def test_big_transfers_both_ways(address: str) -> None:
    """Through windows and buffers far smaller than what is sent; the network has no say in it."""
    m = Machine()
    ends = pair(m, address)
    data = [bytes([n]) + bytes(range(256)) * 8000 for n in (1, 2)]
    unsent, received = list(data), [bytearray(), bytearray()]
    for _ in range(10_000):
        for n in (0, 1):
            with suppress(BlockingIOError):
                unsent[n] = unsent[n][m.host.send(ends[n], unsent[n], m.now) :]
            assert m.poll() == []
            received[1 - n] += read(m, ends[1 - n])
        if unsent == [b"", b""] and [len(got) for got in received] == [len(sent) for sent in reversed(data)]:
            break
        # Delayed acknowledgments may have to come.
        m.goes_on(min(m.host.next_deadline(), m.now + SECOND))
    assert received == [data[1], data[0]]
    assert m.host.counters["TcpRetransSegs"] == 0


def test_segments_on_loopback_are_as_large_as_its_mtu() -> None:
    m = Machine()
    client, _ = pair(m, "127.0.0.1")
    assert client.path_mss == LOOPBACK_MTU - 40


def test_a_port_where_nobody_listens() -> None:
    m = Machine()
    client = m.host.connect("127.0.0.1", 81, m.now)
    assert m.poll() == []
    with pytest.raises(ConnectionRefusedError):
        m.host.receive(client, 1, m.now)
    assert m.host.connections() == []


@pytest.mark.row("A13", "C7")
def test_a_connection_to_itself_opens_and_closes_simultaneously() -> None:
    """As on Linux: the SYN meets its own sender, which takes it for a simultaneous open."""
    m = Machine()
    only = m.host.connect("127.0.0.1", 5000, m.now, ("127.0.0.1", 5000))
    assert m.poll() == []
    assert m.states() == ["ESTABLISHED"]
    m.host.send(only, b"echo", m.now)
    m.poll()
    assert read(m, only) == b"echo"
    m.host.close(only, m.now)
    assert m.poll() == []
    assert m.states() == ["TIME-WAIT"]


def test_a_full_accept_queue_on_loopback() -> None:
    """The last ACK is ignored, the SYN,ACK comes again by time: nothing spins, and room in the queue is noticed."""
    m = Machine()
    listener = m.host.listen("127.0.0.1", 80, 1, m.now)
    clients = [m.host.connect("127.0.0.1", 80, m.now) for _ in range(2)]
    m.poll()
    late = m.host.connect("127.0.0.1", 80, m.now)
    m.poll()
    assert len(listener.accept_queue) == 2
    for _ in range(2):
        m.host.accept(listener)
    m.goes_on(m.now + 10 * SECOND)
    assert m.states().count("ESTABLISHED") == 2 * len([*clients, late])
    assert m.host.accept(listener).identity.remote_port == late.identity.local_port


@pytest.mark.parametrize("address", [OURS, OURS_6, "127.0.0.1"])
def test_a_wire_cannot_meddle_with_it(address: str) -> None:
    """Whatever a packet from outside claims, it does not reach a connection that the host has with itself."""
    m = Machine()
    client, server = pair(m, address)
    for end in (client, server):
        identity = end.identity
        forged = Segment(identity.remote_port, identity.local_port, end.rcv_nxt & MASK, 0, RST, 0)
        assert m.gets(tcp(address, 0, address, 0, forged)) == []
    assert m.states() == ["LISTEN", "ESTABLISHED", "ESTABLISHED"]


def test_what_is_sent_to_oneself_needs_no_time_to_arrive() -> None:
    m = Machine()
    client, server = pair(m, "127.0.0.1")
    m.host.send(client, b"x" * 100_000, m.now)
    m.poll()
    assert read(m, server)
    while m.host.next_deadline() != NEVER:
        m.goes_on(m.host.next_deadline())
        read(m, server)
    assert m.host.counters["TcpRetransSegs"] == 0
    assert m.now < 2 * SECOND
