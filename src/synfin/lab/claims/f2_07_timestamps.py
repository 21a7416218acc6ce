"""F2.7: the timestamps option, and TSO."""

from __future__ import annotations

from functools import partial

from synfin.lab.claims.bench import MS, PORT, pair, serves, tuned
from synfin.lab.claims.kernel import Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, SYN, SYN_ACK, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, Options
from synfin.wire.tcp import SYN as SYN_FLAG

#: As RFC 7323 §3.2 numbers it; not `synfin.wire`'s constant, which is what is put to the test.
KIND, LENGTH = 8, 10
OCTETS = 4000


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    yield from sock.sendall(bytes(OCTETS))
    yield from program.sleep(100 * MS)
    sock.close()


def scenario(network: Network, timestamps: int) -> list[Program]:
    here, there = pair(network, client=tuned(tcp_timestamps=timestamps))
    return [start(network, there, serves), start(network, here, client)]


def option(options: Options) -> bytes:
    """The octets of the option with kind 8; none if there is none."""
    octets = options.encode()
    at = 0
    while at < len(octets) and octets[at]:
        length = octets[at + 1] if octets[at] != 1 else 1
        if octets[at] == KIND:
            return octets[at : at + length]
        at += length
    return b""


def pieces(run: Run) -> list[int]:
    """How many octets each segment with data has."""
    return [one.segment.payload_length for one in run.sent(DATA)]


def all_sent(peer: Peer) -> bool:
    return sum(one.segment.payload_length for one in peer.sent(ACK)) >= OCTETS


def on_linux() -> Figures:
    """The kernel's SYN, and how many segments it makes of 4000 octets, with and without the option."""
    found = {}
    for timestamps in (0, 1):
        with Kernel(tcp_timestamps=timestamps) as kernel:
            options = Options(mss=1460, ts_val=1, ts_ecr=0) if timestamps else Options(mss=1460)
            sock, peer = kernel.connected(options)
            found[f"length{timestamps}"] = len(option(peer.sent(SYN_FLAG)[0].segment.options))
            sock.sendall(bytes(OCTETS))
            kernel.until(partial(all_sent, peer))
            found[f"segments{timestamps}"] = len([one for one in peer.sent(ACK) if one.segment.payload_length])
    return found


CLAIM = TextClaim(
    name="F2.7",
    text=N_("The SYN carries the timestamp option (TSO)."),
    rfc=N_(
        "The option is called Timestamps, TSopt: kind 8, with TSval and TSecr. TSO is what cuts segments in hardware."
    ),
    clauses=("RFC 7323 §3.2",),
    linux=(
        Measured(
            "option",
            N_(
                "Kind 8 in its SYN: {length1} octets with tcp_timestamps=1, {length0} with 0. Data are "
                "cut all the same."
            ),
            on_linux,
            lambda found: found["length1"] == LENGTH and found["length0"] == 0 and found["segments0"] == 3,
        ),
    ),
    worlds=(
        World("with", N_("With timestamps"), partial(scenario, timestamps=1)),
        World("without", N_("Without timestamps"), partial(scenario, timestamps=0)),
    ),
    claims=(
        Claim(
            N_("The option in the SYN is of kind {kind} and {length} octets long."),
            lambda runs: list(option(runs["with"].sent(SYN)[0].segment.options)[:2]) == [KIND, LENGTH],
            lambda runs: dict(
                zip(("kind", "length"), option(runs["with"].sent(SYN)[0].segment.options)[:2], strict=True)
            ),
        ),
        Claim(
            N_("It carries TSval, {value}; the answer gives the same number back as TSecr."),
            lambda runs: (
                runs["with"].sent(SYN_ACK)[0].segment.options.ts_ecr
                == runs["with"].sent(SYN)[0].segment.options.ts_val
                is not None
            ),
            lambda runs: {"value": runs["with"].sent(SYN)[0].segment.options.ts_val},
        ),
        Claim(
            N_("It cuts nothing: without it {octets} octets still leave as {segments} segments."),
            lambda runs: len(pieces(runs["without"])) == len(pieces(runs["with"])) == 3,
            lambda runs: {"octets": OCTETS, "segments": len(pieces(runs["without"]))},
        ),
    ),
    text_holds=lambda runs: len(pieces(runs["without"])) == 1,
)
