"""ECN between simulated hosts (RFC 3168): how it is agreed on, and what queues that mark do to a flow."""

from __future__ import annotations

import pytest

from synfin.events import CongestionChanged, PacketLost, PacketTransmitted
from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.tcp.connection import Connection
from synfin.wire.ip import CE, ECT_0, NOT_ECT, Packet, Segment
from synfin.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN
from tests.sim.watching import MILLISECOND, SECOND, Watch
from tests.sim.worlds import Reader


def ecn_parameters(ecn: int, **others: int | str) -> Parameters:
    parameters = Parameters()
    parameters.tcp.tcp_ecn = ecn
    for name, value in others.items():
        setattr(parameters.tcp, name, value)
    return parameters


class World:
    """client - wire - server, with addresses of both versions; the client sends, the server reads."""

    def __init__(
        self, client: Parameters, server: Parameters, version: int = 4, *faults: str, rate: int = 10_000_000
    ) -> None:
        self.watch = Watch()
        self.network = Network(3, self.watch)
        self.client = self.network.host("client", client)
        self.server = self.network.host("server", server)
        self.network.wire(
            self.client,
            ("10.0.0.1/24", "fd00::1/64"),
            self.server,
            ("10.0.0.2/24", "fd00::2/64"),
            delay=10 * MILLISECOND,
            rate=0 if any("rate" in fault for fault in faults) else rate,
        )
        for fault in faults:
            self.network.apply(fault)
        self.version = version
        self.address = "10.0.0.2" if version == 4 else "fd00::2"
        self.at_client, self.at_server = Reader(self.client), Reader(self.server)
        self.listener = self.server.listen(self.address, 80)

    def transfer(self, up: bytes, down: bytes = b"") -> Connection:
        self.at_server.answer = down
        connection = self.client.connect(self.address, 80)
        self.at_client.send(connection, up)
        self.network.run()
        assert self.at_server.received[self.at_server.accepted[0]] == up
        assert self.at_client.received[connection] == down
        return connection

    def sent(self, host: str) -> list[tuple[Packet, Segment]]:
        pairs = []
        for event in self.watch.events:
            if isinstance(event, PacketTransmitted) and event.host == host:
                assert isinstance(event.packet.payload, Segment)
                pairs.append((event.packet, event.packet.payload))
        return pairs

    def lost(self) -> int:
        return len([event for event in self.watch.events if isinstance(event, PacketLost)])

    def changes(self, reason: str) -> list[CongestionChanged]:
        return [e for e in self.watch.events if isinstance(e, CongestionChanged) and e.reason.name == reason]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("client", [0, 1, 2])
@pytest.mark.parametrize("server", [0, 1, 2])
def test_who_agrees(client: int, server: int, version: int) -> None:
    world = World(ecn_parameters(client), ecn_parameters(server), version)
    world.transfer(b"hello" * 1000, b"answer" * 1000)
    ours, theirs = world.sent("client"), world.sent("server")
    asks = client == 1
    agreed = asks and server > 0
    assert ours[0][1].flags == SYN | (ECE | CWR if asks else 0)
    assert theirs[0][1].flags == SYN | ACK | (ECE if agreed else 0)
    for packet, segment in ours + theirs:
        # RFC 3168 §6.1.1, §6.1.4: neither SYN nor pure ACK may be marked.
        assert packet.ecn == (ECT_0 if agreed and segment.payload_length else NOT_ECT)
        if not segment.flags & SYN:
            assert not segment.flags & (ECE | CWR)


@pytest.mark.parametrize("fallback", [0, 1])
def test_a_syn_that_was_lost_asks_no_more(fallback: int) -> None:
    world = World(ecn_parameters(1, tcp_ecn_fallback=fallback), ecn_parameters(2), 4, "lose 1st SYN")
    connection = world.transfer(b"hello")
    syns = [segment.flags for _, segment in world.sent("client") if segment.flags & SYN]
    assert syns == [SYN | ECE | CWR, SYN | (0 if fallback else ECE | CWR)]
    assert (connection.ecn is None) == bool(fallback)


def test_a_syn_ack_that_is_sent_again_agrees_too() -> None:
    world = World(ecn_parameters(1), ecn_parameters(2), 4, "lose 1st SYN+ACK")
    connection = world.transfer(b"hello")
    answers = [segment.flags for _, segment in world.sent("server") if segment.flags & SYN]
    assert len(answers) > 1
    assert set(answers) == {SYN | ACK | ECE}
    assert connection.ecn is not None


def test_a_cookie_remembers_ecn() -> None:
    world = World(ecn_parameters(1), ecn_parameters(2, tcp_max_syn_backlog=0))
    connection = world.transfer(b"hello" * 1000)
    assert world.server.host.counters["TcpExtSyncookiesSent"] == 1
    assert connection.ecn is not None
    assert world.at_server.accepted[0].ecn is not None
    # Without timestamps there is nothing that could.
    world = World(ecn_parameters(1, tcp_timestamps=0), ecn_parameters(2, tcp_max_syn_backlog=0))
    connection = world.transfer(b"hello" * 1000)
    assert world.server.host.counters["TcpExtSyncookiesSent"] == 1
    assert connection.ecn is world.at_server.accepted[0].ecn is None


#: Each at a bottleneck of 10 Mbit/s that would have to drop.
MARKING = ["rate 10Mbit queue 400 red min 5 max 200 p=20% ecn", "rate 10Mbit codel ecn", "rate 10Mbit fq-codel"]


