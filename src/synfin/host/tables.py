"""The tables of TCP of one host, and where things are: which addresses are ours, and how others are reached."""

from __future__ import annotations

from collections import deque

from synfin.events import Tracer
from synfin.host import addresses
from synfin.host.counters import Counters
from synfin.host.identification import Identifications
from synfin.host.interface import Interface, Route, Routes
from synfin.host.parameters import Parameters
from synfin.host.path_mtu import PathMtus
from synfin.host.ports import EphemeralPorts
from synfin.host.source_address import select
from synfin.host.time_waits import TimeWaits
from synfin.host.timer_queue import TimerQueue
from synfin.tcp.connection import Connection
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.listener import Listener
from synfin.tcp.memory import Memory
from synfin.tcp.syn_cookies import SynCookies
from synfin.tcp.tcb import HEADERS_IPV4, HEADERS_IPV6


class Tables:
    """Connections and TIME-WAITs by flow, which is octets cut from the packet; listeners by address and port.

    `changed` holds connections and listeners whose readiness may have changed, for the driver to look at.
    """

    __slots__ = (
        "changed",
        "connections",
        "cookies",
        "counters",
        "identifications",
        "interfaces",
        "listeners",
        "memory",
        "numbers",
        "orphans",
        "parameters",
        "path_mtus",
        "ports",
        "routes",
        "time_waits",
        "timers",
        "tracer",
    )

    def __init__(
        self,
        parameters: Parameters,
        interfaces: list[Interface],
        routes: Routes,
        counters: Counters,
        secret: bytes,
        tracer: Tracer | None,
    ) -> None:
        self.parameters = parameters
        self.interfaces = interfaces
        self.routes = routes
        self.counters = counters
        self.tracer = tracer
        self.numbers = InitialSequenceNumbers(secret)
        self.cookies = SynCookies(secret)
        self.ports = EphemeralPorts(secret)
        self.memory = Memory(parameters.tcp)
        #: The connections that their users have let go (``tcp_max_orphans``).
        self.orphans: set[bytes] = set()
        self.identifications = Identifications(secret)
        self.connections: dict[bytes, Connection] = {}
        self.listeners: dict[tuple[bytes, int], Listener] = {}
        self.time_waits = TimeWaits()
        self.path_mtus = PathMtus()
        self.timers = TimerQueue(self.connections)
        self.changed: deque[Connection | Listener] = deque()

    def listening(self, address: bytes, port: int) -> bool:
        """Whether a listener at `address` and `port` would stand in another's way."""
        if address == bytes(len(address)):
            return any(other_port == port and len(other) == len(address) for other, other_port in self.listeners)
        return self.find_listener(address, port) is not None

    def find_listener(self, address: bytes, port: int) -> Listener | None:
        """The listener at `address`, or at all addresses of its version."""
        return self.listeners.get((address, port)) or self.listeners.get((bytes(len(address)), port))

    def is_own(self, address: bytes) -> bool:
        return addresses.is_loopback(address) or any(
            address == own for interface in self.interfaces for own, _ in interface.addresses
        )

    def interface_towards(self, address: bytes) -> int:
        """The index of the interface through which packets for `address` leave; 0, loopback, for our own."""
        if self.is_own(address):
            return 0
        route = self.routes.find(address)
        return route.interface.index if route is not None else -1

    def source_towards(self, address: bytes) -> bytes | None:
        """The own address to speak from to `address` (RFC 9293 §3.9.1.1, MUST-44); None if there is none."""
        if self.is_own(address):
            return address
        route = self.routes.find(address)
        if route is None:
            return None
        if route.source and self.is_own(route.source):
            return route.source
        return select(self.interfaces, route.interface, address, route.gateway)

    def _route_through(self, interface: Interface, address: bytes) -> Route | None:
        """The route to `address` if it leads through `interface`."""
        route = self.routes.find(address) if interface.index else None
        return route if route is not None and route.interface is interface else None

    def first_mtu(self, interface: Interface, address: bytes) -> int:
        """The largest packet to `address` that the link at `interface` and the route take, in octets."""
        route = self._route_through(interface, address)
        return route.path_mtu if route is not None else interface.mtu

    def path_mss(self, interface: Interface, address: bytes, now: int) -> int:
        """The MSS that the path towards `address` allows, as far as it is known (RFC 9293 §3.7.1, §3.7.2)."""
        return self.path_mtus.get(address, self.first_mtu(interface, address), now) - headers(address)

    def metrics(self, interface: Interface, address: bytes) -> tuple[int, int]:
        """What the route to `address` says of the MSS to tell and of the initial window; 0 for nothing."""
        route = self._route_through(interface, address)
        return (route.advmss, route.initcwnd) if route is not None else (0, 0)


def headers(address: bytes) -> int:
    """Octets of IP and TCP header towards `address`, without options."""
    return HEADERS_IPV4 if len(address) == 4 else HEADERS_IPV6
