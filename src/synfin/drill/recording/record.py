"""Connections written down as scripts: from the trace of a host, or from a capture.

A script tells one end's side. What that end sent is expected, what it received is sent to it, and what its user did
becomes socket calls. Initial sequence numbers are 0 there and its timestamps begin at `FIRST_TIMESTAMP`; payloads are
zeros; ports are the script's default ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from shlex import quote
from types import MappingProxyType
from typing import Final, TypeAlias

from synfin.drill.bench import tcp_options
from synfin.drill.bench.numbers import reverse_flow, signed
from synfin.drill.language.script import (
    Action,
    Anything,
    Array,
    Call,
    Command,
    Either,
    Event,
    Expression,
    IpFields,
    Number,
    Option,
    Place,
    Script,
    Sequence,
    Structure,
    TcpOption,
    TcpPacket,
    When,
    Word,
)
from synfin.events import Event as TraceEvent
from synfin.events import SegmentDropped, SegmentReceived, SegmentSent, UserCalled
from synfin.host.parameters import Parameters, text
from synfin.host.profiles import parameters as profile_parameters
from synfin.link.segmentation import cut
from synfin.wire.ip import IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, Packet, octets
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, URG, Segment

#: What the first timestamp of the host under test is called.
FIRST_TIMESTAMP: Final = 100
_MICROSECOND: Final = 1000
_LISTENER: Final = 3
_ACCEPTED: Final = 4
#: Headers of IP and TCP without options, by the length of an address.
_HEADERS: Final = {4: 40, 16: 60}
_NOWHERE: Final = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet of the connection: when (nanoseconds), and whether it arrived at the host under test."""

    time: int
    inbound: bool
    packet: Packet


@dataclass(frozen=True, slots=True)
class Called:
    """A call of the user's, under RFC 9293's name (§3.10), and how many octets it moved."""

    time: int
    call: str
    octets: int = 0


Happening: TypeAlias = "Seen | Called"


def sysctls_of(parameters: Parameters) -> dict[str, str]:
    """What a script must set so that a host with `linux-suite`, the profile of scripts, has these parameters."""
    usual = profile_parameters("linux-suite")
    values = {name: text(parameters.get(name)) for name in parameters.names()}
    return {name: value for name, value in values.items() if value != text(usual.get(name))}


def record_trace(
    events: Iterable[TraceEvent],
    host: str,
    flow: bytes,
    name: str = "recorded",
    sysctls: Mapping[str, str] = MappingProxyType({}),
) -> Script:
    """The script of a connection of `host`, which `flow` names, from the events of a trace.

    `sysctls` are set at its head; `sysctls_of` tells those of a host. Options of the user's socket are not in a
    trace, nor ICMP messages. Raises ValueError if its beginning is not there.
    """
    found: list[Happening] = []
    bursts = False
    for event in events:
        if event.host != host or getattr(event, "flow", None) != flow:
            continue
        if isinstance(event, SegmentSent):
            parts = cut(event.packet)
            bursts = bursts or len(parts) > 1
            found += [Seen(event.time, False, part) for part in parts]
        elif isinstance(event, SegmentReceived | SegmentDropped):
            found.append(Seen(event.time, True, event.packet))
        elif isinstance(event, UserCalled):
            found.append(Called(event.time, event.call, event.octets))
    return script_of(found, name, sysctls, bursts)


def record_packets(
    packets: Iterable[tuple[int, Packet]],
    flow: bytes,
    name: str = "recorded",
    sysctls: Mapping[str, str] = MappingProxyType({}),
) -> Script:
    """The script of a connection from its packets and their times in nanoseconds.

    `flow` names it as the end does whose side is told: remote address, local address, and the ports alike. The calls
    are guessed: what was sent was written just before, what arrived was read at once, and a FIN was asked for just
    before it left. Raises ValueError if the beginning of the connection is not there.
    """
    found: list[Happening] = []
    for time, packet in packets:
        if not isinstance(packet.payload, Segment):
            continue
        if reverse_flow(packet) == flow:
            found += [Seen(time, False, part) for part in cut(packet)]
        elif flow_of(packet) == flow:
            found.append(Seen(time, True, packet))
    return script_of(_with_calls(found), name, sysctls)


def flow_of(packet: Packet) -> bytes:
    """The flow of a TCP packet, as the host at which it arrives names it."""
    segment = packet.payload
    assert isinstance(segment, Segment)
    ports = segment.source_port.to_bytes(2, "big") + segment.destination_port.to_bytes(2, "big")
    return packet.source + packet.destination + ports


def _segment(seen: Seen) -> Segment:
    segment = seen.packet.payload
    assert isinstance(segment, Segment)
    return segment


# --- calls that are guessed


