"""``synfin lab claims``: what widely read texts say of TCP, the RFC, and Linux."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synfin.cli.errors import UsageError

if TYPE_CHECKING:
    from synfin.lab.claims.measured import Measurements


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Claims, such as F2.4; all if none is given.")
    ] = None,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses all that is random.")] = 0,
    measured: Annotated[Path | None, typer.Option(help="Show the figures of this file, which --measure wrote.")] = None,
    measure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Measure on this machine's kernel first, and write the figures to FILE."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="With --measure: only what takes about two seconds.")] = False,
) -> None:
    """What the texts say, the RFC, and Linux: each claim run, and its figures measured."""
    show(names or (), lang, seed, measured, measure, quick)


def show(
    names: Sequence[str],
    lang: Literal["en", "zh"] | None = None,
    seed: int = 0,
    measured: Path | None = None,
    measure: Path | None = None,
    quick: bool = False,
    *,
    brief: bool = False,
    explain: bool = False,
    absolute: bool = False,
) -> None:
    """Prints claims by name, "F2" being all of them; see `claims`. One that is asked for alone shows its worlds too,
    unless `brief`; `explain` and `absolute` are for these."""
    from synfin.lab.claims import catalogue
    from synfin.lab.claims.report import lines
    from synfin.show.words import language

    known = catalogue.names()
    asked = chosen(names)
    if quick and measure is None:
        raise UsageError("--quick goes with --measure", "write: --measure FILE --quick")
    if measure is not None:
        _measure(asked or known, measure, quick)
    figures = _load(measured if measured is not None else measure)
    color = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in lines(
        asked or known,
        language(lang, os.environ),
        figures,
        worlds=len(asked) == 1 and not brief,
        seed=seed,
        color=color,
        narrate="full" if explain else "short",
        relative=not absolute,
    ):
        print(line)


def check(names: Sequence[str], lang: Literal["en", "zh"] | None = None, seed: int = 0) -> int:
    """Runs claims by name, "F2" or none being all of them, and prints which sentences do not hold. Returns the exit
    code."""
    from synfin.lab.claims import catalogue
    from synfin.lab.claims.report import checked, summary
    from synfin.show.words import language

    asked = chosen(names) or catalogue.names()
    spoken = language(lang, os.environ)
    began = perf_counter()
    failed = 0
    for name in asked:
        wrong, said = checked(name, spoken, seed)
        failed += wrong
        print("\n".join(said))
    print(summary(asked, failed, perf_counter() - began, spoken))
    return 1 if failed else 0


def chosen(names: Sequence[str]) -> list[str]:
    """Claims by their names, each once; none for all of them, which is what "F2" says."""
    from synfin.lab.claims import catalogue

    known = catalogue.names()
    found = list(dict.fromkeys(name.upper() for name in names))
    if catalogue.ROW in found:
        found = []
    for name in found:
        if name not in known:
            raise UsageError(f"there is no claim {name!r}", f"choose one of {known[0]} to {known[-1]}")
    return found


def _measure(names: Sequence[str], file: Path, quick: bool) -> None:
    from synfin.lab.claims import measured
    from synfin.lab.claims.kernel import lack

    wanting = lack()
    if wanting:
        raise UsageError(
            f"the kernel cannot be measured: {wanting}", "leave --measure out, or measure as root on Linux"
        )
    existed = file.exists()
    try:
        # What cannot be written need not be measured.
        file.touch()
        print(
            "measuring on this machine's kernel: some seconds with --quick, else up to three minutes", file=sys.stderr
        )
        measured.save(measured.measure(names, slow=not quick), file)
    except OSError as error:
        if not existed:
            file.unlink(missing_ok=True)
        raise UsageError(f"nothing was measured: {error}", "try another file, or a machine with namespaces") from None


def _load(file: Path | None) -> Measurements:
    from synfin.lab.claims import measured

    if file is None:
        return measured.load()
    try:
        return measured.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(str(error), "give a file that 'synfin lab claims --measure FILE' wrote") from None
