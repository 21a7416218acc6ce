"""D3: a program that never calls close, and the CLOSE-WAITs that pile up."""

from __future__ import annotations

from functools import partial
from socket import SO_KEEPALIVE, SOL_SOCKET
from typing import Final

from synfin import reasons
from synfin.events import StateChanged
from synfin.host.connections import ConnectionRow
from synfin.lab.bench import HOUR, MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import FIN, RST, Run, Runs
from synfin.sim import Network, Program, Scenario, SimulatedSocket, Steps, start

#: The port of the program that closes as it should.
OTHER: Final = 7001
#: How often each of the two is asked.
TIMES: Final = 3
#: How long programs think, so that segments do not cross.
THINKING: Final = 15 * MS


def answered(sock: SimulatedSocket, program: Program) -> Steps[None]:
    """Answers one question, and hears that the client has closed."""
    question = yield from sock.recv()
    yield from program.sleep(THINKING)
    yield from sock.sendall(question)
    # The end of the stream: b"". This is all that a program is told.
    yield from sock.recv()


def forgetful(ends: int, keepalive: bool, program: Program) -> Steps[None]:
    """Never calls close; the program itself ends at the time `ends`, 0 for never."""
    listener = program.listening(PORT)
    for _ in range(TIMES):
        sock = yield from listener.accept()
        if keepalive:
            sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        yield from answered(sock, program)
        # Here sock.close() is missing.
    if ends:
        yield from program.sleep(ends - program.now)
    else:
        yield from listener.accept()


def careful(program: Program) -> Steps[None]:
    listener = program.listening(OTHER)
    while True:
        sock = yield from listener.accept()
        yield from answered(sock, program)
        sock.close()


def client(program: Program) -> Steps[None]:
    for number in range(2 * TIMES):
        sock = yield from program.connected("server", OTHER if number % 2 else PORT)
        yield from program.sleep(THINKING)
        yield from sock.sendall(b"question")
        yield from sock.recv()
        yield from program.sleep(THINKING)
        sock.close()
        yield from program.sleep(SECOND)


def scenario(ends: int = 0, keepalive: bool = False) -> Scenario:
    def build(network: Network) -> list[Program]:
        here, there = pair(network)
        return [
            start(network, there, partial(forgetful, ends, keepalive), "forgetful"),
            start(network, there, careful, "careful"),
            start(network, here, client),
        ]

    return build


def close_waits(run: Run) -> list[ConnectionRow]:
    """What ``ss -tan state close-wait`` prints on the server, at the end."""
    return [row for row in run.node("server").host.connections() if row.state == "CLOSE-WAIT"]


def holder(run: Run, row: ConnectionRow) -> tuple[Program, int]:
    """Whose connection that is, and its descriptor: what ``ss -p`` adds. Raises LookupError if it is nobody's."""
    for program in run.programs:
        for sock in program.sockets:
            connection = sock.core.connection
            if program.node.name == "server" and connection is not None:
                identity = connection.identity
                if (identity.local_port, identity.remote_port) == (row.local_port, row.remote_port):
                    return program, sock.core.number
    raise LookupError(f"nobody holds {row}")


def since(run: Run, row: ConnectionRow) -> float:
    """When it came to CLOSE-WAIT, in seconds."""
    for change in run.of(StateChanged, "server"):
        if change.new == "CLOSE-WAIT" and int.from_bytes(change.flow[-4:-2], "big") == row.remote_port:
            return change.time / SECOND
    raise LookupError(f"{row} never was in CLOSE-WAIT")


def descriptors(run: Run) -> int:
    """How many the forgetful program holds at the end, its listener's among them."""
    return len(run.program("forgetful").sockets)


def table(runs: Runs) -> Table:
    run = runs["never"] if "never" in runs else next(iter(runs.values()))
    rows = []
    for row in close_waits(run):
        program, number = holder(run, row)
        cells = str(row.receive_queue), str(row.send_queue), row.local, row.remote, program.name, str(number)
        rows.append((*cells, f"{since(run, row):.3f}"))
    head = "Recv-Q", "Send-Q", "Local", "Peer", N_("program"), N_("descriptor"), N_("since (s)")
    return Table(head, rows)


def resets(run: Run) -> int:
    """How many connections of the server a RST ended."""
    return sum(change.reason is reasons.RESET_RECEIVED for change in run.of(StateChanged, "server"))


