"""Loss recovery by SACK alone (RFC 6675): what enough of was sacked above is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_RECOVERY
from synfin.tcp.recovery.selective import SelectiveRecovery

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb


class SackRecovery(SelectiveRecovery):
    """IsLost (), NextSeg () and the scoreboard of RFC 6675, with the window of RFC 9937.

    `judged`: below it all is judged that was not sacked. `rescued` is RescueRxt, -1 if undefined; `spare`: NextSeg may
    apply its rules (3) and (4) once more; `guessed`: it did so in this recovery.
    """

    __slots__ = ("duplicates", "guessed", "judged", "rescued", "spare")

    name = "sack"

    def __init__(self, iss: int, reordering: int = 3) -> None:
        super().__init__(iss, reordering)
        self.duplicates = 0
        self.judged = iss
        self.rescued = -1
        self.spare = False
        self.guessed = False

    def take(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        super().take(tcb, delivery, now)
        self.spare = delivery.octets > 0
        if delivery.advanced:
            self.duplicates = 0
        elif delivery.sacked:
            # RFC 6675 §2: a duplicate acknowledgment is one that brings new SACK information.
            self.duplicates += 1

    def detect(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        sent = tcb.sent
        if sent.sacked.octets == 0:
            return
        # RFC 6675 §4, IsLost ()
        number = sent.sacked.above((self.reordering - 1) * tcb.mss, self.reordering)
        start = max(self.judged, tcb.snd_una)
        if number > start:
            lost = sent.lost
            sent.mark_lost(start, number, again=False)
            self.judged = number
            if sent.lost > lost:
                tcb.why_lost = reasons.SACK_SHOWS_LOSS
        if self.ca_state < TCP_CA_RECOVERY and self.duplicates >= self.reordering and sent.lost == 0:
            # §5, step (1): the first segment, whatever IsLost () says of it.
            first = sent.first()
            if first is not None and first.transmissions == 1:
                sent.mark_lost(tcb.snd_una, min(first.end, tcb.snd_una + max(first.segment_size, 1)))
                tcb.why_lost = reasons.FAST_RETRANSMIT

    def enter_recovery(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        super().enter_recovery(tcb, delivery, now)
        self.rescued = -1
        self.guessed = False

    def timed_out_marks(self, tcb: Tcb, now: int) -> None:
        tcb.sent.mark_all_lost()
        self.duplicates = 0
        self.judged = tcb.snd_nxt
        self.guessed = False

    def undone(self, tcb: Tcb) -> None:
        # What is outstanding again is judged again.
        self.judged = tcb.snd_una

    def lose_more(self, tcb: Tcb) -> bool:
        """RFC 6675 §4, NextSeg (), rules (3) and (4), where nothing is lost and no new data can be sent: once for each
        acknowledgment, what lies below something that was sacked; once in each recovery, the last segment."""
        if self.ca_state != TCP_CA_RECOVERY or not self.spare:
            return False
        self.spare = False
        sent = tcb.sent
        entry = sent.first_sent_once(max(self.judged, tcb.snd_una), sent.sacked.end)
        if entry is not None:
            stop = min(entry.end, entry.start + max(entry.segment_size, 1))
            sent.mark_lost(entry.start, stop)
            self.judged = stop
            tcb.why_lost = reasons.SACK_SHOWS_LOSS
            self.guessed = True
            return True
        last = sent.last()
        if last is not None and last.end > sent.sacked.end and tcb.snd_una > self.rescued:
            self.rescued = self.recover
            sent.mark_lost(max(last.start, last.end - max(last.segment_size, 1)), last.end)
            tcb.why_lost = reasons.RESCUE
            self.guessed = True
            return sent.lost > 0
        return False

    def is_delayed(self, delivery: Delivery) -> bool:
        # What was sent again on a guess may well arrive the first time: that says nothing of the other losses.
        return not self.guessed and super().is_delayed(delivery)
