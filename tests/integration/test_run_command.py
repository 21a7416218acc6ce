"""``synfin run --tun``: servers and clients of the standard library, and the sample programs of the texts, as they are,
with the Linux kernel over TUN as their peer."""

from __future__ import annotations

import http.client
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.peers import KERNELS, OURS, PATIENCE, Run, kernel_client, kernel_listener, octets

pytestmark = [pytest.mark.tun]

TUN = ("--tun", "10.9.0.2/24", "--tun", "fd00:9::2/64")
versions = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])


@contextmanager
def running(script: Path, text: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The script, from when it says that it is ready."""
    script.write_text(text)
    command = [sys.executable, "-m", "synfin", "run", *TUN, str(script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def run(script: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script.write_text(text)
    command = [sys.executable, "-m", "synfin", "run", *TUN, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)


HTTP_SERVER = """
import http.server, socket

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

with Server(("::", 80), Handler) as server:
    print("ready", flush=True)
    for _ in range(2):
        server.handle_request()
"""


@versions
def test_a_threading_http_server(version: int, in_namespace: Run, tmp_path: Path) -> None:
    def body() -> None:
        with running(tmp_path / "server.py", HTTP_SERVER):
            for number in range(2):
                data = octets(700_000, number)
                connection = http.client.HTTPConnection(OURS[version], 80, timeout=PATIENCE)
                connection.request("POST", "/", data)
                with connection.getresponse() as response:
                    assert response.read() == data
                connection.close()

    in_namespace(body)


CLIENTS = """
import asyncio, sys, urllib.request
url = sys.argv[1]
print(urllib.request.urlopen(url, timeout=20).read().decode())

async def main():
    host, port = sys.argv[2], int(sys.argv[3])
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print((await reader.read()).decode().rpartition("\\n")[2])
    writer.close()
    await writer.wait_closed()

asyncio.run(main())
"""


class Where(http.server.BaseHTTPRequestHandler):
    """Tells the client where it comes from."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())

    def log_message(self, *_: object) -> None:
        pass


class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


@versions
def test_clients_that_block_and_clients_of_asyncio(version: int, in_namespace: Run, tmp_path: Path) -> None:
    def body() -> None:
        with (Server6 if version == 6 else http.server.ThreadingHTTPServer)(("", 0), Where) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            host, port = KERNELS[version], server.server_address[1]
            place = f"[{host}]" if version == 6 else host
            done = run(tmp_path / "client.py", CLIENTS, f"http://{place}:{port}/", host, str(port))
            server.shutdown()
            thread.join()
        assert done.stderr == ""
        assert done.stdout == f"{OURS[version]}\n{OURS[version]}\n"

    in_namespace(body)


# As the texts print it: the server writes all of a buffer of 1024 octets, the client reads 1023 and closes.
SAMPLE_SERVER = """
import socket
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(("10.9.0.2", 8000))
listener.listen(5)
print("ready", flush=True)
sock, address = listener.accept()
sock.send(b"Hello, Client!".ljust(1024, b"\\0"))
try:
    while sock.recv(1024):
        pass
    print("closed", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
sock.close()
listener.close()
"""
SAMPLE_CLIENT = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
sock.connect(("10.9.0.3", int(__import__("sys").argv[1])))
print("Message from server:", sock.recv(1023).rstrip(b"\\0").decode())
sock.close()
"""


@pytest.mark.row("E3")
def test_the_sample_server_as_printed(in_namespace: Run, tmp_path: Path) -> None:
    def body() -> None:
        with running(tmp_path / "server.py", SAMPLE_SERVER) as server:
            with kernel_client(4, 8000) as client:
                # One octet stays unread, and closing says so with a RST.
                assert client.recv(1023).startswith(b"Hello, Client!")
            assert server.stdout is not None
            assert server.stdout.read() == "reset\n"

    in_namespace(body)


@pytest.mark.row("E3")
def test_the_sample_client_as_printed(in_namespace: Run, tmp_path: Path) -> None:
    def body() -> None:
        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.send(b"Hello, Client!".ljust(1024, b"\0"))
                try:
                    ends.append(sock.recv(1))
                except ConnectionResetError:
                    ends.append(b"reset")

        ends: list[bytes] = []
        with kernel_listener(4) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            done = run(tmp_path / "client.py", SAMPLE_CLIENT, str(listener.getsockname()[1]))
            thread.join()
        assert done.stdout == "Message from server: Hello, Client!\n"
        assert ends == [b"reset"]

    in_namespace(body)


# E7: both time-outs are set before connect, on one socket only.
TIME_OUTS = """
import socket, struct, time
limit = struct.pack("ll", 0, 300_000)
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
before = time.monotonic()
try:
    sock.connect(("10.9.0.77", 80))
except BlockingIOError as error:
    print(type(error).__name__, 0.3 <= time.monotonic() - before < 1.0)
other = socket.socket()
print(other.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16) == bytes(16))
"""


@pytest.mark.row("E2", "E7")
def test_sndtimeo_bounds_connect(in_namespace: Run, tmp_path: Path) -> None:
    def body() -> None:
        # Nobody has that address: no answer comes.
        done = run(tmp_path / "client.py", TIME_OUTS)
        assert done.stdout == "BlockingIOError True\nTrue\n"

    in_namespace(body)


def test_the_device_goes_away(in_namespace: Run, tmp_path: Path) -> None:
    text = """
import socket
listener = socket.create_server(("10.9.0.2", 80))
print("ready", flush=True)
listener.accept()
"""

    def body() -> None:
        (tmp_path / "server.py").write_text(text)
        command = [sys.executable, "-m", "synfin", "run", *TUN, "--device", "mine", str(tmp_path / "server.py")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            subprocess.run(["ip", "link", "delete", "mine"], check=True)
            _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert "Network is down" in err
        assert err.splitlines()[-1].startswith("synfin: device mine is gone: ")

    in_namespace(body)
