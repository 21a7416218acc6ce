"""Fragments put together: in any order, within bounds, or dropped by the rules (RFC 791, 815, 8200, 5722)."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet import fragment as scapy_fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Raw

from synfin.host import addresses
from synfin.host.counters import Counters
from synfin.host.fragmentation import fragments
from synfin.host.fragments import Fragments
from synfin.host.icmp_errors import Problem
from synfin.host.parameters import Parameters
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER
from synfin.wire import icmp, ipv6
from synfin.wire.ip import CE, ECT_0, PROTOCOL_UDP, Packet, octets, parse_packet
from tests.host.machine import OURS, OURS_6, THEIRS, THEIRS_6, Machine, Peer, segment_of

VERSIONS = (4, 6)
#: 253 and 254 are for experiments (RFC 3692): nobody reads what they carry.
PROTOCOL = 253


def datagram(version: int, payload: bytes, identification: int = 7, source: str = "", ecn: int = 0) -> Packet:
    theirs, ours = (THEIRS, OURS) if version == 4 else (THEIRS_6, OURS_6)
    return Packet(
        addresses.packed(source or theirs),
        addresses.packed(ours),
        PROTOCOL,
        payload,
        traffic_class=ecn,
        identification=identification,
        dont_fragment=version == 6,
    )


def piece(version: int, start: int, octets: bytes, more: bool = True, identification: int = 7, ecn: int = 0) -> Packet:
    """The fragment of a datagram that has `octets` at `start`."""
    packet = datagram(version, octets, identification, ecn=ecn)
    packet.fragment_offset = start
    packet.more_fragments = more
    return packet


class Table:
    """A table of fragments with its limits and counters."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.limits = Parameters()
        self.counters = Counters()
        self.table = Fragments(version, self.limits, self.counters)
        self.now = 0

    def gets(self, packet: Packet) -> Packet | None:
        """What the fragment completes, after a way over the wire."""
        outcome = self.table.arrives(parse_packet(octets(packet)), self.now)
        assert not isinstance(outcome, Problem), outcome
        return outcome

    def count(self, name: str) -> int:
        return self.counters[("Ip" if self.version == 4 else "Ip6") + name]


