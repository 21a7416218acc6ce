"""A peer with a small buffer gets segments of half its largest window at most, as from Linux."""

from __future__ import annotations

import pytest

from synfin.tcp.connection import Connection
from synfin.wire.tcp import ACK, SYN, Options, Segment
from tests.tcp.world import CLIENT, MS, make_connection


def opened(window: int, mss: int = 1460) -> Connection:
    """ESTABLISHED with a peer whose SYN,ACK offered so much."""
    connection = make_connection(CLIENT)
    connection.parameters.tcp_timestamps = 0
    connection = make_connection(CLIENT, connection.parameters)
    connection.open(0)
    connection.poll_transmit(0, 1500)
    answer = Segment(80, 49152, 7, connection.iss + 1, SYN | ACK, window, Options(mss=mss))
    connection.segment_arrives(answer, 10 * MS)
    connection.poll_transmit(10 * MS, 1500)
    return connection


@pytest.mark.parametrize(
    ("window", "mss"),
    [
        (65535, 1460),
        (2920, 1460),
        (2919, 1459),
        (1000, 500),
        (537, 268),
        # Up to 536 octets the window is not halved.
        (536, 536),
        (257, 257),
        (10, 48),
    ],
)
def test_the_largest_segment(window: int, mss: int) -> None:
    assert opened(window).mss == mss


def test_two_segments_fit_the_window() -> None:
    connection = opened(1000)
    connection.send(bytes(3000), 10 * MS)
    sent = []
    while (segment := connection.poll_transmit(10 * MS, 1500)) is not None:
        sent.append((segment.payload_length, segment.segment_size))
    assert sent == [(1000, 500)], "two segments in one piece"


def test_it_grows_with_the_largest_window_and_shrinks_with_none() -> None:
    connection = opened(1000)
    segments = connection.cwnd // connection.mss
    for window, mss in ((2000, 1000), (500, 1000), (64000, 1460), (100, 1460)):
        connection.segment_arrives(Segment(80, 49152, 8, connection.snd_nxt, ACK, window), 20 * MS)
        assert connection.mss == mss
    assert connection.cwnd // connection.mss == segments == 10
