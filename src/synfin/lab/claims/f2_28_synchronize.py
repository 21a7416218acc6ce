"""F2.28: what SYN stands for."""

from __future__ import annotations

from synfin.lab.claims.bench import MS, SECOND, connects, pair, serves
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import SYN, SYN_ACK, Run
from synfin.show.history import Transmission
from synfin.sim import Network, Program, start
from synfin.wire.ip import Packet, octets
from synfin.wire.tcp import ACK, PROTOCOL_TCP, Segment
from synfin.wire.tcp import SYN as SYN_FLAG

#: RFC 9293 §3.1: the octet of the flags, and the bit; not `synfin.wire`'s constants, which are put to the test.
FLAGS_AT, BIT = 13, 0x02


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, serves), start(network, here, connects)]


def opening(run: Run) -> tuple[Transmission, Transmission]:
    """The two segments with SYN."""
    return run.sent(SYN)[0], run.sent(SYN_ACK)[0]


def flags(segment: Segment) -> int:
    """The octet of flags, as it is on the wire."""
    packet = Packet(bytes(4), bytes(4), PROTOCOL_TCP, segment)
    return octets(packet)[20 + FLAGS_AT]


def taken_over(run: Run) -> bool:
    """Whether each SYN's number, plus one, is what the other end acknowledges next."""
    first, second = opening(run)
    third = run.sent(ACK, "client")[0]
    return (second.segment.ack, third.segment.ack) == (
        (first.segment.seq + 1) % (1 << 32),
        (second.segment.seq + 1) % (1 << 32),
    )


def on_linux() -> Figures:
    """The kernel's SYN; its ACK for the SYN of a peer that began with 5000."""
    with Kernel() as kernel:
        _, peer = kernel.connecting()
        peer.seq = 5000
        peer.send(SYN_FLAG | ACK)
        answer = peer.expect(ACK).segment
        return {"bit": f"0x{flags(peer.sent()[0].segment) & BIT:02x}", "ack": answer.ack}


CLAIM = TextClaim(
    name="F2.28",
    text=N_("SYN means synchronous."),
    rfc=N_("“Synchronize sequence numbers”: each end tells its first number, and the other takes it over."),
    clauses=("RFC 9293 §3.1", "RFC 9293 §3.5"),
    linux=(
        Measured(
            "number",
            N_("In its SYN bit {bit} is set; a peer that began with 5000 is answered with ack = {ack}."),
            on_linux,
            lambda found: (found["bit"], found["ack"]) == ("0x02", 5001),
        ),
    ),
    worlds=(World("opening", N_("The three messages"), scenario, (), SECOND),),
    claims=(
        Claim(
            N_("The bit is {bit} of the flags, in both SYNs and in no other segment."),
            lambda runs: (
                all(flags(one.segment) & BIT for one in opening(runs["opening"]))
                and sum(bool(flags(one.segment) & BIT) for one in runs["opening"].sent()) == 2
            ),
            lambda runs: {"bit": f"0x{flags(opening(runs['opening'])[0].segment) & BIT:02x}"},
        ),
        Claim(
            N_("They carry two numbers, x and y, and are answered with x+1 and y+1: each end now knows the other's."),
            lambda runs: (
                taken_over(runs["opening"])
                and opening(runs["opening"])[0].segment.seq != opening(runs["opening"])[1].segment.seq
            ),
        ),
        Claim(
            N_("Nothing about it is synchronous: one leaves at {first:g} ms, the other at {second:g} ms."),
            lambda runs: opening(runs["opening"])[0].time < opening(runs["opening"])[1].time,
            lambda runs: dict(
                zip(("first", "second"), (one.time / MS for one in opening(runs["opening"])), strict=True)
            ),
        ),
    ),
    text_holds=lambda runs: opening(runs["opening"])[0].time == opening(runs["opening"])[1].time,
)
