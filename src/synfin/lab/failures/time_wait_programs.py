"""The programs of D4: a client that asks over and over, with one of the remedies, and a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EMFILE
from functools import partial
from socket import SO_REUSEADDR, SOL_SOCKET

from synfin.host.parameters import Parameters
from synfin.lab.bench import CLIENT, DELAY, MINUTE, MS, PORT, SECOND, SERVER
from synfin.lab.experiment import N_
from synfin.sim import Network, Node, Program, Scenario, SimulatedSocket, Steps, start
from synfin.tcp.errors import os_error

QUESTIONS = 24
#: From one question to the next.
PACE = 200 * MS
#: How long programs think, so that segments do not cross.
THINKING = 15 * MS
#: Until here all has been asked, and no TIME-WAIT of 60 s has ended.
ASKED = 10 * SECOND
#: A second service of the same server.
OTHER = 7001


@dataclass(frozen=True, slots=True)
class Remedy:
    """What is done about it: `sysctl` of the client, questions for each connection, whether the sockets have
    SO_REUSEADDR, how many `descriptors` there may be, the ports of the server that are asked in turn, and whether the
    server closes first."""

    sysctl: Mapping[str, str] = field(default_factory=dict)
    questions_each: int = 1
    reuse_address: bool = False
    descriptors: int = 4
    services: tuple[int, ...] = (PORT,)
    server_closes: bool = False


def server(port: int, most: int, program: Program) -> Steps[None]:
    """Answers each octet with one; closes first after `most` of them, if that is not 0."""
    listener = program.listening(port)
    while True:
        sock = yield from listener.accept()
        start(program.network, program.node, partial(serve, sock, most))


def serve(sock: SimulatedSocket, most: int, program: Program) -> Steps[None]:
    sock.give(program)
    answered = 0
    while not most or answered < most:
        data = yield from sock.recv()
        if not data:
            break
        yield from program.sleep(THINKING)
        yield from sock.sendall(data)
        answered += 1
    sock.close()


def new_socket(remedy: Remedy, program: Program) -> SimulatedSocket:
    """A host of the simulator has no limit of descriptors; this stands for it."""
    if len(program.node.host.transport.sockets) >= remedy.descriptors:
        raise os_error(EMFILE)
    sock = program.socket()
    if remedy.reuse_address:
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    return sock


def client(remedy: Remedy, program: Program) -> Steps[None]:
    ports = []
    asked = 0
    try:
        while asked < QUESTIONS:
            sock = new_socket(remedy, program)
            yield from sock.connect(("server", remedy.services[asked % len(remedy.services)]))
            ports.append(sock.connection.identity.local_port)
            for number in range(remedy.questions_each):
                yield from program.sleep(THINKING)
                yield from sock.sendall(b"?")
                yield from sock.recv(1)
                asked += 1
                if number == remedy.questions_each - 1:
                    yield from program.sleep(THINKING)
                    if remedy.server_closes:
                        yield from sock.receive_all()
                    sock.close()
                yield from program.sleep(PACE - program.now % PACE)
    except OSError:
        if remedy.reuse_address:
            # What the option is for: the port itself may be had.
            sock = new_socket(remedy, program)
            sock.bind(("", ports[0]))
            yield from sock.connect(("server", PORT))
        yield from program.sleep(MINUTE)
        again = yield from program.connected("server", PORT)
        yield from program.sleep(THINKING)
        again.close()


class Pool:
    """A few connections that are used again. One that the server has closed is replaced."""

    def __init__(self, size: int) -> None:
        self.idle: list[SimulatedSocket] = []
        self.room = size

    def take(self, program: Program) -> Steps[SimulatedSocket]:
        while True:
            if self.idle:
                sock = self.idle.pop().give(program)
                if not sock.connection.fin_received:
                    return sock
                sock.close()
                self.room += 1
            elif self.room:
                self.room -= 1
                return (yield from program.connected("server", PORT))
            else:
                yield from program.sleep(MS)


def worker(pool: Pool, keeper: Program, program: Program) -> Steps[None]:
    for _ in range(QUESTIONS // 3):
        sock = yield from pool.take(program)
        yield from sock.sendall(b"?")
        yield from sock.recv(1)
        pool.idle.append(sock.give(keeper))
        yield from program.sleep(PACE)


def keeper(program: Program) -> Steps[None]:
    """Holds the connections that nobody uses."""
    yield from program.sleep(ASKED)


def hosts(network: Network, sysctl: Mapping[str, str]) -> tuple[Node, Node]:
    """A client with eight ports to choose from, and a server."""
    parameters = Parameters()
    for name, value in {"net.ipv4.ip_local_port_range": "40000 40007", **sysctl}.items():
        parameters.set(name, value)
    here, there = network.host("client", parameters), network.host("server")
    network.wire(here, f"{CLIENT}/24", there, f"{SERVER}/24", delay=DELAY)
    return here, there


def scenario(remedy: Remedy) -> Scenario:
    def build(network: Network) -> list[Program]:
        here, there = hosts(network, remedy.sysctl)
        most = 1 if remedy.server_closes else 0
        servers = [start(network, there, partial(server, port, most)) for port in remedy.services]
        return [*servers, start(network, here, partial(client, remedy))]

    return build


def with_a_pool(network: Network) -> list[Program]:
    here, there = hosts(network, {})
    pool = Pool(2)
    holds = start(network, here, keeper)
    # The server closes after eight questions, so that the pool has something to replace.
    asked = start(network, there, partial(server, PORT, 8))
    return [asked, *(start(network, here, partial(worker, pool, holds), N_("worker")) for _ in range(3))]
