"""What a user may set on one socket, and what a change while it is open does."""

from __future__ import annotations

import pytest

from synfin.events import Event, SegmentSent
from synfin.sim import Network, Node
from synfin.tcp import changing
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.readiness import POLLIN, POLLOUT
from synfin.tcp.settings import Settings
from synfin.wire.ip import Packet
from synfin.wire.tcp import RST
from tests.tcp.world import MS, SECOND, World, bare_ack, by_server, syn_ack


def opened(settings: Settings | None = None) -> World:
    w = World()
    listener = w.server.listen()
    if settings is not None:
        listener.settings = settings
    w.connect()
    w.run_for(SECOND)
    return w


def test_a_connection_of_a_listener_has_a_copy() -> None:
    settings = Settings()
    for number, name in enumerate(Settings.__slots__):
        value = getattr(settings, name)
        if isinstance(value, int) and name not in ("rcv_buf", "window_clamp", "max_segment", "defer_accept"):
            setattr(settings, name, type(value)(number % 2 if isinstance(value, bool) else number + 1))
    w = opened(settings)
    copied = w.server.tcb.settings
    assert copied is not settings
    for name in Settings.__slots__:
        assert getattr(copied, name) == getattr(settings, name), name
    copied.ttl = 9
    assert settings.ttl != 9


# --- sizes


def test_a_smaller_receive_buffer_takes_no_window_back() -> None:
    # SHLD-14
    w = opened()
    server = w.server.tcb
    edge = server.rcv_adv
    changing.set_rcv_buf(server, 4608, w.now)
    w.client.write(b"x" * 200_000)
    w.run_for(SECOND)
    # All that was promised is taken, and no more than a rounding on top.
    assert 0 <= server.rcv_adv - edge < 1 << server.rcv_wscale
    assert server.receive_queue.octets >= edge - server.irs - 1
    assert server.rcv_buf == 4608
    w.server.reading = True
    w.server.read_limit = 500
    w.run_for(60 * SECOND)
    assert len(w.server.received) == 200_000
    # It no longer tunes itself, and offers half of what it is.
    assert server.rcv_buf == 4608
    assert server.rcv_wnd <= 2304 + (1 << server.rcv_wscale)


def test_a_larger_receive_buffer_is_offered() -> None:
    w = opened()
    changing.set_rcv_buf(w.server.tcb, 1 << 20, w.now)
    w.server.reading = True
    w.client.write(bytes(1_000_000))
    w.run_for(5 * SECOND)
    assert 500_000 < w.client.tcb.max_snd_wnd <= (1 << 19) + (1 << w.client.tcb.snd_wscale)


def test_the_send_buffer_holds_what_the_user_says() -> None:
    w = opened()
    changing.set_snd_buf(w.client.tcb, 5000, w.now)
    assert w.client.send(b"x" * 100_000) == 5000
    with pytest.raises(BlockingIOError):
        w.client.send(b"x")
    changing.set_snd_buf(w.client.tcb, 100_000, w.now)
    assert w.client.send(b"x" * 200_000) == 95_000


def test_the_window_is_clamped() -> None:
    w = opened()
    w.server.tcb.settings.window_clamp = 3000
    w.client.write(b"x" * 200_000)
    w.server.reading = True
    w.run_for(60 * SECOND)
    assert len(w.server.received) == 200_000
    assert w.client.tcb.snd_wnd <= 3000 + (1 << w.server.tcb.rcv_wscale)


def test_segments_no_larger_than_the_user_wants() -> None:
    settings = Settings()
    settings.max_segment = 500
    w = opened(settings)
    # Told to the peer, and kept to.
    w.client.send(b"x" * 2000)
    w.server.send(b"x" * 2000)
    w.run_for(SECOND)
    assert max(m.segment.payload_length for m in w.messages) == 488
    assert next(m.segment.options.mss for m in w.messages if by_server(syn_ack)(m)) == 500


# --- readiness


def test_so_many_octets_make_it_readable() -> None:
    w = opened()
    server = w.server.tcb
    changing.set_rcv_lowat(server, 10, w.now)
    w.client.send(b"x" * 9)
    w.run_for(SECOND)
    assert not server.readiness() & POLLIN
    w.client.send(b"x")
    w.run_for(SECOND)
    assert server.readiness() & POLLIN
    w.server.receive(1)
    assert not server.readiness() & POLLIN
    # The end does so in any case.
    w.client.close()
    w.run_for(SECOND)
    assert server.readiness() & POLLIN


