"""What CPython's own tests found: each case on the kernel's sockets over loopback, and on ours over a channel."""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from synfin.socket import installed
from tests.socket.places import Kernel, Place, Synfin

NAME = "server.test"
PATIENCE = 20.0
TOO_LARGE = 1 << 31


@pytest.fixture(params=[Kernel, Synfin])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made: Place = request.param()
    yield made
    made.close()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's, of which the server wants a certificate too."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return client, server


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


class Wrapper:
    """Not a socket, but as good as one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def blocks(sock: socket.socket) -> bool:
    return os.get_blocking(sock.fileno())


# --- arguments


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda sock: sock.shutdown(TOO_LARGE), OverflowError),
        (lambda sock: sock.listen(TOO_LARGE), OverflowError),
        (lambda sock: sock.sendmsg([b"x"], [], object()), TypeError),
        (lambda sock: sock.sendmsg([b"x"], [], 0, object()), TypeError),
        (lambda sock: sock.sendmsg([b"x"], [object()]), TypeError),
        (lambda sock: sock.sendmsg([b"x"], [(0, 0)]), TypeError),
        (lambda sock: sock.sendmsg([b"x"], [(0, 0, object())]), TypeError),
        (lambda sock: sock.recvmsg(1, -1), ValueError),
        (lambda sock: sock.recvmsg(1, object()), TypeError),
        (lambda sock: sock.recvmsg_into([bytearray(1)], -1), ValueError),
        (lambda sock: sock.recvmsg_into([b"x"]), TypeError),
    ],
)
def test_arguments_that_are_refused(call: Callable[[Any], object], error: type[Exception], place: Place) -> None:
    client, _ = place.pair()
    with pytest.raises(error):
        call(client)


def test_control_messages(place: Place) -> None:
    client, accepted = place.pair()
    assert client.sendmsg([b"ab", b"c"], [(0, 0, b"")]) == 3
    assert accepted.recvmsg(10, 100)[:2] == (b"abc", [])
    with pytest.raises(OSError) as caught:
        client.sendmsg([b"x"], [(socket.SOL_SOCKET, 12345, b"")])
    assert caught.value.errno == errno.EINVAL


# --- descriptors


def test_a_closed_socket_says_what_it_was(place: Place) -> None:
    sock = place.client_side(socket.AF_INET6)
    sock.close()
    assert (sock.family, sock.type, sock.proto) == (socket.AF_INET6, socket.SOCK_STREAM, 0)


def test_what_another_closed_cannot_be_set_or_closed(place: Place) -> None:
    with installed():
        sock = place.client_side()
        other = socket.socket(fileno=sock.fileno())
        sock.close()
        with pytest.raises(OSError) as caught:
            other.setblocking(False)
        assert caught.value.errno == errno.EBADF
        with pytest.raises(OSError) as caught:
            other.close()
        assert caught.value.errno == errno.EBADF


def test_the_descriptor_shows_whether_calls_block(place: Place) -> None:
    client, accepted = place.pair()
    assert blocks(client)
    client.settimeout(1)
    assert not blocks(client)
    client.setblocking(True)
    assert blocks(client)
    accepted.setblocking(False)
    assert not blocks(accepted)
    client.sendall(b"x")
    assert select.select([accepted], [], [], PATIENCE)[0]
    assert accepted.recv(10) == b"x"
    assert not select.select([accepted], [], [], 0)[0]


@pytest.mark.parametrize("kind", ["EpollSelector", "PollSelector", "SelectSelector"])
def test_connecting_again_while_a_selector_watches(kind: str, place: Place) -> None:
    gone = place.listener()
    address = gone.getsockname()
    gone.close()
    sock = place.client_side()
    sock.setblocking(False)
    with installed(), getattr(selectors, kind)() as selector:
        assert sock.connect_ex(address) == errno.EINPROGRESS
        selector.register(sock, selectors.EVENT_WRITE)
        assert selector.select(PATIENCE)
        assert sock.connect_ex(address) == errno.ECONNREFUSED
        listener = place.server_side()
        listener.bind(address)
        listener.listen()
        assert sock.connect_ex(address) in (0, errno.EINPROGRESS)
        assert selector.select(PATIENCE)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert sock.getpeername() == address


# --- TLS


def test_tls_on_what_wraps_a_socket(place: Place, contexts: Contexts) -> None:
    client, accepted = place.pair()
    made: list[ssl.SSLSocket] = []
    wrapper: Any = Wrapper(accepted)
    thread = threading.Thread(target=lambda: made.append(contexts[1].wrap_socket(wrapper, server_side=True)))
    thread.start()
    ours = place.keep(contexts[0].wrap_socket(client, server_hostname=NAME))
    thread.join()
    place.keep(made[0]).sendall(b"hello")
    assert ours.recv(10) == b"hello"


def test_what_came_in_clear_before_is_not_taken_for_tls(place: Place, contexts: Contexts) -> None:
    client, accepted = place.pair()
    client.sendall(b"DELETE / HTTP/1.0\r\n\r\n")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    deadline = time.monotonic() + PATIENCE
    with pytest.raises(OSError) as caught:  # noqa: PT012 (the reset takes a moment)
        while time.monotonic() < deadline:
            accepted.getpeername()
    assert caught.value.errno == errno.ENOTCONN
    with pytest.raises(ssl.SSLError, match="Closed before TLS handshake"):
        contexts[1].wrap_socket(accepted, server_side=True)


def test_a_name_that_is_none_leaves_no_socket_open(contexts: Contexts) -> None:
    place = Synfin()
    try:
        with installed(), warnings.catch_warnings(record=True) as told, pytest.raises(UnicodeError):
            # No other socket is open.
            contexts[0].wrap_socket(place.client_side(), server_hostname=".server.test")
        assert not told
    finally:
        place.close()


def test_connect_ex_makes_one_handshake(place: Place, contexts: Contexts) -> None:
    listener = place.listener()

    def serve() -> None:
        with contexts[1].wrap_socket(listener.accept()[0], server_side=True) as accepted:
            accepted.sendall(b"hello")

    thread = threading.Thread(target=serve)
    thread.start()
    ours = place.keep(contexts[0].wrap_socket(place.client_side(), server_hostname=NAME))
    assert ours.connect_ex(listener.getsockname()) == 0
    assert ours.recv(10) == b"hello"
    thread.join()


def test_a_contexts_own_class(place: Place) -> None:
    class Loud(ssl.SSLSocket):
        def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
            return super().recv(buflen, flags).upper()

    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(NAME).configure_cert(server)
    authority.configure_trust(client)
    client.sslsocket_class = Loud
    plain, accepted = place.pair()
    made: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: made.append(server.wrap_socket(accepted, server_side=True)))
    thread.start()
    sock = place.keep(client.wrap_socket(plain, server_hostname=NAME))
    thread.join()
    place.keep(made[0]).sendall(b"hello")
    assert isinstance(sock, Loud)
    assert sock.recv(10) == b"HELLO"


def test_openssls_own_object_is_within_reach(place: Place, contexts: Contexts) -> None:
    sock: Any = place.keep(contexts[0].wrap_socket(place.client_side(), server_hostname=NAME))
    assert sock._sslobj is None
    client, accepted = place.pair()
    sock = place.keep(contexts[0].wrap_socket(client, server_hostname=NAME, do_handshake_on_connect=False))
    assert type(sock._sslobj).__name__ == "_SSLSocket"
    accepted.close()
