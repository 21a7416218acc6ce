"""The kernel's side of a network device, looked at without any right: does it exist, is it up, MTU, addresses."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from typing import Final

from synfin.link.tun import IFF_TUN, INTERFACE_REQUEST, TUNGETIFF, Interface

# linux/sockios.h, linux/if.h
SIOCGIFFLAGS: Final = 0x8913
SIOCGIFMTU: Final = 0x8921
IFF_UP: Final = 0x1
INTERFACE_MTU: Final = struct.Struct("16si20x")


def exists(name: str) -> bool:
    """Whether this network namespace has a device called `name`."""
    return any(existing == name for _, existing in socket.if_nameindex())


def mtu(name: str) -> int:
    """The MTU of the device called `name`, in octets. Raises OSError, with ENODEV if there is none."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, SIOCGIFMTU, INTERFACE_MTU.pack(name.encode(), 0))
    value: int = INTERFACE_MTU.unpack(answer)[1]
    return value


def is_up(name: str) -> bool:
    """Whether the device called `name` is up. Raises OSError, with ENODEV if there is none."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, SIOCGIFFLAGS, INTERFACE_REQUEST.pack(name.encode(), 0))
    return bool(INTERFACE_REQUEST.unpack(answer)[1] & IFF_UP)


def addresses(name: str) -> list[Interface]:
    """The kernel's addresses on the device called `name`; none if there is no such device.

    Waits for the kernel (0.1 s, mostly imports); may be called while an event loop runs.
    """
    from concurrent.futures import ThreadPoolExecutor

    # pyroute2 runs an event loop of its own, which cannot be done where one is running already.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_addresses, name).result()


def _addresses(name: str) -> list[Interface]:
    from pyroute2 import IPRoute

    with IPRoute() as route:
        indices = route.link_lookup(ifname=name)
        if not indices:
            return []
        found = []
        for message in route.get_addr(index=indices[0]):
            # On a point-to-point device IFA_ADDRESS is the peer's.
            address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            found.append(ipaddress.ip_interface(f"{address}/{message['prefixlen']}"))
        return found


def tun_flags(fd: int) -> int | None:
    """The flags (IFF_...) of the TUN device that the descriptor is attached to; None if it is not one.

    Raises OSError with EBADF if the descriptor is not open.
    """
    import fcntl

    os.fstat(fd)
    try:
        answer = fcntl.ioctl(fd, TUNGETIFF, bytes(INTERFACE_REQUEST.size))
    except OSError:
        return None
    flags: int = INTERFACE_REQUEST.unpack(answer)[1]
    return flags if flags & IFF_TUN else None
