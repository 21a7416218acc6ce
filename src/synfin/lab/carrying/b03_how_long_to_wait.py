"""B3: how long to wait before sending again: RTT, RTTVAR, RTO, back-off, and Karn's rule."""

from __future__ import annotations

from errno import ETIMEDOUT
from itertools import pairwise
from typing import Final

from synfin.events import RoundTripMeasured, TimerStarted
from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import DATA, Run, Runs
from synfin.sim import Network, Program, Steps, start

#: From one host to the other: far, so that the variation counts for more than the least RTO.
DELAY: Final = 100 * MS
MESSAGES: Final = 6
#: Linux's least value of the term for the variation, in milliseconds.
LEAST: Final = 200


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    for _ in range(MESSAGES):
        yield from program.sleep(2 * SECOND)
        sock.send(b"Hello, Server!")
    yield from program.sleep(5 * SECOND)
    sock.close()


def brief(program: Program) -> Steps[None]:
    """One that says only two things."""
    sock = yield from program.connected("server", PORT)
    for _ in range(2):
        yield from program.sleep(2 * SECOND)
        sock.send(b"Hello, Server!")
    yield from program.sleep(5 * SECOND)


def waiting(program: Program) -> Steps[None]:
    """One that asks and waits for the answer."""
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(SECOND)
    sock.send(b"Hello, Server!")
    yield from sock.recv()


def network_of(network: Network, *lines: str) -> None:
    """Both hosts, the client with these parameters. Without probes of the tail, a lost segment is left to its RTO."""
    parameters = Parameters()
    for line in ("net.ipv4.tcp_early_retrans=0", *lines):
        name, _, value = line.partition("=")
        parameters.set(name, value)
    here, there = network.host("client", parameters), network.host("server")
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)


def measured(network: Network) -> list[Program]:
    network_of(network)
    return [start(network, network.nodes["server"], server), start(network, network.nodes["client"], client)]


def silence(network: Network) -> list[Program]:
    network_of(network)
    return [start(network, network.nodes["server"], server), start(network, network.nodes["client"], waiting)]


def unstamped(network: Network) -> list[Program]:
    network_of(network, "net.ipv4.tcp_timestamps=0")
    return [start(network, network.nodes["server"], server), start(network, network.nodes["client"], brief)]


def stamped(network: Network) -> list[Program]:
    network_of(network)
    return [start(network, network.nodes["server"], server), start(network, network.nodes["client"], brief)]


def samples(run: Run) -> list[RoundTripMeasured]:
    return run.of(RoundTripMeasured, "client")


def by_the_rfc(rtts: list[float]) -> list[tuple[float, float, float]]:
    """SRTT, RTTVAR and RTO after each of these round trips, all in milliseconds: RFC 6298 §2, with Linux's least."""
    srtt = rttvar = 0.0
    found = []
    for count, rtt in enumerate(rtts):
        if count == 0:
            srtt, rttvar = rtt, rtt / 2
        else:
            rttvar = 3 / 4 * rttvar + 1 / 4 * abs(srtt - rtt)
            srtt = 7 / 8 * srtt + 1 / 8 * rtt
        found.append((srtt, rttvar, srtt + max(4 * rttvar, LEAST)))
    return found


def shown(run: Run) -> list[tuple[float, float, float, float]]:
    """RTT, SRTT, RTTVAR and RTO of each sample, in milliseconds."""
    return [(one.rtt / MS, one.srtt / MS, one.rttvar / MS, one.rto / MS) for one in samples(run)]


def as_the_rfc_says(run: Run) -> bool:
    ours = [each[1:] for each in shown(run)]
    theirs = by_the_rfc([each[0] for each in shown(run)])
    return all(
        abs(one - other) < 0.001
        for mine, right in zip(ours, theirs, strict=True)
        for one, other in zip(mine, right, strict=True)
    )


def waits(run: Run) -> list[float]:
    """Seconds from one sending of the last message to the next."""
    again = [one for one in run.sent(DATA) if one.segment.seq == run.sent(DATA)[-1].segment.seq]
    return [round((later.time - earlier.time) / SECOND, 3) for earlier, later in pairwise(again)]


def after_loss(run: Run) -> list[RoundTripMeasured]:
    """Samples taken after the lost message was sent again and before the next message."""
    again = next(one for one in run.sent(DATA) if one.retransmission)
    following = next(one for one in run.sent(DATA) if one.time > again.time)
    return [one for one in samples(run) if again.time < one.time < following.time]


def timer_of_next(run: Run) -> float:
    """The time-out that the message after the repaired one was given, in milliseconds."""
    again = next(one for one in run.sent(DATA) if one.retransmission)
    following = next(one for one in run.sent(DATA) if one.time > again.time)
    started = next(one for one in run.of(TimerStarted, "client") if one.time == following.time)
    return (started.deadline - started.time) / MS


def table(runs: Runs) -> Table:
    rows = [
        (str(number), *(f"{value:.3f}" for value in each), f"{right[2]:.3f}")
        for number, (each, right) in enumerate(
            zip(shown(runs["measured"]), by_the_rfc([each[0] for each in shown(runs["measured"])]), strict=True), 1
        )
    ]
    return Table(
        (
            N_("sample"),
            N_("RTT (ms)"),
            N_("SRTT (ms)"),
            N_("RTTVAR (ms)"),
            N_("RTO (ms)"),
            N_("RTO by the formula (ms)"),
        ),
        rows,
    )


