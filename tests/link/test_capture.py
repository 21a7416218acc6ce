from __future__ import annotations

import io
import itertools
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from synfin.link.capture import Capture, PcapngWriter
from synfin.link.link import Frame, Link
from synfin.link.segmentation import cut
from synfin.link.tun import Tun
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import Packet, encode_packet, octets, parse_packet
from synfin.wire.pcapng import EnhancedPacket, InterfaceDescription, read_blocks
from synfin.wire.tcp import ACK, PSH, Segment, timestamp_options

V4 = bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3])
V6 = bytes.fromhex("fd000009" + "0" * 23 + "2"), bytes.fromhex("fd000009" + "0" * 23 + "3")
Connect = Callable[[bool], tuple[Tun, Tun]]
START = 1_700_000_000_123_456_789


def tcp(payload: bytes = b"", segment_size: int = 0, addresses: tuple[bytes, bytes] = V4, seq: int = 1) -> Packet:
    segment = Segment(
        40000, 7000, seq, 99, ACK | PSH, 512, timestamp_options(5, 6), (payload,) if payload else (), segment_size
    )
    return Packet(*addresses, 6, segment)


def udp(addresses: tuple[bytes, bytes], payload: bytes, checksum: int = 0) -> Packet:
    return Packet(*addresses, 17, struct.pack("!HHHH", 4000, 5000, 8 + len(payload), checksum) + payload)


def packets_in(data: bytes) -> list[EnhancedPacket]:
    return [block for block in read_blocks(data) if isinstance(block, EnhancedPacket)]


def drain(link: Link) -> list[Frame]:
    frames = []
    frame = link.receive()
    while frame is not None:
        frames.append(frame)
        frame = link.receive()
    return frames


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("addresses", [V4, V6])
def test_both_ways_are_written_with_whole_checksums(
    connected: Connect, offload: bool, addresses: tuple[bytes, bytes]
) -> None:
    file = io.BytesIO()
    left, right = connected(offload)
    clock = itertools.count(START).__next__
    capture = Capture(left, PcapngWriter(file), clock, "tun7")
    out, back = tcp(b"x" * 3000, 1448, addresses), tcp(b"y" * 2001, 1000, addresses)
    assert capture.send(out)
    right.send(back)
    received = drain(capture)
    assert [len(frame.data) for frame in drain(right)] == [len(octets(part)) for part in (out,)] or not offload
    written = packets_in(file.getvalue())
    back_parts = [back] if offload else cut(back)
    assert len(received) == len(back_parts)
    # Times are whole nanoseconds, and what is sent and cut by the link is still one packet here.
    assert [packet.time_ns for packet in written] == [START + index for index in range(1 + len(back_parts))]
    assert [packet.inbound for packet in written] == [False] + [True] * len(back_parts)
    assert [packet.octets for packet in written] == [octets(part) for part in (out, *back_parts)]
    (interface,) = [block for block in read_blocks(file.getvalue()) if isinstance(block, InterfaceDescription)]
    assert interface.name == "tun7"
    assert interface.units_per_second == 10**9


def test_superpackets_are_cut_on_request(connected: Connect) -> None:
    file = io.BytesIO()
    left, right = connected(True)
    capture = Capture(left, PcapngWriter(file, cut_superpackets=True), lambda: START)
    out, back = tcp(b"x" * 3000, 1448), tcp(b"y" * 2001, 1000)
    capture.send(out)
    right.send(back)
    drain(capture)
    assert [packet.octets for packet in packets_in(file.getvalue())] == [octets(part) for part in cut(out) + cut(back)]


def test_a_frame_is_not_changed_for_the_link(connected: Connect) -> None:
    left, right = connected(True)
    right.send(tcp(b"y" * 2001, 1000))
    (frame,) = drain(Capture(left, PcapngWriter(io.BytesIO()), lambda: START))
    assert bytes(frame.data) == b"".join(encode_packet(tcp(b"y" * 2001, 1000), partial_checksum=True))


