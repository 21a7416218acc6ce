"""A7: a delayed SYN arrives after its connection has ended, at a server that needs two messages, or three."""

from __future__ import annotations

from contextlib import suppress
from errno import ECONNRESET, ETIMEDOUT
from functools import partial
from socket import SO_KEEPALIVE, SOL_SOCKET
from typing import Final, Literal, TypeAlias

from synfin.events import StateChanged
from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, HOUR, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Picture, Table, Try, World
from synfin.lab.opening.holdings import Holdings, Watch, holdings, seen
from synfin.lab.running import ACK, RST, SYN_ACK, Run, Runs
from synfin.lab.two_way import open_after_two
from synfin.sim import Network, Program, Steps, start
from synfin.wire.sequence import wrap

#: Just after the delayed SYN has arrived, before anything can come of the answer.
HALF_A_MINUTE: Final = 30 * SECOND + DELAY + MS
MINUTE_AND_A_HALF: Final = 90 * SECOND + DELAY + MS
#: What the client does with a SYN+ACK that it did not ask for.
Reaction: TypeAlias = Literal["reset", "silent", "time-wait", "rfc1337"]


def server(program: Program, keepalive: bool = False) -> Steps[None]:
    """Serves one client after another: reads until the client closes."""
    listener = program.listening(PORT)
    if keepalive:
        listener.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    while True:
        sock = yield from listener.accept()
        # `Program.calls` has what went wrong.
        with suppress(OSError):
            yield from sock.receive_all()
        sock.close()


def busy(program: Program) -> Steps[None]:
    """Has room for one connection in its accept queue, serves one client, and then has other things to do."""
    listener = program.listening(PORT, 0)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()
    yield from program.sleep(HOUR)


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.close()


def other(program: Program) -> Steps[None]:
    """An honest client, who comes later."""
    yield from program.sleep(100 * SECOND)
    yield from program.connected("server", PORT)


def scenario(
    network: Network, messages: int, reaction: Reaction, keepalive: bool = False, idle: bool = True
) -> list[Program | Watch[Holdings]]:
    """`messages`: after how many the server is established. Not `idle`: its program is `busy`, and an `other` comes."""
    parameters = Parameters()
    if reaction == "silent":
        parameters.set("synfin.tcp_blackhole", "2")
    if reaction == "rfc1337":
        parameters.set("net.ipv4.tcp_rfc1337", "1")
    here, there = network.host("client", parameters), network.host("server")
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    if messages == 2:
        open_after_two(network, there)
    watch = Watch(network, ("server",), (HALF_A_MINUTE, MINUTE_AND_A_HALF), holdings)
    if idle:
        return [start(network, there, partial(server, keepalive=keepalive)), start(network, here, client), watch]
    return [start(network, there, busy), start(network, here, client), start(network, here, other, "other"), watch]


def world(name: str, title: str, messages: int, reaction: Reaction) -> World:
    # TIME-WAIT lasts for a minute: the SYN comes back before its end, or after it.
    late = "30s" if reaction in ("time-wait", "rfc1337") else "90s"
    picture: Picture = "none" if reaction == "rfc1337" else "ladder"
    return World(
        name,
        title,
        partial(scenario, messages=messages, reaction=reaction),
        (f"delay 1st SYN by {late}",),
        picture=picture,
    )


# --- what became of the connection that nobody wants


def unwanted(run: Run) -> list[StateChanged]:
    """The states of the server from when the delayed SYN arrived, in that connection."""
    flow = run.history.right.flow
    return [change for change in run.of(StateChanged, "server") if change.time > 20 * SECOND and change.flow == flow]


def life(run: Run) -> int | None:
    """How long it lived, in nanoseconds; None if nothing is left to happen that could end it."""
    changes = unwanted(run)
    if changes[-1].new in ("CLOSED", "LISTEN"):
        return changes[-1].time - changes[0].time
    if run.world.network.next_time() is not None:
        raise ValueError("the world ended too early")
    return None


def accepted(run: Run) -> int:
    """How often accept() returned, but for the connection that the client did ask for."""
    return sum(call.name == "accept" and not call.waits for call in run.program("server").calls) - 1


def held(run: Run) -> Holdings:
    """What the server has when the delayed SYN has just arrived."""
    soon = MINUTE_AND_A_HALF if unwanted(run)[0].time > 60 * SECOND else HALF_A_MINUTE
    return seen(run, Holdings, "server", soon)


def failure(run: Run) -> int:
    """The errno of the server's last recv(); 0 if it did not fail."""
    error = run.program("server").call("recv").error
    return error.errno or 0 if error is not None else 0


def time_wait(run: Run) -> float:
    """Seconds that the client's TIME-WAIT lasted."""
    changes = run.of(StateChanged, "client")
    began = next(change.time for change in changes if change.new == "TIME-WAIT")
    return (next(change.time for change in changes if change.old == "TIME-WAIT") - began) / 1e9


