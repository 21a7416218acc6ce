"""Static routes by shortest path, so that who builds a network writes only wires."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from ipaddress import ip_interface

from synfin.host.addresses import text
from synfin.sim.device import Port
from synfin.sim.node import Node, StaticRoute
from synfin.sim.router import Router


def route_all(nodes: Iterable[Node]) -> None:
    """Gives each node the routes to all networks, through as few routers as possible; of paths equally long the one
    of older wires, the same there and back. What stands behind a NAT has no routes to it from outside.

    A node that forwards nothing and has one router as its neighbour gets a default route instead.
    """
    known = list(nodes)
    tables: dict[str, list[StaticRoute]] = {node.name: [] for node in known}
    for network in _networks(known):
        _spread(network, known, tables)
    for node in known:
        node.set_computed_routes(_default(node) or tables[node.name])


def _networks(nodes: list[Node]) -> list[str]:
    """Every network that is attached somewhere, as text, in the order of nodes and wires."""
    found: dict[str, None] = {}
    for node in nodes:
        for port in node.ports:
            for own in port.addresses:
                found.setdefault(str(ip_interface(own).network))
    return list(found)


def _is_attached(port: Port, network: str) -> bool:
    return any(str(ip_interface(own).network) == network for own in port.addresses)


def _spread(network: str, nodes: list[Node], tables: dict[str, list[StaticRoute]]) -> None:
    """Spreads word of `network` from where it is attached: Dijkstra's shortest paths, in numbers of hops."""
    length = ip_interface(network).max_prefixlen // 8
    # Hops first, then the wires on the way as bits, the newest one highest: no two ways cost the same, and there and
    # back is one way. What follows never decides.
    waiting: list[tuple[int, int, int, Node, Port, str]] = []
    count = 0
    for node in nodes:
        for port in node.ports:
            if _is_attached(port, network):
                heappush(waiting, (0, 0, count, node, port, ""))
                count += 1
    known: set[str] = set()
    while waiting:
        hops, wires, _, node, inner, gateway = heappop(waiting)
        if node.name in known:
            continue
        known.add(node.name)
        if gateway:
            tables[node.name].append(StaticRoute(network, inner.index, gateway))
        if not node.forwards:
            continue
        for outer in node.ports:
            address = outer.address(length)
            # Without an address of this version on a wire there is no way for it.
            if not address or (length == 4 and isinstance(node, Router) and node.hides(inner, outer)):
                continue
            for port in outer.neighbours():
                if isinstance(port.device, Node):
                    crossed = wires | 1 << outer.wire | 1 << port.wire
                    heappush(waiting, (hops + 1, crossed, count, port.device, port, text(address)))
                    count += 1


def _default(node: Node) -> list[StaticRoute]:
    """Default routes, one for each version, if there is one router only to which they could lead."""
    if node.forwards:
        return []
    gateways = [
        (port, other)
        for port in node.ports
        for other in port.neighbours()
        if isinstance(other.device, Node) and other.device.forwards
    ]
    if len(gateways) != 1:
        return []
    port, other = gateways[0]
    routes = []
    for length, everything in ((4, "0.0.0.0/0"), (16, "::/0")):
        gateway = other.address(length)
        if gateway and port.address(length):
            routes.append(StaticRoute(everything, port.index, text(gateway)))
    return routes
