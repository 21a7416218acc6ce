"""TUN links against the kernel, in network namespaces."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_interface

import pytest

from synfin.link.tun import Tun, configure, kernel_address
from synfin.wire.icmp import ECHO_REPLY, ECHO_REQUEST, V6_ECHO_REPLY, V6_ECHO_REQUEST, IcmpMessage
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Packet, parse_packet
from synfin.wire.tcp import ACK, PSH, SYN, Options, Segment

pytestmark = pytest.mark.tun

Run = Callable[[Callable[[], None]], None]
V4, V6 = "10.9.0.2/24", "fd00:9::2/64"
PORTS = itertools.count(4000)
MSS = 1000


def next_packet(tun: Tun) -> Packet:
    while True:
        frame = tun.receive()
        if frame is not None:
            return parse_packet(frame.data, checksum_verified=frame.checksum_verified, segment_size=frame.segment_size)
        assert select.select([tun], [], [], 10)[0], "the kernel says nothing"


def next_segment(tun: Tun) -> Segment:
    while True:
        payload = next_packet(tun).payload
        if isinstance(payload, Segment):
            return payload


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("address", [V4, V6])
def test_the_kernel_answers_a_ping(in_namespace: Run, offload: bool, address: str) -> None:
    def body() -> None:
        kernels = kernel_address(address)
        with Tun.open(offload=offload) as tun:
            configure(tun.name, [kernels])
            protocol, request, reply = PROTOCOL_ICMP, ECHO_REQUEST, ECHO_REPLY
            if kernels.version == 6:
                protocol, request, reply = PROTOCOL_ICMPV6, V6_ECHO_REQUEST, V6_ECHO_REPLY
            ours = ip_interface(address).ip.packed
            message = IcmpMessage(request, 0, 0x00010002, b"hello")
            assert tun.send(Packet(ours, kernels.ip.packed, protocol, message))
            while True:
                packet = next_packet(tun)
                if isinstance(packet.payload, IcmpMessage) and packet.payload.type == reply:
                    break
            assert packet.payload == IcmpMessage(reply, 0, 0x00010002, b"hello")
            assert (packet.source, packet.destination) == (kernels.ip.packed, ours)
            assert not any(tun.counters.values())

    in_namespace(body)


class Peer:
    """As much of a TCP as it takes to talk to a kernel's socket over a link that loses nothing."""

    def __init__(self, tun: Tun, address: str) -> None:
        kernels = kernel_address(address)
        configure(tun.name, [kernels])
        self.tun = tun
        self.ours = ip_interface(address).ip.packed
        self.kernels = kernels.ip.packed
        self.port = next(PORTS)
        self.snd_nxt = 2**32 - 5000
        self.rcv_nxt = 0
        family = socket.AF_INET if kernels.version == 4 else socket.AF_INET6
        with socket.create_server((str(kernels.ip), self.port), family=family) as server:
            self.send(SYN, options=Options(mss=MSS))
            answer = next_segment(tun)
            assert answer.flags == SYN | ACK
            self.snd_nxt += 1
            self.rcv_nxt = (answer.seq + 1) % 2**32
            self.send(ACK)
            self.socket, _ = server.accept()

    def send(self, flags: int, payload: tuple[bytes, ...] = (), options: Options | None = None) -> None:
        segment = Segment(
            50000,
            self.port,
            self.snd_nxt,
            self.rcv_nxt,
            flags,
            65535,
            options or Options(),
            payload,
            MSS if payload else 0,
        )
        assert self.tun.send(Packet(self.ours, self.kernels, PROTOCOL_TCP, segment))
        self.snd_nxt = (self.snd_nxt + segment.payload_length) % 2**32


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("address", [V4, V6])
def test_the_kernel_receives_a_superpacket(in_namespace: Run, offload: bool, address: str) -> None:
    def body() -> None:
        with Tun.open(offload=offload) as tun:
            peer = Peer(tun, address)
            pieces = tuple(bytes([index]) * 97 for index in range(200))
            with peer.socket:
                peer.send(ACK | PSH, pieces)
                expected = b"".join(pieces)
                assert peer.socket.recv(len(expected), socket.MSG_WAITALL) == expected
                while next_segment(tun).ack != peer.snd_nxt:
                    pass
            assert not any(tun.counters.values())

    in_namespace(body)


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("address", [V4, V6])
def test_the_kernel_sends_a_superpacket(in_namespace: Run, offload: bool, address: str) -> None:
    def body() -> None:
        with Tun.open(offload=offload) as tun:
            peer = Peer(tun, address)
            data = bytes(range(256)) * 100
            received = b""
            sizes = set()
            largest = 0
            with peer.socket:
                peer.socket.setblocking(False)
                assert peer.socket.send(data) == len(data)
                while len(received) < len(data):
                    segment = next_segment(tun)
                    assert segment.seq == peer.rcv_nxt
                    received += segment.payload_bytes()
                    sizes.add(segment.segment_size)
                    largest = max(largest, segment.payload_length)
                    peer.rcv_nxt = (peer.rcv_nxt + segment.payload_length) % 2**32
                    peer.send(ACK)
            assert received == data
            if offload:
                assert sizes <= {0, MSS}
                assert largest > MSS
            else:
                assert sizes == {0}
                assert largest == MSS

    in_namespace(body)


