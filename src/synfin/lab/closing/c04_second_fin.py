"""C4: the passive end closes too."""

from __future__ import annotations

from functools import partial

from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, FIN, Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start

LAST_WORDS = b"Goodbye, Client!"


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.shutdown()
    yield from sock.receive_all()
    sock.close()


def server(program: Program, says: bytes) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from sock.receive_all()
    yield from program.sleep(100 * MS)
    if says:
        sock.send(says)
        yield from program.sleep(100 * MS)
    sock.close()


def scenario(network: Network, says: bytes = b"") -> list[Program]:
    here, there = pair(network)
    return [start(network, there, partial(server, says=says)), start(network, here, client)]


def fin(run: Run) -> Transmission:
    """The server's FIN."""
    return run.sent(FIN, "server")[0]


def w_minus_v(run: Run) -> int:
    """How far the number of the server's FIN lies beyond that of its ACK of the client's FIN."""
    return (fin(run).segment.seq - run.sent(ACK, "server")[0].segment.seq) % 2**32


def in_close_wait(run: Run) -> float:
    """Milliseconds that the server was in CLOSE-WAIT."""
    return (run.when("server", "LAST-ACK") - run.when("server", "CLOSE-WAIT")) / MS


EXPERIMENT = Experiment(
    row="C4",
    question=N_("What is in the second FIN?"),
    prediction=N_("The server's ACK had seq=v. What number w does its FIN have, and what does it acknowledge?"),
    watch=N_("seq and ack of message 6 beside those of message 5, and the server's state."),
    worlds=(
        World("nothing", N_("The server closes without a further word"), scenario),
        World("data", N_("The server sends its last data first"), partial(scenario, says=LAST_WORDS)),
    ),
    claims=(
        Claim(
            N_(
                "w is the number after the last octet: w = v if nothing was sent since, w = v+{octets} after {octets} "
                "octets in CLOSE-WAIT."
            ),
            lambda runs: w_minus_v(runs["nothing"]) == 0 and w_minus_v(runs["data"]) == len(LAST_WORDS),
            lambda runs: {"octets": w_minus_v(runs["data"])},
        ),
        Claim(
            N_("It is a FIN+ACK, and says ack=u+1 once more: the client has sent nothing since its FIN, and cannot."),
            lambda runs: all(
                fin(run).segment.flags & (FIN | ACK) == FIN | ACK
                and fin(run).segment.ack
                == run.sent(ACK, "server")[0].segment.ack
                == (run.sent(FIN, "client")[0].segment.seq + 1) % 2**32
                for run in runs.values()
            ),
        ),
        Claim(
            N_(
                "close() sends it, and takes the server from CLOSE-WAIT to LAST-ACK; {first:.0f} ms and {second:.0f} "
                "ms passed there as the program worked."
            ),
            lambda runs: all(
                (fin(run).old_state, fin(run).new_state) == ("CLOSE-WAIT", "LAST-ACK")
                and fin(run).time == run.program("server").call("close").began
                for run in runs.values()
            ),
            lambda runs: {"first": in_close_wait(runs["nothing"]), "second": in_close_wait(runs["data"])},
        ),
        Claim(
            N_(
                "The client's program hears the end only now: recv() returns no octets when message 6 arrives, and "
                "TIME-WAIT begins."
            ),
            lambda runs: all(
                run.program("client").call("recv").result == b""
                and run.program("client").call("close").began == fin(run).arrivals[0].time
                and fin(run).arrivals[0].new_state == "TIME-WAIT"
                for run in runs.values()
            ),
        ),
    ),
    answer=N_(
        "The second FIN is like the first, in the other direction: it consumes one number, w, behind all that the "
        "server has sent. It repeats ack=u+1, because every segment of an open connection bears an acknowledgment. In "
        "LAST-ACK the server waits for one thing only, the acknowledgment of its FIN: the last ACK that there will be."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.10.4"),
    tries=(
        Try("C4 --world nothing --lose 6", N_("The server repeats it with the same w until it is acknowledged.")),
        Try(
            "C4 --world data --lose 6",
            N_("The last data are lost: the FIN arrives first, and the client waits for what is missing."),
        ),
    ),
)
