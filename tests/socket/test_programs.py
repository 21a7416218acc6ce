"""Programs of the standard library and of others, unchanged, over a channel between two stacks in one process.

Servers run in threads of their own, clients in the test's; requests is a program of others' that calls `socket.socket`
itself and asks select whether a connection was dropped.
"""

from __future__ import annotations

import contextlib
import ftplib
import http.client
import http.server
import io
import smtplib
import socket
import socketserver
import ssl
import threading
import urllib.request
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from synfin.link.channel import channel_pair
from synfin.socket import Stack, installed, use
from synfin.socket import socket as our_socket
from tests.socket.stacks import LEFT, RIGHT

NAME = "server.test"


@pytest.fixture
def machines() -> Iterator[tuple[Stack, Stack]]:
    """A client and a server, while the standard modules are ours; the test itself lives on the client."""
    left, right = channel_pair()
    client, server = Stack(left, [f"{LEFT}/24"], name="client"), Stack(right, [f"{RIGHT}/24"], name="server")
    with client, server, installed(), use(client.waiting):
        yield client, server


@contextlib.contextmanager
def serving(stack: Stack, make: Callable[[], Any]) -> Iterator[Any]:
    """A server of socketserver's, in a thread of its own."""
    with use(stack.waiting):
        server = make()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"GET " + self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_: object) -> None:
        pass


def http_server() -> http.server.ThreadingHTTPServer:
    return http.server.ThreadingHTTPServer((RIGHT, 80), Handler)


def test_http_client(machines: tuple[Stack, Stack]) -> None:
    with serving(machines[1], http_server):
        connection = http.client.HTTPConnection(RIGHT, 80, timeout=10)
        for path in ("/one", "/two"):
            connection.request("GET", path)
            with connection.getresponse() as response:
                assert response.read() == b"GET " + path.encode()
        body = bytes(range(256)) * 2000
        connection.request("POST", "/", body)
        with connection.getresponse() as response:
            assert response.read() == body[::-1]
        assert isinstance(connection.sock, our_socket)
        connection.close()


def test_urllib(machines: tuple[Stack, Stack]) -> None:
    with serving(machines[1], http_server), urllib.request.urlopen(f"http://{RIGHT}/x", timeout=10) as response:
        assert response.read() == b"GET /x"


def test_requests_keeps_its_connections(machines: tuple[Stack, Stack]) -> None:
    with serving(machines[1], http_server), requests.Session() as session:
        for _ in range(3):
            assert session.get(f"http://{RIGHT}/r", timeout=10).text == "GET /r"
        assert session.post(f"http://{RIGHT}/r", data=b"abc", timeout=10).content == b"cba"
        established = [row for row in machines[0].connections() if row.state == "ESTABLISHED"]
        assert len(established) == 1


def test_nobody_listens(machines: tuple[Stack, Stack]) -> None:
    with pytest.raises(requests.ConnectionError, match="Connection refused"):
        requests.get(f"http://{RIGHT}:81/", timeout=10)


def test_many_clients_at_once(machines: tuple[Stack, Stack]) -> None:
    client, server = machines
    answers: list[bytes] = []

    def ask(number: int) -> None:
        with use(client.waiting), urllib.request.urlopen(f"http://{RIGHT}/{number}", timeout=20) as response:
            answers.append(response.read())

    with serving(server, http_server):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == sorted(b"GET /%d" % number for number in range(20))


def test_one_thread_serves_each_stack(machines: tuple[Stack, Stack]) -> None:
    names = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("synfin"))
    assert names == ["synfin client", "synfin server"]


