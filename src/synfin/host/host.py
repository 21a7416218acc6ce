"""A host: what arrives at its interfaces, what its users call, what it sends, and when to come back."""

from __future__ import annotations

from synfin.events import Tracer
from synfin.host import addresses, moving, opening, path_reports
from synfin.host.addresses import Network
from synfin.host.connections import ConnectionRow, rows
from synfin.host.counters import ECN_COUNTERS, Counters
from synfin.host.icmp_output import IcmpOutput
from synfin.host.interface import Interface, Route, Routes
from synfin.host.ip_input import IpInput
from synfin.host.metrics import MetricsRow
from synfin.host.parameters import Parameters
from synfin.host.transport import Transport
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.memory import PAGE
from synfin.tcp.reassembly import Piece
from synfin.tcp.snapshot import Snapshot
from synfin.wire.errors import WireError
from synfin.wire.ip import CE, Packet, parse_packet
from synfin.wire.tcp import Segment

#: The MTU of loopback, as Linux has it, in octets.
LOOPBACK_MTU = 65536
LOOPBACK_ROOM = 65535


class Host:
    """One machine. Times are integer nanoseconds of whatever clock its driver keeps; addresses are text.

    A driver's loop, after anything was told: `poll_transmit` for each interface until None; then wait for a
    packet, a user's call or `next_deadline`. `changed` lists the connections and listeners to look at for their
    users; the driver empties it with `take_changed`.

    `secret` (16 octets or more) keys initial sequence numbers and ports, and is all that is random about a host.
    """

    __slots__ = (
        "counters",
        "icmp_output",
        "interfaces",
        "ip_input",
        "name",
        "parameters",
        "routes",
        "tracer",
        "transport",
    )

    def __init__(
        self, name: str, secret: bytes, parameters: Parameters | None = None, tracer: Tracer | None = None
    ) -> None:
        self.name = name
        self.parameters = parameters if parameters is not None else Parameters()
        self.tracer = tracer
        self.counters = Counters()
        self.interfaces: list[Interface] = []
        self.routes = Routes()
        self.transport = Transport(self.parameters, self.interfaces, self.routes, self.counters, secret, tracer)
        self.icmp_output = IcmpOutput(self.transport)
        self.ip_input = IpInput(self.transport, self.icmp_output)
        loopback = self.add_interface("lo", ["127.0.0.1/8", "::1/128"], LOOPBACK_MTU)
        loopback.room = LOOPBACK_ROOM

    # --- what the machine is made of

    def add_interface(self, name: str, own: list[str], mtu: int, room: int = 0) -> Interface:
        """Attaches an interface with the addresses `own`, such as ``10.0.0.1/24``, and routes to their networks.

        `mtu` is the largest packet, `room` the largest that the link takes at once (both in octets). Raises
        ValueError for an address that makes no sense.
        """
        interface = Interface(name, len(self.interfaces), mtu, room)
        networks = []
        for entry in own:
            word, _, length = entry.partition("/")
            address = addresses.packed(word)
            if not addresses.is_unicast(address):
                raise ValueError(f"{word} is no address for a host")
            bits = int(length) if length else len(address) * 8
            networks.append(Network(address, bits))
            interface.addresses.append((address, bits))
        for network in networks:
            self.routes.add(network, interface)
        self.interfaces.append(interface)
        return interface

    def add_route(
        self,
        destination: str,
        interface: Interface,
        gateway: str = "",
        *,
        source: str = "",
        mtu: int = 0,
        advmss: int = 0,
        initcwnd: int = 0,
    ) -> Route:
        """Sends packets for the network `destination`, such as ``0.0.0.0/0``, through `interface`, towards the
        neighbour `gateway` if one is named. The rest is as in `Route`, empty or 0 for nothing.

        Raises ValueError for what is no network or address, and for a `source` that is not ours.
        """
        hop = addresses.packed(gateway) if gateway else b""
        own = self._own_source(source)
        return self.routes.insert(Route(_network(destination), interface, hop, own, mtu, advmss, initcwnd))

    def change_route(
        self, destination: str, now: int, *, source: str = "", mtu: int = 0, advmss: int = 0, initcwnd: int = 0
    ) -> Route:
        """Gives the route to exactly `destination` other attributes, as ``ip route change`` does: what is not named is
        0 from now on. Connections take the MTU at once, new ones the rest.

        Raises ValueError for what is no network or address, and a `source` that is not ours; KeyError without such a
        route.
        """
        network = _network(destination)
        route = self.routes.to(network)
        if route is None:
            raise KeyError(destination)
        route.source = self._own_source(source)
        route.mtu, route.advmss, route.initcwnd = mtu, advmss, initcwnd
        path_reports.route_changed(self.transport, network, now)
        return route

    def _own_source(self, text: str) -> bytes:
        source = addresses.packed(text) if text else b""
        if source and not self.transport.is_own(source):
            raise ValueError(f"{text} is no address of this host")
        return source

    # --- the users' calls

    def listen(self, address: str, port: int, backlog: int, now: int) -> Listener:
        """Listens at `address` (``0.0.0.0`` or ``::`` for all) and `port` (0: any that is free).

        Raises OSError with EADDRINUSE or EADDRNOTAVAIL.
        """
        return opening.listen(self.transport, addresses.packed(address), port, backlog, now)

    def connect(self, address: str, port: int, now: int, local: tuple[str, int] | None = None) -> Connection:
        """Opens a connection to `address` and `port`, from `local` if given (port 0: any that is free).

        Raises OSError with ENETUNREACH or EADDRNOTAVAIL. Whether the peer answers is seen later.
        """
        if local is None:
            return opening.connect(self.transport, addresses.packed(address), port, now)
        own = addresses.packed(local[0])
        chosen = None if addresses.is_unspecified(own) else own
        return opening.connect(self.transport, addresses.packed(address), port, now, chosen, local[1])

    def accept(self, listener: Listener) -> Connection:
        """Takes a complete connection from the accept queue. Raises BlockingIOError if there is none."""
        return listener.accept()

    def send(self, connection: Connection, data: bytes | bytearray | memoryview, now: int, more: bool = False) -> int:
        """SEND on a connection; see `Connection.send`."""
        taken = connection.send(data, now, more)
        if len(connection.send_buffer) > connection.charged:
            self.transport.account(connection)
        self.transport.schedule(connection)
        return taken

    def send_urgent(self, connection: Connection, data: bytes | bytearray | memoryview, now: int) -> int:
        """SEND of urgent data; see `Connection.send_urgent`."""
        taken = connection.send_urgent(data, now)
        if len(connection.send_buffer) > connection.charged:
            self.transport.account(connection)
        self.transport.schedule(connection)
        return taken

    def receive(self, connection: Connection, limit: int, now: int) -> list[Piece]:
        """RECEIVE on a connection; see `Connection.receive`."""
        pieces = connection.receive(limit, now)
        if connection.ack_now:
            self.transport.settle(connection, now)
        elif connection.charged > PAGE:
            self.transport.account(connection)
        return pieces

    def close(self, connection: Connection, now: int) -> None:
        """CLOSE, which keeps the receiving half open; see `Connection.close`."""
        connection.close(now)
        self.transport.settle(connection, now)

    def release(self, connection: Connection, now: int) -> None:
        """The user lets go of the connection; see `Connection.release`."""
        connection.release(now)
        self.transport.settle(connection, now)
        self.transport.orphaned(connection, now)

    def abort(self, connection: Connection, now: int) -> None:
        """ABORT; see `Connection.abort`."""
        connection.abort(now)
        self.transport.settle(connection, now)

    def set_keepalive(self, connection: Connection, on: bool, now: int) -> None:
        """Switches keep-alive on or off; see `Connection.set_keepalive`."""
        connection.set_keepalive(on, now)
        self.transport.settle(connection, now)

    def dump(self, connection: Connection, now: int) -> Snapshot:
        """The connection as a value, which `restore` takes on this host or another; see `synfin.tcp.snapshot`.

        It leaves this host in silence, without a FIN or a RST. Raises OSError with ENOTCONN if it has ended.
        """
        return moving.dump(self.transport, connection, now)

    def restore(self, value: Snapshot, now: int) -> Connection:
        """Goes on with a connection that was dumped. Raises OSError (EADDRNOTAVAIL, EADDRINUSE, ENETUNREACH), and
        ValueError for what is no snapshot."""
        return moving.restore(self.transport, value, now)

    def close_listener(self, listener: Listener, now: int) -> None:
        """Ends listening; connections that nobody accepted are reset."""
        opening.close_listener(self.transport, listener, now)

    def connections(self) -> list[ConnectionRow]:
        """What ``ss -tan`` would print: listeners, half-open requests, connections and TIME-WAITs."""
        transport = self.transport
        return rows(transport.all_listeners(), transport.connections.values(), transport.time_waits.flows())

    def metrics(self, now: int) -> list[MetricsRow]:
        """What ``ip tcp_metrics`` would print: what connections learned of other hosts (RFC 9040)."""
        return self.transport.learned.rows(now)

    def forget_metrics(self) -> None:
        """Forgets all of that, as ``ip tcp_metrics flush`` does."""
        self.transport.learned.forget()

    # --- the network's calls

    def octets_arrive(
        self,
        octets: bytes | bytearray | memoryview,
        interface: Interface,
        now: int,
        checksum_verified: bool = False,
        segment_size: int = 0,
    ) -> None:
        """Takes a packet as octets. What cannot be read is counted by its cause and dropped in silence."""
        try:
            packet = parse_packet(octets, checksum_verified=checksum_verified, segment_size=segment_size)
        except WireError as error:
            self.ip_input.unreadable(octets, error, interface, now)
            return
        self.packet_arrives(packet, interface, now)

    def packet_arrives(self, packet: Packet, interface: Interface, now: int) -> None:
        """Takes a packet that is well formed."""
        counters = self.counters
        version = "Ip" if len(packet.source) == 4 else "Ip6"
        counters.add(version + "InReceives")
        codepoint = packet.traffic_class & CE
        if codepoint:
            counters.add(ECN_COUNTERS[len(packet.source) == 16][codepoint])
        payload = packet.payload
        if (
            not packet.extension
            and isinstance(payload, Segment)
            and self.transport.segment_arrives(packet, payload, interface.index, now)
        ):
            return
        self.ip_input.packet_arrives(packet, interface, now)

    def poll_transmit(self, interface: Interface, now: int) -> Packet | None:
        """The next packet for the link at `interface`, or None. Ask until None.

        What the host sends to itself is delivered here too, so it wants to be asked for some interface.
        """
        loopback = self.interfaces[0]
        while loopback.output or loopback.sending:
            packet = self.transport.poll_transmit(0, now)
            if packet is None:
                break
            self.packet_arrives(packet, loopback, now)
        return self.transport.poll_transmit(interface.index, now)

    # --- time's calls

    def next_deadline(self) -> int:
        """When to call `deadline_reached` (nanoseconds); `synfin.tcp.timers.NEVER` if nothing waits."""
        return min(self.transport.next_deadline(), self.ip_input.next_deadline())

    def deadline_reached(self, now: int) -> None:
        """Lets every timer that has expired by `now` act."""
        self.transport.deadline_reached(now)
        self.ip_input.deadline_reached(now)

    # --- for the driver

    def take_changed(self) -> list[Connection | Listener]:
        """The connections and listeners on which something happened since this was last called."""
        changed = self.transport.changed
        taken: list[Connection | Listener] = []
        while changed:
            entry = changed.popleft()
            if isinstance(entry, Connection):
                entry.changed = False
                entry.wake = 0
            taken.append(entry)
        return taken


def _network(text: str) -> Network:
    word, _, length = text.partition("/")
    address = addresses.packed(word)
    return Network(address, int(length) if length else len(address) * 8)
