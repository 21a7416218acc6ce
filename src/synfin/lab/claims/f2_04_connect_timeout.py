"""F2.4: which option bounds connect."""

from __future__ import annotations

import socket
import struct
from errno import EINPROGRESS, ETIMEDOUT
from functools import partial
from socket import SO_RCVTIMEO, SO_SNDTIMEO

from synfin.lab.claims.bench import PORT, SECOND, pair, serves
from synfin.lab.claims.kernel import Background, Kernel, Peer
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import SYN, Run
from synfin.link.kernel import REMOTE_IPV4
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, RST

LIMIT = 10


def scenario(network: Network, option: int) -> list[Program]:
    here, there = pair(network)

    def client(program: Program) -> Steps[None]:
        sock = program.socket()
        sock.set_timeout(option, LIMIT * SECOND)
        yield from sock.connect(("server", PORT))

    return [start(network, there, serves), start(network, here, client)]


def ended(run: Run) -> tuple[float, int]:
    """After how many seconds connect failed, and with what errno."""
    call = run.program("client").call("connect")
    return call.lasted / 1e9, (call.error.errno or 0) if call.error is not None else 0


def with_option(option: int, milliseconds: int) -> Figures:
    """connect to a silent peer: whether it still waits after 0.9 s, when the peer answers with a RST; and its errno."""
    with Kernel() as kernel:
        sock = kernel.new_socket()
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", 0, 1000 * milliseconds))
        call = Background(lambda: sock.connect((REMOTE_IPV4, PORT)))
        kernel.listen_for(0.9)
        waits = not call.over()
        syn = next(one.segment for one in kernel.heard if one.has(SYN))
        peer = Peer(kernel, PORT, syn.source_port)
        peer.ack = syn.seq + 1
        peer.send(RST | ACK)
        kernel.until(call.over)
        return {"waits": int(waits), "error": call.outcome}


CLAIM = TextClaim(
    name="F2.4",
    text=N_("SO_RCVTIMEO sets how long connect waits."),
    rfc=N_("The RFC's time-out of an open belongs to the connection, or to OPEN itself; it knows no socket options."),
    clauses=("RFC 9293 §3.9.1.1", "socket(7)"),
    linux=(
        Measured(
            "rcvtimeo",
            N_("SO_RCVTIMEO of 0.3 s: connect still waits after 0.9 s, until a RST ends it ({error})."),
            partial(with_option, SO_RCVTIMEO, 300),
            lambda found: found["waits"] == 1 and found["error"] == "ECONNREFUSED",
        ),
        Measured(
            "sndtimeo",
            N_("SO_SNDTIMEO of 0.3 s: connect has ended by 0.9 s, with {error}."),
            partial(with_option, SO_SNDTIMEO, 300),
            lambda found: found["waits"] == 0 and found["error"] == "EINPROGRESS",
        ),
    ),
    worlds=(
        World(
            "receive",
            N_("SO_RCVTIMEO of 10 s; every SYN is lost"),
            partial(scenario, option=SO_RCVTIMEO),
            ("lose SYN",),
        ),
        World(
            "send", N_("SO_SNDTIMEO of 10 s; every SYN is lost"), partial(scenario, option=SO_SNDTIMEO), ("lose SYN",)
        ),
    ),
    claims=(
        Claim(
            N_("With SO_RCVTIMEO connect waits {seconds:g} s, as if the option were not there."),
            lambda runs: ended(runs["receive"])[0] > 130 and ended(runs["receive"])[1] == ETIMEDOUT,
            lambda runs: {"seconds": ended(runs["receive"])[0]},
        ),
        Claim(
            N_("With SO_SNDTIMEO it comes back after {seconds:g} s, with EINPROGRESS."),
            lambda runs: ended(runs["send"]) == (LIMIT, EINPROGRESS),
            lambda runs: {"seconds": ended(runs["send"])[0]},
        ),
    ),
    text_holds=lambda runs: ended(runs["receive"])[0] <= LIMIT,
)
