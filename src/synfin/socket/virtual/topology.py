"""A network and what runs on it, as a TOML file says. docs/virtual-time.md describes the file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from synfin.events import Sink
from synfin.host.addresses import packed
from synfin.host.parameters import PARAMETERS, Parameters
from synfin.host.profiles import PROFILES, parameters
from synfin.link.quantities import read_rate
from synfin.sim.device import Device
from synfin.sim.firewall import Firewall, Rule
from synfin.sim.nat import Nat
from synfin.sim.network import Network
from synfin.sim.tracking import ESTABLISHED_TIMEOUT, QUERY_TIMEOUT, TRANSITORY_TIMEOUT, Timeouts
from synfin.socket.virtual.fields import Fields, TopologyError
from synfin.socket.virtual.programs import EPOCH
from synfin.tcp.parameters import SECOND

T = TypeVar("T")

#: Nothing happens after it, unless the file says otherwise (nanoseconds).
LIMIT: Final = 24 * 3600 * SECOND


class ProgramLine(NamedTuple):
    """A program as the file names it; see `Programs.add`."""

    host: str
    script: Path
    argv: Sequence[str]
    name: str
    start: int
    background: bool
    restart: bool


class Topology:
    """A network that was read: `build` makes it anew each time. Times in nanoseconds.

    Raises TopologyError, whose text is one line, for a file that makes no sense; OSError if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TopologyError(f"{str(path)!r} is no TOML: {error}", "see docs/virtual-time.md") from None
        fields = Fields("", table)
        self.seed = fields.get("seed", int, 0)
        self.limit = fields.duration("limit", LIMIT)
        self.settle = fields.duration("settle", SECOND)
        self.epoch = fields.time_of_day("epoch", EPOCH)
        #: Where a script runs for which the file has no place.
        self.host = fields.get("host", str, "")
        self._names = fields.get("names", dict, {})
        self._hosts = fields.named("hosts")
        self._routers = fields.named("routers")
        self._switches = fields.texts("switches")
        self._wires = fields.tables("wires")
        self._faults = fields.texts("faults")
        self._programs = fields.tables("programs")
        fields.check_all_taken()
        if not self._hosts:
            raise TopologyError("there is no host", "write a table [hosts.NAME] for each")
        self.host = self.host or next(iter(self._hosts))
        if self.host not in self._hosts:
            raise TopologyError(f"host is {self.host!r}", f"the hosts are {', '.join(self._hosts)}")
        self.programs = [self._program(one) for one in self._programs]

    @property
    def hosts(self) -> list[str]:
        return list(self._hosts)

    def _program(self, fields: Fields) -> ProgramLine:
        host = fields.need("host", str)
        if host not in self._hosts:
            raise TopologyError(f"{fields.where}.host is {host!r}", f"the hosts are {', '.join(self._hosts)}")
        script = self.path.parent / fields.need("script", str)
        made = ProgramLine(
            host,
            script,
            fields.texts("argv"),
            fields.get("name", str, ""),
            fields.duration("start", 0),
            fields.get("background", bool, False),
            fields.get("restart", bool, False),
        )
        fields.check_all_taken()
        return made

    def build(self, seed: int | None = None, sink: Sink | None = None, faults: Sequence[str] = ()) -> Network:
        """The network, with another seed and with more faults if given. Raises TopologyError."""
        network = Network(self.seed if seed is None else seed, sink)
        try:
            for name, fields in self._hosts.items():
                network.host(name, _parameters(fields))
            for name, fields in self._routers.items():
                network.router(name, _parameters(fields), nat=_nat(fields), firewall=_firewall(fields))
            for name in self._switches:
                network.switch(name)
        except TopologyError:
            raise
        except ValueError as error:
            raise TopologyError(str(error), "give each a name of its own") from None
        for fields in self._wires:
            _wire(network, fields)
        for device, fields in (*self._hosts.items(), *self._routers.items()):
            _routes(network, device, fields)
        self._name(network)
        try:
            for fault in (*self._faults, *faults):
                network.apply(fault)
            network.check_faults()
        except ValueError as error:
            wrong, _, right = str(error).partition("; ")
            raise TopologyError(wrong, right or "write one such as 'client-server: lose 2%'") from None
        network.route_all()
        return network

    def _name(self, network: Network) -> None:
        for name, address in self._names.items():
            try:
                packed(address)
            except (ValueError, TypeError, AttributeError):
                raise TopologyError(f"names.{name} is {address!r}", "give an address") from None
            network.names[name] = address


