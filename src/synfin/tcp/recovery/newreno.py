"""Loss recovery without SACK: duplicate acknowledgments (RFC 5681 §3.2) and partial ones (RFC 6582)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_LOSS, TCP_CA_RECOVERY
from synfin.tcp.delivery import NONE
from synfin.tcp.recovery.loss_recovery import LossRecovery

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb


class NewReno(LossRecovery):
    """Fast retransmit of RFC 5681 §3.2 and the partial acknowledgments of RFC 6582, with the window of RFC 9937.

    Each duplicate acknowledgment says that one more segment has left the network: `arrived` octets of what is
    outstanding (RFC 9937 §6.2). So two new segments go out before the third duplicate comes (RFC 3042).
    """

    __slots__ = ("arrived", "duplicates", "first_partial")

    name = "newreno"

    def __init__(self, iss: int, reordering: int = 3) -> None:
        super().__init__(iss, reordering)
        #: Duplicate acknowledgments in a row, and the octets that they stand for.
        self.duplicates = 0
        self.arrived = 0
        self.first_partial = True

    def pipe(self, tcb: Tcb) -> int:
        return max(tcb.sent.in_flight - self.arrived, 0)

    def out_of_order(self, tcb: Tcb) -> int:
        return self.arrived

    def take(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        if delivery.advanced:
            if delivery.resent_at >= 0:
                # It may be the retransmission that let it advance over what had arrived before.
                delivery.original_end = NONE
            before = self.arrived
            if before:
                # RFC 9937 §6.2: less what the duplicates told before.
                self.arrived = max(before - max(delivery.octets - tcb.mss, 0), 0)
                delivery.octets = max(delivery.octets - before, min(tcb.mss, delivery.octets))
                delivery.segments = max(delivery.segments - -(-before // tcb.mss), 1)
            if self.ca_state != TCP_CA_RECOVERY:
                self.duplicates = 0
                self.arrived = 0
            self.arrived = min(self.arrived, tcb.sent.in_flight)
        elif delivery.duplicate and (self.ca_state != TCP_CA_LOSS or tcb.snd_nxt > self.recover):
            self.duplicates += 1
            # Nobody can say that more has arrived than was sent.
            octets = min(tcb.mss, tcb.sent.in_flight - self.arrived)
            if self.window_falls():
                octets = min(octets, self.recover_flight - self.prr_delivered)
            if octets > 0:
                self.arrived += octets
                delivery.octets += octets
                delivery.segments += 1

    def detect(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        if self.ca_state == TCP_CA_RECOVERY:
            if delivery.advanced:
                # RFC 6582 §3.2, step 3: a partial acknowledgment
                self._lose_first(tcb)
                tcb.why_lost = reasons.PARTIAL_ACKNOWLEDGMENT
                if not self.first_partial:
                    # Only the first one resets the retransmission timer.
                    tcb.keep_retransmission_timer = True
                self.first_partial = False
        elif self.ca_state != TCP_CA_LOSS and self.duplicates >= self.reordering:
            # RFC 5681 §3.2, step 2
            self._lose_first(tcb)
            self.first_partial = True
            tcb.why_lost = reasons.FAST_RETRANSMIT

    def timed_out_marks(self, tcb: Tcb, now: int) -> None:
        self.duplicates = 0
        self.arrived = 0
        tcb.sent.mark_all_lost()

    def holds(self, tcb: Tcb) -> bool:
        # RFC 6582 §3.2, step 1: duplicates that the retransmissions cause are not to start it all again.
        if tcb.snd_una == self.recover:
            return True
        self.duplicates = 0
        self.arrived = 0
        return False

    def _lose_first(self, tcb: Tcb) -> None:
        """Believes the first segment at SND.UNA lost, unless it was sent again and that may still arrive."""
        first = tcb.sent.first()
        if first is not None:
            stop = tcb.snd_una + first.segment_size
            # A FIN rides on the last segment, beyond its data.
            tcb.sent.mark_lost(tcb.snd_una, first.end if first.end - stop <= 1 else stop)
            self.arrived = min(self.arrived, tcb.sent.in_flight)
