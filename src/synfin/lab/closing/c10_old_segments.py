"""C10: why TIME-WAIT, second reason: segments of the old connection meet the new one."""

from __future__ import annotations

from errno import EADDRINUSE
from functools import partial

from synfin import reasons
from synfin.events import SegmentDropped
from synfin.host.parameters import Parameters
from synfin.lab.bench import MS, PORT, SECOND, SERVER, pair, tuned
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import DATA, FIN, SYN, Run, Runs
from synfin.sim import Network, Program, SimulatedSocket, Steps, start
from synfin.tcp.isn import TICK

#: After so long the clock of initial sequence numbers has gone round: a new connection begins with the same numbers
#: as one that was opened then (RFC 9293 §3.4.1).
ROUND = 2**32 * TICK
#: Both connections come from this port of the client's.
CLIENT_PORT = 5000
#: How long a segment may live in this network.
MSL = 30 * SECOND


def opened(program: Program) -> Steps[SimulatedSocket]:
    sock = program.socket()
    sock.bind(("", CLIENT_PORT))
    yield from sock.connect((SERVER, PORT))
    return sock


def again(program: Program) -> Steps[SimulatedSocket]:
    """The same four-tuple, when the clock has gone round; if the host says no, once more after the longest wait."""
    yield from program.sleep(ROUND - program.now)
    try:
        return (yield from opened(program))
    except OSError:
        yield from program.sleep(2 * MSL)
        return (yield from opened(program))


# --- data of the old connection


def writer(program: Program) -> Steps[None]:
    sock = yield from opened(program)
    yield from program.sleep(ROUND - 10 * SECOND - program.now)
    sock.send(b"OLD!")
    yield from program.sleep(SECOND)
    sock.close()
    sock = yield from again(program)
    yield from program.sleep(15 * SECOND)
    sock.send(b"new!")
    yield from program.sleep(MSL)


