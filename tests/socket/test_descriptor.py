"""What `fileno()` gives: select, poll, epoll and selectors tell of it what they tell of the kernel's own sockets, and
no call of the standard library's uses it as a socket of the system's."""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import pytest

from tests.socket.places import Kernel, Place, Synfin

ALL = select.POLLIN | select.POLLOUT | select.POLLPRI | select.POLLERR | select.POLLHUP
IN, OUT, ERR, HUP, PRI = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP, select.POLLPRI
PATIENCE = 10.0


@pytest.fixture(params=[Kernel, Synfin])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made: Place = request.param()
    yield made
    made.close()


@pytest.fixture
def ours() -> Iterator[Synfin]:
    made = Synfin()
    yield made
    made.close()


def bits(sock: socket.socket) -> int:
    poll = select.poll()
    poll.register(sock, ALL)
    return dict(poll.poll(0)).get(sock.fileno(), 0)


def becomes(sock: socket.socket, wanted: int) -> None:
    """Waits until poll tells exactly these bits."""
    deadline = time.monotonic() + PATIENCE
    while bits(sock) != wanted:
        assert time.monotonic() < deadline, f"{bits(sock):#x}, not {wanted:#x}"
        time.sleep(0.001)


def fill(sock: socket.socket) -> None:
    """Writes until there is no room, also after the peer took what it takes."""
    sock.setblocking(False)
    for _ in range(3):
        try:
            while True:
                sock.send(bytes(1_000_000))
        except BlockingIOError:
            time.sleep(0.02)


def drain(sock: socket.socket) -> int:
    sock.setblocking(False)
    count = 0
    try:
        while data := sock.recv(1_000_000):
            count += len(data)
    except BlockingIOError:
        pass
    return count


# --- the states


def test_nothing_begun(place: Place) -> None:
    assert bits(place.client_side()) == OUT | HUP


def test_listening(place: Place) -> None:
    listener = place.listener()
    assert bits(listener) == 0
    client = place.client_side()
    client.connect(listener.getsockname())
    becomes(listener, IN)
    place.keep(listener.accept()[0])
    assert bits(listener) == 0


def test_connecting_to_nobody_there(ours: Synfin) -> None:
    sock = ours.client_side()
    sock.setblocking(False)
    assert sock.connect_ex(("10.0.0.99", 80)) == errno.EINPROGRESS
    assert bits(sock) == 0


def test_refused(place: Place) -> None:
    with place.listener() as listener:
        address = listener.getsockname()
    sock = place.client_side()
    sock.setblocking(False)
    sock.connect_ex(address)
    becomes(sock, IN | OUT | ERR | HUP)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    # Nothing to read is left, but an end.
    assert bits(sock) & (OUT | ERR | HUP) == OUT | HUP


def test_connected_and_readable_and_neither(place: Place) -> None:
    client, accepted = place.pair()
    becomes(client, OUT)
    accepted.sendall(b"x")
    becomes(client, IN | OUT)
    client.recv(1)
    becomes(client, OUT)
    fill(client)
    becomes(client, 0)
    accepted.sendall(b"y")
    becomes(client, IN)
    client.recv(1)
    drain(accepted)
    deadline = time.monotonic() + PATIENCE
    while bits(client) != OUT:
        drain(accepted)
        assert time.monotonic() < deadline


def test_the_peer_closed(place: Place) -> None:
    client, accepted = place.pair()
    assert bits(client) == OUT
    accepted.shutdown(socket.SHUT_WR)
    becomes(client, IN | OUT)
    assert client.recv(1) == b""
    becomes(client, IN | OUT)
    client.shutdown(socket.SHUT_WR)
    becomes(client, IN | OUT | HUP)


def test_reset(place: Place) -> None:
    client, accepted = place.pair()
    assert bits(client) == OUT
    client.sendall(b"x")
    becomes(accepted, IN | OUT)
    accepted.close()
    becomes(client, IN | OUT | ERR | HUP)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    becomes(client, IN | OUT | HUP)


