"""TLS on a socket of ours for programs that block: what SSLContext.wrap_socket gives. asyncio brings its own."""

from __future__ import annotations

import socket as system
import ssl
from collections.abc import Callable
from errno import EINVAL, ENOTCONN
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from synfin.host.socket_option_numbers import MSG_DONTWAIT
from synfin.socket.open_sockets import OpenSocket
from synfin.socket.stand_in import socket
from synfin.socket.tls_records import Records
from synfin.tcp.errors import os_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")


def wrap(
    context: ssl.SSLContext,
    sock: socket,
    server_side: bool = False,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    server_hostname: str | bytes | None = None,
    session: ssl.SSLSession | None = None,
) -> TLSSocket:
    """As SSLContext.wrap_socket, which detaches `sock`."""
    if server_side and server_hostname:
        raise ValueError("server_hostname can only be specified in client mode")
    if context.check_hostname and not server_hostname and not server_side:
        raise ValueError("check_hostname requires server_hostname")
    entry = sock.opened
    if entry is None:
        raise os_error(ENOTCONN)
    return _class_for(context).wrapped(
        context, sock, entry, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session
    )


def _class_for(context: ssl.SSLContext) -> type[TLSSocket]:
    """TLSSocket, or that as a kind of what the context is to make instead of SSLSocket."""
    wanted: type[ssl.SSLSocket] = context.sslsocket_class
    if wanted is ssl.SSLSocket:
        return TLSSocket
    return type(wanted.__name__, (wanted, TLSSocket), {"__module__": wanted.__module__})


