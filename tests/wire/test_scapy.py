"""scapy as the oracle: it builds and we parse, we build and it parses."""

from __future__ import annotations

import random
import socket
from typing import Any

import pytest

from synfin.wire import icmp
from synfin.wire.icmp import IcmpMessage, parse_quoted
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, Packet, octets, parse_packet
from synfin.wire.tcp import Options, Segment

pytest.importorskip("scapy")

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
    fragment6,
)
from scapy.packet import Raw

SOURCE, DESTINATION = "192.0.2.1", "198.51.100.2"
SOURCE_6, DESTINATION_6 = "2001:db8::1", "2001:db8::ff:2"
IPV4 = (socket.inet_aton(SOURCE), socket.inet_aton(DESTINATION))
IPV6 = (socket.inet_pton(socket.AF_INET6, SOURCE_6), socket.inet_pton(socket.AF_INET6, DESTINATION_6))
VERSIONS = pytest.mark.parametrize("version", [4, 6])

OPTION_SETS: list[tuple[list[tuple[Any, Any]], Options]] = [
    ([], Options()),
    (
        [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (11, 22)), ("NOP", None), ("WScale", 7)],
        Options(mss=1460, sack_permitted=True, ts_val=11, ts_ecr=22, window_scale=7),
    ),
    ([("NOP", None), ("NOP", None), ("Timestamp", (11, 22))], Options(ts_val=11, ts_ecr=22)),
    ([("NOP", None), ("NOP", None), ("SAck", (1, 2, 3, 4))], Options(sack=((1, 2), (3, 4)))),
    (
        [("NOP", None), ("NOP", None), ("Timestamp", (11, 22)), ("NOP", None), ("NOP", None), ("SAck", (5, 6))],
        Options(ts_val=11, ts_ecr=22, sack=((5, 6),)),
    ),
    ([("MSS", 536), (253, b"\xf9\x89abcd")], Options(mss=536, others=((253, b"\xf9\x89abcd"),))),
]


def scapy_ip(version: int, **fields: Any) -> Any:
    if version == 4:
        return IP(src=SOURCE, dst=DESTINATION, flags="DF", **fields)
    return IPv6(src=SOURCE_6, dst=DESTINATION_6, **fields)


def ours(version: int) -> tuple[bytes, bytes]:
    return IPV4 if version == 4 else IPV6


def recomputed(packet: Any) -> bytes:
    """Have scapy compute each checksum and length again and return its octets."""
    layer = packet.copy()
    copy = layer
    while layer:
        for field in ("chksum", "cksum", "len", "plen", "ihl", "dataofs"):
            if field in layer.fields:
                layer.delfieldval(field)
        layer = layer.payload
    return bytes(copy)


@VERSIONS
@pytest.mark.parametrize(("scapy_options", "options"), OPTION_SETS)
@pytest.mark.parametrize("payload", [b"", b"odd", b"even", bytes(range(256)) * 5])
def test_tcp_from_scapy(version: int, scapy_options: list[Any], options: Options, payload: bytes) -> None:
    built = scapy_ip(version) / TCP(
        sport=4321, dport=443, seq=0xDEADBEEF, ack=0x01020304, flags="SAEC", window=777, urgptr=5, options=scapy_options
    )
    if payload:
        built /= Raw(payload)
    whole = bytes(built)
    packet = parse_packet(whole)
    segment = Segment(4321, 443, 0xDEADBEEF, 0x01020304, 0xD2, 777, options, (payload,) if payload else (), up=5)
    assert packet.payload == segment
    assert packet == Packet(*ours(version), PROTOCOL_TCP, segment, identification=1 if version == 4 else 0)
    assert octets(packet) == whole


