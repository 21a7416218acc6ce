"""A1: both ends begin in CLOSED; one opens passively, the other actively."""

from __future__ import annotations

from synfin.events import SegmentSent
from synfin.lab.bench import DELAY, MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.opening.holdings import Holdings, Watch, holdings, seen
from synfin.lab.running import SYN, Run
from synfin.sim import Network, Program, Steps, start

CONNECTS = 100 * MS


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()


def client(program: Program) -> Steps[None]:
    yield from program.sleep(CONNECTS)
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()


def scenario(network: Network) -> list[Program | Watch[Holdings]]:
    here, there = pair(network)
    # It looks before any program runs.
    watch = Watch(network, ("client", "server"), (0, MS, CONNECTS - MS, CONNECTS + MS, CONNECTS + DELAY + MS), holdings)
    return [start(network, there, server), start(network, here, client), watch]


def nothing(run: Run, name: str, time: int) -> bool:
    """Whether that host had no trace of any connection then."""
    found = seen(run, Holdings, name, time)
    return found.listeners == found.requests == found.connections == found.claims == 0


EXPERIMENT = Experiment(
    row="A1",
    question=N_("Who makes the first move, and in which state is each end then?"),
    prediction=N_(
        "Neither machine knows of the other. A server program calls listen(), a client program connect(). Which of "
        "the two calls makes a segment leave, and which only makes the host ready to hear one?"
    ),
    worlds=(World("plain", N_("listen(), and later connect()"), scenario),),
    watch=N_("The states beside listen() and connect(), and when the first segment leaves."),
    claims=(
        Claim(
            N_("At first both are CLOSED, which is no state at all: no TCB, no port taken, nothing to remember."),
            lambda runs: (
                all(nothing(runs["plain"], name, 0) for name in ("client", "server"))
                and runs["plain"].path("client")[0] == "CLOSED"
            ),
        ),
        Claim(
            N_(
                "listen() is a passive open: the server makes a TCB for whoever may come, takes port {port}, and goes "
                "to LISTEN. It sends nothing."
            ),
            lambda runs: (
                seen(runs["plain"], Holdings, "server", MS).listeners == 1
                and runs["plain"].when("server", "LISTEN") == 0
                and not [one for one in runs["plain"].of(SegmentSent) if one.time < CONNECTS]
            ),
            lambda runs: {"port": runs["plain"].history.right.port},
        ),
        Claim(
            N_(
                "connect() is an active open: at that moment the client makes its TCB, chooses port {port} and an "
                "initial number x = {x}, sends SYN with seq=x, and goes to SYN-SENT."
            ),
            lambda runs: (
                nothing(runs["plain"], "client", CONNECTS - MS)
                and seen(runs["plain"], Holdings, "client", CONNECTS + MS).connections == 1
                and runs["plain"].when("client", "SYN-SENT") == CONNECTS == runs["plain"].sent(SYN)[0].time
                and runs["plain"].sent(SYN)[0].segment.seq == runs["plain"].history.left.initial_numbers[0]
            ),
            lambda runs: {
                "port": runs["plain"].history.left.port,
                "x": runs["plain"].sent(SYN)[0].segment.seq,
            },
        ),
        Claim(
            N_(
                "Until the SYN arrives, {ms:.0f} ms later, the server is in LISTEN and has heard nothing; then it "
                "notes the request beside the listener, which stays in LISTEN for others."
            ),
            lambda runs: (
                runs["plain"].when("server", "SYN-RECEIVED") == CONNECTS + DELAY
                and seen(runs["plain"], Holdings, "server", CONNECTS + MS).requests == 0
                and seen(runs["plain"], Holdings, "server", CONNECTS + DELAY + MS).requests == 1
                and seen(runs["plain"], Holdings, "server", CONNECTS + DELAY + MS).listeners == 1
            ),
            lambda runs: {"ms": (runs["plain"].when("server", "SYN-RECEIVED") - CONNECTS) / 1e6},
        ),
    ),
    answer=N_(
        "The client. A passive open only prepares: it makes a TCB that waits for anybody, in LISTEN, and no segment "
        "leaves. An active open makes a TCB for one certain peer, sends the SYN at once, and waits in SYN-SENT. "
        "CLOSED is what both are before and after: the state of having no TCB."
    ),
    clauses=("RFC 9293 §3.3.2", "RFC 9293 §3.10.1", "RFC 9293 §3.5"),
    tries=(
        Try("A1 --lose 1", N_("The server cannot know: it stays in LISTEN until the SYN is sent again.")),
        Try("A1 --seed 5", N_("Another initial number and another port; all else is the same.")),
    ),
)
