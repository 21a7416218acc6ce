"""The client of the same textbooks, as printed there. ``python client.py HOST [PORT]``"""

import socket
import sys

HOST = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080

connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
connection.connect((HOST, PORT))
buffer = connection.recv(1023)  # read(connection, buffer, sizeof(buffer) - 1): one octet stays behind
print("Message from server:", buffer.rstrip(b"\0").decode())
connection.close()
