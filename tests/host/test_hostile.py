"""A host with connections in all states, and a network that sends it nonsense."""

from __future__ import annotations

from random import Random

import pytest

from synfin.host.parameters import Parameters
from synfin.wire.ip import IcmpMessage, Packet, octets
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment
from tests.host.machine import MS, OURS, OURS_6, STATES, THEIRS, THEIRS_6, Machine, Peer, peer_in, tcp

KINDS = (0, SYN, ACK, SYN | ACK, FIN | ACK, RST, RST | ACK, PSH | ACK, SYN | FIN, FIN, 0x3F, 0x1FF)
NEAR = (0, 0, 0, 1, -1, 10, -10, 1000, -1000, 65535, 1 << 31, -70_000)


def world() -> tuple[Machine, list[Peer]]:
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_max_tw_buckets", "50")
    m = Machine(parameters)
    m.host.listen(OURS, 80, 100, m.now)
    m.host.listen("::", 80, 10, m.now)
    m.host.listen(OURS, 81, 1, m.now)
    return m, []


def fill(m: Machine, peers: list[Peer], random: Random) -> None:
    """New connections in the place of those that have ended."""
    peers[:] = [peer for peer in peers if peer.state != "CLOSED"]
    for state in STATES:
        if state not in {peer.state for peer in peers}:
            try:
                peers.append(peer_in(m, state, random.randrange(1, 60_000)))
            except (AssertionError, KeyError):
                # The listener's queue is full, or the port is in use.
                for listener in m.host.transport.listeners.values():
                    while listener.accept_queue:
                        m.host.accept(listener)


def random_options(random: Random) -> Options:
    if random.random() < 0.3:
        blocks = ((random.getrandbits(32), random.getrandbits(32)),) * random.randrange(1, 5)
        return Options(sack=random.choice((((5, 10),), blocks)))
    ts_val = random.choice((None, None, 0, random.getrandbits(32)))
    return Options(
        mss=random.choice((None, None, 0, 1, 536, 65535)),
        window_scale=random.choice((None, None, 0, 7, 14, 255)),
        sack_permitted=random.random() < 0.2,
        ts_val=ts_val,
        ts_ecr=None if ts_val is None else random.getrandbits(32),
    )


def random_packet(m: Machine, peers: list[Peer], random: Random) -> Packet | bytes:
    draw = random.random()
    if draw < 0.05:
        return random.randbytes(random.randrange(80))
    if draw < 0.1:
        ours, theirs = random.choice(((OURS, THEIRS), (OURS_6, THEIRS_6)))
        message = IcmpMessage(
            random.getrandbits(8), random.getrandbits(8), random.getrandbits(32), random.randbytes(40)
        )
        base = tcp(theirs, 1, ours, 1)
        return Packet(base.source, base.destination, random.choice((1, 58)), message)
    payload = random.randbytes(random.choice((0, 0, 0, 1, 20, 1400)))
    flags, window = random.choice(KINDS), random.choice((0, 1, 8192, 65535))
    if draw < 0.3:
        ours, theirs = random.choice(((OURS, THEIRS), (OURS_6, THEIRS_6)))
        port, to_port = random.randrange(65536), random.choice((80, 80, 81, 82))
        seq, ack = random.getrandbits(32), random.getrandbits(32)
    else:
        peer = random.choice(peers)
        ours, theirs, port, to_port = peer.to, peer.address, peer.port, peer.to_port
        seq, ack = peer.seq + random.choice(NEAR), peer.ack + random.choice(NEAR)
    segment = Segment(
        port,
        to_port,
        seq & MASK,
        ack & MASK,
        flags,
        window,
        random_options(random),
        (payload,) if payload else (),
        up=random.choice((0, 1, 65535)),
    )
    packet = tcp(theirs, port, ours, to_port, segment)
    if draw < 0.4:
        spoiled = bytearray(octets(packet))
        for _ in range(random.randrange(1, 4)):
            spoiled[random.randrange(len(spoiled))] = random.getrandbits(8)
        return bytes(spoiled)
    return packet


@pytest.mark.parametrize("seed", range(4))
def test_nonsense(seed: int) -> None:
    """5000 packets: nothing is raised, none gets more than one answer, all tables keep their bounds."""
    random = Random(seed)
    m, peers = world()
    states: set[str] = set()
    for number in range(5000):
        if number % 50 == 0:
            fill(m, peers, random)
            states.update(m.states())
            m.host.take_changed()
        packet = random_packet(m, peers, random)
        # With whatever the link claims about sums, as a superpacket or not.
        verified = random.random() < 0.7
        size = random.choice((0, 0, 0, 0, 8, 500))
        data = packet if isinstance(packet, bytes) else octets(packet)
        m.host.octets_arrive(data, m.eth, m.now, verified, size)
        answers = m.poll()
        assert len(answers) <= 1, (number, packet, answers)
        for answer in answers:
            # What is said must be sayable; and never much more than was heard: an ICMP error quotes what it is about.
            headers = 48 if isinstance(answer.payload, IcmpMessage) else 40
            assert len(octets(answer)) <= max(len(data), 40) + headers, (packet, answer)
        if number % 10 == 0:
            m.goes_on(m.now + random.choice((0, MS, 50 * MS)))
            m.poll()
    assert states == {*STATES, "LISTEN"}
    transport = m.host.transport
    assert len(transport.time_waits) <= 50
    assert len(transport.connections) < 300
    for listener in transport.listeners.values():
        assert len(listener.requests) <= listener.backlog + 1
        assert len(listener.accept_queue) <= listener.backlog + 1
    for connection in transport.connections.values():
        assert connection.reassembly.charge <= connection.rcv_buf
        assert connection.receive_queue.octets <= connection.window_space
    assert len(m.eth.output) == 0


def test_answers_are_no_larger_than_questions() -> None:
    """No amplifier: to segments that belong to no connection the answer is a bare header. Only a SYN,ACK is larger
    than the barest SYN, by the MSS that it must tell (RFC 9293 §3.7.1)."""
    random = Random(1)
    m, _ = world()
    for number in range(3000):
        ours, theirs = random.choice(((OURS, THEIRS), (OURS_6, THEIRS_6)))
        segment = Segment(
            random.randrange(65536),
            random.choice((80, 82)),
            random.getrandbits(32),
            random.getrandbits(32),
            random.choice(KINDS),
            0,
            random_options(random),
        )
        packet = tcp(theirs, 0, ours, 0, segment)
        for answer in m.gets(packet):
            syn_ack = isinstance(answer.payload, Segment) and answer.payload.flags & SYN
            assert answer.total_length <= packet.total_length + (4 if syn_ack else 0), (number, packet, answer)
