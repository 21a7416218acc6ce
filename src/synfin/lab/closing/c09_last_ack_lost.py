"""C9: why TIME-WAIT, first reason: the last ACK may be lost."""

from __future__ import annotations

import os
from errno import ECONNRESET
from functools import partial
from socket import SO_ERROR, SOL_SOCKET

from synfin import reasons
from synfin.host.parameters import Parameters
from synfin.lab.bench import MS, PORT, SECOND, pair, tuned
from synfin.lab.closing.hosts import last_change
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import FIN, RST, Run
from synfin.sim import Network, Program, Steps, start


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    yield from program.sleep(100 * MS)
    sock.shutdown()
    # Did the end arrive? If not, the program ends with the error.
    yield from program.sleep(SECOND)
    error = sock.getsockopt(SOL_SOCKET, SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.close()


def scenario(network: Network, here: Parameters) -> list[Program]:
    left, right = pair(network, client=here)
    return [start(network, right, server), start(network, left, client)]


def fins(run: Run) -> int:
    """How often the server sent its FIN."""
    return len(run.sent(FIN, "server"))


def waited(run: Run) -> float:
    """How long the client was in TIME-WAIT, in seconds."""
    return (run.when("client", "CLOSED") - run.when("client", "TIME-WAIT")) / SECOND


def anew(run: Run) -> float:
    """The same, from the second FIN on."""
    return (run.when("client", "CLOSED") - run.sent(FIN, "server")[1].arrivals[0].time) / SECOND


LOST = ("lose 2nd ACK from client",)

EXPERIMENT = Experiment(
    row="C9",
    question=N_("What if the last ACK is lost, and nobody has waited for that?"),
    prediction=N_(
        "The client has sent the last ACK, and it is lost. The server knows only that its FIN was not answered. What "
        "does it do, and who is there to hear it if the client has forgotten the connection at once?"
    ),
    watch=N_("What answers the second FIN: an ACK, a RST, or nobody. And how the server comes to CLOSED."),
    worlds=(
        World("with", N_("With TIME-WAIT"), partial(scenario, here=tuned()), LOST),
        World(
            "reset",
            N_("Laboratory variant: no TIME-WAIT, and the host answers with RST"),
            partial(scenario, here=tuned(tcp_max_tw_buckets=0)),
            LOST,
        ),
        World(
            "silent",
            N_("Laboratory variant: no TIME-WAIT, and the host is silent"),
            partial(scenario, here=tuned(tcp_max_tw_buckets=0, tcp_blackhole=2)),
            LOST,
        ),
    ),
    claims=(
        Claim(
            N_(
                "With TIME-WAIT the server's FIN comes again after {again:.2f} s, TIME-WAIT answers it with the same "
                "ACK, and the server is CLOSED as it should be."
            ),
            lambda runs: (
                fins(runs["with"]) == 2
                and len({one.segment.ack for one in runs["with"].sent(host="client")[-2:]}) == 1
                and last_change(runs["with"], "server").reason == reasons.ACK_OF_FIN_RECEIVED
                and runs["with"].program("server").error is None
                and not runs["with"].sent(RST)
            ),
            lambda runs: {"again": runs["with"].times(FIN, "server")[1] - runs["with"].times(FIN, "server")[0]},
        ),
        Claim(
            N_(
                "With the FIN that comes again two MSL start anew: TIME-WAIT ends {anew:g} s after that FIN came, "
                "{seconds:g} s after it began."
            ),
            lambda runs: waited(runs["with"]) > anew(runs["with"]) == 60,
            lambda runs: {"anew": anew(runs["with"]), "seconds": waited(runs["with"])},
        ),
        Claim(
            N_(
                "Without TIME-WAIT the second FIN finds nobody and is answered with RST. All went well, and yet the "
                "server's program is told ECONNRESET."
            ),
            lambda runs: (
                fins(runs["reset"]) == 2
                and len(runs["reset"].sent(RST, "client")) == 1
                and last_change(runs["reset"], "server").reason == reasons.RESET_RECEIVED
                and getattr(runs["reset"].program("server").error, "errno", 0) == ECONNRESET
            ),
        ),
        Claim(
            N_(
                "If nobody answers at all, the server sends its FIN {fins} times and stays in LAST-ACK for "
                "{seconds:.0f} s before it gives up."
            ),
            lambda runs: (
                fins(runs["silent"]) == 10
                and last_change(runs["silent"], "server").reason == reasons.GAVE_UP
                and last_change(runs["silent"], "server").old == "LAST-ACK"
                and not runs["silent"].sent(RST)
            ),
            lambda runs: {
                "fins": fins(runs["silent"]),
                "seconds": (runs["silent"].when("server", "CLOSED") - runs["silent"].when("server", "LAST-ACK"))
                / SECOND,
            },
        ),
    ),
    answer=N_(
        "The last ACK is not acknowledged by anything, so its sender cannot know whether it arrived. It can only stay "
        "and listen: if the FIN comes again, the ACK was lost, and is sent again. That is the first reason for "
        "TIME-WAIT. Who does not wait leaves the other end with a reset, which looks like an error, or with silence, "
        "and a connection that takes long to die."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.6.1", "RFC 9293 §3.10.7.4"),
    tries=(
        Try("C9 --set tcp_orphan_retries=2", N_("The server gives up earlier, since its program has closed.")),
        Try(
            "C9 --world with --lose 9",
            N_("The second ACK is lost too: the FIN comes a third time, and two MSL start anew."),
        ),
    ),
)
