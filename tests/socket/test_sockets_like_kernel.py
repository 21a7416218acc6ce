"""The methods of socket.socket: each test runs on the kernel's sockets over loopback, and on ours over a channel."""

from __future__ import annotations

import errno
import gc
import os
import socket
import struct
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator

import pytest

from tests.socket.places import V6, Kernel, Place, Synfin

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
#: Long enough that it is never over, short enough to end a test that hangs (seconds).
PATIENCE = 20.0


@pytest.fixture(params=[Kernel, Synfin])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made: Place = request.param()
    yield made
    made.close()


def fails(number: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno == number, caught.value


def later(call: Callable[[], object]) -> threading.Thread:
    """Makes a call in another thread, when this one probably waits."""
    thread = threading.Timer(0.05, call)
    thread.start()
    return thread


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        assert part
        data += part
    return data


def for_ever(call: Callable[[], object]) -> None:
    while True:
        call()


# --- what a socket is


def test_attributes(place: Place) -> None:
    sock = place.client_side()
    assert (sock.family, sock.type, sock.proto) == (socket.AF_INET, socket.SOCK_STREAM, 0)
    assert isinstance(sock.family, socket.AddressFamily)
    assert isinstance(sock.type, socket.SocketKind)
    assert isinstance(sock, socket.socket)
    assert place.client_side(V6).family == socket.AF_INET6
    assert sock.timeout is None
    assert sock.getblocking()
    sock.settimeout(2)
    assert sock.timeout == sock.gettimeout() == 2.0
    assert sock.getblocking()
    sock.setblocking(False)
    assert sock.gettimeout() == 0.0
    assert not sock.getblocking()


def test_repr_tells_the_ends(place: Place) -> None:
    client, accepted = place.pair()
    for words in (f"laddr={client.getsockname()}", f"raddr={client.getpeername()}", "family=2, type=1, proto=0"):
        assert words in repr(client)
    client.close()
    assert "[closed]" in repr(client)
    assert "raddr" in repr(accepted)


def test_timeouts_that_make_no_sense(place: Place) -> None:
    sock = place.client_side()
    with pytest.raises(ValueError, match="Timeout value out of range"):
        sock.settimeout(-1)
    with pytest.raises(TypeError):
        sock.settimeout("1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NaN"):
        sock.settimeout(float("nan"))


def test_a_default_time_out_is_for_all_that_are_made(place: Place) -> None:
    listener = place.listener()
    socket.setdefaulttimeout(3)
    try:
        client = place.client_side()
        assert client.gettimeout() == 3
        client.connect(listener.getsockname())
        accepted = place.keep(listener.accept()[0])
        assert accepted.gettimeout() == 3
    finally:
        socket.setdefaulttimeout(None)


def test_what_is_accepted_blocks_though_the_listener_has_a_time_out(place: Place) -> None:
    listener = place.listener()
    listener.settimeout(PATIENCE)
    place.client_side().connect(listener.getsockname())
    accepted = place.keep(listener.accept()[0])
    assert accepted.gettimeout() is None


def test_weak_references(place: Place) -> None:
    sock = place.client_side()
    reference = weakref.ref(sock)
    assert reference() is sock


def test_one_that_nobody_closed_is_complained_of(place: Place) -> None:
    client, accepted = place.pair()
    number = accepted.fileno()
    assert number >= 0
    made = [client.dup()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made.clear()
        gc.collect()
    assert [str(one.message)[:16] for one in caught] == [
        "unclosed <synfin" if isinstance(place, Synfin) else "unclosed <socket"
    ]
    assert caught[0].category is ResourceWarning


def test_with_closes(place: Place) -> None:
    client, accepted = place.pair()
    with client as same:
        assert same is client
    assert accepted.recv(1) == b""
    assert client.fileno() == -1


def test_a_closed_one_is_no_descriptor(place: Place) -> None:
    client, _ = place.pair()
    client.close()
    client.close()
    for call in (
        lambda: client.recv(1),
        lambda: client.send(b""),
        client.getsockname,
        lambda: client.getsockopt(SOL, socket.SO_ERROR),
        lambda: client.connect((place.address, 1)),
        client.listen,
        client.accept,
        lambda: client.shutdown(2),
    ):
        fails(errno.EBADF, call)


def test_no_socket_is_pickled(place: Place) -> None:
    import pickle

    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(place.client_side())


# --- naming and connecting


def test_names(place: Place) -> None:
    client, accepted = place.pair()
    assert client.getsockname() == accepted.getpeername()
    assert client.getpeername() == accepted.getsockname()
    assert place.client_side().getsockname() == ("0.0.0.0", 0)
    assert place.client_side(V6).getsockname() == ("::", 0, 0, 0)
    fails(errno.ENOTCONN, place.client_side().getpeername)


def test_names_of_ipv6(place: Place) -> None:
    client, accepted = place.pair(V6)
    assert client.getpeername() == accepted.getsockname()
    assert len(client.getsockname()) == 4
    client.sendall(b"six")
    assert accepted.recv(10) == b"six"


@pytest.mark.parametrize("address", [None, "text", ("127.0.0.1",), ("127.0.0.1", 1, 2), ("127.0.0.1", "80"), (7, 80)])
def test_addresses_that_are_none(address: object, place: Place) -> None:
    sock = place.client_side()
    for call in (sock.bind, sock.connect, sock.connect_ex):
        with pytest.raises(TypeError):
            call(address)  # type: ignore[arg-type]


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_that_are_none(port: int, place: Place) -> None:
    sock = place.client_side()
    with pytest.raises(OverflowError, match=r"bind\(\): port must be 0-65535"):
        sock.bind(("127.0.0.1", port))
    with pytest.raises(OverflowError, match=r"connect\(\): port must be 0-65535"):
        sock.connect(("127.0.0.1", port))


def test_an_address_of_the_other_family(place: Place) -> None:
    with pytest.raises(socket.gaierror):
        place.client_side().connect((place.address_6, 80))


def test_nobody_listens(place: Place) -> None:
    with place.listener() as listener:
        address = listener.getsockname()
    with pytest.raises(ConnectionRefusedError):
        place.client_side().connect(address)
    sock = place.client_side()
    sock.settimeout(PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        sock.connect(address)
    assert place.client_side().connect_ex(address) == errno.ECONNREFUSED


def test_connecting_without_waiting(place: Place) -> None:
    listener = place.listener()
    sock = place.client_side()
    sock.setblocking(False)
    assert sock.connect_ex(listener.getsockname()) in (0, errno.EINPROGRESS)
    place.keep(listener.accept()[0])
    sock.settimeout(PATIENCE)
    sock.sendall(b"x")
    assert sock.getsockopt(SOL, socket.SO_ERROR) == 0
    # The first that asks hears that it went well.
    assert sock.connect_ex(listener.getsockname()) == 0
    fails(errno.EISCONN, lambda: sock.connect(listener.getsockname()))
    assert sock.connect_ex(listener.getsockname()) == errno.EISCONN


def test_two_at_one_port(place: Place) -> None:
    listener = place.listener()
    fails(errno.EADDRINUSE, lambda: place.server_side().bind(listener.getsockname()))


def test_calls_out_of_turn(place: Place) -> None:
    sock = place.client_side()
    fails(errno.ENOTCONN, lambda: sock.recv(1))
    fails(errno.EPIPE, lambda: sock.send(b"x"))
    fails(errno.EINVAL, sock.accept)
    fails(errno.ENOTCONN, lambda: sock.shutdown(socket.SHUT_RDWR))


def test_many_clients_of_one_listener(place: Place) -> None:
    listener = place.listener()
    clients = [place.client_side() for _ in range(5)]
    for client in clients:
        client.connect(listener.getsockname())
    names = {client.getsockname() for client in clients}
    for _ in clients:
        accepted, name = listener.accept()
        place.keep(accepted)
        assert name == accepted.getpeername()
        names.remove(name)
    assert not names


# --- waiting


def test_recv_waits(place: Place) -> None:
    client, accepted = place.pair()
    thread = later(lambda: accepted.sendall(b"late"))
    assert client.recv(10) == b"late"
    thread.join()


def test_accept_waits(place: Place) -> None:
    listener = place.listener()
    client = place.client_side()
    thread = later(lambda: client.connect(listener.getsockname()))
    place.keep(listener.accept()[0])
    thread.join()


def test_sendall_waits_for_a_slow_reader(place: Place) -> None:
    client, accepted = place.pair()
    data = os.urandom(3_000_000)
    got: list[bytes] = []
    thread = later(lambda: got.append(exactly(accepted, len(data))))
    client.sendall(data)
    thread.join()
    assert got == [data]


def test_send_of_a_socket_that_blocks_takes_it_all(place: Place) -> None:
    client, accepted = place.pair()
    data = bytes(5_000_000)
    thread = later(lambda: exactly(accepted, len(data)))
    assert client.send(data) == len(data)
    thread.join()


def test_time_outs_are_time_outs(place: Place) -> None:
    client, _ = place.pair()
    listener = place.listener()
    for sock, call in ((client, lambda: client.recv(1)), (listener, listener.accept)):
        sock.settimeout(0.03)
        before = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            call()
        assert str(caught.value) == "timed out"
        assert caught.value.errno is None
        assert time.monotonic() - before >= 0.03


def test_a_time_out_of_sending(place: Place) -> None:
    client, _ = place.pair()
    client.settimeout(0.03)
    with pytest.raises(TimeoutError, match="timed out"):
        client.sendall(bytes(20_000_000))
    with pytest.raises(TimeoutError, match="timed out"):
        for_ever(lambda: client.send(bytes(100_000)))


def test_without_blocking(place: Place) -> None:
    client, _ = place.pair()
    client.setblocking(False)
    fails(errno.EAGAIN, lambda: client.recv(1))
    fails(errno.EAGAIN, lambda: client.recv_into(bytearray(1)))
    with pytest.raises(BlockingIOError):
        for_ever(lambda: client.send(bytes(1_000_000)))
    listener = place.listener()
    listener.setblocking(False)
    fails(errno.EAGAIN, listener.accept)


def test_one_call_need_not_wait(place: Place) -> None:
    client, _ = place.pair()
    fails(errno.EAGAIN, lambda: client.recv(1, socket.MSG_DONTWAIT))


# E7: an option holds for one socket, and overrides the default; others are not touched.
@pytest.mark.row("E2", "E7")
def test_the_time_outs_of_options(place: Place) -> None:
    client, accepted = place.pair()
    listener = place.listener()
    limit = struct.pack("@ll", 0, 40_000)
    for sock in (client, listener):
        sock.setsockopt(SOL, socket.SO_RCVTIMEO, limit)
        sock.setsockopt(SOL, socket.SO_SNDTIMEO, limit)
        assert sock.gettimeout() is None
        assert struct.unpack("@ll", sock.getsockopt(SOL, socket.SO_RCVTIMEO, 16)) == (0, 40_000)
    assert struct.unpack("@ll", accepted.getsockopt(SOL, socket.SO_RCVTIMEO, 16)) == (0, 0)
    before = time.monotonic()
    fails(errno.EAGAIN, lambda: client.recv(1))
    fails(errno.EAGAIN, listener.accept)
    assert 0.08 <= time.monotonic() - before < PATIENCE
    # What fits is taken, then it is too late for the rest.
    sent = client.send(bytes(50_000_000))
    assert 0 < sent < 50_000_000
    with pytest.raises(BlockingIOError):
        for_ever(lambda: client.send(bytes(10_000_000)))


@pytest.mark.row("E2", "E7")
def test_sndtimeo_bounds_connect(place: Place) -> None:
    # A listener whose queue is full lets nobody in: no answer comes.
    listener = place.listener(0)
    place.client_side().connect(listener.getsockname())
    sock = place.client_side()
    sock.setsockopt(SOL, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 60_000))
    before = time.monotonic()
    fails(errno.EINPROGRESS, lambda: sock.connect(listener.getsockname()))
    assert 0.06 <= time.monotonic() - before < PATIENCE
    other = place.client_side()
    other.settimeout(0.05)
    with pytest.raises(TimeoutError, match="timed out"):
        other.connect(listener.getsockname())


def test_waitall_and_lowat(place: Place) -> None:
    client, accepted = place.pair()
    accepted.sendall(b"abc")
    thread = later(lambda: accepted.sendall(b"defgh"))
    assert client.recv(6, socket.MSG_WAITALL) == b"abcdef"
    thread.join()
    assert client.recv(2) == b"gh"
    client.setsockopt(SOL, socket.SO_RCVLOWAT, 4)
    thread = later(lambda: (accepted.send(b"i"), accepted.send(b"jk"), accepted.send(b"l")))
    assert client.recv(10) == b"ijkl"
    thread.join()
    accepted.sendall(b"m")
    accepted.close()
    assert client.recv(6, socket.MSG_WAITALL) == b"m"


def test_peeking(place: Place) -> None:
    client, accepted = place.pair()
    accepted.sendall(b"abc")
    assert client.recv(2, socket.MSG_PEEK) == b"ab"
    thread = later(lambda: accepted.sendall(b"def"))
    assert client.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL) == b"abcde"
    thread.join()
    assert client.recv(10) == b"abcdef"


# --- forms of sending and receiving


def test_forms_of_receiving(place: Place) -> None:
    client, accepted = place.pair()
    accepted.sendall(b"0123456789" * 3)
    buffer = bytearray(5)
    assert client.recv_into(buffer) == 5
    assert buffer == b"01234"
    assert client.recv_into(buffer, 2) == 2
    assert buffer == b"56234"
    assert client.recvfrom(3) == (b"789", None)
    assert client.recvfrom_into(buffer, 1) == (1, None)
    assert client.recvmsg(4) == (b"1234", [], 0, None)
    one, two = bytearray(2), bytearray(3)
    assert client.recvmsg_into([one, two]) == (5, [], 0, None)
    assert one + two == b"56789"
    assert client.recv(0) == b""
    with pytest.raises(ValueError, match="negative"):
        client.recv(-1)
    with pytest.raises(ValueError, match="too small"):
        client.recv_into(buffer, 6)


def test_forms_of_sending(place: Place) -> None:
    client, accepted = place.pair()
    assert client.send(bytearray(b"ab")) == 2
    assert client.send(memoryview(b"cd"), socket.MSG_NOSIGNAL) == 2
    assert client.sendto(b"ef", ("10.1.1.1", 5)) == 2
    assert client.sendto(b"gh", 0, ("10.1.1.1", 5)) == 2
    assert client.sendmsg([b"ij", bytearray(b"kl")]) == 4
    assert client.send(b"") == 0
    client.sendall(b"")
    assert exactly(accepted, 12) == b"abcdefghijkl"
    with pytest.raises(TypeError):
        client.send("text")  # type: ignore[arg-type]


def test_sending_what_changes_afterwards(place: Place) -> None:
    client, accepted = place.pair()
    data = bytearray(b"before")
    client.send(data)
    data[:] = b"behind"
    assert accepted.recv(10) == b"before"


@pytest.mark.parametrize("offset", [0, 100])
def test_sendfile(offset: int, place: Place) -> None:
    client, accepted = place.pair()
    data = os.urandom(100_000)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        thread = threading.Thread(target=lambda: client.sendfile(file, offset))
        thread.start()
        assert exactly(accepted, len(data) - offset) == data[offset:]
        thread.join()
        assert file.tell() == len(data)
        assert client.sendfile(file, 10, 20) == 20
        assert exactly(accepted, 20) == data[10:30]
    with tempfile.TemporaryFile("w") as text, pytest.raises(ValueError, match="binary mode"):
        client.sendfile(text)  # type: ignore[arg-type]


def test_makefile(place: Place) -> None:
    client, accepted = place.pair()
    with client.makefile("rwb") as both, accepted.makefile("r", encoding="utf-8") as lines:
        both.write("één\ntwee\n".encode())
        both.flush()
        assert lines.readline() == "één\n"
        assert lines.readline() == "twee\n"
        accepted.sendall(b"answer\nrest")
        assert both.readline() == b"answer\n"
        client.close()
        # The file goes on.
        assert both.read(4) == b"rest"
    assert accepted.recv(1) == b""


def test_a_file_without_anything_to_read(place: Place) -> None:
    client, _ = place.pair()
    client.setblocking(False)
    with client.makefile("rb", buffering=0) as raw:
        assert raw.read(1) is None


# --- ending


def test_half_closed(place: Place) -> None:
    client, accepted = place.pair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert exactly(accepted, 8) == b"question"
    assert accepted.recv(1) == b""
    accepted.sendall(b"answer")
    assert client.recv(10) == b"answer"
    with pytest.raises(BrokenPipeError):
        client.send(b"more")


def test_receiving_shut(place: Place) -> None:
    client, _ = place.pair()
    client.shutdown(socket.SHUT_RD)
    assert client.recv(1) == b""


def test_shutdown_wakes_a_reader(place: Place) -> None:
    client, _ = place.pair()
    thread = later(lambda: client.shutdown(socket.SHUT_RDWR))
    assert client.recv(1) == b""
    thread.join()


def test_unread_data_reset_the_peer(place: Place) -> None:
    client, accepted = place.pair()
    client.sendall(b"unread")
    accepted.recv(1, socket.MSG_PEEK)
    accepted.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


# E2: SO_LINGER without time resets.
@pytest.mark.row("E2")
def test_lingering_for_no_time_resets(place: Place) -> None:
    client, accepted = place.pair()
    client.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with pytest.raises(ConnectionResetError):
        accepted.recv(1)


@pytest.mark.row("E2")
def test_lingering_waits_for_what_was_sent(place: Place) -> None:
    client, accepted = place.pair()
    client.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, int(PATIENCE)))
    data = bytes(4_000_000)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(exactly(accepted, len(data))))
    thread.start()
    client.sendall(data)
    client.close()
    thread.join()
    assert got == [data]


