"""OPEN, passive and active (RFC 9293 §3.5, §3.9.1.1), and the addresses of both ends."""

from __future__ import annotations

import pytest

from synfin.host import addresses, calls, profiles
from synfin.host.host import Host
from synfin.host.socket_option_numbers import SO_REUSEADDR, SOL_SOCKET
from synfin.host.socket_options import setsockopt
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, RST, SYN, Options
from tests.conformance.under import every_profile, machine, opened, world
from tests.host.machine import OURS, SECOND, SECRET, STATES, THEIRS, Machine, Peer, peer_in, segment_of


@pytest.mark.requirement("MUST-11")
@every_profile
def test_a_reset_in_syn_received_depends_on_how_it_began(profile: str) -> None:
    """RFC 9293 §3.10.7.4, second step: back to LISTEN after a passive open, "connection refused" after an active
    one that met another."""
    m = machine(profile)
    listener = m.host.listen(OURS, 80, 5, m.now)
    passive = Peer(m)
    passive.says(SYN)
    assert passive.says(RST) == []
    assert m.states() == ["LISTEN"]
    assert m.host.take_changed() == [], "nobody is told"
    # The listener goes on.
    again = Peer(m, 40001).opens()
    assert listener.accept() is again.connection

    m = machine(profile)
    connection = m.host.connect(THEIRS, 80, m.now)
    (syn,) = m.poll()
    active = Peer(m, 80, connection.identity.local_port)
    (answer,) = active.says(SYN)
    assert (answer.flags, answer.seq) == (SYN | ACK, segment_of(syn).seq)
    assert active.state == "SYN-RECEIVED"
    active.says(RST)
    assert m.states() == []
    with pytest.raises(ConnectionRefusedError):
        m.host.receive(connection, 1, m.now)


@pytest.mark.requirement("MUST-41")
@every_profile
def test_a_passive_open_leaves_what_exists_alone(profile: str) -> None:
    m = machine(profile)
    first = m.host.listen(OURS, 80, 20, m.now)
    peers = [peer_in(m, state, 1000 + number) for number, state in enumerate(STATES) if state != "SYN-RECEIVED"]
    before = sorted(m.states())
    with pytest.raises(OSError, match="in use"):
        m.host.listen(OURS, 80, 5, m.now)
    assert m.host.transport.listeners[addresses.packed(OURS), 80] is first
    assert sorted(m.states()) == before
    m.host.close_listener(first, m.now)
    m.poll()
    accepted = peer_in(m, "SYN-SENT", 2000)
    m.host.listen(OURS, 80, 5, m.now)
    m.host.listen(OURS, accepted.to_port, 5, m.now)
    assert peers[0].state == accepted.state == "SYN-SENT"
    accepted.ack = accepted.connection.snd_nxt
    accepted.says(SYN | ACK)
    assert accepted.state == "ESTABLISHED"


@pytest.mark.requirement("MUST-42")
@pytest.mark.parametrize("state", ["SYN-SENT", "SYN-RECEIVED"])
@pytest.mark.parametrize("address", [OURS, "0.0.0.0"])
@every_profile
def test_listening_at_the_port_of_a_connection_that_opens(profile: str, state: str, address: str) -> None:
    m = machine(profile)
    connection = m.host.connect(THEIRS, 80, m.now, (OURS, 5000))
    opening = Peer(m, 80, 5000)
    opening.saw([segment_of(packet) for packet in m.poll()])
    if state == "SYN-RECEIVED":
        opening.says(SYN)
    assert opening.state == state
    listener = m.host.listen(address, 5000, 5, m.now)
    # A stranger comes in, and the open goes on.
    stranger = Peer(m, 40000, 5000).opens()
    assert listener.accept() is stranger.connection
    opening.says(ACK if state == "SYN-RECEIVED" else SYN | ACK)
    assert opening.state == "ESTABLISHED"
    assert opening.connection is connection


@pytest.mark.requirement("MUST-42")
@every_profile
def test_the_same_with_sockets(profile: str) -> None:
    """With SO_REUSEADDR on both, as hosts have it."""
    m = machine(profile)
    for number in range(2):
        sock = calls.socket(m.host)
        setsockopt(m.host, sock, SOL_SOCKET, SO_REUSEADDR, 1, m.now)
        calls.bind(m.host, sock, (OURS, 5000))
        if number == 0:
            with pytest.raises(BlockingIOError):
                calls.connect(m.host, sock, (THEIRS, 80), m.now)
        else:
            calls.listen(m.host, sock, 5, m.now)
    assert sorted(m.states()) == ["LISTEN", "SYN-SENT"]


