"""Proportional Rate Reduction (RFC 9937): how much to send while the window becomes smaller."""

from __future__ import annotations


def send_count(
    delivered: int, delivered_in_all: int, out: int, flight: int, in_flight: int, ssthresh: int, safe: bool, mss: int
) -> int:
    """SndCnt of RFC 9937 §6.2 for an acknowledgment that delivered `delivered` octets, in octets.

    `delivered_in_all` is prr_delivered, this acknowledgment included; `out` is prr_out; `flight` RecoverFS. `safe`: it
    made progress, and showed no further loss. As a sender sends full segments, what is a part of one is rounded up.
    """
    if in_flight > ssthresh:
        # DIV_ROUND_UP, to a segment
        due = -(-delivered_in_all * ssthresh // max(flight, 1))
        count = due + -due % mss - out
    else:
        count = max(delivered_in_all - out, delivered)
        count += -count % mss
        if safe:
            count += mss
        # To catch up, as far as is permitted.
        count = min(ssthresh - in_flight, count)
    if out == 0:
        # The fast retransmission is never kept back.
        count = max(count, mss)
    return max(count, 0)
