"""Octets from the network raise WireError or nothing, and what parses can be sent again."""

from __future__ import annotations

import random

from synfin.wire.errors import CAUSES, WireError
from synfin.wire.icmp import IcmpMessage, parse_quoted
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, Packet, octets, parse_packet
from synfin.wire.tcp import ACK, SYN, Options, Segment, timestamp_options

ROUNDS = 100_000

IPV4 = (bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2]))
IPV6 = (bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002"))
SYN_SEGMENT = Segment(
    1, 2, 3, 4, SYN, 5, Options(mss=1460, window_scale=7, sack_permitted=True, ts_val=1, ts_ecr=0, others=((34, b""),))
)
DATA = Segment(1, 2, 3, 4, ACK, 5, timestamp_options(1, 2), (b"some data",))
SACK = Segment(1, 2, 3, 4, ACK, 5, Options(ts_val=1, ts_ecr=2, sack=((1, 2), (3, 4))))
CHAIN = bytes([0, 0, 1, 4, 0, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 0, 60, 1, 1, 12, *[0] * 12])
ATOMIC = bytes([44, 0, 0, 0, 0, 0, 0, 0])


def corpus() -> list[bytes]:
    found = []
    for segment in (SYN_SEGMENT, DATA, SACK):
        found.append(octets(Packet(*IPV4, PROTOCOL_TCP, segment)))
        found.append(octets(Packet(*IPV4, PROTOCOL_TCP, segment, extension=b"\x94\4\0\0\7\7\4\0\0\0\0\0")))
        found.append(octets(Packet(*IPV6, PROTOCOL_TCP, segment)))
        found.append(octets(Packet(*IPV6, PROTOCOL_TCP, segment, extension=CHAIN)))
        found.append(octets(Packet(*IPV6, PROTOCOL_TCP, segment, extension=CHAIN + ATOMIC, identification=7)))
    for quoted in list(found):
        addresses, protocol = (IPV4, PROTOCOL_ICMP) if quoted[0] >> 4 == 4 else (IPV6, PROTOCOL_ICMPV6)
        found.append(octets(Packet(*addresses, protocol, IcmpMessage(3, 4, 1400, quoted))))
    found.append(octets(Packet(*IPV4, PROTOCOL_UDP, bytes(20), fragment_offset=8, more_fragments=True)))
    found.append(octets(Packet(*IPV6, PROTOCOL_TCP, bytes(20), more_fragments=True, extension=CHAIN)))
    return found


def mutated(generator: random.Random, base: bytes) -> bytes:
    data = bytearray(base)
    for _ in range(generator.choice((1, 1, 2, 3, 8))):
        # Most of what can go wrong is in the headers.
        at = generator.randrange(len(data) if generator.random() < 0.5 else min(len(data), 80))
        data[at] = generator.choice((0, 1, 2, 0xFF, data[at] ^ 1 << generator.randrange(8), generator.randrange(256)))
    chance = generator.random()
    if chance < 0.05:
        del data[generator.randrange(len(data)) :]
    elif chance < 0.1:
        data += generator.randbytes(generator.randrange(20))
    return bytes(data)


def test_random_and_mutated_packets() -> None:
    generator = random.Random(20240607)
    bases = corpus()
    causes: dict[str, int] = {}
    parsed = quotes = 0
    for round_number in range(ROUNDS):
        if round_number % 4 == 0:
            data = generator.randbytes(generator.randrange(100))
            if data and round_number % 8 == 0:
                data = bytes([generator.choice((0x45, 0x46, 0x4F, 0x60))]) + data[1:]
        else:
            data = mutated(generator, bases[round_number % len(bases)])
        checksum_verified = round_number % 8 != 7
        try:
            packet = parse_packet(data, checksum_verified=checksum_verified)
        except WireError as error:
            causes[error.cause] = causes.get(error.cause, 0) + 1
            continue
        parsed += 1
        if isinstance(packet.payload, IcmpMessage):
            try:
                parse_quoted(packet.payload.body, packet.version)
                quotes += 1
            except WireError as error:
                causes[error.cause] = causes.get(error.cause, 0) + 1
        whole = octets(packet)
        assert len(whole) == packet.total_length <= len(data)
        assert parse_packet(whole) == packet
    assert set(causes) == set(CAUSES) - {"pcapng", "pcap"}
    # The test reaches what it is for: neither all rejected nor all accepted.
    assert parsed > ROUNDS // 5
    assert quotes > 1_000


def test_random_quotes() -> None:
    generator = random.Random(11)
    bases = corpus()
    causes: list[str] = []
    for round_number in range(10_000):
        data = mutated(generator, bases[round_number % len(bases)])[: generator.randrange(120)]
        try:
            parse_quoted(data, generator.choice((4, 6)))
        except WireError as error:
            causes.append(error.cause)
    assert set(causes) == {"icmp-quote"}
    assert 1_000 < len(causes) < 9_500
