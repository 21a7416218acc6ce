"""The calls of a script: what each is given, when it returns, and whether that is what the script says.

A call that would wait is tried again whenever something happened, until it has its result or its time is over
(SO_RCVTIMEO, SO_SNDTIMEO, the last argument of poll).
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from synfin.drill.bench.bench import Bench
from synfin.drill.bench.machine import Machine
from synfin.drill.calls.arguments import is_anything, number
from synfin.drill.calls.constants import errno_name, errno_number
from synfin.drill.language.notation import script_text
from synfin.drill.language.script import Call, Expression
from synfin.drill.outcome import Failed, Skipped
from synfin.host.host import Host
from synfin.host.sockets import Socket
from synfin.tcp.errors import os_error

#: No limit.
FOR_EVER: Final = -1


class Polled:
    """A socket that an epoll watches: for `events`, telling `data`. `armed`: an edge was not told yet."""

    __slots__ = ("armed", "data", "events", "sock")

    def __init__(self, sock: Socket, events: int, data: Expression | None) -> None:
        self.sock = sock
        self.events = events
        self.data = data
        self.armed = True


class Epoll:
    """What epoll_create made: the sockets that it watches, by the script's descriptors."""

    __slots__ = ("watched",)

    def __init__(self) -> None:
        self.watched: dict[int, Polled] = {}


class KernelFile:
    """An open file of the kernel's. `data` is what an epoll tells of each descriptor that it watches."""

    __slots__ = ("data", "file")

    def __init__(self, file: socket.socket | select.epoll) -> None:
        self.file = file
        self.data: dict[int, Expression | None] = {}


class Descriptor:
    """What a descriptor of the script stands for."""

    __slots__ = ("nonblocking", "thing")

    def __init__(self, thing: Socket | Epoll | KernelFile, nonblocking: bool = False) -> None:
        self.thing = thing
        self.nonblocking = nonblocking


@dataclass(slots=True)
class Attempt:
    """A call under way.

    `again` makes it, with the time, and returns the result or raises OSError: BlockingIOError where there is
    something to wait for, which is done if it `waits`, for `patience` nanoseconds at most. Then `timed_out` gives its
    result. `check` looks at what a successful call gave. `made` is what a new descriptor stands for.
    """

    again: Callable[[int], int]
    waits: bool = False
    patience: int = FOR_EVER
    timed_out: Callable[[int], int] | None = None
    check: Callable[[int], None] | None = None
    made: list[Descriptor] = field(default_factory=list)
    started: int = 0

    @property
    def deadline(self) -> int | None:
        """When it gives up; None if it never does."""
        return None if self.patience == FOR_EVER else self.started + self.patience


class Calls:
    """The descriptors of a script, and the calls on them."""

    __slots__ = ("descriptors", "handlers", "machine")

    def __init__(self, machine: Bench, handlers: Mapping[str, Handler]) -> None:
        self.machine = machine
        self.handlers = handlers
        self.descriptors: dict[int, Descriptor] = {}
        if isinstance(machine, Machine):
            machine.woken = self._woken

    def _woken(self, sock: Socket) -> None:
        """Something happened on a socket: an edge for who watches it."""
        for descriptor in self.descriptors.values():
            if isinstance(descriptor.thing, Epoll):
                for polled in descriptor.thing.watched.values():
                    if polled.sock is sock:
                        polled.armed = True

    # --- what handlers use

    @property
    def host(self) -> Host:
        """The host under test, where it is synfin's."""
        assert isinstance(self.machine, Machine)
        return self.machine.host

    def number(self, expression: Expression) -> int:
        """The number that an argument is."""
        return number(expression, self.machine.settings)

    def descriptor(self, expression: Expression) -> Descriptor:
        """What the descriptor in an argument stands for. Raises OSError with EBADF for none."""
        found = self.descriptors.get(self.number(expression))
        if found is None:
            raise os_error(errno.EBADF)
        return found

    def socket(self, expression: Expression) -> tuple[Socket, Descriptor]:
        """The socket that an argument names."""
        found = self.descriptor(expression)
        if not isinstance(found.thing, Socket):
            raise os_error(errno.ENOTSOCK)
        return found.thing, found

    # --- the course of a call

    def attempt(self, call: Call) -> Attempt:
        """A call, ready to be made. Raises Skipped for one that is not supported."""
        handler = self.handlers.get(call.name)
        if handler is None:
            raise Skipped(f"the call {call.name} is not supported")
        try:
            return handler(self, call.arguments)
        except OSError as error:
            return Attempt(_raises(error))
        except IndexError:
            raise Skipped(f"{call.name} with {len(call.arguments)} arguments") from None

    def tried(self, attempt: Attempt, call: Call) -> bool:
        """Makes a call, or goes on with it. True once it has ended as the script says; raises Failed if otherwise."""
        now = self.machine.now
        try:
            result = attempt.again(now)
        except (ValueError, OverflowError) as error:
            # No such address, or no port.
            raise Skipped(f"{call.name}: {error}") from None
        except BlockingIOError as error:
            deadline = attempt.deadline
            if attempt.waits and (deadline is None or now < deadline):
                return False
            if not attempt.waits or attempt.timed_out is None:
                self._compare(call, -1, error.errno or 0, attempt)
                return True
            try:
                result = attempt.timed_out(now)
            except OSError as late:
                self._compare(call, -1, late.errno or 0, attempt)
                return True
        except OSError as error:
            self._compare(call, -1, error.errno or 0, attempt)
            return True
        self._compare(call, result, 0, attempt)
        return True

    def _compare(self, call: Call, result: int, error: int, attempt: Attempt) -> None:
        expected = call.result
        actual = f"-1 {errno_name(error)}" if error else str(result)
        wanted_error = 0 if call.errno is None else errno_number(call.errno)
        if error in (errno.ENOPROTOOPT, errno.EOPNOTSUPP) and wanted_error != error:
            self._unsupported(call)
        if not error and attempt.made:
            self._new_descriptor(call, attempt)
            return
        if is_anything(expected):
            wanted = result
        else:
            assert expected is not None
            wanted = self.number(expected)
        if wanted != result or (wanted_error and wanted_error != error):
            said = f"{script_text(expected) if expected is not None else '...'} {call.errno or ''}".strip()
            raise Failed(f"{call.name} returned {actual}", said, actual, "syscall")
        if not error and attempt.check is not None:
            attempt.check(result)

    def _unsupported(self, call: Call) -> None:
        if call.name in ("setsockopt", "getsockopt") and len(call.arguments) > 2:
            raise Skipped(f"the socket option {script_text(call.arguments[2])} is not supported")

    def _new_descriptor(self, call: Call, attempt: Attempt) -> None:
        """Any descriptor will do where the script expects one, and has the script's number from now on."""
        expected = call.result
        if is_anything(expected):
            name = max(self.descriptors, default=2) + 1
        else:
            assert expected is not None
            name = self.number(expected)
        if name < 0:
            said = f"{name} {call.errno or ''}".strip()
            raise Failed(f"{call.name} returned a descriptor", said, "a descriptor", "syscall")
        self.descriptors[name] = attempt.made[0]
        if attempt.check is not None:
            attempt.check(name)


#: How a call by its name becomes an attempt, given its arguments.
Handler: TypeAlias = Callable[[Calls, tuple[Expression, ...]], Attempt]


def _raises(error: OSError) -> Callable[[int], int]:
    def again(now: int) -> int:
        raise error

    return again
