"""Nothing grows without bound, and what is small stays small."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

from synfin.host.interface import OUTPUT_LIMIT
from synfin.host.parameters import Parameters
from synfin.tcp import time_wait
from synfin.wire import icmp
from synfin.wire.ip import PROTOCOL_ICMP, IcmpMessage, Packet
from synfin.wire.tcp import ACK, PSH, RST, SYN, Options
from tests.host.machine import OURS, SECOND, THEIRS, Machine, Peer, tcp


def test_answers_that_wait_for_the_link_are_bounded() -> None:
    """A flood of questions does not become a heap of answers."""
    m = Machine()
    for port in range(1, 3 * OUTPUT_LIMIT):
        m.host.packet_arrives(tcp(THEIRS, port, OURS, 9, flags=SYN), m.eth, m.now)
    assert len(m.poll()) == OUTPUT_LIMIT
    assert m.host.counters["IpOutDiscards"] == 2 * OUTPUT_LIMIT - 1
    assert m.host.counters["TcpOutRsts"] == OUTPUT_LIMIT


def test_echo_replies_that_wait_for_the_link_are_bounded() -> None:
    m = Machine()
    request = tcp(THEIRS, 1, OURS, 1)
    echo = Packet(request.source, request.destination, PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0, 1, b"x"))
    for _ in range(OUTPUT_LIMIT + 500):
        m.host.packet_arrives(echo, m.eth, m.now)
    assert len(m.poll()) == OUTPUT_LIMIT


def test_echo_replies_that_are_discarded_are_counted() -> None:
    m = Machine()
    request = tcp(THEIRS, 1, OURS, 1)
    echo = Packet(request.source, request.destination, PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0, 1, b"x"))
    for _ in range(OUTPUT_LIMIT + 500):
        m.host.packet_arrives(echo, m.eth, m.now)
    assert m.host.counters["IpOutDiscards"] == 500
    assert m.host.counters["IcmpOutMsgs"] == OUTPUT_LIMIT


def test_answers_to_oneself_are_bounded() -> None:
    """All that a host sends to itself while nobody asks it for packets."""
    m = Machine()
    for _ in range(3 * OUTPUT_LIMIT):
        m.host.packet_arrives(tcp("127.0.0.1", 5, "127.0.0.1", 9, flags=SYN), m.host.interfaces[0], m.now)
    assert len(m.host.interfaces[0].output) == OUTPUT_LIMIT


def test_a_flood_of_syns_leaves_a_bounded_table() -> None:
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_syncookies", "0")
    m = Machine(parameters)
    m.host.listen(OURS, 80, 1 << 20, m.now)
    for port in range(1, 5001):
        m.host.packet_arrives(tcp(THEIRS, port, OURS, 80, flags=SYN), m.eth, m.now)
    assert m.states().count("SYN-RECEIVED") == 1024
    assert m.host.counters["TcpExtListenDrops"] == 5000 - 1024


def test_a_flood_of_syns_that_are_taken_back() -> None:
    """Each RST frees the request; one that stays is before them all in the heap of deadlines."""
    m = Machine()
    listener = m.host.listen(OURS, 80, 1000, m.now)
    Peer(m, 1).says(SYN)
    for _ in range(5000):
        peer = Peer(m, 2)
        peer.says(SYN)
        peer.says(RST)
        m.host.next_deadline()
    assert len(listener.requests) == 1
    assert len(listener._deadlines) <= 1100


def test_data_that_nobody_reads_are_bounded() -> None:
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    for _ in range(2000):
        peer.says(PSH | ACK, b"x" * 1000)
    connection = peer.connection
    assert connection.receive_queue.octets <= connection.window_space
    assert connection.receive_queue.charge <= 2 * connection.rcv_buf


def test_data_out_of_order_are_bounded() -> None:
    """From the list of what goes wrong in practice: an unbounded out-of-order queue."""
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    connection = peer.connection
    start = peer.seq
    for gap in range(1, 60_000, 2):
        m.host.packet_arrives(peer.packet(PSH | ACK, b"x", seq=start + gap), m.eth, m.now)
        if gap % 1000 == 1:
            m.poll()
    assert 0 < connection.reassembly.charge <= connection.rcv_buf
    assert m.host.counters["TcpExtTCPOFODrop"] > 0


def memory_of(count: int, make: Callable[[int], object]) -> float:
    """Octets of memory that each of `count` things made costs."""
    make(0)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1, count + 1):
            make(number)
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()


ALL_OPTIONS = Options(mss=1460, window_scale=7, sack_permitted=True, ts_val=1000, ts_ecr=0)


def test_memory_of_a_request(record_property: Callable[[str, object], None]) -> None:
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_max_syn_backlog", "4096")
    m = Machine(parameters)
    m.host.listen(OURS, 80, 4096, m.now)
    each = memory_of(2000, lambda number: Peer(m, number + 1, options=ALL_OPTIONS).says(SYN))
    assert m.states().count("SYN-RECEIVED") == 2001
    record_property("octets of a request", each)
    assert each < 512, each


def test_memory_of_a_time_wait(record_property: Callable[[str, object], None]) -> None:
    m = Machine()
    m.host.listen(OURS, 80, 4096, m.now)
    connection = Peer(m).opens().connection
    table = m.host.transport.time_waits
    each = memory_of(
        5000, lambda number: table.put(Peer(m, number).flow, time_wait.from_connection(connection, SECOND), True)
    )
    record_property("octets of a TIME-WAIT", each)
    assert each < 300, each


def test_memory_of_an_idle_connection(record_property: Callable[[str, object], None]) -> None:
    m = Machine()
    m.host.listen(OURS, 80, 4096, m.now)

    def make(number: int) -> None:
        Peer(m, number + 1, options=ALL_OPTIONS).opens().says(PSH | ACK, b"hello")
        connection = m.host.transport.connections[Peer(m, number + 1).flow]
        m.host.receive(connection, 100, m.now)
        m.poll()
        m.host.take_changed()

    each = memory_of(1000, make)
    record_property("octets of an idle connection", each)
    assert each < 5000, each
