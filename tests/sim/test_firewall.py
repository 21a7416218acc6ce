"""Firewalls: what begins is judged by rules, what follows passes; drop and reject, and what is forgotten."""

from __future__ import annotations

from errno import ECONNREFUSED, ECONNRESET, ETIMEDOUT

import pytest

from synfin.host import addresses
from synfin.sim import Firewall, Nat, Network, Rule, Timeouts
from synfin.sim.firewall import Action, Rejection, Unknown
from synfin.tcp import states
from synfin.wire import icmp
from synfin.wire.icmp import PROTOCOL_ICMP, PROTOCOL_ICMPV6, IcmpMessage, parse_quoted
from synfin.wire.ip import PROTOCOL_TCP, Packet, Segment, octets
from synfin.wire.tcp import ACK, RST, SYN
from tests.sim.watching import MILLISECOND, SECOND, Client, Server, Watch, inject

OUTSIDE = "203.0.113.1"
MINUTE = 60 * SECOND


def ip(text: str) -> bytes:
    return addresses.packed(text)


class Office:
    """inside - wall - outside, on IPv4 and IPv6."""

    def __init__(self, firewall: Firewall) -> None:
        self.watch = Watch()
        self.firewall = firewall
        network = self.network = Network(0, self.watch)
        self.inside, self.outside = network.host("inside"), network.host("outside")
        self.wall = network.router("wall", firewall=firewall)
        network.wire(
            self.inside, ("10.0.0.2/24", "fd00::2/64"), self.wall, ("10.0.0.1/24", "fd00::1/64"), delay=MILLISECOND
        )
        network.wire(
            self.wall,
            (OUTSIDE + "/24", "2001:db8::1/64"),
            self.outside,
            ("203.0.113.2/24", "2001:db8::2/64"),
            delay=MILLISECOND,
        )
        network.route_all()


def segment(source: str, destination: str, flags: int, port: int = 4000, to: int = 80) -> Packet:
    return Packet(ip(source), ip(destination), PROTOCOL_TCP, Segment(port, to, 5, 9, flags, 1000))


def test_inside_may_begin_and_answers_pass() -> None:
    office = Office(Firewall(OUTSIDE))
    program = Server(office.outside, answer=b"ab")
    client = Client(office.network, office.inside, "outside")
    office.network.run(SECOND)
    client.send(b"hello")
    office.network.run(2 * SECOND)
    assert program.received == b"hello"
    assert client.received == b"ab" * 5
    assert office.watch.drops("wall") == []


def test_drop_lets_a_connect_time_out() -> None:
    office = Office(Firewall(OUTSIDE, policy="drop"))
    Server(office.inside)
    client = Client(office.network, office.outside, "inside")
    office.network.run()
    # 1 + 1 + 1 + 1 + 1 + 2 + 4 + … + 64 s: four linear time-outs go before those that double.
    assert client.errors == [(131 * SECOND, ETIMEDOUT)]
    assert office.watch.drops("wall") == ["firewall-dropped"] * 11
    assert office.watch.sent("wall") == []


@pytest.mark.row("A12")
def test_reject_refuses_a_connect_at_once() -> None:
    office = Office(Firewall(OUTSIDE, policy="reject"))
    Server(office.inside)
    client = Client(office.network, office.outside, "10.0.0.2")
    office.network.run()
    assert client.errors == [(2 * MILLISECOND, ECONNREFUSED)]
    (reset,) = office.watch.sent("wall")
    assert isinstance(reset.payload, Segment)
    assert reset.payload.flags == RST | ACK
    # In the name of whom the SYN was for, who never saw it.
    assert (reset.source, reset.destination) == (ip("10.0.0.2"), ip("203.0.113.2"))
    assert office.inside.host.counters["TcpInSegs"] == 0


@pytest.mark.parametrize("version", [4, 6])
def test_reject_with_icmp_says_prohibited(version: int) -> None:
    office = Office(Firewall(OUTSIDE, policy="reject", reject_with="icmp"))
    source, target = ("203.0.113.2", "10.0.0.2") if version == 4 else ("2001:db8::2", "fd00::2")
    inject(office.outside, segment(source, target, SYN))
    office.network.run()
    (message,) = office.watch.messages("wall")
    if version == 4:
        assert (message.type, message.code) == (icmp.DESTINATION_UNREACHABLE, icmp.COMMUNICATION_PROHIBITED)
    else:
        assert (message.type, message.code) == (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PROHIBITED)
    assert parse_quoted(message.body, version).flow == segment(source, target, SYN).flow
    assert office.watch.drops("wall") == ["firewall-rejected"]


def test_a_ping_that_is_rejected_gets_icmp() -> None:
    office = Office(Firewall(OUTSIDE, policy="reject"))
    echo = IcmpMessage(icmp.ECHO_REQUEST, 0, 1)
    inject(office.outside, Packet(ip("203.0.113.2"), ip("10.0.0.2"), PROTOCOL_ICMP, echo))
    office.network.run()
    assert [message.code for message in office.watch.messages("wall")] == [icmp.COMMUNICATION_PROHIBITED]


