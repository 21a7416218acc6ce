"""A listening server, as asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from synfin.host import addresses
from synfin.socket.driver import Driver
from synfin.tcp.connection import Connection
from synfin.tcp.listener import Listener


class Server(asyncio.AbstractServer):
    """Accepts connections on `listeners` and hands each to `accepted`, from when it is made until `close`."""

    def __init__(self, driver: Driver, listeners: list[Listener], accepted: Callable[[Connection], None]) -> None:
        self._driver = driver
        self._listeners = listeners
        self._accepted = accepted
        self._closed = asyncio.Event()
        self._error: Exception | None = None
        for listener in listeners:
            driver.watch(listener, partial(self._accept, listener))

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the server listens: (address, port) for each of its listeners."""
        return [(addresses.text(one.local_address), one.local_port) for one in self._listeners]

    def _accept(self, listener: Listener) -> None:
        while True:
            try:
                connection = self._driver.host.accept(listener)
            except BlockingIOError:
                return
            self._accepted(connection)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def is_serving(self) -> bool:
        return not self._closed.is_set()

    async def start_serving(self) -> None:
        """Does nothing: a server serves from the beginning."""

    async def serve_forever(self) -> None:
        """Waits until the server is closed; when cancelled, closes it. Raises the error that ended the stack."""
        try:
            await self._closed.wait()
        finally:
            self.close()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stops listening. Connections that were accepted go on."""
        if self._closed.is_set():
            return
        self._closed.set()
        driver = self._driver
        for listener in self._listeners:
            driver.unwatch(listener)
            driver.host.close_listener(listener, driver.now())
        driver.pump_soon()

    def stack_closed(self, error: Exception | None) -> None:
        """The stack stops serving: whoever waits on this server must learn it."""
        self._error = error
        self.close()

    async def wait_closed(self) -> None:
        """Waits until `close` was called."""
        await self._closed.wait()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()
        await self.wait_closed()
