from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from synfin.wire.errors import PCAPNG, WireError
from synfin.wire.ip import PROTOCOL_TCP, Packet, octets
from synfin.wire.pcapng import (
    EnhancedPacket,
    InterfaceDescription,
    InterfaceStatistics,
    SectionHeader,
    SimplePacket,
    UnknownBlock,
    enhanced_packet,
    interface_description,
    read_blocks,
    section_header,
)
from synfin.wire.tcp import SYN, Segment

TIME = 1_700_000_000_123_456_789
SYN_PACKET = octets(
    Packet(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), PROTOCOL_TCP, Segment(1000, 80, 1, 0, SYN, 512))
)


def capture() -> bytes:
    return b"".join(
        [
            section_header(),
            interface_description("left"),
            interface_description("right wire", 1, 96),
            enhanced_packet(0, TIME, SYN_PACKET, inbound=True),
            enhanced_packet(1, TIME + 1, b"abc", inbound=False, comment="dropped: 原因", original_length=1500),
            enhanced_packet(0, 0, b""),
        ]
    )


class Dribble:
    """A file that returns fewer octets than asked for."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self.file.read(min(size, 3))


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO, Dribble])
def test_round_trip(wrap: type[bytes]) -> None:
    header, left, right, first, second, third = read_blocks(wrap(capture()))
    assert isinstance(header, SectionHeader)
    assert (header.byte_order, header.application) == ("little", "synfin")
    assert isinstance(left, InterfaceDescription)
    assert (left.name, left.link_type, left.snap_length, left.units_per_second) == ("left", 101, 0, 10**9)
    assert isinstance(right, InterfaceDescription)
    assert (right.name, right.link_type, right.snap_length) == ("right wire", 1, 96)
    assert isinstance(first, EnhancedPacket)
    assert (first.interface, first.time_ns, first.octets, first.inbound) == (0, TIME, SYN_PACKET, True)
    assert (first.comment, first.original_length) == (None, len(SYN_PACKET))
    assert isinstance(second, EnhancedPacket)
    assert (second.interface, second.time_ns, second.octets, second.inbound) == (1, TIME + 1, b"abc", False)
    assert (second.comment, second.original_length) == ("dropped: 原因", 1500)
    assert isinstance(third, EnhancedPacket)
    assert (third.octets, third.time_ns, third.inbound) == (b"", 0, None)
    assert all("<" in repr(block) for block in (header, left, first))


def test_a_section_header_octet_for_octet() -> None:
    assert section_header("abcd") == bytes.fromhex(
        "0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff 0400 0400 61626364 0000 0000 28000000"
    )


def block(order: str, type: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack(order + "II", type, length) + body + struct.pack(order + "I", length)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "offset", "ticks", "time_ns"),
    [
        (None, None, 1_500_000, 1_500_000_000),  # microseconds without the option
        (9, None, 5, 5),
        (3, None, 5, 5_000_000),
        (12, None, 5_999, 5),
        (0x80 | 10, None, 1536, 1_500_000_000),
        (0, 100, 1, 101_000_000_000),
        (9, -1, 5, -999_999_995),
        (127, None, 5, 0),
    ],
)
def test_byte_orders_and_resolutions(
    order: str, resolution: int | None, offset: int | None, ticks: int, time_ns: int
) -> None:
    options = b""
    if resolution is not None:
        options += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    data = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(order, 1, struct.pack(order + "HHI", 101, 0, 0) + options)
    data += block(order, 6, struct.pack(order + "IIIII", 0, ticks >> 32, ticks, 1, 1) + b"x\0\0\0")
    header, _, packet = read_blocks(data)
    assert isinstance(header, SectionHeader)
    assert header.byte_order == ("little" if order == "<" else "big")
    assert isinstance(packet, EnhancedPacket)
    assert (packet.time_ns, packet.octets) == (time_ns, b"x")


def test_other_blocks_are_passed_on_and_sections_start_anew() -> None:
    data = capture() + block("<", 4, b"names!!!") + section_header("other")
    *_, unknown, header = read_blocks(data)
    assert isinstance(unknown, UnknownBlock)
    assert (unknown.type, unknown.body) == (4, b"names!!!")
    assert "0x4" in repr(unknown)
    assert isinstance(header, SectionHeader)
    with pytest.raises(WireError, match="interface 0"):
        list(read_blocks(data + enhanced_packet(0, 0, b"")))


HEADER = section_header()
INTERFACE = HEADER + interface_description("x")


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\xd4\xc3\xb2\xa1" + bytes(20),  # classic pcap
        interface_description("x"),
        HEADER[:10],
        HEADER[:-1],
        HEADER[:8] + b"\0\0\0\0" + HEADER[12:],
        HEADER[:-4] + b"\0\0\0\0",
        HEADER[:4] + b"\x0c\0\0\0" + HEADER[8:],
        HEADER + b"\1\0\0\0\x08\0\0\0" + bytes(20),
        HEADER + b"\1\0\0\0\x0d\0\0\0" + bytes(20),
        HEADER + b"\1\0\0\0\0\0\0\xf0" + bytes(20),
        HEADER + block("<", 1, b"1234"),
        HEADER + block("<", 1, bytes(8) + struct.pack("<HHI", 9, 2, 9)),
        HEADER + block("<", 1, bytes(8) + struct.pack("<HHI", 14, 4, 9)),
        HEADER + block("<", 1, bytes(8) + struct.pack("<HHI", 9, 5, 9)),
        HEADER + enhanced_packet(0, 0, b""),
        INTERFACE + block("<", 6, bytes(16)),
        INTERFACE + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 5, 5) + b"1234"),
        INTERFACE + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 0, 0) + struct.pack("<HHI", 2, 3, 1)),
        block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)),
        block("<", 0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)),
    ],
)
def test_nonsense(data: bytes) -> None:
    with pytest.raises(WireError) as error:
        list(read_blocks(data))
    assert error.value.cause == PCAPNG


def test_mutated_captures_raise_nothing_else() -> None:
    generator = random.Random(7)
    whole = capture()
    causes: list[str] = []
    for _ in range(5_000):
        data = bytearray(whole)
        for _ in range(generator.randrange(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        if generator.random() < 0.3:
            del data[generator.randrange(len(data)) :]
        try:
            list(read_blocks(data))
        except WireError as error:
            causes.append(error.cause)
    assert set(causes) == {PCAPNG}
    assert 1_000 < len(causes) < 5_000


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    path = tmp_path / "capture.pcapng"
    path.write_bytes(capture())
    fields = ["frame.time_epoch", "frame.interface_name", "frame.len", "frame.cap_len", "frame.comment", "tcp.dstport"]
    arguments = [tshark, "-r", str(path), "-T", "fields", *[word for field in fields for word in ("-e", field)]]
    run = subprocess.run(arguments, check=True, capture_output=True, timeout=60)
    lines = run.stdout.decode().splitlines()
    assert [line.split("\t") for line in lines] == [
        ["1700000000.123456789", "left", "40", "40", "", "80"],
        ["1700000000.123456790", "right wire", "1500", "3", "dropped: 原因", ""],
        ["0.000000000", "left", "0", "0", "", ""],
    ]


def test_packets_in_older_and_simpler_blocks() -> None:
    obsolete = block("<", 2, struct.pack("<HHIIII", 0, 9, 0, 1_000_000, 3, 60) + b"abc\0")
    simple = block("<", 3, struct.pack("<I", 6) + b"abcdef\0\0")
    *_, first, second = read_blocks(INTERFACE + obsolete + simple)
    assert isinstance(first, EnhancedPacket)
    assert (first.interface, first.time_ns, first.octets, first.original_length) == (0, 1_000_000, b"abc", 60)
    assert isinstance(second, SimplePacket)
    assert (second.octets, second.original_length) == (b"abcdef", 6)
    assert "octets=6" in repr(second)
    # The snap length of the first interface tells how much of it there is.
    cut = HEADER + interface_description("x", snap_length=4) + block("<", 3, struct.pack("<I", 6) + b"abcd")
    *_, third = read_blocks(cut)
    assert isinstance(third, SimplePacket)
    assert (third.octets, third.original_length) == (b"abcd", 6)


def test_statistics() -> None:
    options = struct.pack("<HHQHHQHH", 5, 8, 3, 7, 8, 4, 0, 0)
    told = block("<", 5, struct.pack("<III", 0, 0, 0) + options)
    silent = block("<", 5, struct.pack("<III", 0, 0, 0))
    *_, first, second = read_blocks(INTERFACE + told + silent)
    assert isinstance(first, InterfaceStatistics)
    assert (first.interface, first.dropped) == (0, 7)
    assert isinstance(second, InterfaceStatistics)
    assert second.dropped is None
    assert "dropped=7" in repr(first)


@pytest.mark.parametrize(
    "bad",
    [
        block("<", 3, b""),
        block("<", 3, struct.pack("<I", 9) + b"abcd"),
        block("<", 5, bytes(8)),
        block("<", 5, bytes(12) + struct.pack("<HHI", 5, 4, 1)),
        enhanced_packet(3, 0, b"x"),
    ],
)
def test_a_block_that_makes_no_sense_is_passed_over_if_somebody_is_told(bad: bytes) -> None:
    errors: list[WireError] = []
    *_, last = read_blocks(INTERFACE + bad + enhanced_packet(0, 5, b"last"), errors.append)
    assert isinstance(last, EnhancedPacket)
    assert last.octets == b"last"
    assert [error.cause for error in errors] == [PCAPNG]
    with pytest.raises(WireError):
        list(read_blocks(INTERFACE + bad))


def test_a_simple_packet_needs_an_interface() -> None:
    with pytest.raises(WireError, match="interface 0"):
        list(read_blocks(HEADER + block("<", 3, struct.pack("<I", 0))))
