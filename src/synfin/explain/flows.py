"""The connections of a capture: which one a segment belongs to, within bounds of memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from synfin.explain import kinds
from synfin.explain.connection import Connection, Sink
from synfin.explain.dissect import IcmpSeen, Seen
from synfin.explain.end import Allowance
from synfin.explain.kept import Kept
from synfin.explain.notes import Notes
from synfin.explain.values import SECOND, seconds
from synfin.tcp.states import LISTEN, SYN_SENT, TIME_WAIT
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, RST, SYN

__all__ = ["MOST_FLOWS", "MOST_TOLD", "Flows"]

#: Connections that are followed at once. When there are more, those that are over go, then those longest silent.
MOST_FLOWS: Final = 10_000
#: Connections that are over and still remembered, for what comes late and for ports that are used again.
MOST_OVER: Final = 1_000
#: Connections that can be told of at the end, the most unusual ones.
MOST_TOLD: Final = 1_000
#: RFC 9293 §3.4.2: 2MSL.
_TWO_MSL: Final = 240 * SECOND
#: How many go at once, of those that are not over.
_SHARE: Final = 4


class Flows:
    """Follows all connections. `wanted`: the number of the one of which a ladder is wanted. `sink` is told every
    finding as it is made; `ended` every connection, when there is no more to come of it."""

    __slots__ = (
        "_allowance",
        "_ended",
        "_heap",
        "_notes",
        "_over",
        "_sink",
        "_table",
        "_wanted",
        "columns",
        "connections",
        "kept",
        "octets",
        "packets",
        "time",
    )

    def __init__(
        self,
        notes: Notes,
        wanted: int = 1,
        sink: Sink | None = None,
        ended: Callable[[Connection], None] | None = None,
    ) -> None:
        self._notes = notes
        self._wanted = wanted
        self._sink = sink
        self._ended = ended
        self._allowance = Allowance()
        self._table: dict[bytes, tuple[Connection, int]] = {}
        self._over: dict[int, Connection] = {}
        self._heap: list[tuple[int, int, Connection]] = []
        #: Of all connections: how many, their packets and octets, and what the columns of the table count.
        self.connections = 0
        self.packets = 0
        self.octets = 0
        self.columns: dict[str, int] = {}
        #: The connection of which a ladder is wanted, once it was met.
        self.kept: Connection | None = None
        self.time = 0

    def see(self, seen: Seen) -> None:
        """A segment passed."""
        self.time = seen.time
        found = self._table.get(seen.flow)
        if found is None:
            found = self._new(seen, None)
        elif seen.flags & (SYN | ACK | RST) == SYN and self._opens_anew(found[0], found[1], seen):
            old = found[0]
            found = self._new(seen, old)
        connection = found[0]
        connection.see(seen, found[1])
        if connection.watched and connection.number not in self._over and connection.observer.is_over:
            self._over[connection.number] = connection
            if len(self._over) > MOST_OVER:
                oldest = self._over.pop(next(iter(self._over)))
                # A SYN with the number of the first one may have brought it back.
                if oldest.observer.is_over:
                    self._let_go(oldest)

    def report(self, seen: IcmpSeen) -> None:
        """An ICMP message about a connection passed."""
        found = self._table.get(seen.flow)
        if found is not None:
            words = kinds.ICMP_WORDS.get((seen.version, seen.type, seen.code), kinds.OTHER_ICMP)
            found[0].reported(seen, words)

    def _new(self, seen: Seen, old: Connection | None) -> tuple[Connection, int]:
        if len(self._table) >= 2 * MOST_FLOWS:
            self._make_room()
        self.connections += 1
        number = self.connections
        kept = Kept() if number == self._wanted else None
        made = Connection(number, seen, self._allowance, self._notes, kept, self._sink)
        if kept is not None:
            self.kept = made
        if old is not None:
            _compare(made, old, seen, self._table[seen.flow][1])
            self._let_go(old)
        flow = seen.flow
        self._table[flow] = (made, 0)
        self._table.setdefault(mirrored(flow), (made, 1))
        return self._table[flow]

    def _opens_anew(self, old: Connection, at: int, seen: Seen) -> bool:
        """Whether this SYN is the first one of another connection between the same ports."""
        me = old.ends[at]
        if me.first_seq is not None:
            return me.first_seq & MASK != seen.seq
        # In a simultaneous open both ends send a SYN.
        return old.observer.states[1 - at] != SYN_SENT

    # --- letting go ----------------------------------------------------------------------------------------------

    def _let_go(self, connection: Connection) -> None:
        """No more will be seen of it."""
        self._over.pop(connection.number, None)
        flow = connection.flow
        for key in (flow, mirrored(flow)):
            if key in self._table and self._table[key][0] is connection:
                del self._table[key]
        connection.let_go(self.time)
        self.packets += connection.packets
        self.octets += sum(end.octets for end in connection.ends)
        for kind, count in connection.counts.items():
            self.columns[kind.column] = self.columns.get(kind.column, 0) + count
        if self._ended is not None:
            self._ended(connection)
        # The number, negated, so that of equals the first ones stay.
        entry = (connection.weight, -connection.number, connection)
        if len(self._heap) < MOST_TOLD:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def _followed(self) -> list[Connection]:
        """Those in the table, each once, in the order of their beginnings."""
        return [connection for key, (connection, at) in self._table.items() if not at or key == connection.flow]

    def _make_room(self) -> None:
        followed = self._followed()
        for connection in followed:
            if connection.observer.is_over:
                self._let_go(connection)
        followed = self._followed()
        if len(followed) > MOST_FLOWS * (_SHARE - 1) // _SHARE:
            followed.sort(key=lambda connection: connection.last_number)
            for connection in followed[: MOST_FLOWS // _SHARE]:
                self._notes.forgotten += 1
                self._let_go(connection)

    def finish(self) -> None:
        """The capture is over."""
        for connection in self._followed():
            self._let_go(connection)
        self._notes.left_out = max(0, self.connections - MOST_TOLD)
        self._notes.most_connections = MOST_TOLD

    def told(self) -> list[Connection]:
        """The connections that can be told of, in the order of their beginnings."""
        return sorted((entry[2] for entry in self._heap), key=lambda connection: connection.number)


def mirrored(flow: bytes) -> bytes:
    """The flow of packets in the other direction."""
    size = (len(flow) - 4) // 2
    return flow[size : 2 * size] + flow[:size] + flow[-2:] + flow[-4:-2]


def _compare(made: Connection, old: Connection, seen: Seen, at: int) -> None:
    """Say what it means that this SYN opens a connection between the ports of an old one; `at`: the old one's end."""
    states = old.observer.states
    elapsed = seen.time - old.last_time
    numbers: dict[str, int | str] = {"connection": old.number, "seconds": seconds(elapsed)}
    if TIME_WAIT in states and elapsed < _TWO_MSL:
        made.find(kinds.TIME_WAIT_REUSED, seen, 0, **numbers)
    elif old.observer.is_open(1 - at) and states[1 - at] != LISTEN:
        made.find(kinds.SYN_INTO_CONNECTION, seen, 0, connection=old.number)
    else:
        made.find(kinds.PORTS_REUSED, seen, 0, **numbers)
