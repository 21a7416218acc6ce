"""How often a host answers, and reports, by ICMP (RFC 1122 §3.2.2, RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f))."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from synfin.host.counters import Counters
from synfin.host.icmp_errors import RateLimit
from synfin.host.parameters import Parameters
from synfin.tcp.parameters import MILLISECOND

#: Destinations of which it is remembered how much they were sent; the one sent to longest ago makes room.
CAPACITY: Final = 1024
#: Errors to one destination that may follow each other at once, as Linux has it.
BURST: Final = 6


class IcmpLimits:
    """Counts the errors that a host sends, in all and to each destination.

    An error quotes what it is about, so it is larger by an IP and an ICMP header: 28 octets, or 48 of IPv6, and never
    above 576, or 1280. A packet of no more than its header, of 20 or 40 octets, thus gets at most 2.4 times as much
    back; longer ones, less. These limits bound the sum.
    """

    __slots__ = ("_all", "_counters", "_parameters", "_sent")

    def __init__(self, parameters: Parameters, counters: Counters) -> None:
        self._parameters = parameters
        self._counters = counters
        self._all = RateLimit(parameters.icmp_msgs_per_sec, parameters.icmp_msgs_burst)
        # By destination: nanoseconds saved up, and when that was.
        self._sent: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent)

    def allow(self, destination: bytes, now: int) -> bool:
        """Whether an error may be sent to `destination` at `now` (nanoseconds); if so, it counts as sent."""
        parameters = self._parameters
        version_4 = len(destination) == 4
        prefix = "Icmp" if version_4 else "Icmp6"
        interval = (parameters.icmp_ratelimit if version_4 else parameters.ipv6_ratelimit) * MILLISECOND
        most = BURST * interval
        saved, updated = self._sent.get(destination, (most, now))
        saved = min(saved + now - updated, most)
        # Its own share first: who has used that up takes nothing from the others.
        if saved < interval:
            self._counters.add(prefix + "OutRateLimitHost")
            return False
        self._all.rate = parameters.icmp_msgs_per_sec
        self._all.burst = parameters.icmp_msgs_burst
        if not self._all.allows(now):
            self._counters.add("IcmpOutRateLimitGlobal")
            return False
        if interval:
            self._sent[destination] = (saved - interval, now)
            self._sent.move_to_end(destination)
            if len(self._sent) > CAPACITY:
                self._sent.popitem(last=False)
        return True
