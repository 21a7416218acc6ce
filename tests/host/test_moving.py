"""A connection moves from one host object to another in mid-transfer, and nothing is lost."""

from __future__ import annotations

from collections import deque
from errno import EADDRINUSE, EADDRNOTAVAIL

import pytest

from synfin.host.host import Host
from synfin.tcp.connection import Connection
from synfin.tcp.settings import PMTUDISC_DONT
from synfin.tcp.snapshot import from_json, to_json
from synfin.wire.ip import Packet
from tests.host.machine import MS, OURS, SECRET, THEIRS, Machine, Peer, segment_of

PAYLOAD = bytes(range(253)) * 3000


class Side:
    """A host with one connection that writes PAYLOAD and reads what comes. Its clock runs `ahead` of the world's."""

    def __init__(self, address: str, ahead: int = 0) -> None:
        self.host = Host(address, SECRET)
        self.eth = self.host.add_interface("eth0", [f"{address}/24"], 1500)
        self.ahead = ahead
        self.connection: Connection | None = None
        self.outbox = PAYLOAD
        self.received = bytearray()

    def work(self, now: int) -> list[Packet]:
        now += self.ahead
        self.host.deadline_reached(now)
        connection = self.connection
        if connection is not None:
            try:
                while self.outbox:
                    self.outbox = self.outbox[self.host.send(connection, self.outbox, now) :]
            except BlockingIOError:
                pass
            try:
                while pieces := self.host.receive(connection, 5000, now):
                    self.received += b"".join(bytes(piece) for piece in pieces)
            except BlockingIOError:
                pass
        packets = []
        while (packet := self.host.poll_transmit(self.eth, now)) is not None:
            packets.append(packet)
        return packets


@pytest.mark.parametrize("moves", [1, 7, 60])
def test_in_mid_transfer(moves: int) -> None:
    """Both write at once through a wire that loses every 37th packet; every few milliseconds the server's machine is
    another, with another clock."""
    client, server = Side("192.0.2.1"), Side("192.0.2.2")
    listener = server.host.listen("192.0.2.2", 80, 5, 0)
    client.connection = client.host.connect("192.0.2.2", 80, 0)
    flying: deque[tuple[int, Side, Packet]] = deque()
    count = moved = 0
    for millisecond in range(60_000):
        now = millisecond * MS
        while flying and flying[0][0] <= now:
            _, side, packet = flying.popleft()
            to = client if side is client else server
            to.host.packet_arrives(packet, to.eth, now + to.ahead)
        for side, other in ((client, server), (server, client)):
            for packet in side.work(now):
                count += 1
                if count % 37:
                    flying.append((now + 5 * MS, other, packet))
        if listener.accept_queue and server.connection is None:
            server.connection = server.host.accept(listener)
        if server.connection is not None and moved < moves and millisecond % 9 == 0:
            moved += 1
            text = to_json(server.host.dump(server.connection, now + server.ahead))
            assert not [row for row in server.host.connections() if row.state == "ESTABLISHED"]
            new = Side("192.0.2.2", ahead=moved * 1234 * MS)
            new.connection = new.host.restore(from_json(text), now + new.ahead)
            new.outbox, new.received = server.outbox, server.received
            flying = deque((when, new if side is server else side, packet) for when, side, packet in flying)
            server = new
        if len(client.received) == len(server.received) == len(PAYLOAD):
            break
    assert moved == moves
    assert bytes(server.received) == PAYLOAD
    assert bytes(client.received) == PAYLOAD


def established() -> tuple[Machine, Connection]:
    machine = Machine()
    machine.host.listen(OURS, 80, 5, 0)
    peer = Peer(machine)
    peer.opens()
    return machine, peer.connection


def test_the_old_host_says_nothing_and_gives_back_its_memory() -> None:
    machine, connection = established()
    machine.host.send(connection, bytes(12_000), machine.now)
    machine.poll()
    assert machine.host.transport.memory.held >= 10_000
    machine.host.dump(connection, machine.now)
    assert machine.poll() == []
    assert machine.states() == ["LISTEN"]
    assert machine.host.transport.memory.held == 0


def test_the_new_host_is_charged() -> None:
    machine, connection = established()
    machine.host.send(connection, bytes(12_000), machine.now)
    taken = machine.host.dump(connection, machine.now)
    other = Machine()
    other.host.restore(taken, other.now)
    assert other.host.transport.memory.held >= 10_000


def test_a_four_tuple_has_one_connection() -> None:
    machine, connection = established()
    taken = machine.host.dump(connection, machine.now)
    machine.host.restore(taken, machine.now)
    with pytest.raises(OSError) as raised:
        machine.host.restore(taken, machine.now)
    assert raised.value.errno == EADDRINUSE


def test_an_address_that_is_not_ours() -> None:
    machine, connection = established()
    taken = machine.host.dump(connection, machine.now)
    with pytest.raises(OSError) as raised:
        Host("other", SECRET).restore(taken, 0)
    assert raised.value.errno == EADDRNOTAVAIL
    assert THEIRS != OURS


def test_what_waited_to_be_sent_is_sent_by_the_new_host_alone() -> None:
    machine, connection = established()
    machine.host.send(connection, b"hello", machine.now)
    taken = machine.host.dump(connection, machine.now)
    assert machine.poll() == []
    machine.host.send(connection, b"too late", machine.now)
    assert machine.poll() == []
    other = Machine()
    other.host.restore(taken, other.now)
    (packet,) = other.poll()
    assert segment_of(packet).payload_length == 5


@pytest.mark.parametrize(("mtu", "mss"), [(1400, 1360), (1500, 1460)])
def test_segments_fit_the_path_of_the_new_host(mtu: int, mss: int) -> None:
    """Not that of the old one; and DF is as the user wanted it."""
    machine, connection = established()
    connection.peer_mss = 1460
    connection.update_mss()
    connection.settings.mtu_discover = PMTUDISC_DONT
    machine.host.send(connection, bytes(4000), machine.now)
    other = Machine(mtu=mtu)
    other.host.restore(machine.host.dump(connection, machine.now), other.now)
    packets = other.poll()
    sizes = [segment_of(packet).segment_size or segment_of(packet).payload_length for packet in packets]
    assert max(sizes) == mss
    assert not any(packet.dont_fragment for packet in packets)
