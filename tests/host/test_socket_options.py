"""Every option of a socket: what the kernel takes, refuses and tells in each state, and what an option does."""

from __future__ import annotations

import errno
import itertools
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synfin.host import calls, socket_options, transfer
from synfin.host import socket_option_numbers as numbers
from synfin.host.parameters import Parameters
from synfin.host.socket_option_numbers import IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET
from synfin.host.sockets import AF_INET, AF_INET6, Socket
from synfin.tcp.info import TcpInfo
from synfin.wire.tcp import ACK, SYN, Options
from tests.host.machine import OURS, OURS_6, SECOND, THEIRS, THEIRS_6, Machine, Peer, segment_of
from tests.host.two_worlds import Kernel, Ours, World

LEVELS = (("SO_", SOL_SOCKET), ("TCP_", IPPROTO_TCP), ("IP_", IPPROTO_IP), ("IPV6_", IPPROTO_IPV6))
#: Every option that there is: name, level, number.
OPTIONS = [
    (name, level, number)
    for prefix, level in LEVELS
    for name, number in vars(numbers).items()
    if name.startswith(prefix)
]
STATES = ("fresh", "bound", "listening", "connected", "accepted", "closed")
FAMILIES = ("IPv4", "IPv6", "mapped")

INTS = (
    *range(8),
    *(63, 64, 65, 87, 88, 127, 128, 255, 256, 536, 1151, 1152, 1279, 1280, 2304, 4608, 32767, 32768, 65535, 100_000),
    *(4194304, 4194305, 1 << 30, (1 << 31) - 1, -1, -2, -1 << 31),
)
#: Lengths that are not an int's, struct linger, struct timeval, names.
OTHERS = (
    *(b"", b"\1", b"\1\0\0", b"\x40", struct.pack("=iI", 1, 0)),
    *(struct.pack("=ii", *pair) for pair in ((1, 5), (0, 7), (1, 100_000))),
    *(struct.pack("=qq", *pair) for pair in ((1, 500_000), (0, 1_000_000), (0, -1), (-1, 0), (0, 0), (3, 20_000))),
    *(b"reno", b"reno\0", b"nonsense", b"\xff\xfe", b"r" * 24, b"reno" + bytes(20)),
)
VALUES = [struct.pack("=i", value) for value in INTS] + list(OTHERS)


def brought_to(world: World, state: str, family: str) -> None:
    """Makes the socket `s`."""
    number = AF_INET if family == "IPv4" else AF_INET6
    address = {"IPv4": "127.0.0.1", "IPv6": "::1", "mapped": "::ffff:127.0.0.1"}[family]
    if state in ("fresh", "bound", "listening"):
        world.does("s", "socket", number)
        if state != "fresh":
            world.does("s", "bind", (address, 5000))
        if state == "listening":
            world.does("s", "listen")
        return
    active, passive = ("c", "s") if state == "accepted" else ("s", "c")
    world.does("l", "socket", number)
    world.does("l", "setsockopt", SOL_SOCKET, numbers.SO_REUSEADDR, 1)
    world.does("l", "bind", (address, 5000))
    world.does("l", "listen")
    world.does(active, "socket", number)
    world.does(active, "connect", (address, 5000))
    world.does(active, "connect", (address, 5000))
    world.does("l", "accept", passive)
    if state == "closed":
        world.does(passive, "connect", None)


def incomparable(name: str, state: str, value: bytes | None) -> str:
    """Why what the kernel tells of an option says nothing of ours; empty if it does."""
    if name == "TCP_INFO":
        return "made of times and rates"
    if name == "TCP_TIMESTAMP":
        return "the time"
    connected = state in ("connected", "accepted", "closed")
    if name == "SO_SNDBUF" and connected and value is None:
        return "Linux counts what a buffer's management costs, octet for octet"
    if name == "TCP_MAXSEG" and connected:
        return "on loopback Linux bounds the MSS by half the peer's window"
    if name == "TCP_WINDOW_CLAMP" and state == "closed":
        return "Linux remembers the clamp of a connection that is no more"
    if name == "SO_LINGER" and value is not None and len(value) == 16:
        return "for ever, which Linux tells in ticks cut to 32 bits"
    return ""


