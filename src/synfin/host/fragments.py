"""Fragments put together again (RFC 791 §3.2, RFC 815, RFC 8200 §4.5, RFC 5722), within bounds of memory and time."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Final

from synfin.host.counters import Counters
from synfin.host.icmp_errors import Problem
from synfin.host.parameters import Parameters
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER
from synfin.wire import icmp, ipv6
from synfin.wire.errors import WireError
from synfin.wire.ip import (
    CE,
    IPV6_HEADER_LENGTH,
    MAX_IPV4_LENGTH,
    NOT_ECT,
    PROTOCOL_ICMPV6,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    Packet,
    reassembled,
)

#: What a fragment costs beside its octets, about: an octet string, a tuple, two numbers, its place in a list.
FRAGMENT_OVERHEAD: Final = 256
#: What a datagram costs beside its fragments, about: the object, the header that is kept, its key and its place.
DATAGRAM_OVERHEAD: Final = 640
#: Where the Payload Length of an IPv6 header stands.
_PAYLOAD_LENGTH_AT: Final = 4
#: Octets of the upper layer's header that a first fragment must have; 1 of any other.
_UPPER_HEADER: Final[Mapping[int, int]] = MappingProxyType(
    {PROTOCOL_TCP: 20, PROTOCOL_UDP: 8, PROTOCOL_ICMPV6: 8, ipv6.NO_NEXT_HEADER: 0}
)


class Datagram:
    """What has arrived of one datagram: disjoint `pieces` (start, end, octets) in order.

    `started`: when the first of them came. `end`: octets of the whole, -1 until the last fragment came. `first`:
    the first fragment, whose headers become the datagram's. `given_up`: what else comes of it is dropped.
    """

    __slots__ = ("charge", "ecn", "end", "first", "given_up", "pieces", "received", "started")

    def __init__(self, now: int) -> None:
        self.started = now
        self.charge = DATAGRAM_OVERHEAD
        self.pieces: list[tuple[int, int, bytes]] = []
        self.received = 0
        self.end = -1
        self.first: Packet | None = None
        # A bit for each value of the ECN field that was seen.
        self.ecn = 0
        self.given_up = False


class Fragments:
    """The incomplete datagrams of one IP version at one host, the oldest first.

    When their memory is used up, the oldest makes room. Linux refuses new datagrams instead; then a trickle of
    fragments that are never completed (4 MiB in 30 s) keeps everybody else out for good. With this rule even a
    flood leaves each datagram the time in which the flood fills the whole memory.
    """

    __slots__ = ("_counters", "_datagrams", "_name", "_parameters", "_version", "charge")

    def __init__(self, version: int, parameters: Parameters, counters: Counters) -> None:
        self._version = version
        self._name = "Ip" if version == 4 else "Ip6"
        self._parameters = parameters
        self._counters = counters
        self._datagrams: OrderedDict[bytes, Datagram] = OrderedDict()
        #: Octets of memory in use.
        self.charge = 0

    def __len__(self) -> int:
        return len(self._datagrams)

    # --- arrival

    def arrives(self, packet: Packet, now: int) -> Packet | Problem | None:
        """Takes a fragment. Returns the datagram that it completes, or what to report to its sender, or None.

        Raises WireError if what was put together cannot be read.
        """
        self._count("ReasmReqds")
        payload = packet.payload
        start = packet.fragment_offset
        if not isinstance(payload, (bytes, memoryview)):
            self._count("ReasmFails")
            return None
        end = start + len(payload)
        problem = self._problem(packet, payload, end)
        if problem is not None:
            self._count("InHdrErrors")
            return problem
        too_long = packet.header_length + end > MAX_IPV4_LENGTH if self._version == 4 else False
        if end == start or too_long or (packet.more_fragments and end % 8):
            self._count("ReasmFails")
            return None
        key = _key(packet)
        datagram = self._datagrams.get(key)
        if datagram is not None and datagram.given_up:
            return None
        return self._insert(key, datagram, packet, payload, end, now)

    def _problem(self, packet: Packet, payload: bytes | memoryview, end: int) -> Problem | None:
        """What is wrong with the fragment itself and to be reported: RFC 8200 §4.5 wants that for IPv6."""
        if self._version == 4:
            return None
        if packet.more_fragments and len(payload) % 8:
            return Problem(icmp.V6_ERRONEOUS_HEADER, _PAYLOAD_LENGTH_AT)
        header = packet.header_length - ipv6.FRAGMENT_HEADER_LENGTH
        if header - IPV6_HEADER_LENGTH + end > MAX_IPV4_LENGTH:
            return Problem(icmp.V6_ERRONEOUS_HEADER, header + 2)
        # RFC 8200 §4.5, RFC 7112: all headers are in the first fragment.
        if packet.fragment_offset == 0 and not _has_all_headers(packet.protocol, payload):
            return Problem(icmp.V6_INCOMPLETE_HEADER_CHAIN, 0)
        return None

    def _insert(
        self, key: bytes, datagram: Datagram | None, packet: Packet, payload: bytes | memoryview, end: int, now: int
    ) -> Packet | None:
        start = packet.fragment_offset
        cost = len(payload) + FRAGMENT_OVERHEAD + (len(packet.extension) if start == 0 else 0)
        at = 0
        if datagram is None:
            if not self._make_room(key, cost + DATAGRAM_OVERHEAD):
                return None
            datagram = self._datagrams[key] = Datagram(now)
            self.charge += datagram.charge
        else:
            at = bisect_left(datagram.pieces, start, key=itemgetter(0))
            if not self._fits(key, datagram, at, packet, payload, end) or not self._make_room(key, cost):
                return None
        # A copy: a view would keep the whole frame alive in which it came.
        octets = bytes(payload)
        datagram.pieces.insert(at, (start, end, octets))
        datagram.received += len(octets)
        datagram.ecn |= 1 << packet.ecn
        datagram.charge += cost
        self.charge += cost
        if start == 0:
            datagram.first = _first(packet, octets)
        if not packet.more_fragments:
            datagram.end = end
        if datagram.received != datagram.end:
            return None
        return self._complete(key, datagram)

    def _fits(
        self, key: bytes, datagram: Datagram, at: int, packet: Packet, payload: bytes | memoryview, end: int
    ) -> bool:
        """Whether the fragment is new and agrees with the others; if it contradicts them, all are given up."""
        pieces = datagram.pieces
        start = packet.fragment_offset
        following = pieces[at] if at < len(pieces) else None
        if following is not None and following[:2] == (start, end) and following[2] == payload:
            # RFC 8200 §4.5: an exact duplicate, of the network's making, is merely dropped.
            return False
        # RFC 5722 §4; and so for IPv4, as Linux has it: nobody honest makes them.
        if (at > 0 and pieces[at - 1][1] > start) or (following is not None and following[0] < end):
            if self._version == 4:
                self._counters.add("IpExtReasmOverlaps")
            self._give_up(key, datagram)
            return False
        most = self._parameters.ipfrag_max_fragments
        whole = datagram.end
        if packet.more_fragments:
            contradicts = 0 <= whole < end
        else:
            contradicts = whole >= 0 or (len(pieces) > 0 and pieces[-1][1] > end)
        if contradicts or len(pieces) >= most:
            self._give_up(key, datagram)
            return False
        return True

    def _complete(self, key: bytes, datagram: Datagram) -> Packet | None:
        self._remove(key, datagram)
        first = datagram.first
        # RFC 3168 §5.3: one CE makes the whole CE; fragments with and without ECN are not of one datagram.
        mixed = datagram.ecn & 1 << NOT_ECT and datagram.ecn != 1 << NOT_ECT
        if first is None or mixed:
            self._count("ReasmFails")
            return None
        if datagram.ecn & 1 << CE:
            first.traffic_class |= CE
        self._count("ReasmOKs")
        whole = reassembled(first, b"".join([octets for _, _, octets in datagram.pieces]))
        if whole.is_fragment or (self._version == 6 and ipv6.has_fragment_header(whole.extension)):
            # A fragment made of fragments: Linux drops it too.
            self._count("InHdrErrors")
            return None
        return whole

    # --- bounds

    def _make_room(self, key: bytes, cost: int) -> bool:
        """Gives up the oldest datagrams but the one at `key` until `cost` octets fit; that one too if they never do."""
        limit = self._parameters.ipfrag_high_thresh if self._version == 4 else self._parameters.ip6frag_high_thresh
        while self.charge + cost > limit:
            oldest = next((known for known in self._datagrams if known != key), None)
            if oldest is None:
                datagram = self._datagrams.get(key)
                if datagram is not None:
                    self._remove(key, datagram)
                self._count("ReasmFails")
                return False
            self._count("ReasmFails")
            self._remove(oldest, self._datagrams[oldest])
        return True

    def _give_up(self, key: bytes, datagram: Datagram) -> None:
        self._count("ReasmFails")
        if self._version == 4:
            self._remove(key, datagram)
            return
        # RFC 5722 §4: also what has not arrived yet. (An IPv4 identification, of 16 bits, is soon used anew.)
        self.charge -= datagram.charge - DATAGRAM_OVERHEAD
        datagram.charge = DATAGRAM_OVERHEAD
        datagram.pieces.clear()
        datagram.first = None
        datagram.given_up = True

    def _remove(self, key: bytes, datagram: Datagram) -> None:
        del self._datagrams[key]
        self.charge -= datagram.charge

    def _count(self, name: str) -> None:
        self._counters.add(self._name + name)

    # --- time

    def next_deadline(self) -> int:
        """When to call `deadline_reached` (nanoseconds); NEVER if nothing waits."""
        for datagram in self._datagrams.values():
            return datagram.started + self._life()
        return NEVER

    def deadline_reached(self, now: int) -> list[Packet]:
        """Gives up what did not become complete in time. Returns the first fragments, to be reported, of those of
        which it came (RFC 792, RFC 8200 §4.5)."""
        expired = []
        while self._datagrams:
            key, datagram = next(iter(self._datagrams.items()))
            if datagram.started + self._life() > now:
                break
            self._remove(key, datagram)
            if datagram.given_up:
                continue
            self._count("ReasmFails")
            self._count("ReasmTimeout")
            if datagram.first is not None:
                expired.append(datagram.first)
        return expired

    def _life(self) -> int:
        return (self._parameters.ipfrag_time if self._version == 4 else self._parameters.ip6frag_time) * SECOND


def _key(packet: Packet) -> bytes:
    """What fragments of one datagram have in common: RFC 791 §3.2, RFC 8200 §4.5 (which leaves the protocol out)."""
    if len(packet.source) == 4:
        rest = packet.identification << 8 | packet.protocol
        return packet.source + packet.destination + rest.to_bytes(3, "big")
    return packet.source + packet.destination + packet.identification.to_bytes(4, "big")


def _first(packet: Packet, octets: bytes) -> Packet:
    """The first fragment with octets of its own."""
    return Packet(
        packet.source,
        packet.destination,
        packet.protocol,
        octets,
        packet.ttl,
        packet.traffic_class,
        packet.flow_label,
        packet.identification,
        packet.dont_fragment,
        True,
        0,
        packet.extension,
    )


def _has_all_headers(protocol: int, payload: bytes | memoryview) -> bool:
    """Whether a first fragment of IPv6 goes as far as the upper layer's header."""
    try:
        chain = ipv6.walk(payload, protocol, 0)
    except WireError:
        return False
    return chain.end + _UPPER_HEADER.get(chain.protocol, 1) <= len(payload)
