"""E6: the whole life of a connection in seven messages, and the three ways out of FIN-WAIT-1."""

from __future__ import annotations

from functools import partial
from typing import Final

from synfin.events import StateChanged
from synfin.lab.bench import DELAY, MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import Run, Runs
from synfin.show.history import Arrival
from synfin.sim import Network, Program, Scenario, Steps, start
from synfin.wire.tcp import ACK, FIN, SYN

#: How long a program thinks before it acts: longer than a packet travels, so that messages do not cross.
THINKING: Final = 15 * MS
#: How long the server's program still works after the client's last word: longer than an acknowledgment waits for a
#: FIN to bear it, so that the close takes four messages and not three.
FINISHING: Final = 100 * MS


def client(program: Program) -> Steps[None]:
    """Connects, says hello, hears the answer, closes."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(THINKING)
    yield from sock.sendall(b"Hello, Server!")
    yield from sock.recv(1024)
    yield from program.sleep(THINKING)
    sock.shutdown()
    yield from sock.receive_all()
    sock.close()


def server(finishing: int | None, program: Program) -> Steps[None]:
    """Answers, and when the client has closed works for `finishing` nanoseconds and closes too; None: closes at the
    same time as the client."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.recv(1024)
    yield from program.sleep(THINKING)
    yield from sock.sendall(b"Hello, Client!")
    if finishing is None:
        yield from program.sleep(DELAY + THINKING)
    else:
        yield from sock.receive_all()
        yield from program.sleep(finishing)
    sock.close()


def ending(finishing: int | None) -> Scenario:
    def build(network: Network) -> list[Program]:
        here, there = pair(network)
        return [start(network, there, partial(server, finishing)), start(network, here, client)]

    return build


#: The seven messages.
scenario: Final = ending(FINISHING)


def same(run: Run, number: int, flags: int, seq: tuple[str, int], ack: tuple[str, int] | None = None) -> bool:
    """Whether that message has these flags and numbers: each is the initial number of an end, and so much more."""
    message = run.history.message(number)
    if message is None or message.segment.payload_length:
        return False
    segment = message.segment
    initial = {end.host: end.initial_numbers[0] for end in (run.history.left, run.history.right)}
    numbers = [(initial[host] + more) % (1 << 32) for host, more in (seq, *([ack] if ack is not None else []))]
    known = [segment.seq, *([segment.ack] if ack is not None else [])]
    return segment.flags & (SYN | ACK | FIN) == flags and known == numbers


def seven(run: Run) -> bool:
    """Whether the seven messages are those of the texts; u and w count the octets that were said in between."""
    said = len(b"Hello, Server!")
    u, w = 1 + said, 1 + len(b"Hello, Client!")
    here, there = "client", "server"
    return (
        same(run, 1, SYN, (here, 0))
        and same(run, 2, SYN | ACK, (there, 0), (here, 1))
        and same(run, 3, ACK, (here, 1), (there, 1))
        and same(run, 4, FIN | ACK, (here, u), (there, w))
        and same(run, 5, ACK, (there, w), (here, u + 1))
        and same(run, 6, FIN | ACK, (there, w), (here, u + 1))
        and same(run, 7, ACK, (here, u + 1), (there, w + 1))
        and run.history.message(8) is None
    )


def way_out(run: Run) -> tuple[int, bool, str]:
    """The segment with which the client left FIN-WAIT-1: its flags, and whether it acknowledges the client's FIN; and
    the state that came next."""
    fin = run.sent(FIN, "client")[0].segment
    for row in run.history.rows:
        if isinstance(row, Arrival) and row.transmission.receiver.host == "client" and row.old_state == "FIN-WAIT-1":
            segment = row.transmission.segment
            return segment.flags & (FIN | ACK), segment.ack == (fin.seq + 1) % (1 << 32), row.new_state or ""
    raise LookupError("nothing arrives in FIN-WAIT-1")


def whole_path(run: Run, host: str) -> str:
    """The states of one end alone, from before it opened or listened."""
    path = run.path(host)
    first = run.of(StateChanged, host)[0].old
    return " → ".join(path if path[0] == first else [first, *path])


def table(runs: Runs) -> Table:
    rows = [(run.shown.title, host, whole_path(run, host)) for run in runs.values() for host in ("client", "server")]
    return Table((N_("world"), N_("who"), N_("its path alone")), rows)


