"""The socket calls as functions that never wait, with Linux's results and errnos.

Each returns its result or raises OSError; BlockingIOError, with errno EAGAIN, EINPROGRESS or EALREADY, says that there
is something to wait for. Whether a socket is one that waits is known only to the layer above, which calls again when
`poll` says so, and which keeps the time of SO_RCVTIMEO and SO_SNDTIMEO (`Socket.values`). All calls can be had here;
`synfin.host.connecting`, `synfin.host.transfer` and `synfin.host.socket_options` hold some of them. The user is a
privileged one: no call fails with EACCES.

After a call, the driver polls the host as ever. Times are integer nanoseconds.
"""

from __future__ import annotations

from errno import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EAGAIN,
    EBADF,
    EINVAL,
    ENOTCONN,
    ENOTTY,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from typing import Final

from synfin.host import addresses, opening, sockets
from synfin.host.binding import ANY_IPV4, ANY_IPV6
from synfin.host.connecting import OPENING, connect, disconnect, own_ports
from synfin.host.host import Host
from synfin.host.opening import check_port
from synfin.host.socket_option_numbers import SIOCATMARK, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD
from synfin.host.socket_options import getsockopt, setsockopt
from synfin.host.socket_options_ip import apply_ip
from synfin.host.socket_values import SocketValues
from synfin.host.sockets import (
    AF_INET,
    AF_INET6,
    CONNECTED,
    CONNECTING,
    DISCONNECTING,
    RECEIVING,
    SENDING,
    SOCK_STREAM,
    UNCONNECTED,
    Address,
    Socket,
    tuple_of,
)
from synfin.host.transfer import recv, recvfrom, recvmsg, send, sendmsg, sendto, target
from synfin.tcp import readiness, states
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.listener import Listener
from synfin.tcp.parameters import SECOND
from synfin.tcp.settings import Settings

_STREAM_PROTOCOLS: Final = frozenset({0, sockets.IPPROTO_TCP})


# --- making and naming


def socket(host: Host, family: int = AF_INET, kind: int = SOCK_STREAM, protocol: int = 0) -> Socket:
    """Makes a TCP socket of `host`: AF_INET or AF_INET6.

    Raises OSError: EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL.
    """
    if family not in (AF_INET, AF_INET6):
        raise os_error(EAFNOSUPPORT)
    if not 0 < kind < 11 or not 0 <= protocol < 263:
        raise os_error(EINVAL)
    if kind != SOCK_STREAM:
        raise os_error(ESOCKTNOSUPPORT)
    if protocol not in _STREAM_PROTOCOLS:
        raise os_error(EPROTONOSUPPORT)
    return _enter(host, family, SocketValues(bool(host.parameters.bindv6only)), Settings())


def _enter(host: Host, family: int, values: SocketValues, settings: Settings) -> Socket:
    transport = host.transport
    transport.sockets_made += 1
    made = Socket(transport.sockets_made, family, values, settings)
    transport.sockets[made.number] = made
    return made


def socket_of(host: Host, entry: Connection | Listener) -> Socket | None:
    """The open socket to which something that `Host.take_changed` gave belongs; None if there is none."""
    return host.transport.sockets.get(entry.socket)


def getsockname(host: Host, sock: Socket) -> Address:
    """The local end."""
    sock.check_open()
    return tuple_of(sock.family, sock.local_address, sock.local_port)


def getpeername(host: Host, sock: Socket) -> Address:
    """The remote end. Raises OSError with ENOTCONN if there is none, or no longer."""
    sock.check_open()
    if sock.connection is None or sock.state in (states.CLOSED, states.SYN_SENT):
        raise os_error(ENOTCONN)
    identity = sock.connection.identity
    return tuple_of(sock.family, identity.remote_address, identity.remote_port)


