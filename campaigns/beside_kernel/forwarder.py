"""The impairing forwarder: one process that carries every packet between two TUN devices, late, slowly, or not at all.

Which end is synfin and which the kernel it does not know: it reads and writes octets.
"""

from __future__ import annotations

import gc
import os
import select
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from time import monotonic_ns
from typing import Final

from campaigns.beside_kernel.namespace import MTU, device_drops, enter, open_tun
from campaigns.beside_kernel.way import Way

#: Packets read from a device before those that are due have their turn.
BATCH: Final = 32
#: A packet written so much after its time, in nanoseconds, is late.
LATE: Final = 1_000_000
MILLISECOND: Final = 1_000_000
#: Above every process that is not of real time: the path does not wait for its ends.
PRIORITY: Final = 10

#: The kernel's addresses on the two devices.
ADDRESSES: Final = ("10.77.1.1", "10.77.2.1")


@dataclass(frozen=True)
class Forwarded:
    """What a forwarder has to tell at its end. Of the data's direction: `arrived` packets, `lost` at random, `dropped`
    by the queue. Of both: packets `written`, how many of them `late`, the `worst` in milliseconds, and those that
    the devices dropped."""

    arrived: int
    lost: int
    dropped: int
    written: int
    late: int
    worst: float
    device_drops: int


class Forwarder:
    """Packets from each descriptor to the other, each direction through its `Way`."""

    def __init__(self, descriptors: tuple[int, int], ways: tuple[Way, Way]) -> None:
        self.descriptors = descriptors
        self.ways = ways
        self.written = 0
        self.late = 0
        self.worst = 0

    def run(self, control: int) -> None:
        """Forwards until the descriptor `control` becomes readable."""
        left, right = self.descriptors
        there, back = self.ways
        watched = [left, right, control]
        while True:
            self._write_due(there, right)
            self._write_due(back, left)
            readable, _, _ = select.select(watched, [], [], self._timeout())
            if control in readable:
                return
            if left in readable:
                self._read(left, there)
            if right in readable:
                self._read(right, back)

    def _write_due(self, way: Way, descriptor: int) -> None:
        held = way.held
        now = monotonic_ns()
        while held and held[0][0] <= now:
            due, packet = held.popleft()
            lateness = now - due
            if lateness > LATE:
                self.late += 1
            self.worst = max(self.worst, lateness)
            os.write(descriptor, packet)
            self.written += 1
            now = monotonic_ns()

    def _timeout(self) -> float | None:
        """Seconds until the next packet is due."""
        due = [way.held[0][0] for way in self.ways if way.held]
        return max(min(due) - monotonic_ns(), 0) / 1e9 if due else None

    def _read(self, descriptor: int, way: Way) -> None:
        now = monotonic_ns()
        with suppress(BlockingIOError):
            for _ in range(BATCH):
                way.arrive(os.read(descriptor, MTU), now)


def forward(pipe: Pipe, namespaces: Sequence[int], ways: tuple[Way, Way]) -> None:
    """A process: makes a device in each of the two namespaces, says so, forwards until it hears something, and tells
    `Forwarded`. Data goes through the first of `ways`."""
    tuns = []
    for namespace, address in zip(namespaces, ADDRESSES, strict=True):
        enter(namespace)
        tuns.append(open_tun("tun0", f"{address}/24", default_route=True))
    # A container may forbid it; then lateness will show.
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    gc.disable()
    forwarder = Forwarder((tuns[0].fileno(), tuns[1].fileno()), ways)
    pipe.send("ready")
    forwarder.run(pipe.fileno())
    drops = 0
    for namespace in namespaces:
        enter(namespace)
        drops += device_drops()
    data = ways[0]
    pipe.send(
        Forwarded(
            data.arrived,
            data.lost,
            data.dropped,
            forwarder.written,
            forwarder.late,
            forwarder.worst / MILLISECOND,
            drops,
        )
    )
