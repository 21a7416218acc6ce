"""The trace: typed events, each with its reason.

Everything that synfin shows (ladders, tables, pictures, words) is made from these events alone. They are built
only where a :class:`Tracer` is attached; without one the stack spends nothing on them.

Times are integer nanoseconds of the clock that drives the host. A *flow* names a connection as seen in packets
that arrive at the host: remote address, local address, remote port, local port, in network order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.wire.ip import Packet


class Event:
    """Something that happened at `time` (nanoseconds) on the host, or wire, called `host`."""

    __slots__ = ("host", "time")

    def __init__(self, time: int, host: str) -> None:
        self.time = time
        self.host = host

    def __repr__(self) -> str:
        names = [name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ())]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in sorted(names))})"


class ConnectionEvent(Event):
    """An event of one connection, which `flow` names."""

    __slots__ = ("flow",)

    def __init__(self, time: int, host: str, flow: bytes) -> None:
        super().__init__(time, host)
        self.flow = flow


class UserCalled(ConnectionEvent):
    """The user made a call of RFC 9293 §3.9.1: `call` is its name, `octets` how much it moved (0 if none)."""

    __slots__ = ("call", "octets")

    def __init__(self, time: int, host: str, flow: bytes, call: str, octets: int) -> None:
        super().__init__(time, host, flow)
        self.call = call
        self.octets = octets


class StateChanged(ConnectionEvent):
    """A transition of the table in `synfin.tcp.states`; `old` and `new` are the RFC's names of the states."""

    __slots__ = ("new", "old", "reason")

    def __init__(self, time: int, host: str, flow: bytes, old: str, new: str, reason: Reason) -> None:
        super().__init__(time, host, flow)
        self.old = old
        self.new = new
        self.reason = reason


class SegmentEvent(ConnectionEvent):
    """A TCP segment, in its `packet`, met this host. `state` is the connection's state after it did."""

    __slots__ = ("packet", "reason", "state")

    def __init__(self, time: int, host: str, flow: bytes, packet: Packet, state: str, reason: Reason) -> None:
        super().__init__(time, host, flow)
        self.packet = packet
        self.state = state
        self.reason = reason


class SegmentSent(SegmentEvent):
    """The host handed a segment to its link."""

    __slots__ = ()


class SegmentReceived(SegmentEvent):
    """A segment arrived and was accepted, at least in part."""

    __slots__ = ()


class SegmentDropped(SegmentEvent):
    """A segment arrived and nothing of it was used (an answer may have been sent all the same)."""

    __slots__ = ()


class TimerStarted(ConnectionEvent):
    """A timer was set: `timer` is its name, `deadline` the time at which it will expire."""

    __slots__ = ("deadline", "timer")

    def __init__(self, time: int, host: str, flow: bytes, timer: str, deadline: int) -> None:
        super().__init__(time, host, flow)
        self.timer = timer
        self.deadline = deadline


class TimerStopped(ConnectionEvent):
    """A timer was stopped before its deadline."""

    __slots__ = ("timer",)

    def __init__(self, time: int, host: str, flow: bytes, timer: str) -> None:
        super().__init__(time, host, flow)
        self.timer = timer


class TimerExpired(ConnectionEvent):
    """A timer's deadline came, and the connection acted on it."""

    __slots__ = ("timer",)

    def __init__(self, time: int, host: str, flow: bytes, timer: str) -> None:
        super().__init__(time, host, flow)
        self.timer = timer


class CongestionChanged(ConnectionEvent):
    """The sender's guess at the path changed: `cwnd`, `ssthresh` and `flight` in octets. `flight` is what the sender
    believes to be in the network (the pipe of RFC 6675 §2): not what was sacked, nor what is marked lost."""

    __slots__ = ("cwnd", "flight", "reason", "ssthresh")

    def __init__(
        self, time: int, host: str, flow: bytes, cwnd: int, ssthresh: int, flight: int, reason: Reason
    ) -> None:
        super().__init__(time, host, flow)
        self.cwnd = cwnd
        self.ssthresh = ssthresh
        self.flight = flight
        self.reason = reason


class WindowChanged(ConnectionEvent):
    """The peer's offered window changed: `snd_una` (wrapped) and `snd_wnd` in octets."""

    __slots__ = ("snd_una", "snd_wnd")

    def __init__(self, time: int, host: str, flow: bytes, snd_una: int, snd_wnd: int) -> None:
        super().__init__(time, host, flow)
        self.snd_una = snd_una
        self.snd_wnd = snd_wnd


