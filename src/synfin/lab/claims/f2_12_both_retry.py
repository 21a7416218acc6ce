"""F2.12: who sends again when the SYN+ACK is lost."""

from __future__ import annotations

from synfin.lab.claims.bench import SECOND, connects, pair, serves
from synfin.lab.claims.kernel import Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import SYN, SYN_ACK
from synfin.sim import Network, Program, start
from synfin.wire.tcp import ACK
from synfin.wire.tcp import SYN as SYN_FLAG


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, serves), start(network, here, connects)]


def on_linux() -> Figures:
    """A kernel that has sent a SYN, and a SYN+ACK, and hears no more: what it sends within 1.3 s."""
    with Kernel() as kernel:
        kernel.listening()
        asking = Peer(kernel, 5000)
        asking.send(SYN_FLAG)
        _, asked = kernel.connecting()
        kernel.listen_for(1.3)
        return {"syns": len(asked.sent(SYN_FLAG)), "syn_acks": len(asking.sent(SYN_FLAG | ACK))}


CLAIM = TextClaim(
    name="F2.12",
    text=N_("When the SYN+ACK is lost, only the client sends again."),
    rfc=N_("Both have a SYN that is not acknowledged, and both have a timer for it."),
    clauses=("RFC 9293 §3.8.1", "RFC 6298 §5"),
    linux=(
        Measured(
            "both",
            N_("To a silent peer it sends {syns} SYNs as client and {syn_acks} SYN+ACKs as server within 1.3 s."),
            on_linux,
            lambda found: found["syns"] == found["syn_acks"] == 2,
        ),
    ),
    worlds=(
        World("both", N_("The first SYN+ACK is lost"), scenario, ("lose 1st SYN+ACK",), 3 * SECOND),
        World(
            "server",
            N_("The first SYN+ACK is lost, and so are further SYNs: the server is on its own"),
            scenario,
            ("lose 1st SYN+ACK", "lose 2nd-9th SYN"),
            3 * SECOND,
        ),
    ),
    claims=(
        Claim(
            N_("The client sends {syns} SYNs."),
            lambda runs: len(runs["both"].sent(SYN)) == 2,
            lambda runs: {"syns": len(runs["both"].sent(SYN))},
        ),
        Claim(
            N_(
                "The server, which hears no second SYN, sends its SYN+ACK again after {seconds:g} s, and that opens it."
            ),
            lambda runs: (
                runs["server"].times(SYN_ACK) == [0.01, 1.01]
                and runs["server"].state("client") == runs["server"].state("server") == "ESTABLISHED"
            ),
            lambda runs: {"seconds": runs["server"].times(SYN_ACK)[1] - runs["server"].times(SYN_ACK)[0]},
        ),
    ),
    text_holds=lambda runs: len(runs["server"].sent(SYN_ACK)) == 1,
)