def _with_calls(seen: list[Happening]) -> list[Happening]:
    found: list[Happening] = []
    written = read = None
    for place, each in enumerate(seen):
        assert isinstance(each, Seen)
        segment = _segment(each)
        end = wrap(segment.seq + segment.payload_length)
        if each.inbound:
            found.append(each)
            if segment.flags & SYN:
                read = wrap(segment.seq + 1)
            elif read is not None and segment.payload_length:
                filled = _filled(seen, place, read)
                if filled:
                    found.append(Called(each.time, "RECEIVE", filled))
                    read = wrap(read + filled)
            continue
        if segment.flags & SYN:
            found.append(Called(each.time, "OPEN"))
            written = wrap(segment.seq + 1)
        elif written is not None and signed(wrap(end - written)) > 0:
            size = _burst(seen[place:], written)
            found.append(Called(each.time, "SEND", size))
            written = wrap(written + size)
        if segment.flags & FIN and written is not None and signed(wrap(end - written)) == 0:
            found.append(Called(each.time, "CLOSE"))
            written = wrap(end + 1)
        found.append(each)
    return found


def _burst(following: Many[Happening], written: int) -> int:
    """How many new octets leave from here on until one says that the user's are at their end, or something arrives."""
    end = written
    for each in following:
        assert isinstance(each, Seen)
        if each.inbound:
            break
        segment = _segment(each)
        last = wrap(segment.seq + segment.payload_length)
        if signed(wrap(last - end)) > 0:
            end = last
        if segment.flags & (PSH | FIN):
            break
    return wrap(end - written)


def _filled(seen: Many[Happening], place: int, read: int) -> int:
    """How many octets in order there are to read, behind `read`, once the packet at `place` arrived."""
    arrived = []
    for each in seen[: place + 1]:
        assert isinstance(each, Seen)
        segment = _segment(each)
        if each.inbound and segment.payload_length and not segment.flags & (SYN | RST):
            start = signed(wrap(segment.seq - read))
            arrived.append((start, start + segment.payload_length))
    end = 0
    for start, stop in sorted(arrived):
        if start <= end:
            end = max(end, stop)
    return end


# --- the script


def script_of(
    happenings: Many[Happening],
    name: str,
    sysctls: Mapping[str, str] = MappingProxyType({}),
    bursts: bool = True,
) -> Script:
    """The script of what happened to one connection, in its order. `bursts`: whether its end sent superpackets, or may
    have. Raises ValueError if its SYN is not there."""
    first = next((each for each in happenings if isinstance(each, Seen)), None)
    if first is None or _segment(first).flags & (SYN | ACK) != SYN:
        raise ValueError("the beginning of the connection is not there")
    return _Writer(first, happenings).script(name, sysctls, bursts)


