"""The host under test in virtual time: what it sends is written down, and time jumps to its deadlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.drill.bench.bench import Bench
from synfin.drill.bench.numbers import Numbers
from synfin.drill.options import IPV6, Choices, Settings
from synfin.drill.outcome import Failed
from synfin.events import Tracer
from synfin.host.calls import socket_of
from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.host.profiles import parameters
from synfin.host.sockets import Socket
from synfin.link.segmentation import cut
from synfin.show.trace import Trace
from synfin.tcp.identity import Identity
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.timers import NEVER
from synfin.wire.ip import octets
from synfin.wire.sequence import MASK
from synfin.wire.tcp import Segment

_SECRET: Final = b"the host of a drill has no secrets"
#: A host whose timers expire so often without any time passing is in a loop.
_MOST_STEPS: Final = 10_000
#: The largest superpacket that the host may hand over, in octets.
ROOM: Final = 65535


class _OneNumber(InitialSequenceNumbers):
    """Every connection begins with the same number."""

    __slots__ = ("_isn",)

    def __init__(self, secret: bytes, isn: int) -> None:
        super().__init__(secret)
        self._isn = isn & MASK

    def iss(self, identity: Identity, now: int) -> int:
        return self._isn


class Machine(Bench):
    """synfin's host with one interface, in virtual time.

    `woken` is called with each socket on which something happened.
    """

    __slots__ = ("_steps", "host", "interface", "trace", "woken")

    def __init__(self, profile: str, settings: Settings, choices: Choices) -> None:
        super().__init__(profile, settings, choices)
        self.trace = Trace()
        self.host = Host("host", _SECRET, parameters(profile), Tracer("host", self.trace.append))
        prefix = "64" if settings.ip == IPV6 else "16"
        own = f"{settings.local_ip}/{prefix}"
        #: It takes superpackets, which are cut before they are looked at, as on Linux.
        self.interface: Interface = self.host.add_interface("tun0", [own], settings.mtu, ROOM)
        self.host.add_route("::/0" if settings.ip == IPV6 else "0.0.0.0/0", self.interface)
        if choices.isn is not None:
            self.host.transport.numbers = _OneNumber(_SECRET, choices.isn)
        self._steps = 0
        self.woken: Callable[[Socket], None] = _nobody

    def begin(self) -> None:
        """Virtual time began already."""

    def is_known(self, numbers: Numbers) -> bool:
        """Whether the host has that connection, or its TIME-WAIT, or a request for it."""
        transport = self.host.transport
        flow = numbers.flow
        return (
            flow in transport.connections
            or flow in transport.time_waits
            or any(flow in listener.requests for listener in transport.all_listeners())
        )

    def listens(self, port: int) -> bool:
        return any(each.local_port == port for each in self.host.transport.all_listeners())

    # --- packets

    def arrive(self, packet: bytes, segment_size: int = 0) -> None:
        """Gives the host a packet."""
        self.host.octets_arrive(packet, self.interface, self.now, segment_size=segment_size)
        self.settle()

    def settle(self) -> None:
        """Takes what the host wants to send now, and tells who waits."""
        host = self.host
        while (packet := host.poll_transmit(self.interface, self.now)) is not None:
            if isinstance(packet.payload, Segment):
                # The link takes no superpackets.
                for part in cut(packet):
                    self.left(octets(part))
        for entry in host.take_changed():
            found = socket_of(host, entry)
            if found is not None:
                self.woken(found)

    def ends_queue(self, flow: bytes, segment: Segment) -> bool:
        """Whether nothing is queued behind the data of a segment."""
        connection = self.host.transport.connections.get(flow)
        if connection is None:
            return True
        return (connection.send_buffer.end - segment.seq - segment.payload_length) & MASK == 0

    # --- time

    def advance(self, limit: int) -> bool:
        """Lets something happen before `limit`, or time pass until then; False if nothing happened."""
        if self.host.next_deadline() < limit:
            self.step(limit)
            return True
        self.run_to(limit)
        return False

    def run_to(self, time: int) -> None:
        """Lets time pass until `time`; a timer of that very moment waits."""
        while self.host.next_deadline() < time:
            self._next(time)
        self.now = max(self.now, time)

    def step(self, limit: int) -> bool:
        """Lets time pass until something happens, up to `limit`; False if nothing does."""
        deadline = self.host.next_deadline()
        if deadline == NEVER or deadline > limit:
            self.now = max(self.now, limit)
            return False
        self._next(limit)
        return True

    def _next(self, limit: int) -> None:
        time = max(self.now, min(self.host.next_deadline(), limit))
        self._steps = self._steps + 1 if time == self.now else 0
        if self._steps > _MOST_STEPS:
            raise Failed("the host's timers expire for ever")
        self.now = time
        self.host.deadline_reached(self.now)
        self.settle()


def _nobody(sock: Socket) -> None:
    """Nobody waits."""
