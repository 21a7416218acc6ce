"""Old duplicates: TIME-WAIT against what could end or reopen it too early (RFC 1337, RFC 6191), and tcp_tw_reuse."""

from __future__ import annotations

from errno import EADDRNOTAVAIL

import pytest

from synfin.sim import Network
from synfin.tcp.connection import Connection
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, RST, SYN, Options
from tests.attacks.attacker import FullPeer, machine
from tests.host.machine import MS, OURS, SECOND, THEIRS, Machine, Peer, peer_in, segment_of, tcp

# --- RFC 1337


@pytest.mark.row("A7")
@pytest.mark.parametrize("flags", [RST, RST | ACK])
@pytest.mark.parametrize(("protected", "after"), [(0, "CLOSED"), (1, "TIME-WAIT")])
def test_time_wait_assassination(flags: int, protected: int, after: str) -> None:
    """RFC 1337 §3 (F1): with tcp_rfc1337 no RST ends TIME-WAIT; Linux's default lets it."""
    m = machine(tcp_rfc1337=protected)
    peer = peer_in(m, "TIME-WAIT", 5000)
    began = m.now
    m.now += SECOND
    assert m.gets(tcp(THEIRS, 5000, OURS, 80, seq=peer.seq, ack=peer.ack, flags=flags)) == []
    assert peer.state == after
    if protected:
        # Nor does it make it last longer, nor is there an answer to one that is not exact.
        assert m.gets(tcp(THEIRS, 5000, OURS, 80, seq=peer.seq + 1, flags=flags)) == []
        m.goes_on(began + 60 * SECOND - 1)
        assert peer.state == "TIME-WAIT"
        m.goes_on(began + 60 * SECOND)
        assert peer.state == "CLOSED"


# --- a SYN for a four-tuple in TIME-WAIT (RFC 9293 §3.6.1, RFC 6191 §2)


def in_time_wait(m: Machine, stamped: bool) -> FullPeer:
    """A peer whose connection the host has closed first; both of its numbers are at 1000 and some."""
    peer = FullPeer(m, 5000)
    if stamped:
        peer.opens()
    else:
        (answer,) = [segment_of(packet) for packet in m.gets(peer.forged(SYN, options=Options(mss=1460)))]
        peer.seq, peer.ack = peer.seq + 1, answer.seq + 1
        m.gets(peer.forged(ACK, options=NO_OPTIONS))
    m.host.release(peer.connection, m.now)
    peer.ack += sum(segment_of(packet).length for packet in m.poll())
    m.gets(peer.forged(FIN | ACK, options=None if stamped else NO_OPTIONS))
    peer.seq += 1
    assert peer.state == "TIME-WAIT"
    return peer


@pytest.mark.parametrize(
    ("stamped", "later", "beyond", "rule", "reopens"),
    [
        (True, 1, -500, 0, True),
        (True, 1, 500, 0, True),
        (True, 0, 500, 0, True),
        (True, 0, -500, 0, False),
        (True, -1, 500, 0, False),
        (True, -1, -500, 0, False),
        (True, None, 500, 0, True),
        (True, None, -500, 0, False),
        (False, None, 500, 0, True),
        (False, None, -500, 0, False),
        # Where the old connection had no timestamps: Linux looks at the number alone, RFC 6191 lets any come in.
        (False, 1, -500, 0, False),
        (False, 1, -500, 1, True),
    ],
)
def test_which_syn_reopens(stamped: bool, later: int | None, beyond: int, rule: int, reopens: bool) -> None:
    m = machine(tcp_reopen_by_timestamps=rule)
    peer = in_time_wait(m, stamped)
    last = peer.clock
    peer.seq += beyond
    options = Options(mss=1460) if later is None else Options(mss=1460, ts_val=last + later & MASK, ts_ecr=0)
    answers = [segment_of(packet) for packet in m.gets(peer.forged(SYN, options=options))]
    if reopens:
        (answer,) = answers
        assert answer.flags == SYN | ACK
        assert (answer.seq - peer.ack) & MASK > 65535
    else:
        assert peer.state == "TIME-WAIT"
        assert all(answer.flags == ACK for answer in answers)


# --- tcp_tw_reuse


class Reuse:
    """A host with one port, which has connected to a peer and closed first."""

    def __init__(self, stamped: bool = True, **values: object) -> None:
        self.machine = m = machine(ip_local_port_range=(40000, 40000), **values)
        self.first = m.host.connect(THEIRS, 80, m.now)
        (syn,) = [segment_of(packet) for packet in m.poll()]
        self.peer = FullPeer(m)
        self.peer.port, self.peer.to_port, self.peer.ack = 80, 40000, syn.seq + 1
        assert syn.options.ts_val is not None
        self.stamped = stamped
        self.peer.echo = syn.options.ts_val
        self.answer()
        m.host.release(self.first, m.now)
        self.peer.ack += sum(segment_of(packet).length for packet in m.poll())
        m.gets(self.peer.forged(FIN | ACK, options=None if stamped else NO_OPTIONS))
        assert self.peer.state == "TIME-WAIT"

    def answer(self) -> None:
        stamps = (self.peer.clock, self.peer.echo) if self.stamped else (None, None)
        options = Options(mss=1460, ts_val=stamps[0], ts_ecr=stamps[1])
        self.machine.gets(self.peer.forged(SYN | ACK, options=options))
        self.peer.seq += 1
        assert self.peer.state == "ESTABLISHED"

    def connect(self) -> Connection | None:
        """The new connection; None if there is no port for it."""
        try:
            return self.machine.host.connect(THEIRS, 80, self.machine.now)
        except OSError as error:
            if error.errno != EADDRNOTAVAIL:
                raise
            return None


