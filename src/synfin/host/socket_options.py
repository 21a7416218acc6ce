"""getsockopt and setsockopt, with Linux's options, bounds and errnos; here those of SOL_SOCKET.

Values are octets, as the calls of C have them: an int stands for a C int in the byte order of the platform. Options of
Linux that are not here give ENOPROTOOPT. SO_DEBUG, SO_DONTROUTE, SO_BROADCAST, SO_PRIORITY and SO_MARK are kept and
have no effect, for nothing here looks at them; the user is a privileged one, for whom the FORCE options work.
"""

from __future__ import annotations

import sys
from errno import EDOM, EINVAL, ENOPROTOOPT, EOPNOTSUPP
from struct import Struct
from typing import Final, Literal

from synfin.host import socket_option_numbers as numbers
from synfin.host import socket_options_ip, socket_options_tcp
from synfin.host.host import Host
from synfin.host.sockets import AF_INET, IPPROTO_TCP, SOCK_STREAM, Socket
from synfin.tcp import changing, states
from synfin.tcp.errors import os_error
from synfin.tcp.pacing import UNLIMITED_RATE
from synfin.tcp.parameters import INT_MAX, SECOND, UINT_MAX

BYTE_ORDER: Final[Literal["little", "big"]] = sys.byteorder
INT: Final = 4
LONG: Final = 8
LINGER: Final = Struct("=ii")
TIMEVAL: Final = Struct("=qq")
MICROSECOND: Final = 1000
#: The least that SO_RCVBUF and SO_SNDBUF give, as Linux has it on 64 bits.
SOCK_MIN_RCVBUF: Final = 2304
SOCK_MIN_SNDBUF: Final = 4608

_FLAGS: Final = frozenset({numbers.SO_DEBUG, numbers.SO_DONTROUTE, numbers.SO_BROADCAST})


def setsockopt(host: Host, sock: Socket, level: int, name: int, value: int | bytes, now: int) -> None:
    """Sets an option. Raises OSError with ENOPROTOOPT for one that there is not (at that level), or that cannot be set;
    EINVAL, EDOM, ENOENT and others for a value that does not fit; OverflowError for an int that does not fit 32 bits.
    """
    sock.check_open()
    if sock.listener is not None:
        # Connections that wait to be accepted keep those of before.
        sock.values = sock.listener.values = sock.values.copy()
    # An unsigned int has the octets of a negative one.
    octets = value.to_bytes(INT, BYTE_ORDER, signed=value < 0) if isinstance(value, int) else bytes(value)
    if level == numbers.SOL_SOCKET:
        _set(host, sock, name, octets, now)
    elif level == numbers.IPPROTO_TCP:
        socket_options_tcp.set_option(host, sock, name, octets, now)
    elif level == numbers.IPPROTO_IP:
        socket_options_ip.set_ip(host, sock, name, octets, now)
    elif level == numbers.IPPROTO_IPV6 and sock.family != AF_INET:
        socket_options_ip.set_ipv6(host, sock, name, octets, now)
    else:
        raise os_error(ENOPROTOOPT)
    if sock.connection is not None and sock.state != states.CLOSED:
        host.transport.settle(sock.connection, now)


def getsockopt(host: Host, sock: Socket, level: int, name: int, now: int, length: int = INT) -> bytes:
    """The value of an option, `length` octets of it at most. Raises OSError with ENOPROTOOPT or EINVAL, ENOTCONN for
    what only a connection knows."""
    sock.check_open()
    if length < 0:
        raise os_error(EINVAL)
    if level == numbers.SOL_SOCKET:
        return _get(host, sock, name, length)[:length]
    if level == numbers.IPPROTO_TCP:
        return socket_options_tcp.get_option(host, sock, name, now, length)
    if level == numbers.IPPROTO_IP:
        octets = socket_options_ip.get_ip(host, sock, name, now)
    elif level == numbers.IPPROTO_IPV6 and sock.family != AF_INET:
        return socket_options_ip.get_ipv6(host, sock, name, now)[:length]
    else:
        raise os_error(EOPNOTSUPP if sock.family == AF_INET else ENOPROTOOPT)
    value = int.from_bytes(octets, BYTE_ORDER, signed=True)
    if 0 < length < INT and 0 <= value <= 255:
        return bytes((value,))
    return octets[:length]


