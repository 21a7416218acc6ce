"""When to acknowledge: at once, with every second full segment, or after a delay (RFC 9293 §3.8.6.3).

The heuristics are Linux's: quick acknowledgments while the peer's window grows, delayed ones once the exchange is
interactive, and a delay that adapts to the gaps between segments. Sources: RFC 1122 §4.2.3.2, RFC 5681 §4.2.
"""

from __future__ import annotations

from typing import Final

from synfin.tcp.parameters import MILLISECOND, TcpParameters

#: Quick acknowledgments are granted in lots of at most this many.
MAX_QUICK_ACKS: Final = 16
#: The longest delay; RFC 9293 §3.8.6.3 (MUST-40) allows less than half a second.
DELAY_MAX: Final = 200 * MILLISECOND
#: The delay before any data has come: a tick of Linux's clock (CONFIG_HZ = 250).
TICK: Final = 4 * MILLISECOND
#: Assumed for the peer's segments until a larger one is seen.
INITIAL_RCV_MSS: Final = 536
MIN_RCV_MSS: Final = 88


class Acknowledging:
    """What a receiver remembers to decide how soon to acknowledge. Times in nanoseconds.

    `rcv_mss` is the size of the largest segment seen of late, the RFC's RMSS; `interactive` says that we answer
    data with data, so that an acknowledgment can wait to ride on it.
    """

    __slots__ = ("delay", "delay_min", "interactive", "last_received", "parameters", "quick", "rcv_mss")

    def __init__(self, parameters: TcpParameters) -> None:
        self.parameters = parameters
        self.delay_min = parameters.tcp_delack_min * MILLISECOND
        self.delay = 0
        self.quick = 0
        self.interactive = False
        self.last_received = 0
        self.rcv_mss = INITIAL_RCV_MSS

    def established(self, advertised_mss: int, rcv_wnd: int) -> None:
        """The handshake is over: guess the size of the segments to come."""
        self.rcv_mss = max(min(advertised_mss, rcv_wnd // 2, INITIAL_RCV_MSS), MIN_RCV_MSS)

    def data_received(self, size: int, advertised_mss: int, rcv_wnd: int, rto: int, now: int) -> None:
        """Data came in segments of `size` octets."""
        if size >= self.rcv_mss:
            self.rcv_mss = min(size, advertised_mss)
        least = self.delay_min
        if self.delay == 0:
            self.grant_quick(rcv_wnd)
            self.delay = least
        else:
            gap = now - self.last_received
            if gap <= least // 2:
                self.delay = self.delay // 2 + least // 2
            elif gap < self.delay:
                self.delay = min(self.delay // 2 + gap, rto)
            elif gap > rto:
                # After so long a pause the peer starts slowly again and needs its acknowledgments at once.
                self.grant_quick(rcv_wnd)
        self.last_received = now

    def grant_quick(self, rcv_wnd: int) -> None:
        """Acknowledges the next segments at once: as many as half the window holds, at most 16; two if none."""
        if not self.parameters.tcp_quick_acks:
            return
        self.quick = max(self.quick, min(rcv_wnd // (2 * self.rcv_mss) or 2, MAX_QUICK_ACKS))

    def window_grew(self) -> None:
        """As Linux: the peer learns at once of a window that becomes larger."""
        if self.parameters.tcp_quick_acks:
            self.quick |= 1

    def data_sent(self, now: int) -> None:
        """We sent data: if soon after receiving some, the exchange is interactive."""
        if now - self.last_received < self.delay:
            self.interactive = True

    def acknowledged(self) -> None:
        """An acknowledgment went out, by itself or with data."""
        if self.quick > 0:
            self.quick -= 1
            if self.quick == 0:
                self.delay = self.delay_min

    def at_once(self) -> bool:
        """Whether the heuristics ask for an acknowledgment of each segment now."""
        return self.quick > 0 and not self.interactive

    def deadline(self, srtt: int, now: int) -> int:
        """When a delayed acknowledgment must go out."""
        delay = self.delay or TICK
        if delay > self.delay_min:
            longest = DELAY_MAX
            if srtt > 0:
                longest = min(longest, max(srtt, self.delay_min))
            delay = min(delay, longest)
        return now + delay

    def deadline_reached(self, rto: int) -> None:
        """The delay ran out with nothing to ride on: our guess was wrong."""
        if self.interactive:
            self.interactive = False
            self.delay = self.delay_min
        else:
            self.delay = min(self.delay * 2, rto)
