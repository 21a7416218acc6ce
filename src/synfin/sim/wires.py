"""Wires between two ends: what goes wrong on them, a rate with its queue, and a delay, in this order."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from synfin import reasons
from synfin.events import Tracer
from synfin.link.faults import Chain, Fault, PacketFault, Passage, Process, Rate
from synfin.link.faults.fault import packed_address
from synfin.link.queues import Bottleneck, DropTail
from synfin.link.segmentation import cut
from synfin.sim.schedule import Schedule
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Packet

#: Takes a packet, as a value or as octets, at the far end.
Receiver = Callable[[Packet | bytes, int], None]


class Direction:
    """One way along a wire: faults in the order in which they were applied, then the bottleneck if there is a rate,
    then `delay` (nanoseconds).

    `names` are those of the end that sends: its name first, then its addresses, in text.
    """

    __slots__ = (
        "_bottleneck",
        "_chain",
        "_receiver",
        "_schedule",
        "_wire",
        "delay",
        "names",
        "receiver_tracer",
        "sender_tracer",
    )

    def __init__(self, wire: Wire, schedule: Schedule, receiver: Receiver, names: tuple[str, ...]) -> None:
        self._wire = wire
        self._schedule = schedule
        self._receiver = receiver
        self._chain = Chain()
        self._bottleneck: Bottleneck | None = None
        self.names = names
        self.delay = wire.delay
        self.sender_tracer: Tracer | None = None
        self.receiver_tracer: Tracer | None = None

    @property
    def name(self) -> str:
        """The name of the end that sends; empty if it has none."""
        return self.names[0] if self.names else ""

    def add(self, process: Process) -> None:
        """Lets a fault at work decide about the packets of this direction, after those that are there already."""
        self._chain.processes.append(process)

    def limit(self, bottleneck: Bottleneck) -> None:
        """Puts a bottleneck in the place of the one that was there, whose packets still leave at its own rate."""
        self._bottleneck = bottleneck

    def transmit(self, packet: Packet) -> None:
        """Puts a packet on the wire; a superpacket is cut first."""
        for part in cut(packet):
            self._transmit(part)

    def _transmit(self, packet: Packet) -> None:
        wire = self._wire
        wire.transmitted += 1
        now = self._schedule.now
        if self.sender_tracer is not None:
            self.sender_tracer.packet_transmitted(now, wire.transmitted, packet)
        for passage in self._chain.passages(packet, wire.transmitted, self.name, now):
            if passage.lost is not None:
                self._lose(passage, passage.lost)
            elif passage.delay:
                self._later(now + passage.delay, self._enter, passage)
            else:
                self._enter(passage)

    def _later(self, time: int, call: Callable[[Passage], None], passage: Passage) -> None:
        self._schedule.at(time, lambda: call(passage))

    def _enter(self, passage: Passage) -> None:
        """The faults let it pass: now it needs its share of the rate."""
        now = self._schedule.now
        bottleneck = self._bottleneck
        if bottleneck is None:
            self._later(now + self.delay, self._deliver, passage)
            return
        due = bottleneck.next_deadline()
        self._left(bottleneck)
        bottleneck.arrive(passage, now)
        self._settle(bottleneck, due)

    def _left(self, bottleneck: Bottleneck) -> None:
        """Those that have left the bottleneck by now are on their way to the far end."""
        for time, passage in bottleneck.deadline_reached(self._schedule.now):
            self._later(time + self.delay, self._deliver, passage)

    def _settle(self, bottleneck: Bottleneck, armed: int) -> None:
        """After anything was told to the bottleneck, which was to be looked at by `armed`."""
        for dropped in bottleneck.take_dropped():
            self._lose(dropped, dropped.lost or reasons.QUEUE_FULL)
        due = bottleneck.next_deadline()
        if due not in (armed, NEVER):
            self._schedule.at(due, lambda: self._deadline(bottleneck, due))

    def _deadline(self, bottleneck: Bottleneck, deadline: int) -> None:
        if bottleneck.next_deadline() == deadline:
            self._left(bottleneck)
            self._settle(bottleneck, deadline)

    def _lose(self, passage: Passage, reason: reasons.Reason) -> None:
        self._wire.lost += 1
        if self.sender_tracer is not None:
            self.sender_tracer.packet_lost(self._schedule.now, passage.number, passage.packet, reason)

    def _deliver(self, passage: Passage) -> None:
        now = self._schedule.now
        packet = passage.packet
        if passage.damage is not None:
            unnoticed = passage.unnoticed()
            if unnoticed is None:
                # It arrives, and its checksum tells.
                self._lose(passage, reasons.DAMAGED)
                self._receiver(passage.octets(), now)
                return
            packet = unnoticed
        if self.receiver_tracer is not None:
            self.receiver_tracer.packet_delivered(now, passage.number, packet)
        self._receiver(packet, now)


class Wire:
    """A wire between two ends, `delay` nanoseconds long. `forward` leads from the first end to the second, `backward`
    the other way. `names` are, for each end, its name and its addresses, by which faults tell the directions apart.

    `rate` in bits a second (0: infinite) and `queue` in packets are short for the fault ``Rate(rate,
    DropTail(queue))``.
    """

    __slots__ = ("backward", "delay", "faults", "forward", "lost", "transmitted")

    def __init__(
        self,
        schedule: Schedule,
        first: Receiver,
        second: Receiver,
        delay: int = 0,
        rate: int = 0,
        queue: int = 1000,
        names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
    ) -> None:
        self.delay = delay
        #: Packets so far, both ways together; the last one's number.
        self.transmitted = 0
        self.lost = 0
        #: What was applied, in this order.
        self.faults: list[Fault] = []
        self.forward = Direction(self, schedule, second, names[0])
        self.backward = Direction(self, schedule, first, names[1])
        if rate:
            self.apply(Rate(rate, DropTail(queue)), Random(0))

    @property
    def directions(self) -> tuple[Direction, Direction]:
        return self.forward, self.backward

    def concerned(self, fault: Fault) -> list[Direction]:
        """The directions in which `fault` could act: none if it names an end that this wire does not have."""
        if not isinstance(fault, (PacketFault, Rate)):
            return []
        return [one for one in self.directions if not fault.sender or _same(fault.sender, one.names)]

    def apply(self, fault: Fault, random: Random) -> None:
        """Lets `fault` act from now on, after those that were applied before; its times are those of the network.

        What it leaves to chance comes from `random`, which is to be this fault's alone. Packets of both directions
        are counted together. Raises ValueError for a fault that is none of wires.
        """
        if isinstance(fault, PacketFault):
            # An address need not be that of an end: packets from beyond pass too.
            if packed_address(fault.sender) is None and not self.concerned(fault):
                raise ValueError(f"'{fault}': no end of the wire is called {fault.sender}")
            process = fault.begin(random)
            for direction in self.directions:
                direction.add(process)
        elif isinstance(fault, Rate):
            concerned = self.concerned(fault)
            if not concerned:
                raise ValueError(f"'{fault}': no end of the wire is called {fault.sender}")
            for direction in concerned:
                direction.limit(fault.begin(Random(random.getrandbits(64))))
        else:
            raise ValueError(f"'{fault}' is no fault of a wire")
        self.faults.append(fault)


def _same(sender: str, names: tuple[str, ...]) -> bool:
    address = packed_address(sender)
    return sender in names or (address is not None and address in map(packed_address, names))
