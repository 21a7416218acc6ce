"""Reads scripts of packetdrill's language. The grammar is `script.lark`, the values that it makes are `script.py`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

from lark import Lark
from lark.exceptions import UnexpectedInput

from synfin.drill.language.building import Builder, Part, Timed
from synfin.drill.language.mistakes import mistake
from synfin.drill.language.script import Command, Event, Expression, Option, Place, Script, ScriptError
from synfin.drill.language.source import without_comments
from synfin.drill.language.values import TokenError

_NEWLINE: Final = re.compile(r"(?<!\r)\r++\n")


@cache
def _grammar() -> Lark:
    return Lark(
        files("synfin.drill.language").joinpath("script.lark").read_text("utf-8"),
        start=["start", "expression"],
        parser="lalr",
        lexer="contextual",
        transformer=Builder(),
        maybe_placeholders=True,
        g_regex_flags=re.ASCII,
    )


def parse_file(path: Path) -> Script:
    """The script in a file, whose path stands in errors. Raises ScriptError, and OSError if the file cannot be read."""
    return parse(path.read_bytes().decode("utf-8", "replace"), str(path))


def parse(text: str, name: str = "script") -> Script:
    """The script that `text` is; `name` stands in errors. Raises ScriptError."""
    text = _NEWLINE.sub("\n", text.removeprefix("\ufeff"))
    plain = without_comments(text, name)
    parts = cast(list[Part], _parsed(plain, name, "start"))
    bounds = [*(part.token.start_pos or 0 for part in parts), len(plain)]
    options: list[Option] = []
    events: list[Event] = []
    prologue: Command | None = None
    epilogue: Command | None = None
    for part, (start, stop) in zip(parts, pairwise(bounds), strict=True):
        place = Place(part.token.line or 1, part.token.column or 1)
        value = part.value
        if epilogue is not None:
            raise ScriptError(name, place, _what(value), "only the end could stand, behind the clean-up command")
        if isinstance(value, Timed):
            extent = len(plain[start:stop].rstrip())
            events.append(Event(value.when, value.action, place, text[start : start + extent]))
        elif isinstance(value, Option):
            if events or prologue is not None:
                sign = "-" if value.name == "D" else "--"
                raise ScriptError(name, place, f"'{sign}{value.name}'", "a time could stand: options come first of all")
            options.append(Option(value.name, value.value, place))
        elif events:
            epilogue = value
        elif prologue is None:
            prologue = value
        else:
            raise ScriptError(name, place, "a second command without a time", "a time such as +0.1 could stand")
    return Script(name, tuple(options), prologue, tuple(events), epilogue)


def parse_expression(text: str, name: str = "value") -> Expression:
    """A value, as it stands among the arguments of a call. Raises ScriptError."""
    return cast(Expression, _parsed(without_comments(text, name), name, "expression"))


def _parsed(plain: str, name: str, start: str) -> object:
    try:
        return _grammar().parse(plain, start=start)
    except UnexpectedInput as error:
        raise mistake(error, plain, name) from None
    except TokenError as wrong:
        place = Place(wrong.token.line or 1, wrong.token.column or 1)
        raise ScriptError(name, place, wrong.found, wrong.wanted) from None


def _what(value: Timed | Option | Command) -> str:
    if isinstance(value, Timed):
        return "an event"
    return "an option" if isinstance(value, Option) else "a second command"
