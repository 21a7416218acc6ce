"""connect(2), with Linux's results: connecting, hearing what became of it, and ending it all to begin anew."""

from __future__ import annotations

from errno import (
    EAFNOSUPPORT,
    EALREADY,
    ECONNABORTED,
    ECONNRESET,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENETUNREACH,
)
from typing import Final

from synfin.host import addresses, opening, sockets
from synfin.host.binding import ANY_IPV4, ANY_IPV6, IPV6_ONLY
from synfin.host.host import Host
from synfin.host.opening import check_port
from synfin.host.socket_option_numbers import IPPROTO_TCP, TCP_QUICKACK
from synfin.host.socket_options_ip import apply_ip
from synfin.host.sockets import (
    AF_INET,
    AF_INET6,
    CONNECTED,
    CONNECTING,
    DISCONNECTING,
    UNCONNECTED,
    Address,
    Socket,
)
from synfin.tcp import changing, states
from synfin.tcp.errors import os_error

#: States of a connection that is not there yet.
OPENING: Final = frozenset({states.SYN_SENT, states.SYN_RECEIVED})
#: States in which a connection may be dropped without an error.
_ENDED: Final = frozenset({states.CLOSED, states.TIME_WAIT, states.CLOSING, states.LAST_ACK})


def connect(host: Host, sock: Socket, address: Address | None, now: int) -> None:
    """Connects. Called again, it says what became of it: nothing is raised once the connection is there.

    `address` None stands for AF_UNSPEC, which ends whatever the socket is. Raises BlockingIOError: EINPROGRESS when it
    begins, EALREADY while it goes on; OSError: EISCONN, the error that ended the attempt, ECONNABORTED if that was told
    already, ENETUNREACH, EADDRNOTAVAIL, EINVAL after shutdown in mid-connect.
    """
    sock.check_open()
    if address is None:
        disconnect(host, sock, now)
        sock.phase = UNCONNECTED
        return
    check_port(address[1])
    octets = sockets.octets_of(sock.family, address)
    if sock.phase == DISCONNECTING:
        raise os_error(EINVAL)
    if sock.phase == CONNECTED or (sock.phase == UNCONNECTED and sock.state != states.CLOSED):
        raise os_error(EISCONN)
    waits = EALREADY
    if sock.phase == UNCONNECTED:
        _open(host, sock, octets, address[1], now)
        sock.phase = CONNECTING
        waits = EINPROGRESS
    if sock.state in OPENING:
        raise os_error(waits)
    if sock.state == states.CLOSED:
        error = sock.take_error() or ECONNABORTED
        sock.phase = UNCONNECTED
        disconnect(host, sock, now)
        raise os_error(error)
    sock.phase = CONNECTED


def _open(host: Host, sock: Socket, octets: bytes, port: int, now: int) -> None:
    transport = host.transport
    local = sock.local_address
    if sock.family == AF_INET6:
        if octets == ANY_IPV6 and len(local) == 4:
            octets = addresses.LOOPBACK_IPV4
        if len(octets) == 4 and sock.values.ipv6_only:
            raise os_error(ENETUNREACH)
        if len(octets) == 16 and len(local) == 4:
            raise os_error(EAFNOSUPPORT)
        if len(octets) == 16 and octets[0] == 0xFE and octets[1] & 0xC0 == 0x80:
            raise os_error(EINVAL)
    source = local if any(local) else None
    if source is not None and (not addresses.is_unicast(source) or host.routes.is_broadcast(source)):
        if sock.family == AF_INET6:
            raise os_error(EINVAL)
        source = None
    if octets == ANY_IPV4:
        # As Linux has it: this host, where the socket is bound if it is.
        octets = source or addresses.LOOPBACK_IPV4
    sock.connection = None
    flags = sock.claim_flags()
    apply_ip(host, sock, len(octets) == 16)
    made = opening.connect(
        transport, octets, port, now, source, sock.bound_port, sock.settings, flags, own_ports(host, sock)
    )
    sock.connection = made
    made.socket = sock.number
    quickack = sock.values.others.get((IPPROTO_TCP, TCP_QUICKACK))
    if quickack is not None:
        changing.set_quickack(made, quickack, now)
    sock.error = 0
    if sock.bound_port and not sock.port_locked:
        # It lasts as long as the connection, which has a claim of its own.
        sock.unbind(transport)
    elif sock.bound_port:
        sock.move(transport, made.identity.local_address)
    sock.local_address = made.identity.local_address
    sock.local_port = made.identity.local_port


def disconnect(host: Host, sock: Socket, now: int) -> None:
    """Ends what the socket is, so that it can begin anew (Linux's tcp_disconnect)."""
    transport = host.transport
    _stop_listening(host, sock, now)
    connection = sock.connection
    if connection is not None:
        sock.error = sock.pending_error
        if connection.state not in _ENDED:
            sock.error = ECONNRESET
        connection.socket = 0
        if connection.state not in (states.CLOSED, states.TIME_WAIT):
            host.abort(connection, now)
    if not sock.address_locked:
        sock.move(transport, ANY_IPV4 if sock.family == AF_INET else ANY_IPV6)
    sock.connection = None
    sock.shut = 0


def _stop_listening(host: Host, sock: Socket, now: int) -> None:
    listener = sock.listener
    if listener is None:
        return
    sock.listener = None
    listener.socket = 0
    flags = listener.bound
    opening.close_listener(host.transport, listener, now)
    if sock.port_locked and not sock.closed:
        sock.bind(host.transport, listener.local_address, listener.local_port)
        sock.values.ipv6_only = bool(flags & IPV6_ONLY)


def own_ports(host: Host, sock: Socket) -> tuple[int, int] | None:
    """The range of ports to choose from, if the socket has one of its own: within the host's, as Linux has it."""
    low, high = sock.values.local_ports
    if not low and not high:
        return None
    first, last = host.parameters.ip_local_port_range
    first = low if first <= low <= last else first
    last = high if first <= high <= last else last
    return first, last
