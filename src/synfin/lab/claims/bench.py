"""What most claims stand on: a client and a server whose parameters may differ from Linux's, and plain programs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, HOUR, MINUTE, MS, PORT, SECOND, SERVER
from synfin.sim import Network, Node, Program, Steps

__all__ = [
    "CLIENT",
    "DELAY",
    "HOUR",
    "MINUTE",
    "MS",
    "PORT",
    "SECOND",
    "SERVER",
    "Settings",
    "connects",
    "pair",
    "serves",
]

#: Parameters by name (``net.ipv4.`` may be left out), with their values as text.
Settings = Mapping[str, str]
_NONE: Settings = MappingProxyType({})


def pair(network: Network, client: Settings = _NONE, server: Settings = _NONE, delay: int = DELAY) -> tuple[Node, Node]:
    """A host "client" and a host "server" on one wire, with these parameters."""
    here = network.host("client", _parameters(client))
    there = network.host("server", _parameters(server))
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=delay)
    return here, there


def _parameters(settings: Settings) -> Parameters:
    parameters = Parameters()
    for name, value in settings.items():
        parameters.set(name if "." in name else f"net.ipv4.{name}", value)
    return parameters


def connects(program: Program) -> Steps[None]:
    """Connects, and no more."""
    yield from program.connected("server", PORT)
    yield from program.sleep(HOUR)


def serves(program: Program) -> Steps[None]:
    """Accepts one connection, reads it to its end, and closes."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()
