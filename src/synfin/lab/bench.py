"""What most experiments stand on: a client and a server on one wire, and short names for durations."""

from __future__ import annotations

from typing import Final

from synfin.host.parameters import Parameters
from synfin.sim import Network, Node

__all__ = ["CLIENT", "DELAY", "HOUR", "MINUTE", "MS", "PORT", "SECOND", "SERVER", "pair", "tuned"]

MS: Final = 1_000_000
SECOND: Final = 1000 * MS
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

#: From one host to the other.
DELAY: Final = 10 * MS
CLIENT: Final = "10.0.0.1"
SERVER: Final = "10.0.0.2"
PORT: Final = 7000


def pair(
    network: Network,
    delay: int = DELAY,
    rate: int = 0,
    queue: int = 1000,
    *,
    client: Parameters | None = None,
    server: Parameters | None = None,
) -> tuple[Node, Node]:
    """A host "client" and a host "server", with a wire of `delay` nanoseconds between them (`Network.wire`), and with
    parameters of their own where these are given."""
    here, there = network.host("client", client), network.host("server", server)
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=delay, rate=rate, queue=queue)
    return here, there


def tuned(**values: int | str) -> Parameters:
    """A host's parameters with these values, by their short names: ``tuned(tcp_fin_timeout=5)``.

    Raises KeyError for a name that no parameter has.
    """
    parameters = Parameters()
    full = {name.rpartition(".")[2]: name for name in parameters.names()}
    for name, value in values.items():
        parameters.set(full[name], str(value))
    return parameters
