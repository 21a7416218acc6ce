"""TUN links over descriptors in memory; `test_tun_kernel.py` has real devices."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_interface

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synfin.link.segmentation import cut
from synfin.link.tun import PIECE_LIMIT, UNUSABLE_FRAME_LIMIT, Tun, kernel_address
from synfin.wire.errors import WireError
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import Packet, encode_packet, octets, parse_packet
from synfin.wire.tcp import ACK, CWR, PSH, Segment, timestamp_options

V4 = bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3])
V6 = bytes.fromhex("fd000009" + "0" * 23 + "2"), bytes.fromhex("fd000009" + "0" * 23 + "3")
Connect = Callable[[bool], tuple[Tun, Tun]]


def tcp(
    payload: tuple[bytes, ...] = (),
    segment_size: int = 0,
    flags: int = ACK | PSH,
    addresses: tuple[bytes, bytes] = V4,
) -> Packet:
    return Packet(*addresses, 6, Segment(40000, 7, 1, 99, flags, 512, timestamp_options(5, 6), payload, segment_size))


class Device:
    """A Tun over one end of a socket pair; `other` is the end that a kernel would have."""

    def __init__(self, offload: bool) -> None:
        self.other, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.other.setblocking(False)
        self.tun = Tun.from_fd(ours.detach(), offload)

    def close(self) -> None:
        self.tun.close()
        self.other.close()

    def sent(self) -> list[bytes]:
        packets = []
        while True:
            try:
                packets.append(self.other.recv(1 << 17))
            except BlockingIOError:
                return packets


@pytest.fixture
def device() -> Iterator[Device]:
    made = Device(offload=True)
    yield made
    made.close()


@pytest.fixture
def plain_device() -> Iterator[Device]:
    made = Device(offload=False)
    yield made
    made.close()


# --- sending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("addresses", "gso_type", "header"), [(V4, 1, 20), (V6, 4, 40)])
def test_a_superpacket_goes_out_whole(
    device: Device, addresses: tuple[bytes, bytes], gso_type: int, header: int
) -> None:
    packet = tcp((b"a" * 3000, b"b" * 1001), 1448, addresses=addresses)
    assert device.tun.send(packet)
    (written,) = device.sent()
    # flags NEEDS_CSUM, gso_type, hdr_len, gso_size, csum_start, csum_offset
    assert struct.unpack("=BBHHHH", written[:10]) == (1, gso_type, header + 32, 1448, header, 16)
    assert written[10:] == b"".join(encode_packet(packet, partial_checksum=True))


def test_cwr_in_a_superpacket_is_told(device: Device) -> None:
    device.tun.send(tcp((b"a" * 3000,), 1448, flags=ACK | CWR))
    (written,) = device.sent()
    assert written[1] == 0x81


def test_a_segment_has_its_checksum_left_to_the_device(device: Device) -> None:
    for packet in (tcp((b"abc",)), tcp((b"a" * 1448,), 1448)):
        device.tun.send(packet)
        (written,) = device.sent()
        assert struct.unpack("=BBHHHH", written[:10]) == (1, 0, 52, 0, 20, 16)
        assert written[10:] == b"".join(encode_packet(packet, partial_checksum=True))


def test_what_is_not_tcp_is_complete(device: Device) -> None:
    packet = Packet(*V6, 58, IcmpMessage(128, 0, 1, b"hello"))
    device.tun.send(packet)
    assert device.sent() == [bytes(10) + octets(packet)]


def test_without_offload_superpackets_are_cut(plain_device: Device) -> None:
    packet = tcp((b"a" * 3000, b"b" * 1001), 1448)
    assert plain_device.tun.send(packet)
    assert plain_device.sent() == [octets(part) for part in cut(packet)]
    assert plain_device.tun.send(tcp((b"abc",)))
    assert plain_device.sent() == [octets(tcp((b"abc",)))]


@pytest.mark.parametrize("count", [PIECE_LIMIT - 2, PIECE_LIMIT - 1, PIECE_LIMIT, 1022, 1023, 1024, 5000])
def test_many_pieces_make_one_packet(device: Device, count: int) -> None:
    packet = tcp(tuple(bytes([index % 256]) for index in range(count)), 100)
    assert device.tun.send(packet)
    (written,) = device.sent()
    assert written[10:] == b"".join(encode_packet(packet, partial_checksum=True))


@pytest.mark.parametrize("offload", [True, False])
def test_a_full_device_loses_nothing(connected: Connect, offload: bool) -> None:
    left, right = connected(offload)
    packet = tcp((b"x" * 14480,), 1448)
    count = 0
    while left.send(packet):
        count += 1
        assert count < 10_000
    received = b""
    frame = right.receive()
    while frame is not None:
        received += bytes(octets_of_payload(frame.data))
        frame = right.receive()
    assert left.send(packet)
    frame = right.receive()
    while frame is not None:
        received += bytes(octets_of_payload(frame.data))
        frame = right.receive()
    assert len(received) == (count + 1) * 14480


def test_the_rest_of_a_superpacket_goes_before_another_packet(connected: Connect) -> None:
    left, right = connected(False)
    packet = tcp((b"x" * 14480,), 1448)
    while left.send(packet):
        pass
    last = tcp((b"last",))
    assert not left.send(last)
    received: list[bytes] = []
    while not received or received[-1] != b"last":
        frame = right.receive()
        if frame is None:
            left.send(last)
        else:
            received.append(octets_of_payload(frame.data))
    assert len(received) % 10 == 1


def octets_of_payload(data: bytes | memoryview) -> bytes:
    segment = parse_packet(data, checksum_verified=True).payload
    assert isinstance(segment, Segment)
    return segment.payload_bytes()


def test_a_refused_packet_is_counted(plain_device: Device) -> None:
    # More than the socket can ever take: EMSGSIZE.
    plain_device.other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    os.set_blocking(plain_device.tun.fileno(), False)
    with socket.socket(fileno=os.dup(plain_device.tun.fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    assert plain_device.tun.send(Packet(*V4, 17, b"x" * 60000))
    assert plain_device.tun.counters["tx_errors"] == 1
    assert plain_device.sent() == []


# --- receiving -------------------------------------------------------------------------------------------------------


def virtio(flags: int = 0, gso_type: int = 0, gso_size: int = 0, csum_start: int = 0, csum_offset: int = 0) -> bytes:
    return struct.pack("=BBHHHH", flags, gso_type, 9999, gso_size, csum_start, csum_offset)


def test_nothing_to_read(device: Device) -> None:
    assert device.tun.receive() is None


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("addresses", [V4, V6])
def test_what_was_sent_is_received(connected: Connect, offload: bool, addresses: tuple[bytes, bytes]) -> None:
    left, right = connected(offload)
    packet = tcp((b"a" * 3000,), 1448, addresses=addresses)
    left.send(packet)
    parsed = []
    frame = right.receive()
    while frame is not None:
        parsed.append(
            parse_packet(frame.data, checksum_verified=frame.checksum_verified, segment_size=frame.segment_size)
        )
        frame = right.receive()
    assert parsed == ([packet] if offload else cut(packet))


def test_checksum_is_verified_where_the_header_says_so(device: Device) -> None:
    data = octets(tcp((b"abc",)))
    for header, verified in (
        (virtio(), False),
        (virtio(flags=1, csum_start=20, csum_offset=16), True),
        (virtio(flags=2), True),
    ):
        device.other.send(header + data)
        frame = device.tun.receive()
        assert frame is not None
        assert frame.checksum_verified is verified
        assert frame.data == data
        assert frame.segment_size == 0


def test_segment_size_is_that_of_the_header(device: Device) -> None:
    for addresses, gso_type in ((V4, 1), (V4, 0x81), (V6, 4), (V6, 0x84)):
        device.other.send(virtio(1, gso_type, 1000, 20, 16) + octets(tcp((b"a" * 3000,), addresses=addresses)))
        frame = device.tun.receive()
        assert frame is not None
        assert frame.segment_size == 1000
    # Without a type the size means nothing.
    device.other.send(virtio(1, 0, 1000, 20, 16) + octets(tcp((b"a" * 3000,))))
    frame = device.tun.receive()
    assert frame is not None
    assert frame.segment_size == 0


@pytest.mark.parametrize(
    "header",
    [
        virtio(gso_type=1, gso_size=0),
        virtio(gso_type=1, gso_size=7),  # would be cut into thousands
        virtio(gso_type=4, gso_size=1000),  # an IPv6 superpacket that is IPv4
        virtio(gso_type=3, gso_size=1000),  # UDP, which was not asked for
        virtio(gso_type=5, gso_size=1000),
        virtio(gso_type=0x80, gso_size=1000),  # ECN of no type
        virtio(gso_type=255, gso_size=1000),
        virtio(flags=1, csum_start=3052, csum_offset=0),
        virtio(flags=1, csum_start=20, csum_offset=3031),
        virtio(flags=1, csum_start=0xFFFF, csum_offset=0xFFFF),
    ],
)
def test_a_header_without_sense_drops_the_frame(device: Device, header: bytes) -> None:
    device.other.send(header + octets(tcp((b"a" * 3000,))))
    device.other.send(bytes(10) + octets(tcp((b"next",))))
    frame = device.tun.receive()
    assert frame is not None
    assert octets_of_payload(frame.data) == b"next"
    assert device.tun.counters["rx_frame_errors"] == 1


def test_short_reads_are_counted(device: Device, plain_device: Device) -> None:
    for length in (1, 9, 10, 29):
        device.other.send(bytes(length))
    assert device.tun.receive() is None
    assert device.tun.counters["rx_length_errors"] == 4
    plain_device.other.send(b"x" * 19)
    plain_device.other.send(b"x" * 20)
    assert plain_device.tun.receive() is not None
    assert plain_device.tun.counters["rx_length_errors"] == 1


def test_a_flood_of_unusable_frames_does_not_hold_the_caller(device: Device) -> None:
    device.other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    for _ in range(UNUSABLE_FRAME_LIMIT + 1):
        device.other.send(b"x")
    assert device.tun.receive() is None
    assert device.tun.counters["rx_length_errors"] == UNUSABLE_FRAME_LIMIT
    assert device.tun.receive() is None
    assert device.tun.counters["rx_length_errors"] == UNUSABLE_FRAME_LIMIT + 1


@given(
    st.one_of(
        st.binary(min_size=1, max_size=200),
        st.tuples(
            st.integers(0, 3), st.integers(0, 255), st.integers(0, 2000), st.integers(0, 100), st.integers(0, 100)
        ).flatmap(
            lambda fields: st.binary(max_size=100).map(lambda tail: virtio(*fields) + octets(tcp((b"a" * 500,))) + tail)
        ),
    )
)
@example(bytes(10) + b"\x45" + bytes(19))
def test_no_octets_raise_anything(data: bytes) -> None:
    device = Device(offload=True)
    try:
        device.other.send(data)
        frame = device.tun.receive()
        dropped = sum(device.tun.counters.values())
        assert (frame is None) == (dropped == 1)
        if frame is not None:
            try:
                packet = parse_packet(
                    frame.data, checksum_verified=frame.checksum_verified, segment_size=frame.segment_size
                )
            except WireError:
                return
            assert len(cut(packet)) <= 500 / 8 + 1
    finally:
        device.close()


# --- the end ---------------------------------------------------------------------------------------------------------


def test_the_other_end_is_gone(device: Device) -> None:
    device.other.close()
    with pytest.raises(OSError, match="down") as caught:
        device.tun.receive()
    assert caught.value.errno == errno.ENETDOWN
    with pytest.raises(BrokenPipeError):
        device.tun.send(tcp())


def test_closing_twice_is_harmless(device: Device) -> None:
    with device.tun as tun:
        fd = tun.fileno()
    tun.close()
    assert tun.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        tun.receive()


def test_a_closed_descriptor_is_refused() -> None:
    fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Tun.from_fd(fd)
    with pytest.raises(ValueError):
        Tun.from_fd(-1)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "a:b", "a\0b", "sixteen-octets-x", "\u6587\u6587\u6587\u6587\u6587\u6587"]
)
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a device name"):
        Tun.open(name)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "kernels"),
    [
        ("10.9.0.2/24", "10.9.0.3/24"),
        ("10.9.0.254/24", "10.9.0.1/24"),
        ("10.9.0.1/30", "10.9.0.2/30"),
        ("10.9.0.2/30", "10.9.0.1/30"),
        ("10.9.0.0/31", "10.9.0.1/31"),
        ("10.9.0.1/31", "10.9.0.0/31"),
        ("fd00:9::2/64", "fd00:9::3/64"),
        ("fd00:9::ffff:ffff:ffff:ffff/64", "fd00:9::1/64"),
        ("fd00:9::/127", "fd00:9::1/127"),
        ("fd00:9::1/127", "fd00:9::/127"),
        ("fd00:9::3/126", "fd00:9::1/126"),
    ],
)
def test_the_kernel_takes_the_next_address(ours: str, kernels: str) -> None:
    assert kernel_address(ours) == ip_interface(kernels)


def test_taken_addresses_are_passed_over() -> None:
    # The last is the same number as 10.9.0.5.
    taken = ["10.9.0.3/24", "10.9.0.4/24", "10.8.0.5/24", "::a09:5/64"]
    assert kernel_address("10.9.0.2/24", taken) == ip_interface("10.9.0.5/24")
    with pytest.raises(ValueError, match="no free address"):
        kernel_address("10.9.0.1/30", ["10.9.0.2/30"])
    with pytest.raises(ValueError, match="no free address"):
        kernel_address("10.9.0.0/31", ["10.9.0.1/31"])


@pytest.mark.parametrize(
    "address",
    [
        "10.9.0.2",
        "10.9.0.2/32",
        "fd00::1/128",
        "10.9.0.0/24",
        "10.9.0.255/24",
        "fd00:9::/64",
        "127.0.0.1/8",
        "::1/64",
        "224.0.0.1/24",
        "ff02::1/64",
        "0.0.0.0/8",
        "fe80::1%eth0/64",
        "10.9.0.2/33",
        "10.9.0.300/24",
        "nonsense/24",
        "/24",
        "",
        "10.9.0.2/24/24",
        "10.9.0.2/\n24",
    ],
)
def test_what_cannot_be_our_address(address: str) -> None:
    with pytest.raises(ValueError) as caught:
        kernel_address(address)
    assert "\n" not in str(caught.value)
    assert str(caught.value)


@given(st.integers(1, 2**32 - 1), st.integers(0, 31))
def test_the_kernels_address_is_a_host_of_the_same_network(number: int, length: int) -> None:
    ours = ip_interface((number, length))
    try:
        kernels = kernel_address(str(ours))
    except ValueError:
        return
    assert kernels.network == ours.network
    assert kernels.ip != ours.ip
    if length < 31:
        assert kernels.ip not in (ours.network.network_address, ours.network.broadcast_address)
