"""Makes values of what the grammar recognises: a method for each rule of `script.lark`, called as soon as it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from lark import Token, Transformer

from synfin.drill.arithmetic import joined, operate
from synfin.drill.mistakes import shortened
from synfin.drill.packets import join_ip_fields, read_flags, read_icmp, read_ip_fields, read_option, read_sequence
from synfin.drill.script import (
    Action,
    Anything,
    Array,
    Call,
    Code,
    Command,
    Either,
    Expression,
    Function,
    IcmpPacket,
    IpFields,
    Number,
    Option,
    OtherPacket,
    Place,
    Sequence,
    Structure,
    TcpOption,
    TcpPacket,
    Text,
    When,
    Word,
)

_TIME: Final = re.compile(r"(\+?)\s*([\d.]+?)(?:\s*(~|\.\.\.)\s*\+?\s*(\d[\d.]*|\.\d+))?", re.ASCII)
_OPTION: Final = re.compile(r"(?:-(D)[ \t]*|--([\w-]+))([ \t]*=[ \t]*|[ \t]+)?([\s\S]*)", re.ASCII)
_ESCAPES: Final[Mapping[str, str]] = MappingProxyType(
    {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[\s\S])")
_SECOND: Final = 1_000_000_000
#: What is longer is no number of the language, and slow to convert.
_MOST_DIGITS: Final = 40
_MOST_32: Final = (1 << 32) - 1


class Wrong(Exception):
    """What the grammar lets pass and the language does not: at a token, what stands there and what could."""

    def __init__(self, token: Token, found: str, wanted: str) -> None:
        super().__init__(found, wanted)
        self.token = token
        self.found = found
        self.wanted = wanted


class Timed(NamedTuple):
    """An event before it has a place."""

    when: When
    action: Action


class Part(NamedTuple):
    """A part of a file, and the token with which it begins."""

    token: Token
    value: Timed | Option | Command


class _Field(NamedTuple):
    """A field of a packet: ``ack 1``. The value of ``...`` is None."""

    name: str
    token: Token
    value: int | None
    absolute: bool = False


class _Options(NamedTuple):
    """The clause in ``<…>``."""

    token: Token
    options: tuple[TcpOption, ...]
    any_options: bool


class _Ports(NamedTuple):
    source: int
    destination: int


class _Result(NamedTuple):
    value: Expression
    errno: str | None
    note: str | None


_Packet: TypeAlias = Token | _Ports | _Field | _Options | None


class Builder(Transformer[Token, object]):
    """What the parser calls. It has no state: what a method makes depends on what it is given alone."""

    def start(self, parts: list[Part]) -> list[Part]:
        return parts

    def option(self, parts: list[Token]) -> Part:
        (token,) = parts
        match = _OPTION.fullmatch(token)
        assert match is not None
        value = match[4] if match[3] or match[4] else None
        if value is not None:
            # The quotes hold a value together, in one piece as in NAME="a b", and are no part of it.
            value = re.sub(r'"((?:[^"\\]|\\.)*)"$', r"\1", value)
        return Part(token, Option(match[1] or match[2], value, Place(1, 1)))

    def command(self, parts: list[Token]) -> Part:
        return Part(parts[0], Command(parts[0][1:-1]))

    def event(self, parts: list[object]) -> Part:
        time, action = parts
        assert isinstance(time, Token)
        return Part(time, Timed(_when(time), action))  # type: ignore[arg-type]

    def code(self, parts: list[Token]) -> Code:
        return Code(parts[0][2:-2])

    def act(self, parts: list[Token]) -> Command:
        return Command(parts[0][1:-1])

    # --- packets

    def ports(self, parts: list[Token]) -> _Ports:
        return _Ports(_number(parts[0], 65535), _number(parts[1], 65535))

    def ack(self, parts: list[Token]) -> _Field:
        return _field("ack", parts[0], _MOST_32)

    def win(self, parts: list[Token]) -> _Field:
        return _field("win", parts[0], 65535)

    def urg(self, parts: list[Token]) -> _Field:
        return _field("urg", parts[0], 65535)

    def mtu(self, parts: list[Token]) -> _Field:
        return _field("mtu", parts[0], _MOST_32)

    def identifier(self, parts: list[Token]) -> _Field:
        return _field("id", parts[0], 65535)

    def options(self, parts: list[Token | None]) -> _Options:
        tokens = [part for part in parts if part is not None]
        if [token.strip() for token in tokens] == ["..."]:
            return _Options(tokens[0], (), True)
        options: list[TcpOption] = []
        for token in tokens:
            try:
                options.append(read_option(token))
            except ValueError as wrong:
                raise Wrong(token, shortened(token), str(wrong)) from None
        return _Options(tokens[0] if tokens else Token("LESSTHAN", "<"), tuple(options), False)

    def tcp(self, parts: list[_Packet]) -> TcpPacket:
        inbound = parts[0] == "<"
        ip = IpFields()
        ports: tuple[int, int] | None = None
        flags, ace = 0, None
        sequence = Sequence(0, 0, 0)
        fields: dict[str, _Field] = {}
        clause: _Options | None = None
        md5_valid = False
        for part in parts[1:]:
            if isinstance(part, _Field):
                if part.name in fields:
                    raise Wrong(part.token, f"a second '{part.name}'", "something else could stand")
                if inbound and part.value is None:
                    raise Wrong(part.token, "'...'", "an inbound packet needs a number")
                fields[part.name] = part
            elif isinstance(part, _Options):
                clause = part
            elif isinstance(part, _Ports):
                ports = (part.source, part.destination)
            elif part is None:
                continue
            elif part.type == "BRACKET":
                ip = _ip_fields(part, ip)
            elif part.type == "FLAGS":
                flags, ace = read_flags(part)
            elif part.type == "SEQUENCE":
                sequence = _sequence(part)
                if inbound and sequence.start is None:
                    raise Wrong(part, shortened(part), "an inbound packet needs its sequence numbers")
            else:
                md5_valid = True
        if inbound and clause is not None:
            _given(clause)
        ack, window, urgent = (fields.get(name) for name in ("ack", "win", "urg"))
        options = None if clause is None else clause.options
        return TcpPacket(
            inbound,
            flags,
            sequence,
            ip,
            ports,
            ace,
            None if ack is None else ack.value,
            ack is not None and ack.absolute,
            None if window is None else window.value,
            None if urgent is None else urgent.value,
            options,
            clause is not None and clause.any_options,
            md5_valid or any(option.name == "md5" and option.octets is None for option in options or ()),
        )

    def icmp(self, parts: list[Token | _Field]) -> IcmpPacket | OtherPacket:
        ip = IpFields()
        quoted: Sequence | None = None
        words: list[Token] = []
        fields: dict[str, int | None] = {}
        other: Token | None = None
        for part in parts[1:]:
            if isinstance(part, _Field):
                fields[part.name] = part.value
            elif part.type == "WORD":
                words.append(part)
            elif part.type == "SEQUENCE":
                quoted = _sequence(part)
            elif _OTHER_QUOTED.match(part):
                other = part
            elif _QUOTED.match(part):
                quoted = _sequence(part, 1)
            else:
                ip = _ip_fields(part, ip)
        first = parts[0]
        assert isinstance(first, Token)
        if not words or len(words) > 2:
            at = words[2] if words else first
            raise Wrong(at, shortened(at) if words else "'icmp' alone", "a type, and perhaps a code, could stand")
        kind, code = words[0], words[1] if len(words) > 1 else None
        try:
            read_icmp(kind)
        except ValueError as wrong:
            raise Wrong(kind, shortened(kind), str(wrong)) from None
        if other is not None:
            return OtherPacket(first == "<", f"icmp that quotes {other[1:-1].strip()}")
        code_word = None if code is None else str(code)
        return IcmpPacket(first == "<", str(kind), code_word, fields.get("mtu"), fields.get("id"), quoted, ip)

    def other(self, parts: list[Token | _Ports | None]) -> OtherPacket:
        return OtherPacket(parts[0] == "<", str(parts[-1]).rstrip())

    # --- calls

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

    def outcome(self, parts: list[Expression]) -> Expression:
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def expressions(self, parts: list[Expression | None]) -> list[Expression]:
        return [part for part in parts if part is not None]

    def operation(self, parts: list[Expression | Token]) -> Expression:
        return joined(parts, _operated)

    def unary(self, parts: list[Expression | Token]) -> Expression:
        operator, operand = parts
        assert isinstance(operator, Token)
        return _operated(operator, (operand,))  # type: ignore[arg-type]

    def group(self, parts: list[Expression]) -> Expression:
        return parts[0]

    def anything(self, parts: list[Token]) -> Anything:
        return Anything()

    def number(self, parts: list[Token]) -> Number:
        return Number(_integer(parts[0], octal=True))

    def character(self, parts: list[Token]) -> Number:
        text = _unescaped(parts[0][1:-1])
        if len(text) != 1:
            raise Wrong(parts[0], shortened(parts[0]), "a character of one octet could stand")
        return Number(ord(text))

    def string(self, parts: list[Token]) -> Text:
        return Text("".join([_unescaped(part[1:-1]) for part in parts]))

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
        raise Wrong(equal, "'='", "',' or '}' could stand: a member's name is a word")


_QUOTED: Final = re.compile(r"[\[(]\s*(?:-?\d|\.\.\.)", re.ASCII)
_OTHER_QUOTED: Final = re.compile(r"[\[(]\s*(?:udp|udplite|sctp|ipv4|ipv6|gre|mpls)\b")


def _when(token: Token) -> When:
    if token == "*":
        return When(any_time=True)
    match = _TIME.fullmatch(token)
    if match is None or len(token) > 2 * _MOST_DIGITS:
        raise Wrong(token, shortened(token), "a time such as +0.1 could stand")
    start = _nanoseconds(match[2])
    if match[4] is None:
        return When(start, match[1] == "+")
    until = _nanoseconds(match[4])
    if until < start:
        raise Wrong(token, shortened(token), "a window that ends after its beginning could stand")
    return When(start, match[1] == "+", False, until, match[3] == "...")


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole or "0") * _SECOND + int((fraction + "000000000")[:9])


def _integer(token: Token, octal: bool = False) -> int:
    text = token.rstrip("!")
    if len(text) > _MOST_DIGITS:
        raise Wrong(token, "a number of too many digits", "a shorter one could stand")
    digits = text.removeprefix("-")
    if octal and len(digits) > 1 and digits[0] == "0" and set(digits) <= set("01234567"):
        # As in C, for the sake of open's modes.
        value = int(digits, 8)
    else:
        value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    return -value if text.startswith("-") else value


def _number(token: Token, most: int) -> int:
    value = _integer(token)
    if not 0 <= value <= most:
        raise Wrong(token, shortened(token), f"a number up to {most} could stand")
    return value


def _field(name: str, token: Token, most: int) -> _Field:
    if token.type == "ELLIPSIS":
        return _Field(name, token, None)
    absolute = token.endswith("!")
    if absolute and name != "ack":
        raise Wrong(token, shortened(token), "a number without '!' could stand")
    return _Field(name, token, _number(token, most), absolute)


def _ip_fields(token: Token, before: IpFields) -> IpFields:
    try:
        return join_ip_fields(before, read_ip_fields(token[1:-1]))
    except ValueError as wrong:
        raise Wrong(token, shortened(token), str(wrong)) from None


def _sequence(token: Token, margin: int = 0) -> Sequence:
    try:
        return read_sequence(token[margin : len(token) - margin])
    except ValueError as wrong:
        raise Wrong(token, shortened(token), str(wrong)) from None


def _given(clause: _Options) -> None:
    """An inbound segment says all that it carries."""
    if clause.any_options or any(option.unchecked for option in clause.options):
        raise Wrong(clause.token, shortened(clause.token), "an inbound packet needs its options")


def _operated(operator: Token, operands: tuple[Expression, ...]) -> Expression:
    try:
        return operate(operator, operands)
    except ValueError as wrong:
        raise Wrong(operator, shortened(operator), str(wrong)) from None


def _unescaped(text: str) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("latin-1")
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x":
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return "" if code == "\n" else _ESCAPES.get(code, code)
