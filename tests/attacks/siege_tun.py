"""A stack on a TUN device under siege: hostile packets, whole as they are, from the kernel's side of the device, while
clients of the kernel's use it. To be called in a network namespace of its own.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue

from synfin.host.parameters import Parameters
from synfin.link.link import Frame, Link, WrappedLink
from synfin.link.tun import Tun, configure
from synfin.socket import Stack
from synfin.wire.ip import Packet, octets
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.attacks.hostile import KINDS, OPEN_PORT, OWN_KINDS, OWN_LIFE, Attacker, Own, Victim, kind_of
from tests.attacks.siege import GREETING, Tally, resident

OURS, OURS_6, KERNELS, KERNELS_6 = "10.9.0.2", "fd00:9::2", "10.9.0.3", "fd00:9::3"
BACKLOG = 16
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
#: So many packets, then a pause (seconds): a device loses what its reader does not take in time.
BURST = 8
PAUSE = 0.001
PATIENCE = 60.0
#: Seconds of CPU for a packet, on average; ten times what it takes, as machines differ.
CPU_BOUND = 0.0005
MTU = 1500


class Watched(WrappedLink):
    """The device, with what is answered to forged sources counted. SYN,ACKs go to the attacker too."""

    def __init__(self, inner: Link, tallies: list[Tally]) -> None:
        super().__init__(inner)
        self.tallies = tallies
        self.received = 0
        self.answers: SimpleQueue[Packet] = SimpleQueue()

    def receive(self) -> Frame | None:
        frame = self.inner.receive()
        if frame is not None:
            self.received += 1
        return frame

    def send(self, packet: Packet) -> bool:
        kind = kind_of(packet.destination)
        if 0 <= kind < len(self.tallies):
            self.tallies[kind].packets_out += 1
            self.tallies[kind].octets_out += packet.total_length
            if isinstance(packet.payload, Segment) and packet.payload.flags & SYN:
                self.answers.put(packet)
        return self.inner.send(packet)


class Outcome:
    """What came of it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.tallies = {name: Tally() for name in KINDS}
        self.raised: list[str] = []
        self.visits = 0
        self.cookies = 0
        self.lost = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.frames = 0
        self.grown = 0
        self.right = False
        self.transferred = 0

    def __str__(self) -> str:
        lines = ["| kind | packets | octets in | packets out | octets out | out / in |", "|---|---|---|---|---|---|"]
        total = Tally()
        for name, tally in [*self.tallies.items(), ("all", total)]:
            if tally is not total:
                for field in ("packets_in", "octets_in", "packets_out", "octets_out"):
                    setattr(total, field, getattr(total, field) + getattr(tally, field))
            share = tally.octets_out / max(tally.octets_in, 1)
            counts = f"{tally.packets_in:,} | {tally.octets_in:,} | {tally.packets_out:,} | {tally.octets_out:,}"
            lines.append(f"| {name} | {counts} | {share:.2f} |")
        each = self.cpu_seconds / max(self.frames, 1) * 1e6
        lines.append(
            f"\n{self.seconds:.1f} s; {each:.0f} µs of CPU for each of {self.frames:,} packets that arrived, hostile "
            f"or not; {self.lost} lost by the device; memory grew by {self.grown:,}; {self.visits} visits served; "
            f"{self.cookies} connections came through cookies; one client sent {self.transferred:,} octets all the "
            f"time, which arrived {'as they were' if self.right else 'WRONG'}."
        )
        return "\n".join(lines)


def complaints(outcome: Outcome) -> list[str]:
    """What did not go as it must; empty if all is well."""
    wrong = list(outcome.raised)
    for name, tally in outcome.tallies.items():
        if tally.octets_out > tally.octets_in:
            wrong.append(f"{name}: {tally.octets_out} octets out for {tally.octets_in} in")
    # In all, as a SYN,ACK that comes again, or an ACK that was delayed, cannot be told from an answer here.
    packets_in = sum(tally.packets_in for tally in outcome.tallies.values())
    packets_out = sum(tally.packets_out for tally in outcome.tallies.values())
    if packets_out > packets_in:
        wrong.append(f"{packets_out} packets out for {packets_in} in")
    if not outcome.right:
        wrong.append("what the client sent did not arrive as it was")
    if outcome.visits < 3 or not outcome.cookies:
        wrong.append(f"{outcome.visits} visits were served, {outcome.cookies} connections through cookies")
    if outcome.lost > outcome.count // 100:
        wrong.append(f"{outcome.lost} packets did not even arrive")
    if outcome.grown > 16 * outcome.count + (16 << 20):
        wrong.append(f"memory grew by {outcome.grown} octets")
    if outcome.cpu_seconds / max(outcome.frames, 1) > CPU_BOUND:
        wrong.append(f"{outcome.cpu_seconds} s of CPU for {outcome.frames} packets")
    return wrong


