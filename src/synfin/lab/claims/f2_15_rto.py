"""F2.15: what the RTO adapts to."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import log2

from synfin.events import RoundTripMeasured, TimerStarted
from synfin.lab.claims.bench import DELAY, MS, PORT, SECOND, pair, tuned
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, Run
from synfin.link.kernel import tcp_info
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK

MESSAGES = 4


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    while data := (yield from sock.recv()):
        yield from sock.sendall(data)
    sock.close()


def client(program: Program) -> Steps[None]:
    """A question, and the answer; and again."""
    sock = yield from program.connected("server", PORT)
    for _ in range(MESSAGES):
        yield from program.sleep(20 * MS)
        yield from sock.sendall(b"question")
        yield from sock.recv()
    sock.close()


def scenario(network: Network, delay: int = DELAY, timestamps: int = 1) -> list[Program]:
    # Without tail-loss probes there is nothing but the time-out.
    here, there = pair(network, client=tuned(tcp_early_retrans=0, tcp_timestamps=timestamps), delay=delay)
    return [start(network, there, server), start(network, here, client)]


def last_rto(run: Run) -> int:
    """The client's last RTO, in milliseconds."""
    return round(run.of(RoundTripMeasured, "client")[-1].rto / MS)


def lost(run: Run) -> int:
    return sum(one.loss is not None for one in run.sent(DATA, "client"))


def backed_off(run: Run) -> list[int]:
    """Milliseconds between the sendings of the first question."""
    first = run.sent(DATA, "client")[0].segment.seq
    times = [one.time for one in run.sent(DATA, "client") if one.segment.seq == first]
    return [round((later - one) / MS) for one, later in pairwise(times)]


def questions(run: Run) -> list[int]:
    """When each question was sent first (nanoseconds)."""
    first: dict[int, int] = {}
    for one in run.sent(DATA, "client"):
        first.setdefault(one.segment.seq, one.time)
    return list(first.values())


def measured_questions(run: Run) -> list[bool]:
    """Of each question, whether its answer gave a measurement."""
    times = [*questions(run), run.end]
    samples = [event.time for event in run.of(RoundTripMeasured, "client")]
    return [any(one < time <= later for time in samples) for one, later in pairwise(times)]


def rto_of_second(run: Run) -> int:
    """The time-out that the second question was given, in milliseconds."""
    time = questions(run)[1]
    timer = next(one for one in run.of(TimerStarted, "client") if one.time == time)
    return round((timer.deadline - timer.time) / MS)


def on_linux() -> Figures:
    """TCP_INFO's RTO: at first, how many times that when three messages each have to go twice, and in the end."""
    with Kernel(tcp_early_retrans=0) as kernel:
        sock, peer = kernel.connected()
        before = tcp_info(sock).rto
        during = 0
        for _ in range(3):
            sock.send(b"question")
            peer.expect(ACK, 8)
            peer.expect(ACK, 8)
            during = max(during, tcp_info(sock).rto)
            peer.send(ACK)
        for _ in range(8):
            sock.send(b"question")
            peer.expect(ACK, 8)
            peer.send(ACK)
        tenths = [round(value / 100_000) for value in (before, tcp_info(sock).rto)]
        return {"before": tenths[0], "times": 1 << round(log2(during / before)), "after": tenths[1]}


CLAIM = TextClaim(
    name="F2.15",
    text=N_("The RTO adapts to how many packets are lost."),
    rfc=N_("To the round-trip time and its variation only. Each time-out doubles it, until a new measurement (Karn)."),
    clauses=("RFC 6298 §2", "RFC 6298 §3", "RFC 6298 §5"),
    linux=(
        Measured(
            "rto",
            N_(
                "RTO: 0.{before} s; {times} times as long while segments go again and again; after three losses "
                "0.{after} s."
            ),
            on_linux,
            lambda found: int(found["times"]) > 1 and found["before"] == found["after"] == 2,
        ),
    ),
    worlds=(
        World("clean", N_("Nothing is lost"), scenario, (), 60 * SECOND, "none"),
        World(
            "lossy",
            N_("The first question is lost three times, the next once"),
            scenario,
            ("lose 1st-3rd data", "lose 6th data"),
            60 * SECOND,
        ),
        World(
            "karn",
            N_("No timestamps; the first question is lost once"),
            partial(scenario, timestamps=0),
            ("lose 1st data",),
            60 * SECOND,
            "none",
        ),
        World(
            "far",
            N_("Nothing is lost, and the way is ten times as long"),
            partial(scenario, delay=10 * DELAY),
            (),
            60 * SECOND,
            "none",
        ),
    ),
    claims=(
        Claim(
            N_("A time-out doubles the wait for this one segment: {waits} ms."),
            lambda runs: (
                len(backed_off(runs["lossy"])) == 3
                and all(abs(later - 2 * one) <= 1 for one, later in pairwise(backed_off(runs["lossy"])))
            ),
            lambda runs: {"waits": backed_off(runs["lossy"])},
        ),
        Claim(
            N_("In the end the RTO is {clean} ms where nothing was lost, and {lossy} ms where {lost} segments were."),
            lambda runs: lost(runs["lossy"]) == 4 and abs(last_rto(runs["lossy"]) - last_rto(runs["clean"])) <= 1,
            lambda runs: {
                "clean": last_rto(runs["clean"]),
                "lossy": last_rto(runs["lossy"]),
                "lost": lost(runs["lossy"]),
            },
        ),
        Claim(
            N_(
                "Karn's rule: what was sent twice gives no measurement, for nobody knows which of the two is answered. "
                "Of {questions} questions {samples} are measured, and the doubled RTO stays until the first of these."
            ),
            lambda runs: (
                len(questions(runs["karn"])) == MESSAGES
                and measured_questions(runs["karn"]) == [False, True, True, True]
                and rto_of_second(runs["karn"]) == 2 * backed_off(runs["karn"])[0]
            ),
            lambda runs: {
                "questions": len(questions(runs["karn"])),
                "samples": sum(measured_questions(runs["karn"])),
            },
        ),
        Claim(
            N_("On the longer way it is {far} ms, without any loss."),
            lambda runs: last_rto(runs["far"]) > last_rto(runs["clean"]) + 100,
            lambda runs: {"far": last_rto(runs["far"])},
        ),
    ),
    text_holds=lambda runs: last_rto(runs["lossy"]) > last_rto(runs["clean"]) + 1,
)
