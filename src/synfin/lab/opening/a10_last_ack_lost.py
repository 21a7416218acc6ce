"""A10: the third message is lost, once and always, or late."""

from __future__ import annotations

from errno import ECONNRESET
from functools import partial

from synfin.lab.bench import MS, PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.opening.holdings import forgotten
from synfin.lab.running import ACK, DATA, RST, SYN_ACK, Runs
from synfin.show.history import Arrival
from synfin.sim import Network, Program, Steps, start


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()
    sock.close()


def client(program: Program, writes_after: int) -> Steps[None]:
    """Reads at once, or first writes after so many nanoseconds."""
    sock = yield from program.connected("server", PORT)
    if writes_after:
        yield from program.sleep(writes_after)
        yield from sock.sendall(b"Hello!")
    yield from sock.recv()
    sock.close()


def scenario(network: Network, writes_after: int = 0) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, partial(client, writes_after=writes_after))]


def late(runs: Runs) -> Arrival:
    """Of the first ACK, where it is late."""
    return runs["late"].sent(ACK, "client")[0].arrivals[0]


def gap(runs: Runs, name: str) -> float:
    """Seconds for which only the client takes the connection for open."""
    run = runs[name]
    return (run.when("server", "ESTABLISHED") - run.when("client", "ESTABLISHED")) / 1e9


EXPERIMENT = Experiment(
    row="A10",
    question=N_("What happens if the last message of the handshake is lost?"),
    prediction=N_(
        "The client has sent its ACK and takes the connection for open; the server never got it. An ACK alone has no "
        "timer, so the client will not send it again by itself. Who notices, and what if nobody does?"
    ),
    worlds=(
        World("once", N_("The ACK is lost once; the client only reads"), scenario, ("lose 1st ACK from client",)),
        World(
            "data",
            N_("The ACK is lost, and the client writes"),
            partial(scenario, writes_after=100 * MS),
            ("lose ACK from client",),
        ),
        World(
            "writes",
            N_("Every ACK is lost; the client writes after the server has given up"),
            partial(scenario, writes_after=80 * SECOND),
            ("lose ACK from client",),
        ),
        World("reads", N_("Every ACK is lost; the client only reads"), scenario, ("lose ACK from client",)),
        World("late", N_("The ACK is not lost, but 1.5 s late"), scenario, ("delay 1st ACK by 1500ms from client",)),
    ),
    watch=N_("How long the client is ESTABLISHED while the server is not, and which segment ends that."),
    claims=(
        Claim(
            N_(
                "The server misses the answer to its SYN+ACK and sends it again after {seconds:g} s; the client, long "
                "ESTABLISHED, answers with the same ACK, and the server is ESTABLISHED too."
            ),
            lambda runs: (
                len(runs["once"].sent(SYN_ACK)) == 2
                and len({(one.segment.seq, one.segment.ack) for one in runs["once"].sent(ACK, "client")}) == 1
                and len(runs["once"].sent(ACK, "client")) == 2
                and runs["once"].state("client") == runs["once"].state("server") == "ESTABLISHED"
            ),
            lambda runs: {
                "seconds": runs["once"].times(SYN_ACK)[1] - runs["once"].times(SYN_ACK)[0],
            },
        ),
        Claim(
            N_("Until then, for {seconds:.2f} s, only one of the two takes the connection for open."),
            lambda runs: gap(runs, "once") > 1,
            lambda runs: {"seconds": gap(runs, "once")},
        ),
        Claim(
            N_(
                "Data do as well, for every segment after the SYN bears an acknowledgment: the server opens with the "
                "first one that arrives, hands on its {octets} octets, and sends no SYN+ACK again."
            ),
            lambda runs: (
                len(runs["data"].sent(SYN_ACK)) == 1
                and runs["data"].when("server", "ESTABLISHED") == runs["data"].sent(DATA)[0].arrivals[0].time
                and next(call for call in runs["data"].program("server").calls if call.name == "recv").result
                == b"Hello!"
            ),
            lambda runs: {"octets": runs["data"].sent(DATA)[0].segment.payload_length},
        ),
        Claim(
            N_(
                "If no answer ever arrives, the server sends its SYN+ACK {times} times in all and forgets the request "
                "after {seconds:.0f} s; its accept() never returns. The client is not told."
            ),
            lambda runs: all(
                len(runs[name].sent(SYN_ACK)) == 6
                and forgotten(runs[name]) - runs[name].when("server", "SYN-RECEIVED") == 63 * SECOND
                and runs[name].program("server").call("accept").waits
                and not [one for one in runs[name].sent(RST) if one.time <= forgotten(runs[name])]
                for name in ("writes", "reads")
            ),
            lambda runs: {
                "times": len(runs["reads"].sent(SYN_ACK)),
                "seconds": (forgotten(runs["reads"]) - runs["reads"].when("server", "SYN-RECEIVED")) / 1e9,
            },
        ),
        Claim(
            N_("A client that writes then meets RST: sendall() goes well, and the next recv() fails with ECONNRESET."),
            lambda runs: (
                runs["writes"].program("client").call("sendall").error is None
                and getattr(runs["writes"].program("client").call("recv").error, "errno", 0) == ECONNRESET
                and len(runs["writes"].sent(RST, "server")) == 1
                and runs["writes"].state("client") == "CLOSED"
            ),
        ),
        Claim(
            N_(
                "A client that only reads hangs for ever: its recv() still waits, it is ESTABLISHED, and nothing is "
                "left to happen in this world."
            ),
            lambda runs: (
                runs["reads"].program("client").call("recv").waits
                and runs["reads"].state("client") == "ESTABLISHED"
                and runs["reads"].world.network.next_time() is None
            ),
        ),
        Claim(
            N_(
                "If it is only late, the server has repeated its SYN+ACK by then, and the second ACK has opened the "
                "connection {seconds:.2f} s before the first one comes. By its timestamp that is an old duplicate: it "
                "is dropped, answered with a bare ACK, and changes nothing."
            ),
            lambda runs: (
                len(runs["late"].sent(SYN_ACK)) == len(runs["late"].sent(ACK, "client")) == 2
                and late(runs).old_state == late(runs).new_state == "ESTABLISHED"
                and late(runs).dropped
                and [one.time for one in runs["late"].sent(ACK, "server")] == [late(runs).time]
            ),
            lambda runs: {"seconds": (late(runs).time - runs["late"].when("server", "ESTABLISHED")) / 1e9},
        ),
    ),
    answer=N_(
        "The server notices: its SYN+ACK has a timer, and what it sends again makes the client answer again. Any other "
        "segment of the client's does as well, because each bears the same acknowledgment. tcp_synack_retries bounds "
        "how often the server tries. When it gives up it says nothing, so the client keeps a connection that has no "
        "other end: a program that writes finds out by a RST, one that only reads never does. A program that waits for "
        "the other side needs a time limit of its own, or keep-alive."
    ),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.4", "RFC 9293 §3.5.1"),
    tries=(
        Try(
            "A10 --world writes --set tcp_synack_retries=2", N_("Give up earlier: a shorter ladder with the same end.")
        ),
        Try(
            "A10 --world data --lose 4", N_("Lose the data as well: now the client has a timer, and sends them again.")
        ),
    ),
)
