"""C2: the FIN is acknowledged, and the application is told."""

from __future__ import annotations

from functools import partial

from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import FIN, Run
from synfin.show.history import Arrival, Transmission
from synfin.sim import Network, Program, Steps, start


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()
    yield from program.sleep(100 * MS)
    sock.close()


def server(program: Program, busy: int = 0) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    sock.send(b"Welcome!")
    # It reads, or has something else to do.
    yield from program.sleep(busy)
    yield from sock.receive_all()
    yield from program.sleep(400 * MS)
    sock.close()


def scenario(network: Network, busy: int = 0) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, partial(server, busy=busy)), start(network, here, client)]


def arrival(run: Run) -> Arrival:
    """Of the client's FIN at the server."""
    return run.sent(FIN, "client")[0].arrivals[0]


def answer(run: Run) -> Transmission:
    """What the server sends next."""
    return next(one for one in run.sent(host="server") if one.time >= arrival(run).time)


def waited(run: Run) -> float:
    """For how long the ACK of the FIN waited (milliseconds)."""
    return (answer(run).time - arrival(run).time) / MS


def told(run: Run) -> int:
    """When recv() returned with nothing (nanoseconds)."""
    call = run.program("server").call("recv")
    return call.began + call.lasted


EXPERIMENT = Experiment(
    row="C2",
    question=N_("What happens when a FIN arrives?"),
    prediction=N_(
        "The client has closed. Who answers its FIN, the server's TCP or the server's program? And how does the "
        "program learn of it?"
    ),
    watch=N_("The ACK and its numbers, the server's state, and what recv() returns, and when."),
    worlds=(
        World("reading", N_("The server's program waits in recv()"), scenario),
        World("busy", N_("The server's program is busy with something else"), partial(scenario, busy=300 * MS)),
    ),
    claims=(
        Claim(
            N_(
                "TCP answers with an ACK: seq=v, the number that the server would use next, and ack=u+1, one more than "
                "that of the FIN. It bears no data and no FIN."
            ),
            lambda runs: all(
                answer(run).segment.ack == (run.sent(FIN, "client")[0].segment.seq + 1) % 2**32
                and answer(run).segment.seq == (run.sent(host="server")[0].segment.seq + 1 + len(b"Welcome!")) % 2**32
                and answer(run).segment.length == 0
                for run in runs.values()
            ),
        ),
        Claim(
            N_(
                "As the FIN arrives the server goes from ESTABLISHED to CLOSE-WAIT; the ACK takes the client to "
                "FIN-WAIT-2."
            ),
            lambda runs: all(
                (arrival(run).old_state, arrival(run).new_state) == ("ESTABLISHED", "CLOSE-WAIT")
                and answer(run).arrivals[0].new_state == "FIN-WAIT-2"
                for run in runs.values()
            ),
        ),
        Claim(
            N_(
                "The program that waits in recv() is told at that very moment: recv() returns no octets, the end of "
                "the file."
            ),
            lambda runs: (
                runs["reading"].program("server").call("recv").result == b""
                and told(runs["reading"]) == arrival(runs["reading"]).time
            ),
        ),
        Claim(
            N_(
                "The ACK does not wait for the program: the busy one asks only {later:.0f} ms after the FIN came, and "
                "the ACK left after {ack:.0f} ms as in the first world."
            ),
            lambda runs: (
                waited(runs["busy"]) == waited(runs["reading"]) < 40
                and told(runs["busy"]) - arrival(runs["busy"]).time > 100 * MS
            ),
            lambda runs: {
                "later": (told(runs["busy"]) - arrival(runs["busy"]).time) / MS,
                "ack": waited(runs["busy"]),
            },
        ),
        Claim(
            N_("The server stays in CLOSE-WAIT until its program closes too."),
            lambda runs: all(
                run.when("server", "LAST-ACK") == run.program("server").call("close").began for run in runs.values()
            ),
        ),
    ),
    answer=N_(
        "The server's TCP acknowledges the FIN by itself, goes to CLOSE-WAIT and hands the news on: once all data are "
        "read, recv() returns nothing, and that means that nothing more will come. It says nothing about the other "
        "direction. CLOSE-WAIT is the state in which TCP waits for its own application: if the program never closes, "
        "it stays there for ever (D3)."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.10.7.4"),
    tries=(
        Try(
            "C2 --world reading --lose 7",
            N_("The ACK is lost: the FIN comes again, the program hears nothing of that."),
        ),
        Try(
            "C2 --world reading --set tcp_delay_fin_ack=0",
            N_("The ACK leaves at once, without a few milliseconds in which a FIN might join it."),
        ),
    ),
)
