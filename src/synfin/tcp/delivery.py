"""What one acknowledgment tells about what was sent: the octets that it delivered, and when these had left."""

from __future__ import annotations

#: No number and no time.
NONE = -1


class Delivery:
    """What an acknowledgment delivered. Times in nanoseconds, -1 for none.

    `octets` arrived at the peer as far as we learn now, `segments` whole segments with them. `rtt` is the round trip
    that it measures. `rtt_from`: when the oldest of them was sent, unless Karn's rule forbids a measurement (RFC 6298
    §3); `resent_at` is then when the oldest of those sent more than once was last sent.
    """

    __slots__ = ("octets", "resent_at", "rtt", "rtt_from", "segments")

    def __init__(self) -> None:
        self.octets = 0
        self.segments = 0
        self.rtt = NONE
        self.rtt_from = NONE
        self.resent_at = NONE