@pytest.mark.requirement("MUST-2")
@VERSIONS
@pytest.mark.parametrize(("scapy_options", "options"), OPTION_SETS)
@pytest.mark.parametrize("payload", [(), (b"odd",), (b"a", b"bcd", b"ef"), (b"\xff" * 1447,)])
def test_tcp_to_scapy(version: int, scapy_options: list[Any], options: Options, payload: tuple[bytes, ...]) -> None:
    segment = Segment(4321, 443, 0xDEADBEEF, 0x01020304, 0x152, 777, options, payload, up=5, reserved=3)
    whole = octets(Packet(*ours(version), PROTOCOL_TCP, segment, ttl=9, traffic_class=0xB9))
    seen = (IP if version == 4 else IPv6)(whole)
    assert (seen.src, seen.dst) == ((SOURCE, DESTINATION) if version == 4 else (SOURCE_6, DESTINATION_6))
    assert (seen.tos if version == 4 else seen.tc) == 0xB9
    assert (seen.ttl if version == 4 else seen.hlim) == 9
    header = seen[TCP]
    assert (header.sport, header.dport, header.seq, header.ack) == (4321, 443, 0xDEADBEEF, 0x01020304)
    assert (header.window, header.urgptr, header.reserved) == (777, 5, 3)
    assert int(header.flags) == 0x152
    assert header.options == scapy_options
    assert bytes(header.payload) == b"".join(payload)
    assert recomputed(seen) == whole


def test_random_packets_have_the_checksums_scapy_computes() -> None:
    generator = random.Random(3)
    for _ in range(300):
        version = generator.choice((4, 6))
        source, destination = generator.randbytes(4 if version == 4 else 16), generator.randbytes(len(ours(version)[0]))
        protocol = PROTOCOL_ICMP if version == 4 else PROTOCOL_ICMPV6
        if generator.random() < 0.7:
            pieces = tuple([generator.randbytes(generator.randrange(9)) for _ in range(generator.randrange(4))])
            numbers = [generator.getrandbits(32) for _ in range(2)]
            segment = Segment(1, 2, numbers[0], numbers[1], 16, generator.getrandbits(16), payload=pieces)
            packet = Packet(source, destination, PROTOCOL_TCP, segment)
        else:
            # Echo requests, which scapy takes apart in both versions.
            body = generator.randbytes(generator.randrange(40))
            message = IcmpMessage(8 if version == 4 else 128, 0, generator.getrandbits(32), body)
            packet = Packet(source, destination, protocol, message)
        whole = octets(packet)
        assert recomputed((IP if version == 4 else IPv6)(whole)) == whole


def test_ipv4_options_from_scapy() -> None:
    built = IP(src=SOURCE, dst=DESTINATION, options=[IPOption_Router_Alert()]) / TCP(sport=1, dport=2) / b"abc"
    packet = parse_packet(bytes(built))
    assert packet.extension == bytes.fromhex("94040000")
    assert not packet.dont_fragment
    assert isinstance(packet.payload, Segment)
    assert octets(packet) == bytes(built)
    assert recomputed(IP(octets(packet))) == bytes(built)


def test_extension_headers_from_scapy_and_to_it() -> None:
    built = (
        IPv6(src=SOURCE_6, dst=DESTINATION_6, fl=0x12345)
        / IPv6ExtHdrHopByHop(options=[RouterAlert()])
        / IPv6ExtHdrRouting(addresses=["2001:db8::77"], segleft=0)
        / IPv6ExtHdrFragment(id=99)
        / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))])
        / TCP(sport=1, dport=2)
        / b"abc"
    )
    whole = bytes(built)
    packet = parse_packet(whole)
    assert packet.protocol == PROTOCOL_TCP
    assert isinstance(packet.payload, Segment)
    assert packet.payload.payload_bytes() == b"abc"
    assert (packet.identification, packet.flow_label, packet.is_fragment) == (99, 0x12345, False)
    assert packet.header_length == len(whole) - 23
    assert octets(packet) == whole
    packet.ttl = 3
    seen = IPv6(octets(packet))
    kinds = []
    layer = seen
    while layer:
        kinds.append(type(layer))
        layer = layer.payload
    assert kinds == [
        IPv6, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, IPv6ExtHdrFragment, IPv6ExtHdrDestOpt, TCP, Raw
    ]  # fmt: skip
    assert seen.hlim == 3


