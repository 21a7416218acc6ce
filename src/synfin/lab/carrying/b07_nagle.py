"""B7: Nagle's algorithm, delayed acknowledgments, their switches, and the stall when the two meet."""

from __future__ import annotations

from typing import Final

from synfin.host.parameters import Parameters
from synfin.host.socket_option_numbers import IPPROTO_TCP, TCP_NODELAY, TCP_QUICKACK
from synfin.lab.bench import CLIENT, DELAY, MS, PORT, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import ACK, DATA, Run, Runs
from synfin.reasons import ACK_DELAYED
from synfin.sim import Network, Program, Scenario, Steps, start

HEADER: Final = b"GET "
BODY: Final = b"the answer"
ANSWER: Final = b"42"
ROUND_TRIP: Final = 2 * DELAY


def server(program: Program, quickack: bool) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    question = b""
    while len(question) < len(HEADER + BODY):
        question += yield from sock.recv()
        if quickack:
            # It holds for a while only, so one sets it again after each recv().
            sock.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 1)
    sock.send(ANSWER)
    yield from sock.receive_all()
    sock.close()


def client(program: Program, nodelay: bool, writes: tuple[bytes, ...]) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    if nodelay:
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    yield from program.sleep(30 * MS)
    for write in writes:
        sock.send(write)
    yield from sock.recv()
    yield from program.sleep(100 * MS)
    sock.close()


def exchange(nodelay: bool = False, quickack: bool = False, writes: tuple[bytes, ...] = (HEADER, BODY)) -> Scenario:
    def scenario(network: Network) -> list[Program]:
        parameters = Parameters()
        # As after some hundred milliseconds of a connection: Linux acknowledges the first segments at once.
        parameters.tcp.tcp_quick_acks = 0
        here, there = network.host("client"), network.host("server", parameters)
        network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
        return [
            start(network, there, lambda program: server(program, quickack)),
            start(network, here, lambda program: client(program, nodelay, writes)),
        ]

    return scenario


def took(run: Run) -> float:
    """Milliseconds from the first write to the answer."""
    program = run.program("client")
    first = next(call for call in program.calls if call.name == "send")
    answer = program.call("recv")
    return (answer.began + answer.lasted - first.began) / MS


def left(run: Run) -> list[float]:
    """When the client's data left, in milliseconds after the first write."""
    program = run.program("client")
    first = next(call for call in program.calls if call.name == "send")
    return [(one.time - first.began) / MS for one in run.sent(DATA, "client")]


def bare(run: Run) -> int:
    """How many segments without data the server sent until it answered."""
    answer = run.sent(DATA, "server")[0].time
    return sum(one.time <= answer for one in run.sent(ACK, "server"))


def delayed(run: Run) -> float:
    """How long the server kept its acknowledgment back, in milliseconds."""
    one = next(each for each in run.sent(ACK, "server") if each.reason is ACK_DELAYED)
    return (one.time - run.sent(DATA, "client")[0].arrivals[0].time) / MS


def table(runs: Runs) -> Table:
    rows = [
        (run.shown.title, f"{took(run):.0f}", str(len(run.sent(DATA, "client"))), str(bare(run)))
        for run in runs.values()
    ]
    return Table(
        (N_("world"), N_("ms until the answer"), N_("segments of the question"), N_("acknowledgments alone")), rows
    )


