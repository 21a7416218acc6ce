"""What happened to a connection, as far as a script can tell it: packets that were seen, and calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from synfin.wire.ip import Packet
from synfin.wire.tcp import Segment


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet of the connection: when (nanoseconds), and whether it arrived at the host under test."""

    time: int
    inbound: bool
    packet: Packet


@dataclass(frozen=True, slots=True)
class Called:
    """A call of the user's, under RFC 9293's name (§3.10), and how many octets it moved."""

    time: int
    call: str
    octets: int = 0


Happening: TypeAlias = "Seen | Called"


def flow_of(packet: Packet) -> bytes:
    """The flow of a TCP packet, as the host at which it arrives names it."""
    segment = packet.payload
    assert isinstance(segment, Segment)
    ports = segment.source_port.to_bytes(2, "big") + segment.destination_port.to_bytes(2, "big")
    return packet.source + packet.destination + ports


def segment_of(seen: Seen) -> Segment:
    """The segment of a packet that was seen."""
    segment = seen.packet.payload
    assert isinstance(segment, Segment)
    return segment
