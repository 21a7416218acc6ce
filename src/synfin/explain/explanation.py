"""A capture, explained: the loop over its packets, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final

from synfin.explain.capture import Capture, NotACaptureError
from synfin.explain.connection import Connection, Sink
from synfin.explain.dissect import Dissector, Seen
from synfin.explain.flows import Flows
from synfin.explain.notes import Notes

__all__ = ["Explanation", "NotACaptureError", "explain"]

#: Packets between two reports of progress, a power of two.
_PROGRESS: Final = 1 << 13


class Explanation:
    """What a capture of `kind` ("pcap" or "pcapng") holds: `packets` in all, and its connections in `flows`."""

    __slots__ = ("first_time", "flows", "kind", "last_time", "notes", "packets")

    def __init__(self, kind: str, notes: Notes, flows: Flows) -> None:
        self.kind = kind
        self.notes = notes
        self.flows = flows
        self.packets = 0
        self.first_time = 0
        self.last_time = 0

    @property
    def connections(self) -> list[Connection]:
        """The connections that can be told of, in the order of their first packets."""
        return self.flows.told()


def explain(
    file: BinaryIO,
    *,
    connection: int = 1,
    sink: Sink | None = None,
    ended: Callable[[Connection], None] | None = None,
    progress: Callable[[], None] | None = None,
) -> Explanation:
    """Read a capture from a file opened for reading octets, and follow each of its TCP connections.

    The packets of one `connection` are kept for a ladder. `sink` is told every finding, `ended` every connection when
    its end was seen, `progress` that some more packets were read. Raises NotACaptureError, and OSError.
    """
    notes = Notes()
    capture = Capture(file, notes)
    dissect = Dissector(notes).dissect
    flows = Flows(notes, connection, sink, ended)
    explanation = Explanation(capture.kind, notes, flows)
    number = 0
    last = 0
    for time, octets, original_length, link, place in capture.records():
        number += 1
        notes.number = number
        if time < last:
            notes.backwards.add(number)
        elif number == 1:
            explanation.first_time = time
        last = time
        seen = dissect(number, time, octets, original_length, link, place)
        if isinstance(seen, Seen):
            flows.see(seen)
        elif seen is not None:
            flows.report(seen)
        if progress is not None and not number % _PROGRESS:
            progress()
    explanation.packets = number
    explanation.last_time = last
    flows.finish()
    return explanation
