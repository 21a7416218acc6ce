"""F2.27: whether a graceful close rules out loss."""

from __future__ import annotations

from errno import ECONNRESET
from functools import partial

from synfin.lab.claims.bench import HOUR, MS, PORT, pair
from synfin.lab.claims.kernel import Kernel, outcome
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import FIN, RST, Run
from synfin.sim import Network, Program, Steps, start

OCTETS = 3000


def server(program: Program) -> Steps[None]:
    """Writes, closes its half in good order, and waits for the other."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(20 * MS)
    yield from sock.sendall(bytes(OCTETS))
    sock.shutdown()
    yield from sock.recv()
    sock.close()


def client(program: Program, size: int) -> Steps[None]:
    """Reads `size` octets, or to the end, and closes."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(200 * MS)
    got = 0
    while got < size and (data := (yield from sock.recv(size - got))):
        got += len(data)
    sock.close()
    yield from program.sleep(HOUR)


def scenario(network: Network, size: int) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, partial(client, size=size))]


def read(run: Run) -> int:
    calls = run.program("client").calls
    return sum(len(call.result) for call in calls if call.name == "recv" and isinstance(call.result, bytes))


def last(run: Run) -> int:
    """The errno of what the server's program did last; 0 if it saw the end of the stream."""
    error = run.program("server").call("recv").error
    return 0 if error is None else error.errno or 0


def close_after(size: int) -> str:
    """Over loopback: 3000 octets, of which the other reads `size` before it closes; what the writer then meets."""
    with Kernel() as kernel:
        client, served = kernel.loopback()
        served.sendall(bytes(OCTETS))
        got = 0
        while got < size:
            got += len(client.recv(size - got))
        client.close()
        return outcome(lambda: served.recv(1))


def on_linux() -> Figures:
    return {"some": close_after(1000), "all": close_after(OCTETS)}


CLAIM = TextClaim(
    name="F2.27",
    text=N_("A graceful close rules out that data are lost."),
    rfc=N_("Not if the reader closes with data unread: then a RST is to say that data were lost."),
    clauses=("RFC 9293 §3.6.1", "RFC 2525 §2.17"),
    linux=(
        Measured(
            "unread",
            N_("The reader closes after 1000 of 3000 octets: the writer meets {some}; after all of them: {all}."),
            on_linux,
            lambda found: (found["some"], found["all"]) == ("ECONNRESET", "ok"),
        ),
    ),
    worlds=(
        World("some", N_("The client closes after 1000 of 3000 octets"), partial(scenario, size=1000)),
        World("all", N_("The client reads to the end, and closes"), partial(scenario, size=OCTETS + 1)),
    ),
    claims=(
        Claim(
            N_("The server closed in good order, with a FIN; yet {lost} octets reach no program."),
            lambda runs: (
                len(runs["some"].sent(FIN, "server")) == 1
                and not [one for one in runs["some"].sent() if one.loss is not None]
                and read(runs["some"]) == 1000
            ),
            lambda runs: {"lost": OCTETS - read(runs["some"])},
        ),
        Claim(
            N_("The client's close sends a RST, no FIN, and the server's program meets ECONNRESET."),
            lambda runs: (
                len(runs["some"].sent(RST, "client")) >= 1
                and not runs["some"].sent(FIN, "client")
                and last(runs["some"]) == ECONNRESET
            ),
        ),
        Claim(
            N_("Where the client reads to the end, all {octets} octets arrive, and both ends close with a FIN."),
            lambda runs: (
                read(runs["all"]) == OCTETS
                and not runs["all"].sent(RST)
                and last(runs["all"]) == 0
                and {one.sender.host for one in runs["all"].sent(FIN)} == {"client", "server"}
            ),
            lambda runs: {"octets": read(runs["all"])},
        ),
    ),
    text_holds=lambda runs: read(runs["some"]) == OCTETS or last(runs["some"]) == 0,
)