def test_a_taken_name_is_busy(in_namespace: Run) -> None:
    def body() -> None:
        with Tun.open("taken") as tun:
            assert tun.name == "taken"
            for name in ("taken", "lo"):
                with pytest.raises(OSError, match="busy") as caught:
                    Tun.open(name)
                assert caught.value.errno == errno.EBUSY
        # It went with its link.
        with Tun.open("taken"):
            pass
        with Tun.open() as first, Tun.open() as second:
            assert {first.name, second.name} == {"synfin0", "synfin1"}

    in_namespace(body)


def test_who_is_not_root_may_not(in_namespace: Run) -> None:
    code = (
        "import fcntl, os, pathlib; from synfin.link.tun import Tun\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: Tun.open('mine')\n"
        "except PermissionError: print('PermissionError')\n"
    )

    def body() -> None:
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert result.stdout == "PermissionError\n"

    in_namespace(body)


def test_a_deleted_device_is_down_for_good(in_namespace: Run) -> None:
    def body() -> None:
        with Tun.open() as tun:
            configure(tun.name, ["10.9.0.3/24"])
            ip("link", "del", tun.name)
            packet = Packet(bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3]), 17, b"x")
            for call in (tun.receive, lambda: tun.send(packet)):
                with pytest.raises(OSError, match="down") as caught:
                    call()
                assert caught.value.errno == errno.ENETDOWN

    in_namespace(body)


def test_a_device_that_is_down_loses_packets(in_namespace: Run) -> None:
    def body() -> None:
        with Tun.open() as tun:
            packet = Packet(bytes([10, 9, 0, 2]), bytes([10, 9, 0, 3]), 1, IcmpMessage(ECHO_REQUEST, 0, 1))
            assert tun.send(packet)
            assert tun.counters["tx_carrier_errors"] == 1
            assert tun.receive() is None
            configure(tun.name, ["10.9.0.3/24"])
            assert tun.send(packet)
            assert tun.counters["tx_carrier_errors"] == 1
            while next_packet(tun).protocol != PROTOCOL_ICMP:
                pass

    in_namespace(body)


def test_the_kernels_side_is_configured(in_namespace: Run) -> None:
    def body() -> None:
        with Tun.open(mtu=1400) as tun:

            async def within_a_loop() -> None:
                configure(tun.name, ["10.9.0.3/24", "fd00:9::3/64"], 1400)

            asyncio.run(within_a_loop())
            # What is there already is no error.
            configure(tun.name, ["10.9.0.3/24", "fd00:9::3/64", "fd00:9::4/64"], 1400)
            shown = ip("-o", "address", "show", tun.name)
            for text in ("10.9.0.3/24", "fd00:9::3/64", "fd00:9::4/64"):
                assert shown.count(text) == 1
            # The kernel's own link-local address is the third.
            assert shown.count("nodad") == 2
            assert "mtu 1400" in ip("link", "show", tun.name)

    in_namespace(body)


def test_what_cannot_be_configured(in_namespace: Run) -> None:
    def body() -> None:
        with pytest.raises(OSError, match="No such device"):
            configure("nosuch", ["10.9.0.3/24"])
        with Tun.open() as tun:
            with pytest.raises(OSError, match="Invalid argument"):
                configure(tun.name, [], mtu=60)
            with pytest.raises(ValueError):
                configure(tun.name, ["nonsense"])

    in_namespace(body)


def test_a_persistent_device_is_attached_to(in_namespace: Run) -> None:
    def body() -> None:
        ip("tuntap", "add", "dev", "lasting", "mode", "tun", "user", "0")
        for offload in (True, False, True):
            with Tun.open("lasting", offload=offload) as tun:
                Peer(tun, V4).socket.close()
            assert "lasting" in ip("link", "show", "lasting")
        ip("tuntap", "add", "dev", "ethernet", "mode", "tap")
        with pytest.raises(OSError, match="busy"):
            Tun.open("ethernet")

    in_namespace(body)


def test_a_descriptor_handed_over(in_namespace: Run) -> None:
    def body() -> None:
        with Tun.open("given") as given, Tun.from_fd(os.dup(given.fileno())) as tun:
            assert tun.name == "given"
            assert not os.get_blocking(tun.fileno())
            Peer(tun, V4).socket.close()
        with Tun.open("plain", offload=False) as given:
            with pytest.raises(ValueError, match="IFF_VNET_HDR"):
                Tun.from_fd(given.fileno())
            with Tun.from_fd(os.dup(given.fileno()), offload=False) as tun:
                Peer(tun, V4).socket.close()
        # The header may be there although nothing is left to the device.
        with Tun.open("header") as given, Tun.from_fd(os.dup(given.fileno()), offload=False) as tun:
            peer = Peer(tun, V4)
            with peer.socket:
                peer.send(ACK, (b"x" * 3000,))
                assert len(peer.socket.recv(3000, socket.MSG_WAITALL)) == 3000

    in_namespace(body)