# --- the server


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes all that comes; tells one who greets the sum of it."""
    total = sha256()
    first = b""
    try:
        while data := await reader.read(1 << 16):
            first = first or data
            total.update(data)
        if first.startswith(GREETING):
            writer.write(total.hexdigest().encode())
        writer.close()
        await writer.wait_closed()
    except OSError:
        writer.transport.abort()


# --- the kernel's clients

#: The port of the client that is there all the time.
PORTS: list[int] = []
CONNECTED = threading.Event()


def visit(data: bytes, more: threading.Event | None = None) -> tuple[bool, int]:
    """Sends data, again and again until `more` is set, if that is given. Whether the server had it all; how much."""
    total = sha256()
    with socket.create_connection((OURS, OPEN_PORT), timeout=PATIENCE) as client:
        if more is not None:
            PORTS.append(client.getsockname()[1])
            CONNECTED.set()
        client.sendall(GREETING)
        total.update(GREETING)
        count = len(GREETING)
        while True:
            client.sendall(data)
            total.update(data)
            count += len(data)
            if more is None or more.wait(0.002):
                break
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(100):
            answer += part
    return answer == total.hexdigest().encode(), count


def besiege(seed: int, count: int) -> Outcome:
    """The whole of it, from the device to the report."""
    return asyncio.run(_besiege(seed, count))


async def _besiege(seed: int, count: int) -> Outcome:
    outcome = Outcome(count)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: outcome.raised.append(repr(context)))
    over = threading.Event()
    parameters = Parameters()
    PORTS.clear()
    CONNECTED.clear()
    with Tun.open(offload=True) as tun:
        configure(tun.name, [f"{KERNELS}/24", f"{KERNELS_6}/64"])
        watched = Watched(tun, list(outcome.tallies.values()))
        async with Stack(watched, [f"{OURS}/24", f"{OURS_6}/64"], parameters=parameters) as stack:
            server = await stack.start_server(serve, None, OPEN_PORT, backlog=BACKLOG)
            began, cpu = time.monotonic(), time.thread_time()
            main = loop.run_in_executor(None, visit, bytes(range(256)) * 16, over)
            await loop.run_in_executor(None, CONNECTED.wait)
            memory = resident()
            attack = loop.run_in_executor(None, _attack, seed, count, tun.name, watched, outcome)
            while not attack.done():
                right, _ = await loop.run_in_executor(None, visit, bytes(10_000))
                outcome.visits += right
            await attack
            await asyncio.sleep(0.5)
            over.set()
            outcome.right, outcome.transferred = await main
            outcome.grown = resident() - memory
            outcome.seconds, outcome.cpu_seconds = time.monotonic() - began, time.thread_time() - cpu
            outcome.frames = watched.received
            outcome.cookies = stack.host.counters["TcpExtSyncookiesRecv"]
            outcome.lost = _lost(tun.name)
            # How the stack parts from those who are still connected is no answer to them.
            watched.tallies = []
            server.close()
            if stack.error is not None:
                outcome.raised.append(repr(stack.error))
    return outcome


def _lost(device: str) -> int:
    """Packets that the device could not take, as /proc/net/dev tells it of this namespace."""
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == device:
            return int(numbers.split()[11])
    return 0


def _attack(seed: int, count: int, device: str, watched: Watched, outcome: Outcome) -> None:
    """Sends so many packets into the device, of kinds drawn by chance, and now and then a connection's worth."""
    attacker = Attacker(seed, OURS, OURS_6)
    attacker.victim = Victim(KERNELS, PORTS[0], lambda: None)
    names = list(KINDS)
    owns: dict[str, Own] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((device, ETH_P_IP))

        def send(name: str, data: bytes) -> None:
            data = data[:MTU]
            tally = outcome.tallies[name]
            tally.packets_in += 1
            tally.octets_in += len(data)
            raw.send(data)

        for number in range(count):
            name = attacker.random.choice(names)
            attacker.kind = names.index(name)
            if name in OWN_KINDS:
                own = owns.get(name)
                if own is None or own.used >= OWN_LIFE:
                    owns[name] = own = _open(attacker, watched, partial(send, name))
                attacker.own = own
            data = KINDS[name](attacker)
            if data:
                send(name, data)
            if number % BURST == 0:
                time.sleep(PAUSE)


def _open(attacker: Attacker, watched: Watched, send: Callable[[bytes], None]) -> Own:
    source, port, seq = attacker.source(), attacker.random.randrange(1024, 65536), attacker.word()
    options = Options(mss=1460, sack_permitted=True, ts_val=1, ts_ecr=0, window_scale=7)
    while not watched.answers.empty():
        watched.answers.get()
    send(octets(attacker.packet(Segment(port, OPEN_PORT, seq, 0, SYN, 65535, options), source=source)))
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            packet = watched.answers.get(timeout=0.1)
        except Empty:
            continue
        segment = packet.payload
        if packet.destination == source and isinstance(segment, Segment) and segment.destination_port == port:
            attacker.own = Own(source, port, seq + 1 & MASK, segment.seq + 1 & MASK, segment.options.ts_val or 0)
            send(attacker.by_own(ACK, 0, 0, 65535, attacker.stamps()))
            return attacker.own
    return Own(source, port, seq, 0, 0)
