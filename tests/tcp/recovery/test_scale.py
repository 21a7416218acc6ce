"""A window of 100,000 segments with every second one lost: what an acknowledgment costs may not grow with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TypeAlias

import pytest

from tests.tcp.recovery.sender import RTT, Sender

TraceFunction: TypeAlias = Callable[[FrameType, str, object], "TraceFunction | None"]


def lines(call: Callable[[], object]) -> int:
    """How many lines of Python `call` runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def costs(recovery: str, segments: int) -> list[int]:
    """What some of the acknowledgments of a window cost of which every second segment arrived, and the last one, which
    covers half of it."""
    s = Sender(recovery, tcp_min_tso_segs=44, tcp_early_retrans=0)
    s.c.cwnd = s.c.snd_wnd = s.c.max_snd_wnd = segments * 1000
    s.c.ssthresh = 1 << 40
    s.write(segments)
    while s.c.poll_transmit(s.now, 65_000) is not None:
        pass
    assert s.c.sent.in_flight == segments * 1000
    s.now += RTT
    # Each ACK reports one segment more, and the three before it.
    blocks = [(s.first + 1000 * n, s.first + 1000 * n + 1000) for n in range(1, segments, 2)]
    found = []
    for index, block in enumerate(blocks):
        report = (block, *reversed(blocks[max(index - 3, 0) : index]))
        if index % (len(blocks) // 10) == len(blocks) // 20:
            found.append(lines(partial(s.ack_octets, 0, report)))
        else:
            s.ack_octets(0, report)
    assert s.c.sent.sacked.octets == len(blocks) * 1000
    # All holes but the last ones were sent again.
    assert s.c.sent.resent >= (len(blocks) - 3) * 1000
    return found


@pytest.mark.parametrize(("recovery", "segments"), [("sack", 20_000), ("rack", 100_000)])
def test_a_large_window_full_of_holes(recovery: str, segments: int) -> None:
    small = costs(recovery, 2_000)
    large = costs(recovery, segments)
    assert max(large) <= 1.5 * max(small)