def test_urgent_data(place: Place) -> None:
    client, accepted = place.pair()
    becomes(client, OUT)
    accepted.send(b"!", socket.MSG_OOB)
    deadline = time.monotonic() + PATIENCE
    while not bits(client) & PRI:
        assert time.monotonic() < deadline
    assert select.select([], [], [client], 0) == ([], [], [client])
    assert client.recv(1, socket.MSG_OOB) == b"!"
    becomes(client, OUT)
    accepted.sendall(b"x")
    becomes(client, IN | OUT)


def test_a_new_beginning_after_a_failure(place: Place) -> None:
    with place.listener() as listener:
        address = listener.getsockname()
    sock = place.client_side()
    assert bits(sock) == OUT | HUP
    with pytest.raises(ConnectionRefusedError):
        sock.connect(address)
    listener = place.server_side()
    listener.bind(address)
    listener.listen()
    sock.connect(address)
    becomes(sock, OUT)
    accepted = place.keep(listener.accept()[0])
    accepted.sendall(b"x")
    becomes(sock, IN | OUT)


# --- ways to ask


def test_select(place: Place) -> None:
    client, accepted = place.pair()
    assert select.select([client], [client], [client], 0) == ([], [client], [])
    accepted.sendall(b"x")
    assert select.select([client], [], [], PATIENCE) == ([client], [], [])
    client.recv(1)
    assert select.select([client], [], [], 0.02) == ([], [], [])
    accepted.close()
    assert select.select([client], [], [], PATIENCE) == ([client], [], [])


