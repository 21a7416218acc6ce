"""Real sockets behind the descriptors of a script, and how calls are made on them.

What may wait runs on a thread of its own, meanwhile packets go on; all else is made where the runner is.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Final

from synfin.drill.bench.numbers import Numbers
from synfin.drill.calls.syscalls import Attempt, Calls, Descriptor, Handler, KernelFile
from synfin.drill.kernel.bench import KernelBench
from synfin.drill.language.script import Expression
from synfin.drill.outcome import Skipped
from synfin.tcp.errors import os_error
from synfin.tcp.info import TcpInfo

_CLOSE: Final = 7  # TCP_CLOSE
_INFO_LENGTH: Final = 512
#: Seconds that a call may take to notice that its socket is closed.
_PATIENCE: Final = 1.0


class KernelCalls(Calls):
    """The descriptors of a script, which are real ones here, and the calls on them."""

    __slots__ = ("bench", "threads")

    def __init__(self, bench: KernelBench, handlers: Mapping[str, Handler]) -> None:
        super().__init__(bench, handlers)
        self.bench = bench
        self.threads: list[Thread] = []

    def close(self) -> None:
        """Closes all that is open, which ends what waits, and the bench."""
        for descriptor in self.descriptors.values():
            file = file_of(descriptor)
            if isinstance(file, socket.socket):
                try:
                    file.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
                    file.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            file.close()
        for thread in self.threads:
            thread.join(_PATIENCE)
        self.bench.close(any(thread.is_alive() for thread in self.threads))

    def info(self) -> TcpInfo:
        """TCP_INFO of the connection under test; of a listener before there is one."""
        numbers = self.bench.numbers
        for descriptor in self.descriptors.values():
            file = file_of(descriptor)
            if isinstance(file, socket.socket) and (numbers is None or _is_of(file, numbers)):
                return TcpInfo.unpack(file.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_LENGTH))
        info = TcpInfo()
        info.set("tcpi_state", _CLOSE)
        return info


def _is_of(file: socket.socket, numbers: Numbers) -> bool:
    """Whether a socket has that connection."""
    if file.getsockname()[1] != numbers.local[1] or file.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    try:
        return bool(file.getpeername()[1] == numbers.remote[1])
    except OSError:
        # None, or not yet.
        return True


def file_of(descriptor: Descriptor) -> socket.socket | select.epoll:
    thing = descriptor.thing
    assert isinstance(thing, KernelFile)
    return thing.file


def real(run: Calls) -> KernelCalls:
    assert isinstance(run, KernelCalls)
    return run


def socket_of(run: Calls, expression: Expression) -> socket.socket:
    file = file_of(run.descriptor(expression))
    if not isinstance(file, socket.socket):
        raise os_error(errno.ENOTSOCK)
    return file


def epoll_of(run: Calls, expression: Expression) -> tuple[select.epoll, KernelFile]:
    thing = run.descriptor(expression).thing
    assert isinstance(thing, KernelFile)
    if not isinstance(thing.file, select.epoll):
        raise os_error(errno.EINVAL)
    return thing.file, thing


# --- making a call


def _made(call: Callable[[], int]) -> int:
    """The result of a call. Raises Skipped for arguments that Python does not pass on."""
    try:
        return call()
    except (socket.gaierror, TypeError, ValueError, OverflowError) as error:
        raise Skipped(f"the call cannot be made to the kernel: {error}") from None


class _Work:
    """A call on a thread of its own."""

    __slots__ = ("_call", "_wake", "done", "error", "result", "thread")

    def __init__(self, call: Callable[[], int], wake: int) -> None:
        self._call = call
        self._wake = wake
        self.result = 0
        self.error: Exception | None = None
        self.done = False
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = _made(self._call)
        except Exception as error:
            self.error = error
        self.done = True
        os.eventfd_write(self._wake, 1)


def at_once(call: Callable[[], int], check: Callable[[int], None] | None = None) -> Attempt:
    """A call that does not wait."""
    return Attempt(lambda now: _made(call), check=check)


def waits(
    run: Calls,
    call: Callable[[], int],
    check: Callable[[int], None] | None = None,
    made: list[Descriptor] | None = None,
) -> Attempt:
    """A call that may wait, until the kernel lets it return."""
    bench = real(run).bench
    work: list[_Work] = []

    def again(now: int) -> int:
        if not work:
            work.append(_Work(call, bench.wake))
            real(run).threads.append(work[0].thread)
            bench.pause()
        if not work[0].done:
            raise os_error(errno.EAGAIN)
        # What the call itself says is final, EAGAIN too.
        attempt.waits = False
        if work[0].error is not None:
            raise work[0].error
        return work[0].result

    attempt = Attempt(again, True, check=check, made=[] if made is None else made)
    return attempt


def either(
    run: Calls,
    may_wait: bool,
    call: Callable[[], int],
    check: Callable[[int], None] | None = None,
    made: list[Descriptor] | None = None,
) -> Attempt:
    if may_wait:
        return waits(run, call, check, made)
    attempt = at_once(call, check)
    attempt.made = [] if made is None else made
    return attempt
