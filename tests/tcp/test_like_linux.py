"""Where RFC 9293 leaves a choice, or is not followed by anybody, the default profile does what the Linux kernel was seen
to do (tests/data/kernel_matrix.jsonl)."""

from __future__ import annotations

from synfin.tcp.connection import Connection
from synfin.wire.sequence import MASK
from synfin.wire.tcp import ACK, FIN, SYN, Options, Segment
from tests.tcp.world import CLIENT, make_connection

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
    connection.deadline_reached(connection.next_deadline())
    poll(connection)
    assert connection.segment_arrives(segment(connection, ACK, payload=b"more"), 0) is None
    assert poll(connection) == []
    # Of what the FIN had ended, the peer may have missed the acknowledgment.
    assert connection.segment_arrives(segment(connection, ACK, -4, payload=b"data"), 0) is not None
