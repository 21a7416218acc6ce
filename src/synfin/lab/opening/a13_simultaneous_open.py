"""A13: both ends open actively, at once."""

from __future__ import annotations

from errno import ECONNREFUSED
from functools import partial

from synfin.lab.bench import DELAY, MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, RST, SYN, SYN_ACK, Run
from synfin.sim import Network, Program, Steps, start


def peer(program: Program, other: str, at: int, speaks: bool) -> Steps[None]:
    """Connects at the time `at` (nanoseconds), from the very port to which the other connects."""
    yield from program.sleep(at)
    sock = program.socket()
    sock.bind(("", PORT))
    yield from sock.connect((other, PORT))
    if speaks:
        yield from program.sleep(30 * MS)
        yield from sock.sendall(b"Hello!")
    yield from sock.recv()
    yield from sock.recv()


def scenario(network: Network, later: int = 0) -> list[Program]:
    """The server connects `later` nanoseconds after the client."""
    here, there = pair(network)
    return [
        start(network, here, partial(peer, other="server", at=0, speaks=True)),
        start(network, there, partial(peer, other="client", at=later, speaks=False)),
    ]


HOSTS = ("client", "server")


def seqs(run: Run, kind: int, host: str) -> list[int]:
    return [one.segment.seq for one in run.sent(kind, host)]


def error(run: Run, host: str) -> int:
    """The errno with which connect() failed; 0 if it did not."""
    found = run.program(host).call("connect").error
    return found.errno or 0 if found is not None else 0


EXPERIMENT = Experiment(
    row="A13",
    question=N_("What if both ends call connect() at the same moment, and nobody listens?"),
    prediction=N_(
        "Both ends send a SYN, and the two SYNs cross. Neither is a server. Is that an error, one connection, or two? "
        "Through which states does each end go?"
    ),
    worlds=(
        World("together", N_("Both connect at the same moment"), scenario),
        World("lost", N_("The same, and the client's SYN is lost"), scenario, ("lose 1st SYN from client",)),
        World(
            "later", N_("The second end connects only after the first SYN arrived"), partial(scenario, later=15 * MS)
        ),
    ),
    watch=N_("The states on both sides, and what the second segment of each end repeats."),
    claims=(
        Claim(
            N_(
                "Both ends go from SYN-SENT to SYN-RECEIVED and then to ESTABLISHED, both {ms:.0f} ms after the start: "
                "it is the same path, and nobody is the server."
            ),
            lambda runs: all(
                runs["together"].path(host) == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
                and runs["together"].when(host, "ESTABLISHED") == 2 * DELAY
                for host in HOSTS
            ),
            lambda runs: {"ms": runs["together"].when("client", "ESTABLISHED") / MS},
        ),
        Claim(
            N_(
                "Each end answers the other's SYN by sending its own again, with the same number and now with an ACK: "
                "{segments} segments open the connection, not three."
            ),
            lambda runs: (
                all(
                    seqs(runs["together"], SYN, host) == seqs(runs["together"], SYN_ACK, host) != []
                    and len(seqs(runs["together"], SYN, host)) == 1
                    for host in HOSTS
                )
                and not [one for one in runs["together"].sent(ACK) if one.time <= 2 * DELAY]
            ),
            lambda runs: {"segments": len(runs["together"].sent(SYN)) + len(runs["together"].sent(SYN_ACK))},
        ),
        Claim(
            N_("It is one connection, for there is one four-tuple: both calls of connect() succeed, and data arrive."),
            lambda runs: (
                len(runs["together"].histories) == 1
                and not error(runs["together"], "client")
                and not error(runs["together"], "server")
                and b"Hello!" in [call.result for call in runs["together"].program("server").calls]
                and all(len(runs["together"].node(host).host.transport.connections) == 1 for host in HOSTS)
            ),
        ),
        Claim(
            N_(
                "If one SYN is lost, the other's does it alone: the end whose SYN was lost answers SYN+ACK from "
                "SYN-SENT, and the other goes from SYN-SENT to ESTABLISHED as any client."
            ),
            lambda runs: (
                runs["lost"].path("client") == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
                and runs["lost"].path("server") == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
                and len(runs["lost"].sent(SYN)) == 2
            ),
        ),
        Claim(
            N_(
                "It has to be at the same moment: where the first SYN finds the other end still CLOSED it is refused, "
                "and so is the second SYN in its turn. Both calls fail with ECONNREFUSED."
            ),
            lambda runs: (
                all(error(runs["later"], host) == ECONNREFUSED for host in HOSTS)
                and len(runs["later"].sent(RST)) == 2
                and not runs["later"].sent(SYN_ACK)
            ),
        ),
    ),
    answer=N_(
        "Then it is one connection, opened from both sides: TCP has no roles of client and server, only active and "
        "passive opens. A SYN that arrives in SYN-SENT, without an ACK, leads to SYN-RECEIVED; the own SYN goes out "
        "again with the acknowledgment, and the other's SYN+ACK completes the handshake. Both ends must use known "
        "ports and the SYNs must cross, so it happens by design only: programs behind two NATs open connections to "
        "each other this way."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.3", "RFC 5128 §3.4"),
    tries=(
        Try("A13 --world together --lose 3", N_("A SYN+ACK is lost: SYN-RECEIVED has a timer at this end too.")),
        Try("A13 --world together --delay 2=50ms", N_("One SYN is slow: the SYN+ACK overtakes it.")),
    ),
)
