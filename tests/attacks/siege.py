"""A server under siege in the simulated network, and what came of it.

The server sits between two wires: on one are its clients, who send megabytes and make new connections all the time;
from the other comes whatever `tests.attacks.hostile` thinks of, and there goes what is answered to forged sources.
"""

from __future__ import annotations

import resource
from hashlib import sha256
from time import thread_time_ns

from synfin.host.parameters import Parameters
from synfin.sim import Network, Node
from synfin.sim.device import Output
from synfin.tcp import states
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener
from synfin.wire.ip import Packet, octets
from synfin.wire.sequence import MASK, wrap
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.attacks.hostile import KINDS, OPEN_PORT, OWN_KINDS, OWN_LIFE, Attacker, Own, Victim, kind_of

MS = 1_000_000
SECOND = 1_000_000_000
SERVER, CLIENT = "10.0.0.2", "10.0.0.1"
SERVER_6 = "fd00::2"
#: What every client sends first; others are not answered.
GREETING = b"LEGITIMATE\n"
#: The clients' wire, in bits a second; the time between two hostile packets; how many may be half open.
RATE = 4_000_000
INTERVAL = 200_000
BACKLOG = 32
WARM_UP = 500
#: No kind of packet may cost more than so many times what ordinary data cost, nor leave so many octets behind, each.
CPU_BOUND = 5
MEMORY_BOUND = 4
#: What a connection takes that holds nothing, in octets (docs/performance.md).
CONNECTION = 5000
#: New clients in the course of a siege.
VISITS = 50


class Tally:
    """Of one kind of attack: packets and octets in, and out as answers at once and later; CPU time (ns)."""

    def __init__(self) -> None:
        self.packets_in = 0
        self.octets_in = 0
        self.packets_out = 0
        self.octets_out = 0
        self.late_octets = 0
        self.most_at_once = 0
        self.nanoseconds = 0

    @property
    def mean(self) -> float:
        """Nanoseconds for each packet."""
        return self.nanoseconds / max(self.packets_in, 1)

    @property
    def all_octets_out(self) -> int:
        return self.octets_out + self.late_octets


class Tap:
    """The server's end of a wire: tells the siege what leaves."""

    def __init__(self, siege: Siege, output: Output) -> None:
        self.siege = siege
        self.output = output

    def transmit(self, packet: Packet) -> None:
        self.siege.leaves(packet)
        self.output.transmit(packet)


