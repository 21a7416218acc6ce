"""What a host says by ICMP about packets that it cannot use, and when it is silent (RFC 1122 §3.2.2, RFC 4443 §2.4)."""

from __future__ import annotations

from random import Random

import pytest
from scapy.layers.inet6 import ICMPv6ParamProblem, IPv6

from synfin.host import addresses
from synfin.host.counters import Counters
from synfin.host.icmp_limits import BURST, CAPACITY, IcmpLimits
from synfin.host.parameters import Parameters
from synfin.tcp.parameters import MILLISECOND, SECOND
from synfin.wire import icmp, ipv6
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP, IcmpMessage, Packet, octets, parse_packet
from tests.host.machine import OURS, OURS_6, THEIRS, THEIRS_6, Machine, Peer

UNKNOWN = 200
ROUTER_ALERT = bytes((5, 2, 0, 0))


def packet(
    version: int,
    protocol: int = UNKNOWN,
    payload: bytes | IcmpMessage = bytes(20),
    source: str = "",
    destination: str = "",
    extension: bytes = b"",
) -> Packet:
    theirs, ours = (THEIRS, OURS) if version == 4 else (THEIRS_6, OURS_6)
    return Packet(
        addresses.packed(source or theirs),
        addresses.packed(destination or ours),
        protocol,
        payload,
        extension=extension,
    )


def over_the_wire(m: Machine, arriving: Packet | bytes) -> list[IcmpMessage]:
    """The ICMP messages that the host answers; each is read back, its checksum right."""
    m.host.octets_arrive(octets(arriving) if isinstance(arriving, Packet) else arriving, m.eth, m.now)
    messages = []
    for answer in m.poll():
        read = parse_packet(octets(answer)).payload
        assert isinstance(read, IcmpMessage)
        messages.append(read)
    return messages


@pytest.mark.parametrize(
    ("version", "protocol", "expected", "counter"),
    [
        (4, UNKNOWN, (icmp.DESTINATION_UNREACHABLE, icmp.PROTOCOL_UNREACHABLE, 0), "IcmpOutDestUnreachs"),
        (4, PROTOCOL_UDP, (icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE, 0), "IcmpOutDestUnreachs"),
        (4, PROTOCOL_ICMPV6, (icmp.DESTINATION_UNREACHABLE, icmp.PROTOCOL_UNREACHABLE, 0), "IcmpOutDestUnreachs"),
        (6, UNKNOWN, (icmp.V6_PARAMETER_PROBLEM, icmp.V6_UNRECOGNIZED_NEXT_HEADER, 6), "Icmp6OutParmProblems"),
        (6, PROTOCOL_UDP, (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PORT_UNREACHABLE, 0), "Icmp6OutDestUnreachs"),
        (6, PROTOCOL_ICMP, (icmp.V6_PARAMETER_PROBLEM, icmp.V6_UNRECOGNIZED_NEXT_HEADER, 6), "Icmp6OutParmProblems"),
    ],
)
def test_nobody_for_the_protocol(version: int, protocol: int, expected: tuple[int, int, int], counter: str) -> None:
    m = Machine()
    arriving = packet(version, protocol)
    m.host.octets_arrive(octets(arriving), m.eth, m.now)
    (answer,) = m.poll()
    message = answer.payload
    assert isinstance(message, IcmpMessage)
    assert (message.type, message.code, message.parameter) == expected
    assert message.body == octets(arriving)
    assert (answer.source, answer.destination) == (arriving.destination, arriving.source)
    # RFC 1812 §4.3.2.5
    assert answer.traffic_class == (0xC0 if version == 4 else 0)
    assert answer.dont_fragment == (version == 6)
    assert m.host.counters[counter] == 1
    assert m.host.counters["IcmpOutMsgs" if version == 4 else "Icmp6OutMsgs"] == 1


