"""Programs as generators on simulated hosts: what each call returns, raises and waits for, and when."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import AF_INET6, SHUT_WR, SO_KEEPALIVE, SO_RCVTIMEO, SO_SNDBUF, SO_SNDTIMEO, SOL_SOCKET

import pytest

from synfin.events import Event, UserCalled
from synfin.host.parameters import Parameters
from synfin.sim import Network, Node, Program, SimulatedSocket, Steps, start
from synfin.tcp.states import ESTABLISHED

MS = 1_000_000
SECOND = 1000 * MS
DELAY = 10 * MS
PORT = 7000


class Pair:
    """A client and a server on one wire, and the programs that run on them."""

    def __init__(self, faults: tuple[str, ...] = (), **parameters: str) -> None:
        self.events: list[Event] = []
        self.network = Network(0, self.events.append)
        for fault in faults:
            self.network.apply(fault)
        own = Parameters()
        for name, value in parameters.items():
            own.set(f"net.ipv4.{name}", value)
        self.client = self.network.host("client", own)
        self.server = self.network.host("server")
        self.network.wire(self.client, "10.0.0.1/24", self.server, "10.0.0.2/24", delay=DELAY)

    def start(self, node: Node, body: Callable[[Program], Steps[object]], name: str = "") -> Program:
        return start(self.network, node, body, name)

    def run(self, until: int | None = None) -> None:
        self.network.run(until)


def listens(program: Program) -> Steps[SimulatedSocket]:
    """Accepts one connection, and leaves it open."""
    listener = program.listening(PORT)
    return (yield from listener.accept())


def accepts_only(program: Program) -> Steps[None]:
    """Accepts one, and reads nothing for an hour."""
    yield from listens(program)
    yield from program.sleep(3600 * SECOND)


def connects(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(SECOND)
    sock.close()


def failure(program: Program) -> int | None:
    return None if program.error is None else program.error.errno


# --- from connect to close ---------------------------------------------------------------------------------------


def test_a_conversation_and_what_is_written_down_of_it() -> None:
    pair = Pair()

    def serves(program: Program) -> Steps[None]:
        sock = yield from listens(program)
        said = yield from sock.receive_all()
        assert said == b"Hello, Server!"
        yield from sock.sendall(b"Hello, Client!")
        sock.close()

    def asks(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        yield from sock.sendall(b"Hello, ")
        yield from sock.sendall(b"Server!")
        sock.shutdown(SHUT_WR)
        assert (yield from sock.recv(5)) == b"Hello"
        assert (yield from sock.recv()) == b", Client!"
        assert (yield from sock.recv()) == b""
        sock.close()

    server, client = pair.start(pair.server, serves), pair.start(pair.client, asks)
    pair.run()
    assert client.done
    assert server.done
    assert client.error is server.error is None
    assert [call.name for call in client.calls] == [
        "connect",
        "sendall",
        "sendall",
        "shutdown",
        "recv",
        "recv",
        "recv",
        "close",
    ]
    names = [call.name for call in server.calls]
    assert names[:3] == ["bind", "listen", "accept"]
    # The end of the stream is a read of its own.
    assert set(names[3:-2]) == {"recv"}
    assert names[-2:] == ["sendall", "close"]
    connect = client.call("connect")
    assert (connect.began, connect.lasted, connect.waits) == (0, 2 * DELAY, False)
    # It takes the last ACK to get there.
    assert server.call("accept").lasted == 3 * DELAY
    assert client.call("recv").result == b""
    assert client.calls[1].result == len("Hello, ")
    assert client.sockets == server.sockets == []
    with pytest.raises(LookupError, match="server made no call listen2"):
        server.call("listen2")


def test_a_program_sleeps_as_long_as_it_says() -> None:
    pair = Pair()
    woke = []

    def sleeps(program: Program) -> Steps[None]:
        for duration in (0, 5 * MS, 3 * SECOND):
            yield from program.sleep(duration)
            woke.append(program.now)

    assert not pair.start(pair.client, sleeps).done
    pair.run()
    assert woke == [0, 5 * MS, 3 * SECOND + 5 * MS]


def test_names_and_addresses() -> None:
    pair = Pair()
    pair.network.names["www"] = "10.0.0.2"
    pair.start(pair.server, lambda program: _accepts(program, 3))

    def asks(program: Program) -> Steps[None]:
        for name in ("server", "www", "10.0.0.2"):
            sock = yield from program.connected(name, PORT)
            sock.close()

    client = pair.start(pair.client, asks)
    pair.run(SECOND)
    assert client.error is None
    assert [call.error for call in client.calls] == [None] * 6


def _accepts(program: Program, number: int) -> Steps[None]:
    listener = program.listening(PORT)
    for _ in range(number):
        sock = yield from listener.accept()
        yield from sock.recv()
        sock.close()


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_connect_is_refused() -> None:
    pair = Pair()
    client = pair.start(pair.client, connects)
    pair.run()
    assert isinstance(client.error, ConnectionRefusedError)
    call = client.call("connect")
    assert call.error is client.error
    assert (call.lasted, call.result) == (2 * DELAY, None)
    assert client.done


def test_connect_times_out() -> None:
    pair = Pair(("lose SYN",), tcp_syn_retries="1", tcp_syn_linear_timeouts="0")
    client = pair.start(pair.client, connects)
    pair.run()
    assert failure(client) == errno.ETIMEDOUT
    assert client.call("connect").lasted == 3 * SECOND


def test_so_sndtimeo_bounds_connect() -> None:
    pair = Pair(("lose SYN",))

    def hurries(program: Program) -> Steps[None]:
        sock = program.socket()
        sock.set_timeout(SO_SNDTIMEO, 1500 * MS)
        yield from sock.connect(("server", PORT))

    client = pair.start(pair.client, hurries)
    pair.run(10 * SECOND)
    assert failure(client) == errno.EINPROGRESS
    assert client.call("connect").lasted == 1500 * MS


def test_so_rcvtimeo_does_not_bound_connect() -> None:
    pair = Pair(("lose SYN",), tcp_syn_retries="1", tcp_syn_linear_timeouts="0")

    def hurries(program: Program) -> Steps[None]:
        sock = program.socket()
        sock.set_timeout(SO_RCVTIMEO, 500 * MS)
        yield from sock.connect(("server", PORT))

    client = pair.start(pair.client, hurries)
    pair.run()
    assert failure(client) == errno.ETIMEDOUT
    assert client.call("connect").lasted == 3 * SECOND


def test_so_rcvtimeo_bounds_accept_and_recv() -> None:
    pair = Pair()

    def waits(program: Program) -> Steps[None]:
        listener = program.listening(PORT)
        listener.set_timeout(SO_RCVTIMEO, 2 * SECOND)
        with pytest.raises(BlockingIOError):
            yield from listener.accept()
        assert program.now == 2 * SECOND
        sock = yield from listener.accept()
        sock.set_timeout(SO_RCVTIMEO, 300 * MS)
        yield from sock.recv()

    def late(program: Program) -> Steps[None]:
        yield from program.sleep(3 * SECOND)
        yield from connects(program)

    server, _ = pair.start(pair.server, waits), pair.start(pair.client, late)
    pair.run(20 * SECOND)
    assert failure(server) == errno.EAGAIN
    assert [call.lasted for call in server.calls if call.name == "accept"] == [2 * SECOND, SECOND + 3 * DELAY]
    assert server.call("recv").lasted == 300 * MS


def test_so_sndtimeo_bounds_sendall() -> None:
    pair = Pair()
    pair.start(pair.server, accepts_only)

    def pours(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 20_000)
        sock.set_timeout(SO_SNDTIMEO, 4 * SECOND)
        yield from sock.sendall(bytes(10_000_000))

    client = pair.start(pair.client, pours)
    pair.run(60 * SECOND)
    assert failure(client) == errno.EAGAIN
    call = client.call("sendall")
    taken = [event for event in pair.events if isinstance(event, UserCalled) and event.call == "SEND"]
    # From the last octet for which there was room.
    assert call.ended == taken[-1].time + 4 * SECOND
    assert sum(event.octets for event in taken) < 200_000
    assert call.result is None


def test_send_takes_what_there_is_room_for() -> None:
    pair = Pair()
    pair.start(pair.server, accepts_only)
    taken = []

    def pours(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 20_000)
        taken.append(sock.send(bytes(1_000_000)))
        while True:
            yield from program.sleep(100 * MS)
            taken.append(sock.send(bytes(1_000_000)))

    client = pair.start(pair.client, pours)
    pair.run(60 * SECOND)
    assert isinstance(client.error, BlockingIOError)
    assert 0 < taken[0] < 1_000_000
    assert client.calls[-2 if client.calls[-1].name == "close" else -1].error is client.error


def test_sendall_waits_for_a_reader() -> None:
    pair = Pair()
    heard = []

    def slow(program: Program) -> Steps[None]:
        sock = yield from listens(program)
        yield from program.sleep(10 * SECOND)
        heard.append((yield from sock.receive_all()))

    def pours(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        assert (yield from sock.sendall(bytes(1_000_000))) == 1_000_000
        sock.close()

    pair.start(pair.server, slow)
    client = pair.start(pair.client, pours)
    pair.run()
    assert len(heard[0]) == 1_000_000
    assert client.call("sendall").lasted > 10 * SECOND - 3 * DELAY


def test_a_reset_in_mid_stream() -> None:
    pair = Pair()

    def aborts(program: Program) -> Steps[None]:
        sock = yield from listens(program)
        sock.set_linger(0)
        yield from program.sleep(SECOND)
        sock.close()

    def reads(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        with pytest.raises(ConnectionResetError):
            yield from sock.recv()
        # Told once; after that the stream is over, and writing is in vain.
        assert (yield from sock.recv()) == b""
        yield from sock.sendall(b"x")

    pair.start(pair.server, aborts)
    client = pair.start(pair.client, reads)
    pair.run()
    assert isinstance(client.error, BrokenPipeError)
    assert client.calls[1].lasted == SECOND + 2 * DELAY


def test_an_error_that_it_does_not_catch_ends_a_program_and_closes_its_sockets() -> None:
    pair = Pair()
    seen = []

    def fails(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        sock.bind(("", 1))

    def reads(program: Program) -> Steps[None]:
        sock = yield from listens(program)
        seen.append((yield from sock.receive_all()))

    pair.start(pair.server, reads)
    client = pair.start(pair.client, fails)
    pair.run()
    assert failure(client) == errno.EINVAL
    assert client.done
    assert client.sockets == []
    # That is no call of the program's, but the other end hears of it.
    assert "close" not in [call.name for call in client.calls]
    assert seen == [b""]


def test_an_error_of_another_kind_passes_through() -> None:
    pair = Pair()

    def broken(program: Program) -> Steps[None]:
        yield from program.sleep(1)
        raise RuntimeError("a mistake of whoever wrote it")

    pair.start(pair.client, broken)
    with pytest.raises(RuntimeError, match="a mistake"):
        pair.run()


def test_a_call_that_hangs_is_seen_as_such() -> None:
    pair = Pair()
    server = pair.start(pair.server, listens)
    pair.run()
    call = server.call("accept")
    assert call.waits
    assert call.ended is None
    assert not server.done
    assert not server.gone
    assert repr(call) == "<accept at 0: waits>"
    with pytest.raises(ValueError, match="accept still waits"):
        _ = call.lasted
    assert repr(server.call("listen")) == "<listen at 0: None>"


# --- closing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
def test_a_close_that_lingers_waits_until_all_is_acknowledged(lost: bool) -> None:
    pair = Pair(("lose 1st data",) if lost else ())

    def lingers(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        sock.set_linger(5)
        yield from sock.sendall(b"last words")
        yield from sock.closed()

    pair.start(pair.server, accepts_only)
    client = pair.start(pair.client, lingers)
    pair.run(30 * SECOND)
    lasted = client.call("close").lasted
    assert lasted >= 2 * DELAY
    assert (lasted > 100 * MS) == lost
    assert lasted < SECOND


def test_a_close_that_lingers_gives_up_after_its_time() -> None:
    pair = Pair(("partition from 1s",))

    def lingers(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        sock.set_linger(5)
        yield from program.sleep(2 * SECOND)
        yield from sock.sendall(b"last words")
        yield from sock.closed()

    pair.start(pair.server, accepts_only)
    client = pair.start(pair.client, lingers)
    pair.run(30 * SECOND)
    assert client.call("close").lasted == 5 * SECOND
    assert client.done


def test_a_plain_close_does_not_wait() -> None:
    pair = Pair()

    def leaves(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        sock.set_linger(5)
        yield from sock.sendall(b"last words")
        sock.close()

    pair.start(pair.server, accepts_only)
    client = pair.start(pair.client, leaves)
    pair.run(SECOND)
    assert client.call("close").lasted == 0


# --- several programs, and hosts that go down --------------------------------------------------------------------


def test_several_programs_on_one_host() -> None:
    pair = Pair()
    heard: dict[str, bytes] = {}

    def serve(port: int) -> Callable[[Program], Steps[object]]:
        def body(program: Program) -> Steps[object]:
            sock = yield from program.listening(port).accept()
            heard[program.name] = yield from sock.receive_all()
            return None

        return body

    def asks(program: Program) -> Steps[None]:
        for port, word in ((PORT, b"one"), (PORT + 1, b"two")):
            sock = yield from program.connected("server", port)
            yield from sock.sendall(word)
            sock.close()

    programs = [pair.start(pair.server, serve(PORT + at), f"server {at}") for at in (0, 1)]
    pair.start(pair.client, asks)
    pair.run()
    assert heard == {"server 0": b"one", "server 1": b"two"}
    assert all(program.done for program in programs)
    assert pair.start(pair.client, connects).name == "client"


def test_a_socket_is_handed_to_another_program() -> None:
    pair = Pair()
    heard = []

    def works(program: Program) -> Steps[None]:
        (sock,) = program.sockets
        heard.append((yield from sock.receive_all()))

    def accepts(program: Program) -> Steps[None]:
        sock = yield from listens(program)
        workers.append(start(program.network, program.node, works, "worker"))
        assert sock.give(workers[0]) is sock

    def asks(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        yield from program.sleep(SECOND)
        yield from sock.sendall(b"question")
        sock.close()

    workers: list[Program] = []
    server = pair.start(pair.server, accepts)
    pair.start(pair.client, asks)
    pair.run()
    # The one who accepted has ended, and the connection lives on with the other.
    assert server.done
    assert heard == [b"question"]
    assert [call.name for call in workers[0].calls] == ["recv", "recv"]


@pytest.mark.parametrize("down", [0, 5 * SECOND])
def test_a_program_ends_with_its_host(down: int) -> None:
    pair = Pair((f"reboot server at 2s{f' for {down // SECOND}s' if down else ''}",))
    went_on = []

    def serves(program: Program) -> Steps[None]:
        sock = yield from listens(program)
        yield from sock.recv()
        went_on.append(program.now)

    def sleeps(program: Program) -> Steps[None]:
        yield from program.sleep(4 * SECOND)
        went_on.append(program.now)

    def asks(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        yield from program.sleep(10 * SECOND)
        yield from sock.sendall(b"are you there?")
        yield from sock.recv()

    programs = [pair.start(pair.server, serves), pair.start(pair.server, sleeps, "sleeper")]
    client = pair.start(pair.client, asks)
    pair.run()
    assert went_on == []
    assert all(program.gone for program in programs)
    assert programs[0].call("recv").waits
    # The host that came back knows of nothing.
    assert isinstance(client.error, ConnectionResetError)
    assert not client.gone


def test_what_ended_before_its_host_went_down_is_not_gone() -> None:
    pair = Pair(("reboot client at 2s",))
    pair.start(pair.server, accepts_only)
    client = pair.start(pair.client, connects)
    pair.run(5 * SECOND)
    assert client.done
    assert not client.gone
    assert client.error is None


def test_a_program_on_a_host_that_came_back() -> None:
    pair = Pair(("reboot server at 1s",))
    pair.network.at(2 * SECOND, lambda: pair.start(pair.server, accepts_only))

    def asks(program: Program) -> Steps[None]:
        yield from program.sleep(3 * SECOND)
        yield from connects(program)

    client = pair.start(pair.client, asks)
    pair.run(10 * SECOND)
    assert client.error is None
    assert client.call("connect").lasted == 2 * DELAY


# --- options -----------------------------------------------------------------------------------------------------


def test_options_and_the_connection_itself() -> None:
    pair = Pair()
    pair.start(pair.server, accepts_only)

    def asks(program: Program) -> Steps[None]:
        sock = program.socket()
        with pytest.raises(ValueError, match="the socket has no connection"):
            _ = sock.connection
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        assert sock.getsockopt(SOL_SOCKET, SO_KEEPALIVE) == 1
        yield from sock.connect(("server", PORT))
        assert sock.connection.state == ESTABLISHED
        with pytest.raises(OSError, match="connected") as raised:
            yield from sock.connect(("server", PORT))
        assert raised.value.errno == errno.EISCONN

    client = pair.start(pair.client, asks)
    pair.run(SECOND)
    assert client.error is None
    names = [(call.name, call.error.errno if call.error else None) for call in client.calls]
    assert names == [("setsockopt", None), ("connect", None), ("connect", errno.EISCONN)]


def test_a_socket_of_another_family() -> None:
    network = Network()
    client, server = network.host("client"), network.host("server")
    network.wire(client, "fd00::1/64", server, "fd00::2/64", delay=DELAY)

    def serves(program: Program) -> Steps[None]:
        listener = program.socket(AF_INET6)
        listener.bind(("::", PORT))
        listener.listen(1)
        sock = yield from listener.accept()
        yield from sock.sendall(b"six")
        sock.close()

    def asks(program: Program) -> Steps[None]:
        sock = program.socket(AF_INET6)
        yield from sock.connect(("fd00::2", PORT))
        assert (yield from sock.receive_all()) == b"six"

    start(network, server, serves)
    program = start(network, client, asks)
    network.run()
    assert program.error is None
    assert program.done


def test_a_time_out_is_not_put_off_by_room_that_is_too_little() -> None:
    """SO_SNDTIMEO: an acknowledgment leaves room for a few octets, but the socket is not writable."""
    limit = 10 * SECOND

    def client(program: Program) -> Steps[None]:
        sock = program.socket()
        sock.set_timeout(SO_SNDTIMEO, limit)
        yield from sock.connect(("server", PORT))
        with pytest.raises(BlockingIOError):
            yield from sock.sendall(bytes(2_000_000))

    world = Pair()
    world.start(world.server, accepts_only)
    program = world.start(world.client, client)
    world.run(60 * SECOND)
    call = program.call("sendall")
    assert call.error is not None
    assert call.error.errno == errno.EAGAIN
    # What there was room for went within a few round trips.
    assert limit <= call.lasted < limit + SECOND
