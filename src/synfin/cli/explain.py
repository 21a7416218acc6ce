"""``synfin explain``: what passed on the TCP connections of a capture, and what was unusual."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, Literal

import typer

from synfin.cli.errors import UsageError

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.explanation import Explanation
    from synfin.show.words import Language

#: Connections whose findings are listed below a table.
_MOST_LISTED: Final = 5


def explain(
    capture: Annotated[Path, typer.Argument(metavar="FILE", help="A capture, pcap or pcapng; - is standard input.")],
    connection: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Draw the ladder of this connection.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="OUT", help="Draw the ladder into this SVG file too.")] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write all findings into this file too, as JSON lines.")
    ] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="Sequence numbers as on the wire.")] = False,
    all_of_them: Annotated[bool, typer.Option("--all", help="Show every connection in the table.")] = False,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
) -> None:
    """Explain a capture: follow its TCP connections, draw them, and say what is unusual.

    Of one connection the ladder is drawn; many are summed up in a table.
    """
    from synfin.explain.as_json import JsonWriter
    from synfin.explain.explanation import NotACaptureError
    from synfin.explain.explanation import explain as explained
    from synfin.show.words import language

    chosen = language(lang, os.environ)
    name = "-" if str(capture) == "-" else capture.name
    with _opened(capture) as file, json.open("w", encoding="utf-8") if json else nullcontext() as out:
        writer = JsonWriter(out) if out is not None else None
        try:
            with _progress(file, chosen) as progress:
                found = explained(
                    file,
                    connection=connection or 1,
                    sink=writer.finding if writer else None,
                    ended=writer.connection if writer else None,
                    progress=progress,
                )
        except NotACaptureError as error:
            right = "name a file that tcpdump, Wireshark or synfin wrote"
            raise UsageError(f"{name!r} is no capture: {error}", right) from error
        if writer is not None:
            writer.capture(found)
    _tell(found, name, connection, svg, absolute, all_of_them, chosen)


def _tell(
    found: Explanation,
    name: str,
    number: int | None,
    svg: Path | None,
    absolute: bool,
    all_of_them: bool,
    language: Language,
) -> None:
    from synfin.explain.report import MOST_ROWS, findings_text, heading, summary_table, unusual
    from synfin.show.words import translation

    gettext = translation(language).gettext
    count = found.flows.connections
    if number is not None and number > count:
        right = f"they are numbered 1 to {count}" if count else "the capture has none"
        raise UsageError(f"there is no connection {number}", right)
    print(heading(found, name, language))
    if not count:
        print(gettext("no TCP connection in it"))
        return
    kept = found.flows.kept
    if kept is not None and (number is not None or svg is not None or count == 1):
        _draw(found, kept, name, svg, absolute, language)
        print()
        print(findings_text(found, [kept], language))
        return
    connections = found.connections
    print()
    print(summary_table(found, connections, language, len(connections) if all_of_them else MOST_ROWS))
    listed = unusual(connections, _MOST_LISTED)
    if listed:
        print()
        print(findings_text(found, listed, language))
    print()
    print(gettext("--connection N draws the ladder of connection N"))


def _draw(
    found: Explanation, kept: Connection, name: str, svg: Path | None, absolute: bool, language: Language
) -> None:
    from synfin.explain.kept import BETWEEN, FIRST, LAST
    from synfin.explain.ladder import history
    from synfin.show.ladder import render_ladder
    from synfin.show.ladder_svg import render_ladder_svg
    from synfin.show.words import translation

    drawn = history(kept, language)
    if svg is not None:
        title = translation(language).gettext("Connection {number} of {name}").format(number=kept.number, name=name)
        picture = render_ladder_svg(
            drawn, language=language, title=title, relative=not absolute, most=FIRST + 2 * BETWEEN + LAST
        )
        svg.write_text(picture, encoding="utf-8")
    color = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print()
    print(render_ladder(drawn, language=language, relative=not absolute, color=color))


@contextmanager
def _opened(capture: Path) -> Iterator[BinaryIO]:
    if str(capture) == "-":
        if sys.stdin is None:  # as it is when the caller closed it
            raise UsageError("there is no standard input", "name a capture")
        yield sys.stdin.buffer
        return
    if capture.is_dir():
        raise UsageError(f"{capture.name!r} is a folder", "name a capture in it")
    with capture.open("rb", buffering=1 << 20) as file:
        yield file


@contextmanager
def _progress(file: BinaryIO, language: Language) -> Iterator[Callable[[], None] | None]:
    """A bar on standard error, if that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from synfin.show.words import translation

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        size = os.fstat(file.fileno()).st_size or None
        task = progress.add_task(translation(language).gettext("reading"), total=size)
        yield lambda: progress.update(task, completed=file.tell() if file.seekable() else None)
