"""A connection as an asyncio transport, for asyncio's own streams and protocols."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from errno import ECONNABORTED
from typing import Any

from synfin.host import addresses
from synfin.socket.driver import Driver
from synfin.tcp import states
from synfin.tcp.connection import Connection
from synfin.tcp.errors import os_error
from synfin.tcp.send_buffer import octets_of

#: Octets taken from the host in one go.
READ_SIZE = 1 << 18
#: asyncio's own default for a transport's buffer.
HIGH_WATER = 64 * 1024


class ConnectionTransport(asyncio.Transport):
    """What `connection` sends and receives, as asyncio's transports do it.

    `connected` is done when the handshake is over, or fails with the platform's error.
    """

    def __init__(self, driver: Driver, connection: Connection, protocol: asyncio.BaseProtocol) -> None:
        identity = connection.identity
        super().__init__(
            {
                "connection": connection,
                "peername": (addresses.text(identity.remote_address), identity.remote_port),
                "sockname": (addresses.text(identity.local_address), identity.local_port),
            }
        )
        self._driver = driver
        self._connection = connection
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[None] = self._loop.create_future()
        self._unsent: deque[memoryview] = deque()
        self._unsent_octets = 0
        self._high = HIGH_WATER
        self._low = HIGH_WATER // 4
        self._writing_paused = False
        self._reading_paused = False
        self._eof_wanted = False
        self._eof_seen = False
        self._closing = False
        self._lost = False
        driver.watch(connection, self._changed)
        if connection.state == states.SYN_SENT:
            return
        self._begin()

    def _begin(self) -> None:
        self.connected.set_result(None)
        try:
            self._protocol.connection_made(self)
        except Exception as error:
            self._complain(error, "connection_made")
        # Data may have come with the handshake, before anybody watched.
        self._loop.call_soon(self._changed)

    # --- what the driver tells

    def _changed(self) -> None:
        if self._lost:
            return
        connection = self._connection
        if not self.connected.done():
            if connection.state == states.CLOSED:
                self._fail_to_connect()
                return
            if connection.state not in states.SYNCHRONIZED:
                return
            self._begin()
        try:
            self._flush()
            self._read()
            if connection.state == states.CLOSED:
                connection.raise_error()
                # What a paused user has not read yet stays readable, the end of the stream too.
                if self._closing or self._eof_seen or not self._reading_paused:
                    self._lose(None)
        except OSError as error:
            self._lose(error)

    def _fail_to_connect(self) -> None:
        self._driver.unwatch(self._connection)
        self._lost = True
        try:
            self._connection.raise_error()
        except OSError as error:
            # Its traceback would lead back to this transport.
            self.connected.set_exception(error.with_traceback(None))
        else:
            self.connected.cancel()

    # --- reading

    def _read(self) -> None:
        connection = self._connection
        driver = self._driver
        while not (self._reading_paused or self._eof_seen or self._closing):
            if not connection.receive_queue.octets and not connection.fin_received:
                return
            try:
                pieces = driver.host.receive(connection, READ_SIZE, driver.now())
            except BlockingIOError:
                return
            if not pieces:
                self._eof_seen = True
                self._end_of_stream()
                return
            protocol = self._protocol
            if isinstance(protocol, asyncio.Protocol):
                try:
                    # In one piece: the protocol may pause reading, or close, at each.
                    protocol.data_received(b"".join(pieces))
                except Exception as error:
                    self._complain(error, "data_received")
                    self._break(error)
                    return
            driver.pump_soon()

    def _complain(self, error: Exception, call: str) -> None:
        self._loop.call_exception_handler(
            {
                "message": f"Fatal error: protocol.{call}() call failed.",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )

    def _break(self, error: Exception) -> None:
        """The protocol has failed: nothing more is to be expected of it."""
        driver = self._driver
        driver.host.abort(self._connection, driver.now())
        self._lose(error)

    def _end_of_stream(self) -> None:
        protocol = self._protocol
        try:
            keep_open = protocol.eof_received() if isinstance(protocol, asyncio.Protocol) else False
        except Exception as error:
            self._complain(error, "eof_received")
            self._break(error)
            return
        if not keep_open:
            self.close()

    def is_reading(self) -> bool:
        return not self._reading_paused and not self._closing

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._loop.call_soon(self._changed)

    # --- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._eof_wanted:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._lost or self._closing or not data:
            return
        view = octets_of(data)
        self._unsent.append(view)
        self._unsent_octets += len(view)
        try:
            self._flush()
        except OSError as error:
            self._lose(error)
            return
        self._maybe_pause_writing()

    def _maybe_pause_writing(self) -> None:
        if self._unsent_octets > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def _flush(self) -> None:
        """Hands to the host what it takes, and then an end of stream, or of everything, that waited for it."""
        if self._lost:
            return
        driver = self._driver
        unsent = self._unsent
        sent = False
        while unsent:
            view = unsent[0]
            try:
                taken = driver.host.send(self._connection, view, driver.now())
            except BlockingIOError:
                break
            sent = True
            self._unsent_octets -= taken
            if taken == len(view):
                unsent.popleft()
            else:
                unsent[0] = view[taken:]
        if sent:
            driver.pump_soon()
        if self._writing_paused and self._unsent_octets <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()
        if not unsent:
            if self._closing:
                self._lose(None)
            elif self._eof_wanted and not self._connection.fin_queued:
                driver.host.close(self._connection, driver.now())
                driver.pump_soon()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._closing or self._eof_wanted:
            return
        self._eof_wanted = True
        self._flush()

    def get_write_buffer_size(self) -> int:
        return self._unsent_octets

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not 0 <= low <= high:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high = high
        self._low = low
        self._maybe_pause_writing()

    # --- ending

    def is_closing(self) -> bool:
        return self._closing or self._lost

    def close(self) -> None:
        """Sends what was written, then lets go of the connection."""
        if self._closing or self._lost:
            return
        self._closing = True
        try:
            self._flush()
        except OSError as error:
            self._lose(error)

    def abort(self) -> None:
        """Resets the connection at once."""
        if self._lost:
            return
        driver = self._driver
        driver.host.abort(self._connection, driver.now())
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        """The user and the connection part: the protocol is told, the host gets the connection back."""
        if self._lost:
            return
        self._lost = True
        self._closing = True
        driver = self._driver
        driver.unwatch(self._connection)
        driver.host.release(self._connection, driver.now())
        driver.pump_soon()
        self._unsent.clear()
        self._unsent_octets = 0
        self._loop.call_soon(self._protocol.connection_lost, error)

    def stack_closed(self, error: Exception | None) -> None:
        """The stack stops serving: whoever waits on this connection must learn it."""
        error = error or os_error(ECONNABORTED)
        if not self.connected.done():
            self._lost = True
            self.connected.set_exception(error)
        else:
            self._lose(error)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername` and `sockname` as (address, port), `connection` as the core's own."""
        return super().get_extra_info(name, default)
