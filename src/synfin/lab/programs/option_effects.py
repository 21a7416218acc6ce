"""What socket options do: for each one programs to try it with, what is measured, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.host import socket_option_numbers as names
from synfin.lab.bench import HOUR, MS, SECOND
from synfin.lab.experiment import N_
from synfin.lab.programs import measuring
from synfin.lab.programs.effects import Effect, Place, are
from synfin.lab.running import DATA, FIN, RST, Run
from synfin.sim import Program, SimulatedSocket, Steps
from synfin.tcp.info import TcpInfo

#: What is written where much is, in octets.
LOAD: Final = 200_000
#: How long programs wait that have nothing to do.
LONG: Final = 3 * HOUR

# --- options of one socket


def numbers(level: int, name: int, value: int | bytes) -> Callable[[SimulatedSocket], None]:
    """Sets one."""
    return lambda sock: sock.setsockopt(level, name, value)


def timeout(name: int, duration: int) -> Callable[[SimulatedSocket], None]:
    return lambda sock: sock.set_timeout(name, duration)


def linger(duration: int) -> Callable[[SimulatedSocket], None]:
    return lambda sock: sock.set_linger(duration)


Setter = Callable[[SimulatedSocket], None]

# --- what the programs do


def opened(here: Place, program: Program, setter: Setter) -> Steps[SimulatedSocket]:
    """A socket of the client's with the option, or without it, that then connects."""
    sock = program.socket()
    if here.on:
        setter(sock)
    yield from sock.connect((here.server_address, here.port))
    return sock


def listening(here: Place, program: Program, setter: Setter) -> SimulatedSocket:
    """A socket of the server's with the option, or without it, that then listens."""
    sock = program.socket()
    if here.on:
        setter(sock)
    sock.bind(("", here.port))
    sock.listen()
    return sock


def client(then: Callable[[Place, Program, SimulatedSocket], Steps[None]], setter: Setter) -> Callable[[Place], None]:
    """A client that connects with the option and then does something; the server holds the connection."""

    def begin(here: Place) -> None:
        def body(program: Program) -> Steps[None]:
            sock = yield from opened(here, program, setter)
            yield from then(here, program, sock)

        here.holds()
        here.client_runs(body)

    return begin


