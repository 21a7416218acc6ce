"""F2.26: how often keep-alive asks, what resets it, and whether it is there."""

from __future__ import annotations

import socket
from errno import ETIMEDOUT
from socket import SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL

from synfin.lab.claims.bench import HOUR, PORT, SECOND, pair
from synfin.lab.claims.kernel import Kernel
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import DATA, Run
from synfin.sim import Network, Program, Steps, start
from synfin.wire.tcp import ACK, RST

IDLE, INTERVAL, PROBES = 7200, 75, 9


def quiet(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from sock.recv()


def speaks(program: Program) -> Steps[None]:
    """Says something after an hour, of its own accord."""
    listener = program.listening(PORT)
    sock = yield from listener.accept()
    yield from program.sleep(HOUR)
    yield from sock.sendall(b"news")
    yield from sock.recv()


def reads(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    while True:
        yield from sock.recv()


def keeps_alive(program: Program) -> Steps[None]:
    sock = program.socket()
    sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    yield from sock.connect(("server", PORT))
    while True:
        yield from sock.recv()


def off(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, quiet), start(network, here, reads)]


def dead(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, quiet), start(network, here, keeps_alive)]


def news(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, speaks), start(network, here, keeps_alive)]


def probes(run: Run) -> list[int]:
    """When the client probed (whole seconds): an ACK whose number is one less than the next."""
    opened = run.sent(ACK, "client")[0].segment.seq
    return [one.time // SECOND for one in run.sent(ACK, "client") if one.segment.seq == (opened - 1) % (1 << 32)]


def defaults() -> Figures:
    with Kernel() as kernel:
        sock, _ = kernel.connected()
        return {
            "idle": kernel.sysctl("tcp_keepalive_time"),
            "interval": kernel.sysctl("tcp_keepalive_intvl"),
            "probes": kernel.sysctl("tcp_keepalive_probes"),
            "on": sock.getsockopt(SOL_SOCKET, SO_KEEPALIVE),
        }


def keep(sock: socket.socket) -> None:
    """Keep-alive after a second, and every second."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_KEEPIDLE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_KEEPINTVL, 1)
    sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)


def reset_by() -> Figures:
    """A bare ACK of the peer's after 0.6 s: whether there was a probe after 1.3 s, and after 2.2 s."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        keep(sock)
        heard = len(peer.sent(ACK))
        kernel.listen_for(0.6)
        peer.send(ACK)
        kernel.listen_for(0.7)
        early = len(peer.sent(ACK)) - heard
        kernel.listen_for(0.9)
        return {"early": early, "late": len(peer.sent(ACK)) - heard}


def count() -> Figures:
    """A peer that never answers, with the default number of probes."""
    with Kernel() as kernel:
        sock, peer = kernel.connected()
        keep(sock)
        heard = len(peer.sent(ACK))
        seconds, error = kernel.until_closed(sock, 15)
        kernel.listen_for(0.05)
        resets = sum(bool(one.segment.flags & RST) for one in peer.sent())
        return {
            "probes": len(peer.sent(ACK)) - heard,
            "error": error,
            "seconds": round(seconds),
            "resets": resets,
            "default": sock.getsockopt(socket.IPPROTO_TCP, TCP_KEEPCNT),
        }


CLAIM = TextClaim(
    name="F2.26",
    text=N_("Keep-alive is always there: it is reset by the client's requests, and sends 10 probes."),
    rfc=N_(
        "An option, and off by default; for idle connections, no sooner than two hours. Any segment starts it anew."
    ),
    clauses=("RFC 9293 §3.8.4", "tcp(7)"),
    linux=(
        Measured(
            "defaults",
            N_("SO_KEEPALIVE is {on} as it comes; {idle} s, then {probes} probes, {interval} s apart."),
            defaults,
            lambda found: [found[name] for name in ("on", "idle", "probes", "interval")] == [0, IDLE, PROBES, INTERVAL],
        ),
        Measured(
            "reset",
            N_("After one idle second it probes; a bare ACK at 0.6 s: {early} probes by 1.3 s, {late} by 2.2 s."),
            reset_by,
            lambda found: (found["early"], found["late"]) == (0, 1),
        ),
        Measured(
            "count",
            N_("A second idle, a second between: {probes} probes, then {error} after {seconds} s, and {resets} RST."),
            count,
            lambda found: found["probes"] == PROBES and found["error"] == "ETIMEDOUT",
            slow=True,
        ),
    ),
    worlds=(
        World(
            "off",
            N_("The server dies; the client has not asked for keep-alive"),
            off,
            ("reboot server at 1s for 90000s",),
            24 * HOUR,
        ),
        World(
            "dead",
            N_("The server dies; the client has SO_KEEPALIVE"),
            dead,
            ("reboot server at 1s for 90000s",),
            24 * HOUR,
        ),
        World("news", N_("The server lives, and says something after an hour"), news, (), 4 * HOUR),
    ),
    claims=(
        Claim(
            N_("Off by default: a day later {probes} probes were sent, and the client is {state}."),
            lambda runs: not probes(runs["off"]) and runs["off"].state("client") == "ESTABLISHED",
            lambda runs: {"probes": len(probes(runs["off"])), "state": runs["off"].state("client")},
        ),
        Claim(
            N_(
                "With SO_KEEPALIVE {probes} probes leave, the first after {first} s; at {end:.0f} s it "
                "is over, with ETIMEDOUT."
            ),
            lambda runs: (
                probes(runs["dead"]) == [IDLE + INTERVAL * number for number in range(PROBES)]
                and getattr(runs["dead"].program("client").error, "errno", 0) == ETIMEDOUT
            ),
            lambda runs: {
                "probes": len(probes(runs["dead"])),
                "first": probes(runs["dead"])[0],
                "end": runs["dead"].when("client", "CLOSED") / SECOND,
            },
        ),
        Claim(
            N_("What the server says at {said:.0f} s, nobody's request, puts the first probe off to {first} s."),
            lambda runs: probes(runs["news"])[0] == HOUR // SECOND + IDLE,
            lambda runs: {
                "said": runs["news"].sent(DATA, "server")[0].time / SECOND,
                "first": probes(runs["news"])[0],
            },
        ),
    ),
    text_holds=lambda runs: bool(probes(runs["off"])) or len(probes(runs["dead"])) == PROBES + 1,
)
