"""Where the Linux kernel does otherwise than a script of ours says: what it does, why, and what the RFCs ask for.

Seen on Linux 6.18. The scripts keep what synfin does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Difference:
    """`scripts` by their names under ``scripts/``; `kernel`: what it does; `clause`: what an RFC says to that."""

    scripts: tuple[str, ...]
    kernel: str
    clause: str


DIFFERENCES: Final = (
    Difference(
        ("data/partly-acknowledged",),
        "an acknowledgment of a part of the one segment in flight does not start the retransmission timer anew: only "
        "whole segments count (tcp_clean_rtx_queue)",
        "RFC 6298 §5.3: an ACK that acknowledges new data restarts it",
    ),
    Difference(
        ("listener/abort-on-overflow",),
        "the client whose last ACK finds the accept queue full is not told, whatever tcp_abort_on_overflow is",
        "RFC 9293 §3.9.1 leaves the queue of a listener to the host; Linux's own documentation says that it resets",
    ),
    Difference(
        ("time-wait/reused",),
        "the SYN that reuses a port in TIME-WAIT echoes the timestamp of the connection before",
        "RFC 7323 §3.2: without ACK the echo must be 0",
    ),
    Difference(
        ("listener/syn-queue-full",),
        "one request more fits than the backlog is (inet_csk_reqsk_queue_is_full)",
        "RFC 9293 §3.9.1 leaves it to the host; RFC 4987 §3.2 speaks of the backlog as the bound",
    ),
    Difference(
        ("windows/reader-too-slow",),
        "the window does not shrink by what waits to be read, as long as the kernel's own measure of memory (truesize) "
        "leaves it room",
        "RFC 9293 §3.8.6.2.2: any window will do that does not move its right edge back",
    ),
    Difference(
        ("rack/off", "rack/off-and-a-lost-retransmission", "time-outs/without-rack-all-is-lost"),
        "RACK looks for losses whatever tcp_recovery is: the recovery of RFC 6675 is no longer in the kernel",
        "RFC 8985 §1, RFC 6675 §1: a sender may have either; synfin has both, and the parameter chooses",
    ),
    Difference(
        ("recovery/half-of-what-is-in-flight",),
        "ssthresh becomes half of the congestion window, however little of it is used (tcp_reno_ssthresh)",
        "RFC 5681 §3.1, equation (4): it MUST be no more than half of FlightSize, and to use cwnd is a mistake",
    ),
    Difference(
        ("rack/latest-transmission",),
        "RACK's round trip is that of the segment with the highest number that an ACK acknowledges, though another "
        "left later: what is lost besides is found by the reordering timer (tcp_rack_advance)",
        "RFC 8985 §6.2, step 2: segments are taken in the order of sending, so that RACK.rtt is of the one sent last",
    ),
)
