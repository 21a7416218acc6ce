"""tcp_mem and tcp_max_orphans: no number of peers makes a host keep more than it may."""

from __future__ import annotations

from errno import ETIMEDOUT

import pytest

from synfin.tcp.memory import PAGE
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, FIN, RST
from tests.attacks.attacker import FullPeer, machine
from tests.host.machine import SECOND, Machine, segment_of

#: Pages: 400 KB are plenty, 800 KB are pressure, 1.6 MB are the end.
LIMITS = (100, 200, 400)
BLOCK = bytes(1448)


def peers(m: Machine, count: int) -> list[FullPeer]:
    """So many connections, accepted by a user who does not read."""
    listener = next(iter(m.host.transport.listeners.values()))
    made = []
    for port in range(5000, 5000 + count):
        made.append(FullPeer(m, port).opens())
        m.host.accept(listener)
    return made


def really_held(m: Machine) -> int:
    return sum(
        c.receive_queue.charge + c.reassembly.charge + len(c.send_buffer) for c in m.host.transport.connections.values()
    )


def kept(m: Machine) -> bool:
    """Whether the account is right: all that is held, and no more than three pages too much for each."""
    held = m.host.transport.memory.held
    count = len(m.host.transport.connections)
    return really_held(m) <= held <= really_held(m) + 4 * PAGE * count


def fill(m: Machine, peer: FullPeer, segments: int, gap: int = 0) -> None:
    """Sends as far as the window goes, behind a gap of so many octets if there is to be one."""
    connection = peer.connection
    for number in range(segments):
        start = gap + number * len(BLOCK)
        if peer.seq + start + len(BLOCK) > connection.rcv_adv:
            break
        m.gets(peer.forged(payload=BLOCK, seq=start))
    if not gap:
        peer.seq = connection.rcv_nxt


@pytest.mark.parametrize("gap", [0, 100])
def test_many_peers_fill_no_more_than_tcp_mem(gap: int) -> None:
    """Each keeps to its own window, a hundred of them would hold 6 MB; in order, or behind a gap."""
    m = machine(tcp_mem=LIMITS)
    for peer in peers(m, 100):
        fill(m, peer, 100, gap)
        assert kept(m)
        assert really_held(m) <= (LIMITS[2] + 1) * PAGE + 100 * (len(BLOCK) + 400)
    counters = m.host.counters
    assert counters["TcpExtTCPMemoryPressures"] >= 1
    if gap:
        # What waited out of order was given up, as RFC 2018 §8 allows.
        assert counters["TcpExtOfoPruned"] > 0
    else:
        assert counters["TcpExtTCPRcvQDrop"] > 0
    assert m.states().count("ESTABLISHED") == 100


def test_under_pressure_windows_become_small_and_grow_again() -> None:
    m = machine(tcp_mem=LIMITS)
    *all_peers, late = peers(m, 20)
    # As if it had read much before.
    late.connection.rcv_space_octets = 1 << 20
    for peer in all_peers:
        fill(m, peer, 100)
    memory = m.host.transport.memory
    assert memory.pressure
    # What was promised is taken, and read; then the window is four segments.
    fill(m, late, 100)
    assert late.connection.rcv_wnd < 1460
    while late.connection.receive_queue.octets:
        m.host.receive(late.connection, 1 << 20, m.now)
    m.poll()
    assert memory.pressure
    assert 1460 < late.connection.rcv_wnd < 4 * 1460 + (1 << late.connection.rcv_wscale)
    # The users read: the account is empty, and the peers can go on.
    for peer in all_peers:
        while peer.connection.receive_queue.octets:
            m.host.receive(peer.connection, 1 << 20, m.now)
        m.poll()
    assert not memory.pressure
    assert really_held(m) == 0
    assert memory.held <= 20 * 3 * PAGE
    for _ in range(100):
        m.now += SECOND // 10
        fill(m, late, 4)
        m.host.receive(late.connection, 1 << 20, m.now)
        m.poll()
    assert late.connection.window_space > 8 * 1460


def test_who_reads_goes_on_while_memory_is_exhausted() -> None:
    """The next octets are taken where none wait for the user: or else nothing would ever be freed."""
    m = machine(tcp_mem=LIMITS)
    reader, *others = peers(m, 100)
    for peer in others:
        fill(m, peer, 100)
    assert m.host.transport.memory.exhausted
    read = 0
    for _ in range(200):
        m.gets(reader.forged(payload=BLOCK))
        reader.seq = reader.connection.rcv_nxt
        read += sum(map(len, m.host.receive(reader.connection, 1 << 20, m.now)))
        m.poll()
    assert read == 200 * len(BLOCK)
    # One who does not read gets an answer that says where it is, and no more is kept.
    other = others[0]
    before = other.connection.receive_queue.octets
    m.now += SECOND
    (answer,) = [segment_of(p) for p in m.gets(other.forged(payload=b"x"))]
    assert answer.ack == other.connection.rcv_nxt
    assert other.connection.receive_queue.octets == before
    # Nor is a FIN that comes with what was not taken.
    m.gets(other.forged(ACK | FIN, payload=b"x"))
    assert not other.connection.fin_received


