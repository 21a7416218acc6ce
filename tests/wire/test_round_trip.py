"""Values to octets and back, and octets to values and back, for whatever Hypothesis thinks of."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from synfin.wire.checksum import ones_complement_sum
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import (
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_TCP,
    Packet,
    Payload,
    encode_packet,
    octets,
    parse_packet,
)
from synfin.wire.tcp import Options, Segment
from synfin.wire.tcp_options import MAX_OPTIONS_LENGTH, parse_options, timestamp_options

octet = st.integers(0, 0xFF)
half_word = st.integers(0, 0xFFFF)
word = st.integers(0, 0xFFFFFFFF)
KNOWN_KINDS = {0, 1, 2, 3, 4, 5, 8}
unknown_kind = octet.filter(lambda kind: kind not in KNOWN_KINDS)
EXTENSION_KINDS = {0, 43, 44, 60}


def view_of(data: bytes) -> memoryview:
    return memoryview(data)


def padded(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


@st.composite
def options(draw: st.DrawFn) -> Options:
    timestamps = draw(st.none() | st.tuples(word, word))
    edges = st.tuples(word, word)
    found = Options(
        mss=draw(st.none() | half_word),
        window_scale=draw(st.none() | octet),
        sack_permitted=draw(st.booleans()),
        ts_val=timestamps[0] if timestamps else None,
        ts_ecr=timestamps[1] if timestamps else None,
        sack=tuple(draw(st.lists(edges, max_size=4))),
        others=tuple(draw(st.lists(st.tuples(unknown_kind, st.binary(max_size=9))))),
    )
    length = 0
    kept: list[int] = []
    for kind in found.default_layout:
        length += 1 if kind == 1 else _length_of(found, kind, kept)
        kept.append(kind)
    if length > MAX_OPTIONS_LENGTH:
        return draw(st.builds(timestamp_options, word, word))
    if draw(st.booleans()):
        found.layout = tuple(draw(st.permutations(found.default_layout)))
    return found


def _length_of(found: Options, kind: int, before: list[int]) -> int:
    others = [data for other, data in found.others if other == kind]
    if others:
        return 2 + len(others[before.count(kind)])
    return {2: 4, 3: 3, 4: 2, 8: 10}.get(kind, 2 + 8 * len(found.sack))


segments = st.builds(
    Segment,
    half_word,
    half_word,
    word,
    word,
    st.integers(0, 0x1FF),
    half_word,
    options(),
    st.lists(st.binary(max_size=20) | st.binary(max_size=20).map(view_of), max_size=4).map(tuple),
    up=half_word,
    reserved=st.integers(0, 7),
)
messages = st.builds(IcmpMessage, octet, octet, word, st.binary(max_size=40))
raw_protocol = octet.filter(lambda kind: kind not in {*EXTENSION_KINDS, PROTOCOL_TCP, PROTOCOL_ICMP, PROTOCOL_ICMPV6})


@st.composite
def chains(draw: st.DrawFn, fragment: bool) -> bytes:
    """Extension headers in the form of `Packet.extension`, a fragment header last if there is to be one."""
    headers = []
    if draw(st.booleans()):
        headers.append(b"\0" + draw(_extension_data()))
    for _ in range(draw(st.integers(0, 5))):
        headers.append(draw(st.sampled_from([b"\x2b", b"\x3c"])) + draw(_extension_data()))
    if fragment:
        headers.append(b"\x2c" + bytes(7))
    return b"".join(headers)


@st.composite
def _extension_data(draw: st.DrawFn) -> bytes:
    units = draw(st.integers(0, 3))
    return bytes([units]) + draw(st.binary(min_size=6 + 8 * units, max_size=6 + 8 * units))


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    version = draw(st.sampled_from([4, 6]))
    size = 4 if version == 4 else 16
    offset = draw(st.integers(0, 8191).map(lambda units: units * 8))
    more = draw(st.booleans())
    fragment = draw(st.booleans()) and (more or offset > 0)
    payload: Payload
    kind = "raw" if fragment else draw(st.sampled_from(["tcp", "icmp", "raw"]))
    if kind == "tcp":
        protocol, payload = PROTOCOL_TCP, draw(segments)
    elif kind == "icmp":
        protocol, payload = (PROTOCOL_ICMP if version == 4 else PROTOCOL_ICMPV6), draw(messages)
    else:
        protocol, payload = draw(octet if fragment else raw_protocol), draw(st.binary(max_size=40))
    return Packet(
        draw(st.binary(min_size=size, max_size=size)),
        draw(st.binary(min_size=size, max_size=size)),
        protocol,
        payload,
        draw(octet),
        draw(octet),
        draw(st.integers(0, 0xFFFFF)) if version == 6 else 0,
        draw(half_word) if version == 4 else draw(word) if fragment else 0,
        draw(st.booleans()) or version == 6,
        fragment and more,
        offset if fragment else 0,
        padded(draw(st.binary(max_size=40)), 4) if version == 4 else draw(chains(fragment)),
    )


@given(options())
def test_options(value: Options) -> None:
    encoded = value.encode()
    assert len(encoded) == value.encoded_length
    assert len(encoded) % 4 == 0
    parsed = parse_options(memoryview(encoded))
    # A permuted layout changes the order in which others come back.
    assert sorted(parsed.others) == sorted(value.others)
    parsed.others = value.others
    assert parsed == value


@given(packets().filter(lambda packet: not _has_permuted_others(packet)))
def test_value_to_octets_to_value(packet: Packet) -> None:
    whole = octets(packet)
    assert len(whole) == packet.total_length
    parsed = parse_packet(whole)
    assert parsed == packet
    assert parsed.header_length == packet.header_length


def _has_permuted_others(packet: Packet) -> bool:
    payload = packet.payload
    return isinstance(payload, Segment) and bool(payload.options.layout) and len(payload.options.others) > 1


@given(packets())
def test_parsed_packets_encode_to_the_same_octets(packet: Packet) -> None:
    whole = octets(packet)
    assert octets(parse_packet(whole)) == whole
    assert octets(parse_packet(whole + b"padding")) == whole


@given(packets())
def test_partial_checksums_change_two_octets_at_most(packet: Packet) -> None:
    whole = octets(packet)
    partial = b"".join(encode_packet(packet, partial_checksum=True))
    assert parse_packet(partial, checksum_verified=True) == parse_packet(whole)
    differ = [at for at in range(len(whole)) if whole[at] != partial[at]]
    start = packet.header_length
    assert all(at - start in (16, 17) for at in differ)


# From here on octets come first: options as any machine might send them.
an_option = st.one_of(
    st.just(b"\1"),
    st.builds(lambda kind, data: bytes([kind, len(data) + 2]) + data, st.integers(2, 9), st.binary(max_size=9)),
    st.builds(lambda kind, data: bytes([kind, len(data) + 2]) + data, st.integers(2, 255), st.binary(max_size=12)),
    st.sampled_from([b"\2\4\5\xb4", b"\3\3\7", b"\4\2", b"\1\1\x08\x0a" + bytes(8), b"\5\x0a" + bytes(8)]),
)


@st.composite
def option_octets(draw: st.DrawFn) -> bytes:
    found = b""
    for piece in draw(st.lists(an_option, max_size=10)):
        if len(found) + len(piece) <= MAX_OPTIONS_LENGTH:
            found += piece
    return padded(found, 4)


@given(option_octets(), half_word, half_word, word, word, half_word, half_word, half_word, st.binary(max_size=30))
def test_octets_to_value_to_octets(
    option_part: bytes,
    source_port: int,
    destination_port: int,
    seq: int,
    ack: int,
    bits: int,
    wnd: int,
    up: int,
    payload: bytes,
) -> None:
    offset = (20 + len(option_part)) // 4
    ports = struct.pack("!HHII", source_port, destination_port, seq, ack)
    segment = ports + struct.pack("!HHHH", offset << 12 | bits & 0xFFF, wnd, 0, up) + option_part + payload
    addresses = b"\x0a\0\0\1\x0a\0\0\2"
    pseudo = addresses + struct.pack("!HH", 6, len(segment))
    checksum = 0xFFFF ^ ones_complement_sum(pseudo + segment)
    segment = segment[:16] + struct.pack("!H", checksum) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x45, bits & 0xFF, 20 + len(segment), ack & 0xFFFF, bits & 0x4000, 9, 6, 0)
    checksum = 0xFFFF ^ ones_complement_sum(header + addresses)
    whole = header[:10] + struct.pack("!H", checksum) + addresses + segment
    parsed = parse_packet(whole)
    assert octets(parsed) == whole
    assert parsed.total_length == len(whole)
