"""Where a host is under test, whatever host it is: the connections of a script, and what leaves the host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from synfin.drill.bench.numbers import Numbers, reverse_flow
from synfin.drill.bench.outbound import Outbound, Sent, sent
from synfin.drill.options import Choices, Settings
from synfin.host.addresses import packed
from synfin.wire.errors import WireError
from synfin.wire.ip import IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, parse_packet
from synfin.wire.tcp import ACK, SYN, Segment

SECOND: Final = 1_000_000_000
#: What the host's clock shows when a script starts, in nanoseconds.
START: Final = 10_000 * SECOND


class Bench(ABC):
    """Where a host is under test, whatever host it is: its connections, and its packets, which are caught.

    `now` is the time in nanoseconds; `START` is when the script began. `numbers` is the connection under test, None
    before there is one. What leaves must be whole: octets that cannot be read again are `broken`.
    """

    __slots__ = (
        "_by_flow",
        "broken",
        "choices",
        "listening_port",
        "local",
        "now",
        "numbers",
        "outbound",
        "profile",
        "remote",
        "settings",
        "tested",
    )

    def __init__(self, profile: str, settings: Settings, choices: Choices) -> None:
        self.now = START
        self.settings = settings
        self.choices = choices
        self.profile = profile
        self.local = packed(settings.local_ip)
        self.remote = packed(settings.remote_ip)
        #: The port at which the script listens.
        self.listening_port = settings.bind_port
        self.outbound = Outbound()
        self.numbers: Numbers | None = None
        #: Every connection that was under test.
        self.tested: list[Numbers] = []
        self._by_flow: dict[bytes, Numbers] = {}
        self.broken = ""

    # --- what each host does in its own way

    @abstractmethod
    def begin(self) -> None:
        """The script's time begins now."""

    @abstractmethod
    def is_known(self, numbers: Numbers) -> bool:
        """Whether the host has that connection, or its TIME-WAIT, or a request for it."""

    @abstractmethod
    def listens(self, port: int) -> bool:
        """Whether a socket listens at `port`."""

    @abstractmethod
    def arrive(self, packet: bytes, segment_size: int = 0) -> None:
        """Gives the host a packet."""

    @abstractmethod
    def settle(self) -> None:
        """Takes what the host wants to send now."""

    @abstractmethod
    def advance(self, limit: int) -> bool:
        """Lets something happen before `limit`, or time pass until then; False if nothing happened."""

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

    # --- packets

    def left(self, whole: bytes) -> None:
        """Writes down a packet that left the host now, if it is one of TCP."""
        try:
            packet = parse_packet(whole)
        except WireError as error:
            self.broken = str(error)
            return
        segment = packet.payload
        if not isinstance(segment, Segment):
            return
        at = IPV4_HEADER_LENGTH if len(packet.source) == 4 else IPV6_HEADER_LENGTH
        at += len(packet.extension)
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
        self.outbound.add(flow, sent(packet, header, numbers, self.now, self.ends_queue(flow, segment)))

    def ends_queue(self, flow: bytes, segment: Segment) -> bool:
        """Whether nothing is queued behind the data of a segment."""
        return True

    def left_over(self) -> list[tuple[Numbers, Sent]]:
        """The packets of connections under test that nobody expected."""
        return [(numbers, packet) for numbers in self.tested for packet in self.outbound.queue(numbers.flow)]
