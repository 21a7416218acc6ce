"""Findings and connections as JSON lines, written while the capture is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TextIO

from synfin.explain.ending import outcome
from synfin.explain.sentences import endpoint, left_end
from synfin.tcp.states import NAMES

if TYPE_CHECKING:
    from synfin.explain.connection import Connection
    from synfin.explain.explanation import Explanation
    from synfin.explain.kinds import Finding

_SIDES: Final = ("left", "right")


class JsonWriter:
    """Writes one object on a line: each finding as it is made, each connection at its end, the capture at last.

    The ends of a finding are 0 and 1, as in the object of its connection.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def finding(self, finding: Finding) -> None:
        """Write what was found."""
        self._write(
            {
                "finding": finding.kind.name,
                "connection": finding.connection,
                "packet": finding.number or None,
                "time_ns": finding.time,
                "end": finding.sender,
                "clause": finding.kind.clause,
                **({"values": finding.values} if finding.values else {}),
            }
        )

    def connection(self, connection: Connection) -> None:
        """Write what became of a connection."""
        text, by = outcome(connection)
        states = [None if state is None else NAMES[state] for state in connection.observer.states]
        ends = [
            {
                "address": endpoint(connection, at).address,
                "port": endpoint(connection, at).port,
                "packets": end.packets,
                "octets": end.octets,
                "state": states[at],
            }
            for at, end in enumerate(connection.ends)
        ]
        self._write(
            {
                "connection": connection.number,
                "ends": ends,
                "left": left_end(connection),
                "first_time_ns": connection.first_time,
                "last_time_ns": connection.last_time,
                "outcome": text.format(who="" if by is None else _SIDES[by != left_end(connection)]),
                "counts": {kind.name: count for kind, count in connection.counts.items()},
            }
        )

    def capture(self, explanation: Explanation) -> None:
        """Write what is to be said of the whole."""
        notes = [text.format(**values) for text, values in explanation.notes.said()]
        self._write(
            {
                "capture": explanation.kind,
                "packets": explanation.packets,
                "segments": explanation.flows.packets,
                "connections": explanation.flows.connections,
                "notes": notes,
            }
        )

    def _write(self, values: dict[str, object]) -> None:
        self._file.write(json.dumps(values, ensure_ascii=False) + "\n")
