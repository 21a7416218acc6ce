"""One direction of the impaired path, in whatever time its owner keeps: random loss, a drop-tail queue in front of a
rate, then a constant delay.

What `link/impaired.py` and `link/queues` do to parsed packets, done to octets that nobody reads: 1 µs a packet instead
of 18, when 100 Mbit/s leave 80 for everything and the kernel takes 35 of them. The tests hold both to the same times.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

SECOND: Final = 1_000_000_000


class Way:
    """Packets enter with `arrive` and are to be taken from the left of `held` when their time, in nanoseconds, has
    come.

    `rate` is in bits a second, all octets of the IP packet counted; `limit` is the most packets that wait while
    another is on its way out; `delay` is in nanoseconds; `loss` a share from 0 to 1. Each packet takes one number
    from `random`, so that the nth packet of every run with one seed has one fate.
    """

    __slots__ = (
        "_delay",
        "_free_at",
        "_limit",
        "_loss",
        "_random",
        "_rate",
        "_starts",
        "arrived",
        "dropped",
        "held",
        "lost",
    )

    def __init__(self, rate: int, limit: int, delay: int, loss: float, random: Random) -> None:
        self._rate = rate
        self._limit = limit
        self._delay = delay
        self._loss = loss
        self._random = random
        #: When the last packet accepted so far has left the queue.
        self._free_at = 0
        #: When each packet that still waited at the last arrival begins to leave.
        self._starts: deque[int] = deque()
        #: Packets under way, each with the time at which it arrives at the other side.
        self.held: deque[tuple[int, bytes]] = deque()
        self.arrived = 0
        #: Packets lost at random, and those that found the queue full.
        self.lost = 0
        self.dropped = 0

    def arrive(self, packet: bytes, now: int) -> None:
        """Takes `packet` in at `now`, or loses it."""
        self.arrived += 1
        if self._random.random() < self._loss:
            self.lost += 1
            return
        start = self._free_at
        if start <= now:
            start = now
        else:
            starts = self._starts
            while starts and starts[0] <= now:
                starts.popleft()
            if len(starts) >= self._limit:
                self.dropped += 1
                return
            starts.append(start)
        self._free_at = leaves = start + len(packet) * 8 * SECOND // self._rate
        self.held.append((leaves + self._delay, packet))
