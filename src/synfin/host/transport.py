"""TCP of one host: its connections, listeners and TIME-WAITs, and what arrives for them."""

from __future__ import annotations

from synfin import reasons
from synfin.host import addresses, path_reports
from synfin.host.accounts import Accounts
from synfin.host.binding import LISTENING
from synfin.host.counters import BY_EVENT, BY_REASON, BY_VERDICT
from synfin.host.interface import OUTPUT_LIMIT, Interface
from synfin.host.marking import mark
from synfin.reasons import Reason
from synfin.tcp import closed, states, time_wait
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.memory import SLACK
from synfin.wire.ip import CE, NOT_ECT, PROTOCOL_TCP, Packet
from synfin.wire.tcp import SYN, Segment

#: Octets of an IP header without options.
IP_HEADER_IPV4 = 20
IP_HEADER_IPV6 = 40


class Transport(Accounts):
    """TCP of one host, as its driver works it: what arrives finds its way through the tables, and what is to be
    sent waits at the interfaces."""

    __slots__ = ()

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
        listener = self.find_listener(packet.destination, segment.destination_port, flow)
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
        blackhole = self.parameters.tcp.tcp_blackhole
        if blackhole == 2 or (blackhole == 1 and segment.flags & SYN):
            return
        if reply is not None:
            self._output(flow, reply, via, states.CLOSED, reasons.RESET_NO_CONNECTION, now)

    def _to_connection(self, connection: Connection, packet: Packet, segment: Segment, now: int) -> None:
        before = connection.state
        # RFC 9293 §3.9.1.9 (MAY-9)
        connection.received_traffic_class = packet.traffic_class
        connection.received_ttl = packet.ttl
        reply = connection.segment_arrives(segment, now, packet.traffic_class & CE)
        self._judge(connection.identity.flow, packet, connection.state, connection.verdict, now)
        if before != connection.state and before in (states.SYN_SENT, states.SYN_RECEIVED):
            self._opened(connection, now)
        if connection.state == states.CLOSED and connection.verdict is reasons.RESET_RECEIVED:
            failed = before in (states.SYN_SENT, states.SYN_RECEIVED)
            self.counters.add("TcpAttemptFails" if failed else "TcpEstabResets")
        if reply is not None:
            flow = connection.identity.flow
            self._output(flow, reply, connection.via, connection.state, connection.why, now, connection.dont_fragment)
        self.settle(connection, now)

    def _opened(self, connection: Connection, now: int) -> None:
        """The handshake is over, if nothing went wrong: earlier connections may have taught something."""
        if connection.state in states.SYNCHRONIZED and self.learned.apply(connection, now):
            self.counters.add("SynfinMetricsApplied")

    def _to_time_wait(
        self, flow: bytes, packed: bytes, packet: Packet, segment: Segment, via: int, now: int, listening: bool
    ) -> int:
        outcome = time_wait.segment_arrives(packed, segment, self.parameters.tcp, now, listening)
        if outcome.packed is not None:
            self.time_waits.put(flow, outcome.packed, outcome.verdict is reasons.TIME_WAIT_RESTARTED)
        else:
            self.end_time_wait(flow, outcome.verdict, now)
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
        interface = self.interfaces[via]
        mss = self.path_mss(interface, packet.source, now)
        metrics = self.metrics(interface, packet.source)
        mtu_discover = self.path_mtus.mtu_discover(listener.settings.mtu_discover)
        known = flow in listener.requests
        codepoint = packet.traffic_class & CE
        reply, connection = listener.segment_arrives(flow, segment, mss, now, iss, codepoint, metrics)
        if connection is not None:
            if not known:
                self.counters.add("TcpExtSyncookiesRecv")
            connection.via = via
            connection.received_traffic_class = packet.traffic_class
            connection.received_ttl = packet.ttl
            path_reports.discover_path_mtu(self, connection, mtu_discover, now)
            connection.inherited = listener.values
            self.enter(connection, listener.bound & ~LISTENING)
            self._opened(connection, now)
            self.counters.add("TcpPassiveOpens")
            state = connection.state
        else:
            state = states.SYN_RECEIVED if flow in listener.requests else states.LISTEN
        self._judge(flow, packet, state, listener.verdict, now)
        if reply is not None:
            # As Linux: a RST, and what answers a segment of no use, is never to be cut.
            whole = not reply.flags & SYN or self.path_mtus.dont_fragment(packet.source, mtu_discover, now)
            self._output(flow, reply, via, state, listener.why, now, whole)
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
        """The connection may have something to send: its interface will ask. What has left the host sends nothing."""
        if not connection.scheduled and connection.charged >= 0:
            connection.scheduled = True
            self.interfaces[connection.via].sending.append(connection)

    def settle(self, connection: Connection, now: int) -> None:
        """After any call to a connection: what follows from the state in which it is now."""
        # As `account`, which would be one call more for each segment.
        buffer = connection.send_buffer
        held = connection.receive_queue.charge + connection.reassembly.charge + buffer.end - buffer.start
        if not 0 <= connection.charged - held <= SLACK:
            self._charge(connection, held)
        state = connection.state
        if connection.happened:
            self._count(connection)
        if state == states.CLOSED:
            self._forget(connection, now)
        elif state == states.TIME_WAIT:
            self._enter_time_wait(connection, now)
        else:
            # Also while it waits for its turn: a link that takes nothing stops no timer.
            self.timers.arm(connection)
            if connection.wants_to_send():
                self.schedule(connection)
        if connection.wake and not connection.changed:
            connection.changed = True
            self.changed.append(connection)

    def _count(self, connection: Connection) -> None:
        for reason in connection.happened:
            self.counters.add(BY_EVENT[reason])
        connection.happened = ()

    def _forget(self, connection: Connection, now: int) -> None:
        """A connection in CLOSED leaves the table, after its RST, if it owes one."""
        flow = connection.identity.flow
        if self.connections.get(flow) is connection:
            if connection.fin_received and connection.fin_acknowledged:
                self.learned.learn(connection, now)
            self._drain(connection, now)
            self.remove(connection)

    def _enter_time_wait(self, connection: Connection, now: int) -> None:
        """A small value takes the place of the connection, which its user may still read from."""
        flow = connection.identity.flow
        if self.connections.get(flow) is not connection:
            return
        self.learned.learn(connection, now)
        self._drain(connection, now)
        bound, connection.bound = connection.bound, -1
        self.remove(connection)
        if bound >= 0:
            self.time_waits.inherit(flow, bound)
        if len(self.time_waits) >= self.parameters.tcp.tcp_max_tw_buckets:
            self.counters.add("TcpExtTCPTimeWaitOverflow")
            self._trace_end_of_time_wait(flow, reasons.TIME_WAIT_OVERFLOW, now)
            self.time_waits.release(flow)
            return
        self.time_waits.put(flow, time_wait.from_connection(connection, now), restarted=True)
        self.counters.add("TcpExtTW")

    # --- connections without a user

    def orphaned(self, connection: Connection, now: int) -> None:
        """The user has let go of a connection that lives on: keeps it, unless there are too many or no memory."""
        flow = connection.identity.flow
        if self.connections.get(flow) is connection:
            self.orphans.add(flow)
            if len(self.orphans) > self.parameters.tcp.tcp_max_orphans or self._starves(connection):
                self._discard_orphan(connection, now)

    def _discard_orphan(self, connection: Connection, now: int) -> None:
        self.counters.add("TcpExtTCPAbortOnMemory")
        connection.discard(now, reasons.TOO_MANY_ORPHANS)
        self.settle(connection, now)

    def _drain(self, connection: Connection, now: int) -> None:
        interface = self.interfaces[connection.via]
        room = _segment_room(interface, connection.identity.remote_address)
        segment = connection.poll_transmit(now, room)
        while segment is not None:
            flow = connection.identity.flow
            self._output(flow, segment, connection.via, connection.state, connection.why, now, connection.dont_fragment)
            segment = connection.poll_transmit(now, room)

    def _output(
        self,
        flow: bytes,
        segment: Segment,
        via: int,
        state: int,
        why: Reason,
        now: int,
        dont_fragment: bool = True,
    ) -> None:
        """Queues a reply at its interface. Where too many wait, it is lost, as a network may lose anything."""
        interface = self.interfaces[via]
        if len(interface.output) >= OUTPUT_LIMIT:
            self.counters.add("IpOutDiscards")
            return
        interface.output.append(self._packet(flow, segment, state, why, now, dont_fragment=dont_fragment))

    def _packet(
        self,
        flow: bytes,
        segment: Segment,
        state: int,
        why: Reason,
        now: int,
        codepoint: int = NOT_ECT,
        dont_fragment: bool = True,
    ) -> Packet:
        half = (len(flow) - 4) // 2
        ttl = self.parameters.ip_default_ttl
        packet = Packet(flow[half : 2 * half], flow[:half], PROTOCOL_TCP, segment, ttl, codepoint)
        connection = self.connections.get(flow)
        if connection is None or half > 4 or connection.settings.traffic_class or connection.settings.ttl >= 0:
            mark(self, packet, flow, state, connection)
        if not dont_fragment:
            # RFC 6864 §4.2, §4.3: only what may be fragmented needs an identification. Segments fit the path as far
            # as it is known, so that routers may have to cut them, but never this host.
            packet.dont_fragment = False
            size = segment.segment_size
            count = -(-segment.payload_length // size) if size else 1
            packet.identification = self.identifications.take(packet.source, packet.destination, PROTOCOL_TCP, count)
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
                if connection.wake and not connection.changed:
                    connection.changed = True
                    self.changed.append(connection)
                codepoint = connection.ecn.codepoint if connection.ecn is not None else NOT_ECT
                return self._packet(
                    identity.flow,
                    segment,
                    connection.state,
                    connection.why,
                    now,
                    codepoint,
                    connection.dont_fragment,
                )
            connection.scheduled = False
            if self.connections.get(identity.flow) is connection:
                self.timers.arm(connection)
        return None

    # --- time

    def next_deadline(self) -> int:
        """When to call `deadline_reached` (nanoseconds); NEVER if nothing waits."""
        # Asked after each packet: what is empty costs no call.
        deadline = self.timers.next_deadline()
        if len(self.time_waits):
            deadline = min(deadline, self.time_waits.next_deadline())
        if len(self.path_mtus):
            deadline = min(deadline, self.path_mtus.next_deadline())
        for listener in self.listeners.values():
            if listener.requests:
                deadline = min(deadline, listener.next_deadline())
        for others in self.reuse_port.values():
            for listener in others:
                deadline = min(deadline, listener.next_deadline())
        return deadline

    def deadline_reached(self, now: int) -> None:
        """Lets every timer that has expired act; what that makes due comes out of `poll_transmit`."""
        connection = self.timers.pop_due(now)
        while connection is not None:
            connection.deadline_reached(now)
            if connection.path_in_doubt:
                path_reports.doubt_path(self, connection)
            self.settle(connection, now)
            if connection.orphaned and connection.state != states.CLOSED and self._starves(connection):
                self._discard_orphan(connection, now)
            connection = self.timers.pop_due(now)
        for listener in self.all_listeners():
            if listener.requests:
                listener.deadline_reached(now)
                self._repeat_syn_acks(listener, now)
        flow = self.time_waits.pop_expired(now)
        while flow is not None:
            self._trace_end_of_time_wait(flow, reasons.TWO_MSL_OVER, now)
            flow = self.time_waits.pop_expired(now)
        if self.path_mtus.next_deadline() <= now:
            path_reports.forget_path_mtus(self, now)

    def _repeat_syn_acks(self, listener: Listener, now: int) -> None:
        due = listener.poll_transmit(now)
        while due is not None:
            flow, segment = due
            via = self.interface_towards(flow[: (len(flow) - 4) // 2])
            if via >= 0:
                mtu_discover = self.path_mtus.mtu_discover(listener.settings.mtu_discover)
                whole = self.path_mtus.dont_fragment(flow[: (len(flow) - 4) // 2], mtu_discover, now)
                self._output(flow, segment, via, states.SYN_RECEIVED, listener.why, now, whole)
            due = listener.poll_transmit(now)

    def end_time_wait(self, flow: bytes, reason: Reason, now: int) -> None:
        """Ends a TIME-WAIT before its time."""
        self.time_waits.remove(flow)
        self._trace_end_of_time_wait(flow, reason, now)

    def _trace_end_of_time_wait(self, flow: bytes, reason: Reason, now: int) -> None:
        if self.tracer is not None:
            event = states.TIMEOUT_2MSL
            new = states.next_state(states.TIME_WAIT, event)
            self.tracer.state_changed(now, flow, states.NAMES[states.TIME_WAIT], states.NAMES[new], reason)


def _segment_room(interface: Interface, address: bytes) -> int:
    return interface.room - (IP_HEADER_IPV4 if len(address) == 4 else IP_HEADER_IPV6)