EXPERIMENT = Experiment(
    row="E6",
    question=N_("What is the whole life of a connection, from CLOSED to CLOSED?"),
    prediction=N_(
        "Seven messages open and close a connection. Which flags and numbers has each, through which states does each "
        "end go, which end is CLOSED first, and how many ways lead out of FIN-WAIT-1?"
    ),
    watch=N_(
        "The labels [1] to [7], which are the seven messages. Then read one end's states alone, from top to bottom."
    ),
    worlds=(
        World("four", N_("First ACK, then FIN"), scenario),
        World("three", N_("ACK and FIN in one"), ending(0)),
        World("together", N_("Both close at once"), ending(None)),
    ),
    claims=(
        Claim(
            N_(
                "The seven messages: SYN seq=x; SYN+ACK seq=y, ack=x+1; ACK seq=x+1, ack=y+1; FIN seq=u; ACK seq=v, "
                "ack=u+1; FIN seq=w, ack=u+1; ACK seq=u+1, ack=w+1. Here u is x+{u}, and v and w are y+{w}: SYN counts "
                "as one, and so does each octet."
            ),
            lambda runs: seven(runs["four"]),
            lambda runs: {
                "u": runs["four"].history.left.relative(runs["four"].sent(FIN, "client")[0].segment.seq),
                "w": runs["four"].history.right.relative(runs["four"].sent(FIN, "server")[0].segment.seq),
            },
        ),
        Claim(
            N_("The client, which closes first, goes {path}."),
            lambda runs: (
                whole_path(runs["four"], "client")
                == "CLOSED → SYN-SENT → ESTABLISHED → FIN-WAIT-1 → FIN-WAIT-2 → TIME-WAIT → CLOSED"
            ),
            lambda runs: {"path": whole_path(runs["four"], "client")},
        ),
        Claim(
            N_("The server goes {path}."),
            lambda runs: (
                whole_path(runs["four"], "server")
                == "CLOSED → LISTEN → SYN-RECEIVED → ESTABLISHED → CLOSE-WAIT → LAST-ACK → CLOSED"
            ),
            lambda runs: {"path": whole_path(runs["four"], "server")},
        ),
        Claim(
            N_(
                "The server is CLOSED when message 7 arrives, at {server:.3f} s; the client only after 2MSL, at "
                "{client:.3f} s."
            ),
            lambda runs: (
                runs["four"].when("server", "CLOSED") == runs["four"].sent()[-1].arrivals[0].time
                and runs["four"].when("client", "CLOSED") - runs["four"].when("client", "TIME-WAIT") == 60 * SECOND
            ),
            lambda runs: {
                "server": runs["four"].when("server", "CLOSED") / SECOND,
                "client": runs["four"].when("client", "CLOSED") / SECOND,
            },
        ),
        Claim(
            N_("First way out of FIN-WAIT-1: the ACK of the FIN alone leads to FIN-WAIT-2."),
            lambda runs: way_out(runs["four"]) == (ACK, True, "FIN-WAIT-2"),
        ),
        Claim(
            N_("Second way: a FIN that also acknowledges ours leads to TIME-WAIT at once, and six messages do."),
            lambda runs: (
                way_out(runs["three"]) == (FIN | ACK, True, "TIME-WAIT")
                and runs["three"].history.message(5) is runs["three"].history.message(6)
                and "FIN-WAIT-2" not in runs["three"].path("client")
            ),
        ),
        Claim(
            N_(
                "Third way: a FIN that does not acknowledge ours yet leads to CLOSING; when the ACK has come too, to "
                "TIME-WAIT. Both ends go the same way, and both wait."
            ),
            lambda runs: (
                way_out(runs["together"]) == (FIN | ACK, False, "CLOSING")
                and all(
                    runs["together"].path(host)[-4:] == ["FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
                    for host in ("client", "server")
                )
            ),
        ),
    ),
    answer=N_(
        "Three messages open it, as each end must tell its number and hear it confirmed; four close it, as each "
        "direction ends by itself. In between, every octet is numbered and acknowledged. The end that closes first "
        "leaves FIN-WAIT-1 by whatever comes first, the ACK, the FIN or both, and always ends in TIME-WAIT; the other "
        "end goes through CLOSE-WAIT and LAST-ACK, and is gone sooner."
    ),
    clauses=("RFC 9293 §3.3.2", "RFC 9293 §3.5", "RFC 9293 §3.6"),
    tries=(
        Try("E6 --world four --lose 3", N_("Message 3 is lost: the data that follow open the connection as well.")),
        Try("E6 --world four --lose 8", N_("The first FIN is lost: nothing happens until it is sent again.")),
        Try(
            "E6 --world three --set server:tcp_delay_fin_ack=0",
            N_("A server whose ACK of the FIN never waits: four messages again, although it closes at once."),
        ),
    ),
    table=table,
)
