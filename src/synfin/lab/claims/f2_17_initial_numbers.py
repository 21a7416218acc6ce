"""F2.17: where an initial sequence number comes from."""

from __future__ import annotations

from itertools import pairwise

from synfin.lab.claims.bench import MS, PORT, SECOND, pair
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import SYN, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, RST

FIRST, SECOND_PORT = 40000, 40001
#: RFC 9293 §3.4.1: the clock ticks every 4 microseconds. Not `synfin.tcp.isn`'s constant, which is put to the test.
TICK = 4_000


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        yield from listener.accept()


def client(program: Program) -> Steps[None]:
    """Three connections: from one port, a second later from the same, and at once from another."""
    for port, wait in ((FIRST, SECOND), (FIRST, 0), (SECOND_PORT, 0)):
        sock = program.socket()
        sock.bind(("", port))
        # No TIME-WAIT.
        sock.set_linger(0)
        yield from sock.connect(("server", PORT))
        yield from program.sleep(20 * MS)
        sock.close()
        yield from program.sleep(wait)


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def step(run: Run, one: int, other: int) -> tuple[int, int]:
    """From one SYN to another: nanoseconds, and by how much the number is larger, modulo 2³²."""
    first, second = run.sent(SYN)[one], run.sent(SYN)[other]
    return second.time - first.time, (second.segment.seq - first.segment.seq) % (1 << 32)


def on_linux() -> Figures:
    """The same on the kernel: nanoseconds for each number of the same four-tuple; another port."""
    with Kernel() as kernel:
        syns = []
        for port in (FIRST, FIRST, SECOND_PORT):
            sock, peer = kernel.connecting(port=port)
            syns.append(peer.sent()[-1])
            peer.send(RST | ACK)
            sock.close()
            kernel.listen_for(0.3)
        steps = [
            (later.time - one.time, (later.segment.seq - one.segment.seq) % (1 << 32)) for one, later in pairwise(syns)
        ]
        tick = [1e9 * seconds / numbers for seconds, numbers in steps]
        return {"nanoseconds": round(tick[0]), "fits": int(round(tick[1]) == round(tick[0]))}


CLAIM = TextClaim(
    name="F2.17",
    text=N_("The initial sequence number is random, and that makes it unique."),
    rfc=N_("A clock plus a keyed hash of the four-tuple: unpredictable, and for one four-tuple always rising."),
    clauses=("RFC 9293 §3.4.1", "RFC 6528 §3"),
    linux=(
        Measured(
            "clock",
            N_("Same four-tuple: one number more each {nanoseconds} ns. Another port: another beginning."),
            on_linux,
            lambda found: found["nanoseconds"] == 64 and found["fits"] == 0,
        ),
    ),
    worlds=(World("thrice", N_("Twice from one port, once from another"), scenario, connections=3),),
    claims=(
        Claim(
            N_(
                "From the same port {seconds:g} s later the number is {numbers} larger: one for each 4 "
                "µs, no chance in it."
            ),
            lambda runs: step(runs["thrice"], 0, 1)[1] == step(runs["thrice"], 0, 1)[0] // TICK > 0,
            lambda runs: {
                "seconds": round(step(runs["thrice"], 0, 1)[0] / SECOND, 3),
                "numbers": step(runs["thrice"], 0, 1)[1],
            },
        ),
        Claim(
            N_(
                "From another port {seconds:g} s later it is {numbers} larger: the hash differs, and "
                "nobody outside knows it."
            ),
            lambda runs: abs(step(runs["thrice"], 1, 2)[1] - step(runs["thrice"], 1, 2)[0] // TICK) > 1000,
            lambda runs: {
                "seconds": round(step(runs["thrice"], 1, 2)[0] / SECOND, 3),
                "numbers": step(runs["thrice"], 1, 2)[1],
            },
        ),
    ),
    text_holds=lambda runs: step(runs["thrice"], 0, 1)[1] != step(runs["thrice"], 0, 1)[0] // TICK,
)
