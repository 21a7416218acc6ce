"""What routers reported of the MTU towards other hosts (RFC 1191 §6.2, RFC 8201 §5.3), and who minds it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from synfin.host.parameters import Parameters
from synfin.tcp.parameters import SECOND
from synfin.tcp.settings import PMTUDISC_DO, PMTUDISC_DONT, PMTUDISC_WANT
from synfin.tcp.timers import NEVER

#: Destinations remembered at most; the oldest report makes room.
CAPACITY: Final = 1024
#: RFC 8200 §5: every link carries this.
LEAST_IPV6: Final = 1280
#: RFC 1191 §7.1: where a router does not say how much it would take, the next of these below what was sent.
PLATEAUS: Final = (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)

_HEADER: Final = 20


class PathMtus:
    """The MTU of paths, in octets, as far as it is known to be less than that of the first link."""

    __slots__ = ("_known", "parameters")

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters if parameters is not None else Parameters()
        # By destination: the MTU, until when, and whether it is `min_pmtu` instead of less. The oldest first.
        self._known: OrderedDict[bytes, tuple[int, int, bool]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, destination: bytes, first_link: int, now: int) -> int:
        """The MTU towards `destination`, whose first link has the MTU `first_link`."""
        known = self._known.get(destination)
        if known is None or known[1] <= now:
            return first_link
        return min(known[0], first_link)

    def dont_fragment(self, destination: bytes, mtu_discover: int, now: int) -> bool:
        """Whether packets to `destination` bear DF, under a connection's IP_MTU_DISCOVER. IPv6 ones always do."""
        if len(destination) == 16 or mtu_discover == PMTUDISC_DO:
            return True
        if mtu_discover != PMTUDISC_WANT:
            return False
        # As Linux: where the path takes less than we care to send, its routers may fragment.
        known = self._known.get(destination)
        return known is None or known[1] <= now or not known[2]

    def mtu_discover(self, wanted: int = -1) -> int:
        """The IP_MTU_DISCOVER of a new connection whose user set `wanted`, -1 for nothing."""
        if wanted >= 0:
            return wanted
        return PMTUDISC_DONT if self.parameters.ip_no_pmtu_disc else PMTUDISC_WANT

    def report(self, destination: bytes, reported: int, first_link: int, now: int, quoted: int = 0) -> int:
        """A router reported the MTU of its next hop; 0 if it did not say. Returns what is believed from now on.

        `quoted`: the length of the packet that was too big, as the report quotes it, 0 if not known. A report that
        would make the MTU grow is not believed.
        """
        current = self.get(destination, first_link, now)
        if len(destination) == 4:
            return self._report_ipv4(destination, reported, current, now, quoted)
        if LEAST_IPV6 <= reported < current:
            self._learn(destination, reported, now + self.parameters.ipv6_mtu_expires * SECOND)
            return reported
        # RFC 8201 §4: a report of less than every link carries is dropped.
        return current

    def _report_ipv4(self, destination: bytes, reported: int, current: int, now: int, quoted: int) -> int:
        least = self.parameters.min_pmtu
        if self.parameters.ip_no_pmtu_disc == 1:
            reported = 1
        elif reported == 0:
            # RFC 1191 §5: below the packet that was too big, which need not be the largest that we send now. Some
            # routers add the header's length to it; what was still larger was sent before an earlier report.
            sent = quoted if quoted <= current else quoted - _HEADER
            if sent > current:
                return current
            sent = sent or current
            reported = next(plateau for plateau in (*PLATEAUS, 1) if plateau < sent)
        believed = max(reported, min(least, current))
        locked = reported < least
        if believed > current or (believed == current and not locked):
            return current
        self._learn(destination, believed, now + self.parameters.mtu_expires * SECOND, locked)
        return believed

    def _learn(self, destination: bytes, mtu: int, expiry: int, locked: bool = False) -> None:
        self._known[destination] = (mtu, expiry, locked)
        self._known.move_to_end(destination)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)

    def forget(self, destination: bytes) -> None:
        """Nothing is known of the path to `destination` any more."""
        self._known.pop(destination, None)

    def destinations(self) -> list[bytes]:
        """Of which something is known."""
        return list(self._known)

    # --- time

    def next_deadline(self) -> int:
        """When the oldest report stops being believed (nanoseconds); NEVER if there is none."""
        for _, expiry, _ in self._known.values():
            return expiry
        return NEVER

    def deadline_reached(self, now: int) -> dict[bytes, int]:
        """Forgets reports that are no more believed. Returns what each destination's MTU was."""
        expired: dict[bytes, int] = {}
        while self.next_deadline() <= now:
            destination, (mtu, _, _) = self._known.popitem(last=False)
            expired[destination] = mtu
        return expired
