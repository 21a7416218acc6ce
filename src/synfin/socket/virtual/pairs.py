"""socket.socketpair: two sockets of the system's, on which a program may wait without holding everybody up."""

from __future__ import annotations

import selectors
import socket as system
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from synfin.socket.socket_base import SYSTEM_SOCKET
from synfin.socket.system import SystemSelector
from synfin.socket.virtual.baton import here
from synfin.tcp.parameters import SECOND
from synfin.tcp.timers import NEVER

if TYPE_CHECKING:
    from socket import socket as SystemSocket  # noqa: N812

    from _typeshed import ReadableBuffer, WriteableBuffer
else:
    SystemSocket = SYSTEM_SOCKET

T = TypeVar("T")
READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE


class PairedSocket(SystemSocket):
    """One of a pair. The system never waits for it; the program does, in virtual time."""

    def __init__(self, family: int, type: int, proto: int, fileno: int) -> None:
        super().__init__(family, type, proto, fileno)
        self._time_out: float | None = system.getdefaulttimeout()
        super().setblocking(False)

    def settimeout(self, value: float | None) -> None:
        self._time_out = value

    def gettimeout(self) -> float | None:
        return self._time_out

    def setblocking(self, flag: bool) -> None:
        self._time_out = None if flag else 0.0

    def getblocking(self) -> bool:
        return self._time_out != 0

    @property
    def timeout(self) -> float | None:
        return self._time_out

    def _call(self, call: Callable[[], T], event: int) -> T:
        """Makes `call` as soon as it need not wait."""
        strand = here()
        if strand is None or self._time_out == 0:
            return call()
        now = strand.baton.network.now
        deadline = NEVER if self._time_out is None else now + int(self._time_out * SECOND)
        while True:
            try:
                return call()
            except BlockingIOError:
                if strand.baton.network.now >= deadline:
                    raise TimeoutError("timed out") from None
            with SystemSelector() as selector:
                selector.register(self.fileno(), event)
                strand.baton.wait(deadline, _the_other, selector)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        receive = super().recv
        return self._call(lambda: receive(bufsize, flags), READ)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        receive = super().recv_into
        return self._call(lambda: receive(buffer, nbytes, flags), READ)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> Any:
        receive = super().recvmsg
        return self._call(lambda: receive(bufsize, ancbufsize, flags), READ)

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        send = super().send
        return self._call(lambda: send(data, flags), WRITE)

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.send(rest, flags) :]


def _the_other() -> str:
    return "a socket"


def make_socketpair(before: Any) -> Callable[..., tuple[Any, Any]]:
    """socket.socketpair."""

    def socketpair(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        first, second = before(*args, **kwargs)
        if here() is None:
            return first, second
        return _paired(first), _paired(second)

    return socketpair


def _paired(one: system.socket) -> PairedSocket:
    family, kind, proto = one.family, one.type, one.proto
    return PairedSocket(family, kind, proto, one.detach())
