"""The simulated network: hosts on wires, in virtual time. A world is a function of scenario, seed and faults."""

from synfin.sim.network import Network, Node
from synfin.sim.wires import Wire

__all__ = ["Network", "Node", "Wire"]
