"""F2.18: half-closed and half-open."""

from __future__ import annotations

import socket

from synfin.lab.claims.bench import HOUR, MS, PORT, SECOND, connects, pair
from synfin.lab.claims.kernel import Kernel, Peer, state
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, FIN, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, PSH
from synfin.wire.tcp import RST as RST_FLAG

ANSWER = b"an answer, "


def server(program: Program) -> Steps[None]:
    """Reads to the end, then answers, in three pieces."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    for _ in range(3):
        yield from program.sleep(100 * MS)
        yield from sock.sendall(ANSWER)
    yield from program.sleep(100 * MS)
    sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.sendall(b"a question")
    yield from program.sleep(100 * MS)
    sock.shutdown()
    yield from sock.receive_all()
    sock.close()


def accepts(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    yield from listener.accept()
    yield from program.sleep(HOUR)


def half_closed(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def half_open(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, accepts), start(network, here, connects)]


def after_the_fin(run: Run) -> int:
    """Octets that the client has read from what the server sent between the client's FIN and its own."""
    first, last = run.sent(FIN, "client")[0].time, run.sent(FIN, "server")[0].time
    late = sum(one.segment.payload_length for one in run.sent(DATA, "server") if first < one.time < last)
    results = [call.result for call in run.program("client").calls if call.name == "recv"]
    return min(late, sum(len(one) for one in results if isinstance(one, bytes)))


def shut() -> Figures:
    """shutdown(SHUT_WR) on one side, and an answer from the other."""
    with Kernel() as kernel:
        client, served = kernel.loopback()
        client.shutdown(socket.SHUT_WR)
        end = served.recv(100)
        # The ACK of a FIN may wait for data.
        kernel.until(lambda: state(client) == "FIN-WAIT-2")
        states = state(client), state(served)
        served.send(ANSWER)
        return {"end": len(end), "client": states[0], "server": states[1], "octets": len(client.recv(100))}


def open_() -> Figures:
    """A kernel whose peer has forgotten the connection; and what a kernel says that has forgotten it itself."""
    with Kernel() as kernel:
        sock, _ = kernel.connected()
        kernel.listen_for(0.3)
        alone = state(sock)
        stranger = Peer(kernel, 5555, 6666)
        stranger.send(PSH | ACK, b"hello", ack=1)
        return {"state": alone, "answers": len(kernel_resets(kernel, stranger))}


def kernel_resets(kernel: Kernel, peer: Peer) -> list[object]:
    kernel.listen_for(0.05)
    return list(peer.sent(RST_FLAG))


CLAIM = TextClaim(
    name="F2.18",
    text=N_("Four messages are there to prevent the half-closed state."),
    rfc=N_("Half-closed is what they allow: one way ends, the other goes on. What nobody wants is half-open."),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.5.1"),
    linux=(
        Measured(
            "half-closed",
            N_("After shutdown(SHUT_WR): {client} and {server}; {octets} octets still come back."),
            shut,
            lambda found: (
                (found["client"], found["server"], found["end"], found["octets"])
                == ("FIN-WAIT-2", "CLOSE-WAIT", 0, len(ANSWER))
            ),
        ),
        Measured(
            "half-open",
            N_("Half-open: it stays {state} by itself; data for a connection that it does not know get a RST."),
            open_,
            lambda found: found["state"] == "ESTABLISHED" and found["answers"] == 1,
        ),
    ),
    worlds=(
        World("half-closed", N_("The client closes its half, and the server goes on"), half_closed, (), SECOND),
        World(
            "half-open",
            N_("The server restarts, and nobody tells the client"),
            half_open,
            ("reboot server at 100ms",),
            10 * SECOND,
        ),
    ),
    claims=(
        Claim(
            N_("After its FIN the client still receives {octets} octets, in FIN-WAIT-2."),
            lambda runs: (
                after_the_fin(runs["half-closed"]) == 3 * len(ANSWER)
                and "FIN-WAIT-2" in runs["half-closed"].path("client")
            ),
            lambda runs: {"octets": after_the_fin(runs["half-closed"])},
        ),
        Claim(
            N_("Half-open is another thing: {seconds:g} s after the server's restart the client is still {state}."),
            lambda runs: (
                runs["half-open"].state("client") == "ESTABLISHED"
                and not runs["half-open"].node("server").host.transport.connections
            ),
            lambda runs: {
                "seconds": runs["half-open"].end / SECOND - 0.1,
                "state": runs["half-open"].state("client"),
            },
        ),
    ),
    text_holds=lambda runs: after_the_fin(runs["half-closed"]) == 0,
)
