"""`Stack`: a TCP of your own on a link, with asyncio's streams."""

from __future__ import annotations

import asyncio
import os
import secrets
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from errno import ENETDOWN
from types import TracebackType

from synfin.events import Sink, Tracer
from synfin.host.connections import ConnectionRow
from synfin.host.host import Host
from synfin.host.parameters import Parameters
from synfin.link.channel import AsyncChannel, Receive, Send
from synfin.link.link import Link
from synfin.socket.driver import Driver
from synfin.socket.link_driver import LinkDriver
from synfin.socket.patches import installed
from synfin.socket.server import Server
from synfin.socket.transport import ConnectionTransport
from synfin.socket.ways_to_wait import provide
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import SECOND

#: RFC 8200 §5, in octets.
MINIMUM_MTU_IPV6 = 1280
#: asyncio's default limit of a StreamReader's buffer, in octets.
STREAM_LIMIT = 1 << 16
#: How long closing waits for connections to end in order, in seconds.
CLOSE_TIMEOUT = 2.0

ClientConnected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


class Stack:
    """A host on `link` with `addresses` (such as ``10.9.0.2/24``), served by the running event loop.

    Use it as ``async with Stack(link, ["10.9.0.2/24"]) as stack``. All that is not local is routed through the
    link. Any number of stacks live in one process. `sink` receives the trace, if given.
    """

    def __init__(
        self,
        link: Link,
        addresses: Sequence[str],
        *,
        name: str = "synfin",
        parameters: Parameters | None = None,
        sink: Sink | None = None,
        secret: bytes | None = None,
    ) -> None:
        tracer = Tracer(name, sink) if sink is not None else None
        self.host = Host(name, secret or secrets.token_bytes(32), parameters, tracer)
        self.link = link
        interface = self.host.add_interface("tun0", list(addresses), link.mtu, link.room)
        versions = {len(address) for address, _ in interface.addresses}
        if 4 in versions:
            self.host.add_route("0.0.0.0/0", interface)
        if 16 in versions:
            if link.mtu < MINIMUM_MTU_IPV6:
                raise ValueError(f"IPv6 takes an MTU of {MINIMUM_MTU_IPV6} octets or more, not {link.mtu}")
            self.host.add_route("::/0", interface)
        self._interface = interface
        self._driver = Driver(self.host, interface, link)
        self._driver.failed = self._stop
        self._transports: weakref.WeakSet[ConnectionTransport] = weakref.WeakSet()
        self._servers: weakref.WeakSet[Server] = weakref.WeakSet()
        self._serving = False
        self._link_driver: LinkDriver | None = None
        self._when_closed: list[Callable[[Exception | None], object]] = []
        #: The error of the link that ended the stack, if one did.
        self.error: Exception | None = None

    @classmethod
    def over(
        cls,
        send: Send,
        receive: Receive,
        addresses: Sequence[str],
        *,
        mtu: int = 1500,
        name: str = "synfin",
        parameters: Parameters | None = None,
        sink: Sink | None = None,
        secret: bytes | None = None,
    ) -> Stack:
        """A stack whose IP packets are carried by two coroutine functions: ``await send(packet)`` for each one that
        goes out, ``await receive()`` for the next that comes in. No root, no device.

        They may be those of a datagram socket, of a queue, of a tunnel. What either raises ends the stack with that
        error, and whoever waits on the stack gets it. `mtu` is the largest packet in octets that the channel takes
        (1280 or more for IPv6). For captures and faults, wrap a `synfin.link.channel.AsyncChannel` instead.
        """
        channel = AsyncChannel(send, receive, mtu)
        return cls(channel, addresses, name=name, parameters=parameters, sink=sink, secret=secret)

    async def __aenter__(self) -> Stack:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- for programs that block, and for event loops of ours

    @property
    def waiting(self) -> LinkDriver:
        """The way in which programs wait on this stack that are not in an ``async with`` of it: `synfin.run`, and,
        after ``with``, everything that blocks."""
        if self._link_driver is None:
            self._link_driver = LinkDriver(self.host, self._interface, self.link)
        return self._link_driver

    def __enter__(self) -> Stack:
        """Serves from now on in a thread of its own."""
        self.waiting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends in order, as `aclose` does."""
        self.waiting.stop(int(CLOSE_TIMEOUT * SECOND))

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While this lasts, programs run on this stack as they are: the standard modules' sockets are its own for the
        addresses to which it has a route."""
        with installed(), provide(lambda: self.waiting):
            yield

    # --- for others' event loops

    def start(self) -> None:
        """Begins to serve, on the running event loop."""
        self._driver.start()
        self._serving = True

    def when_closed(self, call: Callable[[Exception | None], object]) -> None:
        """Calls `call` when the stack no longer serves, with the link's error, or None if `aclose` ended it."""
        self._when_closed.append(call)

    async def aclose(self) -> None:
        """Ends in order: servers close, connections send what they have and their FINs, within CLOSE_TIMEOUT.

        What has not ended by then is cut off; whoever waits on it gets ConnectionAbortedError. The link is closed.
        """
        for server in list(self._servers):
            server.close()
        for transport in list(self._transports):
            transport.close()
        if self._serving:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._driver.wait_until_idle()
            except TimeoutError:
                pass
        self._stop(None)
        await self._driver.stopped()

    def _stop(self, error: Exception | None) -> None:
        if not self._serving:
            return
        self._serving = False
        self.error = error
        for transport in list(self._transports):
            transport.stack_closed(error)
        for server in list(self._servers):
            server.stack_closed(error)
        self._driver.stop()
        self.link.close()
        for call in self._when_closed:
            call(error)

    def _check_serving(self) -> None:
        """Who calls a stack that does not serve (yet, or any more) would wait for ever."""
        if not self._serving:
            raise self.error or OSError(ENETDOWN, os.strerror(ENETDOWN))

    def connections(self) -> list[ConnectionRow]:
        """What ``ss -tan`` would print for this stack."""
        driver = self._link_driver
        with driver.lock if driver is not None else nullcontext():
            return self.host.connections()

    # --- streams

    async def open_connection(
        self,
        host: str,
        port: int,
        *,
        limit: int = STREAM_LIMIT,
        local_addr: tuple[str, int] | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """asyncio.open_connection on this stack. `host` is an address.

        Raises ConnectionRefusedError, TimeoutError (ETIMEDOUT, as ``tcp_syn_retries`` says) or another OSError:
        ENETDOWN when the stack does not serve, or the error that ended it.
        """
        self._check_serving()
        loop = asyncio.get_running_loop()
        driver = self._driver
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        connection = self.host.connect(host, port, driver.now(), local_addr)
        transport = ConnectionTransport(driver, connection, protocol)
        self._transports.add(transport)
        driver.pump_soon()
        try:
            await transport.connected
        except asyncio.CancelledError:
            driver.unwatch(connection)
            self.host.abort(connection, driver.now())
            driver.pump_soon()
            raise
        except OSError:
            # The traceback holds this frame: no cycle through the transport and its future.
            del transport, connection
            raise
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def start_server(
        self,
        client_connected_cb: ClientConnected,
        host: str | Sequence[str] | None = None,
        port: int = 0,
        *,
        limit: int = STREAM_LIMIT,
        backlog: int = 100,
    ) -> Server:
        """asyncio.start_server on this stack. `host` is an address or several; None means all of this stack.

        Raises OSError with EADDRINUSE or EADDRNOTAVAIL; ENETDOWN, or the error that ended the stack, when it does
        not serve.
        """
        self._check_serving()
        loop = asyncio.get_running_loop()
        driver = self._driver
        places = [host] if isinstance(host, str) else list(host) if host is not None else ["0.0.0.0", "::"]
        listeners = []
        try:
            for place in places:
                listeners.append(self.host.listen(place, port, backlog, driver.now()))
                port = listeners[0].local_port
        except OSError:
            for listener in listeners:
                self.host.close_listener(listener, driver.now())
            raise

        def accepted(connection: Connection) -> None:
            reader = asyncio.StreamReader(limit=limit, loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=loop)
            self._transports.add(ConnectionTransport(driver, connection, protocol))

        server = Server(driver, listeners, accepted)
        self._servers.add(server)
        return server
