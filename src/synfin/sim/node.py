"""A host in a simulated network, with the driver that serves it, its power switch and its routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import ENETDOWN
from typing import TYPE_CHECKING

from synfin import reasons
from synfin.host import addresses
from synfin.host.addresses import Network as Prefix
from synfin.host.host import Host
from synfin.host.interface import Route
from synfin.host.parameters import Parameters
from synfin.sim.device import Device, Port, is_unread
from synfin.tcp import states
from synfin.tcp.connection import Connection
from synfin.tcp.ending import end
from synfin.tcp.errors import os_error
from synfin.tcp.listener import Listener
from synfin.tcp.reassembly import Piece
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Packet, octets

if TYPE_CHECKING:
    from synfin.sim.network import Network

#: What a program that lives on a node is told: something happened on this connection or listener.
Changed = Callable[[Connection | Listener], None]


class StaticRoute:
    """A route that survives a reboot: a network as text, the index of a port, the gateway as text or nothing."""

    __slots__ = ("destination", "gateway", "port")

    def __init__(self, destination: str, port: int, gateway: str = "") -> None:
        self.destination = destination
        self.port = port
        self.gateway = gateway


class Node(Device):
    """A host in a network, with the driver that serves it.

    The users' calls are the host's, at the network's time; the packets that follow leave at once. Where they take an
    address, they take a name of the network too. `changed` is called, if set, for each connection or listener on
    which something happened. `booted` is called, if set, after each start but the first, to start programs anew;
    `halted` when the node is switched off, which ends its programs.

    Calls on a node that is off raise OSError (ENETDOWN).
    """

    __slots__ = (
        "_armed",
        "_boots",
        "_busy",
        "_computed",
        "_configured",
        "_network",
        "_static",
        "booted",
        "changed",
        "halted",
        "host",
        "parameters",
        "up",
    )

    def __init__(self, network: Network, name: str, parameters: Parameters | None = None) -> None:
        super().__init__(name)
        self._network = network
        self.parameters = parameters if parameters is not None else Parameters()
        self.changed: Changed | None = None
        self.booted: Callable[[Node], object] | None = None
        self.halted: Callable[[Node], object] | None = None
        self.up = True
        self._boots = 0
        self._armed = NEVER
        self._busy = False
        # Routes as the owner wrote them, as the network computed them, and both as the host has them.
        self._configured: list[StaticRoute] = []
        self._computed: list[StaticRoute] = []
        self._static: list[Route] = []
        self.host = self._new_host()

    def _new_host(self) -> Host:
        boot = f", boot {self._boots}" if self._boots else ""
        return Host(
            self.name,
            self._network.octets_for(f"secret of {self.name}{boot}"),
            self.parameters,
            self._network.tracer(self.name),
        )

    @property
    def forwards(self) -> bool:
        """Whether packets for others pass through here."""
        return False

    # --- ports and routes

    def add_port(self, own: Sequence[str], mtu: int) -> Port:
        port = super().add_port(own, mtu)
        self._add_interface(port)
        return port

    def _add_interface(self, port: Port) -> None:
        self.host.add_interface(f"eth{port.index}", port.addresses, port.mtu)

    def add_route(self, destination: str, gateway: str) -> None:
        """Sends packets for `destination`, such as ``0.0.0.0/0``, towards the neighbour `gateway`.

        Raises ValueError if no wire of the node leads to a network in which that address is.
        """
        route = self.host.routes.find(addresses.packed(gateway))
        if route is None or route.gateway:
            raise ValueError(f"{gateway} is no neighbour of {self.name}")
        self._configured.append(StaticRoute(destination, route.interface.index - 1, gateway))
        self._install_routes()

    def set_computed_routes(self, routes: list[StaticRoute]) -> None:
        """Replaces the routes that the network computed; those of `add_route` go before them."""
        self._computed = routes
        self._install_routes()

    def _install_routes(self) -> None:
        table = self.host.routes
        for route in self._static:
            table.remove(route)
        self._static.clear()
        for static in self._configured + self._computed:
            word, _, length = static.destination.partition("/")
            address = addresses.packed(word)
            prefix = Prefix(address, int(length) if length else len(address) * 8)
            gateway = addresses.packed(static.gateway) if static.gateway else b""
            self._static.append(table.add(prefix, self.host.interfaces[static.port + 1], gateway))

    # --- the users' calls

    def listen(self, address: str, port: int, backlog: int = 128) -> Listener:
        """See `Host.listen`."""
        self._check()
        listener = self.host.listen(self._network.resolve(address, self), port, backlog, self._network.now)
        self.run()
        return listener

    def connect(self, address: str, port: int, local: tuple[str, int] | None = None) -> Connection:
        """See `Host.connect`. Raises socket.gaierror for a name that nobody has."""
        self._check()
        connection = self.host.connect(self._network.resolve(address, self), port, self._network.now, local)
        self.run()
        return connection

    def accept(self, listener: Listener) -> Connection:
        """See `Host.accept`."""
        self._check()
        return self.host.accept(listener)

    def send(self, connection: Connection, data: bytes | bytearray | memoryview) -> int:
        """See `Connection.send`."""
        self._check()
        taken = self.host.send(connection, data, self._network.now)
        self.run()
        return taken

    def receive(self, connection: Connection, limit: int = 1 << 30) -> bytes:
        """Up to `limit` octets that arrived, in one piece; see `Connection.receive`."""
        self._check()
        pieces: list[Piece] = self.host.receive(connection, limit, self._network.now)
        self.run()
        return b"".join(pieces)

    def close(self, connection: Connection) -> None:
        """Closes the sending half, as shutdown(SHUT_WR) does; see `Connection.close`."""
        self._check()
        self.host.close(connection, self._network.now)
        self.run()

    def release(self, connection: Connection) -> None:
        """Lets go of the connection, as close(2) does; see `Connection.release`."""
        self._check()
        self.host.release(connection, self._network.now)
        self.run()

    def abort(self, connection: Connection) -> None:
        """See `Connection.abort`."""
        self._check()
        self.host.abort(connection, self._network.now)
        self.run()

    def set_keepalive(self, connection: Connection, on: bool) -> None:
        """See `Connection.set_keepalive`."""
        self._check()
        self.host.set_keepalive(connection, on, self._network.now)
        self.run()

    def close_listener(self, listener: Listener) -> None:
        """See `Host.close_listener`."""
        self._check()
        self.host.close_listener(listener, self._network.now)
        self.run()

    def _check(self) -> None:
        if not self.up:
            raise os_error(ENETDOWN)

    # --- programs

    def after(self, delay: int, call: Callable[[], object]) -> None:
        """Makes `call` in `delay` nanoseconds, unless the node was switched off by then: programs die with it."""
        boot = self._boots
        self._network.after(delay, lambda: call() if self.up and self._boots == boot else None)

    # --- the power switch

    def power_off(self) -> None:
        """The node falls silent: it sends nothing, hears nothing, and has forgotten everything but its settings.

        Connections that programs still hold are dead: using one raises OSError (ENETDOWN).
        """
        if not self.up:
            return
        self.up = False
        self.changed = None
        if self.halted is not None:
            self.halted(self)
        now = self._network.now
        transport = self.host.transport
        for connection in list(transport.connections.values()):
            end(connection, states.ABORT, ENETDOWN, now, reasons.HOST_DOWN)
            connection.receive_queue.clear()
        tracer = transport.tracer
        if tracer is not None:
            closed = states.NAMES[states.CLOSED]
            for flow in transport.time_waits.flows():
                tracer.state_changed(now, flow, states.NAMES[states.TIME_WAIT], closed, reasons.HOST_DOWN)
            for listener in transport.all_listeners():
                for flow in listener.requests:
                    tracer.state_changed(now, flow, states.NAMES[states.SYN_RECEIVED], closed, reasons.HOST_DOWN)
        self._armed = NEVER
        self._boots += 1
        self.host = self._new_host()
        for port in self.ports:
            self._add_interface(port)
        self._static.clear()
        self._install_routes()

    def power_on(self) -> None:
        """The node starts: same addresses, routes and parameters, another secret, no program but what `booted`
        starts."""
        if self.up:
            return
        self.up = True
        if self.booted is not None:
            self.booted(self)
        self.run()

    def reboot(self, downtime: int = 0) -> None:
        """Switches off now, and on again `downtime` nanoseconds later."""
        self.power_off()
        if downtime:
            self._network.after(downtime, self.power_on)
        else:
            self.power_on()

    # --- the driver

    def arrive(self, packet: Packet | bytes, port: Port, now: int) -> None:
        """A wire delivers at `port`. A node that is off hears nothing."""
        if not self.up:
            return
        self.hand_over(packet, port, now)
        self.run()

    def hand_over(self, packet: Packet | bytes, port: Port, now: int) -> None:
        """Gives a packet to the host itself."""
        interface = self.host.interfaces[port.index + 1]
        if isinstance(packet, Packet):
            if not is_unread(packet):
                self.host.packet_arrives(packet, interface, now)
                return
            packet = octets(packet)
        self.host.octets_arrive(packet, interface, now)

    def run(self) -> None:
        """Sends what the host has to send, tells the programs what happened, and sees to the next deadline."""
        if self._busy:
            # A program that is being told made a call; the loop below will see to what follows.
            return
        self._busy = True
        try:
            while True:
                # A program may switch the node off, and with it goes the host.
                host = self.host
                self._transmit(host)
                changed = host.take_changed()
                if not changed:
                    break
                for entry in changed:
                    if self.changed is not None and host is self.host:
                        self.changed(entry)
        finally:
            self._busy = False
        deadline = self.host.next_deadline()
        if deadline < self._armed:
            self._armed = deadline
            self._network.at(deadline, lambda: self._deadline(deadline))

    def _transmit(self, host: Host) -> None:
        now = self._network.now
        if not self.ports:
            # What the host sends to itself travels too.
            host.poll_transmit(host.interfaces[0], now)
        for port in self.ports:
            interface = host.interfaces[port.index + 1]
            packet = host.poll_transmit(interface, now)
            while packet is not None:
                port.output.transmit(packet)
                packet = host.poll_transmit(interface, now)

    def _deadline(self, deadline: int) -> None:
        if deadline != self._armed:
            return
        self._armed = NEVER
        self.host.deadline_reached(self._network.now)
        self.run()
