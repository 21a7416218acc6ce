"""Two hosts under any interplay of what was built apart: urgent data, corks, settings that change, keep-alive, ECN
marks, probes for the path's MTU, what ICMP says, true or not, memory that is short, connections that move, profiles.

At each step: what was read is what was written, in order; a timer runs for whatever waits, and the host knows of it; no
packet is larger than the link; the account of memory is right. At the end, once the network has healed and both users
read and close: everything has arrived, and nothing is left in any table.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from heapq import heappop, heappush
from typing import TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synfin.host import profiles
from synfin.host.addresses import packed
from synfin.host.host import Host
from synfin.link.segmentation import cut
from synfin.tcp import changing, states, timers
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.tcp.sent_range import LOST, OUTSTANDING
from synfin.tcp.snapshot import from_json, to_json
from synfin.tcp.timers import NEVER
from synfin.wire import icmp
from synfin.wire.ip import CE, PROTOCOL_ICMP, Packet, octets
from synfin.wire.sequence import wrap
from synfin.wire.tcp import RST, Segment

Op: TypeAlias = tuple[str, int, int]

MS = 1_000_000
SECOND = 1_000_000_000
MTU = 1500

#: Octets that say where in the stream they belong.
PATTERN = random.Random(9293).randbytes(1 << 20)

#: More examples by hand: SYNFIN_EXAMPLES=100000.
EXAMPLES = int(os.environ.get("SYNFIN_EXAMPLES", "300"))

#: Fewer losses than any limit of retransmissions, so that nothing may fail for want of trying.
MOST_LOSSES = 14

ADDRESSES = ("192.0.2.1", "192.0.2.2")
ROUTER = packed("192.0.2.9")

SIZES = (1, 1, 2, 10, 100, 535, 537, 1447, 1448, 1449, 2896, 4000, 10_000, 40_000)
TIMES = (0, 1, 5, 10, 39, 41, 100, 220, 500, 1000, 3000, 70_000, 130_000)
PROFILES = ("linux", "linux", "linux-suite", "freebsd", "rfc")
BUFFERS = (0, 0, 2304, 4096, 10_000, 70_000)
#: (name, values of the second number)
KINDS: tuple[tuple[str, tuple[int, ...]], ...] = (
    *[("send", SIZES)] * 8,
    *[("more", SIZES)] * 2,
    *[("urgent", SIZES)] * 2,
    *[("receive", (*SIZES, 1 << 20, 1 << 20))] * 6,
    ("read urgent", (0, 1)),
    ("inline", (0, 1)),
    ("nodelay", (0, 1)),
    ("cork", (0, 1)),
    ("keepalive", (0, 1, 5, 60)),
    ("lowat", (0, 1, 100, 5000)),
    ("readable from", (1, 100, 5000)),
    ("rcv_buf", (2304, 4608, 20_000, 200_000)),
    ("snd_buf", (4608, 20_000, 200_000)),
    ("clamp", (1152, 3000, 30_000)),
    ("quickack", (0, 1, 2)),
    *[("flush", (0,))] * 6,
    *[("steps", (1, 2, 3, 5, 8))] * 8,
    *[("advance", TIMES)] * 4,
    ("lose", (1, 2, 3, 4)),
    *[("lose nth", (2, 3, 4, 6, 9))] * 2,
    ("duplicate", (1, 2, 3)),
    *[("hold", (1, 5, 20, 50, 300))] * 2,
    *[("mark", (1, 2, 5))] * 2,
    ("room", (1500, 4000, 65_535)),
    ("path", (600, 1280, 1492, 1500, 1500)),
    ("silent path", (600, 1280, 1492, 1500, 1500)),
    ("too big", (68, 552, 1000, 1400)),
    ("unreachable", (0,)),
    ("memory", (0, 1, 4, 40)),
    *[("move", (0, 1))] * 2,
    ("close", (0,)),
)
ENDINGS = (*KINDS, ("release", (0,)), ("abort", (0,)), ("user_timeout", (100, 3000, 60_000)), ("leave", (0,)))


class Setting:
    """How the two hosts are set up."""

    def __init__(
        self, profiles: tuple[str, str], buffers: tuple[int, int], ecn: int, probing: int, timestamps: int, delay: int
    ) -> None:
        self.profiles = profiles
        self.buffers = buffers
        self.ecn = ecn
        self.probing = probing
        self.timestamps = timestamps
        self.delay = delay

    def __repr__(self) -> str:
        rest = f"{self.ecn}, {self.probing}, {self.timestamps}, {self.delay}"
        return f"Setting({self.profiles}, {self.buffers}, {rest})"


class Run:
    def __init__(self, setting: Setting) -> None:
        self.now = SECOND
        self.delay = setting.delay
        self.probing = setting.probing > 0
        self.hosts = [self.host(setting, who) for who in (0, 1)]
        self.wires = [host.interfaces[1] for host in self.hosts]
        self.flying: list[tuple[int, int, int, Packet]] = []
        self.sent = 0
        self.heal()
        self.written = [0, 0]
        self.read = [0, 0]
        self.urgent_at: list[set[int]] = [set(), set()]
        self.closed = [False, False]
        self.released = [False, False]
        #: Its connection was dumped, and is nowhere now.
        self.left = [False, False]
        #: Somebody gave up, or may.
        self.hard = False
        self.may_lose = MOST_LOSSES
        self.una = [-1, -1]
        self.listener: Listener = self.hosts[1].listen("0.0.0.0", 80, 5, self.now)
        client = self.hosts[0].connect(ADDRESSES[1], 80, self.now)
        self.flush()
        while not self.listener.accept_queue:
            self.step()
            self.flush()
        self.ends: list[Connection] = [client, self.hosts[1].accept(self.listener)]

    def host(self, setting: Setting, who: int) -> Host:
        parameters = profiles.parameters(setting.profiles[who])
        tcp = parameters.tcp
        # Nobody gives up here, if he is not told to.
        tcp.tcp_retries2 = 100
        tcp.tcp_orphan_retries = 100
        tcp.tcp_ecn = setting.ecn
        tcp.tcp_mtu_probing = setting.probing
        tcp.tcp_base_mss = 512
        tcp.tcp_timestamps = setting.timestamps
        if setting.buffers[who]:
            tcp.tcp_rmem = (setting.buffers[who],) * 3
        host = Host(f"host{who}", bytes(range(who, who + 16)), parameters)
        host.add_interface("eth0", [ADDRESSES[who] + "/24"], MTU, 65_535)
        return host

    # --- the network

    def heal(self) -> None:
        self.rules: list[tuple[str, int, int, int]] = []
        self.path = MTU
        self.silent = False
        self.whole = False

    def flush(self) -> None:
        for who in (0, 1):
            while (packet := self.hosts[who].poll_transmit(self.wires[who], self.now)) is not None:
                self.transmit(who, packet)

    def transmit(self, who: int, packet: Packet) -> None:
        segment = packet.payload
        if not isinstance(segment, Segment):
            return
        assert not self.left[who] or segment.flags & RST, "sent by a connection that is not there"
        whole = not 0 < segment.segment_size < segment.payload_length
        for part in [packet] if whole else cut(packet):
            assert isinstance(part.payload, Segment)
            length = part.header_length + 20 + part.payload.options.encoded_length + part.payload.payload_length
            assert length <= MTU, "larger than the link"
            if length > self.path:
                if not self.silent and part.dont_fragment:
                    self.report(who, part, self.path)
                if part.dont_fragment:
                    continue
            self.travel(who, part)

    def travel(self, who: int, packet: Packet) -> None:
        delays = [self.delay]
        left = []
        for kind, sender, skip, count in self.rules:
            if sender != who:
                left.append((kind, sender, skip, count))
                continue
            if skip > 0:
                left.append((kind, sender, skip - 1, count))
                continue
            if kind == "lose":
                delays = []
            elif kind == "duplicate":
                delays += delays[:1]
            elif kind == "mark":
                if packet.traffic_class & 3:
                    packet.traffic_class |= CE
                else:
                    count += 1
            else:
                delays = [each + int(kind) * MS for each in delays]
            if count > 1:
                left.append((kind, sender, 0, count - 1))
        self.rules = left
        for each in delays:
            self.sent += 1
            heappush(self.flying, (self.now + each, self.sent, 1 - who, packet))

    def report(self, who: int, packet: Packet, mtu: int) -> None:
        """A router tells host `who` that its packet is too big."""
        message = icmp.IcmpMessage(icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, mtu, octets(packet)[:28])
        self.tell(who, message)

    def tell(self, who: int, message: icmp.IcmpMessage) -> None:
        self.sent += 1
        packet = Packet(ROUTER, packed(ADDRESSES[who]), PROTOCOL_ICMP, message)
        heappush(self.flying, (self.now + self.delay, self.sent, who, packet))

    def next(self) -> int:
        deadline = min(host.next_deadline() for host in self.hosts)
        return min(deadline, self.flying[0][0]) if self.flying else deadline

    def step(self) -> None:
        time = self.next()
        assert self.now <= time < NEVER
        self.now = time
        if self.flying and self.flying[0][0] <= time:
            _, _, who, packet = heappop(self.flying)
            self.hosts[who].packet_arrives(packet, self.wires[who], time)
            return
        for host in self.hosts:
            if host.next_deadline() <= time:
                host.deadline_reached(time)
                assert host.next_deadline() > time, "a deadline that does not pass"

    def run_for(self, duration: int) -> None:
        until = self.now + duration
        self.flush()
        while self.next() <= until:
            self.step()
            self.flush()
        self.now = until

    # --- the users

    def act(self, op: Op) -> None:
        name, who, value = op
        if name in ("steps", "advance", "flush"):
            if name == "steps":
                for _ in range(value):
                    # A driver may poll after each packet or after a batch that arrived at once.
                    if who or self.next() > self.now:
                        self.flush()
                    if self.next() == NEVER:
                        break
                    self.step()
            elif name == "advance":
                self.run_for(value * MS)
            self.flush()
            self.check()
            return
        if name in ("lose", "lose nth"):
            count = min(value if name == "lose" else 1, self.may_lose)
            if count:
                self.may_lose -= count
                self.rules.append(("lose", who, 0 if name == "lose" else value, count))
        elif name in ("duplicate", "mark"):
            self.rules.append((name, who, value, value))
        elif name == "hold":
            self.rules.append((str(value), who, value % 4, 1 + value % 3))
        elif name == "room":
            self.wires[who].room = value
        elif name in ("path", "silent path"):
            self.path = value
            # Without probes nothing ever gets through a black hole.
            self.silent = name == "silent path" and self.probing
        elif name == "memory":
            self.hosts[who].parameters.tcp.tcp_mem = (value, value, 2 * value) if value else (1 << 20,) * 3
        else:
            self.call(name, who, value)
        for host in self.hosts:
            host.take_changed()

    def call(self, name: str, who: int, value: int) -> None:
        """What a user does, or a router, that concerns one connection."""
        host, connection, now = self.hosts[who], self.ends[who], self.now
        if name in ("send", "more", "urgent"):
            self.send(who, name, value)
        elif name == "receive":
            self.receive(who, value)
        elif name == "read urgent":
            try:
                connection.receive_urgent(now, bool(value))
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno != errno.EINVAL and not self.hard:
                    raise
        elif name == "close":
            if not self.released[who]:
                self.closed[who] = True
                # Fewer than would let one end wait longer than the other's TIME-WAIT lasts.
                self.may_lose = min(self.may_lose, 4)
                host.close(connection, now)
        elif name in ("release", "abort"):
            if self.released[who]:
                return
            self.closed[who] = self.released[who] = self.hard = True
            (host.release if name == "release" else host.abort)(connection, now)
        elif name == "leave":
            if not self.released[who] and connection.state not in (states.CLOSED, states.TIME_WAIT):
                self.closed[who] = self.released[who] = self.hard = True
                host.dump(connection, now)
                self.left[who] = True
        elif name == "move":
            if not self.released[who] and connection.state not in (states.CLOSED, states.TIME_WAIT):
                taken = host.dump(connection, now)
                self.ends[who] = host.restore(from_json(to_json(taken)) if value else taken, now)
        elif name == "too big":
            self.icmp_about(who, icmp.FRAGMENTATION_NEEDED, value)
        elif name == "unreachable":
            self.icmp_about(who, icmp.HOST_UNREACHABLE, 0)
        else:
            self.change(name, who, value)

    def change(self, name: str, who: int, value: int) -> None:
        connection, now = self.ends[who], self.now
        chosen = connection.settings
        if name == "inline":
            chosen.oob_inline = bool(value)
        elif name == "nodelay":
            changing.set_nodelay(connection, bool(value), now)
        elif name == "cork":
            changing.set_cork(connection, bool(value), now)
        elif name == "keepalive":
            chosen.keepalive_time = value
            chosen.keepalive_interval = value
            chosen.keepalive_probes = 100
            changing.set_keepalive(connection, value > 0, now)
        elif name == "lowat":
            chosen.notsent_lowat = value
        elif name == "readable from":
            changing.set_rcv_lowat(connection, value, now)
        elif name == "rcv_buf":
            changing.set_rcv_buf(connection, value, now)
        elif name == "snd_buf":
            changing.set_snd_buf(connection, value, now)
        elif name == "clamp":
            chosen.window_clamp = value
        elif name == "quickack":
            changing.set_quickack(connection, value, now)
        elif name == "user_timeout":
            self.hard = True
            chosen.user_timeout = value
        self.hosts[who].transport.settle(connection, now)

    def icmp_about(self, who: int, code: int, mtu: int) -> None:
        connection = self.ends[who]
        if connection.snd_nxt == connection.snd_una:
            return
        segment = Segment(
            connection.identity.local_port, connection.identity.remote_port, wrap(connection.snd_una), 0, 0, 0
        )
        packet = Packet(connection.identity.local_address, connection.identity.remote_address, 6, segment)
        self.tell(who, icmp.IcmpMessage(icmp.DESTINATION_UNREACHABLE, code, mtu, octets(packet)[:28]))

    def send(self, who: int, name: str, size: int) -> None:
        start = self.written[who]
        data = PATTERN[start : start + size]
        if start + size > len(PATTERN) or self.released[who]:
            return
        host, connection = self.hosts[who], self.ends[who]
        try:
            if name == "urgent":
                taken = host.send_urgent(connection, data, self.now)
                self.urgent_at[who].add(start + taken - 1)
            else:
                taken = host.send(connection, data, self.now, name == "more")
        except BlockingIOError:
            return
        except OSError:
            if not (self.closed[who] or self.hard):
                raise
            return
        self.written[who] += taken

    def receive(self, who: int, limit: int) -> bool:
        """Reads; True at the end of the stream."""
        if self.released[who]:
            return True
        connection = self.ends[who]
        try:
            pieces = self.hosts[who].receive(connection, limit, self.now)
        except BlockingIOError:
            return False
        except OSError:
            if not self.hard:
                raise
            return True
        data = b"".join(map(bytes, pieces))
        end = connection.copied - connection.irs - 1
        if not data:
            return True
        start = end - len(data)
        # Only urgent octets may be left out.
        assert all(at in self.urgent_at[1 - who] for at in range(self.read[who], start)), "octets are missing"
        assert data == PATTERN[start:end], "not what was written"
        assert end <= self.written[1 - who], "more than was written"
        self.read[who] = end
        return False

    # --- what must hold at each step

    def check(self) -> None:
        for one, other in (self.ends, self.ends[::-1]):
            # What was promised is never taken back, so what was sent lies in it, but for the octet of a probe.
            if states.CLOSED not in (one.state, other.state):
                assert one.snd_nxt - one.iss <= other.rcv_adv - other.irs + 1, "sent beyond the window"
        for who, host in enumerate(self.hosts):
            transport = host.transport
            held = 0
            for connection in transport.connections.values():
                self.check_connection(connection)
                assert connection.charged >= 0
                held += connection.charged
                assert connection.armed <= connection.next_deadline(), "the host does not know of a deadline"
                if connection is self.ends[who]:
                    assert connection.snd_una >= self.una[who]
                    self.una[who] = connection.snd_una
            assert transport.memory.held == held
            assert len(transport.timers._heap) <= 64 + 2 * len(transport.connections) + 1
            assert not self.wires[who].sending

    def check_connection(self, tcb: Connection) -> None:
        entries = tcb.sent.entries()
        assert tcb.sent.in_flight == sum(e.end - e.start for e in entries if e.fate == OUTSTANDING)
        assert tcb.sent.lost == sum(e.end - e.start for e in entries if e.fate == LOST)
        assert all(e.start < e.end for e in entries)
        assert all(one.end == other.start for one, other in itertools.pairwise(entries))
        if entries:
            assert (entries[0].start, entries[-1].end) == (tcb.snd_una, tcb.snd_nxt)
            assert tcb.timers.running(timers.RETRANSMISSION), "sent, and no timer"
            assert not tcb.timers.running(timers.PERSIST), "sent, and the persist timer"
        elif tcb.state not in (states.CLOSED, states.SYN_SENT):
            assert tcb.snd_una == tcb.snd_nxt
            if tcb.snd_nxt < tcb.send_buffer.end or (tcb.fin_queued and not tcb.fin_sent):
                assert tcb.timers.running(timers.PERSIST), "waiting, and no timer"
        if tcb.keepalive is not None and tcb.state in states.SYNCHRONIZED:
            assert tcb.timers.running(timers.KEEPALIVE), "keep-alive, and no timer"
        assert tcb.timers.earliest == min(tcb.timers.deadlines)
        assert tcb.reassembly.charge == sum(block.charge for block in tcb.reassembly._blocks)
        assert tcb.cwnd >= 0
        assert tcb.mss > 0
        assert tcb.receive_queue.octets == sum(map(len, tcb.receive_queue.pieces()))

    # --- the end

    def finish(self) -> None:
        self.heal()
        for host in self.hosts:
            host.parameters.tcp.tcp_mem = (1 << 20,) * 3
            host.transport.memory.change(0)
        healed = self.now
        at_end = [False, False]
        for _ in range(20_000):
            for who in (0, 1):
                at_end[who] = at_end[who] or self.receive_all(who)
                if not self.closed[who]:
                    self.closed[who] = True
                    self.hosts[who].close(self.ends[who], self.now)
                if (self.hard or all(at_end)) and not self.released[who]:
                    self.released[who] = True
                    self.hosts[who].release(self.ends[who], self.now)
            self.flush()
            self.check()
            if self.next() == NEVER:
                break
            self.step()
        assert self.next() == NEVER, "the two ends never come to rest"
        assert self.now - healed <= 1200 * SECOND, f"it takes too long: {(self.now - healed) // SECOND} s"
        if not self.hard:
            assert at_end == [True, True]
            for who in (0, 1):
                missing = range(self.read[who], self.written[1 - who])
                assert all(at in self.urgent_at[1 - who] for at in missing), "not everything arrived"
                assert self.ends[who].error == 0
        for host in self.hosts:
            transport = host.transport
            if host is self.hosts[1]:
                host.close_listener(self.listener, self.now)
            assert not transport.connections
            assert not transport.orphans
            assert not len(transport.time_waits)
            assert not len(transport.bindings)
            assert transport.memory.held == 0
            assert not transport.timers._heap
            assert not self.listener.requests
            assert all(not interface.output for interface in host.interfaces)

    def receive_all(self, who: int) -> bool:
        while True:
            before = self.read[who]
            if self.receive(who, 1 << 20):
                return True
            if self.read[who] == before:
                return False


def run(setting: Setting, ops: list[Op]) -> None:
    this = Run(setting)
    for op in ops:
        this.act(op)
    this.finish()


def of_kinds(kinds: tuple[tuple[str, tuple[int, ...]], ...]) -> st.SearchStrategy[Op]:
    """Each kind as likely as it is listed."""
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.tuples(st.just(kind[0]), st.integers(0, 1), st.sampled_from(kind[1]))
    )


SETTINGS = st.builds(
    Setting,
    st.tuples(st.sampled_from(PROFILES), st.sampled_from(PROFILES)),
    st.tuples(st.sampled_from(BUFFERS), st.sampled_from(BUFFERS)),
    st.integers(0, 1),
    st.integers(0, 2),
    st.integers(0, 1),
    st.sampled_from([10 * MS, 10 * MS, 0, 150 * MS]),
)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=EXAMPLES, suppress_health_check=SLOW)
@given(SETTINGS, st.lists(of_kinds(KINDS), min_size=5, max_size=90))
def test_everything_arrives(setting: Setting, ops: list[Op]) -> None:
    run(setting, ops)


@settings(max_examples=EXAMPLES // 2, suppress_health_check=SLOW)
@given(SETTINGS, st.lists(of_kinds(ENDINGS), min_size=3, max_size=50))
def test_nothing_is_left_however_it_ends(setting: Setting, ops: list[Op]) -> None:
    run(setting, ops)
