"""F2.20: what silence for 2MSL proves."""

from __future__ import annotations

from synfin.lab.claims.bench import SECOND
from synfin.lab.claims.f2_19_last_ack import scenario
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import FIN, Run
from synfin.wire.tcp import ACK, RST
from synfin.wire.tcp import FIN as FIN_FLAG


def state_at(run: Run, host: str, time: int) -> str:
    """The state of `host` at that time."""
    return [state for state in run.path(host) if state != "LISTEN" and run.when(host, state) <= time][-1]


def on_linux() -> Figures:
    """A peer that never got the last ACK, and whose FINs do not come through for 60 s."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        sock.close()
        peer.expect(FIN_FLAG | ACK)
        peer.send(FIN_FLAG | ACK)
        peer.expect(ACK)
        seconds = kernel.until(lambda: not kernel.states(), 70)
        peer.send(FIN_FLAG | ACK, seq=peer.seq - 1)
        peer.expect(RST)
        return {"seconds": round(seconds), "resets": len(peer.sent(RST))}


CLAIM = TextClaim(
    name="F2.20",
    text=N_("If nothing comes for 2MSL, that proves that the server has closed."),
    rfc=N_("Nothing is proved. 2MSL are time for an ACK to arrive, or for a lost one to bring the FIN again."),
    clauses=("RFC 9293 §3.6.1", "RFC 9293 §3.4.2"),
    linux=(
        Measured(
            "silence",
            N_(
                "TIME-WAIT ends after {seconds} s; the peer, still in LAST-ACK, sends its FIN again "
                "and gets {resets} RST."
            ),
            on_linux,
            lambda found: found["resets"] == 1,
            slow=True,
        ),
    ),
    worlds=(
        World(
            "partition",
            N_("The network fails before the last ACK is sent"),
            scenario,
            ("lose 2nd ACK from client", "lose 2nd-20th FIN from server"),
            300 * SECOND,
        ),
    ),
    claims=(
        Claim(
            N_("When the client's TIME-WAIT ends, at {seconds:.0f} s, the server is in {state}."),
            lambda runs: (
                state_at(runs["partition"], "server", runs["partition"].when("client", "CLOSED")) == "LAST-ACK"
            ),
            lambda runs: {
                "seconds": runs["partition"].when("client", "CLOSED") / SECOND,
                "state": state_at(runs["partition"], "server", runs["partition"].when("client", "CLOSED")),
            },
        ),
        Claim(
            N_("The client heard nothing for all that time, and the server sent its FIN {count} times."),
            lambda runs: (
                sum(
                    one.loss is not None and one.time < runs["partition"].when("client", "CLOSED")
                    for one in runs["partition"].sent(FIN, "server")
                )
                > 3
            ),
            lambda runs: {"count": len(runs["partition"].sent(FIN, "server"))},
        ),
    ),
    text_holds=lambda runs: (
        state_at(runs["partition"], "server", runs["partition"].when("client", "CLOSED")) == "CLOSED"
    ),
)
