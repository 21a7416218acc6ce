"""A message of the handshake lost: who sends again, when, how often, and how it ends (rows A8 to A10, B8)."""

from __future__ import annotations

import pytest

from synfin.tcp.parameters import TcpParameters
from synfin.tcp.round_trip import RTO_AFTER_LOST_SYN
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
    rst,
    syn,
    syn_ack,
)


@pytest.mark.row("A8")
def test_syns_as_linux_sends_them() -> None:
    w = World()
    w.lose(everything, count=1000)
    w.client.open()
    w.run()
    # Four linear retransmissions, then six with doubling waits.
    assert w.times(syn) == [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]
    assert w.now == 131 * SECOND
    assert w.client.state == "CLOSED"
    with pytest.raises(TimeoutError):
        w.client.receive()
    assert w.client.receive() == b""


@pytest.mark.row("A8")
def test_syns_without_linear_timeouts() -> None:
    parameters = TcpParameters()
    parameters.tcp_syn_linear_timeouts = 0
    w = World(client=parameters)
    w.lose(everything, count=1000)
    w.client.open()
    w.run()
    assert w.times(syn) == [0, 1, 3, 7, 15, 31, 63]
    assert w.now == 127 * SECOND
    with pytest.raises(TimeoutError):
        w.client.send(b"x")
    with pytest.raises(BrokenPipeError):
        w.client.send(b"x")


@pytest.mark.row("A8")
@pytest.mark.requirement("MUST-22")
def test_tcp_syn_retries_counts_retransmissions() -> None:
    parameters = TcpParameters()
    parameters.tcp_syn_linear_timeouts = 0
    parameters.tcp_syn_retries = 2
    w = World(client=parameters)
    w.lose(everything, count=1000)
    w.client.open()
    w.run()
    assert w.times(syn) == [0, 1, 3]
    assert w.now == 7 * SECOND


@pytest.mark.row("A8", "B8")
def test_one_syn_lost_or_damaged() -> None:
    w = World()
    w.lose(syn)
    w.server.listen()
    w.client.open()
    w.run(10 * SECOND)
    assert w.story() == [
        "0 client SYN seq=x | SYN-SENT LISTEN | lost",
        "1 client SYN seq=x | SYN-SENT LISTEN | SYN-SENT SYN-RECEIVED",
        "1.01 server SYN,ACK seq=y ack=x+1 | SYN-SENT SYN-RECEIVED | ESTABLISHED SYN-RECEIVED",
        "1.02 client ACK seq=x+1 ack=y+1 | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED",
    ]
    # Timestamps tell which SYN was answered, so Karn's rule does not forbid the measurement (RFC 7323 §4).
    assert w.client.tcb.round_trip.srtt == 20 * MS
    # RFC 5681 §3.1, as Linux: one lost SYN does not cost the initial window.
    assert w.client.tcb.cwnd == 10 * 1448


@pytest.mark.row("A8", "B3")
def test_after_a_lost_syn_without_timestamps_the_rto_begins_at_three_seconds() -> None:
    parameters = TcpParameters()
    parameters.tcp_timestamps = 0
    w = World(client=parameters)
    w.lose(syn, count=2)
    w.connect()
    # Karn's rule, RFC 6298 §3 and §5.7.
    assert w.client.tcb.round_trip.srtt == 0
    assert w.client.tcb.round_trip.rto == RTO_AFTER_LOST_SYN == 3 * SECOND
    # Two SYNs lost: the congestion window begins with one segment.
    assert w.client.tcb.cwnd == 1460


@pytest.mark.row("A9")
def test_syn_acks_as_linux_sends_them() -> None:
    # The client sends one SYN and is never heard again.
    silent = TcpParameters()
    silent.tcp_syn_retries = silent.tcp_syn_linear_timeouts = 0
    w = World(client=silent, delay=0)
    w.lose(syn_ack, count=1000)
    listener = w.server.listen()
    w.client.open()
    w.run(62 * SECOND)
    assert w.times(syn_ack) == [0, 1, 3, 7, 15, 31]
    assert len(listener.requests) == 1
    w.run(63 * SECOND - 1)
    assert len(listener.requests) == 1
    w.run(63 * SECOND)
    assert len(listener.requests) == 0
    assert w.server.state == "LISTEN"
    w.run()
    assert len(w.times(syn_ack)) == 6


@pytest.mark.row("A9", "B8")
def test_one_syn_ack_lost_both_ends_try_again() -> None:
    w = World()
    w.lose(syn_ack)
    w.server.listen()
    w.client.open()
    w.run(10 * SECOND)
    assert w.story() == [
        "0 client SYN seq=x | SYN-SENT LISTEN | SYN-SENT SYN-RECEIVED",
        "0.01 server SYN,ACK seq=y ack=x+1 | SYN-SENT SYN-RECEIVED | lost",
        # The client's second, at 1 s; it is answered at once, beside the server's own second try.
        "1 client SYN seq=x | SYN-SENT SYN-RECEIVED | SYN-SENT SYN-RECEIVED",
        "1.01 server SYN,ACK seq=y ack=x+1 | SYN-SENT SYN-RECEIVED | ESTABLISHED SYN-RECEIVED",
        "1.01 server SYN,ACK seq=y ack=x+1 | SYN-SENT SYN-RECEIVED | ESTABLISHED SYN-RECEIVED",
        "1.02 client ACK seq=x+1 ack=y+1 | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED",
        "1.02 client ACK seq=x+1 ack=y+1 | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED",
    ]


