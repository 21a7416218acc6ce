"""Reno: slow start and congestion avoidance of RFC 5681."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfin import reasons
from synfin.tcp.congestion.control import CongestionControl

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb


class Reno(CongestionControl):
    """Slow start and congestion avoidance of RFC 5681 §3.1, counting octets acknowledged (RFC 3465)."""

    __slots__ = ("_acknowledged",)

    name = "reno"

    def __init__(self) -> None:
        self._acknowledged = 0

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> Reason:
        octets = delivery.octets
        if tcb.cwnd < tcb.ssthresh:
            # RFC 5681 §3.1, RFC 3465 §2.2. As Linux does, without its limit L: one acknowledgment of a
            # superpacket stands for those of all its segments.
            grown = min(tcb.cwnd + octets, tcb.ssthresh)
            octets -= grown - tcb.cwnd
            tcb.cwnd = grown
            if octets <= 0:
                return reasons.SLOW_START
        # RFC 5681 §3.1, equation (3) by counting: one segment for each window acknowledged.
        self._acknowledged += octets
        if self._acknowledged >= tcb.cwnd:
            self._acknowledged -= tcb.cwnd
            tcb.cwnd += tcb.mss
            self._acknowledged = min(self._acknowledged, tcb.cwnd)
        return reasons.CONGESTION_AVOIDANCE

    def reduced(self, tcb: Tcb, flight: int, now: int) -> int:
        # RFC 5681 §3.1, equation (4)
        self._acknowledged = 0
        return max(flight // 2, 2 * tcb.mss)
