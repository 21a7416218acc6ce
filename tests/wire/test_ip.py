from __future__ import annotations

import struct

import pytest

from synfin.wire import ipv6
from synfin.wire.checksum import finish, ones_complement_sum
from synfin.wire.errors import (
    CAUSES,
    ICMP_HEADER,
    IP_CHECKSUM,
    IP_HEADER,
    IP_TRUNCATED,
    IP_VERSION,
    IPV6_EXTENSION,
    TCP_CHECKSUM,
    TCP_HEADER,
    WireError,
)
from synfin.wire.icmp import ECHO_REQUEST, V6_ECHO_REQUEST, IcmpMessage
from synfin.wire.ip import (
    CE,
    ECT_0,
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    Packet,
    encode_packet,
    octets,
    parse_packet,
    parse_payload,
    reassembled,
)
from synfin.wire.tcp import ACK, Options, Segment, timestamp_options

SOURCE = bytes([192, 0, 2, 1])
DESTINATION = bytes([198, 51, 100, 2])
SOURCE_6 = bytes.fromhex("20010db8000000000000000000000001")
DESTINATION_6 = bytes.fromhex("20010db8000000000000000000000002")
ADDRESSES = pytest.mark.parametrize(("source", "destination"), [(SOURCE, DESTINATION), (SOURCE_6, DESTINATION_6)])

# In the form of Packet.extension: each header begins with its own kind.
HOP_BY_HOP = bytes([0, 0, 5, 2, 0, 0, 1, 0])
DESTINATION_OPTIONS = bytes([60, 1, 1, 12]) + bytes(12)
ROUTING = bytes([43, 2, 0, 0, 0, 0, 0, 0]) + SOURCE_6
FRAGMENT = bytes([44, 0, 0, 0, 0, 0, 0, 0])


def segment(payload: tuple[bytes | memoryview, ...] = (b"hello",), options: Options | None = None) -> Segment:
    return Segment(0x1234, 80, 100, 200, ACK, 300, options or timestamp_options(1, 2), payload)


def cause_of(data: bytes | bytearray, checksum_verified: bool = False) -> str:
    with pytest.raises(WireError) as error:
        parse_packet(data, checksum_verified=checksum_verified)
    assert error.value.cause in CAUSES
    assert str(error.value).startswith(error.value.cause)
    return error.value.cause


def with_header_checksum(packet: bytearray) -> bytearray:
    header_length = (packet[0] & 15) * 4
    packet[10:12] = b"\0\0"
    packet[10:12] = finish(ones_complement_sum(packet[:header_length])).to_bytes(2, "big")
    return packet


def test_an_ipv4_header_octet_for_octet() -> None:
    packet = Packet(
        SOURCE,
        DESTINATION,
        PROTOCOL_UDP,
        b"abcd",
        ttl=7,
        traffic_class=0xB9,
        identification=0x1234,
        dont_fragment=True,
        extension=b"\x94\x04\0\0",
    )
    whole = octets(packet)
    assert whole[:10] == bytes.fromhex("46b9 001c 1234 4000 0711")
    assert whole[12:] == SOURCE + DESTINATION + b"\x94\x04\0\0" + b"abcd"
    assert ones_complement_sum(whole[:24]) == 0xFFFF
    assert parse_packet(whole) == packet


def test_an_ipv6_header_octet_for_octet() -> None:
    packet = Packet(SOURCE_6, DESTINATION_6, PROTOCOL_UDP, b"abcd", ttl=7, traffic_class=0xB9, flow_label=0xABCDE)
    whole = octets(packet)
    assert whole == bytes.fromhex("6b9abcde 0004 1107") + SOURCE_6 + DESTINATION_6 + b"abcd"
    assert parse_packet(whole) == packet


def test_extension_headers_octet_for_octet() -> None:
    packet = Packet(
        SOURCE_6, DESTINATION_6, PROTOCOL_UDP, b"abcd", extension=HOP_BY_HOP + ROUTING + DESTINATION_OPTIONS
    )
    whole = octets(packet)
    assert whole[4:7] == bytes([0, 4 + 8 + 24 + 16, 0])
    assert whole[40:] == (
        bytes([43]) + HOP_BY_HOP[1:] + bytes([60]) + ROUTING[1:] + bytes([17]) + DESTINATION_OPTIONS[1:] + b"abcd"
    )
    assert parse_packet(whole) == packet
    assert (packet.header_length, packet.total_length) == (88, 92)


