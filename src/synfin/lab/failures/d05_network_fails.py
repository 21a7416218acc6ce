"""D5: the network fails between two hosts that live on."""

from __future__ import annotations

from errno import ENETUNREACH, ETIMEDOUT, errorcode
from functools import partial
from typing import Final

from synfin.host.parameters import Parameters
from synfin.lab.bench import DELAY, HOUR, MS, PORT, SECOND
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import DATA, RST, Run, Runs
from synfin.sim import Network, Program, Router, SimulatedSocket, Steps, start
from synfin.sim.programs import Call

#: The port at which the server's program breaks off what it has.
BREAKS_OFF: Final = 7001
#: When the network fails, when the client's programs act again, and when the server breaks off.
FAILS: Final = SECOND
ACTS: Final = 2 * SECOND
BREAKS: Final = 3 * SECOND
#: How long programs think, so that segments do not cross.
THINKING: Final = 15 * MS


def echo(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        start(program.network, program.node, partial(serve, sock))


def serve(sock: SimulatedSocket, program: Program) -> Steps[None]:
    sock.give(program)
    while data := (yield from sock.recv()):
        yield from program.sleep(THINKING)
        yield from sock.sendall(data)
    sock.close()


def breaks_off(program: Program) -> Steps[None]:
    """Ends its connection with RST."""
    listener = program.listening(BREAKS_OFF)
    sock = yield from listener.accept()
    yield from program.sleep(BREAKS - program.now)
    sock.set_linger(0)
    sock.close()


def writer(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(ACTS - program.now)
    yield from sock.sendall(b"question")
    yield from sock.recv()
    yield from program.sleep(HOUR)


def reader(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", BREAKS_OFF)
    yield from sock.recv()


def connector(program: Program) -> Steps[None]:
    yield from program.sleep(ACTS)
    yield from program.connected("server", PORT)


def build(network: Network) -> tuple[list[Program], Router]:
    """A client and a server behind two routers, and three programs at the client. Returns these, and the client's
    router."""
    # R2 as RFC 1122 §4.2.3.5 has it at least, 100 s, to be shorter to look at than Linux's 15.
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_retries2", "8")
    client, server = network.host("client", parameters), network.host("server")
    first, second = network.router("router"), network.router("next")
    network.wire(client, "10.0.0.1/24", first, "10.0.0.254/24", delay=DELAY // 2)
    network.wire(first, "10.0.1.1/24", second, "10.0.1.2/24", name="middle")
    network.wire(second, "10.0.2.254/24", server, "10.0.2.2/24", delay=DELAY // 2)
    network.route_all()
    programs = [start(network, server, echo, "server"), start(network, server, breaks_off, "server")]
    programs += [
        start(network, client, writer, N_("writer")),
        start(network, client, reader, N_("reader")),
        start(network, client, connector, N_("connector")),
    ]
    return programs, first


def silent(network: Network) -> list[Program]:
    return build(network)[0]


def told(network: Network) -> list[Program]:
    """The client's router loses its route, and says so to whoever sends."""
    programs, router = build(network)
    network.at(FAILS, lambda: router.set_computed_routes([]))
    return programs


# --- what the programs see

#: The call of each program that meets the failure.
CALLS: Final = (
    ("reader", N_("reads"), "recv"),
    ("writer", N_("writes"), "recv"),
    ("connector", N_("connects"), "connect"),
)


def met(run: Run, program: str) -> Call:
    """The call of that program that was not over when the network failed."""
    return run.program(program).call(next(call for name, _, call in CALLS if name == program))


def saw(run: Run, program: str) -> str:
    """What it saw: the name of an errno, or nothing wrong, or nothing at all yet."""
    call = met(run, program)
    if call.waits:
        return N_("waits still")
    return errorcode.get(call.error.errno or 0, "?") if call.error is not None else N_("nothing wrong")


def when(run: Run, program: str) -> float:
    """When that call came back, in seconds after the network failed. Raises ValueError if it still waits."""
    call = met(run, program)
    return (call.began + call.lasted - FAILS) / SECOND


def table(runs: Runs) -> Table:
    rows = []
    for run in runs.values():
        for program, what, _ in CALLS:
            waits = met(run, program).waits
            rows.append((run.shown.title, what, saw(run, program), "" if waits else f"{when(run, program):.2f}"))
    return Table((N_("the network"), N_("what is done"), N_("what the program sees"), N_("after (s)")), rows)


def resets(run: Run) -> list[bool]:
    """Of each RST of the server's, whether it arrived."""
    return [bool(one.arrivals) for one in run.sent(RST, "server")]


def retransmissions(run: Run) -> int:
    """How often the writer repeated its data."""
    return sum(one.retransmission for one in run.sent(DATA, "client", connection=0))


EXPERIMENT = Experiment(
    row="D5",
    question=N_("The network fails between two hosts that live: what do the programs see, and when?"),
    prediction=N_(
        "A client reads from one connection, writes to another and opens a third, while somewhere in the middle the "
        "network fails. Which of the three programs learns of it, how, and after how long? And what if the server ends "
        "a connection with RST just then?"
    ),
    watch=N_("What is lost and what is answered, the server's RST after three seconds, and the table at the end."),
    worlds=(
        World("silent", N_("The wire is cut in the middle"), silent, ("middle: partition from 1s",), until=HOUR),
        World("told", N_("A router has lost its route"), told, until=HOUR, connections=3),
        World(
            "healed",
            N_("The wire is cut for 39 s"),
            silent,
            ("middle: partition from 1s to 40s",),
            until=HOUR,
            connections=1,
        ),
    ),
    claims=(
        Claim(
            N_(
                "Dead network, reading: recv() never returns. After {seconds:g} s the reader still waits, for it sends "
                "nothing that could go unanswered."
            ),
            lambda runs: met(runs["silent"], "reader").waits and runs["silent"].end == HOUR,
            lambda runs: {"seconds": runs["silent"].end / SECOND},
        ),
        Claim(
            N_(
                "A dead network carries no RST: the server sends one after {seconds:g} s, it is lost, and nobody sends "
                "it again, not even when the wire is whole: the reader still waits."
            ),
            lambda runs: (
                resets(runs["silent"]) == resets(runs["healed"]) == [False]
                and runs["silent"].times(RST, "server") == [BREAKS / SECOND]
                and met(runs["healed"], "reader").waits
            ),
            lambda runs: {"seconds": runs["silent"].times(RST, "server")[0]},
        ),
        Claim(
            N_(
                "Writing: sendall() goes well at once. After {count} retransmissions, {seconds:.0f} s after the "
                "failure, the next call fails with ETIMEDOUT. (The client has tcp_retries2=8; Linux's 15 take a "
                "quarter of an hour.)"
            ),
            lambda runs: (
                runs["silent"].program("writer").call("sendall").lasted == 0
                and saw(runs["silent"], "writer") == errorcode[ETIMEDOUT]
                and retransmissions(runs["silent"]) == 9
                and 100 < when(runs["silent"], "writer") < 120
            ),
            lambda runs: {
                "count": retransmissions(runs["silent"]),
                "seconds": when(runs["silent"], "writer"),
            },
        ),
        Claim(
            N_("Connecting: connect() fails with ETIMEDOUT after {seconds:g} s of its own."),
            lambda runs: (
                saw(runs["silent"], "connector") == errorcode[ETIMEDOUT]
                and met(runs["silent"], "connector").lasted == 131 * SECOND
            ),
            lambda runs: {"seconds": met(runs["silent"], "connector").lasted / SECOND},
        ),
        Claim(
            N_(
                "If a router says by ICMP that it has no route, connect() fails with ENETUNREACH after a round trip to "
                "it, {milliseconds:g} ms."
            ),
            lambda runs: (
                saw(runs["told"], "connector") == errorcode[ENETUNREACH]
                and met(runs["told"], "connector").lasted == DELAY
            ),
            lambda runs: {"milliseconds": met(runs["told"], "connector").lasted / MS},
        ),
        Claim(
            N_(
                "A connection that is there does not end by ICMP, as the route may come back. It goes on trying for as "
                "long as on a dead network, {seconds:.0f} s; only the error has another name: ENETUNREACH."
            ),
            lambda runs: (
                when(runs["told"], "writer") == when(runs["silent"], "writer")
                and saw(runs["told"], "writer") == errorcode[ENETUNREACH]
            ),
            lambda runs: {"seconds": when(runs["told"], "writer")},
        ),
        Claim(
            N_("There the other direction lives, so the server's RST arrives, and recv() fails with ECONNRESET."),
            lambda runs: resets(runs["told"]) == [True] and saw(runs["told"], "reader") == "ECONNRESET",
        ),
        Claim(
            N_(
                "If the wire comes back in time nobody is told anything: data and SYN arrive when they are sent again, "
                "which may be long after; here {seconds:.1f} s after the wire is whole."
            ),
            lambda runs: (
                saw(runs["healed"], "writer") == saw(runs["healed"], "connector") == "nothing wrong"
                and met(runs["healed"], "writer").result == b"question"
            ),
            lambda runs: {"seconds": when(runs["healed"], "writer") - 39},
        ),
    ),
    answer=N_(
        "A network that is dead says nothing, so time alone tells, and it tells only those who wait for an answer: who "
        "sends data, after tcp_retries2; who connects, after tcp_syn_retries. Who only reads waits for ever, unless "
        "keep-alive asks (D1) or the program has a time-out of its own (E7). RST comes from a host that lives, over a "
        "network that lives. ICMP comes from a router that lives: it ends connect(), but for a connection it is only a "
        "hint."
    ),
    clauses=("RFC 9293 §3.8.3", "RFC 9293 §3.9.2.2", "RFC 1122 §4.2.3.9", "tcp(7)"),
    tries=(
        Try("D5 --world silent --set client:tcp_retries2=15", N_("Linux's own limit: the writer waits for 945 s.")),
        Try(
            "D5 --world told --set client:tcp_icmp_ends_connecting=0",
            N_("As RFC 9293 has it: connect() goes on in spite of ICMP, and fails when the SYNs are used up."),
        ),
    ),
    table=table,
)
