"""A9: the SYN+ACK is lost, once and always, or late."""

from __future__ import annotations

from errno import ETIMEDOUT
from functools import partial
from itertools import pairwise

from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.opening.holdings import forgotten
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


def scenario(network: Network, syn_retries: int = 6, synack_retries: int = 5, stays: int = 20 * MS) -> list[Program]:
    """The client doubles each wait, from the first, and keeps the connection for the time `stays`."""
    asks, answers = Parameters(), Parameters()
    asks.set("net.ipv4.tcp_syn_linear_timeouts", "0")
    asks.set("net.ipv4.tcp_syn_retries", str(syn_retries))
    answers.set("net.ipv4.tcp_synack_retries", str(synack_retries))
    here, there = network.host("client", asks), network.host("server", answers)
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    return [start(network, there, server), start(network, here, partial(client, stays=stays))]


#: Else a timer of the server's would run out just when the repeated SYN arrives, and the two would cross.
SLOW = "delay 1st SYN by 100ms"


def numbers(runs: Runs, name: str) -> list[int]:
    """The initial numbers of the server's, each once, in order."""
    return list(dict.fromkeys(one.segment.seq for one in runs[name].sent(SYN_ACK)))


def unasked(runs: Runs, name: str) -> list[float]:
    """When SYN+ACKs left, in seconds, that no SYN had just asked for."""
    arrivals = {arrival.time for one in runs[name].sent(SYN) for arrival in one.arrivals}
    return [one.time / 1e9 for one in runs[name].sent(SYN_ACK) if one.time not in arrivals]


def waits(runs: Runs) -> list[float]:
    """Seconds between one of those and the next, where the client has given up."""
    return [later - earlier for earlier, later in pairwise(unasked(runs, "client-gives-up"))]


def late(runs: Runs) -> Arrival:
    """Of the first SYN+ACK, where it is late."""
    return runs["late"].sent(SYN_ACK)[0].arrivals[0]


def kept(runs: Runs) -> int:
    """Nanoseconds from the first SYN that the server takes until it forgets the request."""
    run = runs["client-gives-up"]
    return forgotten(run) - run.when("server", "SYN-RECEIVED")