class Service:
    """The server's program: takes what clients send, and answers the end of it with the sum of it all."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sums: dict[Connection, tuple[object, bool]] = {}
        self.listeners = node.listen("0.0.0.0", OPEN_PORT, BACKLOG), node.listen("::", OPEN_PORT, BACKLOG)
        node.changed = self.changed

    def changed(self, entry: Connection | Listener) -> None:
        if isinstance(entry, Listener):
            while entry.accept_queue:
                self.changed(self.node.accept(entry))
            return
        try:
            while data := self.node.receive(entry):
                total, _ = self.sums.setdefault(entry, (sha256(), data.startswith(GREETING)))
                total.update(data)  # type: ignore[attr-defined]
        except BlockingIOError:
            return
        except OSError:
            self.sums.pop(entry, None)
            return
        if entry.orphaned:
            return
        total, legitimate = self.sums.pop(entry, (None, False))
        if legitimate:
            self.node.send(entry, total.hexdigest().encode())  # type: ignore[attr-defined]
            self.node.release(entry)
        else:
            # Later, so that what a segment brings about at once is TCP's doing alone.
            self.node.after(SECOND, lambda: self.node.release(entry))


class Customer:
    """One of the clients' transfers: `done` once the server's sum has come, `right` if it was that of what was sent."""

    def __init__(self, octets: int) -> None:
        self.left = octets
        self.sent = sha256()
        self.answer = b""
        self.done = False
        self.error = 0

    @property
    def right(self) -> bool:
        return self.done and self.answer == self.sent.hexdigest().encode()


class Siege:
    """The whole of it. `run` sends so many hostile packets; `tallies` say what came of each kind."""

    def __init__(self, seed: int, count: int) -> None:
        self.count = count
        self.network = Network(seed)
        self.server = self.network.host("server", Parameters())
        self.client = self.network.host("client")
        self.outside = self.network.host("outside")
        self.network.wire(self.client, f"{CLIENT}/24", self.server, f"{SERVER}/24", delay=5 * MS, rate=RATE)
        addresses = ["10.66.255.254/16", "fd00:66:ffff::1/32"]
        own = ["10.66.255.253/16", "fd00:66:ffff::2/32", f"{SERVER_6}/128"]
        self.network.wire(self.server, own, self.outside, addresses)
        # Those who are forged do not exist: what is answered to them goes nowhere.
        self.outside.power_off()
        for port in self.server.ports:
            port.output = Tap(self, port.output)
        self.attacker = Attacker(seed, SERVER, SERVER_6)
        self.tallies = {name: Tally() for name in KINDS}
        self.names = list(KINDS)
        self.service = Service(self.server)
        self.customers: dict[Connection, Customer] = {}
        self.client.changed = self.client_changed
        self.answers: list[Packet] = []
        self.now_attacking: Tally | None = None
        #: What ordinary data cost, for comparison, and the memory that the process had taken before and after.
        self.ordinary = Tally()
        self.memory = [0, 0]
        #: The server's connections at the end of the attack, and what the account says that they held.
        self.left = (0, 0)
        # One client is there from the beginning to the end.
        self.main = self.visit(count * INTERVAL * RATE // 8 // SECOND * 3 // 4)
        self.network.run(self.network.now + SECOND // 10)
        self.attacker.victim = Victim(CLIENT, self.main.identity.local_port, self.inside)
        self.owns: dict[str, Own] = {}

    # --- the clients

    def visit(self, octets: int) -> Connection:
        connection = self.client.connect(SERVER, OPEN_PORT)
        self.customers[connection] = Customer(octets)
        return connection

    def client_changed(self, entry: Connection | Listener) -> None:
        customer = self.customers.get(entry) if isinstance(entry, Connection) else None
        if customer is None or not isinstance(entry, Connection) or entry.state == states.SYN_SENT:
            return
        try:
            while customer.left > 0:
                data = (GREETING + bytes(range(256)) * 64)[: customer.left]
                taken = self.client.send(entry, data)
                customer.sent.update(data[:taken])
                customer.left -= taken
                if customer.left == 0:
                    self.client.close(entry)
            while data := self.client.receive(entry):
                customer.answer += data
            customer.done = True
            self.client.release(entry)
        except BlockingIOError:
            pass
        except OSError as error:
            customer.error = error.errno or -1

    def inside(self) -> tuple[int, int, int] | None:
        """The server's windows on the main connection, so that no guess is exactly right."""
        flow = self.main.identity
        arriving = flow.local_address + flow.remote_address
        arriving += flow.local_port.to_bytes(2, "big") + flow.remote_port.to_bytes(2, "big")
        connection = self.server.host.transport.connections.get(arriving)
        if connection is None:
            return None
        return wrap(connection.rcv_nxt), connection.rcv_wnd, wrap(connection.snd_una)

    # --- the attack

    def leaves(self, packet: Packet) -> None:
        """The server sends something."""
        size = packet.total_length
        tally = self.now_attacking
        if tally is not None:
            tally.packets_out += 1
            tally.octets_out += size
            self.answers.append(packet)
            return
        kind = kind_of(packet.destination)
        if 0 <= kind < len(self.names):
            # A timer's doing: a SYN,ACK again, an ACK that was delayed, the end of a connection.
            self.tallies[self.names[kind]].late_octets += size

    def strike(self, name: str) -> None:
        """One packet of this kind arrives."""
        attacker = self.attacker
        attacker.kind = self.names.index(name)
        if name in OWN_KINDS:
            own = self.owns.get(name)
            if own is None or own.used >= OWN_LIFE:
                self.owns[name] = own = self.open_own(name, self.tallies[name])
            attacker.own = own
        self.deliver(KINDS[name](attacker), self.tallies[name])

    def deliver(self, data: bytes, tally: Tally) -> None:
        self.answers.clear()
        self.now_attacking = tally
        before = tally.packets_out
        began = thread_time_ns()
        self.server.arrive(data, self.server.ports[1], self.network.now)
        tally.nanoseconds += thread_time_ns() - began
        self.now_attacking = None
        tally.packets_in += 1
        tally.octets_in += len(data)
        tally.most_at_once = max(tally.most_at_once, tally.packets_out - before)

    def open_own(self, name: str, tally: Tally) -> Own:
        """The attacker opens a connection of its own, with a handshake like any other's."""
        attacker = self.attacker
        source, port, seq = attacker.source(), attacker.random.randrange(1024, 65536), attacker.word()
        options = Options(mss=1460, sack_permitted=True, ts_val=1, ts_ecr=0, window_scale=7)
        syn = Segment(port, OPEN_PORT, seq, 0, SYN, 65535, options)
        self.deliver(octets(attacker.packet(syn, source=source)), tally)
        answer = self.answers[0].payload if self.answers else None
        if not isinstance(answer, Segment) or not answer.flags & SYN:
            # There was no room, or it hit what an old one of these has left.
            return Own(source, port, seq, 0, 0)
        attacker.own = Own(source, port, seq + 1 & MASK, answer.seq + 1 & MASK, answer.options.ts_val or 0)
        self.deliver(attacker.by_own(ACK, 0, 0, 65535, attacker.stamps()), tally)
        return attacker.own

    def send_ordinary(self, count: int) -> None:
        """Data in order on a connection that does nothing wrong."""
        self.attacker.kind = len(self.names)
        own = self.open_own("", self.ordinary)
        for _ in range(count):
            self.attacker.own = own
            self.deliver(self.attacker.by_own(ACK, 0, 0, 8192, self.attacker.stamps(), bytes(1000)), self.ordinary)
            own.seq += 1000
            self.network.run(self.network.now + INTERVAL)

    def run(self) -> None:
        """All of them, one each INTERVAL, of kinds drawn by chance; then time for everything to end."""
        random = self.attacker.random
        self.send_ordinary(WARM_UP)
        for number in range(self.count):
            if number % max(self.count // VISITS, 1) == 0:
                self.visit(20_000)
            if number == self.count // 10:
                self.memory[0] = resident()
            self.strike(random.choice(self.names))
            self.network.run(self.network.now + INTERVAL)
        self.memory[1] = resident()
        transport = self.server.host.transport
        self.left = (len(transport.connections), transport.memory.held)
        self.network.run(self.network.now + 300 * SECOND)


def resident() -> int:
    """Octets of memory that this process has at most had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(siege: Siege) -> str:
    """What came of each kind, as a table."""
    lines = [
        "| kind | packets | octets in | octets out | of these later | out / in | most answers to one | µs of CPU each |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    total = Tally()
    for name, tally in siege.tallies.items():
        for field in ("packets_in", "octets_in", "packets_out", "octets_out", "late_octets", "nanoseconds"):
            setattr(total, field, getattr(total, field) + getattr(tally, field))
        total.most_at_once = max(total.most_at_once, tally.most_at_once)
        lines.append(_row(name, tally))
    lines.append(_row("all", total))
    lines.append(_row("(ordinary data)", siege.ordinary))
    grown = siege.memory[1] - siege.memory[0]
    connections, held = siege.left
    lines.append(
        f"\nMemory: {siege.memory[1] >> 20} MiB; {grown:,} octets more in the last nine tenths. At the end the "
        f"attacker had {connections} open connections, which by the account of tcp_mem held {held:,} octets."
    )
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> str:
    packets, inwards = max(tally.packets_in, 1), max(tally.octets_in, 1)
    return (
        f"| {name} | {tally.packets_in:,} | {tally.octets_in:,} | {tally.all_octets_out:,} | {tally.late_octets:,} "
        f"| {tally.all_octets_out / inwards:.2f} | {tally.most_at_once} | {tally.nanoseconds / packets / 1000:.0f} |"
    )


def complaints(siege: Siege) -> list[str]:
    """What did not go as it must; empty if all is well."""
    wrong = []
    for name, tally in siege.tallies.items():
        if tally.most_at_once > 1:
            wrong.append(f"{name}: {tally.most_at_once} answers to one packet")
        if tally.all_octets_out > tally.octets_in:
            wrong.append(f"{name}: {tally.all_octets_out} octets out for {tally.octets_in} in")
        if tally.mean > CPU_BOUND * siege.ordinary.mean:
            wrong.append(f"{name}: {tally.mean:.0f} ns each, ordinary data {siege.ordinary.mean:.0f} ns")
    grown = siege.memory[1] - siege.memory[0]
    connections, held = siege.left
    # What the attacker's open connections hold is bounded by tcp_mem, and theirs.
    if grown > MEMORY_BOUND * siege.count + (8 << 20) + held + connections * CONNECTION:
        wrong.append(f"memory grew by {grown} octets")
    transport = siege.server.host.transport
    if len(transport.connections) > len(siege.owns) * (siege.count // OWN_LIFE + 2) + 1:
        wrong.append(f"{len(transport.connections)} connections were left")
    if not siege.server.host.counters["TcpExtSyncookiesRecv"]:
        wrong.append("nobody was served through a SYN cookie")
    for number, customer in enumerate(siege.customers.values()):
        if not customer.right:
            state = f"{customer.left} octets not sent, error {customer.error}, answer {customer.answer[:20]!r}"
            wrong.append(f"transfer {number} did not complete: {state}")
    return wrong
