"""C6: why four messages, and when three do."""

from __future__ import annotations

from functools import partial

from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, FIN, Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.close()


def server(program: Program, works: int) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from sock.receive_all()
    yield from program.sleep(works)
    sock.close()


def scenario(network: Network, works: int) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, partial(server, works=works)), start(network, here, client)]


def closing(run: Run) -> list[Transmission]:
    """All segments from the first FIN on."""
    began = run.sent(FIN)[0].time
    return [one for one in run.sent() if one.time >= began]


def after_fin(run: Run, sent: Transmission) -> float:
    """How long after the client's FIN came this was sent by the server (milliseconds)."""
    return (sent.time - run.sent(FIN, "client")[0].arrivals[0].time) / MS


EXPERIMENT = Experiment(
    row="C6",
    question=N_("Why four messages to close, when three are enough to open?"),
    prediction=N_(
        "To open, SYN and ACK travel in one segment. To close, could the server not always send FIN and ACK in one "
        "too? What would it have to wait for, and what would the client do meanwhile?"
    ),
    watch=N_("What lies between messages 5 and 6, and which states the client goes through."),
    worlds=(
        World("four", N_("The server's program has work left: half a second"), partial(scenario, works=500 * MS)),
        World("three", N_("The server's program closes at once"), partial(scenario, works=0)),
        World(
            "waits",
            N_("Laboratory variant: no ACK before the program has closed (the network takes it away)"),
            partial(scenario, works=2 * SECOND),
            ("lose ACK from server",),
        ),
    ),
    claims=(
        Claim(
            N_(
                "Four: the ACK is TCP's own and leaves {ack:.0f} ms after the FIN came; the server's FIN is the "
                "program's, and leaves when that closes, after {fin:.0f} ms."
            ),
            lambda runs: (
                len(closing(runs["four"])) == 4
                and [one.messages for one in closing(runs["four"])] == [("4",), ("5",), ("6",), ("7",)]
                and after_fin(runs["four"], runs["four"].sent(ACK, "server")[0]) < 40
                and runs["four"].sent(FIN, "server")[0].time == runs["four"].program("server").call("close").began
            ),
            lambda runs: {
                "ack": after_fin(runs["four"], runs["four"].sent(ACK, "server")[0]),
                "fin": after_fin(runs["four"], runs["four"].sent(FIN, "server")[0]),
            },
        ),
        Claim(
            N_(
                "Three: if the program closes before the ACK has left, FIN and ACK go in one segment, {count} segments "
                "in all."
            ),
            lambda runs: (
                [one.messages for one in closing(runs["three"])] == [("4",), ("5", "6"), ("7",)]
                and not runs["three"].sent(ACK, "server")
                and closing(runs["three"])[1].segment.ack == (closing(runs["three"])[0].segment.seq + 1) % 2**32
            ),
            lambda runs: {"count": len(closing(runs["three"]))},
        ),
        Claim(
            N_(
                "Then the client goes from FIN-WAIT-1 straight to TIME-WAIT; with four messages it passes through "
                "FIN-WAIT-2."
            ),
            lambda runs: (
                runs["three"].path("client")[-3:] == ["FIN-WAIT-1", "TIME-WAIT", "CLOSED"]
                and runs["four"].path("client")[-4:] == ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
            ),
        ),
        Claim(
            N_(
                "The ACK cannot wait for the program: if none comes, the client takes its FIN for lost and sends it "
                "{fins} times in {seconds:.0f} s."
            ),
            lambda runs: (
                len(runs["waits"].sent(FIN, "client")) > 3
                and all(one.arrivals for one in runs["waits"].sent(FIN, "client"))
                and runs["waits"].path("client")[-3:] == ["FIN-WAIT-1", "TIME-WAIT", "CLOSED"]
            ),
            lambda runs: {
                "fins": len(runs["waits"].sent(FIN, "client")),
                "seconds": after_fin(runs["waits"], runs["waits"].sent(FIN, "server")[0]) * MS / SECOND,
            },
        ),
    ),
    answer=N_(
        "A SYN is answered by TCP alone, which can say SYN and ACK in one breath. The second FIN is not TCP's to send: "
        "it says that the server's program has no more data, and only the program knows when that is. The ACK cannot "
        "wait for it, or the client would send its FIN again and again. So they are two messages, and four in all. If "
        "the program closes at once they may share a segment: TCP holds the ACK back for a few milliseconds for that. "
        "Nothing is left out, as each FIN is still acknowledged."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.8.6.3", "RFC 9293 §3.10.7.4"),
    tries=(
        Try(
            "C6 --world three --set tcp_delay_fin_ack=0",
            N_("The ACK leaves at once, the FIN right behind it: four messages again."),
        ),
        Try("C6 --world four --lose 5", N_("One ACK lost costs one FIN more, which is answered again.")),
    ),
)
