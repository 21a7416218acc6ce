"""What a trace tells of a connection's two ends before the first row: hosts, first states, and the listener."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

from synfin.events import (
    ConnectionEvent,
    Event,
    PacketDelivered,
    PacketTransmitted,
    SegmentEvent,
    StateChanged,
)
from synfin.show.history_rows import Arrival, Endpoint, StateChange, Transmission, mirrored
from synfin.wire.ip import Packet
from synfin.wire.tcp import Segment

Content: TypeAlias = tuple[int, int, int, int, int, int | None]

#: Octets of a flow over IPv4 and over IPv6.
FLOW_LENGTHS: Final = (12, 36)
_LISTEN: Final = "LISTEN"


class Side:
    """What the builder knows of one end while it goes through the events."""

    __slots__ = (
        "arrival",
        "by_content",
        "by_number",
        "delivered",
        "endpoint",
        "expected",
        "first_time",
        "loose",
        "queued",
        "state",
    )

    def __init__(self, flow: bytes) -> None:
        self.endpoint = Endpoint(flow)
        self.state: str | None = None
        # Transmissions of this end: by packet, until the wire takes them; by number; by content, until they arrive.
        self.queued: dict[int, tuple[Packet, Transmission]] = {}
        self.by_number: dict[int, Transmission] = {}
        self.by_content: dict[Content, deque[Transmission]] = {}
        # Arrivals at this end, by packet, until the host tells what became of them.
        self.delivered: dict[int, deque[tuple[Packet, Arrival]]] = {}
        # State changes since the last segment, which may belong to the next.
        self.loose: list[StateChange] = []
        # The last arrival, if what changes now may be its doing.
        self.arrival: Arrival | None = None
        # A segment told of this state before the event of its change came.
        self.expected: str | None = None
        self.first_time = -1


class Ends:
    """Both ends, by flow, and the flows of the listeners that may be one of them."""

    __slots__ = ("listeners", "sides")

    def __init__(self, flow: bytes, events: Sequence[Event]) -> None:
        self.sides = {flow: Side(flow)}
        self.sides.setdefault(mirrored(flow), Side(mirrored(flow)))
        self.listeners: dict[tuple[str, bytes], Side] = {}
        self._survey(events)

    def peer(self, side: Side) -> Side:
        """The other end."""
        return self.sides[mirrored(side.endpoint.flow)]

    def receiver(self, packet: Packet) -> Side | None:
        """The end that this packet goes to; None if it is not of this connection."""
        return self.sides.get(packet.flow) if isinstance(packet.payload, Segment) else None

    def _survey(self, events: Sequence[Event]) -> None:
        """Find the hosts of both ends, the states they began in, and the listener that one of them may be."""
        listening: list[StateChanged] = []
        for event in events:
            if not isinstance(event, ConnectionEvent):
                continue
            side = self.sides.get(event.flow)
            if side is None:
                if isinstance(event, StateChanged) and event.new == _LISTEN:
                    listening.append(event)
                continue
            side.endpoint.host = side.endpoint.host or event.host
            side.endpoint.traced = True
            self._survey_state(side, event)
        self._name_silent_hosts(events)
        for change in listening:
            self._adopt_listener(change)
        for side in self.sides.values():
            side.endpoint.first_state = side.state
            side.expected = None

    def _survey_state(self, side: Side, event: ConnectionEvent) -> None:
        if isinstance(event, StateChanged):
            # The event of a change may come after that of its segment.
            if side.state is None or (side.expected is not None and event.time == side.first_time):
                side.state = event.old
            side.expected = None
            side.first_time = -1
        elif isinstance(event, SegmentEvent) and side.state is None:
            side.state = side.expected = event.state
            side.first_time = event.time

    def _name_silent_hosts(self, events: Sequence[Event]) -> None:
        """Name the ends that told nothing after the hosts between which the wire carried their packets."""
        silent = [side for side in self.sides.values() if not side.endpoint.host]
        if not silent:
            return
        for event in events:
            if not isinstance(event, PacketTransmitted | PacketDelivered):
                continue
            receiver = self.receiver(event.packet)
            if receiver is None:
                continue
            if isinstance(event, PacketDelivered):
                # The last to get it: the ones before are routers.
                if receiver in silent:
                    receiver.endpoint.host = event.host
            else:
                sender = self.peer(receiver)
                if sender in silent and not sender.endpoint.host:
                    sender.endpoint.host = event.host

    def _adopt_listener(self, change: StateChanged) -> None:
        for side in self.sides.values():
            endpoint = side.endpoint
            peer = self.peer(side).endpoint
            if not _covers(change.flow, endpoint.flow) or (side.state or _LISTEN) != _LISTEN:
                continue
            if endpoint.host == change.host or (not endpoint.host and peer.host != change.host):
                endpoint.host = change.host
                endpoint.traced = True
                side.state = change.old
                self.listeners[change.host, change.flow] = side


def _covers(listening: bytes, flow: bytes) -> bool:
    """Whether a listener, by the flow of its own events, may be the one of this connection."""
    if len(listening) not in FLOW_LENGTHS or listening[-2:] != flow[-2:]:
        return False
    address = listening[len(listening) // 2 - 2 : -4]
    return not any(address) or address == flow[len(flow) // 2 - 2 : -4]
