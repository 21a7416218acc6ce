"""The chain of IPv6 extension headers (RFC 8200 §4).

A header names the kind of the one behind it. A chain as kept in `Packet.extension` is turned round: the first octet
of each header names its own kind. So a chain stands for itself, can be cut and joined, and has the length that it has
on the wire. Of a fragment header only the reserved bits are kept there: the packet has fields for the rest.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from synfin.wire.checksum import Buffer
from synfin.wire.errors import IPV6_EXTENSION, WireError

HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
DESTINATION_OPTIONS: Final = 60
NO_NEXT_HEADER: Final = 59

FRAGMENT_HEADER_LENGTH: Final = 8
# No sensible sender needs more: RFC 8200 §4.1 lists five kinds, of which one may come twice.
MAX_EXTENSION_HEADERS: Final = 8

_RESERVED: Final = 6  # the two reserved bits beside the M flag

_fragment_header = Struct("!BBHI")


class Chain:
    """What walking a chain found.

    `protocol`: the upper layer's. `end`: where it starts. `headers`: where each header starts, and its kind.
    `fragment_at`: where the fragment header starts, -1 without one; `fragment_offset` in octets.
    """

    __slots__ = ("end", "fragment_at", "fragment_offset", "headers", "identification", "more_fragments", "protocol")

    def __init__(self, protocol: int, end: int) -> None:
        self.protocol = protocol
        self.end = end
        self.headers: list[tuple[int, int]] = []
        self.fragment_at = -1
        self.fragment_offset = 0
        self.more_fragments = False
        self.identification = 0

    @property
    def is_fragment(self) -> bool:
        """Whether octets of the packet are elsewhere: false for an atomic fragment (RFC 6946)."""
        return self.more_fragments or self.fragment_offset != 0


def is_extension(kind: int) -> bool:
    """Tell whether this kind is one that is walked over; AH and ESP are not."""
    return kind in (HOP_BY_HOP, DESTINATION_OPTIONS, FRAGMENT, ROUTING)


def walk(data: Buffer, kind: int, start: int) -> Chain:
    """Follow the chain that starts at `start` with a header of `kind`, as far as a fragment header of a fragment.

    Raises WireError ("ipv6-extension") if a header runs past `data`, if there are more than 8, if a hop-by-hop
    header is not the first or a second fragment header appears.
    """
    chain = Chain(kind, start)
    size = len(data)
    at = start
    while is_extension(kind):
        if len(chain.headers) == MAX_EXTENSION_HEADERS:
            raise WireError(IPV6_EXTENSION, f"more than {MAX_EXTENSION_HEADERS} headers")
        if kind == HOP_BY_HOP and at != start:
            raise WireError(IPV6_EXTENSION, "a hop-by-hop header that is not the first")
        if at + 8 > size:
            raise WireError(IPV6_EXTENSION, f"header {kind} is cut short")
        if kind == FRAGMENT:
            if chain.fragment_at >= 0:
                raise WireError(IPV6_EXTENSION, "a second fragment header")
            following, _, word, chain.identification = _fragment_header.unpack_from(data, at)
            chain.fragment_at = at
            chain.fragment_offset = word & 0xFFF8
            chain.more_fragments = bool(word & 1)
            end = at + FRAGMENT_HEADER_LENGTH
        else:
            following = data[at]
            end = at + 8 * (data[at + 1] + 1)
            if end > size:
                raise WireError(IPV6_EXTENSION, f"header {kind} runs past the packet")
        chain.headers.append((at, kind))
        kind = following
        at = end
        if chain.is_fragment:
            break
    chain.protocol = kind
    chain.end = at
    return chain


def from_wire(data: memoryview, chain: Chain, start: int) -> bytes:
    """Return the chain's octets, each header naming its own kind; of a fragment header the reserved bits stay."""
    octets = bytearray(data[start : chain.end])
    for at, kind in chain.headers:
        octets[at - start] = kind
    if chain.fragment_at >= 0:
        at = chain.fragment_at - start
        octets[at + 2] = 0
        octets[at + 3] &= _RESERVED
        octets[at + 4 : at + 8] = bytes(4)
    return bytes(octets)


def places(extension: bytes) -> list[tuple[int, int]]:
    """Return where each header of a chain in its kept form starts and ends; raises ValueError if it is malformed."""
    found: list[tuple[int, int]] = []
    at = 0
    size = len(extension)
    while at < size:
        if at + 8 > size or not is_extension(extension[at]):
            raise ValueError("extension: not a chain of IPv6 extension headers")
        end = at + (FRAGMENT_HEADER_LENGTH if extension[at] == FRAGMENT else 8 * (extension[at + 1] + 1))
        found.append((at, end))
        at = end
    if at != size:
        raise ValueError("extension: the last IPv6 extension header runs past the end")
    return found


def has_fragment_header(extension: bytes) -> bool:
    """Tell whether a chain in its kept form has a fragment header."""
    return any(extension[at] == FRAGMENT for at, _ in places(extension))


def without_fragment_header(extension: bytes) -> bytes:
    """Return a chain in its kept form without its fragment header."""
    return b"".join([extension[at:end] for at, end in places(extension) if extension[at] != FRAGMENT])


def to_wire(
    extension: bytes, protocol: int, fragment_offset: int, more_fragments: bool, identification: int
) -> tuple[int, bytes]:
    """Return the kind of the first header and the chain's octets as they are sent.

    The fragment header gets these values; if there is none and these are a fragment's, one is added at the end.
    Raises ValueError if `extension` is not a chain.
    """
    if (fragment_offset or more_fragments) and not has_fragment_header(extension):
        extension += bytes((FRAGMENT, 0, 0, 0, 0, 0, 0, 0))
    octets = bytearray(extension)
    headers = places(extension)
    for index, (at, _) in enumerate(headers):
        following = extension[headers[index + 1][0]] if index + 1 < len(headers) else protocol
        if extension[at] == FRAGMENT:
            word = fragment_offset | extension[at + 3] & _RESERVED | more_fragments
            _fragment_header.pack_into(octets, at, following, extension[at + 1], word, identification)
        else:
            octets[at] = following
    return (extension[0] if extension else protocol), bytes(octets)
