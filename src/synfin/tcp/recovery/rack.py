"""RACK (RFC 8985): a segment is lost if one that was sent sufficiently later has arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.tcp import timers
from synfin.tcp.ca_states import TCP_CA_RECOVERY
from synfin.tcp.clock import timestamp
from synfin.tcp.delivery import Delivery
from synfin.tcp.recovery.selective import SelectiveRecovery
from synfin.wire.sequence import before

if TYPE_CHECKING:
    from synfin.tcp.tcb import Tcb

# Linux's bits of ``tcp_recovery``.
RACK_LOSS_DETECTION: Final = 1
RACK_STATIC_REO_WND: Final = 2
RACK_NO_DUPTHRESH: Final = 4

#: RFC 8985 §6.2, step 4: so many recoveries until the reordering window is what it was.
PERSISTENCE: Final = 16
#: The reordering window is so many quarters of min_RTT at most.
MOST_STEPS: Final = 255
#: The timer need not be more exact than what so many transmissions tell.
MOST_LOOKED_AT: Final = 32


class RackTlp(SelectiveRecovery):
    """RACK-TLP, with the window of RFC 9937.

    `sent_at`, `end` and `rtt` are RACK.xmit_ts, RACK.end_seq and RACK.rtt: of the segment sent last that has arrived.
    `serial` is the number of its transmission: where many leave at one time, as in the simulator, it tells their order.
    `advanced`: they changed since losses were looked for. `steps` is RACK.reo_wnd_mult, `persistence`
    RACK.reo_wnd_persist, `dsack_round` RACK.dsack_round, -1 for none.
    """

    __slots__ = ("advanced", "dsack_round", "end", "persistence", "rtt", "sent_at", "serial", "steps")

    name = "rack"

    def __init__(self, iss: int, reordering: int = 3) -> None:
        super().__init__(iss, reordering)
        self.sent_at = -1
        self.serial = -1
        self.end = iss
        self.rtt = 0
        self.advanced = False
        self.steps = 1
        self.persistence = 0
        self.dsack_round = -1

    # --- RFC 8985 §6.2

    def take(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        self._update(tcb, delivery, now)
        if not tcb.parameters.tcp_recovery & RACK_STATIC_REO_WND:
            self._adapt(tcb, delivery)
        super().take(tcb, delivery, now)

    def _update(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """Step 2: RACK_update ()"""
        sent_at = delivery.latest_sent_at
        serial = delivery.latest_serial
        end = delivery.latest_end
        if delivery.latest_again and self._ambiguous(tcb, delivery, sent_at, now):
            sent_at = delivery.once_sent_at
            serial = delivery.once_serial
            end = delivery.once_end
        if sent_at < 0:
            return
        self.rtt = now - sent_at
        self.advanced = True
        if serial > self.serial or (serial == self.serial and end > self.end):
            self.sent_at = sent_at
            self.serial = serial
            self.end = end

    def _ambiguous(self, tcb: Tcb, delivery: Delivery, sent_at: int, now: int) -> bool:
        """Whether what was sent again at `sent_at` may have arrived the first time."""
        if now - sent_at < tcb.round_trip.min_rtt:
            return True
        # Out of order, the echo is that of an older segment (RFC 7323 §4.3), and tells nothing of this one.
        if delivery.latest_end > tcb.snd_una:
            return False
        return delivery.ts_ecr >= 0 and before(delivery.ts_ecr, timestamp(sent_at, tcb.ts_offset))

    def _adapt(self, tcb: Tcb, delivery: Delivery) -> None:
        """Step 4: RACK_update_reo_wnd (), as far as D-SACKs are concerned"""
        if 0 <= self.dsack_round <= tcb.snd_una:
            self.dsack_round = -1
        duplicated = delivery.duplicated
        if duplicated is None or self.dsack_round >= 0:
            return
        if self.probe_again and duplicated[1] == self.probe_end:
            # That of a tail-loss probe tells nothing of reordering.
            return
        self.dsack_round = tcb.snd_nxt
        self.steps = min(self.steps + 1, MOST_STEPS)
        self.persistence = PERSISTENCE

    def recovered(self, tcb: Tcb) -> None:
        if self.persistence > 0:
            self.persistence -= 1
            if self.persistence == 0:
                self.steps = 1

    def undone(self, tcb: Tcb) -> None:
        # What is outstanding is looked at anew.
        self.advanced = True

    def reordering_window(self, tcb: Tcb) -> int:
        """RACK.reo_wnd, in nanoseconds."""
        if not self.reordering_seen:
            if self.ca_state >= TCP_CA_RECOVERY:
                return 0
            dupthresh = not tcb.parameters.tcp_recovery & RACK_NO_DUPTHRESH
            if dupthresh and tcb.sent.sacked_segments >= self.reordering:
                return 0
        return min(tcb.round_trip.min_rtt // 4 * self.steps, tcb.round_trip.srtt)

    def detect(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        if self.advanced:
            self._detect(tcb, now)

    def _detect(self, tcb: Tcb, now: int) -> None:
        """Step 5: RACK_detect_loss_and_arm_timer ()"""
        self.advanced = False
        patience = self.rtt + self.reordering_window(tcb)
        sent = tcb.sent
        lost = sent.lost_in_all
        waits, looked_at_all = sent.mark_sent_before(self.serial, self.end, now - patience, MOST_LOOKED_AT)
        if sent.lost_in_all > lost:
            tcb.why_lost = reasons.RACK_SHOWS_LOSS
        if not looked_at_all:
            # None of them left later.
            waits = self.sent_at
        if waits >= 0:
            tcb.start_timer(timers.REORDERING, waits + patience + timers.TIMEOUT_MIN, now)
        else:
            tcb.stop_timer(timers.REORDERING, now)

    def deadline_reached(self, tcb: Tcb, timer: int, now: int) -> None:
        if timer != timers.REORDERING:
            super().deadline_reached(tcb, timer, now)
            return
        lost = tcb.sent.lost_in_all
        self._detect(tcb, now)
        lost = tcb.sent.lost_in_all - lost
        if lost and self.ca_state < TCP_CA_RECOVERY:
            self.enter_recovery(tcb, Delivery(), now)
            # As Linux has it: a segment's worth, for the acknowledgment that came some time ago.
            self.reduce(tcb, tcb.mss, False, now)

    # --- RFC 8985 §6.3

    def timed_out_marks(self, tcb: Tcb, now: int) -> None:
        sent = tcb.sent
        first = sent.first()
        if first is not None:
            sent.mark_lost(first.start, first.end)
        latest = 1 << 62
        sent.mark_sent_before(latest, latest, now - self.rtt - self.reordering_window(tcb), MOST_LOOKED_AT)
        tcb.stop_timer(timers.REORDERING, now)
