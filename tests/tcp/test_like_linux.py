"""Where RFC 9293 leaves a choice, the default profile does what the Linux kernel was seen to do
(tests/data/kernel_matrix.jsonl)."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp import time_wait
from synfin.tcp.connection import Connection
from synfin.tcp.parameters import TcpParameters
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, RST, SYN, Options, Segment
from tests.tcp.world import CLIENT, MS, make_connection

IRS = 500_000


def poll(connection: Connection, now: int = 0) -> list[Segment]:
    sent = []
    while (segment := connection.poll_transmit(now, 1500)) is not None:
        sent.append(segment)
    return sent


def syn_sent() -> Connection:
    connection = make_connection(CLIENT)
    connection.open(0)
    (syn,) = poll(connection)
    assert syn.flags == SYN
    return connection


def established() -> Connection:
    """A client in ESTABLISHED, without options but MSS."""
    connection = syn_sent()
    syn_ack = Segment(80, 49152, IRS, 1001, SYN | ACK, 65535, Options(mss=1460))
    connection.segment_arrives(syn_ack, 0)
    assert [segment.flags for segment in poll(connection)] == [ACK]
    return connection


def segment(connection: Connection, flags: int, offset: int = 0, ack: int = 0, payload: bytes = b"") -> Segment:
    """A segment `offset` from RCV.NXT that acknowledges SND.UNA + `ack`."""
    seq = connection.rcv_nxt + offset & MASK
    return Segment(80, 49152, seq, connection.snd_una + ack & MASK, flags, 65535, payload=(payload,) if payload else ())


def test_data_after_the_fin_is_ignored_without_an_answer() -> None:
    # RFC 9293 §3.10.7.4, seventh: "Ignore the segment text."
    connection = established()
    connection.segment_arrives(segment(connection, ACK | FIN), 0)
    poll(connection, 40 * MS)
    assert connection.segment_arrives(segment(connection, ACK, payload=b"more"), 0) is None
    assert poll(connection) == []
    # Of what the FIN had ended, the peer may have missed the acknowledgment.
    assert connection.segment_arrives(segment(connection, ACK, -4, payload=b"data"), 0) is not None


@pytest.mark.parametrize("flags", [0, FIN], ids=["none", "FIN"])
@pytest.mark.parametrize("offset", [-1000, 0, 100_000])
def test_a_segment_without_ack_rst_and_syn_is_not_answered_wherever_it_lies(flags: int, offset: int) -> None:
    connection = established()
    assert connection.segment_arrives(segment(connection, flags, offset, payload=b"data"), 0) is None
    assert connection.verdict is reasons.NO_ACK
    assert poll(connection) == []
    # With an ACK, what lies elsewhere is answered.
    assert (connection.segment_arrives(segment(connection, ACK, offset, payload=b"data"), 0) is None) == (offset == 0)


@pytest.mark.parametrize("flags", [ACK, SYN | ACK, RST | ACK])
def test_a_wrong_ack_in_syn_sent_brings_the_syn_again_soon_and_once(flags: int) -> None:
    connection = syn_sent()
    old_connections = Segment(80, 49152, 7, 77, flags, 65535)
    reply = connection.segment_arrives(old_connections, 0)
    # RFC 9293 §3.5.1, figure 10: the RST ends what the peer had; then the SYN can be answered.
    assert (reply is not None) == (not flags & RST)
    assert connection.next_deadline() == 8 * MS
    connection.deadline_reached(8 * MS)
    assert [again.flags for again in poll(connection, 8 * MS)] == [SYN]
    due = connection.next_deadline()
    connection.segment_arrives(old_connections, 9 * MS)
    assert connection.next_deadline() == due >= 1008 * MS
    assert poll(connection, 9 * MS) == []


@pytest.mark.parametrize(
    ("offset", "flags", "payload"), [(0, ACK, b"data"), (1000, ACK, b""), (0, ACK | FIN, b""), (0, 0, b"data")]
)
def test_time_wait_tells_where_it_is_whatever_comes_after_the_fin(offset: int, flags: int, payload: bytes) -> None:
    connection = established()
    connection.close(0)
    poll(connection)
    connection.segment_arrives(segment(connection, ACK | FIN, ack=1), 0)
    poll(connection)
    packed = time_wait.from_connection(connection, 0)
    late = segment(connection, flags, offset, payload=payload)
    reply = time_wait.segment_arrives(packed, late, TcpParameters(), MS).reply
    assert reply is not None
    assert (reply.flags, reply.seq, reply.ack) == (ACK, 1002, IRS + 2)
    # What an ACK there may be the answer to is not answered.
    bare = segment(connection, ACK)
    assert time_wait.segment_arrives(packed, bare, TcpParameters(), MS).reply is None
