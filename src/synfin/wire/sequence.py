"""Sequence numbers: 32 bits on the wire, unbounded inside (RFC 9293 §3.4).

Inside the core a sequence number never wraps: it is unwrapped at the door, next to a number known already, and
wrapped again on the way out. So numbers compare with ``<`` and subtract to lengths, and a record sorted by them
stays sorted for as long as the connection lives.
"""

from __future__ import annotations

from typing import Final

MODULUS: Final = 1 << 32
MASK: Final = MODULUS - 1
HALF: Final = 1 << 31


def wrap(number: int) -> int:
    """The 32 bits of `number` that go on the wire."""
    return number & MASK


def unwrap(number: int, near: int) -> int:
    """The number that has the 32 bits of `number` and lies within 2³¹ of `near`."""
    return near + ((number - near + HALF) & MASK) - HALF


def before(a: int, b: int) -> bool:
    """Whether the 32-bit value `a` comes before `b` in the circle of numbers (RFC 7323 §5.2, for timestamps)."""
    return ((b - a) & MASK) - 1 < HALF - 1 and a != b
