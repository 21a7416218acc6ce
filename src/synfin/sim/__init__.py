"""The simulated network: devices on wires, in virtual time. A world is a function of scenario, seed and faults."""

from synfin.sim.firewall import Firewall, Rule
from synfin.sim.nat import Nat
from synfin.sim.network import Network
from synfin.sim.node import Node
from synfin.sim.placing import NetworkFault, OnWire, parse_network_fault
from synfin.sim.programs import Program, SimulatedSocket, Steps, start
from synfin.sim.router import Router
from synfin.sim.scenario import Parting, Scenario, World, compare
from synfin.sim.switch import Switch
from synfin.sim.tracking import Timeouts
from synfin.sim.wires import Wire

__all__ = [
    "Firewall",
    "Nat",
    "Network",
    "NetworkFault",
    "Node",
    "OnWire",
    "Parting",
    "Program",
    "Router",
    "Rule",
    "Scenario",
    "SimulatedSocket",
    "Steps",
    "Switch",
    "Timeouts",
    "Wire",
    "World",
    "compare",
    "parse_network_fault",
    "start",
]
