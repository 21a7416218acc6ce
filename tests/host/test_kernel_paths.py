"""A host and the kernel: long pings both ways in fragments, errors that sockets understand, and a kernel as router."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.link.tun import Tun, configure
from synfin.tcp.parameters import MILLISECOND, SECOND
from synfin.tcp.states import ESTABLISHED
from synfin.wire import icmp
from tests.host.machine import SECRET

pytestmark = pytest.mark.tun

Run = Callable[[Callable[[], None]], None]
OURS, KERNELS = "10.9.0.2", "10.9.0.1"
OURS_6, KERNELS_6 = "fd00:9::2", "fd00:9::1"


class Attached:
    """A host on a TUN device. Its clock stands still until a test moves it."""

    def __init__(self, name: str, own: list[str], kernels: list[str], mtu: int = 1500, offload: bool = False) -> None:
        self.tun = Tun.open(offload=offload)
        configure(self.tun.name, kernels, mtu)
        self.host = Host(name, SECRET)
        self.eth: Interface = self.host.add_interface("eth0", own, mtu)
        self.now = SECOND

    def serve(self) -> None:
        """Takes what has come, and sends what there is to send."""
        while (frame := self.tun.receive()) is not None:
            self.host.octets_arrive(frame.data, self.eth, self.now, frame.checksum_verified, frame.segment_size)
        while (packet := self.host.poll_transmit(self.eth, self.now)) is not None:
            assert self.tun.send(packet)


def until(condition: Callable[[], object], *attached: Attached) -> None:
    """Serves the hosts until `condition` holds; their clocks go on by a millisecond whenever nothing comes."""
    for _ in range(20_000):
        for one in attached:
            one.serve()
        if condition():
            return
        if not select.select([one.tun for one in attached], [], [], 0.001)[0]:
            for one in attached:
                one.now += MILLISECOND
                one.host.deadline_reached(one.now)
    raise AssertionError("it never came about")


def attach(offload: bool = False) -> Attached:
    own, kernels = [f"{OURS}/24", f"{OURS_6}/64"], [f"{KERNELS}/24", f"{KERNELS_6}/64"]
    return Attached("ours", own, kernels, offload=offload)


def readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


@pytest.mark.parametrize("length", [56, 4000, 65_000])
@pytest.mark.parametrize("version", [4, 6])
def test_a_long_ping(in_namespace: Run, version: int, length: int) -> None:
    """The kernel cuts the request and puts the answer together; the host, the other way round."""

    def body() -> None:
        ours = attach()
        data = Random(length).randbytes(length)
        if version == 4:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            header = struct.pack("!BBHHH", icmp.ECHO_REQUEST, 0, 0, 7, 1)
            words = header + data + bytes(len(data) % 2)
            total = sum(struct.unpack(f"!{len(words) // 2}H", words))
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            header = struct.pack("!BBHHH", icmp.ECHO_REQUEST, 0, total ^ 0xFFFF, 7, 1)
            kind, behind, where = icmp.ECHO_REPLY, 20, OURS
        else:
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            # The kernel adds the checksum.
            header = struct.pack("!BBHHH", icmp.V6_ECHO_REQUEST, 0, 0, 7, 1)
            kind, behind, where = icmp.V6_ECHO_REPLY, 0, OURS_6
        with raw, ours.tun:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            raw.sendto(header + data, (where, 0))
            answers: list[bytes] = []

            def answered() -> bool:
                while readable(raw):
                    message = raw.recv(1 << 17)[behind:]
                    if message[0] == kind:
                        answers.append(message)
                return bool(answers)

            until(answered, ours)
            assert answers[0][4:8] == header[4:8]
            assert answers[0][8:] == data
            name = "Ip" if version == 4 else "Ip6"
            assert ours.host.counters[name + "ReasmOKs"] == (length > 1480)
            assert ours.host.counters[name + "FragOKs"] == (length > 1480)

    in_namespace(body)


@pytest.mark.parametrize(("family", "where"), [(socket.AF_INET, OURS), (socket.AF_INET6, OURS_6)])
@pytest.mark.parametrize("length", [10, 3000])
@pytest.mark.parametrize("offload", [False, True])
def test_nobody_at_the_port(
    in_namespace: Run, family: socket.AddressFamily, where: str, length: int, offload: bool
) -> None:
    """Also for a datagram in fragments: of it the beginning is quoted."""

    def body() -> None:
        ours = attach(offload)
        with socket.socket(family, socket.SOCK_DGRAM) as sock, ours.tun:
            sock.connect((where, 9))
            sock.send(bytes(length))
            until(lambda: readable(sock), ours)
            with pytest.raises(ConnectionRefusedError):
                sock.recv(100)

    in_namespace(body)


@pytest.mark.parametrize(
    ("family", "where", "expected"),
    [(socket.AF_INET, OURS, errno.ENOPROTOOPT), (socket.AF_INET6, OURS_6, errno.EPROTO)],
)
def test_nobody_for_the_protocol(in_namespace: Run, family: socket.AddressFamily, where: str, expected: int) -> None:
    def body() -> None:
        ours = attach()
        with socket.socket(family, socket.SOCK_RAW, 200) as sock, ours.tun:
            sock.connect((where, 0))
            sock.send(bytes(20))
            until(lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == expected, ours)

    in_namespace(body)


def test_a_rest_that_never_comes(in_namespace: Run) -> None:
    """The kernel's sender learns of it thirty seconds later."""

    def body() -> None:
        ours = attach()
        with (
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender,
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as listener,
            ours.tun,
        ):
            address = socket.inet_aton(KERNELS), socket.inet_aton(OURS)
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 9, 0x2000, 64, socket.IPPROTO_UDP, 0, *address)
            sender.sendto(header + struct.pack("!HHHH", 1, 2, 100, 0) + bytes(24), (OURS, 0))
            until(lambda: ours.host.counters["IpReasmReqds"], ours)
            ours.now += 30 * SECOND
            ours.host.deadline_reached(ours.now)
            until(lambda: readable(listener), ours)
            message = listener.recv(1000)[20:]
            assert tuple(message[:2]) == (icmp.TIME_EXCEEDED, icmp.REASSEMBLY_TIME_EXCEEDED)
            assert message[8 + 20 :][:4] == struct.pack("!HH", 1, 2)

    in_namespace(body)


