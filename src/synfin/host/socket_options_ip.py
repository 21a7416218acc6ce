"""Options of levels IPPROTO_IP and IPPROTO_IPV6.

An IPv6 socket takes both: those of IPv4 concern it while its connection is one of IPv4 (mapped addresses).
"""

from __future__ import annotations

import sys
from errno import EINVAL, ENOPROTOOPT, ENOTCONN
from types import MappingProxyType
from typing import Final, Literal

from synfin.host import path_reports
from synfin.host import socket_option_numbers as numbers
from synfin.host.host import Host
from synfin.host.sockets import Socket
from synfin.tcp.errors import os_error
from synfin.tcp.settings import PMTUDISC_WANT
from synfin.wire.ip import MAX_IPV4_LENGTH

BYTE_ORDER: Final[Literal["little", "big"]] = sys.byteorder
INT: Final = 4
IP: Final = numbers.IPPROTO_IP
IPV6: Final = numbers.IPPROTO_IPV6

#: The greatest value of IP_MTU_DISCOVER (`synfin.host.path_mtu`).
_MOST_DISCOVER: Final = 5
#: RFC 3168 §5: the two bits of the octet that are not the user's.
_ECN: Final = 3
#: RFC 8200 §5
_LEAST_MTU: Final = 1280
#: Values until they are set; -1 stands for the host's.
_DEFAULTS: Final = MappingProxyType(
    {
        (IP, numbers.IP_TTL): -1,
        (IPV6, numbers.IPV6_UNICAST_HOPS): -1,
        (IPV6, numbers.IPV6_AUTOFLOWLABEL): 1,
    }
)
_IP_FLAGS: Final = frozenset(
    {numbers.IP_RECVERR, numbers.IP_FREEBIND, numbers.IP_TRANSPARENT, numbers.IP_BIND_ADDRESS_NO_PORT}
)
#: Those of which Linux wants at least one octet.
_IP_NOT_EMPTY: Final = frozenset({numbers.IP_TTL, numbers.IP_FREEBIND, numbers.IP_TRANSPARENT})
_IPV6_FLAGS: Final = frozenset(
    {
        numbers.IPV6_RECVERR,
        numbers.IPV6_AUTOFLOWLABEL,
        numbers.IPV6_FLOWINFO_SEND,
        numbers.IPV6_TRANSPARENT,
        numbers.IPV6_FREEBIND,
    }
)


def _option(sock: Socket, level: int, name: int) -> int:
    return sock.values.others.get((level, name), _DEFAULTS.get((level, name), 0))


def apply_ip(host: Host, sock: Socket, over_ipv6: bool) -> None:
    """Lets the options of one version of IP, the one that the socket speaks now, hold for its connection."""
    settings = sock.settings
    mtu_discover = _mtu_discover(host, sock, over_ipv6)
    settings.mtu_discover = mtu_discover
    if over_ipv6:
        settings.traffic_class = _option(sock, IPV6, numbers.IPV6_TCLASS)
        settings.ttl = _option(sock, IPV6, numbers.IPV6_UNICAST_HOPS)
        settings.report_errors = _option(sock, IPV6, numbers.IPV6_RECVERR) != 0
        settings.flow_label = -1 if _option(sock, IPV6, numbers.IPV6_AUTOFLOWLABEL) else 0
    else:
        settings.traffic_class = _option(sock, IP, numbers.IP_TOS)
        settings.ttl = _option(sock, IP, numbers.IP_TTL)
        settings.report_errors = _option(sock, IP, numbers.IP_RECVERR) != 0


def _mtu_discover(host: Host, sock: Socket, over_ipv6: bool) -> int:
    if over_ipv6:
        return sock.values.others.get((IPV6, numbers.IPV6_MTU_DISCOVER), PMTUDISC_WANT)
    return host.transport.path_mtus.mtu_discover(sock.values.others.get((IP, numbers.IP_MTU_DISCOVER), -1))


def _apply(host: Host, sock: Socket, now: int) -> None:
    """After a change: what was set holds from the next packet on."""
    apply_ip(host, sock, sock.over_ipv6)
    if sock.connection is not None:
        path_reports.discover_path_mtu(host.transport, sock.connection, sock.settings.mtu_discover, now)


def set_ip(host: Host, sock: Socket, name: int, octets: bytes, now: int) -> None:
    """Sets an option of IPv4; a short value is one octet, as Linux has it. Raises OSError: ENOPROTOOPT, EINVAL."""
    size = INT if len(octets) >= INT else 1
    value = int.from_bytes(octets[:size], BYTE_ORDER, signed=size == INT)
    values = sock.values
    if not octets and name in _IP_NOT_EMPTY:
        raise os_error(EINVAL)
    if name == numbers.IP_TOS:
        # RFC 3168 §5: ECN is TCP's.
        value = value & 0xFF & ~_ECN
    elif name == numbers.IP_TTL:
        if value != -1 and not 1 <= value <= 255:
            raise os_error(EINVAL)
    elif name == numbers.IP_MTU_DISCOVER:
        if not 0 <= value <= _MOST_DISCOVER:
            raise os_error(EINVAL)
    elif name == numbers.IP_LOCAL_PORT_RANGE:
        if len(octets) != INT:
            raise os_error(EINVAL)
        low, high = value & 0xFFFF, value >> 16 & 0xFFFF
        if low and high and low > high:
            raise os_error(EINVAL)
        values.local_ports = (low, high)
    elif name in _IP_FLAGS:
        value = int(value != 0)
    else:
        raise os_error(ENOPROTOOPT)
    values.others[IP, name] = value
    values.no_port_at_bind = _option(sock, IP, numbers.IP_BIND_ADDRESS_NO_PORT) != 0
    if name in (numbers.IP_FREEBIND, numbers.IP_TRANSPARENT):
        # One bit for both versions.
        values.others[IPV6, _OF_IPV6[name]] = value
    _note_freebind(sock)
    _apply(host, sock, now)


