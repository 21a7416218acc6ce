"""A script in the making: what happened to a connection becomes events, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from shlex import quote
from types import MappingProxyType
from typing import Final

from synfin.drill.bench import tcp_options
from synfin.drill.bench.numbers import signed
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
from synfin.drill.recording.happenings import Called, Happening, Seen, segment_of
from synfin.wire.ip import IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, octets
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, RST, SYN, URG

#: What the first timestamp of the host under test is called.
FIRST_TIMESTAMP: Final = 100
_MICROSECOND: Final = 1000
_LISTENER: Final = 3
_ACCEPTED: Final = 4
#: Headers of IP and TCP without options, by the length of an address.
_HEADERS: Final = {4: 40, 16: 60}
_NOWHERE: Final = Place(1, 1)


def script_of(
    happenings: Many[Happening],
    name: str,
    sysctls: Mapping[str, str] = MappingProxyType({}),
    bursts: bool = True,
) -> Script:
    """The script of what happened to one connection, in its order. `bursts`: whether its end sent superpackets, or may
    have. Raises ValueError if its SYN is not there."""
    first = next((each for each in happenings if isinstance(each, Seen)), None)
    if first is None or segment_of(first).flags & (SYN | ACK) != SYN:
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
        return not aborted and any(segment_of(each).flags & RST for each in resets)

    # --- packets

    def seen(self, each: Seen) -> None:
        packet = each.packet
        segment = segment_of(each)
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
