"""F2.3: what tcp_fin_timeout bounds."""

from __future__ import annotations

from synfin.lab.claims.bench import HOUR, MS, PORT, SECOND, pair, serves, tuned
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, FIN

TIMEOUT = 5


def closes(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.close()


def never_closes(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    yield from listener.accept()
    yield from program.sleep(HOUR)


def answered(network: Network) -> list[Program]:
    here, there = pair(network, client=tuned(tcp_fin_timeout=TIMEOUT))
    return [start(network, there, serves), start(network, here, closes)]


def orphan(network: Network) -> list[Program]:
    here, there = pair(network, client=tuned(tcp_fin_timeout=TIMEOUT))
    return [start(network, there, never_closes), start(network, here, closes)]


def lasted(run: Run, state: str) -> float:
    """Seconds from when the client came to `state` until it was CLOSED."""
    return (run.when("client", "CLOSED") - run.when("client", state)) / 1e9


def default() -> Figures:
    with Kernel() as kernel:
        return {"seconds": kernel.sysctl("tcp_fin_timeout")}


def fin_wait_2() -> Figures:
    """An orphan, with tcp_fin_timeout=1."""
    with Kernel(tcp_fin_timeout=1) as kernel:
        sock, peer = kernel.connected()
        sock.close()
        peer.expect(FIN | ACK)
        peer.send(ACK)
        before = kernel.states()
        seconds = kernel.until(lambda: not kernel.states(), 5)
        return {"state": ", ".join(before), "seconds": round(seconds)}


def time_wait(seconds: float) -> Figures:
    """The same with a FIN from the peer: what is there after that time, or for how long it stayed."""
    with Kernel(tcp_fin_timeout=1) as kernel:
        sock, peer = kernel.connected()
        sock.close()
        peer.expect(FIN | ACK)
        peer.send(FIN | ACK)
        if seconds:
            kernel.listen_for(seconds)
            return {"state": ", ".join(kernel.states())}
        kernel.until(lambda: kernel.states() == ["TIME-WAIT"])
        return {"seconds": round(kernel.until(lambda: not kernel.states(), 70))}


CLAIM = TextClaim(
    name="F2.3",
    text=N_("A smaller tcp_fin_timeout makes TIME-WAIT shorter."),
    rfc=N_("TIME-WAIT lasts 2 MSL. FIN-WAIT-2 has no limit in the RFC at all."),
    clauses=("RFC 9293 §3.6.1", "RFC 9293 §3.4.2"),
    linux=(
        Measured("default", N_("The default is {seconds} s."), default, lambda found: found["seconds"] == 60),
        Measured(
            "orphan",
            N_("With tcp_fin_timeout=1, {state} without a user ends after {seconds} s."),
            fin_wait_2,
            lambda found: found["state"] == "FIN-WAIT-2" and found["seconds"] in (1, 2),
        ),
        Measured(
            "time-wait",
            N_("With the same value, {state} is still there after 1.6 s."),
            lambda: time_wait(1.6),
            lambda found: found["state"] == "TIME-WAIT",
        ),
        Measured(
            "whole",
            N_("It lasts {seconds} s."),
            lambda: time_wait(0),
            lambda found: 59 <= int(found["seconds"]) <= 62,
            slow=True,
        ),
    ),
    worlds=(
        World("answered", N_("Both close; tcp_fin_timeout is 5 s"), answered),
        World("orphan", N_("The server never closes; tcp_fin_timeout is 5 s"), orphan, (), 60 * SECOND),
    ),
    claims=(
        Claim(
            N_("TIME-WAIT lasts {seconds:g} s all the same."),
            lambda runs: lasted(runs["answered"], "TIME-WAIT") == 60,
            lambda runs: {"seconds": lasted(runs["answered"], "TIME-WAIT")},
        ),
        Claim(
            N_("What ends after {seconds:g} s is FIN-WAIT-2 of a connection that its program has closed."),
            lambda runs: (
                lasted(runs["orphan"], "FIN-WAIT-2") == TIMEOUT and "TIME-WAIT" not in runs["orphan"].path("client")
            ),
            lambda runs: {"seconds": lasted(runs["orphan"], "FIN-WAIT-2")},
        ),
    ),
    text_holds=lambda runs: lasted(runs["answered"], "TIME-WAIT") < 60,
)
