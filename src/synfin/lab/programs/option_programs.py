"""Programs with which socket options are tried: the same with and without the option (`Place.on`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synfin.host import socket_option_numbers as names
from synfin.lab.bench import HOUR, SECOND
from synfin.lab.programs.effects import Place
from synfin.sim import Program, SimulatedSocket, Steps

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
