"""``synfin drill``: scripts of packetdrill's language, run against the stack in virtual time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synfin.cli.errors import UsageError

if TYPE_CHECKING:
    from synfin.drill.outcome import Result
    from synfin.show.words import Language

ProfileName = Literal["linux", "linux-suite", "freebsd", "rfc"]


def drill(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Scripts, and folders of scripts (*.pkt).")],
    against_kernel: Annotated[
        bool, typer.Option("--against-kernel", help="Play them to the Linux kernel too, in real time; takes root.")
    ] = False,
    longest: Annotated[
        float, typer.Option(min=0, help="Against the kernel: skip scripts that take more seconds.")
    ] = 10.0,
    record: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a script of a connection in a capture (pcapng).")
    ] = None,
    connection: Annotated[int, typer.Option(help="Recording: which connection of the capture, from 1.")] = 1,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Recording: the end to tell of; else the one that opened.")
    ] = None,
    profile: Annotated[
        ProfileName | None, typer.Option(help="The host to be; linux-suite, or freebsd for its dialect, if not given.")
    ] = None,
    ip: Annotated[
        Literal["ipv4", "ipv6", "mapped"] | None, typer.Option(help="For scripts that do not say --ip_version.")
    ] = None,
    compare: Annotated[Literal["strict", "lenient"], typer.Option(help="How packets are compared.")] = "strict",
    strict_end: Annotated[bool, typer.Option("--strict-end", help="No packet may be left over at the end.")] = False,
    isn: Annotated[int | None, typer.Option(min=0, max=(1 << 32) - 1, help="Our initial sequence number.")] = None,
    remote_isn_offset: Annotated[
        int, typer.Option(min=0, max=(1 << 32) - 1, help="Added to the other end's sequence numbers.")
    ] = 0,
    no_code: Annotated[
        bool, typer.Option("--no-code", help="Skip scripts with Python in them, which is run as their author wrote it.")
    ] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results into this file too.")] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, max=256, help="Processes.")] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name what passed and what was skipped.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an internal error happened.")] = False,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
) -> int:
    """Run packetdrill scripts against the stack. The exit code is 1 if one of them failed.

    A script may contain Python, which is run with all that Python may do: give --no-code for scripts of strangers.
    """
    try:
        import lark as _  # noqa: F401
    except ImportError:
        raise UsageError("scripts cannot be read without lark", "pip install 'synfin[drill]'") from None
    from synfin.cli import drill_ways
    from synfin.drill.options import STRICT, Choices
    from synfin.drill.outcome import FAILED
    from synfin.drill.report import summed
    from synfin.drill.suite import as_json, run_all, scripts
    from synfin.drill.tally import tallies
    from synfin.show.words import language

    if record is not None:
        return drill_ways.record(record, paths, connection, host, profile)
    if against_kernel:
        drill_ways.require_kernel()
    chosen = language(lang, os.environ)
    found = scripts(paths)
    if not found:
        raise UsageError("there is no script", "name a file, or a folder with *.pkt files")
    choices = Choices(profile, ip, compare, strict_end, isn, remote_isn_offset, not no_code, debug, chosen)
    if against_kernel:
        return drill_ways.against_kernel(found, choices, longest, jobs, verbose)
    results = []
    for result in _watched(run_all(found, choices, jobs), len(found), chosen):
        results.append(result)
        _tell(result, verbose, chosen)
    print(summed(tallies(results), compare == STRICT, chosen))
    if json is not None:
        json.write_text(as_json(results, choices), encoding="utf-8")
    return int(any(result.status == FAILED for result in results))


def _tell(result: Result, verbose: bool, language: Language) -> None:
    from synfin.drill.outcome import FAILED
    from synfin.drill.report import told

    if verbose or result.status == FAILED or result.warnings:
        print(told(result, language))


def _watched(results: Iterable[Result], number: int, language: Language) -> Iterator[Result]:
    """The results, with a bar that shows how many are there; on a terminal only."""
    if sys.stdout is None or not sys.stdout.isatty() or number < 2:
        yield from results
        return
    from rich.progress import track

    from synfin.show.words import translation

    yield from track(results, translation(language).gettext("scripts"), number, transient=True)