@pytest.mark.requires("root", "netns", "ip")
@pytest.mark.row("E2")
@pytest.mark.parametrize("state", STATES)
def test_every_value_is_judged_as_the_kernel_does(
    state: str, in_namespace: Callable[[Callable[[], None]], None]
) -> None:
    """Each option, with values good and bad and of every length: what setting it gives, and what it reads as then."""
    differences = []
    outcomes = set()

    def compare() -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        parameters = Parameters()
        Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("0")
        rmem = " ".join(map(str, parameters.tcp.tcp_rmem))
        Path("/proc/sys/net/ipv4/tcp_rmem").write_text(rmem)
        # The kernel lets a namespace choose no other.
        Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text("reno")
        for family, (name, level, number) in itertools.product(FAMILIES, OPTIONS):
            worlds: tuple[World, World] = (Kernel(), Ours())
            for world in worlds:
                brought_to(world, state, family)
            for value in (None, *VALUES):
                calls_made: list[tuple[Any, ...]] = []
                if value is not None:
                    calls_made.append(("setsockopt", level, number, value))
                if not incomparable(name, state, value):
                    calls_made += [("getsockopt", level, number, length) for length in (16, 4, 2, 1)]
                for call in calls_made:
                    kernel, ours = (world.does("s", *call) for world in worlds)
                    outcomes.add(kernel if isinstance(kernel, str) else "fine")
                    if kernel != ours:
                        differences.append((family, name, call, kernel, ours))
            for world in worlds:
                world.close_all()

    in_namespace(compare)
    assert sorted({(d[1], d[2][0]) for d in differences}) == []
    assert differences == []
    assert {"fine", "EINVAL", "EDOM", "ENOPROTOOPT", "ENOENT"} <= outcomes


def test_all_of_the_mission_are_here() -> None:
    """Those of row E2, and those that the language of packetdrill has of a socket that is TCP's."""
    names = {name for name, _, _ in OPTIONS}
    wanted = """SO_RCVTIMEO SO_SNDTIMEO SO_KEEPALIVE SO_REUSEADDR SO_LINGER TCP_NODELAY TCP_QUICKACK IP_TTL SO_RCVBUF
    SO_SNDBUF SO_ERROR TCP_CORK TCP_MAXSEG TCP_SYNCNT TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_USER_TIMEOUT
    TCP_LINGER2 TCP_DEFER_ACCEPT TCP_CONGESTION TCP_INFO IP_TOS SO_REUSEPORT SO_OOBINLINE SO_RCVLOWAT
    TCP_WINDOW_CLAMP TCP_NOTSENT_LOWAT IP_MTU IP_MTU_DISCOVER IP_RECVERR IPV6_V6ONLY IPV6_TCLASS IPV6_UNICAST_HOPS"""
    assert set(wanted.split()) <= names


def test_what_there_is_not() -> None:
    world = Ours()
    world.does("four", "socket", AF_INET)
    world.does("six", "socket", AF_INET6)
    unknown = [(level, number) for _, level in LEVELS for number in range(200) if (level, number) not in KNOWN]
    for level, number in [*unknown, (17, 1), (-1, 1), (SOL_SOCKET, -1)]:
        for name in ("four", "six"):
            assert world.does(name, "setsockopt", level, number, 1) == "ENOPROTOOPT"
            got = world.does(name, "getsockopt", level, number)
            foreign = name == "four" and level not in (SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP)
            assert got == errno.errorcode[errno.EOPNOTSUPP if foreign else errno.ENOPROTOOPT]


KNOWN = {(level, number) for _, level, number in OPTIONS}


def test_an_int_has_32_bits() -> None:
    world = Ours()
    world.does("s", "socket", AF_INET)
    for value in (1 << 32, -(1 << 31) - 1):
        with pytest.raises(OverflowError):
            world.does("s", "setsockopt", SOL_SOCKET, numbers.SO_MARK, value)
    assert world.does("s", "setsockopt", SOL_SOCKET, numbers.SO_MARK, (1 << 32) - 1) is None
    assert world.does("s", "getsockopt", SOL_SOCKET, numbers.SO_MARK) == b"\xff" * 4


def test_a_negative_length() -> None:
    world = Ours()
    world.does("s", "socket", AF_INET)
    for _, level, number in OPTIONS:
        assert world.does("s", "getsockopt", level, number, -1) == "EINVAL"


# --- what they do