NEAR, FAR = "10.1.0.2", "10.2.0.2"
NEAR_6, FAR_6 = "fd01::2", "fd02::2"


def routed(mtu: int) -> tuple[Attached, Attached]:
    """Two hosts, and the kernel as router between them; the way to the far one takes packets of `mtu` octets."""
    near_addresses, far_addresses = [f"{NEAR}/24"], [f"{FAR}/24"]
    near_kernel, far_kernel = ["10.1.0.1/24"], ["10.2.0.1/24"]
    # RFC 8200 §5: IPv6 goes over no narrower link.
    two_versions = mtu >= 1280
    if two_versions:
        near_addresses.append(f"{NEAR_6}/64")
        far_addresses.append(f"{FAR_6}/64")
        near_kernel.append("fd01::1/64")
        far_kernel.append("fd02::1/64")
    near = Attached("near", near_addresses, near_kernel)
    # The far one's own link seems wide, so that its MSS does not tell.
    far = Attached("far", far_addresses, far_kernel, mtu)
    far.eth.mtu = far.eth.room = 1500
    for one, gateway, gateway_6 in ((near, "10.1.0.1", "fd01::1"), (far, "10.2.0.1", "fd02::1")):
        one.host.add_route("0.0.0.0/0", one.eth, gateway)
        if two_versions:
            one.host.add_route("::/0", one.eth, gateway_6)
    for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", switch).write_text("1")
    return near, far


def transfer(near: Attached, far: Attached, where: str) -> None:
    """Half a megabyte from the near host to the far one."""
    data = Random(9).randbytes(500_000)
    far.host.listen(where, 80, 5, far.now)
    connection = near.host.connect(where, 80, near.now)
    got = bytearray()
    sent = 0

    def done() -> bool:
        nonlocal sent
        while sent < len(data) and connection.state == ESTABLISHED:
            try:
                sent += near.host.send(connection, data[sent : sent + 20_000], near.now)
            except BlockingIOError:
                break
        for other in far.host.transport.connections.values():
            with suppress(BlockingIOError):
                got.extend(b"".join(far.host.receive(other, 1 << 20, far.now)))
        return len(got) >= len(data)

    until(done, near, far)
    assert bytes(got) == data


def test_a_router_cuts_what_may_be_cut(in_namespace: Run) -> None:
    """Without path MTU discovery: the kernel cuts the segments, each under its own number, and the host joins them."""

    def body() -> None:
        near, far = routed(600)
        near.host.parameters.ip_no_pmtu_disc = 1
        with near.tun, far.tun:
            transfer(near, far, FAR)
        assert far.host.counters["IpReasmOKs"] > 300
        assert far.host.counters["IpReasmFails"] == 0
        assert len(near.host.transport.path_mtus) == 0

    in_namespace(body)


@pytest.mark.parametrize(("where", "mtu"), [(FAR, 600), (FAR_6, 1300)])
def test_a_router_that_may_not_says_so(in_namespace: Run, where: str, mtu: int) -> None:
    def body() -> None:
        near, far = routed(mtu)
        with near.tun, far.tun:
            transfer(near, far, where)
        assert (
            near.host.transport.path_mtus.get(
                socket.inet_pton(socket.AF_INET6 if ":" in where else socket.AF_INET, where), 1500, near.now
            )
            == mtu
        )
        assert far.host.counters["IpReasmReqds"] == far.host.counters["Ip6ReasmReqds"] == 0

    in_namespace(body)


def test_a_path_narrower_than_we_care_to_fill(in_namespace: Run) -> None:
    """As Linux: packets of min_pmtu octets without DF, which the router cuts."""

    def body() -> None:
        near, far = routed(300)
        with near.tun, far.tun:
            transfer(near, far, FAR)
        assert near.host.transport.path_mtus.get(socket.inet_aton(FAR), 1500, near.now) == 552
        assert far.host.counters["IpReasmOKs"] > 100

    in_namespace(body)
