"""The calls of a script that carry octets or options, made to the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from synfin.drill.calls.arguments import is_anything
from synfin.drill.calls.socket_options import layout_of, same_value, value_octets
from synfin.drill.calls.syscalls import Attempt, Calls
from synfin.drill.calls.transfer import buffers_of, flags_of, header_of, octets_of, size_of
from synfin.drill.kernel.work import at_once, either, socket_of
from synfin.drill.language.notation import script_text
from synfin.drill.language.script import Expression, Text
from synfin.drill.outcome import Failed
from synfin.host.socket_option_numbers import MSG_DONTWAIT

Arguments = tuple[Expression, ...]


# --- octets


def _sending(run: Calls, given: Arguments, pieces: list[bytes], flags: int) -> Attempt:
    file = socket_of(run, given[0])
    return either(
        run,
        file.getblocking() and not flags & MSG_DONTWAIT,
        lambda: file.sendmsg(pieces, (), flags) if len(pieces) > 1 else file.send(b"".join(pieces), flags),
    )


def _write(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, [octets_of(run, given[1], size_of(run, given[2]))], 0)


def _send(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, [octets_of(run, given[1], size_of(run, given[2]))], flags_of(run, given, 3))


def _sendmsg(run: Calls, given: Arguments) -> Attempt:
    pieces = [octets_of(run, base, size) for base, size in header_of(run, given[1])]
    return _sending(run, given, pieces, flags_of(run, given, 2))


def _writev(run: Calls, given: Arguments) -> Attempt:
    return _sending(run, given, [octets_of(run, base, size) for base, size in buffers_of(run, given[1])], 0)


def _receiving(run: Calls, given: Arguments, buffers: list[tuple[Expression, int]], flags: int) -> Attempt:
    file = socket_of(run, given[0])
    size = sum(length for _, length in buffers)
    got: list[bytes] = []

    def call() -> int:
        got.append(file.recv(size, flags))
        return len(got[-1])

    def check(result: int) -> None:
        rest = got[-1]
        for base, length in buffers:
            part, rest = rest[:length], rest[length:]
            if isinstance(base, Text) and base.value.encode("latin-1", "replace")[: len(part)] != part:
                raise Failed("other octets were read", script_text(base), repr(part)[:80], "syscall")

    return either(run, file.getblocking() and not flags & MSG_DONTWAIT, call, check)


def _read(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, [(given[1], size_of(run, given[2]))], 0)


def _recv(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, [(given[1], size_of(run, given[2]))], flags_of(run, given, 3))


def _recvmsg(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, header_of(run, given[1]), flags_of(run, given, 2))


def _readv(run: Calls, given: Arguments) -> Attempt:
    return _receiving(run, given, buffers_of(run, given[1]), 0)


# --- options


def _setsockopt(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    level, name = run.number(given[1]), run.number(given[2])
    octets = value_octets(run, given[3], level, name)
    length = len(octets) if len(given) < 5 or is_anything(given[4]) else run.number(given[4])
    if 0 <= length < len(octets):
        octets = octets[:length]

    def call() -> int:
        file.setsockopt(level, name, octets)
        return 0

    return at_once(call)


def _getsockopt(run: Calls, given: Arguments) -> Attempt:
    file = socket_of(run, given[0])
    level, name = run.number(given[1]), run.number(given[2])
    layout = layout_of(level, name)
    length = layout.size if layout is not None else 4
    if len(given) > 4 and not is_anything(given[4]):
        length = max(run.number(given[4]), 1)
    found: list[bytes] = []

    def call() -> int:
        found.append(file.getsockopt(level, name, length))
        return 0

    return at_once(call, lambda result: same_value(run, given[3], found[-1], layout))


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
        "setsockopt": _setsockopt,
        "getsockopt": _getsockopt,
    }
)