def test_checksums_that_nobody_vouches_for_are_written_as_they_came() -> None:
    damaged = bytearray(octets(tcp(b"abc")))
    damaged[-1] ^= 1
    for verified, expected in ((False, bytes(damaged)), (True, octets(tcp(b"abb")))):
        file = io.BytesIO()
        PcapngWriter(file).write_frame(START, Frame(bytes(damaged), 0, verified), "a")
        assert packets_in(file.getvalue())[0].octets == expected


def test_octets_that_are_no_packet_are_written_as_they_came() -> None:
    for data in (b"", b"x", bytes(100), octets(tcp())[:30]):
        for size in (0, 1000):
            file = io.BytesIO()
            PcapngWriter(file, cut_superpackets=True).write_frame(START, Frame(data, size, True), "a")
            assert packets_in(file.getvalue())[0].octets == data


@pytest.mark.parametrize("addresses", [V4, V6])
@pytest.mark.parametrize("payload", [b"hello", b"hello!", b"\xff" * 2])
def test_udp_is_completed_too(addresses: tuple[bytes, bytes], payload: bytes) -> None:
    file = io.BytesIO()
    PcapngWriter(file).write_frame(START, Frame(octets(udp(addresses, payload, 0x1234)), 0, True), "a")
    written = packets_in(file.getvalue())[0].octets
    pseudo = b"".join(addresses) + struct.pack("!II", 17, 8 + len(payload))
    datagram = written[20 if addresses is V4 else 40 :]
    total = int.from_bytes(pseudo, "big") + int.from_bytes(datagram + bytes(len(datagram) % 2), "big")
    assert total % 65535 == 0
    assert datagram[6:8] != b"\0\0"


def test_a_udp_checksum_of_zero_is_written_as_ones() -> None:
    # The payload is the complement of all the rest.
    pseudo = b"".join(V4) + struct.pack("!II", 17, 10)
    rest = int.from_bytes(pseudo + struct.pack("!HHH", 4000, 5000, 10), "big") % 65535
    packet = udp(V4, (65535 - rest).to_bytes(2, "big"))
    file = io.BytesIO()
    PcapngWriter(file).write_frame(START, Frame(octets(packet), 0, True), "a")
    assert packets_in(file.getvalue())[0].octets[26:28] == b"\xff\xff"


def test_fragments_and_other_protocols_are_left_alone() -> None:
    for packet in (
        Packet(*V4, 17, b"x" * 64, more_fragments=True),
        Packet(*V6, 6, b"x" * 64, fragment_offset=64),
        Packet(*V4, 17, b"short"),
        Packet(*V4, 200, b"x" * 64),
    ):
        file = io.BytesIO()
        PcapngWriter(file).write_frame(START, Frame(octets(packet), 0, True), "a")
        assert packets_in(file.getvalue())[0].octets == octets(packet)


def test_interfaces_are_known_by_name() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file)
    for index, name in enumerate(("client", "server", "client")):
        writer.write_packet(index, tcp(), name, comment=f"number {index}")
    blocks = list(read_blocks(file.getvalue()))
    assert [block.name for block in blocks if isinstance(block, InterfaceDescription)] == ["client", "server"]
    written = packets_in(file.getvalue())
    assert [packet.interface for packet in written] == [0, 1, 0]
    assert [packet.comment for packet in written] == ["number 0", "number 1", "number 2"]
    assert [packet.inbound for packet in written] == [None] * 3


def test_a_path_is_closed_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    with PcapngWriter(str(path)) as writer:
        writer.write_packet(1, tcp(), "a")
        writer.flush()
        assert len(packets_in(path.read_bytes())) == 1
        writer.write_packet(2, tcp(), "a")
    assert len(packets_in(path.read_bytes())) == 2
    writer.close()
    file = io.BytesIO()
    PcapngWriter(file).close()
    assert not file.closed


def test_what_was_not_sent_is_not_written(connected: Connect) -> None:
    file = io.BytesIO()
    left, right = connected(True)
    capture = Capture(left, PcapngWriter(file), lambda: START)
    count = 0
    while capture.send(tcp(b"x" * 14480, 1448)):
        count += 1
    assert len(packets_in(file.getvalue())) == count == len(drain(right))


class FullDisk(io.BytesIO):
    full = False

    def write(self, data: object, /) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return 0


