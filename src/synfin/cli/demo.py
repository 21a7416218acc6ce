"""``synfin demo``: a whole connection, from CLOSED and LISTEN to CLOSED, as a ladder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synfin.cli.errors import UsageError
from synfin.events import Event

if TYPE_CHECKING:
    from synfin.show.narration import Narrate


# Not an alias of the annotation alone: Typer reads the choices from it.
Picture = Literal["pairing", "table", "courier", "story"]


def demo(
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses the initial sequence numbers.")] = 0,
    lose: Annotated[int | None, typer.Option(help="Lose this one of the seven messages.")] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="Sequence numbers as on the wire.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell each step in full: what, why, and the RFC's section.")
    ] = False,
    as_: Annotated[
        Picture | None, typer.Option("--as", help="An everyday picture beside the seven messages; story is pairing.")
    ] = None,
    pcap: Annotated[Path | None, typer.Option(help="Write the packets to this pcapng file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the ladder, fit for a slide, into this SVG file.")] = None,
    events_to: Annotated[
        Path | None, typer.Option("--events", help="Write the trace to this file: JSON lines.")
    ] = None,
) -> None:
    """A whole connection: handshake, data, close, with both ends' states."""
    from synfin.lab import whole_life
    from synfin.lab.telling.stories import captions, ending, story
    from synfin.lab.words import translation
    from synfin.show.history import History
    from synfin.show.ladder import MOST_CELLS, render_ladder
    from synfin.show.ladder_svg import render_ladder_svg
    from synfin.show.ladder_text import wrapped_text
    from synfin.show.trace import Trace
    from synfin.show.words import language

    if explain and as_ is not None:
        raise UsageError("--explain and --as both tell the steps", "give one of them")
    if lose is not None and not 1 <= lose <= 7:
        raise UsageError(f"there is no message {lose} to lose", "the messages are numbered 1 to 7")
    events = whole_life.run(seed) if lose is None else whole_life.run_and_lose(lose, seed)
    if pcap is not None:
        _write(pcap, events)
    chosen = language(lang, os.environ)
    history = History.from_events(events)
    told = None if as_ is None else story(as_)
    beside: Narrate = "full" if explain else "no"
    in_picture: Narrate = "short" if explain else "no"
    title = None
    if told is not None:
        beside = in_picture = captions(history, told, chosen)
        title = translation(chosen).gettext(told.title)
    if svg is not None:
        drawn = render_ladder_svg(history, language=chosen, title=title, relative=not absolute, narrate=in_picture)
        svg.write_text(drawn, encoding="utf-8")
    if events_to is not None:
        Trace(events).write(events_to)
    if title is not None:
        print(f"{title}\n")
    print(
        render_ladder(
            history,
            language=chosen,
            relative=not absolute,
            narrate=beside,
            color=sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        )
    )
    if told is not None:
        print("", *wrapped_text(ending(told, chosen), MOST_CELLS), sep="\n")


def _write(path: Path, events: list[Event]) -> None:
    from synfin.events import PacketTransmitted
    from synfin.link.capture import PcapngWriter

    with PcapngWriter(path) as writer:
        for event in events:
            if isinstance(event, PacketTransmitted):
                writer.write_packet(event.time, event.packet, "wire")
