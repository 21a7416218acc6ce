"""Sockets of two hosts on few ports, in any order of calls, options, packets and losses: at the end nothing is left.

Not what each call returns is looked at (`test_calls_at_random` holds that against the kernel), but what it leaves: when
all sockets are closed and all is quiet, no table, claim on a port, timer or charge of memory may remain.
"""

from __future__ import annotations

import contextlib
import os
import random
from heapq import heappop, heappush
from typing import TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synfin.host import calls, profiles, socket_options, transfer
from synfin.host import socket_option_numbers as numbers
from synfin.host.addresses import packed
from synfin.host.host import Host
from synfin.host.sockets import AF_INET, AF_INET6, Socket
from synfin.tcp.timers import NEVER
from synfin.wire import icmp
from synfin.wire.ip import PROTOCOL_ICMP, Packet, octets
from synfin.wire.tcp import Segment

Op: TypeAlias = tuple[str, int, int]

MS = 1_000_000
SECOND = 1_000_000_000
#: More examples by hand: SYNFIN_EXAMPLES=100000.
EXAMPLES = int(os.environ.get("SYNFIN_EXAMPLES", "150"))
ADDRESSES = ("192.0.2.1", "192.0.2.2")
ADDRESSES_6 = ("2001:db8::1", "2001:db8::2")
PORTS = (80, 81, 40000, 0)
#: To which one connects: one of them more often.
SERVERS = (80, 80, 81, 40000)
SOCKETS = 6

#: Options to set: level, number, values.
OPTIONS = (
    (numbers.SOL_SOCKET, numbers.SO_REUSEADDR, (0, 1)),
    (numbers.SOL_SOCKET, numbers.SO_REUSEPORT, (0, 1, 1)),
    (numbers.SOL_SOCKET, numbers.SO_KEEPALIVE, (0, 1)),
    (numbers.SOL_SOCKET, numbers.SO_RCVBUF, (1000, 100_000)),
    (numbers.IPPROTO_TCP, numbers.TCP_DEFER_ACCEPT, (0, 1, 10)),
    (numbers.IPPROTO_TCP, numbers.TCP_USER_TIMEOUT, (0, 1000)),
    (numbers.IPPROTO_TCP, numbers.TCP_LINGER2, (-1, 0, 5)),
    (numbers.IPPROTO_TCP, numbers.TCP_SYNCNT, (1, 3)),
    (numbers.IPPROTO_TCP, numbers.TCP_KEEPIDLE, (1, 10)),
    (numbers.IPPROTO_TCP, numbers.TCP_CORK, (0, 1)),
    (numbers.IPPROTO_IPV6, numbers.IPV6_V6ONLY, (0, 1)),
)
#: Parameters that change under way.
PARAMETERS = (
    ("tcp_abort_on_overflow", (0, 1)),
    ("tcp_syncookies", (0, 1, 2)),
    ("tcp_max_tw_buckets", (0, 1, 100)),
    ("tcp_tw_reuse", (0, 1, 2)),
    ("tcp_max_orphans", (0, 1, 100)),
    ("tcp_timestamps", (0, 1)),
    ("tcp_timestamps_required", (0, 1)),
    ("tcp_mem", ((0, 0, 1), (1 << 20,) * 3, (1 << 20,) * 3)),
)
KINDS: tuple[tuple[str, int], ...] = (
    *[("socket", 2)] * 9,
    *[("bind", 16)] * 5,
    *[("listen", 3)] * 5,
    *[("connect", 16)] * 12,
    *[("accept", 1)] * 6,
    *[("visit", 4)] * 8,
    *[("send", 5)] * 5,
    *[("recv", 2)] * 4,
    *[("shutdown", 3)] * 2,
    ("disconnect", 1),
    *[("close", 4)] * 4,
    *[("option", 1000)] * 4,
    ("parameter", 1000),
    *[("steps", 8)] * 12,
    *[("advance", 8)] * 4,
    ("lose", 5),
    ("hold", 5),
    ("duplicate", 5),
    ("unreachable", 4),
    ("move", 1),
)
TIMES = (0, 1, 10, 100, 1000, 3000, 60_000, 200_000)


