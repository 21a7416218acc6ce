"""Loss recovery: what is lost, and what may be sent while it is mended. One small class each, chosen by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.tcp import ecn

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb

#: RFC 5681 §3.2: so many duplicate acknowledgments mean a loss.
DUPLICATE_THRESHOLD: Final = 3

# Linux's names for what a sender is doing about losses (tcpi_ca_state)
TCP_CA_OPEN: Final = 0
TCP_CA_DISORDER: Final = 1
TCP_CA_CWR: Final = 2
TCP_CA_RECOVERY: Final = 3
TCP_CA_LOSS: Final = 4


class LossRecovery:
    """The base of all strategies. A strategy marks ranges of `tcb.sent` as lost and governs `cwnd` meanwhile."""

    name = ""

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """SND.UNA advanced; `tcb.sent` knows it already."""
        raise NotImplementedError

    def duplicate(self, tcb: Tcb, now: int) -> None:
        """A duplicate acknowledgment arrived (RFC 5681 §2)."""
        raise NotImplementedError

    def timed_out(self, tcb: Tcb, now: int) -> None:
        """The retransmission timer expired."""
        raise NotImplementedError

    def window(self, tcb: Tcb) -> int:
        """How many octets may be in flight now."""
        raise NotImplementedError

    def in_recovery(self) -> bool:
        """Whether a loss is being mended."""
        raise NotImplementedError

    def ca_state(self) -> int:
        """What TCP_INFO calls the state of it: `TCP_CA_OPEN` and its like."""
        return TCP_CA_RECOVERY if self.in_recovery() else TCP_CA_OPEN


class NewReno(LossRecovery):
    """Fast retransmit and fast recovery of RFC 5681 §3.2, with the partial acknowledgments of RFC 6582.

    `recover` is RFC 6582's, here the number after the highest one sent when the loss was found.
    """

    __slots__ = ("duplicates", "fast", "first_partial", "recover", "timeout")

    name = "newreno"

    def __init__(self, iss: int) -> None:
        self.duplicates = 0
        #: In fast recovery.
        self.fast = False
        #: Mending what a retransmission time-out found, until `recover` is acknowledged.
        self.timeout = False
        self.recover = iss
        self.first_partial = True

    def in_recovery(self) -> bool:
        return self.fast or self.timeout

    def ca_state(self) -> int:
        if self.timeout:
            return TCP_CA_LOSS
        if self.fast:
            return TCP_CA_RECOVERY
        return TCP_CA_DISORDER if self.duplicates else TCP_CA_OPEN

    def window(self, tcb: Tcb) -> int:
        if self.fast or self.timeout:
            return tcb.cwnd
        # RFC 5681 §3.2, step 1; RFC 3042: each of the first two duplicates lets one more segment go.
        return tcb.cwnd + min(self.duplicates, 2) * tcb.mss

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        self.duplicates = 0
        tcb.congestion.observed(tcb, delivery, now)
        if self.fast:
            if tcb.snd_una >= self.recover:
                self._full(tcb, now)
            else:
                self._partial(tcb, delivery.octets, now)
            return
        if self.timeout and tcb.snd_una >= self.recover:
            self.timeout = False
        if tcb.cwnd_limited or tcb.sent.lost:
            tcb.cwnd = min(tcb.cwnd, tcb.cwnd_clamp)
            reason = tcb.congestion.acknowledged(tcb, delivery, now)
            tcb.cwnd = min(tcb.cwnd, tcb.cwnd_clamp)
            tcb.trace_congestion(now, reason)

    def duplicate(self, tcb: Tcb, now: int) -> None:
        self.duplicates += 1
        if self.fast:
            # RFC 5681 §3.2, step 4: one more segment has left the network.
            tcb.cwnd += tcb.mss
            tcb.trace_congestion(now, reasons.FAST_RECOVERY)
        elif self.duplicates == DUPLICATE_THRESHOLD and tcb.snd_una > self.recover:
            self._enter(tcb, now)

    def _enter(self, tcb: Tcb, now: int) -> None:
        # RFC 6582 §3.2, step 2; RFC 5681 §3.2, steps 2 and 3
        if not ecn.reduced(tcb):
            tcb.ssthresh = tcb.congestion.reduced(tcb, tcb.snd_nxt - tcb.snd_una, now)
        self.recover = tcb.snd_nxt
        self.fast = True
        self.first_partial = True
        tcb.cwnd = tcb.ssthresh + DUPLICATE_THRESHOLD * tcb.mss
        self._lose_first(tcb)
        tcb.why_lost = reasons.FAST_RETRANSMIT
        tcb.trace_congestion(now, reasons.FAST_RECOVERY)

    def _partial(self, tcb: Tcb, octets: int, now: int) -> None:
        # RFC 6582 §3.2, step 3, partial acknowledgments
        self._lose_first(tcb)
        tcb.why_lost = reasons.PARTIAL_ACKNOWLEDGMENT
        tcb.cwnd = max(tcb.cwnd - octets, tcb.mss)
        if octets >= tcb.mss:
            tcb.cwnd += tcb.mss
        if self.first_partial:
            self.first_partial = False
        else:
            # Only the first partial acknowledgment resets the retransmission timer.
            tcb.keep_retransmission_timer = True
        tcb.trace_congestion(now, reasons.FAST_RECOVERY)

    def _full(self, tcb: Tcb, now: int) -> None:
        # RFC 6582 §3.2, step 3, full acknowledgments, option (1)
        flight = tcb.snd_nxt - tcb.snd_una
        tcb.cwnd = min(tcb.ssthresh, max(flight, tcb.mss) + tcb.mss)
        self.fast = False
        tcb.trace_congestion(now, reasons.FULL_ACKNOWLEDGMENT)

    def timed_out(self, tcb: Tcb, now: int) -> None:
        # RFC 5681 §3.1, equation (4): not again while the same loss is being mended.
        if not ecn.reduced(tcb) and not self.timeout:
            tcb.ssthresh = tcb.congestion.reduced(tcb, tcb.snd_nxt - tcb.snd_una, now)
        # RFC 6582 §3.2, step 4
        self.recover = tcb.snd_nxt
        self.fast = False
        self.timeout = True
        self.duplicates = 0
        # RFC 5681 §3.1: the loss window is one segment.
        tcb.cwnd = tcb.mss
        tcb.sent.mark_all_lost()
        tcb.why_lost = reasons.RETRANSMISSION_TIMEOUT
        tcb.trace_congestion(now, reasons.RETRANSMISSION_TIMEOUT)

    def _lose_first(self, tcb: Tcb) -> None:
        """Believes the first segment at SND.UNA lost, unless it was sent again and that may still arrive."""
        first = tcb.sent.first()
        if first is not None:
            stop = tcb.snd_una + first.segment_size
            # A FIN rides on the last segment, beyond its data.
            tcb.sent.mark_lost(tcb.snd_una, first.end if first.end - stop <= 1 else stop)
