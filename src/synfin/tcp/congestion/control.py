"""What a congestion control is (RFC 5681): how much may be in flight. Users may subclass it and `register` theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from synfin.reasons import Reason
    from synfin.tcp.delivery import Delivery
    from synfin.tcp.tcb import Tcb

#: RFC 6928 §2: the initial window, in segments.
INITIAL_WINDOW: Final = 10
#: RFC 5681 §3.1: the initial ssthresh is arbitrarily high.
INFINITE_SSTHRESH: Final = (1 << 31) - 1


class CongestionControl:
    """The base of all congestion controls.

    A strategy keeps its own state in `__slots__` of plain values; `cwnd` and `ssthresh`, in octets, belong to the
    connection that is passed to it. While a loss is mended loss recovery sets `cwnd`, between `reduced` and the moment
    when all is acknowledged that was in flight; outside of it, `acknowledged` does. Times are nanoseconds.
    """

    __slots__ = ()

    name = ""
    #: Its connections are paced (`synfin.tcp.pacing`).
    paced = False

    def initial_window(self, tcb: Tcb) -> int:
        """The congestion window to begin with, in octets."""
        # RFC 6928 §2, in segments as Linux has it
        return (tcb.initcwnd or INITIAL_WINDOW) * tcb.mss

    def established(self, tcb: Tcb) -> None:
        """The connection is about to send its first data: set the initial window."""
        # RFC 5681 §3.1: one segment if the SYN or SYN,ACK was lost (as Linux: more than once).
        tcb.cwnd = tcb.mss if tcb.syn_transmissions > 2 else self.initial_window(tcb)

    def observed(self, tcb: Tcb, delivery: Delivery, now: int) -> None:
        """An acknowledgment of something sent arrived, in recovery or not; it comes before `acknowledged`."""

    def acknowledged(self, tcb: Tcb, delivery: Delivery, now: int) -> Reason:
        """`delivery.octets` of new data arrived at the peer, no loss is being mended, and it is the congestion window
        that limits what is sent: let `tcb.cwnd` grow. Returns why it is as it is."""
        raise NotImplementedError

    def reduced(self, tcb: Tcb, flight: int, now: int) -> int:
        """The ssthresh for a loss or a mark that was detected with `flight` octets outstanding."""
        raise NotImplementedError

    def timed_out(self, tcb: Tcb, now: int) -> None:
        """The retransmission timer expired, after `reduced` where the window is reduced for it."""

    def undone(self, tcb: Tcb, now: int) -> None:
        """What `reduced` did last was for nothing: nothing was lost. Its caller sets `cwnd` and `ssthresh` back."""

    def idle(self, tcb: Tcb, since: int, now: int) -> None:
        """Sending goes on after nothing was in flight since the time `since`."""
