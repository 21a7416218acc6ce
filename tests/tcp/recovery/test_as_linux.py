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
