"""Brings a host into each situation, by segments and by calls of its user, and says what came of a cell's segment."""

from __future__ import annotations

from errno import errorcode
from typing import Final

from synfin.events import Event, Tracer
from synfin.host import addresses
from synfin.host.host import Host
from synfin.host.parameters import Parameters
from synfin.tcp import readiness
from synfin.tcp.connection import Connection
from synfin.wire.ip import PROTOCOL_TCP, Packet, octets, parse_packet
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, RST, SYN, Options, Segment
from tests.matrix import cells
from tests.matrix.cells import Cell, Variables
from tests.matrix.outcome import ACCEPTED, CONNECTED, END_OF_FILE, READABLE, Outcome, Reply
from tests.matrix.walk import EARLIER, NO_TIMESTAMPS

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000
SECRET: Final = bytes(range(16))
OURS: Final = {4: "192.0.2.1", 6: "2001:db8::1"}
THEIRS: Final = {4: "192.0.2.2", 6: "2001:db8::2"}
PORT, PEER_PORT = 80, 40000
#: The peer's initial sequence number. Over IPv4 the receive window of all states lies across the end of the numbers.
IRS: Final = {4: (1 << 32) - 1200, 6: 5000}
#: How long a delayed ACK is waited for; no retransmission is due by then.
PATIENCE: Final = 150 * MS
ROUND_TRIP: Final = 10 * MS

_CALLED: Final = {
    SYN: "SYN",
    SYN | ACK: "SYN+ACK",
    ACK: "ACK",
    RST: "RST",
    RST | ACK: "RST+ACK",
}


class Seen:
    """What came of a cell: the `outcome`, all `replies`, what the host's counters gained, and its trace."""

    def __init__(self, outcome: Outcome, replies: list[Segment], counted: dict[str, int], events: list[Event]) -> None:
        self.outcome = outcome
        self.replies = replies
        self.counted = counted
        self.events = events


