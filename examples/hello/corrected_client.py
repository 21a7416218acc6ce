"""The same client, corrected: it reads until the end that the server announces. ``python corrected_client.py HOST
[PORT]``"""

import socket
import sys
import time

HOST = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080

connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
connection.connect((HOST, PORT))
message = b""
while piece := connection.recv(1023):
    message += piece
print("Message from server:", message.decode())
time.sleep(0.1)  # a program that has something to do yet: meanwhile it is in CLOSE-WAIT
connection.close()
