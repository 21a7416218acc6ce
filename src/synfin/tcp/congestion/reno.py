"""Reno: slow start and congestion avoidance of RFC 5681."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin import reasons
from synfin.tcp.congestion.hystart import SlowStart

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb


class Reno(SlowStart):
    """Slow start and congestion avoidance of RFC 5681 §3.1, counting octets acknowledged (RFC 3465)."""

    __slots__ = ("_acknowledged",)

    name = "reno"

    def __init__(self) -> None:
        super().__init__()
        #: RFC 3465's bytes_acked
        self._acknowledged = 0

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> Reason:
        octets = delivery.octets
        if tcb.cwnd < tcb.ssthresh:
            octets = self.grow_exponentially(tcb, octets)
            if octets <= 0:
                return self.slow_start_reason()
        # RFC 5681 §3.1, equation (3), as RFC 3465 §2.1 counts: one segment for each window acknowledged.
        self._acknowledged += octets
        if self._acknowledged >= tcb.cwnd:
            self._acknowledged -= tcb.cwnd
            tcb.cwnd += tcb.mss
            self._acknowledged = min(self._acknowledged, tcb.cwnd)
        return reasons.CONGESTION_AVOIDANCE

    def reduced(self, tcb: Tcb, flight: int, now: int) -> int:
        self.leave_slow_start()
        self._acknowledged = 0
        # RFC 5681 §3.1, equation (4)
        return max(tcb.validation.used_window(tcb, flight) // 2, 2 * tcb.mss)