def reader(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        yield from sock.receive_all()
        sock.close()


def data(network: Network, here: Parameters, there: Parameters) -> list[Program]:
    client, server = pair(network, client=here, server=there)
    return [start(network, server, reader), start(network, client, writer)]


# --- the end of the old connection


def asker(program: Program) -> Steps[None]:
    sock = yield from opened(program)
    yield from program.sleep(ROUND - MSL - SECOND - program.now)
    sock.close()
    sock = yield from again(program)
    yield from program.sleep(50 * MS)
    sock.send(b"question")
    yield from sock.recv()
    yield from program.sleep(MSL)


def answerer(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        if (yield from sock.recv()):
            # The answer takes a while.
            yield from program.sleep(MSL)
            sock.send(b"answer")
            yield from program.sleep(SECOND)
        sock.close()


def end(network: Network, here: Parameters) -> list[Program]:
    # The server is patient: it repeats its FIN once, shortly before the ACK comes.
    client, server = pair(network, client=here, server=tuned(tcp_timestamps=0, tcp_rto_min_us=28_000_000))
    return [start(network, server, answerer), start(network, client, asker)]


LATE = ("delay 1st data by 20s",)
SLOW = ("delay 2nd ACK by 29500ms from client", "delay 2nd FIN by 29s from server")


# --- what happened


def read(run: Run) -> list[object]:
    """What the server's program read in the second connection."""
    calls = run.program("server").calls
    second = [at for at, call in enumerate(calls) if call.name == "accept"][1]
    return [call.result for call in calls[second:] if call.name == "recv" and not call.waits]


def first_read(run: Run) -> str:
    """The first of that."""
    first = read(run)[0]
    return first.decode() if isinstance(first, bytes) else ""


def refused(run: Run) -> bool:
    """Whether the host refused the four-tuple to its program."""
    return any(getattr(call.error, "errno", 0) == EADDRINUSE for call in run.program("client").calls)


def first_number_came_again(run: Run) -> bool:
    syns = run.sent(SYN, "client")
    return len(syns) == 2 and syns[0].segment.seq == syns[1].segment.seq


def longest_way(runs: Runs) -> float:
    """Seconds that the slowest segment of all worlds took."""
    return max(
        (arrival.time - one.time) / SECOND for run in runs.values() for one in run.sent() for arrival in one.arrivals
    )


def opened_again(run: Run) -> float:
    """When the client sent the SYN of the second connection, in seconds from its first FIN."""
    return run.times(SYN, "client")[1] - run.times(FIN, "client")[0]


def old_fin(run: Run) -> float:
    """When the FIN of the old connection came, which the server had sent twice, in seconds from the client's."""
    return run.sent(FIN, "server")[1].arrivals[0].time / SECOND - run.times(FIN, "client")[0]


EXPERIMENT = Experiment(
    row="C10",
    question=N_("Why must a port wait after the close, and why for two MSL?"),
    prediction=N_(
        "The network holds a segment up for 20 seconds. Its connection is closed by then, and between the same two "
        "ports there is a new one, whose numbers happen to be the same. What does the new connection do with the old "
        "segment? And if TIME-WAIT lasts one MSL only, so that the last ACK is surely gone, what may still be on its "
        "way?"
    ),
    watch=N_(
        "The clock of initial numbers goes round in less than five hours. The second SYN is sent just then, and has "
        "the number of the first. Watch the segment that was held up, and what recv() returns."
    ),
    worlds=(
        World(
            "without",
            N_("Laboratory variant: no TIME-WAIT. Data of the old connection come late"),
            partial(data, here=tuned(tcp_timestamps=0, tcp_max_tw_buckets=0), there=tuned(tcp_timestamps=0)),
            LATE,
            ROUND + 16 * SECOND,
        ),
        World(
            "with",
            N_("With TIME-WAIT. The same data come late"),
            partial(data, here=tuned(tcp_timestamps=0), there=tuned(tcp_timestamps=0)),
            LATE,
            ROUND + 76 * SECOND,
        ),
        World(
            "one-msl",
            N_("Laboratory variant: TIME-WAIT of one MSL, 30 s. The last ACK and a FIN take nearly an MSL each"),
            partial(end, here=tuned(tcp_timestamps=0, tcp_timewait_len=30)),
            SLOW,
            ROUND + 31 * SECOND,
        ),
        World(
            "two-msl",
            N_("TIME-WAIT of two MSL, 60 s. The same ACK and the same FIN"),
            partial(end, here=tuned(tcp_timestamps=0, tcp_timewait_len=60)),
            SLOW,
            ROUND + 91 * SECOND,
        ),
        World(
            "timestamps",
            N_("No TIME-WAIT, but timestamps (PAWS). The same data come late"),
            partial(data, here=tuned(tcp_max_tw_buckets=0), there=tuned()),
            LATE,
            ROUND + 16 * SECOND,
        ),
    ),
    claims=(
        Claim(
            N_(
                "Without TIME-WAIT the new connection takes the old octets for its own: the server reads “{old}”, "
                "which nobody wrote into it, and never reads “{new}”, which the client wrote and saw acknowledged."
            ),
            lambda runs: (
                first_number_came_again(runs["without"])
                and read(runs["without"]) == [b"OLD!"]
                and runs["without"].program("client").call("send").result == 4
                and runs["without"].sent(DATA, "client")[-1].segment.payload_bytes() == b"new!"
                and runs["without"].sent(host="server")[-1].segment.ack
                == (runs["without"].sent(SYN)[1].segment.seq + 5) % 2**32
            ),
            lambda runs: {"old": first_read(runs["without"]), "new": first_read(runs["with"])},
        ),
        Claim(
            N_(
                "With TIME-WAIT the host refuses the port to its program (EADDRINUSE), the old segment finds no "
                "connection, and the new one, opened {seconds:.0f} s after the close, reads what was written into it."
            ),
            lambda runs: (
                refused(runs["with"])
                and read(runs["with"]) == [b"new!"]
                and not refused(runs["without"])
                and "TIME-WAIT" in runs["with"].path("client")
            ),
            lambda runs: {"seconds": opened_again(runs["with"])},
        ),
        Claim(
            N_(
                "Timestamps are a guard of their own: without TIME-WAIT the same four-tuple opens again with the same "
                "numbers, but the old segment bears an older timestamp and is dropped."
            ),
            lambda runs: (
                first_number_came_again(runs["timestamps"])
                and not refused(runs["timestamps"])
                and read(runs["timestamps"]) == [b"new!"]
                and [drop.reason for drop in runs["timestamps"].of(SegmentDropped, "server")] == [reasons.OLD_TIMESTAMP]
            ),
        ),
        Claim(
            N_(
                "One MSL does not do: a FIN of the old connection comes {seconds:.1f} s after the close, the client "
                "takes it for the end of the new one, and reads the end of the file while the server works on its "
                "answer."
            ),
            lambda runs: (
                first_number_came_again(runs["one-msl"])
                and runs["one-msl"].program("client").call("recv").result == b""
                and len(runs["one-msl"].sent(FIN, "server")) == 2
                and runs["one-msl"].sent(DATA, "server")[-1].segment.payload_bytes() == b"answer"
                and runs["one-msl"].path("client")[-2:] == ["ESTABLISHED", "CLOSE-WAIT"]
                and old_fin(runs["one-msl"]) > MSL / SECOND
            ),
            lambda runs: {"seconds": old_fin(runs["one-msl"])},
        ),
        Claim(
            N_(
                "Two MSL do: the same FIN meets TIME-WAIT, which answers it, and the new connection hears the answer. "
                "No segment took longer than {seconds:.0f} s, an MSL."
            ),
            lambda runs: (
                runs["two-msl"].program("client").call("recv").result == b"answer"
                and refused(runs["two-msl"])
                and old_fin(runs["two-msl"]) == old_fin(runs["one-msl"])
                and MSL / SECOND * 0.9 < longest_way(runs) <= MSL / SECOND
            ),
            lambda runs: {"seconds": longest_way(runs)},
        ),
    ),
    answer=N_(
        "Two addresses and two ports say to which connection a segment belongs, and its sequence number whether it has "
        "its place there. If the four are used again too early, an old segment may fit. So the end that closed first "
        "keeps the four-tuple for two MSL. The first is for its last segment, the ACK: until that has arrived, or is "
        "gone, the other end may still send its FIN again. The second is for that FIN, which may itself be on its way "
        "for an MSL. Then nothing of the old connection is left in either direction. Initial numbers that go with a "
        "clock make a clash rare, but here the clock has gone round; a connection that sends more than 250,000 octets "
        "a second overtakes it at any time. Timestamps tell old from new where both ends use them."
    ),
    clauses=("RFC 9293 §3.4.1", "RFC 9293 §3.4.3", "RFC 9293 §3.6.1", "RFC 7323 §5.3", "RFC 1337 §2"),
    tries=(
        Try(
            "C10 --world with --set tcp_max_tw_buckets=0",
            N_("No room for any TIME-WAIT: the second world goes the way of the first."),
        ),
        Try("C10 --set tcp_timestamps=1", N_("With timestamps every world is safe, that of one MSL too.")),
    ),
)
