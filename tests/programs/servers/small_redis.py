"""A small server of Redis's protocol (RESP2) with asyncio's streams: HOST PORT. PING, SET, GET, INCR."""

from __future__ import annotations

import asyncio
import contextlib
import sys


class Store:
    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def answer(self, words: list[bytes]) -> bytes:
        match [words[0].upper(), *words[1:]]:
            case [b"PING"]:
                return b"+PONG\r\n"
            case [b"SET", key, value]:
                self.values[key] = value
                return b"+OK\r\n"
            case [b"GET", key]:
                found = self.values.get(key)
                return b"$-1\r\n" if found is None else b"$%d\r\n%b\r\n" % (len(found), found)
            case [b"INCR", key]:
                number = int(self.values.get(key, b"0")) + 1
                self.values[key] = b"%d" % number
                return b":%d\r\n" % number
            case [command, *_]:
                return b"-ERR unknown command '%b'\r\n" % command
        raise AssertionError("every list has a first word")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while words := await read_command(reader):
                writer.write(self.answer(words))
                await writer.drain()
        writer.close()


async def read_command(reader: asyncio.StreamReader) -> list[bytes]:
    """The words of the next command; none at the end."""
    line = await reader.readline()
    if not line.startswith(b"*"):
        return line.split()
    words = []
    for _ in range(int(line[1:])):
        length = int((await reader.readline())[1:])
        words.append((await reader.readexactly(length + 2))[:-2])
    return words


async def main(host: str, port: int) -> None:
    async with await asyncio.start_server(Store().serve, host, port) as server:
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
