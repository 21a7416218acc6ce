"""Ephemeral ports that an outsider cannot guess (RFC 6056 §3.3.4, double-hash port selection)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2s

#: RFC 6056 §3.3.4: the size of the table of counters.
TABLE_LENGTH = 256


class EphemeralPorts:
    """Chooses local ports towards each destination in an order of its own, which only the secret tells."""

    __slots__ = ("_secret", "_table")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:32]
        self._table = [0] * TABLE_LENGTH

    def _hash(self, purpose: bytes, destination: bytes) -> int:
        return int.from_bytes(blake2s(destination, digest_size=4, key=self._secret, person=purpose).digest(), "big")

    def spread(self, flow: bytes, count: int) -> int:
        """One of `count` that share a port: always the same for a flow, which only the secret tells."""
        return self._hash(b"reuseprt", flow) * count >> 32

    def candidates(self, destination: bytes, first: int, last: int) -> Iterator[int]:
        """Every port from `first` to `last` once, in the order to try for this destination.

        `destination` is the local address, the remote address and the remote port, in octets.
        """
        count = last - first + 1
        offset = self._hash(b"offset", destination)
        index = self._hash(b"index", destination) % TABLE_LENGTH
        for _ in range(count):
            port = first + (offset + self._table[index]) % count
            self._table[index] += 1
            yield port

    def choose(self, destination: bytes, first: int, last: int, free: Callable[[int], bool]) -> int:
        """The first candidate that is `free`; -1 if none is."""
        for port in self.candidates(destination, first, last):
            if free(port):
                return port
        return -1
