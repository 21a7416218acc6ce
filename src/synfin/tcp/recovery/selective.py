"""What both recoveries have in common that read SACK blocks: the degree of reordering, and tail-loss probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin import reasons
from synfin.tcp.recovery import tail_loss_probe
from synfin.tcp.recovery.loss_recovery import LossRecovery

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb


class SelectiveRecovery(LossRecovery):
    """A recovery that knows by SACK what has arrived.

    `probe_end`, `probe_again` and `probe_samples` are TLP's (RFC 8985 §7.1): SND.NXT when a probe was sent (-1: none is
    in flight), whether it was a retransmission, and how many round trips had been measured then.
    """

    __slots__ = ("probe_again", "probe_end", "probe_samples")

    selective = True

    def __init__(self, iss: int, reordering: int = 3) -> None:
        super().__init__(iss, reordering)
        self.probe_end = -1
        self.probe_again = False
        self.probe_samples = -1

    def take(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        if delivery.reordered_from >= 0:
            # RFC 8985 §6.2, step 3
            self.reordered(tcb, delivery.reordered_from)
        if self.probe_end >= 0:
            tail_loss_probe.acknowledged(self, tcb, delivery, now)

    def reordered(self, tcb: Tcb, start: int) -> None:
        # By how many segments, as Linux has it: up to the highest one that has arrived by now.
        extent = -(-(max(tcb.snd_una, tcb.sent.sacked.end) - start) // tcb.mss)
        if extent > self.reordering:
            self.reordering = min(extent, tcb.parameters.tcp_max_reordering)
        self.reordering_seen += 1
        tcb.happened += (reasons.REORDERING_SEEN,)

    def enter_recovery(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        tail_loss_probe.reset(self, tcb, now)
        super().enter_recovery(tcb, delivery, now)

    def timed_out(self, tcb: Tcb, now: int) -> None:
        tail_loss_probe.reset(self, tcb, now)
        super().timed_out(tcb, now)

    def schedule(self, tcb: Tcb, now: int) -> None:
        tail_loss_probe.schedule(self, tcb, now)

    def probe_sent(self, tcb: Tcb, again: bool) -> None:
        tail_loss_probe.sent(self, tcb, again)

    def deadline_reached(self, tcb: Tcb, timer: int, now: int) -> None:
        tail_loss_probe.deadline_reached(self, tcb, now)
