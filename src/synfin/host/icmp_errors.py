"""ICMP errors as hosts and routers make them (RFC 1122 §3.2.2, RFC 1812 §4.3.2, RFC 4443 §2.4)."""

from __future__ import annotations

from typing import Final

from synfin.host import addresses
from synfin.wire import icmp
from synfin.wire.icmp import PROTOCOL_ICMP, PROTOCOL_ICMPV6, IcmpMessage
from synfin.wire.ip import Packet, octets

#: RFC 1812 §4.3.2.3: as much of the packet as fits an ICMP error of so many octets in all.
ERROR_LENGTH_IPV4: Final = 576
#: RFC 4443 §2.4 (c): no longer than the least MTU of IPv6.
ERROR_LENGTH_IPV6: Final = 1280
#: RFC 1812 §4.3.2.5: precedence 6, internetwork control.
ERROR_TOS: Final = 0xC0

_HEADERS_IPV4: Final = 28
_HEADERS_IPV6: Final = 48
_ERRORS_IPV4: Final = (
    icmp.DESTINATION_UNREACHABLE,
    icmp.SOURCE_QUENCH,
    icmp.REDIRECT,
    icmp.TIME_EXCEEDED,
    icmp.PARAMETER_PROBLEM,
)
_SECOND: Final = 1_000_000_000


def is_error(packet: Packet) -> bool:
    """Whether `packet` carries an ICMP error, or a redirect."""
    payload = packet.payload
    if packet.protocol != (PROTOCOL_ICMP if packet.version == 4 else PROTOCOL_ICMPV6):
        return False
    if isinstance(payload, IcmpMessage):
        kind = payload.type
    elif isinstance(payload, (bytes, memoryview)) and packet.fragment_offset == 0 and len(payload) > 0:
        kind = payload[0]
    else:
        return False
    if packet.protocol == PROTOCOL_ICMP:
        return kind in _ERRORS_IPV4
    # RFC 4443 §2.1: errors have the high-order bit clear.
    return kind < 128 or kind == icmp.V6_REDIRECT


def may_be_reported(packet: Packet) -> bool:
    """Whether an ICMP error may be sent about `packet`.

    RFC 1122 §3.2.2, RFC 1812 §4.3.2.7, RFC 4443 §2.4 (e): none about an ICMP error, about a packet that is not from
    or not to a single host, nor about a fragment other than the first. The one exception, a packet too big towards
    an IPv6 multicast address, is not made.
    """
    return (
        addresses.is_unicast(packet.source)
        and not addresses.is_loopback(packet.source)
        and addresses.is_unicast(packet.destination)
        and packet.fragment_offset == 0
        and not is_error(packet)
    )


def error(about: Packet, kind: int, code: int, source: bytes, ttl: int, parameter: int = 0) -> Packet:
    """The ICMP error of type `kind` about a packet, from `source` to its sender.

    `kind` and `code` are those of the packet's version; `parameter` the 32 bits behind the checksum, such as the MTU
    of the next hop. The packet is quoted as it is now. See `may_be_reported`.
    """
    if about.version == 4:
        quoted = octets(about)[: ERROR_LENGTH_IPV4 - _HEADERS_IPV4]
        protocol = PROTOCOL_ICMP
        traffic_class = ERROR_TOS
    else:
        quoted = octets(about)[: ERROR_LENGTH_IPV6 - _HEADERS_IPV6]
        protocol = PROTOCOL_ICMPV6
        traffic_class = 0
    message = IcmpMessage(kind, code, parameter, quoted)
    return Packet(
        source,
        about.source,
        protocol,
        message,
        ttl=ttl,
        traffic_class=traffic_class,
        dont_fragment=about.version == 6,
    )


class Problem:
    """Something in a packet's IP header that cannot be worked with. `code`: that of the parameter problem to be sent;
    `pointer`: where in the packet, in octets."""

    __slots__ = ("code", "pointer")

    def __init__(self, code: int, pointer: int) -> None:
        self.code = code
        self.pointer = pointer

    def __repr__(self) -> str:
        return f"Problem({self.code}, {self.pointer})"


class RateLimit:
    """A bucket of tokens that bounds what a machine sends on its own account (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).

    `rate` tokens a second come in, of which `burst` can wait. The defaults are Linux's icmp_msgs_burst and, with a
    tenth of its size, icmp_msgs_per_sec.
    """

    __slots__ = ("_credit", "_updated", "burst", "rate")

    def __init__(self, rate: int = 1000, burst: int = 50) -> None:
        self.rate = rate
        self.burst = burst
        # In tokens times nanoseconds in a second, so that nothing is rounded.
        self._credit = burst * _SECOND
        self._updated = 0

    def allows(self, now: int) -> bool:
        """Takes a token at `now` (nanoseconds). False: there is none, and the message is not to be sent."""
        self._credit = min(self._credit + (now - self._updated) * self.rate, self.burst * _SECOND)
        self._updated = now
        if self._credit < _SECOND:
            return False
        self._credit -= _SECOND
        return True
