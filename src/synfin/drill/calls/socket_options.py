"""getsockopt and setsockopt in a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from struct import error as struct_error
from types import MappingProxyType
from typing import Final

from synfin.drill.calls.arguments import is_anything, structure
from synfin.drill.calls.syscalls import Attempt, Calls
from synfin.drill.language.notation import script_text
from synfin.drill.language.script import Array, Expression, Structure, Text
from synfin.drill.outcome import Failed, Skipped
from synfin.host import socket_option_numbers as numbers
from synfin.host.socket_options import BYTE_ORDER, getsockopt, setsockopt

Arguments = tuple[Expression, ...]

_two_ints: Final = Struct("=ii")
_timeval: Final = Struct("=qq")
_TIMES: Final = frozenset({numbers.SO_RCVTIMEO, numbers.SO_SNDTIMEO, numbers.SO_RCVTIMEO_NEW, numbers.SO_SNDTIMEO_NEW})
_INT: Final = 4
_MOST: Final = (1 << 32) - 1


def value_octets(run: Calls, expression: Expression, level: int, name: int) -> bytes:
    """What is set, as the octets that C would pass."""
    if isinstance(expression, Array) and len(expression.items) == 1:
        expression = expression.items[0]
    if isinstance(expression, Text):
        return expression.value.encode("latin-1", "replace")
    if isinstance(expression, Structure):
        layout = layout_of(level, name)
        values = [run.number(value) for _, value in expression.members]
        if layout is None or len(values) != 2:
            raise Skipped(f"{script_text(expression)} is not supported")
        try:
            return layout.pack(*values)
        except struct_error:
            raise Skipped(f"{script_text(expression)} does not fit") from None
    value = run.number(expression)
    if not -(1 << 31) <= value <= _MOST:
        raise Skipped(f"{value} does not fit an int")
    return value.to_bytes(_INT, BYTE_ORDER, signed=value < 0)


def layout_of(level: int, name: int) -> Struct | None:
    """That of an option which is a structure."""
    if level == numbers.SOL_SOCKET and name == numbers.SO_LINGER:
        return _two_ints
    if level == numbers.SOL_SOCKET and name in _TIMES:
        return _timeval
    return None


def _setsockopt(run: Calls, given: Arguments) -> Attempt:
    sock, _ = run.socket(given[0])
    level, name = run.number(given[1]), run.number(given[2])
    octets = value_octets(run, given[3], level, name)
    length = len(octets) if len(given) < 5 or is_anything(given[4]) else run.number(given[4])
    if 0 <= length < len(octets):
        octets = octets[:length]

    def again(now: int) -> int:
        setsockopt(run.host, sock, level, name, octets, now)
        return 0

    return Attempt(again)


def _getsockopt(run: Calls, given: Arguments) -> Attempt:
    sock, _ = run.socket(given[0])
    level, name = run.number(given[1]), run.number(given[2])
    layout = layout_of(level, name)
    length = layout.size if layout is not None else _INT
    if len(given) > 4 and not is_anything(given[4]):
        length = max(run.number(given[4]), 0)
    found: list[bytes] = []

    def again(now: int) -> int:
        found.append(getsockopt(run.host, sock, level, name, now, length))
        return 0

    def check(result: int) -> None:
        same_value(run, given[3], found[-1], layout)

    return Attempt(again, check=check)


def same_value(run: Calls, expected: Expression, octets: bytes, layout: Struct | None) -> None:
    if is_anything(expected):
        return
    if isinstance(expected, Array) and len(expected.items) == 1:
        inner = expected.items[0]
        if isinstance(inner, Structure | Text):
            expected = inner
    if isinstance(expected, Text):
        actual = octets.partition(b"\0")[0]
        if expected.value.encode("latin-1", "replace") != actual:
            raise Failed(
                "getsockopt gave another value", script_text(expected), f'"{actual.decode("latin-1")}"', "syscall"
            )
        return
    if isinstance(expected, Structure):
        if layout is None or len(octets) < layout.size:
            raise Skipped(f"{script_text(expected)} is not supported")
        wanted = [run.number(value) for _, value in structure(expected, run.machine.settings).members]
        values = list(layout.unpack_from(octets))
        if wanted != values:
            raise Failed("getsockopt gave another value", script_text(expected), str(values), "syscall")
        return
    same_number(run, "getsockopt", expected, int.from_bytes(octets[:_INT], BYTE_ORDER, signed=True))


def same_number(run: Calls, call: str, expected: Expression, actual: int) -> None:
    """Compares what a call stored where its argument points to, as an int. Raises Failed."""
    if is_anything(expected):
        return
    if isinstance(expected, Array) and len(expected.items) == 1 and is_anything(expected.items[0]):
        return
    wanted = run.number(expected)
    if (wanted - actual) & _MOST:
        raise Failed(f"{call} gave another value", f"[{wanted}]", f"[{actual}]", "syscall")


HANDLERS: Final[Mapping[str, Callable[[Calls, Arguments], Attempt]]] = MappingProxyType(
    {"setsockopt": _setsockopt, "getsockopt": _getsockopt}
)
