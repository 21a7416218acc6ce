"""Sending and receiving with sockets of ours."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from errno import EAGAIN, EBADF, EINVAL
from typing import TYPE_CHECKING, Any

from synfin.host import calls
from synfin.host.socket_option_numbers import MSG_DONTWAIT, MSG_ERRQUEUE, MSG_OOB, MSG_PEEK
from synfin.host.sockets import RECEIVING, Socket
from synfin.host.transfer import Received
from synfin.socket.open_sockets import OpenSocket
from synfin.socket.socket_base import SocketBase
from synfin.tcp import readiness
from synfin.tcp.errors import os_error
from synfin.tcp.parameters import SECOND
from synfin.tcp.states import CLOSED
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class Transfer(SocketBase):
    """What carries octets. A socket without a time-out sends all of what it is given, and receives until enough is
    there, as Linux has it; one with a time-out waits for the first of it."""

    __slots__ = ()

    # --- sending

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        entry = self._open
        if entry is None:
            return super().send(data, flags)
        if isinstance(data, bytes):
            return self._send(entry, data, flags)
        # Released whatever happens: an exception would keep the views, and nobody could resize what they show.
        with memoryview(data) as view, view.cast("B") as octets:
            return self._send(entry, octets, flags)

    def _send(self, entry: OpenSocket, octets: bytes | memoryview, flags: int) -> int:
        waiting = entry.waiting
        with waiting.lock:
            try:
                taken = calls.send(entry.host, entry.core, octets, flags, waiting.now())
            except BlockingIOError:
                if self._timeout == 0 or flags & MSG_DONTWAIT:
                    raise
                taken = 0
            except OSError:
                entry.called()
                raise
            if taken < len(octets) and self._timeout != 0 and not flags & MSG_DONTWAIT:
                taken = self._send_rest(entry, octets, taken, flags)
            entry.called()
        return taken

    def _send_rest(self, entry: OpenSocket, octets: bytes | memoryview, taken: int, flags: int) -> int:
        """Waits until something is taken; a socket without a time-out: until all is, as Linux has it."""
        if taken and self._timeout is not None:
            return taken
        waiting = entry.waiting
        host, core = entry.host, entry.core
        deadline = self._deadline(waiting, core.values.sndtimeo)
        entry.called()
        while taken < len(octets):
            if not waiting.wait(core, readiness.POLLOUT, deadline):
                if taken:
                    break
                raise self._late()
            try:
                with memoryview(octets) as view, view[taken:] as rest:
                    taken += calls.send(host, core, rest, flags, waiting.now())
            except BlockingIOError:
                continue
            except OSError as error:
                if not taken:
                    entry.called()
                    raise
                _put_back(core, error)
                break
            entry.called()
            if self._timeout is not None:
                break
        return taken

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        if self._open is None:
            super().sendall(data, flags)
            return
        with memoryview(data) as view, view.cast("B") as octets:
            self._sendall(self._open, octets, flags)

    def _sendall(self, entry: OpenSocket, octets: memoryview, flags: int) -> None:
        timeout = self._timeout
        waiting = entry.waiting
        # The time is for all of it together.
        deadline = NEVER if timeout is None else waiting.now() + int(timeout * SECOND)
        taken = self._send(entry, octets, flags)
        while taken < len(octets):
            if timeout == 0:
                raise os_error(EAGAIN)
            with waiting.lock:
                if not waiting.wait(entry.core, readiness.POLLOUT, deadline):
                    raise self._late()
            with octets[taken:] as rest:
                taken += self._send(entry, rest, flags)

    def sendto(self, data: ReadableBuffer, *rest: Any) -> int:
        if self._open is None:
            return super().sendto(data, *rest)
        if not 1 <= len(rest) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(rest) + 1} given)")
        # On a stream nobody looks at the address.
        return self.send(data, rest[0] if len(rest) == 2 else 0)

    def sendmsg(
        self, buffers: Iterable[ReadableBuffer], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        entry = self._open
        if entry is None:
            return super().sendmsg(buffers, ancdata, flags, address)
        if any(True for _ in ancdata):
            raise os_error(EINVAL)
        with ExitStack() as views:
            pieces = [views.enter_context(views.enter_context(memoryview(one)).cast("B")) for one in buffers]
            if self._timeout is None:
                return self.send(b"".join(pieces), flags)
            return self._sendmsg(entry, pieces, flags)

    def _sendmsg(self, entry: OpenSocket, pieces: list[memoryview], flags: int) -> int:
        waiting = entry.waiting
        host, core = entry.host, entry.core

        def call() -> int:
            return calls.sendmsg(host, core, pieces, flags, waiting.now())

        with waiting.lock:
            try:
                taken = call()
            except BlockingIOError:
                taken = self._wait_and_call(entry, call, readiness.POLLOUT, flags, core.values.sndtimeo)
            entry.called()
        return taken

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        if self._open is None:
            return super().sendfile(file, offset, count)
        # os.sendfile wants a descriptor of the system's, and begins at the offset also where that is 0.
        if not offset and self._timeout != 0 and "b" in getattr(file, "mode", "") and file.seekable():
            file.seek(0)
        sent: int = self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined]
        return sent

    # --- receiving

    def _receive(self, size: int, flags: int) -> Received:
        entry = self._open
        if entry is None:
            raise os_error(EBADF)
        waiting = entry.waiting
        host, core = entry.host, entry.core
        with waiting.lock:
            try:
                received = calls.recvmsg(host, core, size, flags, waiting.now())
            except BlockingIOError:
                if self._timeout == 0 or flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE):
                    raise
                received = None
            except OSError:
                # The error is told, and shows no longer.
                entry.called()
                raise
            if self._timeout is None and not flags & (MSG_DONTWAIT | MSG_OOB):
                wanted = calls.target(core, size, flags)
                if received is None or 0 < received.octets < wanted:
                    received = self._receive_rest(entry, size, flags, wanted, received)
            elif received is None:
                received = self._wait_and_call(
                    entry,
                    lambda: calls.recvmsg(host, core, size, flags, waiting.now()),
                    readiness.POLLIN,
                    flags,
                    core.values.rcvtimeo,
                )
            entry.called()
        return received

    def _receive_rest(self, entry: OpenSocket, size: int, flags: int, wanted: int, first: Received | None) -> Received:
        """Waits until `wanted` octets are there (SO_RCVLOWAT, MSG_WAITALL), as a socket without a time-out does. An
        end, an error and urgent data cut it short."""
        waiting = entry.waiting
        host, core = entry.host, entry.core
        deadline = self._deadline(waiting, core.values.rcvtimeo)
        whole = first if first is not None else Received([], 0)
        before = whole.octets

        def something() -> bool:
            if core.closed or core.linger_until >= 0:
                return True
            connection = core.connection
            if connection is None or connection.state == CLOSED or connection.fin_received or connection.error:
                return True
            return connection.readable() > (before if flags & MSG_PEEK else 0) or bool(core.shutdown & RECEIVING)

        while waiting.wait_until(core, something, deadline):
            try:
                rest = 0 if flags & MSG_PEEK else whole.octets
                part = calls.recvmsg(host, core, size - rest, flags, waiting.now())
            except BlockingIOError:
                if whole.octets:
                    return whole
                continue
            except OSError as error:
                if not whole.octets:
                    entry.called()
                    raise
                _put_back(core, error)
                return whole
            if flags & MSG_PEEK:
                if part.octets >= wanted or part.octets <= before:
                    return part
                whole, before = part, part.octets
                continue
            if not part.octets:
                return whole
            whole.pieces += part.pieces
            whole.octets += part.octets
            whole.flags |= part.flags
            if whole.octets >= wanted:
                return whole
            entry.called()
        if whole.octets:
            return whole
        raise self._late()

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if self._open is None:
            return super().recv(bufsize, flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        pieces = self._receive(bufsize, flags).pieces
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        if self._open is None:
            return super().recv_into(buffer, nbytes, flags)
        with memoryview(buffer) as whole, whole.cast("B") as view:
            if nbytes < 0:
                raise ValueError("negative buffersize in recv_into")
            if nbytes > len(view):
                raise ValueError("buffer too small for requested bytes")
            received = self._receive(nbytes or len(view), flags)
            _fill(view, received)
        return received.octets

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        if self._open is None:
            return super().recvfrom(bufsize, flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recvfrom")
        return self.recv(bufsize, flags), None

    def recvfrom_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        if self._open is None:
            return super().recvfrom_into(buffer, nbytes, flags)
        if nbytes < 0:
            raise ValueError("negative buffersize in recvfrom_into")
        if nbytes > memoryview(buffer).nbytes:
            raise ValueError("nbytes is greater than the length of the buffer")
        return self.recv_into(buffer, nbytes, flags), None

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        if self._open is None:
            return super().recvmsg(bufsize, ancbufsize, flags)
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        received = self._receive(bufsize, flags)
        return b"".join(received.pieces), [], received.flags, None

    def recvmsg_into(
        self, buffers: Iterable[WriteableBuffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        if self._open is None:
            return super().recvmsg_into(buffers, ancbufsize, flags)
        views = [memoryview(one).cast("B") for one in buffers]
        received = self._receive(sum(map(len, views)), flags)
        data = memoryview(b"".join(received.pieces))
        for view in views:
            part = data[: len(view)]
            view[: len(part)] = part
            data = data[len(part) :]
        return received.octets, [], received.flags, None


def _fill(view: memoryview, received: Received) -> None:
    at = 0
    for piece in received.pieces:
        view[at : at + len(piece)] = piece
        at += len(piece)


def _put_back(core: Socket, error: OSError) -> None:
    """What was received or sent is told first, the error by the next call."""
    if core.connection is not None and error.errno is not None:
        core.connection.error = error.errno
