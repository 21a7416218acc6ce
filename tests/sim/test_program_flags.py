"""Flags of send and recv in simulated programs."""

from __future__ import annotations

from errno import EINVAL
from socket import IPPROTO_TCP, MSG_OOB, MSG_PEEK, TCP_INFO

from synfin.sim import Network, Program, Steps, World, start


def test_the_urgent_octet_is_read_by_itself() -> None:
    heard: list[object] = []

    def server(program: Program) -> Steps[None]:
        listener = program.listening(7000)
        sock = yield from listener.accept()
        try:
            yield from sock.recv(1, MSG_OOB)
        except OSError as error:
            heard.append(error.errno)
        heard.append((yield from sock.recv(100, MSG_PEEK)))
        heard.append((yield from sock.recv(100)))
        yield from program.sleep(1_000_000_000)
        heard.append((yield from sock.recv(1, MSG_OOB)))
        heard.append(len(sock.getsockopt_octets(IPPROTO_TCP, TCP_INFO, 8)))

    def client(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", 7000)
        sock.send(b"ab")
        yield from program.sleep(500_000_000)
        sock.send(b"c!", MSG_OOB)
        yield from program.sleep(2_000_000_000)

    def scenario(network: Network) -> list[Program]:
        here, there = network.host("client"), network.host("server")
        network.wire(here, "10.0.0.1/24", there, "10.0.0.2/24", delay=1000)
        return [start(network, there, server), start(network, here, client)]

    World(scenario)
    assert heard == [EINVAL, b"ab", b"ab", b"!", 8]