class _Writer:
    """A script in the making: `time` is that of the event before."""

    def __init__(self, first: Seen, happenings: Many[Happening]) -> None:
        self.happenings = happenings
        self.passive = first.inbound
        #: The descriptor of the connection.
        self.descriptor = _ACCEPTED if self.passive else _LISTENER
        self.accepted = not self.passive
        self.local_isn: int | None = None
        self.remote_isn: int | None = None
        self.first_timestamp: int | None = None
        self.time = self.rounded(happenings[0].time)
        self.events: list[Event] = []
        self.mss = 0
        self.address_length = len(first.packet.source)
        self.advertised = 0
        self.closed = False

    @staticmethod
    def rounded(time: int) -> int:
        return (time + _MICROSECOND // 2) // _MICROSECOND * _MICROSECOND

    def add(self, time: int, action: Action) -> None:
        time = self.rounded(time)
        when = When(max(time - self.time, 0), relative=True)
        self.events.append(Event(when, action, _NOWHERE, ""))
        self.time = max(self.time, time)

    def call(
        self, time: int, name: str, arguments: Many[Expression], result: int = 0, errno: str | None = None
    ) -> None:
        self.add(time, Call(name, tuple(arguments), Number(result), errno))

    def script(self, name: str, sysctls: Mapping[str, str], bursts: bool) -> Script:
        start = self.happenings[0].time
        any_address = Anything()
        tcp = (any_address, Word("SOCK_STREAM"), Word("IPPROTO_TCP"))
        self.call(start, "socket", tcp, _LISTENER)
        if self.passive:
            self.call(start, "bind", (Number(_LISTENER), any_address, any_address))
            self.call(start, "listen", (Number(_LISTENER), Number(1)))
        else:
            nonblocking = Either((Word("O_RDWR"), Word("O_NONBLOCK")))
            self.call(start, "fcntl", (Number(_LISTENER), Word("F_SETFL"), nonblocking))
        for place, each in enumerate(self.happenings):
            if isinstance(each, Seen):
                self.seen(each)
            else:
                self.called(each, place)
        options = [Option("ip_version", "ipv4" if self.address_length == 4 else "ipv6", _NOWHERE)]
        if self.advertised:
            # RFC 9293 §3.7.1: the MSS that a host offers is the MTU of its link without the headers.
            options.append(Option("mtu", str(self.advertised + _HEADERS[self.address_length]), _NOWHERE))
        if self.mss:
            options.append(Option("mss", str(self.mss), _NOWHERE))
        commands = [f"sysctl -q {parameter}={quote(value)}" for parameter, value in sysctls.items()]
        if not bursts:
            commands.append("ethtool -K tun0 tso off gso off")
        prologue = Command("\n".join(commands)) if commands else None
        return Script(name, tuple(options), prologue, tuple(self.events), None)

    # --- calls

    def called(self, each: Called, place: int) -> None:
        descriptor = Number(self.descriptor)
        if each.call == "OPEN" and not self.passive and self.local_isn is None:
            self.call(each.time, "connect", (descriptor, Anything(), Anything()), -1, "EINPROGRESS")
        elif each.call == "SEND":
            self.call(each.time, "write", (descriptor, Anything(), Number(each.octets)), each.octets)
        elif each.call == "RECEIVE" and each.octets:
            self.call(each.time, "read", (descriptor, Anything(), Number(each.octets)), each.octets)
        elif each.call == "CLOSE" and not self.closed:
            self.closed = True
            if self.resets_data(place):
                self.call(each.time, "close", (descriptor,))
            else:
                self.call(each.time, "shutdown", (descriptor, Word("SHUT_WR")))
        elif each.call == "ABORT":
            linger = Array((Structure((("onoff", Number(1)), ("linger", Number(0)))),))
            option = (descriptor, Word("SOL_SOCKET"), Word("SO_LINGER"), linger.items[0], Number(8))
            self.call(each.time, "setsockopt", option)
            self.call(each.time, "close", (descriptor,))

    def resets_data(self, place: int) -> bool:
        """Whether the host sent a RST behind this place: then nobody was there to read any more."""
        following = self.happenings[place:]
        aborted = any(isinstance(each, Called) and each.call == "ABORT" for each in following)
        resets = (each for each in following if isinstance(each, Seen) and not each.inbound)
        return not aborted and any(_segment(each).flags & RST for each in resets)

    # --- packets

    def seen(self, each: Seen) -> None:
        packet = each.packet
        segment = _segment(each)
        syn = bool(segment.flags & SYN)
        if syn and each.inbound:
            self.remote_isn = segment.seq
        elif syn:
            self.local_isn = segment.seq
        if each.inbound and 0 < segment.segment_size < segment.payload_length:
            self.mss = segment.segment_size
        ours, theirs = self.local_isn or 0, self.remote_isn or 0
        start = 0 if syn else signed(wrap(segment.seq - (theirs if each.inbound else ours)))
        length = segment.payload_length
        options = self.options(each, ours if each.inbound else theirs)
        ack = None
        if segment.flags & ACK:
            ack = signed(wrap(segment.ack - (ours if each.inbound else theirs)))
        scripted = TcpPacket(
            each.inbound,
            segment.flags,
            Sequence(start, start + length, length),
            IpFields(packet.ecn or None),
            ack=ack,
            window=segment.wnd if each.inbound else None,
            urgent=segment.up if segment.flags & URG else None,
            options=options or None,
        )
        self.add(each.time, scripted)
        if each.inbound and not syn and not self.accepted and segment.flags & ACK and self.local_isn is not None:
            self.accepted = True
            self.call(each.time, "accept", (Number(_LISTENER), Anything(), Anything()), self.descriptor)

    def options(self, each: Seen, sack_base: int) -> tuple[TcpOption, ...]:
        whole = octets(each.packet)
        at = IPV4_HEADER_LENGTH if len(each.packet.source) == 4 else IPV6_HEADER_LENGTH
        at += len(each.packet.extension)
        decoded = tcp_options.decode(whole[at + 20 : at + (whole[at + 12] >> 4) * 4], sack_base)
        return tuple(self.option(option, each.inbound) for option in decoded)

    def option(self, option: TcpOption, inbound: bool) -> TcpOption:
        if option.name == "mss" and not inbound:
            self.advertised = option.numbers[0]
        if option.name != "TS":
            return option
        value, echo = option.numbers
        if inbound:
            return TcpOption("TS", (value, self.timestamp(echo) if echo else 0))
        if self.first_timestamp is None:
            self.first_timestamp = value
        return TcpOption("TS", (self.timestamp(value), echo))

    def timestamp(self, live: int) -> int:
        return live if self.first_timestamp is None else wrap(live - self.first_timestamp + FIRST_TIMESTAMP)
