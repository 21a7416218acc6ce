"""What a connection teaches the next one to the same host (RFC 9040 §6)."""

from __future__ import annotations

import pytest

from synfin.host.addresses import Network as Prefix
from synfin.host.addresses import packed
from synfin.host.metrics import CAPACITY, LIFETIME, MetricsTable
from synfin.host.parameters import Parameters
from synfin.sim import Network
from synfin.tcp.connection import Connection
from synfin.tcp.identity import Identity
from synfin.tcp.listener import Listener
from synfin.tcp.metrics import Metrics, apply, learn
from synfin.tcp.parameters import TcpParameters
from tests.tcp.world import make_connection

MS = 1_000_000
SECOND = 1_000_000_000
HERE, THERE = "10.0.0.1", "10.0.0.2"


class Pair:
    """Two hosts; the server reads what comes and closes when the client did."""

    def __init__(self, parameters: Parameters | None = None, delay: int = 100 * MS) -> None:
        self.network = Network(1)
        self.client = self.network.host("client", parameters)
        self.server = self.network.host("server", parameters)
        self.wire = self.network.wire(self.client, f"{HERE}/24", self.server, f"{THERE}/24", delay=delay)
        self.listener = self.server.listen(THERE, 80)
        self.accepted: list[Connection] = []
        self.server.changed = self._changed

    def _changed(self, entry: Connection | Listener) -> None:
        if entry is self.listener:
            self.accepted.append(self.server.accept(self.listener))
        elif isinstance(entry, Connection):
            while entry.receive_queue.octets:
                self.server.receive(entry)
            if entry.fin_received:
                self.server.close(entry)

    def opens(self, port: int = 80) -> Connection:
        connection = self.client.connect(THERE, port)
        self.network.run(until=self.network.now + 5 * SECOND)
        return connection

    def transfers(self, octets: int = 20_000) -> Connection:
        """One connection from its beginning to its end, TIME-WAIT and all."""
        connection = self.opens()
        self.client.send(connection, bytes(octets))
        self.network.run(until=self.network.now + 5 * SECOND)
        self.client.close(connection)
        self.network.run(until=self.network.now + 70 * SECOND)
        return connection


def test_a_connection_that_ends_in_order_is_remembered_by_both_ends() -> None:
    pair = Pair()
    assert pair.client.host.metrics(pair.network.now) == []
    first = pair.transfers()
    (row,) = pair.client.host.metrics(pair.network.now)
    assert (row.destination, row.source) == (THERE, HERE)
    assert 69 * SECOND <= row.age <= 71 * SECOND
    assert row.metrics.rtt == first.round_trip.srtt
    assert row.metrics.rttvar >= first.round_trip.rttvar
    assert row.metrics.cwnd == first.cwnd // first.mss
    assert row.metrics.ssthresh == row.metrics.reordering == 0
    (other,) = pair.server.host.metrics(pair.network.now)
    assert (other.destination, other.source) == (HERE, THERE)


def test_the_next_connection_begins_with_a_longer_rto_where_the_path_was_slower() -> None:
    """RFC 9040 §6.2; Linux: the cached round trip and twice as much, not less than the least RTO."""
    slow = Metrics()
    slow.rtt = 900 * MS
    connection = make_connection(Identity(b"abcd", 1, b"efgh", 2))
    connection.round_trip.measured(100 * MS, 0)
    before = connection.round_trip.srtt, connection.round_trip.rttvar
    apply(connection, slow)
    assert connection.round_trip.rto == 2700 * MS
    # The estimate is its own, and the next measurement sets the RTO.
    assert (connection.round_trip.srtt, connection.round_trip.rttvar) == before
    connection.round_trip.measured(100 * MS, SECOND)
    assert connection.round_trip.rto < 400 * MS
    # What was quicker once tells nothing.
    slow.rtt = 50 * MS
    rto = connection.round_trip.rto
    apply(connection, slow)
    assert connection.round_trip.rto == rto


def test_it_is_applied_when_either_end_is_established() -> None:
    pair = Pair()
    pair.transfers()
    for host in (pair.client.host, pair.server.host):
        assert host.counters["SynfinMetricsApplied"] == 0
        host.metrics(pair.network.now)[0].metrics.rtt = SECOND
    client = pair.opens()
    assert pair.client.host.counters["SynfinMetricsApplied"] == 1
    assert pair.server.host.counters["SynfinMetricsApplied"] == 1
    assert client.round_trip.rto == pair.accepted[-1].round_trip.rto == 3 * SECOND


@pytest.mark.parametrize("how", ["reset", "refused", "aborted", "tcp_no_metrics_save"])
def test_what_did_not_end_in_order_teaches_nothing(how: str) -> None:
    parameters = Parameters()
    parameters.tcp.tcp_no_metrics_save = int(how == "tcp_no_metrics_save")
    pair = Pair(parameters)
    if how == "tcp_no_metrics_save":
        pair.transfers()
    elif how == "refused":
        pair.opens(81)
    else:
        connection = pair.opens()
        if how == "reset":
            pair.server.abort(pair.accepted[0])
        else:
            pair.client.abort(connection)
        pair.network.run(until=pair.network.now + 5 * SECOND)
    assert pair.client.host.metrics(pair.network.now) == pair.server.host.metrics(pair.network.now) == []