def test_the_pointer_behind_extension_headers() -> None:
    """RFC 4443 §3.4: to the field that named what is not known."""
    padding = bytes((1, 4)) + bytes(4)
    extension = bytes((ipv6.HOP_BY_HOP, 0)) + ROUTER_ALERT + bytes(2) + bytes((ipv6.DESTINATION_OPTIONS, 0)) + padding
    (message,) = over_the_wire(Machine(), packet(6, extension=extension))
    assert message.pointer == 48
    assert octets(packet(6, extension=extension))[message.pointer] == UNKNOWN
    # As scapy reads it.
    whole = IPv6(octets(packet(6, PROTOCOL_ICMPV6, message)))
    assert whole[ICMPv6ParamProblem].ptr == 48


def test_no_next_header_is_no_problem() -> None:
    """RFC 8200 §4.7"""
    m = Machine()
    assert over_the_wire(m, packet(6, ipv6.NO_NEXT_HEADER)) == []
    assert m.host.counters["Ip6InUnknownProtos"] == 0


@pytest.mark.parametrize("version", [4, 6])
def test_as_much_is_quoted_as_fits(version: int) -> None:
    """RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)."""
    m = Machine()
    arriving = packet(version, payload=Random(1).randbytes(1400))
    m.host.octets_arrive(octets(arriving), m.eth, m.now)
    (answer,) = m.poll()
    assert answer.total_length == (576 if version == 4 else 1280)
    assert isinstance(answer.payload, IcmpMessage)
    assert octets(arriving).startswith(bytes(answer.payload.body))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("length", [0, 1, 8, 100, 500, 1300])
def test_an_error_is_larger_only_by_its_headers(version: int, length: int) -> None:
    """The bound of amplification: 28 octets, 48 of IPv6."""
    m = Machine()
    arriving = packet(version, payload=bytes(length))
    m.host.octets_arrive(octets(arriving), m.eth, m.now)
    (answer,) = m.poll()
    assert answer.total_length <= arriving.total_length + (28 if version == 4 else 48)
    assert answer.total_length <= 2.4 * arriving.total_length


@pytest.mark.parametrize(
    "arriving",
    [
        packet(4, destination="192.0.2.255"),
        packet(4, destination="255.255.255.255"),
        packet(4, destination="224.0.0.1"),
        packet(4, destination="192.0.2.77"),
        packet(4, source="0.0.0.0"),
        packet(4, source="224.0.0.1"),
        packet(4, source="192.0.2.255"),
        packet(4, source="127.0.0.1"),
        packet(4, source=OURS),
        packet(6, destination="ff02::1"),
        packet(6, destination="2001:db8::77"),
        packet(6, source="::"),
        packet(6, source="ff02::1"),
        packet(6, source=OURS_6),
        # RFC 1122 §3.2.2, RFC 4443 §2.4 (e.1, e.2): no error about an error, nor about a redirect.
        packet(4, PROTOCOL_ICMP, IcmpMessage(icmp.TIME_EXCEEDED, 0, 0, bytes(28))),
        packet(4, PROTOCOL_ICMP, IcmpMessage(99, 0, 0, bytes(28))),
        packet(6, PROTOCOL_ICMPV6, IcmpMessage(icmp.V6_REDIRECT, 0, 0, bytes(48))),
        packet(6, PROTOCOL_ICMPV6, IcmpMessage(99, 0, 0, bytes(48))),
        packet(6, PROTOCOL_ICMPV6, IcmpMessage(199, 0, 0, bytes(48))),
        # An error with an option that would be reported.
        packet(
            6,
            PROTOCOL_ICMPV6,
            IcmpMessage(icmp.V6_TIME_EXCEEDED, 0, 0, bytes(48)),
            extension=bytes((60, 0, 0xC0, 4)) + bytes(4),
        ),
        packet(4, PROTOCOL_ICMP, IcmpMessage(icmp.TIME_EXCEEDED, 0, 0, bytes(28)), extension=bytes((7, 9, 0, 0))),
    ],
    ids=repr,
)
def test_about_what_a_host_is_silent(arriving: Packet) -> None:
    assert over_the_wire(Machine(), arriving) == []


