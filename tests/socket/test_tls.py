"""SSLContext.wrap_socket: each test runs on the kernel's sockets, where the standard library does TLS itself, and on
ours."""

from __future__ import annotations

import os
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme

from tests.socket.places import Kernel, Place, Synfin

NAME = "server.test"
PATIENCE = 20.0


@pytest.fixture(params=[Kernel, Synfin])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made: Place = request.param()
    yield made
    made.close()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(server)
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.set_alpn_protocols(["http/1.1"])
    return client, server


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
Ends = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture
def ends(place: Place, contexts: Contexts) -> Ends:
    """Both ends of a connection whose handshake is over."""
    client, accepted = place.pair()
    client.settimeout(PATIENCE)
    accepted.settimeout(PATIENCE)
    made: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: made.append(contexts[1].wrap_socket(accepted, server_side=True)))
    thread.start()
    ours = contexts[0].wrap_socket(client, server_hostname=NAME)
    thread.join()
    place.keep(ours)
    place.keep(made[0])
    return ours, made[0]


def together(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        assert part
        data += part
    return data


def read_tickets(client: socket.socket, server: socket.socket) -> None:
    """What the server sent after the handshake would be unread data, and the end a reset."""
    server.sendall(b"x")
    assert client.recv(1) == b"x"


def test_what_was_agreed_upon(ends: Ends) -> None:
    client, server = ends
    assert isinstance(client, ssl.SSLSocket)
    assert client.version() == server.version() == "TLSv1.3"
    assert client.cipher() == server.cipher()
    assert client.selected_alpn_protocol() == server.selected_alpn_protocol() == "http/1.1"
    assert ("DNS", NAME) in client.getpeercert()["subjectAltName"]  # type: ignore[index]
    assert client.getpeercert(True)
    assert server.getpeercert() is None
    assert client.server_hostname == NAME
    assert server.server_side
    assert not client.server_side
    assert client.getpeername() == server.getsockname()
    assert client.gettimeout() == PATIENCE
    assert client.session is not None


def test_a_megabyte_each_way_at_once(ends: Ends) -> None:
    client, server = ends
    data = os.urandom(1_000_000)
    thread = together(lambda: client.sendall(data))
    other = together(lambda: server.sendall(data[::-1]))
    got: list[bytes] = []
    reader = together(lambda: got.append(exactly(client, len(data))))
    assert exactly(server, len(data)) == data
    for one in (thread, other, reader):
        one.join()
    assert got == [data[::-1]]


def test_forms(ends: Ends) -> None:
    client, server = ends
    assert client.write(b"abc") == 3
    assert client.send(bytearray(b"def")) == 3
    assert client.send(b"") == 0
    buffer = bytearray(2)
    assert server.recv_into(buffer) == 2
    assert server.pending() == 1
    assert server.read(10) == b"c"
    assert server.pending() == 0
    assert server.recv(2) == b"de"
    assert server.recv_into(buffer, 1) == 1
    with client.makefile("wb") as out, server.makefile("rb") as file:
        out.write(b"line\nrest")
        out.flush()
        assert file.readline() == b"line\n"
        assert file.read(4) == b"rest"
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.seek(0)
        assert client.sendfile(file, 0, 5) == 5
    assert exactly(server, 5) == b"01234"
    for name, *arguments in (("recvmsg", 1), ("sendmsg", [b"x"]), ("dup",)):
        with pytest.raises(NotImplementedError):
            getattr(client, str(name))(*arguments)
    for forbidden in (lambda: client.recvfrom(1), lambda: client.sendto(b"x", ("10.0.0.1", 1))):
        with pytest.raises(ValueError, match="not allowed"):
            forbidden()
    with pytest.raises(ValueError, match="non-zero flags"):
        client.recv(1, socket.MSG_PEEK)


def test_select_tells_of_each_record(ends: Ends) -> None:
    client, server = ends
    client.sendall(b"a" * 16384 + b"b" * 100)
    seen = b""
    while len(seen) < 16484:
        assert server.pending() or select.select([server], [], [], PATIENCE)[0]
        seen += server.recv(20_000)
    assert seen == b"a" * 16384 + b"b" * 100
    assert select.select([server], [], [], 0.02)[0] == []


def test_an_end_in_order(ends: Ends) -> None:
    client, server = ends
    thread = together(client.unwrap)
    assert server.recv(1) == b""
    plain = server.unwrap()
    thread.join()
    plain.sendall(b"in the clear")
    assert exactly(client, 12) == b"in the clear"


def test_an_end_in_disorder(ends: Ends) -> None:
    client, server = ends
    read_tickets(client, server)
    client.close()
    assert server.recv(1) == b""


def test_an_end_in_disorder_is_an_error_if_that_is_wanted(ends: Ends) -> None:
    client, server = ends
    server.suppress_ragged_eofs = False  # type: ignore[attr-defined]
    read_tickets(client, server)
    client.close()
    with pytest.raises(ssl.SSLEOFError):
        server.recv(1)


def test_a_time_out(ends: Ends) -> None:
    client, _ = ends
    client.settimeout(0.03)
    with pytest.raises(TimeoutError, match="The read operation timed out"):
        client.recv(1)


def test_nobody_answers_the_handshake(place: Place, contexts: Contexts) -> None:
    client, _ = place.pair()
    client.settimeout(0.05)
    with pytest.raises(TimeoutError, match="handshake operation timed out"):
        contexts[0].wrap_socket(client, server_hostname=NAME)


def test_a_name_that_is_not_in_the_certificate(place: Place, contexts: Contexts) -> None:
    client, accepted = place.pair()
    errors: list[ssl.SSLError] = []

    def serve() -> None:
        try:
            contexts[1].wrap_socket(accepted, server_side=True).recv(1)
        except ssl.SSLError as error:
            errors.append(error)

    thread = together(serve)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        contexts[0].wrap_socket(client, server_hostname="other.test")
    thread.join()
    # The alert came.
    assert "ALERT" in (errors[0].reason or "")


def test_what_makes_no_sense(place: Place, contexts: Contexts) -> None:
    with pytest.raises(ValueError, match="check_hostname requires server_hostname"):
        contexts[0].wrap_socket(place.client_side())
    with pytest.raises(ValueError, match="client mode"):
        contexts[1].wrap_socket(place.client_side(), server_side=True, server_hostname=NAME)
    client, _ = place.pair()
    client.setblocking(False)
    with pytest.raises(ValueError, match="do_handshake_on_connect"):
        contexts[0].wrap_socket(client, server_hostname=NAME)


def test_wrapped_before_it_connects(place: Place, contexts: Contexts) -> None:
    listener = place.listener()
    with contexts[1].wrap_socket(listener, server_side=True) as serving:
        address = serving.getsockname()

        def serve() -> None:
            accepted, _ = serving.accept()
            with accepted:
                accepted.sendall(accepted.recv(100))

        thread = together(serve)
        with contexts[0].wrap_socket(place.client_side(), server_hostname=NAME) as client:
            with pytest.raises(OSError, match="not connected"):
                client.getpeercert()
            client.connect(address)
            client.sendall(b"hello")
            assert exactly(client, 5) == b"hello"
        thread.join()


def test_without_blocking(place: Place, contexts: Contexts) -> None:
    client, accepted = place.pair()
    client.setblocking(False)
    accepted.setblocking(False)
    ends = [
        contexts[0].wrap_socket(client, server_hostname=NAME, do_handshake_on_connect=False),
        contexts[1].wrap_socket(accepted, server_side=True, do_handshake_on_connect=False),
    ]
    for end in ends:
        place.keep(end)
    waiting = list(ends)
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                select.select([end], [], [], 0.01)
            except ssl.SSLWantWriteError:
                select.select([], [end], [], 0.01)
    with pytest.raises(ssl.SSLWantReadError):
        ends[1].recv(1)
    data = os.urandom(8_000_000)
    sent = 0
    with pytest.raises(ssl.SSLWantWriteError):  # noqa: PT012
        while True:
            sent += ends[0].send(data[sent : sent + 65536])
    got = b""
    while len(got) < len(data):
        try:
            while sent < len(data):
                sent += ends[0].send(data[sent : sent + 65536])
        except ssl.SSLWantWriteError:
            pass
        try:
            while part := ends[1].recv(65536):
                got += part
        except ssl.SSLWantReadError:
            select.select([ends[1]], [], [], 0.01)
    assert got == data


def test_what_is_closed_is_no_descriptor(ends: Ends) -> None:
    client, _ = ends
    client.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        client.recv(1)
    assert client.version() is None
