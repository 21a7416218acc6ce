"""The calls that carry octets: read, write and their relatives. Octets that a script does not name are zeros."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.calls.arguments import array, is_anything, structure
from synfin.drill.calls.syscalls import FOR_EVER, Attempt, Calls
from synfin.drill.language.notation import script_text
from synfin.drill.language.script import Anything, Expression, Text
from synfin.drill.outcome import Failed, Skipped
from synfin.host import transfer
from synfin.host.socket_option_numbers import MSG_DONTWAIT, MSG_FASTOPEN, MSG_PEEK, MSG_TRUNC
from synfin.host.sockets import Socket
from synfin.tcp.errors import os_error

Arguments = tuple[Expression, ...]

#: The most that one call of a script moves, in octets.
LARGEST: Final = 1 << 28
#: MSG_ZEROCOPY and MSG_CTRUNC and the like are for what is not here.
_ZEROCOPY: Final = 0x4000000


def size_of(run: Calls, expression: Expression) -> int:
    size = run.number(expression)
    if not 0 <= size <= LARGEST:
        raise Skipped(f"{size} octets in one call; {LARGEST} are the most")
    return size


def flags_of(run: Calls, given: Arguments, place: int) -> int:
    flags = run.number(given[place]) if len(given) > place and not is_anything(given[place]) else 0
    if flags & MSG_FASTOPEN:
        raise Skipped("Fast Open is not supported")
    if flags & _ZEROCOPY:
        raise Skipped("MSG_ZEROCOPY is not supported")
    return flags


def octets_of(run: Calls, expression: Expression, size: int) -> bytes:
    """What a buffer to be sent holds: a string, or zeros."""
    if isinstance(expression, Text):
        return expression.value.encode("latin-1", "replace").ljust(size, b"\0")[:size]
    if isinstance(expression, Anything):
        return bytes(size)
    raise Skipped(f"{script_text(expression)} is no buffer")


# --- sending


def _sending(run: Calls, given: Arguments, data: bytes, flags: int, pieces: list[bytes] | None = None) -> Attempt:
    sock, descriptor = run.socket(given[0])
    waits = not descriptor.nonblocking and not flags & MSG_DONTWAIT
    done = 0

    def again(now: int) -> int:
        nonlocal done
        try:
            if pieces is not None and not done:
                done = transfer.sendmsg(run.host, sock, pieces, flags, now)
            else:
                done += transfer.send(run.host, sock, memoryview(data)[done:], flags, now)
        except BlockingIOError:
            if waits or not done:
                raise
        except OSError:
            if not done:
                raise
            return done
        if done < len(data) and waits:
            raise os_error(errno.EAGAIN)
        return done

    def timed_out(now: int) -> int:
        if done:
            return done
        raise os_error(errno.EAGAIN)

    return Attempt(again, waits, _patience(sock.values.sndtimeo), timed_out)


def _patience(duration: int) -> int:
    return FOR_EVER if duration == 0 else max(duration, 0)


def _write(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, octets_of(run, given[1], size_of(run, given[2])), 0)


def _send(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, octets_of(run, given[1], size_of(run, given[2])), flags_of(run, given, 3))


def buffers_of(run: Calls, expression: Expression) -> list[tuple[Expression, int]]:
    """The (buffer, length) of an array of iovecs: ``{..., 1000}`` or ``{iov_base=..., iov_len=1000}``."""
    found = []
    for item in array(expression, run.machine.settings):
        members = structure(item, run.machine.settings).members
        if len(members) != 2:
            raise Skipped(f"{script_text(item)} is no iovec")
        found.append((members[0][1], size_of(run, members[1][1])))
    return found


def header_of(run: Calls, expression: Expression) -> list[tuple[Expression, int]]:
    """The buffers of a msghdr."""
    header = structure(expression, run.machine.settings)
    control = header.get("msg_control")
    if control is not None and not is_anything(control) and array(control, run.machine.settings):
        raise Skipped("control messages are not supported")
    buffers = header.get("msg_iov")
    if buffers is None:
        raise Skipped(f"{script_text(expression)} has no msg_iov")
    return buffers_of(run, buffers)


def _sendmsg(run: Calls, given: Arguments) -> Attempt:
    pieces = [octets_of(run, base, size) for base, size in header_of(run, given[1])]
    return _sending(run, given, b"".join(pieces), flags_of(run, given, 2), pieces)


def _writev(run: Calls, given: Arguments) -> Attempt:
    pieces = [octets_of(run, base, size) for base, size in buffers_of(run, given[1])]
    return _sending(run, given, b"".join(pieces), 0, pieces)


# --- receiving


class _Receiving:
    """A receive under way: the octets so far, and the flags that recvmsg tells."""

    __slots__ = ("flags", "got", "size", "sock", "told", "waits")

    def __init__(self, sock: Socket, size: int, flags: int, waits: bool) -> None:
        self.sock = sock
        self.size = size
        self.flags = flags
        self.waits = waits
        self.got: list[bytes] = []
        self.told = 0

    @property
    def count(self) -> int:
        return sum(map(len, self.got))


def _receiving(run: Calls, given: Arguments, size: int, flags: int, buffers: list[tuple[Expression, int]]) -> Attempt:
    sock, descriptor = run.socket(given[0])
    state = _Receiving(sock, size, flags, not descriptor.nonblocking and not flags & MSG_DONTWAIT)
    discarded = 0

    def again(now: int) -> int:
        nonlocal discarded
        wanted = transfer.target(sock, size, flags)
        while True:
            so_far = state.count + discarded
            try:
                received = transfer.recvmsg(run.host, sock, size - so_far, flags, now)
            except BlockingIOError:
                if so_far and not state.waits:
                    return so_far
                raise
            except OSError:
                if so_far:
                    return so_far
                raise
            state.told |= received.flags
            state.got += [bytes(piece) for piece in received.pieces]
            if flags & MSG_TRUNC:
                discarded += received.octets
            so_far = state.count + discarded
            if not received.octets or so_far >= min(wanted, size) or flags & MSG_PEEK or received.flags:
                return so_far

    def timed_out(now: int) -> int:
        if state.count + discarded:
            return state.count + discarded
        raise os_error(errno.EAGAIN)

    def check(result: int) -> None:
        rest = b"".join(state.got)
        for base, length in buffers:
            part, rest = rest[:length], rest[length:]
            if isinstance(base, Text) and base.value.encode("latin-1", "replace")[: len(part)] != part:
                raise Failed("other octets were read", script_text(base), repr(part)[:80], "syscall")

    return Attempt(again, state.waits, _patience(sock.values.rcvtimeo), timed_out, check)


def _read(run: Calls, given: Arguments) -> Attempt:
    size = size_of(run, given[2])
    return _receiving(run, given, size, 0, [(given[1], size)])


def _recv(run: Calls, given: Arguments) -> Attempt:
    size = size_of(run, given[2])
    return _receiving(run, given, size, flags_of(run, given, 3), [(given[1], size)])


def _recvmsg(run: Calls, given: Arguments) -> Attempt:
    buffers = header_of(run, given[1])
    return _receiving(run, given, sum(size for _, size in buffers), flags_of(run, given, 2), buffers)


def _readv(run: Calls, given: Arguments) -> Attempt:
    buffers = buffers_of(run, given[1])
    return _receiving(run, given, sum(size for _, size in buffers), 0, buffers)


HANDLERS: Final[Mapping[str, Callable[[Calls, Arguments], Attempt]]] = MappingProxyType(
    {
        "read": _read,
        "readv": _readv,
        "recv": _recv,
        "recvfrom": _recv,
        "recvmsg": _recvmsg,
        "write": _write,
        "writev": _writev,
        "send": _send,
        "sendto": _send,
        "sendmsg": _sendmsg,
    }
)