def test_writers_wait_while_memory_is_short() -> None:
    """Send buffers go down to the least of tcp_wmem, where one that its user fixed does so only at the end."""
    m = machine(tcp_mem=LIMITS)
    all_peers = peers(m, 100)
    taken = 0
    for peer in all_peers:
        connection = peer.connection
        try:
            while True:
                taken += m.host.send(connection, bytes(1 << 16), m.now)
        except BlockingIOError:
            pass
        assert kept(m)
    assert taken <= LIMITS[2] * PAGE + 100 * 4096
    assert m.host.transport.memory.pressure
    last = all_peers[-1].connection
    assert last.send_limit() == 4096
    last.snd_buf = 100_000
    assert last.send_limit() == (4096 if m.host.transport.memory.exhausted else 100_000)
    # As soon as the peers acknowledge, there is room again.
    for peer in all_peers:
        segments = m.poll()
        assert segments is not None
        peer.connection.abort(m.now)
        m.host.transport.settle(peer.connection, m.now)
    assert m.host.transport.memory.held == 0
    assert not m.host.transport.memory.pressure


def test_the_account_is_empty_when_all_have_gone() -> None:
    m = machine()
    for flags in (RST, FIN | ACK):
        for peer in peers(m, 10):
            fill(m, peer, 10)
            m.host.send(peer.connection, bytes(5000), m.now)
            m.poll()
            m.gets(peer.forged(flags))
            if flags & FIN:
                # Nothing more will come, so reading tells the peer nothing; the account learns it all the same.
                before = m.host.transport.memory.held
                m.host.receive(peer.connection, 1 << 20, m.now)
                assert m.host.transport.memory.held < before - 2 * PAGE
            connection = m.host.transport.connections.get(peer.flow)
            if connection is not None:
                m.host.abort(connection, m.now)
    assert m.host.transport.connections == {}
    assert m.host.transport.memory.held == 0


# --- those whom nobody owns


def shut(m: Machine, peer: FullPeer, octets: int = 30_000) -> None:
    """A user writes to a peer whose window is shut, and goes."""
    m.gets(peer.forged(wnd=0))
    m.host.send(peer.connection, bytes(octets), m.now)
    m.host.release(peer.connection, m.now)


def test_orphans_are_bounded() -> None:
    m = machine(tcp_max_orphans=10)
    all_peers = peers(m, 20)
    for number, peer in enumerate(all_peers):
        shut(m, peer, 1)
        resets = [segment_of(packet) for packet in m.poll() if segment_of(packet).flags & RST]
        # One too many is reset, so that the peer learns of it.
        assert len(resets) == (1 if number >= 10 else 0)
    assert len(m.host.transport.connections) == 10
    assert m.host.counters["TcpExtTCPAbortOnMemory"] == 10
    # Each that ends makes room.
    m.gets(all_peers[0].forged(RST))
    shut(m, FullPeer(m, 7000).opens(), 1)
    assert len(m.host.transport.orphans) == 10


def test_zero_windows_held_by_many_peers_do_not_hold_memory_for_ever() -> None:
    """Each answers every probe with a window of nothing. Their users are gone; so is, in the end, what they held."""
    m = machine()
    all_peers = {peer.port: peer for peer in peers(m, 50)}
    for peer in all_peers.values():
        shut(m, peer, 16_000)
    memory = m.host.transport.memory
    assert memory.held >= 50 * 16_000

    def answer(packets: list[Packet]) -> None:
        for packet in packets:
            segment = segment_of(packet)
            if not segment.flags & RST:
                m.gets(all_peers[segment.destination_port].forged(wnd=0))

    answer(m.poll())
    end = m.now + 3600 * SECOND
    while (deadline := m.host.next_deadline()) <= end:
        m.now = max(m.now, deadline)
        m.host.deadline_reached(m.now)
        answer(m.poll())
    assert m.host.transport.connections == {}
    assert m.host.transport.orphans == set()
    assert memory.held == 0


def test_a_user_may_bound_how_long_a_zero_window_holds_memory() -> None:
    """RFC 5482, TCP_USER_TIMEOUT: also where the peer answers each probe, as Linux has it."""
    m = machine()
    (peer,) = peers(m, 1)
    connection = peer.connection
    connection.settings.user_timeout = 60_000
    m.gets(peer.forged(wnd=0))
    m.host.send(connection, bytes(16_000), m.now)
    m.poll()
    began = m.now
    while peer.state == "ESTABLISHED":
        m.now = m.host.next_deadline()
        m.host.deadline_reached(m.now)
        for packet in m.poll():
            if not segment_of(packet).flags & RST:
                m.gets(peer.forged(wnd=0))
    assert connection.error == ETIMEDOUT
    assert 60 * SECOND <= m.now - began <= 61 * SECOND
    assert m.host.transport.memory.held == 0


def test_orphans_go_first_when_memory_is_exhausted() -> None:
    m = machine(tcp_mem=LIMITS)
    orphan, late, *others = peers(m, 100)
    shut(m, orphan, 16_000)
    m.gets(late.forged(wnd=0))
    m.host.send(late.connection, bytes(16_000), m.now)
    m.poll()
    for peer in others:
        fill(m, peer, 100)
    assert m.host.transport.memory.exhausted
    m.goes_on(m.now + SECOND)
    assert orphan.state == "CLOSED"
    assert m.host.counters["TcpExtTCPAbortOnMemory"] == 1
    # And one that becomes an orphan now is not kept at all.
    assert late.state == "ESTABLISHED"
    m.host.release(late.connection, m.now)
    assert late.state == "CLOSED"
    assert [segment_of(packet).flags for packet in m.poll()] == [RST | ACK]
