"""F2.25: what a dead network tells."""

from __future__ import annotations

from errno import ETIMEDOUT

from synfin.events import SegmentReceived
from synfin.lab.claims.bench import HOUR, PORT, SECOND, pair, tuned
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, RST, Segment


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.receive_all()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(2 * SECOND)
    yield from sock.sendall(b"is anybody there?")
    yield from sock.recv()


def scenario(network: Network) -> list[Program]:
    here, there = pair(network, client=tuned(tcp_retries2=5))
    return [start(network, there, server), start(network, here, client)]


def resets(run: Run) -> int:
    """How many RSTs reached the client or the server."""
    segments = [event.packet.payload for event in run.of(SegmentReceived)]
    return sum(isinstance(one, Segment) and bool(one.flags & RST) for one in segments)


def gave_up(run: Run) -> tuple[float, int]:
    """When recv failed at the client (seconds), and the errno."""
    call = run.program("client").call("recv")
    return (call.ended or 0) / SECOND, (call.error.errno or 0) if call.error is not None else 0


def on_linux() -> Figures:
    """Data to a peer that has fallen silent, with tcp_retries2=1."""
    with Kernel(tcp_retries2=1, tcp_early_retrans=0) as kernel:
        sock, peer = kernel.connected()
        sock.send(b"is anybody there?")
        _, error = kernel.until_closed(sock, 5)
        kernel.listen_for(0.05)
        data = sum(bool(one.segment.payload_length) for one in peer.sent(ACK))
        return {"data": data, "error": error, "resets": sum(bool(one.segment.flags & RST) for one in peer.sent())}


CLAIM = TextClaim(
    name="F2.25",
    text=N_("When a connection fails, TCP sends a RST to tell the other end."),
    rfc=N_(
        "A RST needs a network that carries it and a host that sends it. Silence ends by the limit of retransmissions."
    ),
    clauses=("RFC 9293 §3.8.3", "RFC 9293 §3.5.3"),
    linux=(
        Measured(
            "silent",
            N_("tcp_retries2=1, and a silent peer: the data {data} times, {resets} RSTs, and {error} for the program."),
            on_linux,
            lambda found: found["error"] == "ETIMEDOUT" and found["resets"] == 0 and int(found["data"]) >= 2,
        ),
    ),
    worlds=(
        World(
            "network",
            N_("The network fails in mid-connection; tcp_retries2 is 5"),
            scenario,
            ("partition from 1s",),
            HOUR,
        ),
        World("power", N_("The server loses its power"), scenario, ("reboot server at 1s for 7200s",), HOUR),
    ),
    claims=(
        Claim(
            N_("No RST arrives anywhere; after {sent} tries the client's program gets ETIMEDOUT, at {seconds:.1f} s."),
            lambda runs: all(
                resets(run) == 0 and gave_up(run)[1] == ETIMEDOUT and len(run.sent(DATA)) >= 6 for run in runs.values()
            ),
            lambda runs: {"sent": len(runs["network"].sent(DATA)), "seconds": gave_up(runs["network"])[0]},
        ),
        Claim(
            N_("The server, which only waits, hears nothing: an hour later it is still {state}."),
            lambda runs: (
                runs["network"].state("server") == "ESTABLISHED"
                and runs["network"].program("server").call("recv").waits
            ),
            lambda runs: {"state": runs["network"].state("server")},
        ),
    ),
    text_holds=lambda runs: any(resets(run) > 0 for run in runs.values()),
)
