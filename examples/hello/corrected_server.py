"""The same server, corrected: it sends the message and nothing else, and closes first. ``python corrected_server.py
[PORT]``"""

import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(("", PORT))
listener.listen(5)
connection, _ = listener.accept()
connection.sendall(b"Hello, Client!")
connection.close()
listener.close()
