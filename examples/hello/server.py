"""The server of many textbooks, as printed there: it greets one client and closes. ``python server.py [PORT]``"""

import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(("", PORT))
listener.listen(5)
connection, _ = listener.accept()
buffer = bytearray(1024)
buffer[:14] = b"Hello, Client!"
connection.send(buffer)  # write(connection, buffer, sizeof(buffer)): all 1024 octets
connection.close()
listener.close()