class Run:
    def __init__(self, profile: str, delay: int) -> None:
        self.now = SECOND
        self.delay = delay
        self.hosts = [Host(f"host{who}", bytes(range(who, who + 16)), profiles.parameters(profile)) for who in (0, 1)]
        for host, address, address_6 in zip(self.hosts, ADDRESSES, ADDRESSES_6, strict=True):
            host.parameters.ip_local_port_range = (40000, 40003)
            host.add_interface("eth0", [address + "/24", address_6 + "/64"], 1500, 65535)
        self.sockets: list[Socket | None] = [None] * SOCKETS
        self.flying: list[tuple[int, int, int, Packet]] = []
        self.sent = 0
        self.rules: list[tuple[str, int]] = []
        self.latest: Packet | None = None
        self.visitors: list[tuple[Host, Socket]] = []
        for op in (("socket", 1, 0), ("bind", 1, 0), ("listen", 1, 1)):
            self.call(*op)

    # --- the network

    def flush(self) -> None:
        for who, host in enumerate(self.hosts):
            while (packet := host.poll_transmit(host.interfaces[1], self.now)) is not None:
                rule, count = self.rules[0] if self.rules else ("", 0)
                if rule:
                    self.rules[0:1] = [(rule, count - 1)] if count > 1 else []
                if isinstance(packet.payload, Segment):
                    self.latest = packet
                if rule == "lose":
                    continue
                self.flies(self.delay + (300 * MS if rule == "hold" else 0), 1 - who, packet)
                if rule == "duplicate":
                    self.flies(self.delay + 5 * MS, 1 - who, packet)

    def flies(self, delay: int, to: int, packet: Packet) -> None:
        self.sent += 1
        heappush(self.flying, (self.now + delay, self.sent, to, packet))

    def next(self) -> int:
        deadline = min(host.next_deadline() for host in self.hosts)
        return min(deadline, self.flying[0][0]) if self.flying else deadline

    def step(self) -> None:
        time = self.next()
        assert self.now <= time < NEVER
        self.now = time
        if self.flying and self.flying[0][0] <= time:
            _, _, who, packet = heappop(self.flying)
            self.hosts[who].packet_arrives(packet, self.hosts[who].interfaces[1], time)
        else:
            for host in self.hosts:
                if host.next_deadline() <= time:
                    host.deadline_reached(time)
                    assert host.next_deadline() > time, "a deadline that does not pass"
        self.flush()

    # --- the users

    def act(self, op: Op) -> None:
        name, number, value = op
        if name == "steps":
            for _ in range(value):
                if self.next() == NEVER:
                    break
                self.step()
        elif name == "advance":
            until = self.now + TIMES[value] * MS
            while self.next() <= until:
                self.step()
            self.now = until
        elif name in ("lose", "hold", "duplicate"):
            self.rules.append((name, value + 1))
        elif name == "parameter":
            name, values = PARAMETERS[value % len(PARAMETERS)]
            setattr(self.hosts[number % 2].parameters.tcp, name, values[value // len(PARAMETERS) % len(values)])
        elif name == "unreachable":
            self.unreachable(value)
        elif name == "visit":
            self.visit(value)
        else:
            with contextlib.suppress(OSError):
                self.call(name, number, value)
        self.flush()
        self.check()
        for host in self.hosts:
            host.take_changed()

    def visit(self, value: int) -> None:
        """What most programs do: connect, say something, hear the end, close; one of the ends first."""
        with contextlib.suppress(OSError):
            client = calls.socket(self.hosts[0], AF_INET)
            self.visitors.append((self.hosts[0], client))
            calls.connect(self.hosts[0], client, (ADDRESSES[1], 80), self.now)
        self.act(("advance", 0, 2))
        server: Socket | None = None
        for sock in self.sockets[1::2]:
            if sock is not None and sock.listener is not None and sock.listener.accept_queue and server is None:
                server, _ = calls.accept(self.hosts[1], sock)
                self.visitors.append((self.hosts[1], server))
        with contextlib.suppress(OSError):
            transfer.send(self.hosts[0], client, b"hello", 0, self.now)
        while self.visitors:
            calls.close(*self.visitors.pop(0 if value & 1 else -1), self.now)
            if value & 2:
                self.act(("advance", 0, 2))

    def unreachable(self, code: int) -> None:
        if self.latest is not None:
            source = self.latest.source
            who = int(source in (packed(ADDRESSES[1]), packed(ADDRESSES_6[1])))
            if len(source) == 4:
                message = icmp.IcmpMessage(icmp.DESTINATION_UNREACHABLE, code, 0, octets(self.latest)[:28])
                self.flies(self.delay, who, Packet(packed("192.0.2.9"), source, PROTOCOL_ICMP, message))

    def call(self, name: str, number: int, value: int) -> None:
        host = self.hosts[number % 2]
        sock = self.sockets[number]
        if name == "socket":
            if sock is None:
                self.sockets[number] = calls.socket(host, AF_INET6 if value == 1 else AF_INET)
            return
        if sock is None:
            return
        six = sock.family == AF_INET6
        port = PORTS[value % 4]
        if name == "bind":
            own = (ADDRESSES_6 if six else ADDRESSES)[number % 2] if value & 4 else ""
            calls.bind(host, sock, (own, port))
        elif name == "listen":
            calls.listen(host, sock, value, self.now)
        elif name == "connect":
            there = (number + (value & 4 > 0)) % 2
            address = ADDRESSES_6[there] if six and value & 8 else f"::ffff:{ADDRESSES[there]}"
            calls.connect(host, sock, (address if six else ADDRESSES[there], SERVERS[value % 4]), self.now)
        elif name == "accept":
            free = [index for index, each in enumerate(self.sockets) if each is None and index % 2 == number % 2]
            made, _ = calls.accept(host, sock)
            if free:
                self.sockets[free[0]] = made
            else:
                calls.close(host, made, self.now)
        elif name == "send":
            transfer.send(host, sock, bytes((1, 100, 2000, 30_000, 200_000)[value]), 0, self.now)
        elif name == "recv":
            transfer.recv(host, sock, (100, 1 << 20)[value], 0, self.now)
        elif name == "shutdown":
            calls.shutdown(host, sock, value, self.now)
        elif name == "disconnect":
            calls.connect(host, sock, None, self.now)
        elif name == "option":
            level, option, values = OPTIONS[value % len(OPTIONS)]
            chosen = values[value // len(OPTIONS) % len(values)]
            socket_options.setsockopt(host, sock, level, option, chosen, self.now)
        elif name == "move" and sock.connection is not None:
            taken = host.dump(sock.connection, self.now)
            sock.connection = None
            calls.close(host, sock, self.now)
            self.sockets[number] = None
            host.release(host.restore(taken, self.now), self.now)
        elif name == "close":
            self.close(number, value)

    def close(self, number: int, value: int) -> None:
        sock, host = self.sockets[number], self.hosts[number % 2]
        assert sock is not None
        linger = {1: (1, 0), 2: (1, 3)}.get(value)
        if linger is not None:
            octets_of_it = socket_options.LINGER.pack(*linger)
            socket_options.setsockopt(host, sock, numbers.SOL_SOCKET, numbers.SO_LINGER, octets_of_it, self.now)
        self.sockets[number] = None
        try:
            calls.close(host, sock, self.now)
        except BlockingIOError:
            calls.close(host, sock, self.now + 10 * SECOND)

    def check(self) -> None:
        for host in self.hosts:
            transport = host.transport
            held = 0
            for connection in transport.connections.values():
                held += connection.charged
                assert connection.charged >= 0
                assert connection.armed <= connection.next_deadline(), "the host does not know of a deadline"
            assert transport.memory.held == held
            assert transport.orphans <= set(transport.connections)
            assert set(transport.time_waits._bound) <= set(transport.time_waits.flows())

    def finish(self) -> None:
        self.rules.clear()
        for number, sock in enumerate(self.sockets):
            if sock is not None:
                self.close(number, 0)
        self.flush()
        for _ in range(20_000):
            if self.next() == NEVER:
                break
            self.step()
            self.check()
        for host in self.hosts:
            transport = host.transport
            assert host.next_deadline() == NEVER, "it never comes to rest"
            assert not transport.connections
            assert not transport.orphans
            assert not transport.sockets
            assert not transport.listeners
            assert not transport.reuse_port
            assert not len(transport.time_waits)
            assert not transport.time_waits._bound
            assert not len(transport.bindings)
            assert transport.memory.held == 0
            assert not transport.timers._heap
            assert all(not interface.output and not interface.sending for interface in host.interfaces)


def run(profile: str, delay: int, ops: list[Op]) -> None:
    this = Run(profile, delay)
    for op in ops:
        this.act(op)
    this.finish()


def generated(seed: int) -> tuple[str, int, list[Op]]:
    """What a seed stands for, for long campaigns."""
    chance = random.Random(seed)
    names = sorted({name for name, _ in KINDS})
    chosen = set(chance.sample(names, chance.randint(2, len(names)))) | {"socket", "connect", "listen", "bind", "steps"}
    kinds = [kind for kind in KINDS if kind[0] in chosen]
    ops = []
    for _ in range(chance.choice([20, 60, 150])):
        name, most = chance.choice(kinds)
        ops.append((name, chance.randrange(SOCKETS), chance.randrange(most)))
    return chance.choice(["linux", "freebsd", "rfc"]), chance.choice([0, 10 * MS]), ops


OPS = st.sampled_from(KINDS).flatmap(
    lambda kind: st.tuples(st.just(kind[0]), st.integers(0, SOCKETS - 1), st.integers(0, kind[1] - 1))
)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.sampled_from(["linux", "freebsd", "rfc"]), st.sampled_from([0, 10 * MS]), st.lists(OPS, min_size=5, max_size=80)
)
def test_nothing_is_left(profile: str, delay: int, ops: list[Op]) -> None:
    run(profile, delay, ops)