EXPERIMENT = Experiment(
    row="B3",
    question=N_("How long does a sender wait before it sends again?"),
    prediction=N_(
        "Too short a wait sends what is not lost, too long a one wastes time, and nobody tells the sender how far "
        "away the receiver is. What can it go by, and what will it do when even the repetition is not answered?"
    ),
    worlds=(
        World("measured", N_("Round trips of varying length"), measured, ("jitter 80ms",), picture="curves"),
        World("karn", N_("A message is lost once, without timestamps"), unstamped, ("lose 1st data",)),
        World("timestamps", N_("The same loss, with timestamps"), stamped, ("lose 1st data",)),
        World("silence", N_("The network falls silent once the connection is open"), silence, ("partition from 1s",)),
    ),
    watch=N_(
        "RTT, SRTT, RTTVAR and RTO in the table; then the times at which the unanswered message leaves. Probes of the "
        "tail are switched off here (tcp_early_retrans=0), so that only the RTO is at work."
    ),
    claims=(
        Claim(
            N_(
                "The first round trip, {rtt:.1f} ms, gives SRTT = RTT and RTTVAR = RTT/2, so RTO = SRTT + 4·RTTVAR = "
                "{rto:.1f} ms."
            ),
            lambda runs: (
                shown(runs["measured"])[0][1] == shown(runs["measured"])[0][0]
                and abs(shown(runs["measured"])[0][2] - shown(runs["measured"])[0][0] / 2) < 0.001
                and abs(shown(runs["measured"])[0][3] - 3 * shown(runs["measured"])[0][0]) < 0.001
            ),
            lambda runs: {"rtt": shown(runs["measured"])[0][0], "rto": shown(runs["measured"])[0][3]},
        ),
        Claim(
            N_(
                "Each of {count} samples moves SRTT by an eighth and RTTVAR by a quarter of the difference: computed "
                "by RFC 6298's formula, all come out the same to the microsecond."
            ),
            lambda runs: (
                len(samples(runs["measured"])) > MESSAGES
                and len({each[0] for each in shown(runs["measured"])}) == len(samples(runs["measured"]))
                and as_the_rfc_says(runs["measured"])
            ),
            lambda runs: {"count": len(samples(runs["measured"]))},
        ),
        Claim(
            N_(
                "Without an answer the same segment goes again after {first:.3f} s, and each wait is twice the one "
                "before, up to {limit:g} s and no longer."
            ),
            lambda runs: (
                max(waits(runs["silence"])) == waits(runs["silence"])[-1] == 120
                and waits(runs["silence"])[0] == round(samples(runs["silence"])[-1].rto / SECOND, 3)
                and all(abs(later - min(2 * wait, 120)) < 0.002 for wait, later in pairwise(waits(runs["silence"])))
            ),
            lambda runs: {"first": waits(runs["silence"])[0], "limit": max(waits(runs["silence"]))},
        ),
        Claim(
            N_(
                "After {times} repetitions and {minutes:.1f} minutes recv() fails with ETIMEDOUT, and the client is "
                "CLOSED."
            ),
            lambda runs: (
                len(waits(runs["silence"])) == 14
                and getattr(runs["silence"].program("client").call("recv").error, "errno", 0) == ETIMEDOUT
                and runs["silence"].state("client") == "CLOSED"
            ),
            lambda runs: {
                "times": len(waits(runs["silence"])),
                "minutes": runs["silence"].program("client").call("recv").lasted / SECOND / 60,
            },
        ),
        Claim(
            N_(
                "Karn's rule: the answer to a message that was sent twice gives no sample, since nobody knows which "
                "of the two it answers; and the doubled RTO, {rto:.0f} ms, stays for the message after it."
            ),
            lambda runs: (
                not after_loss(runs["karn"])
                and abs(timer_of_next(runs["karn"]) - 2 * samples(runs["karn"])[0].rto / MS) < 0.001
            ),
            lambda runs: {"rto": timer_of_next(runs["karn"])},
        ),
        Claim(
            N_(
                "With timestamps the answer tells which one it answers: there is a sample ({rtt:.0f} ms), and the RTO "
                "is down again at {rto:.0f} ms."
            ),
            lambda runs: (
                [round(one.rtt / MS) for one in after_loss(runs["timestamps"])] == [2 * DELAY // MS]
                and timer_of_next(runs["timestamps"]) < timer_of_next(runs["karn"]) / 1.5
            ),
            lambda runs: {"rtt": after_loss(runs["timestamps"])[0].rtt / MS, "rto": timer_of_next(runs["timestamps"])},
        ),
    ),
    answer=N_(
        "It goes by the round trips it has measured: SRTT is their smoothed mean, RTTVAR how much they vary, and the "
        "RTO is the mean and four times the variation, so that hardly any answer comes later. The loss rate is no "
        "part of it. What is sent again waits twice as long each time, up to tcp_rto_max_ms, because the network may "
        "be overloaded; tcp_retries2 says when to give up. The RFC asks for an RTO of one second at least; Linux, as "
        "here, lets the term of the variation be 200 ms at least."
    ),
    clauses=("RFC 6298 §2", "RFC 6298 §3", "RFC 6298 §5.5", "RFC 9293 §3.8.3", "RFC 7323 §4"),
    tries=(
        Try("B3 --world silence --set tcp_rto_max_ms=10000", N_("The waits grow to ten seconds and no longer.")),
        Try("B3 --world silence --set tcp_retries2=5", N_("Give up much earlier.")),
        Try("B3 --world measured --seed 5", N_("Other round trips, and other time-outs.")),
    ),
    table=table,
)
