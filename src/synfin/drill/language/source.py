"""A script's text before it is parsed: comments become blanks, so that every place stays the same."""

from __future__ import annotations

import re
from typing import Final

from synfin.drill.language.script import Place, ScriptError

#: How deep parentheses, brackets and braces may nest: what values refer to values is visited by recursion.
DEEPEST: Final = 32

# Groups are what ends a string, a command, code, a comment: empty where the text ended first.
_PIECE: Final = re.compile(
    r'"(?:[^"\\\n]|\\[\s\S])*+("?)'
    r"|`(?:[^`\\]|\\[\s\S])*+(`?)"
    r"|%\{[\s\S]*?(\}%|\Z)"
    r"|/\*[\s\S]*?(\*/|\Z)"
    r"|//[^\n]*"
    r"|'(?:[^'\\\n]|\\[^\n])'"
    r"|[\[({]"
    r"|[\])}]"
)
_NEVER_ENDS: Final = (
    ("a string", "its '\"' could stand, in the same line"),
    ("a command in backticks", "its '`' could stand"),
    ("code", "its '}%' could stand"),
    ("a comment", "its '*/' could stand"),
)
_NO_NEWLINE: Final = re.compile(r"[^\n]")


def without_comments(text: str, name: str) -> str:
    """`text` with blanks for comments. Raises ScriptError for what does not end, and for nesting too deep."""
    depth = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal depth
        piece = match[0]
        if match.lastindex is not None and not match[match.lastindex]:
            what, wanted = _NEVER_ENDS[match.lastindex - 1]
            raise ScriptError(name, place_in(text, match.start()), f"{what} begins and does not end", wanted)
        if piece[0] == "/":
            return _NO_NEWLINE.sub(" ", piece)
        if len(piece) == 1:
            depth = depth + 1 if piece in "[({" else max(depth - 1, 0)
            if depth > DEEPEST:
                place = place_in(text, match.start())
                raise ScriptError(name, place, f"{piece!r} inside {DEEPEST} others", "something simpler could stand")
        return piece

    return _PIECE.sub(replaced, text)


def place_in(text: str, position: int) -> Place:
    """Line and column of a position."""
    return Place(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))
