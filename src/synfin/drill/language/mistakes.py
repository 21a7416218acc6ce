"""What is said of a script that cannot be parsed: what stands there, and what could."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from synfin.drill.language.script import ScriptError
from synfin.drill.language.source import place_in

#: What the grammar's terminals are called where one was expected, in the order in which they are told.
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OPTION": "an option such as --mtu=1500",
        "TIME": "a time such as +0.1",
        "FLAGS": "flags such as S or P.",
        "SEQUENCE": "sequence numbers such as 1:1001(1000)",
        "ICMP": "'icmp'",
        "OTHER": "another protocol",
        "DIRECTION": "a packet with '<' or '>'",
        "ACK": "'ack'",
        "WIN": "'win'",
        "URG": "'urg'",
        "MTU": "'mtu'",
        "ID": "'id'",
        "LESSTHAN": "options in '<…>'",
        "TCP_OPTION": "a TCP option",
        "BRACKET": "fields of the IP header in brackets",
        "WORD": "a name",
        "NUMBER": "a number",
        "CHARACTER": "a character",
        "STRING": "a string",
        "ERRNO": "an errno such as EAGAIN",
        "NOTE": "a remark in parentheses",
        "ELLIPSIS": "'...'",
        "QUESTION": "'?'",
        "EQUAL": "'='",
        "COMMA": "','",
        "LPAR": "'('",
        "RPAR": "')'",
        "LSQB": "'['",
        "RSQB": "']'",
        "LBRACE": "'{'",
        "RBRACE": "'}'",
        "MORETHAN": "'>'",
        "OPERATOR": "an operator such as '|'",
        "TILDE": "'~'",
        "AMPERSAND": "'&'",
        "CODE": "code in %{…}%",
        "BACKTICK": "a command in backticks",
        "$END": "the end",
    }
)
_VALUE: Final = frozenset({"ELLIPSIS", "NUMBER", "STRING", "WORD", "LSQB", "LBRACE"})
_OUTCOME: Final = frozenset({"ELLIPSIS", "NUMBER", "WORD", "LSQB"})
_AFTER_EVENT: Final = frozenset({"TIME", "BACKTICK", "$END"})
_FOUND: Final = re.compile(r"[A-Za-z_][\w-]*|[-+]*[\w.]+|\S")
_LONGEST: Final = 40


def shortened(text: str) -> str:
    """`text` in quotes on one line, and not all of it if it is long."""
    text = text.strip()
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def mistake(error: UnexpectedInput, text: str, name: str) -> ScriptError:
    """What the parser's complaint about `text` says to the author of the script."""
    expected: set[str] = set()
    position = len(text)
    if isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected)
        if error.token.type != "$END" and error.token.start_pos is not None:
            position = error.token.start_pos
    elif isinstance(error, UnexpectedCharacters):
        expected = set(error.allowed or ())
        position = error.pos_in_stream or 0
    rest = re.compile(r"\s*").match(text, position)
    position = position if rest is None else rest.end()
    found = _FOUND.match(text, position)
    if found is None:
        return ScriptError(name, place_in(text, len(text.rstrip())), "the end", _could_stand(expected))
    wanted = _could_stand(expected)
    what = shortened(found[0])
    if expected & {"BRACKET", "NOTE"} and what in ("'['", "'('"):
        what = f"{what} without its end"
    elif expected == {"MORETHAN"} and what == "':'":
        wanted = "flags such as S or P. could stand, before sequence numbers"
    elif "OPTION" in expected and not text[:position].strip():
        wanted = _one_of(_told({"OPTION", "TIME"}))
    return ScriptError(name, place_in(text, position), what, wanted)


def _could_stand(expected: set[str]) -> str:
    if "CODE" in expected and "DIRECTION" in expected:
        return "a packet with '<' or '>', a call, code in %{…}% or a command in backticks could stand"
    if "FLAGS" in expected:
        # A number could stand too, in the rare case that ports are given.
        expected = expected - {"NUMBER"}
    # Of this nobody who has made a mistake has thought.
    expected = expected - {"ENCAPSULATED", "VALID"}
    if expected >= _VALUE:
        # All that may be a value is too much to tell.
        closing = expected & {"RPAR", "RSQB", "RBRACE"}
        return _one_of(["a value", *_told(closing)])
    if expected >= _OUTCOME:
        return "a result such as 0 or -1 could stand"
    if expected >= _AFTER_EVENT and "OPTION" in expected:
        before = expected - _AFTER_EVENT - {"OPTION"}
        return _one_of([*_told(before), *_told(expected & {"TIME", "$END"})])
    return _one_of(_told(expected))


def _told(expected: set[str]) -> list[str]:
    return [words for terminal, words in _WORDS.items() if terminal in expected] or sorted(expected)


def _one_of(words: list[str]) -> str:
    if not words:
        return "nothing could stand"
    return f"{words[0] if len(words) == 1 else ', '.join(words[:-1]) + ' or ' + words[-1]} could stand"