def payload_of(packet: Packet | None) -> bytes:
    assert packet is not None
    assert isinstance(packet.payload, (bytes, memoryview))
    return bytes(packet.payload)


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Where to cut so many octets: multiples of 8 inside."""
    return st.lists(st.integers(1, max((length - 1) // 8, 1)), max_size=12, unique=True).map(
        lambda places: sorted({8 * place for place in places if 8 * place < length})
    )


@st.composite
def cut_datagrams(draw: st.DrawFn) -> tuple[int, bytes, list[Packet]]:
    """(version, payload, its fragments in any order, some of them more than once)."""
    version = draw(st.sampled_from(VERSIONS))
    payload = draw(st.binary(min_size=9, max_size=400))
    at = [0, *draw(cuts(len(payload))), len(payload)]
    if len(at) == 2:
        at.insert(1, 8)
    made = [piece(version, a, payload[a:b], b < len(payload)) for a, b in pairwise(at)]
    # The last one to arrive is the first time that it does, so that nothing follows the whole.
    order = draw(st.permutations(made))
    repeated = draw(st.lists(st.sampled_from(order[:-1]), max_size=5)) if len(order) > 1 else []
    mixed = order[:-1]
    for again in repeated:
        mixed.insert(draw(st.integers(0, len(mixed))), again)
    return version, payload, [*mixed, order[-1]]


@given(cut_datagrams())
def test_any_order_and_duplication_gives_the_datagram(case: tuple[int, bytes, list[Packet]]) -> None:
    version, payload, arriving = case
    t = Table(version)
    outcomes = [t.gets(packet) for packet in arriving]
    assert outcomes[:-1] == [None] * (len(arriving) - 1)
    whole = outcomes[-1]
    assert payload_of(whole) == payload
    assert whole is not None
    assert whole.protocol == PROTOCOL
    assert not whole.is_fragment
    assert whole.extension == b""
    assert (len(t.table), t.table.charge) == (0, 0)
    assert t.table.next_deadline() == NEVER
    assert (t.count("ReasmReqds"), t.count("ReasmOKs"), t.count("ReasmFails")) == (len(arriving), 1, 0)


@given(st.data(), st.sampled_from(VERSIONS), st.binary(min_size=64, max_size=200))
def test_overlaps_are_dropped_with_the_whole_datagram(draw: st.DataObject, version: int, payload: bytes) -> None:
    """RFC 5722 §4, and Linux for IPv4: whatever the octets say, and wherever in the order the overlap comes."""
    length = len(payload) // 8 * 8
    middle = 8 * draw.draw(st.integers(1, length // 8 - 1))
    honest = [(0, middle), (middle, length)]
    start = 8 * draw.draw(st.integers(0, length // 8 - 1))
    end = 8 * draw.draw(st.integers(start // 8 + 1, length // 8))
    assume((start, end) not in honest)
    t = Table(version)
    # The last honest one comes last: before that nothing can be complete.
    for a, b in [*draw.draw(st.permutations([honest[0], (start, end)])), honest[1]]:
        assert t.gets(piece(version, a, payload[a:b], (a, b) != honest[1])) is None
    assert (t.count("ReasmFails"), t.count("ReasmOKs")) == (1, 0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "overlapping",
    [
        (0, bytes(8)),
        (8, bytes(16)),
        (8, bytes(8)),
        (0, bytes(24)),
        # The same place, but not the same octets.
        (0, b"\1" * 16),
    ],
)
def test_each_kind_of_overlap(version: int, overlapping: tuple[int, bytes]) -> None:
    t = Table(version)
    assert t.gets(piece(version, 0, bytes(16))) is None
    assert t.gets(piece(version, *overlapping)) is None
    assert t.count("ReasmFails") == 1
    assert t.counters["IpExtReasmOverlaps"] == (version == 4)
    # Of IPv6 also what follows is dropped; of IPv4, it begins anew.
    assert t.gets(piece(version, 0, bytes(16))) is None
    whole = t.gets(piece(version, 16, bytes(8), more=False))
    assert (whole is None) == (version == 6)
    assert t.count("ReasmOKs") == (version == 4)
    # What was given up has failed once, and is forgotten in its time.
    assert t.table.deadline_reached(60 * SECOND) == []
    assert (len(t.table), t.table.charge) == (0, 0)
    assert (t.count("ReasmFails"), t.count("ReasmTimeout")) == (1, 0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "contradiction",
    [
        [(16, 8, False), (32, 8, True)],
        [(16, 8, False), (32, 8, False)],
        [(32, 8, True), (16, 8, False)],
        [(32, 8, True), (8, 8, False)],
    ],
)
def test_two_ends_are_one_too_many(version: int, contradiction: list[tuple[int, int, bool]]) -> None:
    t = Table(version)
    for start, length, more in contradiction:
        assert t.gets(piece(version, start, bytes(length), more)) is None
    assert t.count("ReasmFails") == 1
    assert len(t.table) == (version == 6)


@pytest.mark.parametrize("version", VERSIONS)
def test_only_fragments_of_one_datagram_are_joined(version: int) -> None:
    """RFC 791 §3.2: source, destination, protocol and identification; RFC 8200 §4.5: all but the protocol."""
    t = Table(version)
    other = addresses.packed("192.0.2.9" if version == 4 else "2001:db8::9")
    first = piece(version, 0, bytes(8))
    for field, value in (("source", other), ("destination", other), ("identification", 8), ("protocol", 254)):
        last = piece(version, 8, bytes(8), more=False)
        setattr(last, field, value)
        t.gets(first)
        joined = t.gets(last)
        assert (joined is not None) == (version == 6 and field == "protocol"), field
    if version == 4:
        assert payload_of(t.gets(piece(4, 8, bytes(8), more=False))) == bytes(16)


@pytest.mark.parametrize(("version", "seconds"), [(4, 30), (6, 60)])
@pytest.mark.parametrize("first_came", [True, False])
def test_what_is_never_complete_is_forgotten(version: int, seconds: int, first_came: bool) -> None:
    t = Table(version)
    t.now = SECOND
    t.gets(piece(version, 0 if first_came else 8, b"12345678"))
    t.now += 5 * SECOND
    # What comes later does not make it live longer.
    t.gets(piece(version, 16, bytes(8)))
    deadline = SECOND + seconds * SECOND
    assert t.table.next_deadline() == deadline
    assert t.table.deadline_reached(deadline - 1) == []
    expired = t.table.deadline_reached(deadline)
    assert len(t.table) == t.table.charge == 0
    assert (t.count("ReasmTimeout"), t.count("ReasmFails")) == (1, 1)
    assert [payload_of(packet) for packet in expired] == ([b"12345678"] if first_came else [])


def test_a_datagram_longer_than_any_is_not_made() -> None:
    """The "ping of death": an end beyond 65535 octets."""
    t = Table(4)
    assert t.gets(piece(4, 65528, bytes(7), more=False)) is None
    assert t.count("ReasmFails") == 1
    assert len(t.table) == 0
    # With the header it is 65535 octets: the most there can be.
    assert t.gets(piece(4, 65512, bytes(3), more=False)) is None
    assert len(t.table) == 1
    t = Table(6)
    outcome = t.table.arrives(piece(6, 65528, bytes(8), more=False), 0)
    assert isinstance(outcome, Problem)
    # RFC 8200 §4.5: code 0, at the fragment offset.
    assert (outcome.code, outcome.pointer) == (0, 42)
    assert t.count("InHdrErrors") == 1


def test_a_length_that_is_no_multiple_of_eight() -> None:
    t = Table(4)
    assert t.gets(piece(4, 0, bytes(9))) is None
    assert (len(t.table), t.count("ReasmFails")) == (0, 1)
    outcome = Table(6).table.arrives(piece(6, 0, bytes(9)), 0)
    assert isinstance(outcome, Problem)
    assert (outcome.code, outcome.pointer) == (0, 4)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fragment_of_nothing(version: int) -> None:
    t = Table(version)
    for more in (True, False):
        assert t.gets(piece(version, 16, b"", more)) is None
    assert (len(t.table), t.count("ReasmFails")) == (0, 2)


@pytest.mark.parametrize(
    ("protocol", "payload", "whole"),
    [
        (6, bytes(24), True),
        (6, bytes(16), False),
        (PROTOCOL_UDP, bytes(8), True),
        (ipv6.DESTINATION_OPTIONS, bytes((PROTOCOL_UDP, 0, 1, 4, 0, 0, 0, 0)) + bytes(8), True),
        (ipv6.DESTINATION_OPTIONS, bytes((PROTOCOL_UDP, 0, 1, 4, 0, 0, 0, 0)), False),
        (ipv6.DESTINATION_OPTIONS, bytes((PROTOCOL_UDP, 1, 1, 4, 0, 0, 0, 0)), False),
    ],
)
def test_the_first_fragment_has_all_headers(protocol: int, payload: bytes, whole: bool) -> None:
    """RFC 8200 §4.5, RFC 7112: parameter problem, code 3."""
    packet = piece(6, 0, payload)
    packet.protocol = protocol
    outcome = Table(6).table.arrives(packet, 0)
    if whole:
        assert outcome is None
    else:
        assert isinstance(outcome, Problem)
        assert (outcome.code, outcome.pointer) == (icmp.V6_INCOMPLETE_HEADER_CHAIN, 0)


def test_headers_before_and_behind_the_fragment_header() -> None:
    """RFC 8200 §4.5: those before it come from the first fragment, those behind it were cut with the rest."""
    before = bytes((ipv6.HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0))
    behind = bytes((PROTOCOL, 0, 1, 4, 0, 0, 0, 0))
    data = behind + b"payload."
    made = []
    for start, octets_, more in ((0, data[:8] + b"p", True), (8, data[8:], False)):
        packet = piece(6, start, octets_[:8] if start == 0 else octets_, more)
        packet.protocol = ipv6.DESTINATION_OPTIONS
        packet.extension = before
        made.append(packet)
    t = Table(6)
    made[0].payload = data[:8] + data[8:16]
    made[0].more_fragments = True
    made[1].fragment_offset, made[1].payload = 16, b"!"
    assert t.gets(made[0]) is None
    whole = t.gets(made[1])
    assert payload_of(whole) == b"payload.!"
    assert whole is not None
    assert [whole.extension[at] for at, _ in ipv6.places(whole.extension)] == [
        ipv6.HOP_BY_HOP,
        ipv6.DESTINATION_OPTIONS,
    ]


def test_a_fragment_made_of_fragments_is_dropped() -> None:
    inner = piece(6, 0, bytes(16), identification=9)
    data = octets(inner)[40:]
    t = Table(6)
    for start, part, more in ((0, data[:16], True), (16, data[16:], False)):
        packet = piece(6, start, part, more)
        packet.protocol = ipv6.FRAGMENT
        assert t.gets(packet) is None
    assert t.count("InHdrErrors") == 1
    assert len(t.table) == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("seen", "expected"),
    [((0, 0), 0), ((ECT_0, ECT_0), ECT_0), ((ECT_0, CE), CE), ((CE, ECT_0), CE), ((0, CE), None), ((ECT_0, 0), None)],
)
def test_congestion_that_one_fragment_met(version: int, seen: tuple[int, int], expected: int | None) -> None:
    """RFC 3168 §5.3."""
    t = Table(version)
    assert t.gets(piece(version, 0, bytes(8), ecn=seen[0])) is None
    whole = t.gets(piece(version, 8, bytes(8), more=False, ecn=seen[1]))
    if expected is None:
        assert whole is None
        assert t.count("ReasmFails") == 1
    else:
        assert whole is not None
        assert whole.ecn == expected


# --- bounds


@pytest.mark.parametrize("version", VERSIONS)
def test_a_datagram_has_so_many_fragments(version: int) -> None:
    t = Table(version)
    t.limits.ipfrag_max_fragments = t.limits.ipfrag_max_fragments = 10
    for number in range(10):
        t.gets(piece(version, 8 * number, bytes(8)))
    assert t.gets(piece(version, 80, bytes(8), more=False)) is None
    assert t.count("ReasmFails") == 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(3))
def test_a_flood_stays_within_its_memory(version: int, seed: int) -> None:
    """Random fragments: what is charged stays below the bound, and what is used below what is charged."""
    random = Random(seed)
    t = Table(version)
    limit = t.limits.ipfrag_high_thresh = t.limits.ip6frag_high_thresh = 200_000
    tracemalloc.start()
    try:
        empty = tracemalloc.get_traced_memory()[0]
        for _ in range(6000):
            size = 8 * random.choice((1, 1, 2, 30, 180))
            # A frame larger than what is in it: only the fragment may stay.
            packet = piece(
                version, 8 * random.randrange(400), bytes(size), random.random() < 0.9, random.randrange(200)
            )
            frame = octets(packet) + bytes(4000)
            t.table.arrives(parse_packet(frame), t.now)
            t.now += SECOND // 100
            if random.random() < 0.01:
                t.table.deadline_reached(t.now)
            assert t.table.charge <= limit
        del packet, frame
        used = tracemalloc.get_traced_memory()[0] - empty
    finally:
        tracemalloc.stop()
    assert used <= t.table.charge + 20_000
    assert t.table.charge > limit // 2
    t.table.deadline_reached(t.now + 100 * SECOND)
    assert len(t.table) == t.table.charge == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_small_fragments_are_charged_what_they_cost(version: int) -> None:
    t = Table(version)
    tracemalloc.start()
    try:
        empty = tracemalloc.get_traced_memory()[0]
        for number in range(1000):
            t.gets(piece(version, 0 if number % 2 else 80, bytes(8), identification=number))
        used = tracemalloc.get_traced_memory()[0] - empty
    finally:
        tracemalloc.stop()
    assert len(t.table) == 1000
    assert t.table.charge / 2 < used <= t.table.charge


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flood_does_not_keep_others_out(version: int) -> None:
    """The oldest makes room: between two fragments of an honest datagram 1 MiB of others may come."""
    t = Table(version)
    for number in range(10_000):
        t.gets(piece(version, 0, bytes(1400), identification=number + 100))
        t.now += SECOND // 10_000
        if number % 1000 == 999:
            assert t.gets(piece(version, 0, bytes(1400), identification=1)) is None
            for other in range(500):
                t.gets(piece(version, 0, bytes(1400), identification=20_000 + 500 * (number // 1000) + other))
            assert payload_of(t.gets(piece(version, 1400, bytes(8), more=False, identification=1))) == bytes(1408)
    assert t.count("ReasmOKs") == 10


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_put_together_without_memory(version: int) -> None:
    t = Table(version)
    t.limits.ipfrag_high_thresh = t.limits.ip6frag_high_thresh = 0
    assert t.gets(piece(version, 0, bytes(8))) is None
    assert (len(t.table), t.count("ReasmFails")) == (0, 1)
    # A datagram larger than all the memory is given up when that shows.
    t.limits.ipfrag_high_thresh = t.limits.ip6frag_high_thresh = 3900
    t.gets(piece(version, 0, bytes(1400)))
    t.gets(piece(version, 1400, bytes(1400)))
    assert (len(t.table), t.table.charge) == (0, 0)


# --- cutting


@pytest.mark.parametrize("length", [1481, 4000, 65000])
@pytest.mark.parametrize("mtu", [576, 1280, 1500])
def test_what_scapy_cuts_is_put_together(length: int, mtu: int) -> None:
    data = Random(length).randbytes(length)
    t = Table(4)
    t.limits.ipfrag_max_fragments = 200
    whole = IP(src=THEIRS, dst=OURS, id=5, flags=0) / UDP(sport=1, dport=2) / Raw(data)
    expected = bytes(whole)
    made = [bytes(one) for one in scapy_fragment(IP(expected), fragsize=mtu - 20)]
    assert len(made) > 1
    outcomes = [t.table.arrives(parse_packet(one), 0) for one in made]
    joined = outcomes[-1]
    assert isinstance(joined, Packet)
    assert octets(joined) == expected

    v6 = IPv6(src=THEIRS_6, dst=OURS_6) / IPv6ExtHdrFragment(id=77) / UDP(sport=1, dport=2) / Raw(data)
    t6 = Table(6)
    t6.limits.ipfrag_max_fragments = 200
    made6 = [bytes(one) for one in fragment6(v6, mtu)]
    assert len(made6) > 1
    joined6 = [t6.table.arrives(parse_packet(one), 0) for one in made6][-1]
    assert isinstance(joined6, Packet)
    assert octets(joined6) == bytes(IPv6(src=THEIRS_6, dst=OURS_6) / UDP(sport=1, dport=2) / Raw(data))


@given(st.sampled_from(VERSIONS), st.integers(1, 5000), st.integers(128, 1500))
def test_what_is_cut_here_is_put_together_here(version: int, length: int, mtu: int) -> None:
    payload = Random(length).randbytes(length)
    packet = datagram(version, payload)
    made = fragments(packet, mtu)
    t = Table(version)
    assert all(one.total_length <= mtu and len(octets(one)) == one.total_length for one in made)
    if len(made) == 1 and version == 4:
        return
    if len(made) > 1:
        # No smaller than they need be.
        assert made[0].total_length > mtu - 8
        outcomes = [t.gets(one) for one in made[:128]]
        if len(made) <= 128:
            assert payload_of(outcomes[-1]) == payload


def test_options_go_with_the_first_fragment_alone() -> None:
    packet = datagram(4, bytes(1000))
    packet.extension = bytes((7, 39)) + bytes(37) + b"\1"
    made = fragments(packet, 128)
    # 64 octets beside options, 104 without.
    assert [len(one.payload) for one in made if isinstance(one.payload, bytes)] == [64, *[104] * 9]
    assert [one.header_length for one in made] == [60] + [20] * 9
    t = Table(4)
    whole = [t.gets(one) for one in made][-1]
    assert whole is not None
    assert whole.extension == packet.extension


def test_an_mtu_without_room() -> None:
    with pytest.raises(ValueError, match="no room"):
        fragments(datagram(6, bytes(100)), 48)


# --- at a host


@pytest.mark.parametrize(("theirs", "ours"), [(THEIRS, OURS), (THEIRS_6, OURS_6)])
def test_a_connection_over_fragments(theirs: str, ours: str) -> None:
    m = Machine()
    listener = m.host.listen(ours, 80, 5, m.now)
    peer = Peer(m, address=theirs, to=ours)

    def over_fragments(packet: Packet) -> list[Packet]:
        packet.dont_fragment = len(packet.source) == 16
        packet.identification += 1
        made = fragments(packet, 128)
        assert len(made) > 1 or packet.total_length <= 128
        for one in reversed(made):
            m.host.octets_arrive(octets(one), m.eth, m.now)
        answers = m.poll()
        peer.saw([segment_of(answer) for answer in answers])
        return answers

    peer.opens()
    connection = m.host.accept(listener)
    data = bytes(range(256)) * 4
    over_fragments(peer.packet(0x18, data))
    assert b"".join(m.host.receive(connection, 1 << 20, m.now)) == data
    name = "Ip" if len(connection.identity.flow) == 12 else "Ip6"
    assert m.host.counters[name + "ReasmOKs"] == 1
    # One octet wrong in the whole: the checksum over all pieces shows it.
    peer.seq += len(data)
    spoiled = fragments(peer.packet(0x18, data), 128)
    last = spoiled[-1]
    assert isinstance(last.payload, bytes)
    last.payload = last.payload[:-1] + b"?"
    for one in spoiled:
        m.host.octets_arrive(octets(one), m.eth, m.now)
    assert m.host.counters["TcpInCsumErrors"] == 1


@pytest.mark.parametrize("destination", ["192.0.2.9", "192.0.2.255", "224.0.0.1", "127.0.0.1"])
def test_fragments_for_others_are_not_kept(destination: str) -> None:
    m = Machine()
    packet = piece(4, 0, bytes(8))
    packet.destination = addresses.packed(destination)
    assert m.gets(packet) == []
    assert m.host.counters["IpInAddrErrors"] == 1
    assert m.host.counters["IpReasmReqds"] == 0


def test_headers_behind_the_fragment_header_have_their_say() -> None:
    """RFC 8200 §4.2: an option that is not known is found when all is together, and quoted from there."""
    m = Machine()
    options = bytes((PROTOCOL, 0, 0x80, 4, 0, 0, 0, 0))
    for start, part, more in ((0, options + bytes(8), True), (16, bytes(8), False)):
        one = piece(6, start, part, more)
        one.protocol = ipv6.DESTINATION_OPTIONS
        m.host.octets_arrive(octets(one), m.eth, m.now)
    (answer,) = m.poll()
    assert isinstance(answer.payload, icmp.IcmpMessage)
    assert (answer.payload.type, answer.payload.code, answer.payload.parameter) == (icmp.V6_PARAMETER_PROBLEM, 2, 42)
    assert m.host.counters["Ip6ReasmOKs"] == m.host.counters["Ip6InHdrErrors"] == 1
    assert m.host.counters["Ip6InUnknownProtos"] == 0


def test_an_atomic_fragment_is_whole_by_itself() -> None:
    """RFC 6946 §4: whatever other fragments with its identification wait."""
    m = Machine()
    m.gets(piece(6, 8, bytes(8), identification=0))
    echo = Packet(
        addresses.packed(THEIRS_6),
        addresses.packed(OURS_6),
        icmp.PROTOCOL_ICMPV6,
        icmp.IcmpMessage(icmp.V6_ECHO_REQUEST, 0, 1, b"atomic"),
        extension=bytes((ipv6.FRAGMENT, 0, 0, 0, 0, 0, 0, 0)),
    )
    m.host.octets_arrive(octets(echo), m.eth, m.now)
    (answer,) = m.poll()
    assert isinstance(answer.payload, icmp.IcmpMessage)
    assert answer.payload.body == b"atomic"
    assert m.host.counters["Ip6ReasmOKs"] == 1


@pytest.mark.parametrize(("version", "seconds"), [(4, 30), (6, 60)])
def test_the_sender_learns_that_the_rest_never_came(version: int, seconds: int) -> None:
    """RFC 792, RFC 8200 §4.5: if the first fragment came, and only then."""
    m = Machine()
    start = m.now
    m.gets(piece(version, 0, b"first..."))
    m.gets(piece(version, 8, bytes(8), identification=8))
    assert m.host.next_deadline() == start + seconds * SECOND
    assert m.goes_on(start + seconds * SECOND - 1) == []
    (message,) = m.goes_on(start + seconds * SECOND)
    assert isinstance(message.payload, icmp.IcmpMessage)
    kind = icmp.TIME_EXCEEDED if version == 4 else icmp.V6_TIME_EXCEEDED
    assert (message.payload.type, message.payload.code) == (kind, icmp.REASSEMBLY_TIME_EXCEEDED)
    quoted = piece(version, 0, b"first...")
    assert message.payload.body == octets(quoted)
    assert addresses.text(message.destination) == (THEIRS if version == 4 else THEIRS_6)
    assert addresses.text(message.source) == (OURS if version == 4 else OURS_6)
    assert m.host.next_deadline() == NEVER


@pytest.mark.parametrize(("theirs", "ours", "version"), [(THEIRS, OURS, 4), (THEIRS_6, OURS_6, 6)])
def test_a_long_echo_goes_back_in_fragments(theirs: str, ours: str, version: int) -> None:
    protocol, kind = (
        (icmp.PROTOCOL_ICMP, icmp.ECHO_REQUEST) if version == 4 else (icmp.PROTOCOL_ICMPV6, icmp.V6_ECHO_REQUEST)
    )
    body = Random(1).randbytes(4000)
    request = Packet(
        addresses.packed(theirs),
        addresses.packed(ours),
        protocol,
        icmp.IcmpMessage(kind, 0, 5, body),
        identification=3,
        dont_fragment=False,
    )
    m = Machine()
    for one in fragments(request, 1500):
        m.host.octets_arrive(octets(one), m.eth, m.now)
    answers = m.poll()
    assert len(answers) == 3
    assert all(answer.total_length <= 1500 for answer in answers)
    assert len({answer.identification for answer in answers}) == 1
    t = Table(version)
    whole = [t.gets(answer) for answer in answers][-1]
    assert whole is not None
    assert isinstance(whole.payload, icmp.IcmpMessage)
    assert whole.payload.body == body


def test_fragments_of_nonsense_raise_nothing() -> None:
    random = Random(5)
    m = Machine()
    m.host.parameters.ipfrag_high_thresh = m.host.parameters.ip6frag_high_thresh = 100_000
    for number in range(4000):
        version = random.choice(VERSIONS)
        packet = piece(
            version,
            8 * random.randrange(4),
            random.randbytes(random.choice((8, 8, 8, 16, 24, 5, 0))),
            random.random() < 0.6,
            number // 8,
        )
        packet.protocol = (0, 1, 6, 17, 58, 59, 60, 253)[packet.identification % 8]
        if random.random() < 0.2 and version == 6:
            packet.extension = bytes((random.choice((0, 60, 43)), 0)) + random.randbytes(6)
        m.host.octets_arrive(octets(packet), m.eth, m.now)
        assert len(m.poll()) <= 1
        m.now += SECOND // 1000
        m.goes_on(m.now)
    assert m.host.counters["IpReasmOKs"] > 10
    assert m.host.counters["Ip6ReasmOKs"] > 10
