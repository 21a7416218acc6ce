"""F2.8: data in a SYN."""

from __future__ import annotations

import socket

from synfin.lab.claims.bench import MS, PORT, pair, serves
from synfin.lab.claims.kernel import KERNEL, Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, RST, SYN_ACK, Run
from synfin.sim import Network, Program, Steps, start
from synfin.sim.device import Output
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, SYN, Segment

WORDS = b"Hello, Server!"
TCP_FASTOPEN = 23  # linux/tcp.h


class Early:
    """A laboratory variant of a wire's beginning: it puts the first words on the SYN, which our hosts send bare."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def transmit(self, packet: Packet) -> None:
        segment = packet.payload
        if isinstance(segment, Segment) and segment.flags == SYN:
            segment.payload, segment.payload_length = (WORDS,), len(WORDS)
        self._output.transmit(packet)


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    yield from sock.sendall(WORDS)
    yield from program.sleep(100 * MS)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    here.ports[0].output = Early(here.ports[0].output)
    return [start(network, there, serves), start(network, here, client)]


def numbers(run: Run) -> tuple[int, int]:
    """The sequence number of the SYN, and what the SYN+ACK acknowledges."""
    return run.sent(DATA)[0].segment.seq, run.sent(SYN_ACK)[0].segment.ack


def plain() -> Figures:
    """A SYN with data to a kernel without Fast Open."""
    with Kernel() as kernel:
        kernel.listening()
        peer = Peer(kernel, seq=1000)
        peer.send(SYN, WORDS)
        answer = peer.expect(SYN | ACK).segment
        return {"acked": answer.ack - 1000}


def fast_open() -> Figures:
    """The same with Fast Open, where no cookie is asked for: what the program reads before the third message."""
    with Kernel(tcp_fastopen=0x202) as kernel:
        listener = kernel.new_socket(1.0)
        listener.bind((KERNEL, PORT))
        listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 5)
        listener.listen(5)
        peer = Peer(kernel, seq=1000)
        peer.send(SYN, WORDS)
        answer = peer.expect(SYN | ACK).segment
        with listener.accept()[0] as sock:
            return {"acked": answer.ack - 1000, "read": len(sock.recv(100)), "state": kernel.states()[0]}


CLAIM = TextClaim(
    name="F2.8",
    text=N_("A SYN must not carry data."),
    rfc=N_("It may. The receiver must not deliver the data before ESTABLISHED; Fast Open lifts even that."),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.2", "RFC 7413 §2"),
    linux=(
        Measured(
            "plain",
            N_("A listener answers a SYN of 14 octets with ack = x+{acked}: it takes the SYN, and leaves the data."),
            plain,
            lambda found: found["acked"] == 1,
        ),
        Measured(
            "fast-open",
            N_("With Fast Open ack = x+{acked}, and the program reads {read} octets in {state}."),
            fast_open,
            lambda found: found["acked"] == 15 and found["read"] == 14 and found["state"] == "SYN-RECEIVED",
        ),
    ),
    worlds=(World("early", N_("The first words ride on the SYN (laboratory variant)"), scenario),),
    claims=(
        Claim(
            N_("The server takes the SYN: no RST, and ack = x+{acked}; the data it leaves to be sent again."),
            lambda runs: (
                not runs["early"].sent(RST) and numbers(runs["early"])[1] == (numbers(runs["early"])[0] + 1) % (1 << 32)
            ),
            lambda runs: {"acked": (numbers(runs["early"])[1] - numbers(runs["early"])[0]) % (1 << 32)},
        ),
        Claim(
            N_("The words reach the program once, and only when the connection is ESTABLISHED."),
            lambda runs: (
                runs["early"].program("server").call("recv").began >= runs["early"].when("server", "ESTABLISHED")
                and [call.result for call in runs["early"].program("server").calls if call.name == "recv"]
                == [WORDS, b""]
            ),
        ),
    ),
    text_holds=lambda runs: bool(runs["early"].sent(RST)) or runs["early"].state("server") == "LISTEN",
)
