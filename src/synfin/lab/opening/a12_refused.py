"""A12: a connection to a port where nobody listens."""

from __future__ import annotations

from errno import ECONNREFUSED, ETIMEDOUT
from functools import partial

from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, MS, PORT, SERVER
from synfin.lab.experiment import N_, Claim, Experiment, Try, World
from synfin.lab.running import RST, SYN, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    sock.close()


def scenario(network: Network, blackhole: int = 0) -> list[Program]:
    """A server without a program; `blackhole` as in synfin.tcp_blackhole."""
    asks, answers = Parameters(), Parameters()
    asks.set("net.ipv4.tcp_syn_linear_timeouts", "0")
    answers.set("synfin.tcp_blackhole", str(blackhole))
    here, there = network.host("client", asks), network.host("server", answers)
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    return [start(network, here, client)]


def error(run: Run) -> int:
    """The errno with which connect() failed; 0 if it did not."""
    found = run.program("client").call("connect").error
    return found.errno or 0 if found is not None else 0


def took(run: Run) -> int:
    return run.program("client").call("connect").lasted


EXPERIMENT = Experiment(
    row="A12",
    question=N_("What if nobody listens at that port?"),
    prediction=N_(
        "The server's machine runs, but no program has called listen() there. Does the client learn of it, how fast, "
        "and how does it know that the answer belongs to its SYN? What if the machine says nothing at all?"
    ),
    worlds=(
        World("refused", N_("Nobody listens: the host answers RST"), scenario),
        World("lost", N_("The same, and the first RST is lost"), scenario, ("lose 1st RST",)),
        World("silent", N_("Nobody listens, and the host says nothing"), partial(scenario, blackhole=1)),
    ),
    watch=N_("The flags, seq and ack of the answer, and how long connect() takes to fail."),
    claims=(
        Claim(
            N_(
                "A CLOSED port answers the SYN with RST; connect() fails with ECONNREFUSED after {ms:.0f} ms, a round "
                "trip."
            ),
            lambda runs: (
                error(runs["refused"]) == ECONNREFUSED
                and took(runs["refused"]) == 2 * DELAY
                and len(runs["refused"].sent(SYN)) == len(runs["refused"].sent(RST)) == 1
            ),
            lambda runs: {"ms": took(runs["refused"]) / MS},
        ),
        Claim(
            N_(
                "The RST has seq={seq}, for the server has no numbers of its own here, and ack=x+1: by that the client "
                "knows that it answers this very SYN."
            ),
            lambda runs: (
                runs["refused"].sent(RST)[0].segment.flags == RST | ACK
                and runs["refused"].sent(RST)[0].segment.seq == 0
                and runs["refused"].sent(RST)[0].segment.ack == wrap(runs["refused"].sent(SYN)[0].segment.seq + 1)
            ),
            lambda runs: {"seq": runs["refused"].sent(RST)[0].segment.seq},
        ),
        Claim(
            N_("The client goes from SYN-SENT back to CLOSED, and its TCB is gone; the server never left CLOSED."),
            lambda runs: (
                runs["refused"].path("client") == ["CLOSED", "SYN-SENT", "CLOSED"]
                and runs["refused"].path("server") == []
                and not runs["refused"].node("client").host.transport.connections
            ),
        ),
        Claim(
            N_("A RST has no timer. If it is lost, the SYN is sent again after {seconds:g} s and refused then."),
            lambda runs: (
                error(runs["lost"]) == ECONNREFUSED and len(runs["lost"].sent(SYN)) == len(runs["lost"].sent(RST)) == 2
            ),
            lambda runs: {"seconds": runs["lost"].times(SYN)[1]},
        ),
        Claim(
            N_(
                "A host that says nothing, as many firewalls do, costs {syns} SYNs and {seconds:.0f} s, and the error "
                "is ETIMEDOUT: no answer is not the same as no."
            ),
            lambda runs: (
                error(runs["silent"]) == ETIMEDOUT
                and len(runs["silent"].sent(SYN)) == 7
                and not runs["silent"].sent(RST)
            ),
            lambda runs: {"syns": len(runs["silent"].sent(SYN)), "seconds": took(runs["silent"]) / 1e9},
        ),
    ),
    answer=N_(
        "The host's TCP answers for the missing program: a segment for a connection that does not exist is answered "
        "with RST, and a SYN with one that acknowledges it. So connect() fails within a round trip, with ECONNREFUSED: "
        "the machine is there, the service is not. Without an answer the client can only wait for its time-out, and "
        "cannot tell a firewall from a machine that is off or a network that is broken."
    ),
    clauses=("RFC 9293 §3.10.7.1", "RFC 9293 §3.10.7.3", "RFC 9293 §3.5.2"),
    tries=(
        Try("A12 --world silent --set tcp_syn_retries=2", N_("Wait less for a host that says nothing.")),
        Try("A12 --world silent --set server:tcp_blackhole=0", N_("Let the silent host answer: refused at once.")),
    ),
)
