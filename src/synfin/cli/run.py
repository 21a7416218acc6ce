"""``synfin run``: a Python program as it is, on a network of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from synfin.cli.errors import UsageError


def run(
    script: Annotated[Path | None, typer.Argument(metavar="[SCRIPT]", help="A Python program.")] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="What the program finds in sys.argv.")
    ] = None,
    net: Annotated[
        Path | None,
        typer.Option(metavar="TOPOLOGY", help="Run on the simulated network of this TOML file."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="On which of its hosts; else the file says.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the file's.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="'WIRE: FAULT'", help="One fault more; may be given several times.")
    ] = None,
    limit: Annotated[str | None, typer.Option(metavar="TIME", help="End at this virtual time, such as 2h.")] = None,
    pcap: Annotated[Path | None, typer.Option(help="Write all packets to this pcapng file.")] = None,
    events_to: Annotated[
        Path | None, typer.Option("--events", help="Write the trace to this file: JSON lines.")
    ] = None,
    label: Annotated[
        bool | None, typer.Option("--label/--no-label", help="Say who printed each line; if several could have.")
    ] = None,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
) -> int:
    """Run a Python program without changing a line of it: in virtual time, with the programs that the topology names.

    Options stand before the script; what stands behind it is the program's. The exit code is the program's; 1 if a
    program raised something, or if one still waited when nothing was left to happen or at the limit.
    """
    if net is None:
        raise UsageError("there is no network to run on", "give --net TOPOLOGY.toml")
    from synfin.cli import run_net
    from synfin.show.words import language

    return run_net.run(
        net, script, arguments or [], host, seed, fault or [], limit, pcap, events_to, label, language(lang, os.environ)
    )
