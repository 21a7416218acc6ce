"""The scripts of `scripts/`, by hand: what the stack does, over IPv4, IPv6 and mapped, whatever the numbers."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pytest

from synfin.drill.language.parser import parse
from synfin.drill.language.script import Script
from synfin.drill.options import Choices
from synfin.drill.outcome import PASSED
from synfin.drill.run.dialect import dialect_profile
from synfin.drill.run.runner import run
from synfin.host.profiles import PROFILES
from synfin.tcp.parameters import TCP_PARAMETERS

FOLDER = Path(__file__).parent / "scripts"
PATHS = sorted(FOLDER.rglob("*.pkt"))
NAMES = [path.relative_to(FOLDER).with_suffix("").as_posix() for path in PATHS]

WAYS = MappingProxyType(
    {
        "ipv4": Choices(strict_end=True, ip="ipv4"),
        "ipv6": Choices(strict_end=True, ip="ipv6"),
        "mapped": Choices(strict_end=True, ip="mapped"),
        "isn": Choices(strict_end=True, isn=4294967290),
        "offset": Choices(strict_end=True, remote_isn_offset=1 << 31),
    }
)

#: The mission's rows about the protocol.
ROWS = frozenset(
    f"{letter}{number}" for letter, last in (("A", 16), ("B", 9), ("C", 13), ("D", 5)) for number in range(1, last + 1)
)
_ROW = re.compile(r"^// row ([A-D]\d+)$", re.MULTILINE)


@cache
def script(path: Path) -> Script:
    return parse(path.read_text(encoding="utf-8"), path.relative_to(FOLDER.parent).as_posix())


@pytest.mark.row("A16", "B9", "C13", "D5")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_script_passes(path: Path, way: str) -> None:
    result = run(script(path), WAYS[way])
    told = f"{result.status}, line {result.line}: {result.reason}\n  {result.expected}\n  {result.actual}"
    assert result.status == PASSED, f"{told}\n{result.ladder}"


def test_there_are_enough_of_them() -> None:
    assert len(PATHS) >= 400


def test_every_row_has_one() -> None:
    named = {row for path in PATHS for row in _ROW.findall(path.read_text(encoding="utf-8"))}
    assert ROWS - named == set()
    assert named - ROWS == set()


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_each_says_first_what_it_shows(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = []
    for line in lines:
        if not line.startswith("//"):
            break
        comments.append(line)
    rows = [line for line in comments if line.startswith("// row")]
    assert rows
    assert comments[-len(rows) :] == rows
    said = " ".join(line.removeprefix("// ") for line in comments[: -len(rows)])
    assert 1 <= len(comments) - len(rows) <= 3
    assert len(said) > 20
    assert said[-1] in ".:"
    assert all(len(line) <= 120 for line in lines)


def test_every_profile_has_some() -> None:
    found = {dialect_profile(script(path)) for path in PATHS}
    assert found == set(PROFILES)


def test_every_behaviour_of_the_profiles_has_one() -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in PATHS)
    own = {parameter.name for parameter in TCP_PARAMETERS if parameter.name.startswith("synfin.")}
    assert {name for name in own if name not in texts} == set()
