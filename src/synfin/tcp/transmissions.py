"""In which order ranges left: what RACK reads (RFC 8985 §6.2)."""

from __future__ import annotations

from typing import TypeAlias

#: (time in nanoseconds, serial number, start, end)
Transmission: TypeAlias = tuple[int, int, int, int]


class Transmissions:
    """Transmissions, the oldest first: from the index `first` of `order` on. Some may be of no interest any more.

    Each has a serial number, as several may leave at one time; `serial` is that of the last one.
    """

    __slots__ = ("first", "order", "serial")

    def __init__(self) -> None:
        self.order: list[Transmission] = []
        self.first = 0
        self.serial = 0

    def add(self, now: int, start: int, end: int) -> int:
        """The octets `start` to `end` leave. Returns the serial number."""
        self.serial += 1
        self.order.append((now, self.serial, start, end))
        return self.serial

    def all(self) -> list[Transmission]:
        """Those that may be of interest."""
        return self.order[self.first :]

    def acknowledged(self, number: int) -> None:
        """All before `number` has arrived."""
        order = self.order
        first = self.first
        while first < len(order) and order[first][3] <= number:
            first += 1
        self.begin_at(first)

    def begin_at(self, first: int) -> None:
        """What is before the index `first` is of no interest any more."""
        if first == len(self.order) or (first > 64 and first * 2 > len(self.order)):
            del self.order[:first]
            first = 0
        self.first = first

    def replace(self, order: list[Transmission]) -> None:
        """These take the place of all."""
        self.order = order
        self.first = 0
