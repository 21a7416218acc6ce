"""``synfin lab``: the questions, and their answers run and seen."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from synfin.cli.demo import Picture
from synfin.cli.errors import UsageError
from synfin.cli.lab_claims import check as check_claims
from synfin.cli.lab_claims import chosen as chosen_claims
from synfin.cli.lab_claims import claims
from synfin.cli.lab_claims import show as show_claims
from synfin.cli.lab_glossary import glossary

commands = typer.Typer(
    name="lab",
    help="Experiments: questions about TCP, run and seen. Without a command: all questions, by section.",
    rich_markup_mode=None,
    suggest_commands=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

commands.command()(claims)

#: Options that change a world: what became of it is told beside what it was.
CHANGES: Final = ("--lose", "--duplicate", "--corrupt", "--delay", "--fault")

Language = Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")]


@commands.callback(invoke_without_command=True)
def lab(context: typer.Context, lang: Language = None) -> None:
    """All questions, by section."""
    from synfin.cli.lab_output import page
    from synfin.lab.listing import listing
    from synfin.show.words import language

    if context.invoked_subcommand is None:
        others = [
            command.name or command.callback.__name__ for command in commands.registered_commands if command.callback
        ]
        for line in listing(language(lang, os.environ), min(page(), 100), others):
            print(line)


@commands.command()
def run(
    rows: Annotated[
        list[str],
        typer.Argument(
            metavar="ROW", help="Questions by their numbers, such as A7; lines of F2, such as F2.4; or all."
        ),
    ],
    lang: Language = None,
    seed: Annotated[int, typer.Option(help="Chooses all that is random.")] = 0,
    world: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Show this world. Repeatable.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="[HOST:]NAME=VALUE", help="Another value for a parameter ('synfin sysctl'). Repeatable."
        ),
    ] = None,
    lose: Annotated[list[int] | None, typer.Option(metavar="N", help="Lose segment #N. Repeatable.")] = None,
    duplicate: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Let segment #N arrive twice. Repeatable.")
    ] = None,
    corrupt: Annotated[list[int] | None, typer.Option(metavar="N", help="Damage segment #N. Repeatable.")] = None,
    delay: Annotated[
        list[str] | None, typer.Option(metavar="N=TIME", help="Let segment #N be late: 5=800ms. Repeatable.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Any fault, such as 'lose 2nd SYN+ACK'. Repeatable.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell each step in full: what, why, and the RFC's section.")
    ] = False,
    as_: Annotated[
        Picture | None, typer.Option("--as", help="An everyday picture beside the seven messages; story is pairing.")
    ] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="Sequence numbers as on the wire.")] = False,
    stacked: Annotated[bool, typer.Option("--stacked", help="Worlds one below the other, not side by side.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Without the worlds: what holds, and why.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only whether all that is claimed holds; if not, exit code 1. With all, F2 too."),
    ] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw the worlds side by side into this SVG file.")] = None,
    pcap: Annotated[
        Path | None, typer.Option(help="Write the packets: a pcapng file, one for each world if there are several.")
    ] = None,
    events_to: Annotated[
        Path | None, typer.Option("--events", help="Write the traces, JSON lines: a file, or one for each world.")
    ] = None,
) -> int:
    """Run experiments: their worlds, what holds in them, and why. With --lose and the like: what if?"""
    from synfin.cli.lab_choice import changes_of, chosen_worlds, experiments_of, settings_of
    from synfin.cli.lab_output import Files, check_all, page, tell
    from synfin.lab.report import Wishes
    from synfin.lab.telling.stories import story
    from synfin.show.words import language

    # F2 is a table of texts' claims, with a page of its own.
    texts = [row for row in rows if row.upper().startswith("F2")]
    for_experiments = {
        "--world": world,
        "--set": settings,
        "--lose": lose,
        "--duplicate": duplicate,
        "--corrupt": corrupt,
        "--delay": delay,
        "--fault": fault,
        "--svg": svg,
        "--pcap": pcap,
        "--events": events_to,
        "--as": as_,
    }
    given = [name for name, value in for_experiments.items() if value]
    if texts and given:
        raise UsageError(
            f"{texts[0].upper()} takes no {given[0]}",
            "it takes --lang, --seed, --check, --brief, --explain and --absolute",
        )
    names = chosen_claims(texts)
    if as_ is not None:
        telling = [("--explain", explain), ("--brief", brief), ("--check", check)]
        others = [option for option, chosen in telling if chosen] + [option for option in CHANGES if option in given]
        if others:
            raise UsageError(f"--as and {others[0]} do not go together", "give one of them")
    everything = not given and any(row.lower() == "all" for row in rows)
    rows = [row for row in rows if row not in texts]
    found = experiments_of(rows)
    changes = changes_of(lose or [], duplicate or [], corrupt or [], delay or [], fault or [])
    values = settings_of(settings or [])
    files = Files(svg, pcap, events_to)
    if files and len(found) > 1:
        raise UsageError("a file holds one experiment", "give one ROW with --svg, --pcap and --events")
    worlds = {one.row: chosen_worlds(one, world or []) for one in found}
    wishes = Wishes(
        language=language(lang, os.environ),
        width=page(),
        color=sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        explain=explain,
        relative=not absolute,
        brief=brief,
        stacked=stacked,
        story=story(as_) if as_ is not None else None,
    )
    if check:
        code = check_all(found, worlds, changes, values, seed, wishes, files) if found else 0
        return max(code, check_claims([] if everything else names, lang, seed)) if texts or everything else code
    if texts:
        show_claims(names, lang, seed, brief=brief, explain=explain, absolute=absolute)
        if found:
            print()
    for number, one in enumerate(found):
        if number:
            print()
        tell(one, worlds[one.row], changes, values, seed, wishes, files)
    return 0


commands.command()(glossary)
