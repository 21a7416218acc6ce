"""B1: every octet has a number, modulo 2³²; an acknowledgment names the next one expected."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from synfin.host import addresses
from synfin.lab.bench import CLIENT, MS, PORT, SERVER, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import DATA, SYN, Run, Runs
from synfin.show.history import Transmission
from synfin.sim import Network, Program, Steps, start
from synfin.tcp.identity import Identity
from synfin.tcp.isn import TICK
from synfin.wire.tcp import FIN

NUMBERS: Final = 1 << 32
#: How far below 2³² the client's initial number is.
BELOW: Final = 1500
OWN_PORT: Final = 40000
WRITE: Final = 1000


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()


def client(program: Program) -> Steps[None]:
    # The clock behind initial numbers ticks every 4 microseconds and comes round in under five hours: this waits for
    # the moment at which it gives the connection a number just below 2³².
    identity = Identity(addresses.packed(CLIENT), OWN_PORT, addresses.packed(SERVER), PORT)
    number = program.node.host.transport.numbers.iss(identity, program.now)
    yield from program.sleep((NUMBERS - BELOW - number) % NUMBERS * TICK)
    sock = program.socket()
    sock.bind(("", OWN_PORT))
    yield from sock.connect(("server", PORT))
    for letter in (b"a", b"b", b"c"):
        yield from program.sleep(50 * MS)
        sock.send(letter * WRITE)
    yield from program.sleep(50 * MS)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def numbered(run: Run) -> list[Transmission]:
    """What the client sent that takes numbers: its SYN, its data and its FIN."""
    return [one for one in run.sent(host="client") if span(one)]


def span(one: Transmission) -> int:
    """How many numbers a segment takes: one for each octet, SYN and FIN."""
    segment = one.segment
    return segment.payload_length + bool(segment.flags & SYN) + bool(segment.flags & FIN)


def following(one: Transmission) -> int:
    """The number after those of a segment."""
    return (one.segment.seq + span(one)) % NUMBERS


def answers(run: Run) -> Iterator[tuple[Transmission, int]]:
    """Each segment of the client's that takes numbers, with the acknowledgment number that came back for it first."""
    replies = run.sent(host="server")
    for one in numbered(run):
        arrived = one.arrivals[0].time
        yield one, next(reply.segment.ack for reply in replies if reply.time >= arrived)


def table(runs: Runs) -> Table:
    rows = []
    for one, ack in answers(runs["wrap"]):
        kind = "SYN" if one.segment.flags & SYN else "FIN" if one.segment.flags & FIN else N_("data")
        rows.append((kind, str(one.segment.seq), str(span(one)), str(following(one)), str(ack)))
    return Table(
        (N_("segment"), N_("seq on the wire"), N_("numbers it takes"), N_("next number"), N_("ack that answers")), rows
    )


EXPERIMENT = Experiment(
    row="B1",
    question=N_("What do seq and ack count, and what happens after 4294967295?"),
    prediction=N_(
        "The client's initial number lies 1500 below 2³², and it sends three times 1000 octets. Which numbers do the "
        "three segments carry, and what does the server acknowledge?"
    ),
    worlds=(World("wrap", N_("The numbers run out in the middle of the second segment"), scenario),),
    watch=N_(
        "x in the heading, which is the number on the wire; the ladder counts from it. Then the table, which has the "
        "numbers as they travel."
    ),
    claims=(
        Claim(
            N_("The SYN has number {isn}: it takes one number itself, and the first octet of data has {first}."),
            lambda runs: (
                numbered(runs["wrap"])[0].segment.seq == NUMBERS - BELOW
                and runs["wrap"].sent(DATA)[0].segment.seq == NUMBERS - BELOW + 1
            ),
            lambda runs: {
                "isn": numbered(runs["wrap"])[0].segment.seq,
                "first": runs["wrap"].sent(DATA)[0].segment.seq,
            },
        ),
        Claim(
            N_(
                "A segment's seq is the number of its first octet, so each begins where the one before it ended: "
                "{numbers}."
            ),
            lambda runs: (
                [one.segment.payload_length for one in runs["wrap"].sent(DATA)] == [WRITE] * 3
                and all(after.segment.seq == following(one) for one, after in pairwise(numbered(runs["wrap"])))
            ),
            lambda runs: {"numbers": [one.segment.seq for one in runs["wrap"].sent(DATA)]},
        ),
        Claim(
            N_(
                "After 4294967295 comes 0: the second segment begins at {before} and ends at {last}, and the third "
                "begins at {after}."
            ),
            lambda runs: (
                runs["wrap"].sent(DATA)[1].segment.seq == NUMBERS - 499
                and runs["wrap"].sent(DATA)[2].segment.seq == 501
            ),
            lambda runs: {
                "before": runs["wrap"].sent(DATA)[1].segment.seq,
                "last": (following(runs["wrap"].sent(DATA)[1]) - 1) % NUMBERS,
                "after": runs["wrap"].sent(DATA)[2].segment.seq,
            },
        ),
        Claim(
            N_("Every acknowledgment names the next octet expected, not the last one received, and it wraps too."),
            lambda runs: (
                len(list(answers(runs["wrap"]))) == 5
                and all(ack == following(one) for one, ack in answers(runs["wrap"]))
                and next(ack for one, ack in answers(runs["wrap"]) if one is runs["wrap"].sent(DATA)[1]) == 501
            ),
        ),
        Claim(
            N_("The server reads all {octets} octets in their order, and never notices."),
            lambda runs: (
                b"".join(
                    bytes(call.result)
                    for call in runs["wrap"].program("server").calls
                    if call.name == "recv" and isinstance(call.result, bytes)
                )
                == b"a" * WRITE + b"b" * WRITE + b"c" * WRITE
            ),
            lambda runs: {"octets": sum(one.segment.payload_length for one in runs["wrap"].sent(DATA))},
        ),
    ),
    answer=N_(
        "They count octets, not segments. Every octet has a number of 32 bits; SYN and FIN take one each, so that "
        "they can be acknowledged too. seq is the number of a segment's first octet; ack says: everything before this "
        "number has arrived, this one is next. The numbers go round modulo 2³², so all comparisons are made modulo "
        "2³²; that is safe as long as no more than half of them are under way, which the window sees to, and "
        "timestamps (PAWS) guard against segments that are a whole round old."
    ),
    clauses=("RFC 9293 §3.4", "RFC 9293 §3.4.1", "RFC 7323 §5"),
    tries=(
        Try("B1 --lose 6", N_("Lose the second segment with data: it comes again with the same number.")),
        Try(
            "B1 --seed 7",
            N_("Another clock and another wait; the client's numbers are the same, the server's are not."),
        ),
    ),
    table=table,
)