class Multihomed(Machine):
    """A machine with two networks, and two addresses in the first of them."""

    def __init__(self, profile: str) -> None:
        super().__init__()
        self.host = Host("multihomed", SECRET, profiles.parameters(profile))
        self.eth = self.host.add_interface("eth0", ["192.0.2.1/24", "192.0.2.11/24"], 1500)
        self.other = self.host.add_interface("eth1", ["198.51.100.1/24"], 1500)

    def polls(self) -> list[Packet]:
        """All that leaves through either interface."""
        packets = []
        for interface in (self.eth, self.other):
            while (packet := self.host.poll_transmit(interface, self.now)) is not None:
                packets.append(packet)
        return packets


@pytest.mark.requirement("MUST-43")
@pytest.mark.parametrize("local", ["192.0.2.1", "192.0.2.11", "198.51.100.1"])
@every_profile
def test_the_local_address_can_be_given(profile: str, local: str) -> None:
    m = Multihomed(profile)
    m.host.connect(THEIRS, 80, m.now, (local, 0))
    (syn,) = m.polls()
    assert addresses.text(syn.source) == local
    m.host.listen(local, 80, 5, m.now)
    for own in ("192.0.2.1", "192.0.2.11"):
        (answer,) = Peer(m, to=own).says(SYN)
        assert answer.flags == (SYN | ACK if own == local else RST | ACK)


@pytest.mark.requirement("MUST-44")
@every_profile
def test_without_one_the_network_layer_chooses(profile: str) -> None:
    m = Multihomed(profile)
    for remote, local in (("192.0.2.2", "192.0.2.1"), ("198.51.100.2", "198.51.100.1")):
        connection = m.host.connect(remote, 80, m.now)
        assert addresses.text(connection.identity.local_address) == local
        (syn,) = m.polls()
        assert addresses.text(syn.source) == local


@pytest.mark.requirement("MUST-45")
@every_profile
def test_the_address_stays_though_the_routes_change(profile: str) -> None:
    m = Multihomed(profile)
    route = m.host.routes.add(addresses.Network(addresses.packed("203.0.113.0"), 24), m.eth)
    m.host.connect("203.0.113.2", 80, m.now)
    (syn,) = m.polls()
    assert addresses.text(syn.source) == "192.0.2.1"
    m.host.routes.remove(route)
    m.host.add_route("203.0.113.0/24", m.other)
    sources = set()
    while m.now < 30 * SECOND:
        m.now = m.host.next_deadline()
        m.host.deadline_reached(m.now)
        sources |= {addresses.text(packet.source) for packet in m.polls()}
    assert sources == {"192.0.2.1"}


@pytest.mark.requirement("MUST-45")
@every_profile
def test_an_answer_comes_from_the_address_that_was_asked(profile: str) -> None:
    m = Multihomed(profile)
    m.host.listen("0.0.0.0", 80, 5, m.now)
    peer = Peer(m, to="192.0.2.11")
    answers = m.gets(peer.packet(SYN))
    peer.seq += 1
    peer.saw([segment_of(answer) for answer in answers])
    answers += m.gets(peer.packet(ACK))
    m.host.send(peer.connection, bytes(3000), m.now)
    answers += m.poll()
    assert len(answers) == 4
    assert {addresses.text(packet.source) for packet in answers} == {"192.0.2.11"}


@pytest.mark.requirement("MUST-10")
@every_profile
def test_both_ends_open(profile: str) -> None:
    w = world(profile)
    w.client.open()
    w.server.open()
    w.run_for(SECOND)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")
    w.client.send(b"one")
    w.server.send(b"other")
    w.run_for(SECOND)
    assert (w.client.receive(), w.server.receive()) == (b"other", b"one")


@pytest.mark.requirement("MUST-15", "MUST-16")
@every_profile
@pytest.mark.parametrize(("told", "mss"), [(None, 536), (1000, 1000), (9000, 1460)])
@pytest.mark.parametrize("timestamps", [False, True])
def test_how_large_segments_are(profile: str, told: int | None, mss: int, timestamps: bool) -> None:
    options = Options(mss=told, ts_val=1, ts_ecr=0) if timestamps else Options(mss=told)
    c = opened(profile, options)
    c.send(bytes(5000), 0)
    segment = c.poll_transmit(0, 1500)
    assert segment is not None
    # Where more fits the link at once, it is a run of segments of this size.
    assert (segment.segment_size or segment.payload_length) == (mss - 12 if timestamps else mss)
