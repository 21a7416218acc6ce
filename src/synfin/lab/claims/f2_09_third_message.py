"""F2.9: when each end is ESTABLISHED."""

from __future__ import annotations

from synfin.lab.claims.bench import DELAY, MS, connects, pair, serves
from synfin.lab.claims.kernel import Kernel, Peer, state
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import ACK as BARE_ACK
from synfin.lab.running import Run
from synfin.sim import Network, Program, start
from synfin.wire.tcp import ACK, SYN


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, serves), start(network, here, connects)]


def established(run: Run) -> tuple[float, float, float]:
    """Milliseconds: when the third message was sent, and when client and server were ESTABLISHED."""
    third = run.sent(BARE_ACK, "client")[0].time
    return third / MS, run.when("client", "ESTABLISHED") / MS, run.when("server", "ESTABLISHED") / MS


def on_linux() -> Figures:
    """Both sides: the kernel as client, when its third message has been read; and as server, before and after."""
    with Kernel() as kernel:
        sock, _ = kernel.connected()
        client = state(sock)
        sock.close()
    with Kernel() as kernel:
        kernel.listening()
        peer = Peer(kernel)
        peer.send(SYN)
        peer.expect(SYN | ACK)
        kernel.listen_for(0.3)
        before = kernel.states()
        peer.send(ACK)
        return {"client": client, "before": before[0], "after": kernel.states()[0]}


CLAIM = TextClaim(
    name="F2.9",
    text=N_("When the third message is sent, both ends are ESTABLISHED."),
    rfc=N_("The client is as soon as it sends it; the server stays in SYN-RECEIVED until it arrives."),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.4"),
    linux=(
        Measured(
            "both",
            N_("As client: {client} once the ACK has left. As server: {before} until it arrives, then {after}."),
            on_linux,
            lambda found: (
                [found[key] for key in ("client", "before", "after")] == ["ESTABLISHED", "SYN-RECEIVED", "ESTABLISHED"]
            ),
        ),
    ),
    worlds=(
        World("plain", N_("The three messages"), scenario, (), 100 * MS),
        World("lost", N_("The third message is lost"), scenario, ("lose 1st ACK",), 500 * MS),
    ),
    claims=(
        Claim(
            N_(
                "The client is ESTABLISHED at {client:g} ms, when it sends the third message; the "
                "server at {server:g} ms."
            ),
            lambda runs: (
                established(runs["plain"])[0] == established(runs["plain"])[1]
                and established(runs["plain"])[2] == established(runs["plain"])[1] + DELAY / MS
            ),
            lambda runs: dict(zip(("client", "server"), established(runs["plain"])[1:], strict=True)),
        ),
        Claim(
            N_("If it is lost, the client is {client} and the server {server}."),
            lambda runs: (
                (runs["lost"].state("client"), runs["lost"].state("server")) == ("ESTABLISHED", "SYN-RECEIVED")
            ),
            lambda runs: {"client": runs["lost"].state("client"), "server": runs["lost"].state("server")},
        ),
    ),
    text_holds=lambda runs: established(runs["plain"])[2] <= established(runs["plain"])[0],
)
