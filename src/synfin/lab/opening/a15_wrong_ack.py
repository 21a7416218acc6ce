"""A15: a wrong acknowledgment in SYN-SENT."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from socket import SO_SNDTIMEO
from typing import Final

from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import RST, SYN, SYN_ACK, Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start
from synfin.wire.ip import PROTOCOL_TCP, Packet
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK as FLAG
from synfin.wire.tcp import Options, Segment

#: The client's port, in both attempts.
OURS: Final = 40000
AGAIN: Final = 2 * SECOND
#: What the forger gives for the server's number.
FORGED: Final = 1_000_000


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        yield from sock.receive_all()


def client(program: Program, again: int) -> Steps[None]:
    """Gives up a first attempt after half a second, and connects again at the time `again`, from the same port."""
    first = program.socket()
    first.bind(("", OURS))
    first.set_timeout(SO_SNDTIMEO, SECOND // 2)
    with suppress(BlockingIOError):
        yield from first.connect(("server", PORT))
    first.close()
    yield from program.sleep(again - program.now)
    sock = program.socket()
    sock.bind(("", OURS))
    yield from sock.connect(("server", PORT))
    yield from sock.recv()


def once(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.recv()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, partial(client, again=AGAIN))]


def forged(network: Network) -> list[Program]:
    """Somebody sends a SYN+ACK in the server's name, and guesses the client's number wrong, by one."""
    here, there = pair(network)
    programs = [start(network, there, server), start(network, here, once)]

    def forge() -> None:
        (connection,) = here.host.transport.connections.values()
        own = connection.identity
        ack = wrap(connection.iss + 2)
        options = Options(mss=1460, window_scale=10)
        wrong = Segment(own.remote_port, own.local_port, FORGED, ack, SYN | FLAG, 65535, options)
        there.ports[0].output.transmit(Packet(own.remote_address, own.local_address, PROTOCOL_TCP, wrong))

    network.at(500 * MS, forge)
    return programs


def wrong_answer(run: Run) -> Transmission:
    """The SYN+ACK to which the client answered RST."""
    refused = run.sent(RST, "client")[-1]
    return next(one for one in run.sent(SYN_ACK) for arrival in one.arrivals if arrival.time == refused.time)


def current(run: Run) -> int:
    """The initial number of the client's present attempt."""
    return run.sent(SYN)[-1].segment.seq


def rst(run: Run) -> Transmission:
    return run.sent(RST, "client")[-1]


def goes_on(run: Run) -> bool:
    """Whether the client stayed in SYN-SENT at that RST, and opened afterwards with the same number."""
    return (
        rst(run).old_state == rst(run).new_state == "SYN-SENT"
        and run.state("client") == run.state("server") == "ESTABLISHED"
        and run.program("client").call("connect").error is None
        and run.sent(SYN_ACK)[-1].segment.ack == wrap(current(run) + 1)
    )


def soon(run: Run) -> int:
    """Nanoseconds from the RST to the next SYN."""
    return run.sent(SYN)[-1].time - rst(run).time


