"""F2.22: what ends TIME-WAIT early, and what avoids it."""

from __future__ import annotations

import socket
import struct
import subprocess
from errno import ECONNRESET

from synfin.lab.claims.bench import HOUR, MS, PORT, SECOND, pair
from synfin.lab.claims.kernel import Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import RST, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, FIN
from synfin.wire.tcp import RST as RST_FLAG

CLIENT_PORT = 40000


def answers(program: Program) -> Steps[None]:
    """An answer to whoever connects; then it reads to the end."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(20 * MS)
    yield from sock.sendall(b"an answer")
    yield from sock.receive_all()
    sock.close()


def asks(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()
    yield from program.sleep(20 * MS)
    sock.close()


def aborts(program: Program) -> Steps[None]:
    """Closes with SO_LINGER 0."""
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()
    yield from program.sleep(20 * MS)
    sock.set_linger(0)
    sock.close()


def closes_first(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        sock.close()


def comes_again(program: Program) -> Steps[None]:
    """Twice from the same port, two seconds apart."""
    for _ in range(2):
        sock = program.socket()
        sock.bind(("", CLIENT_PORT))
        yield from sock.connect(("server", PORT))
        yield from sock.receive_all()
        sock.close()
        yield from program.sleep(2 * SECOND)
    yield from program.sleep(HOUR)


def late(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, answers), start(network, here, asks)]


def linger(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, answers), start(network, here, aborts)]


def again(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, closes_first), start(network, here, comes_again)]


def lasted(run: Run, host: str) -> float:
    """Seconds of the first TIME-WAIT of `host`."""
    return (run.when(host, "CLOSED") - run.when(host, "TIME-WAIT")) / SECOND


def in_time_wait(kernel: Kernel) -> Peer:
    sock, peer = kernel.connected()
    sock.close()
    peer.expect(FIN | ACK)
    peer.send(FIN | ACK)
    kernel.until(lambda: kernel.states() == ["TIME-WAIT"])
    peer.expect(ACK)
    return peer


def killed() -> Figures:
    """ss -K, and a RST: the states before and after."""
    with Kernel() as kernel:
        in_time_wait(kernel)
        before = kernel.states()[0]
        command = ["ss", "-K", "-t", "state", "time-wait"]
        kernel.host.inside(lambda: subprocess.run(command, check=False, capture_output=True))
        return {"before": before, "after": len(kernel.states())}


def reset() -> Figures:
    with Kernel() as kernel:
        peer = in_time_wait(kernel)
        peer.send(RST_FLAG)
        return {"rfc1337": kernel.sysctl("tcp_rfc1337"), "after": len(kernel.states())}


def lingers() -> Figures:
    """SO_LINGER 0 on a connection: what close leaves, and sends."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
        sock.close()
        peer.expect(RST_FLAG | ACK)
        return {
            "fins": len(peer.sent(FIN | ACK)),
            "resets": len(peer.sent(RST_FLAG | ACK)),
            "left": len(kernel.states()),
        }


CLAIM = TextClaim(
    name="F2.22",
    text=N_("Nothing can end TIME-WAIT before its time."),
    rfc=N_(
        "A RST can, which is a hazard, and a new SYN may. SO_LINGER 0 is ABORT: no TIME-WAIT, and data are thrown away."
    ),
    clauses=("RFC 1337 §2", "RFC 9293 §3.6.1", "RFC 6191 §2", "RFC 9293 §3.9.1.6"),
    linux=(
        Measured(
            "killed",
            N_("In {before}; after ss -K {after} are left."),
            killed,
            lambda found: (found["before"], found["after"]) == ("TIME-WAIT", 0),
        ),
        Measured(
            "reset",
            N_("A RST, with tcp_rfc1337={rfc1337} as it comes: {after} are left."),
            reset,
            lambda found: (found["rfc1337"], found["after"]) == (0, 0),
        ),
        Measured(
            "linger",
            N_("close with SO_LINGER 0: {fins} FINs, {resets} RST, and {left} connections left."),
            lingers,
            lambda found: (found["fins"], found["resets"], found["left"]) == (0, 1, 0),
        ),
    ),
    worlds=(
        World("late", N_("A delayed segment arrives in TIME-WAIT"), late, ("delay 1st data by 2s from server",)),
        World("again", N_("The same client comes again, from the same port"), again, (), 10 * SECOND),
        World("linger", N_("The client closes with SO_LINGER 0"), linger),
    ),
    claims=(
        Claim(
            N_("The late segment is answered with an ACK, that with a RST, and TIME-WAIT ends after {seconds:.2f} s."),
            lambda runs: len(runs["late"].sent(RST, "server")) == 1 and lasted(runs["late"], "client") < 3,
            lambda runs: {"seconds": lasted(runs["late"], "client")},
        ),
        Claim(
            N_(
                "A new SYN on the same four-tuple ends the server's TIME-WAIT after {seconds:.2f} s: a "
                "new connection opens."
            ),
            lambda runs: (
                lasted(runs["again"], "server") < 3
                and [call.error for call in runs["again"].program("client").calls if call.name == "connect"]
                == [None, None]
            ),
            lambda runs: {"seconds": lasted(runs["again"], "server")},
        ),
        Claim(
            N_("With SO_LINGER 0 there is none; the price: the server's program meets ECONNRESET instead of an end."),
            lambda runs: (
                "TIME-WAIT" not in runs["linger"].path("client")
                and getattr(runs["linger"].program("server").call("recv").error, "errno", 0) == ECONNRESET
            ),
        ),
    ),
    text_holds=lambda runs: lasted(runs["late"], "client") >= 60 and lasted(runs["again"], "server") >= 60,
)