def test_no_reset_answers_a_reset() -> None:
    office = Office(Firewall(OUTSIDE, policy="reject", unknown="reject"))
    inject(office.outside, segment("203.0.113.2", "10.0.0.2", RST))
    office.network.run()
    assert office.watch.drops("wall") == ["firewall-rejected"]
    assert office.watch.sent("wall") == []


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        (Rule("accept"), True),
        (Rule("accept", direction="in"), True),
        (Rule("accept", direction="out"), False),
        (Rule("accept", port=80), True),
        (Rule("accept", port=81), False),
        (Rule("accept", port=(79, 80)), True),
        (Rule("accept", port=(80, 90)), True),
        (Rule("accept", port=(81, 90)), False),
        (Rule("accept", source="203.0.113.0/24"), True),
        (Rule("accept", source="203.0.113.2"), True),
        (Rule("accept", source="203.0.113.3"), False),
        (Rule("accept", source="2001:db8::/32"), False),
        (Rule("accept", destination="10.0.0.0/8"), True),
        (Rule("accept", destination="10.0.1.0/24"), False),
        (Rule("accept", source="203.0.113.2", destination="10.0.0.2", port=80, direction="in"), True),
        (Rule("accept", source="203.0.113.2", destination="10.0.0.2", port=81, direction="in"), False),
    ],
    ids=repr,
)
def test_a_rule_fits(rule: Rule, passes: bool) -> None:
    office = Office(Firewall(OUTSIDE, (rule,)))
    inject(office.outside, segment("203.0.113.2", "10.0.0.2", SYN))
    office.network.run()
    assert office.inside.host.counters["TcpInSegs"] == passes


@pytest.mark.parametrize(("first", "second"), [("accept", "drop"), ("drop", "accept")])
def test_the_first_rule_that_fits_decides(first: Action, second: Action) -> None:
    office = Office(Firewall(OUTSIDE, (Rule(first, port=80), Rule(second))))
    inject(office.outside, segment("203.0.113.2", "10.0.0.2", SYN))
    office.network.run()
    assert office.inside.host.counters["TcpInSegs"] == (first == "accept")


def test_a_rule_with_a_port_is_for_tcp() -> None:
    office = Office(Firewall(OUTSIDE, (Rule("accept", port=(0, 65535)),)))
    inject(office.outside, Packet(ip("203.0.113.2"), ip("10.0.0.2"), PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0)))
    office.network.run()
    assert office.watch.drops("wall") == ["firewall-dropped"]


# --- forgetting


@pytest.mark.row("D2")
@pytest.mark.parametrize(("unknown", "error"), [("drop", ETIMEDOUT), ("reject", ECONNRESET)])
def test_a_forgetful_firewall(unknown: Unknown, error: int) -> None:
    office = Office(Firewall(OUTSIDE, unknown=unknown, timeouts=Timeouts(established=MINUTE)))
    program = Server(office.outside)
    client = Client(office.network, office.inside, "outside")
    office.network.run(SECOND)
    client.send(b"before")
    office.network.run(62 * SECOND)
    client.send(b"after")
    office.network.run()
    assert [number for _, number in client.errors] == [error]
    assert program.received == b"before"
    assert program.accepted[0].state == states.ESTABLISHED


def test_a_firewall_that_adopts_lets_rules_judge_anew() -> None:
    office = Office(Firewall(OUTSIDE, unknown="adopt", timeouts=Timeouts(established=MINUTE)))
    program = Server(office.outside)
    client = Client(office.network, office.inside, "outside")
    office.network.run(70 * SECOND)
    office.outside.send(program.accepted[0], b"from outside")
    office.network.run(70 * SECOND + 150 * MILLISECOND)
    assert client.received == b""
    client.send(b"after")
    office.network.run(80 * SECOND)
    assert program.received == b"after"
    assert client.received == b"from outside"


def test_a_firewall_that_was_switched_off_knows_nothing() -> None:
    office = Office(Firewall(OUTSIDE, unknown="reject"))
    Server(office.outside)
    client = Client(office.network, office.inside, "outside")
    office.network.run(SECOND)
    office.wall.reboot()
    client.send(b"hello?")
    office.network.run(2 * SECOND)
    assert [error for _, error in client.errors] == [ECONNRESET]


@pytest.mark.parametrize("reject_with", ["reset", "icmp"])
def test_what_nobody_began(reject_with: Rejection) -> None:
    office = Office(Firewall(OUTSIDE, unknown="reject", reject_with=reject_with))
    inject(office.inside, segment("10.0.0.2", "203.0.113.2", ACK))
    office.network.run()
    assert office.outside.host.counters["TcpInSegs"] == 0
    (answer,) = office.watch.sent("wall")
    assert isinstance(answer.payload, Segment if reject_with == "reset" else IcmpMessage)


