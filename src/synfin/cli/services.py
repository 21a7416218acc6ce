"""Small servers: echo (RFC 862), discard (RFC 863), chargen (RFC 864), and the texts' hello."""

from __future__ import annotations

from asyncio import CancelledError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

#: Octets read or written at once.
CHUNK: Final = 1 << 18

Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    """Sends back what it receives."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def discard(reader: StreamReader, writer: StreamWriter) -> None:
    """Reads to the end and says nothing."""
    while await reader.read(CHUNK):
        pass


async def chargen(reader: StreamReader, writer: StreamWriter) -> None:
    """Sends printable characters for as long as the peer takes them."""
    printable = bytes(range(32, 127))
    lines = b"".join((printable * 2)[start : start + 72] + b"\r\n" for start in range(len(printable)))
    block = lines * (CHUNK // len(lines))
    while not writer.is_closing():
        writer.write(block)
        await writer.drain()


async def hello(reader: StreamReader, writer: StreamWriter) -> None:
    """Greets, and closes first."""
    writer.write(b"Hello, Client!")


class Service:
    """A server and the port that it has by default."""

    __slots__ = ("port", "serve")

    def __init__(self, serve: Serve, port: int) -> None:
        self.port = port
        self.serve = _until_closed(serve)


def _until_closed(serve: Serve) -> Serve:
    """A peer that resets its connection, or vanishes, is no error of the server's; nor is the end of the program."""

    async def served(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await serve(reader, writer)
            writer.close()
            await writer.wait_closed()
        # Some releases of Python 3.11 and 3.12 print a traceback for a connection's task that was cancelled, so when
        # the loop cancels what is left this one just ends.
        except (OSError, CancelledError):
            writer.close()

    return served


SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {
        "echo": Service(echo, 7),
        "discard": Service(discard, 9),
        "chargen": Service(chargen, 19),
        "hello": Service(hello, 8080),
    }
)