class RoundTripMeasured(ConnectionEvent):
    """A round-trip time was measured (RFC 6298 §2); all values in nanoseconds."""

    __slots__ = ("rto", "rtt", "rttvar", "srtt")

    def __init__(self, time: int, host: str, flow: bytes, rtt: int, srtt: int, rttvar: int, rto: int) -> None:
        super().__init__(time, host, flow)
        self.rtt = rtt
        self.srtt = srtt
        self.rttvar = rttvar
        self.rto = rto


class PacingChanged(ConnectionEvent):
    """The rate at which data are paced changed: `rate` in octets a second."""

    __slots__ = ("rate",)

    def __init__(self, time: int, host: str, flow: bytes, rate: int) -> None:
        super().__init__(time, host, flow)
        self.rate = rate


class PacketEvent(Event):
    """Something that a wire did to a packet. `number` is the packet's number on that wire, from 1; a duplicate
    made by the wire has the number of its original."""

    __slots__ = ("number", "packet")

    def __init__(self, time: int, host: str, number: int, packet: Packet) -> None:
        super().__init__(time, host)
        self.number = number
        self.packet = packet


class PacketTransmitted(PacketEvent):
    """The host put a packet on the wire."""

    __slots__ = ()


class PacketDelivered(PacketEvent):
    """The wire handed a packet to the host. `packet` is the very object that the host's own events carry."""

    __slots__ = ()


class PacketLost(PacketEvent):
    """The wire lost the packet that the host had sent, for `reason`."""

    __slots__ = ("reason",)

    def __init__(self, time: int, host: str, number: int, packet: Packet, reason: Reason) -> None:
        super().__init__(time, host, number, packet)
        self.reason = reason


Sink: TypeAlias = Callable[[Event], None]


class Tracer:
    """Turns what a host tells into events that bear the host's name, and hands them to `sink`."""

    __slots__ = ("host", "sink")

    def __init__(self, host: str, sink: Sink) -> None:
        self.host = host
        self.sink = sink

    def user_called(self, time: int, flow: bytes, call: str, octets: int = 0) -> None:
        self.sink(UserCalled(time, self.host, flow, call, octets))

    def state_changed(self, time: int, flow: bytes, old: str, new: str, reason: Reason) -> None:
        self.sink(StateChanged(time, self.host, flow, old, new, reason))

    def segment_sent(self, time: int, flow: bytes, packet: Packet, state: str, reason: Reason) -> None:
        self.sink(SegmentSent(time, self.host, flow, packet, state, reason))

    def segment_received(self, time: int, flow: bytes, packet: Packet, state: str, reason: Reason) -> None:
        self.sink(SegmentReceived(time, self.host, flow, packet, state, reason))

    def segment_dropped(self, time: int, flow: bytes, packet: Packet, state: str, reason: Reason) -> None:
        self.sink(SegmentDropped(time, self.host, flow, packet, state, reason))

    def timer_started(self, time: int, flow: bytes, timer: str, deadline: int) -> None:
        self.sink(TimerStarted(time, self.host, flow, timer, deadline))

    def timer_stopped(self, time: int, flow: bytes, timer: str) -> None:
        self.sink(TimerStopped(time, self.host, flow, timer))

    def timer_expired(self, time: int, flow: bytes, timer: str) -> None:
        self.sink(TimerExpired(time, self.host, flow, timer))

    def congestion_changed(self, time: int, flow: bytes, cwnd: int, ssthresh: int, flight: int, reason: Reason) -> None:
        self.sink(CongestionChanged(time, self.host, flow, cwnd, ssthresh, flight, reason))

    def window_changed(self, time: int, flow: bytes, snd_una: int, snd_wnd: int) -> None:
        self.sink(WindowChanged(time, self.host, flow, snd_una, snd_wnd))

    def round_trip_measured(self, time: int, flow: bytes, rtt: int, srtt: int, rttvar: int, rto: int) -> None:
        self.sink(RoundTripMeasured(time, self.host, flow, rtt, srtt, rttvar, rto))

    def pacing_changed(self, time: int, flow: bytes, rate: int) -> None:
        self.sink(PacingChanged(time, self.host, flow, rate))

    def packet_transmitted(self, time: int, number: int, packet: Packet) -> None:
        self.sink(PacketTransmitted(time, self.host, number, packet))

    def packet_delivered(self, time: int, number: int, packet: Packet) -> None:
        self.sink(PacketDelivered(time, self.host, number, packet))

    def packet_lost(self, time: int, number: int, packet: Packet, reason: Reason) -> None:
        self.sink(PacketLost(time, self.host, number, packet, reason))
