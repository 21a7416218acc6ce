"""The Linux kernel as the host under test: a network namespace of its own, a TUN device, raw packets on this side of
the device and real sockets on the other.

How a reply is told from what the kernel sends of its own accord: `KernelHost.send` is a write to the TUN device, and
Linux takes the packet all the way through TCP before that write returns (`tun_get_user` calls `netif_receive_skb`).
So a reply that belongs to the packet lies in the device when `send` returns, and `KernelHost.at_once` reads it
without any waiting. That holds as long as no other thread is inside a call on the socket concerned (its segments
would wait for that call to end). What comes later was sent by a timer: a delayed ACK (40 ms), a retransmission, a
probe. `KernelHost.until_quiet` collects those, each with the time at which it was read. `QUIET` holds the timers of
retransmission back by `tcp_rto_min_us` and switches loss probes off, so that only delayed ACKs remain within a second
(a SYN and a SYN,ACK are repeated after one).
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from synfin.link.tun import Tun, configure
from synfin.wire.errors import WireError
from synfin.wire.ip import Packet, parse_packet

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")

CLONE_NEWNET: Final = 0x40000000  # linux/sched.h

# packetdrill's defaults.
LOCAL_IPV4: Final = "192.168.0.1"
LOCAL_IPV6: Final = "fd3d:a0b:17d6::1"
REMOTE_IPV4: Final = "192.0.2.1"
REMOTE_IPV6: Final = "fd3d:fa7b:d17d::1"
MTU: Final = 1500

#: Written before the device is made, which then has no address but ours and looks for no router.
SILENCE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ipv6/conf/default/addr_gen_mode": "1",
        "ipv6/conf/default/router_solicitations": "0",
    }
)

#: No answer is held back because answers come too often, and no timer speaks soon (see above).
QUIET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ipv4/tcp_invalid_ratelimit": "0",
        "ipv4/tcp_challenge_ack_limit": str((1 << 31) - 1),
        "ipv4/icmp_ratelimit": "0",
        "ipv6/icmp/ratelimit": "0",
        "ipv4/tcp_max_tw_buckets": str(1 << 20),
        "ipv4/tcp_max_syn_backlog": str(1 << 20),
        "ipv4/tcp_no_metrics_save": "1",
        "ipv4/tcp_early_retrans": "0",
        "ipv4/tcp_rto_min_us": "30000000",
        "ipv4/tcp_comp_sack_nr": "0",
        "ipv4/ip_local_port_range": "1024 65535",
    }
)

#: include/net/tcp_states.h, under the RFC's names. TCP_NEW_SYN_RECV is never shown.
STATES: Final = (
    "",
    "ESTABLISHED",
    "SYN-SENT",
    "SYN-RECEIVED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "CLOSED",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
)

#: struct tcp_info (linux/tcp.h) up to tcpi_total_retrans.
_tcp_info = struct.Struct("=8B24I")


class TcpInfo:
    """What TCP_INFO tells of a socket: `state` under the RFC's name; times in microseconds; the rest in segments."""

    __slots__ = ("ato", "cwnd", "retransmits", "rto", "rtt", "state", "unacked")

    def __init__(self, octets: bytes) -> None:
        fields = _tcp_info.unpack_from(octets)
        self.state = STATES[fields[0]]
        self.retransmits: int = fields[2]
        self.rto: int = fields[8]
        self.ato: int = fields[9]
        self.unacked: int = fields[12]
        self.rtt: int = fields[23]
        self.cwnd: int = fields[26]


class Arrived:
    """A packet that the kernel sent, and when it was read (nanoseconds, monotonic)."""

    __slots__ = ("packet", "time")

    def __init__(self, packet: Packet, at: int) -> None:
        self.packet = packet
        self.time = at


