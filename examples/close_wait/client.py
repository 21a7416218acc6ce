"""Asks the server a few times, and closes each connection as it should. ``python client.py HOST [PORT [NUMBER]]``"""

import socket
import sys

HOST = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
NUMBER = int(sys.argv[3]) if len(sys.argv) > 3 else 10

for _ in range(NUMBER):
    with socket.create_connection((HOST, PORT)) as connection:
        connection.sendall(b"question")
        assert connection.recv(1024) == b"question"
