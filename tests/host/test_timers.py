"""When the host wants to be called, and what its queue of timers keeps."""

from __future__ import annotations

import gc
import weakref

import pytest

from synfin.host.host import Host
from synfin.host.parameters import Parameters
from synfin.host.timer_queue import TimerQueue
from synfin.tcp import timers
from synfin.tcp.connection import Connection
from synfin.tcp.timers import NEVER
from synfin.wire.tcp import ACK, FIN, PSH, SYN
from tests.host.machine import MS, OURS, SECOND, THEIRS, Machine, Peer, peer_in, segment_of


def queue_with(m: Machine, count: int) -> tuple[TimerQueue, list[Connection]]:
    made = [m.host.connect(THEIRS, port + 1, m.now) for port in range(count)]
    return TimerQueue(m.host.transport.connections), made


def heap_length(queue: TimerQueue) -> int:
    return len(queue._heap)


def test_deadlines_come_in_order() -> None:
    queue, connections = queue_with(Machine(), 3)
    assert queue.next_deadline() == NEVER
    for connection, deadline in zip(connections, (30, 10, 20), strict=True):
        connection.timers.start(timers.RETRANSMISSION, deadline)
        queue.arm(connection)
    assert queue.next_deadline() == 10
    assert queue.pop_due(9) is None
    assert [queue.pop_due(30) for _ in range(4)] == [connections[1], connections[2], connections[0], None]


def test_one_that_moved_later_is_looked_at_when_it_comes_up() -> None:
    queue, (connection,) = queue_with(Machine(), 1)
    for deadline in range(10, 1000):
        connection.timers.start(timers.RETRANSMISSION, deadline)
        queue.arm(connection)
    assert heap_length(queue) == 1
    assert queue.next_deadline() == 10
    assert queue.pop_due(10) is None
    assert queue.next_deadline() == 999
    assert queue.pop_due(999) is connection


def test_one_that_moved_earlier_comes_up_earlier_and_once() -> None:
    queue, (connection,) = queue_with(Machine(), 1)
    connection.timers.start(timers.RETRANSMISSION, 100)
    queue.arm(connection)
    connection.timers.start(timers.DELAYED_ACK, 50)
    queue.arm(connection)
    assert queue.next_deadline() == 50
    assert queue.pop_due(60) is connection
    connection.timers.stop(timers.DELAYED_ACK)
    queue.arm(connection)
    assert queue.pop_due(99) is None
    assert queue.pop_due(100) is connection
    assert queue.pop_due(100) is None


def test_entries_do_not_pile_up() -> None:
    """A short timer beside a long one, again and again: each round leaves an entry for the long one, as long as
    another connection's entry is before it."""
    queue, (first, connection) = queue_with(Machine(), 2)
    first.timers.start(timers.RETRANSMISSION, 50 * SECOND)
    queue.arm(first)
    connection.timers.start(timers.RETRANSMISSION, 100 * SECOND)
    queue.arm(connection)
    for now in range(0, 40 * SECOND, 40 * MS):
        connection.timers.start(timers.DELAYED_ACK, now)
        queue.arm(connection)
        assert queue.pop_due(now) is connection
        connection.timers.stop(timers.DELAYED_ACK)
        queue.arm(connection)
    assert heap_length(queue) <= 64


def live_connections() -> int:
    return sum(isinstance(one, Connection) for one in gc.get_objects())


def test_a_closed_connection_is_not_kept_alive() -> None:
    m = Machine()
    listener = m.host.listen(OURS, 80, 100, m.now)
    gc.collect()
    before = live_connections()
    gc.disable()
    try:
        for port in range(1, 51):
            peer = Peer(m, port).opens()
            connection = m.host.accept(listener)
            m.host.send(connection, b"x", m.now)
            m.poll()
            m.host.abort(connection, m.now)
            m.poll()
            m.host.take_changed()
            assert peer.state == "CLOSED"
        del connection
        assert live_connections() == before
    finally:
        gc.enable()
    assert m.states() == ["LISTEN"]
    assert m.goes_on(m.now + 200 * SECOND) == []


