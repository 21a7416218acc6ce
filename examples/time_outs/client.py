"""SO_RCVTIMEO and SO_SNDTIMEO of 10 s, set before connect: what they bound, and what they leave alone.

``python client.py HOST [PORT [SECONDS [DEAD_HOST]]]``; nobody answers at DEAD_HOST.
"""

import errno
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

HOST = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 10.0
DEAD_HOST = sys.argv[4] if len(sys.argv) > 4 else None

TIMEVAL = struct.pack("@ll", int(SECONDS), int(SECONDS % 1 * 1_000_000))


def new_socket(bounded: bool) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if bounded:
        # An option holds for this socket, whatever the defaults of the host are.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEVAL)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, TIMEVAL)
    return one


def measure(what: str, call: Callable[..., object], *arguments: object) -> None:
    began = time.monotonic()
    try:
        result = repr(call(*arguments))
    except OSError as error:
        result = errno.errorcode.get(error.errno or 0, str(error))
    print(f"{what}: {result} after {time.monotonic() - began:.1f} s", flush=True)


if DEAD_HOST is not None:
    measure("connect, with SO_SNDTIMEO", new_socket(True).connect, (DEAD_HOST, PORT))
    measure("connect, without", new_socket(False).connect, (DEAD_HOST, PORT))

bounded, other = new_socket(True), new_socket(False)
bounded.connect((HOST, PORT))
other.connect((HOST, PORT))
reader = threading.Thread(target=measure, args=("recv, without", other.recv, 1))
reader.start()
measure("recv, with SO_RCVTIMEO", bounded.recv, 1)
time.sleep(SECONDS)
print("the other still waits:", reader.is_alive())
other.shutdown(socket.SHUT_RDWR)
reader.join()
