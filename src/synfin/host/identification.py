"""The identification of packets that may be fragmented (RFC 6864 §4, RFC 7739 §5.3)."""

from __future__ import annotations

from hashlib import blake2s
from typing import Final

#: Counters that all destinations share.
TABLE_LENGTH: Final = 2048


class Identifications:
    """Numbers that an outsider cannot guess, and that do not come again soon.

    For each source, destination and protocol they count up from where only the secret knows. Many destinations share
    one counter, so that the table does not grow; that skips numbers and repeats none.
    """

    __slots__ = ("_counters", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:32]
        self._counters = [0] * TABLE_LENGTH

    def take(self, source: bytes, destination: bytes, protocol: int, count: int = 1) -> int:
        """The first of `count` numbers in a row: 16 bits for IPv4, 32 for IPv6."""
        whose = source + destination + bytes((protocol,))
        digest = blake2s(whose, digest_size=8, key=self._secret, person=b"ip-ident").digest()
        index = int.from_bytes(digest[4:], "big") % TABLE_LENGTH
        number = int.from_bytes(digest[:4], "big") + self._counters[index]
        self._counters[index] += count
        return number & (0xFFFF if len(source) == 4 else 0xFFFFFFFF)
