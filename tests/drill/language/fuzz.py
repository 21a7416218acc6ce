"""Scripts that are wrong, each a function of a seed and a number, and what is to come of them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from synfin.drill.language.definitions import with_definitions
from synfin.drill.language.notation import script_text
from synfin.drill.language.parser import parse
from synfin.drill.language.script import Place, Script, ScriptError
from synfin.drill.options import Choices
from synfin.drill.outcome import Result
from synfin.drill.run.runner import run
from tests.drill.language.scripts import NUMBERS, PIECES, SEED, STRAYS, WORDS

#: Runs a script that could be parsed, and says what became of it.
Run = Callable[[Script], Result]


#: Takes a script and makes another.
Change = Callable[[str, random.Random], str]


class Outcome(Enum):
    READ = "read, and read again as written down"
    PASSED = "read and run: passed"
    FAILED = "read and run: failed"
    SKIPPED = "read and run: skipped"
    REFUSED = "refused with a ScriptError"
    BROKEN = "broken"


def run_it(script: Script) -> Result:
    """Runs a script without its code; an internal error is raised."""
    return run(script, Choices(code=False, debug=True))


def mutant(seed: int, number: int) -> str:
    """The script of that number."""
    chance = random.Random(f"{seed}/{number}")
    text = _some_lines(chance)
    changes = _LIGHT if chance.random() < 0.5 else _HEAVY
    for _ in range(chance.choice((1, 1, 2, 3, 5, 12))):
        change = chance.choice(changes)
        text = change(text, chance)
    return text


_WORD_OR_NUMBER = re.compile(r"[0-9]+|[A-Za-z_]\w*")
#: The seed's lines, with those that go on with them.
_UNITS = re.split(r"(?<=\n)(?=\s*(?:[+*`/]|--|-D|\d))", SEED)


def _some_lines(chance: random.Random) -> str:
    first = chance.randrange(len(_UNITS))
    chosen = _UNITS[first : first + chance.randint(1, 6)]
    if chance.random() < 0.2:
        chance.shuffle(chosen)
    return "".join(chosen) if chance.random() < 0.9 else SEED


def _spot(text: str, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(text))
    return start, min(len(text), start + chance.choice((0, 1, 1, 2, 5, 20)))


def _removed(text: str, chance: random.Random) -> str:
    start, stop = _spot(text, chance)
    return text[:start] + text[stop:]


def _replaced(text: str, chance: random.Random) -> str:
    start, stop = _spot(text, chance)
    return text[:start] + chance.choice(PIECES) + text[stop:]


def _strayed(text: str, chance: random.Random) -> str:
    start, _ = _spot(text, chance)
    return text[:start] + chance.choice(STRAYS) + text[start:]


def _doubled(text: str, chance: random.Random) -> str:
    start, stop = _spot(text, chance)
    return text[:stop] + text[start:stop] * chance.choice((1, 2, 50)) + text[stop:]


def _moved(text: str, chance: random.Random) -> str:
    start, stop = _spot(text, chance)
    to, _ = _spot(text, chance)
    rest = text[:start] + text[stop:]
    return rest[:to] + text[start:stop] + rest[to:]


def _changed(text: str, chance: random.Random) -> str:
    start, _ = _spot(text, chance)
    return text[:start] + chr(chance.choice((chance.randrange(128), chance.randrange(0x110000)))) + text[start + 1 :]


def _exchanged(text: str, chance: random.Random) -> str:
    """A number for a number, a word for a word: most such scripts can be read, and are to be run."""
    places = [match for match in _WORD_OR_NUMBER.finditer(text) if match[0]]
    if not places:
        return text
    place = chance.choice(places)
    others: list[str] = NUMBERS if place[0].isdecimal() else WORDS
    return text[: place.start()] + chance.choice(others) + text[place.end() :]


def _cut(text: str, chance: random.Random) -> str:
    return text[: _spot(text, chance)[0]]


_LIGHT: tuple[Change, ...] = (_exchanged, _exchanged, _exchanged, _replaced, _doubled)
_HEAVY: tuple[Change, ...] = (_removed, _replaced, _strayed, _doubled, _moved, _changed, _cut)


def try_script(text: str, run_script: Run | None = None) -> Outcome:
    """What comes of a script. Raises whatever the parser and its companions should not."""
    try:
        script = parse(text)
    except ScriptError as wrong:
        if not str(wrong).isprintable() or len(str(wrong)) > 400:
            raise AssertionError(f"unreadable: {str(wrong)!r}") from wrong
        return Outcome.REFUSED
    try:
        with_definitions(script, {"COOKIE": "00ff"})
    except ScriptError:
        return Outcome.REFUSED
    again = parse(script_text(script))
    if _bare(again) != _bare(script):
        raise AssertionError(f"{script} was written as {script_text(script)!r}")
    if run_script is None:
        return Outcome.READ
    return Outcome[run_script(script).status.upper()]


def _bare(script: Script) -> Script:
    return replace(
        script,
        options=tuple(replace(option, place=Place(1, 1)) for option in script.options),
        events=tuple(replace(event, place=Place(1, 1), text="") for event in script.events),
    )
