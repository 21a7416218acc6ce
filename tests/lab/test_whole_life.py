"""The whole life of a connection: seven messages, and what happens when one of them is lost (row E6)."""

from __future__ import annotations

import pytest

from synfin.events import Event, PacketTransmitted, StateChanged
from synfin.lab import whole_life
from synfin.show.history import History
from synfin.wire.ip import octets
from synfin.wire.tcp import ACK, FIN, PSH, SYN, Segment

SEVEN = (SYN, SYN | ACK, ACK, FIN, ACK, FIN, ACK)


def path(events: list[Event], host: str) -> list[str]:
    changes = [e for e in events if isinstance(e, StateChanged) and e.host == host]
    return [changes[0].old, *(e.new for e in changes)]


def on_the_wire(events: list[Event]) -> list[tuple[int, str, bytes]]:
    return [(e.time, e.host, octets(e.packet)) for e in events if isinstance(e, PacketTransmitted)]


def segments(events: list[Event]) -> list[tuple[str, Segment]]:
    return [
        (e.host, e.packet.payload)
        for e in events
        if isinstance(e, PacketTransmitted) and isinstance(e.packet.payload, Segment)
    ]


@pytest.mark.row("E6", "A1", "A2", "A3", "A4", "C1", "C2", "C4", "C5")
def test_seven_messages() -> None:
    events = whole_life.run()
    history = History.from_events(events)
    x = y = u = w = 0
    for number in range(1, 8):
        message = history.message(number)
        assert message is not None, number
        segment = message.segment
        assert segment.payload_length == 0
        assert segment.flags & (SYN | ACK) == SEVEN[number - 1] & (SYN | ACK) or segment.flags & FIN
        assert segment.flags & FIN == SEVEN[number - 1] & FIN
        match number:
            case 1:
                x = segment.seq
            case 2:
                y = segment.seq
                assert segment.ack == (x + 1) % (1 << 32)
            case 3:
                assert (segment.seq, segment.ack) == ((x + 1) % (1 << 32), (y + 1) % (1 << 32))
            case 4:
                u = segment.seq
                assert u == (x + 1 + len("Hello, Server!")) % (1 << 32)
            case 5:
                assert segment.ack == (u + 1) % (1 << 32)
            case 6:
                w = segment.seq
                assert w == (y + 1 + len("Hello, Client!")) % (1 << 32)
                assert segment.ack == (u + 1) % (1 << 32)
            case 7:
                assert (segment.seq, segment.ack) == ((u + 1) % (1 << 32), (w + 1) % (1 << 32))
    assert history.message(8) is None


@pytest.mark.row("E6")
def test_both_paths() -> None:
    events = whole_life.run()
    assert path(events, "client") == [
        "CLOSED",
        "SYN-SENT",
        "ESTABLISHED",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
        "CLOSED",
    ]
    assert path(events, "server") == [
        "CLOSED",
        "LISTEN",
        "SYN-RECEIVED",
        "ESTABLISHED",
        "CLOSE-WAIT",
        "LAST-ACK",
        "CLOSED",
    ]
    assert [segment.payload_bytes() for _, segment in segments(events) if segment.flags & PSH] == [
        b"Hello, Server!",
        b"Hello, Client!",
    ]
    # Messages do not cross: each is sent after the one before it arrived.
    assert [host for host, _ in segments(events)][:3] == ["client", "server", "client"]


@pytest.mark.row("E6", "A8", "A9", "A10", "B8", "C8")
@pytest.mark.parametrize("message", range(1, 8))
@pytest.mark.parametrize("seed", [0, 12])
def test_any_of_them_may_be_lost(message: int, seed: int) -> None:
    """Both ends come to CLOSED all the same, and the history up to the fault is that without it."""
    plain, forked = whole_life.run(seed), whole_life.run_and_lose(message, seed)
    for host in ("client", "server"):
        assert path(forked, host)[-1] == "CLOSED"
    lost = History.from_events(forked).lost
    assert len(lost) == 1
    number = lost[0].number
    assert number
    assert on_the_wire(plain)[:number] == on_the_wire(forked)[:number]
    known = History.from_events(plain).message(message)
    assert known is not None
    assert known.segment == lost[0].segment
    assert (known.number, known.time) == (lost[0].number, lost[0].time)
    # Both said what they had to say.
    said = {(host, s.payload_bytes()) for host, s in segments(forked) if s.payload_length}
    assert said == {("client", b"Hello, Server!"), ("server", b"Hello, Client!")}


@pytest.mark.row("B8")
@pytest.mark.parametrize("message", range(1, 8))
def test_any_of_them_may_be_damaged(message: int) -> None:
    """Dropped in silence, and from then on as if it had been lost: octet for octet."""
    known = History.from_events(whole_life.run()).message(message)
    assert known is not None
    damaged = whole_life.run(0, (f"corrupt packet {known.number}",))
    assert on_the_wire(damaged) == on_the_wire(whole_life.run_and_lose(message))
    for host in ("client", "server"):
        assert path(damaged, host) == path(whole_life.run_and_lose(message), host)


@pytest.mark.parametrize("message", [0, 8, -1, 100])
def test_there_is_no_such_message(message: int) -> None:
    with pytest.raises(ValueError, match=str(message)):
        whole_life.run_and_lose(message)


@pytest.mark.row("A5")
def test_the_seed_chooses_the_numbers_and_nothing_else() -> None:
    first, second = whole_life.run(1), whole_life.run(2)
    assert [s.flags for _, s in segments(first)] == [s.flags for _, s in segments(second)]
    assert [(e.time, e.host) for e in first] == [(e.time, e.host) for e in second]
    for number in (1, 2):
        ours, theirs = (History.from_events(events).message(number) for events in (first, second))
        assert ours is not None
        assert theirs is not None
        assert ours.segment.seq != theirs.segment.seq
    assert on_the_wire(first) == on_the_wire(whole_life.run(1))