@pytest.mark.parametrize(
    ("option", "answered", "passes"),
    [
        (0x1E, False, True),
        (0x3E, False, True),
        (0x5E, False, False),
        (0x9E, True, False),
        (0xDE, True, False),
        (0xC2, True, False),
    ],
)
@pytest.mark.parametrize("kind", [ipv6.HOP_BY_HOP, ipv6.DESTINATION_OPTIONS])
def test_options_that_are_not_known(option: int, answered: bool, passes: bool, kind: int) -> None:
    """RFC 8200 §4.2: the two highest bits say what to do."""
    m = Machine()
    # Padding first: the pointer is to the option.
    extension = bytes((kind, 0, 1, 0, option, 2, 0, 0))
    echo = packet(6, PROTOCOL_ICMPV6, IcmpMessage(icmp.V6_ECHO_REQUEST, 0, 1), extension=extension)
    messages = over_the_wire(m, echo)
    if passes:
        assert [message.type for message in messages] == [icmp.V6_ECHO_REPLY]
        return
    assert m.host.counters["Ip6InHdrErrors"] == 1
    expected = [(icmp.V6_PARAMETER_PROBLEM, icmp.V6_UNRECOGNIZED_OPTION, 44)] if answered else []
    assert [(message.type, message.code, message.pointer) for message in messages] == expected


def test_an_option_that_forbids_it_keeps_segments_from_connections() -> None:
    m = Machine()
    m.host.listen("::", 80, 5, m.now)
    peer = Peer(m, address=THEIRS_6, to=OURS_6).opens()
    data = peer.packet(0x18, b"data")
    data.extension = bytes((ipv6.DESTINATION_OPTIONS, 0, 0x40, 4)) + bytes(4)
    m.host.octets_arrive(octets(data), m.eth, m.now)
    assert m.poll() == []
    assert peer.connection.receive_queue.octets == 0
    data.extension = bytes((ipv6.DESTINATION_OPTIONS, 0, 0x00, 0, 0x1E, 2)) + bytes(2)
    m.host.octets_arrive(octets(data), m.eth, m.now)
    assert peer.connection.receive_queue.octets == 4


