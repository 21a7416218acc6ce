"""Says something every second, and tells what becomes of it when the network fails. ``python client.py HOST [PORT]``"""

import errno
import socket
import sys
import time

HOST = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080

began = time.monotonic()
heard = 0
try:
    connection = socket.create_connection((HOST, PORT))
    while True:
        connection.sendall(b"tick")
        if not connection.recv(1024):
            print(f"{HOST}: the end of the stream after {time.monotonic() - began:.0f} s")
            break
        heard += 1
        time.sleep(1)
except OSError as error:
    name = errno.errorcode.get(error.errno or 0, "no errno")
    print(f"{HOST}: {type(error).__name__} ({name}) after {time.monotonic() - began:.0f} s and {heard} answers")