def test_without_saving_what_is_known_is_not_used_either() -> None:
    pair = Pair()
    pair.transfers()
    pair.client.host.parameters.tcp.tcp_no_metrics_save = 1
    pair.opens()
    assert pair.client.host.counters["SynfinMetricsApplied"] == 0


def ended(cwnd: int, ssthresh: int = (1 << 31) - 1, saves: bool = True, srtt: int = 100 * MS) -> Connection:
    """A connection of ten-octet segments, so that windows are easy to read."""
    parameters = TcpParameters()
    parameters.tcp_no_ssthresh_metrics_save = int(not saves)
    connection = make_connection(Identity(b"abcd", 1, b"efgh", 2), parameters)
    connection.mss = 10
    connection.cwnd = cwnd * 10
    connection.ssthresh = ssthresh if ssthresh > 1 << 30 else ssthresh * 10
    connection.round_trip.measured(srtt, 0)
    return connection


def test_a_round_trip_that_became_longer_counts_at_once_and_a_shorter_one_slowly() -> None:
    known = Metrics()
    learn(known, ended(10, srtt=100 * MS))
    assert (known.rtt, known.rttvar) == (100 * MS, 50 * MS)
    learn(known, ended(10, srtt=180 * MS))
    assert (known.rtt, known.rttvar) == (180 * MS, 90 * MS)
    learn(known, ended(10, srtt=100 * MS))
    assert (known.rtt, known.rttvar) == (170 * MS, 90 * MS - 10 * MS)


def test_windows_are_kept_as_far_as_they_mean_something() -> None:
    known = Metrics()
    # Slow start that found no limit: the largest window.
    for cwnd, kept in ((20, 20), (12, 20), (40, 40)):
        learn(known, ended(cwnd))
        assert (known.cwnd, known.ssthresh) == (kept, 0)
    # Congestion avoidance: the mean of both; ssthresh is half of the window, or what it was.
    learn(known, ended(20, 16))
    assert (known.cwnd, known.ssthresh) == (30, 16)
    learn(known, ended(50, 16))
    assert (known.cwnd, known.ssthresh) == (40, 25)
    # A loss is being mended: ssthresh stands for the window.
    learn(known, ended(4, 30))
    assert (known.cwnd, known.ssthresh) == (35, 30)


def test_ssthresh_is_shared_only_if_it_may_be() -> None:
    known = Metrics()
    learn(known, ended(20, 16, saves=False))
    assert known.ssthresh == 0
    known.ssthresh = 7
    for saves, expected in ((True, 70), (False, (1 << 31) - 1)):
        connection = ended(10, saves=saves)
        apply(connection, known)
        assert connection.ssthresh == expected


def test_reordering_that_was_met_is_expected_again() -> None:
    known = Metrics()
    mending = ended(4, 30)
    mending.recovery.reordering = 12
    learn(known, mending)
    connection = ended(10)
    apply(connection, known)
    assert connection.recovery.reordering == known.reordering == 12


def to(number: int) -> Connection:
    connection = make_connection(Identity(packed(HERE), 1, number.to_bytes(4, "big"), 2))
    connection.round_trip.measured(MS, 0)
    return connection


def test_the_table_is_bounded_and_forgets() -> None:
    table = MetricsTable(TcpParameters())
    for number in range(CAPACITY + 10):
        table.learn(to(number), number)
    assert len(table) == CAPACITY
    assert not table.apply(to(9), CAPACITY)
    assert table.apply(to(10), CAPACITY)
    # Who is met again stays.
    table.learn(to(10), CAPACITY)
    table.learn(to(5000), CAPACITY)
    assert table.apply(to(10), CAPACITY)
    assert not table.apply(to(11), CAPACITY)
    assert not table.apply(to(12), LIFETIME + 100)
    table.forget(Prefix(b"\0\0\0\0", 25))
    assert not table.apply(to(100), CAPACITY)
    assert table.apply(to(128), CAPACITY)
    table.forget()
    assert len(table) == 0


def test_an_end_without_a_measurement_casts_doubt_on_what_is_known() -> None:
    table = MetricsTable(TcpParameters())
    table.learn(to(1), 0)
    other = to(1)
    other.round_trip.backoff = 1
    table.learn(other, 0)
    assert table.rows(0)[0].metrics.rtt == 0


def test_another_route_makes_all_of_it_invalid() -> None:
    pair = Pair()
    pair.transfers()
    pair.client.host.change_route("10.0.0.0/24", pair.network.now, mtu=1400)
    assert pair.client.host.metrics(pair.network.now) == []