class KernelHost:
    """The kernel of this machine, alone in a network namespace with one TUN device. A context manager.

    `sysctls` are written over `base`; names are those under ``/proc/sys/net``. `addresses` are its own, with the
    length of their prefixes; it has a route to everywhere for each version. Raises PermissionError without the
    rights of root, FileNotFoundError where the system has no TUN. Not for several threads at once. The namespace
    goes when this is closed, with all its sockets.
    """

    __slots__ = ("_executor", "_made", "link", "undecoded")

    link: Tun

    def __init__(
        self,
        sysctls: Mapping[str, str] = MappingProxyType({}),
        mtu: int = MTU,
        addresses: Sequence[str] = (f"{LOCAL_IPV4}/16", f"{LOCAL_IPV6}/64"),
        base: Mapping[str, str] = QUIET,
    ) -> None:
        if os.geteuid() != 0:
            raise PermissionError(errno.EPERM, "the kernel can be put to the test by root only")
        #: How many packets were none that can be read.
        self.undecoded = 0
        self._made: list[socket.socket] = []
        # A namespace belongs to a thread.
        self._executor = ThreadPoolExecutor(1, "kernel-host")
        try:
            self.inside(_unshare)
            self.inside(lambda: self._set_up({**base, **sysctls}, mtu, addresses))
        except BaseException:
            self._executor.shutdown()
            raise

    def __enter__(self) -> KernelHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every socket and the device; the namespace goes with its thread."""
        for each in self._made:
            each.close()
        self._made.clear()
        self.link.close()
        self._executor.shutdown()

    def inside(self, function: Callable[[], T]) -> T:
        """What `function` returns when it is called inside the namespace."""
        return self._executor.submit(function).result()

    def _set_up(self, sysctls: Mapping[str, str], mtu: int, addresses: Sequence[str]) -> None:
        for name, value in SILENCE.items():
            _write(name, value)
        for name, value in sysctls.items():
            # What this kernel does not have, it cannot do.
            if _path(name).exists():
                _write(name, value)
        self.link = Tun.open("tun0", offload=False, mtu=mtu)
        try:
            configure(self.link.name, list(addresses), mtu)
            for network in sorted({"::/0" if ":" in address else "0.0.0.0/0" for address in addresses}):
                change_route(self.link.name, network, "add")
        except BaseException:
            self.link.close()
            raise

    # --- the kernel's side

    def sysctl(self, name: str, value: str | None = None) -> str:
        """Reads a parameter, such as "ipv4/tcp_sack", after having set it to `value` if one is given."""
        return self.inside(lambda: _sysctl(name, value))

    def new_socket(self, family: int) -> socket.socket:
        """A TCP socket in the namespace, which never waits."""

        def make() -> socket.socket:
            made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            # A port serves again while what it had before is in TIME-WAIT.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return made

        made = self.inside(make)
        self._made.append(made)
        return made

    def forget(self, *sockets: socket.socket) -> None:
        """Closes sockets that were made here. Their connections are reset at once, unless they had been closed."""
        for each in sockets:
            if each.fileno() >= 0:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
                each.close()
        gone = {id(each) for each in sockets}
        self._made = [each for each in self._made if id(each) not in gone]

    def states(self) -> dict[tuple[int, int], str]:
        """The state of everything that the kernel's tables hold, by local and remote port (remote: 0 for LISTEN).

        Unlike TCP_INFO this shows requests in SYN-RECEIVED and what is in TIME-WAIT. Both IPs are read, so that
        ports should be used for one of them only.
        """
        return self.inside(_read_tables)

    def counters(self) -> dict[str, int]:
        """The counters of the namespace under the names that nstat gives them, such as "TcpExtTCPTimeouts"."""
        return self.inside(_read_counters)

    # --- this side

    def send(self, packet: Packet) -> None:
        """Hands one packet to the kernel, which has dealt with it when this returns."""
        self.link.send(packet)

    def send_octets(self, packet: bytes) -> None:
        """As `send`, for a packet that is octets already."""
        os.write(self.link.fileno(), packet)

    def receive(self) -> Arrived | None:
        """The next packet that the kernel has sent; None if there is none now."""
        while (frame := self.link.receive()) is not None:
            now = time.monotonic_ns()
            try:
                return Arrived(parse_packet(frame.data), now)
            except WireError:
                self.undecoded += 1
        return None

    def at_once(self) -> list[Arrived]:
        """All that the kernel has sent and nobody has read."""
        arrived = []
        while (each := self.receive()) is not None:
            arrived.append(each)
        return arrived

    def until_quiet(self, quiet: float, limit: float) -> list[Arrived]:
        """All that the kernel sends until it has been silent for `quiet` seconds, or until `limit` seconds are over."""
        arrived = self.at_once()
        end = time.monotonic() + limit
        while (left := min(quiet, end - time.monotonic())) > 0 and select.select([self.link], [], [], left)[0]:
            arrived += self.at_once()
        return arrived


def tcp_info(connection: socket.socket) -> TcpInfo:
    """TCP_INFO of a kernel's socket."""
    return TcpInfo(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _tcp_info.size))


# --- inside the namespace


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"no network namespace: {os.strerror(error)}")


def change_route(
    name: str,
    network: str,
    command: str = "replace",
    source: str = "",
    metrics: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Adds or replaces the route to `network` through the device `name`, in the namespace of this thread.

    `metrics` are its mtu, advmss, initcwnd. Raises ValueError for what the kernel refuses.
    """
    from pyroute2 import IPRoute, NetlinkError

    options: dict[str, object] = {"prefsrc": source} if source else {}
    if metrics:
        options["metrics"] = dict(metrics)
    family = socket.AF_INET6 if ":" in network else socket.AF_INET
    with ThreadPoolExecutor(1) as executor:  # as in `configure`

        def change() -> None:
            with IPRoute() as route:
                index = route.link_lookup(ifname=name)[0]
                try:
                    route.route(command, dst=network, oif=index, family=family, **options)
                except NetlinkError as error:
                    raise ValueError(str(error)) from None

        executor.submit(change).result()


def _path(name: str) -> Path:
    return Path("/proc/sys/net") / name


def _write(name: str, value: str) -> None:
    _path(name).write_text(value, encoding="ascii")


def _sysctl(name: str, value: str | None) -> str:
    if value is not None:
        _write(name, value)
    return _path(name).read_text(encoding="ascii").strip()


def _read_tables() -> dict[tuple[int, int], str]:
    found = {}
    for table in ("tcp", "tcp6"):
        lines = Path("/proc/thread-self/net", table).read_text(encoding="ascii").splitlines()
        for line in lines[1:]:
            fields = line.split()
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            found[local, remote] = STATES[int(fields[3], 16)]
    return found


def _read_counters() -> dict[str, int]:
    found: dict[str, int] = {}
    for table in ("snmp", "netstat"):
        lines = Path("/proc/thread-self/net", table).read_text(encoding="ascii").splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            prefix, _, rest = names.partition(":")
            numbers = map(int, values.partition(":")[2].split())
            found.update(zip((prefix + name for name in rest.split()), numbers, strict=True))
    return found


def packed(address: str) -> bytes:
    """The 4 or 16 octets of an address."""
    return ipaddress.ip_address(address).packed
