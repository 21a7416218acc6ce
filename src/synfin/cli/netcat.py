"""``synfin tun connect``: standard input into a connection, and what comes back to standard output."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from synfin.socket.stack import Stack

Result = TypeVar("Result")

#: Octets read or written at once.
CHUNK: Final = 1 << 18
STDIN: Final = 0
STDOUT: Final = 1


class OutputError(Exception):
    """What came could not be written to standard output, because of `error`."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


async def in_a_thread(call: Callable[[], Result]) -> Result:
    """The result of a `call` that may block, made in a thread that does not keep the process from ending.

    What is read or written may be a terminal, a file or a pipe that others share, so it stays as it is: blocking.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()

    def tell(result: Result | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        try:
            result, failure = call(), None
        except Exception as error:
            result, failure = None, error
        # RuntimeError: the loop has ended meanwhile, and nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=work, daemon=True).start()
    return await answer


async def connect(stack: Stack, places: list[str], port: int, *, stays: bool) -> None:
    """Connects to the first of `places` that answers, and carries both directions to their ends.

    At the end of standard input the connection is closed in that direction only. When the peer has closed its own,
    the rest of standard input is still sent if `stays`; otherwise that is the end of it all. Raises
    OSError, and OutputError.
    """
    reader, writer = await _first(stack, places, port)
    sending = asyncio.create_task(_send(writer))
    receiving = asyncio.create_task(_receive(reader))
    try:
        if stays:
            await asyncio.gather(sending, receiving)
        else:
            done, _ = await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if sending in done:
                await sending
            await receiving
        writer.close()
        await writer.wait_closed()
    except BaseException:
        writer.transport.abort()
        raise
    finally:
        sending.cancel()
        receiving.cancel()


async def _first(stack: Stack, places: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for place in places[:-1]:
        try:
            return await stack.open_connection(place, port, limit=4 * CHUNK)
        except OSError:
            if stack.error is not None:
                raise
    return await stack.open_connection(places[-1], port, limit=4 * CHUNK)


async def _send(writer: asyncio.StreamWriter) -> None:
    while data := await in_a_thread(lambda: os.read(STDIN, CHUNK)):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _receive(reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        try:
            await in_a_thread(partial(_write_all, STDOUT, data))
        except OSError as error:
            raise OutputError(error) from error


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