@pytest.mark.parametrize("kind", [selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector])
def test_selectors(kind: type[selectors.BaseSelector], place: Place) -> None:
    client, accepted = place.pair()
    with kind() as selector:
        key = selector.register(client, selectors.EVENT_READ, "data")
        assert selector.select(0.02) == []
        accepted.sendall(b"x")
        assert selector.select(PATIENCE) == [(key, selectors.EVENT_READ)]
        key = selector.modify(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
        assert selector.select(PATIENCE) == [(key, selectors.EVENT_READ | selectors.EVENT_WRITE)]
        client.recv(1)
        assert selector.select(PATIENCE) == [(key, selectors.EVENT_WRITE)]
        selector.unregister(client)


def test_epoll_told_before_it_connects(place: Place) -> None:
    listener = place.listener()
    client = place.client_side()
    client.setblocking(False)
    with select.epoll() as epoll:
        epoll.register(client, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        assert epoll.poll(0) == [(client.fileno(), OUT | HUP)]
        client.connect_ex(listener.getsockname())
        assert epoll.poll(PATIENCE) == [(client.fileno(), OUT)]
        accepted = place.keep(listener.accept()[0])
        accepted.sendall(b"x")
        assert epoll.poll(PATIENCE) == [(client.fileno(), IN | OUT)]


def test_epoll_tells_an_edge_once(place: Place) -> None:
    client, accepted = place.pair()
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with select.epoll() as epoll:
        epoll.register(client, select.EPOLLIN | select.EPOLLET)
        for _ in range(70):
            # Each arrival is told, though nobody reads.
            accepted.sendall(b"x")
            assert epoll.poll(PATIENCE) == [(client.fileno(), IN)]
        assert epoll.poll(0.02) == []
        assert len(client.recv(100)) == 70
        assert epoll.poll(0.02) == []
        accepted.sendall(b"y")
        assert epoll.poll(PATIENCE) == [(client.fileno(), IN)]


def test_epoll_tells_the_edge_of_room(place: Place) -> None:
    client, accepted = place.pair()
    fill(client)
    with select.epoll() as epoll:
        epoll.register(client, select.EPOLLOUT | select.EPOLLET)
        assert epoll.poll(0.02) == []
        deadline = time.monotonic() + PATIENCE
        while not (events := epoll.poll(0.01)):
            drain(accepted)
            assert time.monotonic() < deadline
        assert events == [(client.fileno(), OUT)]
        assert client.send(b"x") == 1


def test_one_poll_for_ours_and_the_systems(ours: Synfin) -> None:
    client, accepted = ours.pair()
    one, other = socket.socketpair()
    with one, other:
        poll = select.poll()
        poll.register(client, IN)
        poll.register(one, IN)
        assert poll.poll(10) == []
        accepted.sendall(b"x")
        assert poll.poll(10_000) == [(client.fileno(), IN)]
        other.send(b"y")
        assert sorted(poll.poll(10_000)) == sorted([(client.fileno(), IN), (one.fileno(), IN)])


def test_a_dup_shows_the_same(place: Place) -> None:
    client, accepted = place.pair()
    client.fileno()
    other = place.keep(client.dup())
    client.close()
    becomes(other, OUT)
    accepted.sendall(b"x")
    becomes(other, IN | OUT)
    other.recv(1)
    becomes(other, OUT)


# --- descriptors as sockets of C


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += sock.recv(count - len(data))
    return data


def test_os_reads_and_writes_the_stream(place: Place) -> None:
    client, accepted = place.pair()
    number = client.fileno()
    assert os.write(number, b"hello ") == 6
    assert os.writev(number, [b"wor", b"ld"]) == 5
    assert exactly(accepted, 11) == b"hello world"
    accepted.sendall(b"answers")
    assert os.read(number, 3) == b"ans"
    buffers = bytearray(2), bytearray(2)
    assert os.readv(number, buffers) == 4
    assert buffers[0] + buffers[1] == b"wers"
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        os.read(number, 1)


def test_os_sendfile(place: Place) -> None:
    client, accepted = place.pair()
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        assert os.sendfile(client.fileno(), file.fileno(), 2, 5) == 5
        assert exactly(accepted, 5) == b"23456"
        file.seek(0)
        assert os.sendfile(client.fileno(), file.fileno(), None, 3) == 3
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 3
    assert exactly(accepted, 3) == b"012"


def test_os_dup_and_close(place: Place) -> None:
    client, accepted = place.pair()
    number = os.dup(client.fileno())
    client.close()
    os.write(number, b"x")
    assert accepted.recv(1) == b"x"
    os.close(number)
    assert accepted.recv(1) == b""
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(number)


def test_fromfd(place: Place) -> None:
    client, accepted = place.pair()
    with socket.fromfd(client.fileno(), socket.AF_INET, socket.SOCK_STREAM) as made:
        made.sendall(b"x")
    assert accepted.recv(1) == b"x"
    with type(client)(fileno=socket.dup(client.fileno())) as made:
        made.sendall(b"y")
    assert accepted.recv(1) == b"y"


def test_what_cannot_work_raises(ours: Synfin) -> None:
    client, _ = ours.pair()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fdopen(client.fileno(), "rb")


def test_no_other_process_writes_into_it(ours: Synfin) -> None:
    client, accepted = ours.pair()
    script = "import os, sys\ntry:\n    os.write(1, b'x')\nexcept BrokenPipeError:\n    sys.exit(7)"
    done = subprocess.run([sys.executable, "-c", script], stdout=client.fileno(), check=False)
    assert done.returncode == 7
    accepted.setblocking(False)
    with pytest.raises(BlockingIOError):
        accepted.recv(1)


def test_the_standard_library_is_as_it_was(ours: Synfin) -> None:
    """Once the last socket of ours is closed."""
    guarded = os.read
    ours.client_side()
    assert os.read is not guarded or os.read.__module__ != "posix"
    ours.close()
    assert os.read.__module__ == "posix"
    assert socket.close.__module__ == "_socket"


def test_no_descriptor_is_left_open() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = count()
    place = Synfin()
    client, accepted = place.pair()
    for sock in (client, accepted, place.listener(), place.client_side()):
        assert sock.fileno() >= 0
        sock.dup().close()
    place.close()
    assert count() == before
