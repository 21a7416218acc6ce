"""Reads scripts of packetdrill's language: the grammar is `script.lark`; what it leaves whole is read here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from synfin.drill.packets import read_flags, read_ip_fields, read_option, read_sequence
from synfin.drill.script import (
    Action,
    Anything,
    Array,
    Call,
    Code,
    Command,
    Either,
    Event,
    Expression,
    Function,
    IcmpPacket,
    IpFields,
    Number,
    Option,
    OtherPacket,
    Place,
    Script,
    ScriptError,
    Sequence,
    Structure,
    TcpOption,
    TcpPacket,
    Text,
    When,
    Word,
)

Node = Tree[Token]

#: What the grammar's terminals are called where one was expected.
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ACK": "'ack'",
        "BACKTICK": "a command in backticks",
        "BRACKET": "fields in brackets",
        "CODE": "%{ code }%",
        "COMMA": "','",
        "DIRECTION": "'<' or '>'",
        "ELLIPSIS": "'...'",
        "EQUAL": "'='",
        "ERRNO": "an errno",
        "FLAGS": "flags and sequence numbers",
        "ICMP": "'icmp'",
        "ID": "'id'",
        "LBRACE": "'{'",
        "LESSTHAN": "options in '<…>'",
        "LPAR": "'('",
        "LSQB": "'['",
        "MORETHAN": "'>'",
        "MTU": "'mtu'",
        "NOTE": "a note in parentheses",
        "NUMBER": "a number",
        "OPTION": "an option",
        "OTHER": "another protocol",
        "QUESTION": "'?'",
        "RBRACE": "'}'",
        "RPAR": "')'",
        "RSQB": "']'",
        "SEQUENCE": "sequence numbers",
        "STRING": "a string",
        "TCP_OPTION": "a TCP option",
        "TIME": "a time",
        "URG": "'urg'",
        "VALID": "'md5 valid'",
        "VBAR": "'|'",
        "WIN": "'win'",
        "WORD": "a name",
        "$END": "the end",
    }
)
_TIME: Final = re.compile(r"(\+?)\s*([\d.]+?)(?:\s*(~|\.\.\.)\s*\+?\s*(\d[\d.]*|\.\d+))?")
_OPTION: Final = re.compile(r"--?([A-Za-z_][\w-]*)(?:\s*=\s*|\s+)?(.*)", re.DOTALL)
_ESCAPES: Final[Mapping[str, str]] = MappingProxyType({"n": "\n", "r": "\r", "t": "\t"})
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[\s\S])")
_SECOND: Final = 1_000_000_000
#: A number longer than this is no time, port or length, and slow to convert.
_LONGEST_NUMBER: Final = 40


@cache
def _grammar() -> Lark:
    text = files("synfin.drill").joinpath("script.lark").read_text("utf-8")
    return Lark(text, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=True)


def parse(text: str, name: str = "script") -> Script:
    """The script that `text` is; `name` stands in errors. Raises ScriptError."""
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as error:
        raise _unexpected(error, text, name) from None
    return _Reader(text, name).script(tree)


def _unexpected(error: UnexpectedInput, text: str, name: str) -> ScriptError:
    place = Place(max(error.line, 1), max(error.column, 1))
    if isinstance(error, UnexpectedToken):
        expected = error.expected
        found = "the end" if error.token.type == "$END" else repr(_shortened(str(error.token)))
        if error.token.type == "$END":
            place = _end(text)
    elif isinstance(error, UnexpectedCharacters):
        expected = error.allowed or set()
        found = repr(_shortened(text[error.pos_in_stream or 0 :].split("\n", 1)[0]))
    else:
        expected = set(error.expected) if isinstance(error, UnexpectedEOF) else set()
        found = "the end"
        place = _end(text)
    wanted = sorted({_WORDS.get(terminal, terminal) for terminal in expected})
    return ScriptError(name, place, found, _one_of(wanted) + " could stand")


def _end(text: str) -> Place:
    return Place(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _one_of(words: list[str]) -> str:
    if not words:
        return "nothing"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _shortened(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _LONGEST_NUMBER else text[:_LONGEST_NUMBER] + "…"


class _Reader:
    """Makes values of a tree."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def script(self, tree: Node) -> Script:
        options: list[Option] = []
        events: list[Event] = []
        prologue: Command | None = None
        epilogue: Command | None = None
        for child in _trees(tree):
            if child.data == "option":
                options.append(self._option(_token(child)))
            elif child.data == "event":
                if epilogue is not None:
                    raise self._error(child, "an event", "the end should be, behind the clean-up command")
                events.append(self._event(child))
            elif not events and prologue is None:
                prologue = Command(str(_token(child))[1:-1])
            elif events and epilogue is None:
                epilogue = Command(str(_token(child))[1:-1])
            else:
                raise self._error(child, "a second command without a time", "an event could stand")
        return Script(self.name, tuple(options), prologue, tuple(events), epilogue)

    def _error(self, at: Node | Token, found: str, wanted: str) -> ScriptError:
        if isinstance(at, Token):
            return ScriptError(self.name, Place(at.line or 1, at.column or 1), found, wanted)
        return ScriptError(self.name, Place(at.meta.line, at.meta.column), found, wanted)

    def _option(self, token: Token) -> Option:
        match = _OPTION.match(token.strip())
        assert match is not None
        value = re.sub(r"\s*//.*", "", match[2]).strip()
        return Option(match[1], value or None, Place(token.line or 1, token.column or 1))

    def _event(self, tree: Node) -> Event:
        time, what = tree.children
        assert isinstance(time, Token)
        action: Action
        if isinstance(what, Token):
            action = Command(what[1:-1])
        elif what.data == "packet":
            action = self._packet(what)
        elif what.data == "call":
            action = self._call(what)
        else:
            action = Code(str(_token(what))[2:-2])
        start, stop = tree.meta.start_pos, tree.meta.end_pos
        leading = len(time) - len(time.lstrip())
        place = Place(time.line or 1, (time.column or 1) + leading)
        return Event(self._when(time), action, place, self.text[start:stop].strip())

    def _when(self, token: Token) -> When:
        text = token.strip()
        if text == "*":
            return When(any_time=True)
        match = _TIME.fullmatch(text)
        if match is None or len(text) > 2 * _LONGEST_NUMBER:
            raise self._error(token, repr(_shortened(text)), "a time could stand")
        until = None if match[4] is None else _nanoseconds(match[4])
        return When(_nanoseconds(match[2]), match[1] == "+", False, until, match[3] == "...")

    # --- packets

    def _packet(self, tree: Node) -> Action:
        direction, *parts = tree.children
        inbound = direction == "<"
        ip = IpFields()
        quoted: Sequence | None = None
        for part in parts:
            if isinstance(part, Token):
                return OtherPacket(inbound, str(part))
            if part.data == "bracket":
                bracket = _token(part)
                try:
                    quoted = read_sequence(bracket[1:-1])
                except ValueError:
                    try:
                        ip = read_ip_fields(bracket[1:-1])
                    except ValueError as wrong:
                        raise self._error(bracket, repr(str(bracket)), str(wrong)) from None
            elif part.data == "icmp":
                return self._icmp(part, inbound, ip, quoted)
            elif quoted is not None:
                raise self._error(part, "a segment", "an ICMP message should be, behind what it quotes")
            else:
                return self._tcp(part, inbound, ip)
        raise AssertionError("the grammar lets no packet end here")

    def _tcp(self, tree: Node, inbound: bool, ip: IpFields) -> TcpPacket:
        ports, flags, numbers, *rest, valid = tree.children
        assert isinstance(flags, Token)
        assert isinstance(numbers, Token)
        bits, ace = read_flags(flags)
        fields: dict[str, int] = {}
        absolute = False
        options: tuple[TcpOption, ...] | None = None
        any_options = False
        for part in rest:
            if not isinstance(part, Tree):
                continue
            if part.data == "options":
                words = [token for token in part.children if isinstance(token, Token)]
                any_options = [word.strip() for word in words] == ["..."]
                options = () if any_options else tuple(self._tcp_option(word) for word in words)
                continue
            name = str(part.data)
            if name in fields:
                raise self._error(part, f"a second '{name}'", "something else could stand")
            token = _token(part)
            absolute = absolute or (name == "ack" and token.endswith("!"))
            fields[name] = self._number(token, most=(1 << 32) - 1 if name == "ack" else 65535)
        if any_options and inbound:
            raise self._error(tree, "'<...>' on an inbound packet", "its options should stand")
        try:
            sequence = read_sequence(numbers)
        except ValueError as wrong:
            raise self._error(numbers, repr(str(numbers)), str(wrong)) from None
        if inbound and sequence.start is None:
            raise self._error(numbers, repr(str(numbers)), "an inbound packet needs its sequence numbers")
        return TcpPacket(
            inbound,
            bits,
            sequence,
            ip,
            self._ports(ports) if isinstance(ports, Tree) else None,
            ace,
            fields.get("ack"),
            absolute,
            fields.get("win"),
            fields.get("urg"),
            options,
            any_options,
            valid is not None,
        )

    def _ports(self, tree: Node) -> tuple[int, int]:
        source, destination = (self._number(token, most=65535) for token in tree.children if isinstance(token, Token))
        return source, destination

    def _tcp_option(self, token: Token) -> TcpOption:
        try:
            return read_option(token)
        except ValueError as wrong:
            raise self._error(token, repr(token.strip()), str(wrong)) from None

    def _icmp(self, tree: Node, inbound: bool, ip: IpFields, quoted: Sequence | None) -> IcmpPacket:
        words: list[str] = []
        mtu: int | None = None
        identifier: int | None = None
        for part in _trees(tree):
            token = _token(part)
            if part.data == "icmp_mtu":
                mtu = self._number(token, most=(1 << 32) - 1)
            elif part.data == "icmp_id":
                identifier = self._number(token, most=65535)
            elif part.data == "icmp_word":
                words.append(str(token))
            else:
                try:
                    quoted = read_sequence(token[1:-1])
                except ValueError as wrong:
                    raise self._error(token, repr(str(token)), str(wrong)) from None
        if not 1 <= len(words) <= 2:
            raise self._error(tree, f"{len(words)} words behind 'icmp'", "a type, and perhaps a code, could stand")
        return IcmpPacket(inbound, words[0], words[1] if len(words) > 1 else None, mtu, identifier, quoted, ip)

    def _number(self, token: Token, most: int) -> int:
        value = self._integer(token)
        if not 0 <= value <= most:
            raise self._error(token, repr(_shortened(token)), f"a number up to {most} could stand")
        return value

    def _integer(self, token: Token) -> int:
        text = token.rstrip("!")
        if len(text) > _LONGEST_NUMBER:
            raise self._error(token, "a number of too many digits", "a shorter one could stand")
        digits = text.removeprefix("-")
        # As in C: a leading zero means octal.
        octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit() and set(digits) <= set("01234567")
        value = int(digits, 8) if octal else int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
        return -value if text.startswith("-") else value

    # --- calls

    def _call(self, tree: Node) -> Call:
        name, *parts = tree.children
        result: Expression | None = None
        errno: str | None = None
        note: str | None = None
        arguments: list[Expression] = []
        for part in parts:
            if isinstance(part, Tree) and part.data == "result":
                outcome, number, words = part.children
                assert isinstance(outcome, Tree)
                result = self._outcome(outcome)
                errno = None if number is None else str(number)
                note = None if words is None else str(words)[1:-1]
            elif isinstance(part, Tree):
                arguments.append(self._expression(part))
        return Call(str(name), tuple(arguments), result, errno, note)

    def _outcome(self, tree: Node) -> Expression:
        first = tree.children[0] if tree.children else None
        if isinstance(first, Token):
            return Number(self._integer(first)) if first.type == "NUMBER" else Anything()
        return Array(tuple(self._expression(part) for part in _trees(tree)))

    def _expression(self, tree: Node) -> Expression:
        if tree.data == "either":
            parts = tuple(self._expression(part) for part in _trees(tree))
            return parts[0] if len(parts) == 1 else Either(parts)
        if tree.data == "number":
            return Number(self._integer(_token(tree)))
        if tree.data == "string":
            return Text("".join(_unescaped(token[1:-1]) for token in tree.children if isinstance(token, Token)))
        if tree.data == "word":
            return Word(str(_token(tree)))
        if tree.data == "function":
            return Function(str(_token(tree)), tuple(self._expression(part) for part in _trees(tree)))
        if tree.data == "array":
            return Array(tuple(self._expression(part) for part in _trees(tree)))
        if tree.data == "structure":
            return Structure(tuple(self._member(part) for part in _trees(tree)))
        return Anything()

    def _member(self, tree: Node) -> tuple[str, Expression]:
        first, *rest = (self._expression(part) for part in _trees(tree))
        if not rest:
            return "", first
        if isinstance(first, Word):
            return first.name, rest[0]
        if isinstance(first, Function):
            # msg_iov(1)=[…]: what stands in parentheses is the length, which the value tells too.
            return first.name, rest[0]
        raise self._error(tree, "a value", "the name of a member should be before '='")


def _trees(tree: Node) -> list[Node]:
    return [child for child in tree.children if isinstance(child, Tree)]


def _token(tree: Node) -> Token:
    for child in tree.children:
        if isinstance(child, Token):
            return child
    raise AssertionError(f"{tree.data} without a token")


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole or "0") * _SECOND + int((fraction + "000000000")[:9])


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "x":
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8) & 0xFF)
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(character, text)
