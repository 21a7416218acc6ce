"""A5: initial sequence numbers are new for each connection, and nobody can guess them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Final

from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import SYN, SYN_ACK, Run, Runs
from synfin.sim import Network, Program, Steps, start
from synfin.wire.sequence import wrap

#: One port at the client, for one four-tuple.
OURS: Final = 40000
MANY: Final = 64
TICK: Final = 4_000
#: As far beyond a guess as a receive window reaches, such a guess would do for an attacker.
WINDOW: Final = 65535


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        with suppress(ConnectionResetError):
            yield from sock.receive_all()
        sock.close()


def client(program: Program, times: int, port: int) -> Steps[None]:
    """Connects so many times, half a second apart, from `port` (0: any), and resets each connection: no TIME-WAIT."""
    for _ in range(times):
        sock = program.socket()
        if port:
            sock.bind(("", port))
        yield from sock.connect(("server", PORT))
        yield from program.sleep(20 * MS)
        sock.set_linger(0)
        sock.close()
        yield from program.sleep(460 * MS)


def scenario(network: Network, times: int, port: int = 0, reboots: bool = False) -> list[Program]:
    here, there = pair(network)
    programs = [start(network, there, server), start(network, here, partial(client, times=times, port=port))]
    if reboots:
        here.booted = lambda node: start(network, node, partial(client, times=times, port=port), "client")
        network.at(1300 * MS, here.reboot)
    # Of so many connections nobody wants to read every call.
    return programs if port else []


def numbers(run: Run, kind: int = SYN) -> list[tuple[int, int]]:
    """When the client's SYNs left, or the server's SYN+ACKs (nanoseconds), and their numbers."""
    return [(one.time, one.segment.seq) for one in run.sent(kind)]


def guesses(found: list[tuple[int, int]]) -> int:
    """How often the clock alone would have led from one number to the next, or near it."""
    hits = 0
    for (before, first), (time, second) in pairwise(found):
        hits += wrap(second - first - (time - before) // TICK + WINDOW) <= 2 * WINDOW
    return hits


def sixteenths(found: list[tuple[int, int]]) -> int:
    """Into how many sixteenths of all numbers they fall."""
    return len({number >> 28 for _, number in found})


def steps(run: Run, kind: int = SYN) -> list[tuple[int, int]]:
    """From one number to the next: the step, and the ticks of 4 microseconds that went by."""
    return [
        (wrap(second - first), (time - before) // TICK)
        for (before, first), (time, second) in pairwise(numbers(run, kind))
    ]


def table(runs: Runs) -> Table:
    head = (N_("world"), N_("SYN sent at"), "x", N_("step from the one before"), N_("ticks of 4 µs since then"))
    rows = []
    for name in ("many", "same", "reboot"):
        run = runs[name]
        for number, (time, x) in enumerate(numbers(run)[:6]):
            step = [str(value) for value in steps(run)[number - 1]] if number else ["", ""]
            rows.append((run.shown.title if not number else "", f"{time / 1e9:g} s", str(x), *step))
    return Table(head, rows)


EXPERIMENT = Experiment(
    row="A5",
    question=N_("How is the initial sequence number chosen?"),
    prediction=N_(
        "Each connection begins at a number of its own. Should it be 0, a counter, a clock, or a random number? It "
        "must be new for the same four-tuple, so that old segments do not fit, and a stranger must not guess it."
    ),
    worlds=(
        World("many", N_("64 connections, each from another port"), partial(scenario, times=MANY), picture="none"),
        World(
            "same",
            N_("Three connections, all over one four-tuple"),
            partial(scenario, times=3, port=OURS),
            connections=1,
        ),
        World(
            "reboot",
            N_("One four-tuple, and the client reboots after three"),
            partial(scenario, times=3, port=OURS, reboots=True),
            picture="none",
        ),
    ),
    watch=N_("In the table: the number of each SYN, and the step from one to the next."),
    claims=(
        Claim(
            N_(
                "Of {count} connections no two begin with the same number; the numbers fall into {parts} of 16 equal "
                "parts of all 2³²."
            ),
            lambda runs: (
                len({number for _, number in numbers(runs["many"])}) == MANY and sixteenths(numbers(runs["many"])) >= 12
            ),
            lambda runs: {"count": len(numbers(runs["many"])), "parts": sixteenths(numbers(runs["many"]))},
        ),
        Claim(
            N_(
                "An attacker who knows one number and the clock guesses none of the next {count}: not one lies within "
                "a window of 65535 of such a guess."
            ),
            lambda runs: guesses(numbers(runs["many"])) == 0,
            lambda runs: {"count": MANY - 1},
        ),
        Claim(
            N_(
                "On one four-tuple the numbers follow the clock exactly, one every 4 µs, at both ends: half a second "
                "later they are {step} further, far beyond all that the last connection used, so its old segments do "
                "not fit."
            ),
            lambda runs: (
                len(steps(runs["same"])) == 2
                and all(step == ticks > WINDOW for kind in (SYN, SYN_ACK) for step, ticks in steps(runs["same"], kind))
                and guesses(numbers(runs["same"])) == 2
            ),
            lambda runs: {"step": steps(runs["same"])[0][0]},
        ),
        Claim(
            N_(
                "So a number is the clock plus something that depends on the four-tuple and a secret of the host: "
                "after a reboot the secret is another, and the clock no longer tells the next number."
            ),
            lambda runs: (
                len(numbers(runs["reboot"])) == 6
                and [step == ticks for step, ticks in steps(runs["reboot"])] == [True, True, False, True, True]
            ),
        ),
    ),
    table=table,
    answer=N_(
        "By a clock plus a keyed hash: M + F(four-tuple, secret). The clock, one tick every 4 µs, makes the number of "
        "the same four-tuple grow from one connection to the next, so that it is new: it comes round only after 4.77 "
        "hours. The hash makes the beginnings of different four-tuples unrelated: whoever opens a connection of their "
        "own learns nothing of the others, and cannot forge a segment that fits. Random numbers alone would not do: "
        "they could fall into the window of an old connection."
    ),
    clauses=("RFC 6528 §3", "RFC 9293 §3.4.1"),
    tries=(
        Try("A5 --seed 7", N_("Another secret: all numbers are others, the steps on one four-tuple are the same.")),
        Try("A5 --world same --delay 1=300ms", N_("A SYN that travels longer: its number was chosen when it left.")),
    ),
)
