"""A network of hosts in virtual time: the driver that jumps from one deadline to the next."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2s
from random import Random

from synfin.events import Sink, Tracer
from synfin.host.host import Host
from synfin.host.interface import Interface
from synfin.host.parameters import Parameters
from synfin.sim.schedule import Schedule
from synfin.sim.wires import Direction, Wire
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.reassembly import Piece
from synfin.tcp.timers import NEVER
from synfin.wire.ip import Packet

#: What a program that lives on a node is told: something happened on this connection or listener.
Changed = Callable[[Connection | Listener], None]


class Node:
    """A host in a network, with the driver that serves it.

    The users' calls are the host's, at the network's time; the packets that follow leave at once. `changed` is
    called, if set, for each connection or listener on which something happened.
    """

    __slots__ = ("_armed", "_busy", "_network", "_outputs", "changed", "host")

    def __init__(self, network: Network, host: Host) -> None:
        self._network = network
        self.host = host
        self.changed: Changed | None = None
        self._outputs: list[tuple[Interface, Direction]] = []
        self._armed = NEVER
        self._busy = False

    @property
    def name(self) -> str:
        return self.host.name

    # --- the users' calls

    def listen(self, address: str, port: int, backlog: int = 128) -> Listener:
        """See `Host.listen`."""
        listener = self.host.listen(address, port, backlog, self._network.now)
        self.run()
        return listener

    def connect(self, address: str, port: int, local: tuple[str, int] | None = None) -> Connection:
        """See `Host.connect`."""
        connection = self.host.connect(address, port, self._network.now, local)
        self.run()
        return connection

    def accept(self, listener: Listener) -> Connection:
        """See `Host.accept`."""
        return self.host.accept(listener)

    def send(self, connection: Connection, data: bytes | bytearray | memoryview) -> int:
        """See `Connection.send`."""
        taken = self.host.send(connection, data, self._network.now)
        self.run()
        return taken

    def receive(self, connection: Connection, limit: int = 1 << 30) -> bytes:
        """Up to `limit` octets that arrived, in one piece; see `Connection.receive`."""
        pieces: list[Piece] = self.host.receive(connection, limit, self._network.now)
        self.run()
        return b"".join(pieces)

    def close(self, connection: Connection) -> None:
        """Closes the sending half, as shutdown(SHUT_WR) does; see `Connection.close`."""
        self.host.close(connection, self._network.now)
        self.run()

    def release(self, connection: Connection) -> None:
        """Lets go of the connection, as close(2) does; see `Connection.release`."""
        self.host.release(connection, self._network.now)
        self.run()

    def abort(self, connection: Connection) -> None:
        """See `Connection.abort`."""
        self.host.abort(connection, self._network.now)
        self.run()

    def close_listener(self, listener: Listener) -> None:
        """See `Host.close_listener`."""
        self.host.close_listener(listener, self._network.now)
        self.run()

    # --- the driver

    def attach(self, interface: Interface, output: Direction) -> None:
        self._outputs.append((interface, output))

    def arrive(self, packet: Packet | bytes, interface: Interface, now: int) -> None:
        """A wire delivers."""
        if isinstance(packet, Packet):
            self.host.packet_arrives(packet, interface, now)
        else:
            self.host.octets_arrive(packet, interface, now)
        self.run()

    def run(self) -> None:
        """Sends what the host has to send, tells the programs what happened, and sees to the next deadline."""
        if self._busy:
            # A program that is being told made a call; the loop below will see to what follows.
            return
        self._busy = True
        try:
            host = self.host
            while True:
                now = self._network.now
                for interface, output in self._outputs:
                    packet = host.poll_transmit(interface, now)
                    while packet is not None:
                        output.transmit(packet)
                        packet = host.poll_transmit(interface, now)
                changed = host.take_changed()
                if not changed:
                    break
                if self.changed is not None:
                    for entry in changed:
                        self.changed(entry)
        finally:
            self._busy = False
        deadline = host.next_deadline()
        if deadline < self._armed:
            self._armed = deadline
            self._network.at(deadline, lambda: self._deadline(deadline))

    def _deadline(self, deadline: int) -> None:
        if deadline != self._armed:
            return
        self._armed = NEVER
        self.host.deadline_reached(self._network.now)
        self.run()


class Network:
    """Hosts on wires, in virtual time that starts at 0 (nanoseconds).

    All that is random comes from `seed`: the same scenario with the same seed sends the same packets. `sink`
    receives the trace of all hosts and wires, if given.
    """

    __slots__ = ("_schedule", "_seed", "_sink", "nodes", "wires")

    def __init__(self, seed: int = 0, sink: Sink | None = None) -> None:
        self._seed = seed
        self._sink = sink
        self._schedule = Schedule()
        self.nodes: dict[str, Node] = {}
        self.wires: list[Wire] = []

    @property
    def now(self) -> int:
        """The virtual time, in nanoseconds."""
        return self._schedule.now

    def random(self, purpose: str) -> Random:
        """A generator of its own for each purpose, so that one more fault does not disturb the others."""
        return Random(self._octets(purpose))

    def _octets(self, purpose: str) -> bytes:
        return blake2s(f"{self._seed}/{purpose}".encode()).digest()

    def host(self, name: str, parameters: Parameters | None = None) -> Node:
        """Adds a host. Raises ValueError if there is one of that name."""
        if name in self.nodes:
            raise ValueError(f"there is a host named {name!r} already")
        tracer = Tracer(name, self._sink) if self._sink is not None else None
        node = Node(self, Host(name, self._octets(f"secret of {name}"), parameters, tracer))
        self.nodes[name] = node
        return node

    def wire(
        self,
        first: Node,
        first_address: str,
        second: Node,
        second_address: str,
        *,
        delay: int = 0,
        rate: int = 0,
        queue: int = 1000,
        mtu: int = 1500,
    ) -> Wire:
        """Connects two hosts, each with an address such as ``10.0.0.1/24`` at its end.

        `delay` each way in nanoseconds, `rate` in bits a second (0: infinite), `queue` in packets, `mtu` in octets.
        """
        interfaces = [
            node.host.add_interface(f"eth{len(node.host.interfaces) - 1}", [address], mtu)
            for node, address in ((first, first_address), (second, second_address))
        ]
        wire = Wire(
            self._schedule,
            lambda packet, now: first.arrive(packet, interfaces[0], now),
            lambda packet, now: second.arrive(packet, interfaces[1], now),
            delay,
            rate,
            queue,
        )
        first.attach(interfaces[0], wire.forward)
        second.attach(interfaces[1], wire.backward)
        if self._sink is not None:
            tracers = [Tracer(node.name, self._sink) for node in (first, second)]
            wire.forward.sender_tracer = wire.backward.receiver_tracer = tracers[0]
            wire.backward.sender_tracer = wire.forward.receiver_tracer = tracers[1]
        self.wires.append(wire)
        return wire

    def at(self, time: int, call: Callable[[], object]) -> None:
        """Makes `call` at `time` (nanoseconds)."""
        self._schedule.at(time, call)

    def after(self, delay: int, call: Callable[[], object]) -> None:
        """Makes `call` in `delay` nanoseconds."""
        self._schedule.at(self._schedule.now + delay, call)

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
