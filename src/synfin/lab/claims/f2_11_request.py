"""F2.11: what the server makes when a SYN arrives."""

from __future__ import annotations

from functools import partial

from synfin.lab.claims.bench import DELAY, MS, SECOND, connects, pair, serves, tuned
from synfin.lab.claims.kernel import Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import Run
from synfin.sim import Network, Program, start
from synfin.wire.tcp import ACK, SYN

#: The SYN has arrived, and the third message has not.
BETWEEN = 2 * DELAY + 5 * MS


def scenario(network: Network, cookies: int = 1) -> list[Program]:
    here, there = pair(network, server=tuned(tcp_syncookies=cookies))
    return [start(network, there, serves), start(network, here, connects)]


def held(run: Run) -> tuple[int, int]:
    """How many requests and how many connections the server holds at the end."""
    transport = run.node("server").host.transport
    return sum(len(listener.requests) for listener in transport.all_listeners()), len(transport.connections)


def sockets() -> Figures:
    """Sockets of the kernel after a SYN, and after the third message; descriptors only accept makes."""
    with Kernel() as kernel:
        kernel.listening()
        peer = Peer(kernel)
        before = kernel.sockets_in_use()
        peer.send(SYN)
        peer.expect(SYN | ACK)
        after_syn, state = kernel.sockets_in_use(), kernel.states()[0]
        peer.send(ACK)
        return {"syn": after_syn - before, "state": state, "ack": kernel.sockets_in_use() - before}


def cookies() -> Figures:
    """What is there after a SYN that was answered with a cookie."""
    with Kernel(tcp_syncookies=2) as kernel:
        kernel.listening()
        peer = Peer(kernel)
        peer.send(SYN)
        peer.expect(SYN | ACK)
        return {"held": len(kernel.states())}


CLAIM = TextClaim(
    name="F2.11",
    text=N_("When a SYN arrives, the server creates a new socket for the connection."),
    rfc=N_("A TCB records the SYN. How much of it must be there before the handshake is over, hosts decide."),
    clauses=("RFC 9293 §3.10.7.2", "RFC 4987 §3.5", "RFC 4987 §3.6"),
    linux=(
        Measured(
            "sockets",
            N_("The SYN makes {syn} sockets, and a request in {state}; the third message makes {ack}."),
            sockets,
            lambda found: (found["syn"], found["state"], found["ack"]) == (0, "SYN-RECEIVED", 1),
        ),
        Measured(
            "cookies",
            N_("With SYN cookies it holds {held} requests after it."),
            cookies,
            lambda found: found["held"] == 0,
        ),
    ),
    worlds=(
        World("syn", N_("The SYN has arrived; then we look"), scenario, (), BETWEEN - 10 * MS),
        World("cookies", N_("The same with SYN cookies"), partial(scenario, cookies=2), (), BETWEEN - 10 * MS),
        World("whole", N_("The handshake is over, and accept has come back"), scenario, (), SECOND),
    ),
    claims=(
        Claim(
            N_("After the SYN the server holds {requests} request and {connections} connections."),
            lambda runs: held(runs["syn"]) == (1, 0),
            lambda runs: dict(zip(("requests", "connections"), held(runs["syn"]), strict=True)),
        ),
        Claim(
            N_("With SYN cookies it holds {requests} requests and {connections} connections: nothing at all."),
            lambda runs: held(runs["cookies"]) == (0, 0),
            lambda runs: dict(zip(("requests", "connections"), held(runs["cookies"]), strict=True)),
        ),
        Claim(
            N_("After the third message there is {connections} connection, and accept hands out the new socket."),
            lambda runs: (
                held(runs["whole"]) == (0, 1)
                and runs["whole"].program("server").call("accept").ended == runs["whole"].when("server", "ESTABLISHED")
            ),
            lambda runs: {"connections": held(runs["whole"])[1]},
        ),
    ),
    text_holds=lambda runs: held(runs["syn"])[1] > 0,
)
