"""``synfin lab``: the questions, and their answers run and seen."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from synfin.cli.errors import UsageError
from synfin.cli.lab_glossary import glossary

commands = typer.Typer(
    name="lab",
    help="Experiments: questions about TCP, run and seen.",
    rich_markup_mode=None,
    suggest_commands=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Language = Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")]


@commands.callback(invoke_without_command=True)
def lab(context: typer.Context, lang: Language = None) -> None:
    """All questions, by section."""
    from synfin.lab.report import listing
    from synfin.show.words import language

    if context.invoked_subcommand is None:
        for line in listing(language(lang, os.environ)):
            print(line)


@commands.command()
def run(
    row: Annotated[str, typer.Argument(metavar="ROW", help="The question's number, such as A7.")],
    lang: Language = None,
    seed: Annotated[int, typer.Option(help="Chooses all that is random.")] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Say why, below each segment.")] = False,
) -> None:
    """One experiment: its worlds, what holds in them, and why."""
    from synfin.lab import running
    from synfin.lab.registry import experiment, rows
    from synfin.lab.report import report
    from synfin.show.words import language

    try:
        one = experiment(row)
    except KeyError:
        raise UsageError(f"there is no experiment {row!r}", f"choose one of: {', '.join(rows())}") from None
    color = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in report(one, running.run(one, seed), language(lang, os.environ), explain=explain, color=color):
        print(line)


commands.command()(glossary)
