"""A message of the closing lost: who sends again, how often, and how it ends (rows C5, C8, C9, B8)."""

from __future__ import annotations

import pytest

from synfin.tcp.parameters import TcpParameters
from synfin.tcp.timers import NEVER
from tests.tcp.world import (
    MS,
    SECOND,
    World,
    acknowledging_fins,
    bare_ack,
    by_client,
    by_server,
    data,
    everything,
    fin,
    without_probes,
)


def connected(probes: bool = True) -> World:
    client, server = acknowledging_fins(), acknowledging_fins()
    if not probes:
        without_probes(client)
        without_probes(server)
    w = World(client, server)
    w.connect()
    return w


# After one round trip of 20 ms, RTTVAR is 10 ms: RTO = 20 + max(4 * 10, 200) = 220 ms. That is sooner than a tail-loss
# probe of a single segment is due, after 2 * 20 + 200 ms: so the probe goes at the RTO's time, and the RTO goes on from
# there, as it is.


@pytest.mark.row("C8", "B8")
def test_message_4_lost_the_first_fin() -> None:
    w = connected()
    w.lose(fin)
    since = len(w.messages)
    w.client.close()
    w.run_for(SECOND)
    assert w.story(since) == [
        "0.03 client FIN,ACK seq=x+1 ack=y+1 | FIN-WAIT-1 ESTABLISHED | lost",
        "0.25 client FIN,ACK seq=x+1 ack=y+1 | FIN-WAIT-1 ESTABLISHED | FIN-WAIT-1 CLOSE-WAIT",
        "0.26 server ACK seq=y+1 ack=x+2 | FIN-WAIT-1 CLOSE-WAIT | FIN-WAIT-2 CLOSE-WAIT",
    ]


@pytest.mark.row("C8", "B8")
def test_message_5_lost_the_ack_of_the_first_fin() -> None:
    w = connected()
    w.lose(by_server(bare_ack))
    since = len(w.messages)
    w.client.close()
    w.run_for(SECOND)
    assert w.story(since) == [
        "0.03 client FIN,ACK seq=x+1 ack=y+1 | FIN-WAIT-1 ESTABLISHED | FIN-WAIT-1 CLOSE-WAIT",
        "0.04 server ACK seq=y+1 ack=x+2 | FIN-WAIT-1 CLOSE-WAIT | lost",
        "0.25 client FIN,ACK seq=x+1 ack=y+1 | FIN-WAIT-1 CLOSE-WAIT | FIN-WAIT-1 CLOSE-WAIT",
        "0.26 server ACK seq=y+1 ack=x+2 | FIN-WAIT-1 CLOSE-WAIT | FIN-WAIT-2 CLOSE-WAIT",
    ]


@pytest.mark.row("C8", "B8")
def test_message_6_lost_the_second_fin() -> None:
    w = connected()
    w.client.close()
    w.run_for(SECOND)
    w.lose(by_server(fin))
    since = len(w.messages)
    w.server.close()
    w.run_for(SECOND)
    assert w.story(since) == [
        "1.03 server FIN,ACK seq=y+1 ack=x+2 | FIN-WAIT-2 LAST-ACK | lost",
        "1.25 server FIN,ACK seq=y+1 ack=x+2 | FIN-WAIT-2 LAST-ACK | TIME-WAIT LAST-ACK",
        "1.26 client ACK seq=x+2 ack=y+2 | TIME-WAIT LAST-ACK | TIME-WAIT CLOSED",
    ]


@pytest.mark.row("C8", "C9", "B8")
def test_message_7_lost_the_fin_comes_again_and_2msl_starts_anew() -> None:
    w = connected()
    w.client.close()
    w.run_for(SECOND)
    w.lose(by_client(bare_ack), count=2)
    since = len(w.messages)
    w.server.close()
    w.run_for(5 * SECOND)
    assert w.story(since) == [
        "1.03 server FIN,ACK seq=y+1 ack=x+2 | FIN-WAIT-2 LAST-ACK | TIME-WAIT LAST-ACK",
        "1.04 client ACK seq=x+2 ack=y+2 | TIME-WAIT LAST-ACK | lost",
        "1.25 server FIN,ACK seq=y+1 ack=x+2 | TIME-WAIT LAST-ACK | TIME-WAIT LAST-ACK",
        "1.26 client ACK seq=x+2 ack=y+2 | TIME-WAIT LAST-ACK | lost",
        "1.47 server FIN,ACK seq=y+1 ack=x+2 | TIME-WAIT LAST-ACK | TIME-WAIT LAST-ACK",
        "1.48 client ACK seq=x+2 ack=y+2 | TIME-WAIT LAST-ACK | TIME-WAIT CLOSED",
    ]
    w.run()
    assert w.now == 1480 * MS + 60 * SECOND
    assert w.states() == ("CLOSED", "CLOSED")


