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

    __slots__ = ("addresses", "index", "mtu", "name", "output", "room", "sending")

    def __init__(self, name: str, index: int, mtu: int, room: int) -> None:
        self.name = name
        #: Its place among the host's interfaces; 0 is loopback.
        self.index = index
        self.mtu = mtu
        self.room = max(room, mtu)
        #: The host's own addresses here, each with its prefix length.
        self.addresses: list[tuple[bytes, int]] = []
        self.output: deque[Packet] = deque()
        self.sending: deque[Connection] = deque()

    def __repr__(self) -> str:
        return f"<Interface {self.name}>"

    def address_of_version(self, length: int) -> bytes | None:
        """The first own address of `length` octets, if there is one."""
        for address, _ in self.addresses:
            if len(address) == length:
                return address
        return None


class Route:
    """Packets for `network` leave through `interface`, towards the neighbour `gateway`; without one (no octets)
    their destination is a neighbour itself."""

    __slots__ = ("gateway", "interface", "network")

    def __init__(self, network: Network, interface: Interface, gateway: bytes = b"") -> None:
        self.network = network
        self.interface = interface
        self.gateway = gateway

    def __str__(self) -> str:
        via = f" via {text(self.gateway)}" if self.gateway else ""
        return f"{self.network}{via} dev {self.interface.name}"


class Routes:
    """Routes, the longest prefix first."""

    __slots__ = ("_routes",)

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def add(self, network: Network, interface: Interface, gateway: bytes = b"") -> Route:
        """Adds a route. Of two to one network the older is taken."""
        route = Route(network, interface, gateway)
        self._routes.append(route)
        self._routes.sort(key=lambda route: -route.network.length)
        return route

    def remove(self, route: Route) -> None:
        """Takes a route out. Raises ValueError if it is not there."""
        self._routes.remove(route)

    def find(self, destination: bytes) -> Route | None:
        """The most specific route to `destination`, or None."""
        for route in self._routes:
            if route.network.contains(destination):
                return route
        return None

    def is_broadcast(self, address: bytes) -> bool:
        """Whether `address` is the broadcast address of a network that is attached here."""
        return any(not route.gateway and route.network.is_broadcast(address) for route in self._routes)