def test_a_full_disk_does_not_disturb_the_link(connected: Connect) -> None:
    left, right = connected(True)
    disk = FullDisk()
    file: BinaryIO = disk
    capture = Capture(left, PcapngWriter(file), lambda: START)
    assert capture.send(tcp())
    assert capture.error is None
    disk.full = True
    assert capture.send(tcp())
    assert isinstance(capture.error, OSError)
    right.send(tcp())
    assert len(drain(capture)) == 1
    assert len(drain(right)) == 2
    capture.close()


def test_all_else_is_the_inner_links(connected: Connect, tmp_path: Path) -> None:
    left, _ = connected(True)
    path = tmp_path / "a.pcapng"
    capture = Capture(left, PcapngWriter(path), lambda: START)
    assert (capture.mtu, capture.room, capture.fileno()) == (1500, 65535, left.fileno())
    capture.send(tcp())
    capture.close()
    assert left.fileno() == -1
    assert len(packets_in(path.read_bytes())) == 1


@pytest.mark.requires("tshark")
def test_tshark_finds_no_fault(connected: Connect, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    left, right = connected(True)
    capture = Capture(left, PcapngWriter(path), itertools.count(START).__next__)
    for addresses in (V4, V6):
        seq = 1
        for length in (1, 3000, 60000):
            packet = tcp(b"z" * length, 1448, addresses, seq)
            capture.send(packet)
            segment = packet.payload
            assert isinstance(segment, Segment)
            # The other way, with the numbers that belong to it.
            answer = Segment(
                7000, 40000, 98 + seq, seq + length, ACK, 512, timestamp_options(6, 5), (b"w" * length,), 1448
            )
            right.send(Packet(addresses[1], addresses[0], 6, answer))
            drain(capture)
            drain(right)
            seq += length
    right.send(Packet(*V4, 1, IcmpMessage(8, 0, 7, b"hello")))
    right.send(Packet(*V6, 58, IcmpMessage(128, 0, 7, b"hello")))
    drain(capture)
    capture.close()
    result = subprocess.run(
        ["tshark", "-r", str(path)]
        + [part for name in ("tcp", "ip", "udp") for part in ("-o", f"{name}.check_checksum:TRUE")]
        + ["-T", "fields", "-e", "frame.time_epoch", "-e", "tcp.checksum.status", "-e", "ip.checksum.status"]
        + ["-e", "tcp.len", "-e", "_ws.malformed", "-e", "icmp.checksum.status", "-e", "icmpv6.checksum.status"],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == [f"1700000000.{123456789 + index}" for index in range(14)]
    # 1: good.
    assert [row[1:5] for row in rows[:12]] == [
        ["1", ip, str(length), ""] for ip in ("1", "") for length in (1, 3000, 60000) for _ in range(2)
    ]
    assert rows[12][5] == "1"
    assert rows[13][6] == "1"


@pytest.mark.tun
@pytest.mark.requires("tshark")
def test_what_the_kernel_sends_is_captured_whole(
    in_namespace: Callable[[Callable[[], None]], None], tmp_path: Path
) -> None:
    from synfin.link.tun import configure

    path = tmp_path / "a.pcapng"

    def body() -> None:
        tun = Tun.open()
        configure(tun.name, ["10.9.0.3/24", "fd00:9::3/64"])
        capture = Capture(tun, PcapngWriter(path), itertools.count(START).__next__)
        for family, address in ((socket.AF_INET, "10.9.0.2"), (socket.AF_INET6, "fd00:9::2")):
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"hello", (address, 9))
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sender:
                sender.connect_ex((address, 9))
        frames = drain(capture)
        partial = [frame for frame in frames if parse_packet(frame.data, checksum_verified=True).protocol in (6, 17)]
        assert len(partial) == 4
        assert any(frame.checksum_verified for frame in partial)
        capture.close()

    in_namespace(body)
    result = subprocess.run(
        ["tshark", "-r", str(path)]
        + [part for name in ("tcp", "ip", "udp") for part in ("-o", f"{name}.check_checksum:TRUE")]
        + ["-T", "fields", "-e", "tcp.checksum.status", "-e", "udp.checksum.status", "-Y", "tcp or udp"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert sorted(line.strip() for line in result.stdout.splitlines()) == ["1"] * 4
