"""What sockets of ours have in common: what they stand for, how long they wait, their options and descriptors."""

from __future__ import annotations

import os
import socket as system
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from errno import EAGAIN, EBADF, EFAULT, EINVAL
from typing import Any, Final, Self, TypeVar

from synfin.host import calls
from synfin.host.socket_option_numbers import MSG_DONTWAIT
from synfin.host.sockets import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM
from synfin.socket import guards
from synfin.socket.descriptor import descriptor_for
from synfin.socket.open_sockets import FIRST_NUMBER, TABLE, OpenSocket
from synfin.socket.ways_to_wait import Waiting, find_current, thread
from synfin.tcp.errors import os_error
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER

T = TypeVar("T")

#: The standard class, whatever is in its place now.
SYSTEM_SOCKET: Final = system.socket

_FLAGS_OF_TYPE: Final = getattr(system, "SOCK_NONBLOCK", 0) | getattr(system, "SOCK_CLOEXEC", 0)
_NONBLOCK: Final = getattr(system, "SOCK_NONBLOCK", 0)
#: Of a socket that was ours, and is closed.
CLOSED_NUMBER: Final = -2
#: Linux's numbers, which the core has on every platform.
_OURS: Final[dict[int, int]] = {system.AF_INET: AF_INET, system.AF_INET6: AF_INET6}
_THEIRS: Final = {AF_INET: system.AF_INET, AF_INET6: system.AF_INET6}


class SocketBase(system.socket):
    """A socket of ours, or one of the system's: then nothing is `opened`, and every call goes to the base class."""

    __slots__ = ("_family", "_number", "_open", "_proto", "_timeout")

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
        if not entry.waiting.abandoned:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        number = self._number
        self.let_go()
        entry.waiting.drop(lambda: TABLE.close(number) if number >= 0 else entry.release())

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
            # As the system's descriptors keep it.
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

    def _check_open(self) -> None:
        if self._number == CLOSED_NUMBER:
            raise os_error(EBADF)

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

    def dup(self) -> Self:
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