@ADDRESSES
def test_properties(source: bytes, destination: bytes) -> None:
    packet = Packet(source, destination, PROTOCOL_TCP, segment(), traffic_class=0xB8 | CE)
    whole = octets(packet)
    assert packet.version == whole[0] >> 4
    assert packet.ecn == CE
    assert not packet.is_fragment
    assert packet.flow == source + destination + bytes([0x12, 0x34, 0, 80])
    assert packet.total_length == len(whole)
    assert packet.header_length == len(whole) - 37
    assert Packet(source, destination, 6, segment(), traffic_class=ECT_0).ecn == ECT_0
    with pytest.raises(ValueError, match="flow"):
        _ = Packet(source, destination, PROTOCOL_UDP, b"").flow


@ADDRESSES
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_parsing_does_not_copy(source: bytes, destination: bytes, make: type[bytes]) -> None:
    whole = octets(Packet(source, destination, PROTOCOL_TCP, segment()))
    data = make(whole)
    packet = parse_packet(data)
    assert isinstance(packet.payload, Segment)
    (piece,) = packet.payload.payload
    assert isinstance(piece, memoryview)
    assert piece.obj is (whole if isinstance(data, memoryview) else data)
    assert bytes(piece) == b"hello"


@ADDRESSES
def test_encoding_does_not_copy(source: bytes, destination: bytes) -> None:
    pieces = (b"abc", memoryview(b"defg"))
    header, *rest = encode_packet(Packet(source, destination, PROTOCOL_TCP, segment(pieces)))
    assert len(rest) == 2
    assert all(one is other for one, other in zip(rest, pieces, strict=True))
    assert parse_packet(b"".join([header, *rest])).payload == segment(pieces)
    body = memoryview(b"body")
    icmp_protocol = PROTOCOL_ICMP if len(source) == 4 else PROTOCOL_ICMPV6
    assert encode_packet(Packet(source, destination, icmp_protocol, IcmpMessage(8, 0, 0, body)))[1] is body
    assert encode_packet(Packet(source, destination, PROTOCOL_UDP, body))[1] is body


@ADDRESSES
def test_partial_checksums_are_the_link_s_to_complete(source: bytes, destination: bytes) -> None:
    packet = Packet(source, destination, PROTOCOL_TCP, segment((b"abc", b"de")))
    whole = bytearray(b"".join(encode_packet(packet, partial_checksum=True)))
    assert cause_of(whole) == TCP_CHECKSUM
    start = packet.header_length
    whole[start + 16 : start + 18] = finish(ones_complement_sum(whole[start:])).to_bytes(2, "big")
    assert whole == octets(packet)


@ADDRESSES
def test_a_superpacket(source: bytes, destination: bytes) -> None:
    packet = Packet(source, destination, PROTOCOL_TCP, segment((bytes(60_000),)))
    parsed = parse_packet(octets(packet), checksum_verified=True, segment_size=1448)
    assert isinstance(parsed.payload, Segment)
    assert parsed.payload.segment_size == 1448
    with pytest.raises(struct.error):
        encode_packet(Packet(source, destination, PROTOCOL_TCP, segment((bytes(65_536),))))


@ADDRESSES
def test_link_padding_is_trimmed(source: bytes, destination: bytes) -> None:
    packet = Packet(source, destination, PROTOCOL_TCP, segment(()))
    assert parse_packet(octets(packet) + bytes(6)) == packet


@ADDRESSES
def test_cut_short_at_any_length(source: bytes, destination: bytes) -> None:
    whole = octets(Packet(source, destination, PROTOCOL_TCP, segment()))
    for size in range(len(whole)):
        assert cause_of(whole[:size]) == IP_TRUNCATED


def test_other_versions() -> None:
    for version in (0, 5, 7, 15):
        assert cause_of(bytes([version << 4]) + bytes(60)) == IP_VERSION


def test_ipv4_lengths_that_contradict_one_another() -> None:
    whole = bytearray(octets(Packet(SOURCE, DESTINATION, PROTOCOL_UDP, bytes(40))))
    whole[0] = 0x44
    assert cause_of(with_header_checksum(whole)) == IP_HEADER
    whole[0] = 0x46
    whole[2:4] = b"\0\x17"
    assert cause_of(with_header_checksum(whole)) == IP_HEADER