# --- options


@pytest.mark.row("E2")
def test_forms_of_options(place: Place) -> None:
    sock = place.client_side()
    for level, name in (
        (SOL, socket.SO_REUSEADDR),
        (SOL, socket.SO_KEEPALIVE),
        (TCP, socket.TCP_NODELAY),
        (TCP, socket.TCP_CORK),
    ):
        assert sock.getsockopt(level, name) == 0
        sock.setsockopt(level, name, 1)
        assert sock.getsockopt(level, name) == 1
        sock.setsockopt(level, name, struct.pack("i", 0))
        assert sock.getsockopt(level, name, 4) == struct.pack("i", 0)
    sock.setsockopt(SOL, socket.SO_RCVBUF, 10_000)
    assert sock.getsockopt(SOL, socket.SO_RCVBUF) == 20_000
    sock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 7))
    assert struct.unpack("ii", sock.getsockopt(SOL, socket.SO_LINGER, 8)) == (1, 7)
    sock.setsockopt(TCP, socket.TCP_KEEPIDLE, 5)
    assert sock.getsockopt(TCP, socket.TCP_KEEPIDLE) == 5
    assert sock.getsockopt(SOL, socket.SO_TYPE) == socket.SOCK_STREAM
    assert len(sock.getsockopt(TCP, socket.TCP_INFO, 104)) == 104
    fails(errno.ENOPROTOOPT, lambda: sock.setsockopt(TCP, 9999, 1))
    fails(errno.EINVAL, lambda: sock.setsockopt(SOL, socket.SO_KEEPALIVE, b"1"))
    with pytest.raises(TypeError):
        sock.setsockopt(SOL, socket.SO_KEEPALIVE, "on")  # type: ignore[call-overload]


