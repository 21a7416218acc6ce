"""F2.21: what is known before TIME-WAIT."""

from __future__ import annotations

from synfin.lab.claims.bench import MS, PORT, SECOND, pair, serves
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, FIN

OCTETS = 1000


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    yield from sock.sendall(bytes(OCTETS))
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, serves), start(network, here, client)]


def acknowledged(run: Run) -> int:
    """When the ACK for the client's last octet arrived. Raises LookupError if it never did."""
    end = (run.sent(DATA, "client")[0].segment.seq + OCTETS) % (1 << 32)
    for one in run.sent(host="server"):
        if (one.segment.ack - end) % (1 << 32) <= 1 and one.arrivals:
            return one.arrivals[0].time
    raise LookupError("never acknowledged")


def on_linux() -> Figures:
    """A kernel that closed with 1000 octets on the way: its state when a FIN comes, and when all is acknowledged."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        before = peer.ack
        sock.send(bytes(OCTETS))
        sock.close()
        peer.expect(FIN | ACK)
        peer.send(FIN | ACK, ack=before)
        unacknowledged = kernel.states()[0]
        peer.send(ACK)
        return {"before": unacknowledged, "after": kernel.states()[0]}


CLAIM = TextClaim(
    name="F2.21",
    text=N_("TIME-WAIT makes sure that all data have arrived."),
    rfc=N_(
        "All data are acknowledged before it: FIN-WAIT-1 is left only when the FIN is. It guards the "
        "last ACK and the four-tuple."
    ),
    clauses=("RFC 9293 §3.10.7.4", "RFC 9293 §3.6.1"),
    linux=(
        Measured(
            "order",
            N_(
                "It closed, and the peer's FIN is there: {before} while data are unacknowledged, {after} once none are."
            ),
            on_linux,
            lambda found: (found["before"], found["after"]) == ("CLOSING", "TIME-WAIT"),
        ),
    ),
    worlds=(
        World("plain", N_("Data, and then close"), scenario),
        World("lost", N_("The data are lost three times"), scenario, ("lose 1st-3rd data",)),
    ),
    claims=(
        Claim(
            N_("The data are acknowledged at {acked:g} ms; TIME-WAIT does not begin before {began:g} ms."),
            lambda runs: all(acknowledged(run) <= run.when("client", "TIME-WAIT") for run in runs.values()),
            lambda runs: {
                "acked": acknowledged(runs["plain"]) / MS,
                "began": runs["plain"].when("client", "TIME-WAIT") / MS,
            },
        ),
        Claim(
            N_(
                "Where they are lost, the client waits for them in FIN-WAIT-1, and TIME-WAIT begins at {seconds:.1f} s."
            ),
            lambda runs: (
                runs["lost"].when("client", "TIME-WAIT") > SECOND // 2
                and max(one.time for one in runs["lost"].sent(DATA)) < runs["lost"].when("client", "TIME-WAIT")
            ),
            lambda runs: {"seconds": runs["lost"].when("client", "TIME-WAIT") / SECOND},
        ),
    ),
    text_holds=lambda runs: any(
        one.time >= run.when("client", "TIME-WAIT") for run in runs.values() for one in run.sent(DATA, "client")
    ),
)
