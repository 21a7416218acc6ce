"""All claims of the texts, by number: each is the `CLAIM` of a file of its own.

A file's name begins with its number (``f2_04_connect_timeout.py``); nothing else need be told of a new one.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from synfin.lab import claims as room
from synfin.lab.claims.text_claim import TextClaim
from synfin.lab.running import Run, run_world

__all__ = ["ROW", "claim", "names", "run"]

#: The row of the mission whose lines these are.
ROW: Final = "F2"
_NAME: Final = re.compile(r"f2_([0-9]{2})_\w+")


@cache
def _modules() -> dict[str, str]:
    found = {}
    for module in sorted(one.name for one in iter_modules(room.__path__)):
        match = _NAME.fullmatch(module)
        if match is not None:
            found[f"{ROW}.{int(match[1])}"] = f"{room.__name__}.{module}"
    return found


def names() -> list[str]:
    """The claims that there are: "F2.1", "F2.2", and so on."""
    return list(_modules())


def claim(name: str) -> TextClaim:
    """The claim of that name, whatever its case. Raises KeyError if there is none."""
    found: TextClaim = import_module(_modules()[name.upper()]).CLAIM
    return found


def run(claim: TextClaim, seed: int = 0) -> dict[str, Run]:
    """Runs all worlds of a claim."""
    return {world.name: run_world(world, seed) for world in claim.worlds}
