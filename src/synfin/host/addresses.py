"""IP addresses as octets, 4 or 16 of them, and the kinds that RFC 9293 §3.9.2.3 tells apart."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

WILDCARD: Final = b""
_UNSPECIFIED: Final = (bytes(4), bytes(16))
BROADCAST: Final = b"\xff\xff\xff\xff"
LOOPBACK_IPV4: Final = b"\x7f\0\0\1"
LOOPBACK_IPV6: Final = bytes(15) + b"\1"


@lru_cache(maxsize=1024)
def packed(text: str) -> bytes:
    """The octets of an address written as text. Raises ValueError if it is none, or bears a scope (RFC 4007), of
    which a host here has none."""
    if "%" in text:
        raise ValueError(f"{text} bears a scope, and hosts here have none")
    return ip_address(text).packed


@lru_cache(maxsize=1024)
def text(address: bytes) -> str:
    """An address as people write it; ``*`` for the wildcard."""
    if not address:
        return "*"
    return str(IPv4Address(address) if len(address) == 4 else IPv6Address(address))


def is_unspecified(address: bytes) -> bool:
    return address in _UNSPECIFIED


def is_loopback(address: bytes) -> bool:
    return address[0] == 127 if len(address) == 4 else address == LOOPBACK_IPV6


def is_multicast(address: bytes) -> bool:
    return 224 <= address[0] <= 239 if len(address) == 4 else address[0] == 0xFF


def is_unicast(address: bytes) -> bool:
    """Whether a host may have this address, and be spoken to by it."""
    return not (is_unspecified(address) or is_multicast(address) or address == BROADCAST)


class Network:
    """A prefix: the first `length` bits of `address`."""

    __slots__ = ("_bits", "_shift", "address", "length")

    def __init__(self, address: bytes, length: int) -> None:
        bits = len(address) * 8
        if not 0 <= length <= bits:
            raise ValueError(f"a prefix of {length} bits does not fit an address of {bits}")
        self.address = address
        self.length = length
        self._shift = bits - length
        self._bits = int.from_bytes(address, "big") >> self._shift

    def contains(self, address: bytes) -> bool:
        return len(address) == len(self.address) and int.from_bytes(address, "big") >> self._shift == self._bits

    def is_broadcast(self, address: bytes) -> bool:
        """Whether `address` is the broadcast address of this IPv4 network."""
        if len(address) != 4 or self.length > 30 or not self.contains(address):
            return False
        mask = (1 << self._shift) - 1
        return int.from_bytes(address, "big") & mask == mask

    def __str__(self) -> str:
        return f"{text(self.address)}/{self.length}"
