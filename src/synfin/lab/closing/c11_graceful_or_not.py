"""C11: what close does with what was written, and what SO_LINGER makes of it."""

from __future__ import annotations

from errno import ECONNRESET
from functools import partial

from synfin import reasons
from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.closing.hosts import last_change
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import DATA, FIN, RST, Run
from synfin.sim import Network, Program, Steps, start
from synfin.sim.programs import Body, Call

#: How long SO_LINGER makes close wait at most, in seconds.
LINGER = 1


def writes(program: Program, linger: int = -1) -> Steps[None]:
    """Writes twice and closes at once. The second word waits in the buffer for the ACK of the first (Nagle)."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    if linger >= 0:
        sock.set_linger(linger)
    sock.send(b"Hello, ")
    sock.send(b"Server!")
    yield from sock.closed()


def listens(program: Program) -> Steps[None]:
    """Writes, and waits for an answer."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.send(b"Hello, Server!")
    yield from sock.recv()


def reads(program: Program) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from program.sleep(100 * MS)
    yield from sock.receive_all()
    sock.close()


def reads_little(program: Program) -> Steps[None]:
    """Reads one word, and has enough."""
    sock = yield from program.listening(PORT).accept()
    yield from sock.recv(7)
    yield from program.sleep(100 * MS)
    sock.close()


def scenario(network: Network, here: Body, there: Body = reads) -> list[Program]:
    left, right = pair(network)
    return [start(network, right, there), start(network, left, here)]


def got(run: Run) -> bytes:
    """What the server's program read."""
    return b"".join(
        call.result for call in run.program("server").calls if call.name == "recv" and isinstance(call.result, bytes)
    )


def close(run: Run) -> Call:
    return run.program("client").call("close")


def errno(run: Run, program: str) -> int:
    """With what recv() failed there."""
    return getattr(run.program(program).call("recv").error, "errno", None) or 0


def delivered(run: Run) -> int:
    """When the first data arrived (nanoseconds)."""
    return min(arrival.time for one in run.sent(DATA, "client") for arrival in one.arrivals)


EXPERIMENT = Experiment(
    row="C11",
    question=N_("Does close() throw away what was not yet sent?"),
    prediction=N_(
        "The client writes twice and closes at once, while the second word is still in its buffer. Does it arrive? And "
        "what if the reader closes without having read it all?"
    ),
    watch=N_("When close() returns, what has been sent by then, and what the server reads in the end."),
    worlds=(
        World("graceful", N_("close() as it comes"), partial(scenario, here=writes)),
        World("linger-zero", N_("SO_LINGER, 0 seconds"), partial(scenario, here=partial(writes, linger=0))),
        World("linger", N_("SO_LINGER, 1 second"), partial(scenario, here=partial(writes, linger=LINGER))),
        World(
            "linger-over",
            N_("SO_LINGER, 1 second, and the network is gone for 1.5"),
            partial(scenario, here=partial(writes, linger=LINGER)),
            ("partition from 35ms to 1535ms",),
        ),
        World("unread", N_("The reader closes with data unread"), partial(scenario, here=listens, there=reads_little)),
    ),
    claims=(
        Claim(
            N_(
                "close() returns at once, and yet all is delivered: TCP sends the second word, with the FIN behind it, "
                "and the server reads all {octets} octets and the end of the file."
            ),
            lambda runs: (
                close(runs["graceful"]).lasted == 0
                and got(runs["graceful"]) == b"Hello, Server!"
                and runs["graceful"].program("server").call("recv").result == b""
                and not runs["graceful"].sent(RST)
            ),
            lambda runs: {"octets": len(got(runs["graceful"]))},
        ),
        Claim(
            N_(
                "A reader that closes with data unread sends RST and no FIN, goes straight to CLOSED, and the writer's "
                "recv() fails with ECONNRESET: so it learns that not all was read."
            ),
            lambda runs: (
                got(runs["unread"]) == b"Hello, "
                and len(runs["unread"].sent(RST, "server")) == 1
                and not runs["unread"].sent(FIN)
                and last_change(runs["unread"], "server").reason == reasons.CLOSED_WITH_DATA_UNREAD
                and errno(runs["unread"], "client") == ECONNRESET
            ),
        ),
        Claim(
            N_(
                "With SO_LINGER close() waits until all is acknowledged, the FIN too: {ms:.0f} ms, a round trip and "
                "the delay of the ACK."
            ),
            lambda runs: (
                close(runs["linger"]).error is None
                and close(runs["linger"]).began + close(runs["linger"]).lasted
                >= runs["linger"].when("client", "FIN-WAIT-2")
                > close(runs["linger"]).began
                and got(runs["linger"]) == b"Hello, Server!"
            ),
            lambda runs: {"ms": close(runs["linger"]).lasted / MS},
        ),
        Claim(
            N_(
                "If its time passes, close() returns after {seconds:g} s, with nothing delivered. TCP goes on: when "
                "the network is back the server reads all of it."
            ),
            lambda runs: (
                close(runs["linger-over"]).lasted == LINGER * SECOND
                and runs["linger-over"].program("server").call("recv").began > close(runs["linger-over"]).began
                and got(runs["linger-over"]) == b"Hello, Server!"
                and delivered(runs["linger-over"]) > close(runs["linger-over"]).began + LINGER * SECOND
            ),
            lambda runs: {"seconds": close(runs["linger-over"]).lasted / SECOND},
        ),
        Claim(
            N_(
                "With a time of 0 close() sends RST at once. The second word, which send() had taken, is thrown away: "
                "the server reads {octets} octets, and then ECONNRESET."
            ),
            lambda runs: (
                close(runs["linger-zero"]).lasted == 0
                and runs["linger-zero"].sent(RST, "client")[0].time == close(runs["linger-zero"]).began
                and not runs["linger-zero"].sent(FIN)
                and sum(one.segment.payload_length for one in runs["linger-zero"].sent(DATA, "client")) == 7
                and got(runs["linger-zero"]) == b"Hello, "
                and errno(runs["linger-zero"], "server") == ECONNRESET
                and runs["linger-zero"].path("client")[-2:] == ["ESTABLISHED", "CLOSED"]
            ),
            lambda runs: {"octets": len(got(runs["linger-zero"]))},
        ),
    ),
    answer=N_(
        "A close is graceful: it means “I write no more”, and not “stop”. What was written before is delivered, and "
        "the FIN stands behind it. close() does not wait for that, so it cannot report that it failed; SO_LINGER makes "
        "it wait for a while. Two things make it abrupt: data that the closing program itself has not read, of which "
        "the sender must be told that they were lost, and SO_LINGER with a time of 0, which asks for it. Both send "
        "RST, and throw away what was still to be sent."
    ),
    clauses=("RFC 9293 §3.6", "RFC 9293 §3.6.1", "RFC 9293 §3.10.4", "RFC 9293 §3.10.5", "socket(7)"),
    tries=(
        Try(
            "C11 --world graceful --lose 4",
            N_("The first word is lost: it is sent again, though the program has closed."),
        ),
        Try("C11 --world linger --lose 5", N_("The FIN is lost: close() waits until it has come through.")),
    ),
)
