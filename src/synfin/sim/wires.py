"""Wires between two hosts: delay, rate, a bounded queue, and what goes wrong on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin import reasons
from synfin.events import Tracer
from synfin.link.faults import LossRule, RandomLoss
from synfin.link.segmentation import cut
from synfin.sim.schedule import Schedule
from synfin.wire.ip import Packet, octets

#: Takes a packet, as a value or as octets, at the far end.
Receiver = Callable[[Packet | bytes, int], None]

SECOND: Final = 1_000_000_000


class Direction:
    """One way along a wire. `delay` in nanoseconds, `rate` in bits a second (0: infinite), `queue` in packets that
    wait for their turn. `losses` decide what is lost, `damages` what arrives with a bit flipped."""

    __slots__ = (
        "_busy_until",
        "_receiver",
        "_schedule",
        "_waiting",
        "_wire",
        "damages",
        "delay",
        "losses",
        "queue",
        "rate",
        "receiver_tracer",
        "sender_tracer",
    )

    def __init__(self, wire: Wire, schedule: Schedule, receiver: Receiver) -> None:
        self._wire = wire
        self._schedule = schedule
        self._receiver = receiver
        self._busy_until = 0
        self._waiting = 0
        self.delay = wire.delay
        self.rate = wire.rate
        self.queue = wire.queue
        self.losses: list[LossRule] = []
        self.damages: list[LossRule] = []
        self.sender_tracer: Tracer | None = None
        self.receiver_tracer: Tracer | None = None

    def transmit(self, packet: Packet) -> None:
        """Puts a packet on the wire; a superpacket is cut first."""
        for part in cut(packet):
            self._transmit(part)

    def _transmit(self, packet: Packet) -> None:
        wire = self._wire
        wire.transmitted += 1
        number = wire.transmitted
        now = self._schedule.now
        tracer = self.sender_tracer
        if tracer is not None:
            tracer.packet_transmitted(now, number, packet)
        # Every rule sees every packet, so that no rule's verdict depends on another's.
        fates = [rule.lose(packet) for rule in self.losses]
        if True in fates:
            by_chance = isinstance(self.losses[fates.index(True)], RandomLoss)
            self._lose(packet, number, reasons.LOST_BY_CHANCE if by_chance else reasons.LOST_BY_REQUEST)
            return
        leaves = now
        if self.rate:
            if self._waiting > self.queue:
                self._lose(packet, number, reasons.QUEUE_FULL)
                return
            leaves = max(now, self._busy_until) + packet.total_length * 8 * SECOND // self.rate
            self._busy_until = leaves
            self._waiting += 1
            self._schedule.at(leaves, self._left)
        damaged = True in [rule.lose(packet) for rule in self.damages]
        self._schedule.at(leaves + self.delay, lambda: self._deliver(packet, number, damaged))

    def _left(self) -> None:
        self._waiting -= 1

    def _lose(self, packet: Packet, number: int, reason: reasons.Reason) -> None:
        self._wire.lost += 1
        if self.sender_tracer is not None:
            self.sender_tracer.packet_lost(self._schedule.now, number, packet, reason)

    def _deliver(self, packet: Packet, number: int, damaged: bool) -> None:
        now = self._schedule.now
        if damaged:
            # It arrives, and its checksum tells.
            self._lose(packet, number, reasons.DAMAGED)
            spoiled = bytearray(octets(packet))
            spoiled[-1] ^= 0x01
            self._receiver(bytes(spoiled), now)
            return
        if self.receiver_tracer is not None:
            self.receiver_tracer.packet_delivered(now, number, packet)
        self._receiver(packet, now)


class Wire:
    """A wire between two nodes, named after what `Network.wire` was given. The two directions can be told apart:
    `forward` leads from the first node to the second, `backward` the other way."""

    __slots__ = ("backward", "delay", "forward", "lost", "queue", "rate", "transmitted")

    def __init__(
        self,
        schedule: Schedule,
        first: Receiver,
        second: Receiver,
        delay: int,
        rate: int,
        queue: int,
    ) -> None:
        self.delay = delay
        self.rate = rate
        self.queue = queue
        #: Packets so far, both ways together; the last one's number.
        self.transmitted = 0
        self.lost = 0
        self.forward = Direction(self, schedule, second)
        self.backward = Direction(self, schedule, first)

    def lose(self, rule: LossRule) -> None:
        """Lets `rule` decide, for both directions together, what is lost."""
        self.forward.losses.append(rule)
        self.backward.losses.append(rule)

    def damage(self, rule: LossRule) -> None:
        """Lets `rule` decide, for both directions together, what arrives with a bit flipped."""
        self.forward.damages.append(rule)
        self.backward.damages.append(rule)
