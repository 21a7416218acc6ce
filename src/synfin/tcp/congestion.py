"""Congestion control: how much may be in flight (RFC 5681). One small class each, chosen by name.

A strategy keeps its own state; `cwnd` and `ssthresh`, in octets, belong to the connection that is passed to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from synfin import reasons

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.tcp.tcb import Tcb

#: RFC 6928 §2: the initial window, in segments.
INITIAL_WINDOW: Final = 10
#: RFC 5681 §3.1: the initial ssthresh is arbitrarily high.
INFINITE_SSTHRESH: Final = (1 << 31) - 1


class CongestionControl:
    """The base of all strategies, which users may subclass and `register`."""

    name = ""

    def initial_window(self, tcb: Tcb) -> int:
        """The congestion window to begin with, in octets."""
        # RFC 6928 §2, in segments as Linux has it
        return (tcb.initcwnd or INITIAL_WINDOW) * tcb.mss

    def established(self, tcb: Tcb) -> None:
        """The connection is about to send its first data: set the initial window."""
        # RFC 5681 §3.1: one segment if the SYN or SYN,ACK was lost (as Linux: more than once).
        tcb.cwnd = tcb.mss if tcb.syn_transmissions > 2 else self.initial_window(tcb)

    def acknowledged(self, tcb: Tcb, octets: int, now: int) -> Reason:
        """`octets` of new data were acknowledged outside of recovery: grow `tcb.cwnd`. Returns why it is so."""
        raise NotImplementedError

    def reduced(self, tcb: Tcb, flight: int) -> int:
        """The ssthresh for a loss that was detected with `flight` octets outstanding."""
        raise NotImplementedError


class Reno(CongestionControl):
    """Slow start and congestion avoidance of RFC 5681 §3.1, counting octets acknowledged (RFC 3465)."""

    __slots__ = ("_acknowledged",)

    name = "reno"

    def __init__(self) -> None:
        self._acknowledged = 0

    def acknowledged(self, tcb: Tcb, octets: int, now: int) -> Reason:
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

    def reduced(self, tcb: Tcb, flight: int) -> int:
        # RFC 5681 §3.1, equation (4)
        self._acknowledged = 0
        return max(flight // 2, 2 * tcb.mss)


_REGISTRY: Final[dict[str, Callable[[], CongestionControl]]] = {Reno.name: Reno}


def congestion_control(name: str) -> CongestionControl:
    """A new strategy of that name. Raises KeyError if there is none."""
    return _REGISTRY[name]()


def register(name: str, make: Callable[[], CongestionControl]) -> None:
    """Makes a strategy of the user's available as `name`. Raises ValueError if the name is taken."""
    if name in _REGISTRY:
        raise ValueError(f"a congestion control named {name!r} exists already")
    _REGISTRY[name] = make


def available() -> list[str]:
    """The names of all strategies, sorted."""
    return sorted(_REGISTRY)
