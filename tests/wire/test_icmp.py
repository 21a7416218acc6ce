from __future__ import annotations

import pytest

from synfin.wire import icmp
from synfin.wire.errors import ICMP_CHECKSUM, ICMP_HEADER, ICMP_QUOTE, WireError
from synfin.wire.icmp import IcmpMessage, encode_icmp_header, parse_icmp, parse_quoted
from synfin.wire.ip import PROTOCOL_TCP, PROTOCOL_UDP, Packet, octets
from synfin.wire.tcp import SYN, Segment

SOURCE = bytes([192, 0, 2, 1])
DESTINATION = bytes([198, 51, 100, 2])
SOURCE_6 = bytes.fromhex("20010db8000000000000000000000001")
DESTINATION_6 = bytes.fromhex("20010db8000000000000000000000002")
ADDRESSES = pytest.mark.parametrize(("source", "destination"), [(SOURCE, DESTINATION), (SOURCE_6, DESTINATION_6)])
# Destination options, 8 octets, in the form of Packet.extension
DESTINATION_OPTIONS = bytes([60, 0, 1, 4, 0, 0, 0, 0])


def syn(source: bytes, destination: bytes, extension: bytes = b"") -> bytes:
    segment = Segment(1234, 80, 0xFEDCBA98, 0, SYN, 5)
    return octets(Packet(source, destination, PROTOCOL_TCP, segment, extension=extension))


@ADDRESSES
@pytest.mark.parametrize("body", [b"", b"abc", b"\0" * 64, b"\xff" * 57])
def test_round_trip_and_checksum(source: bytes, destination: bytes, body: bytes) -> None:
    message = IcmpMessage(icmp.V6_ECHO_REQUEST, 0, 0x12345678, body)
    whole = encode_icmp_header(message, source, destination) + body
    parsed = parse_icmp(memoryview(whole), source, destination)
    assert parsed == message
    assert (parsed.identifier, parsed.sequence) == (0x1234, 0x5678)
    assert isinstance(parsed.body, memoryview)
    assert parsed.body.obj is whole
    changed = bytearray(whole)
    changed[5] ^= 1
    with pytest.raises(WireError) as error:
        parse_icmp(memoryview(changed), source, destination)
    assert error.value.cause == ICMP_CHECKSUM
    assert parse_icmp(memoryview(changed), source, destination, True).parameter == 0x12355678


def test_the_pseudo_header_counts_in_version_6_only() -> None:
    message = IcmpMessage(1, 0, 7)
    whole = memoryview(encode_icmp_header(message, SOURCE, DESTINATION))
    assert parse_icmp(whole, DESTINATION, DESTINATION) == message
    whole = memoryview(encode_icmp_header(message, SOURCE_6, DESTINATION_6))
    with pytest.raises(WireError):
        parse_icmp(whole, DESTINATION_6, DESTINATION_6)


def test_all_zeros_are_not_a_valid_message() -> None:
    with pytest.raises(WireError) as error:
        parse_icmp(memoryview(bytes(8)), SOURCE, DESTINATION)
    assert error.value.cause == ICMP_CHECKSUM
    assert encode_icmp_header(IcmpMessage(0, 0), SOURCE, DESTINATION) == b"\0\0\xff\xff\0\0\0\0"


@ADDRESSES
@pytest.mark.parametrize("size", [0, 7])
def test_too_short(source: bytes, destination: bytes, size: int) -> None:
    with pytest.raises(WireError) as error:
        parse_icmp(memoryview(bytes(size)), source, destination)
    assert error.value.cause == ICMP_HEADER


def test_mtu_and_pointer() -> None:
    assert IcmpMessage(icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, 0xABCD05DC).mtu == 1500
    assert IcmpMessage(icmp.V6_PACKET_TOO_BIG, 0, 0x00010000).mtu == 65536
    assert IcmpMessage(icmp.PARAMETER_PROBLEM, 0, 0x14000000).pointer == 20
    assert IcmpMessage(icmp.V6_PARAMETER_PROBLEM, icmp.V6_UNRECOGNIZED_NEXT_HEADER, 40).pointer == 40


