"""Accepts connections, and keeps silent for ever. ``python server.py [PORT]``"""

import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080

listener = socket.create_server(("", PORT))
connections = []
while True:
    connections.append(listener.accept())
