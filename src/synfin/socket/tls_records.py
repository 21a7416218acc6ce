"""Records of TLS between OpenSSL and a socket of ours.

OpenSSL sees memory alone (ssl.SSLObject between two ssl.MemoryBIO); octets go between that and the socket here. No
more is read than the record that it needs, so that select tells of the next one.
"""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from errno import ENOTCONN
from typing import Final, TypeVar

from synfin.socket.open_sockets import OpenSocket
from synfin.socket.stand_in import socket
from synfin.socket.tls_unsent import Unsent
from synfin.tcp.errors import os_error

T = TypeVar("T")

#: RFC 8446 §5.1: type, version and length of a record, in octets.
HEADER: Final = 5
#: Before that, ssl calls a connection that was reset one that ended (CPython's gh-115627).
RESET_IS_END: Final = sys.version_info < (3, 12, 3)
#: A real lock also where the threads of programs are not.
_Lock: Final = threading.Lock


class Records(socket):
    """A socket whose octets are records of TLS once it has begun."""

    #: None: no TLS, or none any more.
    _tls: ssl.SSLObject | None
    _lock: threading.Lock
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _unsent: Unsent
    #: What was read of the header of a record, and how many octets of the record are still to be read.
    _header: bytes
    _rest: int

    def _start_without_tls(self, entry: OpenSocket) -> None:
        self._tls = None
        self._lock = _Lock()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = Unsent(entry)
        self._header = b""
        self._rest = 0

    def _do(self, call: Callable[[ssl.SSLObject], T], what: str) -> T:
        """Makes a call of OpenSSL's, which may need records and may leave some."""
        while True:
            tls = self._tls
            if tls is None:
                raise os_error(ENOTCONN)
            try:
                with self._lock:
                    try:
                        result = call(tls)
                    finally:
                        self._unsent.add(self._outgoing.read())
            except ssl.SSLWantReadError:
                # Without waiting: who waits to write may need somebody to read.
                self._unsent.flush()
                self._read_record(what)
            except ssl.SSLError:
                # The alert that says why.
                with suppress(OSError):
                    self._unsent.flush()
                raise
            else:
                if what == "read":
                    self._unsent.flush()
                else:
                    self._send_out()
                return result

    def _transfer(self, call: Callable[[ssl.SSLObject], T], what: str) -> T:
        """As `_do`, for octets of the user's."""
        try:
            return self._do(call, what)
        except ConnectionError as error:
            if RESET_IS_END:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol") from error
            raise

    def _send_out(self) -> None:
        """Sends what OpenSSL gave; a socket that blocks waits until all is taken."""
        unsent = self._unsent
        if len(unsent):
            unsent.flush()
        if len(unsent) and self.gettimeout() != 0:
            self.wait_until(lambda: not len(unsent), "The write operation timed out")

    def _read_record(self, what: str) -> None:
        """Hands OpenSSL the next record, or part of it."""
        try:
            if not self._rest:
                data = socket.recv(self, HEADER - len(self._header))
                self._header += data
                if data and len(self._header) < HEADER:
                    return
                if data:
                    self._incoming.write(self._header)
                    self._rest = int.from_bytes(self._header[3:], "big")
                    self._header = b""
                    return
                # OpenSSL says what it makes of half a header.
                self._incoming.write(self._header)
            else:
                data = socket.recv(self, self._rest)
                self._rest -= len(data)
                if data:
                    self._incoming.write(data)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)") from None
        except TimeoutError as error:
            if error.errno is not None:
                raise
            raise TimeoutError(f"The {what} operation timed out") from None
        if not data:
            self._incoming.write_eof()
