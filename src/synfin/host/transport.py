"""TCP of one host: its connections, listeners and TIME-WAITs, and what arrives for them."""

from __future__ import annotations

from collections import deque
from errno import EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH

from synfin import reasons
from synfin.events import Tracer
from synfin.host import addresses
from synfin.host.counters import BY_REASON, BY_VERDICT, Counters
from synfin.host.interface import OUTPUT_LIMIT, Interface, Routes
from synfin.host.parameters import Parameters
from synfin.host.ports import EphemeralPorts
from synfin.host.time_waits import TimeWaits
from synfin.host.timer_queue import TimerQueue
from synfin.reasons import Reason
from synfin.tcp import closed, states, time_wait
from synfin.tcp.congestion import congestion_control
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.listener import Listener
from synfin.tcp.recovery import NewReno
from synfin.tcp.syn_cookies import SynCookies
from synfin.tcp.tcb import HEADERS_IPV4, HEADERS_IPV6, Identity
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.tcp import SYN, Segment

#: Octets of an IP header without options.
IP_HEADER_IPV4 = 20
IP_HEADER_IPV6 = 40


class Transport:
    """The tables of TCP, keyed by octets cut from the packet, and the lists that a driver works off.

    `changed` holds connections and listeners whose readiness may have changed, for the driver to look at. What is
    to be sent waits at the interfaces.
    """

    __slots__ = (
        "changed",
        "connections",
        "cookies",
        "counters",
        "interfaces",
        "listeners",
        "numbers",
        "parameters",
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
        self.connections: dict[bytes, Connection] = {}
        self.listeners: dict[tuple[bytes, int], Listener] = {}
        self.time_waits = TimeWaits()
        self.timers = TimerQueue(self.connections)
        self.changed: deque[Connection | Listener] = deque()

    # --- opening

    def listen(self, address: bytes, port: int, backlog: int, now: int) -> Listener:
        """A passive open at `address` (octets; the unspecified address for all of that version) and `port`.

        Raises OSError: EADDRINUSE if the port has a listener there, EADDRNOTAVAIL if the address is not ours.
        """
        unspecified = bytes(len(address))
        if address != unspecified and not self.is_own(address):
            raise os_error(EADDRNOTAVAIL)
        if port == 0:
            parameters = self.parameters
            first, last = parameters.ip_local_port_range
            port = self.ports.choose(address, first, last, lambda port: not self._listening(address, port))
            if port < 0:
                raise os_error(EADDRINUSE)
        elif self._listening(address, port):
            raise os_error(EADDRINUSE)
        backlog = min(max(backlog, 0), self.parameters.somaxconn)
        listener = Listener(address, port, backlog, self.parameters.tcp, self.numbers, self.tracer, self.cookies)
        self.listeners[address, port] = listener
        if self.tracer is not None:
            flow = Identity(address, port, unspecified, 0).flow
            self.tracer.user_called(now, flow, "LISTEN")
            self.tracer.state_changed(
                now, flow, states.NAMES[states.CLOSED], states.NAMES[listener.state], reasons.PASSIVE_OPEN
            )
        return listener

    def _listening(self, address: bytes, port: int) -> bool:
        """Whether a listener at `address` and `port` would stand in another's way."""
        if address == bytes(len(address)):
            return any(other_port == port and len(other) == len(address) for other, other_port in self.listeners)
        return (address, port) in self.listeners or (bytes(len(address)), port) in self.listeners

    def connect(
        self, address: bytes, port: int, now: int, local_address: bytes | None = None, local_port: int = 0
    ) -> Connection:
        """An active open towards `address` (octets) and `port`; the SYN goes out with the next poll.

        Raises OSError: ENETUNREACH without a route or towards what is no host's address (RFC 9293 §3.9.1.1,
        MUST-46), EADDRNOTAVAIL when the local end is not ours, is taken, or no port is left.
        """
        if addresses.is_unspecified(address):
            # As Linux has it: the unspecified address is this host.
            address = addresses.LOOPBACK_IPV4 if len(address) == 4 else addresses.LOOPBACK_IPV6
        if not addresses.is_unicast(address) or self.routes.is_broadcast(address):
            raise os_error(ENETUNREACH)
        via = self.interface_towards(address)
        if via < 0:
            raise os_error(ENETUNREACH)
        interface = self.interfaces[via]
        if local_address is None:
            # RFC 9293 §3.9.1.1 (MUST-44): the network layer chooses.
            local_address = address if self.is_own(address) else interface.address_of_version(len(address))
            if local_address is None:
                raise os_error(ENETUNREACH)
        elif not self.is_own(local_address) or len(local_address) != len(address):
            raise os_error(EADDRNOTAVAIL)
        identity = self._local_end(local_address, local_port, address, port)
        parameters = self.parameters.tcp
        iss = self.numbers.iss(identity, now)
        connection = Connection(
            identity,
            parameters,
            iss,
            path_mss(interface, address),
            congestion_control(parameters.tcp_congestion_control),
            NewReno(iss),
            self.numbers.timestamp_offset(identity),
            self.tracer,
        )
        connection.via = via
        self.connections[identity.flow] = connection
        self.counters.add("TcpActiveOpens")
        connection.open(now)
        self.schedule(connection)
        return connection

    def _local_end(self, address: bytes, port: int, remote_address: bytes, remote_port: int) -> Identity:
        def free(candidate: int) -> bool:
            flow = Identity(address, candidate, remote_address, remote_port).flow
            return (
                flow not in self.connections and flow not in self.time_waits and not self._listening(address, candidate)
            )

        if port == 0:
            first, last = self.parameters.ip_local_port_range
            destination = address + remote_address + remote_port.to_bytes(2, "big")
            port = self.ports.choose(destination, first, last, free)
            if port < 0:
                raise os_error(EADDRNOTAVAIL)
        else:
            flow = Identity(address, port, remote_address, remote_port).flow
            if flow in self.connections or flow in self.time_waits:
                raise os_error(EADDRNOTAVAIL)
        return Identity(address, port, remote_address, remote_port)

    def close_listener(self, listener: Listener, now: int) -> None:
        """Ends listening. Connections that nobody accepted are reset, as Linux does."""
        self.listeners.pop((listener.local_address, listener.local_port), None)
        for connection in listener.close():
            connection.orphaned = True
            connection.abort(now)
            self.settle(connection, now)

    # --- where things are

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

    # --- arrival

    def segment_arrives(self, packet: Packet, segment: Segment, via: int, now: int) -> bool:
        """Takes a segment if it belongs to a connection, whose addresses were judged when it was made.

        What concerns loopback stays on loopback: a wire may bring nothing that bears its addresses.
        """
        connection = self.connections.get(packet.flow)
        if connection is None or (connection.via == 0) != (via == 0):
            return False
        self.counters.add("TcpInSegs")
        self._to_connection(connection, packet, segment, now)
        return True

    def stray_segment_arrives(self, packet: Packet, segment: Segment, via: int, now: int) -> None:
        """Takes a segment for one of our addresses that no connection has: a TIME-WAIT, a listener or nobody."""
        flow = packet.flow
        self.counters.add("TcpInSegs")
        listener = self.listeners.get((packet.destination, segment.destination_port))
        if listener is None:
            listener = self.listeners.get((bytes(len(packet.destination)), segment.destination_port))
        iss = -1
        packed = self.time_waits.get(flow)
        if packed is not None:
            iss = self._to_time_wait(flow, packed, packet, segment, via, now, listener is not None)
            if iss < 0:
                return
        if listener is not None:
            self._to_listener(listener, packet, segment, via, now, iss)
            return
        # RFC 9293 §3.10.7.1
        self._judge(flow, packet, states.CLOSED, reasons.NOBODY_HOME, now)
        reply = closed.segment_arrives(segment)
        if reply is not None:
            self._output(flow, reply, via, states.CLOSED, reasons.RESET_NO_CONNECTION, now)

    def _to_connection(self, connection: Connection, packet: Packet, segment: Segment, now: int) -> None:
        before = connection.state
        reply = connection.segment_arrives(segment, now)
        self._judge(connection.identity.flow, packet, connection.state, connection.verdict, now)
        if connection.state == states.CLOSED and connection.verdict is reasons.RESET_RECEIVED:
            failed = before in (states.SYN_SENT, states.SYN_RECEIVED)
            self.counters.add("TcpAttemptFails" if failed else "TcpEstabResets")
        if reply is not None:
            self._output(connection.identity.flow, reply, connection.via, connection.state, connection.why, now)
        self.settle(connection, now)

    def _to_time_wait(
        self, flow: bytes, packed: bytes, packet: Packet, segment: Segment, via: int, now: int, listening: bool
    ) -> int:
        outcome = time_wait.segment_arrives(packed, segment, self.parameters.tcp, now, listening)
        if outcome.packed is not None:
            self.time_waits.put(flow, outcome.packed, outcome.verdict is reasons.TIME_WAIT_RESTARTED)
        else:
            self.time_waits.remove(flow)
            self._trace_end_of_time_wait(flow, outcome.verdict, now)
        if outcome.iss < 0:
            state = states.TIME_WAIT if outcome.packed is not None else states.CLOSED
            self._judge(flow, packet, state, outcome.verdict, now)
        if outcome.reply is not None:
            self._output(flow, outcome.reply, via, states.TIME_WAIT, outcome.why, now)
        return outcome.iss

    def _to_listener(self, listener: Listener, packet: Packet, segment: Segment, via: int, now: int, iss: int) -> None:
        if segment.flags & SYN and not addresses.is_unicast(packet.source):
            return
        flow = packet.flow
        mss = path_mss(self.interfaces[via], packet.source)
        reply, connection = listener.segment_arrives(flow, segment, mss, now, iss)
        if connection is not None:
            connection.via = via
            self.connections[flow] = connection
            self.counters.add("TcpPassiveOpens")
            state = connection.state
        else:
            state = states.SYN_RECEIVED if flow in listener.requests else states.LISTEN
        self._judge(flow, packet, state, listener.verdict, now)
        if reply is not None:
            self._output(flow, reply, via, state, listener.why, now)
        if connection is not None:
            self.settle(connection, now)
        if listener.wake:
            listener.wake = 0
            self.changed.append(listener)

    def _judge(self, flow: bytes, packet: Packet, state: int, verdict: Reason, now: int) -> None:
        name = BY_VERDICT.get(verdict)
        if name is not None:
            self.counters.add(name)
        if self.tracer is not None:
            if verdict in reasons.DROPS:
                self.tracer.segment_dropped(now, flow, packet, states.NAMES[state], verdict)
            else:
                self.tracer.segment_received(now, flow, packet, states.NAMES[state], verdict)

    # --- sending

    def schedule(self, connection: Connection) -> None:
        """The connection may have something to send: its interface will ask."""
        if not connection.scheduled:
            connection.scheduled = True
            self.interfaces[connection.via].sending.append(connection)

    def settle(self, connection: Connection, now: int) -> None:
        """After any call to a connection: what follows from the state in which it is now."""
        state = connection.state
        if state == states.CLOSED:
            self._forget(connection, now)
        elif state == states.TIME_WAIT:
            self._enter_time_wait(connection, now)
        elif connection.wants_to_send():
            self.schedule(connection)
        else:
            self.timers.arm(connection)
        if connection.wake and not connection.changed:
            connection.changed = True
            self.changed.append(connection)

    def _forget(self, connection: Connection, now: int) -> None:
        """A connection in CLOSED leaves the table, after its RST, if it owes one."""
        flow = connection.identity.flow
        if self.connections.get(flow) is connection:
            self._drain(connection, now)
            del self.connections[flow]

    def _enter_time_wait(self, connection: Connection, now: int) -> None:
        """A small value takes the place of the connection, which its user may still read from."""
        flow = connection.identity.flow
        if self.connections.get(flow) is not connection:
            return
        self._drain(connection, now)
        del self.connections[flow]
        if len(self.time_waits) >= self.parameters.tcp.tcp_max_tw_buckets:
            self.counters.add("TcpExtTCPTimeWaitOverflow")
            self._trace_end_of_time_wait(flow, reasons.TIME_WAIT_OVERFLOW, now)
            return
        self.time_waits.put(flow, time_wait.from_connection(connection, now), restarted=True)
        self.counters.add("TcpExtTW")

    def _drain(self, connection: Connection, now: int) -> None:
        interface = self.interfaces[connection.via]
        room = _segment_room(interface, connection.identity.remote_address)
        segment = connection.poll_transmit(now, room)
        while segment is not None:
            self._output(connection.identity.flow, segment, connection.via, connection.state, connection.why, now)
            segment = connection.poll_transmit(now, room)

    def _output(self, flow: bytes, segment: Segment, via: int, state: int, why: Reason, now: int) -> None:
        """Queues a reply at its interface. Where too many wait, it is lost, as a network may lose anything."""
        interface = self.interfaces[via]
        if len(interface.output) >= OUTPUT_LIMIT:
            self.counters.add("IpOutDiscards")
            return
        interface.output.append(self._packet(flow, segment, state, why, now))

    def _packet(self, flow: bytes, segment: Segment, state: int, why: Reason, now: int) -> Packet:
        half = (len(flow) - 4) // 2
        packet = Packet(flow[half : 2 * half], flow[:half], PROTOCOL_TCP, segment, ttl=self.parameters.ip_default_ttl)
        self.counters.add("TcpOutSegs")
        names = BY_REASON.get(why)
        if names is not None:
            for name in names:
                self.counters.add(name)
        if self.tracer is not None:
            self.tracer.segment_sent(now, flow, packet, states.NAMES[state], why)
        return packet

    def poll_transmit(self, via: int, now: int) -> Packet | None:
        """The next packet for the interface at index `via`, connections taking turns; None if there is none."""
        interface = self.interfaces[via]
        if interface.output:
            return interface.output.popleft()
        sending = interface.sending
        while sending:
            connection = sending.popleft()
            identity = connection.identity
            segment = connection.poll_transmit(now, _segment_room(interface, identity.remote_address))
            if segment is not None:
                sending.append(connection)
                return self._packet(identity.flow, segment, connection.state, connection.why, now)
            connection.scheduled = False
            if self.connections.get(identity.flow) is connection:
                self.timers.arm(connection)
        return None

    # --- time

    def next_deadline(self) -> int:
        """When to call `deadline_reached` (nanoseconds); NEVER if nothing waits."""
        deadline = min(self.timers.next_deadline(), self.time_waits.next_deadline())
        for listener in self.listeners.values():
            if listener.requests:
                deadline = min(deadline, listener.next_deadline())
        return deadline

    def deadline_reached(self, now: int) -> None:
        """Lets every timer that has expired act; what that makes due comes out of `poll_transmit`."""
        connection = self.timers.pop_due(now)
        while connection is not None:
            connection.deadline_reached(now)
            self.settle(connection, now)
            connection = self.timers.pop_due(now)
        for listener in self.listeners.values():
            if listener.requests:
                listener.deadline_reached(now)
                self._repeat_syn_acks(listener, now)
        flow = self.time_waits.pop_expired(now)
        while flow is not None:
            self._trace_end_of_time_wait(flow, reasons.TWO_MSL_OVER, now)
            flow = self.time_waits.pop_expired(now)

    def _repeat_syn_acks(self, listener: Listener, now: int) -> None:
        due = listener.poll_transmit(now)
        while due is not None:
            flow, segment = due
            via = self.interface_towards(flow[: (len(flow) - 4) // 2])
            if via >= 0:
                self._output(flow, segment, via, states.SYN_RECEIVED, listener.why, now)
            due = listener.poll_transmit(now)

    def _trace_end_of_time_wait(self, flow: bytes, reason: Reason, now: int) -> None:
        if self.tracer is not None:
            event = states.TIMEOUT_2MSL
            new = states.next_state(states.TIME_WAIT, event)
            self.tracer.state_changed(now, flow, states.NAMES[states.TIME_WAIT], states.NAMES[new], reason)


def path_mss(interface: Interface, address: bytes) -> int:
    """The MSS that the interface's MTU allows towards `address` (RFC 9293 §3.7.1)."""
    return interface.mtu - (HEADERS_IPV4 if len(address) == 4 else HEADERS_IPV6)


def _segment_room(interface: Interface, address: bytes) -> int:
    return interface.room - (IP_HEADER_IPV4 if len(address) == 4 else IP_HEADER_IPV6)
