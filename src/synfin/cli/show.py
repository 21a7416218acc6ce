"""``synfin show``: a trace that was written as JSON lines, as a ladder or as a picture."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synfin.cli.errors import UsageError

if TYPE_CHECKING:
    from synfin.show.history import History
    from synfin.show.trace import Trace
    from synfin.show.words import Language

# Not an alias of the annotation alone: Typer reads the choices from it.
Kind = Literal["ladder", "states", "sequence", "curves"]


def show(
    trace: Annotated[Path, typer.Argument(help="A trace: events as JSON lines.")],
    picture: Annotated[Kind, typer.Option(help="What to draw.")] = "ladder",
    svg: Annotated[Path | None, typer.Option(help="Draw into this SVG file, not on the terminal.")] = None,
    connection: Annotated[int, typer.Option(help="Which connection of the trace, from 1.")] = 1,
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="Language; the locale's if not given.")] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="Sequence numbers as on the wire.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="A ladder: tell each step; on the terminal in full.")
    ] = False,
) -> None:
    """A trace as a ladder, as the path through the states, or as curves over time."""
    from synfin.show.history import History, flows
    from synfin.show.ladder import render_ladder
    from synfin.show.trace import Trace
    from synfin.show.words import language

    chosen = language(lang, os.environ)
    try:
        events = Trace.read(trace)
    except ValueError as error:
        raise UsageError(f"{str(trace)!r} cannot be read: {error}", "name a file that synfin wrote") from error
    found = flows(events)
    if not found:
        raise UsageError(f"{str(trace)!r} has no connection that exchanged a segment", "name another trace")
    if not 1 <= connection <= len(found):
        raise UsageError(f"there is no connection {connection}", f"they are numbered 1 to {len(found)}")
    flow = found[connection - 1]
    history = History.from_events(events, flow)
    if svg is not None:
        svg.write_text(_drawn(events, history, flow, picture, chosen, not absolute, explain), encoding="utf-8")
        return
    if picture != "ladder":
        raise UsageError(f"a terminal cannot show {picture!r}", "give --svg FILE")
    color = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(
        render_ladder(history, language=chosen, relative=not absolute, narrate="full" if explain else "no", color=color)
    )


def _drawn(
    events: Trace,
    history: History,
    flow: bytes,
    picture: Kind,
    language: Language,
    relative: bool,
    explain: bool,
) -> str:
    if picture == "states":
        from synfin.show.state_diagram import render_state_diagram
        from synfin.tcp.states import NAMES, TRANSITIONS

        table = [(NAMES[old], event, NAMES[new]) for (old, event), new in TRANSITIONS.items()]
        return render_state_diagram(table, history, language=language)
    if picture == "sequence":
        from synfin.show.time_sequence import render_time_sequence

        return render_time_sequence(history, language=language)
    if picture == "curves":
        from synfin.show.curves import render_curves

        return render_curves(events, flow, language=language)
    from synfin.show.ladder_svg import render_ladder_svg

    return render_ladder_svg(history, language=language, relative=relative, narrate="short" if explain else "no")
