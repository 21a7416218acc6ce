"""Programs on simulated hosts: how long a call waits."""

from __future__ import annotations

from contextlib import suppress
from errno import EAGAIN
from socket import SO_SNDTIMEO

from synfin.lab.bench import PORT, SECOND, pair
from synfin.sim import Network, Program, Steps, World, start

LIMIT = 10 * SECOND


def test_a_time_out_is_not_put_off_by_room_that_is_too_little() -> None:
    """SO_SNDTIMEO: an acknowledgment leaves room for a few octets, but the socket is not writable."""

    def server(program: Program) -> Steps[None]:
        listener = program.listening(PORT)
        yield from listener.accept()
        yield from program.sleep(100 * SECOND)

    def client(program: Program) -> Steps[None]:
        sock = program.socket()
        sock.set_timeout(SO_SNDTIMEO, LIMIT)
        yield from sock.connect(("server", PORT))
        with suppress(BlockingIOError):
            yield from sock.sendall(bytes(2_000_000))

    def scenario(network: Network) -> Program:
        here, there = pair(network)
        start(network, there, server)
        return start(network, here, client)

    program = World(scenario, until=60 * SECOND).made
    assert isinstance(program, Program)
    call = program.call("sendall")
    assert call.error is not None
    assert call.error.errno == EAGAIN
    # What there was room for went within a few round trips.
    assert LIMIT <= call.lasted < LIMIT + SECOND