EXPERIMENT = Experiment(
    row="B7",
    question=N_("Why does a small question sometimes take 40 milliseconds too long?"),
    prediction=N_(
        "The client writes a question in two small pieces and waits for the answer; a round trip takes 20 ms. The "
        "client's TCP would rather not send small segments, the server's would rather not send bare acknowledgments. "
        "What happens when both wait?"
    ),
    worlds=(
        World("stall", N_("Nagle and delayed acknowledgments meet"), exchange()),
        World("nodelay", N_("The client sets TCP_NODELAY"), exchange(nodelay=True)),
        World("quickack", N_("The server sets TCP_QUICKACK"), exchange(quickack=True)),
        World("one", N_("The client writes the question in one piece"), exchange(writes=(HEADER + BODY,))),
    ),
    watch=N_(
        "When the second piece leaves, and what it waited for. The server is past the first quick acknowledgments of "
        "a connection (synfin.tcp_quick_acks=0), as it is when an exchange has gone on for a while."
    ),
    claims=(
        Claim(
            N_(
                "Nagle: the first piece leaves at once, as nothing is under way. The second is small and waits for "
                "the acknowledgment of the first: it leaves after {wait:.0f} ms."
            ),
            lambda runs: len(left(runs["stall"])) == 2 and left(runs["stall"])[0] == 0 and left(runs["stall"])[1] == 60,
            lambda runs: {"wait": left(runs["stall"])[1]},
        ),
        Claim(
            N_(
                "Delayed acknowledgment: the server has half a question, nothing to say, and keeps its acknowledgment "
                "back for {delay:.0f} ms in the hope of data on which it could ride."
            ),
            lambda runs: delayed(runs["stall"]) == 40,
            lambda runs: {"delay": delayed(runs["stall"])},
        ),
        Claim(
            N_(
                "Each waits for the other: {stalled:.0f} ms until the answer, though two round trips are {trips:.0f} "
                "ms."
            ),
            lambda runs: took(runs["stall"]) == 2 * ROUND_TRIP / MS + 40,
            lambda runs: {"stalled": took(runs["stall"]), "trips": 2 * ROUND_TRIP / MS},
        ),
        Claim(
            N_(
                "TCP_NODELAY switches Nagle off: both pieces leave at once, and the answer is there after "
                "{milliseconds:.0f} ms, at the price of {segments} small segments."
            ),
            lambda runs: (
                left(runs["nodelay"]) == [0, 0]
                and took(runs["nodelay"]) == ROUND_TRIP / MS
                and bare(runs["nodelay"]) == 0
            ),
            lambda runs: {"milliseconds": took(runs["nodelay"]), "segments": len(left(runs["nodelay"]))},
        ),
        Claim(
            N_(
                "TCP_QUICKACK lets the server acknowledge at once: {milliseconds:.0f} ms, for the second piece still "
                "waits a round trip for that."
            ),
            lambda runs: (
                took(runs["quickack"]) == 2 * ROUND_TRIP / MS
                and left(runs["quickack"]) == [0, ROUND_TRIP / MS]
                and bare(runs["quickack"]) == 1
            ),
            lambda runs: {"milliseconds": took(runs["quickack"])},
        ),
        Claim(
            N_(
                "One write instead of two: {milliseconds:.0f} ms, in {segments} segment, and the acknowledgment rides "
                "on the answer. Nothing had to be switched off."
            ),
            lambda runs: (
                took(runs["one"]) == ROUND_TRIP / MS and len(left(runs["one"])) == 1 and bare(runs["one"]) == 0
            ),
            lambda runs: {"milliseconds": took(runs["one"]), "segments": len(left(runs["one"]))},
        ),
    ),
    answer=N_(
        "Two good ideas that do not know of each other. Nagle's algorithm lets only one small segment be under way, "
        "so that a program that writes octet by octet does not fill the network with headers. A delayed "
        "acknowledgment waits for data to ride on. Write, write, read is what makes them meet. The best cure is to "
        "write all that belongs together in one call; TCP_NODELAY is the second best, for programs that cannot."
    ),
    clauses=("RFC 9293 §3.7.4", "RFC 9293 §3.8.6.3", "RFC 1122 §4.2.3.2", "tcp(7)"),
    tries=(
        Try(
            "B7 --world stall --set synfin.tcp_quick_acks=1",
            N_("As Linux is at first: it acknowledges at once, and the stall does not show."),
        ),
        Try("B7 --world stall --set synfin.tcp_delack_min=200", N_("A more patient server: the stall is 200 ms long.")),
    ),
    table=table,
)
