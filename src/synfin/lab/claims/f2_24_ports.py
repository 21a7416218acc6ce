"""F2.24: what runs out when TIME-WAIT piles up, and where a pool helps."""

from __future__ import annotations

from errno import EADDRNOTAVAIL, EMFILE
from functools import partial

from synfin.lab.claims.bench import PORT, SECOND, pair, tuned
from synfin.lab.claims.kernel import KERNEL, Kernel, outcome
from synfin.lab.claims.kernel import PORT as LISTENS
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import SYN_ACK, Run
from synfin.sim import Network, Program, SimulatedSocket, Steps, start

REQUESTS = 20
PORTS = 10
RANGE = "40000 40009"
QUESTION = b"question"


def server(program: Program) -> Steps[None]:
    """Starts a program for each client."""
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        start_answering(program, sock)


def start_answering(program: Program, sock: SimulatedSocket) -> None:
    def answer(one: Program) -> Steps[None]:
        mine = sock.give(one)
        while data := (yield from mine.recv()):
            yield from mine.sendall(data)
        mine.close()

    start(program.network, program.node, answer, "worker")


def one_each(program: Program) -> Steps[None]:
    """A connection for each request."""
    for _ in range(REQUESTS):
        sock = yield from program.connected("server", PORT)
        yield from sock.sendall(QUESTION)
        yield from sock.recv()
        sock.close()


def pooled(program: Program) -> Steps[None]:
    """One connection for all."""
    sock = yield from program.connected("server", PORT)
    for _ in range(REQUESTS):
        yield from sock.sendall(QUESTION)
        yield from sock.recv()
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network, client=tuned(ip_local_port_range=RANGE))
    return [start(network, there, server), start(network, here, one_each)]


def with_pool(network: Network) -> list[Program]:
    here, there = pair(network, client=tuned(ip_local_port_range=RANGE))
    return [start(network, there, server), start(network, here, pooled)]


def answered(run: Run) -> int:
    """How many requests of the client were answered."""
    return sum(call.name == "recv" and call.result == QUESTION for call in run.program("client").calls)


def time_waits(run: Run, host: str) -> int:
    return len(run.node(host).host.transport.time_waits)


def error(run: Run) -> int:
    failed = run.program("client").error
    return 0 if failed is None else failed.errno or 0


def on_linux() -> Figures:
    """Connections from ten ports, each closed at once by the client."""
    with Kernel(ip_local_port_range=RANGE, tcp_tw_reuse=0) as kernel:
        listener = kernel.listening()
        before = kernel.sockets_in_use()
        count, said = 0, "ok"
        while said == "ok":
            client = kernel.new_socket(1.0)
            said = outcome(partial(client.connect, (KERNEL, LISTENS)))
            client.close()
            if said == "ok":
                count += 1
                with listener.accept()[0] as served:
                    served.recv(1)
        kernel.until(lambda: set(kernel.states()) == {"TIME-WAIT"})
        waiting = kernel.states().count("TIME-WAIT")
        return {"count": count, "error": said, "waiting": waiting, "sockets": kernel.sockets_in_use() - before}


CLAIM = TextClaim(
    name="F2.24",
    text=N_("Too many TIME-WAITs: raise ulimit -n, and let the server keep a pool of connections."),
    rfc=N_("What a TIME-WAIT keeps is its four-tuple, at the end that closed first; no user holds it any more."),
    clauses=("RFC 9293 §3.6.1", "RFC 9293 §3.4.2"),
    linux=(
        Measured(
            "ports",
            N_("{count} connections from ten ports, then {error}: {waiting} TIME-WAITs, {sockets} sockets in use."),
            on_linux,
            lambda found: (
                (found["count"], found["error"], found["waiting"], found["sockets"])
                == (PORTS, "EADDRNOTAVAIL", PORTS, 0)
            ),
        ),
    ),
    worlds=(
        World("each", N_("A connection for each request, ten ports"), scenario, (), 10 * SECOND, "none"),
        World("pool", N_("The client keeps one connection for all"), with_pool, (), 10 * SECOND, "none"),
    ),
    claims=(
        Claim(
            N_("After {answered} requests connect fails with EADDRNOTAVAIL: ports are out, not descriptors."),
            lambda runs: error(runs["each"]) == EADDRNOTAVAIL and answered(runs["each"]) == PORTS,
            lambda runs: {"answered": answered(runs["each"])},
        ),
        Claim(
            N_(
                "{count} TIME-WAITs hold {descriptors} descriptors; on the server, which did not close "
                "first, there are {server}."
            ),
            lambda runs: (
                time_waits(runs["each"], "client") == PORTS
                and not runs["each"].program("client").sockets
                and not runs["each"].node("client").host.transport.connections
                and time_waits(runs["each"], "server") == 0
            ),
            lambda runs: {
                "count": time_waits(runs["each"], "client"),
                "descriptors": len(runs["each"].program("client").sockets),
                "server": time_waits(runs["each"], "server"),
            },
        ),
        Claim(
            N_("One connection, kept by the client, answers all {answered}, and leaves {count} TIME-WAIT."),
            lambda runs: (
                answered(runs["pool"]) == REQUESTS
                and time_waits(runs["pool"], "client") == 1
                and len(runs["pool"].sent(SYN_ACK)) == 1
            ),
            lambda runs: {"answered": answered(runs["pool"]), "count": time_waits(runs["pool"], "client")},
        ),
    ),
    text_holds=lambda runs: error(runs["each"]) == EMFILE or bool(runs["each"].program("client").sockets),
)
