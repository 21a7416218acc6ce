"""SYN floods (RFC 4987): a bounded queue, cookies that multiply nothing, and clients who get through."""

from __future__ import annotations

from random import Random

import pytest

from synfin.host.parameters import Parameters
from synfin.tcp.syn_cookies import LIFE, TICK
from synfin.wire.ip import Packet, octets
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, NO_OPTIONS, RST, SYN, Options, Segment
from tests.attacks.attacker import ALL_OPTIONS, FullPeer, length, machine
from tests.host.machine import OURS, SECOND, THEIRS, Machine, segment_of, tcp


def syn(port: int, options: Options = NO_OPTIONS, payload: bytes = b"", source: str = "192.0.2.66") -> Packet:
    segment = Segment(port, 80, port * 7919 & MASK, 0, SYN, 8192, options, (payload,) if payload else ())
    return tcp(source, port, OURS, 80, segment)


def flooded(m: Machine, count: int = 1000, options: Options = NO_OPTIONS) -> list[Packet]:
    """What a host answers to so many SYNs of somebody who is not there."""
    return [answer for port in range(1, count + 1) for answer in m.gets(syn(port, options))]


OPTIONS = {
    "none": NO_OPTIONS,
    "MSS": Options(mss=1460),
    "all": ALL_OPTIONS,
    "timestamps only": Options(ts_val=1, ts_ecr=0),
    "window scale only": Options(window_scale=7),
    "SACK only": Options(sack_permitted=True),
    "MSS and SACK": Options(mss=1460, sack_permitted=True),
    "timestamps and window scale": Options(ts_val=1, ts_ecr=0, window_scale=7),
    "unknown": Options(others=((99, b"12"),)),
}


@pytest.mark.parametrize("payload", [b"", b"x", b"payload of a SYN"])
@pytest.mark.parametrize("name", OPTIONS)
def test_no_cookie_is_longer_than_the_syn(name: str, payload: bytes) -> None:
    m = machine(tcp_syncookies=2)
    packet = syn(5, OPTIONS[name], payload)
    (answer,) = m.gets(packet)
    assert segment_of(answer).flags == SYN | ACK
    assert length(answer) <= length(packet)
    # Nothing is left out that there is room for: the usual SYN gets the usual answer.
    options = segment_of(answer).options
    if name in ("MSS", "all", "MSS and SACK"):
        assert options.mss == 1460
    if name == "all":
        assert (options.window_scale, options.sack_permitted, options.ts_ecr) == (10, True, 1000)
    if "timestamps" in name:
        assert options.ts_ecr == 1


@pytest.mark.parametrize("name", ["none", "MSS", "all", "timestamps only"])
def test_one_who_got_a_short_cookie_is_served(name: str) -> None:
    m = machine(tcp_syncookies=2)
    (answer,) = [segment_of(p) for p in m.gets(syn(5, OPTIONS[name]))]
    assert m.states() == ["LISTEN"]
    stamps = answer.options
    options = Options(ts_val=2, ts_ecr=stamps.ts_val) if stamps.ts_val is not None else NO_OPTIONS
    last = Segment(5, 80, answer.ack, answer.seq + 1 & MASK, ACK, 8192, options, (b"hello",))
    m.gets(tcp("192.0.2.66", 5, OURS, 80, last))
    (connection,) = m.host.transport.connections.values()
    assert connection.receive_queue.octets == 5
    assert connection.timestamps == (stamps.ts_val is not None)
    assert m.host.counters["TcpExtSyncookiesRecv"] == 1


@pytest.mark.parametrize("value", [0, 1, 2])
def test_tcp_syncookies(value: int) -> None:
    """0: those for whom there is no room are dropped; 1: they get cookies; 2: everybody does."""
    m = machine(tcp_syncookies=value)
    answers = flooded(m, 300)
    requests = m.states().count("SYN-RECEIVED")
    assert (len(answers), requests) == {0: (101, 101), 1: (300, 101), 2: (300, 0)}[value]
    assert m.host.counters["TcpExtSyncookiesSent"] == {0: 0, 1: 199, 2: 300}[value]
    assert m.host.counters["TcpExtListenDrops"] == {0: 199, 1: 0, 2: 0}[value]


