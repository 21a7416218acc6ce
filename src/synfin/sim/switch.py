"""A shared segment: a switch to which hosts and routers are wired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from synfin.sim.device import Device, Port, read_header
from synfin.sim.node import Node

if TYPE_CHECKING:
    from synfin.wire.ip import Packet


class Switch(Device):
    """Joins its wires into one segment. It has no addresses and changes nothing in a packet.

    There are no frames here, so it reads the next hop where its neighbour found it: in that neighbour's routes. What
    is for nobody on the segment vanishes; `dropped` counts it. Two switches cannot be wired together.
    """

    __slots__ = ("dropped",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.dropped = 0

    def beyond(self, port: Port) -> Iterator[Port]:
        for other in self.ports:
            if other is not port:
                yield other.peer

    def arrive(self, packet: Packet | bytes, port: Port, now: int) -> None:
        whole = read_header(packet) if isinstance(packet, bytes) else packet
        if whole is None:
            self.dropped += 1
            return
        sender = port.peer.device
        next_hop = b""
        if isinstance(sender, Node):
            route = sender.host.routes.find(whole.destination)
            if route is not None:
                next_hop = route.gateway
        for other in self.ports:
            if other is not port and (next_hop or whole.destination) in other.peer.packed:
                other.output.transmit(whole)
                return
        self.dropped += 1
