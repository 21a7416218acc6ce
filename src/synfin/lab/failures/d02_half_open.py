"""D2: one end was restarted and remembers nothing: the connection is half-open."""

from __future__ import annotations

from errno import ECONNRESET, EPIPE
from functools import partial
from socket import SO_KEEPALIVE, SOL_SOCKET
from typing import Final

from synfin import reasons
from synfin.events import StateChanged
from synfin.lab.bench import HOUR, MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, DATA, RST, SYN, Run
from synfin.sim import Network, Node, Program, Scenario, SimulatedSocket, Steps, start
from synfin.sim.programs import Body

#: A port that the client asks for, so that it comes back to it after a restart.
OWN: Final = 40000
#: When the restart is, and when the other end says something again.
RESTART: Final = SECOND
SPEAKS: Final = 2 * SECOND


def server(program: Program) -> Steps[None]:
    """Answers each client's first word, and waits for the next."""
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        start(program.network, program.node, partial(serve, sock))


def serve(sock: SimulatedSocket, program: Program) -> Steps[None]:
    sock.give(program)
    while (yield from sock.recv()):
        pass


def hello(program: Program) -> Steps[SimulatedSocket]:
    sock = program.socket()
    sock.bind(("", OWN))
    yield from sock.connect(("server", PORT))
    yield from program.sleep(15 * MS)
    yield from sock.sendall(b"Hello!")
    return sock


def speaks(program: Program) -> Steps[None]:
    sock = yield from hello(program)
    yield from program.sleep(SPEAKS - program.now)
    yield from sock.sendall(b"Still there?")
    try:
        yield from sock.recv()
    except ConnectionResetError:
        yield from sock.sendall(b"And now?")


def waits(keepalive: bool, program: Program) -> Steps[None]:
    sock = yield from hello(program)
    if keepalive:
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    yield from sock.recv()


def comes_back(program: Program) -> Steps[None]:
    yield from hello(program)
    yield from program.sleep(10 * SECOND)


def scenario(client: Body) -> Scenario:
    """Programs that start anew with their hosts."""

    def build(network: Network) -> list[Program]:
        here, there = pair(network)
        programs = [start(network, there, server), start(network, here, client)]

        def again(node: Node) -> None:
            programs.append(start(network, node, server if node is there else client))

        here.booted = there.booted = again
        return programs

    return build


def resets(run: Run) -> bool:
    """Whether the reset takes its number from what it answers (RFC 9293 §3.5.2), one round trip after it."""
    asked, reset = run.sent(DATA, "client")[-1], run.sent(RST, "server")[0]
    return reset.segment.seq == asked.segment.ack and reset.time == asked.arrivals[0].time


def errnos(run: Run) -> list[int | None]:
    """How the calls of the client ended that failed."""
    return [call.error.errno for call in run.program("client").calls if call.error is not None]


def reset_at(run: Run, host: str) -> float:
    """When a RST ended the connection there, in seconds. Raises LookupError if none did."""
    for change in run.of(StateChanged, host):
        if change.reason is reasons.RESET_RECEIVED:
            return change.time / SECOND
    raise LookupError("no reset")