@VERSIONS
def test_fragments_from_scapy(version: int) -> None:
    if version == 4:
        pieces = fragment(IP(src=SOURCE, dst=DESTINATION, id=5) / UDP(sport=1, dport=2) / bytes(300), 128)
    else:
        whole = IPv6(src=SOURCE_6, dst=DESTINATION_6) / IPv6ExtHdrFragment(id=5) / UDP(sport=1, dport=2) / bytes(300)
        pieces = fragment6(whole, 200)
    packets = [parse_packet(bytes(piece)) for piece in pieces]
    assert len(packets) >= 3
    assert all(packet.is_fragment and packet.identification == 5 for packet in packets)
    assert all(packet.protocol == PROTOCOL_UDP for packet in packets)
    assert [packet.more_fragments for packet in packets] == [True] * (len(packets) - 1) + [False]
    offset = 0
    for packet, piece in zip(packets, pieces, strict=True):
        assert packet.fragment_offset == offset
        assert isinstance(packet.payload, memoryview)
        offset += len(packet.payload)
        assert octets(packet) == bytes(piece)
    assert offset == 308


def test_fragments_to_scapy() -> None:
    packet = Packet(*IPV6, PROTOCOL_UDP, bytes(16), identification=7, fragment_offset=1232, more_fragments=True)
    header = IPv6(octets(packet))[IPv6ExtHdrFragment]
    assert (header.offset * 8, header.m, header.id, header.nh) == (1232, 1, 7, PROTOCOL_UDP)
    packet = Packet(*IPV4, PROTOCOL_UDP, bytes(16), identification=7, fragment_offset=1232, more_fragments=True)
    packet.dont_fragment = False
    seen = IP(octets(packet))
    assert (seen.frag * 8, str(seen.flags), seen.id) == (1232, "MF", 7)


@VERSIONS
@pytest.mark.parametrize("data", [b"", b"odd", b"even"])
def test_echo(version: int, data: bytes) -> None:
    if version == 4:
        built = scapy_ip(4) / ICMP(type=8, id=0x1234, seq=0x5678) / data
    else:
        built = scapy_ip(6) / ICMPv6EchoRequest(id=0x1234, seq=0x5678, data=data)
    packet = parse_packet(bytes(built))
    message = packet.payload
    assert isinstance(message, IcmpMessage)
    assert (message.type, message.code) == (icmp.ECHO_REQUEST if version == 4 else icmp.V6_ECHO_REQUEST, 0)
    assert (message.identifier, message.sequence, message.body) == (0x1234, 0x5678, data)
    assert octets(packet) == bytes(built)


@VERSIONS
def test_path_mtu_errors(version: int) -> None:
    quoted = scapy_ip(version) / TCP(sport=1000, dport=80, seq=0xFFFFFFF0)
    if version == 4:
        built = scapy_ip(4) / ICMP(type=3, code=4, nexthopmtu=1280) / bytes(quoted)[:28]
    else:
        built = scapy_ip(6) / ICMPv6PacketTooBig(mtu=1280) / bytes(quoted)
    packet = parse_packet(bytes(built))
    message = packet.payload
    assert isinstance(message, IcmpMessage)
    if version == 4:
        assert (message.type, message.code) == (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED)
    else:
        assert message.type == icmp.V6_PACKET_TOO_BIG
    assert message.mtu == 1280
    found = parse_quoted(message.body, packet.version)
    assert (found.source, found.destination, found.protocol) == (*ours(version), PROTOCOL_TCP)
    assert (found.source_port, found.destination_port, found.seq) == (1000, 80, 0xFFFFFFF0)
    assert octets(packet) == bytes(built)
