"""F2.6: what leads to CLOSING."""

from __future__ import annotations

from synfin.events import SegmentReceived
from synfin.lab.claims.bench import MS, PORT, pair
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, FIN, SYN, Segment


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(100 * MS - program.now)
    sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(100 * MS - program.now)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def arrived_with(run: Run, state: str) -> Segment:
    """What arrived at the client when it came to `state`."""
    time = run.when("client", state)
    event = next(one for one in run.of(SegmentReceived, "client") if one.time == time)
    segment = event.packet.payload
    if not isinstance(segment, Segment):
        raise ValueError("no segment")
    return segment


def on_linux() -> Figures:
    """A SYN, then a FIN that acknowledges nothing new, to a kernel in FIN-WAIT-1."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        sock.close()
        before = peer.ack
        peer.expect(FIN | ACK)
        peer.send(SYN, seq=peer.seq)
        after_syn = kernel.states()
        peer.send(FIN | ACK, ack=before)
        after_fin = kernel.states()
        return {"after_syn": after_syn[0], "after_fin": after_fin[0]}


CLAIM = TextClaim(
    name="F2.6",
    text=N_("A client comes to CLOSING when, after its FIN, it receives a SYN."),
    rfc=N_("FIN-WAIT-1 goes to CLOSING for a FIN that comes before the ACK of its own: both closed at once."),
    clauses=("RFC 9293 §3.3.2", "RFC 9293 §3.10.7.4"),
    linux=(
        Measured(
            "fin",
            N_("A SYN leaves {after_syn} as it is; a FIN takes it to {after_fin}."),
            on_linux,
            lambda found: found["after_syn"] == "FIN-WAIT-1" and found["after_fin"] == "CLOSING",
        ),
    ),
    worlds=(World("together", N_("Both close at the same moment"), scenario),),
    claims=(
        Claim(
            N_("What arrives when the client goes to CLOSING is a FIN, and no SYN."),
            lambda runs: arrived_with(runs["together"], "CLOSING").flags & (SYN | FIN) == FIN,
        ),
        Claim(
            N_("Both ends go from FIN-WAIT-1 through CLOSING to TIME-WAIT."),
            lambda runs: all(
                runs["together"].path(host)[-4:] == ["FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
                for host in ("client", "server")
            ),
        ),
    ),
    text_holds=lambda runs: bool(arrived_with(runs["together"], "CLOSING").flags & SYN),
)
