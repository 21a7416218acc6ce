"""How the numbers of a script and those on the wire belong together, for one connection."""

from __future__ import annotations

from struct import Struct
from typing import Final

from synfin.wire.ip import Packet
from synfin.wire.sequence import HALF, MASK, MODULUS, wrap
from synfin.wire.tcp import ACK, SYN, Segment

_PORTS: Final = Struct("!HH")


def signed(number: int) -> int:
    """The offset that is nearest to 0 and has these 32 bits."""
    return number - MODULUS if number >= HALF else number


class Numbers:
    """One connection: its addresses and ports on the wire, the initial sequence numbers, and timestamps.

    `remote_isn` is the live one. `flow` is the key of what arrives for the connection (`Packet.flow`); `labels` are
    the script's local and remote port, where it names them. Numbers that are not known count from 0.
    """

    __slots__ = (
        "_pending",
        "ecr_values",
        "first_timestamp",
        "flow",
        "labels",
        "local",
        "local_isn",
        "offset",
        "remote",
        "remote_isn",
        "script_isn",
    )

    def __init__(self, local: tuple[bytes, int], remote: tuple[bytes, int], offset: int) -> None:
        self.local = local
        self.remote = remote
        self.flow = remote[0] + local[0] + _PORTS.pack(remote[1], local[1])
        self.labels: tuple[int, int] | None = None
        self.offset = offset
        self.local_isn: int | None = None
        self.remote_isn: int | None = None
        #: What the script writes as the number of our own SYN.
        self.script_isn: int | None = None
        #: The initial number of a SYN to a connection that was there already.
        self._pending: int | None = None
        #: The live values of timestamps that we sent, by the script's.
        self.ecr_values: dict[int, int] = {}
        #: The first of them: the script's, and the live one.
        self.first_timestamp: tuple[int, int] | None = None

    # --- initial numbers

    def syn_arrives(self, number: int, known: bool) -> None:
        """The script sends a SYN with `number`; `known`: to a connection that there is."""
        live = wrap(number + self.offset)
        if self.remote_isn is None or not known:
            self.remote_isn = live
        elif live != self.remote_isn:
            self._pending = live

    def leaves(self, segment: Segment) -> None:
        """Learns from a segment that the host sends."""
        if not segment.flags & SYN:
            return
        if segment.seq != self.local_isn:
            self.local_isn = segment.seq
            self.script_isn = None
            self.ecr_values.clear()
            self.first_timestamp = None
        pending = self._pending
        if pending is None or not segment.flags & ACK or not 0 < wrap(segment.ack - pending) < HALF:
            return
        # The answer is to the SYN whose number is nearer.
        if self.remote_isn is None or wrap(segment.ack - pending) < wrap(segment.ack - self.remote_isn):
            self.remote_isn = pending

    # --- sequence numbers

    @property
    def ours(self) -> int:
        """What 0 in our own sequence numbers is on the wire."""
        return self.local_isn or 0

    @property
    def theirs(self) -> int:
        """What 0 in the other end's sequence numbers is on the wire."""
        return self.offset & MASK if self.remote_isn is None else self.remote_isn

    # --- timestamps

    def timestamp_leaves(self, script: int, live: int) -> None:
        """Remembers that what the script calls `script` was `live`."""
        if self.first_timestamp is None:
            self.first_timestamp = script, live
        self.ecr_values[script] = live

    def live_ecr(self, script: int, scaled: bool) -> int:
        """What the script's TSecr is on the wire.

        One that was not seen keeps its distance to the first that was, and 0 stays 0. `scaled`: between two that were
        seen it is interpolated.
        """
        seen = self.ecr_values
        if script in seen:
            return seen[script]
        if not script or self.first_timestamp is None:
            return script
        first_script, first_live = self.first_timestamp
        if scaled:
            below = max((value for value in seen if value < script), default=None)
            above = min((value for value in seen if value > script), default=None)
            if below is not None and above is not None:
                span = wrap(seen[above] - seen[below])
                return wrap(seen[below] + span * (script - below) // (above - below))
        return wrap(first_live + script - first_script)


def reverse_flow(packet: Packet) -> bytes:
    """The key of what arrives for the connection of a TCP packet that leaves."""
    segment = packet.payload
    assert isinstance(segment, Segment)
    return packet.destination + packet.source + _PORTS.pack(segment.destination_port, segment.source_port)
