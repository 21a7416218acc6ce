"""IPv4 options and IPv6 extension headers of packets that have arrived where they wanted to go: what cannot be
skipped (RFC 791 §3.1, RFC 1122 §3.2.1.8, RFC 8200 §4)."""

from __future__ import annotations

from typing import Final

from synfin.host.icmp_errors import Problem
from synfin.wire import icmp, ipv6
from synfin.wire.ip import IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH, Packet

#: The most options in one header, as Linux has it (net.ipv6.max_dst_opts_number, net.ipv6.max_hbh_opts_number).
MAX_OPTIONS: Final = 8
#: The most octets of padding between two options: no more are ever needed to align one.
MAX_PADDING: Final = 7

_PAD_1: Final = 0
_PAD_N: Final = 1
_END_OF_OPTIONS: Final = 0
_NO_OPERATION: Final = 1

#: To be dropped, and nothing said.
SILENT: Final = Problem(-1, 0)


def find_problem(packet: Packet) -> Problem | None:
    """What in the options or extension headers of `packet`, which is for this host, forbids to go on; None if nothing.

    `SILENT` asks for no report.
    """
    if len(packet.source) == 4:
        return _ipv4_options(packet.extension)
    for at, end in ipv6.places(packet.extension):
        kind = packet.extension[at]
        problem = None
        if kind in (ipv6.HOP_BY_HOP, ipv6.DESTINATION_OPTIONS):
            problem = _ipv6_options(packet.extension, at + 2, end)
        elif kind == ipv6.ROUTING and packet.extension[at + 3]:
            # RFC 8200 §4.4; RFC 5095 §3 for the one type that RFC 2460 knew.
            problem = Problem(icmp.V6_ERRONEOUS_HEADER, IPV6_HEADER_LENGTH + at + 2)
        if problem is not None:
            return problem
    return None


def unrecognized(packet: Packet) -> Problem:
    """The report of an IPv6 packet whose upper layer is not known: it points to the field that names it."""
    places = ipv6.places(packet.extension)
    # RFC 4443 §3.4: the Next Header of the last extension header, or of the IPv6 header.
    pointer = IPV6_HEADER_LENGTH + places[-1][0] if places else 6
    return Problem(icmp.V6_UNRECOGNIZED_NEXT_HEADER, pointer)


def misplaced_hop_by_hop(octets: memoryview) -> tuple[Packet, Problem] | None:
    """Why an IPv6 packet could not be read, if that is a hop-by-hop header other than first: RFC 8200 §4.1 wants it
    reported like an unknown one. The packet returned is good for nothing but to be quoted."""
    named_at = 6
    at = IPV6_HEADER_LENGTH
    end = at + int.from_bytes(octets[4:6], "big")
    for _ in range(ipv6.MAX_EXTENSION_HEADERS):
        if at > end:
            return None
        kind = octets[named_at]
        if kind == ipv6.HOP_BY_HOP and at > IPV6_HEADER_LENGTH:
            word = int.from_bytes(octets[:4], "big")
            packet = Packet(
                bytes(octets[8:24]),
                bytes(octets[24:40]),
                octets[6],
                octets[IPV6_HEADER_LENGTH:end],
                octets[7],
                word >> 20 & 0xFF,
                word & 0xFFFFF,
            )
            return packet, Problem(icmp.V6_UNRECOGNIZED_NEXT_HEADER, named_at)
        if not ipv6.is_extension(kind) or at + 8 > end:
            return None
        named_at = at
        at += 8 if kind == ipv6.FRAGMENT else 8 * (octets[at + 1] + 1)
    return None


def _ipv4_options(options: bytes) -> Problem | None:
    at = 0
    size = len(options)
    while at < size and options[at] != _END_OF_OPTIONS:
        if options[at] == _NO_OPERATION:
            at += 1
            continue
        length = options[at + 1] if at + 1 < size else 0
        if length < 2 or at + length > size:
            # RFC 1122 §3.2.2.5
            return Problem(0, IPV4_HEADER_LENGTH + at)
        at += length
    return None


def _ipv6_options(octets: bytes, at: int, end: int) -> Problem | None:
    count = padding = 0
    while at < end:
        kind = octets[at]
        if kind == _PAD_1:
            padding += 1
            at += 1
        else:
            length = octets[at + 1] + 2 if at + 1 < end else 0
            if length == 0 or at + length > end:
                return SILENT
            if kind == _PAD_N:
                padding += length
            else:
                padding = 0
                count += 1
                # RFC 8200 §4.2: the two highest bits of a kind that is not known say what to do. None is known here.
                action = kind >> 6
                if action == 1:
                    return SILENT
                if action:
                    return Problem(icmp.V6_UNRECOGNIZED_OPTION, IPV6_HEADER_LENGTH + at)
            at += length
        if padding > MAX_PADDING or count > MAX_OPTIONS:
            return SILENT
    return None