def test_ipv4_header_checksum() -> None:
    whole = bytearray(octets(Packet(SOURCE, DESTINATION, PROTOCOL_UDP, bytes(40), extension=b"\1\1\1\0")))
    for at in (1, 5, 8, 12, 21):
        whole[at] ^= 4
        assert cause_of(whole) == IP_CHECKSUM
        assert isinstance(parse_packet(whole, checksum_verified=True), Packet)
        whole[at] ^= 4
    # What follows the header has no part in it.
    whole[25] ^= 4
    assert isinstance(parse_packet(whole), Packet)


def test_ipv4_options_are_padded() -> None:
    packet = Packet(SOURCE, DESTINATION, PROTOCOL_UDP, b"x", extension=b"\1")
    assert (packet.header_length, packet.total_length) == (24, 25)
    assert parse_packet(octets(packet)).extension == b"\1\0\0\0"
    packet.extension = b"\1" * 40
    assert parse_packet(octets(packet)) == packet
    with pytest.raises(ValueError, match="at most 40"):
        octets(Packet(SOURCE, DESTINATION, PROTOCOL_UDP, b"x", extension=bytes(44)))


@ADDRESSES
def test_transport_headers_that_do_not_fit(source: bytes, destination: bytes) -> None:
    assert cause_of(octets(Packet(source, destination, PROTOCOL_TCP, bytes(19)))) == TCP_HEADER
    icmp_protocol = PROTOCOL_ICMP if len(source) == 4 else PROTOCOL_ICMPV6
    assert cause_of(octets(Packet(source, destination, icmp_protocol, bytes(7)))) == ICMP_HEADER


def test_icmp_inside_its_own_version_only() -> None:
    for source, destination, own, other in (
        (SOURCE, DESTINATION, PROTOCOL_ICMP, PROTOCOL_ICMPV6),
        (SOURCE_6, DESTINATION_6, PROTOCOL_ICMPV6, PROTOCOL_ICMP),
    ):
        message = IcmpMessage(ECHO_REQUEST if own == PROTOCOL_ICMP else V6_ECHO_REQUEST, 0, 1, b"ping")
        packet = Packet(source, destination, own, message)
        assert parse_packet(octets(packet)) == packet
        assert packet.total_length == len(octets(packet))
        packet.protocol = other
        assert isinstance(parse_packet(octets(packet)).payload, memoryview)


@ADDRESSES
@pytest.mark.parametrize(("offset", "more"), [(0, True), (8, False), (65528, False), (1480, True)])
def test_fragments_are_not_looked_into(source: bytes, destination: bytes, offset: int, more: bool) -> None:
    packet = Packet(
        source,
        destination,
        PROTOCOL_TCP,
        b"short",
        identification=0xBEEF,
        fragment_offset=offset,
        more_fragments=more,
        extension=FRAGMENT if len(source) == 16 else b"",
    )
    whole = octets(packet)
    parsed = parse_packet(whole)
    assert parsed.is_fragment
    assert isinstance(parsed.payload, memoryview)
    assert (parsed.fragment_offset, parsed.more_fragments, parsed.identification) == (offset, more, 0xBEEF)
    assert octets(parsed) == whole
    assert packet.total_length == len(whole)
    if len(source) == 16:
        packet.extension = b""
        assert octets(packet) == whole
        assert packet.total_length == len(whole)


@pytest.mark.parametrize("offset", [1, 7, 65536, -8])
def test_fragment_offsets_that_cannot_be_sent(offset: int) -> None:
    with pytest.raises(ValueError, match="fragment offset"):
        octets(Packet(SOURCE, DESTINATION, PROTOCOL_UDP, b"", fragment_offset=offset))


def test_ipv6_fragment_header_octet_for_octet() -> None:
    packet = Packet(
        SOURCE_6,
        DESTINATION_6,
        PROTOCOL_UDP,
        b"12345678",
        identification=0xA1B2C3D4,
        fragment_offset=16,
        more_fragments=True,
        extension=HOP_BY_HOP,
    )
    whole = octets(packet)
    assert whole[6] == 0
    assert whole[40] == 44
    assert whole[48:56] == bytes.fromhex("11 00 0011 a1b2c3d4")
    # Reserved octet and bits come back as they were.
    changed = bytearray(whole)
    changed[49] = 0x77
    changed[51] |= 6
    assert octets(parse_packet(changed)) == changed


