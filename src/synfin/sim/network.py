"""A network in virtual time: its devices, wires and names, and the clock that jumps from event to event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from hashlib import blake2s
from ipaddress import ip_address, ip_interface
from random import Random
from socket import EAI_NONAME, gaierror
from types import MappingProxyType

from synfin.events import Sink, Tracer
from synfin.host import addresses
from synfin.host.parameters import Parameters
from synfin.link.faults import Partition, Reboot
from synfin.sim.device import Device
from synfin.sim.far_end import FarEnd
from synfin.sim.firewall import Firewall
from synfin.sim.nat import Nat
from synfin.sim.node import Changed, Node
from synfin.sim.placing import NetworkFault, OnWire, check_wire_name, parse_network_fault
from synfin.sim.router import Router
from synfin.sim.routing import route_all
from synfin.sim.schedule import Schedule
from synfin.sim.switch import Switch
from synfin.sim.wires import Wire

__all__ = ["Changed", "Network", "Node"]


class Network:
    """Hosts, routers and switches on wires, in virtual time that starts at 0 (nanoseconds).

    All that is random comes from `seed`: the same scenario with the same seed sends the same packets. `sink`
    receives the trace of all nodes and wires, if given. `names` is what /etc/hosts is: addresses by name, besides
    the nodes' own names. With `octets` every packet travels as its octets, with the same result. `settings` are
    parameters of hosts, by their full names (``net.ipv4.tcp_syn_retries``) or, for one host alone, with its name before
    (``client:net.ipv4.tcp_syn_retries``): they go before what a scenario gives.
    """

    __slots__ = (
        "_octets",
        "_placed",
        "_schedule",
        "_seed",
        "_sink",
        "faults",
        "names",
        "nodes",
        "settings",
        "switches",
        "wires",
    )

    def __init__(
        self,
        seed: int = 0,
        sink: Sink | None = None,
        octets: bool = False,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._seed = seed
        self._sink = sink
        self._octets = octets
        self._schedule = Schedule()
        #: What was applied, in this order.
        self.faults: list[NetworkFault] = []
        # Which of them are on their wires.
        self._placed: set[int] = set()
        self.names: dict[str, str] = {}
        self.settings = settings
        #: Hosts and routers by name, in the order in which they were made.
        self.nodes: dict[str, Node] = {}
        self.switches: dict[str, Switch] = {}
        self.wires: dict[str, Wire] = {}

    @property
    def now(self) -> int:
        """The virtual time, in nanoseconds."""
        return self._schedule.now

    def random(self, purpose: str) -> Random:
        """A generator of its own for each purpose, so that one more fault does not disturb the others."""
        return Random(self.octets_for(purpose))

    def octets_for(self, purpose: str) -> bytes:
        """32 octets that follow from the seed, others for each purpose."""
        return blake2s(f"{self._seed}/{purpose}".encode()).digest()

    def tracer(self, name: str) -> Tracer | None:
        """What tells the sink about the node called `name`; None if nobody listens."""
        return Tracer(name, self._sink) if self._sink is not None else None

    # --- what it is made of

    def host(self, name: str, parameters: Parameters | None = None) -> Node:
        """Adds a host. Raises ValueError if that name is taken, and for a setting that its parameters do not take."""
        self._check_name(name)
        node = self.nodes[name] = Node(self, name, self._parameters(name, parameters))
        return node

    def _parameters(self, name: str, given: Parameters | None) -> Parameters | None:
        """The parameters of the host of that name: those given, and over them the settings that concern it."""
        settings = {
            key.rpartition(":")[2]: value
            for key, value in self.settings.items()
            if ":" not in key or key.partition(":")[0] == name
        }
        if not settings:
            return given
        parameters = Parameters() if given is None else deepcopy(given)
        for key, value in settings.items():
            parameters.set(key, value)
        return parameters

    def router(
        self,
        name: str,
        parameters: Parameters | None = None,
        *,
        nat: Nat | None = None,
        firewall: Firewall | None = None,
    ) -> Router:
        """Adds a router, which translates and filters if it is told to. Raises ValueError as `host` does."""
        self._check_name(name)
        own = self._parameters(name, parameters)
        router = self.nodes[name] = Router(self, name, own, nat, firewall)
        return router

    def switch(self, name: str) -> Switch:
        """Adds a shared segment, which is wired without addresses. Raises ValueError if that name is taken."""
        self._check_name(name)
        switch = self.switches[name] = Switch(name)
        return switch

    def _check_name(self, name: str) -> None:
        if name in self.nodes or name in self.switches:
            raise ValueError(f"there is a device named {name!r} already")

    def wire(
        self,
        first: Device,
        first_address: str | Sequence[str],
        second: Device,
        second_address: str | Sequence[str] = (),
        *,
        delay: int = 0,
        rate: int = 0,
        queue: int = 1000,
        mtu: int = 1500,
        name: str = "",
    ) -> Wire:
        """Connects two devices. Each node has an address such as ``10.0.0.1/24`` at its end, or several; a switch
        has none.

        `delay` each way in nanoseconds, `rate` in bits a second (0: infinite), `queue` in packets, `mtu` in octets.
        The wire's `name` in `wires` is by default that of both devices, such as ``client-server``, with ``#2`` and so
        on if there are more between the two. Raises ValueError for a name that is taken, for addresses that make no
        sense, and for two switches.
        """
        if isinstance(first, Switch) and isinstance(second, Switch):
            raise ValueError("two switches cannot be wired together")
        name = self._wire_name(first, second, name)
        # Both are judged before either is taken.
        own = _addresses(first, first_address), _addresses(second, second_address)
        here, there = first.add_port(own[0], mtu), second.add_port(own[1], mtu)
        here.peer, there.peer = there, here
        here.wire = there.wire = len(self.wires)
        ends = FarEnd(here, self._sink, self._octets), FarEnd(there, self._sink, self._octets)
        names = tuple((port.device.name, *map(addresses.text, port.packed)) for port in (here, there))
        wire = Wire(self._schedule, ends[0], ends[1], delay, rate, queue, (names[0], names[1]))
        here.output, there.output = wire.forward, wire.backward
        wire.forward.sender_tracer, wire.backward.receiver_tracer = self.tracer(first.name), ends[0].tracer
        wire.backward.sender_tracer, wire.forward.receiver_tracer = self.tracer(second.name), ends[1].tracer
        self.wires[name] = wire
        self._check_places()
        for number, fault in enumerate(self.faults):
            self._place(number, fault)
        return wire

    def _wire_name(self, first: Device, second: Device, name: str) -> str:
        if name:
            if name in self.wires:
                raise ValueError(f"there is a wire named {name!r} already")
            check_wire_name(name)
            return name
        plain = name = f"{first.name}-{second.name}"
        count = 1
        while name in self.wires:
            count += 1
            name = f"{plain}#{count}"
        return name

    # --- what goes wrong

    def apply(self, fault: NetworkFault | str) -> None:
        """Lets a fault act from now on; times in it are those of the network. A text is read first.

        A fault for which there is no wire yet waits for it, so that faults may be given before anything is built. One
        that names no wire is for the only one there is. What a fault leaves to chance follows from the seed, from its
        wire and from its words alone, so one fault more does not disturb the others. Raises ValueError for what has no
        place here.
        """
        if isinstance(fault, str):
            fault = parse_network_fault(fault)
        self.faults.append(fault)
        if isinstance(fault, Reboot):
            self.at(fault.at, lambda: self.nodes[fault.host].reboot(fault.down))
            return
        self._check_places()
        self._place(len(self.faults) - 1, fault)

    def _place(self, number: int, fault: NetworkFault) -> None:
        """Puts a fault on its wire, if that is there and it is not on it yet."""
        if isinstance(fault, Reboot) or number in self._placed:
            return
        name = fault.wire if isinstance(fault, OnWire) else next(iter(self.wires), "")
        wire = self.wires.get(name)
        if wire is None:
            return
        self._placed.add(number)
        plain = fault.fault if isinstance(fault, OnWire) else fault
        # Of two faults that read the same, each has a chance of its own.
        alike = self.faults[:number].count(fault)
        wire.apply(plain, self.random(f"fault {name}: {plain} {alike}"))

    def _check_places(self) -> None:
        for fault in self.faults:
            if len(self.wires) > 1 and not isinstance(fault, (OnWire, Reboot)):
                raise ValueError(f"'{fault}' names none of several wires: write one before it, such as 'a-b: {fault}'")

    def check_faults(self) -> None:
        """To be called when all is built: raises ValueError for a fault that waits for a wire or a host that is not
        there."""
        self._check_places()
        for number, fault in enumerate(self.faults):
            if isinstance(fault, Reboot):
                if fault.host not in self.nodes:
                    raise ValueError(f"'{fault}': there is no host of that name")
            elif number not in self._placed:
                raise ValueError(f"'{fault}': there is no such wire")

    def partition(self, wire: str, start: int | None = None, end: int | None = None) -> None:
        """Cuts a wire, now or at the time `start`, until the time `end`, if there is one (nanoseconds). What is on
        its way arrives."""
        self.apply(OnWire(wire, Partition(start=self.now if start is None else start, end=end)))

    def route_all(self) -> None:
        """Finds the shortest paths and gives each node its routes; to be called when all wires are there. See
        `synfin.sim.routing`."""
        route_all(self.nodes.values())

    def resolve(self, name: str, node: Node) -> str:
        """The address for a name, or for an address itself, as `node` sees it: from `names`, or the first address of
        the node so named to which there is a route. Raises socket.gaierror if there is none."""
        try:
            return str(ip_address(name))
        except ValueError:
            pass
        if name in self.names:
            return self.names[name]
        if name == "localhost":
            return "127.0.0.1"
        known = self.nodes.get(name)
        if known is not None:
            for port in known.ports:
                for address in port.packed:
                    if node.host.transport.interface_towards(address) >= 0:
                        return addresses.text(address)
        raise gaierror(EAI_NONAME, f"no address for the name {name!r}")

    # --- time

    def at(self, time: int, call: Callable[[], object]) -> None:
        """Makes `call` at `time` (nanoseconds)."""
        self._schedule.at(time, call)

    def after(self, delay: int, call: Callable[[], object]) -> None:
        """Makes `call` in `delay` nanoseconds."""
        self._schedule.at(self._schedule.now + delay, call)

    def next_time(self) -> int | None:
        """When the next thing happens; None if nothing is left to happen."""
        return self._schedule.next_time()

    def step(self) -> None:
        """Jumps to the next thing that happens, and lets it happen. Raises IndexError if nothing is left."""
        self._schedule.step()

    def run(self, until: int | None = None) -> None:
        """Runs until nothing is left to happen, or to the time `until`, which then has come."""
        schedule = self._schedule
        while True:
            time = schedule.next_time()
            if time is None or (until is not None and time > until):
                break
            schedule.step()
        if until is not None and until > schedule.now:
            schedule.now = until

    def run_while(self, condition: Callable[[], bool]) -> None:
        """Runs while `condition` holds and something is left to happen."""
        schedule = self._schedule
        while condition() and schedule.next_time() is not None:
            schedule.step()


def _addresses(device: Device, given: str | Sequence[str]) -> list[str]:
    own = [given] if isinstance(given, str) else list(given)
    if isinstance(device, Switch):
        if own:
            raise ValueError("a switch has no address")
    elif not own:
        raise ValueError(f"{device.name} needs an address on this wire")
    for entry in own:
        if not addresses.is_unicast(ip_interface(entry).packed):
            raise ValueError(f"{entry} is no address for a host")
    return own
