"""The user's time-out (RFC 9293 §3.8.3, MUST-21; RFC 5482 §1; TCP_USER_TIMEOUT), as Linux keeps it.

The times were measured on Linux 6.18 where a comment says so: they run from the first time-out, and of a SYN from the
SYN itself. A single segment of data is sent again by a tail-loss probe, after min(2 * 20 + 200 ms, the RTO of 220 ms),
and the RTO goes on from there: the first time-out is at 440 ms.
"""

from __future__ import annotations

from errno import EHOSTUNREACH, ETIMEDOUT

import pytest

from synfin import reasons
from synfin.events import Event, StateChanged
from synfin.sim import Network
from synfin.tcp import path
from synfin.tcp.parameters import TcpParameters
from synfin.wire.sequence import wrap
from tests.tcp.world import MS, SECOND, World, by_client, by_server, data, everything, syn, syn_ack


def opened(user_timeout: int, delay: int = 10 * MS) -> World:
    w = World(delay=delay)
    w.connect()
    w.run_for(SECOND)
    w.client.tcb.settings.user_timeout = user_timeout
    return w


def ends_at(w: World, start: int, limit: int = 5000 * SECOND) -> float:
    """Seconds from `start` to the end of the client's connection."""
    w.flush()
    while w.client.state != "CLOSED":
        assert w.now - start < limit
        w.step()
        w.flush()
    return (w.now - start) / SECOND


@pytest.mark.parametrize("timeout", [1000, 3000, 10_000])
def test_data_that_stay_unacknowledged_end_the_connection(timeout: int) -> None:
    w = opened(timeout)
    w.lose(everything, count=10_000)
    start = w.now
    w.client.send(b"x")
    w.flush()
    # Linux 6.18: 3.4 s for 3000
    assert ends_at(w, start) == pytest.approx(0.44 + timeout / 1000)
    assert w.client.tcb.error == ETIMEDOUT
    with pytest.raises(TimeoutError):
        w.client.receive()


def test_it_may_be_longer_than_the_hosts_limit() -> None:
    w = opened(2_000_000)
    w.lose(everything, count=10_000)
    start = w.now
    w.client.send(b"x")
    assert ends_at(w, start) == pytest.approx(2000.44)


def test_without_it_the_hosts_limit_holds() -> None:
    w = opened(0)
    w.lose(everything, count=10_000)
    start = w.now
    w.client.send(b"x")
    assert 900 < ends_at(w, start) < 1200


def test_an_acknowledgment_starts_it_anew() -> None:
    w = opened(1000)
    start = w.now
    w.lose(by_client(data), count=2)
    w.client.send(b"x")
    w.run_for(900 * MS)
    # Delivered at the first time-out, behind the probe.
    assert w.client.tcb.snd_una == w.client.tcb.snd_nxt
    w.heal()
    w.lose(by_client(data), count=1000)
    w.client.send(b"y")
    assert ends_at(w, start) == pytest.approx(0.9 + 0.44 + 1.0)


@pytest.mark.parametrize(("timeout", "seconds"), [(3000, 3.0), (4500, 4.5), (500, 1.001)])
def test_it_holds_for_connect(timeout: int, seconds: float) -> None:
    # Linux 6.18: 3.03, 4.53 and 1.025 s.
    w = World()
    w.lose(everything, count=1000)
    w.client.open()
    w.client.tcb.settings.user_timeout = timeout
    w.flush()
    assert ends_at(w, 0) == pytest.approx(seconds, abs=0.002)
    assert w.client.tcb.error == ETIMEDOUT


@pytest.mark.parametrize(("count", "seconds"), [(1, 3), (2, 7), (3, 19), (0, 131)])
def test_how_often_a_syn_is_sent_again_is_for_the_user_to_set(count: int, seconds: float) -> None:
    # TCP_SYNCNT. Linux 6.18: 3.07 s for 1; linear time-outs do not prolong what doubling ones would take.
    w = World()
    w.lose(everything, count=1000)
    w.client.open()
    w.client.tcb.settings.syn_retries = count
    w.flush()
    assert ends_at(w, 0) == seconds


