"""How long the segments of a history travel, and which of them are long on their way."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low
from typing import Final

from synfin.show.history_rows import Arrival, Row, Transmission
from synfin.wire.tcp import SYN

__all__ = ["late_arrivals", "usual_flight"]

_UNKNOWN_FLIGHT: Final = 10_000_000
# Of flights: what is longer on its way goes past what happens meanwhile.
_LONG: Final = 4


def usual_flight(rows: Sequence[Row]) -> int:
    """How long a segment travels, in nanoseconds."""
    sent = [row for row in rows if isinstance(row, Transmission)]
    if any(row.packet for row in sent):
        # A capture does not show it, but between a SYN and its answer lies a round trip from there.
        answered = sent[0].segment.flags & SYN and len(sent) > 1 and sent[1].sender is sent[0].receiver
        return max((sent[1].time - sent[0].time) // 2, 1) if answered else _UNKNOWN_FLIGHT
    flights = [
        row.time - row.transmission.time
        for row in rows
        if isinstance(row, Arrival) and row.time > row.transmission.time
    ]
    return median_low(flights) if flights else _UNKNOWN_FLIGHT


def late_arrivals(rows: Sequence[Row]) -> list[Arrival]:
    """Those of segments that were long on their way while others were sent or arrived. An arrow would go right through
    all that happened meanwhile: only its beginning and its end are drawn."""
    long = _LONG * usual_flight(rows)
    late: list[Arrival] = []
    since: dict[int, int] = {}
    met = 0
    for row in rows:
        if isinstance(row, Transmission):
            met += 1
            since[id(row)] = met
        elif isinstance(row, Arrival):
            sent = row.transmission
            if row.time - sent.time > long and met > since.get(id(sent), met):
                late.append(row)
            met += 1
    return late
