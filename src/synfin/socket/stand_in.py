"""`socket`: the class of the standard module, over a TCP of one's own.

It is a subclass of the standard class, so that whoever asks with isinstance is content. What is no TCP, and what has an
address of the system's, is a socket of the system in it: then every call goes to the base class.
"""

from __future__ import annotations

import os
import socket as system
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from errno import EAGAIN, EBADF, EFAULT, EINPROGRESS, EINVAL, EISCONN
from operator import index
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from synfin.host import calls
from synfin.host.socket_option_numbers import (
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    SO_ERROR,
    SOL_SOCKET,
)
from synfin.host.sockets import AF_INET, AF_INET6, IPPROTO_TCP, RECEIVING, SOCK_STREAM, Address, Socket
from synfin.host.transfer import Received
from synfin.socket import guards
from synfin.socket.descriptor import descriptor_for
from synfin.socket.naming import address_of
from synfin.socket.open_sockets import FIRST_NUMBER, TABLE, OpenSocket
from synfin.socket.ways_to_wait import Waiting, address_octets, find_current, thread
from synfin.tcp import readiness
from synfin.tcp.errors import os_error
from synfin.tcp.parameters import SECOND
from synfin.tcp.states import CLOSED
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")

_FLAGS_OF_TYPE: Final = getattr(system, "SOCK_NONBLOCK", 0) | getattr(system, "SOCK_CLOEXEC", 0)
#: Of a socket that was ours, and is closed.
CLOSED_NUMBER: Final = -2
_NONBLOCK: Final = getattr(system, "SOCK_NONBLOCK", 0)
#: SCM_RIGHTS and SCM_CREDENTIALS, which are of SOL_SOCKET by their numbers alone.
_OF_AF_UNIX: Final = (1, 2)
#: Linux's numbers, which the core has on every platform.
_OURS: Final[dict[int, int]] = {system.AF_INET: AF_INET, system.AF_INET6: AF_INET6}
_THEIRS: Final = {AF_INET: system.AF_INET, AF_INET6: system.AF_INET6}


