"""A trace that a notebook shows by itself, and that is written to a file and read back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from synfin.events import CongestionChanged, Event
from synfin.show.curves import render_curves
from synfin.show.history import History, flows
from synfin.show.json_lines import LONGEST_LINE, events_from_json_lines, events_to_json_lines
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.time_sequence import render_time_sequence
from synfin.show.words import Language, language, translation

__all__ = ["Trace"]

#: A connection of more segments is shown as curves, and of the ladder only the beginning.
_MANY_SEGMENTS: Final = 48
_MOST_CONNECTIONS: Final = 4


class Trace(list[Event]):
    """A list of events. Its `append` is a sink: ``trace = Trace(); Network(sink=trace.append)``."""

    def histories(self) -> list[History]:
        """One history for each connection that exchanged a segment, in the order of their first ones."""
        return [History.from_events(self, flow) for flow in flows(self)]

    def write(self, path: Path | str, *, payloads: bool = True) -> None:
        """Write the events as JSON lines; without `payloads` of the data only its length."""
        with Path(path).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in events_to_json_lines(self, payloads=payloads))

    @classmethod
    def read(cls, path: Path | str) -> Trace:
        """Read what `write` wrote. Raises OSError, or ValueError in one line for a file that is none."""
        with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
            # One character more, so that a line that is too long is seen to be.
            return cls(events_from_json_lines(iter(lambda: file.readline(LONGEST_LINE + 1), "")))

    def html(self, language: Language = "en") -> str:
        """The first connections as pictures, with their number if there are more."""
        gettext = translation(language).gettext
        found = flows(self)
        parts = [self._pictures(flow, language) for flow in found[:_MOST_CONNECTIONS]]
        if len(found) != 1:
            text = gettext("connections: {number}").format(number=len(found))
            shown = min(len(found), _MOST_CONNECTIONS)
            if shown < len(found):
                text += " " + gettext("(the first {number} are shown)").format(number=shown)
            parts.insert(0, f"<p>{text}</p>")
        return "\n".join(parts)

    def _pictures(self, flow: bytes, language: Language) -> str:
        history = History.from_events(self, flow)
        if len(history.transmissions) <= _MANY_SEGMENTS:
            return render_ladder_svg(history, language=language)
        pictures = [render_time_sequence(history, language=language)]
        if any(isinstance(event, CongestionChanged) for event in self):
            pictures.append(render_curves(self, flow, language=language))
        pictures.append(render_ladder_svg(history, language=language, most=_MANY_SEGMENTS // 2))
        return "\n".join(pictures)

    def _repr_html_(self) -> str:
        return self.html(language(None, os.environ))
