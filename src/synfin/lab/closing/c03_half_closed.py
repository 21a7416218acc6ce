"""C3: half-closed: what shutdown() leaves open and close() does not."""

from __future__ import annotations

from errno import EPIPE
from functools import partial

from synfin import reasons
from synfin.events import SegmentDropped
from synfin.lab.bench import MINUTE, MS, PORT, SECOND, pair, tuned
from synfin.lab.closing.hosts import last_change
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import DATA, RST, Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start

FIN_TIMEOUT = tuned().tcp.tcp_fin_timeout
QUESTION = b"How many?"


def asks(program: Program) -> Steps[None]:
    """Says that the question is complete, and reads the answer."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.send(QUESTION)
    yield from program.sleep(50 * MS)
    sock.shutdown()
    yield from sock.receive_all()
    sock.close()


def leaves(program: Program) -> Steps[None]:
    """Does not wait for the answer."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.send(QUESTION)
    yield from program.sleep(50 * MS)
    sock.close()


def server(program: Program, works: int) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from sock.receive_all()
    yield from program.sleep(works)
    yield from sock.sendall(b"Forty")
    yield from program.sleep(100 * MS)
    yield from sock.sendall(b"-two.")
    yield from program.sleep(100 * MS)
    sock.close()


def scenario(network: Network, closes: bool, works: int) -> list[Program]:
    here, there = pair(network)
    client = leaves if closes else asks
    return [start(network, there, partial(server, works=works)), start(network, here, client, "client")]


def late(run: Run) -> list[Transmission]:
    """The server's data, sent after the client's FIN."""
    return run.sent(DATA, "server")


def heard(run: Run) -> bytes:
    return b"".join(
        call.result for call in run.program("client").calls if call.name == "recv" and isinstance(call.result, bytes)
    )


def in_close_wait(run: Run) -> float:
    """Seconds that the server was in CLOSE-WAIT."""
    return (run.when("server", "LAST-ACK") - run.when("server", "CLOSE-WAIT")) / SECOND


def before_answer(run: Run) -> list[tuple[int, str, int, int, int]]:
    """Every segment before the late data: when, from whom, flags and numbers."""
    first = late(run)[0].time
    return [
        (one.time, one.sender.host, one.segment.flags, one.segment.seq, one.segment.ack)
        for one in run.sent()
        if one.time < first
    ]


EXPERIMENT = Experiment(
    row="C3",
    question=N_("May the other end still send when one end has closed?"),
    prediction=N_(
        "The client has no more to say, but waits for an answer. Can it close its own direction alone? What is the "
        "difference between shutdown(SHUT_WR) and close()? On the wire both send the same FIN."
    ),
    watch=N_("What becomes of the data that the server sends after the client's FIN."),
    worlds=(
        World("shutdown", N_("The client calls shutdown(SHUT_WR)"), partial(scenario, closes=False, works=2 * SECOND)),
        World("close", N_("The client calls close()"), partial(scenario, closes=True, works=2 * SECOND)),
        World(
            "long",
            N_("shutdown(SHUT_WR), and the answer takes ten minutes"),
            partial(scenario, closes=False, works=10 * MINUTE),
            picture="none",
        ),
    ),
    claims=(
        Claim(
            N_(
                "After shutdown() the client is in FIN-WAIT-2 and accepts what comes late: recv() returns all {octets} "
                "octets, and then the end of the file."
            ),
            lambda runs: (
                heard(runs["shutdown"]) == b"Forty-two."
                and all(one.arrivals[0].new_state == "FIN-WAIT-2" for one in late(runs["shutdown"]))
                and all(not one.arrivals[0].dropped for one in late(runs["shutdown"]))
                and not runs["shutdown"].sent(RST)
            ),
            lambda runs: {"octets": len(heard(runs["shutdown"]))},
        ),
        Claim(
            N_(
                "The server may take as long as it likes: {seconds:.0f} s in CLOSE-WAIT change nothing, though that is "
                "far more than tcp_fin_timeout. That limit is for sockets that are closed."
            ),
            lambda runs: heard(runs["long"]) == b"Forty-two." and in_close_wait(runs["long"]) > 5 * FIN_TIMEOUT,
            lambda runs: {"seconds": in_close_wait(runs["long"])},
        ),
        Claim(
            N_(
                "After close() nobody is there to read: the first data that come late are answered with RST, and the "
                "client is CLOSED without TIME-WAIT."
            ),
            lambda runs: (
                [drop.reason for drop in runs["close"].of(SegmentDropped, "client")][:1] == [reasons.DATA_AFTER_CLOSE]
                and len(runs["close"].sent(RST, "client")) >= 1
                and last_change(runs["close"], "client").old == "FIN-WAIT-2"
                and "TIME-WAIT" not in runs["close"].path("client")
            ),
        ),
        Claim(
            N_("The server is told when it writes again: its second sendall() fails with EPIPE."),
            lambda runs: (
                getattr(runs["close"].program("server").call("sendall").error, "errno", 0) == EPIPE
                and runs["shutdown"].program("server").call("sendall").error is None
            ),
        ),
        Claim(
            N_(
                "Until the answer comes the two look the same on the wire: the same {segments} segments, at the same "
                "times."
            ),
            lambda runs: before_answer(runs["shutdown"]) == before_answer(runs["close"]),
            lambda runs: {"segments": len(before_answer(runs["close"]))},
        ),
    ),
    answer=N_(
        "A connection is two streams, and each is closed for itself. shutdown(SHUT_WR) ends one's own stream and keeps "
        "the other: the connection is half-closed, and data still flow towards the end that sent the FIN. That is how "
        "a program says that its question is complete, as ssh, rsync and many others do. close() gives up the socket, "
        "so that nobody could read what comes; TCP must tell the sender so, and resets. The FIN itself does not say "
        "which of the two was meant."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.6.1", "RFC 9293 §3.10.4", "shutdown(2)"),
    tries=(
        Try(
            "C3 --world close --set tcp_fin_timeout=1",
            N_("FIN-WAIT-2 is over before the answer comes: it is answered with RST all the same."),
        ),
        Try("C3 --world shutdown --lose 8", N_("The late data are lost, and are sent again as at any other time.")),
    ),
)
