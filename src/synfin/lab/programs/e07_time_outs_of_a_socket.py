"""E7: SO_RCVTIMEO and SO_SNDTIMEO of 10 s, set before connect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EAGAIN, EINPROGRESS, ETIMEDOUT, errorcode
from functools import partial
from socket import SO_RCVBUF, SO_RCVTIMEO, SO_SNDBUF, SO_SNDTIMEO, SOL_SOCKET
from typing import Final

from synfin.lab.bench import PORT, SECOND, pair
from synfin.lab.experiment import N_, Claim, Experiment, Table, Try, World
from synfin.lab.running import SYN, Run, Runs
from synfin.sim import Network, Program, Scenario, SimulatedSocket, Steps, start
from synfin.sim.programs import Body, Call

LIMIT: Final = 10 * SECOND
#: When the server does at last what everybody waits for.
LATE: Final = 30 * SECOND
#: The programs of each world, by what their sockets have: the texts' one, one that has nothing, and half of each.
OPTIONS: Final = {
    N_("both options"): (SO_RCVTIMEO, SO_SNDTIMEO),
    N_("neither"): (),
    "SO_RCVTIMEO": (SO_RCVTIMEO,),
    "SO_SNDTIMEO": (SO_SNDTIMEO,),
}
#: When all programs are at the call in question, their buffers full where that matters.
READY: Final = 5 * SECOND
#: Octets of a buffer, small so that it is soon full.
SMALL: Final = 4608


def new_socket(options: Sequence[int], program: Program) -> SimulatedSocket:
    """The options are set before anything else is done."""
    sock = program.socket()
    for option in options:
        sock.set_timeout(option, LIMIT)
    return sock


# --- four programs, each with a call that may wait


def connects(options: Sequence[int], program: Program) -> Steps[None]:
    sock = new_socket(options, program)
    yield from sock.connect(("server", PORT))


def receives(options: Sequence[int], program: Program) -> Steps[None]:
    """Tries again when the time is over."""
    sock = new_socket(options, program)
    yield from sock.connect(("server", PORT))
    yield from program.sleep(READY - program.now)
    heard = b""
    while not heard:
        with suppress(BlockingIOError):
            heard = yield from sock.recv()


def sends(options: Sequence[int], program: Program) -> Steps[None]:
    """Fills the buffers of both ends without waiting; then comes the send that finds no room."""
    sock = new_socket(options, program)
    sock.setsockopt(SOL_SOCKET, SO_SNDBUF, SMALL)
    yield from sock.connect(("server", PORT))
    while program.now < READY:
        with suppress(BlockingIOError):
            sock.send(bytes(2 * SMALL))
        yield from program.sleep(SECOND - program.now % SECOND)
    yield from sock.sendall(bytes(SMALL))


def accepts(port: int, options: Sequence[int], program: Program) -> Steps[None]:
    listener = new_socket(options, program)
    listener.bind(("", port))
    listener.listen()
    yield from program.sleep(READY)
    yield from listener.accept()


# --- and what they wait for


def speaks_late(program: Program) -> Steps[None]:
    """Says something only late."""
    listener = program.listening(PORT)
    socks = []
    for _ in OPTIONS:
        socks.append((yield from listener.accept()))
    yield from program.sleep(LATE - program.now)
    for sock in socks:
        yield from sock.sendall(b"late")
    yield from program.sleep(LATE)


def reads_late(program: Program) -> Steps[None]:
    listener = program.socket()
    listener.setsockopt(SOL_SOCKET, SO_RCVBUF, SMALL)
    listener.bind(("", PORT))
    listener.listen()
    socks = []
    for _ in OPTIONS:
        socks.append((yield from listener.accept()))
    yield from program.sleep(LATE - program.now)
    for sock in socks:
        with suppress(OSError):
            yield from sock.receive_all()


def connects_late(program: Program) -> Steps[None]:
    yield from program.sleep(LATE)
    for number in range(len(OPTIONS)):
        with suppress(OSError):
            yield from program.connected("server", PORT + number)


def nobody_answers(network: Network) -> list[Program]:
    here, there = pair(network)
    there.power_off()
    return [start(network, here, partial(connects, options), name) for name, options in OPTIONS.items()]


def scenario(other: Body, work: Callable[[Sequence[int], Program], Steps[None]]) -> Scenario:
    def build(network: Network) -> list[Program]:
        here, there = pair(network)
        server = start(network, there, other)
        return [server, *(start(network, here, partial(work, options), name) for name, options in OPTIONS.items())]

    return build


def nobody_connects(network: Network) -> list[Program]:
    here, there = pair(network)
    listeners = [
        start(network, there, partial(accepts, PORT + number, options), name)
        for number, (name, options) in enumerate(OPTIONS.items())
    ]
    return [*listeners, start(network, here, connects_late)]


# --- what came of it


def first(run: Run, program: str) -> Call:
    """The first call of that program which is the world's."""
    name = {"send": "sendall"}.get(run.shown.name, run.shown.name)
    return next(call for call in run.program(program).calls if call.name == name)


