"""The table of connections as people look at it, in the manner of ss(8)."""

from __future__ import annotations

from collections.abc import Iterable

from synfin.host.addresses import text
from synfin.tcp import states
from synfin.tcp.connection import Connection
from synfin.tcp.identity import Identity
from synfin.tcp.listener import Listener


class ConnectionRow:
    """A line of the table. For a listener the queues are the connections that wait and the backlog; for all else,
    octets that the user has not read, and octets that the peer has not acknowledged."""

    __slots__ = (
        "local_address",
        "local_port",
        "receive_queue",
        "remote_address",
        "remote_port",
        "send_queue",
        "state",
    )

    def __init__(
        self,
        state: str,
        receive_queue: int,
        send_queue: int,
        local_address: bytes,
        local_port: int,
        remote_address: bytes = b"",
        remote_port: int = 0,
    ) -> None:
        self.state = state
        self.receive_queue = receive_queue
        self.send_queue = send_queue
        self.local_address = text(local_address)
        self.local_port = local_port
        self.remote_address = text(remote_address)
        self.remote_port = remote_port

    @property
    def local(self) -> str:
        """The local end as ``address:port``."""
        return _end(self.local_address, self.local_port)

    @property
    def remote(self) -> str:
        """The remote end as ``address:port``, ``*:*`` for a listener."""
        return _end(self.remote_address, self.remote_port)

    def __repr__(self) -> str:
        return f"<{self.state} {self.receive_queue} {self.send_queue} {self.local} {self.remote}>"


def _end(address: str, port: int) -> str:
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{port or '*'}"


def rows(
    listeners: Iterable[Listener], connections: Iterable[Connection], time_waits: Iterable[bytes]
) -> list[ConnectionRow]:
    """A row for every listener, its requests, every connection and every TIME-WAIT (given as flows)."""
    table = []
    for listener in listeners:
        waiting = len(listener.accept_queue)
        table.append(
            ConnectionRow(
                states.NAMES[listener.state], waiting, listener.backlog, listener.local_address, listener.local_port
            )
        )
        table += [_row(states.SYN_RECEIVED, Identity.from_flow(flow)) for flow in listener.requests]
    for connection in connections:
        unread = connection.receive_queue.octets
        table.append(_row(connection.state, connection.identity, unread, len(connection.send_buffer)))
    table += [_row(states.TIME_WAIT, Identity.from_flow(flow)) for flow in time_waits]
    return table


def _row(state: int, identity: Identity, receive_queue: int = 0, send_queue: int = 0) -> ConnectionRow:
    return ConnectionRow(
        states.NAMES[state],
        receive_queue,
        send_queue,
        identity.local_address,
        identity.local_port,
        identity.remote_address,
        identity.remote_port,
    )