def nothing(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    yield from program.sleep(LONG)


def receives(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    yield from sock.recv()


def sends_much(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    """More than there is room for at both ends together."""
    sock.setsockopt(names.SOL_SOCKET, names.SO_SNDBUF, 5000)
    yield from sock.sendall(bytes(LOAD))


def sends_once(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    """As much as there is room for, before anything is acknowledged."""
    sock.send(bytes(LOAD))
    yield from program.sleep(LONG)


def speaks(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    """Says something after a second, and waits for an answer."""
    yield from program.sleep(SECOND)
    sock.send(b"Hello, Server!")
    yield from sock.recv()


def speaks_and_closes(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    yield from program.sleep(SECOND)
    sock.send(b"Hello, Server!")
    yield from sock.closed()


def closes(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    yield from program.sleep(SECOND)
    yield from sock.closed()


def writes_in_pieces(here: Place, program: Program, sock: SimulatedSocket) -> Steps[None]:
    """Three small writes at once, and then the cork, if there is one, is drawn."""
    sock.setsockopt(names.IPPROTO_TCP, names.TCP_NODELAY, 1)
    yield from program.sleep(SECOND)
    for piece in (b"one ", b"two ", b"three"):
        sock.send(piece)
    sock.setsockopt(names.IPPROTO_TCP, names.TCP_CORK, 0)
    yield from program.sleep(LONG)


def sender(setter: Setter) -> Callable[[Place], None]:
    """A client that connects with the option and sends much; the server reads it all."""

    def begin(here: Place) -> None:
        def body(program: Program) -> Steps[None]:
            sock = yield from opened(here, program, setter)
            yield from sock.sendall(bytes(LOAD))
            sock.close()

        here.reads()
        here.client_runs(body)

    return begin


def server(then: Callable[[Place, Program, SimulatedSocket], Steps[None]], setter: Setter) -> Callable[[Place], None]:
    """A server that listens with the option; the client connects, speaks 2 s later and sends much."""

    def begin(here: Place) -> None:
        def body(program: Program) -> Steps[None]:
            yield from then(here, program, listening(here, program, setter))

        def other(program: Program) -> Steps[None]:
            sock = yield from here.connected(program)
            yield from program.sleep(2 * SECOND)
            yield from sock.sendall(bytes(LOAD))

        here.server_runs(body)
        here.client_runs(other)

    return begin


def accepts(here: Place, program: Program, listener: SimulatedSocket) -> Steps[None]:
    yield from listener.accept()
    yield from program.sleep(LONG)


def waits_for_nobody(setter: Setter) -> Callable[[Place], None]:
    """A server to which nobody comes."""

    def begin(here: Place) -> None:
        def body(program: Program) -> Steps[None]:
            yield from listening(here, program, setter).accept()

        here.server_runs(body)

    return begin


def starts_again(here: Place) -> None:
    """A server that closes first, ends, and wants its port again at once."""

    def body(program: Program) -> Steps[None]:
        reuse = numbers(names.SOL_SOCKET, names.SO_REUSEADDR, 1)
        listener = listening(here, program, reuse)
        sock = yield from listener.accept()
        sock.close()
        listener.close()
        yield from program.sleep(SECOND)
        listening(here, program, reuse)

    def other(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from sock.receive_all()
        sock.close()

    here.server_runs(body)
    here.client_runs(other)


def asks_in_two(here: Place, setter: Setter, at_server: bool) -> None:
    """The client asks in two small writes, and the server answers when it has both (B7)."""

    def answering(program: Program) -> Steps[None]:
        listener = program.listening(here.port)
        sock = yield from listener.accept()
        question = b""
        while len(question) < 8:
            question += yield from sock.recv()
            if here.on and at_server:
                setter(sock)
        sock.send(b"42")
        yield from sock.recv()

    def asking(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        if here.on and not at_server:
            setter(sock)
        yield from program.sleep(SECOND)
        sock.send(b"six ")
        sock.send(b"by 9")
        yield from sock.recv()

    here.server_runs(answering)
    here.client_runs(asking)


def is_reset(here: Place) -> None:
    """The server resets; the client asks for SO_ERROR first, or does not, and then reads."""

    def resetting(program: Program) -> Steps[None]:
        listener = program.listening(here.port)
        sock = yield from listener.accept()
        sock.set_linger(0)
        sock.close()

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        yield from program.sleep(SECOND)
        if here.on:
            sock.getsockopt(names.SOL_SOCKET, names.SO_ERROR)
        yield from sock.recv()

    here.server_runs(resetting)
    here.client_runs(body)


def asks_for_info(here: Place) -> None:
    """The client looks at its connection when it has sent something."""

    def body(program: Program) -> Steps[None]:
        sock = yield from here.connected(program)
        sock.send(b"Hello, Server!")
        yield from program.sleep(SECOND)
        if here.on:
            here.noted = sock.getsockopt_octets(names.IPPROTO_TCP, names.TCP_INFO, 512)
        yield from program.sleep(LONG)

    here.holds()
    here.client_runs(body)


# --- what they show


def until(call: str, program: str = "client") -> Callable[[Place, Run], str]:
    """How many seconds that call took."""
    return lambda here, run: measuring.waiting(here, call, program)


def answered(here: Place, run: Run) -> str:
    """Milliseconds from the question to its answer."""
    program = here.programs["client"]
    asked = next(call.began for call in program.calls if call.name == "send")
    return f"{(program.call('recv').began + program.call('recv').lasted - asked) / MS:.0f}"


def last_word(here: Place, run: Run) -> str:
    """How the client ended the connection."""
    if here.sent(run, RST):
        return "RST"
    return "FIN" if here.sent(run, FIN) else N_("nothing")


def octets_sent(here: Place, run: Run) -> str:
    """How many octets of data the client sent."""
    first = here.sent(run, DATA)[0].segment.seq
    return str(max(one.segment.seq + one.segment.payload_length - first for one in here.sent(run, DATA)))


def traffic_class(here: Place, run: Run) -> str:
    return str(measuring.packets(here, run)[0].traffic_class)


def round_trip(here: Place, run: Run) -> str:
    """SRTT in milliseconds, as TCP_INFO told the program."""
    return f"{TcpInfo.unpack(here.noted)['tcpi_rtt'] / 1000:.0f}" if here.noted else "–"


def option(
    name: str,
    setting: str,
    what: str,
    begin: Callable[[Place], None],
    measure: Callable[[Place, Run], str],
    fits: Callable[[str, str], bool],
    *,
    client: tuple[str, ...] = (),
    server: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
) -> Effect:
    return Effect(name, setting, what, begin, measure, fits, client=client, server=server, faults=faults)


def keeps_alive(setter: Setter) -> Callable[[Place], None]:
    """A client that has SO_KEEPALIVE in both worlds and waits."""

    def begin(here: Place) -> None:
        def body(program: Program) -> Steps[None]:
            sock = program.socket()
            sock.setsockopt(names.SOL_SOCKET, names.SO_KEEPALIVE, 1)
            if here.on:
                setter(sock)
            yield from sock.connect((here.server_address, here.port))
            yield from sock.recv()

        here.holds()
        here.client_runs(body)

    return begin


#: Nothing arrives any more once the connection is open.
SILENCE: Final = ("partition from 500ms",)
NO_PROBES: Final = ("net.ipv4.tcp_early_retrans=0",)
NO_LINEAR: Final = ("net.ipv4.tcp_syn_linear_timeouts=0",)
#: A server that does not acknowledge at once, as it is after a while.
PATIENT: Final = ("synfin.tcp_quick_acks=0",)
TCP: Final = names.IPPROTO_TCP
SOCKET: Final = names.SOL_SOCKET
IP: Final = names.IPPROTO_IP
ON: Final = N_("on")

EFFECTS: Final = (
    # The ladder shows this one.
    option(
        "SO_LINGER",
        "0 s",
        N_("how close() ends the connection"),
        client(closes, linger(0)),
        last_word,
        are("FIN", "RST"),
    ),
    option(
        "SO_LINGER",
        "10 s",
        N_("seconds that close() takes, nothing acknowledged"),
        client(speaks_and_closes, linger(10)),
        until("close"),
        are(0, 10),
        faults=SILENCE,
    ),
    option(
        "SO_RCVTIMEO",
        "3 s",
        N_("seconds that recv() waits for data"),
        client(receives, timeout(names.SO_RCVTIMEO, 3 * SECOND)),
        until("recv"),
        are("for ever", 3),
    ),
    option(
        "SO_RCVTIMEO",
        "3 s",
        N_("seconds that accept() waits for a client"),
        waits_for_nobody(timeout(names.SO_RCVTIMEO, 3 * SECOND)),
        until("accept", "server"),
        are("for ever", 3),
    ),
    option(
        "SO_SNDTIMEO",
        "3 s",
        N_("seconds that sendall() waits for room"),
        client(sends_much, timeout(names.SO_SNDTIMEO, 3 * SECOND)),
        until("sendall"),
        # From the last octet for which there was room.
        lambda one, other: one == "for ever" and 3 <= float(other) < 4,
    ),
    option(
        "SO_SNDTIMEO",
        "3 s",
        N_("seconds that connect() tries"),
        client(nothing, timeout(names.SO_SNDTIMEO, 3 * SECOND)),
        until("connect"),
        are(127, 3),
        client=NO_LINEAR,
        faults=("lose SYN",),
    ),
    option(
        "SO_KEEPALIVE",
        ON,
        N_("seconds that recv() waits for a dead peer"),
        client(receives, numbers(SOCKET, names.SO_KEEPALIVE, 1)),
        until("recv"),
        # Two hours, and nine probes 75 s apart.
        are("for ever", 7200 + 9 * 75),
        faults=SILENCE,
    ),
    option(
        "TCP_KEEPIDLE",
        "60 s",
        N_("seconds of silence before the first probe"),
        keeps_alive(numbers(TCP, names.TCP_KEEPIDLE, 60)),
        measuring.silence_before_probe,
        are(7200, 60),
        faults=SILENCE,
    ),
    option(
        "TCP_KEEPINTVL",
        "10 s",
        N_("seconds between two probes"),
        keeps_alive(numbers(TCP, names.TCP_KEEPINTVL, 10)),
        measuring.between_probes,
        are(75, 10),
        faults=SILENCE,
    ),
    option(
        "TCP_KEEPCNT",
        "3",
        N_("unanswered probes until the end"),
        keeps_alive(numbers(TCP, names.TCP_KEEPCNT, 3)),
        lambda here, run: str(len(measuring.probes(here, run))),
        are(9, 3),
        faults=SILENCE,
    ),
    option(
        "SO_REUSEADDR",
        ON,
        N_("bind() to a port that is in TIME-WAIT"),
        starts_again,
        lambda here, run: measuring.outcome(here, "bind", "server"),
        are("EADDRINUSE", "no error"),
    ),
    option(
        "TCP_NODELAY",
        ON,
        N_("milliseconds from a question in two writes to its answer"),
        lambda here: asks_in_two(here, numbers(TCP, names.TCP_NODELAY, 1), at_server=False),
        answered,
        are(80, 20),
        server=PATIENT,
    ),
    option(
        "TCP_QUICKACK",
        ON,
        N_("the same, the option being set where the question arrives"),
        lambda here: asks_in_two(here, numbers(TCP, names.TCP_QUICKACK, 1), at_server=True),
        answered,
        are(80, 40),
        server=PATIENT,
    ),
    option(
        "TCP_CORK",
        ON,
        N_("segments for three small writes"),
        client(writes_in_pieces, numbers(TCP, names.TCP_CORK, 1)),
        measuring.count_of(DATA),
        are(3, 1),
    ),
    option(
        "IP_TTL", "5", N_("TTL of a packet"), client(nothing, numbers(IP, names.IP_TTL, 5)), measuring.ttl, are(64, 5)
    ),
    option(
        "IP_TOS",
        "16",
        N_("TOS octet of a packet"),
        client(nothing, numbers(IP, names.IP_TOS, 16)),
        traffic_class,
        are(0, 16),
    ),
    option(
        "SO_RCVBUF",
        "8000",
        N_("octets that arrive while nobody reads"),
        server(accepts, numbers(SOCKET, names.SO_RCVBUF, 8000)),
        octets_sent,
        lambda one, other: int(one) > 60_000 and 4000 < int(other) <= 8000,
    ),
    option(
        "SO_SNDBUF",
        "5000",
        N_("octets that send() takes before any is acknowledged"),
        client(sends_once, numbers(SOCKET, names.SO_SNDBUF, 5000)),
        lambda here, run: str(here.programs["client"].call("send").result),
        # Twice what was asked for.
        lambda one, other: int(one) > 20_000 and int(other) == 10_000,
    ),
    option(
        "SO_ERROR",
        N_("asked for"),
        N_("what recv() says of a RST that came before"),
        is_reset,
        lambda here, run: measuring.outcome(here, "recv"),
        are("ECONNRESET", "no error"),
    ),
    option(
        "TCP_MAXSEG",
        "536",
        N_("octets of data in a full segment"),
        sender(numbers(TCP, names.TCP_MAXSEG, 536)),
        measuring.largest_segment,
        # Timestamps take twelve.
        are(1448, 536 - 12),
    ),
    option(
        "TCP_SYNCNT",
        "2",
        N_("seconds until connect() fails, if no SYN arrives"),
        client(nothing, numbers(TCP, names.TCP_SYNCNT, 2)),
        until("connect"),
        are(127, 7),
        client=NO_LINEAR,
        faults=("lose SYN",),
    ),
    option(
        "TCP_USER_TIMEOUT",
        "5000 ms",
        N_("seconds until recv() fails, if nothing is acknowledged"),
        client(speaks, numbers(TCP, names.TCP_USER_TIMEOUT, 5000)),
        until("recv"),
        lambda one, other: 900 < float(one) < 1100 and 5 <= float(other) < 6,
        client=NO_PROBES,
        faults=SILENCE,
    ),
    option(
        "TCP_LINGER2",
        "5 s",
        N_("seconds in FIN-WAIT-2 after close()"),
        client(closes, numbers(TCP, names.TCP_LINGER2, 5)),
        measuring.in_state("FIN-WAIT-2"),
        are(60, 5),
    ),
    option(
        "TCP_DEFER_ACCEPT",
        "5 s",
        N_("seconds until accept() returns; the client speaks after 2"),
        server(accepts, numbers(TCP, names.TCP_DEFER_ACCEPT, 5)),
        until("accept", "server"),
        lambda one, other: float(one) < 0.1 and 2 < float(other) < 2.1,
    ),
    option(
        "TCP_CONGESTION",
        "reno",
        N_("share of cwnd that is left after a loss"),
        sender(numbers(TCP, names.TCP_CONGESTION, b"reno")),
        measuring.share_kept,
        are("70 %", "50 %"),
        faults=("lose 60th data",),
    ),
    option(
        "TCP_INFO",
        N_("asked for"),
        N_("milliseconds of a round trip, as the program learns"),
        asks_for_info,
        round_trip,
        are("–", 20),
    ),
)