def outcome(run: Run, program: str) -> tuple[int, int | None]:
    """Its errno, 0 if it went well, and how long it took, in whole seconds; None if it still waits."""
    call = first(run, program)
    errno = (call.error.errno or 0) if call.error is not None else 0
    return errno, None if call.waits else round(call.lasted / SECOND)


def outcomes(run: Run) -> dict[str, tuple[int, int | None]]:
    return {program: outcome(run, program) for program in OPTIONS}


def cell(run: Run, program: str) -> str:
    errno, seconds = outcome(run, program)
    return f"{seconds} s {errorcode.get(errno, '')}".rstrip()


def table(runs: Runs) -> Table:
    rows = [(f"{name}()", *(cell(run, program) for program in OPTIONS)) for name, run in runs.items()]
    return Table((N_("call"), *OPTIONS), rows)


def syns(run: Run, program: str) -> int:
    """How many SYNs that program's connection sent."""
    return len(run.sent(SYN, "client", list(OPTIONS).index(program)))


EXPERIMENT = Experiment(
    row="E7",
    question=N_("Which calls do SO_RCVTIMEO and SO_SNDTIMEO bound?"),
    prediction=N_(
        "The texts' third program sets SO_RCVTIMEO and SO_SNDTIMEO to 10 s before it connects. Beside it run programs "
        "with neither option and with one of the two. Which of connect, recv, send and accept come back after 10 s, "
        "with which error, and what becomes of the other programs' sockets?"
    ),
    watch=N_("The table: for each call which of the two options makes it come back after 10 s."),
    worlds=(
        World("connect", N_("connect() to a host that never answers"), nobody_answers, until=150 * SECOND),
        World(
            "send",
            N_("send() of more than the buffers hold, and the server reads only after 25 s"),
            scenario(reads_late, sends),
            until=60 * SECOND,
            picture="none",
        ),
        World(
            "recv",
            N_("recv(), and the server speaks only after 25 s"),
            scenario(speaks_late, receives),
            until=60 * SECOND,
            connections=1,
        ),
        World(
            "accept",
            N_("accept(), and a client comes only after 25 s"),
            nobody_connects,
            until=60 * SECOND,
            picture="none",
        ),
    ),
    claims=(
        Claim(
            N_(
                "SO_SNDTIMEO bounds connect(): after {seconds:g} s it fails with EINPROGRESS. SO_RCVTIMEO does not: "
                "with that alone it is ETIMEDOUT after {default:g} s, as without any option."
            ),
            lambda runs: (
                outcomes(runs["connect"])
                == {
                    "both options": (EINPROGRESS, 10),
                    "neither": (ETIMEDOUT, 131),
                    "SO_RCVTIMEO": (ETIMEDOUT, 131),
                    "SO_SNDTIMEO": (EINPROGRESS, 10),
                }
            ),
            lambda runs: {
                "seconds": first(runs["connect"], "both options").lasted / SECOND,
                "default": first(runs["connect"], "SO_RCVTIMEO").lasted / SECOND,
            },
        ),
        Claim(
            N_(
                "So the option of a socket goes before the host's default, tcp_syn_retries: {bounded} SYNs are sent "
                "instead of {default}."
            ),
            lambda runs: (
                syns(runs["connect"], "both options")
                == syns(runs["connect"], "SO_SNDTIMEO")
                == 7
                < 11
                == syns(runs["connect"], "neither")
            ),
            lambda runs: {
                "bounded": syns(runs["connect"], "both options"),
                "default": syns(runs["connect"], "neither"),
            },
        ),
        Claim(
            N_(
                "SO_RCVTIMEO bounds recv(): EAGAIN after {seconds:g} s. With SO_SNDTIMEO alone recv() waits until the "
                "data are there, as without any option."
            ),
            lambda runs: (
                outcomes(runs["recv"])
                == {
                    "both options": (EAGAIN, 10),
                    "neither": (0, 25),
                    "SO_RCVTIMEO": (EAGAIN, 10),
                    "SO_SNDTIMEO": (0, 25),
                }
            ),
            lambda runs: {"seconds": first(runs["recv"], "both options").lasted / SECOND},
        ),
        Claim(
            N_(
                "The time-out ends the call, not the connection: tried again, recv() hears on its attempt number "
                "{number} what the server says after 25 s."
            ),
            lambda runs: runs["recv"].program("both options").call("recv").result == b"late",
            lambda runs: {
                "number": sum(call.name == "recv" for call in runs["recv"].program("both options").calls),
            },
        ),
        Claim(
            N_("SO_SNDTIMEO bounds send() when there is no room: EAGAIN after {seconds:g} s; SO_RCVTIMEO does not."),
            lambda runs: (
                outcomes(runs["send"])
                == {
                    "both options": (EAGAIN, 10),
                    "neither": (0, 25),
                    "SO_RCVTIMEO": (0, 25),
                    "SO_SNDTIMEO": (EAGAIN, 10),
                }
            ),
            lambda runs: {"seconds": round(first(runs["send"], "both options").lasted / SECOND)},
        ),
        Claim(
            N_("SO_RCVTIMEO of a listener bounds accept(): EAGAIN after {seconds:g} s; SO_SNDTIMEO does not."),
            lambda runs: (
                outcomes(runs["accept"])
                == {
                    "both options": (EAGAIN, 10),
                    "neither": (0, 25),
                    "SO_RCVTIMEO": (EAGAIN, 10),
                    "SO_SNDTIMEO": (0, 25),
                }
            ),
            lambda runs: {"seconds": first(runs["accept"], "both options").lasted / SECOND},
        ),
    ),
    answer=N_(
        "SO_RCVTIMEO bounds the calls that receive: recv and accept. SO_SNDTIMEO bounds those that send: send and "
        "connect, though many texts say the former sets the time of connect. Each holds for one socket alone, goes "
        "before the defaults of the host there, and touches no other socket. What ends is the call, with EAGAIN, or "
        "EINPROGRESS for connect; the connection knows nothing of it and may be used on."
    ),
    clauses=("socket(7)", "connect(2)", "RFC 9293 §3.8.3"),
    tries=(
        Try(
            "E7 --world connect --set client:tcp_syn_retries=1",
            N_("The host's default is shorter now: all four fail with ETIMEDOUT, for whatever is over first counts."),
        ),
        Try(
            "E7 --world connect --set client:tcp_syn_linear_timeouts=0",
            N_("Waits that double from the first: within the same 10 s there is time for four SYNs alone."),
        ),
    ),
    table=table,
)