def test_more_than_ever_fits_is_not_waited_for() -> None:
    w = opened()
    server = w.server.tcb
    changing.set_rcv_buf(server, 8000, w.now)
    changing.set_rcv_lowat(server, 1 << 30, w.now)
    assert server.settings.rcv_lowat == 4000
    other = w.client.tcb
    changing.set_rcv_lowat(other, 200_000, w.now)
    assert other.rcv_buf >= 400_000
    # And a full window makes it readable, whatever was asked for.
    server.settings.rcv_lowat = 1 << 30
    w.client.write(b"x" * 400_000)
    w.run_for(SECOND)
    assert server.readiness() & POLLIN


def test_little_that_is_not_sent_lets_a_writer_wait() -> None:
    # TCP_NOTSENT_LOWAT
    w = opened()
    client = w.client.tcb
    client.settings.notsent_lowat = 10_000
    changing.set_snd_buf(client, 1 << 20, w.now)
    # As on Linux whole segments are taken, here seven.
    assert client.send(b"x" * 100_000, w.now) == 10_136
    assert not client.readiness() & POLLOUT
    with pytest.raises(BlockingIOError):
        client.send(b"x", w.now)
    # What is sent no longer counts, though nobody has acknowledged it.
    w.flush()
    assert client.unsent == 0
    assert client.readiness() & POLLOUT
    assert client.send(b"x" * 100_000, w.now) == 10_136


def test_the_host_may_say_how_little() -> None:
    w = World(client=TcpParameters())
    w.connect()
    w.client.parameters.tcp_notsent_lowat = 5000
    changing.set_snd_buf(w.client.tcb, 1 << 20, w.now)
    assert w.client.send(b"x" * 100_000) == 4 * 1448


# --- acknowledging, congestion control


def test_quick_acknowledgments() -> None:
    # TCP_QUICKACK
    w = opened()
    server = w.server.tcb
    assert changing.quickack(server)
    changing.set_quickack(server, 0, w.now)
    assert not changing.quickack(server)
    w.server.reading = True
    start = w.now
    w.client.send(b"x")
    w.run_for(30 * MS)
    assert not any(by_server(bare_ack)(m) for m in w.messages if m.time > start)
    # Set while one waits: it goes now.
    changing.set_quickack(server, 1, w.now)
    w.flush()
    assert [m.time for m in w.messages if by_server(bare_ack)(m)] == [w.now]
    assert changing.quickack(server)
    # An even number: this one only.
    changing.set_quickack(server, 0, w.now)
    w.client.send(b"y")
    w.run_for(30 * MS)
    changing.set_quickack(server, 2, w.now)
    w.flush()
    assert [m.time for m in w.messages if by_server(bare_ack)(m)][1:] == [w.now]
    assert not changing.quickack(server)


def test_the_congestion_control_of_a_live_connection() -> None:
    w = opened()
    client = w.client.tcb
    before = client.congestion
    client.cwnd = 12345
    changing.set_congestion_control(client, "reno", w.now)
    assert client.congestion is not before
    assert client.cwnd == 12345
    assert client.settings.congestion_control == "reno"
    with pytest.raises(KeyError):
        changing.set_congestion_control(client, "nonsense", w.now)
    assert client.settings.congestion_control == "reno"


# --- what the IP header says


class Wire:
    """A client and a server that listens, and each packet that either sent."""

    def __init__(self, version: int = 4) -> None:
        self.events: list[Event] = []
        self.network = Network(1, self.events.append)
        self.client = self.network.host("client")
        self.server = self.network.host("server")
        ours, theirs = ("10.0.0.1/24", "10.0.0.2/24") if version == 4 else ("fd00::1/64", "fd00::2/64")
        self.network.wire(self.client, ours, self.server, theirs, delay=10 * MS)
        self.address = theirs.partition("/")[0]
        self.listener = self.server.listen(self.address, 80)

    def connect(self) -> Connection:
        connection = self.client.connect(self.address, 80)
        self.network.run(self.network.now + SECOND)
        return connection

    def run(self) -> None:
        self.network.run(self.network.now + SECOND)

    def sent(self, node: Node) -> list[Packet]:
        return [event.packet for event in self.events if isinstance(event, SegmentSent) and event.host == node.name]