def test_the_table_is_bounded() -> None:
    office = Office(Firewall(OUTSIDE, timeouts=Timeouts(transitory=10 * SECOND), limit=2))
    for port in range(4000, 4005):
        inject(office.inside, segment("10.0.0.2", "203.0.113.2", SYN, port))
    office.network.run(SECOND)
    assert len(office.firewall.table) == 2
    assert office.watch.drops("wall") == ["conversations-full"] * 3
    office.network.run(20 * SECOND)
    inject(office.inside, segment("10.0.0.2", "203.0.113.2", SYN, 5000))
    office.network.run(21 * SECOND)
    assert len(office.firewall.table) == 1


# --- ICMP, fragments


def test_pings_pass_one_way() -> None:
    office = Office(Firewall(OUTSIDE))
    for source, target, protocol, kind in (
        ("10.0.0.2", "203.0.113.2", PROTOCOL_ICMP, icmp.ECHO_REQUEST),
        ("fd00::2", "2001:db8::2", PROTOCOL_ICMPV6, icmp.V6_ECHO_REQUEST),
    ):
        inject(office.inside, Packet(ip(source), ip(target), protocol, IcmpMessage(kind, 0, 1)))
    office.network.run(SECOND)
    assert office.inside.host.counters["IcmpInMsgs"] == office.inside.host.counters["Icmp6InMsgs"] == 1
    office.network.run(100 * SECOND)
    inject(office.outside, Packet(ip("203.0.113.2"), ip("10.0.0.2"), PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0)))
    office.network.run()
    assert office.watch.drops("wall") == ["firewall-dropped"]


def test_errors_pass_if_they_are_about_what_passed() -> None:
    office = Office(Firewall(OUTSIDE))
    known = segment("10.0.0.2", "203.0.113.2", SYN)
    inject(office.inside, known)
    office.network.run(SECOND)
    unknown = segment("10.0.0.2", "203.0.113.2", SYN, port=4001)
    for quoted in (octets(known), octets(unknown), b"nonsense"):
        message = IcmpMessage(icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE, 0, quoted)
        inject(office.outside, Packet(ip("203.0.113.2"), ip("10.0.0.2"), PROTOCOL_ICMP, message))
    office.network.run(2 * SECOND)
    assert office.inside.host.counters["IcmpInMsgs"] == 1
    assert office.watch.drops("wall") == ["firewall-dropped"] * 2


def test_fragments_are_dropped() -> None:
    office = Office(Firewall(OUTSIDE, policy="accept"))
    inject(office.outside, Packet(ip("203.0.113.2"), ip("10.0.0.2"), PROTOCOL_TCP, bytes(24), more_fragments=True))
    office.network.run()
    assert office.watch.drops("wall") == ["firewall-dropped"]


def test_a_nat_and_a_firewall_in_one_box() -> None:
    """The rules see addresses as they are inside; who is rejected knows only those outside."""
    watch = Watch()
    network = Network(0, watch)
    inside, outside = network.host("inside"), network.host("outside")
    rules = (Rule("accept", direction="out"), Rule("accept", destination="10.0.0.2", port=8080, direction="in"))
    nat = Nat(OUTSIDE, forwards={80: ("10.0.0.2", 8080), 81: ("10.0.0.2", 8081)})
    wall = network.router("wall", nat=nat, firewall=Firewall(OUTSIDE, rules, policy="reject"))
    network.wire(inside, "10.0.0.2/24", wall, "10.0.0.1/24")
    network.wire(wall, OUTSIDE + "/24", outside, "203.0.113.2/24")
    network.route_all()
    program = Server(inside, port=8080)
    refused = Client(network, outside, OUTSIDE, 81)
    network.run(SECOND)
    assert refused.errors == [(0, ECONNREFUSED)]
    client = Client(network, outside, OUTSIDE, 80)
    network.run(2 * SECOND)
    client.send(b"hello")
    network.run(3 * SECOND)
    assert program.received == b"hello"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Rule("allow"),  # type: ignore[arg-type]
        lambda: Rule("accept", direction="up"),  # type: ignore[arg-type]
        lambda: Rule("accept", port=65536),
        lambda: Rule("accept", port=(9, 8)),
        lambda: Rule("accept", source="10.0.0.0/33"),
        Firewall,
        lambda: Firewall(OUTSIDE, policy="shrug"),  # type: ignore[arg-type]
        lambda: Firewall(OUTSIDE, reject_with="smoke"),  # type: ignore[arg-type]
        lambda: Firewall(OUTSIDE, unknown="reset"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_make_no_sense(wrong: object) -> None:
    with pytest.raises(ValueError):
        wrong()  # type: ignore[operator]
