"""R1, soft errors, and how a connection without a user ends (RFC 9293 §3.6.1, §3.8.3, §3.9.1.8; SO_LINGER)."""

from __future__ import annotations

from errno import ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT

import pytest

from synfin.sim import Network
from synfin.tcp import path
from synfin.tcp.readiness import POLLERR, POLLOUT
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, FIN, RST
from tests.tcp.world import MS, SECOND, World, by_client, by_server, data, everything, fin, rst, without_probes


def opened(**parameters: int) -> World:
    client = without_probes()
    for name, value in parameters.items():
        setattr(client, name, value)
    w = World(client)
    w.connect()
    w.run_for(SECOND)
    return w


# --- R1


def test_at_r1_the_network_layer_is_advised_and_the_user_can_know() -> None:
    # MUST-20, SHLD-9, SHLD-10: three retransmissions from 200 ms on and the wait after them take 3 s.
    w = opened()
    w.lose(by_client(data), count=1000)
    start = w.now
    w.client.send(b"x")
    w.flush()
    client = w.client.tcb
    while not client.path_in_doubt:
        w.step()
        w.flush()
    # 0.22, 0.66, 1.54, 3.3: then 3.08 s since the first retransmission.
    assert (w.now - start) / SECOND == pytest.approx(3.30)
    assert client.retransmissions >= 3
    assert client.state != 7
    assert client.status().soft_error == ETIMEDOUT
    assert client.wake & POLLERR
    # It is no error of any call.
    assert client.error == 0
    client.send(b"y", w.now)
    # And it passes.
    w.heal()
    w.run_for(20 * SECOND)
    assert client.status().soft_error == 0


def test_r1_is_a_parameter() -> None:
    w = opened(tcp_retries1=5)
    w.lose(by_client(data), count=1000)
    start = w.now
    w.client.send(b"x")
    w.flush()
    while not w.client.tcb.path_in_doubt:
        w.step()
        w.flush()
    # 200 ms · (2^6 - 1) = 12.6 s from the first retransmission
    assert (w.now - start) / SECOND == pytest.approx(0.22 * (2**6 - 1))


def test_r1_of_a_syn() -> None:
    # MUST-22
    w = World()
    w.lose(everything, count=100)
    w.client.open()
    w.run(1500 * MS)
    assert not w.client.tcb.path_in_doubt
    w.run(2500 * MS)
    assert w.client.tcb.path_in_doubt
    assert w.client.tcb.soft_error == 0


def test_the_host_forgets_what_was_reported_of_the_path() -> None:
    network = Network(1)
    client, server = network.host("client"), network.host("server")
    network.wire(client, "10.0.0.1/24", server, "10.0.0.2/24", delay=10 * MS)
    server.listen("10.0.0.2", 80)
    connection = client.connect("10.0.0.2", 80)
    network.run(SECOND)
    known = client.host.transport.path_mtus
    known.report(bytes((10, 0, 0, 2)), 1000, 1500, network.now)
    network.apply("lose 100%")
    client.send(connection, b"x")
    network.run(3 * SECOND)
    assert known.get(bytes((10, 0, 0, 2)), 1500, network.now) == 1000
    assert client.host.counters["SynfinNegativeAdvice"] == 0
    network.run(5 * SECOND)
    assert known.get(bytes((10, 0, 0, 2)), 1500, network.now) == 1500
    assert client.host.counters["SynfinNegativeAdvice"] == 1
    assert not connection.path_in_doubt


# --- soft errors


def test_a_soft_error_is_kept_for_the_end() -> None:
    # RFC 9293 §3.9.2.2 (MUST-56)
    w = opened(tcp_retries2=3)
    w.lose(by_client(data), count=1000)
    w.client.send(b"x")
    w.flush()
    client = w.client.tcb
    assert path.unreachable(client, wrap(client.snd_una), EHOSTUNREACH, w.now)
    assert client.error == 0
    assert client.send(b"y", w.now) == 1
    w.run_for(100 * SECOND)
    assert w.client.state == "CLOSED"
    with pytest.raises(OSError, match="No route to host"):
        w.client.receive()


def test_a_soft_error_is_told_at_once_where_the_user_asks_for_it() -> None:
    # MUST-47, SHLD-20, SHLD-25; IP_RECVERR
    w = opened()
    client = w.client.tcb
    client.settings.report_errors = True
    w.lose(by_client(data))
    w.client.send(b"x")
    w.flush()
    client.wake = 0
    assert path.unreachable(client, wrap(client.snd_una), ENETUNREACH, w.now)
    assert client.wake & POLLERR
    assert client.readiness() & POLLERR
    with pytest.raises(OSError, match="Network is unreachable") as caught:
        client.send(b"y", w.now)
    assert caught.value.errno == ENETUNREACH
    # Once; and the connection goes on.
    assert not client.readiness() & POLLERR
    assert client.send(b"y", w.now) == 1
    w.server.reading = True
    w.run_for(5 * SECOND)
    assert bytes(w.server.received) == b"xy"


def test_an_error_while_connecting_ends_that_either_way() -> None:
    for reported in (False, True):
        w = World()
        w.client.open()
        w.client.tcb.settings.report_errors = reported
        w.flush()
        assert path.unreachable(w.client.tcb, wrap(w.client.tcb.iss), ECONNREFUSED, w.now)
        assert (w.client.state, w.client.tcb.error) == ("CLOSED", ECONNREFUSED)


# --- TCP_LINGER2, FIN-WAIT-2


