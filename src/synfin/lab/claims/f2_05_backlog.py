"""F2.5: what the backlog of listen bounds."""

from __future__ import annotations

from functools import partial

from synfin.lab.claims.bench import HOUR, MS, PORT, SECOND, connects, pair, tuned
from synfin.lab.claims.kernel import Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, SYN

BACKLOG, LARGER = 2, 5


def never_accepts(program: Program, backlog: int) -> Steps[None]:
    program.listening(PORT, backlog)
    yield from program.sleep(HOUR)


def scenario(network: Network, backlog: int = BACKLOG, somaxconn: int = 4096) -> list[Program]:
    """Clients that connect one after the other, 100 ms apart."""
    here, there = pair(network, server=tuned(somaxconn=somaxconn))
    programs = [start(network, there, partial(never_accepts, backlog=backlog))]
    for number in range(5):
        network.at((1 + 100 * number) * MS, lambda: programs.append(start(network, here, connects)))
    return programs


def queues(run: Run) -> tuple[int, int]:
    """How many wait at the end: half-open, and for accept."""
    listener = next(iter(run.node("server").host.transport.all_listeners()))
    return len(listener.requests), len(listener.accept_queue)


def accept_queue(backlog: int = BACKLOG, **sysctls: int) -> Figures:
    """Six that connect, and nobody accepts."""
    with Kernel(**sysctls) as kernel:
        kernel.listening(backlog)
        for number in range(6):
            peer = Peer(kernel, 4000 + number)
            peer.send(SYN)
            kernel.listen_for(0.01)
            if peer.sent(SYN | ACK):
                peer.expect(SYN | ACK)
                peer.send(ACK)
        return {"backlog": backlog, "accept": kernel.states().count("ESTABLISHED")}


def both_queues() -> Figures:
    """Two that connect, and then six that leave out the third message; no SYN cookies."""
    with Kernel(tcp_syncookies=0) as kernel:
        kernel.listening(BACKLOG)
        for number in range(2):
            Peer(kernel, 4000 + number).open()
        for number in range(6):
            Peer(kernel, 5000 + number).send(SYN)
        kernel.listen_for(0.05)
        states = kernel.states()
        found = {"accept": states.count("ESTABLISHED"), "half_open": states.count("SYN-RECEIVED")}
        return {"backlog": BACKLOG, **found, "together": sum(found.values())}


CLAIM = TextClaim(
    name="F2.5",
    text=N_("The SYN queue and the accept queue together may not exceed the backlog."),
    rfc=N_("The RFC has no queues and no backlog: a passive OPEN waits for one connection. The rule is an old BSD's."),
    clauses=("RFC 9293 §3.9.1.1", "listen(2)"),
    linux=(
        Measured(
            "accept",
            N_("With a backlog of {backlog}, {accept} wait in the accept queue: one more than the backlog."),
            accept_queue,
            lambda found: found["accept"] == BACKLOG + 1,
        ),
        Measured(
            "somaxconn",
            N_("With net.core.somaxconn=1 and a backlog of {backlog}, {accept} do."),
            partial(accept_queue, LARGER, **{"core/somaxconn": 1}),
            lambda found: found["accept"] == 2,
        ),
        Measured(
            "both",
            N_("{accept} wait for accept and {half_open} are half-open: {together} with a backlog of {backlog}."),
            both_queues,
            lambda found: int(found["together"]) > BACKLOG,
        ),
    ),
    worlds=(
        World("complete", N_("Nobody accepts; five clients connect"), scenario, (), SECOND, connections=4),
        World(
            "half-open",
            N_("The same, but SYN+ACKs are lost after the second"),
            scenario,
            ("lose SYN+ACK from 150ms",),
            SECOND,
            "none",
        ),
        World(
            "somaxconn",
            N_("A backlog of 5, but net.core.somaxconn is 1"),
            partial(scenario, backlog=LARGER, somaxconn=1),
            (),
            SECOND,
            "none",
        ),
    ),
    claims=(
        Claim(
            N_(
                "With a backlog of {backlog}, {accept} complete connections wait to be accepted; later "
                "SYNs are dropped."
            ),
            lambda runs: (
                queues(runs["complete"]) == (0, BACKLOG + 1)
                and [run.call("connect").waits for run in runs["complete"].programs[1:]] == [False] * 3 + [True] * 2
            ),
            lambda runs: {"backlog": BACKLOG, "accept": queues(runs["complete"])[1]},
        ),
        Claim(
            N_("A larger backlog is cut to net.core.somaxconn: with 1 there, {accept} wait, whatever the backlog."),
            lambda runs: queues(runs["somaxconn"]) == (0, 2),
            lambda runs: {"accept": queues(runs["somaxconn"])[1]},
        ),
        Claim(
            N_(
                "{half_open} half-open connections wait beside {accept} complete ones: two queues, "
                "each with its own limit."
            ),
            lambda runs: queues(runs["half-open"])[0] == BACKLOG + 1 and queues(runs["half-open"])[1] == BACKLOG,
            lambda runs: {"half_open": queues(runs["half-open"])[0], "accept": queues(runs["half-open"])[1]},
        ),
    ),
    text_holds=lambda runs: all(sum(queues(run)) <= BACKLOG for run in runs.values()),
)
