"""The SACK blocks that a receiver sends: the examples of RFC 2018 §7 and of RFC 2883 §4, in their numbers."""

from __future__ import annotations

from synfin.tcp.connection import Connection
from synfin.wire.tcp import ACK, Segment
from synfin.wire.tcp_options import Options
from tests.tcp.test_acceptance import established

Blocks = list[tuple[int, int]]


class Receiver:
    """A connection whose RCV.NXT is `start`, in the numbers of the RFC."""

    def __init__(self, start: int) -> None:
        self.c: Connection = established(Options(mss=1460, sack_permitted=True))
        self.base = self.c.rcv_nxt - start

    def gets(self, first: int, last: int) -> tuple[int, Blocks]:
        """The octets `first` to `last` (included, as in the RFC) arrive. The ACK that answers, and its blocks."""
        length = last - first + 1
        segment = Segment(80, 49152, self.base + first, self.c.snd_una, ACK, 65535, payload=(bytes(length),))
        reply = self.c.segment_arrives(segment, 0) or self.c.poll_transmit(0, 1500)
        assert reply is not None
        return reply.ack - self.base, [(a - self.base, b - self.base) for a, b in reply.options.sack]


# --- RFC 2018 §7: the left window edge is 5000, eight segments of 500 octets


def test_case_1_the_last_four_are_dropped() -> None:
    r = Receiver(5000)
    for first in range(5000, 7000, 500):
        assert r.gets(first, first + 499) == (first + 500, [])


def test_case_2_the_first_is_dropped() -> None:
    r = Receiver(5000)
    for first in range(5500, 9000, 500):
        assert r.gets(first, first + 499) == (5000, [(5500, first + 500)])


def test_case_3_every_second_one_is_dropped() -> None:
    r = Receiver(5000)
    assert r.gets(5000, 5499) == (5500, [])
    assert r.gets(6000, 6499) == (5500, [(6000, 6500)])
    assert r.gets(7000, 7499) == (5500, [(7000, 7500), (6000, 6500)])
    assert r.gets(8000, 8499) == (5500, [(8000, 8500), (7000, 7500), (6000, 6500)])
    # The fourth packet is received out of order, and then the second.
    assert r.gets(6500, 6999) == (5500, [(6000, 7500), (8000, 8500)])
    assert r.gets(5500, 5999) == (7500, [(8000, 8500)])


# --- RFC 2883 §4


def test_example_1_a_duplicate_segment() -> None:
    r = Receiver(3000)
    r.gets(3000, 3499)
    r.gets(3500, 3999)
    assert r.gets(3000, 3499) == (4000, [(3000, 3500)])
    # Each duplicate is reported once.
    assert r.gets(4000, 4499) == (4500, [])


def test_example_2_a_duplicate_beside_what_is_out_of_order() -> None:
    r = Receiver(3000)
    r.gets(3000, 3499)
    r.gets(3500, 3999)
    assert r.gets(4500, 4999) == (4000, [(4500, 5000)])
    assert r.gets(3000, 3499) == (4000, [(3000, 3500), (4500, 5000)])


def test_example_3_a_duplicate_of_what_is_out_of_order() -> None:
    r = Receiver(3500)
    r.gets(3500, 3999)
    assert r.gets(4500, 4999) == (4000, [(4500, 5000)])
    assert r.gets(5000, 5499) == (4000, [(4500, 5500)])
    assert r.gets(5000, 5499) == (4000, [(5000, 5500), (4500, 5500)])


def test_example_4_a_segment_half_of_which_is_known() -> None:
    r = Receiver(500)
    r.gets(500, 999)
    assert r.gets(2000, 2499) == (1000, [(2000, 2500)])
    assert r.gets(1000, 1499) == (1500, [(2000, 2500)])
    # (The RFC's 1000-2000 is 1000-1999.)
    assert r.gets(1000, 1999) == (2500, [(1000, 1500)])


def test_example_5_two_known_parts_below_the_acknowledgment() -> None:
    r = Receiver(500)
    r.gets(500, 999)
    assert r.gets(3000, 3499) == (1000, [(3000, 3500)])
    assert r.gets(1000, 1499) == (1500, [(3000, 3500)])
    assert r.gets(2000, 2499) == (1500, [(2000, 2500), (3000, 3500)])
    assert r.gets(1000, 2499) == (2500, [(1000, 1500), (3000, 3500)])


def test_example_6_two_known_parts_above_the_acknowledgment() -> None:
    # (Its third line has 2000-2499 arrive, where 2500-2999 is what was delayed.)
    r = Receiver(500)
    r.gets(500, 999)
    assert r.gets(3500, 3999) == (1000, [(3500, 4000)])
    assert r.gets(1500, 1999) == (1000, [(1500, 2000), (3500, 4000)])
    assert r.gets(2500, 2999) == (1000, [(2500, 3000), (1500, 2000), (3500, 4000)])
    assert r.gets(1500, 2999) == (1000, [(1500, 2000), (1500, 3000), (3500, 4000)])


def test_a_known_part_behind_what_is_next() -> None:
    r = Receiver(1000)
    assert r.gets(1500, 1999) == (1000, [(1500, 2000)])
    assert r.gets(1000, 1999) == (2000, [(1500, 2000)])


def test_dsack_can_be_switched_off() -> None:
    r = Receiver(3000)
    r.c.parameters.tcp_dsack = 0
    r.gets(3000, 3499)
    assert r.gets(3000, 3499) == (3500, [])


def test_blocks_ride_on_data_where_there_is_room() -> None:
    # RFC 2018 §4: "the SACK option SHOULD be included in all ACKs which do not ACK the highest sequence number"
    r = Receiver(1000)
    r.gets(2000, 2999)
    r.c.send(bytes(100), 0)
    segment = r.c.poll_transmit(0, 1500)
    assert segment is not None
    assert segment.payload_length == 100
    assert [(a - r.base, b - r.base) for a, b in segment.options.sack] == [(2000, 3000)]
    # A full segment keeps its size.
    r.c.settings.nodelay = True
    r.c.send(bytes(1460), 0)
    segment = r.c.poll_transmit(0, 1500)
    assert segment is not None
    assert (segment.payload_length, segment.options.sack) == (1460, ())
    r.c.send(bytes(1450), 0)
    segment = r.c.poll_transmit(0, 1500)
    assert segment is not None
    assert (segment.payload_length, segment.options.sack) == (1450, ())