EXPERIMENT = Experiment(
    row="D3",
    question=N_("A program never calls close(): how does one see it, and find it?"),
    prediction=N_(
        "Two programs serve on one host. A client asks each of them three times, and closes each connection itself. "
        "One of the two forgets to close. In which state do its connections stay, for how long, and what ends them?"
    ),
    watch=N_(
        "The last state at the server, and the table at the end, which is what ss -tanp state close-wait shows on such "
        "a host."
    ),
    worlds=(
        World("never", N_("One program forgets to close: a day later"), scenario(), until=24 * HOUR, connections=1),
        World("ends", N_("The program itself ends after an hour"), scenario(ends=HOUR), until=24 * HOUR, connections=1),
        World(
            "keepalive",
            N_("The forgetful program has SO_KEEPALIVE"),
            scenario(keepalive=True),
            until=24 * HOUR,
            connections=1,
        ),
    ),
    claims=(
        Claim(
            N_(
                "After {hours:g} hours the table has {count} connections in CLOSE-WAIT, as many as were made to that "
                "port; of those to the other port there is none."
            ),
            lambda runs: (
                len(close_waits(runs["never"])) == TIMES
                and {row.local_port for row in close_waits(runs["never"])} == {PORT}
            ),
            lambda runs: {"hours": runs["never"].end / HOUR, "count": len(close_waits(runs["never"]))},
        ),
        Claim(
            N_(
                'All of them belong to the program "{name}", one descriptor each; with its listener it holds {count}. '
                "The other program holds only its listener."
            ),
            lambda runs: (
                {holder(runs["never"], row)[0].name for row in close_waits(runs["never"])} == {"forgetful"}
                and len({holder(runs["never"], row)[1] for row in close_waits(runs["never"])}) == TIMES
                and descriptors(runs["never"]) == TIMES + 1
                and len(runs["never"].program("careful").sockets) == 1
            ),
            lambda runs: {
                "name": holder(runs["never"], close_waits(runs["never"])[0])[0].name,
                "count": descriptors(runs["never"]),
            },
        ),
        Claim(
            N_("The program was told, once each: recv() returned no octets when the FIN arrived."),
            lambda runs: (
                [
                    (call.ended or 0) / SECOND
                    for call in runs["never"].program("forgetful").calls
                    if call.name == "recv" and call.result == b""
                ]
                == [since(runs["never"], row) for row in close_waits(runs["never"])]
            ),
        ),
        Claim(
            N_(
                "No timer ends CLOSE-WAIT. The client's end is gone after {seconds:g} s in FIN-WAIT-2 "
                "(tcp_fin_timeout), so that the server's waits for nobody."
            ),
            lambda runs: (
                runs["never"].path("client")[-3:] == ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"]
                and runs["never"].state("server") == "CLOSE-WAIT"
                and runs["never"].when("client", "CLOSED") - runs["never"].when("client", "FIN-WAIT-2") == 60 * SECOND
            ),
            lambda runs: {
                "seconds": (runs["never"].when("client", "CLOSED") - runs["never"].when("client", "FIN-WAIT-2"))
                / SECOND
            },
        ),
        Claim(
            N_(
                "The end of the program ends them: its sockets are closed with it, {count} FINs leave, and meet RST, "
                "for the clients' ends are long gone."
            ),
            lambda runs: (
                not close_waits(runs["ends"])
                and descriptors(runs["ends"]) == 0
                and sum(time >= HOUR / SECOND for time in runs["ends"].times(FIN, "server")) == TIMES
                and resets(runs["ends"]) == len(runs["ends"].sent(RST, "client")) == TIMES
            ),
            lambda runs: {"count": sum(time >= HOUR / SECOND for time in runs["ends"].times(FIN, "server"))},
        ),
        Claim(
            N_(
                "Keep-alive clears the table, as its probes meet RST after two hours, but not the program: it still "
                "holds {count} descriptors."
            ),
            lambda runs: (
                not close_waits(runs["keepalive"])
                and resets(runs["keepalive"]) == TIMES
                and descriptors(runs["keepalive"]) == TIMES + 1
            ),
            lambda runs: {"count": descriptors(runs["keepalive"])},
        ),
    ),
    answer=N_(
        "CLOSE-WAIT says: the other end has closed, and this end's program has not. TCP waits for it as long as the "
        "program lives, because it may still have something to say (see C3). So CLOSE-WAITs that grow in number are a "
        "mistake in a program, never in the network, and no parameter cures them. See them with ss -tanp state "
        "close-wait: the local port and the process tell which program, and the descriptor which socket. Unlike "
        "TIME-WAIT each of them holds a descriptor, and when these are used up accept() fails. The cure is in the "
        "program: close on every path once recv() has returned nothing."
    ),
    clauses=("RFC 9293 §3.3.2", "RFC 9293 §3.6", "RFC 1122 §4.2.2.13", "tcp(7)"),
    tries=(
        Try(
            "D3 --world never --set client:tcp_fin_timeout=5",
            N_("The client's end is gone sooner; to the server that makes no difference."),
        ),
        Try(
            "D3 --world keepalive --set server:tcp_keepalive_time=30",
            N_(
                "Probes while the client's end is still in FIN-WAIT-2: it answers them, and only when it is gone "
                "comes RST."
            ),
        ),
    ),
    table=table,
)