class TLSSocket(Records, ssl.SSLSocket):
    """As ssl.SSLSocket, and one of its kind for who asks with isinstance."""

    suppress_ragged_eofs: bool
    do_handshake_on_connect: bool
    _connected: bool

    @classmethod
    def wrapped(
        cls,
        context: ssl.SSLContext,
        sock: socket,
        entry: OpenSocket,
        server_side: bool,
        handshakes: bool,
        suppress_ragged_eofs: bool,
        server_hostname: str | bytes | None,
        session: ssl.SSLSession | None,
    ) -> Self:
        """What is open in `sock`, taken from it, with TLS."""
        made = cls.of(entry, sock.number, sock.proto)
        timeout = sock.gettimeout()
        sock.let_go()
        made._start_without_tls(entry)
        made._context = context
        made._session = session
        made.server_side = server_side
        made.do_handshake_on_connect = handshakes
        made.suppress_ragged_eofs = suppress_ragged_eofs
        made._connected = False
        try:
            made.settimeout(timeout)
            made.server_hostname = context._encode_hostname(server_hostname)  # type: ignore[attr-defined]
            made._take_up()
        except BaseException:
            # Nobody else has it any more.
            made.close()
            raise
        return made

    def _take_up(self) -> None:
        """Begins TLS on a socket that is connected already."""
        try:
            self.getpeername()
        except OSError as error:
            if error.errno != ENOTCONN:
                raise
            self._refuse_early_data()
            return
        self._connected = True
        self._begin_tls()
        if self.do_handshake_on_connect:
            if self.gettimeout() == 0:
                raise ValueError("do_handshake_on_connect should not be specified for non-blocking sockets")
            self.do_handshake()

    def _refuse_early_data(self) -> None:
        """What a peer sent in clear that is gone by now must not pass for what came through TLS (CVE-2023-40217).
        Raises ssl.SSLError if there is any."""
        try:
            data = socket.recv(self, 1, MSG_DONTWAIT)
        except OSError as error:
            if error.errno not in (ENOTCONN, EINVAL):
                raise
            return
        if data:
            reason = "Closed before TLS handshake with data in recv buffer."
            refused = ssl.SSLError(ENOTCONN, reason)
            refused.reason = reason
            refused.library = None  # type: ignore[assignment]
            try:
                raise refused
            finally:
                # Its traceback holds this frame.
                del refused

    def _begin_tls(self) -> None:
        self._tls = self._context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self.server_side,
            server_hostname=self.server_hostname,
            session=self._session,
        )
        # Callbacks of the context are given what has the user's socket.
        self._tls._sslobj.owner = self  # type: ignore[attr-defined]

    # --- what SSLSocket offers

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        self._context = context
        if self._tls is not None:
            self._tls.context = context

    @property
    def _sslobj(self) -> object | None:
        """What ssl.SSLSocket has there: OpenSSL's own."""
        return None if self._tls is None else self._tls._sslobj  # type: ignore[attr-defined]

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._tls.session if self._tls is not None else None

    @session.setter
    def session(self, session: ssl.SSLSession | None) -> None:
        self._session = session
        if self._tls is not None:
            self._tls.session = session

    @property
    def session_reused(self) -> bool | None:
        return self._tls.session_reused if self._tls is not None else None

    def do_handshake(self, block: bool = False) -> None:
        self.getpeername()
        timeout = self.gettimeout()
        try:
            if timeout == 0 and block:
                self.settimeout(None)
            self._do(lambda tls: tls.do_handshake(), "handshake")
        finally:
            self.settimeout(timeout)

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> Any:
        if self._tls is None:
            raise ValueError("Read on closed or unwrapped SSL socket.")
        try:
            if buffer is not None:
                return self._transfer(lambda tls: tls.read(len, buffer), "read")
            return self._transfer(lambda tls: tls.read(len), "read")
        except ssl.SSLError as error:
            if error.args[0] == ssl.SSL_ERROR_EOF and self.suppress_ragged_eofs:
                return 0 if buffer is not None else b""
            raise

    def write(self, data: ReadableBuffer) -> int:
        if self._tls is None:
            raise ValueError("Write on closed or unwrapped SSL socket.")
        if len(self._unsent) and self.gettimeout() == 0:
            self._unsent.flush()
            if len(self._unsent):
                raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")
        return self._transfer(lambda tls: tls.write(data), "write")

    def pending(self) -> int:
        return self._tls.pending() if self._tls is not None else 0

    def getpeercert(self, binary_form: bool = False) -> Any:
        self._check()
        assert self._tls is not None
        return self._tls.getpeercert(binary_form)

    def _check(self) -> None:
        """Raises OSError with ENOTCONN where TLS has not begun."""
        if self._tls is None:
            self.getpeername()
            raise os_error(ENOTCONN)

    def version(self) -> str | None:
        return self._tls.version() if self._tls is not None else None

    def cipher(self) -> tuple[str, str, int] | None:
        return self._tls.cipher() if self._tls is not None else None

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        return self._tls.shared_ciphers() if self._tls is not None else None

    def compression(self) -> str | None:
        return self._tls.compression() if self._tls is not None else None

    def selected_alpn_protocol(self) -> str | None:
        return self._tls.selected_alpn_protocol() if self._tls is not None else None

    def selected_npn_protocol(self) -> str | None:
        return None

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        return self._tls.get_channel_binding(cb_type) if self._tls is not None else None

    def verify_client_post_handshake(self) -> None:
        self._check()
        self._do(lambda tls: tls.verify_client_post_handshake(), "write")

    def unwrap(self) -> socket:
        """Ends TLS in order; what follows is without it."""
        if self._tls is None:
            raise ValueError(f"No SSL wrapper around {self}")
        self._do(lambda tls: tls.unwrap(), "unwrap")
        self._tls = None
        return self

    # --- what a socket offers

    def connect(self, address: Any) -> None:
        self._connect(address, lambda: socket.connect(self, address))

    def connect_ex(self, address: Any) -> int:
        return self._connect(address, lambda: socket.connect_ex(self, address)) or 0

    def _connect(self, address: Any, call: Callable[[], T]) -> T:
        if self.server_side:
            raise ValueError("can't connect in server-side mode")
        if self._connected:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        self._begin_tls()
        try:
            result = call()
            if not result:
                self._connected = True
                if self.do_handshake_on_connect:
                    self.do_handshake()
        except (OSError, ValueError):
            self._tls = None
            raise
        return result

    def accept(self) -> tuple[Any, Any]:
        made, address = socket.accept(self)
        wrapped = self._context.wrap_socket(
            made,
            do_handshake_on_connect=self.do_handshake_on_connect,
            suppress_ragged_eofs=self.suppress_ragged_eofs,
            server_side=True,
        )
        return wrapped, address

    def _plain(self, flags: int, call: str) -> bool:
        """Whether a call goes without TLS. Raises ValueError for flags that TLS has no use for."""
        if self._tls is None:
            return True
        if flags:
            raise ValueError(f"non-zero flags not allowed in calls to {call}() on {type(self)}")
        return False

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        return socket.send(self, data, flags) if self._plain(flags, "send") else self.write(data)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        if self._plain(flags, "sendall"):
            socket.sendall(self, data, flags)
            return
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self.write(octets[sent:])

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if self._plain(flags, "recv"):
            return socket.recv(self, buflen, flags)
        data: bytes = self.read(buflen)
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        if self._plain(flags, "recv_into"):
            return socket.recv_into(self, buffer, nbytes or 0, flags)
        with memoryview(buffer) as view, view.cast("B") as octets:
            wanted = nbytes or len(octets) or 1024
            got: int = self.read(wanted, octets)
            return got

    def sendto(self, data: ReadableBuffer, *rest: Any) -> int:
        if self._tls is not None:
            raise ValueError(f"sendto not allowed on instances of {type(self)}")
        return socket.sendto(self, data, *rest)

    def recvfrom(self, buflen: int = 1024, flags: int = 0) -> tuple[bytes, Any]:
        if self._tls is not None:
            raise ValueError(f"recvfrom not allowed on instances of {type(self)}")
        return socket.recvfrom(self, buflen, flags)

    def recvfrom_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> tuple[int, Any]:
        if self._tls is not None:
            raise ValueError(f"recvfrom_into not allowed on instances of {type(self)}")
        return socket.recvfrom_into(self, buffer, nbytes or 0, flags)

    def sendmsg(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(f"sendmsg not allowed on instances of {type(self)}")

    def recvmsg(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(f"recvmsg not allowed on instances of {type(self)}")

    def recvmsg_into(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(f"recvmsg_into not allowed on instances of {type(self)}")

    def dup(self) -> NoReturn:
        raise NotImplementedError(f"Can't dup() {type(self).__name__} instances")

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        sent: int = self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined]
        return sent

    def shutdown(self, how: int) -> None:
        self._tls = None
        socket.shutdown(self, how)

    def _real_close(self, _ss: Any = system.socket) -> None:
        unsent = getattr(self, "_unsent", None)
        if unsent is not None and self.opened is not None:
            unsent.close()
        self._tls = None
        socket._real_close(self)
