"""A connection's timers: a named enumeration, an array of deadlines, the minimum.

The order of the enumeration is the order in which timers that expire at the same moment are handled.
"""

from __future__ import annotations

from typing import Final

#: A deadline that never comes.
NEVER: Final = (1 << 63) - 1

# Before the retransmission timer, which the probe starts anew.
LOSS_PROBE: Final = 0
REORDERING: Final = 1
RETRANSMISSION: Final = 2
PERSIST: Final = 3
DELAYED_ACK: Final = 4
FIN_WAIT_2: Final = 5
KEEPALIVE: Final = 6
PACING: Final = 7
COUNT: Final = 8

NAMES: Final = (
    "loss probe",
    "reordering",
    "retransmission",
    "persist",
    "delayed ACK",
    "FIN-WAIT-2",
    "keep-alive",
    "pacing",
)

#: The shortest time for which Linux sets a timer: two ticks of its clock (nanoseconds).
TIMEOUT_MIN: Final = 8_000_000


class Timers:
    """Deadlines in nanoseconds, one for each timer, NEVER when it does not run."""

    __slots__ = ("deadlines", "earliest")

    def __init__(self) -> None:
        self.deadlines: list[int] = [NEVER] * COUNT
        #: The earliest deadline.
        self.earliest = NEVER

    def start(self, timer: int, deadline: int) -> None:
        """Sets `timer` to expire at `deadline`, whether it ran or not."""
        deadlines = self.deadlines
        previous = deadlines[timer]
        deadlines[timer] = deadline
        if deadline <= self.earliest:
            self.earliest = deadline
        elif previous == self.earliest:
            self.earliest = min(deadlines)

    def stop(self, timer: int) -> None:
        """Stops `timer`; nothing happens if it did not run."""
        deadlines = self.deadlines
        previous = deadlines[timer]
        if previous != NEVER:
            deadlines[timer] = NEVER
            if previous == self.earliest:
                self.earliest = min(deadlines)

    def running(self, timer: int) -> bool:
        return self.deadlines[timer] != NEVER

    def stop_all(self) -> None:
        self.deadlines = [NEVER] * COUNT
        self.earliest = NEVER

    def expired(self, now: int) -> int:
        """The first timer whose deadline has come, which is stopped by this call; -1 if there is none."""
        if self.earliest > now:
            return -1
        for timer, deadline in enumerate(self.deadlines):
            if deadline <= now:
                self.stop(timer)
                return timer
        return -1
