"""Our scripts, played to the kernel: which can be, which disagree, and which of these are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synfin.drill.bench.bench import SECOND
from synfin.drill.kernel.bench import OF_LINUX
from synfin.drill.kernel.comparison import Comparison, compare_all
from synfin.drill.language.parser import parse
from synfin.drill.options import Choices
from synfin.drill.run.dialect import dialect_profile
from tests.drill.kernel.differences import DIFFERENCES

FOLDER = Path(__file__).parents[1] / "scripts"
KNOWN = frozenset(script for difference in DIFFERENCES for script in difference.scripts)


def name_of(path: Path) -> str:
    """The name of a script of ours."""
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def playable() -> list[Path]:
    """The scripts for the profiles that the kernel can be."""
    paths = sorted(FOLDER.rglob("*.pkt"))
    return [path for path in paths if dialect_profile(parse(path.read_text("utf-8"), str(path))) in OF_LINUX]


def play_all(paths: Sequence[Path], ip: str, longest: float, jobs: int) -> dict[str, Comparison]:
    """What became of each, by name."""
    choices = Choices(ip=ip, strict_end=True)
    played = compare_all([(path, choices) for path in paths], round(longest * SECOND), jobs)
    return {name_of(path): comparison for path, comparison in zip(paths, played, strict=True)}
