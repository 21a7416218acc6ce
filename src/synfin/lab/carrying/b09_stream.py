"""B9: a stream of octets: what is written together need not be read together."""

from __future__ import annotations

from typing import Final

from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import DATA, Run
from synfin.sim import Network, Program, Scenario, Steps, start

GREETINGS: Final = (b"Hello, ", b"Server!")
LETTER: Final = b"0123456789" * 400


def server(program: Program, pause: int, size: int) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(pause)
    while (yield from sock.recv(size)):
        pass
    sock.close()


def client(program: Program, writes: tuple[bytes, ...]) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(30 * MS)
    for write in writes:
        sock.send(write)
        yield from program.sleep(30 * MS)
    yield from program.sleep(100 * MS)
    sock.close()


def stream(writes: tuple[bytes, ...], pause: int = 0, size: int = 1 << 16) -> Scenario:
    """The client makes these writes; the server first does something else for `pause`, then reads `size` at a time."""

    def scenario(network: Network) -> list[Program]:
        here, there = pair(network)
        return [
            start(network, there, lambda program: server(program, pause, size)),
            start(network, here, lambda program: client(program, writes)),
        ]

    return scenario


def written(run: Run) -> list[int]:
    """How much each send() of the client's took."""
    return [call.result for call in run.program("client").calls if call.name == "send" and isinstance(call.result, int)]


def reads(run: Run) -> list[bytes]:
    """What each recv() of the server's gave, until the end of the stream."""
    calls = run.program("server").calls
    return [call.result for call in calls if call.name == "recv" and isinstance(call.result, bytes) and call.result]


def sizes(run: Run) -> list[int]:
    return [len(piece) for piece in reads(run)]


EXPERIMENT = Experiment(
    row="B9",
    question=N_("Does one recv() give what one send() wrote?"),
    prediction=N_(
        "The client writes two greetings, one after the other, and then, in another world, one long letter. How often "
        "must the server read to have all of it, and what does each read give?"
    ),
    worlds=(
        World("gathered", N_("Two writes, and a server that reads late"), stream(GREETINGS, pause=100 * MS)),
        World("apart", N_("The same two writes, and a server that reads at once"), stream(GREETINGS)),
        World(
            "pieces", N_("One write, and a server that reads 1500 octets at a time"), stream((LETTER,), 100 * MS, 1500)
        ),
        World("segments", N_("One write, and a server that reads all it can get at once"), stream((LETTER,))),
    ),
    watch=N_("How many octets each send() took and each recv() gave, below the ladders."),
    claims=(
        Claim(
            N_("Two writes, of {writes} octets, can be one read: {read!r}."),
            lambda runs: written(runs["gathered"]) == [7, 7] and reads(runs["gathered"]) == [b"".join(GREETINGS)],
            lambda runs: {
                "writes": written(runs["gathered"]),
                "read": reads(runs["gathered"])[0],
            },
        ),
        Claim(
            N_("The very same writes and segments can be {count} reads: it depends on when the program asks."),
            lambda runs: (
                reads(runs["apart"]) == list(GREETINGS)
                and [one.segment.payload_length for one in runs["apart"].sent(DATA)]
                == [one.segment.payload_length for one in runs["gathered"].sent(DATA)]
            ),
            lambda runs: {"count": len(reads(runs["apart"]))},
        ),
        Claim(
            N_("One write, of {write} octets, can be several reads, as the reader has room for: {reads} octets."),
            lambda runs: (
                written(runs["pieces"]) == [len(LETTER)]
                and [len(piece) for piece in reads(runs["pieces"])] == [1500, 1500, 1000]
            ),
            lambda runs: {"write": written(runs["pieces"])[0], "reads": sizes(runs["pieces"])},
        ),
        Claim(
            N_(
                "A large buffer does not help: who asks for 65536 octets gets what is there, {reads}, for the write "
                "travels in {segments} segments, and nobody says that they belong together."
            ),
            lambda runs: (
                len(reads(runs["segments"])) == len(runs["segments"].sent(DATA)) == 3
                and [len(piece) for piece in reads(runs["segments"])] == [1448, 1448, 1104]
            ),
            lambda runs: {"reads": sizes(runs["segments"]), "segments": len(runs["segments"].sent(DATA))},
        ),
        Claim(
            N_("Nothing is lost and nothing changes places: put together, the reads are the writes."),
            lambda runs: (
                all(b"".join(reads(runs[name])) == b"".join(GREETINGS) for name in ("gathered", "apart"))
                and all(b"".join(reads(runs[name])) == LETTER for name in ("pieces", "segments"))
            ),
        ),
    ),
    answer=N_(
        "No. TCP carries a stream of octets, not messages: no header says where a write began or ended, and neither "
        "segments nor PSH are a boundary for the program. Who needs messages must mark them in the stream, with a "
        "length before each or a line end behind it, and read until one is complete."
    ),
    clauses=("RFC 9293 §2.2", "RFC 9293 §3.9.1.2", "tcp(7)"),
    tries=(
        Try("B9 --world apart --lose 4", N_("Lose the first greeting: the server gets both in one read after all.")),
        Try(
            "B9 --world segments --delay 5=30ms",
            N_("Delay a segment of the letter: the reads are cut in other places."),
        ),
    ),
)
