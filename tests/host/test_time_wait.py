"""The table of TIME-WAIT: packed, first in first out, bounded."""

from __future__ import annotations

import pytest

from synfin.host.parameters import Parameters
from synfin.host.time_waits import TimeWaits
from synfin.tcp import time_wait
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.timers import NEVER
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, SYN
from tests.host.machine import MS, OURS, SECOND, Machine, Peer, peer_in, segment_of


def machine(**parameters: str) -> Machine:
    ours = Parameters()
    for name, value in parameters.items():
        (full,) = [each for each in ours.names() if each.endswith("." + name)]
        ours.set(full, value)
    m = Machine(ours)
    m.host.listen(OURS, 80, 100, m.now)
    return m


def waiting(m: Machine) -> list[int]:
    return [row.remote_port for row in m.host.connections() if row.state == "TIME-WAIT"]


def test_the_connection_is_gone_and_a_small_value_is_left() -> None:
    m = machine()
    peer = peer_in(m, "TIME-WAIT", 1)
    assert m.host.transport.connections == {}
    packed = m.host.transport.time_waits.get(peer.flow)
    assert packed is not None
    assert len(packed) < 64
    # What packs must unpack to the same.
    assert time_wait.TimeWait(packed).pack() == packed


def test_first_in_first_out() -> None:
    m = machine()
    began = m.now
    for port in (1, 2, 3):
        peer_in(m, "TIME-WAIT", port)
        m.now += SECOND
    assert waiting(m) == [1, 2, 3]
    assert m.host.next_deadline() == began + 60 * SECOND
    for port in (1, 2, 3):
        ends = began + (59 + port) * SECOND
        m.goes_on(ends - 1)
        assert waiting(m)[0] == port
        m.goes_on(ends)
        assert port not in waiting(m)
    assert m.host.next_deadline() == NEVER


@pytest.mark.row("C5")
def test_a_fin_that_comes_again_restarts_it() -> None:
    m = machine()
    peers = [peer_in(m, "TIME-WAIT", port) for port in (1, 2)]
    m.now += 30 * SECOND
    (answer,) = [segment_of(p) for p in m.gets(peers[0].packet(FIN | ACK, seq=peers[0].seq - 1))]
    assert (answer.flags, answer.ack) == (ACK, peers[0].seq & MASK)
    assert waiting(m) == [2, 1]
    m.goes_on(SECOND + 60 * SECOND)
    assert waiting(m) == [1]
    m.goes_on(SECOND + 90 * SECOND - 1)
    assert waiting(m) == [1]
    m.goes_on(m.now + 1)
    assert waiting(m) == []


def test_what_does_not_restart_it_keeps_its_place() -> None:
    m = machine()
    peers = [peer_in(m, "TIME-WAIT", port) for port in (1, 2)]
    m.now += 30 * SECOND
    peers[0].says(ACK)
    m.gets(peers[0].packet(ACK, b"old", seq=peers[0].seq - 500))
    assert waiting(m) == [1, 2]
    m.goes_on(SECOND + 60 * SECOND)
    assert waiting(m) == []


@pytest.mark.requirement("MUST-13")
def test_its_length_is_a_parameter() -> None:
    m = machine(tcp_timewait_len="2")
    peer_in(m, "TIME-WAIT", 1)
    m.goes_on(3 * SECOND - 1)
    assert waiting(m) == [1]
    m.goes_on(3 * SECOND)
    assert waiting(m) == []


def test_their_number_is_bounded() -> None:
    m = machine(tcp_max_tw_buckets="3")
    for port in range(1, 6):
        peer = Peer(m, port).opens()
        m.host.release(peer.connection, m.now)
        peer.saw([segment_of(packet) for packet in m.poll()])
        answers = peer.says(FIN | ACK)
        # Whether there is room for it or not: the peer gets its acknowledgment.
        assert [answer.flags for answer in answers] == [ACK]
        assert peer.state == ("TIME-WAIT" if port <= 3 else "CLOSED")
    assert waiting(m) == [1, 2, 3]
    assert m.host.counters["TcpExtTCPTimeWaitOverflow"] == 2
    assert m.host.transport.connections == {}


@pytest.mark.requirement("MAY-2")
@pytest.mark.parametrize("gap", [1, 1000, 1 << 30])
def test_a_syn_beyond_all_numbers_reopens(gap: int) -> None:
    """RFC 9293 §3.6.1 (MAY-2): with an initial number above all that the old connection used."""
    m = machine()
    peer = peer_in(m, "TIME-WAIT", 1)
    last = peer.ack
    again = Peer(m, 1, seq=peer.seq + gap)
    (answer,) = again.says(SYN)
    assert answer.flags == SYN | ACK
    assert (answer.seq - last) & MASK >= 65535
    assert (answer.seq - last) & MASK < 1 << 17
    assert waiting(m) == []
    again.says(ACK)
    assert again.state == "ESTABLISHED"


def test_an_old_syn_does_not_reopen() -> None:
    m = machine()
    peer = peer_in(m, "TIME-WAIT", 1)
    (answer,) = Peer(m, 1, seq=peer.seq - 1000).says(SYN)
    assert answer.flags == ACK
    assert waiting(m) == [1]


def test_a_syn_does_not_end_it_where_nobody_listens() -> None:
    """The active closer was a client. Linux looks for a listener first; without one TIME-WAIT stands."""
    m = Machine()
    listener = m.host.listen(OURS, 80, 5, m.now)
    peer = peer_in(m, "TIME-WAIT", 1)
    m.host.close_listener(listener, m.now)
    (answer,) = Peer(m, 1, seq=peer.seq + 1000).says(SYN)
    assert answer.flags == ACK
    assert waiting(m) == [1]


def test_answers_to_nonsense_are_limited() -> None:
    """tcp_invalid_ratelimit: 500 ms between two."""
    m = machine()
    peer = peer_in(m, "TIME-WAIT", 1)
    nonsense = peer.packet(ACK, b"old", seq=peer.seq - 500)
    assert [len(m.gets(nonsense)) for _ in range(5)] == [1, 0, 0, 0, 0]
    m.now += 500 * MS
    assert len(m.gets(nonsense)) == 1


def test_the_user_may_still_read_what_came_before() -> None:
    m = machine()
    peer = Peer(m, 1).opens()
    connection = peer.connection
    m.host.close(connection, m.now)
    peer.saw([segment_of(packet) for packet in m.poll()])
    peer.says(FIN | ACK, b"last words")
    assert waiting(m) == [1]
    assert b"".join(m.host.receive(connection, 100, m.now)) == b"last words"
    assert m.host.receive(connection, 100, m.now) == []
    m.host.release(connection, m.now)
    assert m.poll() == []
    assert waiting(m) == [1]


def test_the_table() -> None:
    """Order and expiry by themselves."""
    m = machine()
    connection = Peer(m, 1).opens().connection
    connection.parameters = TcpParameters()
    table = TimeWaits()
    assert (len(table), table.next_deadline(), table.pop_expired(NEVER - 1)) == (0, NEVER, None)
    for number in range(3):
        table.put(bytes([number]), time_wait.from_connection(connection, number), restarted=True)
    table.put(b"\0", time_wait.from_connection(connection, 9), restarted=True)
    assert table.flows() == [b"\1", b"\2", b"\0"]
    assert b"\1" in table
    assert table.next_deadline() == 60 * SECOND + 1
    assert table.pop_expired(60 * SECOND) is None
    assert table.pop_expired(60 * SECOND + 2) == b"\1"
    table.remove(b"\2")
    assert table.flows() == [b"\0"]
