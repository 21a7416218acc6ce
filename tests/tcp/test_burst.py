"""Superpackets: how large they become, and what their last segment carries."""

from __future__ import annotations

import pytest

from synfin.host.profiles import parameters
from synfin.tcp.burst import burst_octets
from synfin.tcp.connection import Connection
from synfin.wire.tcp import ACK, PSH, SYN, Options, Segment
from tests.tcp.world import CLIENT, MS, make_connection


def opened(round_trip: int, profile: str = "linux", mss: int = 1000) -> Connection:
    """ESTABLISHED, after a handshake of that round trip (ns), without options."""
    chosen = parameters(profile).tcp
    chosen.tcp_timestamps = 0
    connection = make_connection(CLIENT, chosen)
    connection.open(0)
    connection.poll_transmit(0, 1500)
    connection.segment_arrives(
        Segment(80, 49152, 7, connection.iss + 1, SYN | ACK, 65535, Options(mss=mss)), round_trip
    )
    connection.poll_transmit(round_trip, 1500)
    return connection


@pytest.mark.parametrize(
    ("round_trip", "octets"),
    [
        # 2 · 10,000 octets each 100 ms, of which 1/1024 s is 195 octets: two segments at least.
        (100 * MS, 2000),
        # 2 · 10,000 each 10 ms are 1953, and 64 KiB halved once for each 512 µs are next to nothing.
        (10 * MS, 2000),
        # 2 · 10,000 each 2 ms are 9765; 64 KiB halved three times are 8192.
        (2 * MS, 17_000),
        (MS // 10, 65_536),
    ],
)
def test_its_size_follows_the_round_trip(round_trip: int, octets: int) -> None:
    assert burst_octets(opened(round_trip)) == octets


@pytest.mark.parametrize(("profile", "pushed"), [("linux", [PSH, PSH, PSH, PSH, PSH]), ("rfc", [0, 0, 0, 0, 0])])
def test_the_end_of_a_burst_is_pushed(profile: str, pushed: list[int]) -> None:
    connection = opened(100 * MS, profile)
    connection.send(bytes(16_000), 100 * MS)
    sent = []
    while (segment := connection.poll_transmit(100 * MS, 65_000)) is not None:
        assert (segment.payload_length, segment.segment_size) == (2000, 1000)
        sent.append(segment.flags & PSH)
    assert sent == pushed


def test_a_single_segment_in_mid_stream_is_not_pushed() -> None:
    connection = opened(100 * MS)
    connection.send(bytes(16_000), 100 * MS)
    segment = connection.poll_transmit(100 * MS, 1500)
    assert segment is not None
    assert segment.payload_length == 1000
    assert not segment.flags & PSH


@pytest.mark.parametrize(("profile", "sent"), [("linux", [2010]), ("rfc", [2000])])
def test_nagle_holds_the_end_of_a_burst_back(profile: str, sent: list[int]) -> None:
    """RFC 9293 §3.7.4: once the full segments before it are in flight, a small one has to wait."""
    connection = opened(MS // 10, profile)
    connection.send(bytes(2010), MS // 10)
    got = []
    while (segment := connection.poll_transmit(MS // 10, 65_000)) is not None:
        got.append(segment.payload_length)
    assert got == sent
