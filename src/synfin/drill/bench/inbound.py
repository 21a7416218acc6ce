"""What the script sends into the host: its segments and ICMP messages as packets of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from synfin.drill.bench import tcp_options
from synfin.drill.bench.numbers import Numbers
from synfin.drill.language.script import IcmpPacket, IpFields, TcpOption, TcpPacket
from synfin.drill.options import Settings
from synfin.drill.outcome import Skipped
from synfin.host.addresses import packed
from synfin.wire import icmp
from synfin.wire.icmp import IcmpMessage
from synfin.wire.ip import (
    ECT_0,
    IPV4_HEADER_LENGTH,
    IPV6_HEADER_LENGTH,
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_TCP,
    Packet,
    octets,
)
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, SYN, Segment

#: The TTL of what the other end sends, unless the script says so.
TTL: Final = 255
LONGEST: Final = 60000

_UNREACHABLE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "net_unreachable": icmp.NETWORK_UNREACHABLE,
        "host_unreachable": icmp.HOST_UNREACHABLE,
        "protocol_unreachable": icmp.PROTOCOL_UNREACHABLE,
        "port_unreachable": icmp.PORT_UNREACHABLE,
        "net": icmp.NETWORK_UNREACHABLE,
        "host": icmp.HOST_UNREACHABLE,
        "protocol": icmp.PROTOCOL_UNREACHABLE,
        "port": icmp.PORT_UNREACHABLE,
        "frag_needed": icmp.FRAGMENTATION_NEEDED,
        "source_route_failed": icmp.SOURCE_ROUTE_FAILED,
        "net_unknown": icmp.NETWORK_UNKNOWN,
        "host_unknown": icmp.HOST_UNKNOWN,
        "source_host_isolated": icmp.SOURCE_HOST_ISOLATED,
        "net_prohibited": icmp.NETWORK_PROHIBITED,
        "host_prohibited": icmp.HOST_PROHIBITED,
        "net_unreachable_for_tos": icmp.NETWORK_UNREACHABLE_FOR_SERVICE,
        "host_unreachable_for_tos": icmp.HOST_UNREACHABLE_FOR_SERVICE,
        "packet_filtered": icmp.COMMUNICATION_PROHIBITED,
        "precedence_violation": icmp.HOST_PRECEDENCE_VIOLATION,
        "precedence_cutoff": icmp.PRECEDENCE_CUTOFF,
    }
)
_EXCEEDED: Final[Mapping[str, int]] = MappingProxyType(
    {"": icmp.HOP_LIMIT_EXCEEDED, "ttl": icmp.HOP_LIMIT_EXCEEDED, "frag_time": icmp.REASSEMBLY_TIME_EXCEEDED}
)
_NOTHING: Final[Mapping[str, int]] = MappingProxyType({"": 0})
_IPV4: Final[Mapping[str, tuple[int, Mapping[str, int]]]] = MappingProxyType(
    {
        "unreachable": (icmp.DESTINATION_UNREACHABLE, _UNREACHABLE),
        "time_exceeded": (icmp.TIME_EXCEEDED, _EXCEEDED),
        "parameter_problem": (icmp.PARAMETER_PROBLEM, _NOTHING),
        "source_quench": (icmp.SOURCE_QUENCH, _NOTHING),
        "redirect": (
            icmp.REDIRECT,
            MappingProxyType({"": 1, "net": 0, "host": 1, "tos_net": 2, "tos_host": 3}),
        ),
    }
)
_IPV6: Final[Mapping[str, tuple[int, Mapping[str, int]]]] = MappingProxyType(
    {
        "unreachable": (
            icmp.V6_DESTINATION_UNREACHABLE,
            MappingProxyType(
                {
                    "no_route": icmp.V6_NO_ROUTE,
                    "admin_prohibited": icmp.V6_PROHIBITED,
                    "not_neighbour": icmp.V6_BEYOND_SCOPE,
                    "address_unreachable": icmp.V6_ADDRESS_UNREACHABLE,
                    "port_unreachable": icmp.V6_PORT_UNREACHABLE,
                }
            ),
        ),
        "packet_too_big": (icmp.V6_PACKET_TOO_BIG, _NOTHING),
        "time_exceeded": (icmp.V6_TIME_EXCEEDED, _EXCEEDED),
        "parameter_problem": (
            icmp.V6_PARAMETER_PROBLEM,
            MappingProxyType({"": 0, "hdr_field": 0, "unk_nexthdr": 1, "unk_option": 2}),
        ),
    }
)


#: IPv4's errors in IPv6, as a translator has them (RFC 7915 §4.2): one script tells of both.
_TRANSLATED: Final[Mapping[int, tuple[int, int]]] = MappingProxyType(
    {
        **dict.fromkeys(_UNREACHABLE.values(), (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_NO_ROUTE)),
        icmp.PROTOCOL_UNREACHABLE: (icmp.V6_PARAMETER_PROBLEM, icmp.V6_UNRECOGNIZED_NEXT_HEADER),
        icmp.PORT_UNREACHABLE: (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PORT_UNREACHABLE),
        icmp.FRAGMENTATION_NEEDED: (icmp.V6_PACKET_TOO_BIG, 0),
        icmp.NETWORK_PROHIBITED: (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PROHIBITED),
        icmp.HOST_PROHIBITED: (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PROHIBITED),
        icmp.COMMUNICATION_PROHIBITED: (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PROHIBITED),
        icmp.PRECEDENCE_CUTOFF: (icmp.V6_DESTINATION_UNREACHABLE, icmp.V6_PROHIBITED),
    }
)
#: The header of IPv6 is so much longer (RFC 7915 §4.2 adds it to a reported MTU).
_LONGER: Final = IPV6_HEADER_LENGTH - IPV4_HEADER_LENGTH


def tcp_packet(script: TcpPacket, numbers: Numbers, settings: Settings) -> tuple[bytes, int]:
    """The octets of a segment, and the size of the segments that it stands for (0: of itself alone)."""
    sequence = script.sequence
    assert sequence.start is not None
    if sequence.length > LONGEST:
        raise Skipped(f"an inbound segment of {sequence.length} octets; {LONGEST} are the most")
    seq = sequence.start + (numbers.offset if sequence.absolute or script.flags & SYN else numbers.theirs)
    ack = script.ack or 0
    if script.ack is not None and not script.ack_absolute and script.flags & ACK:
        ack += numbers.ours
    options = tcp_options.encode(_live_options(script.options or (), numbers, settings), numbers.ours)
    segment = Segment(
        numbers.remote[1],
        numbers.local[1],
        wrap(seq),
        wrap(ack),
        script.flags,
        script.window or 0,
        options,
        (bytes(sequence.length),) if sequence.length else (),
        0,
        script.urgent or 0,
    )
    packet = _packet(script.ip, numbers.remote[0], numbers.local[0], PROTOCOL_TCP, segment)
    return octets(packet), settings.mss if 0 < settings.mss < sequence.length else 0


def _live_options(options: tuple[TcpOption, ...], numbers: Numbers, settings: Settings) -> list[TcpOption]:
    return [
        replace(option, numbers=(option.numbers[0], numbers.live_ecr(option.numbers[1], settings.ecr_scaled)))
        if option.name == "TS" and not option.absolute
        else option
        for option in options
    ]


def icmp_packet(script: IcmpPacket, numbers: Numbers) -> bytes:
    """The octets of a message about a segment that the host sent. Raises Skipped for a type that there is not."""
    version_6 = len(numbers.local[0]) == 16
    kinds = _IPV6 if version_6 else _IPV4
    version = "IPv6" if version_6 else "IPv4"
    if version_6 and script.kind == "unreachable" and script.code not in kinds["unreachable"][1]:
        return _translated(script, numbers)
    if script.kind not in kinds:
        raise Skipped(f"ICMP '{script.kind}' is not one of {version}")
    if script.identifier is not None:
        raise Skipped("ICMP with an id is not about TCP")
    kind, codes = kinds[script.kind]
    if (script.code or "") not in codes:
        raise Skipped(f"ICMP '{script.kind} {script.code or ''}' is not one of {version}")
    message = IcmpMessage(kind, codes[script.code or ""], script.mtu or 0, _quote(script, numbers))
    protocol = PROTOCOL_ICMPV6 if version_6 else PROTOCOL_ICMP
    return octets(_packet(script.ip, numbers.remote[0], numbers.local[0], protocol, message))


def _translated(script: IcmpPacket, numbers: Numbers) -> bytes:
    """An error of IPv4 as one of IPv6. Raises Skipped where there is none."""
    code = _UNREACHABLE.get(script.code or "")
    if code is None or code == icmp.HOST_PRECEDENCE_VIOLATION:
        raise Skipped(f"ICMP 'unreachable {script.code or ''}' is not one of IPv6")
    kind, code = _TRANSLATED[code]
    mtu = (script.mtu or 0) + _LONGER if kind == icmp.V6_PACKET_TOO_BIG else 0
    message = IcmpMessage(kind, code, mtu, _quote(script, numbers))
    return octets(_packet(script.ip, numbers.remote[0], numbers.local[0], PROTOCOL_ICMPV6, message))


def _quote(script: IcmpPacket, numbers: Numbers) -> bytes:
    """The head of the packet that the message is about, with the length that it had."""
    quoted = script.quoted
    start = quoted.start or 0 if quoted is not None else 0
    seq = start if quoted is not None and quoted.absolute else start + numbers.ours
    length = quoted.length if quoted is not None else 0
    segment = Segment(
        numbers.local[1], numbers.remote[1], wrap(seq), 0, ACK, 0, payload=(bytes(length),) if length else ()
    )
    whole = octets(Packet(numbers.local[0], numbers.remote[0], PROTOCOL_TCP, segment))
    # RFC 792: the IP header and 8 octets; here the whole TCP header.
    return whole[: len(whole) - length]


def _packet(ip: IpFields, source: bytes, destination: bytes, protocol: int, payload: Segment | IcmpMessage) -> Packet:
    traffic_class = ip.traffic_class or 0
    if ip.dscp is not None:
        traffic_class = ip.dscp << 2 | traffic_class & 3
    if ip.ecn is not None:
        traffic_class = traffic_class & ~3 | (ECT_0 if ip.ecn < 0 else ip.ecn)
    return Packet(
        source,
        destination,
        protocol,
        payload,
        TTL if ip.ttl is None else ip.ttl,
        traffic_class,
        ip.flow_label or 0,
    )


def addresses(settings: Settings) -> tuple[bytes, bytes]:
    """The host's address and the other end's, as octets."""
    return packed(settings.local_ip), packed(settings.remote_ip)
