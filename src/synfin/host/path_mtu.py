"""What routers reported of the MTU towards other hosts (RFC 1191 §6.2, RFC 8201 §5.3)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from synfin.tcp.parameters import SECOND

#: Linux's route.mtu_expires: a report is believed for ten minutes, then larger packets are tried again.
LIFE: Final = 600 * SECOND
#: Destinations remembered at most; the oldest report makes room.
CAPACITY: Final = 1024
#: Linux's route.min_pmtu: a router that reports less is not believed that far, octets.
LEAST_IPV4: Final = 552
#: RFC 8200 §5: every link carries this.
LEAST_IPV6: Final = 1280
#: RFC 1191 §7.1: where a router does not say how much it would take, the next of these below what was sent.
PLATEAUS: Final = (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)


class PathMtus:
    """The MTU of paths, in octets, as far as it is known to be less than that of the first link."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, destination: bytes, first_link: int, now: int) -> int:
        """The MTU towards `destination`, whose first link has the MTU `first_link`."""
        known = self._known.get(destination)
        if known is None:
            return first_link
        mtu, expiry = known
        if expiry <= now:
            del self._known[destination]
            return first_link
        return min(mtu, first_link)

    def forget(self, destination: bytes) -> None:
        """Believes nothing more of what was reported for `destination`."""
        self._known.pop(destination, None)

    def report(self, destination: bytes, reported: int, first_link: int, now: int) -> int:
        """A router reported the MTU of its next hop; 0 if it did not say. Returns what is believed from now on.

        A report that would make the MTU grow is not believed.
        """
        current = self.get(destination, first_link, now)
        if len(destination) == 4:
            if reported == 0:
                reported = next(plateau for plateau in (*PLATEAUS, 0) if plateau < current)
            reported = max(reported, LEAST_IPV4)
        elif reported < LEAST_IPV6:
            # RFC 8201 §4: such a report is dropped.
            return current
        if reported >= current:
            return current
        self._known[destination] = (reported, now + LIFE)
        self._known.move_to_end(destination)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)
        return reported
