"""Options of level IPPROTO_TCP.

Those of Fast Open, of TCP_REPAIR, TCP_MD5SIG and TCP_SAVE_SYN are not here: ENOPROTOOPT.
"""

from __future__ import annotations

import sys
from errno import EINVAL, EISCONN, ENOENT, ENOPROTOOPT, EPERM
from typing import Final, Literal

from synfin.host import socket_option_numbers as numbers
from synfin.host.host import Host
from synfin.host.sockets import Socket
from synfin.tcp import changing, states
from synfin.tcp.clock import timestamp
from synfin.tcp.congestion import available
from synfin.tcp.deferral import deferral, deferral_seconds
from synfin.tcp.errors import os_error
from synfin.tcp.info import TcpInfo, listener_info, tcp_info
from synfin.tcp.recovery import available_recoveries, preferred

BYTE_ORDER: Final[Literal["little", "big"]] = sys.byteorder
INT: Final = 4
#: TCP_CA_NAME_MAX: octets of a congestion control's name, its end among them.
NAME_LENGTH: Final = 16
#: The number of CLOSED in TCP_INFO.
TCP_CLOSE: Final = 7
#: Bounds of Linux's: seconds of keep-alive, counts, octets of a segment.
MAX_KEEPALIVE: Final = 32767
MAX_COUNT: Final = 127
TCP_MIN_MSS: Final = 88
MAX_TCP_WINDOW: Final = 32767
TCP_MSS_DEFAULT: Final = 536
#: TCP_FIN_TIMEOUT_MAX, in seconds.
LONGEST_FIN_WAIT: Final = 120
#: The least that TCP_WINDOW_CLAMP gives, in octets.
LEAST_CLAMP: Final = 1152


def set_option(host: Host, sock: Socket, name: int, octets: bytes, now: int) -> None:
    """Sets an option. Raises OSError: ENOPROTOOPT, EINVAL, ENOENT for an unknown congestion control or loss recovery,
    EISCONN for SYNFIN_LOSS_RECOVERY on a socket that has a connection, EPERM."""
    if name == numbers.TCP_CONGESTION:
        _set_congestion_control(sock, octets, now)
        return
    if name == numbers.SYNFIN_LOSS_RECOVERY:
        _set_loss_recovery(sock, octets)
        return
    if len(octets) < INT:
        raise os_error(EINVAL)
    value = int.from_bytes(octets[:INT], BYTE_ORDER, signed=True)
    settings, connection = sock.settings, sock.connection
    if name == numbers.TCP_NODELAY:
        settings.nodelay = value != 0
        if connection is not None:
            changing.set_nodelay(connection, settings.nodelay, now)
    elif name == numbers.TCP_CORK:
        settings.cork = value != 0
        if connection is not None:
            changing.set_cork(connection, settings.cork, now)
    elif name == numbers.TCP_QUICKACK:
        sock.values.others[numbers.IPPROTO_TCP, name] = value
        if connection is not None:
            changing.set_quickack(connection, value, now)
    elif name == numbers.TCP_MAXSEG:
        settings.max_segment = _within(value, TCP_MIN_MSS, MAX_TCP_WINDOW) if value else 0
    elif name == numbers.TCP_KEEPIDLE:
        settings.keepalive_time = _within(value, 1, MAX_KEEPALIVE)
        if connection is not None:
            changing.set_keepalive_time(connection, value, now)
    elif name == numbers.TCP_KEEPINTVL:
        settings.keepalive_interval = _within(value, 1, MAX_KEEPALIVE)
    elif name == numbers.TCP_KEEPCNT:
        settings.keepalive_probes = _within(value, 1, MAX_COUNT)
    elif name == numbers.TCP_SYNCNT:
        settings.syn_retries = _within(value, 1, MAX_COUNT)
    elif name == numbers.TCP_LINGER2:
        settings.linger2 = max(min(value, LONGEST_FIN_WAIT), -1)
    elif name == numbers.TCP_DEFER_ACCEPT:
        settings.defer_accept = deferral_seconds(deferral(value))
    elif name == numbers.TCP_WINDOW_CLAMP:
        if not value and sock.state != states.CLOSED:
            raise os_error(EINVAL)
        settings.window_clamp = max(value, LEAST_CLAMP) if value else 0
    elif name == numbers.TCP_USER_TIMEOUT:
        settings.user_timeout = _within(value, 0, value)
    elif name == numbers.TCP_NOTSENT_LOWAT:
        settings.notsent_lowat = value & 0xFFFFFFFF
        if connection is not None:
            changing.set_notsent_lowat(connection, settings.notsent_lowat, now)
    elif name == numbers.TCP_TIMESTAMP:
        raise os_error(EPERM)
    else:
        raise os_error(ENOPROTOOPT)


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise os_error(EINVAL)
    return value