class Bench:
    """A machine with a socket that has options before it connects or listens."""

    def __init__(self, family: int = AF_INET) -> None:
        self.machine = Machine()
        self.host = self.machine.host
        self.family = family
        self.socket = calls.socket(self.host, family)

    def set(self, level: int, option: int, value: int | bytes, sock: Socket | None = None) -> None:
        socket_options.setsockopt(self.host, sock or self.socket, level, option, value, self.machine.now)

    def get(self, level: int, option: int, sock: Socket | None = None, length: int = 4) -> int:
        octets = socket_options.getsockopt(self.host, sock or self.socket, level, option, self.machine.now, length)
        return int.from_bytes(octets, sys.byteorder)

    def connects(self) -> Any:
        """The SYN's packet."""
        address = THEIRS if self.family == AF_INET else THEIRS_6
        with pytest.raises(BlockingIOError):
            calls.connect(self.host, self.socket, (address, 80), self.machine.now)
        (packet,) = self.machine.poll()
        return packet

    def listens(self) -> Peer:
        """A peer that is about to connect."""
        ours, theirs = (OURS, THEIRS) if self.family == AF_INET else (OURS_6, THEIRS_6)
        calls.bind(self.host, self.socket, ("", 80))
        calls.listen(self.host, self.socket, 5, self.machine.now)
        return Peer(self.machine, address=theirs, to=ours)

    def accepts(self) -> Socket:
        return calls.accept(self.host, self.socket)[0]


@pytest.mark.row("E2")
def test_ip_options_show_in_the_packets() -> None:
    bench = Bench()
    bench.set(IPPROTO_IP, numbers.IP_TTL, 7)
    bench.set(IPPROTO_IP, numbers.IP_TOS, 0xB8)
    bench.set(IPPROTO_IP, numbers.IP_MTU_DISCOVER, 0)
    packet = bench.connects()
    assert (packet.ttl, packet.traffic_class, packet.dont_fragment) == (7, 0xB8, False)
    # Changed while it is open.
    bench.set(IPPROTO_IP, numbers.IP_TTL, -1)
    bench.set(IPPROTO_IP, numbers.IP_MTU_DISCOVER, 2)
    peer = Peer(bench.machine)
    peer.answers_syn(segment_of(packet))
    calls_sent(bench, b"x")
    (packet,) = bench.machine.poll()
    assert (packet.ttl, packet.dont_fragment) == (64, True)


def calls_sent(bench: Bench, data: bytes, sock: Socket | None = None) -> None:
    assert transfer.send(bench.host, sock or bench.socket, data, 0, bench.machine.now) == len(data)


def test_ipv6_options_show_in_the_packets() -> None:
    bench = Bench(AF_INET6)
    bench.set(IPPROTO_IPV6, numbers.IPV6_UNICAST_HOPS, 9)
    bench.set(IPPROTO_IPV6, numbers.IPV6_TCLASS, 0x20)
    # Those of IPv4 are for IPv4.
    bench.set(IPPROTO_IP, numbers.IP_TTL, 7)
    packet = bench.connects()
    assert (packet.ttl, packet.traffic_class) == (9, 0x20)
    assert packet.flow_label != 0
    other = Bench(AF_INET6)
    other.set(IPPROTO_IPV6, numbers.IPV6_AUTOFLOWLABEL, 0)
    assert other.connects().flow_label == 0


def test_what_a_listener_has_its_connections_have() -> None:
    bench = Bench(AF_INET6)
    given = [
        (SOL_SOCKET, numbers.SO_KEEPALIVE, 1),
        (SOL_SOCKET, numbers.SO_REUSEADDR, 1),
        (SOL_SOCKET, numbers.SO_PRIORITY, 3),
        (SOL_SOCKET, numbers.SO_RCVLOWAT, 20),
        (SOL_SOCKET, numbers.SO_RCVBUF, 20_000),
        (IPPROTO_TCP, numbers.TCP_NODELAY, 1),
        (IPPROTO_TCP, numbers.TCP_USER_TIMEOUT, 1234),
        (IPPROTO_TCP, numbers.TCP_KEEPIDLE, 11),
        (IPPROTO_IPV6, numbers.IPV6_UNICAST_HOPS, 9),
    ]
    for level, option, value in given:
        bench.set(level, option, value)
    timeval = struct.pack("=qq", 10, 0)
    bench.set(SOL_SOCKET, numbers.SO_RCVTIMEO, timeval)
    bench.listens().opens()
    made = bench.accepts()
    for level, option, value in given:
        expected = 2 * value if option == numbers.SO_RCVBUF and level == SOL_SOCKET else value
        assert bench.get(level, option, made) == expected
    assert made.values.rcvtimeo == 10 * SECOND
    # From then on each has its own.
    for level, option in ((SOL_SOCKET, numbers.SO_PRIORITY), (IPPROTO_TCP, numbers.TCP_NODELAY)):
        bench.set(level, option, 0)
        assert bench.get(level, option, made) != 0


