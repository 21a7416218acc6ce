"""CLOSED: what a segment meets for which there is no connection (RFC 9293 §3.10.7.1)."""

from __future__ import annotations

from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, RST, Segment


def segment_arrives(segment: Segment) -> Segment | None:
    """The reset that answers `segment`, or None: a RST is never answered."""
    if segment.flags & RST:
        return None
    if segment.flags & ACK:
        # <SEQ=SEG.ACK><CTL=RST>
        return Segment(segment.destination_port, segment.source_port, segment.ack, 0, RST, 0)
    # <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
    return Segment(
        segment.destination_port,
        segment.source_port,
        0,
        (segment.seq + segment.length) & MASK,
        RST | ACK,
        0,
    )
