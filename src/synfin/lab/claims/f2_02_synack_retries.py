"""F2.2: what tcp_synack_retries counts."""

from __future__ import annotations

from synfin.events import StateChanged
from synfin.lab.claims.bench import MS, connects, pair, serves, tuned
from synfin.lab.claims.kernel import Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import SYN, SYN_ACK, Run
from synfin.sim import Network, Program, start
from synfin.wire.tcp import ACK

RETRIES = 5


def scenario(network: Network) -> list[Program]:
    """The client's machine dies when its SYN is on the way."""
    here, there = pair(network, server=tuned(tcp_synack_retries=RETRIES))
    programs = [start(network, there, serves), start(network, here, connects)]
    network.at(5 * MS, here.power_off)
    return programs


def half_open_for(run: Run) -> float:
    """Seconds for which the server waits for the third message."""
    (forgotten,) = (change for change in run.of(StateChanged, "server") if change.old == "SYN-RECEIVED")
    return (forgotten.time - run.when("server", "SYN-RECEIVED")) / 1e9


def default() -> Figures:
    with Kernel() as kernel:
        return {"retries": kernel.sysctl("tcp_synack_retries")}


def count(**sysctls: int) -> Figures:
    """SYN+ACKs that the kernel sends to a peer that sends a SYN and falls silent."""
    with Kernel(**sysctls) as kernel:
        kernel.listening()
        peer = Peer(kernel)
        peer.send(SYN)
        seconds = kernel.until(lambda: bool(peer.sent(SYN | ACK)) and not kernel.states(), 80)
        return {"syn_acks": len(peer.sent(SYN | ACK)), "seconds": round(seconds)}


CLAIM = TextClaim(
    name="F2.2",
    text=N_("tcp_synack_retries is the number of SYN+ACKs that are sent."),
    rfc=N_(
        "The SYN of a SYN+ACK takes a number, so it is sent again until acknowledged: "
        "as any SYN for 3 minutes at least."
    ),
    clauses=("RFC 9293 §3.8.1", "RFC 9293 §3.8.3"),
    linux=(
        Measured("default", N_("The default is {retries}."), default, lambda found: found["retries"] == RETRIES),
        Measured(
            "none",
            N_("With tcp_synack_retries=0 there is still {syn_acks} SYN+ACK: it counts retransmissions."),
            lambda: {"syn_acks": count(tcp_synack_retries=0)["syn_acks"]},
            lambda found: found["syn_acks"] == 1,
        ),
        Measured(
            "all",
            N_("As it comes: {syn_acks} SYN+ACKs, and the request is gone after {seconds} s."),
            count,
            lambda found: found["syn_acks"] == RETRIES + 1,
            slow=True,
        ),
    ),
    worlds=(World("silent", N_("The client falls silent after its SYN"), scenario),),
    claims=(
        Claim(
            N_("The server sends {count} SYN+ACKs, at {times} s: the first, and tcp_synack_retries more."),
            lambda runs: [round(time) for time in runs["silent"].times(SYN_ACK, "server")] == [0, 1, 3, 7, 15, 31],
            lambda runs: {
                "count": len(runs["silent"].sent(SYN_ACK)),
                "times": [f"{time:.2f}" for time in runs["silent"].times(SYN_ACK, "server")],
            },
        ),
        Claim(
            N_("{seconds:g} s after the SYN it gives up, and the half-open connection is gone."),
            lambda runs: round(half_open_for(runs["silent"])) == 63,
            lambda runs: {"seconds": half_open_for(runs["silent"])},
        ),
    ),
    text_holds=lambda runs: len(runs["silent"].sent(SYN_ACK)) == RETRIES,
)
