"""Carrying data: order, loss, duplication, damage, a whole life (rows B1, B2, B8, B9, E6)."""

from __future__ import annotations

import pytest

from synfin.tcp import time_wait
from synfin.wire.tcp import FIN, SYN
from tests.tcp.world import MS, SECOND, World, by_client, by_server, data, everything, fin, syn, syn_ack

OCTETS = bytes(n * 7 % 256 for n in range(50_000))


@pytest.mark.row("B1")
def test_every_octet_is_numbered_and_ack_is_the_next_expected() -> None:
    w = World()
    w.connect()
    w.client.send(OCTETS[:4000])
    w.run_for(SECOND)
    x = w.messages[0].segment.seq
    sent = [m.segment for m in w.messages if by_client(data)(m)]
    assert [(s.seq - x) & 0xFFFFFFFF for s in sent] == [1, 1449, 2897]
    acks = [(m.segment.ack - x) & 0xFFFFFFFF for m in w.messages if m.sender == "server"][1:]
    assert acks == [1449, 2897, 4001]


@pytest.mark.row("B2")
@pytest.mark.parametrize("nth", [1, 2, 3, 7])
def test_out_of_order_segments_are_put_in_order(nth: int) -> None:
    w = World()
    w.connect()
    w.hold(by_client(data), 12 * MS, nth=nth, count=2)
    w.client.write(OCTETS)
    w.server.reading = True
    w.run_for(10 * SECOND)
    assert bytes(w.server.received) == OCTETS


@pytest.mark.row("B2")
def test_everything_twice() -> None:
    w = World()
    w.duplicate(everything, 3 * MS, count=100_000)
    w.connect()
    w.client.write(OCTETS, then_close=True)
    w.server.write(OCTETS[::-1])
    w.client.reading = w.server.reading = True
    w.server.closes_at_end = True
    w.run_for(100 * SECOND)
    assert bytes(w.server.received) == OCTETS
    assert bytes(w.client.received) == OCTETS[::-1]
    assert set(w.states()) <= {"CLOSED"}


@pytest.mark.row("B2")
def test_in_reverse() -> None:
    w = World()
    w.connect()
    for nth in range(10):
        w.hold(by_client(data), (10 - nth) * 2 * MS, nth=nth + 1)
    w.client.write(OCTETS[:14_480])
    w.server.reading = True
    w.run_for(29 * MS)
    assert len(w.server.received) == 0
    assert len(w.server.tcb.reassembly) == 1
    w.run_for(10 * MS)
    assert bytes(w.server.received) == OCTETS[:14_480]
    assert w.server.tcb.reassembly.charge == 0


@pytest.mark.row("B8", "C8", "A8", "A9", "A10")
@pytest.mark.parametrize("damaged", range(1, 9))
def test_each_message_of_a_life_damaged(damaged: int) -> None:
    """A damaged segment is dropped in silence and then is as good as lost: whichever it was, the life goes on."""
    w = World()
    w.lose(everything, nth=damaged)
    w.server.listen()
    w.server.reading = w.server.closes_at_end = True
    w.client.open()
    w.client.write(b"request", then_close=True)
    w.run_for(30 * SECOND)
    assert bytes(w.server.received) == b"request"
    assert w.states() in (("TIME-WAIT", "CLOSED"), ("CLOSED", "CLOSED"))
    w.run()
    assert w.states() == ("CLOSED", "CLOSED")


@pytest.mark.row("E6")
def test_seven_messages() -> None:
    """The whole life of a connection, with both ends' states beside each message."""
    w = World()
    w.server.listen()
    w.client.open()
    assert w.states() == ("SYN-SENT", "LISTEN")

    one = w.message()
    assert syn(one)
    assert one.left_in == ("SYN-SENT", "LISTEN")
    assert one.arrived_in == ("SYN-SENT", "SYN-RECEIVED")
    two = w.message()
    assert syn_ack(two)
    assert two.arrived_in == ("ESTABLISHED", "SYN-RECEIVED")
    three = w.message()
    assert not three.segment.flags & (SYN | FIN)
    assert three.left_in == ("ESTABLISHED", "SYN-RECEIVED")
    assert three.arrived_in == ("ESTABLISHED", "ESTABLISHED")

    w.client.close()
    four = w.message()
    assert fin(four)
    assert four.left_in == ("FIN-WAIT-1", "ESTABLISHED")
    assert four.arrived_in == ("FIN-WAIT-1", "CLOSE-WAIT")
    five = w.message()
    assert five.left_in == ("FIN-WAIT-1", "CLOSE-WAIT")
    assert five.arrived_in == ("FIN-WAIT-2", "CLOSE-WAIT")
    w.server.close()
    six = w.message()
    assert six.left_in == ("FIN-WAIT-2", "LAST-ACK")
    assert six.arrived_in == ("TIME-WAIT", "LAST-ACK")
    seven = w.message()
    assert seven.left_in == ("TIME-WAIT", "LAST-ACK")
    assert seven.arrived_in == ("TIME-WAIT", "CLOSED")
    assert w.client.time_wait is not None
    assert time_wait.expiry(w.client.time_wait) == six.arrived_at + 60 * SECOND
    w.run()
    assert w.states() == ("CLOSED", "CLOSED")
    assert len(w.messages) == 7

    x, y = one.segment.seq, two.segment.seq
    u, v = x + 1, y + 1
    assert [(m.segment.seq, m.segment.ack) for m in w.messages] == [
        (x, 0),
        (y, x + 1),
        (x + 1, y + 1),
        (u, v),
        (v, u + 1),
        (v, u + 1),  # w = v: the server sent nothing in between
        (u + 1, v + 1),
    ]


@pytest.mark.row("E6", "C4")
def test_w_is_not_v_when_the_passive_end_sent_data_in_between() -> None:
    w = World()
    w.connect()
    w.client.close()
    w.run_for(SECOND)
    w.server.send(b"five!")
    w.run_for(SECOND)
    w.server.close()
    w.run_for(SECOND)
    second_fin = next(m.segment for m in w.messages if by_server(fin)(m))
    y = w.messages[1].segment.seq
    u = next(m.segment.seq for m in w.messages if by_client(fin)(m))
    assert (second_fin.seq, second_fin.ack) == (y + 1 + 5, u + 1)
    assert (w.messages[-1].segment.seq, w.messages[-1].segment.ack) == (u + 1, y + 1 + 5 + 1)