# --- descriptors


def test_dup_is_another_end_of_the_same(place: Place) -> None:
    client, accepted = place.pair()
    client.settimeout(PATIENCE)
    other = place.keep(client.dup())
    assert other.fileno() != client.fileno()
    assert other.gettimeout() == PATIENCE
    assert other.getsockname() == client.getsockname()
    client.close()
    other.sendall(b"still there")
    assert accepted.recv(20) == b"still there"
    other.close()
    assert accepted.recv(1) == b""


def test_detach_and_take_up_again(place: Place) -> None:
    client, accepted = place.pair()
    number = client.fileno()
    assert client.detach() == number
    assert client.fileno() == -1
    fails(errno.EBADF, lambda: client.send(b"x"))
    again = place.keep(type(client)(fileno=number))
    assert again.fileno() == number
    assert (again.family, again.type) == (socket.AF_INET, socket.SOCK_STREAM)
    again.sendall(b"again")
    assert accepted.recv(10) == b"again"


def test_inheriting(place: Place) -> None:
    sock = place.client_side()
    assert not sock.get_inheritable()
    sock.set_inheritable(True)
    assert sock.get_inheritable()
    assert not place.keep(sock.dup()).get_inheritable()


def test_urgent_data(place: Place) -> None:
    client, accepted = place.pair()
    accepted.send(b"ab!", socket.MSG_OOB)
    assert exactly(client, 2) == b"ab"
    assert client.recv(1, socket.MSG_OOB) == b"!"
    fails(errno.EINVAL, lambda: client.recv(1, socket.MSG_OOB))


def test_what_could_not_be_sent_can_be_resized(place: Place) -> None:
    """An exception keeps no view of it: asyncio clears its buffer while it handles one."""
    client, accepted = place.pair()
    accepted.close()
    data = bytearray(100)
    for send in (client.send, client.sendall, lambda one: client.sendmsg([one])):
        client.setblocking(False)
        try:
            for_ever(lambda send=send: send(data))  # type: ignore[misc]
        except OSError:
            data.extend(b"x")
