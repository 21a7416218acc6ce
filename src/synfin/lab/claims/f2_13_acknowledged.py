"""F2.13: what an acknowledgment says."""

from __future__ import annotations

import array
import fcntl
import termios

from synfin.lab.claims.bench import HOUR, MS, PORT, SECOND, pair
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, PSH

OCTETS = 1000
#: When the server's program begins to read.
LATER = SECOND


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(LATER - program.now)
    yield from sock.recv()
    yield from program.sleep(HOUR)


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    yield from sock.sendall(bytes(OCTETS))
    yield from program.sleep(HOUR)


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def acknowledged(run: Run) -> int:
    """When the server acknowledged the last octet. Raises LookupError if it never did."""
    sent = run.sent(DATA)[0].segment
    for one in run.sent(host="server"):
        if one.segment.ack == (sent.seq + OCTETS) % (1 << 32):
            return one.time
    raise LookupError("never acknowledged")


def unread() -> Figures:
    """1000 octets to a socket whose program does not read."""
    with Kernel() as kernel:
        sock, peer = kernel.served()
        before = peer.seq
        peer.send(PSH | ACK, bytes(OCTETS))
        answer = peer.expect(ACK)
        waiting = array.array("i", [0])
        fcntl.ioctl(sock, termios.FIONREAD, waiting)
        return {"acked": answer.segment.ack - before, "waiting": waiting[0]}


CLAIM = TextClaim(
    name="F2.13",
    text=N_("An ACK says that the peer has received all the data."),
    rfc=N_("It says that the peer's TCP holds every octet before ack. That a user has them, it does not say."),
    clauses=("RFC 9293 §3.4", "RFC 9293 §3.9.1.2"),
    linux=(
        Measured(
            "unread",
            N_("{acked} octets are acknowledged while {waiting} of them wait in the buffer: nobody has read one."),
            unread,
            lambda found: found["acked"] == found["waiting"] == OCTETS,
        ),
    ),
    worlds=(
        World("later", N_("The server's program reads after a second"), scenario, (), 2 * SECOND),
        World(
            "dies",
            N_("The server's machine dies before that"),
            scenario,
            ("reboot server at 500ms for 9s",),
            2 * SECOND,
        ),
    ),
    claims=(
        Claim(
            N_("The ACK leaves at {acked:g} ms; the program reads at {read:g} ms."),
            lambda runs: acknowledged(runs["later"]) < runs["later"].program("server").call("recv").began,
            lambda runs: {
                "acked": acknowledged(runs["later"]) / MS,
                "read": runs["later"].program("server").call("recv").began / MS,
            },
        ),
        Claim(
            N_("If the machine dies between, {octets} octets are acknowledged and no program ever has them."),
            lambda runs: (
                acknowledged(runs["dies"]) < 500 * MS
                and "recv" not in [call.name for call in runs["dies"].program("server").calls]
            ),
            lambda runs: {"octets": OCTETS},
        ),
    ),
    text_holds=lambda runs: acknowledged(runs["later"]) >= runs["later"].program("server").call("recv").began,
)
