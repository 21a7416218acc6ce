"""A tunnel: IP packets inside UDP datagrams, between two processes, and a web page through it. No root, no device.

Each end is a TCP stack of its own. Start the first in one terminal and the second in another, as any user:

    python examples/udp_tunnel.py serve 127.0.0.1:9001 127.0.0.1:9002
    python examples/udp_tunnel.py fetch 127.0.0.1:9002 127.0.0.1:9001

The arguments are the UDP addresses of this end and of the other one, which may be on another machine. The page is
the hash (SHA-256) of a file that the server has; `fetch` gets both, over IPv4 and then over IPv6, and compares.
"""

import argparse
import asyncio
import hashlib
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from synfin.socket import Stack

SERVER = ["10.8.0.1", "fd00:8::1"]
CLIENT = ["10.8.0.2/24", "fd00:8::2/64"]
MTU = 1420  # 1500 octets of Ethernet, less IPv6 and UDP headers and some for whatever a tunnel adds
BLOCK = 1 << 20
MEGABYTES = 100


def stack_over(udp: socket.socket, addresses: list[str]) -> Stack:
    """A stack whose IP packets travel as datagrams of `udp`: this is all that a tunnel takes."""
    loop = asyncio.get_running_loop()

    async def send(packet: bytes) -> None:
        with suppress(ConnectionRefusedError):  # nobody is there yet: a packet lost, for TCP to send again
            await loop.sock_sendall(udp, packet)

    async def receive() -> bytes:
        while True:
            with suppress(ConnectionRefusedError):
                return await loop.sock_recv(udp, 65535)

    return Stack.over(send, receive, addresses, mtu=MTU)


def blocks() -> Iterator[bytes]:
    """The contents of the file."""
    return map(random.Random(0).randbytes, [BLOCK] * MEGABYTES)


async def serve(udp: socket.socket) -> int:
    """Serves a page and a file, until interrupted."""
    sha256 = hashlib.sha256()
    for block in blocks():
        sha256.update(block)
    page = sha256.hexdigest().encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, asyncio.LimitOverrunError):  # a client that went away, or speaks no HTTP
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1:2]
            whole = path == [b"/file"]
            length = MEGABYTES * BLOCK if whole else len(page)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode())
            for data in blocks() if whole else [page]:
                writer.write(data)
                await writer.drain()
        writer.close()

    async with stack_over(udp, [f"{SERVER[0]}/24", f"{SERVER[1]}/64"]) as stack:
        server = await stack.start_server(answer, port=80)
        print("serving on", " and ".join(SERVER), flush=True)
        await server.serve_forever()
    return 0


async def get(stack: Stack, host: str, path: str, take: Callable[[bytes], object]) -> None:
    """Gives `take` what is at `path`, piece by piece."""
    reader, writer = await stack.open_connection(host, 80, limit=BLOCK)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    while data := await reader.read(BLOCK):
        take(data)
    writer.close()


async def fetch(udp: socket.socket) -> int:
    """Gets the page and the file by each IP version. The exit code is 0 if the file is what the page says."""
    wrong = 0
    async with stack_over(udp, CLIENT) as stack:
        for host in SERVER:
            page, sha256 = bytearray(), hashlib.sha256()
            await get(stack, host, "/", page.extend)
            begun = time.perf_counter()
            await get(stack, host, "/file", sha256.update)
            print(f"{host} says {page.decode()}, sent {sha256.hexdigest()} in {time.perf_counter() - begun:.1f} s")
            wrong |= page != sha256.hexdigest().encode()
    return wrong


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="A web page through IP in UDP.")
    parser.add_argument("what", choices=["serve", "fetch"])
    parser.add_argument("local", help="UDP address of this end, such as 127.0.0.1:9001")
    parser.add_argument("remote", help="UDP address of the other end")
    options = parser.parse_args(argv)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        udp.setblocking(False)
        for end, use in (options.local, udp.bind), (options.remote, udp.connect):
            address, _, port = end.rpartition(":")
            use((address, int(port)))
        return asyncio.run(fetch(udp) if options.what == "fetch" else serve(udp))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
