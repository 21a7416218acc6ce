"""F2.10: who completes the handshake."""

from __future__ import annotations

from synfin.lab.claims.bench import HOUR, MS, PORT, SECOND, pair
from synfin.lab.claims.kernel import KERNEL, Kernel, outcome, state
from synfin.lab.claims.kernel import PORT as LISTENS
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.sim import Network, Program, Steps, start

WORDS = b"Hello, Server!"


def never_accepts(program: Program) -> Steps[None]:
    program.listening(PORT)
    yield from program.sleep(HOUR)


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    yield from sock.sendall(WORDS)
    yield from program.sleep(HOUR)


def scenario(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, never_accepts), start(network, here, client)]


def on_linux() -> Figures:
    """connect and send to a socket that listens, and whose program never accepts."""
    with Kernel() as kernel:
        kernel.listening()
        client = kernel.new_socket(1.0)
        connected = outcome(lambda: client.connect((KERNEL, LISTENS)))
        sent = client.send(WORDS)
        return {"connect": connected, "state": state(client), "sent": sent}


CLAIM = TextClaim(
    name="F2.10",
    text=N_("accept completes the three-way handshake."),
    rfc=N_("The handshake is the TCP's own work in LISTEN and SYN-RECEIVED; no user call takes part in it."),
    clauses=("RFC 9293 §3.5", "RFC 9293 §3.10.7.2"),
    linux=(
        Measured(
            "never",
            N_("Nobody ever accepts: connect says {connect}, the socket is {state}, and send takes {sent} octets."),
            on_linux,
            lambda found: found["connect"] == "ok" and found["state"] == "ESTABLISHED" and found["sent"] == len(WORDS),
        ),
    ),
    worlds=(World("never", N_("The server's program listens and never accepts"), scenario, (), SECOND),),
    claims=(
        Claim(
            N_("connect succeeds after {milliseconds:g} ms, though accept is never called."),
            lambda runs: (
                not runs["never"].program("client").call("connect").waits
                and runs["never"].program("client").call("connect").error is None
                and "accept" not in [call.name for call in runs["never"].program("server").calls]
            ),
            lambda runs: {"milliseconds": runs["never"].program("client").call("connect").lasted / MS},
        ),
        Claim(
            N_("Both ends are ESTABLISHED, and the client's {octets} octets are acknowledged."),
            lambda runs: (
                runs["never"].state("client") == runs["never"].state("server") == "ESTABLISHED"
                and runs["never"].sent(host="server")[-1].segment.ack
                == (runs["never"].sent()[0].segment.seq + 1 + len(WORDS)) % (1 << 32)
            ),
            lambda runs: {"octets": len(WORDS)},
        ),
    ),
    text_holds=lambda runs: runs["never"].state("server") != "ESTABLISHED",
)