class socket(system.socket):  # noqa: N801 (the standard class's name)
    """As socket.socket of the standard library: same methods, results, exceptions and errnos, for TCP.

    It belongs to the stack that is current where it is made (`synfin.socket.ways_to_wait.current`), or to `waiting`.
    """

    __slots__ = ("_family", "_number", "_open", "_proto", "_timeout")
    __module__ = "synfin.socket"

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        *,
        waiting: Waiting | None = None,
    ) -> None:
        self._open: OpenSocket | None = None
        #: The descriptor that `fileno` gives; -1: none yet.
        self._number = -1
        #: -1: it was the system's from the beginning.
        self._family = -1
        #: In seconds, as settimeout takes it.
        self._timeout = system.getdefaulttimeout()
        if fileno is not None:
            entry = TABLE.get(fileno) if isinstance(fileno, int) else None
            if entry is None:
                super().__init__(family, type, proto, fileno)
                return
            self._begin(entry, fileno, IPPROTO_TCP if proto == -1 else proto)
            return
        family = system.AF_INET if family == -1 else int(family)
        type = system.SOCK_STREAM if type == -1 else int(type)
        proto = 0 if proto == -1 else proto
        plain = type & ~_FLAGS_OF_TYPE
        if family in _OURS and plain == system.SOCK_STREAM and proto in (0, IPPROTO_TCP):
            waiting = waiting if waiting is not None else find_current()
            if waiting is not None:
                with waiting.lock:
                    core = calls.socket(waiting.host, _OURS[family], SOCK_STREAM, proto)
                entry = OpenSocket(waiting, core, undecided=True)
                self._begin(entry, -1, proto)
                if type & _NONBLOCK:
                    self._timeout = 0.0
                entry.nonblocking = self._timeout is not None
                return
        super().__init__(family, type, proto)

    def _begin(self, entry: OpenSocket, number: int, proto: int = 0) -> None:
        self._open = entry
        self._number = number
        # What it goes on to say when it is closed.
        self._family = _THEIRS[entry.core.family]
        self._proto = proto
        # The slots of the standard class.
        self._io_refs = 0
        self._closed = False

    @classmethod
    def of(cls, entry: OpenSocket, number: int = -1, proto: int = 0) -> Self:
        """A socket object for what is open already, under `number` if it has one."""
        made = cls.__new__(cls)
        made._begin(entry, number, proto)
        made._timeout = system.getdefaulttimeout()
        return made

    def let_go(self) -> None:
        """Forgets what it stands for, which stays open."""
        self._open = None
        self._number = CLOSED_NUMBER
        self._closed = True

    # --- what it is

    @property
    def opened(self) -> OpenSocket | None:
        """What it stands for, as long as it is ours and open."""
        return self._open

    @property
    def number(self) -> int:
        """Its descriptor, if it was given one; -1 if not."""
        return self._number

    def wait_until(self, done: Callable[[], bool], late: str) -> None:
        """Waits until `done()`, no longer than sending may take. Raises TimeoutError with the words `late`."""
        entry = self._open
        if entry is None:
            raise os_error(EBADF)
        waiting = entry.waiting
        with waiting.lock:
            if not waiting.wait_until(entry.core, done, self._deadline(waiting, entry.core.values.sndtimeo)):
                raise TimeoutError(late) if self._timeout is not None else os_error(EAGAIN)

    @property
    def family(self) -> system.AddressFamily:
        return super().family if self._family < 0 else system.AddressFamily(self._family)

    @property
    def type(self) -> system.SocketKind:
        return super().type if self._family < 0 else system.SocketKind.SOCK_STREAM

    @property
    def proto(self) -> int:
        return super().proto if self._family < 0 else self._proto

    @property
    def timeout(self) -> float | None:
        return self.gettimeout()

    def __repr__(self) -> str:
        if self._open is None:
            return super().__repr__()
        number = self._number
        words = f"<{type(self).__module__}.{type(self).__qualname__} fd={number}, family={int(self.family)}"
        words += f", type={int(self.type)}, proto={self.proto}"
        for name, call in (("laddr", self.getsockname), ("raddr", self.getpeername)):
            with suppress(OSError):
                words += f", {name}={call()}"
        return words + ">"

    def __del__(self) -> None:
        entry = getattr(self, "_open", None)
        if entry is None:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        self._real_close()

    # --- time

    def settimeout(self, value: float | None) -> None:
        if self._open is None:
            super().settimeout(value)
            return
        if value is not None:
            if not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
                raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
            value = float(value)
            if value != value:
                raise ValueError("Invalid value NaN (not a number)")
            if value < 0:
                raise ValueError("Timeout value out of range")
            if value * SECOND >= NEVER:
                raise OverflowError("timestamp too large to convert to C PyTime_t")
        self._set_timeout(self._open, value)

    def _set_timeout(self, entry: OpenSocket, value: float | None) -> None:
        with entry.waiting.lock:
            if entry.core.closed:
                # Under another name.
                raise os_error(EBADF)
            entry.set_nonblocking(value is not None)
        self._timeout = value

    def gettimeout(self) -> float | None:
        return super().gettimeout() if self._open is None else self._timeout

    def setblocking(self, flag: bool) -> None:
        if self._open is None:
            super().setblocking(flag)
        else:
            self._set_timeout(self._open, None if flag else 0.0)

    def getblocking(self) -> bool:
        return super().getblocking() if self._open is None else self._timeout != 0

    def _deadline(self, waiting: Waiting, option: int) -> int:
        """Until when a call may wait: as settimeout says, else as the `option` SO_RCVTIMEO or SO_SNDTIMEO does."""
        if self._timeout is not None:
            return waiting.now() + int(self._timeout * SECOND)
        return waiting.now() + max(option, 0) if option else NEVER

    def _late(self) -> OSError:
        """What is raised when the time is over."""
        return TimeoutError("timed out") if self._timeout is not None else os_error(EAGAIN)

    def _wait_and_call(self, entry: OpenSocket, call: Callable[[], T], bits: int, flags: int, option: int) -> T:
        """Makes `call`, which said BlockingIOError once, until it does not, or the time is over."""
        if self._timeout == 0 or flags & MSG_DONTWAIT:
            raise os_error(EAGAIN)
        waiting = entry.waiting
        deadline = self._deadline(waiting, option)
        while waiting.wait(entry.core, bits, deadline):
            try:
                return call()
            except BlockingIOError:
                pass
            except OSError:
                entry.called()
                raise
        raise self._late()

    # --- names

    def _decide(self, entry: OpenSocket, address: Address, binding: bool) -> bool:
        """Before the first address is used: whether the socket stays ours. If not, it becomes the system's."""
        octets = address_octets(address[0])
        if octets is None or entry.waiting.takes(entry.core.family, octets, address[1], binding):
            entry.undecided = False
            return True
        self._become_systems(entry)
        return False

    def _become_systems(self, entry: OpenSocket) -> None:
        family, number, inheritable = self.family, self._number, self.get_inheritable()
        super().__init__(family, system.SOCK_STREAM, self._proto)
        if number >= FIRST_NUMBER:
            # Who was given the number meant this one.
            entry.system = super().fileno()
        elif number >= 0:
            TABLE.remove(number)
            with entry.waiting.lock:
                if entry.descriptor is not None:
                    entry.descriptor.lose_number(number)
            made = super().detach()
            guards.dup2(made, number, False)
            guards.close(made)
            super().__init__(family, system.SOCK_STREAM, self._proto, number)
            self._number = -1
        self._open = None
        super().settimeout(self._timeout)
        super().set_inheritable(inheritable)
        for level, name, value in entry.options:
            super().setsockopt(level, name, value)
        entry.release()

    def _check_open(self) -> None:
        if self._number == CLOSED_NUMBER:
            raise os_error(EBADF)

    def bind(self, address: Any) -> None:
        entry = self._open
        if entry is None:
            self._check_open()
            super().bind(address)
            return
        place = address_of(entry.waiting, entry.core.family, address, "bind")
        if entry.undecided and not self._decide(entry, place, True):
            super().bind(address)
            return
        with entry.waiting.lock:
            calls.bind(entry.host, entry.core, place)
            entry.changed()

    def getsockname(self) -> Any:
        entry = self._open
        if entry is None:
            self._check_open()
            return super().getsockname()
        with entry.waiting.lock:
            return calls.getsockname(entry.host, entry.core)

    def getpeername(self) -> Any:
        entry = self._open
        if entry is None:
            self._check_open()
            return super().getpeername()
        with entry.waiting.lock:
            return calls.getpeername(entry.host, entry.core)

    # --- connecting

    def connect(self, address: Any) -> None:
        entry = self._open
        if entry is None:
            self._check_open()
            super().connect(address)
            return
        place = address_of(entry.waiting, entry.core.family, address, "connect")
        if entry.undecided and not self._decide(entry, place, False):
            super().connect(address)
            return
        waiting = entry.waiting
        host, core = entry.host, entry.core
        with waiting.lock:
            try:
                calls.connect(host, core, place, waiting.now())
            except BlockingIOError:
                entry.changed()
                if self._timeout == 0:
                    raise
                self._wait_for_connection(entry, place)
            else:
                entry.changed()

    def _wait_for_connection(self, entry: OpenSocket, place: Address) -> None:
        waiting = entry.waiting
        host, core = entry.host, entry.core
        if not waiting.wait(core, readiness.POLLOUT, self._deadline(waiting, core.values.sndtimeo)):
            raise TimeoutError("timed out") if self._timeout is not None else os_error(EINPROGRESS)
        try:
            if self._timeout is None:
                calls.connect(host, core, place, waiting.now())
            else:
                # As CPython does: the attempt goes on in the background, and this asks for its result.
                error = calls.getsockopt(host, core, SOL_SOCKET, SO_ERROR, waiting.now())
                number = int.from_bytes(error, sys.byteorder)
                if number not in (0, EISCONN):
                    raise os_error(number)
        finally:
            entry.called()

    def connect_ex(self, address: Any) -> int:
        if self._open is None:
            self._check_open()
            return super().connect_ex(address)
        try:
            # Not what a subclass makes of it.
            socket.connect(self, address)
        except system.gaierror:
            raise
        except OSError as error:
            # A time-out of settimeout's has no errno.
            return error.errno if error.errno is not None else EAGAIN
        return 0

    def listen(self, backlog: int = 128, /) -> None:
        entry = self._open
        if entry is None:
            super().listen(backlog)
            return
        waiting = entry.waiting
        entry.undecided = False
        with waiting.lock:
            # As CPython does: what is negative is none.
            calls.listen(entry.host, entry.core, max(_c_int(backlog), 0), waiting.now())
            entry.changed()

    def accept(self) -> tuple[system.socket, Any]:
        entry = self._open
        if entry is None:
            self._check_open()
            return super().accept()
        waiting = entry.waiting
        host, core = entry.host, entry.core

        def call() -> tuple[Socket, Address]:
            return calls.accept(host, core)

        with waiting.lock:
            try:
                made, address = call()
            except BlockingIOError:
                made, address = self._wait_and_call(entry, call, readiness.POLLIN, 0, core.values.rcvtimeo)
            accepted = OpenSocket(waiting, made)
            entry.called()
        return socket.of(accepted, proto=self._proto), address

    def shutdown(self, how: int, /) -> None:
        entry = self._open
        if entry is None:
            super().shutdown(how)
            return
        waiting = entry.waiting
        how = _c_int(how)
        with waiting.lock:
            try:
                calls.shutdown(entry.host, entry.core, how, waiting.now())
            finally:
                entry.changed()

    # --- sending

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        entry = self._open
        if entry is None:
            return super().send(data, flags)
        waiting = entry.waiting
        octets = data if isinstance(data, bytes) else memoryview(data).cast("B")
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
                taken = self._send_rest(entry, memoryview(octets), taken, flags)
            entry.called()
        return taken

    def _send_rest(self, entry: OpenSocket, octets: memoryview, taken: int, flags: int) -> int:
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
                taken += calls.send(host, core, octets[taken:], flags, waiting.now())
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
        octets = memoryview(data).cast("B")
        timeout = self._timeout
        taken = self.send(octets, flags) if len(octets) or timeout != 0 else 0
        if taken == len(octets):
            return
        if timeout is None:
            while taken < len(octets):
                taken += self.send(octets[taken:], flags)
            return
        # The time is for all of it together.
        entry = self._open
        if timeout == 0 or entry is None:
            raise os_error(EAGAIN)
        waiting = entry.waiting
        with waiting.lock:
            deadline = waiting.now() + int(timeout * SECOND)
            while taken < len(octets):
                if not waiting.wait(entry.core, readiness.POLLOUT, deadline):
                    raise self._late()
                try:
                    taken += calls.send(entry.host, entry.core, octets[taken:], flags, waiting.now())
                except BlockingIOError:
                    continue
                entry.called()

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
        pieces = [memoryview(one).cast("B") for one in buffers]
        flags = _c_int(flags)
        if address is not None:
            # On a stream nobody looks at it.
            address_of(entry.waiting, entry.core.family, address, "sendmsg")
        _check_control(ancdata)
        if self._timeout is None:
            return self.send(b"".join(pieces), flags)
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
        view = memoryview(buffer).cast("B")
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
        _check_room(ancbufsize, "recvmsg")
        received = self._receive(bufsize, flags)
        return b"".join(received.pieces), [], received.flags, None

    def recvmsg_into(
        self, buffers: Iterable[WriteableBuffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        if self._open is None:
            return super().recvmsg_into(buffers, ancbufsize, flags)
        views = [memoryview(one).cast("B") for one in buffers]
        if any(view.readonly for view in views):
            raise TypeError("recvmsg_into() argument 1 must be an iterable of single-segment read-write buffers")
        _check_room(ancbufsize, "recvmsg_into")
        received = self._receive(sum(map(len, views)), flags)
        data = memoryview(b"".join(received.pieces))
        for view in views:
            part = data[: len(view)]
            view[: len(part)] = part
            data = data[len(part) :]
        return received.octets, [], received.flags, None

    # --- options

    def getsockopt(self, level: int, optname: int, buflen: int | None = None, /) -> Any:
        entry = self._open
        if entry is None:
            return super().getsockopt(level, optname) if buflen is None else super().getsockopt(level, optname, buflen)
        if buflen is not None and not 0 < buflen <= 1024 and buflen != 0:
            raise OSError("getsockopt buflen out of range")
        length = buflen or 4
        with entry.waiting.lock:
            value = calls.getsockopt(entry.host, entry.core, level, optname, entry.waiting.now(), length)
            entry.called()
        return value if buflen else int.from_bytes(value.ljust(4, b"\0"), sys.byteorder, signed=True)

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None, /) -> None:
        entry = self._open
        if entry is None:
            if optlen is None:
                super().setsockopt(level, optname, value)
            else:
                super().setsockopt(level, optname, value, optlen)
            return
        if optlen is not None:
            if value is not None:
                raise TypeError(f"setsockopt() argument 3 must be None, not {type(value).__name__}")
            raise os_error(EFAULT if optlen else EINVAL)
        plain = value if isinstance(value, int) else bytes(value)
        waiting = entry.waiting
        with waiting.lock:
            calls.setsockopt(entry.host, entry.core, level, optname, plain, waiting.now())
            entry.changed()
        if entry.undecided:
            entry.options.append((level, optname, plain))

    # --- descriptors

    def fileno(self) -> int:
        entry = self._open
        if entry is None:
            return super().fileno()
        if self._number < 0:
            waiting = entry.waiting
            with waiting.lock:
                if waiting.real_descriptors and not thread.own_loops:
                    self._number = descriptor_for(entry)
                    TABLE.put(self._number, entry)
                else:
                    self._number = TABLE.number_for(entry)
        return self._number

    def dup(self) -> socket:
        if self._open is None:
            return super().dup()
        made = type(self)(fileno=dup_number(self.fileno()))
        made.settimeout(self._timeout)
        return made

    def detach(self) -> int:
        entry = self._open
        if entry is None:
            return super().detach()
        number = self.fileno()
        self.let_go()
        return number

    def get_inheritable(self) -> bool:
        if self._open is None:
            return super().get_inheritable()
        return 0 <= self._number < FIRST_NUMBER and os.get_inheritable(self._number)

    def set_inheritable(self, inheritable: bool) -> None:
        if self._open is None:
            super().set_inheritable(inheritable)
        elif 0 <= self.fileno() < FIRST_NUMBER:
            os.set_inheritable(self._number, inheritable)

    def _real_close(self, _ss: Any = system.socket) -> None:
        entry, number = self._open, self._number
        self._open = None
        self._number = CLOSED_NUMBER
        if entry is None:
            if number >= 0:
                TABLE.remove(number)
            super()._real_close()  # type: ignore[misc]
        elif number >= 0:
            TABLE.close(number)
        else:
            entry.release()


def _c_int(value: int) -> int:
    """What C takes for an int. Raises TypeError and OverflowError as the standard module does."""
    number = index(value)
    if not -(1 << 31) <= number < 1 << 31:
        raise OverflowError("Python int too large to convert to C int")
    return number


def _check_room(ancbufsize: int, call: str) -> None:
    """Raises TypeError and ValueError for what is no length of control messages."""
    if index(ancbufsize) < 0:
        raise ValueError(f"invalid ancillary data buffer length in {call}()")


def _check_control(ancdata: Iterable[Any]) -> None:
    """Raises TypeError for what is no list of control messages, and OSError with EINVAL for one that a stream of TCP
    does not take: those of SOL_SOCKET, but for what belongs to AF_UNIX. Others are of no meaning here, and ignored."""
    for message in tuple(ancdata):
        if not isinstance(message, Sequence) or len(message) != 3:
            raise TypeError("[sendmsg() argument 2] must be a sequence of 3-tuples")
        level, kind, data = message
        level, kind = _c_int(level), _c_int(kind)
        memoryview(data).release()
        if level == system.SOL_SOCKET and kind not in _OF_AF_UNIX:
            raise os_error(EINVAL)


def dup_number(number: int) -> int:
    """dup(2) of a number that is ours."""
    entry = TABLE.get(number)
    if entry is None:
        raise os_error(EBADF)
    with entry.waiting.lock:
        entry.references += 1
        if number >= FIRST_NUMBER:
            return TABLE.number_for(entry)
        made = guards.dup(number)
        TABLE.put(made, entry)
        if entry.descriptor is not None:
            entry.descriptor.numbers.add(made)
        return made


def _fill(view: memoryview, received: Received) -> None:
    at = 0
    for piece in received.pieces:
        view[at : at + len(piece)] = piece
        at += len(piece)


def _put_back(core: Socket, error: OSError) -> None:
    """What was received or sent is told first, the error by the next call."""
    if core.connection is not None and error.errno is not None:
        core.connection.error = error.errno
