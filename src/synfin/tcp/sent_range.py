"""A range of octets that were sent together, and what became of it."""

from __future__ import annotations

from typing import Final

OUTSTANDING: Final = 0
SACKED: Final = 1
LOST: Final = 2

# Of what is outstanding.
ONCE: Final = 0
AGAIN: Final = 1
NEEDLESSLY: Final = 2


class SentRange:
    """The octets `start` to `end`, sent in segments of `segment_size` octets of payload.

    `sent_at`: when they were last sent (ns), in the transmission of that `serial` number, for several may leave at one
    time. `transmissions`: how often. `delivered`: how many octets the peer had acknowledged in all when they were last
    sent. `again`: whether they are in flight because they were sent again (`AGAIN`), which a probe does not count for,
    and perhaps for nothing (`NEEDLESSLY`).
    """

    __slots__ = ("again", "delivered", "end", "fate", "segment_size", "sent_at", "serial", "start", "transmissions")

    def __init__(self, start: int, end: int, segment_size: int, sent_at: int, delivered: int, serial: int) -> None:
        self.start = start
        self.end = end
        self.segment_size = segment_size
        self.sent_at = sent_at
        self.serial = serial
        self.transmissions = 1
        self.delivered = delivered
        self.fate = OUTSTANDING
        self.again = ONCE

    def __repr__(self) -> str:
        fate = ("outstanding", "sacked", "lost")[self.fate]
        return f"SentRange({self.start}:{self.end} ×{self.transmissions} {fate})"


def segments(octets: int, size: int) -> int:
    """How many segments of `size` octets so many octets are; 0 stands for a SYN or FIN alone."""
    return -(-octets // size) if 0 < size < octets else 1