def test_a_host_is_no_cycle() -> None:
    class Watched(Host):
        """With a place for a weak reference."""

        __slots__ = ("__weakref__",)

    gc.collect()
    gc.disable()
    try:
        host = Watched("machine", bytes(16))
        eth = host.add_interface("eth0", ["192.0.2.1/24"], 1500)
        host.connect("192.0.2.2", 80, 0)
        assert host.poll_transmit(eth, 0) is not None
        watched = weakref.ref(host)
        del host, eth
        assert watched() is None
    finally:
        gc.enable()


def test_an_idle_host_waits_for_nothing() -> None:
    """From the list of what goes wrong in practice: a timer spinning at 1 kHz per connection."""
    m = Machine()
    m.host.listen(OURS, 80, 100, m.now)
    for port in range(1, 20):
        peer = Peer(m, port).opens()
        peer.says(PSH | ACK, b"data")
    m.goes_on(m.now + SECOND)
    assert m.host.next_deadline() == NEVER


def calls_until_closed(m: Machine, connection: Connection) -> int:
    calls = 0
    while connection.timers.earliest != NEVER:
        m.now = m.host.next_deadline()
        m.host.deadline_reached(m.now)
        m.poll()
        calls += 1
    return calls


@pytest.mark.row("A8")
def test_a_syn_that_nobody_answers() -> None:
    """Growing waits, up to tcp_syn_retries; then the user is told, and nothing is left."""
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_syn_retries", "2")
    parameters.set("net.ipv4.tcp_syn_linear_timeouts", "0")
    m = Machine(parameters)
    began = m.now
    connection = m.host.connect(THEIRS, 80, m.now)
    m.poll()
    assert calls_until_closed(m, connection) == 3
    assert m.now - began == (1 + 2 + 4) * SECOND
    with pytest.raises(TimeoutError):
        m.host.receive(connection, 1, m.now)
    assert m.host.connections() == []
    assert connection in m.host.take_changed()


@pytest.mark.row("A9", "A10")
def test_a_request_that_nobody_completes() -> None:
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_synack_retries", "2")
    m = Machine(parameters)
    m.host.listen(OURS, 80, 5, m.now)
    Peer(m).says(SYN)
    assert m.states() == ["LISTEN", "SYN-RECEIVED"]
    again = m.goes_on(m.now + 7 * SECOND - 1)
    assert [segment_of(packet).flags for packet in again] == [SYN | ACK] * 2
    assert m.states() == ["LISTEN", "SYN-RECEIVED"]
    assert m.goes_on(m.now + 1) == []
    assert m.states() == ["LISTEN"]


@pytest.mark.parametrize("state", ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"])
def test_orphans_are_reaped(state: str) -> None:
    """From the list of what goes wrong in practice: CLOSING and an orphaned FIN-WAIT-2 never reaped."""
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    connection = peer.connection
    if state == "LAST-ACK":
        peer.says(FIN | ACK)
    m.host.release(connection, m.now)
    fin = [segment_of(packet) for packet in m.poll()]
    if state == "CLOSING":
        peer.says(FIN | ACK)
    peer.saw(fin)
    if state == "FIN-WAIT-2":
        peer.says(ACK)
    assert peer.state == state
    # The peer is never heard again.
    m.goes_on(m.now + 300 * SECOND)
    assert m.states() == ["LISTEN"]
    if state == "FIN-WAIT-2":
        assert m.host.next_deadline() == NEVER


def test_a_listener_that_closed_wants_no_time() -> None:
    m = Machine()
    listener = m.host.listen(OURS, 80, 5, m.now)
    Peer(m).says(SYN)
    assert m.host.next_deadline() == m.now + SECOND
    m.host.close_listener(listener, m.now)
    assert m.host.next_deadline() == NEVER


def test_what_changed_is_told_once() -> None:
    m = Machine()
    listener = m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    told = m.host.take_changed()
    assert listener in told
    assert told.count(peer.connection) == 1
    assert m.host.take_changed() == []
    for _ in range(5):
        peer.says(PSH | ACK, b"data")
    assert m.host.take_changed() == [peer.connection]
    peer_in(m, "TIME-WAIT", 7)
    m.host.take_changed()
    assert m.host.take_changed() == []
