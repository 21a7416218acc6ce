"""A loss recovery that turns out to have been needless: what is remembered for that, and how it is undone.

Timestamps tell that what was sent again had arrived the first time (the Eifel algorithm, RFC 3522), and so does D-SACK
(RFC 2883 §5). Then the window is what it was (RFC 4015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin import reasons
from synfin.tcp.clock import timestamp
from synfin.wire.sequence import before

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb


class Undoing:
    """What a strategy remembers of the moment at which its window began to fall.

    `undo_from` is SND.UNA of that moment, -1 if nothing can be undone; `undo_retransmissions` segments were sent again
    since, less those of which D-SACKs came; `prior_cwnd` and `prior_ssthresh` are to be restored. `stamp` is the
    timestamp (TSval) of the first retransmission, -1 if there is none.
    """

    __slots__ = ("prior_cwnd", "prior_ssthresh", "stamp", "undo_from", "undo_retransmissions")

    def __init__(self) -> None:
        self.undo_from = -1
        self.undo_retransmissions = -1
        self.prior_cwnd = 0
        self.prior_ssthresh = 0
        self.stamp = -1

    def undone(self, tcb: Tcb) -> None:
        """Recovery turned out to be a mistake, and is over."""

    def sent_again(self, tcb: Tcb, segments: int, now: int) -> None:
        """So many segments were retransmitted."""
        if self.stamp < 0:
            self.stamp = timestamp(now, tcb.ts_offset)
        self.undo_retransmissions = max(self.undo_retransmissions, 0) + segments

    def begin_undo(self, tcb: Tcb) -> None:
        self.undo_from = tcb.snd_una
        # What was sent again before may still come to light by D-SACKs.
        self.undo_retransmissions = -(-tcb.sent.resent // tcb.mss) or -1
        if not tcb.sent.resent:
            self.stamp = -1

    def may_undo(self, tcb: Tcb, delivery: Delivery) -> bool:
        """Whether what was sent again arrived the first time."""
        return self.undo_from >= 0 and (self.undo_retransmissions == 0 or self.is_delayed(delivery))

    def is_delayed(self, delivery: Delivery) -> bool:
        """RFC 3522 §3.2, step 3: the echo is of a segment that left before the first retransmission."""
        return self.stamp >= 0 and delivery.ts_ecr >= 0 and before(delivery.ts_ecr, self.stamp)

    def undo_reason(self, tcb: Tcb) -> Reason:
        return reasons.UNDONE_BY_DSACK if self.undo_retransmissions == 0 else reasons.UNDONE_BY_TIMESTAMP

    def undo(self, tcb: Tcb, unmark: bool, reason: Reason, now: int) -> None:
        """Nothing was lost, only late: the window is what it was; with `unmark`, nothing is believed lost."""
        if unmark:
            tcb.sent.unmark_lost()
        if self.prior_ssthresh:
            tcb.congestion.undone(tcb, now)
            # RFC 4015 §3.2 in Linux's form
            tcb.cwnd = max(tcb.cwnd, self.prior_cwnd)
            if self.prior_ssthresh > tcb.ssthresh:
                tcb.ssthresh = self.prior_ssthresh
                if tcb.ecn is not None:
                    tcb.ecn.tells = False
        self.undo_from = -1
        self.undone(tcb)
        tcb.happened += (reason,)
        tcb.trace_congestion(now, reason)

    def undo_by_duplicates(self, tcb: Tcb, now: int) -> bool:
        """Each retransmission was reported as a duplicate (RFC 2883 §5)."""
        if self.undo_from >= 0 and self.undo_retransmissions == 0:
            self.undo(tcb, False, reasons.UNDONE_BY_DSACK, now)
            return True
        return False

    def duplicate_reported(self, tcb: Tcb, end: int, segments: int) -> None:
        """A D-SACK (RFC 2883) reports so many segments up to `end` as duplicates."""
        if self.undo_from >= 0 and self.undo_retransmissions > 0 and end > self.undo_from:
            self.undo_retransmissions = max(self.undo_retransmissions - segments, 0)