EXPERIMENT = Experiment(
    row="A9",
    question=N_("What happens if the SYN+ACK is lost?"),
    prediction=N_(
        "The client cannot tell whether its SYN was lost or the answer to it; the server cannot tell whether its "
        "answer was lost or the answer to that. Which of the two tries again, and who gives up first?"
    ),
    worlds=(
        World("client", N_("Lost once: the client sends its SYN again"), scenario, (SLOW, "lose 1st SYN+ACK")),
        World(
            "server",
            N_("Lost once, and the second SYN too: the server sends its SYN+ACK again"),
            scenario,
            (SLOW, "lose 1st SYN+ACK", "lose 2nd SYN"),
        ),
        World(
            "client-gives-up",
            N_("Always lost; the client gives up first (tcp_syn_retries = 1)"),
            partial(scenario, syn_retries=1),
            (SLOW, "lose SYN+ACK"),
        ),
        World(
            "server-gives-up",
            N_("Lost for five seconds; the server gives up first (tcp_synack_retries = 1)"),
            partial(scenario, synack_retries=1),
            (SLOW, "lose SYN+ACK to 5s"),
        ),
        World(
            "late",
            N_("Not lost, but 1.5 s late"),
            partial(scenario, stays=SECOND),
            (SLOW, "delay 1st SYN+ACK by 1500ms"),
        ),
    ),
    watch=N_("Which SYN+ACKs answer a SYN, and which the server sends because its own timer ran out."),
    claims=(
        Claim(
            N_(
                "The client's timer runs out first, {seconds:g} s after its SYN: it sends the SYN again, and the "
                "server answers it at once with the same SYN+ACK, seq=y as before."
            ),
            lambda runs: (
                len(runs["client"].sent(SYN)) == 2
                and not unasked(runs, "client")
                and len(runs["client"].sent(SYN_ACK)) == 2
                and len(numbers(runs, "client")) == 1
                and "ESTABLISHED" in runs["client"].path("server")
            ),
            lambda runs: {"seconds": runs["client"].times(SYN)[1]},
        ),
        Claim(
            N_(
                "Where that SYN does not arrive either, the server's timer runs out too, {seconds:g} s after its "
                "SYN+ACK, and it sends this again unasked: both ends repeat, each by a timer of its own."
            ),
            lambda runs: (
                len(runs["server"].sent(SYN)) == 2
                and len(unasked(runs, "server")) == 1
                and len(numbers(runs, "server")) == 1
                and "ESTABLISHED" in runs["server"].path("server")
            ),
            lambda runs: {
                "seconds": round(runs["server"].times(SYN_ACK)[1] - runs["server"].times(SYN_ACK)[0], 3),
            },
        ),
        Claim(
            N_(
                "With tcp_syn_retries = 1 the client gives up after {seconds:.0f} s: connect() fails with ETIMEDOUT. "
                "The server does not hear of it and goes on, up to its own limit."
            ),
            lambda runs: (
                getattr(runs["client-gives-up"].program("client").call("connect").error, "errno", 0) == ETIMEDOUT
                and len(runs["client-gives-up"].sent(SYN)) == 2
                and runs["client-gives-up"].times(SYN_ACK)[-1]
                > 2 * runs["client-gives-up"].when("client", "CLOSED") / 1e9
            ),
            lambda runs: {"seconds": runs["client-gives-up"].program("client").call("connect").lasted / 1e9},
        ),
        Claim(
            N_(
                "tcp_synack_retries counts only what its own timer sends: {again} SYN+ACKs, each wait twice the one "
                "before; {seconds:.0f} s after the SYN the request is forgotten."
            ),
            lambda runs: (
                len(unasked(runs, "client-gives-up")) == 5
                and len(runs["client-gives-up"].sent(SYN_ACK)) == 7
                and [round(wait) for wait in waits(runs)] == [2, 4, 8, 16]
                and kept(runs) == 63 * SECOND
            ),
            lambda runs: {"again": len(unasked(runs, "client-gives-up")), "seconds": kept(runs) / 1e9},
        ),
        Claim(
            N_(
                "If the server gives up first, the client's next SYN finds it in LISTEN: it starts anew, with another "
                "initial number, and the connection opens all the same, {seconds:.0f} s late."
            ),
            lambda runs: (
                len(numbers(runs, "server-gives-up")) == 2
                and runs["server-gives-up"].program("client").call("connect").error is None
                and runs["server-gives-up"].path("server").count("SYN-RECEIVED") == 2
            ),
            lambda runs: {"seconds": runs["server-gives-up"].program("client").call("connect").lasted / 1e9},
        ),
        Claim(
            N_(
                "If it is only late, the client repeats its SYN all the same, and the answer to that opens the "
                "connection. The late one comes {seconds:.2f} s afterwards: it is answered with a bare ACK and "
                "changes nothing."
            ),
            lambda runs: (
                (len(runs["late"].sent(SYN)), len(runs["late"].sent(SYN_ACK))) == (2, 2)
                and len(numbers(runs, "late")) == 1
                and (late(runs).old_state, late(runs).new_state) == ("ESTABLISHED", "ESTABLISHED")
                and late(runs).time in [one.time for one in runs["late"].sent(ACK, "client")]
                and runs["late"].program("client").error is None
            ),
            lambda runs: {"seconds": (late(runs).time - runs["late"].when("client", "ESTABLISHED")) / 1e9},
        ),
    ),
    answer=N_(
        "Both ends try again. The client still waits for an answer to its SYN and repeats that; a repeated SYN is "
        "answered at once with the same SYN+ACK. The server waits for an answer to its SYN+ACK and repeats it by a "
        "timer of its own. Each gives up at its own limit, tcp_syn_retries or tcp_synack_retries, and neither tells "
        "the other. The program of a client that gave up sees a time-out; a server that gave up keeps nothing, and its "
        "program never knew."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.8.1", "RFC 9293 §3.8.3", "RFC 6298 §5"),
    tries=(
        Try("A9 --world client-gives-up --set tcp_synack_retries=2", N_("The server gives up sooner.")),
        Try(
            "A9 --world server-gives-up --set tcp_synack_retries=5",
            N_("The server does not forget: one initial number for all its SYN+ACKs."),
        ),
    ),
)
