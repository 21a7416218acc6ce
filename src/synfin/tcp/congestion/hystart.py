"""Slow start (RFC 5681 §3.1) by octets acknowledged (RFC 3465), and HyStart++ (RFC 9406), which ends it in time.

HyStart++ watches each round's least round trip. Where that grows, a queue grows: the window goes on to grow, but more
slowly (conservative slow start, CSS), and after five rounds of it slow start is over, before anything was lost. Where
the round trip falls again, the alarm was a false one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from synfin import reasons
from synfin.tcp.congestion.control import INFINITE_SSTHRESH, CongestionControl
from synfin.tcp.parameters import MILLISECOND

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb

# RFC 9406 §4.3
MIN_RTT_THRESH: Final = 4 * MILLISECOND
MAX_RTT_THRESH: Final = 16 * MILLISECOND
MIN_RTT_DIVISOR: Final = 8
N_RTT_SAMPLE: Final = 8
CSS_GROWTH_DIVISOR: Final = 4
CSS_ROUNDS: Final = 5
#: L in segments, for a sender that does not pace.
HYSTART_LIMIT: Final = 8

#: No round trip is as long.
INFINITE_RTT: Final = 1 << 62


class SlowStart(CongestionControl):
    """A congestion control that begins with slow start; a subclass says what follows.

    Its `observed` must be called. `window_end` is RFC 9406's windowEnd, -1 before the first; the names of the rest are
    the RFC's too, round trips in nanoseconds.
    """

    __slots__ = (
        "_after_timeout",
        "css_baseline_min_rtt",
        "css_round_count",
        "current_round_min_rtt",
        "last_round_min_rtt",
        "rtt_sample_count",
        "window_end",
    )

    #: The least value of ``synfin.tcp_hystart`` with which HyStart++ is used.
    hystart_from = 2

    def __init__(self) -> None:
        self._after_timeout = False
        self.window_end = -1
        self.last_round_min_rtt = INFINITE_RTT
        self.current_round_min_rtt = INFINITE_RTT
        self.rtt_sample_count = 0
        #: INFINITE_RTT except in CSS.
        self.css_baseline_min_rtt = INFINITE_RTT
        self.css_round_count = 0

    def observed(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        # RFC 9406 §4.3: in the initial slow start alone; a later one ends at the ssthresh that was found.
        if tcb.ssthresh != INFINITE_SSTHRESH or tcb.parameters.tcp_hystart < self.hystart_from:
            return
        # RFC 9406 §4.2, from here on
        if delivery.rtt >= 0:
            self.current_round_min_rtt = min(self.current_round_min_rtt, delivery.rtt)
            self.rtt_sample_count += 1
            if self.rtt_sample_count >= N_RTT_SAMPLE:
                self._judge_round_trips()
        if tcb.snd_una >= self.window_end:
            self._end_round(tcb, now)

    def _judge_round_trips(self) -> None:
        current = self.current_round_min_rtt
        if self.css_baseline_min_rtt != INFINITE_RTT:
            if current < self.css_baseline_min_rtt:
                # The alarm was a false one.
                self.css_baseline_min_rtt = INFINITE_RTT
            return
        last = self.last_round_min_rtt
        if last != INFINITE_RTT:
            threshold = max(MIN_RTT_THRESH, min(last // MIN_RTT_DIVISOR, MAX_RTT_THRESH))
            if current >= last + threshold:
                self.css_baseline_min_rtt = current
                self.css_round_count = 0

    def _end_round(self, tcb: Tcb, now: int) -> None:
        self.window_end = tcb.snd_nxt
        self.last_round_min_rtt = self.current_round_min_rtt
        self.current_round_min_rtt = INFINITE_RTT
        self.rtt_sample_count = 0
        if self.css_baseline_min_rtt != INFINITE_RTT:
            # The round in which CSS began counts, though it is only a part of one.
            self.css_round_count += 1
            if self.css_round_count == CSS_ROUNDS:
                self.css_baseline_min_rtt = INFINITE_RTT
                tcb.ssthresh = tcb.cwnd
                tcb.trace_congestion(now, reasons.SLOW_START_LEFT)

    def grow_exponentially(self, tcb: Tcb, octets: int) -> int:
        """Slow start: lets `cwnd` grow towards `ssthresh`. Returns how many of the `octets` acknowledged are left for
        what follows it."""
        watched = tcb.ssthresh == INFINITE_SSTHRESH and tcb.parameters.tcp_hystart >= self.hystart_from
        limit = tcb.parameters.tcp_abc_limit
        if limit:
            if watched:
                # RFC 9406 §4.3: L is 8 where nothing paces.
                limit = HYSTART_LIMIT
            elif self._after_timeout:
                # RFC 3465 §2.3: one ACK may tell of segments that had arrived long before.
                limit = 1
            octets = min(octets, limit * tcb.mss)
        # RFC 3465 §2.2, RFC 9406 §4.2
        growth = octets // CSS_GROWTH_DIVISOR if watched and self.css_baseline_min_rtt != INFINITE_RTT else octets
        room = tcb.ssthresh - tcb.cwnd
        if growth < room:
            tcb.cwnd += growth
            return 0
        tcb.cwnd = tcb.ssthresh
        self._after_timeout = False
        return octets - room

    def slow_start_reason(self) -> Reason:
        """Why the window is as `grow_exponentially` left it."""
        return reasons.SLOW_START if self.css_baseline_min_rtt == INFINITE_RTT else reasons.CONSERVATIVE_SLOW_START

    def leave_slow_start(self) -> None:
        """A loss or a mark was found: subclasses call it in `reduced`."""
        # RFC 9406 §4.2: it ends CSS too.
        self.css_baseline_min_rtt = INFINITE_RTT

    def timed_out(self, tcb: Tcb, now: int) -> None:
        self._after_timeout = True
