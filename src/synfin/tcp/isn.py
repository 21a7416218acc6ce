"""Numbers that an outsider cannot guess: initial sequence numbers and the offsets of timestamps (RFC 6528)."""

from __future__ import annotations

from hashlib import blake2s

from synfin.tcp.identity import Identity
from synfin.wire.sequence import MASK

#: RFC 9293 §3.4.1 (MUST-8): the clock behind initial numbers ticks about every 4 microseconds.
TICK = 4_000


class InitialSequenceNumbers:
    """ISN = M + F(local address, local port, remote address, remote port, secret) of RFC 6528 §3.

    F is BLAKE2s under `secret` (16 octets or more), which is given to the host when it is made.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError(f"a secret of {len(secret)} octets is too short; 16 or more are needed")
        self._secret = secret[:32]

    def _hash(self, purpose: bytes, flow: bytes) -> int:
        return int.from_bytes(blake2s(flow, digest_size=4, key=self._secret, person=purpose).digest(), "big")

    def iss(self, identity: Identity, now: int) -> int:
        """The initial send sequence number of a connection opened at time `now` (nanoseconds)."""
        return (now // TICK + self._hash(b"isn", identity.flow)) & MASK

    def flow_label(self, flow: bytes) -> int:
        """32 bits for the flow label of packets of `flow` (RFC 6437 §3)."""
        return self._hash(b"label", flow)

    def timestamp_offset(self, identity: Identity, tcp_timestamps: int = 1) -> int:
        """What is added to the timestamp clock of this four-tuple (RFC 7323 §5.4); 0 if `tcp_timestamps` is 2.

        It stays the same from one connection to the next, so that the rules of RFC 6191 for TIME-WAIT hold. Nobody
        learns from one four-tuple what the clock of another shows, nor how long the host has run.
        """
        return self._hash(b"tsoffset", identity.flow) if tcp_timestamps != 2 else 0
