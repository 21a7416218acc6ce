from __future__ import annotations

import struct

import pytest

from synfin.wire import tcp
from synfin.wire.checksum import finish, ones_complement_sum, pseudo_header_sum
from synfin.wire.errors import TCP_CHECKSUM, TCP_HEADER, TCP_OPTIONS, WireError
from synfin.wire.tcp import ACK, FIN, PSH, SYN, Options, Segment, encode_header, parse_segment, timestamp_options

SOURCE = bytes([192, 0, 2, 1])
DESTINATION = bytes([198, 51, 100, 2])
SOURCE_6 = bytes.fromhex("20010db8000000000000000000000001")
DESTINATION_6 = bytes.fromhex("20010db8000000000000000000000002")
ADDRESSES = pytest.mark.parametrize(("source", "destination"), [(SOURCE, DESTINATION), (SOURCE_6, DESTINATION_6)])


def joined(segment: Segment, source: bytes = SOURCE, destination: bytes = DESTINATION, partial: bool = False) -> bytes:
    return encode_header(segment, source, destination, partial) + segment.payload_bytes()


def test_a_header_octet_for_octet() -> None:
    segment = Segment(0x1234, 0x5678, 0x01020304, 0xA0B0C0D0, ACK | PSH | tcp.AE, 0x4321, up=7, reserved=5)
    octets = encode_header(segment, SOURCE, DESTINATION)
    # Offset 5, reserved 101, AE 1 make 0x5b; PSH and ACK 0x18.
    assert octets[:16] == bytes.fromhex("1234 5678 01020304 a0b0c0d0 5b18 4321")
    assert octets[18:] == b"\0\7"
    assert parse_segment(memoryview(octets), SOURCE, DESTINATION) == segment


def test_flags_are_the_bits_of_the_header() -> None:
    bits = (tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR, tcp.AE)
    assert bits == tuple(1 << bit for bit in range(9))
    for bit in bits:
        parsed = parse_segment(memoryview(joined(Segment(1, 2, 3, 4, bit, 5))), SOURCE, DESTINATION)
        assert (parsed.flags, parsed.reserved) == (bit, 0)


def test_length_counts_syn_and_fin() -> None:
    assert Segment(1, 2, 3, 4, ACK, 5).length == 0
    assert Segment(1, 2, 3, 4, SYN, 5).length == 1
    assert Segment(1, 2, 3, 4, FIN | ACK, 5, payload=(b"ab", b"c")).length == 4
    assert Segment(1, 2, 3, 4, FIN | SYN, 5).length == 2


def test_payload_length_is_added_up_unless_given() -> None:
    assert Segment(1, 2, 3, 4, ACK, 5, payload=(b"ab", memoryview(b"cde"))).payload_length == 5
    assert Segment(1, 2, 3, 4, ACK, 5, payload=(b"ab",), payload_length=2).payload_length == 2
    assert Segment(1, 2, 3, 4, ACK, 5, payload=(b"ab", memoryview(b"cde"))).payload_bytes() == b"abcde"
    assert Segment(1, 2, 3, 4, ACK, 5).payload_bytes() == b""


@ADDRESSES
@pytest.mark.parametrize("options", [Options(), timestamp_options(7, 8), Options(mss=9), Options(ts_val=1, ts_ecr=2)])
@pytest.mark.parametrize("payload", [(), (b"x",), (b"abc", b"d", b"efghi"), (b"\xff" * 333, b"\xff" * 3, b"\0")])
def test_checksums_over_pieces_of_odd_length(
    source: bytes, destination: bytes, options: Options, payload: tuple[bytes, ...]
) -> None:
    segment = Segment(1, 2, 3, 4, ACK, 5, options, payload)
    octets = joined(segment, source, destination)
    parsed = parse_segment(memoryview(octets), source, destination)
    assert parsed == segment
    changed = bytearray(octets)
    for at in (0, 4, 17, len(octets) - 1):
        changed[at] ^= 1
        with pytest.raises(WireError) as error:
            parse_segment(memoryview(changed), source, destination)
        assert error.value.cause == TCP_CHECKSUM
        changed[at] ^= 1


@ADDRESSES
@pytest.mark.parametrize("options", [Options(), timestamp_options(7, 8), Options(mss=9)])
@pytest.mark.parametrize("payload", [(), (b"abc",), (b"abc", b"d", b"efghi")])
def test_a_partial_checksum_completed_is_the_full_one(
    source: bytes, destination: bytes, options: Options, payload: tuple[bytes, ...]
) -> None:
    segment = Segment(1, 2, 3, 4, ACK, 5, options, payload)
    octets = bytearray(joined(segment, source, destination, True))
    (field,) = struct.unpack_from("!H", octets, 16)
    pseudo = pseudo_header_sum(source, destination, 6, len(octets))
    assert field == pseudo % 65535
    # A device sums from the TCP header on, with the field in it, and stores the complement there.
    struct.pack_into("!H", octets, 16, finish(ones_complement_sum(octets)))
    assert octets == joined(segment, source, destination)