@pytest.mark.row("D4")
def test_a_port_in_time_wait_is_used_again_after_a_second() -> None:
    r = Reuse(tcp_tw_reuse=1)
    r.machine.now += 1000 * MS
    assert r.connect() is None
    r.machine.now += MS
    again = r.connect()
    assert again is not None
    assert again.identity.local_port == 40000
    # Beyond all numbers of the old connection, and on the same clock, so that the peer reopens too.
    assert again.iss == (r.first.snd_nxt + 65535 + 2) & MASK
    (syn,) = [segment_of(packet) for packet in r.machine.poll()]
    assert syn.options.ts_val is not None
    assert syn.options.ts_val - r.peer.echo > 1000
    assert r.machine.host.counters["TcpExtTWRecycled"] == 1
    r.peer.seq, r.peer.ack, r.peer.echo = 777_777, syn.seq + 1, syn.options.ts_val
    r.answer()


@pytest.mark.parametrize(
    "values",
    [
        {"tcp_tw_reuse": 0},
        # The default: loopback only.
        {},
        {"tcp_tw_reuse": 2},
        {"tcp_tw_reuse": 1, "tcp_tw_reuse_delay": 30_000},
        {"tcp_tw_reuse": 1, "stamped": False},
        {"tcp_tw_reuse": 1, "turned_off": True},
    ],
)
def test_where_a_port_in_time_wait_is_left_alone(values: dict[str, int]) -> None:
    r = Reuse(**{name: value for name, value in values.items() if name != "turned_off"})  # type: ignore[arg-type]
    if "turned_off" in values:
        r.machine.host.parameters.set("net.ipv4.tcp_timestamps", "0")
    r.machine.now += 10 * SECOND
    assert r.connect() is None
    r.machine.goes_on(r.machine.now + 60 * SECOND)
    assert r.connect() is not None


@pytest.mark.parametrize(("reuse", "works"), [(2, True), (1, True), (0, False)])
def test_reuse_on_loopback(reuse: int, works: bool) -> None:
    network = Network(0)
    node = network.host("alone")
    node.parameters.tcp.tcp_tw_reuse = reuse
    node.parameters.ip_local_port_range = (40000, 40000)
    listener = node.listen("127.0.0.1", 80)
    for attempt in range(3):
        if attempt and not works:
            with pytest.raises(OSError, match="Cannot assign"):
                node.connect("127.0.0.1", 80)
            continue
        connection = node.connect("127.0.0.1", 80)
        network.run(network.now + SECOND)
        accepted = node.accept(listener)
        node.send(connection, b"again")
        node.close(connection)
        network.run(network.now + SECOND)
        assert node.receive(accepted) == b"again"
        node.release(accepted)
        node.release(connection)
        network.run(network.now + 2 * SECOND)


def test_the_delay_counts_from_the_beginning_of_time_wait() -> None:
    """Also when the FIN comes again and its 2 MSL start anew."""
    r = Reuse(tcp_tw_reuse=1)
    r.machine.now += 900 * MS
    r.machine.gets(r.peer.forged(FIN | ACK))
    assert r.peer.state == "TIME-WAIT"
    r.machine.now += 101 * MS
    assert r.connect() is not None


@pytest.mark.row("C10")
def test_data_of_the_old_connection_do_not_enter_the_new_one() -> None:
    """RFC 7323 §5.2: after reuse, an old segment that falls into the window bears an old timestamp."""
    r = Reuse(tcp_tw_reuse=1)
    r.machine.now += 2 * SECOND
    old = r.peer.clock
    again = r.connect()
    assert again is not None
    (syn,) = [segment_of(packet) for packet in r.machine.poll()]
    r.machine.now += SECOND
    r.peer.ack, r.peer.echo = syn.seq + 1, syn.options.ts_val or 0
    r.answer()
    delayed = r.peer.forged(ACK, b"old!", options=Options(ts_val=old, ts_ecr=0))
    r.machine.gets(delayed)
    assert again.receive_queue.octets == 0
    assert r.machine.host.counters["TcpExtPAWSEstab"] == 1
    r.peer.sends(ACK, b"new!")
    assert again.receive_queue.octets == 4


def test_peers_of_old_do_not_reset_a_four_tuple_that_is_in_use() -> None:
    """A RST of the old connection arrives at the new one: its number is not exact."""
    m = machine()
    peer = Peer(m, 5000, seq=1000).opens()
    m.gets(tcp(THEIRS, 5000, OURS, 80, seq=peer.seq - 1, flags=RST))
    m.gets(tcp(THEIRS, 5000, OURS, 80, seq=peer.seq + 1, flags=RST))
    assert peer.state == "ESTABLISHED"
