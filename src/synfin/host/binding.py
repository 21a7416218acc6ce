"""Which local ends are taken, and who may share one: Linux's rules of bind(2), with SO_REUSEADDR and SO_REUSEPORT.

A claim is a local address (4 octets; 16 for IPv6, of which the unspecified one stands for IPv4 too unless IPV6_ONLY is
set) and flags. Sockets that are bound or listen, connections, and TIME-WAITs each hold one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# Flags of a claim.
#: The socket has SO_REUSEADDR.
REUSE_ADDRESS: Final = 1
#: The socket has SO_REUSEPORT.
REUSE_PORT: Final = 2
#: An IPv6 socket that takes no IPv4 (IPV6_V6ONLY, or one bound to an IPv6 address).
IPV6_ONLY: Final = 4
#: A listener.
LISTENING: Final = 8
#: connect chose the port, so that another connect may choose it too.
BY_CONNECT: Final = 16

ANY_IPV4: Final = bytes(4)
ANY_IPV6: Final = bytes(16)

Claim = tuple[bytes, int]


def overlap(address: bytes, flags: int, other: bytes, other_flags: int) -> bool:
    """Whether a packet could be meant for both of two claims on one port."""
    if len(address) == len(other):
        return address == other or not any(address) or not any(other)
    if len(address) == 4:
        # A connection over IPv6 that an IPv6 socket for both made: Linux holds it against 0.0.0.0 as well.
        return not other_flags & IPV6_ONLY and (other == ANY_IPV6 or address == ANY_IPV4)
    return address == ANY_IPV6 and not flags & IPV6_ONLY


def exclude(flags: int, other_flags: int, relaxed: bool, sharing: bool) -> bool:
    """Whether two claims that overlap cannot stand together.

    `relaxed`: SO_REUSEADDR on both is enough, unless the other listens. `sharing`: SO_REUSEPORT on both is enough.
    An explicit port is judged with both; one that the host chooses with neither, so that it really is free.
    """
    both = flags & other_flags
    if both & REUSE_ADDRESS and not other_flags & LISTENING:
        return not relaxed or (not sharing and bool(both & REUSE_PORT))
    return not (sharing and both & REUSE_PORT)


class Bindings:
    """The claims on each port of a host, equal ones counted."""

    __slots__ = ("_ports",)

    def __init__(self) -> None:
        self._ports: dict[int, dict[Claim, int]] = {}

    def __len__(self) -> int:
        """How many claims there are."""
        return sum(sum(claims.values()) for claims in self._ports.values())

    def claims(self, port: int) -> Iterator[Claim]:
        """The claims on `port`, equal ones once."""
        return iter(self._ports.get(port, ()))

    def add(self, port: int, address: bytes, flags: int) -> None:
        claims = self._ports.setdefault(port, {})
        claims[address, flags] = claims.get((address, flags), 0) + 1

    def remove(self, port: int, address: bytes, flags: int) -> None:
        """Takes one such claim back. Raises KeyError if there is none."""
        claims = self._ports[port]
        count = claims[address, flags] - 1
        if count:
            claims[address, flags] = count
            return
        del claims[address, flags]
        if not claims:
            del self._ports[port]

    def conflict(self, port: int, address: bytes, flags: int, relaxed: bool = True, sharing: bool = True) -> bool:
        """Whether a socket with `flags` may not be bound to `address` and `port`, so that bind is EADDRINUSE."""
        return any(
            overlap(address, flags, other, other_flags) and exclude(flags, other_flags, relaxed, sharing)
            for other, other_flags in self._ports.get(port, ())
        )

    def may_connect_choose(self, port: int) -> bool:
        """Whether connect may choose `port`: nobody asked for it, other connects at most were given it."""
        return all(flags & BY_CONNECT for _, flags in self._ports.get(port, ()))


def reserved_ports(text: str) -> list[tuple[int, int]]:
    """The ranges that ``ip_local_reserved_ports`` writes, such as ``8080,9000-9010``. Raises ValueError if it is no
    list of ports."""
    ranges = []
    for word in text.split(","):
        if not word.strip():
            continue
        first, dash, last = word.partition("-")
        low, high = int(first), int(last if dash else first)
        if not 0 <= low <= high <= 65535:
            raise ValueError(f"{word.strip()} is no port or range of ports")
        ranges.append((low, high))
    return ranges