class World:
    """A host in a situation, and the peer of its connection. Times in nanoseconds."""

    def __init__(self, situation: str, version: int, timestamps: bool = False, delay_fin_ack: int = 1) -> None:
        parameters = Parameters()
        parameters.tcp.tcp_invalid_ratelimit = 0
        parameters.tcp.tcp_delay_fin_ack = delay_fin_ack
        self.events: list[Event] = []
        self.host = Host("matrix", SECRET, parameters, Tracer("matrix", self.events.append))
        self.eth = self.host.add_interface("eth0", [f"{OURS[4]}/24", f"{OURS[6]}/64"], 1500)
        self.now = 10 * SECOND
        self.ours, self.theirs = addresses.packed(OURS[version]), addresses.packed(THEIRS[version])
        self.version = version
        self.situation = situation
        self.timestamps = timestamps
        self.port, self.peer_port = PORT, PEER_PORT
        #: The next number that the peer sends, and what it acknowledges.
        self.seq = IRS[version]
        self.ack = 0
        #: The window that the host offered last, and the timestamp.
        self.rcv_wnd = 65535
        self.their_clock = 7_000_000
        self.last_ts_val = 0
        self.listener = None
        if situation != cells.CLOSED:
            self.listener = self.host.listen(OURS[version], PORT, 8, self.now)
        self.connection: Connection | None = None
        self.heard_end = False
        self._reach(situation)

    # --- the peer's side

    def packet(self, flags: int, payload: bytes = b"", seq: int | None = None, ack: int | None = None) -> Packet:
        options = Options()
        ts_val = self.their_clock + self.now // MS if self.timestamps else None
        if flags & SYN:
            options = Options(mss=1460, ts_val=ts_val, ts_ecr=self.last_ts_val if self.timestamps else None)
        elif self.timestamps:
            options = Options(ts_val=ts_val, ts_ecr=self.last_ts_val)
        segment = Segment(
            self.peer_port,
            self.port,
            (self.seq if seq is None else seq) & MASK,
            ((self.ack if ack is None else ack) & MASK) if flags & ACK else 0,
            flags,
            cells.PEER_WND,
            options,
            (payload,) if payload else (),
        )
        return Packet(self.theirs, self.ours, PROTOCOL_TCP, segment)

    def arrives(self, packet: Packet) -> list[Segment]:
        """What the host answers at once."""
        self.host.octets_arrive(octets(packet), self.eth, self.now)
        return self.poll()

    def poll(self) -> list[Segment]:
        segments = []
        while (packet := self.host.poll_transmit(self.eth, self.now)) is not None:
            # Through its octets, so that lengths and checksums are judged too.
            segment = parse_packet(octets(packet)).payload
            assert isinstance(segment, Segment)
            assert (packet.source, packet.destination) == (self.ours, self.theirs)
            assert segment.destination_port == self.peer_port
            if not segment.flags & RST:
                self.rcv_wnd = segment.wnd
                self.last_ts_val = segment.options.ts_val or 0
            segments.append(segment)
        return segments

    def says(self, flags: int, payload: bytes = b"") -> list[Segment]:
        """The peer sends what comes next, a round trip later."""
        self.now += ROUND_TRIP
        packet = self.packet(flags, payload)
        self.seq += len(payload) + (flags & SYN != 0) + (flags & FIN != 0)
        return self.arrives(packet)

    def sees(self, segments: list[Segment]) -> None:
        """The peer takes note of what it will acknowledge."""
        for segment in segments:
            self.ack = segment.seq + segment.length

    # --- the way into each situation

    def _reach(self, situation: str) -> None:
        if situation in (cells.CLOSED, cells.LISTEN):
            # Any numbers do.
            self.snd_una, self.snd_nxt = 70_000, 70_001
            self.seq += 1
            return
        if situation in (cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE):
            self._opens_actively(situation)
        else:
            answers = self.says(SYN)
            self.sees(answers)
            self.snd_una, self.snd_nxt = answers[0].seq, answers[0].seq + 1
            if situation != cells.SYN_RECEIVED:
                self._goes_beyond(situation)
        assert self.state() == situation.removesuffix(" (active)")

    def _opens_actively(self, situation: str) -> None:
        self.connection = self.host.connect(THEIRS[self.version], PEER_PORT, self.now)
        (syn,) = self.poll()
        self.port = syn.source_port
        self.snd_una, self.snd_nxt = syn.seq, syn.seq + 1
        if situation == cells.SYN_RECEIVED_ACTIVE:
            self.says(SYN)
        else:
            self.now += ROUND_TRIP
            self.seq += 1

    def _goes_beyond(self, situation: str) -> None:
        self.says(ACK)
        assert self.listener is not None
        connection = self.connection = self.host.accept(self.listener)
        self.says(ACK, bytes(cells.RECEIVED))
        self._reads(connection)
        self.host.send(connection, bytes(cells.ACKNOWLEDGED), self.now)
        self.sees(self.poll())
        self.says(ACK)
        if situation in (cells.CLOSE_WAIT, cells.LAST_ACK):
            self.says(FIN | ACK)
            self._reads(connection)
        self.snd_una = self.ack
        self.host.send(connection, bytes(cells.OUTSTANDING), self.now)
        sent = self.poll()
        if situation not in (cells.ESTABLISHED, cells.CLOSE_WAIT):
            self.host.close(connection, self.now)
            sent += self.poll()
        self.snd_nxt = sent[-1].seq + sent[-1].length
        if situation == cells.CLOSING:
            self.says(FIN | ACK)
            self._reads(connection)
        if situation in cells.ALL_ACKNOWLEDGED:
            self.sees(sent)
            self.says(ACK)
            self.snd_una = self.snd_nxt
        if situation == cells.TIME_WAIT:
            self.says(FIN | ACK)
            self._reads(connection)
        self.now += ROUND_TRIP

    def variables(self) -> Variables:
        """As the peer knows them."""
        return Variables(self.seq, self.rcv_wnd, self.snd_una, self.snd_nxt)

    # --- the host's side

    def _rows(self) -> list[str]:
        return [row.state for row in self.host.connections() if row.remote_port == self.peer_port]

    def state(self) -> str:
        """The state in the host's table. Where nothing is in it a listener may still be there."""
        states = self._rows()
        assert len(states) <= 1
        if states:
            return states[0]
        return cells.LISTEN if self.situation in (cells.LISTEN, cells.SYN_RECEIVED) else cells.CLOSED

    def _reads(self, connection: Connection) -> tuple[int, set[str]]:
        """What the user can read now, in octets, and what he hears."""
        octets_read = 0
        heard = set()
        while True:
            try:
                pieces = self.host.receive(connection, 1 << 20, self.now)
            except BlockingIOError:
                break
            except OSError as error:
                heard.add(errorcode[error.errno or 0])
                break
            if not pieces:
                if not self.heard_end:
                    heard.add(END_OF_FILE)
                self.heard_end = True
                break
            octets_read += sum(map(len, pieces))
            heard.add(READABLE)
        return octets_read, heard

    def _user(self) -> tuple[int, set[str]]:
        heard = set()
        if self.listener is not None and self.listener.accept_queue:
            self.connection = self.host.accept(self.listener)
            heard.add(ACCEPTED)
        connection = self.connection
        if connection is None:
            return 0, heard
        opening = self.situation in (cells.SYN_SENT, cells.SYN_RECEIVED_ACTIVE)
        if opening and connection.readiness() & (readiness.POLLOUT | readiness.POLLERR) == readiness.POLLOUT:
            heard.add(CONNECTED)
        octets_read, more = self._reads(connection)
        return octets_read, heard | more

    # --- the cell

    def meets(self, cell: Cell, timestamp: str = NO_TIMESTAMPS) -> Seen:
        """The segment of `cell` arrives."""
        before = self.variables()
        seq = cells.sequence_number(cell, before)
        ack = cells.acknowledgment_number(cell, before)
        # In SYN-SENT the segment's SYN says what is expected next.
        rcv_nxt = seq + 1 if cell.situation == cells.SYN_SENT else before.rcv_nxt
        counted = dict(self.host.counters.items())
        expiry = self.host.next_deadline()
        if timestamp == EARLIER:
            self.their_clock -= 1_000_000
        packet = self.packet(cell.flags, bytes(cell.octets), seq, ack)
        if timestamp == EARLIER:
            self.their_clock += 1_000_000
        del self.events[:]
        replies = self.arrives(packet)
        at_once = len(replies)
        if cell.situation == cells.TIME_WAIT:
            restarted = self.state() == cells.TIME_WAIT and self.host.next_deadline() != expiry
        else:
            restarted = False
            self._waits(replies)
        events = list(self.events)
        gained = {name: value - counted.get(name, 0) for name, value in self.host.counters.items()}
        state = self.state()
        delivered, heard = self._user()
        outcome = Outcome(None, state, frozenset(heard), delivered, restarted=restarted)
        fin_taken = self._fin_taken(rcv_nxt, outcome, replies)
        outcome = outcome._replace(acknowledged=self._acknowledged(), fin_taken=fin_taken)
        if replies:
            taken = rcv_nxt + delivered + fin_taken
            reply = self._called(replies[0], cell, seq, ack, taken)
            outcome = outcome._replace(reply=reply._replace(may_wait=at_once == 0))
        held, fin_held = self._held(cell, state, seq, before)
        return Seen(outcome._replace(held=held, fin_held=fin_held), replies, gained, events)

    def _waits(self, replies: list[Segment]) -> None:
        """An ACK may be delayed. In SYN-SENT there is none to wait for, and a SYN that goes out again is no answer."""
        if self.state() == cells.SYN_SENT:
            return
        until = self.now + PATIENCE
        while (deadline := self.host.next_deadline()) <= until:
            self.now = max(self.now, deadline)
            self.host.deadline_reached(self.now)
            replies += self.poll()
        self.now = until

    def _in_table(self) -> Connection | None:
        connection = self.connection
        return connection if connection in self.host.transport.connections.values() else None

    def _acknowledged(self) -> bool:
        connection = self.connection
        return connection is not None and connection.status().snd_una != self.snd_una & MASK

    def _fin_taken(self, rcv_nxt: int, outcome: Outcome, replies: list[Segment]) -> bool:
        after = (rcv_nxt + outcome.delivered) & MASK
        connection = self._in_table()
        if connection is not None and outcome.state not in (cells.SYN_SENT, cells.SYN_RECEIVED):
            taken = connection.status().rcv_nxt == after + 1 & MASK
            assert taken or connection.status().rcv_nxt == after
            return taken
        if outcome.state == cells.CLOSED:
            return False
        return any(reply.flags == ACK and reply.ack == after + 1 & MASK for reply in replies)

    def _called(self, reply: Segment, cell: Cell, seq: int, ack: int, rcv_nxt: int) -> Reply:
        """The reply with its numbers in the RFC's words."""
        flags = _CALLED.get(reply.flags, hex(reply.flags))
        if reply.payload_length:
            flags += "+data"
        acknowledges = ""
        if flags == "RST":
            number, name = ack, "SEG.ACK"
        elif flags == "RST+ACK":
            number, name = 0, "0"
            acknowledges = _named(reply.ack, seq + cell.length, "SEG.SEQ+SEG.LEN")
        elif flags == "SYN+ACK":
            new = cell.situation in (cells.LISTEN, cells.TIME_WAIT)
            number, name = reply.seq if new else self.snd_una, "ISS"
            if cell.situation == cells.TIME_WAIT:
                # RFC 9293 §3.6.1 (1): above all numbers of the old connection.
                assert 0 < (reply.seq - self.snd_nxt) & MASK < 1 << 31
            acknowledges = _named(reply.ack, seq + 1, "SEG.SEQ+1")
        else:
            number, name = self.snd_nxt, "SND.NXT"
            acknowledges = _named(reply.ack, rcv_nxt, "RCV.NXT")
        return Reply(flags, _named(reply.seq, number, name), acknowledges)

    def _held(self, cell: Cell, state: str, seq: int, before: Variables) -> tuple[int, bool]:
        """How much of the segment is kept for later: the peer sends what was missing before it."""
        receiving = state in (cells.ESTABLISHED, cells.FIN_WAIT_1, cells.FIN_WAIT_2)
        receiving = receiving and cell.situation != cells.SYN_SENT
        missing = 0
        if state == cells.SYN_RECEIVED and cell.situation != cells.SYN_RECEIVED and cell.flags & SYN:
            # Text that came with a SYN would be the user's once the handshake is over.
            self.seq = seq + 1
            self._completes_handshake()
        elif receiving and cell.place == cells.INSIDE:
            missing = cells.GAP
        elif receiving and cell.place == cells.RIGHT_EDGE:
            missing = before.rcv_wnd - 1
        else:
            return 0, False
        if missing:
            self.ack = self.snd_una
            half = missing // 2
            self.says(ACK, bytes(half))
            self.says(ACK, bytes(missing - half))
        delivered, heard = self._user()
        return max(delivered - missing, 0), END_OF_FILE in heard

    def _completes_handshake(self) -> None:
        self.ack = self.snd_nxt
        if self.situation in (cells.LISTEN, cells.TIME_WAIT):
            self.connection = None
            self.heard_end = False
            self.now += 2 * SECOND
            self.host.deadline_reached(self.now)
            self.sees(self.poll())
        self.says(ACK)


def _named(value: int, expected: int, name: str) -> str:
    return name if value == expected & MASK else f"{name} {(value - expected + (1 << 31)) % (1 << 32) - (1 << 31):+}"
