"""Captures that tcpdump takes of the kernel's TCP, each of one thing that may happen."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path

from tests.integration.two_kernels import PATIENCE, PORT, RIGHT, TwoKernels, two_kernels

#: A header of IPv4 without options, and where TCP's flags and data offset stand behind it.
IP = 20
FLAGS = IP + 13
OFFSET = IP + 12
FIN, SYN, RST, ACK = 1, 2, 4, 16

NGINX = """\
daemon off; master_process off; error_log stderr; pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{ listen {address}:{port}; root {folder}/www; }}
}}
"""


def payload(packet: bytes) -> int:
    return len(packet) - IP - (packet[OFFSET] >> 4) * 4


def take(name: str, file: Path, folder: Path) -> None:
    """Take the capture called `name`."""
    CASES[name](file, folder)


def echo(client: socket.socket, server: socket.socket, data: bytes) -> None:
    """`client` sends all of it, `server` reads it to the end; both close."""

    def send() -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    count = 0
    server.settimeout(PATIENCE)
    while piece := server.recv(1 << 16):
        count += len(piece)
    thread.join(PATIENCE)
    assert count == len(data)
    server.close()
    client.close()


def connected(world: TwoKernels) -> tuple[socket.socket, socket.socket]:
    with world.listener() as listener:
        client = world.client()
        server, _ = listener.accept()
    return client, server


def curl_and_nginx(file: Path, folder: Path) -> None:
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_bytes(b"x" * 200_000)
    folder.chmod(0o755)
    config = folder / "nginx.conf"
    config.write_text("user root;" + NGINX.format(folder=folder, address=RIGHT, port=PORT))
    with two_kernels() as world:
        server = world.started(world.right, "nginx", "-p", str(folder), "-c", str(config))
        try:
            with world.captured(world.left, file):
                arguments = ["--silent", "--show-error", "--retry", "20", "--retry-connrefused", "--retry-delay", "1"]
                arguments += ["--output", str(folder / "got"), f"http://{RIGHT}:{PORT}/"]
                assert world.ran(world.left, "curl", *arguments) == 0
        finally:
            server.kill()
            server.communicate()
    assert (folder / "got").stat().st_size == 200_000


def refused(file: Path, folder: Path) -> None:
    with two_kernels() as world, world.captured(world.left, file):
        assert world.ran(world.left, "curl", "--silent", f"http://{RIGHT}:{PORT}/") == 7


def reset(file: Path, folder: Path) -> None:
    """The server aborts while the client still sends."""
    with two_kernels() as world, world.captured(world.left, file):
        client, server = connected(world)
        client.sendall(b"x" * 5000)
        assert server.recv(1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        client.settimeout(PATIENCE)
        try:
            while client.recv(100):
                pass
        except ConnectionResetError:
            pass
        client.close()


_READER = """
import socket, sys, time
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
peer, _ = listener.accept()
peer.recv(1)
print("got", flush=True)
time.sleep(60)
"""


def killed_peer(file: Path, folder: Path) -> None:
    """SIGKILL takes the server with data unread, and the client goes on to write."""
    with two_kernels() as world:
        process = world.started(world.right, sys.executable, "-c", _READER, RIGHT, str(PORT))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with world.captured(world.left, file):
            client = world.client()
            client.sendall(b"hello")
            assert process.stdout.readline() == "got\n"
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            time.sleep(0.2)
            try:
                for _ in range(3):
                    client.sendall(b"more")
                    time.sleep(0.05)
            except OSError:
                pass
            client.close()


def peer_without_power(file: Path, folder: Path) -> None:
    """The server's machine is gone: nothing leaves it any more, and nothing says so."""
    with two_kernels() as world, world.captured(world.left, file):
        client, server = connected(world)
        client.sendall(b"x" * 1000)
        assert len(server.recv(2000)) == 1000
        time.sleep(0.1)
        world.fate = lambda leftwards, number, packet: None
        client.sendall(b"y" * 1000)
        time.sleep(3)
    client.close()
    server.close()


def peer_that_forgot(file: Path, folder: Path) -> None:
    """The server's machine starts anew: it knows nothing of the connection, and answers with RST."""
    with two_kernels() as world, world.captured(world.left, file):
        client, server = connected(world)
        client.sendall(b"x" * 1000)
        assert len(server.recv(2000)) == 1000
        time.sleep(0.1)
        # Its own RST gets lost, as if it had never been.
        world.fate = lambda rightwards, number, packet: None if packet[FLAGS] & RST else 0.0
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        time.sleep(0.1)
        world.fate = lambda rightwards, number, packet: 0.0
        client.sendall(b"y" * 1000)
        time.sleep(0.3)
        client.close()


def _lossy(file: Path, seed: int, at_the_sender: bool) -> None:
    chance = random.Random(seed)
    with two_kernels() as world:
        world.fate = lambda rightwards, number, packet: None if number > 4 and chance.random() < 0.03 else 0.0
        with world.captured(world.left if at_the_sender else world.right, file):
            client, server = connected(world)
            echo(client, server, b"x" * 600_000)
            time.sleep(1.5)


def lossy_at_the_sender(file: Path, folder: Path) -> None:
    _lossy(file, 1, True)


def lossy_at_the_receiver(file: Path, folder: Path) -> None:
    _lossy(file, 2, False)


