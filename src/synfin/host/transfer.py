"""send and receive: the socket calls that carry octets, as functions that never wait (see `synfin.host.calls`).

They behave as on a socket that does not wait: what is there is given, what there is room for is taken. A layer that
waits calls again: for the rest of what it wants to send; to receive, until it has `target` octets. There are no
signals, so MSG_NOSIGNAL changes nothing; MSG_DONTWAIT and MSG_WAITALL are for whoever waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import EAGAIN, EINVAL, ENOTCONN, EOPNOTSUPP, EPIPE

from synfin.host.host import Host
from synfin.host.socket_option_numbers import (
    MSG_ERRQUEUE,
    MSG_FASTOPEN,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
)
from synfin.host.sockets import RECEIVING, SENDING, Address, Socket
from synfin.tcp import changing, states, urgent
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.reassembly import Piece

Data = bytes | bytearray | memoryview


class Received:
    """What a receive gave: `octets` of them, in `pieces` (none of those that MSG_TRUNC discarded); `flags` as recvmsg
    tells them."""

    __slots__ = ("flags", "octets", "pieces")

    def __init__(self, pieces: list[Piece], octets: int, flags: int = 0) -> None:
        self.pieces = pieces
        self.octets = octets
        self.flags = flags


# --- sending


def send(host: Host, sock: Socket, data: Data, flags: int, now: int) -> int:
    """Takes as much of `data` as there is room for, and returns how many octets that is.

    With MSG_MORE a partial segment waits for more; with MSG_OOB the last octet is urgent. Raises BlockingIOError when
    there is no room or no connection yet; OSError: BrokenPipeError where nothing can be sent (any more), the error that
    ended the connection, once, EOPNOTSUPP for MSG_FASTOPEN.
    """
    sock.check_open()
    if flags & MSG_FASTOPEN:
        raise os_error(EOPNOTSUPP)
    connection = sock.connection
    state = sock.state
    if connection is None or state not in (states.ESTABLISHED, states.CLOSE_WAIT):
        error = sock.take_error()
        if error:
            raise os_error(error)
        raise os_error(EAGAIN if state in (states.SYN_SENT, states.SYN_RECEIVED) else EPIPE)
    if connection.error or sock.shutdown & SENDING:
        raise os_error(sock.take_error() or EPIPE)
    try:
        if flags & MSG_OOB:
            taken = host.send_urgent(connection, data, now)
        else:
            taken = host.send(connection, data, now, bool(flags & MSG_MORE))
    except BlockingIOError:
        raise os_error(EAGAIN) from None
    return taken


def sendto(host: Host, sock: Socket, data: Data, flags: int, address: Address | None, now: int) -> int:
    """As `send`: on a stream Linux looks at no address."""
    return send(host, sock, data, flags, now)


def sendmsg(host: Host, sock: Socket, buffers: Iterable[Data], flags: int, now: int) -> int:
    """As `send`, for several pieces of data one after another."""
    pieces = [piece for piece in buffers if len(piece)] or [b""]
    taken = 0
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        try:
            part = send(host, sock, piece, flags if last else (flags | MSG_MORE) & ~MSG_OOB, now)
        except BlockingIOError:
            if taken:
                break
            raise
        taken += part
        if part < memoryview(piece).nbytes:
            break
    if sock.connection is not None and not flags & MSG_MORE:
        # Nothing waits for what was not taken.
        changing.push(sock.connection)
    return taken


# --- receiving


def target(sock: Socket, size: int, flags: int) -> int:
    """How many octets a caller who waits wants before it returns: all `size` with MSG_WAITALL, else as many as
    SO_RCVLOWAT says. An end, an error and urgent data cut a receive short."""
    return (size if flags & MSG_WAITALL else min(sock.settings.rcv_lowat, size)) or 1


def recv(host: Host, sock: Socket, size: int, flags: int, now: int) -> bytes:
    """Up to `size` octets; empty at the end of the stream. See `recvmsg`."""
    pieces = recvmsg(host, sock, size, flags, now).pieces
    return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)


def recvfrom(host: Host, sock: Socket, size: int, flags: int, now: int) -> tuple[bytes, None]:
    """As `recv`; a stream tells no address."""
    return recv(host, sock, size, flags, now), None


def recvmsg(host: Host, sock: Socket, size: int, flags: int, now: int) -> Received:
    """Up to `size` octets that arrived in order, up to the mark of urgent data.

    MSG_PEEK leaves them there, MSG_TRUNC throws them away, MSG_OOB asks for the urgent octet. Nothing of TCP's goes
    through MSG_ERRQUEUE. Raises BlockingIOError when nothing is there yet; OSError: the error that ended the
    connection, once, after what had arrived; ENOTCONN without a connection; EINVAL for MSG_OOB without urgent data.
    """
    sock.check_open()
    if flags & MSG_ERRQUEUE:
        raise os_error(EAGAIN)
    connection = sock.connection
    if sock.listener is not None:
        raise os_error(ENOTCONN)
    if flags & MSG_OOB:
        return _urgent(sock, size, flags, now)
    if connection is not None:
        received = _peek(sock, connection, size) if flags & MSG_PEEK else _take(host, sock, connection, size, now)
        if received is not None:
            if flags & MSG_TRUNC:
                received.pieces = []
            return received
        if connection.fin_received:
            return Received([], 0)
    error = sock.take_error()
    if error:
        raise os_error(error)
    if sock.shutdown & RECEIVING:
        return Received([], 0)
    raise os_error(ENOTCONN if connection is None or sock.state == states.CLOSED else EAGAIN)


def _take(host: Host, sock: Socket, connection: Connection, size: int, now: int) -> Received | None:
    """What is there, None if nothing is."""
    queue = connection.receive_queue
    if not queue.octets or (size == 0 and connection.urgent is not None):
        return None
    if size == 0:
        return Received([], 0)
    error, connection.error = connection.error, 0
    try:
        pieces = host.receive(connection, size, now)
    except BlockingIOError:
        pieces = []
    connection.error = error
    octets = sum(map(len, pieces))
    if sock.values.peek_offset > 0:
        sock.values.peek_offset = max(sock.values.peek_offset - octets, 0)
    return Received(pieces, octets) if octets else None


def _peek(sock: Socket, connection: Connection, size: int) -> Received | None:
    skipped, limit = urgent.span(connection, size)
    offset = max(sock.values.peek_offset, 0) + skipped
    pieces = connection.receive_queue.peek(offset, limit)
    octets = sum(map(len, pieces))
    if sock.values.peek_offset >= 0:
        sock.values.peek_offset += octets
    return Received(pieces, octets) if octets else None


def _urgent(sock: Socket, size: int, flags: int, now: int) -> Received:
    connection = sock.connection
    if connection is None:
        raise os_error(EINVAL)
    try:
        octet = connection.receive_urgent(now, bool(flags & MSG_PEEK))
    except BlockingIOError:
        raise os_error(EAGAIN) from None
    if octet and not size:
        return Received([], 0, MSG_OOB | MSG_TRUNC)
    return Received([octet] if octet else [], len(octet), MSG_OOB if octet else 0)


__all__ = ["Received", "recv", "recvfrom", "recvmsg", "send", "sendmsg", "sendto", "target"]
