"""TCP_DEFER_ACCEPT: how long a request waits for data, and what a client that will send leaves out."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp.deferral import deferral, deferral_seconds
from synfin.wire.tcp import SYN
from tests.tcp.world import MS, SECOND, World, bare_ack, by_client, by_server, syn_ack


@pytest.mark.parametrize(
    ("seconds", "reads"),
    [(0, 0), (1, 1), (2, 3), (3, 3), (4, 7), (7, 7), (8, 15), (10, 15), (30, 31), (100, 127), (1000, 1087)],
)
def test_seconds_and_time_outs(seconds: int, reads: int) -> None:
    """As getsockopt of Linux 6.18 answers what setsockopt set."""
    assert deferral_seconds(deferral(seconds)) == reads


def test_a_listener_can_wait_for_data() -> None:
    w = World()
    listener = w.server.listen()
    listener.settings.defer_accept = 5
    w.client.open()
    w.run_for(SECOND // 2)
    assert (w.client.state, w.server.state) == ("ESTABLISHED", "SYN-RECEIVED")
    assert listener.verdict is reasons.WAITS_FOR_DATA
    assert not listener.accept_queue
    w.client.send(b"hello")
    w.run_for(SECOND // 2)
    assert len(listener.accept_queue) == 1
    assert w.server.receive() == b"hello"


def test_while_it_waits_the_syn_ack_is_not_repeated_until_the_end() -> None:
    # Linux: 3 time-outs cover 5 s (after 1, 3 and 7 s); the SYN,ACK goes out again at the last one before the end,
    # and the next ACK of it is taken even without data.
    w = World()
    listener = w.server.listen()
    listener.settings.defer_accept = 5
    w.client.open()
    w.run(6 * SECOND)
    assert w.server.state == "SYN-RECEIVED"
    assert [round(m.time / SECOND, 2) for m in w.messages if by_server(syn_ack)(m)] == [0.01]
    w.run(8 * SECOND)
    assert [round(m.time / SECOND, 2) for m in w.messages if by_server(syn_ack)(m)] == [0.01, 7.01]
    assert w.server.state == "ESTABLISHED"


def test_an_end_without_data_is_taken() -> None:
    w = World()
    w.server.listen().settings.defer_accept = 5
    w.client.open()
    w.run_for(SECOND // 2)
    w.client.close()
    w.run_for(SECOND // 2)
    assert w.server.state == "CLOSE-WAIT"


def test_a_client_that_will_send_saves_an_acknowledgment() -> None:
    w = World()
    w.server.listen()
    w.client.open()
    w.client.tcb.settings.defer_accept = 1
    w.flush()
    w.run_for(100 * MS)
    assert not any(by_client(bare_ack)(m) for m in w.messages)
    w.client.send(b"x")
    w.run_for(SECOND)
    assert [m.segment.payload_length for m in w.messages if by_client(lambda m: not m.has(SYN))(m)] == [1]
    w = World()
    w.server.listen()
    w.client.open()
    w.client.tcb.settings.defer_accept = 1
    w.run_for(SECOND)
    # At last it goes by itself.
    assert [m.time // MS for m in w.messages if by_client(bare_ack)(m)] == [220]
