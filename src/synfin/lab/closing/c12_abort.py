"""C12: an abort."""

from __future__ import annotations

from errno import ECONNRESET
from functools import partial

from synfin import reasons
from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import FIN, RST, Run
from synfin.sim import Network, Program, Steps, start
from synfin.sim.programs import Body


def client(program: Program) -> Steps[None]:
    """Aborts: close() with SO_LINGER and no time."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.set_linger(0)
    sock.close()


def reader(program: Program) -> Steps[None]:
    """Waits for data."""
    sock = yield from program.listening(PORT).accept()
    yield from sock.recv()


def writer(program: Program) -> Steps[None]:
    """Looks at the connection only when it has something to say."""
    sock = yield from program.listening(PORT).accept()
    while True:
        yield from program.sleep(SECOND)
        yield from sock.sendall(b"Are you there?")


def scenario(network: Network, there: Body) -> list[Program]:
    left, right = pair(network)
    return [start(network, right, there, "server"), start(network, left, client)]


def rst(run: Run) -> int:
    """When the client's first RST left (nanoseconds)."""
    return run.sent(RST, "client")[0].time


def errno(run: Run, call: str) -> int:
    return getattr(run.program("server").call(call).error, "errno", None) or 0


def ended(run: Run, call: str) -> int:
    """When the server's call came back (nanoseconds)."""
    last = run.program("server").call(call)
    return last.began + last.lasted


EXPERIMENT = Experiment(
    row="C12",
    question=N_("What is the difference between a close and an abort?"),
    prediction=N_(
        "The client sends a RST instead of a FIN. Is it acknowledged? Does anybody wait in TIME-WAIT? And what does "
        "the other program hear?"
    ),
    watch=N_(
        "How many segments follow the RST, and when each end is CLOSED. In the last world, whether the RST is sent "
        "again."
    ),
    worlds=(
        World("reading", N_("The server's program waits in recv()"), partial(scenario, there=reader)),
        World("writing", N_("The server's program writes a second later"), partial(scenario, there=writer)),
        World("lost", N_("The RST is lost"), partial(scenario, there=writer), ("lose 1st RST",)),
    ),
    claims=(
        Claim(
            N_(
                "The RST ends the connection at both ends at once: the client is CLOSED when it sends it, and the "
                "server {ms:.0f} ms later, when it arrives."
            ),
            lambda runs: (
                runs["reading"].when("client", "CLOSED") == rst(runs["reading"])
                and runs["reading"].when("server", "CLOSED") == runs["reading"].sent(RST)[0].arrivals[0].time
                and runs["reading"].path("client")[-2:]
                == runs["reading"].path("server")[-2:]
                == ["ESTABLISHED", "CLOSED"]
            ),
            lambda runs: {"ms": (runs["reading"].when("server", "CLOSED") - rst(runs["reading"])) / MS},
        ),
        Claim(
            N_(
                "It is not acknowledged: it is the last of {count} segments. There is no FIN, and nobody waits in "
                "TIME-WAIT."
            ),
            lambda runs: (
                runs["reading"].sent()[-1] is runs["reading"].sent(RST)[-1]
                and not runs["reading"].sent(FIN)
                and not any("TIME-WAIT" in runs["reading"].path(host) for host in ("client", "server"))
            ),
            lambda runs: {"count": len(runs["reading"].sent())},
        ),
        Claim(
            N_(
                "The program that reads is told at that moment: recv() fails with ECONNRESET, and is no end of the "
                "file."
            ),
            lambda runs: (
                errno(runs["reading"], "recv") == ECONNRESET
                and ended(runs["reading"], "recv") == runs["reading"].when("server", "CLOSED")
            ),
        ),
        Claim(
            N_(
                "The program that does something else is told at its next call: sendall() fails with ECONNRESET, and "
                "nothing is sent."
            ),
            lambda runs: (
                errno(runs["writing"], "sendall") == ECONNRESET and len(runs["writing"].sent(host="server")) == 1
            ),
        ),
        Claim(
            N_(
                "A lost RST is not sent again, since nobody keeps anything of the connection. The server stays "
                "ESTABLISHED for {seconds:.2f} s, until its own data are answered with another RST."
            ),
            lambda runs: (
                len(runs["lost"].sent(RST)) == 2
                and runs["lost"].sent(RST)[1].reason == reasons.RESET_NO_CONNECTION
                and errno(runs["lost"], "sendall") == ECONNRESET
                and runs["lost"].when("server", "CLOSED") > rst(runs["lost"]) + SECOND // 2
            ),
            lambda runs: {
                "seconds": (runs["lost"].when("server", "CLOSED") - runs["lost"].when("server", "ESTABLISHED")) / SECOND
            },
        ),
    ),
    answer=N_(
        "A close says that all of one direction has been sent, and asks for an acknowledgment. An abort says that "
        "there is no connection any more, and asks for nothing: the sender of the RST has forgotten everything, so "
        "that there is nobody to whom an ACK could go. What it had not yet sent or read is lost, and the other program "
        "is told by an error, ECONNRESET, so that it cannot take it for the end of the file."
    ),
    clauses=("RFC 9293 §3.5.2", "RFC 9293 §3.5.3", "RFC 9293 §3.10.5"),
    tries=(
        Try(
            "C12 --world reading --duplicate 4",
            N_(
                "The second RST finds no connection. It is not answered either, or two hosts could reset each other "
                "for ever."
            ),
        ),
        Try(
            "C12 --world lost --lose 6",
            N_("The second RST is lost too: the server sends its data again, and gets a third."),
        ),
    ),
)