@pytest.mark.row("C8")
def test_a_late_ack_costs_a_needless_fin_answered_again() -> None:
    w = connected()
    w.client.close()
    w.run_for(SECOND)
    w.hold(by_client(bare_ack), 300 * MS)
    since = len(w.messages)
    w.server.close()
    w.run_for(5 * SECOND)
    assert w.story(since) == [
        "1.03 server FIN,ACK seq=y+1 ack=x+2 | FIN-WAIT-2 LAST-ACK | TIME-WAIT LAST-ACK",
        "1.04 client ACK seq=x+2 ack=y+2 | TIME-WAIT LAST-ACK | TIME-WAIT CLOSED",
        "1.25 server FIN,ACK seq=y+1 ack=x+2 | TIME-WAIT LAST-ACK | TIME-WAIT LAST-ACK",
        "1.26 client ACK seq=x+2 ack=y+2 | TIME-WAIT LAST-ACK | TIME-WAIT CLOSED",
        # The late ACK finds nobody home, and the reset that answers it ends TIME-WAIT early (RFC 1337 §1).
        "1.35 server RST seq=y+2 | TIME-WAIT CLOSED | CLOSED CLOSED",
    ]


@pytest.mark.row("C8")
def test_if_no_fin_ever_arrives_the_other_end_stays_established() -> None:
    w = connected()
    w.lose(everything, count=10_000)
    w.client.release()
    w.run()
    assert w.states() == ("CLOSED", "ESTABLISHED")
    assert w.server.tcb.next_deadline() == NEVER


@pytest.mark.row("C8", "D5")
@pytest.mark.requirement("MUST-20", "SHLD-11")
def test_r2_is_a_time_of_about_924_seconds_from_the_first_retransmission() -> None:
    w = connected(probes=False)
    w.lose(everything, count=10_000)
    w.client.send(b"into the void")
    w.run()
    # RTO 220 ms, doubling up to 120 s. The deadline is looked at when the timer expires.
    expected = [0.0, 0.22]
    while expected[-1] - 0.22 < 924.6:
        expected.append(expected[-1] + min(0.22 * 2 ** (len(expected) - 1), 120))
    times = [time - 0.03 for time in w.times(data)]
    assert times == pytest.approx(expected[:-1], abs=1e-6)
    assert len(times) == 16, "tcp_retries2 = 15 retransmissions"
    assert (w.now / SECOND) == pytest.approx(0.03 + expected[-1])
    assert 924.6 <= w.now / SECOND - 0.25 < 924.6 + 120
    with pytest.raises(TimeoutError):
        w.client.receive()
    assert w.client.state == "CLOSED"


@pytest.mark.row("C8")
@pytest.mark.parametrize(("retries", "limit"), [(0, 102.2), (1, 0.6), (3, 3.0)])
def test_tcp_orphan_retries(retries: int, limit: float) -> None:
    """0 stands for 8: 0.2 * (2**9 - 1) = 102.2 s from the first retransmission on."""
    parameters = TcpParameters()
    parameters.tcp_orphan_retries = retries
    w = World(client=parameters)
    w.connect()
    w.lose(everything, count=10_000)
    w.client.release()
    w.run()
    assert w.client.state == "CLOSED"
    elapsed = w.now / SECOND - w.times(by_client(fin))[1]
    assert limit <= elapsed < 2 * limit + 0.44
    # In FIN-WAIT-1 without release, R2 holds.
    w = World(client=parameters)
    w.connect()
    w.lose(everything, count=10_000)
    w.client.close()
    w.run()
    assert w.now / SECOND > 900


@pytest.mark.row("C8", "C13")
def test_last_ack_repeats_its_fin_up_to_its_limit() -> None:
    w = connected(probes=False)
    w.client.close()
    w.run_for(SECOND)
    w.lose(everything, count=10_000)
    w.server.release()
    w.run()
    assert w.states() == ("FIN-WAIT-2", "CLOSED")
    fins = [time - 1.03 for time in w.times(by_server(fin))]
    assert fins == pytest.approx([0.22 * (2**n - 1) for n in range(9)], abs=1e-6)
    assert w.now / SECOND == pytest.approx(1.03 + 0.22 * (2**9 - 1))


@pytest.mark.row("C8")
def test_the_fin_takes_part_in_the_recovery_of_the_data_before_it() -> None:
    w = connected()
    w.lose(by_client(data), nth=1, count=3)
    w.client.write(b"z" * 4000, then_close=True)
    w.server.reading = True
    w.run_for(10 * SECOND)
    assert bytes(w.server.received) == b"z" * 4000
    assert w.states() == ("FIN-WAIT-2", "CLOSE-WAIT")
    assert w.client.tcb.snd_una == w.client.tcb.iss + 1 + 4000 + 1
