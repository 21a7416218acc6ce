"""From trace events to the rows of one connection: which arrival belongs to which transmission, which change of
state to which segment.

A trace may be whole (both hosts and the wire between them) or one-sided (one host over a real device: only what it
sent and received). Packets are matched by their number on the wire, or by identity, or else by what they say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

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
from synfin.show.history_survey import FLOW_LENGTHS, Content, Ends, Side
from synfin.wire.ip import Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import FIN, RST, SYN, Segment

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
_TIME: Final = frozenset(
    reason.name
    for reason in (
        reasons.TWO_MSL_OVER,
        reasons.TIME_WAIT_OVERFLOW,
        reasons.FIN_WAIT_2_OVER,
        reasons.GAVE_UP,
        reasons.HOST_DOWN,
        # What the laboratory did: no segment of this trace.
        reasons.TWO_WAY_OPEN,
    )
)
_OWN: Final = _USER | _TIME


def flows(events: Iterable[Event]) -> list[bytes]:
    """One flow for each connection that exchanged a segment, in the order of their first ones."""
    found: dict[bytes, bytes] = {}
    for event in events:
        if isinstance(event, SegmentEvent) and len(event.flow) in FLOW_LENGTHS:
            found.setdefault(min(event.flow, mirrored(event.flow)), event.flow)
    return list(found.values())


def build(events: Sequence[Event], flow: bytes | None) -> tuple[Endpoint, Endpoint, list[Row]]:
    """Both ends, the opener first, and the rows. Raises ValueError if there is nothing of the connection."""
    if flow is None:
        flow = next(iter(flows(events)), None)
        if flow is None:
            raise ValueError("the trace has no connection that exchanged a segment")
    if len(flow) not in FLOW_LENGTHS:
        raise ValueError(f"a flow has 12 or 36 octets, not {len(flow)}")
    builder = _Builder(flow, events)
    for event in events:
        builder.see(event)
    return builder.finish()


def _content(segment: Segment) -> Content:
    """What tells one segment from another where no number does."""
    return (
        segment.seq,
        segment.ack,
        segment.flags,
        segment.payload_length,
        segment.wnd,
        segment.options.ts_val,
    )


class _Builder:
    def __init__(self, flow: bytes, events: Sequence[Event]) -> None:
        self._ends = Ends(flow, events)
        self._rows: list[Row] = []
        # Rows that others have taken in, by identity.
        self._folded: set[int] = set()

    # --- one event after another ---------------------------------------------------------------------------------

    def see(self, event: Event) -> None:
        if isinstance(event, PacketEvent):
            self._see_packet(event)
        elif isinstance(event, ConnectionEvent):
            side = self._ends.sides.get(event.flow)
            if side is None:
                side = self._ends.listeners.get((event.host, event.flow))
            elif event.host == side.endpoint.host:
                # From here on, what the listener does is no longer this connection's.
                self._ends.listeners = {key: owner for key, owner in self._ends.listeners.items() if owner is not side}
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

    def _state_changed(self, side: Side, event: StateChanged) -> None:
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

    def _claim(self, side: Side, time: int, names: frozenset[str], *, named: bool) -> list[StateChange]:
        """Take the state changes that belong to a segment off the rows, and return them in reverse order.

        They are the last ones, made at the same time, for reasons among `names` (or not among them).
        """
        claimed = []
        for change in reversed(side.loose):
            if change.time != time or (change.reason.name in names) is not named:
                break
            self._folded.add(id(change))
            claimed.append(change)
        return claimed

    def _sent(self, side: Side, event: SegmentSent) -> None:
        segment = event.packet.payload
        if not isinstance(segment, Segment):
            return
        claimed = []
        if segment.flags & (SYN | FIN | RST):
            claimed = self._claim(side, event.time, _USER, named=True)
        old = claimed[-1].old_state if claimed else side.state
        side.expected = event.state if event.state != side.state else None
        side.state = event.state
        side.loose.clear()
        row = Transmission(
            event.time, side.endpoint, self._ends.peer(side).endpoint, segment, old, event.state, event.reason
        )
        self._add(side, row)
        side.queued[id(event.packet)] = (event.packet, row)

    def _add(self, side: Side, row: Transmission) -> None:
        self._rows.append(row)
        side.by_content.setdefault(_content(row.segment), deque()).append(row)

    def _met(self, side: Side, event: SegmentEvent) -> None:
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
        claimed = self._claim(side, event.time, _OWN, named=False)
        arrival.old_state = claimed[-1].old_state if claimed else side.state
        arrival.new_state = event.state
        arrival.reason = claimed[0].reason if claimed else event.reason
        arrival.dropped = isinstance(event, SegmentDropped)
        arrival.told = True
        side.expected = event.state if event.state != side.state else None
        side.state = event.state
        side.loose.clear()

    # --- what the wire told --------------------------------------------------------------------------------------

    def _see_packet(self, event: PacketEvent) -> None:
        packet = event.packet
        receiver = self._ends.receiver(packet)
        if receiver is None:
            return
        sender = self._ends.peer(receiver)
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

    def _transmitted(self, sender: Side, event: PacketTransmitted) -> None:
        queued = sender.queued.pop(id(event.packet), None)
        if queued is not None:
            row = queued[1]
        else:
            row = self._piece(sender, event) or self._untold(sender, event.packet, event.time)
        row.number = event.number
        sender.by_number[event.number] = row

    def _piece(self, sender: Side, event: PacketTransmitted) -> Transmission | None:
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

    def _untold(self, sender: Side, packet: Packet, time: int) -> Transmission:
        """A row for a segment of which its host told nothing."""
        segment = packet.payload
        if not isinstance(segment, Segment):
            raise TypeError("not a TCP packet")
        row = Transmission(
            time, sender.endpoint, self._ends.peer(sender).endpoint, segment, sender.state, sender.state, None
        )
        self._add(sender, row)
        return row

    def _transmission(self, receiver: Side, packet: Packet, number: int, time: int) -> Transmission:
        """The transmission whose packet this is. One that was never seen is made now."""
        sender = self._ends.peer(receiver)
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

    def _arrived(self, receiver: Side, time: int, transmission: Transmission) -> Arrival:
        arrival = Arrival(time, transmission, receiver.state, receiver.state, duplicate=bool(transmission.arrivals))
        transmission.arrivals.append(arrival)
        self._rows.append(arrival)
        self._forget(self._ends.peer(receiver), transmission)
        return arrival

    def _forget(self, sender: Side, transmission: Transmission) -> None:
        """It has arrived, or never will: let the next one alike be matched, but keep the last for duplicates."""
        alike = sender.by_content.get(_content(transmission.segment))
        while alike and len(alike) > 1 and (alike[0].arrivals or alike[0].loss):
            alike.popleft()

    # --- after the last event ------------------------------------------------------------------------------------

    def finish(self) -> tuple[Endpoint, Endpoint, list[Row]]:
        rows = self._joined([row for row in self._rows if id(row) not in self._folded])
        numbering = number_messages(rows)
        ends = [side.endpoint for side in self._ends.sides.values()]
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