@pytest.mark.parametrize("name", ["MSS", "all"])
def test_a_flood_is_not_answered_with_more_than_it_brought(name: str) -> None:
    """In all: also what is sent later, when nobody has answered. A SYN of 40 octets alone gets an MSS option more, as
    long as there is room for its request."""
    m = machine()
    answers = flooded(m, 2000, OPTIONS[name])
    answers += m.goes_on(m.now + 300 * SECOND)
    brought = sum(length(syn(port, OPTIONS[name])) for port in range(1, 2001))
    assert len(answers) == 2000
    assert sum(map(length, answers)) <= brought
    assert m.states() == ["LISTEN"]


@pytest.mark.parametrize("late", [0.9, 1.5, 2.9])
def test_an_ack_that_is_late_in_a_flood_is_taken(late: float) -> None:
    """The request of a client who was there before the flood is not forgotten with its first time-out."""
    m = machine()
    client = FullPeer(m, 50_000)
    (answer,) = client.sends(SYN, options=ALL_OPTIONS)
    client.seq, client.ack, client.echo = client.seq + 1, answer.seq + 1, answer.options.ts_val or 0
    flooded(m, 300)
    client.offset = 2000
    assert m.goes_on(m.now + int(late * SECOND)) == []
    client.sends(ACK)
    assert client.state == "ESTABLISHED"


def test_without_a_flood_a_syn_ack_is_repeated() -> None:
    m = machine()
    flooded(m, 100)
    assert len(m.goes_on(m.now + 300 * SECOND)) == 500


def test_after_a_flood_a_syn_ack_is_repeated_again() -> None:
    m = machine()
    flooded(m, 200)
    m.goes_on(m.now + 10 * SECOND)
    assert m.states() == ["LISTEN"]
    flooded(m, 1)
    assert len(m.goes_on(m.now + 300 * SECOND)) == 5


def test_legitimate_clients_are_served_during_a_flood() -> None:
    """Each between a hundred forged SYNs; with all options, though the queue is full all the time."""
    m = machine()
    listener = next(iter(m.host.transport.listeners.values()))
    flooded(m, 100)
    served = 0
    for number in range(50):
        for port in range(100):
            m.gets(syn(1000 + number * 100 + port, ALL_OPTIONS))
        client = FullPeer(m, 50_000 + number, seq=number << 20).opens()
        client.sends(payload=b"please")
        connection = m.host.accept(listener)
        assert b"".join(map(bytes, m.host.receive(connection, 100, m.now))) == b"please"
        assert (connection.timestamps, connection.sack_permitted, connection.snd_wscale) == (True, True, 7)
        served += 1
    assert served == 50
    assert len(listener.requests) == 101


def test_guessed_acks_open_nothing() -> None:
    """One in 2^24 of the right form would, while cookies are about; and none when there are none."""
    m = machine()
    flooded(m, 200)
    random = Random(1)
    for port in range(1000, 6000):
        answers = m.gets(tcp(THEIRS, port, OURS, 80, seq=random.getrandbits(32), ack=random.getrandbits(32), flags=ACK))
        assert [segment_of(answer).flags for answer in answers] == [RST]
    assert m.host.transport.connections == {}


def test_an_old_cookie_is_none() -> None:
    m = machine(tcp_syncookies=2)
    (answer,) = [segment_of(p) for p in m.gets(syn(5))]
    m.now += (LIFE + 1) * TICK
    m.gets(syn(6))
    answers = m.gets(tcp("192.0.2.66", 5, OURS, 80, seq=answer.ack, ack=answer.seq + 1, flags=ACK))
    assert [segment_of(a).flags for a in answers] == [RST]


def test_half_open_children_are_bounded() -> None:
    """From the list of what goes wrong in practice."""
    m = Machine(Parameters())
    m.host.listen(OURS, 80, 1 << 20, m.now)
    for port in range(1, 20_000):
        m.host.octets_arrive(octets(syn(port)), m.eth, m.now)
        m.poll()
    assert m.states().count("SYN-RECEIVED") == 1024