def test_a_checksum_of_zero_is_sent_as_zero_and_both_forms_are_accepted() -> None:
    bare = Segment(1, 2, 3, 0, ACK, 5)
    (field,) = struct.unpack_from("!H", encode_header(bare, SOURCE, DESTINATION), 16)
    octets = bytearray(encode_header(Segment(1, 2, 3, field, ACK, 5), SOURCE, DESTINATION))
    assert octets[16:18] == b"\0\0"
    assert parse_segment(memoryview(octets), SOURCE, DESTINATION).ack == field
    octets[16:18] = b"\xff\xff"
    assert parse_segment(memoryview(octets), SOURCE, DESTINATION).ack == field


def test_a_checksum_said_to_be_good_is_not_looked_at() -> None:
    octets = bytearray(joined(Segment(1, 2, 3, 4, ACK, 5, payload=(b"abc",))))
    octets[16] ^= 0xFF
    assert parse_segment(memoryview(octets), SOURCE, DESTINATION, True, 1448).segment_size == 1448


@pytest.mark.parametrize("size", [0, 1, 19])
def test_a_header_cut_short(size: int) -> None:
    with pytest.raises(WireError) as error:
        parse_segment(memoryview(bytes(size)), SOURCE, DESTINATION)
    assert error.value.cause == TCP_HEADER


@pytest.mark.parametrize("offset", [0, 1, 4, 6, 15])
def test_an_impossible_data_offset(offset: int) -> None:
    octets = bytearray(20)
    octets[12] = offset << 4
    with pytest.raises(WireError) as error:
        parse_segment(memoryview(octets), SOURCE, DESTINATION, True)
    assert error.value.cause == TCP_HEADER


def test_options_are_looked_at_after_the_checksum() -> None:
    octets = bytearray(24)
    octets[12] = 6 << 4
    octets[20:] = b"\2\0\0\0"
    with pytest.raises(WireError) as error:
        parse_segment(memoryview(octets), SOURCE, DESTINATION)
    assert error.value.cause == TCP_CHECKSUM
    with pytest.raises(WireError) as error:
        parse_segment(memoryview(octets), SOURCE, DESTINATION, True)
    assert error.value.cause == TCP_OPTIONS


def test_the_payload_is_a_view() -> None:
    octets = joined(Segment(1, 2, 3, 4, ACK, 5, timestamp_options(1, 2), (b"abc",)))
    (piece,) = parse_segment(memoryview(octets), SOURCE, DESTINATION).payload
    assert isinstance(piece, memoryview)
    assert piece.obj is octets
    assert bytes(piece) == b"abc"
    assert parse_segment(memoryview(octets[:32]), SOURCE, DESTINATION, True).payload == ()


def test_equality() -> None:
    def segment(**changes: object) -> Segment:
        values: dict[str, object] = {
            "source_port": 1,
            "destination_port": 2,
            "seq": 3,
            "ack": 4,
            "flags": ACK,
            "wnd": 5,
            "payload": (b"abc",),
        }
        return Segment(**{**values, **changes})  # type: ignore[arg-type]

    assert segment() == segment(payload=(b"a", memoryview(b"bc")))
    for name in ("source_port", "destination_port", "seq", "ack", "flags", "wnd", "up", "reserved", "segment_size"):
        assert segment() != segment(**{name: 6}), name
    assert segment() != segment(payload=(b"abd",))
    assert segment() != segment(payload=(b"ab",))
    assert segment() != segment(options=Options(mss=1))
    assert segment() != 3


def test_repr() -> None:
    segment = Segment(1, 2, 3, 4, SYN | ACK, 5, Options(mss=6), (b"ab",), 7, 8, reserved=1)
    assert repr(segment) == (
        "<Segment 1 > 2 SYN,ACK seq=3 ack=4 wnd=5 length=2 segment_size=7 up=8 reserved=1 Options(mss=6)>"
    )
    assert repr(Segment(1, 2, 3, 4, 0, 5)) == "<Segment 1 > 2 none seq=3 ack=4 wnd=5 length=0>"


@pytest.mark.parametrize(
    "segment",
    [Segment(65536, 2, 3, 4, ACK, 5), Segment(1, 2, 1 << 32, 4, ACK, 5), Segment(1, 2, 3, 4, ACK, -1)],
)
def test_values_out_of_range_are_the_callers_error(segment: Segment) -> None:
    with pytest.raises(struct.error):
        encode_header(segment, SOURCE, DESTINATION)


def test_a_partial_checksum_of_zero_is_sent_as_0xffff() -> None:
    # The folded sum of words that are not all zero is never 0.
    source, destination = b"\xff\xe5\0\0", bytes(4)
    octets = encode_header(Segment(1, 2, 3, 4, ACK, 5), source, destination, True)
    assert pseudo_header_sum(source, destination, 6, 20) % 65535 == 0
    assert octets[16:18] == b"\xff\xff"
