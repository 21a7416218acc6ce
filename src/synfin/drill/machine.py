"""The host under test in virtual time: what it sends is written down, and time jumps to its deadlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.drill.numbers import Numbers, reverse_flow
from synfin.drill.options import IPV6, Choices, Settings
from synfin.drill.outbound import Outbound, Sent, sent
from synfin.drill.outcome import Failed
from synfin.events import Tracer
from synfin.host.addresses import packed
from synfin.host.calls import socket_of
from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.host.profiles import parameters
from synfin.host.sockets import Socket
from synfin.link.segmentation import cut
from synfin.show.trace import Trace
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.tcb import Identity
from synfin.tcp.timers import NEVER
from synfin.wire.errors import WireError
from synfin.wire.ip import IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, Packet, octets, parse_packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, SYN, Segment

SECOND: Final = 1_000_000_000
#: What the host's clock shows when a script starts, in nanoseconds.
START: Final = 10_000 * SECOND
_SECRET: Final = b"the host of a drill has no secrets"
#: A host whose timers expire so often without any time passing is in a loop.
_MOST_STEPS: Final = 10_000


class _OneNumber(InitialSequenceNumbers):
    """Every connection begins with the same number."""

    __slots__ = ("_isn",)

    def __init__(self, secret: bytes, isn: int) -> None:
        super().__init__(secret)
        self._isn = isn & MASK

    def iss(self, identity: Identity, now: int) -> int:
        return self._isn


class Machine:
    """A host with one interface, whose packets are caught, and the time that it is there.

    `numbers` is the connection under test, None before there is one. `woken` is called with each socket on which
    something happened. What leaves must be whole: octets that cannot be read again are `broken`.
    """

    __slots__ = (
        "_by_flow",
        "_steps",
        "broken",
        "choices",
        "host",
        "interface",
        "listening_port",
        "local",
        "now",
        "numbers",
        "outbound",
        "profile",
        "remote",
        "settings",
        "tested",
        "trace",
        "woken",
    )

    def __init__(self, profile: str, settings: Settings, choices: Choices) -> None:
        self.settings = settings
        self.choices = choices
        self.profile = profile
        self.now = START
        self.trace = Trace()
        self.host = Host("host", _SECRET, parameters(profile), Tracer("host", self.trace.append))
        self.local = packed(settings.local_ip)
        self.remote = packed(settings.remote_ip)
        prefix = "64" if settings.ip == IPV6 else "16"
        own = f"{settings.local_ip}/{prefix}"
        self.interface: Interface = self.host.add_interface("tun0", [own], settings.mtu)
        self.host.add_route("::/0" if settings.ip == IPV6 else "0.0.0.0/0", self.interface)
        if choices.isn is not None:
            self.host.transport.numbers = _OneNumber(_SECRET, choices.isn)
        #: The port at which the script listens.
        self.listening_port = settings.bind_port
        self.outbound = Outbound()
        self.numbers: Numbers | None = None
        #: Every connection that was under test.
        self.tested: list[Numbers] = []
        self._by_flow: dict[bytes, Numbers] = {}
        self._steps = 0
        self.broken = ""
        self.woken: Callable[[Socket], None] = _nobody

    # --- connections

    def connection(self, local_port: int, remote_port: int, local: bytes = b"", remote: bytes = b"") -> Numbers:
        """The numbers of the connection between these live ports; made if there are none yet."""
        ends = (local or self.local, local_port), (remote or self.remote, remote_port)
        made = Numbers(*ends, self.choices.remote_isn_offset)
        return self._by_flow.setdefault(made.flow, made)

    def labelled(self, labels: tuple[int, int]) -> Numbers | None:
        """The connection that the script calls by these ports, the local one first."""
        for numbers in reversed(self.tested):
            if numbers.labels == labels:
                return numbers
        return None

    def test(self, numbers: Numbers) -> None:
        """Makes a connection the one under test."""
        self.numbers = numbers
        if numbers not in self.tested:
            self.tested.append(numbers)

    def under_test(self) -> Numbers:
        """The connection under test, that between the default ports if nothing was said of any."""
        if self.numbers is None:
            self.test(self.connection(self.listening_port, self.settings.connect_port))
        assert self.numbers is not None
        return self.numbers

    def is_known(self, numbers: Numbers) -> bool:
        """Whether the host has that connection, or its TIME-WAIT, or a request for it."""
        transport = self.host.transport
        flow = numbers.flow
        return (
            flow in transport.connections
            or flow in transport.time_waits
            or any(flow in listener.requests for listener in transport.all_listeners())
        )

    # --- packets

    def arrive(self, packet: bytes, segment_size: int = 0) -> None:
        """Gives the host a packet."""
        self.host.octets_arrive(packet, self.interface, self.now, segment_size=segment_size)
        self.settle()

    def settle(self) -> None:
        """Takes what the host wants to send now, and tells who waits."""
        host = self.host
        while (packet := host.poll_transmit(self.interface, self.now)) is not None:
            # The link takes no superpackets.
            for part in cut(packet):
                self._caught(part)
        for entry in host.take_changed():
            found = socket_of(host, entry)
            if found is not None:
                self.woken(found)

    def _caught(self, packet: Packet) -> None:
        segment = packet.payload
        if not isinstance(segment, Segment):
            return
        whole = octets(packet)
        try:
            read = parse_packet(whole)
        except WireError as error:
            self.broken = str(error)
            return
        assert isinstance(read.payload, Segment)
        at = IPV4_HEADER_LENGTH if len(read.source) == 4 else IPV6_HEADER_LENGTH
        at += len(read.extension)
        header = whole[at : at + (whole[at + 12] >> 4) * 4]
        flow = reverse_flow(packet)
        numbers = self._by_flow.get(flow)
        if numbers is None:
            ends = packet.source, packet.destination
            numbers = self.connection(segment.source_port, segment.destination_port, *ends)
        opening = segment.flags & (SYN | ACK) == SYN and segment.seq != numbers.local_isn
        numbers.leaves(segment)
        if opening:
            # The script called connect.
            self.test(numbers)
        self.outbound.add(flow, sent(read, header, numbers, self.now, self._ends_queue(flow, segment)))

    def _ends_queue(self, flow: bytes, segment: Segment) -> bool:
        """Whether nothing is queued behind the data of a segment."""
        connection = self.host.transport.connections.get(flow)
        if connection is None:
            return True
        return (connection.send_buffer.end - segment.seq - segment.payload_length) & MASK == 0

    def left_over(self) -> list[tuple[Numbers, Sent]]:
        """The packets of connections under test that nobody expected."""
        return [(numbers, packet) for numbers in self.tested for packet in self.outbound.queue(numbers.flow)]

    # --- time

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