_OF_IPV6: Final = MappingProxyType(
    {numbers.IP_FREEBIND: numbers.IPV6_FREEBIND, numbers.IP_TRANSPARENT: numbers.IPV6_TRANSPARENT}
)
_OF_IPV4: Final = MappingProxyType({other: name for name, other in _OF_IPV6.items()})


def _note_freebind(sock: Socket) -> None:
    sock.values.freebind = bool(_option(sock, IP, numbers.IP_FREEBIND) or _option(sock, IP, numbers.IP_TRANSPARENT))


def set_ipv6(host: Host, sock: Socket, name: int, octets: bytes, now: int) -> None:
    """Sets an option of IPv6. Raises OSError: ENOPROTOOPT, EINVAL."""
    value = int.from_bytes(octets[:INT], BYTE_ORDER, signed=True) if len(octets) >= INT else 0
    short = len(octets) < INT
    values = sock.values
    wrong = short
    if name == numbers.IPV6_V6ONLY:
        if short or sock.port:
            raise os_error(EINVAL)
        values.ipv6_only = value != 0
        return
    if name == numbers.IPV6_UNICAST_HOPS:
        wrong |= not -1 <= value <= 255
    elif name == numbers.IPV6_TCLASS:
        wrong |= not -1 <= value <= 255
        value = max(value, 0) & ~_ECN
    elif name == numbers.IPV6_MTU_DISCOVER:
        wrong |= not 0 <= value <= _MOST_DISCOVER
    elif name == numbers.IPV6_MTU:
        wrong |= value != 0 and value < _LEAST_MTU
    elif name in _IPV6_FLAGS:
        value = int(value != 0)
        # Linux takes what is too short for 0 here.
        wrong &= name != numbers.IPV6_AUTOFLOWLABEL
    else:
        raise os_error(ENOPROTOOPT)
    if wrong:
        raise os_error(EINVAL)
    values.others[IPV6, name] = value
    if name in _OF_IPV4:
        values.others[IP, _OF_IPV4[name]] = value
    _note_freebind(sock)
    _apply(host, sock, now)


def get_ip(host: Host, sock: Socket, name: int, now: int) -> bytes:
    """The value of an option of IPv4. Raises OSError: ENOPROTOOPT; ENOTCONN for IP_MTU without a connection."""
    if name == numbers.IP_MTU:
        return _int(_path_mtu(host, sock, now))
    if name == numbers.IP_LOCAL_PORT_RANGE:
        low, high = sock.values.local_ports
        return (high << 16 | low).to_bytes(INT, BYTE_ORDER)
    if name not in _IP_FLAGS and name not in (numbers.IP_TOS, numbers.IP_TTL, numbers.IP_MTU_DISCOVER):
        raise os_error(ENOPROTOOPT)
    value = _option(sock, IP, name)
    if name == numbers.IP_MTU_DISCOVER:
        value = _mtu_discover(host, sock, over_ipv6=False)
    if name == numbers.IP_TTL and value < 0:
        value = host.parameters.ip_default_ttl
    return _int(value)


def get_ipv6(host: Host, sock: Socket, name: int, now: int) -> bytes:
    """The value of an option of IPv6. Raises OSError: ENOPROTOOPT; ENOTCONN for IPV6_MTU without a connection."""
    if name == numbers.IPV6_MTU:
        return _int(_path_mtu(host, sock, now))
    if name == numbers.IPV6_V6ONLY:
        return _int(sock.values.ipv6_only)
    if name not in _IPV6_FLAGS and name not in (
        numbers.IPV6_UNICAST_HOPS,
        numbers.IPV6_TCLASS,
        numbers.IPV6_MTU_DISCOVER,
    ):
        raise os_error(ENOPROTOOPT)
    value = _option(sock, IPV6, name)
    if name == numbers.IPV6_MTU_DISCOVER:
        value = _mtu_discover(host, sock, over_ipv6=True)
    if name == numbers.IPV6_UNICAST_HOPS and value < 0:
        value = host.parameters.ip_default_ttl
    return _int(value)


def _path_mtu(host: Host, sock: Socket, now: int) -> int:
    connection = sock.connection
    if connection is None:
        raise os_error(ENOTCONN)
    transport = host.transport
    address = connection.identity.remote_address
    first = transport.first_mtu(transport.interfaces[connection.via], address)
    mtu = transport.path_mtus.get(address, first, now)
    return min(mtu, MAX_IPV4_LENGTH) if len(address) == 4 else mtu


def _int(value: int) -> bytes:
    return value.to_bytes(INT, BYTE_ORDER, signed=True)
