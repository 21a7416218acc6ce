"""C1: what the first FIN is, and who sends it."""

from __future__ import annotations

from functools import partial

from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import FIN, Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start

SAID = b"Hello, Server!"


def closes(program: Program, listens: bool, says: bytes = b"") -> Steps[None]:
    """Closes first, after a while."""
    if listens:
        sock = yield from program.listening(PORT).accept()
    else:
        sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    if says:
        sock.send(says)
        yield from program.sleep(80 * MS)
    sock.close()


def follows(program: Program, listens: bool) -> Steps[None]:
    """Closes when the other end has."""
    if listens:
        sock = yield from program.listening(PORT).accept()
    else:
        sock = yield from program.connected("server", PORT)
    yield from sock.receive_all()
    sock.close()


def client_first(network: Network, says: bytes = b"") -> list[Program]:
    here, there = pair(network)
    return [
        start(network, there, partial(follows, listens=True)),
        start(network, here, partial(closes, listens=False, says=says)),
    ]


def server_first(network: Network) -> list[Program]:
    here, there = pair(network)
    return [
        start(network, there, partial(closes, listens=True)),
        start(network, here, partial(follows, listens=False)),
    ]


def first_fin(run: Run) -> Transmission:
    return run.sent(FIN)[0]


def taken(run: Run) -> int:
    """By how much the next acknowledgment of the other end goes beyond the number of the first FIN."""
    fin = first_fin(run)
    answer = next(one for one in run.sent() if one.time > fin.time and one.sender.host != fin.sender.host)
    return (answer.segment.ack - fin.segment.seq) % 2**32


def relative(run: Run) -> int:
    """u, counted from the initial number of its sender."""
    fin = first_fin(run)
    return fin.sender.relative(fin.segment.seq)


ACTIVE = ["FIN-WAIT-1", "TIME-WAIT", "CLOSED"]
PASSIVE = ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]

EXPERIMENT = Experiment(
    row="C1",
    question=N_("How does a close begin, and who may begin it?"),
    prediction=N_(
        "A FIN without data: does it take a sequence number, as a SYN does? And must the client close first, because "
        "it was the one that opened?"
    ),
    watch=N_("The number seq=u of the first FIN, the ack that answers it, and the state of its sender."),
    worlds=(
        World("client", N_("The client closes first, nothing was sent"), client_first),
        World("server", N_("The server closes first"), server_first),
        World("data", N_("The client closes first, after some data"), partial(client_first, says=SAID)),
    ),
    claims=(
        Claim(
            N_(
                "The FIN bears no data and yet consumes one sequence number: it has seq=u, and the answer acknowledges "
                "u+{taken}."
            ),
            lambda runs: all(first_fin(run).segment.payload_length == 0 and taken(run) == 1 for run in runs.values()),
            lambda runs: {"taken": taken(runs["client"])},
        ),
        Claim(
            N_(
                "u is the number after the last octet sent: u = x+{empty} if nothing was sent, u = x+{data} after "
                "{octets} octets."
            ),
            lambda runs: relative(runs["client"]) == 1 and relative(runs["data"]) == 1 + len(SAID),
            lambda runs: {
                "empty": relative(runs["client"]),
                "data": relative(runs["data"]),
                "octets": len(SAID),
            },
        ),
        Claim(
            N_("Sending it takes the sender from ESTABLISHED to FIN-WAIT-1, at once."),
            lambda runs: all(
                (first_fin(run).old_state, first_fin(run).new_state) == ("ESTABLISHED", "FIN-WAIT-1")
                for run in runs.values()
            ),
        ),
        Claim(
            N_(
                "Either end may begin. If the server does, it is the server that goes through FIN-WAIT-1 and "
                "TIME-WAIT, and the client through CLOSE-WAIT and LAST-ACK."
            ),
            lambda runs: (
                runs["client"].path("client")[-3:] == runs["server"].path("server")[-3:] == ACTIVE
                and runs["client"].path("server")[-3:] == runs["server"].path("client")[-3:] == PASSIVE
            ),
        ),
    ),
    answer=N_(
        "A FIN says: I have no more data to send. It consumes one sequence number, directly behind the last octet, so "
        "that it can be lost, sent again and acknowledged like an octet, and so that everybody knows that nothing "
        "before it is missing. Who calls close() first is the active closer, client or server; in HTTP it is often the "
        "server. That is no small matter, since the active closer is the one that has to wait in TIME-WAIT."
    ),
    clauses=("RFC 9293 §3.4", "RFC 9293 §3.6", "RFC 9293 §3.10.4"),
    tries=(
        Try("C1 --world client --lose 4", N_("The FIN is lost: it comes again with the same number.")),
        Try(
            "C1 --world data --lose 4",
            N_("The data before the FIN are lost. The FIN arrives, but is no end of the file until they have come."),
        ),
    ),
)