def test_an_atomic_fragment_is_looked_into() -> None:
    packet = Packet(SOURCE_6, DESTINATION_6, PROTOCOL_TCP, segment(), identification=9, extension=FRAGMENT)
    whole = octets(packet)
    parsed = parse_packet(whole)
    assert isinstance(parsed.payload, Segment)
    assert not parsed.is_fragment
    assert parsed.identification == 9
    assert octets(parsed) == whole


def test_what_follows_the_fragment_header_of_a_fragment_belongs_to_the_payload() -> None:
    packet = Packet(SOURCE_6, DESTINATION_6, 60, b"\x06" + bytes(7), more_fragments=True)
    parsed = parse_packet(octets(packet))
    assert parsed.protocol == 60
    assert parsed.payload == b"\x06" + bytes(7)


@pytest.mark.parametrize("protocol", [50, 51, 59, 253])
def test_headers_that_are_not_walked(protocol: int) -> None:
    parsed = parse_packet(octets(Packet(SOURCE_6, DESTINATION_6, protocol, b"\x06" + bytes(30), extension=HOP_BY_HOP)))
    assert parsed.protocol == protocol
    assert parsed.payload == b"\x06" + bytes(30)


def chained(*headers: bytes, payload: bytes = bytes(8)) -> bytes:
    return octets(Packet(SOURCE_6, DESTINATION_6, PROTOCOL_UDP, payload, extension=b"".join(headers)))


def test_eight_extension_headers_and_no_more() -> None:
    headers = [HOP_BY_HOP, *[DESTINATION_OPTIONS] * 7]
    assert parse_packet(chained(*headers)).protocol == PROTOCOL_UDP
    assert cause_of(chained(*headers, DESTINATION_OPTIONS)) == IPV6_EXTENSION


def test_hop_by_hop_must_be_first() -> None:
    assert cause_of(chained(DESTINATION_OPTIONS, HOP_BY_HOP)) == IPV6_EXTENSION
    assert cause_of(chained(HOP_BY_HOP, HOP_BY_HOP)) == IPV6_EXTENSION


def test_a_second_fragment_header() -> None:
    assert cause_of(chained(FRAGMENT, FRAGMENT)) == IPV6_EXTENSION


def test_extension_headers_out_of_bounds() -> None:
    for headers in ([HOP_BY_HOP], [FRAGMENT], [DESTINATION_OPTIONS], [HOP_BY_HOP, ROUTING]):
        whole = bytearray(chained(*headers, payload=b""))
        for size in range(41 if len(headers) == 1 else 49, len(whole)):
            whole[4:6] = (size - 40).to_bytes(2, "big")
            assert cause_of(whole) == IPV6_EXTENSION
    whole = bytearray(chained(DESTINATION_OPTIONS))
    whole[41] = 255
    assert cause_of(whole) == IPV6_EXTENSION


def test_an_extension_header_may_not_reach_into_link_padding() -> None:
    whole = bytearray(chained(HOP_BY_HOP, payload=b""))
    whole[4:6] = b"\0\4"
    assert cause_of(whole + bytes(100)) == IPV6_EXTENSION


def test_extensions_that_are_no_chain() -> None:
    for extension in (b"\0", bytes([60, 1, 0, 0, 0, 0, 0, 0]), bytes([17]) + bytes(7)):
        with pytest.raises(ValueError, match="extension"):
            octets(Packet(SOURCE_6, DESTINATION_6, PROTOCOL_UDP, b"", extension=extension))
    assert ipv6.without_fragment_header(HOP_BY_HOP + FRAGMENT + DESTINATION_OPTIONS) == HOP_BY_HOP + DESTINATION_OPTIONS


