"""Answers each octet with one, as long as the client likes. ``python server.py [PORT]``"""

import socket
import sys
import threading

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080


def serve(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(1):
            connection.sendall(data)


listener = socket.create_server(("", PORT), backlog=1024)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
