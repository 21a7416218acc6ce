"""Connects, says so, and closes when its input ends."""

from __future__ import annotations

import socket
import sys

if __name__ == "__main__":
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))):
        print("held", flush=True)
        sys.stdin.read()