@ADDRESSES
@pytest.mark.parametrize("extension", [b"", HOP_BY_HOP])
def test_reassembled(source: bytes, destination: bytes, extension: bytes) -> None:
    whole = Packet(source, destination, PROTOCOL_TCP, segment((bytes(range(200)),)), extension=extension)
    if whole.version == 4:
        whole.identification = 77
        whole.dont_fragment = False
        whole.extension = extension and b"\x94\x04\0\0"
    carried = octets(whole)[whole.header_length :]
    fragments = []
    for start in range(0, len(carried), 64):
        fragment = Packet(
            source,
            destination,
            PROTOCOL_TCP,
            carried[start : start + 64],
            identification=77,
            dont_fragment=whole.dont_fragment,
            more_fragments=start + 64 < len(carried),
            fragment_offset=start,
            extension=whole.extension,
        )
        fragments.append(parse_packet(octets(fragment)))
    payload = b"".join([bytes(fragment.payload) for fragment in fragments])  # type: ignore[arg-type]
    assert reassembled(fragments[0], payload) == whole
    damaged = bytearray(payload)
    damaged[-1] ^= 1
    with pytest.raises(WireError) as error:
        reassembled(fragments[0], bytes(damaged))
    assert error.value.cause == TCP_CHECKSUM


@ADDRESSES
def test_a_packet_put_together_may_not_be_longer_than_a_packet(source: bytes, destination: bytes) -> None:
    first = Packet(source, destination, PROTOCOL_UDP, bytes(8), dont_fragment=False, more_fragments=True)
    most = 65535 - (20 if len(source) == 4 else 0)
    assert reassembled(first, bytes(most)).payload == bytes(most)
    with pytest.raises(WireError) as error:
        reassembled(first, bytes(most + 1))
    assert error.value.cause == IP_HEADER


def test_equality_and_repr() -> None:
    def packet(**changes: object) -> Packet:
        values: dict[str, object] = {
            "source": SOURCE,
            "destination": DESTINATION,
            "protocol": PROTOCOL_UDP,
            "payload": b"abc",
        }
        return Packet(**{**values, **changes})  # type: ignore[arg-type]

    assert packet() == packet(payload=memoryview(b"abc"))
    for name, value in (
        ("source", DESTINATION),
        ("destination", SOURCE),
        ("protocol", 99),
        ("payload", b"abd"),
        ("ttl", 63),
        ("traffic_class", 1),
        ("flow_label", 1),
        ("identification", 1),
        ("dont_fragment", False),
        ("more_fragments", True),
        ("fragment_offset", 8),
        ("extension", b"\0\0\0\0"),
    ):
        assert packet() != packet(**{name: value}), name
    assert packet() != b"abc"
    text = repr(packet(traffic_class=1, more_fragments=True, identification=3, extension=b"\1"))
    assert text == (
        "<Packet c0000201 > c6336402 protocol=17 ttl=64 traffic_class=0x1 fragment=0x3@0+ extension=01 3 octets>"
    )
    assert "<Segment" in repr(packet(payload=segment()))


def test_an_extension_header_may_end_with_the_packet() -> None:
    for extension in (HOP_BY_HOP, DESTINATION_OPTIONS, FRAGMENT):
        parsed = parse_packet(chained(extension, payload=b""))
        assert parsed.payload == b""
        assert parsed.extension == extension


def test_a_fragment_header_made_from_the_fields_has_no_reserved_bits() -> None:
    packet = Packet(SOURCE_6, DESTINATION_6, PROTOCOL_UDP, bytes(8), identification=1, more_fragments=True)
    assert octets(packet)[40:48] == bytes.fromhex("11 00 0001 00000001")


@ADDRESSES
def test_a_packet_parsed_by_itself_is_no_superpacket(source: bytes, destination: bytes) -> None:
    parsed = parse_packet(octets(Packet(source, destination, PROTOCOL_TCP, segment())))
    assert isinstance(parsed.payload, Segment)
    assert parsed.payload.segment_size == 0


def test_the_identification_of_a_reassembled_ipv6_packet_is_gone() -> None:
    first = Packet(SOURCE_6, DESTINATION_6, PROTOCOL_UDP, bytes(8), identification=9, more_fragments=True)
    assert reassembled(first, bytes(16)).identification == 0


@ADDRESSES
def test_what_parse_payload_parses(source: bytes, destination: bytes) -> None:
    whole = Packet(source, destination, PROTOCOL_TCP, segment())
    carried = memoryview(octets(whole))[whole.header_length :]
    assert parse_payload(PROTOCOL_TCP, carried, source, destination) == segment()
    assert parse_payload(PROTOCOL_UDP, carried, source, destination) is carried
    with pytest.raises(WireError):
        parse_payload(PROTOCOL_TCP, carried[:-1], source, destination)
