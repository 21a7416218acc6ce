"""From the octets of a captured packet to what it says of a TCP connection.

Only headers are read, and those in few steps: a capture has millions of packets, and most were cut short. The parsers
of `synfin.wire` want whole packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final

from synfin.explain.fragments import Fragments
from synfin.explain.notes import Notes
from synfin.wire import ipv6
from synfin.wire.checksum import ones_complement_sum, partial
from synfin.wire.errors import WireError
from synfin.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP

__all__ = ["DAMAGED", "GOOD", "OFFLOADED", "UNKNOWN", "Dissector", "IcmpSeen", "Seen"]

NULL: Final = 0
ETHERNET: Final = 1
LINUX_COOKED: Final = 113
LINUX_COOKED_2: Final = 276
#: Octets before the IP packet, by the type of the link: BSD's loopback in two byte orders, IP alone in five forms.
_PLAIN: Final[Mapping[int, int]] = MappingProxyType({NULL: 4, 108: 4, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0})
#: Where an EtherType stands, and where the packet begins.
_TYPED: Final[Mapping[int, tuple[int, int]]] = MappingProxyType(
    {ETHERNET: (12, 14), LINUX_COOKED: (14, 16), LINUX_COOKED_2: (0, 20)}
)
_IP_TYPES: Final = frozenset({b"\x08\x00", b"\x86\xdd"})
# IEEE 802.1Q, 802.1ad, and what was used before it.
_VLAN_TYPES: Final = frozenset({b"\x81\x00", b"\x88\xa8", b"\x91\x00"})
_MOST_TAGS: Final = 4

_FRAGMENT_BITS: Final = 0x3FFF

# What the checksum says of a segment.
GOOD: Final = 0
UNKNOWN: Final = 1
OFFLOADED: Final = 2
DAMAGED: Final = 3
# A superpacket has no checksum of its own, and summing up 64 KiB takes time.
_LONGEST_SUM: Final = 9216

_ipv4 = Struct("!BBHHHBBH").unpack_from
_ipv6 = Struct("!IHBB").unpack_from
_tcp = Struct("!IIHHHH").unpack_from


class Seen:
    """A TCP segment that passed: its `number` in the file (from 1), `time` (nanoseconds), and its headers' fields.

    `flow`: both addresses and both ports as they stand in the packet. `seq`, `ack`: 32 bits. `flags`: 9 bits. `wnd`:
    not scaled. `options`: the octets of them that were captured, of `options_length` that there were. `payload`:
    octets of payload, of the whole packet. `identification`: IPv4's, else 0. `place`: whatever tells the places apart
    where it may have been captured. `checksum`: GOOD, UNKNOWN, OFFLOADED or DAMAGED.
    """

    __slots__ = (
        "ack",
        "checksum",
        "ecn",
        "flags",
        "flow",
        "identification",
        "number",
        "options",
        "options_length",
        "payload",
        "place",
        "seq",
        "time",
        "up",
        "wnd",
    )

    def __init__(
        self,
        number: int,
        time: int,
        flow: bytes,
        seq: int,
        ack: int,
        flags: int,
        wnd: int,
        options: bytes,
        options_length: int,
        payload: int,
        up: int = 0,
        identification: int = 0,
        ecn: int = 0,
        place: int = 0,
        checksum: int = UNKNOWN,
    ) -> None:
        self.number = number
        self.time = time
        self.flow = flow
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.wnd = wnd
        self.options = options
        self.options_length = options_length
        self.payload = payload
        self.up = up
        self.identification = identification
        self.ecn = ecn
        self.place = place
        self.checksum = checksum


class IcmpSeen:
    """An ICMP message about a TCP segment: its `sender`, `type` and `code`, and the `flow` of that segment."""

    __slots__ = ("code", "flow", "number", "sender", "time", "type", "version")

    def __init__(self, number: int, time: int, flow: bytes, sender: bytes, type: int, code: int) -> None:
        self.number = number
        self.time = time
        self.flow = flow
        self.sender = sender
        self.version = 4 if len(sender) == 4 else 6
        self.type = type
        self.code = code


class Dissector:
    """Turns records of a capture into what they say; what it cannot read is counted in `notes`."""

    __slots__ = ("_fragments", "_notes")

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._fragments = Fragments(notes)

    def dissect(
        self, number: int, time: int, octets: bytes, original_length: int, link: int, place: int
    ) -> Seen | IcmpSeen | None:
        """What packet `number` says; None if it says nothing of TCP."""
        at = self._packet_at(octets, link)
        if at < 0:
            return None
        size = len(octets)
        if at >= size:
            return None
        if link == LINUX_COOKED:
            # Whether it came or went.
            place = place << 8 | octets[1]
        elif link == LINUX_COOKED_2:
            # The same, and the number of the interface.
            place = place << 40 | int.from_bytes(octets[4:8], "big") << 8 | octets[10]
        try:
            if octets[at] >> 4 == 4:
                return self._ipv4(number, time, octets, at, original_length, place)
            if octets[at] >> 4 == 6:
                return self._ipv6(number, time, octets, at, original_length, place)
        except WireError:
            pass
        self._notes.unreadable.add(number)
        return None

    def _packet_at(self, octets: bytes, link: int) -> int:
        """Where the IP packet begins; -1 if there is none."""
        typed = _TYPED.get(link)
        if typed is None:
            plain = _PLAIN.get(link, -1)
            if plain < 0:
                self._notes.unknown_link(link)
            return plain
        type_at, at = typed
        kind = octets[type_at : type_at + 2]
        tags = 0
        while kind in _VLAN_TYPES and tags < _MOST_TAGS:
            kind = octets[at + 2 : at + 4]
            at += 4
            tags += 1
        return at if kind in _IP_TYPES else -1

    def _ipv4(
        self, number: int, time: int, octets: bytes, at: int, original_length: int, place: int
    ) -> Seen | IcmpSeen | None:
        size = len(octets)
        if size < at + 20:
            self._short(number, octets[at + 9 : at + 10])
            return None
        first, tos, total_length, identification, word, ttl, protocol, _ = _ipv4(octets, at)
        if protocol not in (PROTOCOL_TCP, PROTOCOL_ICMP):
            return None
        header_length = (first & 15) * 4
        # 0 where the network card cuts the packet (Linux's BIG TCP, Windows).
        length = total_length or original_length - at
        if header_length < 20 or length < header_length:
            self._notes.unreadable.add(number)
            return None
        if size < original_length and size < at + length:
            self._notes.snapped += 1
        elif size < at + length:
            # Not the capture's doing.
            self._notes.unreadable.add(number)
            return None
        addresses = octets[at + 12 : at + 20]
        start = at + header_length
        place = place << 8 | ttl
        if word & _FRAGMENT_BITS:
            key = addresses + bytes((protocol,)) + octets[at + 4 : at + 6]
            whole = self._fragments.add(
                key, (word & 0x1FFF) * 8, length - header_length, bool(word & 0x2000), octets[start : start + 60]
            )
            if whole is None or protocol != PROTOCOL_TCP:
                return None
            octets, start, length = whole[0], 0, whole[1] + header_length
        if protocol == PROTOCOL_ICMP:
            return self._icmp(number, time, octets[start:], addresses[:4], 4)
        return self._tcp(number, time, octets, start, length - header_length, addresses, identification, tos & 3, place)

    def _ipv6(
        self, number: int, time: int, octets: bytes, at: int, original_length: int, place: int
    ) -> Seen | IcmpSeen | None:
        size = len(octets)
        if size < at + 40:
            self._short(number, octets[at + 6 : at + 7])
            return None
        word, length, protocol, hop_limit = _ipv6(octets, at)
        length = length or original_length - at - 40
        addresses = octets[at + 8 : at + 40]
        start = at + 40
        if size < original_length and size < start + length:
            self._notes.snapped += 1
        elif size < start + length:
            self._notes.unreadable.add(number)
            return None
        place = place << 8 | hop_limit
        if ipv6.is_extension(protocol):
            chain = ipv6.walk(memoryview(octets)[: start + length], protocol, start)
            protocol = chain.protocol
            length -= chain.end - start
            start = chain.end
            if chain.is_fragment:
                key = addresses + chain.identification.to_bytes(4, "big")
                whole = self._fragments.add(
                    key, chain.fragment_offset, length, chain.more_fragments, octets[start : start + 60], protocol
                )
                if whole is None or whole[2] != PROTOCOL_TCP:
                    return None
                octets, start, length, protocol = whole[0], 0, whole[1], PROTOCOL_TCP
        if protocol == PROTOCOL_ICMPV6:
            return self._icmp(number, time, octets[start:], addresses[:16], 6)
        if protocol != PROTOCOL_TCP:
            return None
        return self._tcp(number, time, octets, start, length, addresses, 0, word >> 20 & 3, place)

    def _short(self, number: int, protocol: bytes) -> None:
        if not protocol or protocol[0] == PROTOCOL_TCP:
            self._notes.cut_short.add(number)

    def _tcp(
        self,
        number: int,
        time: int,
        octets: bytes,
        at: int,
        length: int,
        addresses: bytes,
        identification: int,
        ecn: int,
        place: int,
    ) -> Seen | None:
        size = len(octets)
        if size < at + 20:
            if length < 20:
                self._notes.unreadable.add(number)
            else:
                self._notes.cut_short.add(number)
            return None
        seq, ack, word, wnd, _, up = _tcp(octets, at + 4)
        header_length = word >> 10 & 0x3C
        if header_length < 20 or header_length > length:
            self._notes.unreadable.add(number)
            return None
        end = at + length
        checksum = UNKNOWN
        if end <= size and length <= _LONGEST_SUM:
            # RFC 9293 §3.1, with the pseudo-header
            total = int.from_bytes(octets[at:end], "big")
            if length & 1:
                total <<= 8
            if (total + int.from_bytes(addresses, "big") + PROTOCOL_TCP + length) % 65535 == 0:
                checksum = GOOD
            else:
                checksum = _wrong(octets[at + 16 : at + 18], addresses, length)
        return Seen(
            number,
            time,
            addresses + octets[at : at + 4],
            seq,
            ack,
            word & 0x1FF,
            wnd,
            octets[at + 20 : at + header_length] if header_length > 20 else b"",
            header_length - 20,
            length - header_length,
            up,
            identification,
            ecn,
            place,
            checksum,
        )

    def _icmp(self, number: int, time: int, octets: bytes, sender: bytes, version: int) -> IcmpSeen | None:
        """RFC 792, RFC 4443: an error quotes the beginning of the packet that it is about."""
        if len(octets) < 8:
            return None
        type, code = octets[0], octets[1]
        quote = octets[8:]
        if version == 4:
            if type not in (3, 11, 12) or len(quote) < 20 or quote[9] != PROTOCOL_TCP:
                return None
            at = (quote[0] & 15) * 4
            addresses = quote[12:20]
        else:
            if type > 4 or len(quote) < 40 or quote[6] != PROTOCOL_TCP:
                return None
            at = 40
            addresses = quote[8:40]
        ports = quote[at : at + 4]
        return IcmpSeen(number, time, addresses + ports, sender, type, code) if len(ports) == 4 else None


def _wrong(field: bytes, addresses: bytes, length: int) -> int:
    """A checksum that is wrong: whether it is only half of one, for the network card to complete."""
    pseudo = ones_complement_sum(addresses) + PROTOCOL_TCP
    if int.from_bytes(field, "big") in (0, partial(pseudo + length), partial(pseudo)):
        return OFFLOADED
    return DAMAGED