def _set(host: Host, sock: Socket, name: int, octets: bytes, now: int) -> None:
    if len(octets) < INT:
        raise os_error(EINVAL)
    value = int.from_bytes(octets[:INT], BYTE_ORDER, signed=True)
    values, settings, connection = sock.values, sock.settings, sock.connection
    parameters = host.parameters
    if name == numbers.SO_REUSEADDR:
        values.reuse_address = value != 0
        sock.reclaim(host.transport)
    elif name == numbers.SO_REUSEPORT:
        values.reuse_port = value != 0
        sock.reclaim(host.transport)
    elif name in (numbers.SO_SNDBUF, numbers.SO_SNDBUFFORCE):
        size = _buffer(value, parameters.wmem_max, name == numbers.SO_SNDBUFFORCE, SOCK_MIN_SNDBUF)
        settings.snd_buf = size
        if connection is not None:
            changing.set_snd_buf(connection, size, now)
    elif name in (numbers.SO_RCVBUF, numbers.SO_RCVBUFFORCE):
        size = _buffer(value, parameters.rmem_max, name == numbers.SO_RCVBUFFORCE, SOCK_MIN_RCVBUF)
        settings.rcv_buf = size
        if connection is not None:
            changing.set_rcv_buf(connection, size, now)
    elif name == numbers.SO_KEEPALIVE:
        settings.keepalive = value != 0
        if connection is not None:
            changing.set_keepalive(connection, settings.keepalive, now)
    elif name == numbers.SO_OOBINLINE:
        settings.oob_inline = value != 0
    elif name == numbers.SO_LINGER:
        if len(octets) < LINGER.size:
            raise os_error(EINVAL)
        on, seconds = LINGER.unpack_from(octets)
        values.linger = on != 0
        if on:
            values.linger_time = seconds if seconds >= 0 else INT_MAX
    elif name == numbers.SO_RCVLOWAT:
        _set_rcv_lowat(host, sock, value, now)
    elif name in (numbers.SO_RCVTIMEO, numbers.SO_RCVTIMEO_NEW):
        values.rcvtimeo = _duration(octets)
    elif name in (numbers.SO_SNDTIMEO, numbers.SO_SNDTIMEO_NEW):
        values.sndtimeo = _duration(octets)
    elif name == numbers.SO_MAX_PACING_RATE:
        settings.max_pacing_rate = _rate(octets)
        if connection is not None:
            changing.set_max_pacing_rate(connection, settings.max_pacing_rate, now)
    elif name == numbers.SO_PEEK_OFF:
        values.peek_offset = value
    elif name in _FLAGS:
        values.others[numbers.SOL_SOCKET, name] = int(value != 0)
    elif name in (numbers.SO_PRIORITY, numbers.SO_MARK):
        values.others[numbers.SOL_SOCKET, name] = value
    else:
        raise os_error(ENOPROTOOPT)


def _rate(octets: bytes) -> int:
    """A rate in octets a second; the largest unsigned int or long stands for no limit."""
    if len(octets) >= LONG:
        return int.from_bytes(octets[:LONG], BYTE_ORDER)
    value = int.from_bytes(octets[:INT], BYTE_ORDER)
    return UNLIMITED_RATE if value == UINT_MAX else value


