"""What the experiments on closing share: a client and a server with parameters of their own, and how a host's
connection ended."""

from __future__ import annotations

from synfin.events import StateChanged
from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, SERVER
from synfin.lab.running import Run
from synfin.sim import Network, Node

__all__ = ["last_change", "pair_of", "tuned"]


def tuned(**values: int) -> Parameters:
    """A host's parameters with these values, by their short names: ``tuned(tcp_fin_timeout=5)``.

    Raises KeyError for a name that no parameter has.
    """
    parameters = Parameters()
    full = {name.rpartition(".")[2]: name for name in parameters.names()}
    for name, value in values.items():
        parameters.set(full[name], str(value))
    return parameters


def pair_of(
    network: Network, client: Parameters | None = None, server: Parameters | None = None, delay: int = DELAY
) -> tuple[Node, Node]:
    """The client and the server of `synfin.lab.bench.pair`, with parameters of their own."""
    here, there = network.host("client", client), network.host("server", server)
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=delay)
    return here, there


def last_change(run: Run, host: str) -> StateChanged:
    """The last change of state at `host` in the first connection. Raises LookupError if there was none."""
    history = run.history
    flow = (history.left if history.left.host == host else history.right).flow
    return [change for change in run.of(StateChanged, host) if change.flow == flow][-1]
