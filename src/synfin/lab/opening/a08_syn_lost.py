"""A8: the SYN is lost, once and always, or late."""

from __future__ import annotations

from errno import ETIMEDOUT
from functools import partial
from itertools import pairwise

from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, SYN, SYN_ACK, Runs
from synfin.show.history import Arrival
from synfin.sim import Network, Program, Steps, start


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()


def client(program: Program, stays: int) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(stays)
    sock.close()


def scenario(network: Network, linear: int = 4, stays: int = 20 * MS) -> list[Program]:
    """`linear`: the client's tcp_syn_linear_timeouts; `stays`: how long it keeps the connection."""
    parameters = Parameters()
    parameters.set("net.ipv4.tcp_syn_linear_timeouts", str(linear))
    here, there = network.host("client", parameters), network.host("server")
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    return [start(network, there, server), start(network, here, partial(client, stays=stays))]


def waits(runs: Runs, name: str = "always") -> list[float]:
    """Seconds between one SYN and the next, where none arrives."""
    times = runs[name].times(SYN)
    return [round(later - earlier, 3) for earlier, later in pairwise(times)]


def late(runs: Runs) -> Arrival:
    """Of the first SYN, where it is late."""
    return runs["late"].sent(SYN)[0].arrivals[0]


def retries(runs: Runs) -> int:
    return runs["doubling"].node("client").host.parameters.tcp.tcp_syn_retries


EXPERIMENT = Experiment(
    row="A8",
    question=N_("What happens if the SYN is lost?"),
    prediction=N_(
        "Nobody tells the client that its SYN was lost. How does it find out, how often does it try again, and how "
        "long does the program wait in connect()?"
    ),
    worlds=(
        World("once", N_("The first SYN is lost"), scenario, ("lose 1st SYN",)),
        World("always", N_("Every SYN is lost"), scenario, ("lose SYN",)),
        World(
            "doubling",
            N_("The same, and the waits double from the first (tcp_syn_linear_timeouts = 0)"),
            partial(scenario, linear=0),
            ("lose SYN",),
        ),
        World(
            "late",
            N_("The first SYN is not lost, but 1.5 s late"),
            partial(scenario, stays=SECOND),
            ("delay 1st SYN by 1500ms",),
        ),
    ),
    watch=N_("The times at which the SYN leaves, and the sequence number that it carries each time."),
    claims=(
        Claim(
            N_(
                "The lost SYN is sent again after {seconds:g} s, with the same sequence number, and the connection "
                "opens."
            ),
            lambda runs: (
                len(runs["once"].sent(SYN)) == 2
                and len({one.segment.seq for one in runs["once"].sent(SYN)}) == 1
                and "ESTABLISHED" in runs["once"].path("client")
            ),
            lambda runs: {"seconds": runs["once"].times(SYN)[1]},
        ),
        Claim(
            N_(
                "If it is only late, it is sent again just the same. The late one comes {seconds:.2f} s after the "
                "connection has opened: it is answered with a bare ACK and changes nothing."
            ),
            lambda runs: (
                len(runs["late"].sent(SYN)) == 2
                and len(runs["late"].sent(SYN_ACK)) == 1
                and (late(runs).old_state, late(runs).new_state) == ("ESTABLISHED", "ESTABLISHED")
                and late(runs).dropped
                and late(runs).time in [one.time for one in runs["late"].sent(ACK, "server")]
                and len(runs["late"].histories) == 1
                and runs["late"].program("client").error is None
            ),
            lambda runs: {"seconds": (late(runs).time - runs["late"].when("server", "ESTABLISHED")) / 1e9},
        ),
        Claim(
            N_("The first {linear} waits are of one second each; from then on each wait is twice the one before."),
            lambda runs: (
                waits(runs)[:5] == [1, 1, 1, 1, 1]
                and all(later == 2 * earlier for earlier, later in pairwise(waits(runs)[4:]))
            ),
            lambda runs: {"linear": waits(runs).count(1)},
        ),
        Claim(
            N_("After {syns} SYNs and {seconds:.0f} s connect() fails with ETIMEDOUT, and the TCB is gone."),
            lambda runs: (
                len(runs["always"].sent(SYN)) == 11
                and getattr(runs["always"].program("client").call("connect").error, "errno", 0) == ETIMEDOUT
                and runs["always"].state("client") == "CLOSED"
            ),
            lambda runs: {
                "syns": len(runs["always"].sent(SYN)),
                "seconds": runs["always"].program("client").call("connect").lasted / 1e9,
            },
        ),
        Claim(
            N_(
                "Without the linear ones each wait is twice the one before, as textbooks have it: {syns} SYNs, and "
                "failure after {seconds:.0f} s. tcp_syn_retries is {retries}, and counts what is sent again."
            ),
            lambda runs: (
                waits(runs, "doubling") == [1, 2, 4, 8, 16, 32]
                and getattr(runs["doubling"].program("client").call("connect").error, "errno", 0) == ETIMEDOUT
                and len(runs["doubling"].sent(SYN)) == retries(runs) + 1
            ),
            lambda runs: {
                "syns": len(runs["doubling"].sent(SYN)),
                "seconds": runs["doubling"].program("client").call("connect").lasted / 1e9,
                "retries": retries(runs),
            },
        ),
        Claim(
            N_("The server never hears of it: it stays in LISTEN."),
            lambda runs: runs["always"].path("server") == ["LISTEN"],
        ),
    ),
    answer=N_(
        "Only time tells. The client starts a timer with its SYN; when that runs out it sends the same SYN again, and "
        "waits longer each time, so as not to add to whatever is wrong. tcp_syn_retries bounds how often it tries; "
        "then the open fails with a time-out, which says no more than that nobody answered."
    ),
    clauses=("RFC 9293 §3.8.1", "RFC 6298 §2", "RFC 9293 §3.8.3", "RFC 7323 §5.3"),
    tries=(
        Try("A8 --world always --set tcp_syn_retries=2", N_("Give up earlier.")),
        Try("A8 --world doubling --set tcp_rto_max_ms=4000", N_("No wait is longer than four seconds.")),
    ),
)