def test_zero_window_probes_are_limited_even_where_they_are_answered() -> None:
    w = opened(5000)
    w.client.write(b"x" * 200_000)
    w.run_for(SECOND)
    assert w.client.tcb.snd_wnd == 0
    assert len(w.client.tcb.sent) == 0
    first = w.client.tcb.probing_since
    assert first > 0
    since = len(w.messages)
    ends_at(w, 0)
    assert w.now - first == 5 * SECOND
    assert w.client.tcb.error == ETIMEDOUT
    # Until then they went on as without it.
    assert len([m for m in w.messages[since:] if m.sender == "client"]) == 2


def test_without_it_answered_probes_go_on() -> None:
    # MUST-37
    w = opened(0)
    w.client.write(b"x" * 200_000)
    w.run_for(3 * 3600 * SECOND)
    assert w.client.state == "ESTABLISHED"


def test_a_window_that_opens_ends_the_count() -> None:
    w = opened(5000)
    w.client.write(b"x" * 4_000_000)
    w.run_for(4 * SECOND)
    assert w.client.tcb.snd_wnd == 0
    w.server.receive()
    w.run_for(4 * SECOND)
    # It is shut again, and the time begins anew.
    assert w.client.tcb.snd_wnd == 0
    assert w.client.state == "ESTABLISHED"
    first = w.client.tcb.probing_since
    ends_at(w, 0)
    assert w.now - first == 5 * SECOND


def test_data_behind_a_window_that_shrank_to_nothing() -> None:
    w = opened(5000)
    w.lose(by_client(data), count=1000)
    w.client.send(b"x")
    w.flush()
    client = w.client.tcb
    w.run_for(500 * MS)
    client.snd_wnd = 0
    assert ends_at(w, client.first_retransmission) == 5.0


def test_the_network_said_why() -> None:
    # RFC 9293 §3.9.2.2: what was reported is what the user learns at the end.
    w = opened(1000)
    w.lose(everything, count=1000)
    w.client.send(b"x")
    w.flush()
    assert path.unreachable(w.client.tcb, wrap(w.client.tcb.snd_una), EHOSTUNREACH, w.now)
    ends_at(w, 0)
    assert w.client.tcb.error == EHOSTUNREACH


def test_the_trace_says_that_it_was_the_users_time() -> None:
    events: list[Event] = []
    network = Network(1, events.append)
    client, server = network.host("client"), network.host("server")
    network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24", delay=10 * MS)
    server.listen("10.0.0.2", 80)
    connection = client.connect("10.0.0.2", 80)
    network.run(SECOND)
    connection.settings.user_timeout = 1000
    network.apply("lose 100%")
    client.send(connection, b"x")
    network.run(10 * SECOND)
    last = [event for event in events if isinstance(event, StateChanged) and event.host == "client"][-1]
    assert (last.new, last.reason) == ("CLOSED", reasons.USER_TIMEOUT_OVER)


def test_a_listeners_time_is_each_connections() -> None:
    w = World()
    listener = w.server.listen()
    listener.settings.user_timeout = 1000
    w.connect()
    w.run_for(SECOND)
    w.lose(everything, count=1000)
    start = w.now
    w.server.send(b"x")
    w.flush()
    while w.server.state != "CLOSED":
        w.step()
        w.flush()
    # The handshake's ACK was measured: RTO 220 ms, for the probe and then once more.
    assert (w.now - start) / SECOND == pytest.approx(1.44)


def test_syncnt_of_a_listener_counts_syn_acks() -> None:
    w = World(client=TcpParameters(), server=TcpParameters())
    listener = w.server.listen()
    listener.settings.syn_retries = 2
    w.lose(syn_ack, count=100)
    w.lose(by_client(syn), nth=2, count=100)
    w.client.open()
    w.run(100 * SECOND)
    assert len([m for m in w.messages if by_server(syn_ack)(m)]) == 3


def test_changes_while_it_waits_hold() -> None:
    w = opened(0)
    w.lose(everything, count=1000)
    w.client.send(b"x")
    w.flush()
    w.run_for(2 * SECOND)
    w.client.tcb.settings.user_timeout = 1000
    before = w.now
    # At the next expiry: the probe's 0.22 s, then 0.22 + 0.44 + 0.88 + 1.76 s after the data.
    assert ends_at(w, before) == pytest.approx(0.22 + 0.22 + 0.44 + 0.88 + 1.76 - 2)
