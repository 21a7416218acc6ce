"""Network namespaces without a name, which go with the last process that is in them or holds their descriptor."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from synfin.link.tun import Tun

CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
NET: Final = Path("/proc/sys/net")
MTU: Final = 1500
#: Packets that wait in a TUN device until its reader comes; none may be lost there.
DEVICE_QUEUE: Final = 2000

#: Octets of the buffers of both: least, default, most.
RMEM: Final = "4096 131072 6291456"
WMEM: Final = "4096 16384 4194304"
#: Buffers as large as synfin's, whatever this machine's kernel has; no ECN; nothing remembered, nothing but IPv4.
SYSCTLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ipv4/tcp_rmem": RMEM,
        "ipv4/tcp_wmem": WMEM,
        "ipv4/tcp_window_scaling": "1",
        "ipv4/tcp_timestamps": "1",
        "ipv4/tcp_sack": "1",
        "ipv4/tcp_ecn": "0",
        "ipv4/tcp_no_metrics_save": "1",
        "ipv4/ip_forward": "1",
        "ipv4/conf/all/rp_filter": "0",
        "ipv4/conf/default/rp_filter": "0",
        "ipv6/conf/all/disable_ipv6": "1",
        "ipv6/conf/default/disable_ipv6": "1",
    }
)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def new_namespace() -> int:
    """A descriptor of a new network namespace with `SYSCTLS`. Raises PermissionError without the right to make one."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            for name, value in SYSCTLS.items():
                # A kernel without IPv6 has nothing to switch off.
                if (NET / name).exists():
                    (NET / name).write_text(value)
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        finally:
            enter(own)
    finally:
        os.close(own)


def enter(namespace: int) -> None:
    """Moves this thread, and what it starts from now on, into the namespace."""
    _check(_libc.setns(namespace, CLONE_NEWNET))


def open_tun(name: str, address: str, *, default_route: bool) -> Tun:
    """A plain TUN device in this thread's namespace: no offload, so the kernel cuts all packets to the MTU itself and
    joins none. `address` is that of the kernel's side."""
    tun = Tun.open(name, offload=False, mtu=MTU)
    _ip("address", "add", address, "dev", name)
    _ip("link", "set", name, "mtu", str(MTU), "txqueuelen", str(DEVICE_QUEUE), "up")
    if default_route:
        _ip("route", "add", "default", "dev", name)
    return tun


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def device_drops() -> int:
    """Packets that the devices of this thread's namespace have dropped, in whichever direction."""
    drops = 0
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]:
        _, _, counters = line.partition(":")
        numbers = [int(word) for word in counters.split()]
        # Documentation/networking/statistics.rst: dropped is the fourth of receiving and of sending.
        drops += numbers[3] + numbers[11]
    return drops
