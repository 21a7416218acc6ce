"""Echo with socketserver, a thread for each connection: HOST PORT."""

from __future__ import annotations

import contextlib
import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    # Ten come at once. Beyond the standard five the system would answer with SYN cookies, and reset whoever sends much
    # while nobody accepts.
    request_queue_size = 128


if __name__ == "__main__":
    with Server((sys.argv[1], int(sys.argv[2])), Echo) as server, contextlib.suppress(KeyboardInterrupt):
        print("ready", flush=True)
        server.serve_forever()