EXPERIMENT = Experiment(
    row="D2",
    question=N_("One end was restarted and remembers nothing: what happens to the connection?"),
    prediction=N_(
        "The server's machine restarts, and its programs with it; it listens again as before. The client noticed "
        "nothing, and is still ESTABLISHED. What does it hear when it speaks, and what if it only waits?"
    ),
    watch=N_("Both ends' states after the restart, and what answers the first segment that arrives there."),
    worlds=(
        World("speaks", N_("The server restarts, then the client speaks"), scenario(speaks), ("reboot server at 1s",)),
        World(
            "returns",
            N_("The client restarts, and connects again from the same port"),
            scenario(comes_back),
            ("reboot client at 1s",),
            until=4 * SECOND,
        ),
        World(
            "waits",
            N_("The server restarts, and the client waits in recv() for a day"),
            scenario(partial(waits, False)),
            ("reboot server at 1s",),
            until=24 * HOUR,
        ),
        World(
            "keepalive",
            N_("The same, and the client has SO_KEEPALIVE"),
            scenario(partial(waits, True)),
            ("reboot server at 1s",),
        ),
    ),
    claims=(
        Claim(
            N_(
                "From the restart until the client speaks, {seconds:g} s later, the connection is half-open: one end "
                "is ESTABLISHED, the other knows nothing of it, and nothing is on the wire."
            ),
            lambda runs: (
                runs["speaks"].when("server", "CLOSED") == RESTART
                and runs["speaks"].when("client", "CLOSED") > SPEAKS
                and not [time for time in runs["speaks"].times() if RESTART <= time * SECOND < SPEAKS]
            ),
            lambda runs: {"seconds": (SPEAKS - runs["speaks"].when("server", "CLOSED")) / SECOND},
        ),
        Claim(
            N_(
                "The first segment meets RST, although the server listens at that port: a listener wants SYN. The RST "
                "has the number that the segment acknowledges, so that the client believes it."
            ),
            lambda runs: resets(runs["speaks"]) and len(runs["speaks"].sent(RST)) == 1,
        ),
        Claim(
            N_(
                "sendall() still goes well, for it only fills the buffer; recv() then fails with ECONNRESET after "
                "{milliseconds:g} ms, and the next sendall() with EPIPE."
            ),
            lambda runs: errnos(runs["speaks"]) == [ECONNRESET, EPIPE],
            lambda runs: {"milliseconds": runs["speaks"].program("client").call("recv").lasted / MS},
        ),
        Claim(
            N_("A client that only waits never learns: after {hours:g} hours it is still ESTABLISHED."),
            lambda runs: (
                runs["waits"].state("client") == "ESTABLISHED"
                and runs["waits"].program("client").call("recv").waits
                and runs["waits"].times()[-1] < RESTART / SECOND
            ),
            lambda runs: {"hours": runs["waits"].end / HOUR},
        ),
        Claim(
            N_("With keep-alive the first probe finds out, after {seconds:.0f} s: RST again, and ECONNRESET."),
            lambda runs: (
                errnos(runs["keepalive"]) == [ECONNRESET]
                and len(runs["keepalive"].sent(RST)) == 1
                and 7200 < reset_at(runs["keepalive"], "client") < 7201
            ),
            lambda runs: {"seconds": reset_at(runs["keepalive"], "client")},
        ),
        Claim(
            N_(
                "If the end that restarted opens anew from the same port, its SYN meets the old connection. The answer "
                "is a bare ACK, which to the client makes no sense: it sends RST, which ends the old connection, and "
                "its SYN, sent again {milliseconds:g} ms after the first, opens the new one."
            ),
            lambda runs: (
                [one.segment.flags & (SYN | ACK | RST) for one in runs["returns"].sent() if one.time > RESTART][:3]
                == [ACK, RST, SYN]
                and reset_at(runs["returns"], "server") < runs["returns"].sent(SYN)[-1].arrivals[0].time / SECOND
                and runs["returns"].state("server") == runs["returns"].state("client") == "ESTABLISHED"
            ),
            lambda runs: {
                "milliseconds": (runs["returns"].sent(SYN)[-1].time - runs["returns"].sent(SYN)[-2].time) / MS
            },
        ),
    ),
    answer=N_(
        "The connection is half-open: one end has it, the other does not. (Half-closed is something else: one "
        "direction has ended as it should, see C3.) Nothing tells the end that has it, as long as both are silent. The "
        "first segment that it sends, data or a keep-alive probe, arrives where no such connection is, and is answered "
        "with RST. So who must know has to speak now and then."
    ),
    clauses=("RFC 9293 §3.5.1", "RFC 9293 §3.5.2", "RFC 5961 §4.2"),
    tries=(
        Try(
            "D2 --world speaks --lose 7",
            N_("The RST is lost, and nobody sends it again. The client repeats its data, and meets another RST."),
        ),
        Try(
            "D2 --world keepalive --set client:tcp_keepalive_time=60",
            N_("Ask sooner, and know sooner."),
        ),
    ),
)