def in_fin_wait_2(linger2: int) -> World:
    w = opened()
    w.client.tcb.settings.linger2 = linger2
    w.client.close()
    w.run_for(SECOND)
    assert w.client.state == "FIN-WAIT-2"
    return w


@pytest.mark.parametrize(("linger2", "seconds"), [(0, 60), (5, 5), (120, 120)])
def test_how_long_fin_wait_2_lasts(linger2: int, seconds: int) -> None:
    w = in_fin_wait_2(linger2)
    w.client.release()
    w.run_for(seconds * SECOND - MS)
    assert w.client.state == "FIN-WAIT-2"
    w.run_for(MS)
    assert w.client.state == "CLOSED"


def test_it_lasts_at_least_three_and_a_half_time_outs() -> None:
    # Linux's tcp_fin_time
    w = World(delay=2 * SECOND)
    w.connect()
    w.run_for(20 * SECOND)
    w.client.tcb.settings.linger2 = 1
    w.client.close()
    w.run_for(20 * SECOND)
    rto = w.client.tcb.round_trip.rto
    assert rto > 4 * SECOND
    w.client.release()
    w.run_for(rto * 7 // 2 - MS)
    assert w.client.state == "FIN-WAIT-2"
    w.run_for(MS)
    assert w.client.state == "CLOSED"


def test_no_fin_wait_2_at_all() -> None:
    # Linux: released in FIN-WAIT-2 with a negative TCP_LINGER2, a RST; released before, it ends in silence.
    w = in_fin_wait_2(-1)
    since = len(w.messages)
    w.client.release()
    assert w.client.state == "CLOSED"
    w.run_for(SECOND)
    assert [m.segment.flags for m in w.messages[since:]] == [RST | ACK]
    assert w.server.state == "CLOSED"

    w = opened()
    w.client.tcb.settings.linger2 = -1
    since = len(w.messages)
    w.client.release()
    # The server has had no data, and acknowledges within a tick.
    w.run_for(25 * MS)
    assert w.client.state == "CLOSED"
    assert [m.segment.flags for m in w.messages[since:]] == [FIN | ACK, ACK]


# --- SO_LINGER


def test_released_with_nothing_said_all_is_still_delivered() -> None:
    # SO_LINGER off: the call returns, and the host sees to it.
    w = opened()
    w.server.reading = True
    w.lose(by_client(data), count=3)
    w.client.send(b"last words")
    w.client.release()
    assert not w.client.tcb.drained()
    w.run_for(20 * SECOND)
    assert bytes(w.server.received) == b"last words"
    assert w.server.ended


def test_lingering_ends_when_all_is_acknowledged() -> None:
    w = opened()
    w.lose(by_client(data))
    w.client.send(b"last words")
    w.client.release()
    client = w.client.tcb
    drained = -1
    w.flush()
    for _ in range(100):
        if client.drained():
            drained = w.now
            break
        client.wake = 0
        w.step()
        w.flush()
    # The FIN was acknowledged, and whoever waits was woken.
    assert w.client.state == "FIN-WAIT-2"
    assert client.wake & POLLOUT
    acks = [m.arrived_at for m in w.messages if by_server(everything)(m)]
    assert drained == acks[-1]


def test_lingering_that_takes_too_long_changes_nothing() -> None:
    # The call returns; the connection goes on by itself, for as long as orphans do.
    w = opened()
    w.lose(by_client(everything), count=1000)
    w.client.send(b"x")
    w.client.release()
    w.run_for(30 * SECOND)
    assert not w.client.tcb.drained()
    assert w.client.state == "FIN-WAIT-1"
    assert not any(rst(m) for m in w.messages)
    w.run_for(300 * SECOND)
    assert w.client.state == "CLOSED"
    assert w.client.tcb.drained()


def test_to_linger_for_no_time_is_to_abort() -> None:
    # RFC 9293 §3.6.1, §3.10.5
    w = opened()
    w.client.send(b"x" * 100_000)
    w.flush()
    since = len(w.messages)
    w.client.abort()
    w.run_for(SECOND)
    assert next(m.segment.flags for m in w.messages[since:] if m.sender == "client") == RST | ACK
    assert w.client.tcb.drained()
    assert len(w.client.tcb.send_buffer) == 0
    assert w.server.state == "CLOSED"


# --- orphans


def test_an_orphan_of_which_the_network_said_that_it_is_lost_gets_no_patience() -> None:
    w = opened(tcp_rto_max_ms=1000, tcp_orphan_retries=7)
    w.lose(by_client(everything), count=1000)
    w.client.send(b"x")
    w.client.release()
    w.flush()
    client = w.client.tcb
    w.run_for(1500 * MS)
    assert path.unreachable(client, wrap(client.snd_una), EHOSTUNREACH, w.now)
    # The RTO has grown to the greatest: the next time-out is the last.
    w.run_for(1100 * MS)
    assert w.client.state == "CLOSED"


def test_an_orphan_has_its_own_limit() -> None:
    w = opened(tcp_orphan_retries=2)
    w.lose(by_client(everything), count=1000)
    start = w.now
    w.client.send(b"x")
    w.client.release()
    w.flush()
    while w.client.state != "CLOSED":
        w.step()
        w.flush()
    # 200 ms · (2^3 - 1) = 1.4 s from the first retransmission at 0.22 s: over at the fourth expiry.
    assert (w.now - start) / SECOND == pytest.approx(0.22 * (2**4 - 1))
    assert not any(fin(m) and not m.lost for m in w.messages)
