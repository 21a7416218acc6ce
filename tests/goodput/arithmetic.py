"""The arithmetic of the goodput table: what a formula expects, how fair shares are, mean and percentile."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from tests.goodput.cells import MSS, SECOND


def expected_of_reno(loss: float, rtt: int) -> float:
    """The goodput in bits a second that AIMD reaches with `loss` per cent and `rtt` milliseconds: 1.22·MSS/(RTT·√p).

    M. Mathis, J. Semke, J. Mahdavi, T. Ott, "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm", 1997.
    The constant, √(3/2), is that of a window which grows by one segment a round trip: so it does, however
    acknowledgments are delayed, if octets are counted (RFC 5681 §3.1).
    """
    return 1.22 * MSS * 8 / (rtt / 1000 * sqrt(loss / 100))


def jain(shares: Sequence[int]) -> float:
    """Jain's index of fairness: 1 if all shares are equal, 1/n if one of n has everything.

    R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared
    Computer Systems", 1984. Raises ValueError if there is nothing to share.
    """
    if not any(shares):
        raise ValueError("nobody has anything")
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def percentile(values: Sequence[int], percent: int) -> int:
    """The least of `values` that `percent` per cent of them (above 0, at most 100) do not exceed: the nearest rank.

    Raises ValueError if there are none.
    """
    if not values:
        raise ValueError("no values have no percentile")
    return sorted(values)[-(-len(values) * percent // 100) - 1]


def mean(values: Sequence[int]) -> int:
    """The mean, rounded down. Raises ZeroDivisionError if there are no values."""
    return sum(values) // len(values)


def bits_a_second(octets: int, time: int) -> int:
    """`octets` in `time` (nanoseconds) as a rate, rounded down."""
    return octets * 8 * SECOND // time
