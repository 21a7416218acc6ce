"""Calls and their values, made of what the grammar recognises: a method for each rule of `script.lark`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from lark import Token, Transformer

from synfin.drill.language.arithmetic import joined, operate
from synfin.drill.language.mistakes import shortened
from synfin.drill.language.script import Anything, Array, Call, Expression, Function, Number, Structure, Text, Word

_ESCAPES: Final[Mapping[str, str]] = MappingProxyType(
    {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[\s\S])")
#: What is longer is no number of the language, and slow to convert.
MOST_DIGITS: Final = 40


class TokenError(Exception):
    """What the grammar lets pass and the language does not: at a token, what stands there and what could."""

    def __init__(self, token: Token, found: str, wanted: str) -> None:
        super().__init__(found, wanted)
        self.token = token
        self.found = found
        self.wanted = wanted


class _Result(NamedTuple):
    value: Expression
    errno: str | None
    note: str | None


class Values(Transformer[Token, object]):
    """What the parser calls. It has no state: what a method makes depends on what it is given alone."""

    def call(self, parts: list[object]) -> Call:
        name, arguments, result = parts
        given: tuple[Expression, ...] = () if arguments is None else tuple(arguments)  # type: ignore[arg-type]
        if isinstance(result, _Result):
            return Call(str(name), given, result.value, result.errno, result.note)
        return Call(str(name), given, None)

    def result(self, parts: list[object]) -> _Result:
        value, errno, note = parts
        return _Result(
            value,  # type: ignore[arg-type]
            None if errno is None else str(errno),
            None if note is None else " ".join(str(note)[1:-1].split()),
        )

    def outcome(self, parts: list[Expression | Token]) -> Expression:
        return self.operation(parts)

    def expressions(self, parts: list[Expression | None]) -> list[Expression]:
        return [part for part in parts if part is not None]

    def operation(self, parts: list[Expression | Token]) -> Expression:
        if len(parts) == 1 and not isinstance(parts[0], Token):
            return parts[0]
        try:
            return joined(parts, _operated)
        except ValueError as wrong:
            operators = [part for part in parts if isinstance(part, Token)]
            raise TokenError(operators[0], f"{len(operators)} operators", str(wrong)) from None

    def unary(self, parts: list[Expression | Token]) -> Expression:
        operator, operand = parts
        assert isinstance(operator, Token)
        return _operated(operator, (operand,))  # type: ignore[arg-type]

    def group(self, parts: list[Expression]) -> Expression:
        return parts[0]

    def anything(self, parts: list[Token]) -> Anything:
        return Anything()

    def number(self, parts: list[Token]) -> Number:
        return Number(integer(parts[0], octal=True))

    def character(self, parts: list[Token]) -> Number:
        text = _unescaped(parts[0])
        if len(text) != 1:
            raise TokenError(parts[0], shortened(parts[0]), "a character of one octet could stand")
        return Number(ord(text))

    def string(self, parts: list[Token]) -> Text:
        return Text("".join([_unescaped(part) for part in parts]))

    def word(self, parts: list[Token]) -> Word:
        return Word(" ".join(parts[0].split()))

    def function(self, parts: list[object]) -> Function:
        name, arguments = parts
        return Function(str(name), () if arguments is None else tuple(arguments))  # type: ignore[arg-type]

    def array(self, parts: list[list[Expression] | None]) -> Array:
        return Array(tuple(parts[0] or ()))

    def structure(self, parts: list[tuple[str, Expression] | None]) -> Structure:
        return Structure(tuple(part for part in parts if part is not None))

    def member(self, parts: list[Expression | Token | None]) -> tuple[str, Expression]:
        name, equal, value = parts
        assert not isinstance(name, Token)
        assert name is not None
        if not isinstance(equal, Token):
            return "", name
        assert value is not None
        assert not isinstance(value, Token)
        if isinstance(name, Word | Function):
            # msg_iov(1)=[…]: what stands in parentheses is the length, which the value tells too.
            return name.name, value
        raise TokenError(equal, "'='", "',' or '}' could stand: a member's name is a word")


def integer(token: Token, octal: bool = False) -> int:
    """A number of the script, `octal` with a leading zero if that is asked for. Raises TokenError."""
    text = token.rstrip("!")
    if len(text) > MOST_DIGITS:
        raise TokenError(token, "a number of too many digits", "a shorter one could stand")
    digits = text.removeprefix("-")
    if octal and len(digits) > 1 and digits[0] == "0" and set(digits) <= set("01234567"):
        # As in C, for the sake of open's modes.
        value = int(digits, 8)
    else:
        value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    return -value if text.startswith("-") else value


def _operated(operator: Token, operands: tuple[Expression, ...]) -> Expression:
    try:
        return operate(operator, operands)
    except ValueError as wrong:
        raise TokenError(operator, shortened(operator), str(wrong)) from None


def _unescaped(token: Token) -> str:
    """What stands between the quotes, as octets."""
    text = token[1:-1]
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("latin-1")
    if "\\" not in text:
        return text
    try:
        return _ESCAPE.sub(_escaped, text)
    except ValueError as wrong:
        raise TokenError(token, shortened(token), str(wrong)) from None


def _escaped(match: re.Match[str]) -> str:
    code = match[1]
    if code == "x":
        raise ValueError("hexadecimal digits could stand behind '\\x'")
    if code[0] == "x":
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return "" if code == "\n" else _ESCAPES.get(code, code)
