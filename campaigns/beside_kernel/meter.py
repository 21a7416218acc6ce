"""Octets delivered to an application between a mark and an end."""

from __future__ import annotations

from typing import Final

SECOND: Final = 1_000_000_000


class Meter:
    """Counts what arrives in `seconds` that begin `warm_up` seconds after the first octet. Times are nanoseconds of
    the caller's clock."""

    __slots__ = ("_mark", "_seconds", "_warm_up", "end", "lasts", "octets")

    def __init__(self, warm_up: float, seconds: float) -> None:
        self._warm_up = round(warm_up * SECOND)
        self._seconds = round(seconds * SECOND)
        #: Seconds from the first octet to the end.
        self.lasts = warm_up + seconds
        self._mark = 0
        #: When it is over; None before anything arrived.
        self.end: int | None = None
        #: Octets between the mark and the end.
        self.octets = 0

    def arrived(self, octets: int, now: int) -> None:
        """So many octets were read at `now`."""
        if self.end is None:
            self._mark = now + self._warm_up
            self.end = self._mark + self._seconds
        if self._mark <= now < self.end:
            self.octets += octets