def _buffer(value: int, most: int, forced: bool, least: int) -> int:
    """What a buffer becomes: twice what was asked for, for what keeping octets costs besides."""
    # Linux compares without sign: what is negative is too large, unless it is forced.
    value = max(value, 0) if forced else min(value & 0xFFFFFFFF, most)
    return max(2 * min(value, INT_MAX // 2), least)


def _set_rcv_lowat(host: Host, sock: Socket, value: int, now: int) -> None:
    value = INT_MAX if value < 0 else value
    if sock.connection is not None:
        changing.set_rcv_lowat(sock.connection, value, now)
        return
    settings = sock.settings
    most = (settings.rcv_buf or host.parameters.tcp.tcp_rmem[2]) >> 1
    settings.rcv_lowat = max(min(value, most), 1)


def _duration(octets: bytes) -> int:
    """A struct timeval in nanoseconds; 0 stands for no limit, what is negative for none to wait."""
    if len(octets) < TIMEVAL.size:
        raise os_error(EINVAL)
    seconds, microseconds = TIMEVAL.unpack_from(octets)
    if not 0 <= microseconds < 1_000_000:
        raise os_error(EDOM)
    return -1 if seconds < 0 else seconds * SECOND + microseconds * MICROSECOND


def _timeval(duration: int) -> bytes:
    return TIMEVAL.pack(*divmod(max(duration, 0) // MICROSECOND, 1_000_000))


def _get(host: Host, sock: Socket, name: int, length: int) -> bytes:
    values, settings, connection = sock.values, sock.settings, sock.connection
    parameters = host.parameters.tcp
    if name == numbers.SO_LINGER:
        return LINGER.pack(values.linger, values.linger_time)
    if name in (numbers.SO_RCVTIMEO, numbers.SO_RCVTIMEO_NEW):
        return _timeval(values.rcvtimeo)
    if name in (numbers.SO_SNDTIMEO, numbers.SO_SNDTIMEO_NEW):
        return _timeval(values.sndtimeo)
    if name == numbers.SO_ERROR:
        error = sock.take_error()
        if not error and connection is not None:
            error, connection.soft_error = connection.soft_error, 0
        return _int(error)
    if name == numbers.SO_RCVBUF:
        return _int(connection.rcv_buf if connection is not None else settings.rcv_buf or parameters.tcp_rmem[1])
    if name == numbers.SO_SNDBUF:
        return _int(connection.send_limit() if connection is not None else settings.snd_buf or parameters.tcp_wmem[1])
    if name == numbers.SO_REUSEADDR:
        return _int(values.reuse_address)
    if name == numbers.SO_REUSEPORT:
        return _int(values.reuse_port)
    if name == numbers.SO_TYPE:
        return _int(SOCK_STREAM)
    if name == numbers.SO_PROTOCOL:
        return _int(IPPROTO_TCP)
    if name == numbers.SO_DOMAIN:
        return _int(sock.family)
    if name == numbers.SO_ACCEPTCONN:
        return _int(sock.listener is not None)
    if name == numbers.SO_KEEPALIVE:
        return _int(settings.keepalive)
    if name == numbers.SO_OOBINLINE:
        return _int(settings.oob_inline)
    if name == numbers.SO_RCVLOWAT:
        return _int(settings.rcv_lowat)
    if name == numbers.SO_SNDLOWAT:
        return _int(1)
    if name == numbers.SO_MAX_PACING_RATE:
        if length >= LONG:
            return settings.max_pacing_rate.to_bytes(LONG, BYTE_ORDER)
        return min(settings.max_pacing_rate, UINT_MAX).to_bytes(INT, BYTE_ORDER)
    if name == numbers.SO_PEEK_OFF:
        return _int(values.peek_offset)
    if name in _FLAGS or name in (numbers.SO_PRIORITY, numbers.SO_MARK):
        return _int(values.others.get((numbers.SOL_SOCKET, name), 0))
    raise os_error(ENOPROTOOPT)


def _int(value: int) -> bytes:
    return value.to_bytes(INT, BYTE_ORDER, signed=True)
