"""The arguments of a script's calls as values."""

from __future__ import annotations

from synfin.drill.calls.constants import CONSTANTS
from synfin.drill.language.arithmetic import operate
from synfin.drill.language.notation import script_text
from synfin.drill.language.script import (
    Anything,
    Array,
    Either,
    Expression,
    Function,
    Number,
    Operation,
    Structure,
    Text,
    Word,
)
from synfin.drill.options import Settings
from synfin.drill.outcome import Skipped
from synfin.host.sockets import AF_INET, AF_INET6, Address


def number(expression: Expression, settings: Settings) -> int:
    """The number that an expression is. Raises Skipped for names that are not known, and for what is no number."""
    if isinstance(expression, Number):
        return expression.value
    if isinstance(expression, Word):
        if expression.name in CONSTANTS:
            return CONSTANTS[expression.name]
        raise Skipped(f"the name {expression.name} is not known")
    if isinstance(expression, Either):
        value = 0
        for part in expression.parts:
            value |= number(part, settings)
        return value
    if isinstance(expression, Operation):
        return _operated(expression, settings)
    if isinstance(expression, Function) and expression.name in ("htons", "htonl", "ntohs", "ntohl"):
        return number(_only(expression), settings)
    if isinstance(expression, Array) and len(expression.items) == 1:
        return number(expression.items[0], settings)
    raise Skipped(f"{script_text(expression)} is no number")


def _operated(operation: Operation, settings: Settings) -> int:
    operands = [number(operand, settings) for operand in operation.operands]
    if operation.operator == "~":
        return ~operands[0]
    if len(operands) != 2:
        raise Skipped(f"{script_text(operation)} is no number")
    try:
        result = operate(operation.operator, (Number(operands[0]), Number(operands[1])))
    except ValueError as error:
        raise Skipped(f"{script_text(operation)}: {error}") from None
    assert isinstance(result, Number)
    return result.value


def is_anything(expression: Expression | None) -> bool:
    """``...`` or ``?``, or nothing at all."""
    return expression is None or isinstance(expression, Anything)


def structure(expression: Expression, settings: Settings) -> Structure:
    """The structure that an expression is. Raises Skipped for anything else."""
    if isinstance(expression, Structure):
        return expression
    raise Skipped(f"{script_text(expression)} is no structure")


def array(expression: Expression, settings: Settings) -> tuple[Expression, ...]:
    """The items of an array. Raises Skipped for anything else."""
    if isinstance(expression, Array):
        return expression.items
    raise Skipped(f"{script_text(expression)} is no array")


def address(expression: Expression, settings: Settings, ip: str, port: int) -> Address | None:
    """A socket address: `ip` and `port` where the script leaves it open; None for AF_UNSPEC."""
    if isinstance(expression, Anything):
        return _pair(settings.socket_address(ip), port)
    members = structure(expression, settings)
    family_of = members.get("sa_family") or members.get("sin_family") or members.get("sin6_family")
    family = settings.family if is_anything(family_of) else number(family_of, settings)  # type: ignore[arg-type]
    if family not in (AF_INET, AF_INET6):
        return None
    port_of = members.get("sin_port") or members.get("sin6_port")
    host = members.get("sin_addr") or members.get("sin6_addr")
    chosen = port if is_anything(port_of) else number(port_of, settings)  # type: ignore[arg-type]
    text = settings.socket_address(ip) if is_anything(host) else _host(host, family, settings)  # type: ignore[arg-type]
    return _pair(text, chosen)


def _pair(text: str, port: int) -> Address:
    return (text, port, 0, 0) if ":" in text else (text, port)


def _host(expression: Expression, family: int, settings: Settings) -> str:
    if isinstance(expression, Function) and expression.name in ("inet_addr", "inet_pton", "inet6_addr"):
        last = expression.arguments[-1]
        if isinstance(last, Text):
            return last.value
    if isinstance(expression, Text):
        return expression.value
    if isinstance(expression, Function) and expression.name in ("htonl",):
        expression = expression.arguments[0]
    value = number(expression, settings)
    if value == 0:
        return "0.0.0.0" if family == AF_INET else "::"
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _only(function: Function) -> Expression:
    if len(function.arguments) != 1:
        raise Skipped(f"{function.name} takes one argument")
    return function.arguments[0]
