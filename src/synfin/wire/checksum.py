"""The Internet checksum (RFC 1071): a sum in ones' complement arithmetic of 16-bit big-endian words.

Such a sum is the number modulo 65535, so Python's own long integers do the work: 65536 is 1 modulo 65535,
hence a string of octets read as one number has the same remainder as the sum of its words.

Zero has two forms there. A sum is 0 only if every word is 0; otherwise a remainder of 0 stands for 0xffff.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview


def ones_complement_sum(data: Buffer) -> int:
    """Return the folded 16-bit sum of `data`; an odd last octet counts as if a zero octet followed (RFC 1071 §1)."""
    number = int.from_bytes(data, "big")
    if not number:
        return 0
    remainder = number % 65535
    if len(data) & 1:
        remainder = (remainder << 8) % 65535
    return remainder or 65535


def sum_of_pieces(pieces: Iterable[Buffer]) -> int:
    """Return the folded 16-bit sum of the pieces as if they were joined."""
    total = 0
    odd = False
    for piece in pieces:
        part = ones_complement_sum(piece)
        # RFC 1071 §2 (B): what starts at an odd octet adds its sum with the octets exchanged.
        total += part << 8 if odd else part
        if len(piece) & 1:
            odd = not odd
    return partial(total)


def pseudo_header_sum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """Return the sum, not folded, of the pseudo-header of RFC 9293 §3.1 (IPv4) or RFC 8200 §8.1 (IPv6).

    `length` is the length in octets of the upper layer's header and data.
    """
    return int.from_bytes(source, "big") + int.from_bytes(destination, "big") + protocol + length


def partial(total: int) -> int:
    """Fold `total` to 16 bits without complementing it.

    With a pseudo-header's sum this is what stands in the checksum field when the device completes the checksum.
    """
    if not total:
        return 0
    return total % 65535 or 65535


def finish(total: int) -> int:
    """Fold and complement `total`: the value of the checksum field."""
    return 65535 - partial(total)


def is_valid(total: int) -> bool:
    """Tell whether `total`, the sum of everything with the checksum field in it, is that of intact octets."""
    return total % 65535 == 0 and total != 0
