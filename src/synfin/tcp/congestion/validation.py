"""Congestion window validation: a window that nobody uses says nothing of the path.

``synfin.tcp_cwnd_validation`` chooses among three:

* 0, RFC 5681 §4.1: after an idle RTO the window is the restart window.
* 1, Linux: the window halves for each idle RTO (RFC 2861 §3.1). One that is used, but not filled, stays as it is:
  Linux has RFC 2861's rule for it, but starts its clock anew with each acknowledgment, so that it never acts.
* 2, RFC 7661: the window stays for five minutes, but a loss is judged by what was lately acknowledged in a round trip.

0 and 1 do nothing without ``tcp_slow_start_after_idle``. In all of them the window grows only while it is the window
that limits what is sent, or, in 2, while half of it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.tcp.ca_states import TCP_CA_LOSS
from synfin.tcp.parameters import SECOND

if TYPE_CHECKING:
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb

# Values of ``synfin.tcp_cwnd_validation``.
RFC_5681: Final = 0
LINUX: Final = 1
RFC_7661: Final = 2

#: RFC 7661 §4.4: the non-validated period.
NON_VALIDATED_PERIOD: Final = 300 * SECOND
#: RFC 7661 §4.5.1: so many measurement periods in a pipeACK Sampling Period.
MEASUREMENT_PERIODS: Final = 5

#: No moment.
_NEVER: Final = -1


class WindowValidation:
    """What a connection remembers of how it used its congestion window. Octets and nanoseconds, -1 for no moment.

    `limited`: the window, and nothing else, held data back. Otherwise `most_out` is how many octets were out at most.
    Both are of the last window of data, which ends at the number `window_until`. `held_back`: it does so in the burst
    that is being sent now, which began at the number `burst_from`.
    """

    __slots__ = (
        "burst_from",
        "held_back",
        "limited",
        "loss_retransmitted",
        "loss_window",
        "most_out",
        "non_validated_since",
        "pipe_acks",
        "pipe_octets",
        "pipe_period_since",
        "pipe_sample_since",
        "recovering",
        "window_until",
    )

    def __init__(self, iss: int) -> None:
        self.held_back = False
        self.burst_from = iss
        self.limited = False
        self.most_out = 0
        self.window_until = iss
        # RFC 7661: the highest samples of the last measurement periods, newest first, () while pipeACK is undefined;
        # since when the newest runs; the sample that is being taken.
        self.pipe_acks: tuple[int, ...] = ()
        self.pipe_period_since = _NEVER
        self.pipe_sample_since = _NEVER
        self.pipe_octets = 0
        self.non_validated_since = _NEVER
        #: A loss is being mended: by what it was judged (0: the window was validated), and what was sent again before.
        self.recovering = False
        self.loss_window = 0
        self.loss_retransmitted = 0

    # --- sending

    def before_sending(self, tcb: Tcb, now: int) -> None:
        """New data are about to be sent, if the window allows it."""
        idle = tcb.snd_nxt == tcb.snd_una
        if tcb.parameters.tcp_cwnd_validation == RFC_7661:
            self._recovery_over(tcb, now)
            self._preserve(tcb, now)
        elif idle and tcb.parameters.tcp_slow_start_after_idle:
            self._restart(tcb, now)
        if idle and tcb.delivered > 1:
            tcb.congestion.idle(tcb, tcb.last_sent, now)

    def burst_over(self, tcb: Tcb) -> None:
        """All was sent that may be sent now."""
        held_back = self.held_back
        if tcb.snd_nxt == self.burst_from and not held_back:
            return
        self.held_back = False
        self.burst_from = tcb.snd_nxt
        out = tcb.snd_nxt - tcb.snd_una
        limited = held_back or tcb.sent.in_flight >= tcb.cwnd
        if limited or tcb.snd_una >= self.window_until or (not self.limited and out > self.most_out):
            self.limited = limited
            self.most_out = out
            self.window_until = tcb.snd_nxt

    def _restart(self, tcb: Tcb, now: int) -> None:
        rto = tcb.round_trip.rto
        over = now - tcb.last_sent - rto
        if over <= 0 or tcb.delivered <= 1:
            return
        cwnd = tcb.cwnd
        restart = min(tcb.congestion.initial_window(tcb), cwnd)
        if tcb.parameters.tcp_cwnd_validation == LINUX:
            # RFC 2861 §3.1: ssthresh remembers what was, and the window halves for each RTO.
            tcb.ssthresh = max(tcb.ssthresh, cwnd * 3 // 4)
            halvings = -(-over // rto)
            tcb.cwnd = max(cwnd >> min(halvings, 64), restart)
        else:
            # RFC 5681 §4.1
            tcb.cwnd = restart
        if tcb.cwnd < cwnd:
            tcb.trace_congestion(now, reasons.IDLE_RESTART)

    # --- what comes back

    def is_limited(self, tcb: Tcb) -> bool:
        """Whether the window limits what is sent. In slow start it may grow to twice what was out."""
        return self.limited or (tcb.cwnd < tcb.ssthresh and tcb.cwnd < 2 * self.most_out)

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> bool:
        """SND.UNA is about to advance. Returns whether the window may grow by that."""
        if tcb.parameters.tcp_cwnd_validation != RFC_7661:
            return self.is_limited(tcb)
        if self.recovering:
            if tcb.recovery.ca_state == TCP_CA_LOSS:
                # RFC 7661 §4.4: after a time-out the standard rules hold.
                self.loss_window = 0
                return self.is_limited(tcb)
            return self.limited
        self._sample(tcb, delivery.octets, now)
        validated = self.is_validated(tcb, now)
        if validated:
            self.non_validated_since = _NEVER
        elif self.non_validated_since < 0:
            self.non_validated_since = now
        # RFC 7661 §4.4
        return validated or self.limited

    def may_grow(self, tcb: Tcb) -> bool:
        """Whether the window may grow, now that the acknowledgment may have changed it."""
        if tcb.parameters.tcp_cwnd_validation != RFC_7661:
            return self.is_limited(tcb)
        return tcb.cwnd_limited

    def used_window(self, tcb: Tcb, flight: int) -> int:
        """The octets by which to judge a loss, of which a congestion control takes its part: `flight` is how many are
        outstanding. Called once for each reduction, before the window changes."""
        # RFC 5681 §3.2, step 2: what limited transmit sent beyond the window does not count.
        flight = min(flight, tcb.cwnd)
        if tcb.parameters.tcp_cwnd_validation != RFC_7661:
            return flight
        self.recovering = True
        self.loss_window = 0
        if self.pipe_acks and self.non_validated_since >= 0:
            # RFC 7661 §4.4.1
            flight = max(*self.pipe_acks, flight)
            self.loss_window = flight
            self.loss_retransmitted = tcb.counts.bytes_retrans
        return flight

    # --- RFC 7661

    def is_validated(self, tcb: Tcb, now: int) -> bool:
        """RFC 7661 §4.3: half of the window or more was acknowledged in a round trip lately, or nothing was measured
        yet."""
        self._age(tcb, now)
        return not self.pipe_acks or 2 * max(self.pipe_acks) >= tcb.cwnd

    def _sample(self, tcb: Tcb, octets: int, now: int) -> None:
        """RFC 7661 §4.2, §4.5.1: how much is acknowledged in a round trip."""
        if self.pipe_sample_since >= 0:
            if now - self.pipe_sample_since < tcb.round_trip.srtt:
                self.pipe_octets += octets
                return
            self._age(tcb, now)
            if not self.pipe_acks:
                self.pipe_acks = (0,) * MEASUREMENT_PERIODS
                self.pipe_period_since = now
            self.pipe_acks = (max(self.pipe_acks[0], self.pipe_octets), *self.pipe_acks[1:])
        self.pipe_sample_since = now
        self.pipe_octets = octets

    def _age(self, tcb: Tcb, now: int) -> None:
        """Forgets samples that are older than the sampling period."""
        if not self.pipe_acks:
            return
        # RFC 7661 §4.2
        period = max(3 * tcb.round_trip.srtt, SECOND) // MEASUREMENT_PERIODS
        over = (now - self.pipe_period_since) // period
        if over > 0:
            self.pipe_acks = ((0,) * over + self.pipe_acks if over < MEASUREMENT_PERIODS else (0,) * over)[
                :MEASUREMENT_PERIODS
            ]
            self.pipe_period_since += over * period

    def _preserve(self, tcb: Tcb, now: int) -> None:
        """RFC 7661 §4.4.3: what was not used for five minutes is halved, for each five minutes."""
        if self.recovering:
            return
        since = self.pipe_period_since
        if self.is_validated(tcb, now):
            return
        if self.non_validated_since < 0:
            self.non_validated_since = since
        cwnd = tcb.cwnd
        while now - self.non_validated_since > NON_VALIDATED_PERIOD:
            self.non_validated_since += NON_VALIDATED_PERIOD
            least = min(tcb.congestion.initial_window(tcb), tcb.cwnd)
            if tcb.cwnd <= least:
                self.non_validated_since = now
                break
            tcb.ssthresh = max(tcb.ssthresh, tcb.cwnd * 3 // 4)
            tcb.cwnd = max(tcb.cwnd // 2, least)
        if tcb.cwnd < cwnd:
            tcb.trace_congestion(now, reasons.WINDOW_UNUSED)

    def _recovery_over(self, tcb: Tcb, now: int) -> None:
        if not self.recovering or tcb.recovery.in_recovery():
            return
        self.recovering = False
        if self.loss_window:
            # RFC 7661 §4.4.1: R is what was sent again.
            resent = tcb.counts.bytes_retrans - self.loss_retransmitted
            window = max((self.loss_window - resent) // 2, tcb.mss)
            tcb.ssthresh = max(window, 2 * tcb.mss)
            # It may be smaller still, to send no burst (RFC 6582 §3.2).
            tcb.cwnd = min(tcb.cwnd, window)
            tcb.trace_congestion(now, reasons.WINDOW_NOT_VALIDATED)
            self.loss_window = 0
        # Undefined until there is a new sample.
        self.pipe_acks = ()
        self.pipe_sample_since = _NEVER
        self.non_validated_since = _NEVER
