"""B2: segments out of order are put back in order, and duplicates are dropped."""

from __future__ import annotations

from typing import Final

from synfin.events import SegmentDropped, SegmentReceived
from synfin.host.socket_option_numbers import IPPROTO_TCP, TCP_NODELAY
from synfin.lab.bench import MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import DATA, Run
from synfin.reasons import OUT_OF_ORDER_DATA
from synfin.sim import Network, Program, Steps, start

WRITES: Final = (b"Once upon a time ", b"there was an octet ", b"that came too late.")
TEXT: Final = b"".join(WRITES)


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    # Each write leaves at once, as a segment of its own (see B7).
    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    yield from program.sleep(30 * MS)
    for write in WRITES:
        sock.send(write)
        yield from program.sleep(MS)
    yield from program.sleep(200 * MS)
    sock.close()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def reads(run: Run) -> list[bytes]:
    """What each recv() of the server's gave."""
    return [
        call.result for call in run.program("server").calls if call.name == "recv" and isinstance(call.result, bytes)
    ]


def arrived(run: Run) -> list[int]:
    """The data that reached the server, in the order of arrival: the number of each one's first octet, from 1."""
    found = [(one.time, sent.sender.relative(sent.segment.seq)) for sent in run.sent(DATA) for one in sent.arrivals]
    return [number for _, number in sorted(found)]


def asked(run: Run) -> list[int]:
    """The acknowledgment numbers that the server sent while data came, counted from the first octet's, which is 1."""
    last = max(one.time for sent in run.sent(DATA) for one in sent.arrivals)
    first = run.sent(DATA)[0].time
    replies = [one for one in run.sent(host="server") if first < one.time <= last]
    return [one.receiver.relative(one.segment.ack) for one in replies]


def blocks(run: Run) -> list[tuple[tuple[int, int], ...]]:
    """The SACK blocks in those acknowledgments of the server's that have any, counted in the same way."""
    found = []
    for one in run.sent(host="server"):
        sack = one.segment.options.sack
        if sack:
            found.append(tuple((one.receiver.relative(left), one.receiver.relative(right)) for left, right in sack))
    return found


def out_of_order(run: Run) -> int:
    return sum(event.reason is OUT_OF_ORDER_DATA for event in run.of(SegmentReceived, "server"))


def dropped(run: Run) -> int:
    return len(run.of(SegmentDropped, "server"))


EXPERIMENT = Experiment(
    row="B2",
    question=N_("What if segments arrive out of order, or twice?"),
    prediction=N_(
        "The client writes three pieces of a sentence, and the network changes their order, or makes two of one. What "
        "does the server's TCP acknowledge at each arrival, and what does its program read?"
    ),
    worlds=(
        World(
            "overtaken", N_("The first segment is overtaken by the two behind it"), scenario, ("delay 1st data by 3ms",)
        ),
        World(
            "late", N_("The first segment comes so late that it is sent again"), scenario, ("delay 1st data by 60ms",)
        ),
        World("twice", N_("The network makes two of the second segment"), scenario, ("duplicate 2nd data",)),
    ),
    watch=N_(
        "The server's ack, which stays where the gap is, the SACK blocks beside it, and what recv() gives the program."
    ),
    claims=(
        Claim(
            N_(
                "Where the first segment is overtaken, data arrive in the order {order}; the server keeps {kept} "
                "segments until the gap is filled."
            ),
            lambda runs: arrived(runs["overtaken"]) == [18, 37, 1] and out_of_order(runs["overtaken"]) == 2,
            lambda runs: {
                "order": arrived(runs["overtaken"]),
                "kept": out_of_order(runs["overtaken"]),
            },
        ),
        Claim(
            N_(
                "Each of these is answered at once with ack={gap}, still the first octet that is missing; SACK says "
                "what is there beyond it. When the gap is filled, ack jumps to {end}."
            ),
            lambda runs: (
                asked(runs["overtaken"]) == [1, 1, 1 + len(TEXT)]
                and blocks(runs["overtaken"]) == [((18, 37),), ((18, 56),)]
            ),
            lambda runs: {"gap": asked(runs["overtaken"])[0], "end": asked(runs["overtaken"])[-1]},
        ),
        Claim(
            N_(
                "Its program sees nothing of this: recv() waits, and then gives {octets} octets in one piece, in order."
            ),
            lambda runs: reads(runs["overtaken"]) == [TEXT, b""],
            lambda runs: {"octets": len(reads(runs["overtaken"])[0])},
        ),
        Claim(
            N_(
                "Where it comes too late, the client has sent it again: it arrives twice, and the server drops the "
                "copy that comes second and says so in a SACK block (D-SACK)."
            ),
            lambda runs: (
                arrived(runs["late"]) == [18, 37, 1, 1]
                and len(runs["late"].history.retransmissions) == 1
                and dropped(runs["late"]) == 1
                and blocks(runs["late"])[-1][0] == (1, 18)
            ),
        ),
        Claim(
            N_("Where the network makes two of one, nothing is sent again; the second copy is dropped too."),
            lambda runs: (
                arrived(runs["twice"]) == [1, 18, 18, 37]
                and not runs["twice"].history.retransmissions
                and dropped(runs["twice"]) == 1
            ),
        ),
        Claim(
            N_("In all {worlds} worlds the program reads the same sentence, each octet once."),
            lambda runs: all(b"".join(reads(run)) == TEXT for run in runs.values()),
            lambda runs: {"worlds": len(runs)},
        ),
    ),
    answer=N_(
        "Every octet has a number, and that is enough to put things right. What lies beyond a gap is kept and not "
        "given to the program; what lies before RCV.NXT has been there already and is dropped. Both are answered at "
        "once with the number that is expected, so that the sender learns what the receiver has. The order of "
        "segments in the network is nobody's promise; the order of octets in the stream is TCP's."
    ),
    clauses=("RFC 9293 §3.4", "RFC 9293 §3.10.7.4", "RFC 2018 §4", "RFC 2883 §4"),
    tries=(
        Try(
            "B2 --world overtaken --set tcp_sack=0",
            N_("Without SACK the acknowledgments say only where the gap begins."),
        ),
        Try("B2 --world twice --set tcp_dsack=0", N_("Without D-SACK the sender is not told which octets came twice.")),
    ),
)