def reordered(file: Path, folder: Path) -> None:
    """Every ninth segment with text takes longer; seen where they arrive."""
    with two_kernels() as world, world.captured(world.right, file):
        world.fate = lambda rightwards, number, packet: (
            0.0015 if rightwards and number % 9 == 8 and payload(packet) > 1000 else 0.0
        )
        client, server = connected(world)
        echo(client, server, b"x" * 200_000)


def tail_lost(file: Path, folder: Path) -> None:
    """The last two segments of a request are lost once."""
    lost: list[int] = []

    def fate(rightwards: bool, number: int, packet: bytes) -> float | None:
        if rightwards and payload(packet) in (1447, 77) and payload(packet) not in lost:
            lost.append(payload(packet))
            return None
        return 0.0

    with two_kernels(0.02) as world, world.captured(world.left, file):
        world.fate = fate
        client, server = connected(world)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sizes = (1000, 1448, 1448, 1447, 77)
        for size in sizes:
            client.sendall(b"x" * size)
        got = 0
        while got < sum(sizes):
            got += len(server.recv(10_000))
        server.close()
        client.close()
    assert lost == [1447, 77]


def syn_lost(file: Path, folder: Path) -> None:
    with two_kernels() as world, world.captured(world.left, file):
        world.fate = lambda rightwards, number, packet: None if rightwards and not number else 0.0
        client, server = connected(world)
        client.close()
        server.close()


def syn_ack_lost(file: Path, folder: Path) -> None:
    with two_kernels() as world, world.captured(world.left, file), world.captured(world.right, folder / "other.pcap"):
        world.fate = lambda rightwards, number, packet: None if not rightwards and not number else 0.0
        client, server = connected(world)
        client.close()
        server.close()
    file.write_bytes((folder / "other.pcap").read_bytes())


def fin_lost(file: Path, folder: Path) -> None:
    lost: list[int] = []

    def fate(rightwards: bool, number: int, packet: bytes) -> float | None:
        if packet[FLAGS] & FIN and not lost:
            lost.append(number)
            return None
        return 0.0

    with two_kernels() as world, world.captured(world.left, file):
        world.fate = fate
        client, server = connected(world)
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        while server.recv(100):
            pass
        server.close()
        time.sleep(0.1)
        client.close()


def no_answer(file: Path, folder: Path) -> None:
    """Nobody is there, and no one says so."""
    with two_kernels() as world, world.captured(world.left, file):
        world.fate = lambda rightwards, number, packet: None
        assert world.ran(world.left, "curl", "--silent", "--max-time", "4", f"http://{RIGHT}:{PORT}/") == 28


def window_closed(file: Path, folder: Path) -> None:
    """The server reads nothing for a while."""
    with two_kernels() as world, world.captured(world.left, file):
        with world.listener() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client = world.client()
            server, _ = listener.accept()
        thread = threading.Thread(target=lambda: client.sendall(b"x" * 300_000), daemon=True)
        thread.start()
        time.sleep(1.2)
        count = 0
        while count < 300_000:
            count += len(server.recv(1 << 16))
        thread.join(PATIENCE)
        client.close()
        server.close()


def kept_alive(file: Path, folder: Path) -> None:
    with two_kernels() as world, world.captured(world.left, file):
        client, server = connected(world)
        client.sendall(b"x" * 1000)
        assert server.recv(2000)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        time.sleep(2.5)
        server.close()
        client.close()


def small_writes(file: Path, folder: Path) -> None:
    """Write, write, read: Nagle's algorithm waits for the delayed ACK."""
    with two_kernels() as world, world.captured(world.left, file):
        client, server = connected(world)
        for _ in range(6):
            client.sendall(b"x" * 100)
            client.sendall(b"y" * 100)
            got = 0
            while got < 200:
                got += len(server.recv(1000))
            server.sendall(b"answer")
            assert client.recv(100) == b"answer"
        client.close()
        server.close()


def ports_again(file: Path, folder: Path) -> None:
    """The same four numbers while the server is in TIME-WAIT."""
    with two_kernels() as world, world.captured(world.left, file), world.listener() as listener:
        for _ in range(2):
            client = world.left.run(socket.socket)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("", 40000))
            client.settimeout(PATIENCE)
            client.connect((RIGHT, PORT))
            server, _ = listener.accept()
            server.close()
            assert client.recv(10) == b""
            client.close()
            time.sleep(1.2)


def loopback(file: Path, version: int = 4, device: str = "lo") -> None:
    """A transfer within one namespace."""
    address, family = ("127.0.0.1", socket.AF_INET) if version == 4 else ("::1", socket.AF_INET6)
    with two_kernels() as world, world.captured(world.left, file, device, "tcp"):
        listener = world.left.run(lambda: socket.create_server((address, PORT), family=family))
        client = world.left.run(lambda: socket.create_connection((address, PORT), PATIENCE))
        server, _ = listener.accept()
        listener.close()
        echo(client, server, b"x" * 300_000)


CASES = {
    "curl and nginx": curl_and_nginx,
    "refused": refused,
    "reset": reset,
    "killed peer": killed_peer,
    "peer without power": peer_without_power,
    "peer that forgot": peer_that_forgot,
    "lossy, at the sender": lossy_at_the_sender,
    "lossy, at the receiver": lossy_at_the_receiver,
    "reordered": reordered,
    "tail lost": tail_lost,
    "SYN lost": syn_lost,
    "SYN+ACK lost": syn_ack_lost,
    "FIN lost": fin_lost,
    "no answer": no_answer,
    "window closed": window_closed,
    "kept alive": kept_alive,
    "small writes": small_writes,
    "ports again": ports_again,
}
