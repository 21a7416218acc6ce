"""What each parameter of loss recovery changes."""

from __future__ import annotations

import pytest

from synfin.tcp.parameters import TcpParameters
from synfin.tcp.recovery import NewReno
from synfin.tcp.round_trip import RoundTrip
from tests.tcp.world import MS, SECOND, World, by_client, by_server, data, everything

MSS = 1448


def opened(**values: int | str) -> World:
    """A connection with a round trip of 20 ms, of which nothing is in flight."""
    parameters = TcpParameters()
    for name, value in values.items():
        setattr(parameters, name, value)
    w = World(parameters, spacing=MS // 100)
    w.connect()
    w.run_for(SECOND)
    w.server.reading = True
    return w


def sent_again(w: World, since: int) -> list[int]:
    """After how many milliseconds octets left again that had been sent before."""
    times = []
    highest = w.messages[since].segment.seq
    for message in w.messages[since:]:
        if by_client(data)(message):
            if message.segment.seq < highest:
                times.append((message.time - w.messages[since].time) // MS)
            highest = max(highest, message.segment.seq + message.segment.payload_length)
    return times


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "rack"),
        ({"tcp_recovery": 0}, "sack"),
        ({"tcp_recovery": 6}, "sack"),
        ({"tcp_recovery": 7}, "rack"),
        ({"tcp_loss_recovery": "newreno"}, "newreno"),
        ({"tcp_loss_recovery": "sack"}, "sack"),
        ({"tcp_recovery": 0, "tcp_loss_recovery": "rack"}, "rack"),
        # Who reads SACK blocks needs a peer that sends them.
        ({"tcp_loss_recovery": "rack", "tcp_sack": 0}, "newreno"),
        ({"tcp_sack": 0}, "newreno"),
    ],
)
def test_which_recovery_a_connection_has(values: dict[str, int | str], name: str) -> None:
    assert opened(**values).client.tcb.recovery.name == name


@pytest.mark.parametrize("recovery", [1, 0])
def test_tcp_recovery(recovery: int) -> None:
    """One of three is lost. RACK waits for a quarter of the round trip; by SACK alone two above it are too few, and it
    is left to the RTO."""
    w = opened(tcp_recovery=recovery, tcp_early_retrans=0)
    since = len(w.messages)
    w.lose(by_client(data))
    w.client.send(bytes(3 * MSS))
    w.run_for(2 * SECOND)
    assert w.client.tcb.snd_una == w.client.tcb.snd_nxt
    # The reordering window, and the two ticks of Linux's clock for which a timer is set at least.
    assert sent_again(w, since) == [20 + 5 + 8 if recovery else 220]


def test_early_retrans() -> None:
    """The last two of ten segments are lost: a probe repeats the last after 2 * 20 + 8 ms, else the RTO the other after
    220 ms, both from the acknowledgment of the others on; the next goes a round trip later."""
    for value, after in ((3, 48), (4, 48), (0, 220)):
        w = opened(tcp_early_retrans=value)
        since = len(w.messages)
        w.lose(by_client(data), nth=9, count=2)
        w.client.send(bytes(10 * MSS))
        w.run_for(SECOND)
        assert sent_again(w, since) == [20 + after, 20 + after + 20]


@pytest.mark.parametrize(("frto", "segments"), [(2, 1), (1, 1), (0, 10)])
def test_frto(frto: int, segments: int) -> None:
    """All acknowledgments are late: the time-out was spurious, which F-RTO finds, so that one segment goes twice."""
    w = opened(tcp_frto=frto, tcp_early_retrans=0, tcp_timestamps=0, tcp_sack=0)
    since = len(w.messages)
    w.hold(by_server(everything), 300 * MS, count=11)
    w.client.write(bytes(40 * MSS))
    w.run_for(2 * SECOND)
    assert w.client.tcb.snd_una == w.client.tcb.snd_nxt
    assert len(sent_again(w, since)) == segments


@pytest.mark.parametrize("threshold", [2, 3, 5])
def test_reordering(threshold: int) -> None:
    w = opened(tcp_reordering=threshold, tcp_sack=0)
    w.lose(by_client(data))
    w.client.send(bytes(10 * MSS))
    while not w.client.tcb.recovery.in_recovery():
        w.message()
    recovery = w.client.tcb.recovery
    assert isinstance(recovery, NewReno)
    assert recovery.duplicates == threshold


@pytest.mark.parametrize(("most", "degree"), [(300, 10), (4, 4)])
def test_max_reordering(most: int, degree: int) -> None:
    """The first of ten segments arrives behind the others. RACK waits for it, as it is told to ignore DupThresh."""
    w = opened(tcp_max_reordering=most, tcp_recovery=5)
    w.hold(by_client(data), MS)
    w.client.send(bytes(10 * MSS))
    w.run_for(SECOND)
    assert w.client.tcb.recovery.reordering_seen == 1
    assert w.client.tcb.recovery.reordering == degree


@pytest.mark.parametrize(("seconds", "least"), [(300, 10), (20, 30)])
def test_min_rtt_wlen(seconds: int, least: int) -> None:
    parameters = TcpParameters()
    parameters.tcp_min_rtt_wlen = seconds
    round_trip = RoundTrip(parameters)
    round_trip.measured(10 * MS, SECOND)
    for second in range(2, 100):
        round_trip.measured(30 * MS, second * SECOND)
    assert round_trip.min_rtt == least * MS


def test_who_does_not_read_sack_blocks_counts_each_segment_once() -> None:
    w = opened(tcp_loss_recovery="newreno")
    w.lose(by_client(data))
    w.client.send(bytes(10 * MSS))
    while not w.client.tcb.recovery.in_recovery():
        w.message()
    # Ten in flight, of which three arrived; the lost one is out again.
    assert w.client.tcb.recovery.pipe(w.client.tcb) == 7 * MSS
