"""Makes values of what the grammar recognises: a method for each rule of `script.lark`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

from lark import Token

from synfin.drill.language.mistakes import shortened
from synfin.drill.language.packets import (
    asks_for_valid_md5,
    join_ip_fields,
    read_flags,
    read_icmp,
    read_ip_fields,
    read_option,
    read_sequence,
)
from synfin.drill.language.script import (
    Action,
    Code,
    Command,
    IcmpPacket,
    IpFields,
    Option,
    OtherPacket,
    Place,
    Sequence,
    TcpOption,
    TcpPacket,
    When,
)
from synfin.drill.language.values import MOST_DIGITS, TokenError, Values, integer

_TIME: Final = re.compile(r"(\+?)\s*([\d.]+?)(?:\s*(~|\.\.\.)\s*\+?\s*(\d[\d.]*|\.\d+))?", re.ASCII)
_OPTION: Final = re.compile(r"(?:-(D)[ \t]*|--([\w-]+))([ \t]*=[ \t]*|[ \t]+)?([\s\S]*)", re.ASCII)
_SECOND: Final = 1_000_000_000
_MOST_32: Final = (1 << 32) - 1


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


_Packet: TypeAlias = Token | _Ports | _Field | _Options | None


class Builder(Values):
    """What the parser calls, for files and packets."""

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
                raise TokenError(token, shortened(token), str(wrong)) from None
        return _Options(tokens[0] if tokens else Token("LESSTHAN", "<"), tuple(options), False)

    def tcp(self, parts: list[_Packet]) -> TcpPacket | OtherPacket:
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
                    raise TokenError(part.token, f"a second '{part.name}'", "something else could stand")
                if inbound and part.value is None:
                    raise TokenError(part.token, "'...'", "a number could stand: an inbound packet needs one")
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
                flags, ace = _flags(part)
            elif part.type == "SEQUENCE":
                sequence = _sequence(part)
                if inbound and sequence.start is None:
                    raise TokenError(part, shortened(part), "numbers could stand: an inbound packet needs them")
            elif part.type == "VALID":
                md5_valid = True
            else:
                return OtherPacket(inbound, f"{part[1:].strip()} around TCP")
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
            md5_valid or asks_for_valid_md5(options),
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
            raise TokenError(at, shortened(at) if words else "'icmp' alone", "a type, and perhaps a code, could stand")
        kind, code = words[0], words[1] if len(words) > 1 else None
        try:
            read_icmp(kind)
        except ValueError as wrong:
            raise TokenError(kind, shortened(kind), str(wrong)) from None
        if other is not None:
            return OtherPacket(first == "<", f"{' '.join(other[1:-1].split())} quoted by ICMP")
        code_word = None if code is None else str(code)
        return IcmpPacket(first == "<", str(kind), code_word, fields.get("mtu"), fields.get("id"), quoted, ip)

    def other(self, parts: list[Token | _Ports | None]) -> OtherPacket:
        return OtherPacket(parts[0] == "<", str(parts[-1]).rstrip())


_QUOTED: Final = re.compile(r"[\[(]\s*(?:-?\d|\.\.\.)", re.ASCII)
_OTHER_QUOTED: Final = re.compile(r"[\[(]\s*(?:udp|udplite|sctp|ipv4|ipv6|gre|mpls)\b")


def _when(token: Token) -> When:
    if token == "*":
        return When(any_time=True)
    match = _TIME.fullmatch(token)
    if match is None or len(token) > 2 * MOST_DIGITS:
        raise TokenError(token, shortened(token), "a time such as +0.1 could stand")
    start = _nanoseconds(match[2])
    if match[4] is None:
        return When(start, match[1] == "+")
    until = _nanoseconds(match[4])
    if until < start:
        raise TokenError(token, shortened(token), "a window that ends after its beginning could stand")
    return When(start, match[1] == "+", False, until, match[3] == "...")


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole or "0") * _SECOND + int((fraction + "000000000")[:9])


def _number(token: Token, most: int) -> int:
    value = integer(token)
    if not 0 <= value <= most:
        raise TokenError(token, shortened(token), f"a number up to {most} could stand")
    return value


def _field(name: str, token: Token, most: int) -> _Field:
    if token.type == "ELLIPSIS":
        return _Field(name, token, None)
    absolute = token.endswith("!")
    if absolute and name != "ack":
        raise TokenError(token, shortened(token), "a number without '!' could stand")
    return _Field(name, token, _number(token, most), absolute)


def _ip_fields(token: Token, before: IpFields) -> IpFields:
    try:
        return join_ip_fields(before, read_ip_fields(token[1:-1]))
    except ValueError as wrong:
        raise TokenError(token, shortened(token), str(wrong)) from None


def _flags(token: Token) -> tuple[int, int | None]:
    try:
        return read_flags(token)
    except ValueError as wrong:
        raise TokenError(token, shortened(token), str(wrong)) from None


def _sequence(token: Token, margin: int = 0) -> Sequence:
    try:
        return read_sequence(token[margin : len(token) - margin])
    except ValueError as wrong:
        raise TokenError(token, shortened(token), str(wrong)) from None


def _given(clause: _Options) -> None:
    """An inbound segment says all that it carries."""
    if clause.any_options or any(option.unchecked for option in clause.options):
        raise TokenError(clause.token, shortened(clause.token), "options could stand: an inbound packet needs its own")
