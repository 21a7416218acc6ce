"""Two ends and a network between them, in virtual time: a client, and a server that listens.

Nothing happens by itself: `World.message` carries one segment and returns it, `World.run` goes on until nothing is
left to happen. `World.story` tells it all, a line for each segment::

    0.02 client ACK seq=x+1 ack=y+1 | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED

that is: when it was sent, by whom, what it said (x and y are the initial numbers), both ends' states when it was
sent, client first, and when it had arrived (or "lost").
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from synfin import reasons
from synfin.link.segmentation import cut
from synfin.tcp import closed, states, time_wait
from synfin.tcp.congestion import CongestionControl, Reno
from synfin.tcp.connection import Connection
from synfin.tcp.identity import Identity
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.listener import Listener
from synfin.tcp.parameters import TcpParameters
from synfin.tcp.recovery import NewReno
from synfin.tcp.timers import NEVER
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import HALF, MASK
from synfin.wire.tcp import ACK, FIN, RST, SYN, Segment, flag_names

MS = 1_000_000
SECOND = 1_000_000_000

CLIENT_ADDRESS = bytes((192, 0, 2, 1))
SERVER_ADDRESS = bytes((192, 0, 2, 2))
CLIENT = Identity(CLIENT_ADDRESS, 49152, SERVER_ADDRESS, 80)
SERVER = Identity(SERVER_ADDRESS, 80, CLIENT_ADDRESS, 49152)

#: More events than any test here needs: two ends that talk for ever are a defect.
MOST_EVENTS = 500_000


def make_connection(
    identity: Identity,
    parameters: TcpParameters | None = None,
    iss: int = 1000,
    mss: int = 1460,
    now: int = 0,
    ts_offset: int = 0,
) -> Connection:
    """A connection in CLOSED."""
    return Connection(identity, parameters or TcpParameters(), iss, mss, Reno(), NewReno(iss), ts_offset)


class Message:
    """A segment on the network. `lost`, and the states of (client, server) when it left and when it had arrived."""

    def __init__(self, time: int, sender: str, segment: Segment, states_then: tuple[str, str]) -> None:
        self.time = time
        self.sender = sender
        self.segment = segment
        self.left_in = states_then
        self.arrived_in: tuple[str, str] | None = None
        self.arrived_at = -1
        self.lost = False

    def has(self, bits: int) -> bool:
        return self.segment.flags & bits == bits


Match = Callable[[Message], bool]


def syn(message: Message) -> bool:
    return message.segment.flags & (SYN | ACK) == SYN


def syn_ack(message: Message) -> bool:
    return message.has(SYN | ACK)


def fin(message: Message) -> bool:
    return message.has(FIN)


def rst(message: Message) -> bool:
    return message.has(RST)


def data(message: Message) -> bool:
    return message.segment.payload_length > 0


def bare_ack(message: Message) -> bool:
    return message.segment.flags & (SYN | FIN | RST | ACK) == ACK and message.segment.payload_length == 0


def everything(message: Message) -> bool:
    return True


def by_client(match: Match) -> Match:
    return lambda message: message.sender == "client" and match(message)


def by_server(match: Match) -> Match:
    return lambda message: message.sender == "server" and match(message)


class _Rule:
    """What the network does to the `first`th to `last`th message that matches."""

    def __init__(self, match: Match, first: int, last: int, act: Callable[[Message, list[int]], None]) -> None:
        self.match = match
        self.first = first
        self.last = last
        self.act = act
        self.seen = 0

    def apply(self, message: Message, delays: list[int]) -> None:
        if self.match(message):
            self.seen += 1
            if self.first <= self.seen <= self.last:
                self.act(message, delays)


class End:
    """One host: a listener perhaps, one connection, one TIME-WAIT. It does what a host does with them.

    `write` hands over data as the send buffer takes it, then `then`, if set. With `reading`, what arrives is read at
    once, at most `read_limit` octets at a time, into `received`; `ended` tells that the end of the stream was read,
    at which `closes_at_end` closes.
    """

    def __init__(self, world: World, name: str, identity: Identity, parameters: TcpParameters, mss: int) -> None:
        self.world = world
        self.name = name
        self.identity = identity
        self.parameters = parameters
        self.mss = mss
        #: Makes the congestion control of what it opens.
        self.congestion: Callable[[], CongestionControl] = Reno
        self.numbers = InitialSequenceNumbers(name.encode() * 4)
        self.connection: Connection | None = None
        self.listener: Listener | None = None
        self.time_wait: bytes | None = None
        self.outbox = b""
        self.closes = False
        self.reading = False
        self.read_limit = 1 << 20
        self.closes_at_end = False
        self.received = bytearray()
        self.ended = False
        self.errors: list[OSError] = []

    # --- the user

    def open(self) -> Connection:
        now = self.world.now
        self.connection = Connection(
            self.identity,
            self.parameters,
            self.numbers.iss(self.identity, now),
            self.mss,
            self.congestion(),
            NewReno(self.numbers.iss(self.identity, now)),
            self.numbers.timestamp_offset(self.identity),
        )
        self.connection.open(now)
        return self.connection

    def listen(self, backlog: int = 5) -> Listener:
        self.listener = Listener(b"", self.identity.local_port, backlog, self.parameters, self.numbers)
        return self.listener

    @property
    def tcb(self) -> Connection:
        assert self.connection is not None, f"{self.name} has no connection"
        return self.connection

    def send(self, octets: bytes) -> int:
        return self.tcb.send(octets, self.world.now)

    def write(self, octets: bytes, then_close: bool = False) -> None:
        self.outbox += octets
        self.closes = self.closes or then_close

    def receive(self, limit: int = 1 << 30) -> bytes:
        return b"".join(bytes(piece) for piece in self.tcb.receive(limit, self.world.now))

    def close(self) -> None:
        self.tcb.close(self.world.now)

    def release(self) -> None:
        self.tcb.release(self.world.now)

    def abort(self) -> None:
        self.tcb.abort(self.world.now)

    def work(self) -> None:
        """What the user does as soon as it can: reads, and writes what is in `outbox`."""
        connection = self.connection
        if connection is None:
            return
        try:
            while self.reading and not self.ended:
                octets = self.receive(self.read_limit)
                self.received += octets
                self.ended = octets == b""
        except BlockingIOError:
            pass
        except OSError as error:
            self.errors.append(error)
            self.ended = True
        self.closes = self.closes or (self.ended and self.closes_at_end)
        if connection.state not in states.MAY_SEND:
            return
        try:
            while self.outbox:
                self.outbox = self.outbox[connection.send(self.outbox, self.world.now) :]
        except BlockingIOError:
            return
        # CLOSE in SYN-SENT would end the open (RFC 9293 §3.10.4).
        if self.closes and connection.state != states.SYN_SENT:
            connection.close(self.world.now)

    # --- the host

    @property
    def state(self) -> str:
        if self.connection is not None:
            return states.NAMES[self.connection.state]
        if self.listener is not None:
            return "SYN-RECEIVED" if self.listener.requests else states.NAMES[self.listener.state]
        return "CLOSED"

    def segment_arrives(self, segment: Segment) -> Segment | None:
        now = self.world.now
        iss = -1
        if self.time_wait is not None:
            outcome = time_wait.segment_arrives(self.time_wait, segment, self.parameters, now)
            self.time_wait = outcome.packed
            if outcome.packed is None:
                self._time_wait_ends(states.TIMEOUT_2MSL)
            if outcome.iss < 0 or self.listener is None:
                return outcome.reply
            iss = outcome.iss
        elif self.connection is not None and self.connection.state != states.CLOSED:
            return self.connection.segment_arrives(segment, now)
        if self.listener is None or self.listener.state == states.CLOSED:
            return closed.segment_arrives(segment)
        reply, connection = self.listener.segment_arrives(self.identity.flow, segment, self.mss, now, iss)
        if connection is not None:
            self.connection = connection
        return reply

    def poll(self, room: int) -> Segment | None:
        now = self.world.now
        if self.connection is not None:
            segment = self.connection.poll_transmit(now, room)
            if segment is not None:
                return segment
            if self.connection.state == states.TIME_WAIT and self.time_wait is None:
                self.time_wait = time_wait.from_connection(self.connection, now)
        if self.listener is not None:
            due = self.listener.poll_transmit(now)
            if due is not None:
                assert due[0] == self.identity.flow
                return due[1]
        return None

    def next_deadline(self) -> int:
        deadline = NEVER
        if self.connection is not None:
            deadline = self.connection.next_deadline()
        if self.time_wait is not None:
            deadline = min(deadline, time_wait.expiry(self.time_wait))
        if self.listener is not None:
            deadline = min(deadline, self.listener.next_deadline())
        return deadline

    def deadline_reached(self) -> None:
        now = self.world.now
        if self.connection is not None:
            self.connection.deadline_reached(now)
        if self.listener is not None:
            self.listener.deadline_reached(now)
        if self.time_wait is not None and time_wait.expiry(self.time_wait) <= now:
            self.time_wait = None
            self._time_wait_ends(states.TIMEOUT_2MSL)

    def _time_wait_ends(self, event: str) -> None:
        if self.connection is not None and self.connection.state == states.TIME_WAIT:
            self.connection.change_state(event, self.world.now, reasons.TWO_MSL_OVER)


def acknowledging_fins() -> TcpParameters:
    """Those of a host that acknowledges every FIN at once, as the texts show it; by default one waits for ours."""
    parameters = TcpParameters()
    parameters.tcp_delay_fin_ack = 0
    return parameters


def without_probes(parameters: TcpParameters | None = None) -> TcpParameters:
    """Those of a host that sends no tail-loss probes: the RTO alone says when something is sent again."""
    parameters = parameters or TcpParameters()
    parameters.tcp_early_retrans = 0
    return parameters


class World:
    """The client, the server and the network: `delay` ns each way, in order unless a rule says otherwise. Messages of
    one end arrive `spacing` ns apart at least."""

    def __init__(
        self,
        client: TcpParameters | None = None,
        server: TcpParameters | None = None,
        delay: int = 10 * MS,
        room: int = 1500,
        mss: int = 1460,
        start: int = 0,
        spacing: int = 0,
    ) -> None:
        self.now = start
        self.start = start
        self.delay = delay
        self.spacing = spacing
        self._free_at = {"client": start, "server": start}
        #: The largest segment that the link takes; above 1500, superpackets.
        self.room = room
        #: Superpackets arrive whole, as from a link that aggregates; otherwise they are cut before they travel.
        self.whole = False
        self.client = End(self, "client", CLIENT, client or TcpParameters(), mss)
        self.server = End(self, "server", SERVER, server or TcpParameters(), mss)
        self.messages: list[Message] = []
        self._rules: list[_Rule] = []
        self._flying: list[tuple[int, int, Message]] = []
        self._count = 0
        self._delivered = 0

    # --- the network's faults; the nth to the (nth + count - 1)th message that matches, from now on

    def lose(self, match: Match, nth: int = 1, count: int = 1) -> None:
        """Loses them. A damaged segment fails its checksum and is dropped in silence: to TCP it is the same."""

        def act(message: Message, delays: list[int]) -> None:
            delays.clear()

        self._rules.append(_Rule(match, nth, nth + count - 1, act))

    def hold(self, match: Match, extra: int, nth: int = 1, count: int = 1) -> None:
        """Delays them by `extra` ns more, so that later ones overtake them."""

        def act(message: Message, delays: list[int]) -> None:
            delays[:] = [each + extra for each in delays]

        self._rules.append(_Rule(match, nth, nth + count - 1, act))

    def duplicate(self, match: Match, extra: int = 0, nth: int = 1, count: int = 1) -> None:
        """Delivers them twice, the second time `extra` ns later."""

        def act(message: Message, delays: list[int]) -> None:
            if delays:
                delays.append(delays[0] + extra)

        self._rules.append(_Rule(match, nth, nth + count - 1, act))

    def heal(self) -> None:
        """Ends all faults."""
        self._rules.clear()

    # --- going on

    def message(self) -> Message:
        """Goes on until one message has arrived, or was lost, and returns it."""
        for _ in range(MOST_EVENTS):
            self.flush()
            lost = [message for message in self.messages[self._count :] if message.lost]
            if lost:
                self._count = self.messages.index(lost[0]) + 1
                return lost[0]
            self._count = len(self.messages)
            arrived = self.step(NEVER)
            if arrived is not None:
                self.flush()
                return arrived
        raise AssertionError("no message")

    def run(self, until: int = NEVER) -> None:
        """Goes on until nothing is left to happen, or to the time `until` (ns, from the start), which it is then."""
        until = until if until == NEVER else self.start + until
        for _ in range(MOST_EVENTS):
            self.flush()
            if self._next() > until or self._next() == NEVER:
                break
            self.step(until)
        else:
            raise AssertionError("the two ends never come to rest")
        if until != NEVER:
            self.now = until

    def run_for(self, duration: int) -> None:
        self.run(self.now - self.start + duration)

    def connect(self) -> None:
        """The server listens, the client opens, and both are ESTABLISHED."""
        if self.server.listener is None:
            self.server.listen()
        self.client.open()
        while (self.client.state, self.server.state) != ("ESTABLISHED", "ESTABLISHED"):
            self.message()

    def inject(self, to: str, segment: Segment) -> Segment | None:
        """Hands a segment to "client" or "server" as if it came from the network. Returns its reply, unsent."""
        end = self.client if to == "client" else self.server
        return end.segment_arrives(segment)

    def flush(self) -> None:
        """Lets both ends send all that they may."""
        for end in (self.client, self.server):
            end.work()
            while True:
                segment = end.poll(self.room)
                if segment is None:
                    break
                self._transmit(end, segment)
                end.work()

    def _next(self) -> int:
        deadline = min(self.client.next_deadline(), self.server.next_deadline())
        return min(deadline, self._flying[0][0]) if self._flying else deadline

    def quiet(self) -> bool:
        """Nothing is left to happen."""
        return self._next() == NEVER

    def more_now(self) -> bool:
        """Something more happens at this very moment."""
        return self._next() <= self.now

    def step(self, until: int = NEVER) -> Message | None:
        """The next thing that happens, if before or at `until`: a message that arrives is returned."""
        time = self._next()
        if time > until or time == NEVER:
            raise AssertionError("nothing is left to happen")
        assert time >= self.now, "a deadline in the past"
        self.now = time
        if self._flying and self._flying[0][0] <= time:
            _, _, message = heappop(self._flying)
            end = self.server if message.sender == "client" else self.client
            reply = end.segment_arrives(message.segment)
            if message.arrived_in is None:
                message.arrived_in = self.states()
                message.arrived_at = time
            if reply is not None:
                self._transmit(end, reply)
            return message
        for end in (self.client, self.server):
            if end.next_deadline() <= time:
                end.deadline_reached()
                assert end.next_deadline() > time, "a deadline that does not pass"
        return None

    def states(self) -> tuple[str, str]:
        return self.client.state, self.server.state

    def _transmit(self, end: End, superpacket: Segment) -> None:
        for segment in [superpacket] if self.whole else cut_segment(end.identity, superpacket):
            message = Message(self.now, end.name, segment, self.states())
            self.messages.append(message)
            left = max(self.now, self._free_at[end.name])
            self._free_at[end.name] = left + self.spacing
            delays = [left - self.now + self.delay]
            for rule in self._rules:
                rule.apply(message, delays)
            message.lost = not delays
            for each in delays:
                self._delivered += 1
                heappush(self._flying, (self.now + each, self._delivered, message))

    # --- what happened

    def story(self, since: int = 0) -> list[str]:
        """A line for each message from the number `since` on."""
        x = next((m.segment.seq for m in self.messages if m.sender == "client" and m.has(SYN)), 0)
        y = next((m.segment.seq for m in self.messages if m.sender == "server" and m.has(SYN)), 0)
        return [self._line(message, x, y) for message in self.messages[since:]]

    def _line(self, message: Message, x: int, y: int) -> str:
        segment = message.segment
        own, other = (("x", x), ("y", y)) if message.sender == "client" else (("y", y), ("x", x))
        words = [f"{(message.time - self.start) / SECOND:g}", message.sender, flag_names(segment.flags)]
        words.append(f"seq={_relative(segment.seq, *own)}")
        if segment.flags & ACK:
            words.append(f"ack={_relative(segment.ack, *other)}")
        if segment.payload_length:
            words.append(f"({segment.payload_length})")
        then = " ".join(message.left_in)
        after = "lost" if message.lost else " ".join(message.arrived_in or ("on its way",))
        return f"{' '.join(words)} | {then} | {after}"

    def times(self, match: Match) -> list[float]:
        """When the messages that match were sent, in seconds."""
        return [(message.time - self.start) / SECOND for message in self.messages if match(message)]


def _relative(number: int, letter: str, base: int) -> str:
    distance = (number - base + HALF & MASK) - HALF
    if base == 0 or abs(distance) > 1 << 28:
        return str(number)
    return f"{letter}{distance:+d}" if distance else letter


def cut_segment(identity: Identity, segment: Segment) -> list[Segment]:
    """The ordinary segments for which a superpacket stands."""
    if not 0 < segment.segment_size < segment.payload_length:
        return [segment]
    packet = Packet(identity.local_address, identity.remote_address, PROTOCOL_TCP, segment)
    parts: list[Segment] = []
    for each in cut(packet):
        assert isinstance(each.payload, Segment)
        parts.append(each.payload)
    return parts
