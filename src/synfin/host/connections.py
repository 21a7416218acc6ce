"""The table of connections as people look at it, in the manner of ss(8)."""

from __future__ import annotations

from synfin.host.addresses import text


class ConnectionRow:
    """A line of the table. For a listener the queues are the connections that wait and the backlog (RFC 9293 calls
    neither anything); for all else, octets that the user has not read and that the peer has not acknowledged."""

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
