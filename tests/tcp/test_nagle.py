"""Nagle's algorithm, as Minshall has it, its switch, and PSH (rows B6, B7, B9)."""

from __future__ import annotations

import pytest

from synfin.wire.tcp import PSH
from tests.tcp.world import MS, SECOND, World, by_client, data


def sizes(w: World, since: int = 0) -> list[int]:
    return [m.segment.payload_length for m in w.messages[since:] if by_client(data)(m)]


@pytest.mark.row("B7")
@pytest.mark.requirement("SHLD-7", "MUST-60")
def test_a_small_segment_waits_while_another_is_not_acknowledged() -> None:
    w = World()
    w.connect()
    for octet in b"nagle":
        w.client.send(bytes([octet]))
        w.flush()
    assert sizes(w) == [1]
    w.run_for(SECOND)
    # The rest goes in one segment when the ACK of the first arrives.
    assert sizes(w) == [1, 4]
    assert w.times(by_client(data)) == pytest.approx([0.03, 0.05])


@pytest.mark.row("B7")
@pytest.mark.requirement("MUST-17")
def test_nodelay() -> None:
    w = World()
    w.connect()
    w.client.tcb.settings.nodelay = True
    for octet in b"nagle":
        w.client.send(bytes([octet]))
        w.flush()
    assert sizes(w) == [1] * 5
    assert w.times(by_client(data)) == [0.03] * 5


@pytest.mark.row("B7")
def test_minshall_a_full_segment_in_flight_holds_nothing_back() -> None:
    w = World()
    w.connect()
    w.client.send(bytes(1448))
    w.flush()
    w.client.send(bytes(10))
    w.flush()
    assert sizes(w) == [1448, 10]
    w.client.send(bytes(10))
    w.flush()
    assert sizes(w) == [1448, 10]
    w.client.send(bytes(1448))
    w.flush()
    assert sizes(w) == [1448, 10, 1448], "a full segment never waits"


@pytest.mark.row("B7")
def test_the_last_segment_of_all_does_not_wait() -> None:
    w = World()
    w.connect()
    w.client.send(b"a")
    w.flush()
    w.client.send(b"b")
    w.client.close()
    w.flush()
    assert sizes(w) == [1, 1]


@pytest.mark.row("B7")
def test_write_write_read_stalls_with_delayed_acknowledgments() -> None:
    w = World()
    w.connect()
    w.server.reading = True
    # The server becomes interactive: it answers what it receives.
    for _ in range(30):
        w.client.send(b"question")
        w.run_for(15 * MS)
        w.server.send(b"answer")
        w.run_for(35 * MS)
    w.client.receive()
    w.run_for(500 * MS)
    since, start = len(w.messages), w.now
    w.client.send(b"head")
    w.flush()
    w.client.send(b"body")
    w.run_for(SECOND)
    second = [m for m in w.messages[since:] if by_client(data)(m)][1]
    assert 40 * MS <= second.time - start - 20 * MS <= 200 * MS


@pytest.mark.row("B6")
@pytest.mark.requirement("MUST-61")
def test_push_ends_each_write_and_the_last_of_what_is_buffered() -> None:
    w = World()
    w.connect()
    w.client.send(bytes(3000))
    w.flush()
    pushes = [(m.segment.payload_length, bool(m.segment.flags & PSH)) for m in w.messages if by_client(data)(m)]
    assert pushes == [(1448, False), (1448, False), (104, True)]


@pytest.mark.row("B9")
def test_boundaries_are_not_kept() -> None:
    w = World()
    w.connect()
    # Two writes, one read.
    w.client.send(b"one")
    w.client.send(b"two")
    w.run_for(SECOND)
    assert w.server.receive() == b"onetwo"
    # One write, several reads.
    w.client.send(b"abcdef")
    w.run_for(SECOND)
    assert [w.server.receive(2), w.server.receive(3), w.server.receive(100)] == [b"ab", b"cde", b"f"]
    with pytest.raises(BlockingIOError):
        w.server.receive()
