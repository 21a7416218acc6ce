"""CUBIC (RFC 9438): after a loss the window returns as a cubic function of time to where it was, rests there, and goes
on to look for more. So it depends little on the round trip.

All is integers, so that a run is the same everywhere: windows in octets, times in nanoseconds, C and beta as ratios.
The RFC counts in segments; the MSS comes in where it speaks of so many segments for each second, or round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.tcp.congestion.hystart import SlowStart
from synfin.tcp.parameters import SECOND

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb

# RFC 9438 §5.1: C is 0.4 segments a second cubed.
C_NUMERATOR: Final = 2
C_DENOMINATOR: Final = 5
# RFC 9438 §4.6: beta is 0.7.
BETA_NUMERATOR: Final = 7
BETA_DENOMINATOR: Final = 10
# RFC 9438 §4.3: alpha, 3 * (1 - beta) / (1 + beta).
ALPHA_NUMERATOR: Final = 3 * (BETA_DENOMINATOR - BETA_NUMERATOR)
ALPHA_DENOMINATOR: Final = BETA_DENOMINATOR + BETA_NUMERATOR

_CUBIC_SECOND: Final = SECOND**3
#: W_est is kept in octets times 2^20, so that what each acknowledgment adds is not rounded away.
_SHIFT: Final = 20
#: No moment, no epoch.
_NONE: Final = -1


def cube_root(number: int) -> int:
    """The largest integer whose cube is not above `number`, which is 0 or more: the error is below 1."""
    if number == 0:
        return 0
    # Newton's method from above falls until it is there.
    root = 1 << -(-number.bit_length() // 3)
    while True:
        lower = (2 * root + number // (root * root)) // 3
        if lower >= root:
            return root
        root = lower


class Cubic(SlowStart):
    """CUBIC with HyStart++. The names are RFC 9438's (§4.1.2), windows in octets, times in nanoseconds.

    `epoch_start` is t_epoch, moved on by the time in which the window was not used: -1 outside of congestion
    avoidance. `w_max` and `cwnd_prior` are 0 while undefined. Those that begin with `undo_` are as they were before the
    last reduction (§4.9.2).
    """

    __slots__ = (
        "_fraction",
        "cwnd_prior",
        "epoch_start",
        "k",
        "observed_at",
        "undo_cwnd_prior",
        "undo_epoch_start",
        "undo_k",
        "undo_w_est",
        "undo_w_max",
        "w_est",
        "w_max",
    )

    name = "cubic"
    #: RFC 9438 §4.10: CUBIC SHOULD use HyStart++.
    hystart_from = 1

    def __init__(self) -> None:
        super().__init__()
        self.cwnd_prior = 0
        self.w_max = 0
        self.k = 0
        self.epoch_start = _NONE
        self.w_est = 0
        #: What is left of an octet, in parts of the window.
        self._fraction = 0
        self.observed_at = _NONE
        self.undo_cwnd_prior = 0
        self.undo_w_max = 0
        self.undo_k = 0
        self.undo_epoch_start = _NONE
        self.undo_w_est = 0

    # --- time that does not count

    def observed(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        super().observed(tcb, delivery, now)
        if self.epoch_start >= 0 and not tcb.cwnd_limited:
            # RFC 9438 §4.2, §5.8: t MUST NOT include the time in which it is not the window that limits.
            self.epoch_start += now - self.observed_at
        self.observed_at = now

    def idle(self, tcb: Tcb, since: int, now: int) -> None:
        if self.epoch_start >= 0:
            # RFC 9438 §5.8: nor idle periods. Nothing was in flight since the last acknowledgment.
            self.epoch_start += now - self.observed_at
        self.observed_at = now

    # --- growing

    def w_cubic(self, t: int, mss: int) -> int:
        """W_cubic(t) in octets, rounded down (RFC 9438 §4.2, figure 1); `t` in nanoseconds since the epoch."""
        return self.w_max + C_NUMERATOR * mss * (t - self.k) ** 3 // (C_DENOMINATOR * _CUBIC_SECOND)

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> Reason:
        octets = delivery.octets
        if tcb.cwnd < tcb.ssthresh:
            # What follows is another stage of congestion avoidance.
            self.epoch_start = _NONE
            octets = self.grow_exponentially(tcb, octets)
            if octets <= 0:
                return self.slow_start_reason()
        if self.epoch_start < 0:
            self._begin_epoch(tcb, now)
        cwnd, mss = tcb.cwnd, tcb.mss
        octets = min(octets, cwnd)
        # RFC 9438 §4.3, figure 4. Something else may have made the window smaller since; part of an octet is kept.
        w_est = min(self.w_est, (cwnd + 1 << _SHIFT) - 1)
        gain = octets * mss << _SHIFT
        if w_est < self.cwnd_prior << _SHIFT:
            w_est += gain * ALPHA_NUMERATOR // (cwnd * ALPHA_DENOMINATOR)
        else:
            # Alpha is 1: from here on as Reno.
            w_est += gain // cwnd
        self.w_est = w_est
        t = now - self.epoch_start
        if self.w_cubic(t, mss) < w_est >> _SHIFT:
            # The window never shrinks, and grows no faster than in slow start.
            tcb.cwnd = max(cwnd, min(w_est >> _SHIFT, cwnd + octets))
            return reasons.CUBIC_RENO_FRIENDLY
        # RFC 9438 §4.2: the target, a round trip ahead; §4.4, §4.5: what each acknowledgment adds.
        target = min(max(self.w_cubic(t + tcb.round_trip.srtt, mss), cwnd), cwnd * 3 // 2)
        growth = (target - cwnd) * octets + self._fraction
        tcb.cwnd = cwnd + growth // cwnd
        self._fraction = growth % cwnd
        return reasons.CUBIC_CONCAVE if cwnd < self.w_max else reasons.CUBIC_CONVEX

    def _begin_epoch(self, tcb: Tcb, now: int) -> None:
        cwnd = tcb.cwnd
        self.epoch_start = self.observed_at = now
        self._fraction = 0
        self.w_est = cwnd << _SHIFT
        if self.cwnd_prior == 0:
            self.cwnd_prior = cwnd
        if self.w_max <= cwnd:
            # RFC 9438 §4.8, §4.10: after a time-out, and where HyStart++ found the end of slow start, there is no
            # W_max. Nor does one matter that was passed.
            self.w_max = cwnd
            self.k = 0
        else:
            # RFC 9438 §4.2, figure 2, in nanoseconds; below the true one by less than 1.
            self.k = cube_root((self.w_max - cwnd) * C_DENOMINATOR * _CUBIC_SECOND // (C_NUMERATOR * tcb.mss))

    # --- shrinking

    def reduced(self, tcb: Tcb, flight: int, now: int) -> int:
        self.leave_slow_start()
        # RFC 9438 §4.9.2
        self.undo_cwnd_prior = self.cwnd_prior
        self.undo_w_max = self.w_max
        self.undo_k = self.k
        self.undo_epoch_start = self.epoch_start
        self.undo_w_est = self.w_est
        cwnd = tcb.cwnd
        # RFC 9438 §4.7: fast convergence; (1 + beta) / 2.
        if cwnd < self.w_max:
            self.w_max = cwnd * (BETA_DENOMINATOR + BETA_NUMERATOR) // (2 * BETA_DENOMINATOR)
        else:
            self.w_max = cwnd
        # RFC 9438 §4.6, figure 5
        self.cwnd_prior = cwnd
        self.epoch_start = _NONE
        used = tcb.validation.used_window(tcb, flight)
        return max(used * BETA_NUMERATOR // BETA_DENOMINATOR, 2 * tcb.mss)

    def timed_out(self, tcb: Tcb, now: int) -> None:
        super().timed_out(tcb, now)
        # RFC 9438 §4.8: the next stage begins with K = 0, and W_max is where it begins.
        self.w_max = 0
        self.epoch_start = _NONE

    def undone(self, tcb: Tcb, now: int) -> None:
        # RFC 9438 §4.9.2: not if the window is beyond already. The caller may have set it back before.
        if tcb.cwnd <= self.cwnd_prior:
            self.cwnd_prior = self.undo_cwnd_prior
            self.w_max = self.undo_w_max
            self.k = self.undo_k
            self.epoch_start = self.undo_epoch_start
            self.w_est = self.undo_w_est
