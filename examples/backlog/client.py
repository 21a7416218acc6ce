"""Connects several times, each PAUSE after the one before, and tells how long each took.

``python client.py HOST [PORT [NUMBER [SECONDS [PAUSE]]]]``
"""

import socket
import sys
import threading
import time

HOST = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
NUMBER = int(sys.argv[3]) if len(sys.argv) > 3 else 6
SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 60.0
PAUSE = float(sys.argv[5]) if len(sys.argv) > 5 else 0.1

told: list[tuple[float, str]] = []


def connect() -> None:
    began = time.monotonic()
    try:
        connection = socket.create_connection((HOST, PORT), timeout=SECONDS)
    except OSError as error:
        told.append((time.monotonic() - began, f"{type(error).__name__}"))
        return
    waited = time.monotonic() - began
    try:
        heard = connection.recv(100).decode()
    except OSError as error:
        heard = type(error).__name__
    told.append((waited, f"connected, and heard {heard!r} after {time.monotonic() - began:.1f} s"))
    connection.close()


threads = [threading.Thread(target=connect) for _ in range(NUMBER)]
for thread in threads:
    thread.start()
    time.sleep(PAUSE)
for thread in threads:
    thread.join()
for waited, words in sorted(told):
    print(f"{HOST}: {waited:.1f} s: {words}")
