"""F2.23: what SO_REUSEADDR permits."""

from __future__ import annotations

from errno import EADDRINUSE, EADDRNOTAVAIL
from functools import partial
from socket import SO_REUSEADDR, SOL_SOCKET

from synfin.events import SegmentDropped
from synfin.lab.claims.bench import MS, PORT, SECOND, pair, tuned
from synfin.lab.claims.kernel import KERNEL, Kernel, later, outcome
from synfin.lab.claims.kernel import PORT as LISTENS
from synfin.lab.claims.text_claim import N_, Figures, Measured, TextClaim
from synfin.lab.experiment import Claim, World
from synfin.lab.running import Run
from synfin.link.kernel import REMOTE_IPV4
from synfin.sim import Network, Program, SimulatedSocket, Steps, start
from synfin.wire.tcp import ACK, FIN, SYN, Options

CLIENT_PORT = 40000
WORDS = (b"old words", b"new words")


def bound(program: Program, port: int, reuse: bool) -> SimulatedSocket:
    sock = program.socket()
    if reuse:
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    sock.bind(("", port))
    return sock


def server(program: Program, first: bool, second: bool) -> Steps[None]:
    """Serves one client and closes first; then another server wants the port."""
    listener = bound(program, PORT, first)
    listener.listen()
    sock = yield from listener.accept()
    sock.close()
    listener.close()
    yield from program.sleep(SECOND)
    bound(program, PORT, second)


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from sock.receive_all()
    sock.close()


def restarts(network: Network, first: bool, second: bool) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, partial(server, first=first, second=second)), start(network, here, client)]


def greets(program: Program) -> Steps[None]:
    """Other words for each client."""
    listener = program.listening(PORT)
    for words in WORDS:
        sock = yield from listener.accept()
        yield from program.sleep(20 * MS)
        yield from sock.sendall(words)
        yield from sock.receive_all()
        sock.close()


def comes_again(program: Program) -> Steps[None]:
    """From the same port, with the option both times, while the first connection is in TIME-WAIT."""
    for _ in WORDS:
        sock = bound(program, CLIENT_PORT, True)
        yield from sock.connect(("server", PORT))
        yield from sock.recv()
        # A delayed segment has time to arrive.
        yield from program.sleep(SECOND)
        sock.close()
        yield from program.sleep(SECOND)


def reconnects(network: Network, timestamps: int) -> list[Program]:
    here, there = pair(network, client=tuned(tcp_timestamps=timestamps))
    return [start(network, there, greets), start(network, here, comes_again)]


def read(run: Run) -> list[object]:
    """What the client's program read, call by call."""
    return [call.result for call in run.program("client").calls if call.name == "recv"]


def last_error(run: Run, program: str, call: str) -> int:
    """The errno of the program's last such call; 0 if it went well."""
    error = run.program(program).call(call).error
    return 0 if error is None else error.errno or 0


def bind_beside(first: bool, second: bool) -> str:
    """What bind says beside a TIME-WAIT of the kernel's."""
    with Kernel() as kernel:
        listener = kernel.new_socket(1.0)
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, first)
        listener.bind((KERNEL, LISTENS))
        listener.listen()
        client = kernel.new_socket(1.0)
        client.connect((KERNEL, LISTENS))
        served = listener.accept()[0]
        listener.close()
        served.close()
        client.recv(1)
        client.close()
        kernel.until(lambda: kernel.states() == ["TIME-WAIT"])
        again = kernel.new_socket()
        again.setsockopt(SOL_SOCKET, SO_REUSEADDR, second)
        return outcome(lambda: again.bind((KERNEL, LISTENS)))


def binds() -> Figures:
    return {
        "neither": bind_beside(False, False),
        "second": bind_beside(False, True),
        "both": bind_beside(True, True),
    }


