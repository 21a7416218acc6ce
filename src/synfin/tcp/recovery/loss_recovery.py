"""What every loss recovery does: its states, and how the window becomes smaller.

The states are Linux's (`synfin.tcp.ca_states`). The subclasses say what is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.tcp import mtu_probing, timers
from synfin.tcp.ca_states import TCP_CA_CWR, TCP_CA_DISORDER, TCP_CA_LOSS, TCP_CA_OPEN, TCP_CA_RECOVERY
from synfin.tcp.congestion import INFINITE_SSTHRESH
from synfin.tcp.parameters import MILLISECOND
from synfin.tcp.recovery import forward_rto
from synfin.tcp.recovery.proportional import send_count
from synfin.tcp.recovery.undoing import Undoing
from synfin.tcp.sent_range import SACKED

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb

#: A receiver that gave up what it had sacked is given so many nanoseconds, or half a round trip, to say it did not.
RENEGING_DELAY: Final = 10 * MILLISECOND


class LossRecovery(Undoing):
    """The base of all strategies. A strategy marks ranges of `tcb.sent` as lost, and says what is in flight.

    `recover` is the number after the highest one that had been sent when the state was entered: once it is
    acknowledged, the state ends. While it is CWR or RECOVERY the window follows RFC 9937: `prr_delivered`, `prr_out`
    and `recover_flight` (RecoverFS) are its state.

    `frto`: RFC 5682's algorithm is under way.
    """

    __slots__ = (
        "ca_state",
        "frto",
        "new_data_first",
        "probe_due",
        "prr_delivered",
        "prr_out",
        "recover",
        "recover_flight",
        "reordering",
        "reordering_seen",
    )

    name = ""
    #: It reads SACK blocks.
    selective = False

    def __init__(self, iss: int, reordering: int = 3) -> None:
        super().__init__()
        self.ca_state = TCP_CA_OPEN
        self.recover = iss
        #: RFC 6675's DupThresh: segments that the network is expected to reorder (``tcp_reordering``).
        self.reordering = reordering
        #: How often something that was sent once arrived behind what was sent later.
        self.reordering_seen = 0
        self.prr_delivered = 0
        self.prr_out = 0
        self.recover_flight = 0
        self.frto = False
        #: A tail-loss probe is to be sent.
        self.probe_due = False
        #: New data go before what is lost, for this once (RFC 5682 §2.1, step 2b).
        self.new_data_first = False

    # --- what subclasses say

    def take(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """Learns from an acknowledgment, before anything is concluded from it."""

    def detect(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """Marks what an acknowledgment shows to be lost."""
        raise NotImplementedError

    def timed_out_marks(self, tcb: Tcb, now: int) -> None:
        """Marks what the retransmission timer shows to be lost."""
        tcb.sent.mark_all_lost()

    def pipe(self, tcb: Tcb) -> int:
        """How many octets are believed to be in the network."""
        return tcb.sent.in_flight

    def out_of_order(self, tcb: Tcb) -> int:
        """How many octets the peer is known to have beyond SND.UNA."""
        return tcb.sent.sacked.octets

    def reordered(self, tcb: Tcb, start: int) -> None:
        """What was sent once from `start` on arrived behind what was sent later."""

    def recovered(self, tcb: Tcb) -> None:
        """Recovery is over, and was needed."""

    def schedule(self, tcb: Tcb, now: int) -> None:
        """New data left, or the retransmission timer was started anew by an acknowledgment."""

    def deadline_reached(self, tcb: Tcb, timer: int, now: int) -> None:
        """A timer of this strategy's expired."""

    def probe_sent(self, tcb: Tcb, again: bool) -> None:
        """What `probe_due` asked for was sent: new data, or the last segment `again`."""

    def lose_more(self, tcb: Tcb) -> bool:
        """Nothing is lost, and no new data can be sent, though the window would allow it: True if something else is
        marked lost, to be sent again."""
        return False

    # --- for the others

    def in_recovery(self) -> bool:
        """Whether a loss is being mended."""
        return self.ca_state >= TCP_CA_RECOVERY

    def window_falls(self) -> bool:
        """Whether the congestion window is on its way down to ssthresh."""
        return TCP_CA_CWR <= self.ca_state <= TCP_CA_RECOVERY

    def allowed(self, tcb: Tcb) -> int:
        """How many octets more may be sent now, as far as congestion is concerned."""
        return tcb.cwnd - self.pipe(tcb)

    def sent_out(self, octets: int) -> None:
        """Data were sent, for the first time or again (RFC 9937 §6.3)."""
        if TCP_CA_CWR <= self.ca_state <= TCP_CA_RECOVERY:
            self.prr_out += octets

    # --- an acknowledgment

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """An acknowledgment arrived that is new, or a duplicate. `tcb.sent` and SND.UNA know what it says."""
        lost_before = tcb.sent.lost_in_all
        self.new_data_first = False
        self.take(tcb, delivery, now)
        tcb.congestion.observed(tcb, delivery, now)
        if (
            self.ca_state != TCP_CA_OPEN
            or delivery.sacked
            or delivery.duplicate
            or delivery.echo
            or delivery.duplicated is not None
            or self.out_of_order(tcb)
        ):
            self._conclude(tcb, delivery, now)
        else:
            self.stamp = -1
        if self.window_falls():
            safe = delivery.advanced > 0 and tcb.sent.lost_in_all == lost_before
            self.reduce(tcb, delivery.octets, safe, now)
        elif delivery.advanced and tcb.validation.may_grow(tcb):
            self._grow(tcb, delivery, now)

    def _grow(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        tcb.cwnd = min(tcb.cwnd, tcb.cwnd_clamp)
        reason = tcb.congestion.acknowledged(tcb, delivery, now)
        tcb.cwnd = min(tcb.cwnd, tcb.cwnd_clamp)
        tcb.trace_congestion(now, reason)

    def _conclude(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """What an unusual acknowledgment means, or any while something is amiss."""
        if delivery.echo:
            # What a router marked is congestion, whatever else it was.
            self.prior_ssthresh = 0
        if delivery.advanced and self._reneged(tcb):
            # RFC 2018 §8; as Linux, there is no use in waiting for the whole RTO.
            tcb.start_timer(timers.RETRANSMISSION, now + max(tcb.round_trip.srtt // 2, RENEGING_DELAY), now)
            tcb.keep_retransmission_timer = True
            tcb.stop_timer(timers.LOSS_PROBE, now)
            tcb.stop_timer(timers.REORDERING, now)
            return
        state = self.ca_state
        if state == TCP_CA_OPEN:
            self.stamp = -1
        elif tcb.snd_una >= self.recover:
            # RFC 3168 §6.1.2: until something sent later is acknowledged, the echo is that of the same mark.
            if state == TCP_CA_CWR and tcb.snd_una > self.recover:
                self._complete(tcb, now)
                self.ca_state = TCP_CA_OPEN
            elif state == TCP_CA_RECOVERY:
                if self._leave_recovery(tcb, delivery, now):
                    return
                self._complete(tcb, now)
        if self.ca_state == TCP_CA_RECOVERY:
            self._in_recovery(tcb, delivery, now)
        elif self.ca_state == TCP_CA_LOSS:
            self._in_loss(tcb, delivery, now)
        else:
            self._consider(tcb, delivery, now)

    def _consider(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """No loss is being mended: is there one?"""
        if self.ca_state <= TCP_CA_DISORDER:
            self.undo_by_duplicates(tcb, now)
        self.detect(tcb, delivery, now)
        if tcb.sent.lost == 0 and tcb.sent.mending == 0:
            self._settle(tcb, delivery, now)
        elif tcb.mtu_search is not None and mtu_probing.is_lost(tcb, tcb.mtu_search):
            mtu_probing.lost(tcb, tcb.mtu_search, now)
            self.mend_without_reduction(tcb, now)
        else:
            self.enter_recovery(tcb, delivery, now)

    def _settle(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """No loss is to be seen: OPEN or DISORDER, or CWR if a router has marked a packet."""
        if delivery.echo:
            self.marked(tcb, delivery, now)
        if self.ca_state != TCP_CA_CWR:
            self._keep_open(tcb)

    def _keep_open(self, tcb: Tcb) -> None:
        disorder = self.out_of_order(tcb) or tcb.sent.resent or tcb.sent.lost
        self.ca_state = TCP_CA_DISORDER if disorder else TCP_CA_OPEN

    # --- the window falls

    def marked(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """A router marked what we sent (RFC 3168 §6.1.2): the window is reduced as for a loss, once for each window of
        data, and nothing is sent again."""
        self.prior_ssthresh = 0
        if self.ca_state >= TCP_CA_CWR:
            return
        self.undo_from = -1
        self._begin_reduction(tcb, delivery, now)
        self.ca_state = TCP_CA_CWR
        tcb.trace_congestion(now, reasons.ECN_ECHO)

    def enter_recovery(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """A loss was found: the window is reduced, unless it is being reduced already."""
        self.prior_ssthresh = 0
        self.begin_undo(tcb)
        if not self.window_falls():
            if not delivery.echo:
                self.prior_ssthresh = self._current_ssthresh(tcb)
            self._begin_reduction(tcb, delivery, now)
        self.ca_state = TCP_CA_RECOVERY
        tcb.trace_congestion(now, reasons.FAST_RECOVERY)

    def _begin_reduction(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        self.recover = tcb.snd_nxt
        self.prior_cwnd = tcb.cwnd
        # RFC 9937 §6.1
        flight = tcb.snd_nxt - tcb.snd_una
        self.recover_flight = flight - self.out_of_order(tcb) + delivery.octets
        self.prr_delivered = 0
        self.prr_out = 0
        tcb.ssthresh = self._reduced(tcb, flight + delivery.advanced, now)
        if tcb.ecn is not None:
            tcb.ecn.tells = True

    def _reduced(self, tcb: Tcb, flight: int, now: int) -> int:
        # RFC 5681 §3.2, step 2: what limited transmit sent does not count. In whole segments, as a window is used.
        ssthresh = tcb.congestion.reduced(tcb, min(flight, tcb.cwnd), now)
        return ssthresh - ssthresh % tcb.mss

    def reduce(self, tcb: Tcb, delivered: int, safe: bool, now: int) -> None:
        """RFC 9937 §6.2: `delivered` octets arrived; `safe`, with progress and no sign of further losses."""
        if delivered == 0:
            return
        self.prr_delivered += delivered
        in_flight = self.pipe(tcb)
        tcb.cwnd = in_flight + send_count(
            delivered,
            self.prr_delivered,
            self.prr_out,
            self.recover_flight,
            in_flight,
            tcb.ssthresh,
            safe,
            tcb.mss,
        )
        tcb.trace_congestion(now, reasons.RATE_REDUCTION)

    def _complete(self, tcb: Tcb, now: int) -> None:
        # RFC 9937 §6.4; not if all was undone.
        if tcb.ssthresh < INFINITE_SSTHRESH and (self.ca_state == TCP_CA_CWR or self.undo_from >= 0):
            tcb.cwnd = tcb.ssthresh
            lossless = self.ca_state == TCP_CA_CWR
            tcb.trace_congestion(now, reasons.RATE_REDUCTION if lossless else reasons.FULL_ACKNOWLEDGMENT)

    def reduced_by_probe(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """A tail-loss probe mended a loss that nothing else showed (RFC 8985 §7.4.2): the window is reduced at once."""
        self._begin_reduction(tcb, delivery, now)
        self.ca_state = TCP_CA_CWR
        self._complete(tcb, now)
        self._keep_open(tcb)

    # --- in RECOVERY

    def _in_recovery(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        if delivery.advanced and self._undo_partially(tcb, delivery, now):
            return
        if self.undo_by_duplicates(tcb, now):
            self._keep_open(tcb)
        self.detect(tcb, delivery, now)
        if self.ca_state != TCP_CA_RECOVERY and tcb.sent.lost:
            self.enter_recovery(tcb, delivery, now)

    def _leave_recovery(self, tcb: Tcb, delivery: Delivery, now: int) -> bool:
        """All is acknowledged that had been sent when the loss was found. True if the state is held all the same."""
        if self.may_undo(tcb, delivery):
            self.undo(tcb, False, self.undo_reason(tcb), now)
        else:
            self.recovered(tcb)
        if self.holds(tcb):
            return True
        self.ca_state = TCP_CA_OPEN
        return False

    def holds(self, tcb: Tcb) -> bool:
        """Whether the state is kept until something beyond `recover` is acknowledged."""
        return False

    # --- in LOSS

    def timed_out(self, tcb: Tcb, now: int) -> None:
        """The retransmission timer expired (RFC 5681 §3.1, RFC 6298 §5)."""
        self.new_data_first = False
        new = self.ca_state < TCP_CA_RECOVERY
        if self._reneged(tcb):
            tcb.happened += (reasons.SACK_RENEGED,)
            tcb.sent.forget_sacked()
            tcb.sent.mark_all_lost()
        else:
            self.timed_out_marks(tcb, now)
        again = self.ca_state == TCP_CA_LOSS and tcb.snd_una < self.recover and tcb.retransmissions > 1
        if not again and not (tcb.snd_una < self.recover and TCP_CA_CWR <= self.ca_state <= TCP_CA_RECOVERY):
            # RFC 5681 §3.1, equation (4): not again for what was sent again already, nor for a window reduced already.
            self.prior_ssthresh = self._current_ssthresh(tcb)
            self.prior_cwnd = tcb.cwnd
            tcb.ssthresh = self._reduced(tcb, tcb.snd_nxt - tcb.snd_una, now)
            self.begin_undo(tcb)
        # RFC 5681 §3.1: the loss window is one segment; what is not lost is beside it.
        tcb.cwnd = self.pipe(tcb) + tcb.mss
        if self.ca_state <= TCP_CA_DISORDER:
            # After so many duplicates, reordering was thought to be worse than it is.
            least = tcb.parameters.tcp_reordering
            if self.out_of_order(tcb) >= least * tcb.mss:
                self.reordering = min(self.reordering, least)
        self.ca_state = TCP_CA_LOSS
        self.recover = tcb.snd_nxt
        if tcb.ecn is not None:
            tcb.ecn.tells = True
        self.frto = forward_rto.begins(tcb, new)
        tcb.congestion.timed_out(tcb, now)
        tcb.why_lost = reasons.RETRANSMISSION_TIMEOUT
        tcb.trace_congestion(now, reasons.RETRANSMISSION_TIMEOUT)

    def _reneged(self, tcb: Tcb) -> bool:
        """RFC 2018 §8: what lies at SND.UNA was sacked, and yet not acknowledged."""
        first = tcb.sent.first()
        return first is not None and first.fate == SACKED

    def _in_loss(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        verdict = forward_rto.process(self, tcb, delivery, now)
        if verdict == forward_rto.SPURIOUS:
            tcb.retransmissions = 0
        elif verdict == forward_rto.RECOVERED:
            self._leave_loss(tcb, delivery, now)
        elif verdict == forward_rto.NEW_DATA:
            self.new_data_first = True
        self.detect(tcb, delivery, now)
        if self.ca_state == TCP_CA_OPEN:
            if tcb.sent.lost:
                self.enter_recovery(tcb, delivery, now)
            else:
                self._settle(tcb, delivery, now)

    def _leave_loss(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        if self.may_undo(tcb, delivery):
            self.undo(tcb, False, self.undo_reason(tcb), now)
        else:
            self.recovered(tcb)
        if not self.holds(tcb):
            self.ca_state = TCP_CA_OPEN

    def mend_without_reduction(self, tcb: Tcb, now: int) -> None:
        """What was lost was too large for the path, and says nothing of congestion (RFC 8201 §5.4, RFC 4821 §7.6.2):
        it is sent again, with the window as it is."""
        if self.ca_state != TCP_CA_LOSS:
            self.recover = tcb.snd_nxt
            tcb.ssthresh = self._current_ssthresh(tcb)
            self.prior_ssthresh = 0
            self.undo_from = -1
            self.ca_state = TCP_CA_LOSS
            self.frto = False

    # --- back again: Eifel (RFC 3522, RFC 4015) and D-SACK

    def _current_ssthresh(self, tcb: Tcb) -> int:
        if self.window_falls():
            return tcb.ssthresh
        return max(tcb.ssthresh, tcb.cwnd - (tcb.cwnd >> 2))

    def undo_loss(self, tcb: Tcb, delivery: Delivery, certain: bool, now: int) -> bool:
        """After a time-out: True if it was spurious, as is `certain` or can be seen here. Nothing is lost then."""
        if not certain and not self.may_undo(tcb, delivery):
            return False
        self.undo(tcb, True, reasons.SPURIOUS_TIMEOUT if certain else self.undo_reason(tcb), now)
        if not self.holds(tcb) and (certain or self.selective):
            self.ca_state = TCP_CA_OPEN
        return True

    def _undo_partially(self, tcb: Tcb, delivery: Delivery, now: int) -> bool:
        """What filled the gap was the original, late. True if there is nothing to mend for now."""
        if self.undo_from < 0 or not self.is_delayed(delivery):
            return False
        self.reordered(tcb, tcb.snd_una - delivery.advanced)
        if tcb.sent.resent:
            # Other retransmissions are on their way; no more of them for now.
            return True
        self.stamp = -1
        self.undo(tcb, True, reasons.UNDONE_BY_TIMESTAMP, now)
        self._keep_open(tcb)
        return False
