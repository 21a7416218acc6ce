"""The history of one TCP connection, made from trace events: what the ladder, the tables and the pictures show.

The rows are in the order in which things happened. A transmission and its arrival are rows of their own, so that
segments which cross, overtake one another or arrive twice are told as they were. A state change without a segment
and a user's call are rows too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synfin.show.history_builder import build, flows
from synfin.show.history_rows import (
    Arrival,
    Endpoint,
    Loss,
    Remark,
    Row,
    StateChange,
    Transmission,
    UserCall,
)
from synfin.show.words import language

if TYPE_CHECKING:
    from synfin.events import Event

__all__ = [
    "Arrival",
    "Endpoint",
    "History",
    "Loss",
    "Remark",
    "Row",
    "StateChange",
    "Transmission",
    "UserCall",
    "flows",
]


@dataclass(slots=True, eq=False)
class History:
    """One connection: its two ends and its rows. `left` is the end that opened it, as far as is known."""

    left: Endpoint
    right: Endpoint
    rows: list[Row]

    @classmethod
    def from_events(cls, events: Sequence[Event], flow: bytes | None = None) -> History:
        """Make the history of the connection that `flow` names, seen from either end; by default of the first
        connection that exchanged a segment.

        Events of other connections are passed over. Raises ValueError if there is nothing of the connection.
        """
        return cls(*build(events, flow))

    def _repr_svg_(self) -> str:
        """The ladder, which a notebook shows by itself, in the language of the environment."""
        from synfin.show.ladder_svg import render_ladder_svg

        return render_ladder_svg(self, language=language(None, os.environ))

    @property
    def transmissions(self) -> list[Transmission]:
        """Every segment that was sent, in the order of sending."""
        return [row for row in self.rows if isinstance(row, Transmission)]

    @property
    def lost(self) -> list[Transmission]:
        """The segments that the wire lost."""
        return [sent for sent in self.transmissions if sent.loss is not None]

    @property
    def retransmissions(self) -> list[Transmission]:
        """The segments that carried something which had been sent before."""
        return [sent for sent in self.transmissions if sent.retransmission]

    def message(self, name: int | str, repeat: int = 0) -> Transmission | None:
        """The transmission that is message `name` (1 to 7, or such as "4a"), or its repetition; None if there is none.

        A number also finds the first of two simultaneous messages: 4 finds "4a".
        """
        wanted = str(name)
        found = [sent for sent in self.transmissions if sent.repeat == repeat]
        for candidate in (wanted, f"{wanted}a"):
            for sent in found:
                if candidate in sent.messages:
                    return sent
        return None
