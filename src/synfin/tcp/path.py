"""What the network reports of a connection's path: ICMP errors (RFC 9293 §3.9.2.2, RFC 5927, RFC 1191, RFC 8201)."""

from __future__ import annotations

from errno import ECONNREFUSED, ENOPROTOOPT

from synfin import reasons
from synfin.tcp import mtu_probing, readiness, states
from synfin.tcp.ending import end
from synfin.tcp.tcb import Tcb
from synfin.wire.sequence import unwrap

#: What protocol and port unreachable come to, which RFC 1122 §4.2.3.9 calls hard. (The third, fragmentation needed, is
#: about the path's MTU.)
_HARD = frozenset({ECONNREFUSED, ENOPROTOOPT})


def in_flight(tcb: Tcb, seq: int) -> bool:
    """Whether an ICMP error quotes, with the 32 bits `seq`, something that is in flight.

    RFC 5927 §4.1: who cannot see the connection cannot know such a number.
    """
    return tcb.snd_una <= unwrap(seq, tcb.snd_una) < tcb.snd_nxt


def unreachable(tcb: Tcb, seq: int, error: int, now: int) -> bool:
    """Takes an error, as an errno, that a router or the peer's host reported; False if it concerns nothing in flight.

    While connecting it ends the attempt, as Linux has it (RFC 5461 §4.1 describes why). Afterwards it is a soft
    error: the network may mend, and if it does not, the user learns this error rather than a mere time-out
    (RFC 9293 §3.9.2.2, MUST-56). So are, after RFC 5927 §5.2, those that RFC 1122 calls hard, unless
    ``tcp_icmp_hard_aborts`` says otherwise (RFC 9293 §3.9.2.2, SHLD-26).
    """
    if tcb.state == states.CLOSED or not in_flight(tcb, seq):
        return False
    parameters = tcb.parameters
    connecting = tcb.state in (states.SYN_SENT, states.SYN_RECEIVED)
    if (connecting and parameters.tcp_icmp_ends_connecting) or (error in _HARD and parameters.tcp_icmp_hard_aborts):
        end(tcb, states.GIVE_UP, error, now, reasons.UNREACHABLE)
    elif tcb.settings.report_errors:
        # RFC 9293 §3.9.1.8 (MUST-47, SHLD-25): the user's next call tells it, and the connection goes on.
        tcb.error = error
        tcb.wake |= readiness.POLLERR
    else:
        tcb.soft_error = error
    return True


def path_changed(tcb: Tcb, path_mss: int) -> None:
    """The path takes segments of `path_mss` octets from now on, as a new route says, or since an old report of less is
    no longer believed (RFC 1191 §6.3, RFC 8201 §5.3). What is in flight is let be."""
    tcb.path_mss = path_mss
    mtu_probing.path_changed(tcb)
    tcb.update_mss()


def packet_too_big(tcb: Tcb, seq: int, path_mss: int, now: int) -> bool:
    """The path takes segments of `path_mss` octets without options; False if the report is none to believe.

    What is in flight and larger is sent again at once in smaller segments. It was not congestion that lost it, so
    the congestion window stays (RFC 1191 §6.4, RFC 8201 §5.4).
    """
    if tcb.state == states.CLOSED or not in_flight(tcb, seq) or path_mss >= tcb.path_mss:
        return False
    tcb.path_mss = path_mss
    mtu_probing.path_changed(tcb)
    tcb.update_mss()
    for entry in tcb.sent.entries():
        if entry.segment_size > tcb.mss:
            tcb.sent.mark_lost(entry.start, entry.end)
    tcb.why_lost = reasons.PATH_MTU_REDUCED
    if tcb.sent.lost and tcb.snd_una > tcb.iss:
        tcb.recovery.mend_without_reduction(tcb, now)
    return True
