"""A server that never calls close, and looks at what comes of it. ``python server.py [PORT [SECONDS]]``

Its peers have closed, so each connection waits for it: in CLOSE-WAIT, for ever. TCP_INFO tells it; on Linux ``ss -t
state close-wait`` shows the same from outside.
"""

import socket
import sys
import threading
import time

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 3600.0
STATES = {1: "ESTABLISHED", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 7: "CLOSED", 8: "CLOSE-WAIT", 9: "LAST-ACK"}

connections: list[socket.socket] = []


def state(connection: socket.socket) -> str:
    """The first octet of TCP_INFO."""
    return STATES.get(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0], "?")


def serve(connection: socket.socket) -> None:
    while data := connection.recv(1024):
        connection.sendall(data)
    # The peer has closed. Here connection.close() is missing.


def accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        connections.append(connection)
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def tell() -> None:
    found = [state(connection) for connection in connections]
    print({name: found.count(name) for name in dict.fromkeys(found)}, flush=True)


listener = socket.create_server(("", PORT), backlog=128)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
for _ in range(3):
    time.sleep(SECONDS)
    tell()
print("closed at last:", sum(state(connection) == "CLOSE-WAIT" for connection in connections))
for connection in connections:
    connection.close()
