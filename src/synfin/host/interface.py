"""Interfaces, through which a host sends and receives, and the routes that choose among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synfin.host.addresses import Network, text

if TYPE_CHECKING:
    from synfin.tcp.connection import Connection
    from synfin.wire.ip import Packet

#: Replies that wait for the link, at most. A flood of questions does not become a heap of answers.
OUTPUT_LIMIT = 1000


class Interface:
    """A place where a link is attached. Sizes in octets.

    `mtu` is the largest packet, `room` the largest that its link takes at once: more than the MTU where the link
    cuts superpackets. `output` holds replies that wait for the link, `sending` connections that may have
    something to send.
    """

    __slots__ = ("addresses", "deprecated", "index", "mtu", "name", "output", "room", "sending")

    def __init__(self, name: str, index: int, mtu: int, room: int) -> None:
        self.name = name
        #: Its place among the host's interfaces; 0 is loopback.
        self.index = index
        self.mtu = mtu
        self.room = max(room, mtu)
        #: The host's own addresses here, each with its prefix length.
        self.addresses: list[tuple[bytes, int]] = []
        #: Those of IPv6 that new connections avoid (RFC 4862 §5.5.4). Addresses have no lifetimes here: whoever
        #: knows that the preferred one of an address is over adds it.
        self.deprecated: set[bytes] = set()
        self.output: deque[Packet] = deque()
        self.sending: deque[Connection] = deque()

    def __repr__(self) -> str:
        return f"<Interface {self.name}>"


class Route:
    """Packets for `network` leave through `interface`, towards the neighbour `gateway`; without one (no octets)
    their destination is a neighbour itself.

    The rest is what ``ip route`` can say besides, empty or 0 where it says nothing. `source`: the own address to speak
    from (``src``). `mtu`: octets of a packet, where the path takes less than the link. `advmss`: the most that is told
    to peers as MSS, in octets. `initcwnd`: the congestion window to begin with, in segments.
    """

    __slots__ = ("advmss", "gateway", "initcwnd", "interface", "mtu", "network", "source")

    def __init__(
        self,
        network: Network,
        interface: Interface,
        gateway: bytes = b"",
        source: bytes = b"",
        mtu: int = 0,
        advmss: int = 0,
        initcwnd: int = 0,
    ) -> None:
        self.network = network
        self.interface = interface
        self.gateway = gateway
        self.source = source
        self.mtu = mtu
        self.advmss = advmss
        self.initcwnd = initcwnd

    @property
    def path_mtu(self) -> int:
        """The MTU that the route promises, in octets: never more than the link's."""
        return min(self.mtu, self.interface.mtu) if self.mtu else self.interface.mtu

    def __str__(self) -> str:
        words = [str(self.network)]
        if self.gateway:
            words.append(f"via {text(self.gateway)}")
        words.append(f"dev {self.interface.name}")
        if self.source:
            words.append(f"src {text(self.source)}")
        words += [f"{name} {getattr(self, name)}" for name in ("mtu", "advmss", "initcwnd") if getattr(self, name)]
        return " ".join(words)


class Routes:
    """Routes, the longest prefix first."""

    __slots__ = ("_routes",)

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def add(self, network: Network, interface: Interface, gateway: bytes = b"") -> Route:
        """Adds a route. Of two to one network the older is taken."""
        return self.insert(Route(network, interface, gateway))

    def insert(self, route: Route) -> Route:
        """Adds `route`, as `add` does."""
        self._routes.append(route)
        self._routes.sort(key=lambda route: -route.network.length)
        return route

    def remove(self, route: Route) -> None:
        """Takes a route out. Raises ValueError if it is not there."""
        self._routes.remove(route)

    def to(self, network: Network) -> Route | None:
        """The route to exactly `network` that is taken, or None."""
        for route in self._routes:
            if route.network.length == network.length and route.network.contains(network.address):
                return route
        return None

    def find(self, destination: bytes) -> Route | None:
        """The most specific route to `destination`, or None."""
        for route in self._routes:
            if route.network.contains(destination):
                return route
        return None

    def is_broadcast(self, address: bytes) -> bool:
        """Whether `address` is the broadcast address of a network that is attached here."""
        for route in self._routes:  # noqa: SIM110 (asked for each SYN: twice as fast as any)
            if not route.gateway and route.network.is_broadcast(address):
                return True
        return False