def late_segments(run: Run, kind: int, host: str) -> int:
    """How many segments of that kind `host` sent since the delayed SYN arrived."""
    return sum(one.time >= unwanted(run)[0].time for one in run.sent(kind, host))


TWO = ("two-reset", "two-silent", "two-time-wait", "two-keepalive")
THREE = ("three-reset", "three-silent", "three-time-wait", "three-rfc1337")


def table(runs: Runs) -> Table:
    rows = []
    for name in (*TWO, *THREE):
        run = runs[name]
        lived = life(run)
        rows.append(
            (
                run.shown.title,
                " → ".join(["LISTEN", *(change.new for change in unwanted(run))]),
                N_("a TCB") if held(run).connections else N_("a request"),
                N_("yes") if accepted(run) else N_("no"),
                N_("for ever") if lived is None else f"{lived / 1e9:g} s",
            )
        )
    return Table(
        (N_("world"), N_("states of the server"), N_("it holds"), N_("accept() returns"), N_("the connection lives")),
        rows,
    )


EXPERIMENT = Experiment(
    row="A7",
    question=N_("Why three messages, and not two?"),
    prediction=N_(
        "The first SYN is held up in the network. The client sends another, is connected, and closes. Long after that "
        "the first SYN arrives. What does the server do if two messages are enough for it, and what if it waits for "
        "the third? And what if the client answers with RST, says nothing, or is still in TIME-WAIT?"
    ),
    worlds=(
        world("two-reset", N_("Laboratory variant: two messages; the client answers RST"), 2, "reset"),
        world("three-reset", N_("Three messages; the client answers RST"), 3, "reset"),
        world("two-silent", N_("Laboratory variant: two messages; the client stays silent"), 2, "silent"),
        world("three-silent", N_("Three messages; the client stays silent"), 3, "silent"),
        world("two-time-wait", N_("Laboratory variant: two messages; the client is in TIME-WAIT"), 2, "time-wait"),
        world("three-time-wait", N_("Three messages; the client is in TIME-WAIT"), 3, "time-wait"),
        World(
            "two-keepalive",
            N_("Laboratory variant: two messages; silent client, SO_KEEPALIVE set"),
            partial(scenario, messages=2, reaction="silent", keepalive=True),
            ("delay 1st SYN by 90s",),
            picture="none",
        ),
        world("three-rfc1337", N_("Three messages; TIME-WAIT, with tcp_rfc1337"), 3, "rfc1337"),
        World(
            "two-busy",
            N_("Laboratory variant: two messages; silent client, busy program, listen(0)"),
            partial(scenario, messages=2, reaction="silent", idle=False),
            ("delay 1st SYN by 90s",),
            picture="none",
        ),
        World(
            "three-busy",
            N_("Three messages; silent client, busy program, listen(0)"),
            partial(scenario, messages=3, reaction="silent", idle=False),
            ("delay 1st SYN by 90s",),
            picture="none",
        ),
    ),
    watch=N_(
        "The server's state from the moment when message 1 arrives for the second time, and whether its accept() "
        "returns once more."
    ),
    claims=(
        Claim(
            N_(
                "In every world the server takes the old SYN for a new one and answers with a new initial number: from "
                "the SYN alone it cannot know better."
            ),
            lambda runs: all(
                len({one.segment.seq for one in run.sent(SYN_ACK, connection=0)}) == 2
                and {one.segment.ack for one in run.sent(SYN_ACK, connection=0)}
                == {wrap(run.history.left.initial_numbers[0] + 1)}
                for run in runs.values()
            ),
        ),
        Claim(
            N_(
                "After two messages it is ESTABLISHED, has a whole TCB, and accept() hands the program a connection "
                "that nobody asked for."
            ),
            lambda runs: all(
                accepted(runs[name]) == 1
                and [change.new for change in unwanted(runs[name])][1] == "ESTABLISHED"
                and (held(runs[name]).requests, held(runs[name]).connections, held(runs[name]).sockets) == (0, 1, 1)
                for name in TWO
            ),
        ),
        Claim(
            N_(
                "If the client answers RST, that lasts {lived:.0f} ms, the round trip; the program that began to serve "
                "it meets ECONNRESET."
            ),
            lambda runs: life(runs["two-reset"]) == 2 * DELAY and failure(runs["two-reset"]) == ECONNRESET,
            lambda runs: {"lived": (life(runs["two-reset"]) or 0) / MS},
        ),
        Claim(
            N_(
                "If the client stays silent, it lasts for ever: recv() waits, no timer runs, and nothing is left to "
                "happen in this world."
            ),
            lambda runs: (
                life(runs["two-silent"]) is None
                and runs["two-silent"].program("server").call("recv").waits
                and late_segments(runs["two-silent"], SYN_ACK, "server") == 1
            ),
        ),
        Claim(
            N_(
                "A client in TIME-WAIT answers with the ACK of its old connection, and the server with its own; each "
                "drops the other's, and the connection stays for ever."
            ),
            lambda runs: (
                life(runs["two-time-wait"]) is None
                and late_segments(runs["two-time-wait"], ACK, "client") == 1
                and late_segments(runs["two-time-wait"], ACK, "server") == 1
                and not runs["two-time-wait"].sent(RST)
            ),
        ),
        Claim(
            N_("Only keep-alive, if the program asked for it, ends it: after {hours:.1f} hours, with ETIMEDOUT."),
            lambda runs: failure(runs["two-keepalive"]) == ETIMEDOUT,
            lambda runs: {"hours": (life(runs["two-keepalive"]) or 0) / 3600e9},
        ),
        Claim(
            N_(
                "If the program is busy, the unwanted connection takes the only place in the accept queue: an honest "
                "client that comes then fails with ETIMEDOUT after {seconds:.0f} s. With three messages it is "
                "connected in {ms:.0f} ms."
            ),
            lambda runs: (
                getattr(runs["two-busy"].program("other").call("connect").error, "errno", 0) == ETIMEDOUT
                and runs["three-busy"].program("other").call("connect").error is None
            ),
            lambda runs: {
                "seconds": runs["two-busy"].program("other").call("connect").lasted / 1e9,
                "ms": runs["three-busy"].program("other").call("connect").lasted / MS,
            },
        ),
        Claim(
            N_(
                "With three messages no program learns of it: accept() never returns, and the server is never more "
                "than SYN-RECEIVED, with a small request and no TCB."
            ),
            lambda runs: all(
                accepted(runs[name]) == 0
                and (held(runs[name]).requests, held(runs[name]).connections) == (1, 0)
                and runs[name].program("server").call("accept").waits
                and not any(change.new == "ESTABLISHED" for change in unwanted(runs[name]))
                for name in THREE
            ),
        ),
        Claim(
            N_("Then a RST brings the server back to LISTEN after {lived:.0f} ms."),
            lambda runs: life(runs["three-reset"]) == 2 * DELAY and unwanted(runs["three-reset"])[-1].new == "LISTEN",
            lambda runs: {"lived": (life(runs["three-reset"]) or 0) / MS},
        ),
        Claim(
            N_(
                "If the client stays silent, the server sends its SYN+ACK {times} times and forgets the request after "
                "{seconds:.0f} s. All that it cost was a small entry in the SYN queue."
            ),
            lambda runs: (
                life(runs["three-silent"]) == 63 * SECOND
                and not runs["three-silent"].node("server").host.transport.connections
            ),
            lambda runs: {
                "times": late_segments(runs["three-silent"], SYN_ACK, "server"),
                "seconds": (life(runs["three-silent"]) or 0) / 1e9,
            },
        ),
        Claim(
            N_(
                "A client in TIME-WAIT answers with its old ACK, the server answers that with RST, and this RST ends "
                "the client's TIME-WAIT after {seconds:.0f} s: the hazard that RFC 1337 describes. The next SYN+ACK "
                "finds no connection and meets RST."
            ),
            lambda runs: (
                time_wait(runs["three-time-wait"]) < 30
                and late_segments(runs["three-time-wait"], RST, "server") == 1
                and late_segments(runs["three-time-wait"], RST, "client") == 1
                and unwanted(runs["three-time-wait"])[-1].new == "LISTEN"
            ),
            lambda runs: {"seconds": time_wait(runs["three-time-wait"])},
        ),
        Claim(
            N_(
                "With tcp_rfc1337 TIME-WAIT takes no notice of the RST and lasts its {seconds:.0f} s; the server asks "
                "until it gives up, {lived:.0f} s later."
            ),
            lambda runs: (
                time_wait(runs["three-rfc1337"]) == 60
                and late_segments(runs["three-rfc1337"], RST, "server") > 1
                and life(runs["three-rfc1337"]) == 63 * SECOND
            ),
            lambda runs: {
                "seconds": time_wait(runs["three-rfc1337"]),
                "lived": (life(runs["three-rfc1337"]) or 0) / 1e9,
            },
        ),
    ),
    table=table,
    answer=N_(
        "A SYN may be old, and nothing in it says so. The third message is the client's word that it does want this "
        "connection, now: it acknowledges a number that the server has only just chosen, which no old segment can do. "
        "Without it the server would serve whoever seems to knock; a RST may put that right at once, but if the client "
        "is silent the connection stays, with its TCB and with a program that waits for a request that nobody will "
        "send. With it the doubtful state is a small entry with a timer of its own."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.5.1", "RFC 1337 §1", "RFC 5961 §5.2"),
    tries=(
        Try(
            "A7 --world three-silent --set server:tcp_synack_retries=1",
            N_("The server gives up sooner."),
        ),
        Try(
            "A7 --world three-time-wait --set client:tcp_rfc1337=1",
            N_("See every SYN+ACK of the world that is not drawn above, and why TIME-WAIT outlives them."),
        ),
        Try(
            "A7 --world two-silent --set client:tcp_blackhole=0",
            N_("The same world with a client that answers RST."),
        ),
    ),
)
