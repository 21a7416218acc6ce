"""A4: the third message opens the client when it is sent and the server when it arrives; it may carry data."""

from __future__ import annotations

from functools import partial
from socket import IPPROTO_TCP

from synfin.host.socket_option_numbers import TCP_QUICKACK
from synfin.lab.bench import DELAY, MS, PORT, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import ACK, DATA, SYN_ACK, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.sequence import wrap


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.recv()
    yield from sock.recv()


def client(program: Program, together: bool) -> Steps[None]:
    """Writes at once; `together`: the ACK of the SYN+ACK waits for that."""
    sock = program.socket()
    if together:
        sock.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 0)
    yield from sock.connect(("server", PORT))
    if not together:
        yield from program.sleep(30 * MS)
    yield from sock.sendall(b"Hello!")
    yield from sock.recv()


def scenario(network: Network, together: bool) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, partial(client, together=together))]


def third(run: Run) -> tuple[int, int, int]:
    """seq and ack of the third message, counted from the initial numbers, and how much it carries."""
    one = run.sent(host="client")[1].segment
    history = run.history
    return (
        wrap(one.seq - history.left.initial_numbers[0]),
        wrap(one.ack - history.right.initial_numbers[0]),
        one.payload_length,
    )


def later(run: Run) -> float:
    """How much later than the client the server is ESTABLISHED, in milliseconds."""
    return (run.when("server", "ESTABLISHED") - run.when("client", "ESTABLISHED")) / MS


EXPERIMENT = Experiment(
    row="A4",
    question=N_("When exactly is each end ESTABLISHED, and may the third message carry data?"),
    prediction=N_(
        "The client answers the SYN+ACK with an ACK. Are both ends ESTABLISHED at the same moment? If the client has "
        "something to say already, does it need a fourth segment for it?"
    ),
    worlds=(
        World("bare", N_("A bare ACK, data later"), partial(scenario, together=False)),
        World("together", N_("The ACK carries the first data (TCP_QUICKACK off)"), partial(scenario, together=True)),
    ),
    watch=N_("At which end of the third arrow each state changes; seq of the ACK and of the data."),
    claims=(
        Claim(
            N_("The third message has seq=x+1 and ack=y+1, with data or without."),
            lambda runs: all(third(run)[:2] == (1, 1) for run in runs.values()),
        ),
        Claim(
            N_(
                "The client is ESTABLISHED when the SYN+ACK arrives and it answers; the server only when this answer "
                "arrives, {ms:.0f} ms later, and then accept() returns."
            ),
            lambda runs: all(
                run.when("client", "ESTABLISHED")
                == run.sent(SYN_ACK)[0].arrivals[0].time
                == run.sent(host="client")[1].time
                and run.when("server", "ESTABLISHED") == run.sent(host="client")[1].arrivals[0].time
                and later(run) == DELAY / MS
                and run.program("server").call("accept").ended == run.when("server", "ESTABLISHED")
                for run in runs.values()
            ),
            lambda runs: {"ms": later(runs["bare"])},
        ),
        Claim(
            N_("A bare ACK takes no number: the data that follow have seq=x+1 again."),
            lambda runs: (
                third(runs["bare"])[2] == 0
                and runs["bare"].sent(DATA)[0].segment.seq == runs["bare"].sent(ACK, "client")[0].segment.seq
            ),
        ),
        Claim(
            N_(
                "With data it takes as many as there are octets, {octets} here: the server is ESTABLISHED, hands them "
                "on and acknowledges them, one segment sooner than in the other world."
            ),
            lambda runs: (
                third(runs["together"])[2] == 6
                and not runs["together"].sent(ACK, "client")
                and len(runs["together"].sent()) == len(runs["bare"].sent()) - 1
                and runs["together"].program("server").calls[-2].result == b"Hello!"
            ),
            lambda runs: {"octets": third(runs["together"])[2]},
        ),
    ),
    answer=N_(
        "Never at the same moment. The client knows with the SYN+ACK that both directions work, so it is ESTABLISHED "
        "as it answers. The server learns it from that answer, half a round trip later. The third message is an "
        "ordinary segment of an open connection: it may carry data, which then need no segment of their own. Most "
        "hosts send it at once and bare; a client that means to write first can make it wait."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.3", "RFC 9293 §3.10.7.4"),
    tries=(
        Try(
            "A4 --world bare --delay 3=300ms", N_("Now the data overtake the ACK, and it is they that open the server.")
        ),
        Try("A4 --world together --lose 3", N_("Nothing is lost for good: data have a timer, unlike a bare ACK.")),
    ),
)
