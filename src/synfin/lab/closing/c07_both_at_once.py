"""C7: both ends close at the same time."""

from __future__ import annotations

from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, FIN, Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start

WHEN = 50 * MS


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(WHEN - program.now)
    sock.close()


def server(program: Program) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from program.sleep(WHEN - program.now)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


HOSTS = ("client", "server")
PATH = ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]


def fin(run: Run, host: str) -> Transmission:
    return run.sent(FIN, host)[0]


def answer(run: Run, host: str) -> Transmission:
    """The ACK with which that host answers the other's FIN."""
    return run.sent(ACK, host)[-1]


def waited(run: Run, host: str) -> float:
    """Seconds in TIME-WAIT."""
    return (run.when(host, "CLOSED") - run.when(host, "TIME-WAIT")) / SECOND


EXPERIMENT = Experiment(
    row="C7",
    question=N_("What if both ends close at the same time?"),
    prediction=N_(
        "Each has sent its FIN before that of the other comes. Who is the active closer, who waits in TIME-WAIT, and "
        "how many messages does it take?"
    ),
    watch=N_("The two FINs cross. Then the state CLOSING, which no other close passes through."),
    worlds=(World("both", N_("Two FINs cross"), scenario),),
    claims=(
        Claim(
            N_("Both go the same way: FIN-WAIT-1, CLOSING, TIME-WAIT, CLOSED."),
            lambda runs: all(runs["both"].path(host)[-5:] == PATH for host in HOSTS),
        ),
        Claim(
            N_(
                "In FIN-WAIT-1 each gets a FIN instead of an ACK: {ms:.0f} ms after its own it goes to CLOSING, as it "
                "still lacks the ACK."
            ),
            lambda runs: all(
                fin(runs["both"], host).time == runs["both"].when(host, "FIN-WAIT-1")
                and fin(runs["both"], host).arrivals[0].new_state == "CLOSING"
                for host in HOSTS
            ),
            lambda runs: {"ms": (runs["both"].when("client", "CLOSING") - fin(runs["both"], "client").time) / MS},
        ),
        Claim(
            N_(
                "Each FIN is acknowledged for itself: {count} segments in all, and none of them bears two messages. "
                "The ACK that ends CLOSING has seq=u+1, ack=w+1, and the other seq=w+1, ack=u+1."
            ),
            lambda runs: (
                len([one for one in runs["both"].sent() if one.time >= WHEN]) == 4
                and all(len(one.messages) == 1 for one in runs["both"].sent())
                and all(
                    answer(runs["both"], mine).segment.seq == (fin(runs["both"], mine).segment.seq + 1) % 2**32
                    and answer(runs["both"], mine).segment.ack == (fin(runs["both"], other).segment.seq + 1) % 2**32
                    and answer(runs["both"], mine).arrivals[0].old_state == "CLOSING"
                    for mine, other in (HOSTS, HOSTS[::-1])
                )
            ),
            lambda runs: {"count": len([one for one in runs["both"].sent() if one.time >= WHEN])},
        ),
        Claim(
            N_("Both have closed actively, and both wait: {client:g} s at the client and {server:g} s at the server."),
            lambda runs: waited(runs["both"], "client") == waited(runs["both"], "server") == 60,
            lambda runs: {host: waited(runs["both"], host) for host in HOSTS},
        ),
    ),
    answer=N_(
        "There is no passive end here: each has called close() before it heard of the other. CLOSING says: my FIN is "
        "sent, the other FIN is here and answered, only the ACK of mine is missing. When it comes the state is "
        "TIME-WAIT, at both ends, since each of them has sent a last ACK that may be lost. Nobody has to decide who "
        "was first: every end follows its own table of states."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.10.7.4"),
    tries=(
        Try(
            "C7 --delay 5=15ms",
            N_("The server's FIN comes later: the client goes by FIN-WAIT-2, the server by CLOSING."),
        ),
        Try("C7 --lose 6", N_("One of the two ACKs is lost: the client stays in CLOSING, and sends its FIN again.")),
    ),
)