def bind(host: Host, sock: Socket, address: Address) -> None:
    """Gives the socket a local end; port 0: one that is free.

    Raises OSError: EADDRINUSE, EADDRNOTAVAIL, EINVAL if it has one already, EAFNOSUPPORT. ValueError for what is no
    address, OverflowError for what is no port.
    """
    sock.check_open()
    check_port(address[1])
    octets = sockets.octets_of(sock.family, address)
    transport = host.transport
    bound = sock.port != 0 or sock.state != states.CLOSED
    if sock.family == AF_INET6:
        if len(octets) == 16 and addresses.is_multicast(octets):
            raise os_error(EINVAL)
        if bound or (len(octets) == 4 and sock.values.ipv6_only):
            raise os_error(EINVAL)
    _check_local(host, sock, octets)
    if bound:
        raise os_error(EINVAL)
    specific = any(octets)
    before = sock.values.ipv6_only
    if specific and len(octets) == 16:
        # As Linux has it: an IPv6 address takes no IPv4 in.
        sock.values.ipv6_only = True
    port = address[1]
    if port or not sock.values.no_port_at_bind:
        if port and transport.bindings.conflict(port, octets, sock.claim_flags()):
            port = -1
        elif not port:
            port = opening.choose_port(transport, octets, sock.claim_flags(), own_ports(host, sock))
        if port < 0:
            sock.values.ipv6_only = before
            # As Linux has it: a socket keeps no address of an earlier connection.
            sock.local_address = ANY_IPV4 if sock.family == AF_INET else ANY_IPV6
            raise os_error(EADDRINUSE)
        sock.bind(transport, octets, port)
    sock.local_address = octets
    sock.local_port = port
    sock.address_locked = specific
    sock.port_locked = address[1] != 0


def _check_local(host: Host, sock: Socket, octets: bytes) -> None:
    """RFC 9293 §3.9.1.1 (MUST-43): whether a socket may be bound to that address."""
    parameters = host.parameters
    if len(octets) == 16 and octets[0] == 0xFE and octets[1] & 0xC0 == 0x80:
        # A link-local address without a scope.
        raise os_error(EINVAL)
    anywhere = parameters.ip_nonlocal_bind if len(octets) == 4 else parameters.ip_nonlocal_bind_ipv6
    if sock.values.freebind or anywhere or host.transport.is_own(octets) or not addresses.is_unicast(octets):
        return
    if len(octets) == 4 and host.routes.is_broadcast(octets):
        return
    raise os_error(EADDRNOTAVAIL)


# --- listening


def listen(host: Host, sock: Socket, backlog: int, now: int) -> None:
    """Makes the socket a listener, or changes its backlog. One without a port gets one.

    Raises OSError: EADDRINUSE; EINVAL for a socket that is, or was, connected or connecting.
    """
    sock.check_open()
    if not 0 <= backlog <= host.parameters.somaxconn:
        backlog = host.parameters.somaxconn
    if sock.phase != UNCONNECTED or sock.state not in (states.CLOSED, states.LISTEN):
        raise os_error(EINVAL)
    if sock.listener is not None:
        sock.listener.backlog = backlog
        return
    transport = host.transport
    port, address = sock.bound_port, sock.local_address
    flags = sock.claim_flags()
    sock.unbind(transport)
    if not port:
        port = opening.choose_port(transport, address, flags, own_ports(host, sock))
        if port < 0:
            raise os_error(EADDRINUSE)
    elif transport.bindings.conflict(port, address, flags):
        if sock.port_locked:
            sock.bind(transport, address, port)
        raise os_error(EADDRINUSE)
    sock.connection = None
    sock.local_port = port
    apply_ip(host, sock, len(address) == 16)
    listener = opening.open_listener(transport, address, port, backlog, flags, now, sock.settings)
    listener.socket = sock.number
    listener.values = sock.values
    sock.listener = listener


def accept(host: Host, sock: Socket) -> tuple[Socket, Address]:
    """The oldest complete connection, as a socket, and its remote end.

    Raises BlockingIOError if there is none, OSError with EINVAL if the socket does not listen.
    """
    sock.check_open()
    listener = sock.listener
    if listener is None:
        raise os_error(EINVAL)
    if not listener.accept_queue:
        raise os_error(EAGAIN)
    connection = listener.accept()
    # The options are those of the moment at which the handshake was over.
    inherited = connection.inherited
    connection.inherited = None
    values = inherited if isinstance(inherited, SocketValues) else sock.values
    made = _enter(host, sock.family, values.copy(), connection.settings)
    made.connection = connection
    connection.socket = made.number
    made.phase = CONNECTED
    # The port is the listener's, which the user chose for that one alone.
    made.address_locked = sock.address_locked
    made.local_address = connection.identity.local_address
    made.local_port = connection.identity.local_port
    apply_ip(host, made, made.over_ipv6)
    identity = connection.identity
    return made, tuple_of(made.family, identity.remote_address, identity.remote_port)


# --- ending


