"""TCP_DEFER_ACCEPT: seconds, which Linux keeps as how many time-outs of the SYN,ACK cover them."""

from __future__ import annotations

from typing import Final

#: Seconds; Linux's TCP_RTO_MAX, whatever the parameter says.
_RTO_MAX: Final = 120


def deferral(seconds: int) -> int:
    """How many time-outs of the SYN,ACK cover so many seconds, at most 255 (TCP_DEFER_ACCEPT, as Linux counts)."""
    if seconds <= 0:
        return 0
    count = 1
    timeout = period = 1
    while seconds > period and count < 255:
        count += 1
        timeout = min(timeout * 2, _RTO_MAX)
        period += timeout
    return count


def deferral_seconds(count: int) -> int:
    """How many seconds `count` time-outs of the SYN,ACK take: what TCP_DEFER_ACCEPT reads as."""
    timeout = 1
    period = 0
    for _ in range(count):
        period += timeout
        timeout = min(timeout * 2, _RTO_MAX)
    return period
