"""The tables of TCP of one host, and where things are: which addresses are ours, and how others are reached."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synfin.events import Tracer
from synfin.host import addresses
from synfin.host.binding import ANY_IPV6, IPV6_ONLY, Bindings
from synfin.host.counters import Counters
from synfin.host.identification import Identifications
from synfin.host.interface import Interface, Route, Routes
from synfin.host.metrics import MetricsTable
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
from synfin.tcp.parameters import MICROSECOND
from synfin.tcp.syn_cookies import SynCookies
from synfin.tcp.tcb import HEADERS_IPV4, HEADERS_IPV6

if TYPE_CHECKING:
    from synfin.host.sockets import Socket


class Tables:
    """Connections and TIME-WAITs by flow, which is octets cut from the packet; listeners by address and port; sockets
    by number, which is what connections and listeners know of them.

    `changed` holds connections and listeners whose readiness may have changed, for the driver to look at.
    """

    __slots__ = (
        "bindings",
        "changed",
        "coarse_timers",
        "connections",
        "cookies",
        "counters",
        "identifications",
        "interfaces",
        "learned",
        "listeners",
        "memory",
        "numbers",
        "orphans",
        "parameters",
        "path_mtus",
        "ports",
        "reuse_port",
        "routes",
        "sockets",
        "sockets_made",
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
        #: Listeners that share an end with the one in `listeners` (SO_REUSEPORT).
        self.reuse_port: dict[tuple[bytes, int], list[Listener]] = {}
        self.bindings = Bindings()
        self.sockets: dict[int, Socket] = {}
        self.sockets_made = 0
        self.time_waits = TimeWaits(self.bindings)
        self.path_mtus = PathMtus(parameters)
        #: What connections learned for the next ones to the same host.
        self.learned = MetricsTable(parameters.tcp)
        self.timers = TimerQueue(self.connections)
        self.changed: deque[Connection | Listener] = deque()
        #: The driver comes back at a deadline about a millisecond late, not exactly (``tcp_pacing_quantum_us``).
        self.coarse_timers = False

    def enter(self, connection: Connection, bound: int) -> None:
        """Puts a new connection into the table. `bound`: the flags of its claim on the local port."""
        identity = connection.identity
        connection.memory = self.memory
        if self.coarse_timers:
            connection.pacing_quantum = self.parameters.tcp.tcp_pacing_quantum_us * MICROSECOND
        self.connections[identity.flow] = connection
        connection.bound = bound
        self.bindings.add(identity.local_port, identity.local_address, bound)

    def discharge(self, connection: Connection) -> None:
        """Takes a connection out of the host in silence."""
        if self.connections.get(connection.identity.flow) is connection:
            self.remove(connection)

    def remove(self, connection: Connection) -> None:
        """Takes a connection out of the table. What a user may still read of it is the user's from now on."""
        identity = connection.identity
        del self.connections[identity.flow]
        self.orphans.discard(identity.flow)
        if connection.charged > 0:
            self.memory.change(-connection.charged)
        connection.charged = -1
        if connection.bound >= 0:
            self.bindings.remove(identity.local_port, identity.local_address, connection.bound)
            connection.bound = -1

    def all_listeners(self) -> Iterator[Listener]:
        """Every listener once."""
        yield from self.listeners.values()
        for others in self.reuse_port.values():
            yield from others

    def add_listener(self, listener: Listener) -> None:
        """Enters a listener, whose end `bindings` allows."""
        end = (listener.local_address, listener.local_port)
        if end in self.listeners:
            self.reuse_port.setdefault(end, []).append(listener)
        else:
            self.listeners[end] = listener

    def remove_listener(self, listener: Listener) -> None:
        """Takes a listener out, if it is there; one that shares its end takes its place."""
        end = (listener.local_address, listener.local_port)
        others = self.reuse_port.get(end, [])
        if self.listeners.get(end) is listener:
            if others:
                self.listeners[end] = others.pop(0)
            else:
                del self.listeners[end]
        elif listener in others:
            others.remove(listener)
        if not others:
            self.reuse_port.pop(end, None)

    def find_listener(self, address: bytes, port: int, flow: bytes = b"") -> Listener | None:
        """The listener for segments of `flow` to `address` and `port`: the most specific one, as Linux has it.

        Of several that share an end, the one that knows the flow, or one that a keyed hash of it chooses.
        """
        listeners = self.listeners
        end = (address, port)
        if end not in listeners:
            end = (bytes(len(address)), port)
            if end not in listeners and len(address) == 4:
                end = (ANY_IPV6, port)
        listener = listeners.get(end)
        if listener is None:
            return None
        foreign = len(address) != len(end[0])
        others = self.reuse_port.get(end)
        if others is None:
            return None if foreign and listener.bound & IPV6_ONLY else listener
        group = [member for member in (listener, *others) if not (foreign and member.bound & IPV6_ONLY)]
        for member in group:
            if flow in member.requests:
                return member
        return group[self.ports.spread(flow, len(group))] if group else None

    def is_own(self, address: bytes) -> bool:
        for interface in self.interfaces:
            for own, _ in interface.addresses:
                if own == address:
                    return True
        return addresses.is_loopback(address)

    def interface_towards(self, address: bytes) -> int:
        """The index of the interface through which packets for `address` leave; 0, loopback, for our own."""
        if self.is_own(address):
            return 0
        route = self.routes.find(address)
        return route.interface.index if route is not None else -1

    def source_towards(self, address: bytes) -> bytes | None:
        """The own address to speak from to `address` (RFC 9293 §3.9.1.1, MUST-44); None if there is none."""
        if len(address) == 4 and addresses.is_loopback(address):
            return addresses.LOOPBACK_IPV4
        if self.is_own(address):
            # As Linux has it: all of the loopback network is this one address.
            return addresses.LOOPBACK_IPV4 if len(address) == 4 and addresses.is_loopback(address) else address
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