@pytest.mark.row("E2")
def test_receive_buffers_bound_the_window() -> None:
    bench = Bench()
    bench.set(SOL_SOCKET, numbers.SO_RCVBUF, 8000)
    assert bench.get(SOL_SOCKET, numbers.SO_RCVBUF) == 16_000
    assert segment_of(bench.connects()).wnd <= 8000
    clamped = Bench()
    clamped.set(IPPROTO_TCP, numbers.TCP_WINDOW_CLAMP, 5000)
    assert segment_of(clamped.connects()).wnd <= 5000


def test_buffers_are_bounded_by_the_host() -> None:
    bench = Bench()
    for option, forced, parameter, least in (
        (numbers.SO_RCVBUF, numbers.SO_RCVBUFFORCE, "net.core.rmem_max", 2304),
        (numbers.SO_SNDBUF, numbers.SO_SNDBUFFORCE, "net.core.wmem_max", 4608),
    ):
        bench.host.parameters.set(parameter, "10000")
        for value, expected in ((1_000_000, 20_000), (-1, 20_000), (0, least), (6000, 12_000)):
            bench.set(SOL_SOCKET, option, value)
            assert bench.get(SOL_SOCKET, option) == expected
        for value, expected in ((1_000_000, 2_000_000), (-1, least)):
            bench.set(SOL_SOCKET, forced, value)
            assert bench.get(SOL_SOCKET, option) == expected


@pytest.mark.row("E2")
def test_maxseg_is_told_and_kept() -> None:
    bench = Bench()
    bench.set(IPPROTO_TCP, numbers.TCP_MAXSEG, 500)
    packet = bench.connects()
    assert segment_of(packet).options.mss == 500
    Peer(bench.machine).answers_syn(segment_of(packet))
    calls_sent(bench, bytes(1000))
    assert {segment_of(sent).segment_size for sent in bench.machine.poll()} == {500}


@pytest.mark.row("E2")
def test_syncnt_ends_the_attempt() -> None:
    lives = []
    for retries in (0, 1, 2):
        bench = Bench()
        bench.host.parameters.set("net.ipv4.tcp_syn_linear_timeouts", "0")
        if retries:
            bench.set(IPPROTO_TCP, numbers.TCP_SYNCNT, retries)
        bench.connects()
        lives.append(len(bench.machine.goes_on(bench.machine.now + 500 * SECOND)))
    assert lives == [6, 1, 2]


@pytest.mark.row("E2")
def test_keepalive_asks_when_it_is_told_to() -> None:
    bench = Bench()
    bench.listens().opens()
    made = bench.accepts()
    bench.set(IPPROTO_TCP, numbers.TCP_KEEPIDLE, 10, made)
    bench.set(IPPROTO_TCP, numbers.TCP_KEEPINTVL, 3, made)
    bench.set(IPPROTO_TCP, numbers.TCP_KEEPCNT, 4, made)
    bench.set(SOL_SOCKET, numbers.SO_KEEPALIVE, 1, made)
    start = bench.machine.now
    assert bench.machine.goes_on(start + 10 * SECOND - 1) == []
    assert len(bench.machine.goes_on(start + 10 * SECOND)) == 1
    bench.machine.goes_on(start + 60 * SECOND)
    assert bench.get(SOL_SOCKET, numbers.SO_ERROR, made) == errno.ETIMEDOUT
    assert bench.get(SOL_SOCKET, numbers.SO_ERROR, made) == 0


@pytest.mark.row("E2")
def test_cork_and_nodelay() -> None:
    bench = Bench()
    bench.set(IPPROTO_TCP, numbers.TCP_CORK, 1)
    Peer(bench.machine).answers_syn(segment_of(bench.connects()))
    bench.machine.poll()
    calls_sent(bench, b"waits")
    assert bench.machine.poll() == []
    bench.set(IPPROTO_TCP, numbers.TCP_CORK, 0)
    assert len(bench.machine.poll()) == 1
    # Nagle: the next small one waits for the acknowledgment of that one.
    calls_sent(bench, b"waits")
    assert bench.machine.poll() == []
    bench.set(IPPROTO_TCP, numbers.TCP_NODELAY, 1)
    assert len(bench.machine.poll()) == 1


def test_who_waits_hears_of_a_setting_that_changes_what_he_waits_for() -> None:
    """As Linux: SO_SNDBUF and TCP_NOTSENT_LOWAT wake a writer, SO_RCVLOWAT a reader."""
    bench = Bench()
    Peer(bench.machine).answers_syn(segment_of(bench.connects()))
    bench.machine.poll()
    bench.host.take_changed()
    for level, option in (
        (SOL_SOCKET, numbers.SO_SNDBUF),
        (IPPROTO_TCP, numbers.TCP_NOTSENT_LOWAT),
        (SOL_SOCKET, numbers.SO_RCVLOWAT),
    ):
        bench.set(level, option, 10_000)
        assert bench.host.take_changed() == [bench.socket.connection]


