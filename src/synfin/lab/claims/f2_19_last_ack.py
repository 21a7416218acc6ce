"""F2.19: when the last ACK is sent again."""

from __future__ import annotations

from synfin.lab.claims.bench import MS, PORT, SECOND, pair
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import ACK as BARE_ACK
from synfin.lab.running import FIN, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK
from synfin.wire.tcp import FIN as FIN_FLAG


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    yield from program.sleep(100 * MS)
    sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def last_acks(run: Run) -> list[int]:
    """When the client acknowledged the server's FIN (nanoseconds)."""
    return [one.time for one in run.sent(BARE_ACK, "client") if one.time >= run.when("client", "TIME-WAIT")]


def on_linux() -> Figures:
    """ACKs that the kernel sends in TIME-WAIT: by itself within 0.8 s, and for a FIN that comes again."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        sock.close()
        peer.expect(FIN_FLAG | ACK)
        peer.send(FIN_FLAG | ACK)
        peer.expect(ACK)
        first = len(peer.sent())
        kernel.listen_for(0.8)
        alone = len(peer.sent()) - first
        peer.send(FIN_FLAG | ACK, seq=peer.seq - 1)
        peer.expect(ACK)
        return {"alone": alone, "again": len(peer.sent()) - first, "state": kernel.states()[0]}


CLAIM = TextClaim(
    name="F2.19",
    text=N_("If the last ACK is lost, the client sends it again."),
    rfc=N_("Only if the FIN comes again. An ACK takes no number and is not acknowledged; no timer belongs to it."),
    clauses=("RFC 9293 §3.10.7.4", "RFC 9293 §3.8.1"),
    linux=(
        Measured(
            "again",
            N_("In {state} it sends {alone} ACKs by itself in 0.8 s, and {again} at once when the FIN comes again."),
            on_linux,
            lambda found: (found["alone"], found["again"], found["state"]) == (0, 1, "TIME-WAIT"),
        ),
    ),
    worlds=(
        World("again", N_("The last ACK is lost"), scenario, ("lose 2nd ACK from client",)),
        World(
            "silence",
            N_("The last ACK is lost, and every FIN after it"),
            scenario,
            ("lose 2nd ACK from client", "lose 2nd-20th FIN from server"),
        ),
    ),
    claims=(
        Claim(
            N_("The server's FIN comes again, and only then the client's ACK goes again, at the moment it arrives."),
            lambda runs: (
                len(runs["again"].sent(FIN, "server")) == 2
                and last_acks(runs["again"])[1:] == [runs["again"].sent(FIN, "server")[1].arrivals[0].time]
            ),
        ),
        Claim(
            N_("With it 2MSL start anew: TIME-WAIT ends {seconds:g} s after the second ACK."),
            lambda runs: runs["again"].when("client", "CLOSED") - last_acks(runs["again"])[1] == 60 * SECOND,
            lambda runs: {"seconds": (runs["again"].when("client", "CLOSED") - last_acks(runs["again"])[1]) / SECOND},
        ),
        Claim(
            N_(
                "Where no FIN comes again, the client sends {acks} ACK, the lost one, though it waits "
                "for {seconds:g} s."
            ),
            lambda runs: len(last_acks(runs["silence"])) == 1,
            lambda runs: {
                "acks": len(last_acks(runs["silence"])),
                "seconds": (runs["silence"].when("client", "CLOSED") - last_acks(runs["silence"])[0]) / SECOND,
            },
        ),
    ),
    text_holds=lambda runs: len(last_acks(runs["silence"])) > 1,
)
