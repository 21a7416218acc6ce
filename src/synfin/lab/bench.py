"""What most experiments stand on: a client and a server on one wire, and short names for durations."""

from __future__ import annotations

from typing import Final

from synfin.sim import Network, Node

__all__ = ["CLIENT", "DELAY", "HOUR", "MINUTE", "MS", "PORT", "SECOND", "SERVER", "pair"]

MS: Final = 1_000_000
SECOND: Final = 1000 * MS
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

#: From one host to the other.
DELAY: Final = 10 * MS
CLIENT: Final = "10.0.0.1"
SERVER: Final = "10.0.0.2"
PORT: Final = 7000


def pair(network: Network, delay: int = DELAY, rate: int = 0, queue: int = 1000) -> tuple[Node, Node]:
    """A host "client" and a host "server", with a wire of `delay` nanoseconds between them (`Network.wire`)."""
    client = network.host("client")
    server = network.host("server")
    network.wire(client, f"{CLIENT}/24", server, f"{SERVER}/24", delay=delay, rate=rate, queue=queue)
    return client, server