def test_ttl_and_dscp_of_each_packet() -> None:
    # MUST-48, MUST-49, SHLD-21, SHLD-22
    wire = Wire()
    wire.listener.settings.ttl = 33
    # The last two bits are ECN's.
    wire.listener.settings.traffic_class = 0x2F
    connection = wire.connect()
    assert {(p.ttl, p.traffic_class) for p in wire.sent(wire.client)} == {(64, 0)}
    accepted = wire.server.accept(wire.listener)
    # Of the segment that completed the handshake.
    assert (accepted.received_ttl, accepted.received_traffic_class) == (64, 0)
    wire.server.send(accepted, b"x")
    wire.run()
    assert len(wire.sent(wire.server)) == 2
    assert {(p.ttl, p.traffic_class) for p in wire.sent(wire.server)} == {(33, 0x2C)}
    # MAY-9
    assert (connection.received_ttl, connection.received_traffic_class) == (33, 0x2C)
    assert (accepted.received_ttl, accepted.received_traffic_class) == (64, 0)
    # Changed while it is open; the listener's stay.
    accepted.settings.ttl = 7
    accepted.settings.traffic_class = 0xB8
    wire.server.send(accepted, b"y")
    wire.run()
    assert (wire.sent(wire.server)[-1].ttl, wire.sent(wire.server)[-1].traffic_class) == (7, 0xB8)
    assert wire.listener.settings.ttl == 33


def test_of_a_reset_and_in_time_wait() -> None:
    wire = Wire()
    connection = wire.connect()
    accepted = wire.server.accept(wire.listener)
    connection.settings.traffic_class = 0x48
    wire.client.host.close(connection, wire.network.now)
    wire.client.run()
    wire.network.run(wire.network.now + SECOND)
    wire.server.host.close(accepted, wire.network.now)
    wire.server.run()
    wire.run()
    assert wire.client.host.transport.time_waits.flows()
    before = len(wire.sent(wire.client))
    # The peer's FIN again.
    fin = next(p for p in reversed(wire.sent(wire.server)) if getattr(p.payload, "flags", 0) & 1)
    wire.client.host.packet_arrives(fin, wire.client.host.interfaces[1], wire.network.now)
    wire.client.run()
    assert [p.traffic_class for p in wire.sent(wire.client)[before:]] == [0x48]

    wire = Wire()
    connection = wire.connect()
    connection.settings.traffic_class = 0x48
    connection.settings.ttl = 5
    wire.client.host.abort(connection, wire.network.now)
    wire.client.run()
    last = wire.sent(wire.client)[-1]
    assert getattr(last.payload, "flags", 0) & RST
    assert (last.traffic_class, last.ttl) == (0x48, 5)


def test_flow_labels() -> None:
    # RFC 6437 §3: one for all packets of a connection, and nobody can guess it.
    wire = Wire(6)
    wire.connect()
    accepted = wire.server.accept(wire.listener)
    wire.server.send(accepted, b"x")
    wire.run()
    labels = {p.flow_label for p in wire.sent(wire.server)}
    assert len(wire.sent(wire.server)) == 2
    assert len(labels) == 1
    assert 0 < labels.pop() < 1 << 20
    others = {p.flow_label for p in wire.sent(wire.client)}
    assert len(others) == 1
    before = len(wire.sent(wire.client))
    second = wire.connect()
    assert {p.flow_label for p in wire.sent(wire.client)[before:]} != others
    second.settings.flow_label = 0x12345
    wire.client.send(second, b"y")
    wire.run()
    assert wire.sent(wire.client)[-1].flow_label == 0x12345


def test_ipv4_has_no_flow_label() -> None:
    wire = Wire()
    wire.connect()
    assert {p.flow_label for p in wire.sent(wire.client)} == {0}


def test_more_through_the_host_and_urgent_too() -> None:
    wire = Wire()
    connection = wire.connect()
    before = len(wire.sent(wire.client))
    wire.client.host.send(connection, b"a", wire.network.now, more=True)
    wire.client.run()
    assert len(wire.sent(wire.client)) == before
    wire.client.host.send_urgent(connection, b"!", wire.network.now)
    wire.client.run()
    assert [getattr(p.payload, "payload_length", 0) for p in wire.sent(wire.client)[before:]] == [2]
