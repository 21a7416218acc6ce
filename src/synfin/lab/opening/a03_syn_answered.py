"""A3: the server answers SYN+ACK and goes to SYN-RECEIVED."""

from __future__ import annotations

from synfin.lab.bench import DELAY, MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.opening.holdings import Holdings, Watch, holdings, seen
from synfin.lab.running import ACK, DATA, SYN, SYN_ACK, Run, Runs
from synfin.sim import Network, Program, Steps, start
from synfin.wire.sequence import wrap

#: When the SYN has arrived, and when the ACK has.
HALF_OPEN = DELAY + MS
OPEN = 3 * DELAY + MS


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(20 * MS)
    yield from sock.sendall(b"Welcome!")
    yield from sock.receive_all()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()
    yield from sock.recv()


def scenario(network: Network) -> list[Program | Watch[Holdings]]:
    here, there = pair(network)
    watch = Watch(network, ("server",), (HALF_OPEN, OPEN), holdings)
    return [start(network, there, server), start(network, here, client), watch]


def y(run: Run) -> int:
    return run.sent(SYN_ACK)[0].segment.seq


def plain(runs: Runs) -> Run:
    return runs["plain"]


EXPERIMENT = Experiment(
    row="A3",
    question=N_("What does the server's SYN+ACK say, and what is the server then?"),
    prediction=N_(
        "The second message answers the client and asks something at once. Which two numbers does it bear, and may the "
        "server's program use the connection now?"
    ),
    worlds=(World("plain", N_("A handshake; then the server speaks first"), scenario),),
    watch=N_("seq and ack of message 2, the server's state beside it, and when accept() returns."),
    claims=(
        Claim(
            N_(
                "One segment does two things: ack=x+1 acknowledges the client's SYN, and SYN with seq=y={y} tells "
                "where the server's own numbers begin."
            ),
            lambda runs: (
                len(plain(runs).sent(SYN_ACK)) == 1
                and plain(runs).sent(SYN_ACK)[0].segment.ack == wrap(plain(runs).sent(SYN)[0].segment.seq + 1)
                and y(plain(runs)) != plain(runs).sent(SYN)[0].segment.seq
            ),
            lambda runs: {"y": y(plain(runs))},
        ),
        Claim(
            N_(
                "It takes one number too: the client acknowledges y+1, and the first octet that the server sends is "
                "y+{first}."
            ),
            lambda runs: (
                plain(runs).sent(ACK, "client")[0].segment.ack == wrap(y(plain(runs)) + 1)
                and plain(runs).sent(DATA, "server")[0].segment.seq == wrap(y(plain(runs)) + 1)
            ),
            lambda runs: {"first": wrap(plain(runs).sent(DATA, "server")[0].segment.seq - y(plain(runs)))},
        ),
        Claim(
            N_("With it the server goes to SYN-RECEIVED, for {ms:.0f} ms: a round trip, until the answer comes."),
            lambda runs: (
                plain(runs).path("server")[:3] == ["LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
                and plain(runs).when("server", "SYN-RECEIVED") == plain(runs).sent(SYN_ACK)[0].time
                and plain(runs).when("server", "ESTABLISHED") - plain(runs).when("server", "SYN-RECEIVED") == 2 * DELAY
            ),
            lambda runs: {
                "ms": (plain(runs).when("server", "ESTABLISHED") - plain(runs).when("server", "SYN-RECEIVED")) / MS
            },
        ),
        Claim(
            N_(
                "Meanwhile there is only a small request, no connection and no socket; accept() returns when the third "
                "message has come, at {ms:.0f} ms."
            ),
            lambda runs: (
                (
                    seen(plain(runs), Holdings, "server", HALF_OPEN).requests,
                    seen(plain(runs), Holdings, "server", HALF_OPEN).connections,
                )
                == (1, 0)
                and (
                    seen(plain(runs), Holdings, "server", OPEN).requests,
                    seen(plain(runs), Holdings, "server", OPEN).connections,
                )
                == (0, 1)
                and plain(runs).program("server").call("accept").ended == plain(runs).when("server", "ESTABLISHED")
            ),
            lambda runs: {"ms": (plain(runs).program("server").call("accept").ended or 0) / MS},
        ),
    ),
    answer=N_(
        "It says two things in one segment: yes to the client (ack=x+1), and the server's own beginning (seq=y), which "
        "the client has to acknowledge in turn. As the server does not know yet whether the client is there, it is "
        "only SYN-RECEIVED: half open. It keeps a small request with a timer, and its program hears nothing."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.2"),
    tries=(
        Try("A3 --lose 2", N_("The SYN+ACK is lost: both ends repeat what they had asked.")),
        Try("A3 --delay 3=500ms", N_("A slow third message: see how long the server stays in SYN-RECEIVED.")),
    ),
)
