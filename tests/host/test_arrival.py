"""What arrives: connections found by their octets, segments for nobody, what is dropped in silence, ICMP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synfin.host import addresses
from synfin.wire import icmp
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, IcmpMessage, Packet, octets
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, URG, Segment
from tests.host.machine import (
    OURS,
    OURS_6,
    STATES,
    THEIRS,
    THEIRS_6,
    Machine,
    Peer,
    peer_in,
    segment_of,
    tcp,
)

numbers = st.integers(0, MASK)
flags_of_six = st.integers(0, 63)


def segments(payload: int = 40) -> st.SearchStrategy[Segment]:
    return st.builds(
        lambda seq, ack, flags, data: Segment(40000, 9, seq, ack, flags, 8192, payload=(data,) if data else ()),
        numbers,
        numbers,
        flags_of_six,
        st.binary(max_size=payload),
    )


@pytest.mark.row("A12")
@given(segments())
def test_a_segment_for_nobody(segment: Segment) -> None:
    """RFC 9293 §3.10.7.1: both forms of the reset, and none for a reset."""
    m = Machine()
    answers = [segment_of(packet) for packet in m.gets(tcp(THEIRS, 40000, OURS, 9, segment))]
    if segment.flags & RST:
        assert answers == []
        return
    if segment.flags & ACK:
        expected = Segment(9, 40000, segment.ack, 0, RST, 0)
    else:
        length = segment.payload_length + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        expected = Segment(9, 40000, 0, (segment.seq + length) & MASK, RST | ACK, 0)
    assert answers == [expected]
    assert m.host.counters["TcpOutRsts"] == 1
    assert m.host.connections() == []


@pytest.mark.row("A12")
@pytest.mark.parametrize(("theirs", "ours"), [(THEIRS, OURS), (THEIRS_6, OURS_6)])
def test_the_reset_goes_back_where_it_came_from(theirs: str, ours: str) -> None:
    m = Machine()
    (answer,) = m.gets(tcp(theirs, 40000, ours, 9, flags=SYN))
    assert (addresses.text(answer.source), addresses.text(answer.destination)) == (ours, theirs)


@pytest.mark.row("A12")
def test_a_refused_open() -> None:
    m = Machine()
    connection = m.host.connect(THEIRS, 80, m.now)
    (syn,) = m.poll()
    peer = Peer(m, 80, segment_of(syn).source_port)
    peer.ack = segment_of(syn).seq + 1
    # RFC 9293 §3.10.7.3: a reset that acknowledges something else is not for this SYN.
    peer.ack += 1
    assert peer.says(RST | ACK) == []
    assert peer.state == "SYN-SENT"
    peer.ack -= 1
    assert peer.says(RST | ACK) == []
    assert peer.state == "CLOSED"
    with pytest.raises(ConnectionRefusedError):
        m.host.receive(connection, 1, m.now)
    assert m.host.connections() == []


@pytest.mark.requirement("MUST-57", "MUST-63")
@pytest.mark.parametrize("flags", [SYN, SYN | ACK, ACK, FIN | ACK, RST, 0])
@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (THEIRS, "224.0.0.1"),
        (THEIRS, "239.255.0.1"),
        (THEIRS, "255.255.255.255"),
        (THEIRS, "192.0.2.255"),
        (THEIRS, "127.0.0.1"),
        (THEIRS, "192.0.2.77"),
        (THEIRS_6, "ff02::1"),
        (THEIRS_6, "::1"),
        ("0.0.0.0", OURS),
        ("224.0.0.1", OURS),
        ("255.255.255.255", OURS),
        ("192.0.2.255", OURS),
        ("127.0.0.1", OURS),
        ("::", OURS_6),
        ("ff02::1", OURS_6),
        ("::1", OURS_6),
    ],
)
@pytest.mark.parametrize("port", [80, 81])
def test_from_and_to_single_hosts_only(source: str, destination: str, flags: int, port: int) -> None:
    """MUST-57 and MUST-63 of RFC 9293 §3.9.2.3; RFC 1122 §3.2.1.3. In silence, whoever listens there or not."""
    m = Machine()
    m.host.listen("0.0.0.0", 80, 5, m.now)
    m.host.listen("::", 80, 5, m.now)
    assert m.gets(tcp(source, 40000, destination, port, flags=flags)) == []
    assert m.states() == ["LISTEN", "LISTEN"]
    assert (m.host.counters["IpInAddrErrors"] + m.host.counters["Ip6InAddrErrors"]) == 1
    assert m.host.counters["TcpInSegs"] == 0


@pytest.mark.requirement("MUST-63")
@pytest.mark.parametrize("port", [80, 81])
@pytest.mark.parametrize("ours", [OURS, OURS_6])
def test_nothing_comes_from_ourselves_over_a_wire(ours: str, port: int) -> None:
    """The LAND attack: a SYN that claims to come from where it goes. Linux drops such packets as martians; whoever
    answers them answers himself."""
    m = Machine()
    m.host.listen(ours, 80, 5, m.now)
    assert m.gets(tcp(ours, 80, ours, port, flags=SYN)) == []
    assert m.states() == ["LISTEN"]
    assert (m.host.counters["IpInAddrErrors"] + m.host.counters["Ip6InAddrErrors"]) == 1
    assert m.host.counters["TcpOutSegs"] == 0


@pytest.mark.parametrize("state", STATES)
def test_segments_find_their_connection(state: str) -> None:
    """By all four parts of the flow, among others that differ in one."""
    m = Machine()
    m.host.listen(OURS, 80, 20, m.now)
    wanted = peer_in(m, state, 1000)
    Peer(m, 1001).opens()
    Peer(m, 1000, address="192.0.2.3").opens()
    before = m.states()
    # A reset with the number that is expected ends it, and nothing else.
    wanted.ack = wanted.ack if state != "SYN-RECEIVED" else 0
    assert wanted.says(RST | ACK) == []
    after = m.states()
    before.remove(state)
    assert sorted(after) == sorted(before)


def test_a_listener_at_an_address_goes_before_one_for_all() -> None:
    m = Machine()
    m.host.add_interface("eth1", ["198.51.100.1/24"], 1500)
    elsewhere = m.host.listen("198.51.100.1", 80, 5, m.now)
    here = m.host.listen(OURS, 80, 5, m.now)
    other = m.host.listen("0.0.0.0", 81, 5, m.now)
    Peer(m, 1000).opens()
    Peer(m, 1000, 81).opens()
    assert [len(one.accept_queue) for one in (here, other, elsewhere)] == [1, 1, 0]


def test_a_listener_of_one_version_is_none_of_the_other() -> None:
    m = Machine()
    m.host.listen("0.0.0.0", 80, 5, m.now)
    (answer,) = Peer(m, 1000, 80, THEIRS_6, OURS_6).says(SYN)
    assert answer.flags == RST | ACK


class Lines:
    """How many lines of Python were run."""

    def __init__(self) -> None:
        self.count = 0

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.count += event == "line"
        return self.trace


@contextmanager
def counting() -> Iterator[Lines]:
    lines = Lines()
    before = sys.gettrace()
    sys.settrace(lines.trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("what", ["connection", "nobody", "time-wait", "listener"])
def test_found_in_constant_time(what: str) -> None:
    """The same work with 10 connections and with 20 000: lines run, so that no clock has a say."""
    counts = []
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    for crowd in (10, 20_000):
        port = 1 + crowd % 1000
        while len(m.host.transport.connections) < crowd:
            number = len(m.host.transport.connections)
            m.host.connect(f"192.0.2.{3 + number % 200}", 1 + number // 200, m.now)
        m.poll()
        packet = Peer(m, port, 9).packet(SYN)
        if what == "connection":
            packet = Peer(m, port).opens().packet(PSH | ACK, b"data")
        elif what == "time-wait":
            packet = peer_in(m, "TIME-WAIT", port).packet(ACK)
        elif what == "listener":
            packet = Peer(m, port).packet(SYN)
        with counting() as lines:
            m.gets(packet)
            m.host.next_deadline()
        counts.append(lines.count)
    # Not a line more, but for what Linux's heuristics of acknowledging and a dead entry of the heap may take.
    assert counts[1] <= counts[0] + 20, counts
    assert counts[0] > 20


@pytest.mark.parametrize(
    ("theirs", "ours", "protocol", "request_type", "reply_type", "prefix"),
    [
        (THEIRS, OURS, PROTOCOL_ICMP, icmp.ECHO_REQUEST, icmp.ECHO_REPLY, "Icmp"),
        (THEIRS_6, OURS_6, PROTOCOL_ICMPV6, icmp.V6_ECHO_REQUEST, icmp.V6_ECHO_REPLY, "Icmp6"),
    ],
)
def test_echo(theirs: str, ours: str, protocol: int, request_type: int, reply_type: int, prefix: str) -> None:
    """RFC 792, RFC 4443 §4.2: identifier, number and data come back as they were."""
    m = Machine()
    message = IcmpMessage(request_type, 0, 0xABCD_0007, b"data" * 100)
    request = Packet(addresses.packed(theirs), addresses.packed(ours), protocol, message, ttl=3)
    m.host.octets_arrive(octets(request), m.eth, m.now)
    (reply,) = m.poll()
    assert reply.payload == IcmpMessage(reply_type, 0, 0xABCD_0007, b"data" * 100)
    assert (reply.source, reply.destination, reply.ttl) == (request.destination, request.source, 64)
    octets(reply)
    assert m.host.counters[f"{prefix}InEchos"] == m.host.counters[f"{prefix}OutMsgs"] == 1
    # A reply is not answered, nor is what is not asked.
    assert m.gets(Packet(request.source, request.destination, protocol, IcmpMessage(reply_type, 0, 1))) == []
    assert m.gets(Packet(request.source, request.destination, protocol, IcmpMessage(3, 3, 0, b"x" * 28))) == []


@pytest.mark.parametrize("destination", ["192.0.2.255", "224.0.0.1", "192.0.2.9"])
def test_an_echo_request_for_many_is_not_answered(destination: str) -> None:
    """RFC 1122 §3.2.2.6 allows it; answering would make an amplifier of the host."""
    m = Machine()
    message = IcmpMessage(icmp.ECHO_REQUEST, 0, 1, b"data")
    assert m.gets(Packet(addresses.packed(THEIRS), addresses.packed(destination), PROTOCOL_ICMP, message)) == []


def test_other_protocols_are_counted() -> None:
    m = Machine()
    m.gets(Packet(addresses.packed(THEIRS), addresses.packed(OURS), 132, bytes(12)))
    assert (m.host.counters["IpInUnknownProtos"] + m.host.counters["Ip6InUnknownProtos"]) == 1


def test_urgent_data_are_no_reason_to_answer_twice() -> None:
    m = Machine()
    m.host.listen(OURS, 80, 5, m.now)
    peer = Peer(m).opens()
    assert len(peer.says(URG | ACK | PSH, b"x")) <= 1