def shutdown(host: Host, sock: Socket, how: int, now: int) -> None:
    """Ends the receiving half (0), the sending half (1) or both (2). What has arrived can still be read.

    Raises OSError: EINVAL, ENOTCONN. As on Linux, half of what was asked for may be done in spite of ENOTCONN.
    """
    sock.check_open()
    halves = how + 1
    if not RECEIVING <= halves <= RECEIVING | SENDING:
        raise os_error(EINVAL)
    state = sock.state
    if sock.phase == CONNECTING:
        early = state in (states.SYN_SENT, states.SYN_RECEIVED, states.CLOSED)
        sock.phase = DISCONNECTING if early else CONNECTED
    if state == states.LISTEN:
        if halves & RECEIVING:
            disconnect(host, sock, now)
            sock.phase = UNCONNECTED
        return
    if state == states.SYN_SENT:
        disconnect(host, sock, now)
        sock.phase = UNCONNECTED
        return
    sock.shut |= halves
    if state == states.CLOSED:
        raise os_error(ENOTCONN)
    if sock.connection is not None:
        sock.connection.receive_shut = bool(sock.shut & RECEIVING)
        if halves & SENDING:
            host.close(sock.connection, now)


def close(host: Host, sock: Socket, now: int) -> None:
    """Gives the socket back. The connection ends by itself, after what waits was delivered, or with a RST: if data
    are unread, or if SO_LINGER is set with no time.

    With SO_LINGER and a time it raises BlockingIOError until all was delivered or the time is over (`linger_until`):
    then, or when the socket is closed again at that time, it is done. Whoever does not want to wait need not call again
    but for the sake of the socket's table. Raises OSError with EBADF on a closed socket.
    """
    if sock.closed:
        raise os_error(EBADF)
    connection = sock.connection
    if sock.linger_until < 0:
        values = sock.values
        lingers = values.linger and connection is not None
        sock.linger_until = now + values.linger_time * SECOND if lingers else now
        _stop_listening_for_ever(host, sock, now)
        sock.unbind(host.transport)
        if connection is not None:
            unread = connection.receive_queue.octets
            if values.linger and not values.linger_time and not unread and connection.state != states.TIME_WAIT:
                connection.orphaned = True
                host.abort(connection, now)
            else:
                host.release(connection, now)
    if connection is not None and now < sock.linger_until and not connection.drained():
        raise os_error(EAGAIN)
    sock.closed = True
    sock.connection = None
    del host.transport.sockets[sock.number]


def _stop_listening_for_ever(host: Host, sock: Socket, now: int) -> None:
    if sock.listener is not None:
        opening.close_listener(host.transport, sock.listener, now)
        sock.listener = None


# --- what could be done


def poll(host: Host, sock: Socket) -> int:
    """What could be done now without waiting, as poll(2) tells it: bits of `synfin.tcp.readiness`."""
    sock.check_open()
    if sock.listener is not None:
        return sock.listener.readiness()
    bits = 0
    state, connection, shut = sock.state, sock.connection, sock.shutdown
    if shut == RECEIVING | SENDING or state == states.CLOSED:
        bits |= readiness.POLLHUP
    if shut & RECEIVING:
        bits |= readiness.POLLIN | readiness.POLLRDHUP
    if connection is None:
        bits |= readiness.POLLOUT
    elif state not in OPENING:
        told = connection.readiness()
        bits |= told & (readiness.POLLIN | readiness.POLLPRI | readiness.POLLOUT)
    if shut & SENDING and state not in OPENING:
        bits |= readiness.POLLOUT
    if sock.pending_error:
        bits |= readiness.POLLERR
    return bits


def ioctl(host: Host, sock: Socket, request: int) -> int:
    """SIOCINQ: octets that can be read. SIOCOUTQ: octets not acknowledged; SIOCOUTQNSD: octets not sent yet; both
    count a FIN as one. SIOCATMARK: 1 at the mark of urgent data, else 0.

    Raises OSError: EINVAL on a listener, ENOTTY for other requests.
    """
    sock.check_open()
    if request not in (SIOCATMARK, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD):
        raise os_error(ENOTTY)
    connection = sock.connection
    if request == SIOCATMARK:
        return int(connection is not None and connection.at_mark())
    if sock.state == states.LISTEN:
        raise os_error(EINVAL)
    if connection is None or sock.state in OPENING:
        return 0
    if request == SIOCINQ:
        return connection.readable()
    buffer = connection.send_buffer
    end = buffer.end + connection.fin_queued
    if request == SIOCOUTQ:
        return max(end - connection.snd_una, 0)
    return max(end - connection.snd_nxt, 0)


__all__ = [
    "accept",
    "bind",
    "close",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "ioctl",
    "listen",
    "poll",
    "recv",
    "recvfrom",
    "recvmsg",
    "send",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "socket_of",
    "target",
]