def connect_again(timestamps: bool) -> tuple[str, int]:
    """What connect says from a port whose four-tuple is in TIME-WAIT, with the option on both sockets; and how far the
    new number is ahead of the last of the old connection."""
    with Kernel() as kernel:
        sock, peer = kernel.connecting(port=CLIENT_PORT)
        stamp = peer.sent()[-1].segment.options.ts_val
        options = Options(mss=1460, ts_val=1, ts_ecr=stamp) if timestamps else Options(mss=1460)
        peer.send(SYN | ACK, options=options)
        peer.expect(ACK)
        sock.close()
        peer.expect(FIN | ACK)
        peer.send(FIN | ACK, options=later(options))
        kernel.until(lambda: kernel.states() == ["TIME-WAIT"])
        last = peer.expect(ACK).segment.seq
        again = kernel.new_socket()
        again.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        again.bind((KERNEL, CLIENT_PORT))
        again.setblocking(False)
        said = outcome(lambda: again.connect((REMOTE_IPV4, LISTENS)))
        kernel.listen_for(0.02)
        return said, (peer.sent()[-1].segment.seq - last) % (1 << 32)


def connects() -> Figures:
    with_stamps, ahead = connect_again(True)
    return {"without": connect_again(False)[0], "with_stamps": with_stamps, "ahead": ahead}


CLAIM = TextClaim(
    name="F2.23",
    text=N_("SO_REUSEADDR frees the client's ports from TIME-WAIT, and lets old segments into new connections."),
    rfc=N_("The RFC has no such option: the four-tuple is guarded for 2MSL, whatever is bound to its port."),
    clauses=("RFC 9293 §3.6.1", "socket(7)"),
    linux=(
        Measured(
            "bind",
            N_(
                "bind beside TIME-WAIT, with the option on neither: {neither}; on the second only: "
                "{second}; on both: {both}."
            ),
            binds,
            lambda found: (found["neither"], found["second"], found["both"]) == ("EADDRINUSE", "EADDRINUSE", "ok"),
        ),
        Measured(
            "connect",
            N_(
                "connect on the same four-tuple: {without}; with timestamps {with_stamps}, {ahead} "
                "numbers ahead of the old ones."
            ),
            connects,
            lambda found: (found["without"], found["with_stamps"]) == ("EADDRNOTAVAIL", "EINPROGRESS"),
        ),
    ),
    worlds=(
        World(
            "neither",
            N_("A server restarts; no socket has the option"),
            partial(restarts, first=False, second=False),
            (),
            5 * SECOND,
            "none",
        ),
        World(
            "second",
            N_("Only the second socket has it"),
            partial(restarts, first=False, second=True),
            (),
            5 * SECOND,
            "none",
        ),
        World("both", N_("Both have it"), partial(restarts, first=True, second=True), (), 5 * SECOND),
        World(
            "refused",
            N_("A client with the option comes again from its port; no timestamps"),
            partial(reconnects, timestamps=0),
            (),
            5 * SECOND,
            "none",
        ),
        World(
            "old",
            N_("The same with timestamps, and a segment of the old connection comes late"),
            partial(reconnects, timestamps=1),
            ("delay 1st data by 2500ms from server",),
            8 * SECOND,
        ),
    ),
    claims=(
        Claim(
            N_("Beside TIME-WAIT bind fails with EADDRINUSE, also if only the second socket has the option."),
            lambda runs: all(last_error(runs[name], "server", "bind") == EADDRINUSE for name in ("neither", "second")),
        ),
        Claim(
            N_("If both have it, bind succeeds, and TIME-WAIT stays: {count} on the server."),
            lambda runs: (
                last_error(runs["both"], "server", "bind") == 0
                and len(runs["both"].node("server").host.transport.time_waits) == 1
            ),
            lambda runs: {"count": len(runs["both"].node("server").host.transport.time_waits)},
        ),
        Claim(
            N_(
                "The four-tuple stays guarded. Without timestamps the client binds, and connect fails "
                "with EADDRNOTAVAIL."
            ),
            lambda runs: (
                last_error(runs["refused"], "client", "bind") == 0
                and last_error(runs["refused"], "client", "connect") == EADDRNOTAVAIL
            ),
        ),
        Claim(
            N_("With them it succeeds, and the old segment that arrives then is dropped: the program reads {words}."),
            lambda runs: (
                read(runs["old"]) == list(WORDS)
                and any(event.time > 2 * SECOND for event in runs["old"].of(SegmentDropped, "client"))
            ),
            lambda runs: {"words": repr(read(runs["old"])[-1])},
        ),
    ),
    text_holds=lambda runs: (
        last_error(runs["refused"], "client", "connect") == 0 or read(runs["old"]).count(WORDS[0]) > 1
    ),
)
