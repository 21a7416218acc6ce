"""A host on one interface, and a peer that says what it is told to: nothing happens by itself."""

from __future__ import annotations

from synfin.events import Event, Tracer
from synfin.host import addresses
from synfin.host.host import Host
from synfin.host.parameters import Parameters
from synfin.tcp.connection import Connection
from synfin.tcp.identity import Identity
from synfin.tcp.states import NAMES
from synfin.tcp.timers import NEVER
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, NO_OPTIONS, RST, SYN, Options, Segment

SECOND = 1_000_000_000
MS = 1_000_000
SECRET = bytes(range(16))
OURS, THEIRS = "192.0.2.1", "192.0.2.2"
OURS_6, THEIRS_6 = "2001:db8::1", "2001:db8::2"


def tcp(
    source: str,
    source_port: int,
    destination: str,
    destination_port: int,
    segment: Segment | None = None,
    **fields: int,
) -> Packet:
    """A packet with a bare segment of these `fields` (seq, ack, flags, wnd), or with `segment`."""
    if segment is None:
        segment = Segment(
            source_port,
            destination_port,
            fields.get("seq", 0) & MASK,
            fields.get("ack", 0) & MASK,
            fields.get("flags", 0),
            fields.get("wnd", 8192),
        )
    return Packet(addresses.packed(source), addresses.packed(destination), PROTOCOL_TCP, segment)


def segment_of(packet: Packet) -> Segment:
    assert isinstance(packet.payload, Segment)
    return packet.payload


class Machine:
    """A host with the addresses OURS and OURS_6 on ``eth0``; `now` is its clock."""

    def __init__(self, parameters: Parameters | None = None, mtu: int = 1500, traced: bool = False) -> None:
        self.events: list[Event] = []
        tracer = Tracer("machine", self.events.append) if traced else None
        self.host = Host("machine", SECRET, parameters, tracer)
        self.eth = self.host.add_interface("eth0", [f"{OURS}/24", f"{OURS_6}/64"], mtu)
        self.now = SECOND

    def poll(self) -> list[Packet]:
        """All that the host sends now."""
        packets = []
        while (packet := self.host.poll_transmit(self.eth, self.now)) is not None:
            packets.append(packet)
        return packets

    def gets(self, packet: Packet) -> list[Packet]:
        """What the host sends when `packet` arrives."""
        self.host.packet_arrives(packet, self.eth, self.now)
        return self.poll()

    def goes_on(self, until: int) -> list[Packet]:
        """What the host sends by itself until then (nanoseconds)."""
        packets = []
        while (deadline := self.host.next_deadline()) <= until:
            assert deadline != NEVER
            self.now = max(self.now, deadline)
            self.host.deadline_reached(self.now)
            packets += self.poll()
        self.now = max(self.now, until)
        return packets

    def states(self) -> list[str]:
        return [row.state for row in self.host.connections()]


class Peer:
    """The far end of one connection. It numbers what it sends, and acknowledges what it has seen of the host."""

    def __init__(
        self,
        machine: Machine,
        port: int = 40000,
        to_port: int = 80,
        address: str = THEIRS,
        to: str = OURS,
        seq: int = 1000,
        options: Options = NO_OPTIONS,
    ) -> None:
        self.machine = machine
        self.address, self.port, self.to, self.to_port = address, port, to, to_port
        self.seq = seq
        self.ack = 0
        self.options = options

    @property
    def flow(self) -> bytes:
        """The host's name for this connection."""
        return Identity(addresses.packed(self.to), self.to_port, addresses.packed(self.address), self.port).flow

    @property
    def connection(self) -> Connection:
        """The host's end."""
        return self.machine.host.transport.connections[self.flow]

    @property
    def state(self) -> str:
        """The host's state of this connection."""
        connection = self.machine.host.transport.connections.get(self.flow)
        if connection is not None:
            return NAMES[connection.state]
        return "TIME-WAIT" if self.flow in self.machine.host.transport.time_waits else "CLOSED"

    def packet(self, flags: int, payload: bytes = b"", seq: int | None = None, wnd: int = 8192) -> Packet:
        segment = Segment(
            self.port,
            self.to_port,
            (self.seq if seq is None else seq) & MASK,
            self.ack & MASK if flags & ACK else 0,
            flags,
            wnd,
            self.options if flags & SYN else NO_OPTIONS,
            (payload,) if payload else (),
        )
        return tcp(self.address, self.port, self.to, self.to_port, segment)

    def says(self, flags: int, payload: bytes = b"", wnd: int = 8192) -> list[Segment]:
        """Sends the next segment. Returns what the host answers."""
        packet = self.packet(flags, payload, wnd=wnd)
        self.seq += segment_of(packet).length
        answers = [segment_of(answer) for answer in self.machine.gets(packet)]
        self.saw(answers)
        return answers

    def saw(self, answers: list[Segment]) -> None:
        for answer in answers:
            if not answer.flags & RST:
                self.ack = answer.seq + answer.length

    def opens(self) -> Peer:
        """The handshake, towards a listener of the host."""
        self.says(SYN)
        self.says(ACK)
        assert self.state == "ESTABLISHED"
        return self

    def answers_syn(self, syn: Segment) -> Peer:
        """The handshake, for a SYN of the host."""
        self.port, self.to_port, self.ack = syn.destination_port, syn.source_port, syn.seq + 1
        self.says(SYN | ACK)
        assert self.state == "ESTABLISHED"
        return self


#: The states of a connection in the host's table, and TIME-WAIT.
STATES = (
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
)


def peer_in(machine: Machine, state: str, port: int) -> Peer:
    """A peer of a connection in `state`, from its port `port` to the listener at 80 (SYN-SENT: from the host)."""
    host = machine.host
    peer = Peer(machine, port)
    if state == "SYN-SENT":
        connection = host.connect(THEIRS, port, machine.now)
        peer.to_port = connection.identity.local_port
        peer.saw([segment_of(packet) for packet in machine.poll()])
        return peer
    if state == "SYN-RECEIVED":
        peer.says(SYN)
        return peer
    connection = peer.opens().connection
    if state in ("FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "TIME-WAIT"):
        host.close(connection, machine.now)
        answers = [segment_of(packet) for packet in machine.poll()]
        if state == "CLOSING":
            peer.says(FIN | ACK)
        peer.saw(answers)
        if state in ("FIN-WAIT-2", "TIME-WAIT"):
            peer.says(ACK)
        if state == "TIME-WAIT":
            peer.says(FIN | ACK)
    elif state in ("CLOSE-WAIT", "LAST-ACK"):
        peer.says(FIN | ACK)
        if state == "LAST-ACK":
            host.close(connection, machine.now)
            peer.saw([segment_of(packet) for packet in machine.poll()])
    assert peer.state == state
    return peer
