"""F2.16: what the window adapts to."""

from __future__ import annotations

from functools import partial

from synfin.events import CongestionChanged
from synfin.lab.claims.bench import HOUR, PORT, SECOND, pair
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, RST, SYN, Run
from synfin.link.kernel import tcp_info
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, PSH

OCTETS = 300_000


def server(program: Program, reads: bool) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    if reads:
        yield from sock.receive_all()
    yield from program.sleep(HOUR)


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.sendall(bytes(OCTETS))
    yield from program.sleep(HOUR)


def scenario(network: Network, reads: bool) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, partial(server, reads=reads)), start(network, here, client)]


def offered(run: Run, host: str) -> list[int]:
    """The windows that `host` offers, in octets, from its first segment after the SYNs."""
    return [one.window for one in run.sent(host=host) if not one.segment.flags & (SYN | RST)]


def cwnd(run: Run) -> tuple[int, int]:
    """The largest window of the sender, and the least after that."""
    values = [event.cwnd for event in run.of(CongestionChanged, "client")]
    peak = values.index(max(values))
    return values[peak], min(values[peak:])


def unread() -> Figures:
    """Data that nobody reads, in segments that all arrive."""
    with Kernel() as kernel:
        _, peer = kernel.served()
        first = peer.kernel.heard[-1].segment.wnd
        for _ in range(20):
            peer.send(PSH | ACK, bytes(1000))
            last = peer.expect(ACK).segment.wnd
        return {"first": first, "last": last}


def lossy() -> Figures:
    """What a time-out does to the kernel's own window, and to the one that it offers."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        sock.send(bytes(8000))
        offered_before = peer.expect(ACK, 1).segment.wnd
        before = tcp_info(sock).cwnd
        kernel.until(lambda: tcp_info(sock).retransmits > 0)
        kernel.listen_for(0.05)
        last = peer.sent(ACK)[-1].segment
        return {"before": before, "after": tcp_info(sock).cwnd, "same": int(last.wnd == offered_before)}


CLAIM = TextClaim(
    name="F2.16",
    text=N_("The window adapts itself to the state of the network."),
    rfc=N_("Two windows. rwnd, in every segment, is the receiver's room; cwnd, the sender's guess, is never sent."),
    clauses=("RFC 9293 §3.8.6", "RFC 5681 §2", "RFC 5681 §3.1"),
    linux=(
        Measured(
            "unread",
            N_("20000 octets that nobody reads: its window goes from {first} octets to {last}."),
            unread,
            lambda found: int(found["first"]) - int(found["last"]) == 20_000,
        ),
        Measured(
            "lossy",
            N_("A time-out: cwnd goes from {before} segments to {after}; the window in its segments stays as it was."),
            lossy,
            lambda found: found["before"] == 10 and found["after"] == 1 and found["same"] == 1,
        ),
    ),
    worlds=(
        World(
            "unread",
            N_("All arrives, and the server does not read"),
            partial(scenario, reads=False),
            (),
            3 * SECOND,
            "none",
        ),
        World(
            "lossy",
            N_("The server reads at once, and the network loses some"),
            partial(scenario, reads=True),
            ("lose 20th data", "lose 60th data", "lose 61st data", "lose 100th data"),
            20 * SECOND,
            "none",
        ),
    ),
    claims=(
        Claim(
            N_(
                "Nothing is lost, yet the window that the server offers falls from {first} octets to "
                "{last}: nobody reads."
            ),
            lambda runs: (
                all(one.loss is None for one in runs["unread"].sent(DATA))
                and offered(runs["unread"], "server")[-1] == 0 < offered(runs["unread"], "server")[0]
            ),
            lambda runs: {
                "first": offered(runs["unread"], "server")[0],
                "last": offered(runs["unread"], "server")[-1],
            },
        ),
        Claim(
            N_(
                "{lost} segments are lost; the window that the server offers is {first} octets at "
                "first and {last} at last."
            ),
            lambda runs: offered(runs["lossy"], "server")[-1] >= offered(runs["lossy"], "server")[0],
            lambda runs: {
                "lost": sum(one.loss is not None for one in runs["lossy"].sent(DATA)),
                "first": offered(runs["lossy"], "server")[0],
                "last": offered(runs["lossy"], "server")[-1],
            },
        ),
        Claim(
            N_(
                "What falls there is the sender's cwnd, from {most} octets to {least}; no segment of "
                "the sender tells of it."
            ),
            lambda runs: (
                cwnd(runs["lossy"])[1] < cwnd(runs["lossy"])[0] and len(set(offered(runs["lossy"], "client"))) == 1
            ),
            lambda runs: dict(zip(("most", "least"), cwnd(runs["lossy"]), strict=True)),
        ),
    ),
    text_holds=lambda runs: offered(runs["lossy"], "server")[-1] < offered(runs["lossy"], "server")[0],
)