@pytest.mark.parametrize(
    "options",
    [
        # An option that runs out of its header; padding without end; too many options.
        bytes((1, 200)) + bytes(4),
        bytes((5, 2, 0, 0, 1)) + bytes((9,)),
        bytes(8 + 6),
        bytes((1, 6)) + bytes(6) + bytes(6),
        bytes((0x1E, 0) * 9) + bytes(4),
    ],
)
def test_options_without_sense_are_dropped_in_silence(options: bytes) -> None:
    m = Machine()
    extension = bytes((ipv6.DESTINATION_OPTIONS, (len(options) + 2) // 8 - 1)) + options
    assert len(extension) % 8 == 0
    assert over_the_wire(m, packet(6, extension=extension)) == []
    assert m.host.counters["Ip6InHdrErrors"] == 1


@pytest.mark.parametrize(("destination", "expected"), [(OURS_6, 1), ("2001:db8::77", 0), ("ff02::1", 0)])
def test_a_hop_by_hop_header_that_is_not_the_first(destination: str, expected: int) -> None:
    """RFC 8200 §4.1: like a kind that is not known; the pointer is to the field that named it."""
    m = Machine()
    padding = bytes((1, 4)) + bytes(4)
    extension = (bytes((ipv6.DESTINATION_OPTIONS, 0)) + padding) * 2
    arriving = bytearray(octets(packet(6, PROTOCOL_UDP, destination=destination, extension=extension)))
    arriving[40] = ipv6.HOP_BY_HOP
    messages = over_the_wire(m, bytes(arriving))
    assert len(messages) == expected
    for message in messages:
        assert (message.type, message.code, message.pointer) == (icmp.V6_PARAMETER_PROBLEM, 1, 40)
        assert bytes(message.body) == bytes(arriving)
    assert m.host.counters["Ip6InHdrErrors"] == 1
    # One that runs past the packet is dropped in silence.
    arriving[41] = 200
    assert over_the_wire(m, bytes(arriving)) == []


@pytest.mark.parametrize("kind", [0, 2, 4, 77])
def test_routing_headers(kind: int) -> None:
    """RFC 8200 §4.4: with nothing left to visit it is ignored; else the packet is dropped, which is reported."""
    m = Machine()
    echo = IcmpMessage(icmp.V6_ECHO_REQUEST, 0, 1)
    done = packet(6, PROTOCOL_ICMPV6, echo, extension=bytes((ipv6.ROUTING, 0, kind, 0)) + bytes(4))
    assert [message.type for message in over_the_wire(m, done)] == [icmp.V6_ECHO_REPLY]
    left = packet(6, PROTOCOL_ICMPV6, echo, extension=bytes((ipv6.ROUTING, 0, kind, 1)) + bytes(4))
    (message,) = over_the_wire(m, left)
    assert (message.type, message.code, message.pointer) == (icmp.V6_PARAMETER_PROBLEM, icmp.V6_ERRONEOUS_HEADER, 42)


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        (bytes((1, 7, 3, 4)), -1),
        (bytes((0, 99, 99, 99)), -1),
        (bytes((7, 3, 4, 1)), -1),
        (bytes((7, 1, 0, 0)), 20),
        (bytes((1, 7, 0, 0)), 21),
        (bytes((1, 1, 7, 3)), 22),
        (bytes((1, 1, 1, 7)), 23),
    ],
)
def test_options_of_ipv4(options: bytes, pointer: int) -> None:
    """RFC 1122 §3.2.1.8: what is not known is ignored; §3.2.2.5: what makes no sense is reported."""
    m = Machine()
    echo = IcmpMessage(icmp.ECHO_REQUEST, 0, 1)
    if options == bytes((1, 7, 3, 4)):
        options += bytes(4)
    (message,) = over_the_wire(m, packet(4, PROTOCOL_ICMP, echo, extension=options))
    if pointer < 0:
        assert message.type == icmp.ECHO_REPLY
    else:
        assert (message.type, message.code, message.pointer) == (icmp.PARAMETER_PROBLEM, 0, pointer)
        assert m.host.counters["IpInHdrErrors"] == 1


# --- limits


