"""F2.14: what is numbered."""

from __future__ import annotations

import array
import fcntl
import termios
from copy import copy
from itertools import pairwise

from synfin.events import SegmentDropped
from synfin.lab.claims.bench import MS, PORT, SECOND, pair, serves
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, Run
from synfin.sim import Network, Program, Steps, start
from synfin.sim.device import Output
from synfin.tcp.identity import Identity
from synfin.tcp.isn import TICK
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, PSH, Options, Segment

SIZES = (100, 200, 300)
CLIENT_PORT = 40000
#: How far below 2³² the connection begins.
BELOW = 150


def client(program: Program) -> Steps[None]:
    sock = program.socket()
    sock.bind(("", CLIENT_PORT))
    yield from sock.connect(("server", PORT))
    for size in SIZES:
        yield from program.sleep(100 * MS)
        yield from sock.sendall(bytes([65]) * size)
    yield from program.sleep(SECOND)
    sock.close()


def scenario(network: Network) -> list[Program]:
    """The client connects when its clock makes the first number 150 less than 2³²."""
    here, there = pair(network)
    flow = there.ports[0].packed[0] + here.ports[0].packed[0] + PORT.to_bytes(2, "big") + CLIENT_PORT.to_bytes(2, "big")
    iss = here.host.transport.numbers.iss(Identity.from_flow(flow), 0)
    programs = [start(network, there, serves)]
    wait = (-BELOW - iss) % (1 << 32) * TICK
    network.at(wait, lambda: programs.append(start(network, here, client)))
    return programs


class Old:
    """A laboratory variant of a wire's beginning: after the third piece of data comes one that has been on its way for
    2³² octets, so that its number fits again: the first piece, with its old timestamp."""

    def __init__(self, output: Output, network: Network) -> None:
        self._output = output
        self._network = network
        self._first: tuple[Packet, Segment] | None = None
        self._pieces = 0

    def transmit(self, packet: Packet) -> None:
        self._output.transmit(packet)
        segment = packet.payload
        if not isinstance(segment, Segment) or not segment.payload_length:
            return
        self._pieces += 1
        if self._first is None:
            self._first = packet, segment
        elif self._pieces == len(SIZES):
            old_packet, old = copy(self._first[0]), copy(self._first[1])
            old.seq, old.ack = (segment.seq + segment.payload_length) % (1 << 32), segment.ack
            old_packet.payload = old
            self._network.after(100 * MS, lambda: self._output.transmit(old_packet))


def with_old(network: Network) -> list[Program]:
    programs = scenario(network)
    port = network.nodes["client"].ports[0]
    port.output = Old(port.output, network)
    return programs


def data(run: Run) -> list[Segment]:
    return [one.segment for one in run.sent(DATA, "client")]


def read(run: Run) -> int:
    """How many octets the server's program read."""
    calls = run.program("server").calls
    return sum(len(call.result) for call in calls if call.name == "recv" and isinstance(call.result, bytes))


def wraps() -> Figures:
    """100 octets that begin 50 below 2³²."""
    with Kernel() as kernel:
        _, peer = kernel.served(seq=(1 << 32) - 51)
        peer.send(PSH | ACK, bytes(100))
        return {"ack": peer.expect(ACK).segment.ack}


def paws() -> Figures:
    """A segment whose number fits, and whose timestamp is old."""
    with Kernel() as kernel:
        sock, peer = kernel.served(options=Options(mss=1460, ts_val=10_000, ts_ecr=0))
        peer.send(PSH | ACK, bytes(100), options=Options(ts_val=10_010, ts_ecr=0))
        peer.send(PSH | ACK, bytes(100), options=Options(ts_val=9_000, ts_ecr=0))
        waiting = array.array("i", [0])
        fcntl.ioctl(sock, termios.FIONREAD, waiting)
        return {"taken": waiting[0], "dropped": kernel.host.counters()["TcpExtPAWSEstab"]}


CLAIM = TextClaim(
    name="F2.14",
    text=N_("Each packet has a sequence number of its own, which no other has."),
    rfc=N_("Octets are numbered, modulo 2³²; a number comes again, and PAWS guards against old segments."),
    clauses=("RFC 9293 §3.4", "RFC 7323 §5"),
    linux=(
        Measured(
            "wraps",
            N_("100 octets from 2³² − 50 on are acknowledged with ack = {ack}."),
            wraps,
            lambda found: found["ack"] == 50,
        ),
        Measured(
            "paws",
            N_(
                "A fitting number with an old timestamp: {dropped} segment dropped by PAWS; {taken} "
                "octets wait, as before."
            ),
            paws,
            lambda found: found["taken"] == 100 and found["dropped"] == 1,
        ),
    ),
    worlds=(
        World("again", N_("The second piece of data is lost once"), scenario, ("lose 2nd data",)),
        World("old", N_("A segment that is 2³² octets late (laboratory variant)"), with_old),
    ),
    claims=(
        Claim(
            N_("Numbers grow by octets: pieces of {sizes} octets begin at x+1, x+{second} and x+{third}, modulo 2³²."),
            lambda runs: (
                [(later.seq - one.seq) % (1 << 32) for one, later in pairwise(data(runs["old"])[:3])] == [100, 200]
                and data(runs["old"])[0].seq > data(runs["old"])[2].seq
                and data(runs["old"])[0].seq == (runs["old"].sent()[0].segment.seq + 1) % (1 << 32)
            ),
            lambda runs: {
                "sizes": [one.payload_length for one in data(runs["old"])[:3]],
                "second": (data(runs["old"])[1].seq - data(runs["old"])[0].seq) % (1 << 32) + 1,
                "third": (data(runs["old"])[2].seq - data(runs["old"])[0].seq) % (1 << 32) + 1,
            },
        ),
        Claim(
            N_("The piece that was lost goes again, in another packet with the same number."),
            lambda runs: len({one.seq for one in data(runs["again"])}) < len(data(runs["again"])),
        ),
        Claim(
            N_("The old segment's number fits, but its timestamp is old: it is dropped, and {octets} octets are read."),
            lambda runs: (
                [event.reason.name for event in runs["old"].of(SegmentDropped, "server")] == ["old-timestamp"]
                and read(runs["old"]) == sum(SIZES)
            ),
            lambda runs: {"octets": read(runs["old"])},
        ),
    ),
    text_holds=lambda runs: (
        len({one.segment.seq for one in runs["again"].sent(host="client")}) == len(runs["again"].sent(host="client"))
    ),
)
