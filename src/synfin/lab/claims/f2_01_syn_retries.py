"""F2.1: what tcp_syn_retries counts."""

from __future__ import annotations

from errno import ETIMEDOUT
from functools import partial

from synfin.lab.claims.bench import connects, pair, serves, tuned
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import SYN, Runs
from synfin.sim import Network, Program, start

RETRIES = 6


def scenario(network: Network, linear: int) -> list[Program]:
    here, there = pair(network, client=tuned(tcp_syn_retries=RETRIES, tcp_syn_linear_timeouts=linear))
    return [start(network, there, serves), start(network, here, connects)]


def gave_up(runs: Runs, world: str) -> float:
    """After how many seconds connect failed with ETIMEDOUT; -1 if it did not."""
    call = runs[world].program("client").call("connect")
    return call.lasted / 1e9 if call.error is not None and call.error.errno == ETIMEDOUT else -1


def defaults() -> Figures:
    with Kernel() as kernel:
        return {"retries": kernel.sysctl("tcp_syn_retries"), "linear": kernel.sysctl("tcp_syn_linear_timeouts")}


def count(**sysctls: int) -> Figures:
    """SYNs that the kernel sends to a peer that never answers, and what connect says in the end."""
    with Kernel(**sysctls) as kernel:
        sock, peer = kernel.connecting()
        seconds, error = kernel.until_closed(sock, 150)
        return {"syns": len(peer.sent(SYN)), "seconds": round(seconds), "error": error}


CLAIM = TextClaim(
    name="F2.1",
    text=N_("tcp_syn_retries is the number of SYNs that are sent, and it is 5."),
    rfc=N_("The RFC counts nothing: the time-out of an open is to be at least 3 minutes."),
    clauses=("RFC 9293 §3.8.3", "RFC 6298 §2"),
    linux=(
        Measured(
            "defaults",
            N_("The default is {retries}, and {linear} linear time-outs come on top."),
            defaults,
            lambda found: found["retries"] == 6 and found["linear"] == 4,
        ),
        Measured(
            "one",
            N_("With tcp_syn_retries=1 and no linear time-outs, {syns} SYNs leave: it counts retransmissions."),
            # A longest time-out of a second spares us the wait.
            lambda: {
                "syns": count(tcp_syn_retries=1, tcp_syn_linear_timeouts=0, tcp_rto_max_ms=1000)["syns"],
            },
            lambda found: found["syns"] == 2,
        ),
        Measured(
            "default",
            N_("As it comes: {syns} SYNs, and after {seconds} s {error}; its timers come a little late."),
            count,
            lambda found: found["syns"] == 11 and found["error"] == "ETIMEDOUT",
            slow=True,
        ),
        Measured(
            "doubling",
            N_("With tcp_syn_linear_timeouts=0: {syns} SYNs, and after {seconds} s {error}."),
            partial(count, tcp_syn_linear_timeouts=0),
            lambda found: found["syns"] == 7 and found["error"] == "ETIMEDOUT",
            slow=True,
        ),
    ),
    worlds=(
        World("default", N_("Every SYN is lost; linear time-outs first"), partial(scenario, linear=4), ("lose SYN",)),
        World("doubling", N_("Every SYN is lost; no linear time-outs"), partial(scenario, linear=0), ("lose SYN",)),
    ),
    claims=(
        Claim(
            N_("Without linear time-outs SYNs leave at {times} s, one more than tcp_syn_retries says."),
            lambda runs: (
                [round(time) for time in runs["doubling"].times(SYN)] == [0, 1, 3, 7, 15, 31, 63]
                and len(runs["doubling"].sent(SYN)) == RETRIES + 1
            ),
            lambda runs: {"times": [f"{time:g}" for time in runs["doubling"].times(SYN)]},
        ),
        Claim(
            N_("connect fails with ETIMEDOUT after {seconds:g} s."),
            lambda runs: round(gave_up(runs, "doubling")) == 127,
            lambda runs: {"seconds": gave_up(runs, "doubling")},
        ),
        Claim(
            N_("With the linear time-outs of today there are {syns} SYNs and {seconds:g} s."),
            lambda runs: len(runs["default"].sent(SYN)) == 11 and round(gave_up(runs, "default")) == 131,
            lambda runs: {"syns": len(runs["default"].sent(SYN)), "seconds": gave_up(runs, "default")},
        ),
    ),
    text_holds=lambda runs: any(len(run.sent(SYN)) == RETRIES for run in runs.values()),
)