def _set_congestion_control(sock: Socket, octets: bytes, now: int) -> None:
    if not octets:
        raise os_error(EINVAL)
    name = _name(octets)
    if name not in available():
        raise os_error(ENOENT)
    sock.settings.congestion_control = name
    if sock.connection is not None and sock.state != states.CLOSED:
        changing.set_congestion_control(sock.connection, name, now)


def _set_loss_recovery(sock: Socket, octets: bytes) -> None:
    """For connections to come: one that is open keeps the record that its strategy made. A listener's go to those
    that it accepts."""
    if not octets:
        raise os_error(EINVAL)
    name = _name(octets)
    if name not in available_recoveries():
        raise os_error(ENOENT)
    if sock.connection is not None and sock.state != states.CLOSED:
        raise os_error(EISCONN)
    sock.settings.loss_recovery = name


def _loss_recovery(host: Host, sock: Socket) -> str:
    """What a connection has, or would have if its peer sends SACK blocks."""
    if sock.connection is not None and sock.state not in (states.CLOSED, states.SYN_SENT):
        return sock.connection.recovery.name
    parameters = host.parameters.tcp
    return sock.settings.loss_recovery or preferred(parameters)


def _name(octets: bytes) -> str:
    return octets[: NAME_LENGTH - 1].partition(b"\0")[0].decode("ascii", "replace")


def get_option(host: Host, sock: Socket, name: int, now: int, length: int) -> bytes:
    """The value of an option, `length` octets of it at most. Raises OSError: ENOPROTOOPT."""
    if name == numbers.TCP_CONGESTION:
        chosen = sock.settings.congestion_control or host.parameters.tcp.tcp_congestion_control
        return chosen.encode().ljust(NAME_LENGTH, b"\0")[:length]
    if name == numbers.SYNFIN_LOSS_RECOVERY:
        return _loss_recovery(host, sock).encode().ljust(NAME_LENGTH, b"\0")[:length]
    if name == numbers.TCP_INFO:
        return _info(sock, now)[:length]
    value = _value(host, sock, name, now) & 0xFFFFFFFF
    return value.to_bytes(INT, BYTE_ORDER)[:length]


def _info(sock: Socket, now: int) -> bytes:
    if sock.listener is not None:
        return listener_info(sock.listener).pack()
    if sock.connection is not None:
        return tcp_info(sock.connection, now).pack()
    info = TcpInfo()
    info.set("tcpi_state", TCP_CLOSE)
    return info.pack()


def _value(host: Host, sock: Socket, name: int, now: int) -> int:
    settings, connection = sock.settings, sock.connection
    tcp = host.parameters.tcp
    if name == numbers.TCP_NODELAY:
        return settings.nodelay
    if name == numbers.TCP_CORK:
        return settings.cork
    if name == numbers.TCP_QUICKACK:
        if connection is not None:
            return changing.quickack(connection)
        return int(sock.values.others.get((numbers.IPPROTO_TCP, name), 1) != 0)
    if name == numbers.TCP_MAXSEG:
        if settings.max_segment and sock.state in (states.CLOSED, states.LISTEN):
            return settings.max_segment
        return connection.mss if connection is not None else TCP_MSS_DEFAULT
    if name == numbers.TCP_KEEPIDLE:
        return settings.keepalive_time or tcp.tcp_keepalive_time
    if name == numbers.TCP_KEEPINTVL:
        return settings.keepalive_interval or tcp.tcp_keepalive_intvl
    if name == numbers.TCP_KEEPCNT:
        return settings.keepalive_probes or tcp.tcp_keepalive_probes
    if name == numbers.TCP_SYNCNT:
        return settings.syn_retries or tcp.tcp_syn_retries
    if name == numbers.TCP_LINGER2:
        return settings.linger2 or tcp.tcp_fin_timeout
    if name == numbers.TCP_DEFER_ACCEPT:
        return settings.defer_accept
    if name == numbers.TCP_WINDOW_CLAMP:
        if not settings.window_clamp and connection is not None and sock.state != states.SYN_SENT:
            return connection.window_space
        return settings.window_clamp
    if name == numbers.TCP_USER_TIMEOUT:
        return settings.user_timeout
    if name == numbers.TCP_NOTSENT_LOWAT:
        return settings.notsent_lowat
    if name == numbers.TCP_TIMESTAMP:
        return timestamp(now, connection.ts_offset if connection is not None else 0)
    raise os_error(ENOPROTOOPT)
