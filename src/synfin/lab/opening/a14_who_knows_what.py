"""A14: what each end knows after each message of the handshake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from synfin.lab.bench import DELAY, MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.opening.holdings import Watch, seen
from synfin.lab.running import SYN, SYN_ACK, Run, Runs
from synfin.sim import Network, Node, Program, Steps, start
from synfin.wire.sequence import wrap

#: When message 1 is on its way, and when messages 1, 2 and 3 have arrived, if they do.
SENT, AFTER_1, AFTER_2, AFTER_3 = TIMES = tuple(number * DELAY + 5 * MS for number in range(4))
END: Final = 500 * MS


@dataclass(frozen=True, slots=True)
class View:
    """What an end has to go by: its state, its own initial number, whether that was acknowledged, and the other's
    number, if it came."""

    state: str
    own: int = -1
    confirmed: bool = False
    peer: int = -1


def view(node: Node) -> View:
    transport = node.host.transport
    for connection in transport.connections.values():
        status = connection.status()
        heard = status.state != "SYN-SENT"
        return View(status.state, status.iss, status.snd_una != status.iss, status.irs if heard else -1)
    for listener in transport.all_listeners():
        for request in listener.requests.values():
            # No answer to its SYN+ACK has come, or it would be a connection.
            return View("SYN-RECEIVED", wrap(request.iss), False, wrap(request.irs))
        return View("LISTEN")
    return View("CLOSED")


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.recv()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()


def scenario(network: Network) -> list[Program | Watch[View]]:
    here, there = pair(network)
    watch = Watch(network, ("client", "server"), TIMES, view)
    return [start(network, there, server), start(network, here, client), watch]


def gone(network: Network) -> list[Program | Watch[View]]:
    """The client's machine dies when its SYN has left."""
    made = scenario(network)
    network.at(SENT + MS, network.nodes["client"].power_off)
    return made


def knows(run: Run, name: str, time: int) -> View:
    return seen(run, View, name, time)


def alike(runs: Runs, name: str, time: int, worlds: tuple[str, ...]) -> bool:
    """Whether that end sees the same in all those worlds, so that it cannot know in which it is."""
    return len({knows(runs[world], name, time) for world in worlds}) == 1


def table(runs: Runs) -> Table:
    run = runs["all"]
    yes, no = N_("yes"), N_("no")
    rows = []
    for title, time in (
        (N_("message 1 is on its way"), SENT),
        (N_("message 1 has arrived"), AFTER_1),
        (N_("message 2 has arrived"), AFTER_2),
        (N_("message 3 has arrived"), AFTER_3),
    ):
        for name, end in (("client", N_("the client")), ("server", N_("the server"))):
            found = knows(run, name, time)
            rows.append(
                (
                    title if name == "client" else "",
                    end,
                    # Not a word to be translated.
                    f"{found.state} ",
                    yes if found.peer >= 0 else no,
                    yes if found.confirmed else no,
                )
            )
    head = (
        "",
        N_("end"),
        N_("state"),
        N_("knows that it can receive"),
        N_("knows that it can send; own number confirmed"),
    )
    return Table(head, rows)


EXPERIMENT = Experiment(
    row="A14",
    question=N_("What does each end know after each message, and why does only the third tell the server?"),
    prediction=N_(
        "An end knows that it can receive when something of the other's has arrived, and that it can send when its own "
        "number is acknowledged. After which message does each end know both? Could the server stop at two?"
    ),
    worlds=(
        World("all", N_("All three messages arrive"), scenario, until=END),
        World("deaf", N_("Nothing that the server sends arrives"), scenario, ("partition from server",), until=END),
        World("gone", N_("The client's machine dies when its SYN has left"), gone, until=END),
        World("mute", N_("Nothing that the client sends arrives"), scenario, ("partition from client",), until=END),
    ),
    watch=N_("Up to which moment an end is in the same state in two worlds of which only one is well."),
    claims=(
        Claim(
            N_(
                "Before message 2 comes, the client knows nothing: it is in SYN-SENT, just as where its SYN never "
                "arrived and where the answer never will."
            ),
            lambda runs: (
                all(alike(runs, "client", time, ("all", "mute", "deaf")) for time in (SENT, AFTER_1))
                and knows(runs["all"], "client", AFTER_1).state == "SYN-SENT"
                and not knows(runs["all"], "client", AFTER_1).confirmed
                and knows(runs["all"], "client", AFTER_1).peer < 0
            ),
        ),
        Claim(
            N_(
                "Message 1 tells the server that it can receive, and x = {x}. No more: the same request stands where "
                "its answers are lost, and where the client is dead."
            ),
            lambda runs: (
                all(alike(runs, "server", time, ("all", "deaf", "gone")) for time in (AFTER_1, AFTER_2))
                and knows(runs["all"], "server", AFTER_1).peer == runs["all"].sent(SYN)[0].segment.seq
                and not knows(runs["all"], "server", AFTER_2).confirmed
            ),
            lambda runs: {"x": knows(runs["all"], "server", AFTER_1).peer},
        ),
        Claim(
            N_(
                "Message 2 tells the client everything at once: ack=x+1 that it can send, the SYN that it can receive, "
                "and y = {y}. It is ESTABLISHED {ms:.0f} ms before the server."
            ),
            lambda runs: (
                knows(runs["all"], "client", AFTER_2)
                == View(
                    "ESTABLISHED",
                    runs["all"].sent(SYN)[0].segment.seq,
                    True,
                    runs["all"].sent(SYN_ACK)[0].segment.seq,
                )
                and knows(runs["all"], "server", AFTER_2).state == "SYN-RECEIVED"
            ),
            lambda runs: {
                "y": knows(runs["all"], "client", AFTER_2).peer,
                "ms": (runs["all"].when("server", "ESTABLISHED") - runs["all"].when("client", "ESTABLISHED")) / MS,
            },
        ),
        Claim(
            N_(
                "Only message 3 tells the server that it can send: y is acknowledged. It never comes where the answers "
                "are lost or the client is dead; there the server is SYN-RECEIVED to the end."
            ),
            lambda runs: (
                knows(runs["all"], "server", AFTER_3).confirmed
                and knows(runs["all"], "server", AFTER_3).state == "ESTABLISHED"
                and all(
                    not knows(runs[world], "server", AFTER_3).confirmed
                    and runs[world].state("server") == "SYN-RECEIVED"
                    for world in ("deaf", "gone")
                )
            ),
        ),
    ),
    table=table,
    answer=N_(
        "Each end must learn two things: that the other hears it, and where the other's numbers begin. The client "
        "learns both with message 2. The server has the client's number with message 1, but whether its own arrived "
        "only message 3 can tell: until then a world in which the client is deaf or dead looks the same to it. "
        "After three messages each end knows that its own number is confirmed. Whether the third arrived the client "
        "does not know; it does not need to, for all that it sends from now on says the same."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.4.1"),
    tries=(
        Try("A14 --world all --lose 3", N_("Without message 3 the server stays as ignorant as in the bad worlds.")),
        Try("A14 --world all --lose 2", N_("Without message 2 it is the client that knows nothing.")),
    ),
)