def test_it_answers_while_the_program_thinks(machines: tuple[Stack, Stack]) -> None:
    """A listener whose program does nothing still accepts, receives and acknowledges."""
    _, server = machines
    with use(server.waiting):
        listener = socket.create_server((RIGHT, 80))
    with listener, socket.create_connection((RIGHT, 80), timeout=10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\5\0\0\0")
        sock.sendall(bytes(20_000))
        sock.shutdown(socket.SHUT_WR)
        assert sock.fileno() >= 0
        deadline = 1000
        while sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\5" and deadline:
            threading.Event().wait(0.01)
            deadline -= 1
        # FIN-WAIT-2: all that was sent, and the FIN, is acknowledged.
        assert deadline


class Upper(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


@pytest.mark.parametrize("kind", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_socketserver(kind: type[socketserver.TCPServer], machines: tuple[Stack, Stack]) -> None:
    with (
        serving(machines[1], lambda: kind((RIGHT, 0), Upper)) as server,
        socket.create_connection(server.server_address, timeout=10) as sock,
        sock.makefile("rwb") as file,
    ):
        file.write(b"hello\n")
        file.flush()
        assert file.readline() == b"HELLO\n"


def test_xmlrpc(machines: tuple[Stack, Stack]) -> None:
    def make() -> xmlrpc.server.SimpleXMLRPCServer:
        server = xmlrpc.server.SimpleXMLRPCServer((RIGHT, 80), logRequests=False)
        server.register_function(lambda base, exponent: base**exponent, "pow")
        return server

    with serving(machines[1], make), xmlrpc.client.ServerProxy(f"http://{RIGHT}/") as proxy:
        assert proxy.pow(2, 10) == 1024


def talk(stack: Stack, port: int, script: Callable[[socket.socket], None]) -> threading.Thread:
    """Serves one connection by a script."""
    with use(stack.waiting):
        listener = socket.create_server((RIGHT, port))

    def serve() -> None:
        with listener:
            accepted, _ = listener.accept()
        with accepted:
            script(accepted)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_smtplib(machines: tuple[Stack, Stack]) -> None:
    received: list[bytes] = []

    def script(sock: socket.socket) -> None:
        with sock.makefile("rwb") as file:

            def say(text: bytes) -> None:
                file.write(text + b"\r\n")
                file.flush()

            say(b"220 here")
            for line in file:
                word = line.split()[0].upper()
                if word == b"DATA":
                    say(b"354 go on")
                    while (text := file.readline()) != b".\r\n":
                        received.append(text)
                say(b"221 bye" if word == b"QUIT" else b"250 ok")
                if word == b"QUIT":
                    return

    thread = talk(machines[1], 25, script)
    with smtplib.SMTP(RIGHT, 25, local_hostname="client.test", timeout=10) as client:
        client.sendmail("a@client.test", ["b@server.test"], "Subject: x\r\n\r\nhello")
    thread.join()
    assert received[-1] == b"hello\r\n"


def test_ftplib(machines: tuple[Stack, Stack]) -> None:
    """With a connection for the data besides, which the client opens or, actively, the server."""
    _, server = machines
    content = bytes(range(256)) * 500

    def script(sock: socket.socket) -> None:
        place: Callable[[], socket.socket] | None = None
        with sock.makefile("rwb") as file, use(server.waiting):

            def say(text: str) -> None:
                file.write(text.encode() + b"\r\n")
                file.flush()

            say("220 here")
            for line in file:
                word, _, rest = line.decode().strip().partition(" ")
                if word in ("EPSV", "PASV"):
                    data = socket.create_server((RIGHT, 0))
                    high, low = divmod(data.getsockname()[1], 256)

                    def passive(data: socket.socket = data) -> socket.socket:
                        with data:
                            return data.accept()[0]

                    place = passive
                    say(f"227 at ({RIGHT.replace('.', ',')},{high},{low})")
                elif word == "PORT":
                    numbers = rest.split(",")
                    where = ".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])

                    def active(where: tuple[str, int] = where) -> socket.socket:
                        return socket.create_connection(where)

                    place = active
                    say("200 ok")
                elif word == "RETR":
                    say("150 coming")
                    assert place is not None
                    with place() as connection:
                        connection.sendall(content)
                    say("226 done")
                else:
                    say({"USER": "331 password", "QUIT": "221 bye"}.get(word, "230 ok" if word == "PASS" else "200 ok"))
                    if word == "QUIT":
                        return

    thread = talk(server, 21, script)
    with ftplib.FTP(timeout=10) as ftp:
        ftp.connect(RIGHT, 21)
        ftp.login()
        for passive in (True, False):
            ftp.set_pasv(passive)
            got = io.BytesIO()
            ftp.retrbinary("RETR file", got.write)
            assert got.getvalue() == content
        ftp.quit()
    thread.join()


def test_multiprocessing_connections(machines: tuple[Stack, Stack]) -> None:
    """They read and write descriptors with os.read and os.write."""
    _, server = machines
    got: list[object] = []
    with use(server.waiting):
        listener = Listener((RIGHT, 7000), authkey=b"key")

    def serve() -> None:
        with listener.accept() as connection:
            got.append(connection.recv())
            connection.send(["answer"])

    thread = threading.Thread(target=serve)
    thread.start()
    with Client((RIGHT, 7000), authkey=b"key") as connection:
        connection.send({"question": 1})
        assert connection.poll(10)
        assert connection.recv() == ["answer"]
    thread.join()
    listener.close()
    assert got == [{"question": 1}]


def test_https(machines: tuple[Stack, Stack], tmp_path: Path) -> None:
    authority = trustme.CA()
    serving_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(RIGHT).configure_cert(serving_context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def make() -> http.server.ThreadingHTTPServer:
        server = http.server.ThreadingHTTPServer((RIGHT, 443), Handler)
        server.socket = serving_context.wrap_socket(server.socket, server_side=True)
        return server

    with serving(machines[1], make):
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with urllib.request.urlopen(f"https://{RIGHT}/s", context=context, timeout=10) as response:
            assert response.read() == b"GET /s"
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(tmp_path / "ca.pem")
            for _ in range(2):
                assert session.get(f"https://{RIGHT}/r", timeout=10).text == "GET /r"
            body = bytes(range(256)) * 1000
            assert session.post(f"https://{RIGHT}/r", data=body, timeout=10).content == body[::-1]
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"https://{RIGHT}/", timeout=10, verify=True)


# --- beside the system's sockets


def test_the_systems_loopback_stays_the_systems(machines: tuple[Stack, Stack]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, listener.accept()[0] as accepted:
            sock.sendall(b"x")
            assert accepted.recv(1) == b"x"
            assert not machines[0].connections()
        with contextlib.closing(http.client.HTTPConnection("localhost", port, timeout=10)) as connection:
            connection.connect()


def test_a_server_at_all_addresses_is_found_at_loopback(machines: tuple[Stack, Stack]) -> None:
    with (
        socket.create_server(("", 8000)) as listener,
        socket.create_connection(("127.0.0.1", 8000), timeout=10) as sock,
        listener.accept()[0] as accepted,
    ):
        assert len(machines[0].connections()) == 3
        sock.sendall(b"x")
        assert accepted.recv(1) == b"x"


def test_options_set_before_go_along_to_the_system(machines: tuple[Stack, Stack]) -> None:
    sock = socket.socket()
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.settimeout(7)
        number = sock.fileno()
        sock.bind(("127.0.0.1", 0))
        assert sock.fileno() == number
        assert sock.gettimeout() == 7
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        sock.listen()
        with socket.create_connection(sock.getsockname(), timeout=10) as client, sock.accept()[0]:
            assert client.getpeername() == sock.getsockname()


def test_other_kinds_are_the_systems(machines: tuple[Stack, Stack]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.sendto(b"x", one.getsockname())
        assert one.recv(1) == b"x"
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"y")
        assert other.recv(1) == b"y"


def test_a_subclass_of_the_programs_own(machines: tuple[Stack, Stack]) -> None:
    class Mine(socket.socket):
        def hello(self) -> None:
            self.sendall(b"hello")

    got: list[bytes] = []
    thread = talk(machines[1], 80, lambda sock: got.append(sock.recv(10)))
    with Mine() as sock:
        sock.connect((RIGHT, 80))
        sock.hello()
    thread.join()
    assert got == [b"hello"]


def test_everything_is_as_it_was_afterwards() -> None:
    import select
    import selectors

    def now() -> list[object]:
        return [
            socket.socket,
            socket.getaddrinfo,
            select.select,
            select.poll,
            select.epoll,
            selectors.PollSelector._selector_cls,  # type: ignore[attr-defined]
        ]

    before = now()
    with installed():
        with installed():
            assert all(one is not other for one, other in zip(before, now(), strict=True))
        assert socket.socket is our_socket
    assert now() == before