def _parameters(fields: Fields) -> Parameters:
    profile = fields.get("profile", str, "linux")
    if profile not in PROFILES:
        raise TopologyError(f"{fields.path('profile')} is {profile!r}", f"choose one of: {', '.join(PROFILES)}")
    made = parameters(profile)
    for name, value in fields.get("sysctl", dict, {}).items():
        where = f"{fields.path('sysctl')}: {name!r}"
        full = name if name in PARAMETERS else f"net.ipv4.{name}"
        if full not in PARAMETERS:
            raise TopologyError(f"{where} is no parameter", "see 'synfin sysctl' for their names")
        words = value if isinstance(value, list) else [value]
        try:
            made.set(full, " ".join(str(int(word)) if isinstance(word, bool) else str(word) for word in words))
        except ValueError:
            raise TopologyError(f"{where} is {value!r}", f"see 'synfin sysctl --explain {full}'") from None
    return made


def _nat(fields: Fields) -> Nat | None:
    table = fields.get("nat", dict, {})
    if not table:
        return None
    nat = Fields(fields.path("nat"), table)
    forwards: dict[int, tuple[str, int]] = {}
    for port, server in nat.get("forwards", dict, {}).items():
        address, _, inside = str(server).rpartition(":")
        if not port.isdecimal() or not inside.isdecimal():
            raise TopologyError(f"{nat.path('forwards')} has {port} = {server!r}", 'write 80 = "192.168.0.2:8080"')
        forwards[int(port)] = address, int(inside)
    address = nat.need("address", str)
    unknown = cast("Any", nat.get("unknown", str, "drop"))
    mapping = cast("Any", nat.get("mapping", str, "endpoint-independent"))
    filtering = cast("Any", nat.get("filtering", str, "address-and-port-dependent"))
    made = _made(nat, lambda: Nat(address, _timeouts(nat), unknown, mapping, filtering, forwards))
    nat.check_all_taken()
    return made


def _firewall(fields: Fields) -> Firewall | None:
    table = fields.get("firewall", dict, {})
    if not table:
        return None
    wall = Fields(fields.path("firewall"), table)
    rules = []
    for rule in wall.tables("rules"):
        action = cast("Any", rule.need("action", str))
        source, destination = rule.get("source", str, ""), rule.get("destination", str, "")
        port = rule.get("port", int, 0)
        direction = cast("Any", rule.get("direction", str, "") or None)
        rules.append(_made(rule, partial(Rule, action, source, destination, port, direction)))
        rule.check_all_taken()
    outside = wall.get("outside", str, "")
    policy = cast("Any", wall.get("policy", str, "drop"))
    reject_with = cast("Any", wall.get("reject_with", str, "reset"))
    unknown = cast("Any", wall.get("unknown", str, "drop"))
    made = _made(wall, lambda: Firewall(outside, tuple(rules), policy, reject_with, unknown, _timeouts(wall)))
    wall.check_all_taken()
    return made


def _timeouts(fields: Fields) -> Timeouts:
    return Timeouts(
        fields.duration("established", ESTABLISHED_TIMEOUT),
        fields.duration("transitory", TRANSITORY_TIMEOUT),
        fields.duration("query", QUERY_TIMEOUT),
    )


def _made(fields: Fields, make: Callable[[], T]) -> T:
    """What `make` makes of the table `fields`."""
    try:
        return make()
    except TopologyError:
        raise
    except ValueError as error:
        raise TopologyError(f"{fields.where}: {error}", "see docs/virtual-time.md") from None


def _wire(network: Network, fields: Fields) -> None:
    ends = fields.texts("ends")
    if len(ends) != 2:
        raise TopologyError(
            f"{fields.where} has {len(ends)} ends", 'write ends = ["client 10.0.0.1/24", "server 10.0.0.2/24"]'
        )
    devices: list[Device] = []
    addresses = []
    for end in ends:
        name, *own = end.split() or [""]
        device = network.nodes.get(name) or network.switches.get(name)
        if device is None:
            known = ", ".join((*network.nodes, *network.switches))
            raise TopologyError(f"{fields.where}: nothing is called {name!r}", f"there are {known}")
        devices.append(device)
        addresses.append(own)
    rate = fields.get("rate", str, "")
    make = partial(
        network.wire,
        devices[0],
        addresses[0],
        devices[1],
        addresses[1],
        delay=fields.duration("delay", 0),
        rate=fields.read("rate", rate, read_rate) if rate else 0,
        queue=fields.get("queue", int, 1000),
        mtu=fields.get("mtu", int, 1500),
        name=fields.get("name", str, ""),
    )
    faults = fields.texts("faults")
    _made(fields, make)
    name = next(reversed(network.wires))
    for fault in faults:
        _made(fields, partial(network.apply, f"{name}: {fault}"))
    fields.check_all_taken()


def _routes(network: Network, name: str, fields: Fields) -> None:
    for destination, gateway in fields.get("routes", dict, {}).items():
        try:
            network.nodes[name].add_route(destination, gateway)
        except (ValueError, TypeError, AttributeError) as error:
            raise TopologyError(f"{fields.path('routes')}: {error}", 'write "0.0.0.0/0" = "10.0.0.254"') from None
    fields.check_all_taken()