def test_equality_and_repr() -> None:
    message = IcmpMessage(3, 4, 5, b"ab")
    assert message == IcmpMessage(3, 4, 5, memoryview(b"ab"))
    for other in (IcmpMessage(2, 4, 5, b"ab"), IcmpMessage(3, 3, 5, b"ab"), IcmpMessage(3, 4, 4, b"ab")):
        assert message != other
    assert message != IcmpMessage(3, 4, 5, b"ac")
    assert message != 3
    assert repr(message) == "<IcmpMessage type=3 code=4 parameter=0x5 body=2>"


@ADDRESSES
@pytest.mark.parametrize("kept", [8, 20])
def test_a_quoted_segment_needs_eight_octets_of_it(source: bytes, destination: bytes, kept: int) -> None:
    packet = syn(source, destination)
    version = packet[0] >> 4
    header_length = len(packet) - 20
    quoted = parse_quoted(memoryview(packet)[: header_length + kept], version)
    assert (quoted.source, quoted.destination, quoted.protocol) == (source, destination, PROTOCOL_TCP)
    assert (quoted.source_port, quoted.destination_port, quoted.seq) == (1234, 80, 0xFEDCBA98)
    ports = bytes([4, 210, 0, 80])
    assert quoted.flow == source + destination + ports
    assert quoted.reverse_flow == destination + source + ports[2:] + ports[:2]
    assert "1234" in repr(quoted)


@ADDRESSES
def test_anything_shorter_is_an_error(source: bytes, destination: bytes) -> None:
    packet = syn(source, destination)
    version = packet[0] >> 4
    for size in range(len(packet) - 20 + 8):
        with pytest.raises(WireError) as error:
            parse_quoted(packet[:size], version)
        assert error.value.cause == ICMP_QUOTE


def test_a_quote_behind_options_and_extension_headers() -> None:
    quoted = parse_quoted(syn(SOURCE, DESTINATION, b"\1\1\1\1")[:32], 4)
    assert (quoted.source_port, quoted.seq) == (1234, 0xFEDCBA98)
    packet = syn(SOURCE_6, DESTINATION_6, DESTINATION_OPTIONS)
    quoted = parse_quoted(packet[:56], 6)
    assert (quoted.protocol, quoted.source_port, quoted.seq) == (PROTOCOL_TCP, 1234, 0xFEDCBA98)
    for size in range(40, 56):
        with pytest.raises(WireError) as error:
            parse_quoted(packet[:size], 6)
        assert error.value.cause == ICMP_QUOTE


def test_other_protocols_in_a_quote() -> None:
    packet = octets(Packet(SOURCE, DESTINATION, PROTOCOL_UDP, b"\1\2\3\4\0\x08\0\0"))
    quoted = parse_quoted(packet, 4)
    assert (quoted.source_port, quoted.destination_port, quoted.seq) == (0x0102, 0x0304, 0)
    quoted = parse_quoted(octets(Packet(SOURCE, DESTINATION, 132, b"12345678")), 4)
    assert (quoted.protocol, quoted.source_port, quoted.destination_port, quoted.seq) == (132, 0, 0, 0)


def test_quotes_that_are_unusable() -> None:
    packet = bytearray(syn(SOURCE, DESTINATION))
    with pytest.raises(WireError):
        parse_quoted(packet + bytes(20), 6)
    packet[0] = 0x44
    with pytest.raises(WireError):
        parse_quoted(packet, 4)
    later = octets(Packet(SOURCE, DESTINATION, PROTOCOL_TCP, bytes(20), fragment_offset=8))
    with pytest.raises(WireError):
        parse_quoted(later, 4)
    later = octets(Packet(SOURCE_6, DESTINATION_6, PROTOCOL_TCP, bytes(20), fragment_offset=8))
    with pytest.raises(WireError):
        parse_quoted(later, 6)


@ADDRESSES
def test_a_first_fragment_can_be_quoted(source: bytes, destination: bytes) -> None:
    segment = syn(source, destination)[-20:]
    packet = octets(Packet(source, destination, PROTOCOL_TCP, segment, more_fragments=True))
    assert parse_quoted(packet, packet[0] >> 4).seq == 0xFEDCBA98
