"""Packets with other addresses, ports or TTL, made from a given one, which stays as it is."""

from __future__ import annotations

from typing import Final, TypeAlias

from synfin.wire import icmp
from synfin.wire.checksum import ones_complement_sum
from synfin.wire.icmp import PROTOCOL_ICMP, IcmpMessage
from synfin.wire.ip import PROTOCOL_TCP, Packet, Payload
from synfin.wire.tcp import Segment

#: An address in octets and a port, or the identifier of an ICMP query in its place.
Endpoint: TypeAlias = tuple[bytes, int]

ECHOES: Final = (icmp.ECHO_REQUEST, icmp.ECHO_REPLY)

_IPV4_CHECKSUM: Final = 10
_TCP_CHECKSUM: Final = 16
_ICMP_CHECKSUM: Final = 2
_ICMP_IDENTIFIER: Final = 4


def with_ttl(packet: Packet, ttl: int) -> Packet:
    """The packet with another TTL (or hop limit)."""
    return _copy(packet, packet.source, packet.destination, packet.payload, ttl)


def with_payload(packet: Packet, payload: Payload) -> Packet:
    """The packet with another payload."""
    return _copy(packet, packet.source, packet.destination, payload, packet.ttl)


def _copy(packet: Packet, source: bytes, destination: bytes, payload: Payload, ttl: int) -> Packet:
    return Packet(
        source,
        destination,
        packet.protocol,
        payload,
        ttl,
        packet.traffic_class,
        packet.flow_label,
        packet.identification,
        packet.dont_fragment,
        packet.more_fragments,
        packet.fragment_offset,
        packet.extension,
    )


def with_source(packet: Packet, end: Endpoint) -> Packet:
    """The packet as if `end` had sent it: a TCP segment's port changes too, and the identifier of an echo."""
    address, port = end
    return _copy(packet, address, packet.destination, _payload_from(packet.payload, port), packet.ttl)


def _payload_from(payload: Payload, port: int) -> Payload:
    if isinstance(payload, Segment):
        return _segment(payload, port, payload.destination_port)
    if isinstance(payload, IcmpMessage) and payload.type in ECHOES:
        return _echo(payload, port)
    return payload


def with_destination(packet: Packet, end: Endpoint) -> Packet:
    """The packet as if it had been sent to `end`; see `with_source`."""
    address, port = end
    payload = packet.payload
    if isinstance(payload, Segment):
        payload = _segment(payload, payload.source_port, port)
    elif isinstance(payload, IcmpMessage) and payload.type in ECHOES:
        payload = _echo(payload, port)
    return _copy(packet, packet.source, address, payload, packet.ttl)


def _segment(segment: Segment, source_port: int, destination_port: int) -> Segment:
    return Segment(
        source_port,
        destination_port,
        segment.seq,
        segment.ack,
        segment.flags,
        segment.wnd,
        segment.options,
        segment.payload,
        segment.segment_size,
        segment.up,
        segment.payload_length,
        segment.reserved,
    )


def _echo(message: IcmpMessage, identifier: int) -> IcmpMessage:
    return IcmpMessage(message.type, message.code, identifier << 16 | message.sequence, message.body)


def quoted_echo(body: bytes | memoryview) -> int:
    """The identifier of the echo that an ICMP error for IPv4 quotes; -1 if it quotes none."""
    if len(body) < 20 or body[9] != PROTOCOL_ICMP:
        return -1
    at = (body[0] & 15) * 4
    if at < 20 or len(body) < at + 8 or body[at] not in ECHOES:
        return -1
    return int.from_bytes(body[at + 4 : at + 6], "big")


def quote_with(body: bytes | memoryview, old: Endpoint, new: Endpoint, source: bool) -> bytes:
    """What an ICMP error for IPv4 quotes, with its source (or else its destination) changed from `old` to `new`.

    The checksums in the quote that cover what changes are adjusted, not made anew (RFC 5508 §4.2), so that one that
    was wrong stays wrong. `body` was read by `parse_quoted`.
    """
    quote = bytearray(body)
    at = (quote[0] & 15) * 4
    address = 12 if source else 16
    quote[address : address + 4] = new[0]
    _adjust(quote, _IPV4_CHECKSUM, old[0], new[0])
    old_port = old[1].to_bytes(2, "big")
    new_port = new[1].to_bytes(2, "big")
    if quote[9] == PROTOCOL_TCP:
        port = at + (0 if source else 2)
        quote[port : port + 2] = new_port
        _adjust(quote, at + _TCP_CHECKSUM, old[0] + old_port, new[0] + new_port)
    elif quote[9] == PROTOCOL_ICMP:
        quote[at + _ICMP_IDENTIFIER : at + _ICMP_IDENTIFIER + 2] = new_port
        _adjust(quote, at + _ICMP_CHECKSUM, old_port, new_port)
    return bytes(quote)


def _adjust(data: bytearray, at: int, old: bytes, new: bytes) -> None:
    """Adjusts the checksum at `at`, if it is not cut off, to `new` in the place of `old` (RFC 1624 §3, equation 3)."""
    if len(data) < at + 2:
        return
    checksum = int.from_bytes(data[at : at + 2], "big")
    total = (checksum ^ 0xFFFF) + (ones_complement_sum(old) ^ 0xFFFF) + ones_complement_sum(new)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    data[at : at + 2] = (total ^ 0xFFFF).to_bytes(2, "big")