@pytest.mark.parametrize(("version", "congestion", "tenths"), [(4, "reno", 5), (6, "reno", 5), (4, "cubic", 7)])
@pytest.mark.parametrize("queue", MARKING)
def test_a_queue_marks_and_loses_nothing(queue: str, version: int, congestion: str, tenths: int) -> None:
    data = bytes(range(256)) * 8000
    world = World(ecn_parameters(1, tcp_congestion_control=congestion), ecn_parameters(2), version, queue)
    mss = world.transfer(data).mss
    counters = world.server.host.counters
    marks = counters["IpExtInCEPkts" if version == 4 else "Ip6InCEPkts"]
    assert marks > 0
    assert counters["IpExtInECT0Pkts" if version == 4 else "Ip6InECT0Pkts"] > 10 * marks
    # No loss, and none imagined: each octet was sent once.
    assert world.lost() == 0
    assert sum(segment.payload_length for _, segment in world.sent("client")) == len(data)
    assert world.client.host.counters["TcpRetransSegs"] == 0
    # It backs off: once for each window of data, to so many tenths of what was in flight.
    changes = world.changes("ecn-echo")
    assert changes
    cwr = [segment for _, segment in world.sent("client") if segment.flags & CWR and not segment.flags & SYN]
    assert len(cwr) == len(changes) <= marks
    for change in changes:
        # The ACK that brought the echo had just acknowledged two segments at most.
        assert change.ssthresh <= max((change.flight + 2 * mss) * tenths // 10, 2 * mss)
    # The window comes down to it within a round trip, and no further (RFC 9937).
    reductions = world.changes("rate-reduction")
    for change, following in zip(changes, [*changes[1:], None], strict=True):
        until = following.time if following else 1 << 62
        window = [each.cwnd for each in reductions if change.time <= each.time < until]
        assert window == sorted(window, reverse=True)
        if following:
            assert window[-1] == change.ssthresh
    # The receiver's echo ends with CWR, and the first ACK after a mark has it.
    assert any(segment.flags & ECE for _, segment in world.sent("server") if not segment.flags & SYN)


@pytest.mark.parametrize("queue", MARKING)
def test_who_does_not_understand_marks_loses_packets(queue: str) -> None:
    world = World(ecn_parameters(0), ecn_parameters(2), 4, queue)
    world.transfer(bytes(range(256)) * 8000)
    assert world.lost() > 0
    assert world.server.host.counters["IpExtInCEPkts"] == 0
    assert world.changes("ecn-echo") == []


def test_the_echo_stands_on_every_segment_until_the_sender_has_reduced_its_window() -> None:
    world = World(ecn_parameters(1), ecn_parameters(2), 4, MARKING[0])
    world.transfer(bytes(range(256)) * 4000, b"answer" * 100_000)
    echo = False
    arrived: dict[bool, int] = {}
    for event in world.watch.events:
        packet = getattr(event, "packet", None)
        if packet is None or not isinstance(packet.payload, Segment):
            continue
        kind, segment = type(event).__name__, packet.payload
        if event.host == "server" and kind == "SegmentReceived" and not segment.flags & SYN:
            if segment.payload_length and segment.flags & CWR:
                echo = False
            if segment.payload_length and packet.ecn == CE:
                echo = True
            arrived[echo] = arrived.get(echo, 0) + 1
        elif event.host == "server" and kind == "SegmentSent" and not segment.flags & SYN:
            assert bool(segment.flags & ECE) == echo
    assert min(arrived[True], arrived[False]) > 0


def test_marks_and_losses_together() -> None:
    """A lost packet beside marks: one reduction for both where they fall into one window, and all arrives."""
    world = World(ecn_parameters(1), ecn_parameters(2), 4, MARKING[0], "lose 1%")
    world.transfer(bytes(range(256)) * 4000)
    for packet, segment in world.sent("client"):
        if packet.ecn:
            assert packet.ecn == ECT_0
            assert segment.payload_length
    # What is sent again cannot be marked (RFC 3168 §6.1.5).
    seen = set()
    again = 0
    for packet, segment in world.sent("client"):
        if segment.payload_length:
            if segment.seq in seen:
                assert packet.ecn == NOT_ECT
                assert not segment.flags & CWR
                again += 1
            seen.add(segment.seq)
    assert again


def test_a_reset_cannot_be_marked() -> None:
    world = World(ecn_parameters(1), ecn_parameters(2))
    connection = world.client.connect(world.address, 80)
    world.network.run(SECOND)
    world.client.send(connection, b"hello")
    world.client.abort(connection)
    world.network.run(2 * SECOND)
    assert {packet.ecn for packet, segment in world.sent("client") if segment.flags & RST} == {NOT_ECT}


def test_a_bare_fin_cannot_be_marked() -> None:
    world = World(ecn_parameters(1), ecn_parameters(2))
    connection = world.client.connect(world.address, 80)
    world.network.run(SECOND)
    world.client.close(connection)
    world.network.run(2 * SECOND)
    fins = [packet.ecn for packet, segment in world.sent("client") if segment.flags & (FIN | PSH) == FIN]
    assert fins[0] == NOT_ECT


def simultaneous(client: int, server: int) -> tuple[World, Connection, Connection]:
    world = World(ecn_parameters(client), ecn_parameters(server))
    first = world.client.connect("10.0.0.2", 7000, ("10.0.0.1", 7000))
    second = world.server.connect("10.0.0.1", 7000, ("10.0.0.2", 7000))
    world.network.run(SECOND)
    return world, first, second


@pytest.mark.parametrize("client", [0, 1, 2])
@pytest.mark.parametrize("server", [0, 1, 2])
def test_a_simultaneous_open_needs_both_to_ask(client: int, server: int) -> None:
    world, first, second = simultaneous(client, server)
    assert (first.ecn is not None) == (second.ecn is not None) == (client == server == 1)
    answers = [segment.flags for _, segment in world.sent("client") if segment.flags & (SYN | ACK) == SYN | ACK]
    assert answers == [SYN | ACK | (ECE if client == server == 1 else 0)]