EXPERIMENT = Experiment(
    row="A15",
    question=N_("What if the SYN+ACK acknowledges a number that the client never sent?"),
    prediction=N_(
        "In SYN-SENT the client knows one thing only: its own x. A SYN+ACK arrives whose ack is not x+1. It may be "
        "forged, or belong to an attempt long given up. Does the client believe it, does it give up, and what does the "
        "server learn?"
    ),
    worlds=(
        World(
            "forged", N_("Laboratory variant: a forged SYN+ACK, ack=x+2; the SYN was lost"), forged, ("lose 1st SYN",)
        ),
        World(
            "old-syn",
            N_("A SYN of an earlier attempt reaches the server first"),
            scenario,
            ("delay 1st SYN by 2020ms", "lose 2nd SYN"),
            connections=1,
        ),
        World(
            "old-syn-ack",
            N_("A SYN+ACK of an earlier attempt arrives late"),
            scenario,
            ("delay 1st SYN+ACK by 1990ms", "lose 2nd SYN"),
            connections=1,
        ),
    ),
    watch=N_("The RST that the client sends, its state meanwhile, and the server's state when the RST arrives."),
    claims=(
        Claim(
            N_(
                "In each world a SYN+ACK arrives that does not acknowledge x+1. The forged one says {forged} where x "
                "is {x}. The others acknowledge the number of the attempt that was given up: {old}, where x is {new} "
                "now."
            ),
            lambda runs: (
                wrong_answer(runs["forged"]).segment.ack == wrap(current(runs["forged"]) + 2)
                and all(
                    wrong_answer(runs[name]).segment.ack == wrap(runs[name].sent(SYN)[0].segment.seq + 1)
                    and runs[name].sent(SYN)[0].segment.seq != current(runs[name])
                    for name in ("old-syn", "old-syn-ack")
                )
            ),
            lambda runs: {
                "forged": wrong_answer(runs["forged"]).segment.ack,
                "x": current(runs["forged"]),
                "old": wrong_answer(runs["old-syn"]).segment.ack,
                "new": current(runs["old-syn"]),
            },
        ),
        Claim(
            N_(
                "The client answers at once with RST, whose seq is that very ack, so that its sender accepts it: {seq} "
                "in the first world. The segment is used for nothing else."
            ),
            lambda runs: all(
                rst(run).segment.seq == wrong_answer(run).segment.ack and wrong_answer(run).arrivals[0].dropped
                for run in runs.values()
            ),
            lambda runs: {"seq": rst(runs["forged"]).segment.seq},
        ),
        Claim(
            N_(
                "The client stays in SYN-SENT and the open goes on: connect() succeeds in every world, with the number "
                "of the present attempt."
            ),
            lambda runs: all(goes_on(run) for run in runs.values()),
        ),
        Claim(
            N_(
                "Where the server had really taken an old SYN for a new one, the RST ends its request: it is back in "
                "LISTEN {ms:.0f} ms after the old SYN came, and free for the true one."
            ),
            lambda runs: (
                rst(runs["old-syn"]).arrivals[0].old_state == "SYN-RECEIVED"
                and rst(runs["old-syn"]).arrivals[0].new_state == "LISTEN"
                and runs["old-syn"].path("server").count("SYN-RECEIVED") == 2
            ),
            lambda runs: {
                "ms": (rst(runs["old-syn"]).arrivals[0].time - runs["old-syn"].when("server", "SYN-RECEIVED")) / MS
            },
        ),
        Claim(
            N_("Where the server is in LISTEN, it drops the RST, and nothing changes."),
            lambda runs: all(
                rst(runs[name]).arrivals[0].dropped
                and rst(runs[name]).arrivals[0].old_state == rst(runs[name]).arrivals[0].new_state == "LISTEN"
                for name in ("forged", "old-syn-ack")
            ),
        ),
        Claim(
            N_(
                "The client does not wait for its timer then: its SYN follows the RST after {ms:.0f} ms, now that the "
                "old connection is out of the way."
            ),
            lambda runs: all(0 < soon(run) < 100 * MS for run in runs.values()),
            lambda runs: {"ms": soon(runs["old-syn"]) / MS},
        ),
    ),
    answer=N_(
        "It believes nothing of it. Only ack=x+1 shows that the other end answers this SYN, for only an end that saw "
        "it knows x. Anything else is answered with RST, so that an end which fell for an old SYN gives up its "
        "half-open connection, and the client stays in SYN-SENT as if nothing had come. That is what the third message "
        "is for, seen from the client: here it says no."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.3", "RFC 9293 §3.5.1"),
    tries=(
        Try(
            "A15 --world old-syn --lose 4",
            N_("Lose the RST: the true SYN meets the half-open connection, and a second RST ends it."),
        ),
        Try("A15 --world forged --seed 3", N_("Another x, and the same course of things.")),
    ),
)