def test_errors_to_all_together_are_bounded() -> None:
    """icmp_msgs_per_sec and icmp_msgs_burst"""
    counters = Counters()
    limits = IcmpLimits(Parameters(), counters)
    now = SECOND
    destinations = [number.to_bytes(4, "big") for number in range(1, 3000)]
    assert sum(limits.allow(destination, now) for destination in destinations[:200]) == 50
    assert counters["IcmpOutRateLimitGlobal"] == 150
    sent = 0
    for number, destination in enumerate(destinations[200:]):
        sent += limits.allow(destination, now + number * MILLISECOND // 2)
    assert sent == pytest.approx(len(destinations[200:]) / 2, abs=2)


def test_errors_to_one_destination_are_bounded() -> None:
    """icmp_ratelimit: one a second, six at once."""
    counters = Counters()
    parameters = Parameters()
    limits = IcmpLimits(parameters, counters)
    one, other, sixth = b"\1\1\1\1", b"\2\2\2\2", bytes(16)
    assert sum(limits.allow(one, 0) for _ in range(20)) == BURST
    assert sum(limits.allow(sixth, 0) for _ in range(20)) == BURST
    assert limits.allow(other, 0)
    assert not limits.allow(one, SECOND - 1)
    assert limits.allow(one, SECOND)
    assert not limits.allow(one, SECOND)
    assert counters["IcmpOutRateLimitHost"] == 16
    assert counters["Icmp6OutRateLimitHost"] == 14
    assert counters["IcmpOutRateLimitGlobal"] == 0
    parameters.icmp_ratelimit = 0
    assert sum(limits.allow(one, 2 * SECOND) for _ in range(20)) == 20


def test_the_table_of_destinations_is_bounded() -> None:
    parameters = Parameters()
    parameters.icmp_msgs_per_sec = 1_000_000
    limits = IcmpLimits(parameters, Counters())
    for number in range(3 * CAPACITY):
        limits.allow(number.to_bytes(16, "big"), number * SECOND)
        assert len(limits) <= CAPACITY


def test_a_flood_gets_few_answers() -> None:
    m = Machine()
    said = 0
    for number in range(5000):
        arriving = packet(4, PROTOCOL_UDP, source=f"192.0.2.{3 + number % 200}")
        m.now += SECOND // 10_000
        said += len(over_the_wire(m, arriving))
    # 50 at once, and 1000 a second for half a second.
    assert said <= 50 + 500
    assert said >= 400


# --- echo


@pytest.mark.parametrize("version", [4, 6])
def test_echo_requests_may_be_ignored(version: int) -> None:
    m = Machine()
    request = (PROTOCOL_ICMP, icmp.ECHO_REQUEST) if version == 4 else (PROTOCOL_ICMPV6, icmp.V6_ECHO_REQUEST)
    echo = packet(version, request[0], IcmpMessage(request[1], 0, 1))
    assert len(over_the_wire(m, echo)) == 1
    m.host.parameters.icmp_echo_ignore_all = int(version == 4)
    m.host.parameters.ipv6_echo_ignore_all = int(version == 6)
    assert over_the_wire(m, echo) == []


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("192.0.2.255", 1),
        ("255.255.255.255", 1),
        ("224.0.0.1", 1),
        ("224.0.0.9", 0),
        ("192.0.2.9", 0),
        ("ff02::1", 1),
        ("ff02::9", 0),
    ],
)
def test_echo_requests_to_all(destination: str, expected: int) -> None:
    """RFC 1122 §3.2.2.6: as the parameters say; RFC 4443 §4.2: from an address of one host."""
    m = Machine()
    version = 6 if ":" in destination else 4
    parameters = m.host.parameters
    parameters.icmp_echo_ignore_broadcasts = 0
    request = (PROTOCOL_ICMP, icmp.ECHO_REQUEST) if version == 4 else (PROTOCOL_ICMPV6, icmp.V6_ECHO_REQUEST)
    echo = packet(version, request[0], IcmpMessage(request[1], 0, 1), destination=destination)
    answers = m.gets(echo)
    assert len(answers) == expected
    assert all(addresses.text(answer.source) == (OURS if version == 4 else OURS_6) for answer in answers)
    parameters.icmp_echo_ignore_broadcasts = parameters.ipv6_echo_ignore_multicast = 1
    assert m.gets(echo) == []


def test_answers_leave_where_the_routes_say() -> None:
    m = Machine()
    other = m.host.add_interface("eth1", ["198.51.100.1/24"], 1500)
    echo = packet(4, PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0, 1), source="198.51.100.9")
    assert m.gets(echo) == []
    assert m.host.poll_transmit(other, m.now) is not None
    # Without a route, where the question came from.
    echo.source = addresses.packed("203.0.113.1")
    assert len(m.gets(echo)) == 1


def test_what_a_host_says_may_be_cut_on_its_way() -> None:
    """As Linux: no DF, and so a number of its own (RFC 6864 §4.3)."""
    m = Machine()
    echo = packet(4, PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0, 1))
    answers = m.gets(echo) + m.gets(echo) + m.gets(packet(4))
    assert [answer.dont_fragment for answer in answers] == [False, False, False]
    assert len({answer.identification for answer in answers}) == 3


def test_congestion_that_a_request_met_is_not_that_of_its_answer() -> None:
    m = Machine()
    echo = packet(4, PROTOCOL_ICMP, IcmpMessage(icmp.ECHO_REQUEST, 0, 1))
    echo.traffic_class = 0x2B
    (answer,) = m.gets(echo)
    assert answer.traffic_class == 0x28
