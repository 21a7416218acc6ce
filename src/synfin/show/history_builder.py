"""From trace events to the rows of one connection: which arrival belongs to which transmission, which change of
state to which segment.

A trace may be whole (both hosts and the wire between them) or one-sided (one host over a real device: only what it
sent and received). Packets are matched by their number on the wire, or by identity, or else by what they say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from synfin import reasons
from synfin.events import (
    ConnectionEvent,
    Event,
    PacketDelivered,
    PacketEvent,
    PacketLost,
    PacketTransmitted,
    SegmentDropped,
    SegmentEvent,
    SegmentSent,
    StateChanged,
    UserCalled,
)
from synfin.show.history_messages import number_messages
from synfin.show.history_rows import Arrival, Endpoint, Loss, Row, StateChange, Transmission, UserCall, mirrored
from synfin.wire.ip import Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import FIN, RST, SYN, Segment

_Content: TypeAlias = tuple[int, int, int, int, int, int | None]

# A state that changes for one of these is not changed by a segment that arrives.
_USER: Final = frozenset(
    reason.name
    for reason in (
        reasons.PASSIVE_OPEN,
        reasons.ACTIVE_OPEN,
        reasons.SYN_SENT,
        reasons.FIN_SENT,
        reasons.RESET_ABORT,
        reasons.USER_CLOSED,
        reasons.USER_ABORTED,
        reasons.CLOSED_WITH_DATA_UNREAD,
    )
)
_TIME: Final = frozenset(reason.name for reason in (reasons.TWO_MSL_OVER, reasons.FIN_WAIT_2_OVER, reasons.GAVE_UP))
_OWN: Final = _USER | _TIME
_LISTEN: Final = "LISTEN"
_FLOW_LENGTHS: Final = (12, 36)


def flows(events: Iterable[Event]) -> list[bytes]:
    """One flow for each connection that exchanged a segment, in the order of their first ones."""
    found: dict[bytes, bytes] = {}
    for event in events:
        if isinstance(event, SegmentEvent) and len(event.flow) in _FLOW_LENGTHS:
            found.setdefault(min(event.flow, mirrored(event.flow)), event.flow)
    return list(found.values())


def build(events: Sequence[Event], flow: bytes | None) -> tuple[Endpoint, Endpoint, list[Row]]:
    """Both ends, the opener first, and the rows. Raises ValueError if there is nothing of the connection."""
    if flow is None:
        flow = next(iter(flows(events)), None)
        if flow is None:
            raise ValueError("the trace has no connection that exchanged a segment")
    if len(flow) not in _FLOW_LENGTHS:
        raise ValueError(f"a flow has 12 or 36 octets, not {len(flow)}")
    builder = _Builder(flow, events)
    for event in events:
        builder.see(event)
    return builder.finish()


def _content(segment: Segment) -> _Content:
    """What tells one segment from another where no number does."""
    return (
        segment.seq,
        segment.ack,
        segment.flags,
        segment.payload_length,
        segment.wnd,
        segment.options.ts_val,
    )


class _Side:
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
        self.by_content: dict[_Content, deque[Transmission]] = {}
        # Arrivals at this end, by packet, until the host tells what became of them.
        self.delivered: dict[int, deque[tuple[Packet, Arrival]]] = {}
        # State changes since the last segment, which may belong to the next.
        self.loose: list[StateChange] = []
        # The last arrival, if what changes now may be its doing.
        self.arrival: Arrival | None = None
        # A segment told of this state before the event of its change came.
        self.expected: str | None = None
        self.first_time = -1


class _Builder:
    def __init__(self, flow: bytes, events: Sequence[Event]) -> None:
        self._sides = {flow: _Side(flow)}
        self._sides.setdefault(mirrored(flow), _Side(mirrored(flow)))
        self._rows: list[Row] = []
        self._folded: set[int] = set()
        self._listeners: dict[tuple[str, bytes], _Side] = {}
        self._survey(events)

    # --- before the first row ------------------------------------------------------------------------------------

    def _survey(self, events: Sequence[Event]) -> None:
        """Find the hosts of both ends, the states they began in, and the listener that one of them may be."""
        listening: list[StateChanged] = []
        for event in events:
            if not isinstance(event, ConnectionEvent):
                continue
            side = self._sides.get(event.flow)
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
        for side in self._sides.values():
            side.endpoint.first_state = side.state
            side.expected = None

    def _survey_state(self, side: _Side, event: ConnectionEvent) -> None:
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
        silent = [side for side in self._sides.values() if not side.endpoint.host]
        if not silent:
            return
        for event in events:
            if not isinstance(event, PacketTransmitted | PacketDelivered):
                continue
            receiver = self._receiver(event.packet)
            if receiver is None:
                continue
            if isinstance(event, PacketDelivered):
                # The last to get it: the ones before are routers.
                if receiver in silent:
                    receiver.endpoint.host = event.host
            else:
                sender = self._peer(receiver)
                if sender in silent and not sender.endpoint.host:
                    sender.endpoint.host = event.host

    def _adopt_listener(self, change: StateChanged) -> None:
        for side in self._sides.values():
            endpoint = side.endpoint
            peer = self._peer(side).endpoint
            if change.flow[-2:] != endpoint.flow[-2:] or (side.state or _LISTEN) != _LISTEN:
                continue
            if endpoint.host == change.host or (not endpoint.host and peer.host != change.host):
                endpoint.host = change.host
                endpoint.traced = True
                side.state = change.old
                self._listeners[change.host, change.flow] = side

    def _peer(self, side: _Side) -> _Side:
        return self._sides[mirrored(side.endpoint.flow)]

    def _receiver(self, packet: Packet) -> _Side | None:
        """The end that this packet goes to; None if it is not of this connection."""
        return self._sides.get(packet.flow) if isinstance(packet.payload, Segment) else None

    # --- one event after another ---------------------------------------------------------------------------------

    def see(self, event: Event) -> None:
        if isinstance(event, PacketEvent):
            self._see_packet(event)
        elif isinstance(event, ConnectionEvent):
            side = self._sides.get(event.flow)
            if side is None:
                side = self._listeners.get((event.host, event.flow))
            elif event.host == side.endpoint.host:
                # From here on, what the listener does is no longer this connection's.
                self._listeners = {key: owner for key, owner in self._listeners.items() if owner is not side}
            if side is None or event.host != side.endpoint.host:
                return
            if isinstance(event, StateChanged):
                self._state_changed(side, event)
            elif isinstance(event, UserCalled):
                self._rows.append(UserCall(event.time, side.endpoint, event.call, event.octets))
            elif isinstance(event, SegmentSent):
                self._sent(side, event)
            elif isinstance(event, SegmentEvent):
                self._met(side, event)

    def _state_changed(self, side: _Side, event: StateChanged) -> None:
        if side.expected is not None and event.old != side.state:
            if event.new == side.expected:
                side.expected = None
            return
        side.expected = None
        arrival = side.arrival
        if event.reason.name not in _OWN and arrival is not None and arrival.time == event.time:
            arrival.new_state = event.new
        else:
            change = StateChange(event.time, side.endpoint, event.old, event.new, event.reason)
            self._rows.append(change)
            side.loose.append(change)
        side.state = event.new

    def _claim(self, side: _Side, time: int, names: frozenset[str], *, named: bool) -> str | None:
        """Take the state changes that belong to a segment off the rows; the state before the first, if there is one.

        They are the last ones, made at the same time, for reasons among `names` (or not among them).
        """
        before = None
        for change in reversed(side.loose):
            if change.time != time or (change.reason.name in names) is not named:
                break
            self._folded.add(id(change))
            before = change.old_state
        return before

    def _sent(self, side: _Side, event: SegmentSent) -> None:
        segment = event.packet.payload
        if not isinstance(segment, Segment):
            return
        before = None
        if segment.flags & (SYN | FIN | RST):
            before = self._claim(side, event.time, _USER, named=True)
        old = before or side.state
        side.expected = event.state if event.state != side.state else None
        side.state = event.state
        side.loose.clear()
        row = Transmission(
            event.time, side.endpoint, self._peer(side).endpoint, segment, old, event.state, event.reason
        )
        self._add(side, row)
        side.queued[id(event.packet)] = (event.packet, row)

    def _add(self, side: _Side, row: Transmission) -> None:
        self._rows.append(row)
        side.by_content.setdefault(_content(row.segment), deque()).append(row)

    def _met(self, side: _Side, event: SegmentEvent) -> None:
        segment = event.packet.payload
        if not isinstance(segment, Segment):
            return
        waiting = side.delivered.get(id(event.packet))
        if waiting:
            arrival = waiting.popleft()[1]
            side.arrival = arrival
        else:
            # Without the wire's word for where one arrival ends, a later change is nobody's.
            side.arrival = None
            arrival = self._arrived(side, event.time, self._transmission(side, event.packet, 0, event.time))
        before = self._claim(side, event.time, _OWN, named=False)
        arrival.old_state = before or side.state
        arrival.new_state = event.state
        arrival.reason = event.reason
        arrival.dropped = isinstance(event, SegmentDropped)
        arrival.told = True
        side.expected = event.state if event.state != side.state else None
        side.state = event.state
        side.loose.clear()

    # --- what the wire told --------------------------------------------------------------------------------------

    def _see_packet(self, event: PacketEvent) -> None:
        packet = event.packet
        receiver = self._receiver(packet)
        if receiver is None:
            return
        sender = self._peer(receiver)
        if isinstance(event, PacketTransmitted):
            if event.host == sender.endpoint.host:
                self._transmitted(sender, event)
        elif isinstance(event, PacketDelivered):
            if event.host == receiver.endpoint.host:
                transmission = self._transmission(receiver, packet, event.number, event.time)
                arrival = self._arrived(receiver, event.time, transmission)
                receiver.arrival = None
                receiver.delivered.setdefault(id(packet), deque()).append((packet, arrival))
        elif isinstance(event, PacketLost):
            number = event.number if event.host == sender.endpoint.host else 0
            transmission = self._transmission(receiver, packet, number, event.time)
            transmission.loss = Loss(event.time, transmission, event.reason)
            self._rows.append(transmission.loss)
            self._forget(sender, transmission)

    def _transmitted(self, sender: _Side, event: PacketTransmitted) -> None:
        queued = sender.queued.pop(id(event.packet), None)
        if queued is not None:
            row = queued[1]
        else:
            row = self._piece(sender, event) or self._untold(sender, event.packet, event.time)
        row.number = event.number
        sender.by_number[event.number] = row

    def _piece(self, sender: _Side, event: PacketTransmitted) -> Transmission | None:
        """The packet as a row, if it was cut from a superpacket; the rows of the pieces replace that one."""
        segment = event.packet.payload
        if not isinstance(segment, Segment) or not segment.payload_length:
            return None
        for key, (_, candidate) in sender.queued.items():
            offset = (segment.seq - candidate.segment.seq) & MASK
            end = offset + segment.payload_length
            if end <= candidate.segment.payload_length:
                whole = candidate
                if end == whole.segment.payload_length:
                    del sender.queued[key]
                break
        else:
            return None
        if id(whole) not in self._folded:
            self._folded.add(id(whole))
            sender.by_content[_content(whole.segment)].remove(whole)
        row = Transmission(
            whole.time, whole.sender, whole.receiver, segment, whole.new_state, whole.new_state, whole.reason
        )
        if not offset:
            row.old_state = whole.old_state
        self._add(sender, row)
        return row

    def _untold(self, sender: _Side, packet: Packet, time: int) -> Transmission:
        """A row for a segment of which its host told nothing."""
        segment = packet.payload
        if not isinstance(segment, Segment):
            raise TypeError("not a TCP packet")
        row = Transmission(
            time, sender.endpoint, self._peer(sender).endpoint, segment, sender.state, sender.state, None
        )
        self._add(sender, row)
        return row

    def _transmission(self, receiver: _Side, packet: Packet, number: int, time: int) -> Transmission:
        """The transmission whose packet this is. One that was never seen is made now."""
        sender = self._peer(receiver)
        segment = packet.payload
        if not isinstance(segment, Segment):
            raise TypeError("not a TCP packet")
        content = _content(segment)
        numbered = sender.by_number.get(number)
        if numbered is not None and _content(numbered.segment) == content:
            return numbered
        queued = sender.queued.pop(id(packet), None)
        if queued is not None:
            return queued[1]
        alike = sender.by_content.get(content)
        if alike and (sender.endpoint.traced or number):
            return next((row for row in alike if not row.arrivals and row.loss is None), alike[-1])
        if numbered is not None and numbered.segment.seq == segment.seq:
            return numbered
        return self._untold(sender, packet, time)

    def _arrived(self, receiver: _Side, time: int, transmission: Transmission) -> Arrival:
        arrival = Arrival(time, transmission, receiver.state, receiver.state, duplicate=bool(transmission.arrivals))
        transmission.arrivals.append(arrival)
        self._rows.append(arrival)
        self._forget(self._peer(receiver), transmission)
        return arrival

    def _forget(self, sender: _Side, transmission: Transmission) -> None:
        """It has arrived, or never will: let the next one alike be matched, but keep the last for duplicates."""
        alike = sender.by_content.get(_content(transmission.segment))
        while alike and len(alike) > 1 and (alike[0].arrivals or alike[0].loss):
            alike.popleft()

    # --- after the last event ------------------------------------------------------------------------------------

    def finish(self) -> tuple[Endpoint, Endpoint, list[Row]]:
        rows = self._joined([row for row in self._rows if id(row) not in self._folded])
        numbering = number_messages(rows)
        ends = [side.endpoint for side in self._sides.values()]
        left, right = ends[0], ends[-1]
        if numbering.opener is not None:
            if numbering.opener is right:
                left, right = right, left
            left.opened = "active"
            right.opened = "active" if numbering.together else "passive"
        return left, right, rows

    def _joined(self, rows: list[Row]) -> list[Row]:
        """Put a state change that a user's call made beside that call."""
        joined: list[Row] = []
        for row in rows:
            last = joined[-1] if joined else None
            if isinstance(row, StateChange) and row.reason.name in _USER and isinstance(last, UserCall):
                if last.endpoint is row.endpoint and last.time == row.time and last.change is None:
                    last.change = row
                    continue
            elif (
                isinstance(row, UserCall)
                and isinstance(last, StateChange)
                and last.reason.name in _USER
                and last.endpoint is row.endpoint
                and last.time == row.time
            ):
                row.change = last
                joined[-1] = row
                continue
            joined.append(row)
        return joined
