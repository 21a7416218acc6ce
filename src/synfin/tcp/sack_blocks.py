"""SACK blocks that arrive (RFC 2018 §5): which to believe, and what a D-SACK says (RFC 2883)."""

from __future__ import annotations

from synfin import reasons
from synfin.tcp.delivery import Delivery
from synfin.tcp.tcb import Tcb
from synfin.wire.sequence import unwrap
from synfin.wire.tcp import Segment


def take_blocks(tcb: Tcb, segment: Segment, ack: int, delivery: Delivery) -> None:
    """Takes the SACK blocks of a segment with an acceptable `ack` (unwrapped)."""
    una = max(ack, tcb.snd_una)
    first = True
    blocks = [(unwrap(start, una), unwrap(end, una)) for start, end in segment.options.sack]
    for start, end in blocks:
        if first and _reports_duplicate(tcb, blocks, ack, start, end):
            _duplicate(tcb, delivery, start, end)
        elif una < start < end <= tcb.snd_nxt:
            tcb.sent.sack(start, end, delivery)
        elif end > una:
            # Numbers that were never sent, or that the acknowledgment itself covers.
            tcb.happened += (reasons.SACK_DISCARDED,)
        first = False


def _reports_duplicate(tcb: Tcb, blocks: list[tuple[int, int]], ack: int, start: int, end: int) -> bool:
    """RFC 2883 §4: the first block reports a duplicate if the ACK covers it, or the second block holds it."""
    if not start < end:
        return False
    if end <= ack:
        return True
    return len(blocks) > 1 and blocks[1][0] <= start and end <= blocks[1][1]


def _duplicate(tcb: Tcb, delivery: Delivery, start: int, end: int) -> None:
    # No duplicate is of what was never sent, nor older than what the peer may have remembered.
    if end > tcb.snd_nxt or start < tcb.snd_una - max(tcb.max_snd_wnd, tcb.mss):
        tcb.happened += (reasons.DSACK_IGNORED,)
        return
    segments = -(-(end - start) // tcb.mss)
    tcb.counts.dsack_dups += segments
    if tcb.counts.dsack_dups > tcb.counts.total_retrans:
        # Nobody can have more duplicates than were sent. The network made some, or the peer.
        tcb.happened += (reasons.DSACK_IGNORED,)
        return
    delivery.duplicated = (start, end)
    delivery.segments += segments
    tcb.recovery.duplicate_reported(tcb, end, segments)
    tcb.happened += (reasons.DSACK_RECEIVED,)