def test_the_account_of_memory_knows_at_once_what_a_socket_wrote() -> None:
    bench = Bench()
    bench.set(SOL_SOCKET, numbers.SO_SNDBUF, 100_000)
    Peer(bench.machine).answers_syn(segment_of(bench.connects()))
    bench.machine.poll()
    calls_sent(bench, bytes(40_000))
    assert bench.host.transport.memory.held >= 40_000


def test_quickack_before_there_is_a_connection() -> None:
    bench = Bench()
    assert bench.get(IPPROTO_TCP, numbers.TCP_QUICKACK) == 1
    bench.set(IPPROTO_TCP, numbers.TCP_QUICKACK, 0)
    assert bench.get(IPPROTO_TCP, numbers.TCP_QUICKACK) == 0
    peer = Peer(bench.machine).answers_syn(segment_of(bench.connects()))
    assert bench.get(IPPROTO_TCP, numbers.TCP_QUICKACK) == 0
    assert peer.says(ACK, b"data") == []


def test_info_in_every_state() -> None:
    def state(sock: Socket) -> int:
        octets = socket_options.getsockopt(bench.host, sock, IPPROTO_TCP, numbers.TCP_INFO, bench.machine.now, 1000)
        return TcpInfo.unpack(octets)["tcpi_state"]

    bench = Bench()
    assert state(bench.socket) == 7
    peer = bench.listens()
    assert state(bench.socket) == 10
    peer.says(SYN)
    peer.says(ACK)
    assert state(bench.accepts()) == 1


def test_linger2_and_defer_accept_read_as_linux_rounds_them() -> None:
    bench = Bench()
    for value, expected in ((1, 1), (2, 3), (4, 7), (100, 127), (0, 0)):
        bench.set(IPPROTO_TCP, numbers.TCP_DEFER_ACCEPT, value)
        assert bench.get(IPPROTO_TCP, numbers.TCP_DEFER_ACCEPT) == expected
    for value, expected in ((5, 5), (500, 120), (0, 60)):
        bench.set(IPPROTO_TCP, numbers.TCP_LINGER2, value)
        assert bench.get(IPPROTO_TCP, numbers.TCP_LINGER2) == expected


def test_the_path_mtu_can_be_asked_for() -> None:
    bench = Bench()
    with pytest.raises(OSError) as raised:
        bench.get(IPPROTO_IP, numbers.IP_MTU)
    assert raised.value.errno == errno.ENOTCONN
    bench.connects()
    assert bench.get(IPPROTO_IP, numbers.IP_MTU) == 1500


def test_a_socket_chooses_its_loss_recovery() -> None:
    """What Linux has no option for: by name, before it connects, and of a listener for those that it accepts."""
    bench = Bench()

    def reads(sock: Socket) -> bytes:
        level, name = IPPROTO_TCP, numbers.SYNFIN_LOSS_RECOVERY
        return socket_options.getsockopt(bench.host, sock, level, name, bench.machine.now, 16).rstrip(b"\0")

    assert reads(bench.socket) == b"rack"
    bench.host.parameters.set("net.ipv4.tcp_recovery", "0")
    assert reads(bench.socket) == b"sack"
    bench.host.parameters.set("synfin.tcp_loss_recovery", "rack")
    bench.set(IPPROTO_TCP, numbers.SYNFIN_LOSS_RECOVERY, b"sack")
    for value, number in ((b"nonsense", errno.ENOENT), (b"", errno.EINVAL)):
        with pytest.raises(OSError) as caught:
            bench.set(IPPROTO_TCP, numbers.SYNFIN_LOSS_RECOVERY, value)
        assert caught.value.errno == number
    peer = bench.listens()
    peer.options = Options(mss=1460, sack_permitted=True)
    peer.says(SYN)
    peer.says(ACK)
    made = bench.accepts()
    assert peer.connection.recovery.name == "sack"
    assert reads(made) == b"sack"
    with pytest.raises(OSError) as caught:
        bench.set(IPPROTO_TCP, numbers.SYNFIN_LOSS_RECOVERY, b"rack", made)
    assert caught.value.errno == errno.EISCONN
    # A peer without SACK leaves no choice.
    other = Peer(bench.machine, port=40001)
    other.says(SYN)
    other.says(ACK)
    assert reads(bench.accepts()) == b"newreno"
