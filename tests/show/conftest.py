"""A small world written by hand, for the tests of what is shown: its events are those that real hosts would tell."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import strategies as st

from synfin import reasons
from synfin.events import (
    Event,
    PacketDelivered,
    PacketLost,
    PacketTransmitted,
    SegmentDropped,
    SegmentReceived,
    SegmentSent,
    StateChanged,
    UserCalled,
)
from synfin.reasons import Reason
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.tcp import ACK, FIN, PSH, SYN, Options, Segment

MILLISECOND = 1_000_000


class World:
    """Two hosts, "client" and "server", and the wire between them. Every call adds events at `time`."""

    def __init__(
        self,
        x: int = 1000,
        y: int = 5000,
        names: tuple[str, str] = ("client", "server"),
        addresses: tuple[str, str] = ("192.0.2.1", "192.0.2.2"),
        ports: tuple[int, int] = (49152, 80),
        wire: bool = True,
    ) -> None:
        self.events: list[Event] = []
        self.time = 0
        self.names = names
        self.addresses = tuple(ip_address(address).packed for address in addresses)
        self.ports = ports
        self.wire = wire
        self.states = ["CLOSED", "CLOSED"]
        # The next number that each end sends, and the next that it expects.
        self.next = [x, y]
        self.expected = [0, 0]
        self.number = 0

    def flow(self, end: int) -> bytes:
        """The connection as `end` sees it."""
        other = 1 - end
        ports = self.ports[other].to_bytes(2, "big") + self.ports[end].to_bytes(2, "big")
        return self.addresses[other] + self.addresses[end] + ports

    def listen(self, end: int = 1) -> None:
        size = len(self.addresses[0])
        flow = bytes(2 * size + 2) + self.ports[end].to_bytes(2, "big")
        self.events.append(UserCalled(self.time, self.names[end], flow, "LISTEN", 0))
        self.events.append(StateChanged(self.time, self.names[end], flow, "CLOSED", "LISTEN", reasons.PASSIVE_OPEN))
        self.states[end] = "LISTEN"

    def call(self, end: int, call: str, octets: int = 0) -> None:
        self.events.append(UserCalled(self.time, self.names[end], self.flow(end), call, octets))

    def change(self, end: int, new: str, reason: Reason = reasons.ACCEPTED) -> None:
        if new and new != self.states[end]:
            event = StateChanged(self.time, self.names[end], self.flow(end), self.states[end], new, reason)
            self.events.append(event)
            self.states[end] = new

    def packet(
        self,
        end: int,
        flags: int,
        length: int = 0,
        seq: int | None = None,
        ack: int | None = None,
        options: Options | None = None,
        wnd: int = 502,
    ) -> Packet:
        if ack is None:
            ack = self.expected[end] if flags & ACK else 0
        if seq is None:
            seq = self.next[end]
            self.next[end] = (seq + length + bool(flags & SYN) + bool(flags & FIN)) & 0xFFFFFFFF
        if options is None:
            options = (
                Options(mss=1460, sack_permitted=True, ts_val=7, ts_ecr=0, window_scale=7) if flags & SYN else Options()
            )
        payload = (bytes(length),) if length else ()
        segment = Segment(self.ports[end], self.ports[1 - end], seq, ack, flags, wnd, options, payload)
        return Packet(self.addresses[end], self.addresses[1 - end], PROTOCOL_TCP, segment)

    def send(
        self,
        end: int,
        packet: Packet,
        state: str = "",
        reason: Reason = reasons.NEW_DATA,
        why: Reason = reasons.USER_CLOSED,
    ) -> int:
        """`end` sends a packet, changing to `state` for the reason `why`. Returns its number on the wire."""
        self.change(end, state, why)
        event = SegmentSent(self.time, self.names[end], self.flow(end), packet, self.states[end], reason)
        self.events.append(event)
        self.number += 1
        if self.wire:
            self.events.append(PacketTransmitted(self.time, self.names[end], self.number, packet))
        return self.number

    def lose(self, end: int, packet: Packet, number: int, reason: reasons.Reason = reasons.LOST_BY_REQUEST) -> None:
        self.events.append(PacketLost(self.time, self.names[end], number, packet, reason))

    def arrive(
        self,
        end: int,
        packet: Packet,
        number: int,
        state: str = "",
        reason: Reason = reasons.ACCEPTED,
        dropped: bool = False,
    ) -> None:
        """`packet` reaches `end`, which changes to `state`."""
        segment = packet.payload
        assert isinstance(segment, Segment)
        if self.wire:
            self.events.append(PacketDelivered(self.time, self.names[end], number, packet))
        self.change(end, state, reason)
        kind = SegmentDropped if dropped else SegmentReceived
        self.events.append(kind(self.time, self.names[end], self.flow(end), packet, self.states[end], reason))
        if not dropped:
            self.expected[end] = (segment.seq + segment.length) & 0xFFFFFFFF

    def carry(
        self,
        end: int,
        flags: int,
        length: int = 0,
        state: str = "",
        to: str = "",
        reason: Reason = reasons.NEW_DATA,
        why: Reason = reasons.USER_CLOSED,
        got: Reason = reasons.ACCEPTED,
    ) -> Packet:
        """Send and deliver one segment: the sender changes to `state`, the receiver, 10 ms later, to `to`."""
        packet = self.packet(end, flags, length)
        number = self.send(end, packet, state, reason, why)
        self.time += 10 * MILLISECOND
        self.arrive(1 - end, packet, number, to, got)
        return packet

    # --- what most tests begin and end with ----------------------------------------------------------------------

    def open(self) -> None:
        """Messages 1 to 3."""
        if self.states[1] == "CLOSED":
            self.listen()
        self.call(0, "OPEN")
        self.carry(0, SYN, 0, "SYN-SENT", "SYN-RECEIVED", reasons.SYN_SENT, reasons.ACTIVE_OPEN, reasons.SYN_RECEIVED)
        self.carry(
            1, SYN | ACK, 0, "", "ESTABLISHED", reasons.SYN_ANSWERED, reasons.ACTIVE_OPEN, reasons.SYN_ACK_RECEIVED
        )
        self.carry(
            0, ACK, 0, "", "ESTABLISHED", reasons.SYN_ACK_ANSWERED, reasons.ACTIVE_OPEN, reasons.ACK_OF_SYN_RECEIVED
        )

    def exchange(self) -> None:
        """Data, and its acknowledgment."""
        self.call(0, "SEND", 100)
        self.carry(0, PSH | ACK, 100, got=reasons.IN_ORDER_DATA)
        self.carry(1, ACK, reason=reasons.ACK_DELAYED, got=reasons.ACKNOWLEDGES_NEW)

    def close(self) -> None:
        """Messages 4 to 7, and the end of TIME-WAIT."""
        self.call(0, "CLOSE")
        self.carry(0, FIN | ACK, 0, "FIN-WAIT-1", "CLOSE-WAIT", reasons.FIN_SENT, got=reasons.FIN_RECEIVED)
        self.carry(1, ACK, 0, "", "FIN-WAIT-2", reasons.ACK_OF_FIN, got=reasons.ACK_OF_FIN_RECEIVED)
        self.call(1, "CLOSE")
        self.carry(1, FIN | ACK, 0, "LAST-ACK", "TIME-WAIT", reasons.FIN_SENT, got=reasons.FIN_RECEIVED)
        self.carry(0, ACK, 0, "", "CLOSED", reasons.ACK_OF_FIN, got=reasons.ACK_OF_FIN_RECEIVED)
        self.over()

    def over(self, end: int = 0) -> None:
        """2MSL pass."""
        self.time += 60_000 * MILLISECOND
        self.change(end, "CLOSED", reasons.TWO_MSL_OVER)


_STATES = (
    "CLOSED",
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
)
numbers = st.integers(0, 0xFFFFFFFF)
names = st.text(max_size=150) | st.sampled_from(["client", "server", "服务器" * 30])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Anything that two hosts may tell, sense or not."""
    made = World(draw(numbers), draw(numbers), (draw(names), draw(names)), wire=draw(st.booleans()))
    packets: list[tuple[int, Packet, int]] = []
    for _ in range(draw(st.integers(1, 12))):
        end = draw(st.integers(0, 1))
        made.time += draw(st.sampled_from([0, 1, 10**6, 10**12, 10**30]))
        what = draw(st.sampled_from(["send", "carry", "arrive", "lose", "change", "call"]))
        state = draw(st.sampled_from(("", *_STATES)))
        reason = draw(st.sampled_from(reasons.all_reasons()))
        if what == "call":
            made.call(end, draw(names), draw(st.integers(0, 10**40)))
        elif what == "change":
            made.change(end, state, reason)
        elif what == "carry":
            flags = draw(st.sampled_from([SYN, SYN | ACK, ACK, FIN | ACK]))
            made.carry(end, flags, draw(st.integers(0, 3)), state, "", reason, reason)
        elif what == "send" or not packets:
            blocks = tuple(draw(st.lists(st.tuples(numbers, numbers), max_size=4)))
            options = Options(
                mss=draw(st.none() | st.integers(0, 65535)),
                window_scale=draw(st.none() | st.integers(0, 255)),
                sack_permitted=draw(st.booleans()),
                ts_val=draw(st.none() | numbers),
                ts_ecr=draw(numbers),
                sack=blocks,
            )
            flags, wnd = draw(st.integers(0, 0x1FF)), draw(st.integers(0, 65535))
            packet = made.packet(end, flags, 0, draw(numbers), draw(numbers), options, wnd)
            packets.append((end, packet, made.send(end, packet, state, reason, reason)))
        else:
            end, packet, number = draw(st.sampled_from(packets))
            if what == "lose":
                made.lose(end, packet, number)
            else:
                made.arrive(1 - end, packet, number, state, reason, draw(st.booleans()))
    return made


@pytest.fixture(scope="session")
def world() -> type[World]:
    """The class, so that a test (one of Hypothesis' too) makes a world whenever it needs one."""
    return World


@pytest.fixture(scope="session")
def any_world() -> st.SearchStrategy[World]:
    """Worlds in which anything may be told."""
    return worlds()