@pytest.mark.row("A9")
def test_each_end_gives_up_at_its_own_limit() -> None:
    few = TcpParameters()
    few.tcp_syn_retries, few.tcp_syn_linear_timeouts = 2, 0
    w = World(client=few, delay=0)
    w.lose(syn_ack, count=1000)
    listener = w.server.listen()
    w.client.open()
    w.run(7 * SECOND)
    assert w.client.state == "CLOSED"
    assert len(listener.requests) == 1
    w.run()
    assert len(listener.requests) == 0
    assert w.now == 63 * SECOND


def lost_third_message(writes: bytes = b"", server: TcpParameters | None = None) -> World:
    w = World(server=server)
    w.lose(by_client(bare_ack))
    w.server.listen()
    w.client.open()
    for _ in range(3):
        w.message()
    assert w.states() == ("ESTABLISHED", "SYN-RECEIVED")
    if writes:
        w.client.send(writes)
    return w


@pytest.mark.row("A10", "B8")
def test_the_third_message_lost_and_the_syn_ack_comes_again() -> None:
    w = lost_third_message()
    w.run(10 * SECOND)
    assert w.story()[2:] == [
        "0.02 client ACK seq=x+1 ack=y+1 | ESTABLISHED SYN-RECEIVED | lost",
        "1.01 server SYN,ACK seq=y ack=x+1 | ESTABLISHED SYN-RECEIVED | ESTABLISHED SYN-RECEIVED",
        "1.02 client ACK seq=x+1 ack=y+1 | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED",
    ]


@pytest.mark.row("A10", "A14")
def test_data_from_the_client_completes_the_handshake_too() -> None:
    w = lost_third_message(b"data")
    w.run(SECOND)
    assert w.story()[3] == (
        "0.02 client PSH,ACK seq=x+1 ack=y+1 (4) | ESTABLISHED SYN-RECEIVED | ESTABLISHED ESTABLISHED"
    )
    assert w.server.receive() == b"data"
    assert len(w.times(syn_ack)) == 1


@pytest.mark.row("A10")
def test_the_server_gives_up_and_the_client_meets_a_reset_when_it_sends() -> None:
    w = World()
    # The network loses what the client says after its SYN, until the server has given up.
    w.lose(by_client(bare_ack), count=6)
    w.server.listen()
    w.client.open()
    w.run(100 * SECOND)
    assert w.times(syn_ack) == [0.01, 1.01, 3.01, 7.01, 15.01, 31.01]
    assert w.states() == ("ESTABLISHED", "LISTEN")
    since = len(w.messages)
    w.client.send(b"hello?")
    w.run()
    assert w.story(since) == [
        "100 client PSH,ACK seq=x+1 ack=y+1 (6) | ESTABLISHED LISTEN | ESTABLISHED LISTEN",
        # <SEQ=SEG.ACK><CTL=RST>
        "100.01 server RST seq=y+1 | ESTABLISHED LISTEN | CLOSED LISTEN",
    ]
    with pytest.raises(ConnectionResetError):
        w.client.receive()


@pytest.mark.row("A10")
def test_the_server_gives_up_and_a_client_that_only_reads_hangs() -> None:
    w = World()
    w.lose(by_client(bare_ack), count=6)
    w.server.listen()
    w.client.open()
    w.run()
    # Nothing is left to happen: no timer runs, nobody will ever tell the client.
    assert w.states() == ("ESTABLISHED", "LISTEN")
    with pytest.raises(BlockingIOError):
        w.client.receive()
    assert w.times(rst) == []


@pytest.mark.row("A10", "C8")
def test_the_client_closes_after_the_third_message_was_lost() -> None:
    w = lost_third_message(server=acknowledging_fins())
    w.client.close()
    w.run(500 * MS)
    # The FIN's ACK completes the handshake, and the FIN is taken with it.
    assert w.story()[3:5] == [
        "0.02 client FIN,ACK seq=x+1 ack=y+1 | FIN-WAIT-1 SYN-RECEIVED | FIN-WAIT-1 CLOSE-WAIT",
        "0.03 server ACK seq=y+1 ack=x+2 | FIN-WAIT-1 CLOSE-WAIT | FIN-WAIT-2 CLOSE-WAIT",
    ]


def test_a_duplicate_of_the_syn_is_answered_but_not_without_end() -> None:
    w = World()
    w.server.listen()
    w.duplicate(syn, count=1)
    w.client.open()
    w.run(SECOND // 2)
    assert w.times(syn_ack) == [0.01, 0.01]
    assert w.times(by_server(data)) == []
    # RFC 5961 §7 by tcp_invalid_ratelimit: an attacker's flood of the same SYN draws an answer each 500 ms.
    w2 = World()
    w2.server.listen()
    w2.client.open()
    w2.flush()
    first = w2.messages[0].segment
    answers = [w2.inject("server", first) is not None for _ in range(10)]
    assert answers == [True, True] + [False] * 8
