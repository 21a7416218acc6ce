"""Recovery where RFCs leave a choice, or where whole segments matter: as the Linux kernel was seen to do it (the scripts
in tests/drill/scripts say the same of both)."""

from __future__ import annotations

from tests.tcp.recovery.sender import RTT, Sender


def test_the_fast_retransmission_is_not_kept_back_by_a_part_of_a_segment() -> None:
    s = Sender()
    s.write(6)
    s.c.close(s.now)
    assert s.sent() == [0, 1, 2, 3, 4, 5]
    s.now += RTT
    # With the FIN what is in flight is no multiple of the MSS, and ssthresh leaves less than one segment.
    assert s.ack(0, (1, 4)) == [0]


def test_a_window_that_was_used_up_exactly_may_grow() -> None:
    s = Sender()
    s.flight(10)
    s.ack(10)
    assert s.cwnd == 20
    # Half of it is enough in slow start, less is not.
    s.write(11)
    s.sent()
    s.now += RTT
    s.ack(21)
    assert s.cwnd == 31
    s.write(15)
    s.sent()
    s.now += RTT
    s.ack(36)
    assert s.cwnd == 31
