"""Asks NUMBER times, closing first, until no port is left for another connection; with one of the remedies.

``python client.py HOST PORT NUMBER REMEDY [HOST...]``: "none", "reuseaddr", "descriptors", "pool", "longer",
"destinations" (the HOSTs behind it in turn). What the system may do is set where it runs: tcp_tw_reuse,
ip_local_port_range, tcp_max_tw_buckets.
"""

import queue
import resource
import socket
import sys
import time

HOST, PORT, NUMBER, REMEDY = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
HOSTS = [HOST, *sys.argv[5:]]


def connect(host: str = HOST) -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if REMEDY == "reuseaddr":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.connect((host, PORT))
    return connection


def ask(connection: socket.socket) -> None:
    connection.sendall(b"?")
    assert connection.recv(1) == b"?"


class Pool:
    """A few connections that are used again."""

    def __init__(self, size: int) -> None:
        self.free: queue.LifoQueue[socket.socket | None] = queue.LifoQueue()
        for _ in range(size):
            self.free.put(None)

    def ask(self) -> None:
        connection = self.free.get() or connect()
        ask(connection)
        self.free.put(connection)


def ask_all() -> tuple[int, int, str | None]:
    """How many were answered, and over how many connections."""
    answered = connections = 0
    if REMEDY == "descriptors":
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pool = Pool(2) if REMEDY == "pool" else None
    try:
        while answered < NUMBER:
            if pool is not None:
                pool.ask()
                answered, connections = answered + 1, 2
                continue
            with connect(HOSTS[connections % len(HOSTS)]) as connection:
                connections += 1
                for _ in range(10 if REMEDY == "longer" else 1):
                    ask(connection)
                    answered += 1
    except OSError as error:
        return answered, connections, error.strerror
    return answered, connections, "all answered"


began = time.monotonic()
answered, connections, how = ask_all()
print(f"{REMEDY}: {answered} answered over {connections} connections in {time.monotonic() - began:.0f} s: {how}")
