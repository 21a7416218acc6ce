"""Listens, and accepts nothing for a while. ``python server.py BACKLOG [PORT [SECONDS]]``"""

import socket
import sys
import time

BACKLOG = int(sys.argv[1])
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 10.0

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("", PORT))
listener.listen(BACKLOG)
time.sleep(SECONDS)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"at last")
    connection.close()
