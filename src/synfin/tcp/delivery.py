"""What one acknowledgment tells about what was sent: the octets that it delivered, and when these had left."""

from __future__ import annotations

from collections import deque
from typing import Final

#: No time, and no number.
NONE: Final = -1


class Delivery:
    """What an acknowledgment delivered, cumulatively and by SACK blocks. Times in nanoseconds, -1 for none.

    `octets` arrived at the peer as far as we learn now, `segments` whole segments with them; `sacked` of the octets are
    known by SACK alone. `advanced`: by how much SND.UNA went on. `duplicate`: it was a duplicate acknowledgment
    (RFC 5681 §2); `duplicated`: the block of a D-SACK (RFC 2883), or None. `echo`: it carried ECE. `ts_ecr`: TSecr.

    `rtt` is the round trip that it measures. It comes from `rtt_from`, when the oldest of the octets acknowledged was
    sent, unless Karn's rule forbids it (RFC 6298 §3); `resent_at` is then when the oldest of those sent more than once
    was last sent. `sack_rtt_from`: the same for what was sacked.

    For RACK (RFC 8985 §6.2): of the octets delivered that left last, `latest_sent_at`, the number of the transmission
    `latest_serial`, their end `latest_end`, whether they were sent `latest_again`, and how much had been delivered
    then, `latest_delivered`; `once_sent_at`, `once_serial` and `once_end`, the same of what was sent once.
    `original_end`: the least end of what arrived without ever being sent again. `reordered_from`: the lowest number of
    such that lies below what had been delivered before.
    """

    __slots__ = (
        "advanced",
        "duplicate",
        "duplicated",
        "echo",
        "latest_again",
        "latest_delivered",
        "latest_end",
        "latest_sent_at",
        "latest_serial",
        "octets",
        "once_end",
        "once_sent_at",
        "once_serial",
        "original_end",
        "reordered_from",
        "resent_at",
        "rtt",
        "rtt_from",
        "sack_rtt_from",
        "sacked",
        "segments",
        "ts_ecr",
    )

    def __init__(self) -> None:
        self.octets = 0
        self.segments = 0
        self.sacked = 0
        self.advanced = 0
        self.duplicate = False
        self.duplicated: tuple[int, int] | None = None
        self.echo = False
        self.ts_ecr = NONE
        self.rtt = NONE
        self.rtt_from = NONE
        self.resent_at = NONE
        self.sack_rtt_from = NONE
        self.latest_sent_at = NONE
        self.latest_serial = NONE
        self.latest_end = NONE
        self.latest_again = False
        self.latest_delivered = NONE
        self.once_sent_at = NONE
        self.once_serial = NONE
        self.once_end = NONE
        self.original_end = NONE
        self.reordered_from = NONE


class DeliveryRate:
    """What `synfin.tcp.delivery_rate` remembers. Times in nanoseconds.

    The sample that the last acknowledgment gave: `octets` delivered in `interval` (-1: it gave none), by a sender whom
    its user `limited` or not. `app_limited`: until so many octets are delivered in all, the user limits (0: does not).
    `epochs`: for each amount delivered at which something was sent, when that amount was reached, when the first of
    what was in flight had left, and from which number on the user limited (-1: did not); None while nothing is in
    flight. The `shown` ones are for TCP_INFO.
    """

    __slots__ = (
        "app_limited",
        "epochs",
        "first_sent_at",
        "interval",
        "limited",
        "octets",
        "segments",
        "shown_interval",
        "shown_limited",
        "shown_octets",
    )

    def __init__(self) -> None:
        self.app_limited = 0
        self.epochs: deque[tuple[int, int, int, int]] | None = None
        self.first_sent_at = NONE
        self.octets = 0
        self.interval = NONE
        self.limited = False
        self.segments = 0
        self.shown_octets = 0
        self.shown_interval = 0
        self.shown_limited = False
