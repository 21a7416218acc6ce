"""C5: the last ACK, and how long who sent it waits."""

from __future__ import annotations

from functools import partial

from synfin.lab.bench import MS, PORT, SECOND, pair, tuned
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import ACK, FIN, Run, Runs
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    sock.close()


def server(program: Program) -> Steps[None]:
    sock = yield from program.listening(PORT).accept()
    yield from sock.receive_all()
    yield from program.sleep(100 * MS)
    sock.close()


def scenario(network: Network, wait: int) -> list[Program]:
    here, there = pair(network, client=tuned(tcp_timewait_len=wait))
    return [start(network, there, server), start(network, here, client)]


def linux(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def last_ack(run: Run) -> Transmission:
    return run.sent(ACK, "client")[-1]


def waited(run: Run) -> float:
    """Seconds in TIME-WAIT."""
    return (run.when("client", "CLOSED") - run.when("client", "TIME-WAIT")) / SECOND


def earlier(run: Run) -> float:
    """How much earlier the server was CLOSED than the client, in seconds."""
    return (run.when("client", "CLOSED") - run.when("server", "CLOSED")) / SECOND


def segments(run: Run) -> list[tuple[int, int, int, int]]:
    return [(one.time, one.segment.flags, one.segment.seq, one.segment.ack) for one in run.sent()]


def table(runs: Runs) -> Table:
    return Table(
        (N_("world"), N_("TIME-WAIT (s)"), N_("MSL (s)"), N_("client CLOSED at (s)"), N_("server CLOSED at (s)")),
        [
            (
                run.shown.title,
                f"{waited(run):g}",
                f"{waited(run) / 2:g}",
                f"{run.when('client', 'CLOSED') / SECOND:.2f}",
                f"{run.when('server', 'CLOSED') / SECOND:.2f}",
            )
            for run in runs.values()
        ],
    )


#: The worlds in which the wait was set.
SET = ("30s", "1min", "2min", "4min")

EXPERIMENT = Experiment(
    row="C5",
    question=N_("Who is finished first, and how long does the other one wait?"),
    prediction=N_(
        "The client closed first. Is it finished first? And how long is the wait: 30 seconds, one minute, two or four?"
    ),
    watch=N_("seq and ack of message 7, and the times at which each end comes to CLOSED."),
    worlds=(
        World("linux", N_("As Linux does"), linux),
        World("30s", N_("30 seconds"), partial(scenario, wait=30), picture="none"),
        World("1min", N_("1 minute"), partial(scenario, wait=60), picture="none"),
        World("2min", N_("2 minutes"), partial(scenario, wait=120), picture="none"),
        World("4min", N_("4 minutes: the MSL of 2 minutes, twice"), partial(scenario, wait=240), picture="none"),
    ),
    claims=(
        Claim(
            N_(
                "The last ACK has seq=u+1, the number behind the client's FIN, and ack=w+1, the number behind the "
                "server's."
            ),
            lambda runs: all(
                last_ack(run).segment.seq == (run.sent(FIN, "client")[0].segment.seq + 1) % 2**32
                and last_ack(run).segment.ack == (run.sent(FIN, "server")[0].segment.seq + 1) % 2**32
                for run in runs.values()
            ),
        ),
        Claim(
            N_(
                "The server is CLOSED the moment that this ACK arrives: {seconds:.0f} s before the client, which began."
            ),
            lambda runs: all(
                run.when("server", "CLOSED") == last_ack(run).arrivals[0].time and earlier(run) > 0
                for run in runs.values()
            ),
            lambda runs: {"seconds": earlier(runs["linux"])},
        ),
        Claim(
            N_(
                "The client waits in TIME-WAIT for as long as it is set to: {first:g}, {second:g}, {third:g} or "
                "{last:g} seconds."
            ),
            lambda runs: [waited(runs[name]) for name in SET] == [30, 60, 120, 240],
            lambda runs: dict(
                zip(("first", "second", "third", "last"), (waited(runs[name]) for name in SET), strict=True)
            ),
        ),
        Claim(
            N_("Linux waits a fixed {seconds:g} s."),
            lambda runs: waited(runs["linux"]) == 60,
            lambda runs: {"seconds": waited(runs["linux"])},
        ),
        Claim(
            N_("On the wire there is no difference: the same {count} segments at the same times in every world."),
            lambda runs: all(segments(run) == segments(runs["linux"]) for run in runs.values()),
            lambda runs: {"count": len(segments(runs["linux"]))},
        ),
    ),
    answer=N_(
        "The passive end finishes first: it knows that all has arrived as soon as its FIN is acknowledged. The active "
        "closer sent that ACK, does not know whether it arrived, and waits two MSL (C9 and C10 say why). The RFC says "
        "that an MSL is two minutes, which makes four; the texts also give half a minute, one and two minutes for the "
        "whole wait. It is a setting. Linux has it fixed at one minute, in TCP_TIMEWAIT_LEN; here it is "
        "synfin.tcp_timewait_len."
    ),
    clauses=("RFC 9293 §3.4.2", "RFC 9293 §3.6", "RFC 9293 §3.6.1", "RFC 9293 §3.10.7.4"),
    tries=(
        Try("C5 --world linux --set tcp_timewait_len=5", N_("A wait of your own.")),
        Try(
            "C5 --world linux --lose 7",
            N_("The last ACK is lost: then the server is not finished at once, and the wait begins anew."),
        ),
    ),
    table=table,
)
